"""What can go wrong below HTTP, done for real: connections cut, reset, held, and answers that stop half-way.

Works on the transport of a request or websocket.  Knows nothing of what is asked or answered.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus

# How often it is looked whether a client that is kept waiting has left.
_LOOK_EVERY_S = 0.05
# Bytes before a reset: what the client has not read by then, the reset takes away again.
_READ_BEFORE_RESET_S = 0.05
# On, and no time to linger: closing sends RST and forgets what was not sent.
_NO_LINGER = struct.pack("ii", 1, 0)


def head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    """Status line and headers of an answer whose body is said to have `length` bytes."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def close(transport: asyncio.Transport | None) -> None:
    """End the connection in order (FIN), after what is already written."""
    if transport is not None:
        transport.close()


def reset(transport: asyncio.Transport | None) -> None:
    """Break the connection (RST)."""
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


async def hold(transport: asyncio.Transport | None) -> None:
    """Say nothing until the client leaves."""
    while transport is not None:
        await asyncio.sleep(_LOOK_EVERY_S)
        if transport.is_closing():
            return


async def cut(transport: asyncio.Transport | None, data: bytes) -> None:
    """Send `data` and end the connection, however much was promised."""
    if transport is not None and not transport.is_closing():
        transport.write(data)
        transport.close()


async def break_after(transport: asyncio.Transport | None, data: bytes) -> None:
    """Send `data` and break the connection."""
    if data and transport is not None and not transport.is_closing():
        transport.write(data)
        await asyncio.sleep(_READ_BEFORE_RESET_S)
    reset(transport)


async def trickle(transport: asyncio.Transport | None, data: bytes, seconds: float) -> None:
    """Send `data` byte by byte, `seconds` apart, until the client leaves."""
    for at in range(len(data)):
        if transport is None or transport.is_closing():
            return
        transport.write(data[at : at + 1])
        await asyncio.sleep(seconds)
    close(transport)
