"""A small run, and the means to vary it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantcli.model.account import Position
from quantcli.model.instrument import Side
from quantcli.model.order import Fill, OrderStatus, OrderType
from quantcli.report.run import OrderCounts, OrderRow, Run, Settings

D = Decimal
S = 1_000_000_000
START = 1_700_000_000 * S

MakeFill = Callable[..., Fill]
MakeRun = Callable[..., Run]


@pytest.fixture
def make_fill() -> MakeFill:
    """A fill from side, quantity and price; fees and symbol as wanted."""
    made = []

    def make(side: str, qty: str, price: str, fee: str = "0", asset: str = "USDT", **changes: Any) -> Fill:
        made.append(side)
        n = len(made)
        fill = Fill(
            trade_id=f"t{n}",
            symbol="BTC/USDT",
            side=Side[side],
            qty=D(qty),
            price=D(price),
            fee=D(fee),
            fee_asset=asset,
            is_maker=True,
            exchange_ns=START + n * S,
            client_order_id=f"c{n}",
            exchange_order_id=f"x{n}",
            intent_id=f"i{n}",
        )
        return msgspec.structs.replace(fill, **changes)

    return make


@pytest.fixture
def make_run(make_fill: MakeFill) -> MakeRun:
    """A run of ten minutes that bought 2 at 100, sold 1 at 110, and holds 1 at 105."""
    position = Position("BTC/USDT", D(1), D(100), D(10), D(5), D("0.31"), D(105), START)
    row = OrderRow(
        "i1", "c1", "bid", "BTC/USDT", Side.BUY, OrderType.LIMIT_MAKER, D(2), D("100.5"),
        START, START + 40_000_000, None, START + S, OrderStatus.FILLED, D(2), "",
    )  # fmt: skip
    never = msgspec.structs.replace(
        row, intent_id="i2", placed_ns=START + 590 * S, price=None, acked_ns=None, ended_ns=None,
        status=OrderStatus.UNKNOWN,
    )  # fmt: skip
    run = Run(
        strategy="touch.py:TouchMaker",
        strategy_digest="aa",
        recording_digest="bb",
        exchange="binance",
        symbols=("BTC/USDT",),
        params={"size": D("0.5"), "levels": 2},
        seed=7,
        settings=Settings(50.0, D("0.0002"), D("0.0005"), "volume"),
        from_ns=START,
        to_ns=START + 600 * S,
        events=12_345,
        currency="USDT",
        start_equity=D(1000),
        end_equity=D("1014.69"),
        realised=D("10.00"),
        unrealised=D("5.0"),
        fees=D("0.31"),
        positions=(position,),
        fills=(make_fill("BUY", "2", "100", "0.2"), make_fill("SELL", "1", "110", "0.11")),
        order_rows=(row, never),
        orders=OrderCounts(2, 1, 0, 3, 0),
        rejected_by_code={"-2010": 2, "-1013": 1},
        sample_ns=tuple(START + i * 60 * S for i in range(1, 10)),
        equity=(1000.0, 1010.0, 1005.0, 990.0, 1000.0, 1012.0, 1010.0, 1013.0, 1014.0),
        exposure=(0.0, 200.0, 200.0, 200.0, 200.0, 105.0, 105.0, 105.0, 105.0),
        markout_bps={"1s": 0.5, "10s": -0.25, "60s": None},
        checked=14,
        violated=(),
        trace_hash="f00",
        wall_s=0.5,
        end_equity_by_queue={"optimistic": D(1020), "conservative": D(990)},
    )

    def make(**changes: Any) -> Run:
        return msgspec.structs.replace(run, **changes)

    return make
