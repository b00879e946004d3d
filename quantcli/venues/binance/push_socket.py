"""A WebSocket connection that hands over each message as it arrives, without a queue between.

What market data is made of, texts in one frame each, is cut out of the bytes here; everything else goes to
the library as it came: the opening, pings and pongs, messages in several frames, the closing, frames that
are wrong or too long.  The library gets whole frames only, so that both agree on where the next one begins.
While a message is taken nothing is read: a slow taker slows the exchange down, and nothing piles up here.
Knows nothing of what is said.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from quantcli.errors import QuantError
from quantcli.venues.feed import Patience

_LONGEST_MESSAGE = 16 * 1024 * 1024
_CLOSE_S = 1.0

# RFC 6455, 5.2 "Base Framing Protocol".
_TEXT = 0x81  # the first byte of a text in one frame
_LENGTH_FOLLOWS = 126  # in the second byte: the length is in two bytes after it; in eight if it is one more
_MASKED = 0x80
_DATA = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)

Hear = Callable[[bytes], None]


class PushSocket(ClientConnection):
    """A connection that calls `hear` with every message; what that raises ends it.  Made by `open_socket`.

    `recv` has nothing to give.
    """

    def __init__(self, hear: Hear, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hear = hear
        self._cut = bytearray()  # a frame that has not come to its end
        self._needed = 0  # bytes that it has at least
        self._parts: list[bytes] = []  # of a message in several frames
        self._raised: Exception | None = None
        self._hangs_up: asyncio.TimerHandle | None = None

    async def ended(self) -> NoReturn:
        """Wait for the end of the connection, and raise why: what `hear` raised, else `ConnectionClosed`."""
        await self.wait_closed()
        raise self._raised or self.protocol.close_exc

    def mute(self) -> None:
        """Hand over nothing more."""
        self._hear = _nobody

    def data_received(self, data: bytes) -> None:
        """Hand over what is complete."""
        try:
            self._take(data)
            if self._hangs_up is None and self.protocol.close_expected():
                self._hangs_up = self.loop.call_later(_CLOSE_S, self.transport.abort)
        except QuantError as error:  # raised on, it would only be printed
            self._end(error)
        except Exception as error:
            self._end(error)
            raise

    def process_event(self, event: Event) -> None:
        """Take a frame from the library."""
        if not isinstance(event, Frame) or event.opcode not in _DATA:
            super().process_event(event)
            return
        self._parts.append(bytes(event.data))
        if event.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._hear(message)

    def _end(self, error: Exception) -> None:
        self._raised = error
        self.mute()
        self.transport.abort()

    def _take(self, data: bytes) -> None:
        if self.protocol.state is State.CONNECTING:
            data = self._shake_hands(data)
        if self._cut:
            self._cut += data
            if len(self._cut) < self._needed and self.protocol.state is State.OPEN:
                return
            data = bytes(self._cut)
            self._cut.clear()
        if self.protocol.state is State.OPEN:
            data = self._split(data)
        if data and self.protocol.state is not State.OPEN:
            super().data_received(data)
        else:
            self._cut += data

    def _shake_hands(self, data: bytes) -> bytes:
        """Let the library read the answer to its request and no byte more; what follows it."""
        lines = data.splitlines(keepends=True)
        while lines and self.protocol.state is State.CONNECTING:
            super().data_received(lines.pop(0))
        return b"".join(lines)

    def _split(self, data: bytes) -> bytes:
        """Hand over whole frames; what is left, which is no whole frame or comes after the end of it all."""
        size, start = len(data), 0
        is_whole = not self._parts
        self._needed = 2
        while size - start >= 2:
            length, body = data[start + 1], start + 2
            if length >= _LENGTH_FOLLOWS:
                body += 2 if length == _LENGTH_FOLLOWS else 8
                if body > size:
                    self._needed = body - start
                    break
                length = int.from_bytes(data[start + 2 : body], "big")
                if length > _LONGEST_MESSAGE or data[start + 1] & _MASKED:
                    super().data_received(data[start:])  # refuses it
                    return b""
            end = body + length
            if end > size:
                self._needed = end - start
                break
            if is_whole and data[start] == _TEXT:
                self._hear(data[body:end])
            else:
                super().data_received(data[start:end])
                is_whole = not self._parts
                if self.protocol.state is not State.OPEN:
                    return data[end:]
            start = end
        return data[start:]


@asynccontextmanager
async def open_socket(url: str, hear: Hear, patience: Patience) -> AsyncIterator[PushSocket]:
    """A connection for as long as the context lasts; `hear` may be called before that begins.

    Raises `OSError`, `TimeoutError` or `WebSocketException` if none comes about.
    """
    socket = await connect(
        url,
        open_timeout=patience.connect,
        ping_interval=patience.ping,
        ping_timeout=max(patience.dead - patience.ping, patience.ping / 2),
        close_timeout=_CLOSE_S,
        compression=None,
        max_size=_LONGEST_MESSAGE,
        proxy=None,
        create_connection=partial(PushSocket, hear),  # type: ignore[arg-type]
    )
    assert isinstance(socket, PushSocket)
    try:
        yield socket
    finally:
        await socket.close()


def _nobody(message: bytes) -> None:
    """What comes after the end of interest."""
