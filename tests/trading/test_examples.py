"""The strategies of the README: short, and right on any market."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.market import Bar
from quantcli.trading.loader import load_strategy
from quantcli.trading.market import Market
from quantcli.trading.wishes import Bracket, Hold, Keep

FOLDER = Path(__file__).resolve().parents[2] / "strategies"
Rules = Callable[..., SymbolMetadata]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda p: p.name)
def test_each_is_short_and_names_no_market(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 40
    strategy = load_strategy(path)
    assert strategy.symbols == ()
    assert all(param.help for param in strategy.params().values())


def quotes(rules: SymbolMetadata, view: Any, position: str) -> dict[str, Keep]:
    """What TouchMaker wishes on a market quoted 100.00 / 100.10."""
    name = rules.symbol.name
    view.show(name, 100.0, 100.10)
    view.positions[name] = Decimal(position)
    maker = load_strategy(FOLDER / "touch_maker.py")()
    wishes = list(maker.desired(Market(rules, view)))
    assert all(isinstance(wish, Keep) for wish in wishes)
    return {wish.slot: wish for wish in wishes if isinstance(wish, Keep)}


def test_touch_maker_quotes_beside_the_touch(rules: Rules, view: Any) -> None:
    wishes = quotes(rules(), view, "0")
    assert {name: wish.side for name, wish in wishes.items()} == {"bid": Side.BUY, "ask": Side.SELL}
    assert [float(wish.price) for wish in wishes.values()] == pytest.approx([99.99, 100.11])
    assert wishes["bid"].post_only


@pytest.mark.parametrize(("position", "sides"), [("3.9", {"bid", "ask"}), ("4", {"ask"}), ("-4", {"bid"})])
def test_touch_maker_stops_adding_when_it_holds_enough(
    rules: Rules, view: Any, position: str, sides: set[str]
) -> None:
    assert set(quotes(rules("NEXO/USDT:USDT"), view, position)) == sides


def test_ema_cross_is_long_while_the_fast_average_is_above(
    rules: Rules, view: Any, bar: Callable[..., Bar]
) -> None:
    cross = load_strategy(FOLDER / "ema_cross.py")()
    cross.apply_params({"fast": "2", "slow": "5"})
    m = Market(rules(), view)
    cross.setup(m)
    view.show("BTC/USDT", 100.0, 100.10)
    targets = []
    for n, close in enumerate([10.0, 10, 10, 10, 10, 12, 14, 9, 5, 4]):
        m.on_bar(bar(n, close))
        if m.ready:
            (wish,) = cross.desired(m)
            assert isinstance(wish, Hold)
            targets.append(wish.target)
    assert targets == [0, "100 quote", "100 quote", 0, 0, 0]


def test_breakout_bracket_enters_above_the_channel_while_it_holds_nothing(
    rules: Rules, view: Any, bar: Callable[..., Bar]
) -> None:
    breakout = load_strategy(FOLDER / "breakout_bracket.py")()
    breakout.apply_params({"lookback": "3", "risk": "1 %"})
    m = Market(rules(), view)
    breakout.setup(m)
    view.show("BTC/USDT", 100.0, 100.10)
    for n in range(20):
        m.on_bar(bar(n, 100.0 + n % 2, high=103.0, low=99.0))
    assert m.ready
    (wish,) = breakout.desired(m)
    assert isinstance(wish, Bracket)
    assert (wish.entry_stop, wish.take_profit) == (103.01, pytest.approx(103.01 + 2 * 8))
    assert wish.stop_loss == pytest.approx(103.01 - 8)  # twice an average true range of 4
    assert wish.size == 12.5  # 100 USDT are lost over a way of 8
    view.positions["BTC/USDT"] = Decimal(1)
    assert list(breakout.desired(m)) == []
