"""The store that survives: one SQLite file, one writing connection, reads beside it.

Each change is one function handed to the writer thread, so that a cancelled task cannot tear it.  The
rules of `store.api` are kept by `schema.sql`; what is checked here only finds the right error.
Knows which statements a change takes, and nothing of how orders live.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from quantcli.errors import NotFoundError, QuantError
from quantcli.model.order import Fill, OrderIntent, OrderState
from quantcli.store import refusals
from quantcli.store.api import Identity, Row
from quantcli.store.database import LockFile, new_identity, open_writer, store_errors
from quantcli.store.reading import IntentReader, OrderReader, Query, Reader, ReadStore
from quantcli.store.rows import FILLS, INTENTS, ORDER_STATES
from quantcli.store.writer import Work, Writer


class SQLiteIntents(IntentReader):
    """`IntentStateStore` in the table `intents`."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        super().__init__(reader)
        self._writer = writer

    async def create_intent(self, intent: OrderIntent) -> None:
        """See `IntentStateStore`."""
        refusal = refusals.intent_exists(intent.intent_id)
        await self._writer.run(_checked(_same_intent(intent), False, refusal, _putting(intent)))

    async def update_intent(self, intent: OrderIntent) -> None:
        """See `IntentStateStore`."""
        refusal = refusals.no_intent(intent.intent_id)
        await self._writer.run(_checked(_same_intent(intent), True, refusal, _putting(intent)))

    async def delete_intent(self, intent_id: str) -> None:
        """See `IntentStateStore`."""
        deletion = ("DELETE FROM intents WHERE intent_id = ?", (intent_id,))
        await self._writer.run(_deleting(deletion, refusals.no_intent(intent_id)))


class SQLiteOrders(OrderReader):
    """`ActualStateStore` in the table `order_states`."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        super().__init__(reader)
        self._writer = writer

    async def create_order_state(self, state: OrderState) -> None:
        """See `ActualStateStore`."""
        taken = (
            "SELECT 1 FROM order_states WHERE client_order_id = ? OR (intent_id = ? AND attempt = ?)",
            (state.client_order_id, state.intent_id, state.attempt),
        )
        refusal = refusals.attempt_exists(state.client_order_id, state.intent_id, state.attempt)
        await self._writer.run(_checked(taken, False, refusal, _putting(state)))

    async def update_order_state(self, state: OrderState) -> None:
        """See `ActualStateStore`."""
        same = (ORDER_STATES.by_key, (state.client_order_id,))
        refusal = refusals.no_client_id(state.client_order_id)
        await self._writer.run(_checked(same, True, refusal, _putting(state)))

    async def delete_order_state(self, intent_id: str) -> None:
        """See `ActualStateStore`."""
        deletion = ("DELETE FROM order_states WHERE intent_id = ?", (intent_id,))
        await self._writer.run(_deleting(deletion, refusals.no_attempt(intent_id)))


class SQLiteStore(ReadStore):
    """`Store` in the file `path`, written by one process at a time.

    `identity_source` draws the identity of a new database.  Beside what `Store` says, `open` raises
    `StoreError` if another process has the file open for writing, and if the file is damaged, not ours,
    from a newer version, or cannot be written.  Opening reads the whole file and blocks meanwhile.
    """

    intents: SQLiteIntents
    orders: SQLiteOrders

    def __init__(self, path: Path, identity_source: Callable[[], Identity] = new_identity) -> None:
        super().__init__(Reader(path))
        self._writer = Writer()
        self.intents = SQLiteIntents(self._reader, self._writer)
        self.orders = SQLiteOrders(self._reader, self._writer)
        self._path = path
        self._draw = identity_source
        self._lock: LockFile | None = None
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """See `Store`; raises `StoreError` before `open`."""
        if self._identity is None:
            raise refusals.not_open()
        return self._identity

    async def open(self) -> None:
        """See `Store`."""
        with store_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = LockFile(self._path.with_name(f"{self._path.name}.lock"))
        try:
            connection, self._identity = open_writer(self._path, self._draw)
            self._writer.start(connection)
            await self._reader.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store`."""
        try:
            # The writer last: the last connection to close writes the WAL back, and only it may.
            await self._reader.close()
            await self._writer.close()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    async def commit(self, rows: Sequence[Row]) -> None:
        """See `Store`."""
        works = [_putting(row) for row in rows]

        def work(connection: sqlite3.Connection) -> None:
            for put in works:
                put(connection)

        await self._writer.run(work)

    async def set_meta(self, key: str, value: str) -> None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))

        await self._writer.run(work)


def open_readonly(path: Path) -> AbstractAsyncContextManager[ReadStore]:
    """Read a database that another process may be writing: `async with open_readonly(path) as store`.

    Raises `NotFoundError` if there is no file, and on entry `StoreError` if it is none of ours.
    """
    if not path.exists():
        raise NotFoundError(
            f"there is no state database at {path}",
            why="it is made when a bot first trades",
            todo="start one with `quant trade`, or name the right file",
        )
    return _reading(path)


@asynccontextmanager
async def _reading(path: Path) -> AsyncIterator[ReadStore]:
    reader = Reader(path)
    await reader.open()
    try:
        yield ReadStore(reader)
    finally:
        await reader.close()


def _putting(row: Row) -> Work[None]:
    """Insert or replace a row; encoded here, in the caller's thread."""
    if isinstance(row, Fill):
        return _inserting(row)
    if isinstance(row, OrderIntent):
        statement, cells = INTENTS.upsert, INTENTS.encode(row)
    else:
        statement, cells = ORDER_STATES.upsert, ORDER_STATES.encode(row)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(statement, cells)

    return work


def _inserting(fill: Fill) -> Work[None]:
    """Insert a fill, or find that it is recorded already."""
    cells = FILLS.encode(fill)

    def work(connection: sqlite3.Connection) -> None:
        if connection.execute(FILLS.insert_once, cells).rowcount == 0:
            recorded = connection.execute(FILLS.by_key, (fill.symbol, fill.trade_id)).fetchone()
            if recorded != cells:
                raise refusals.changed_fill(fill.symbol, fill.trade_id)

    return work


def _same_intent(intent: OrderIntent) -> Query:
    return INTENTS.by_key, (intent.intent_id,)


def _checked(query: Query, found: bool, refusal: QuantError, then: Work[None]) -> Work[None]:
    """`then`, provided that the query finds a row, or that it finds none."""

    def work(connection: sqlite3.Connection) -> None:
        if (connection.execute(*query).fetchone() is not None) is not found:
            raise refusal
        then(connection)

    return work


def _deleting(deletion: Query, refusal: QuantError) -> Work[None]:
    """Delete rows, of which there must be some."""

    def work(connection: sqlite3.Connection) -> None:
        if connection.execute(*deletion).rowcount == 0:
            raise refusal

    return work
