"""Builders of rows, and every kind of store."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.model.instrument import Side
from quantcli.model.message import Correction
from quantcli.model.order import (
    AttemptState,
    Evidence,
    Fill,
    OcoMode,
    OrderGroup,
    OrderIntent,
    OrderState,
    OrderType,
    StandardOrder,
)
from quantcli.store.api import Identity, JournalEntry, Store
from quantcli.store.memory import MemoryStore
from quantcli.store.sqlite import SQLiteStore


class Rows:
    """Rows with as little said about them as a test needs."""

    @staticmethod
    def order(**fields: Any) -> StandardOrder:
        terms = {
            "symbol": "BTC/USDT",
            "side": Side.BUY,
            "type": OrderType.LIMIT,
            "quantity": Decimal("0.5"),
            "price": Decimal("100.10"),
        }
        return StandardOrder(**(terms | fields))

    @classmethod
    def intent(cls, intent_id: str = "i1", symbol: str = "BTC/USDT", **fields: Any) -> OrderIntent:
        return OrderIntent(intent_id, **({"order": cls.order(symbol=symbol), "created_ns": 7} | fields))

    @classmethod
    def state(
        cls, intent_id: str = "i1", attempt: int = 1, symbol: str = "BTC/USDT", **fields: Any
    ) -> OrderState:
        given = {
            "client_order_id": f"{intent_id}-{attempt}",
            "order": cls.order(symbol=symbol),
            "generation": 1,
            "prepared_ns": attempt,
            "reason": "refused" if fields.get("state") is AttemptState.DEAD else "",
        }
        return OrderState(intent_id, attempt, **(given | fields))

    @classmethod
    def proved(cls, **times: int) -> OrderState:
        """A dead attempt with the evidence for it; as little as is enough, unless told."""
        enough = {"fenced_ns": 1, "probed_ns": 2, "first_absent_ns": 3, "first_agreed_ns": 3}
        evidence = Evidence(**(enough | times))
        return cls.state(state=AttemptState.DEAD, reason="proved: nobody has seen it", evidence=evidence)

    @staticmethod
    def fill(trade_id: str = "t1", symbol: str = "BTC/USDT", **fields: Any) -> Fill:
        given = {
            "side": Side.BUY,
            "qty": Decimal("0.5"),
            "price": Decimal("100.1"),
            "fee": Decimal("0.05"),
            "fee_asset": "USDT",
            "is_maker": True,
            "exchange_ns": 9,
            "client_order_id": "i1-1",
            "exchange_order_id": "77",
            "intent_id": "i1",
        }
        return Fill(trade_id, symbol, **(given | fields))

    @staticmethod
    def group(group_id: str = "g", **fields: Any) -> OrderGroup:
        given = {"mode": OcoMode.REDUCE_ON_PARTIAL, "quantity": Decimal("0.5"), "legs": ("i1", "i2")}
        return OrderGroup(group_id, **(given | fields))

    @staticmethod
    def correction(cause_id: str = "c1", symbol: str = "BTC/USDT", **fields: Any) -> Correction:
        given = {"cause": "operator", "delta": Decimal("-0.1"), "venue_ns": 9}
        return Correction(symbol, cause_id=cause_id, **(given | fields))

    @staticmethod
    def entry(what: str = "placed", intent_id: str = "i1", **fields: Any) -> JournalEntry:
        return JournalEntry(**({"at_ns": 7, "attempt": 1} | fields), intent_id=intent_id, what=what)


@pytest.fixture
def rows() -> type[Rows]:
    return Rows


# How quick a disk must be to be written in the calling thread: always, or never.
KINDS = {"inline": 1e9, "threaded": 0.0}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on a disk that never waits, where there is one: rules hold on every disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Store]:
    """An open store of each kind."""
    made: Store = (
        MemoryStore(Identity(1, 2, b"key", 1))
        if request.param == "memory"
        else SQLiteStore(folder / "state.db")
    )
    await made.open()
    yield made
    await made.close()


@pytest.fixture(params=list(KINDS))
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    """An open store in a file, written in the calling thread or in another."""
    store = SQLiteStore(tmp_path / "state.db", inline_below_s=KINDS[request.param])
    await store.open()
    yield store
    await store.close()
