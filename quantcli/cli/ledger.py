"""A state database, read at once and without an event loop, whether or not its bot runs.

Each function opens the file read-only, asks about one moment, and lets go; none ever writes.  Raises
`NotFoundError` where there is no file, `StoreError` where it is none of ours.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from quantcli.amounts import parse_money
from quantcli.model.order import Fill, OrderGroup, OrderIntent, OrderState
from quantcli.runtime.world import BALANCES_META, CASH_META
from quantcli.store import refusals
from quantcli.store.api import JournalEntry, MarketRow
from quantcli.store.database import SCHEMA_VERSION, check_version, read_only_uri, store_errors
from quantcli.store.rows import FILLS, INTENTS, JOURNAL, MARKETS, ORDER_GROUPS, ORDER_STATES, Table

_PATIENCE_S = 5.0


class Rows(NamedTuple):
    """What a database says of orders and money: every fill, and unsettled wishes or all of them."""

    intents: list[OrderIntent]
    states: list[OrderState]
    fills: list[Fill]
    groups: list[OrderGroup]
    markets: list[MarketRow]


class Numbered(NamedTuple):
    """A journal entry with its number, and the market of its wish ("" for none)."""

    number: int
    symbol: str
    entry: JournalEntry


def rows_of(path: Path, settled: bool) -> Rows:
    """Wishes and attempts that are not settled, or with `settled` all there were; every fill."""
    some = "" if settled else "_to_load"
    with _open(path) as connection:

        def of(table: Table, source: str = "") -> list:  # type: ignore[type-arg]
            return table.decode(connection.execute(table.select(source=source)))

        return Rows(
            of(INTENTS, f"intents{some}"),
            of(ORDER_STATES, f"order_states{some}"),
            of(FILLS),
            of(ORDER_GROUPS),
            of(MARKETS),
        )


def journal_of(path: Path, intent_id: str) -> list[JournalEntry]:
    """What happened to one wish, oldest first."""
    with _open(path) as connection:
        return JOURNAL.decode(connection.execute(JOURNAL.select("intent_id = ?"), (intent_id,)))


def events_of(path: Path, since_ns: int = 0, after: int = 0) -> list[Numbered]:
    """Everything that was written into the journal since a moment and after a number, oldest first."""
    columns = ", ".join(f"j.{column}" for column in JOURNAL.columns)
    query = (
        f"SELECT j.number, coalesce(i.symbol, ''), {columns} FROM journal AS j "
        "LEFT JOIN intents AS i ON i.intent_id = j.intent_id "
        "WHERE j.number > ? AND j.at_ns >= ? ORDER BY j.number"
    )
    with _open(path) as connection:
        found = connection.execute(query, (after, since_ns)).fetchall()
    entries = JOURNAL.decode(row[2:] for row in found)
    return [Numbered(row[0], row[1], entry) for row, entry in zip(found, entries, strict=True)]


def remark_of(path: Path, key: str) -> str | None:
    """A fact about the whole, or `None`."""
    with _open(path) as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def began_with(path: Path) -> dict[str, Decimal]:
    """What the bot's account held when it first began, by asset; empty where that is not known."""
    text = remark_of(path, BALANCES_META) or remark_of(path, CASH_META)
    money = [parse_money(part) for part in text.split(",")] if text else []
    return {each.currency: each.amount for each in money}


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction, so that all answers are about one moment."""
    if not path.exists():
        raise refusals.no_database(path)
    with store_errors(path):
        connection = sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None, timeout=_PATIENCE_S)
        with closing(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            check_version(version, application_id, path)
            if version < SCHEMA_VERSION:
                raise refusals.older_version(path)
            connection.execute("BEGIN")
            yield connection


def written_ns(path: Path) -> int:
    """When a database was last written: its log is there only after a crash, or empty because we read."""
    log = Path(f"{path}-wal")
    files = [path, log] if log.exists() and log.stat().st_size else [path]
    return max(file.stat().st_mtime_ns for file in files)


def owner_pid(path: Path) -> int | None:
    """The process that holds the lock beside a database; 0 if it does not say which, `None` for nobody."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        return int(said) if said.isdecimal() else 0
    finally:
        os.close(lock)
    return None
