"""A state database with a long past, for the benches: closed orders by the million, some thousands open.

Every closed order has one attempt and one fill, a second apart; half of the open ones are seen working,
of the others nobody knows.  One row of each kind goes through the store's own encoder and is copied with
other ids and times, so that a million orders take less than a minute.
"""

import asyncio
import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from quantcli.kernel import identity as ids
from quantcli.model.instrument import Side
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.store.api import Identity, MarketRow
from quantcli.store.rows import FILLS, INTENTS, MARKETS, ORDER_STATES, Table
from quantcli.store.sqlite import SQLiteStore

S = 1_000_000_000
START_NS = 1_700_000_000 * S
SYMBOL = "BTC/USDT"
ORDER = StandardOrder(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal("0.015"), Decimal("29000.5"))
IDENTITY = Identity(7, 1 << 40, b"a key for the benches only......", 0)


def prepared(folder: Path, closed: int, still_open: int) -> Path:
    """The database with so many orders; made on the first call, a copy of the smallest with more open."""
    schema = files("quantcli.store").joinpath("schema.sql").read_bytes()
    stem = f"kernel-{hashlib.sha256(schema).hexdigest()[:8]}-{closed}"
    past, path = folder / f"{stem}.db", folder / f"{stem}-{still_open}.db"
    if not past.exists():
        asyncio.run(_build(past, closed))
    if not path.exists():
        shutil.copyfile(past, path)
    reset(path, closed, still_open)
    return path


def reset(path: Path, closed: int, still_open: int) -> None:
    """Put the open orders back to what they were."""
    connection = _opened(path)
    rows = range(closed, closed + still_open)
    connection.executemany(INTENTS.upsert, _copies(INTENTS, _intent(), rows))
    for parity, state in enumerate((AttemptState.LIVE, AttemptState.PREPARED)):
        attempts = _copies(ORDER_STATES, _attempt(state), rows[parity::2])
        connection.executemany(ORDER_STATES.upsert, attempts)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def _build(path: Path, closed: int) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as workshop:
        half_built = Path(workshop) / path.name
        store = SQLiteStore(half_built, lambda: IDENTITY)
        await store.open()
        await store.close()
        _fill(half_built, closed)
        half_built.rename(path)


def _fill(path: Path, closed: int) -> None:
    connection = _opened(path)
    connection.execute("PRAGMA journal_mode = MEMORY")
    rows = range(closed)
    intent = msgspec.structs.replace(_intent(), phase=IntentPhase.SATISFIED)
    connection.executemany(INTENTS.insert, _copies(INTENTS, intent, rows))
    connection.executemany(ORDER_STATES.insert, _copies(ORDER_STATES, _attempt(AttemptState.DONE), rows))
    connection.executemany(FILLS.insert, _copies(FILLS, _trade(), rows))
    surveyed = MarketRow(SYMBOL, Decimal(0), surveyed_ns=START_NS + closed * S)
    connection.execute(MARKETS.insert, MARKETS.encode(surveyed))
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _intent() -> OrderIntent:
    return OrderIntent("", ORDER, 0, metadata={"by": "bench"}, phase=IntentPhase.ACTIVE)


def _attempt(state: AttemptState) -> OrderState:
    is_done, is_seen = state is AttemptState.DONE, state is not AttemptState.PREPARED
    filled = ORDER.quantity if is_done else Decimal(0)
    status = OrderStatus.FILLED if is_done else OrderStatus.NEW if is_seen else OrderStatus.UNKNOWN
    return OrderState(
        "",
        1,
        "",
        ORDER,
        1,
        0,
        state,
        status,
        exchange_order_id="" if is_seen else None,
        filled=filled,
        fills_qty=filled,
    )


def _trade() -> Fill:
    quantity, price = ORDER.quantity, Decimal("29000.5")
    return Fill("", SYMBOL, Side.BUY, quantity, price, Decimal("0.4"), "USDT", True, 0, "", "")


def _copies(table: Table[Any], row: msgspec.Struct, numbers: range) -> Iterator[list[Any]]:
    """The cells of one row of `table`, again and again with the ids and times of other orders."""
    encoded = list(table.encode(row))
    place = {column: at for at, column in enumerate(table.columns)}
    named = [at for name, at in place.items() if name in ("trade_id", "exchange_order_id")]
    named = [at for at in named if encoded[at] is not None]
    timed = [at for name, at in place.items() if name in ("created_ns", "prepared_ns", "exchange_ns")]
    intent_at, client_at = place.get("intent_id"), place.get("client_order_id")
    for number in numbers:
        cells = encoded.copy()
        intent_id = ids.intent_id(IDENTITY, number + 1)
        if intent_at is not None:
            cells[intent_at] = intent_id
        if client_at is not None:
            cells[client_at] = ids.mint(IDENTITY, intent_id, 1)
        for at in named:
            cells[at] = str(number)
        for at in timed:
            cells[at] = START_NS + number * S
        yield cells
