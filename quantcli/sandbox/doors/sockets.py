"""One websocket of a client: what it is sent and in which order, pings, a bound on its patience, faults.

The exchange pings every 20 seconds, drops who does not answer for a minute, and ends every connection after
24 hours (binance-spot-api-docs, web-socket-streams.md, "General WSS information").  What the messages mean is
the business of the sessions.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import WSMsgType, web

from quantcli.sandbox.doors import transport as wire
from quantcli.sandbox.faults.chaos import Chaos, Parcel
from quantcli.sandbox.faults.rules import USER_EVENTS, Rule

# How much may wait for a client that reads slowly, before it is cut off; and what a patient feed waits at.
MOST_WAITING_BYTES = 32 << 20
FULL_BYTES = 1 << 20

_USER = frozenset(USER_EVENTS)
# The answer to a subscription, beside the names of streams.
REPLY = "reply"


class Timing:
    """How long things last on a websocket, in seconds; tests have less time."""

    ping_every_s = 20.0
    pong_within_s = 60.0
    lives_s = 86_400.0
    says_goodbye_s = 2.0


class Socket:
    """A client's websocket; `purpose` is "user" or "market".  A session pushes, `run` serves it."""

    def __init__(
        self,
        purpose: str,
        response: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        chaos: Chaos,
        timing: type[Timing] = Timing,
    ) -> None:
        self.purpose = purpose
        self.is_dead = False
        self._response = response
        self._transport = transport
        self._chaos = chaos
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._something = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._held: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ponged_s = self._loop.time()

    async def room(self) -> None:
        """Wait until the client is not far behind with reading."""
        await self._has_room.wait()

    def push(self, kind: str, text: str) -> None:
        """Send an event, unless chaos has other plans; `kind` is a stream's or an account event's name."""
        if not self._chaos.rules:
            self.send(text)
            return
        for parcel in self._chaos.push(_name(kind), text):
            self._handle(parcel)

    def _handle(self, parcel: Parcel) -> None:
        if parcel.ending is not None:
            self.meet(parcel.ending)
        elif parcel.until_next and not self._held:
            self._held.append(parcel.text)
            self._loop.call_later(parcel.delay_s, self._release)
        elif parcel.delay_s and not parcel.until_next:
            self._loop.call_later(parcel.delay_s, self.send, parcel.text)
        else:
            self.send(parcel.text)

    def _release(self) -> None:
        held, self._held = self._held, []
        for text in held:
            self.send(text)

    def send(self, text: str) -> None:
        """Send a message as it is, after those that wait already."""
        if self.is_dead:
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        self._something.set()
        if self._waiting_bytes > FULL_BYTES:
            self._has_room.clear()
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self.reset()
        elif self._held:
            self._release()

    def meet(self, rule: Rule) -> None:
        """The socket itself meets a fault."""
        if rule.fault == "half_open":
            self.die()
        elif rule.fault == "disconnect":
            self._loop.call_later(rule.seconds, self.disconnect)
        else:
            self.reset()

    def die(self) -> None:
        """From now on nothing is sent, read or answered; the connection stays."""
        self.is_dead = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._has_room.set()

    def reset(self) -> None:
        """Break the connection without a word."""
        self.die()
        wire.reset(self._transport)

    def disconnect(self) -> None:
        """End the connection as the exchange does, with a close frame."""
        self.spawn(self._say_goodbye())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside, for as long as the connection lasts."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, receive: Callable[[str], None]) -> None:
        """Serve the connection until it ends; `receive` gets each message of the client."""
        self.spawn(self._write())
        self.spawn(self._ping())
        end = self._loop.call_later(self._timing.lives_s, self.disconnect)
        try:
            while await self._read(receive):
                pass
            if self.is_dead:
                await wire.hold(self._transport)
        finally:
            end.cancel()
            self.die()
            for task in list(self._tasks):
                task.cancel()

    async def _read(self, receive: Callable[[str], None]) -> bool:
        message = await self._response.receive()
        if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
            return False
        if self.is_dead:
            return message.type is not WSMsgType.CLOSE
        if message.type is WSMsgType.CLOSE:
            await self._response.close()
            return False
        if message.type is WSMsgType.PING:
            await self._response.pong(message.data)
        elif message.type is WSMsgType.PONG:
            self._ponged_s = self._loop.time()
        elif message.type is WSMsgType.TEXT:
            receive(message.data)
        return True

    async def _write(self) -> None:
        while not self._response.closed:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                text = self._waiting.popleft()
                self._waiting_bytes -= len(text)
                if self._waiting_bytes <= FULL_BYTES:
                    self._has_room.set()
                try:
                    await self._response.send_str(text)
                except ConnectionError:
                    return

    async def _ping(self) -> None:
        while not (self._response.closed or self.is_dead):
            await asyncio.sleep(self._timing.ping_every_s)
            if self._loop.time() - self._ponged_s > self._timing.pong_within_s:
                self.reset()
            if self.is_dead:
                return
            try:
                await self._response.ping(str(round(self._loop.time() * 1000)).encode())
            except ConnectionError:
                return

    async def _say_goodbye(self) -> None:
        if not self.is_dead:
            await self._response.close(code=1001, drain=False)


def _name(kind: str) -> str:
    """What fault rules call a message."""
    if kind == REPLY:
        return kind
    return f"user {kind}" if kind in _USER else f"market {kind}"
