"""What a commit does to the tables: rows of every kind, turned into as few statements as keep their order.

Knows which statement each kind of row takes; transactions are `writer`'s business, rules `schema.sql`'s.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from quantcli.errors import InvariantError
from quantcli.model.message import Correction
from quantcli.model.order import Fill, OrderGroup, OrderIntent, OrderState
from quantcli.store import refusals
from quantcli.store.api import JournalEntry, MarketRow, Remark, Row
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
from quantcli.store.writer import Work

_Cells = tuple[Cell, ...]
_Put = Callable[[sqlite3.Connection, list[_Cells]], None]


def putting(rows: Sequence[Row]) -> Work[None]:
    """Work that inserts or replaces rows, in their order; encoded here, before it is waited for.

    Raises `InvariantError` for text that is not Unicode.
    """
    runs: list[tuple[_Put, list[_Cells]]] = []
    last: type | None = None
    try:
        for row in rows:
            kind = type(row)
            encode, put = _WAYS[kind]
            if kind is not last:
                runs.append((put, []))
                last = kind
            runs[-1][1].append(encode(row))
    except (UnicodeError, ValueError) as error:
        raise refusals.broken_rule(str(error)) from error

    def work(connection: sqlite3.Connection) -> None:
        for put, cells in runs:
            put(connection, cells)

    return work


def _each(statement: str) -> _Put:
    """One statement for every row."""

    def put(connection: sqlite3.Connection, rows: list[_Cells]) -> None:
        if len(rows) == 1:
            connection.execute(statement, rows[0])
        else:
            connection.executemany(statement, rows)

    return put


def _fact(table: Table[Any], key: tuple[str, ...], changed: Callable[..., InvariantError]) -> _Put:
    """Insert rows that never change, or find that they are recorded already."""
    places = [table.columns.index(column) for column in key]

    def put(connection: sqlite3.Connection, rows: list[_Cells]) -> None:
        for cells in rows:
            if connection.execute(table.insert_once, cells).rowcount == 0:
                found = [cells[place] for place in places]
                if connection.execute(table.by_key, found).fetchone() != cells:
                    raise changed(*found)

    return put


def _remarks(connection: sqlite3.Connection, rows: list[_Cells]) -> None:
    for key, value in rows:
        if value:
            connection.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))
        else:
            connection.execute("DELETE FROM meta WHERE key = ?", (key,))


_WAYS: dict[type[Row], tuple[Callable[[Any], _Cells], _Put]] = {
    OrderIntent: (INTENTS.encode, _each(INTENTS.upsert)),
    OrderState: (ORDER_STATES.encode, _each(ORDER_STATES.upsert)),
    OrderGroup: (ORDER_GROUPS.encode, _each(ORDER_GROUPS.upsert)),
    MarketRow: (MARKETS.encode, _each(MARKETS.upsert)),
    JournalEntry: (JOURNAL.encode, _each(JOURNAL.insert)),
    Fill: (FILLS.encode, _fact(FILLS, ("symbol", "trade_id"), refusals.changed_fill)),
    Correction: (
        CORRECTIONS.encode,
        _fact(CORRECTIONS, ("symbol", "cause", "cause_id"), refusals.changed_correction),
    ),
    Remark: (lambda remark: (remark.key, remark.value), _remarks),
}
