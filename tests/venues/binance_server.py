"""Binance's public protocol on a loopback socket, with the market data of a recording as its market.

Time is the test's: events are sent when `pump` is called; the book that REST shows is what was sent so far.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from quantcli.model.batch import events
from quantcli.model.instrument import canonical, to_decimal
from quantcli.model.market import BookUpdate, MarketEvent, OrderBook, Ticker, Trade
from quantcli.recording.reader import open_recording

SHIPPED = Path(__file__).resolve().parents[2] / "recordings"
MS = 1_000_000


def shipped_events(count: int) -> list[MarketEvent]:
    """The first events of the recording in the repository, in their order."""
    return list(_rows(count))


def _rows(count: int) -> Iterator[MarketEvent]:
    left = count
    for chunk in open_recording(SHIPPED).chunks():
        streams = [events(columns) for columns in chunk.streams]
        for turn in chunk.turn.tolist():
            if not left:
                return
            left -= 1
            yield next(streams[turn])


def text(number: float) -> str:
    return canonical(to_decimal(number))


def wire(event: MarketEvent) -> tuple[str, dict[str, Any]]:
    """A stream's name without its symbol, and the message."""
    name, ms = event.symbol.replace("/", ""), event.exchange_ns // MS
    match event:
        case Trade():
            return "trade", {
                "e": "trade",
                "E": ms,
                "s": name,
                "t": event.trade_id,
                "p": text(event.price),
                "q": text(event.size),
                "T": ms,
                "m": event.side == 2,
                "M": True,
            }
        case Ticker():
            return "bookTicker", {
                "u": event.update_id,
                "s": name,
                "b": text(event.bid),
                "B": text(event.bid_size),
                "a": text(event.ask),
                "A": text(event.ask_size),
            }
        case BookUpdate():
            return "depth@100ms", {
                "e": "depthUpdate",
                "E": ms,
                "s": name,
                "U": event.first_id,
                "u": event.last_id,
                "b": [[text(price), text(size)] for price, size in event.bids],
                "a": [[text(price), text(size)] for price, size in event.asks],
            }
    raise AssertionError(event)


def info(*names: str) -> dict[str, Any]:
    """An exchangeInfo with markets in USDT."""
    return {
        "timezone": "UTC",
        "symbols": [
            {
                "symbol": f"{name}USDT",
                "status": "TRADING",
                "baseAsset": name,
                "quoteAsset": "USDT",
                "filters": [
                    {
                        "filterType": "PRICE_FILTER",
                        "minPrice": "0.001",
                        "maxPrice": "1000",
                        "tickSize": "0.001",
                    },
                    {"filterType": "LOT_SIZE", "minQty": "0.01", "maxQty": "90000", "stepSize": "0.01"},
                    {"filterType": "NOTIONAL", "minNotional": "5"},
                ],
            }
            for name in names
        ],
    }


class BinanceServer:
    """`connections` counts the sockets ever opened, `requests` holds every REST request and subscription."""

    def __init__(self, rows: list[MarketEvent], *names: str) -> None:
        self.rows = iter(rows)
        self.names = names or ("NEXO",)
        self.book = OrderBook("NEXO/USDT")
        self.connections = 0
        self.requests: list[str] = []
        self.refuses = False
        self.is_half_open = False
        self.skips: set[str] = set()  # streams whose messages get lost
        self.snapshots_fail = 0
        self.says_first = 0  # so many events are sent before a subscription is confirmed
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> "BinanceServer":
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._info)
        app.router.add_get("/api/v3/depth", self._depth)
        app.router.add_get("/stream", self._stream)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    async def pump(self, count: int) -> int:
        """Let the next events happen; how many there were."""
        done = 0
        for event in self.rows:
            stream, message = wire(event)
            if isinstance(event, BookUpdate):
                self.book.apply(event)
            if not (isinstance(event, BookUpdate) and event.is_snapshot):
                await self.say(f"{message['s'].lower()}@{stream}", message)
            done += 1
            if done == count:
                break
        return done

    async def say(self, stream: str, message: dict[str, Any]) -> None:
        if stream not in self.skips:
            await self.raw(json.dumps({"stream": stream, "data": message}, separators=(",", ":")), stream)

    async def raw(self, frame: str, stream: str | None = None) -> None:
        """Send a text to those who subscribed to a stream, or to everybody."""
        for socket, streams in list(self._sockets.items()):
            if (stream is None or stream in streams) and not self.is_half_open and not socket.closed:
                await socket.send_str(frame)

    async def cut(self) -> None:
        """End every connection."""
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    @property
    def listeners(self) -> int:
        return sum(bool(streams) for streams in self._sockets.values())

    @property
    def subscribed(self) -> set[str]:
        return set().union(*self._sockets.values())

    async def until_heard(self, connections: int = 1) -> None:
        """Until a client has connected (so many times), subscribed and asked for its snapshots."""
        while not (self.connections >= connections and self.listeners):  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def _info(self, request: web.Request) -> web.Response:
        self.requests.append(f"info {request.query_string}")
        asked = json.loads(request.query.get("symbols", "[]"))
        if {name.removesuffix("USDT") for name in asked} - set(self.names):
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        return web.json_response(info(*self.names))

    async def _depth(self, request: web.Request) -> web.Response:
        self.requests.append(f"depth {request.query['symbol']}")
        if self.snapshots_fail:
            self.snapshots_fail -= 1
            return web.Response(status=503, text="<html>not now</html>")
        if request.query["symbol"] != "NEXOUSDT":
            return web.json_response({"lastUpdateId": 1, "bids": [], "asks": []})
        bids, asks = self.book.depth(int(request.query["limit"]))
        return web.json_response(
            {
                "lastUpdateId": self.book.last_id,
                "bids": [[text(price), text(size)] for price, size in bids],
                "asks": [[text(price), text(size)] for price, size in asks],
            }
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=not self.is_half_open)
        await socket.prepare(request)
        self.connections += 1
        streams = self._sockets[socket] = set()
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT or self.is_half_open:
                    continue
                asked = json.loads(message.data)
                self.requests.append(f"{asked['method']} {' '.join(asked['params'])}")
                if asked["method"] == "SUBSCRIBE":
                    streams.update(asked["params"])
                    if self.says_first:
                        await self.pump(self.says_first)
                else:
                    streams.difference_update(asked["params"])
                await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        finally:
            del self._sockets[socket]
        return socket
