"""The compliance suite, run for every connector that there is."""

from contextlib import asynccontextmanager
from decimal import Decimal

from quantcli.clock import WallClock
from quantcli.venues.calls import Credentials
from quantcli.venues.manifest import load
from quantcli.venues.through_ccxt.connector import UnifiedConnector
from quantcli.venues.through_ccxt.transport import CcxtTransport
from tests.loopback import InProcessSandbox
from tests.venues.compliance import ConnectorCompliance, Ground, PublicCompliance
from tests.venues.opened import SYMBOL, running, venue_of
from tests.venues.test_ccxt_transport import recorded, serving, web


class TestBinanceSpot(ConnectorCompliance):
    @asynccontextmanager
    async def open_ground(self):
        async with running() as server, venue_of(server.endpoint) as (venue, _):
            yield Ground(
                venue.connector,
                SYMBOL,
                lambda: server.count("POST /api/v3/order"),
                lambda number, qty: server.fill(int(number), str(Decimal(qty))),
            )


class TestBinanceSpotInTheSandbox(ConnectorCompliance):
    @asynccontextmanager
    async def open_ground(self):
        async with InProcessSandbox(seed=3) as sandbox:
            account = Credentials(sandbox.key, sandbox.secret)
            async with venue_of(sandbox.url, credentials=account) as (venue, _):
                yield Ground(
                    venue.connector,
                    SYMBOL,
                    lambda: len(sandbox.orders()),
                    lambda number, qty: sandbox.fill(int(number), str(qty)),
                )


class TestOkxSpot(PublicCompliance):
    @asynccontextmanager
    async def open_ground(self):
        raw = recorded("okx", "http_get_instruments_spot.json")

        async def handler(request):
            return web.Response(text=raw, content_type="application/json")

        runner, endpoint = await serving(handler)
        transport = CcxtTransport("okx", WallClock(), None, endpoint)
        yield Ground(UnifiedConnector(transport, load("okx"), WallClock(), lambda: 0.5), "BTC/USD", lambda: 0)
        await transport.close()
        await runner.cleanup()
