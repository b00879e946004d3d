"""The store that survives: one SQLite file, one writing connection, reads beside it.

Each change is one function handed to the writer, so that a cancelled task cannot tear it.  The
rules of `store.api` are kept by `schema.sql`; what is checked here only finds the right error.
Knows which statements a change takes, and nothing of how orders live.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from quantcli.errors import QuantError
from quantcli.model.order import OrderIntent, OrderState
from quantcli.store import refusals
from quantcli.store.api import Identity, Remark, Row
from quantcli.store.batch import putting
from quantcli.store.checking import Checking
from quantcli.store.database import (
    LockFile,
    commit_time_s,
    is_large,
    new_identity,
    note_epoch,
    open_writer,
    store_errors,
)
from quantcli.store.disk import Disk, refuse_far
from quantcli.store.reading import IntentReader, OrderReader, Query, Reader, ReadStore
from quantcli.store.rows import INTENTS, ORDER_STATES
from quantcli.store.writer import Work, Writer

# A hop to another thread and back costs about 0.1 ms.
INLINE_BELOW_S = 600e-6


class SQLiteIntents(IntentReader):
    """`IntentStateStore` in the table `intents`."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        super().__init__(reader)
        self._writer = writer

    async def create_intent(self, intent: OrderIntent) -> None:
        """See `IntentStateStore`."""
        refusal = refusals.intent_exists(intent.intent_id)
        await self._writer.run(_checked(_same_intent(intent), False, refusal, putting([intent])))

    async def update_intent(self, intent: OrderIntent) -> None:
        """See `IntentStateStore`."""
        refusal = refusals.no_intent(intent.intent_id)
        await self._writer.run(_checked(_same_intent(intent), True, refusal, putting([intent])))

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
        await self._writer.run(_checked(taken, False, refusal, putting([state])))

    async def update_order_state(self, state: OrderState) -> None:
        """See `ActualStateStore`."""
        same = (ORDER_STATES.by_key, (state.client_order_id,))
        refusal = refusals.no_client_id(state.client_order_id)
        await self._writer.run(_checked(same, True, refusal, putting([state])))

    async def delete_order_state(self, intent_id: str) -> None:
        """See `ActualStateStore`."""
        deletion = ("DELETE FROM order_states WHERE intent_id = ?", (intent_id,))
        await self._writer.run(_deleting(deletion, refusals.no_attempt(intent_id)))


class SQLiteStore(ReadStore):
    """`Store` in the file `path`, written by one process at a time.

    `identity_source` draws the identity of a new database.  On a disk that syncs within `inline_below_s`
    seconds, `commit` blocks the event loop for as long, rather than wait for a thread.  Beside what `Store`
    says, `open` raises `SafetyError` if another process has the file open for writing, and `StoreError` if
    the file is damaged, not ours, from a newer version, on a network file system, or cannot be written.
    A file of an older version is migrated, and a copy of it kept.  A large file is looked through while it is
    in use already; once damage is found, every commit raises `StoreError`.
    """

    intents: SQLiteIntents
    orders: SQLiteOrders

    def __init__(
        self,
        path: Path,
        identity_source: Callable[[], Identity] = new_identity,
        inline_below_s: float = INLINE_BELOW_S,
    ) -> None:
        super().__init__(Reader(path))
        self._writer = Writer(inline_below_s)
        self.intents = SQLiteIntents(self._reader, self._writer)
        self.orders = SQLiteOrders(self._reader, self._writer)
        self._path = path
        self._draw = identity_source
        self._lock: LockFile | None = None
        self._checking: Checking | None = None
        self._identity: Identity | None = None
        self._was_restored = False

    @property
    def identity(self) -> Identity:
        """See `Store`; raises `StoreError` before `open`."""
        if self._identity is None:
            raise refusals.not_open()
        return self._identity

    @property
    def was_restored(self) -> bool:
        """See `Store`."""
        return self._was_restored

    async def open(self) -> None:
        """See `Store`."""
        with store_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            refuse_far(self._path)
            self._lock = LockFile(self._path.with_name(f"{self._path.name}.lock"))
        try:
            connection, self._identity = open_writer(self._path, self._draw)
            with store_errors(self._path):
                self._was_restored = note_epoch(self._path, self._identity.epoch)
                self._writer.start(connection, Disk(self._path), commit_time_s(connection))
                if is_large(self._path):
                    self._checking = Checking(self._path, self._writer.distrust)
            await self._reader.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store`."""
        try:
            if self._checking is not None:
                self._checking.stop()
                self._checking = None
            # The writer last: the last connection to close writes the WAL back, and only it may.
            await self._reader.close()
            await self._writer.close()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    async def commit(self, rows: Sequence[Row]) -> None:
        """See `Store`."""
        await self._writer.run(putting(rows))

    async def set_meta(self, key: str, value: str) -> None:
        """See `Store`."""
        await self.commit([Remark(key, value)])


def open_readonly(path: Path) -> AbstractAsyncContextManager[ReadStore]:
    """Read a database that another process may be writing: `async with open_readonly(path) as store`.

    Raises `NotFoundError` if there is no file, and on entry `StoreError` if it is none of ours.
    """
    if not path.exists():
        raise refusals.no_database(path)
    return _reading(path)


@asynccontextmanager
async def _reading(path: Path) -> AsyncIterator[ReadStore]:
    reader = Reader(path)
    await reader.open()
    try:
        yield ReadStore(reader)
    finally:
        await reader.close()


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
