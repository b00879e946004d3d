"""Databases of older versions, made into ones of the present: a copy first, then one transaction.

The old tables are set aside, the present ones laid out, the rows carried over, the old tables dropped and the
version stamped, all or nothing: a process that is killed meanwhile leaves the old database, and the next
start does it again.  Each older version has one function here, which knows what its rows mean now.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from pathlib import Path

from quantcli.model.instrument import Side, Symbol
from quantcli.model.order import OcoMode, OrderGroup
from quantcli.store.api import MarketRow
from quantcli.store.rows import MARKETS, ORDER_GROUPS

# Digits of a sum; more would be an error, not a rounded sum.
_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation])


def migrate(connection: sqlite3.Connection, path: Path, version: int, script: str) -> None:
    """Bring the database at `path` from `version` to what `script` lays out and stamps.

    A copy of it stays beside it, `<name>.v<version>.bak`.  Raises the errors of SQLite and the system.
    """
    _back_up(connection, path.with_name(f"{path.name}.v{version}.bak"))
    set_aside = "".join(f"{statement}; " for statement in _set_aside(connection))
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {set_aside} {script}")
        _CARRY_OVER[version](connection)
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE name GLOB 'old_*'"
        ).fetchall():
            connection.execute(f"DROP TABLE {table}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _back_up(connection: sqlite3.Connection, copy: Path) -> None:
    """A copy that is whole under its name, or not there."""
    draft = copy.with_name(f"{copy.name}.draft")
    with suppress(FileNotFoundError):
        draft.unlink()
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT, 0o600))  # there is a key in it
    with closing(sqlite3.connect(draft)) as target:
        connection.backup(target)
    handle = os.open(draft, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(copy)


def _set_aside(connection: sqlite3.Connection) -> Iterator[str]:
    """Give the old tables other names, and drop whatever belongs to them."""
    objects = connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type = 'table'"
    )
    for kind, name in objects.fetchall():
        yield f"ALTER TABLE {name} RENAME TO old_{name}" if kind == "table" else f"DROP {kind} {name}"


def _from_1(connection: sqlite3.Connection) -> None:
    """Version 1 knew no groups but their names, no positions, and no reasons that had to be given."""
    connection.execute("INSERT INTO instance SELECT * FROM old_instance")
    connection.execute("INSERT INTO meta SELECT * FROM old_meta WHERE value <> ''")
    connection.execute("INSERT INTO intents SELECT *, '', 0, 0 FROM old_intents")
    connection.execute("""
        INSERT INTO order_states
        SELECT client_order_id, intent_id, attempt, symbol, side, type, quantity, price, stop_price,
               time_in_force, reduce_only, expire_ns, generation, prepared_ns,
               CASE WHEN state = 'DONE' AND filled <> fills_qty THEN 'CLOSING' ELSE state END,
               status, exchange_order_id, filled, fills_qty, reconciliation_status, last_sync_at, venue_ns,
               deadline_ns, cancel_sent_ns, lookup_sent_ns,
               CASE WHEN state = 'DEAD' AND reason = '' THEN 'no reason was recorded' ELSE reason END,
               0, 1, 0, state = 'DONE' AND filled <> fills_qty, NULL, NULL
        FROM old_order_states
    """)
    connection.execute("INSERT INTO fills SELECT * FROM old_fills ORDER BY position")
    with localcontext(_EXACT):
        connection.executemany(MARKETS.insert, [MARKETS.encode(row) for row in _positions(connection)])
        connection.executemany(ORDER_GROUPS.insert, [ORDER_GROUPS.encode(row) for row in _groups(connection)])


def _positions(connection: sqlite3.Connection) -> list[MarketRow]:
    """What all fills of each market come to, and those of our intents."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    fills = connection.execute("SELECT symbol, side, qty, fee, fee_asset, intent_id FROM old_fills")
    for symbol, side, qty, fee, fee_asset, intent_id in fills:
        market = Symbol.parse(symbol)
        delta = Decimal(qty) if side == Side.BUY else -Decimal(qty)
        if fee_asset == market.base and not market.is_futures:
            delta -= Decimal(fee)
        position, own = sums.get(symbol, (Decimal(0), Decimal(0)))
        sums[symbol] = position + delta, own + delta if intent_id else own
    return [MarketRow(symbol, position=position, own=own) for symbol, (position, own) in sums.items()]


def _groups(connection: sqlite3.Connection) -> Iterator[OrderGroup]:
    """Groups were called after their mode, quantity and first intent: `reduce_on_partial/0.5/00a1…`."""
    legs: dict[str, list[str]] = {}
    members = connection.execute(
        "SELECT group_id, intent_id FROM old_intents WHERE group_id GLOB '*/*/*'"
        " ORDER BY created_ns, intent_id"
    )
    for group_id, intent_id in members:
        legs.setdefault(group_id, []).append(intent_id)
    for group_id, intent_ids in legs.items():
        mode, _, rest = group_id.partition("/")
        yield OrderGroup(group_id, OcoMode(mode), Decimal(rest.partition("/")[0]), tuple(intent_ids))


_CARRY_OVER: dict[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
