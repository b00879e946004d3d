"""A market data connection against a server that speaks WebSocket byte by byte: however the bytes are cut and
whatever comes between them, messages are heard whole, once and in order, and every end has a reason."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from quantcli.errors import RecordingError
from quantcli.venues.binance.market_socket import LOST
from quantcli.venues.binance.push_socket import PushSocket, open_socket
from quantcli.venues.feed import Patience

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LONGEST = 16 * 1024 * 1024
QUICK = Patience(connect=5.0, ping=10.0, dead=20.0)


def frame(opcode: int, body: bytes, fin: bool = True) -> bytes:
    size = len(body)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([opcode | (0x80 if fin else 0)]) + length + body


class Peer:
    """The server's end of one connection; `answer` is what completes its opening."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.answer = b""

    async def read_request(self) -> None:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        (key,) = (line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        self.answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    async def send(self, *pieces: bytes) -> None:
        """Send pieces so that each is read before the next comes."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)

    def leave(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def receive(self) -> tuple[int, bytes]:
        """The client's next frame."""
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
        mask = await self._reader.readexactly(4)
        body = await self._reader.readexactly(size)
        return first & 0xF, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


@asynccontextmanager
async def serving(serve: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """The address of a server that serves each connection so, and then waits for the client to go."""
    failures: list[BaseException] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = Peer(reader, writer)
            await serve(peer)
            while (await peer.receive())[0] != CLOSE:
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
    finally:
        server.close()
    assert not failures


async def heard_of(serve: Callable[[Peer], Awaitable[None]], last: bytes, **given: Any) -> list[bytes]:
    """What is heard of a server up to a last message."""
    heard: list[bytes] = []
    is_over = asyncio.Event()

    def hear(message: bytes) -> None:
        heard.append(message)
        if message == last:
            is_over.set()

    async with serving(serve) as url, open_socket(url, hear, given.get("patience", QUICK)):
        await asyncio.wait_for(is_over.wait(), 20)
    return heard


async def end_of(serve: Callable[[Peer], Awaitable[None]], patience: Patience = QUICK) -> ConnectionClosed:
    """How the connection to a server ends that lets nothing be heard."""
    heard: list[bytes] = []
    async with serving(serve) as url, open_socket(url, heard.append, patience) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.ended(), 20)
    assert heard == []
    return closed.value


async def open_up(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(peer.answer)


async def test_messages_of_every_length_are_heard_whole() -> None:
    messages = [b"x" * size for size in (0, 1, 125, 126, 127, 65_535, 65_536, 300_000, LONGEST)]

    async def serve(peer: Peer) -> None:
        await open_up(peer)
        await peer.send(b"".join(frame(TEXT, message) for message in messages) + frame(TEXT, b"end"))

    assert await heard_of(serve, b"end") == [*messages, b"end"]


async def test_wherever_the_bytes_are_cut_the_messages_are_the_same() -> None:
    some = [
        frame(TEXT, b"one"),
        frame(TEXT, b"2" * 130),
        frame(PING, b"are you there"),
        frame(TEXT, b"thr", fin=False),
        frame(PING, b""),
        frame(CONT, b"e", fin=False),
        frame(CONT, b"e"),
        frame(TEXT, b""),
        frame(BINARY, b"four"),
        frame(PONG, b"nobody asked"),
        frame(TEXT, b"five"),
    ]
    said = [b"one", b"2" * 130, b"three", b"", b"four", b"five"]
    data = b"".join(some)

    async def serve(peer: Peer) -> None:
        await open_up(peer)
        for cut in range(len(data)):
            await peer.send(data[:cut], data[cut:])
        await peer.send(*(data[i : i + 1] for i in range(len(data))))
        await peer.send(frame(TEXT, b"end"))
        pings = [await peer.receive() for _ in range(2 * (len(data) + 1))]
        assert pings == [(PONG, b"are you there"), (PONG, b"")] * (len(data) + 1)

    assert await heard_of(serve, b"end") == said * (len(data) + 1) + [b"end"]


async def test_what_comes_with_the_end_of_the_opening_is_heard() -> None:
    first = frame(TEXT, b"at once\r\n\r\n") + frame(TEXT, b"and\nmore")

    async def serve(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(peer.answer[:-3], peer.answer[-3:-1], peer.answer[-1:] + first[:5], first[5:])

    assert await heard_of(serve, b"and\nmore") == [b"at once\r\n\r\n", b"and\nmore"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b"\x81\x7f" + (LONGEST + 1).to_bytes(8, "big"), 1009),
        (b"\x81\x7f" + b"\xff" * 8, 1009),
        (frame(TEXT, b"x" * LONGEST, fin=False) + frame(CONT, b"x"), 1009),
        (b"\x81\x83mask\x01\x02\x03", 1002),
        (b"\xc1\x01x", 1002),
        (b"\x83\x00", 1002),
        (frame(CONT, b"of what"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(PING, b"x" * 126), 1002),
    ],
    ids=["long", "absurd", "long-in-parts", "masked", "reserved", "unknown", "no-start", "no-end", "ping"],
)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_frame_that_is_wrong_ends_the_connection_and_says_so(
    wrong: bytes, code: int, pieces: int
) -> None:
    told: list[tuple[int, bytes]] = []

    async def serve(peer: Peer) -> None:
        await open_up(peer)
        head = [wrong[:3], wrong[3:]] if pieces == 2 else [wrong]
        await peer.send(*head, frame(TEXT, b"not to be heard"))
        told.append(await peer.receive())
        peer.leave()

    closed = await end_of(serve)
    assert isinstance(closed, ConnectionClosedError)
    assert closed.sent is not None
    assert closed.sent.code == code
    assert [(opcode, int.from_bytes(body[:2], "big")) for opcode, body in told] == [(CLOSE, code)]


@pytest.mark.parametrize(("code", "kind"), [(1000, ConnectionClosedOK), (1008, ConnectionClosedError)])
async def test_a_close_is_answered_nothing_after_it_is_heard_and_the_end_comes_soon(
    code: int, kind: type[ConnectionClosed]
) -> None:
    async def serve(peer: Peer) -> None:
        await open_up(peer)
        await peer.send(frame(CLOSE, code.to_bytes(2, "big") + b"bye") + frame(TEXT, b"late"))
        assert await peer.receive() == (CLOSE, code.to_bytes(2, "big") + b"bye")
        await asyncio.sleep(60)  # and does not hang up

    began = asyncio.get_running_loop().time()
    closed = await end_of(serve, Patience(ping=30.0, dead=60.0))
    assert asyncio.get_running_loop().time() - began < 15
    assert type(closed) is kind
    assert closed.rcvd is not None
    assert closed.rcvd.code == code


async def test_a_connection_that_breaks_within_a_frame_is_lost() -> None:
    async def serve(peer: Peer) -> None:
        await open_up(peer)
        await peer.send(frame(TEXT, b"whole only in part")[:9])
        peer.leave()

    closed = await end_of(serve)
    assert isinstance(closed, LOST)
    assert closed.rcvd is None


async def test_a_peer_that_answers_no_ping_is_lost_after_its_time() -> None:
    began = asyncio.get_running_loop().time()

    async def serve(peer: Peer) -> None:
        await open_up(peer)
        assert (await peer.receive())[0] == PING
        await asyncio.sleep(60)

    closed = await end_of(serve, Patience(ping=0.1, dead=0.3))
    assert "ping timeout" in str(closed)
    assert 0.25 < asyncio.get_running_loop().time() - began < 10


async def test_a_peer_that_answers_pings_is_kept() -> None:
    async def serve(peer: Peer) -> None:
        await open_up(peer)
        for _ in range(5):
            opcode, body = await peer.receive()
            assert opcode == PING
            answer = frame(PONG, body)
            await peer.send(answer[:3], answer[3:])
        await peer.send(frame(TEXT, b"end"))

    assert await heard_of(serve, b"end", patience=Patience(ping=0.05, dead=5.0)) == [b"end"]


async def test_an_opening_that_is_never_completed_is_given_up() -> None:
    async def half(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(peer.answer[:-2])

    async def none(peer: Peer) -> None:
        pass

    for serve in (half, none):
        async with serving(serve) as url:
            with pytest.raises(TimeoutError):
                await open_socket(url, [].append, Patience(connect=0.2)).__aenter__()


async def test_an_opening_that_is_refused_or_is_none_is_an_error_that_is_tried_again() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nlater")

    async def talk_nonsense(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"\x81\x05hello")
        peer.leave()

    for serve, kind in ((refuse, InvalidStatus), (talk_nonsense, LOST)):
        async with serving(serve) as url:
            with pytest.raises(kind) as refused:
                await open_socket(url, [].append, QUICK).__aenter__()
            assert isinstance(refused.value, LOST)


@pytest.mark.parametrize("error", [RecordingError("no room"), ZeroDivisionError("a defect")])
async def test_what_the_taker_raises_is_the_end_and_nothing_more_is_heard(error: Exception) -> None:
    heard: list[bytes] = []

    def hear(message: bytes) -> None:
        heard.append(message)
        raise error

    async def serve(peer: Peer) -> None:
        await open_up(peer)
        await peer.send(frame(TEXT, b"one") + frame(TEXT, b"two"), frame(TEXT, b"three"))

    async with serving(serve) as url, open_socket(url, hear, QUICK) as socket:
        with pytest.raises(type(error), match=str(error)):
            await asyncio.wait_for(socket.ended(), 5)
    assert heard == [b"one"]


async def test_after_it_is_muted_nothing_is_heard_and_pings_are_answered() -> None:
    heard: list[bytes] = []
    muted = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await open_up(peer)
        await muted.wait()
        await peer.send(frame(TEXT, b"one") + frame(PING, b"still there"))
        assert await peer.receive() == (PONG, b"still there")
        await peer.send(frame(CLOSE, b"\x03\xe8"))

    async with serving(serve) as url, open_socket(url, heard.append, QUICK) as socket:
        assert isinstance(socket, PushSocket)
        socket.mute()
        muted.set()
        with pytest.raises(ConnectionClosedOK):
            await asyncio.wait_for(socket.ended(), 5)
    assert heard == []
