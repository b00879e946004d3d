"""A running bot's routes (`wire`), over HTTP at its socket: what may be asked, by whom, and how much of it.

Translates between requests and those who know (`reach`, `history`, `clerk`); knows nothing of orders.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from quantcli.errors import NotFoundError, QuantError, UsageError
from quantcli.runtime.control import history
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.clerk import Clerk
from quantcli.runtime.control.door import Door, owner_of_peer
from quantcli.runtime.control.reach import Reach
from quantcli.runtime.control.rows import Wanted
from quantcli.runtime.control.watchman import Watchman
from quantcli.runtime.control.wire import (
    EventList,
    FillList,
    OrderList,
    PositionList,
    Refusal,
    Status,
    Story,
    Word,
)

T = TypeVar("T", bound=msgspec.Struct)

_BODY_BYTES = 64 * 1024
_REQUEST_S = 18.0
_CONNECTIONS = 32
_MOST_ROWS = 10_000
_STATUS_OF = {2: 400, 3: 503, 4: 400, 5: 504, 6: 409, 7: 404, 8: 409}


class Server:
    """Serves one run at a door; `watch` answers `/v1/watch`, `metrics` what a scraper is told."""

    def __init__(self, bridge: Bridge, reach: Reach, clerk: Clerk, watchman: Watchman) -> None:
        self.metrics: Callable[[], Awaitable[tuple[bytes, str]]] | None = None
        self.watch: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self._about, self._bridge, self._reach = bridge.about, bridge, reach
        self._clerk, self._watchman = clerk, watchman
        self._runner: web.AppRunner | None = None

    async def open(self, door: Door) -> None:
        """Begin to serve."""
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY_BYTES)
        app.add_routes(
            [
                web.get("/v1/status", self._answering(lambda _: self.status())),
                web.get("/v1/orders", self._answering(self._orders)),
                web.get("/v1/orders/{id}", self._answering(self._order)),
                web.get("/v1/positions", self._answering(self._positions)),
                web.get("/v1/fills", self._answering(self._fills)),
                web.get("/v1/events", self._answering(self._events)),
                web.get("/v1/health", self._answering(lambda _: self._reach.ask(lambda c: c.health()))),
                web.get("/v1/book", self._answering(self._book)),
                web.post("/v1/do/{verb}", self._answering(self._do)),
                web.get("/v1/watch", self._watch),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, keepalive_timeout=15.0, shutdown_timeout=1.0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, door.socket).start()

    async def close(self) -> None:
        """Answer what was asked, for a moment, and no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    # Who may ask, and how much.

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        transport = request.transport
        if transport is None or owner_of_peer(transport.get_extra_info("socket")) not in (-1, os.getuid()):
            return _refused(QuantError("this bot belongs to somebody else"), 403)
        server = self._runner.server if self._runner is not None else None
        if server is not None and len(server.connections) > _CONNECTIONS:
            return _refused(
                QuantError(f"more than {_CONNECTIONS} programs ask at once", todo="try again"), 503
            )
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _refused(UsageError(f"{request.method} {request.path}: {error.reason}"), error.status)

    def _answering(
        self, find: Callable[[web.Request], Awaitable[msgspec.Struct]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                async with asyncio.timeout(_REQUEST_S):
                    found = await find(request)
            except QuantError as error:
                return _refused(error)
            except TimeoutError:
                return _refused(QuantError("it took too long", why=f"more than {_REQUEST_S:g} s"), 504)
            except web.HTTPException:
                raise
            except Exception as error:  # a fault of ours must not end the bot's ear
                return _refused(QuantError(f"a fault of the bot's own: {error!r}"), 500)
            return web.Response(body=msgspec.json.encode(found), content_type="application/json")

        return answer

    # What may be asked.

    async def status(self) -> Status:
        """How the bot is, whatever it is doing."""
        cockpit, stuck_at = self._bridge.cockpit, self._watchman.stuck_at
        if cockpit is None:
            return self._bare()
        if stuck_at:
            known = cockpit.latest.status if cockpit.latest is not None else self._bare()
            why = f"the strategy has not returned for {self._watchman.stuck_s:.0f} s, at {stuck_at}"
            now_ns = self._bridge.clock.now_ns()
            return msgspec.structs.replace(known, state="stuck", why=why, now_ns=now_ns)
        return await self._reach.ask(lambda c: c.status())

    def _bare(self) -> Status:
        about, stuck_at = self._about, self._watchman.stuck_at
        return Status(
            bot=about.bot,
            pid=about.pid,
            exchange=about.exchange,
            endpoint=about.endpoint,
            world=about.world,
            strategy=about.strategy,
            symbols=about.symbols,
            started_ns=about.started_ns,
            now_ns=self._bridge.clock.now_ns(),
            state="stuck" if stuck_at else self._bridge.state,
            why=f"the strategy does not return, at {stuck_at}" if stuck_at else self._bridge.why,
            project=about.project,
            log=about.log,
            version=about.version,
        )

    async def _orders(self, request: web.Request) -> OrderList:
        symbol = request.query.get("symbol", "")
        rows = await self._reach.ask(lambda c: c.orders(symbol))
        if request.query.get("all"):
            listed = {row.intent_id for row in rows}
            limit = _number(request, "limit", 500)
            past = await history.settled(self._reach.cockpit.database, symbol, limit)
            rows = (*reversed([row for row in past if row.intent_id not in listed]), *rows)
        return OrderList(self._bridge.clock.now_ns(), rows)

    async def _order(self, request: web.Request) -> Story:
        return await self.story(request.match_info["id"])

    async def story(self, name: str) -> Story:
        """One order's whole story; raises `NotFoundError`."""
        wanted: Wanted | None = await self._reach.ask(lambda c: c.find(name))
        cockpit = self._reach.cockpit
        if wanted is None:
            wanted = await history.wanted_of(cockpit.database, name)
        intent = wanted.intent
        waits = await self._reach.ask(lambda c: c.slot_status(intent))
        now_ns = self._bridge.clock.now_ns()
        return await history.story(cockpit.database, wanted, waits, now_ns, cockpit.policy)

    async def _positions(self, request: web.Request) -> PositionList:
        symbol, latest = request.query.get("symbol", ""), self._reach.cockpit.latest
        if self._watchman.stuck_at and latest is not None:
            items, wallet = latest.positions, latest.wallet
            items = tuple(each for each in items if symbol in ("", each.symbol))
        else:
            items, wallet = await self._reach.ask(lambda c: (c.positions(symbol), c.wallet()))
        return PositionList(self._bridge.clock.now_ns(), items, wallet)

    async def _fills(self, request: web.Request) -> FillList:
        database, query = self._reach.cockpit.database, request.query
        found, total = await history.fills(
            database, query.get("symbol", ""), query.get("order", ""), _number(request, "limit", 100)
        )
        return FillList(self._bridge.clock.now_ns(), found, total)

    async def _events(self, request: web.Request) -> EventList:
        items = self._bridge.notes.since(
            _number(request, "after", 0), request.query.get("level", "info"), _number(request, "limit", 200)
        )
        return EventList(self._bridge.clock.now_ns(), items)

    async def _book(self, request: web.Request) -> msgspec.Struct:
        symbol = request.query.get("symbol", "")
        found = await self._reach.ask(lambda c: c.sights.book(symbol))
        if found is None:
            raise NotFoundError(f"this bot does not trade {symbol!r}")
        return found

    async def _do(self, request: web.Request) -> msgspec.Struct:
        try:
            word = msgspec.json.decode(await request.read(), type=Word)
        except msgspec.MsgspecError as error:
            raise UsageError("the request is not understood", why=str(error)) from error
        return await self._clerk.do(request.match_info["verb"], word)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if self.watch is None:
            return _refused(NotFoundError("nothing can be watched here"))
        return await self.watch(request)

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        if self.metrics is None:
            return _refused(NotFoundError("no figures are kept for scrapers"))
        try:
            body, kind = await self.metrics()
        except QuantError as error:
            return _refused(error)
        return web.Response(body=body, headers={"Content-Type": kind})


def _number(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return usual
    if not text.isdecimal():
        raise UsageError(f"{name}={text} is no number")
    return min(int(text), _MOST_ROWS) if name == "limit" else int(text)


def _refused(error: QuantError, status: int = 0) -> web.Response:
    refusal: Any = Refusal(error.what, error.why, error.todo, error.help_id, error.exit_code)
    code = status or _STATUS_OF.get(error.exit_code, 500)
    return web.Response(status=code, body=msgspec.json.encode(refusal), content_type="application/json")
