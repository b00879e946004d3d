"""The example with a bracket, on the shipped recording: what it buys is sold by its stop or at its target."""

from decimal import Decimal
from pathlib import Path

from quantcli.cli.terms import Terms, prepare
from quantcli.config import Config
from quantcli.model.instrument import Side
from quantcli.model.order import OrderType
from quantcli.runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]


async def test_every_position_is_closed_by_one_of_its_exits_and_never_oversold() -> None:
    terms = Terms(ROOT / "recordings", str(ROOT / "strategies" / "breakout_bracket.py"))
    run = await simulate(prepare(terms, Config()), all_queues=False, progress=lambda _: None)
    assert not run.violated
    assert not run.rejected_by_code
    assert run.waiting == {}

    sold_as = {row.type for row in run.order_rows if row.side is Side.SELL and row.filled}
    assert sold_as == {OrderType.STOP_MARKET, OrderType.LIMIT}, "stops and targets are part of the question"

    held = Decimal(0)
    for fill in run.fills:
        held += fill.qty if fill.side is Side.BUY else -fill.qty
        assert held >= 0
    assert held == sum(position.qty for position in run.positions)
