"""Who writes, when, together with what, and what a failure means for the next one."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from quantcli.errors import InvariantError, SafetyError, StoreBusy, StoreError, StoreFull
from quantcli.store import writer as writing
from quantcli.store.database import new_identity, open_writer
from quantcli.store.disk import Disk
from quantcli.store.writer import Work, Writer

LIMIT_S = 0.03


class Fallible(sqlite3.Connection):
    """A connection whose commits fail while `failing` says how."""

    failing: int | None = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.failing is not None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self.failing
            raise error
        return super().execute(sql, *parameters)


class Desk:
    """A writer over a database, and what it does there."""

    def __init__(self, path: Path, quick: bool) -> None:
        open_writer(path, new_identity)[0].close()
        self.connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=0, factory=Fallible
        )
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("REPLACE INTO meta VALUES ('here', '1')")
        self.path = path
        self.ballast = path.with_name(f"{path.name}.ballast")
        self.writer = Writer(inline_below_s=LIMIT_S)
        self.writer.start(self.connection, Disk(path), commit_s=0 if quick else 1)
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)

    async def put(self, key: str, size: int = 1) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO meta VALUES (?, ?)", (key, "x" * size))

        await self.writer.run(work)

    def keys(self) -> set[str]:
        with closing(sqlite3.connect(self.path)) as reader:
            return {key for (key,) in reader.execute("SELECT key FROM meta")} - {"here"}


@pytest.fixture(params=["inline", "threaded"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "state.db", request.param == "inline")
    yield desk
    await desk.writer.close()


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "state.db", quick=True)
    yield desk
    await desk.writer.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the database."""
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


def whereabouts(pause_s: float = 0) -> Work[str]:
    """Work that takes a while and says in which thread it was done."""

    def work(connection: sqlite3.Connection) -> str:
        time.sleep(pause_s)
        return threading.current_thread().name

    return work


# Where and together with what.


async def test_a_quick_disk_is_written_in_the_calling_thread_and_a_slow_one_in_its_own(quick):
    here = threading.current_thread().name
    assert await quick.writer.run(whereabouts()) == here
    await asyncio.sleep(0)
    assert await quick.writer.run(whereabouts(2 * LIMIT_S)) == here
    await asyncio.sleep(0)
    assert await quick.writer.run(whereabouts()) == "quant-store"
    await asyncio.sleep(0)
    assert await quick.writer.run(whereabouts()) == here


async def test_what_is_asked_for_in_one_turn_shares_a_transaction(quick):
    """The first is done at once; the others wait for the turn to end, and for one sync together."""
    await asyncio.gather(*(quick.put(f"{n}") for n in range(10)))
    assert quick.statements.count("COMMIT") == 2
    assert quick.keys() == {f"{n}" for n in range(10)}


async def test_a_crowd_is_left_to_the_thread(quick):
    works = [quick.writer.run(whereabouts()) for _ in range(200)]
    threads = await asyncio.gather(*works)
    assert threads == [threading.current_thread().name] + ["quant-store"] * 199
    assert quick.statements.count("COMMIT") < 20


async def test_work_is_done_in_the_order_it_was_asked_for(desk):
    done: list[int] = []

    async def ask(first: int) -> None:
        for n in range(first, first + 5):
            await desk.writer.run(lambda _, n=n: done.append(n))

    for burst in range(0, 100, 20):
        before = len(done)
        await asyncio.gather(*(ask(burst + 5 * k) for k in range(4)))
        assert sorted(done[before:]) == list(range(burst, burst + 20))
        for k in range(4):
            mine = [n for n in done if burst + 5 * k <= n < burst + 5 * k + 5]
            assert mine == sorted(mine)
    done.clear()
    await asyncio.gather(*(desk.writer.run(lambda _, n=n: done.append(n)) for n in range(100)))
    assert done == list(range(100))


async def test_each_of_a_transaction_fails_for_itself(desk):
    outcomes = await asyncio.gather(
        *(desk.put(key) for key in ("a", "b", "a", "c", "b")), return_exceptions=True
    )
    assert [isinstance(outcome, InvariantError) for outcome in outcomes] == [False, False, True, False, True]
    assert desk.keys() == {"a", "b", "c"}


async def test_a_cancelled_task_tears_nothing(desk):
    """P9."""
    tasks = [asyncio.create_task(desk.put(f"{n}")) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await desk.put("after")
    done = {f"{n}" for n, outcome in enumerate(outcomes) if outcome is None}
    assert done | {"after"} <= desk.keys()


async def test_the_log_is_written_back_when_nothing_was_asked_for_a_while(quick):
    await quick.put("a", size=10_000)
    before = quick.path.stat().st_mtime_ns
    await asyncio.sleep(2.2)
    assert quick.path.stat().st_mtime_ns > before
    await quick.put("b")
    assert quick.keys() == {"a", "b"}


# A full disk (D1).


async def test_a_full_disk_is_told_apart_and_nothing_is_half_done(desk):
    assert desk.ballast.stat().st_size >= 1 << 20
    (pages,) = desk.connection.execute("PRAGMA page_count").fetchone()
    desk.connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        with pytest.raises(StoreFull) as refused:
            await desk.put("large", size=100_000)
        assert "full" in refused.value.what
        assert refused.value.todo
        assert not desk.ballast.exists()
    await desk.put("small")
    desk.connection.execute("PRAGMA max_page_count = 1000000")
    await desk.put("large", size=100_000)
    assert desk.keys() == {"small", "large"}


async def test_a_full_disk_fails_all_that_share_the_transaction(desk):
    (pages,) = desk.connection.execute("PRAGMA page_count").fetchone()
    desk.connection.execute(f"PRAGMA max_page_count = {pages}")
    outcomes = await asyncio.gather(*(desk.put(f"{n}", 9_000) for n in range(9)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreFull}
    assert desk.keys() == set()


# A broken disk (D2).


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CORRUPT]
)
async def test_after_a_failed_sync_nothing_is_tried_again(desk, code):
    desk.connection.failing = code
    outcomes = await asyncio.gather(*(desk.put(f"{n}") for n in range(3)), return_exceptions=True)
    desk.connection.failing = None
    outcomes += await asyncio.gather(desk.put("later"), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreError}
    assert len({id(outcome) for outcome in outcomes}) == 4
    assert "disk I/O error" in outcomes[-1].why
    assert desk.keys() == set()


# Files that go away (D6).


@pytest.mark.parametrize("name", ["state.db", "state.db-wal"])
@pytest.mark.parametrize("is_replaced", [True, False])
async def test_a_file_that_was_taken_away_stops_the_writer_for_good(desk, name, is_replaced):
    await desk.put("before")
    file, aside = desk.path.with_name(name), desk.path.with_name("aside")
    os.replace(file, aside)
    if is_replaced:
        file.write_bytes(aside.read_bytes())
    with pytest.raises(SafetyError, match="removed or replaced"):
        await desk.put("lost")
    os.replace(aside, file)
    with pytest.raises(SafetyError, match="removed or replaced"):
        await desk.put("later")


# Other programs (D9).


async def test_a_lock_held_by_another_program_is_waited_for_without_blocking_anybody(desk, stranger):
    stranger.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(desk.put("mine"))
    turns = 0
    while turns < 10:
        await asyncio.sleep(0.01)
        turns += 1
    assert not waiting.done()
    stranger.execute("COMMIT")
    async with asyncio.timeout(5):
        await waiting
    assert desk.keys() == {"mine"}


async def test_a_lock_held_for_long_is_told_and_does_no_harm(desk, stranger, monkeypatch):
    monkeypatch.setattr(writing, "_PATIENCE_S", 0.1)
    stranger.execute("BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(*(desk.put(f"{n}") for n in range(3)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreBusy}
    assert "another program" in outcomes[0].what
    stranger.execute("COMMIT")
    await desk.put("later")
    assert desk.keys() == {"later"}
