"""`/v1/watch`: frames of what has changed, to each watcher at its own pace.

All watchers share what is looked at: one look so often, however many watch.  Who reads slowly misses frames,
never what has changed between them.  Draws nothing.
"""

import asyncio
import time
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from quantcli.errors import QuantError
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.reach import Reach
from quantcli.runtime.control.server import Server
from quantcli.runtime.control.wire import FRAMES_PER_S, BookView, Frame, Look, Story

_PAUSE_S = 1 / FRAMES_PER_S
_HEALTH_S, _STORY_S = 1.0, 1.0
_EVENTS_FIRST = 300
_LOOK_BYTES = 4096
_SEND_S = 20.0


class Watching:
    """Of one run."""

    def __init__(self, bridge: Bridge, reach: Reach, server: Server) -> None:
        self._bridge, self._reach, self._server = bridge, reach, server
        self._seen: dict[str, Any] = {}
        self._seen_s = self._health_s = float("-inf")
        self._turn = asyncio.Lock()
        self._sockets: set[web.WebSocketResponse] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One watcher, until it leaves."""
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=_LOOK_BYTES, compress=False)
        await socket.prepare(request)
        watcher = _Watcher(self, socket)
        self._sockets.add(socket)
        sending = asyncio.get_running_loop().create_task(watcher.send())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    watcher.turn_to(message.data)
                else:
                    break
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            self._sockets.discard(socket)
            await socket.close()
        return socket

    async def close(self) -> None:
        """Show everybody how it is at last, and send them away."""
        for socket in tuple(self._sockets):
            try:
                async with asyncio.timeout(1.0):
                    await socket.close(code=WSCloseCode.GOING_AWAY)
            except (TimeoutError, ConnectionError):
                continue

    async def look(self) -> dict[str, Any]:
        """What everybody gets to see, as of a moment ago at most."""
        async with self._turn:
            now_s = time.monotonic()
            if now_s - self._seen_s >= _PAUSE_S * 0.9:
                self._seen = await self._looked(now_s)
                self._seen_s = time.monotonic()
            return self._seen

    async def _looked(self, now_s: float) -> dict[str, Any]:
        seen: dict[str, Any] = {"status": await self._server.status()}
        cockpit = self._bridge.cockpit
        if cockpit is None:
            return seen
        try:
            seen["orders"] = await self._reach.ask(lambda c: c.orders())
            if seen["status"].state == "stuck":
                latest = cockpit.latest
                if latest is not None:
                    seen |= {"positions": latest.positions, "wallet": latest.wallet}
            else:
                positions, wallet = await self._reach.ask(lambda c: (c.positions(), c.wallet()))
                seen |= {"positions": positions, "wallet": wallet}
            seen["equity"] = await self._reach.ask(lambda c: tuple(c.equity))
            if now_s - self._health_s >= _HEALTH_S:
                self._health_s = now_s
                seen["health"] = await self._reach.ask(lambda c: c.health())
            elif "health" in self._seen:
                seen["health"] = self._seen["health"]
        except QuantError:
            pass  # busy, or ending: what was found is shown
        return seen

    async def book(self, symbol: str) -> BookView | None:
        """A market's book, if there is one to be seen."""
        try:
            return await self._reach.ask(lambda c: c.sights.book(symbol)) if symbol else None
        except QuantError:
            return None

    async def story(self, name: str) -> Story | None:
        """An order's story, if there is one."""
        try:
            return await self._server.story(name)
        except QuantError:
            return None

    def events(self, after: int) -> tuple[Any, ...]:
        """Events after a number."""
        return self._bridge.notes.since(after, limit=_EVENTS_FIRST)


class _Watcher:
    """One of them: what it was shown last, and what it looks at besides."""

    def __init__(self, watching: Watching, socket: web.WebSocketResponse) -> None:
        self._watching, self._socket = watching, socket
        self._shown: dict[str, Any] = {}
        self._look = Look()
        self._turned = asyncio.Event()
        self._events = 0
        self._story_s = float("-inf")

    def turn_to(self, text: str) -> None:
        """Look at something else."""
        try:
            self._look = msgspec.json.decode(text, type=Look)
        except msgspec.MsgspecError:
            return
        self._shown.pop("book", None)
        self._shown.pop("story", None)
        self._story_s = float("-inf")
        self._turned.set()

    async def send(self) -> None:
        """Send what changes, for ever; a frame that cannot be sent in time ends it."""
        while True:
            self._turned.clear()
            frame = await self._changed()
            if frame:
                async with asyncio.timeout(_SEND_S):
                    await self._socket.send_str(msgspec.json.encode(Frame(**frame)).decode())
            try:
                async with asyncio.timeout(_PAUSE_S):
                    await self._turned.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(_PAUSE_S / 5)  # who turns to and fro all the time is not answered each time

    async def _changed(self) -> dict[str, Any]:
        seen = dict(await self._watching.look())
        look, now_s = self._look, time.monotonic()
        if look.book:
            seen["book"] = await self._watching.book(look.book)
        if look.story and now_s - self._story_s >= _STORY_S:
            self._story_s = now_s
            seen["story"] = await self._watching.story(look.story)
        changed = {
            name: value
            for name, value in seen.items()
            if value is not None and (name not in self._shown or self._shown[name] != value)
        }
        self._shown |= changed
        if events := self._watching.events(self._events):
            self._events = events[-1].number
            changed["events"] = events
        return changed
