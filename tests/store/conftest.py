"""Builders of rows, and every kind of store."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.model.instrument import Side
from quantcli.model.order import Fill, OrderIntent, OrderState, OrderType, StandardOrder
from quantcli.store.api import Identity, Store
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
        }
        return OrderState(intent_id, attempt, **(given | fields))

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


@pytest.fixture
def rows() -> type[Rows]:
    return Rows


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store of each kind."""
    made: Store = (
        MemoryStore(Identity(1, 2, b"key", 1))
        if request.param == "memory"
        else SQLiteStore(tmp_path / "state.db")
    )
    await made.open()
    yield made
    await made.close()
