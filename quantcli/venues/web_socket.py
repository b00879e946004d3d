"""One WebSocket connection to an exchange that is known to be alive, or is ended.

Alive is what sends bytes, pings included: a connection on which nothing has been heard for too long is cut,
because a peer that is gone for good says nothing, and TCP alone would wait for it for hours.  A redirect is
an error: what is signed goes to the address it was meant for.  Knows nothing of messages.
"""

import asyncio
import logging
from typing import Any, Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

_CLOSE_S = 1.0
# At the level of debugging websockets shows what is sent, keys and signatures too, to whoever listens at the
# root; nobody turns that on by turning on their own.
_QUIET = logging.getLogger("quantcli.web_socket")
_QUIET.setLevel(logging.WARNING)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SocketLost(Exception):
    """The connection is gone, or never came about; the text says why.

    `retry_after_s` is how long the other side asked us to stay away; 0 if it did not.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class WebSocket(ClientConnection):
    """A connection that cuts itself after `watch`ed silence.  Made by `open_socket`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heard_s = 0.0
        self._silent_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._cut = ""

    def watch(self, silent_s: float) -> None:
        """From now on, cut the connection when nothing was heard for so long."""
        self._silent_s, self._heard_s = silent_s, self.loop.time()
        self._check()

    async def receive(self) -> bytes:
        """The next message.  Raises `SocketLost`."""
        try:
            return await self.recv(decode=False)
        except ConnectionClosed as closed:
            raise SocketLost(self._cut or f"closed: {closed}") from None

    async def say(self, text: str) -> None:
        """Send a text.  Raises `SocketLost`."""
        try:
            await self.send(text)
        except ConnectionClosed as closed:
            raise SocketLost(self._cut or f"closed: {closed}") from None

    async def shut(self) -> None:
        """Close the connection, without waiting long for the other side."""
        if self._timer is not None:
            self._timer.cancel()
        await self.close()

    def data_received(self, data: bytes) -> None:
        """Any bytes are a sign of life."""
        self._heard_s = self.loop.time()
        super().data_received(data)

    def _check(self) -> None:
        left_s = self._heard_s + self._silent_s - self.loop.time()
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self._check)
        else:
            self._cut = f"nothing was heard for {self._silent_s:g} s"
            self.transport.abort()


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_socket(url: str, *, timeout_s: float, silent_s: float) -> WebSocket:
    """Connect.  Raises `SocketLost` if that fails or takes longer than `timeout_s`.

    Pings of our own go out three times in `silent_s`, so that a peer which sends none itself is heard too.
    """
    proxy: Literal[True] | None = None if urlsplit(url).hostname in _LOOPBACK else True
    try:
        socket = await _Connect(
            url,
            open_timeout=timeout_s,
            close_timeout=_CLOSE_S,
            ping_interval=silent_s / 3,
            ping_timeout=None,
            proxy=proxy,
            create_connection=WebSocket,
            logger=_QUIET,
        )
    except InvalidStatus as refused:
        headers, status = refused.response.headers, refused.response.status_code
        asked = headers.get("Retry-After", "")
        wait_s = float(asked) if asked.isdecimal() else 0.0
        raise SocketLost(f"refused with HTTP {status}", wait_s) from None
    except (OSError, TimeoutError, WebSocketException, EOFError) as error:
        raise SocketLost(f"no connection: {error or type(error).__name__}") from None
    assert isinstance(socket, WebSocket)
    socket.watch(silent_s)
    return socket
