"""One account on one exchange, live: opens everything it takes, in order, and closes it again.

    instruments -> clock -> key -> private stream -> gateway

Without a key it has only the public half: instruments, books, trades, the clock.  Everything that arrives
goes into one inbox.  Real orders are sent to Binance's spot market only; what other exchanges promise is in
their manifests, but nobody has taught us to speak with them.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from quantcli.clock import Clock
from quantcli.codecs.binance_orders import BinanceOrders
from quantcli.errors import ConfigError, ExchangeError, TradingDisabled
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.message import Request
from quantcli.model.venue import VenueContract
from quantcli.venues.account_check import Permissions, permissions
from quantcli.venues.asking import Asking
from quantcli.venues.binance.connector import BinanceConnector
from quantcli.venues.binance.private_stream import PrivateStream
from quantcli.venues.binance.spot import BinanceSpot
from quantcli.venues.breaker import Breaker, BreakerState
from quantcli.venues.calls import Credentials
from quantcli.venues.clock_keeper import ClockKeeper
from quantcli.venues.connector import Connector
from quantcli.venues.gateway import VenueGateway, silences
from quantcli.venues.inbox import Inbox, Missed, Notice
from quantcli.venues.limit_rules import Usage
from quantcli.venues.limits import BINANCE_SPOT, Budget
from quantcli.venues.manifest import Market, load
from quantcli.venues.server_clock import ServerClock
from quantcli.venues.through_ccxt.connector import UnifiedConnector, not_live
from quantcli.venues.through_ccxt.transport import CcxtTransport
from quantcli.venues.urls import urls

__all__ = ["Credentials", "LiveVenue", "Permissions"]


_PROBE_S = 0.2


class LiveVenue:
    """`ports.Gateway`, and what goes with it.

    `endpoint` (`http://127.0.0.1:8080`) is another server that speaks the exchange's protocol; `shared` the
    file in which this account's processes count their requests together.  `dice` gives numbers in [0, 1) for
    pauses, `timeout_s` is how long a call may take, `patience_s` how long the private stream when it is
    opened.  Raises `ConfigError` where it cannot trade and a key is given.
    """

    def __init__(
        self,
        exchange: str,
        clock: Clock,
        inbox: Inbox,
        credentials: Credentials | None = None,
        endpoint: str | None = None,
        market: Market = "spot",
        *,
        shared: Path | None = None,
        dice: Callable[[], float] = lambda: 0.5,
        timeout_s: float = 10.0,
        patience_s: float = 15.0,
    ) -> None:
        self.exchange, self.manifest = exchange, load(exchange, market)
        self.contract: VenueContract = self.manifest.contract
        self.instruments: dict[str, SymbolMetadata] = {}
        self.server_clock = ServerClock(clock)
        is_ours = (exchange, market) == ("binance", "spot")
        if credentials is not None and not is_ours:
            raise not_live(self.manifest)
        self._clock, self._inbox, self._credentials = clock, inbox, credentials
        self._endpoint, self._dice, self._patience_s = endpoint, dice, patience_s
        self._gateway: VenueGateway | None = None
        self._stream: PrivateStream | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._transport = CcxtTransport(exchange, clock, credentials, endpoint, market, timeout_s)
        self._asking: Asking | None = None
        self.connector: Connector
        if is_ours:
            dialect = BinanceSpot(self.manifest, self.instruments, self.server_clock.now_ns)
            self.connector = self._binance(dialect, shared)
        else:
            unified = UnifiedConnector(self._transport, self.manifest, clock, dice)
            unified.instruments = self.instruments
            self.connector = unified
        self._keeper = ClockKeeper(
            self.server_clock, clock, inbox, self.connector.get_server_time, self._clock_was_set
        )

    def _binance(self, dialect: BinanceSpot, shared: Path | None) -> BinanceConnector:
        tell = self._inbox.put
        budget = Budget(BINANCE_SPOT, self._clock, shared, server=self.server_clock, tell=tell)
        breaker = Breaker(self._clock, dice=self._dice, tell=tell, opened=self._left_alone)
        self._asking = Asking(
            self._transport,
            self._clock,
            self.server_clock,
            budget,
            breaker,
            fence=dialect.fence,
            errors=self.manifest.error_body,
            dice=self._dice,
        )
        return BinanceConnector(
            self._asking, dialect, self.manifest, self.instruments, self._clock, self._transport.close
        )

    # Opening and closing.

    async def open(self, symbols: Collection[str]) -> None:
        """Get ready to trade these markets; closes again what it opened if it fails.

        Raises `NotFoundError` for a market that is not there, `ConfigError` for a key that the exchange does
        not accept, `TradingDisabled` for one that may not trade, else as every read of a connector.
        """
        try:
            await self._open(symbols)
        except BaseException:
            await self.close()
            raise

    async def _open(self, symbols: Collection[str]) -> None:
        await self.connector.get_exchange_info(symbols)
        await self._keeper.measure()
        self._begin(self._keeper.run(), "keeping the exchange's time")
        if self._asking is None or self._credentials is None:
            return
        self._begin(self._probe(self._asking.breaker), "trying whether the exchange answers")
        self._asking.on_clock_doubt = self._keeper.doubt
        if not (await self.permissions()).can_trade:
            raise TradingDisabled(
                f"this key may not trade on {self.exchange}",
                why="the exchange says so of the key, or of its account",
                todo="let the key trade spot markets, or run without one",
            )
        await self._listen(self._credentials, self._asking)
        self._gateway = VenueGateway(self.connector, self._inbox)

    async def _listen(self, credentials: Credentials, asking: Asking) -> None:
        """Open the private stream; if that takes long, trading begins without it: the kernel looks then."""
        address = urls(self.exchange, self.manifest.market, self._endpoint).private
        named = {rules.exchange_symbol: rules for rules in self.instruments.values()}
        stream = PrivateStream(
            address,
            credentials,
            BinanceOrders(named),
            self.server_clock,
            self._inbox,
            dice=self._dice,
            on_clock_doubt=self._keeper.doubt,
        )
        self._stream = stream
        self._begin(stream.run(), "the private stream")
        try:
            await asyncio.wait_for(stream.subscribed.wait(), self._patience_s)
        except TimeoutError:
            self._inbox.put(Notice("stale", "the private stream is not up yet: orders are looked up instead"))

    async def _probe(self, breaker: Breaker) -> None:
        """When the exchange was left alone for a while, ask something harmless: until that is answered
        nothing is placed."""
        while True:
            await asyncio.sleep(_PROBE_S)
            if breaker.wants_probe:
                with suppress(ExchangeError):
                    await self.connector.ping()

    def _begin(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=what)
        task.add_done_callback(self._stopped)
        self._tasks.append(task)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """None of these ends by itself."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._inbox.put(Notice("stopped", f"{task.get_name()}: {type(error).__name__}: {error}"))

    def _left_alone(self) -> None:
        """An exchange that does not answer is looked at again before anything is placed: placements that only
        wait for it would otherwise be tried, and given up, one after the other."""
        self._inbox.put(Missed("the exchange did not answer properly for a while"))

    def _clock_was_set(self) -> None:
        if self._asking is not None:
            self._asking.budget.wake()

    async def close(self) -> None:
        """End what is under way, after a short grace; orders on the exchange stay.  Twice does no harm."""
        if self._gateway is not None:
            await self._gateway.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._asking is not None:
            self._asking.budget.close()
        await self.connector.close()

    # The account.

    def send(self, request: Request) -> None:
        """Hand over a request; what comes of it is put into the inbox.  Never waits, never raises; before
        `open`, and without a key, nothing is sent."""
        if self._gateway is not None:
            self._gateway.send(request)
            return
        for silence in silences(request, "the venue is not open with a key", sent=False):
            self._inbox.put(silence)

    def budget_lines(self) -> list[Usage]:
        """How the exchange's request limits stand; empty where they are not counted here."""
        return self._asking.budget.report() if self._asking is not None else []

    def links(self) -> dict[str, bool]:
        """Which connections of the account are up now: "user ws" its stream, "rest" its requests."""
        if self._asking is None:
            return {}
        up = {"rest": self._asking.breaker.state is BreakerState.CLOSED}
        return up if self._stream is None else up | {"user ws": self._stream.subscribed.is_set()}

    async def permissions(self) -> Permissions:
        """What the key may do.  Raises `ConfigError` without one, or if the exchange does not accept it."""
        if self._credentials is None:
            raise ConfigError("there is no key to ask about", todo="give one for this exchange")
        return await permissions(self.connector)

    async def balances(self) -> dict[str, AssetBalance]:
        """Balances by asset, those of zero left out."""
        held = await self.connector.get_account_balance()
        return {asset: balance for asset, balance in held.items() if balance.total}
