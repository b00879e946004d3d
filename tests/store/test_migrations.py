"""Databases of version 1: what becomes of their rows, and that no death on the way hurts them (P16)."""

import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.errors import StoreError
from quantcli.model.order import AttemptState, IntentPhase, OcoMode, OrderGroup
from quantcli.store.api import Identity, MarketRow
from quantcli.store.sqlite import SQLiteStore, open_readonly

SCHEMA_1 = Path(__file__).with_name("schema_1.sql")
TERMS = {"side": 1, "type": 1, "quantity": "0.5", "price": "100", "time_in_force": 1, "reduce_only": 0}
INTENT = TERMS | {
    "symbol": "BTC/USDT",
    "created_ns": 7,
    "metadata": '{"slot":"bid"}',
    "phase": "SATISFIED",
    "generation": 2,
    "reason": "filled",
    "updated_ns": 8,
}
STATE = TERMS | {
    "symbol": "BTC/USDT",
    "attempt": 1,
    "generation": 1,
    "prepared_ns": 5,
    "state": "DONE",
    "status": 2,
    "filled": "0.5",
    "fills_qty": "0.5",
    "reconciliation_status": "InSync",
    **dict.fromkeys(["last_sync_at", "venue_ns", "deadline_ns", "cancel_sent_ns", "lookup_sent_ns"], 3),
    "reason": "",
}
FILL = {
    "symbol": "BTC/USDT",
    "side": 1,
    "qty": "0.5",
    "price": "100",
    "fee": "0",
    "fee_asset": "USDT",
    "is_maker": 1,
    "exchange_ns": 9,
    "client_order_id": "c",
    "exchange_order_id": "7",
    "intent_id": "i1",
}
PAIR = "reduce_on_partial/0.5/i1"


def insert(database: sqlite3.Connection, table: str, *rows: dict[str, Any]) -> None:
    for row in rows:
        places = ", ".join(f":{column}" for column in row)
        database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", row)


def version_1(path: Path) -> None:
    """A database as the first version wrote it, after a crash: part of it is in the log only."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA_1.read_text("utf-8"))
    database.execute("PRAGMA user_version = 1")
    database.execute(f"PRAGMA application_id = {0x7175616E}")
    database.execute("INSERT INTO instance VALUES (1, 5, 6, x'00ff', 41)")
    database.execute("INSERT INTO meta VALUES ('cash', '1000 USDT'), ('wal', '999'), ('empty', '')")
    insert(
        database,
        "intents",
        INTENT | {"intent_id": "i2", "group_id": PAIR, "created_ns": 8},
        INTENT | {"intent_id": "i1", "group_id": PAIR, "phase": "ACTIVE"},
        INTENT | {"intent_id": "i3", "symbol": "ETH/USDT", "price": None, "created_ns": 9},
    )
    insert(
        database,
        "order_states",
        STATE | {"client_order_id": "c1", "intent_id": "i1", "state": "DEAD", "status": 6, "filled": "0"},
        STATE | {"client_order_id": "c2", "intent_id": "i1", "attempt": 2, "state": "LIVE", "status": 1},
        STATE | {"client_order_id": "c3", "intent_id": "i2", "exchange_order_id": "77"},
        STATE | {"client_order_id": "c4", "intent_id": "i3", "filled": "0.6"},
    )
    insert(
        database,
        "fills",
        FILL | {"trade_id": "9", "qty": "12345678901234567890.123456789", "fee": "0.001", "fee_asset": "BTC"},
        FILL | {"trade_id": "1", "qty": "0.000000000000000001", "side": 2, "intent_id": ""},
        FILL | {"trade_id": "5", "qty": "3", "side": 2, "fee": "0.5", "fee_asset": "BNB"},
        FILL | {"trade_id": "5", "symbol": "BTC/USD:BTC", "qty": "7", "fee": "0.1", "fee_asset": "BTC"},
        FILL | {"trade_id": "1", "symbol": "BTC/USD:BTC", "qty": "2", "side": 2},
    )
    database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    version_1(path)
    return path


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def run(script: str, *arguments: str) -> str:
    """What a Python process prints that runs the script to its end."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        return int(version)


def objects(path: Path) -> Iterator[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as database:
        yield from database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")


async def test_a_migrated_database_is_laid_out_like_a_new_one(path, tmp_path):
    for each in (path, tmp_path / "new.db"):
        async with opened(each):
            pass
    assert list(objects(path)) == list(objects(tmp_path / "new.db"))
    assert version_of(path) == version_of(tmp_path / "new.db")


async def test_rows_survive_and_the_present_rules_hold(path):
    async with opened(path) as store:
        assert store.identity == Identity(5, 6, b"\x00\xff", 42)
        assert [await store.get_meta(key) for key in ("cash", "wal", "empty")] == ["1000 USDT", None, None]
        first, second, third = await store.intents.list_intents()
        assert (first.intent_id, first.phase, first.metadata) == ("i1", IntentPhase.ACTIVE, {"slot": "bid"})
        assert (second.group_id, second.generation, second.reason) == (first.group_id, 2, "filled")
        assert (third.order.price, third.request_id, third.held, third.protective) == (None, "", False, False)
        dead, live, done, doubtful = await store.orders.list_order_states()
        assert (dead.state, bool(dead.reason)) == (AttemptState.DEAD, True)
        assert (live.attempt, live.state, live.sends, live.amends) == (2, AttemptState.LIVE, 1, 0)
        assert (done.state, done.exchange_order_id, done.filled) == (AttemptState.DONE, "77", Decimal("0.5"))
        assert (doubtful.state, doubtful.reopened) == (AttemptState.CLOSING, True)
        assert [fill.trade_id for fill in await store.fills()] == ["9", "1", "5", "5", "1"]


async def test_positions_are_summed_exactly(path):
    """Fees in the base asset were not received, on spot; futures are settled in another asset."""
    async with opened(path) as store:
        own = Decimal("12345678901234567887.122456789")
        position = Decimal("12345678901234567887.122456788999999999")
        assert await store.markets() == [
            MarketRow("BTC/USD:BTC", position=Decimal(5), own=Decimal(5)),
            MarketRow("BTC/USDT", position=position, own=own),
        ]


async def test_groups_are_known_from_their_names(path):
    async with opened(path) as store:
        pair = OrderGroup(PAIR, OcoMode.REDUCE_ON_PARTIAL, Decimal("0.5"), ("i1", "i2"))
        assert await store.groups() == [pair]
        assert (await store.load()).groups == (pair,)


async def test_a_copy_of_the_old_database_is_left_for_its_owner_alone(path):
    before = dumped(path)
    for _ in range(2):
        async with opened(path):
            pass
    copy = path.with_name("state.db.v1.bak")
    assert dumped(copy) == before
    assert version_of(copy) == 1
    assert stat.S_IMODE(copy.stat().st_mode) & 0o077 == 0
    assert sorted(each.name for each in path.parent.iterdir() if "bak" in each.name) == [copy.name]


async def test_a_reader_does_not_migrate(path):
    before = dumped(path)
    with pytest.raises(StoreError, match="older version"):
        async with open_readonly(path):
            pass
    assert dumped(path) == before


async def test_a_migration_that_cannot_be_finished_changes_nothing(path):
    """The disk fills up in the middle of the transaction; there is room at the next start."""
    script = f"""
import asyncio, sqlite3, sys
from pathlib import Path
from quantcli.errors import StoreFull
from quantcli.store.sqlite import SQLiteStore

connect = sqlite3.connect
def small(*args, **kwargs):
    connection = connect(*args, **kwargs)
    if "draft" not in str(args[0]):
        connection.execute("PRAGMA max_page_count = 1")
    return connection
sqlite3.connect = small
try:
    asyncio.run(SQLiteStore(Path({str(path)!r})).open())
except StoreFull:
    print("full")
"""
    before = dumped(path)
    assert run(script).strip() == "full"
    assert dumped(path) == before
    async with opened(path) as store:
        assert len(await store.fills()) == 5


# Opens copies of a database in children that kill themselves before the nth statement.
DEADLY = """
import json, os, shutil, signal, sqlite3, sys
from pathlib import Path
from quantcli.store.database import new_identity, open_writer

origin, folder = Path(sys.argv[1]), Path(sys.argv[2])
connect = sqlite3.connect
verdicts = []
for deadline in range(1, 200):
    path = folder / f"{deadline}.db"
    shutil.copy(origin, path)
    child = os.fork()
    if child == 0:
        counted = 0
        def count(statement):
            global counted
            counted += 1
            if counted == deadline:
                os.kill(os.getpid(), signal.SIGKILL)
        def traced(*args, **kwargs):
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(count)
            return connection
        sqlite3.connect = traced
        import quantcli.store.database as database
        database._grow_wal = lambda connection: os._exit(0)
        open_writer(path, new_identity)
    _, status = os.waitpid(child, 0)
    verdicts.append(os.WIFSIGNALED(status))
    if not verdicts[-1]:
        break
print(json.dumps(verdicts))
"""


async def test_a_process_killed_at_any_statement_leaves_one_whole_version(path, tmp_path):
    """P16, P1: SIGKILL before each statement of the opening in turn; the next start goes through."""
    before = dumped(path)
    folder = tmp_path / "killed"
    folder.mkdir()
    verdicts = json.loads(run(DEADLY, str(path), str(folder)))
    assert verdicts[-1] is False
    assert len(verdicts) > 50
    versions = [version_of(folder / f"{n}.db") for n in range(1, len(verdicts) + 1)]
    assert versions == sorted(versions)
    assert set(versions) == {1, 2}
    last_old = versions.count(1)
    assert all(dumped(folder / f"{n}.db") == before for n in range(1, last_old + 1))
    for n in {1, last_old // 2, last_old - 1, last_old, last_old + 1}:
        async with opened(folder / f"{n}.db") as store:
            assert len(await store.fills()) == 5
            assert len(await store.markets()) == 2
