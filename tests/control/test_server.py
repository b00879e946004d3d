"""The socket of a running bot: whose it is, what it takes, what it says before and after trading."""

import asyncio
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from quantcli import Strategy, keep
from quantcli.clock import SteadyClock
from quantcli.errors import DaemonAbsent, RemoteError, SafetyError
from quantcli.runtime.control.bridge import About, Bridge
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.door import Door, is_answered, owner_of_peer
from quantcli.runtime.control.plane import ControlPlane
from quantcli.runtime.control.wire import Done, Frame, Look, Refusal, Status
from quantcli.store.halt import HaltFlag, KillLevel
from tests.control.running import BTC, RunningBot


class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", 1.0, m.best_bid - 1, tolerance="50 ticks")


@pytest.fixture
def place() -> Iterator[Path]:
    """A name that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="q") as near:
        yield Path(near) / "bot.sock"


def starting(place: Path, folder: Path) -> ControlPlane:
    about = About("bot", "binance", "", "LIVE", "Maker", (BTC,), 1)
    return ControlPlane(Bridge(about, SteadyClock()), place, folder / "bot.halt")


# The door.


def test_a_socket_is_its_users_alone_and_gone_at_the_end(place: Path) -> None:
    door = Door(place)
    found = place.lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert is_answered(place)
    door.close()
    assert not place.exists()


def test_what_a_dead_bot_left_is_replaced_and_a_live_one_refused(place: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place))
    dead.close()
    assert not is_answered(place)
    door = Door(place)
    try:
        with pytest.raises(SafetyError, match="listens at"):
            Door(place)
        assert place.exists(), "the other's socket is not touched"
    finally:
        door.close()


def test_what_is_no_socket_is_not_removed(place: Path) -> None:
    place.write_text("mine")
    with pytest.raises(SafetyError, match="in the way"):
        Door(place)
    assert place.read_text() == "mine"


def test_a_door_that_was_replaced_leaves_its_successor_alone(place: Path) -> None:
    door = Door(place)
    place.unlink()
    other = Door(place)
    try:
        door.close()
        assert place.exists()
    finally:
        other.close()


def test_the_system_says_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert owner_of_peer(one) == os.getuid()


async def test_another_user_is_refused(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantcli.runtime.control.server.owner_of_peer", lambda _: os.getuid() + 1)
    with starting(place, tmp_path), pytest.raises(RemoteError, match="belongs to somebody else"):
        await asyncio.to_thread(Client(place, "bot").get, "status", Status)


# Before everything is open.


async def test_a_bot_that_is_starting_answers_and_can_be_halted(tmp_path: Path, place: Path) -> None:
    with starting(place, tmp_path) as plane:
        client = Client(place, "bot")
        status = await asyncio.to_thread(client.get, "status", Status)
        assert (status.state, status.bot, status.pid) == ("starting", "bot", os.getpid())
        with pytest.raises(RemoteError, match="still starting") as refused:
            await asyncio.to_thread(client.get, "orders", Done)
        assert refused.value.exit_code == 8
        done = await asyncio.to_thread(lambda: client.do("halt", level="FLATTEN", reason="no"))
        assert "before anything is placed" in done.what
        assert HaltFlag(tmp_path / "bot.halt").level is KillLevel.FLATTEN
        assert plane.bridge.notes.since()[-1].kind == "operator"
    assert not place.exists()  # noqa: ASYNC240
    with pytest.raises(DaemonAbsent):
        client.get("status", Status)


# What is sent to it.


async def raw(place: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(place)
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(5):
            return await reader.read(65536)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"PUT /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"POST /v1/do/halt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n{{{", 400),
        (b"GET /v1/events?limit=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (
            b"POST /v1/do/halt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 90000\r\n\r\n"
            + b"x" * 90_000,
            413,
        ),
    ],
)
async def test_what_is_not_understood_is_refused_as_json(
    tmp_path: Path, place: Path, request_: bytes, status: int
) -> None:
    with starting(place, tmp_path):
        answer = await raw(place, request_)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] == str(status).encode()
        assert msgspec.json.decode(body, type=Refusal).what
        assert (await asyncio.to_thread(Client(place, "bot").get, "status", Status)).bot == "bot"


async def test_what_is_no_http_does_no_harm(tmp_path: Path, place: Path) -> None:
    with starting(place, tmp_path):
        assert b"400" in await raw(place, b"\x16\x03\x01 hello\r\n\r\n")
        assert (await asyncio.to_thread(Client(place, "bot").get, "status", Status)).bot == "bot"


# Watching.


async def frames(bot: RunningBot, *looks: Look) -> list[Frame]:
    found = []
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(bot.path))) as session,
        session.ws_connect("http://bot/v1/watch") as watching,
    ):
        for look in looks:
            await watching.send_str(msgspec.json.encode(look).decode())
        for _ in range(5):
            async with asyncio.timeout(5):
                found.append(msgspec.json.decode((await watching.receive()).data, type=Frame))
            bot.quote(100.0)
    return found


async def test_a_watcher_sees_everything_once_and_then_what_changes(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        bot.quote(100.0)
        await bot.until(lambda: bot.resting() == ["99.00"])
        await asyncio.sleep(0.05)
        (row,) = await bot.orders()
        began = bot.clock.now_ns()
        seen = await frames(bot, Look(book=BTC, story=row.intent_id))
        took_s = (bot.clock.now_ns() - began) / 1e9
        assert seen[0].status is not None
        assert seen[0].orders is not None
        assert seen[0].events
        assert all(frame.orders is None for frame in seen[1:]), "they have not changed"
        numbers = [event.number for frame in seen for event in frame.events or ()]
        assert numbers == sorted(set(numbers))
        assert any(frame.book is not None and frame.book.symbol == BTC for frame in seen)
        assert any(frame.story is not None for frame in seen)
        assert took_s > 0.5, "not more than four a second"


async def test_watchers_are_sent_away_when_the_bot_ends(tmp_path: Path) -> None:
    seen: list[Frame] = []

    async def watch(path: Path) -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
            session.ws_connect("http://bot/v1/watch") as watching,
        ):
            async for message in watching:
                seen.append(msgspec.json.decode(message.data, type=Frame))

    async with RunningBot(tmp_path, Maker) as bot:
        elsewhere = threading.Thread(target=lambda: asyncio.run(watch(bot.path)))
        elsewhere.start()
        await bot.until(lambda: bool(seen))
        began = bot.clock.now_ns()
        await bot.do("stop")
    elsewhere.join(5)
    assert not elsewhere.is_alive()
    assert bot.clock.now_ns() - began < 3_000_000_000
    assert not bot.path.exists()
