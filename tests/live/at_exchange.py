"""A live venue, open at a sandbox in the same event loop, and things that stand in its way.

`report` is what comes of one request and nothing else; what the private stream tells is in the inbox.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from itertools import count
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from quantcli.model.instrument import Side, round_price
from quantcli.model.message import Amend, Cancel, Lookup, Place, PlaceList, Report, Request
from quantcli.model.order import OrderType, StandardOrder
from quantcli.venues.calls import Credentials
from quantcli.venues.inbox import Inbox
from quantcli.venues.live import LiveVenue
from tests.loopback import InProcessSandbox
from tests.venues.opened import SYMBOL, next_of, placing, venue_of

PLACE, CANCEL, LOOK = "POST /api/v3/order", "DELETE /api/v3/order", "GET /api/v3/order"
AMEND, LIST = "PUT /api/v3/order/amend/keepPriority", "POST /api/v3/orderList/oco"
# How long a call may take here.
TIMEOUT_S = 1.0


class Ground:
    """An exchange and a venue that is open there."""

    def __init__(self, exchange: InProcessSandbox, venue: LiveVenue, inbox: Inbox, bid: float) -> None:
        self.exchange, self.venue, self.inbox = exchange, venue, inbox
        self._bid, self._numbers = bid, count(1)

    async def report(self, request: Request) -> Report:
        """What comes of a request about one order."""
        (report,) = await self.venue.connector.report(request)
        return report

    def price(self, times: float) -> Decimal:
        return round_price(self._bid * times, Side.BUY, self.venue.instruments[SYMBOL].price_tick)

    def order(self, qty: str = "0.01") -> StandardOrder:
        """One that rests far from the market."""
        return StandardOrder(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal(qty), self.price(0.9))

    def placing(self, in_s: float = 5.0) -> Place:
        """A placement under an id that was never used."""
        return placing(self.order(), next(self._numbers), in_s)

    def listing(self) -> PlaceList:
        """Two sales of which one cancels the other."""
        stop = StandardOrder(
            SYMBOL,
            Side.SELL,
            OrderType.STOP_LIMIT,
            Decimal("0.01"),
            self.price(0.79),
            stop_price=self.price(0.8),
        )
        target = StandardOrder(SYMBOL, Side.SELL, OrderType.LIMIT_MAKER, Decimal("0.01"), self.price(1.2))
        return PlaceList((placing(stop, next(self._numbers)), placing(target, next(self._numbers))))

    def amending(self, place: Place) -> Amend:
        """Half of an order, in its place."""
        return Amend(place.client_order_id, self.order("0.005"), 1, place.deadline_ns)

    def there(self, client_order_id: str) -> list[str]:
        """How the exchange's orders of this id stand."""
        return [o["status"] for o in self.exchange.orders() if o["client_order_id"] == client_order_id]


def cancel(place: Place) -> Cancel:
    return Cancel(place.client_order_id, SYMBOL)


def look_up(place: Place) -> Lookup:
    return Lookup(place.client_order_id, SYMBOL)


async def until(inbox: Inbox, kind: Any, is_it: Callable[[Any], bool]) -> Any:
    """The first item of a kind that is meant; all before it are dropped."""
    async with asyncio.timeout(10):
        while not is_it(item := await next_of(inbox, kind)):
            pass
    return item


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Ground]:
    """A venue at a new exchange."""
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,)) as exchange, opened_at(exchange, **settings) as on:
        yield on


@asynccontextmanager
async def opened_at(
    exchange: InProcessSandbox, endpoint: str | None = None, **settings: Any
) -> AsyncIterator[Ground]:
    """A venue at this exchange, which it may reach by another address."""
    settled: dict[str, Any] = {"credentials": Credentials(exchange.key, exchange.secret)} | settings
    async with venue_of(endpoint or exchange.url, **({"timeout_s": TIMEOUT_S} | settled)) as (venue, inbox):
        await venue.open([SYMBOL])
        bid = (await venue.connector.get_orderbook(SYMBOL)).best_bid
        yield Ground(exchange, venue, inbox, bid)


class Wire:
    """Passes requests on to a server, and answers back; a POST can be cut off after `keep` bytes.

    `posts` are the bytes of every POST that came; `url` is where it listens.
    """

    def __init__(self, server_url: str) -> None:
        host, _, port = server_url.removeprefix("http://").partition(":")
        self._server = host, int(port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.posts: list[bytes] = []
        self.keep: int | None = None
        self.url = ""

    async def __aenter__(self) -> "Wire":
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_connection(*self._server)
        back = asyncio.create_task(_pump(there_reader, writer))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._pass_on(await _request(reader), there_writer, writer, back):
                    pass
                await _pump(reader, there_writer)  # a websocket, perhaps
        finally:
            back.cancel()
            writer.close()
            there_writer.close()
            self._tasks.discard(task)

    async def _pass_on(
        self,
        request: bytes,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        back: "asyncio.Task[None]",
    ) -> bool:
        """Pass one request on; whether the connection goes on speaking in requests."""
        is_post = request.startswith(b"POST")
        if is_post:
            self.posts.append(request)
        if not is_post or self.keep is None:
            server.write(request)
            return b"upgrade: websocket" not in request.lower()
        back.cancel()
        server.write(request[: self.keep])
        await server.drain()
        if self.keep < len(request):
            server.close()
            await server.wait_closed()
        else:
            await asyncio.sleep(0.05)  # it is carried out meanwhile
        client.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        client.transport.abort()
        raise ConnectionResetError


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP request."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line.lower().partition(b":") for line in head.split(b"\r\n")]
    length = next((int(text) for name, _, text in lines if name == b"content-length"), 0)
    return head + await reader.readexactly(length)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


# Whole messages as they are, a list of fragments, or bytes that claim to be text.
Frames = Sequence[str | list[str] | bytes]


@asynccontextmanager
async def frames_between(server_url: str, changed: Callable[[str], Frames]) -> AsyncIterator[str]:
    """Passes websocket messages on, those of the server as `changed`; yields the address to connect to."""

    async def handle(client: ServerConnection) -> None:
        assert client.request is not None
        async with connect(server_url + client.request.path, max_size=None) as there:

            async def up() -> None:
                async for message in client:
                    await there.send(message)
                await there.close()

            rising = asyncio.create_task(up())
            try:
                async for message in there:
                    for frame in changed(str(message)):
                        is_text = isinstance(frame, bytes)
                        await client.send(frame, text=True) if is_text else await client.send(frame)
            except ConnectionClosed:
                pass
            finally:
                rising.cancel()

    async with serve(handle, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as listener:
        port = next(iter(listener.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
