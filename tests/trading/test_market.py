"""What `m` shows, and what it notes of being read."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantcli.errors import StrategyError
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import Bar, OrderBook
from quantcli.trading import ta
from quantcli.trading.market import Market, Reads


@pytest.fixture
def m(rules: Callable[..., SymbolMetadata], view: Any) -> Market:
    view.show("BTC/USDT", 100.0, 101.0, 3.0, 1.0)
    view.trades["BTC/USDT"] = 100.5
    view.books["BTC/USDT"] = OrderBook("BTC/USDT")
    view.positions["BTC/USDT"] = Decimal("0.5")
    view.prices["BTC/USDT"] = Decimal(99)
    return Market(rules(min_qty=Decimal("0.002")), view)


@pytest.mark.parametrize(
    ("name", "value", "reads"),
    [
        ("best_bid", 100.0, Reads.PRICE),
        ("best_ask", 101.0, Reads.PRICE),
        ("mid", 100.5, Reads.PRICE),
        ("spread", 1.0, Reads.PRICE),
        ("bid_size", 3.0, Reads.PRICE | Reads.SIZE),
        ("ask_size", 1.0, Reads.PRICE | Reads.SIZE),
        ("imbalance", 0.75, Reads.PRICE | Reads.SIZE),
        ("last", 100.5, Reads.LAST),
        ("bar", None, Reads.BAR),
        ("now", 1_000_000_000_000, Reads.TIME),
        ("position", 0.5, Reads.POSITION),
        ("flat", False, Reads.POSITION),
        ("avg_price", 99.0, Reads.POSITION),
        ("equity", 10_000.0, Reads.POSITION | Reads.PRICE),
    ],
)
def test_a_property_shows_the_view_and_notes_that_it_was_read(
    m: Market, name: str, value: object, reads: int
) -> None:
    assert m.reads == 0
    assert getattr(m, name) == value
    assert m.reads == reads


def test_the_book(m: Market, view: Any) -> None:
    assert m.book is view.books["BTC/USDT"]
    assert m.reads == Reads.BOOK


def test_the_exchanges_steps(m: Market) -> None:
    assert (m.symbol, m.tick, m.lot, m.min_size) == ("BTC/USDT", 0.01, 0.001, 0.002)


def test_before_the_first_quote(rules: Callable[..., SymbolMetadata], view: Any) -> None:
    m = Market(rules(), view)
    assert (m.best_bid, m.best_ask, m.mid, m.spread, m.bid_size, m.last, m.imbalance) == (
        0,
        0,
        0,
        0,
        0,
        0,
        0.5,
    )
    assert not m.ready
    with pytest.raises(StrategyError, match=r"test_market\.py:\d+: '50 USDT' has no quantity yet"):
        m.quantity("50 USDT")


def test_less_than_a_lot_is_flat(m: Market, view: Any) -> None:
    view.positions["BTC/USDT"] = Decimal("-0.0009")
    assert m.flat


def test_quantity_is_taken_at_the_mid(m: Market) -> None:
    assert m.quantity("201 USDT") == pytest.approx(2.0)
    assert m.quantity(0.25) == 0.25
    with pytest.raises(StrategyError, match="'5 EUR' is not a size on BTC/USDT"):
        m.quantity("5 EUR")


def test_it_is_ready_when_quoted_and_warm(m: Market, view: Any, bar: Callable[..., Bar]) -> None:
    quotes = dict(view.quotes)
    view.quotes.clear()
    assert not m.ready
    view.quotes.update(quotes)
    assert m.ready
    fast, slow = m.use(ta.SMA(2)), m.use(ta.SMA(3))
    assert m.bars_needed == 3
    for n in range(3):
        assert not m.ready
        m.on_bar(bar(n, 100.0 + n))
    assert m.ready
    assert (fast.value, slow.value) == (101.5, 101.0)
    assert m.bar == bar(2, 102.0)


def test_a_strategy_keeps_what_it_likes_on_it(m: Market) -> None:
    m.fast = 7
    assert m.fast == 7


def test_a_misspelt_name_is_an_attribute_error(m: Market) -> None:
    with pytest.raises(AttributeError, match="best_bit"):
        m.best_bit  # noqa: B018


def test_hold_is_a_wish(m: Market) -> None:
    wish = m.hold("100 USDT", tolerance="10 %")
    assert (wish.slot, wish.target, wish.tolerance) == ("hold", "100 USDT", 0.1)
