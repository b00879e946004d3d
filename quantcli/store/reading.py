"""Reading the state database, asynchronously and without ever writing to it.

Serves the daemon beside its writer, and other processes while a daemon writes.  Knows queries, and
nothing of locks or transactions that change anything.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import aiosqlite
import msgspec

from quantcli.clock import NS_PER_S
from quantcli.model.message import Correction
from quantcli.model.order import (
    Fill,
    OrderGroup,
    OrderIntent,
    OrderState,
    ReconciliationStatus,
)
from quantcli.store import refusals
from quantcli.store.api import JournalEntry, Loaded, MarketRow, Remark
from quantcli.store.database import SCHEMA_VERSION, check_version, read_only_uri, store_errors
from quantcli.store.rows import (
    CORRECTIONS,
    FILLS,
    INTENTS,
    JOURNAL,
    MARKETS,
    ORDER_GROUPS,
    ORDER_STATES,
    Cell,
    Table,
)

T = TypeVar("T", bound=msgspec.Struct)
Query = tuple[str, Sequence[Cell]]
Attempted = tuple[OrderIntent, list[OrderState]]
# Names in one query: SQLite takes many, but not without end.
_AT_ONCE = 500


class Reader:
    """A read-only connection; every failure of it is a `StoreError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        # A transaction on the shared connection must not take in a query that came later: that one
        # would be answered with the past.
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open an existing database; refuses those that are not ours."""
        with store_errors(self._path):
            self._connection = await aiosqlite.connect(
                read_only_uri(self._path), uri=True, isolation_level=None
            )
        try:
            [(version,)], [(application_id,)] = await self.snapshot(
                ("PRAGMA user_version", ()), ("PRAGMA application_id", ())
            )
            check_version(version, application_id, self._path)
            if version < SCHEMA_VERSION:
                raise refusals.older_version(self._path)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def rows(self, query: str, *params: Cell) -> Iterable[sqlite3.Row]:
        """The answer to one query."""
        async with self._turn:
            with store_errors(self._path):
                return await self._live().execute_fetchall(query, params)

    async def snapshot(self, *queries: Query) -> list[Iterable[sqlite3.Row]]:
        """The answers to several queries about one and the same moment."""
        async with self._turn:
            connection = self._live()
            with store_errors(self._path):
                try:
                    await connection.execute("BEGIN")
                    return [await connection.execute_fetchall(*query) for query in queries]
                finally:
                    await connection.execute("COMMIT")

    async def select(self, table: Table[T], **where: Cell) -> list[T]:
        """The rows whose columns have the values given; `None` leaves a column out."""
        chosen = {column: value for column, value in where.items() if value is not None}
        condition = " AND ".join(f"{column} = ?" for column in chosen)
        return table.decode(await self.rows(table.select(condition), *chosen.values()))

    def _live(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise refusals.not_open()
        return self._connection


class IntentReader:
    """The reading half of `IntentStateStore`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get_intent(self, intent_id: str) -> OrderIntent:
        """See `IntentStateStore`."""
        for intent in await self._reader.select(INTENTS, intent_id=intent_id):
            return intent
        raise refusals.no_intent(intent_id)

    async def list_intents(
        self, symbol_id: str | None = None, group_id: str | None = None
    ) -> list[OrderIntent]:
        """See `IntentStateStore`."""
        return await self._reader.select(INTENTS, symbol=symbol_id, group_id=group_id)

    async def get_intents_by_group(self, group_id: str) -> list[OrderIntent]:
        """See `IntentStateStore`."""
        return await self.list_intents(group_id=group_id)

    async def get_intent_by_request(self, request_id: str) -> OrderIntent | None:
        """See `IntentStateStore`."""
        query = INTENTS.select("request_id = ? AND request_id <> ''")
        found = INTENTS.decode(await self._reader.rows(query, request_id))
        return found[0] if found else None


class OrderReader:
    """The reading half of `ActualStateStore`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get_order_state(self, intent_id: str) -> OrderState:
        """See `ActualStateStore`."""
        attempts = await self._reader.select(ORDER_STATES, intent_id=intent_id)
        if not attempts:
            raise refusals.no_attempt(intent_id)
        return attempts[-1]

    async def get_order_state_by_exchange_id(self, exchange_order_id: str) -> OrderState:
        """See `ActualStateStore`."""
        found = await self._reader.select(ORDER_STATES, exchange_order_id=exchange_order_id)
        if not found:
            raise refusals.no_exchange_id(exchange_order_id)
        return max(found, key=lambda state: (state.prepared_ns, state.client_order_id))

    async def list_order_states(
        self, symbol_id: str | None = None, reconciliation_status: ReconciliationStatus | None = None
    ) -> list[OrderState]:
        """See `ActualStateStore`."""
        return await self._reader.select(
            ORDER_STATES, symbol=symbol_id, reconciliation_status=reconciliation_status
        )

    async def get_stale_orders(self, max_age_seconds: float, now_ns: int) -> list[OrderState]:
        """See `ActualStateStore`."""
        oldest_ns = now_ns - round(max_age_seconds * NS_PER_S)
        query = ORDER_STATES.select("last_sync_at < ?", source="open_order_states")
        return ORDER_STATES.decode(await self._reader.rows(query, oldest_ns))


class ReadStore:
    """The reading half of `Store`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.intents = IntentReader(reader)
        self.orders = OrderReader(reader)

    async def load(self) -> Loaded:
        """See `Store`."""
        return await self._loaded("_to_load")

    async def everything(self) -> Loaded:
        """Every row there is, settled ones and old fills too, as of one moment."""
        return await self._loaded("")

    async def _loaded(self, which: str) -> Loaded:
        tables = INTENTS, ORDER_STATES, FILLS, ORDER_GROUPS
        queries = [table.select(source=f"{table.name}{which}") for table in tables]
        queries += [MARKETS.select(), CORRECTIONS.select()]
        queries.append("SELECT key, value FROM remarks_to_load ORDER BY key")
        intents, states, fills, groups, markets, corrections, remarks = await self._reader.snapshot(
            *((query, ()) for query in queries)
        )
        return Loaded(
            tuple(INTENTS.decode(intents)),
            tuple(ORDER_STATES.decode(states)),
            tuple(FILLS.decode(fills)),
            tuple(ORDER_GROUPS.decode(groups)),
            tuple(MARKETS.decode(markets)),
            tuple(Remark(*row) for row in remarks),
            tuple(CORRECTIONS.decode(corrections)),
        )

    async def fills(self, symbol_id: str | None = None) -> list[Fill]:
        """See `Store`."""
        return await self._reader.select(FILLS, symbol=symbol_id)

    # For people, who look at the newest of many.

    async def latest_fills(
        self, symbol_id: str | None, intent_id: str | None, limit: int
    ) -> tuple[list[Fill], int]:
        """The newest fills of a market, of an intent, of both, or all, newest first; and how many there are
        in all."""
        chosen = {"symbol": symbol_id, "intent_id": intent_id}
        where = {column: value for column, value in chosen.items() if value is not None}
        condition = " AND ".join(f"{column} = ?" for column in where)
        query = FILLS.select(condition, order_by="position DESC LIMIT ?")
        count = f"SELECT count(*) FROM {FILLS.name}" + (f" WHERE {condition}" if condition else "")
        rows, [(total,)] = await self._reader.snapshot(
            (query, (*where.values(), limit)), (count, tuple(where.values()))
        )
        return FILLS.decode(rows), int(total)

    async def latest_settled(self, symbol_id: str | None, limit: int) -> list[Attempted]:
        """The newest settled intents of a market, or all, newest first, with their attempts."""
        ended = "phase NOT IN ('PENDING', 'ACTIVE', 'CANCEL_REQUESTED')"
        condition = ended if symbol_id is None else f"{ended} AND symbol = ?"
        symbols = () if symbol_id is None else (symbol_id,)
        query = INTENTS.select(condition, order_by="created_ns DESC, intent_id DESC LIMIT ?")
        return await self._attempted(query, (*symbols, limit))

    async def named(self, name: str) -> list[Attempted]:
        """The intent of an id, or the first few whose ids begin or end so, with their attempts."""
        condition = "intent_id = ? OR substr(intent_id, 1, ?) = ? OR substr(intent_id, -?) = ?"
        query = INTENTS.select(condition, order_by="intent_id <> ?, created_ns DESC LIMIT 11")
        found = await self._attempted(query, (name, len(name), name, len(name), name, name)) if name else []
        return [each for each in found if each[0].intent_id == name] or found

    async def _attempted(self, query: str, params: Sequence[Cell]) -> list[Attempted]:
        intents = INTENTS.decode(await self._reader.rows(query, *params))
        attempts: dict[str, list[OrderState]] = {intent.intent_id: [] for intent in intents}
        names = list(attempts)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            places = ", ".join("?" * len(some))
            rows = await self._reader.rows(ORDER_STATES.select(f"intent_id IN ({places})"), *some)
            for state in ORDER_STATES.decode(rows):
                attempts[state.intent_id].append(state)
        return [(intent, attempts[intent.intent_id]) for intent in intents]

    async def corrections(self, symbol_id: str | None = None) -> list[Correction]:
        """See `Store`."""
        return await self._reader.select(CORRECTIONS, symbol=symbol_id)

    async def journal(self, intent_id: str | None = None) -> list[JournalEntry]:
        """See `Store`."""
        return await self._reader.select(JOURNAL, intent_id=intent_id)

    async def groups(self) -> list[OrderGroup]:
        """See `Store`."""
        return await self._reader.select(ORDER_GROUPS)

    async def markets(self) -> list[MarketRow]:
        """See `Store`."""
        return await self._reader.select(MARKETS)

    async def get_meta(self, key: str) -> str | None:
        """See `Store`."""
        for row in await self._reader.rows("SELECT value FROM meta WHERE key = ?", key):
            return str(row[0])
        return None
