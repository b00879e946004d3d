"""Keeps one combined-stream connection to Binance up: opens it, subscribes, listens, replaces it.

    connect -> subscribe in batches, each when the one before was answered -> listen
    lost    -> a pause that grows, and all over again
    old     -> a second connection takes over while the first still listens: nothing is missed between them

"A single connection to stream.binance.com is only valid for 24 hours", "WebSocket connections have a limit
of 5 incoming messages per second", "A single connection can listen to a maximum of 1024 streams" (Spot,
WebSocket Streams, General WSS information and Websocket Limits).  Knows streams by name and frames as bytes;
what they say is the feed's business.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol

import msgspec
from websockets.exceptions import WebSocketException

from quantcli.errors import ExchangeError
from quantcli.venues.backoff import Backoff
from quantcli.venues.binance.push_socket import PushSocket, open_socket
from quantcli.venues.feed import Patience

MOST_STREAMS = 1024
_BATCH = 100  # streams per request
_BETWEEN_S = 0.25  # requests of ours: four a second, and room for a pong
LOST = (OSError, WebSocketException, TimeoutError, ExchangeError)


class Listener(Protocol):
    """Who a connection tells what happens."""

    def heard(self, frame: bytes) -> None:
        """A frame came."""
        ...

    def subscribed(self, streams: Iterable[str]) -> None:
        """The exchange has answered that these are on their way; frames of them may have come before."""
        ...

    def lost(self, reason: str) -> None:
        """The connection is gone, or could not be opened; it is tried again."""
        ...

    def refused(self, streams: Iterable[str], reason: str) -> None:
        """The exchange does not have these."""
        ...


class _Reply(msgspec.Struct, frozen=True):
    """`{"result":null,"id":1}`, or an error: `{"error":{"code":2,"msg":"…"},"id":1}`, `{"code":2,…}`."""

    id: int | str | None = None
    error: dict[str, int | str] | None = None
    code: int | None = None
    msg: str = ""


class MarketSocket:
    """One connection, or for moments two, that listens to `streams`."""

    def __init__(self, url: str, listener: Listener, patience: Patience, dice: Callable[[], float]) -> None:
        self.streams: dict[str, None] = {}  # in order of wish
        self.url = url
        self._listener = listener
        self._patience = patience
        self._dice = dice
        self._socket: PushSocket | None = None
        self._asked = 0
        self._replies: dict[int, asyncio.Future[_Reply]] = {}
        self._turn = asyncio.Lock()  # one request at a time
        self._renew = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled.  What the listener raises ends it."""
        pauses = Backoff(self._patience.backoff, self._patience.backoff_most, self._dice)
        while True:
            try:
                async with open_socket(self.url, self._listener.heard, self._patience) as socket:
                    await self._serve(socket, pauses)
            except LOST as error:
                self._listener.lost(_in_words(error))
            finally:
                self._socket = None
            await asyncio.sleep(pauses.next())

    async def subscribe(self, streams: Iterable[str]) -> None:
        """Listen to more; now if connected, else as soon as that is so."""
        fresh = [stream for stream in streams if stream not in self.streams]
        self.streams.update(dict.fromkeys(fresh))
        if self._socket is not None and fresh:
            await self._ask_for(self._socket, fresh, self._listener.subscribed)

    async def unsubscribe(self, streams: Iterable[str]) -> None:
        """Listen to fewer."""
        gone = [stream for stream in streams if stream in self.streams]
        for stream in gone:
            del self.streams[stream]
        if self._socket is not None and gone:
            await self._request(self._socket, "UNSUBSCRIBE", gone)

    def renew(self) -> None:
        """Replace the connection soon, without a gap if the old one still listens."""
        self._renew.set()

    def answered(self, frame: bytes) -> None:
        """The listener found that a frame is a reply to a request."""
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            reply = msgspec.json.decode(frame, type=_Reply)
            waiting = self._replies.pop(reply.id, None) if isinstance(reply.id, int) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)

    async def _serve(self, socket: PushSocket, pauses: Backoff) -> None:
        """Subscribe and listen; replace the connection when its time has come, again and again."""
        closing = contextlib.AsyncExitStack()
        async with closing:
            reader = asyncio.create_task(_listen(socket))
            try:
                self._socket = socket
                wanted = self._ask_for(socket, list(self.streams), self._listener.subscribed)
                await _or_fails(wanted, reader)
                pauses.reset()
                while True:
                    await self._wait_for_age(reader)
                    renewed = await self._replacement(closing, reader)
                    if renewed is not None:
                        reader = renewed
            finally:
                await _end(reader)

    async def _wait_for_age(self, reader: "asyncio.Task[None]") -> None:
        """Until the connection is to be replaced; raises what ended it before."""
        renewal = asyncio.create_task(self._renew.wait())
        try:
            await asyncio.wait(
                {reader, renewal}, timeout=self._patience.life, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            renewal.cancel()
        self._renew.clear()
        if reader.done():
            reader.result()

    async def _replacement(
        self, closing: contextlib.AsyncExitStack, reader: "asyncio.Task[None]"
    ) -> "asyncio.Task[None] | None":
        """The task that listens to a new connection, once that has everything; `None` if there is none yet.

        Frames of the new one wait until the old one has been heard to its end; of what both had, the
        listener takes the first.
        """
        old, keeper = self._socket, _Keeper(self.answered)
        try:
            socket = await closing.enter_async_context(open_socket(self.url, keeper, self._patience))
        except LOST:
            return None
        fresh = asyncio.create_task(_listen(socket))
        try:
            await _or_fails(self._ask_for(socket, list(self.streams), _nobody), fresh)
            await asyncio.wait({fresh, reader}, timeout=self._patience.overlap)
            if fresh.done():
                fresh.result()
            await _end(reader)
        except LOST:
            await _end(fresh)
            await socket.close()
            return None
        except BaseException:
            await _end(fresh)
            raise
        self._socket = socket
        keeper.hand_over(self._listener.heard)
        if old is not None:
            await old.close()
        return fresh

    async def _ask_for(
        self, socket: PushSocket, streams: list[str], tell: Callable[[Iterable[str]], None]
    ) -> None:
        for start in range(0, len(streams), _BATCH):
            batch = streams[start : start + _BATCH]
            reply = await self._request(socket, "SUBSCRIBE", batch)
            if reply.error is None and reply.code is None:
                tell(batch)
                continue
            for stream in batch:
                self.streams.pop(stream, None)
            told = reply.error or {"code": reply.code or 0, "msg": reply.msg}
            self._listener.refused(batch, f"{told.get('code')} {told.get('msg')}")

    async def _request(self, socket: PushSocket, method: str, streams: list[str]) -> _Reply:
        """One request and its reply; raises `TimeoutError` without one."""
        async with self._turn:
            self._asked += 1
            number = self._asked
            reply = self._replies[number] = asyncio.get_running_loop().create_future()
            try:
                request = {"method": method, "params": streams, "id": number}
                await socket.send(msgspec.json.encode(request), text=True)
                return await asyncio.wait_for(reply, self._patience.reply)
            except TimeoutError:
                raise TimeoutError(f"no reply to {method}") from None
            finally:
                self._replies.pop(number, None)
                await asyncio.sleep(_BETWEEN_S if len(streams) == _BATCH else 0)


class _Keeper:
    """Keeps the frames of a new connection until the old one has been heard to its end."""

    def __init__(self, answered: Callable[[bytes], None]) -> None:
        self._kept: list[bytes] = []
        self._answered = answered
        self._hear: Callable[[bytes], None] | None = None

    def __call__(self, frame: bytes) -> None:
        if self._hear is not None:
            self._hear(frame)
            return
        self._kept.append(frame)
        if b'"stream"' not in frame[:16]:
            self._answered(frame)

    def hand_over(self, hear: Callable[[bytes], None]) -> None:
        """Let what was kept be heard, and from now on everything."""
        for frame in self._kept:
            hear(frame)
        self._kept.clear()
        self._hear = hear


async def _listen(socket: PushSocket) -> None:
    """Let a connection be heard until it ends, which raises why, or until this is cancelled."""
    try:
        await socket.ended()
    finally:
        socket.mute()


async def _end(reader: "asyncio.Task[None]") -> None:
    """Listen no more.  Raises what the listener raised, and not how the connection ended."""
    reader.cancel()
    await asyncio.wait({reader})
    if not reader.cancelled():
        with contextlib.suppress(*LOST):
            reader.result()


async def _or_fails(work: Coroutine[None, None, None], reader: "asyncio.Task[None]") -> None:
    """Do some work while a connection is listened to; raises what ends the listening, if that ends first."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, reader}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            reader.result()
        await task
    finally:
        task.cancel()


def _nobody(streams: Iterable[str]) -> None:
    """Nobody needs to know that streams which are heard already are heard on another connection."""


def _in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__
