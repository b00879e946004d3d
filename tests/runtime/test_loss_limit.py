"""`max_loss` holds in a run: what rests is cancelled, and nothing that adds exposure comes after."""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from quantcli import Strategy, keep
from quantcli.config import LimitsConfig, Money
from quantcli.model.instrument import Side
from quantcli.model.order import OrderStatus
from quantcli.runtime.simulate import Job, simulate


class Buyer(Strategy):
    def desired(self, m):
        yield keep.bid("bid", "200 USDT", m.best_bid, tolerance=1)
        yield keep.bid("deep", "200 USDT", m.best_bid * 0.9, tolerance=400)


async def test_a_loss_beyond_its_limit_ends_trading(job: Callable[..., Job]) -> None:
    free = await simulate(job(Buyer), all_queues=False, progress=lambda _: None)
    limits = LimitsConfig(max_loss=Money(Decimal("0.2"), "USDT"))
    held = await simulate(replace(job(Buyer), limits=limits), all_queues=False, progress=lambda _: None)

    assert 0 < len(held.fills) < len(free.fills)
    assert held.rejected_by_code["risk halt"] > 0
    assert all(row.status is not OrderStatus.NEW for row in held.order_rows), "nothing is left resting"
    last_fill = max(fill.exchange_ns for fill in held.fills)
    assert not [r for r in held.order_rows if r.side is Side.BUY and r.placed_ns > last_fill + 2_000_000_000]
    assert not held.violated
