"""What only a file can go through: other processes, other programs, damage, cancelled tasks."""

import asyncio
import os
import shutil
import sqlite3
import time
from decimal import Decimal
from pathlib import Path

import pytest

from quantcli.errors import InvariantError, NotFoundError, QuantError, SafetyError, StoreError
from quantcli.model.order import AttemptState
from quantcli.store.api import Identity
from quantcli.store.database import new_identity, open_writer
from quantcli.store.disk import Disk
from quantcli.store.sqlite import SQLiteStore, open_readonly
from quantcli.store.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def refusal_to_open(path: Path, kind: type[QuantError] = StoreError) -> QuantError:
    store = SQLiteStore(path)
    try:
        with pytest.raises(kind) as refused:
            await store.open()
    finally:
        await store.close()
    assert refused.value.why
    assert refused.value.todo
    return refused.value


# Opening.


async def test_reopening_keeps_rows_and_identity_and_counts_epochs(path, rows):
    identities = []
    for opening in range(3):
        store = SQLiteStore(path)
        await store.open()
        identities.append(store.identity)
        await store.commit([rows.fill(f"t{opening}")])
        assert len(await store.fills()) == opening + 1
        await store.close()
    assert [identity.epoch for identity in identities] == [1, 2, 3]
    assert len({(i.tag, i.nonce, i.key) for i in identities}) == 1
    assert len(identities[0].key) == 32


async def test_two_databases_are_two_instances(tmp_path):
    identities = []
    for name in ("a.db", "b.db"):
        store = SQLiteStore(tmp_path / name)
        await store.open()
        identities.append(store.identity)
        await store.close()
    assert identities[0].nonce != identities[1].nonce
    assert identities[0].key != identities[1].key


async def test_the_identity_of_a_new_database_can_be_given(path):
    store = SQLiteStore(path, identity_source=lambda: Identity(65535, 2**48 - 1, b"\x00key", 0))
    await store.open()
    assert store.identity == Identity(65535, 2**48 - 1, b"\x00key", 1)
    await store.close()


async def test_one_store_can_be_opened_again(path, rows):
    store = SQLiteStore(path)
    for epoch in (1, 2):
        await store.open()
        assert store.identity.epoch == epoch
        await store.set_meta("epoch", str(epoch))
        assert await store.get_meta("epoch") == str(epoch)
        await store.close()


async def test_a_store_that_is_not_open_says_so(path, rows):
    store = SQLiteStore(path)
    for action in (lambda: store.commit([rows.intent()]), store.load, lambda: store.get_meta("x")):
        with pytest.raises(StoreError, match="not open"):
            await action()
    with pytest.raises(StoreError, match="not open"):
        _ = store.identity
    await store.close()


async def test_the_folder_is_made_and_nobody_else_may_read_the_file(tmp_path):
    path = tmp_path / "some" / "folder" / "state.db"
    store = SQLiteStore(path)
    await store.open()
    await store.close()
    assert path.stat().st_mode & 0o077 == 0


async def test_a_second_opener_is_told_who_holds_the_database(path, opened):
    """P11."""
    refused = await refusal_to_open(path, SafetyError)
    assert str(os.getpid()) in refused.what
    await opened.set_meta("still", "works")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    before = path.read_bytes()
    assert "not a state database" in (await refusal_to_open(path)).what
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused_and_left_alone(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    assert "another program" in (await refusal_to_open(path)).why
    with pytest.raises(StoreError, match="not a state database"):
        async with open_readonly(path):
            pass
    assert path.read_bytes() == before


async def test_a_newer_version_is_refused(path):
    store = SQLiteStore(path)
    await store.open()
    await store.close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert "newer version" in (await refusal_to_open(path)).what
    with pytest.raises(StoreError, match="newer version"):
        async with open_readonly(path):
            pass


async def test_a_damaged_database_is_refused(path, rows):
    store = SQLiteStore(path)
    await store.open()
    await store.commit([rows.intent(f"i{n}", reason="x" * 100) for n in range(200)])
    await store.close()
    data = bytearray(path.read_bytes())
    for page in range(10, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(data)
    assert "damaged" in (await refusal_to_open(path)).what


async def test_a_row_that_breaks_the_rules_of_its_table_is_damage(path, rows):
    store = SQLiteStore(path)
    await store.open()
    await store.commit([rows.intent()])
    await store.close()
    stranger = sqlite3.connect(path)
    with stranger:
        stranger.execute("PRAGMA ignore_check_constraints = ON")
        stranger.execute("UPDATE intents SET quantity = '1e9'")
    stranger.close()
    refused = await refusal_to_open(path)
    assert "damaged" in refused.what
    assert "CHECK" in refused.why


async def test_a_refused_file_is_not_left_locked(path):
    path.write_bytes(b"no database" * 1000)
    await refusal_to_open(path)
    path.unlink()
    store = SQLiteStore(path)
    await store.open()
    await store.close()


async def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder.db", tmp_path / "file" / "state.db"):
        assert "cannot be used" in (await refusal_to_open(path)).what


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_without_write_permission_is_refused(path):
    path.touch(0o400)
    assert "cannot be used" in (await refusal_to_open(path)).what


# Transactions.


async def test_a_cancelled_commit_is_whole(opened, rows):
    """P9.  Each task is cancelled at another moment; no intent may be there without its attempt."""
    everything = [[rows.intent(f"i{n}"), rows.state(f"i{n}"), rows.fill(f"t{n}")] for n in range(200)]
    async with asyncio.timeout(10):
        tasks = [asyncio.create_task(opened.commit(batch)) for batch in everything]
        for n, task in enumerate(tasks):
            if n % 3:
                await asyncio.sleep(0)
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await opened.set_meta("after", "all")
    intents = {i.intent_id[1:] for i in await opened.intents.list_intents()}
    states = {s.intent_id[1:] for s in await opened.orders.list_order_states()}
    fills = {f.trade_id[1:] for f in await opened.fills()}
    assert intents == states == fills
    assert intents >= {str(n) for n, outcome in enumerate(outcomes) if outcome is None}
    assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_commits_at_once_each_learn_their_own_outcome(opened, rows):
    """They may share a transaction on the disk; one that breaks a promise must not take others along."""
    batches = [[rows.intent(f"i{n}"), rows.state(f"i{n % 10}", 1 + n // 10)] for n in range(50)]
    outcomes = await asyncio.gather(*(opened.commit(b) for b in batches), return_exceptions=True)
    assert outcomes[:10] == [None] * 10
    assert all(isinstance(outcome, InvariantError) for outcome in outcomes[10:])
    assert len(await opened.intents.list_intents()) == 10
    assert len(await opened.orders.list_order_states()) == 10


async def test_commits_are_made_in_the_order_they_were_asked_for(opened, rows):
    batches = [[rows.intent(generation=n), rows.fill(f"{n}")] for n in range(100)]
    await asyncio.gather(*(opened.commit(batch) for batch in batches))
    assert (await opened.intents.get_intent("i1")).generation == 99
    assert [fill.trade_id for fill in await opened.fills()] == [str(n) for n in range(100)]


async def test_closing_finishes_what_was_asked_for(path):
    connection, _ = open_writer(path, new_identity)
    writer, done = Writer(inline_below_s=0), []

    def slow(connection: sqlite3.Connection) -> None:
        time.sleep(0.05)
        done.append("slow")

    writer.start(connection, Disk(path), commit_s=1)
    async with asyncio.timeout(10):
        works = [slow, *(lambda _, n=n: done.append(n) for n in range(3))]
        waiting = [asyncio.create_task(writer.run(work)) for work in works]
        await asyncio.sleep(0)
        await writer.close()
        assert done == ["slow", 0, 1, 2]
        await asyncio.gather(*waiting)
    with pytest.raises(StoreError, match="not open"):
        await writer.run(slow)


async def test_values_a_column_cannot_hold_are_refused_alone(opened, rows):
    for bad in (rows.intent(created_ns=2**64), rows.intent(reason="\ud800"), rows.fill(qty=Decimal("NaN"))):
        with pytest.raises(InvariantError):
            await opened.commit([bad])
    await opened.commit([rows.intent()])


def test_commits_are_synchronous_and_the_log_is_grown_beforehand(path, rows):
    connection, _ = open_writer(path, new_identity)
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        log = path.with_name("state.db-wal")
        grown = log.stat().st_size
        assert grown > 1000 * 4096
        for n in range(500):
            connection.execute("INSERT INTO meta VALUES (?, 'x')", (str(n),))
        assert log.stat().st_size == grown
    finally:
        connection.close()


# What others do to the file.


@pytest.mark.parametrize("table", ["fills", "corrections", "journal"])
async def test_facts_resist_whoever_opens_the_file(path, opened, rows, table):
    """I9."""
    await opened.commit([rows.fill(), rows.correction(), rows.entry()])
    stranger = sqlite3.connect(path)
    for statement in (f"UPDATE {table} SET rowid = 9", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            stranger.execute(statement)
    stranger.close()
    assert await opened.fills() == [rows.fill()]
    assert await opened.corrections() == [rows.correction()]
    assert await opened.journal() == [rows.entry()]


def test_a_restart_finds_what_it_loads_by_indexes(path):
    """However long the history, a start reads what is open."""
    connection, _ = open_writer(path, new_identity)
    try:
        for table in ("intents", "order_states", "fills", "order_groups", "remarks"):
            plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {table}_to_load").fetchall()
            scans = {step for *_, step in plan if step.startswith("SCAN")}
            allowed = {"intents_unsettled", "one_open_attempt", "reopened_attempts"}
            read_whole = {
                scan for scan in scans if scan.split()[1] in {"intents", "order_states", "fills", "f"}
            }
            assert {scan.split()[-1] for scan in read_whole} <= allowed
    finally:
        connection.close()


async def test_the_tables_can_be_queried_by_hand(path, opened, rows):
    await opened.commit([rows.intent(metadata={"slot": "bid"}), rows.state(), rows.fill()])
    by_hand = sqlite3.connect(path)
    query = """SELECT i.symbol, i.side, i.quantity, i.price, i.phase, i.metadata ->> 'slot', s.state, f.qty
               FROM intents i JOIN order_states s USING (intent_id) JOIN fills f USING (intent_id)"""
    found = by_hand.execute(query).fetchall()
    by_hand.close()
    assert found == [("BTC/USDT", 1, "0.5", "100.1", "PENDING", "bid", "PREPARED", "0.5")]


async def test_a_row_made_unreadable_by_others_is_named(path, opened, rows):
    await opened.commit([rows.state()])
    stranger = sqlite3.connect(path)
    with stranger:
        stranger.execute("UPDATE order_states SET reconciliation_status = 'Whatever'")
    stranger.close()
    with pytest.raises(StoreError, match="order_states"):
        await opened.load()


# Reading beside the writer.


async def test_another_reader_sees_what_is_committed(path, opened, rows):
    await opened.commit([rows.intent(), rows.state()])
    async with open_readonly(path) as reading:
        assert await reading.intents.get_intent("i1") == rows.intent()
        await opened.commit([rows.state(state=AttemptState.DONE), rows.fill()])
        await opened.set_meta("note", "here")
        assert (await reading.orders.get_order_state("i1")).state is AttemptState.DONE
        assert await reading.fills() == [rows.fill()]
        assert await reading.get_meta("note") == "here"
        assert await reading.load() == await opened.load()


async def test_reading_needs_no_writer_and_changes_nothing(path, opened, rows):
    await opened.commit([rows.fill()])
    await opened.close()
    before = path.read_bytes()
    async with open_readonly(path) as reading:
        assert await reading.fills() == [rows.fill()]
    assert path.read_bytes() == before


async def test_a_database_that_was_never_made_is_not_found(path):
    with pytest.raises(NotFoundError) as refused:
        open_readonly(path)
    assert refused.value.todo
    assert not path.exists()


async def test_reads_at_once_see_their_own_writes(opened, rows):
    """Loading reads in a transaction; a later query must not be answered from before its own commit."""

    async def write_and_read(n: int) -> None:
        await opened.commit([rows.intent(f"i{n}")])
        assert (await opened.intents.get_intent(f"i{n}")).intent_id == f"i{n}"

    await asyncio.gather(*(write_and_read(n) for n in range(30)), *(opened.load() for _ in range(30)))


async def test_d5_a_large_database_is_in_use_until_damage_is_found_in_it(path, monkeypatch):
    monkeypatch.setattr("quantcli.store.database._LARGE_BYTES", 0)
    store = SQLiteStore(path)
    await store.open()
    for number in range(200):
        await store.set_meta(f"key {number}", "x" * 1000)
    await store.close()
    pages = bytearray(path.read_bytes())
    pages[8 * 4096 : 8 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(pages)
    damaged = SQLiteStore(path)
    await damaged.open()

    async def use() -> None:
        while True:
            await damaged.set_meta("a", "b")
            await asyncio.sleep(0.01)

    try:
        with pytest.raises(StoreError, match="damaged"):
            await asyncio.wait_for(use(), 10)
    finally:
        await damaged.close()


async def test_a_large_database_can_be_closed_before_it_is_looked_through(path, monkeypatch):
    monkeypatch.setattr("quantcli.store.database._LARGE_BYTES", 0)
    for _ in range(3):
        store = SQLiteStore(path)
        await store.open()
        await store.set_meta("a", "b")
        await store.close()


async def test_p15_an_older_copy_put_back_is_noticed(path, tmp_path):
    async def opened() -> tuple[bool, int]:
        store = SQLiteStore(path)
        await store.open()
        await store.close()
        return store.was_restored, store.identity.epoch

    assert [await opened() for _ in range(2)] == [(False, 1), (False, 2)]
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    assert await opened() == (False, 3)
    shutil.copy(copy, path)
    assert (await opened())[0]
