"""When a resting order is filled, under each queue model."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.instrument import Side
from quantcli.model.order import OrderStatus
from quantcli.simulation.matching import QueueModel

EVERY_MODEL = pytest.mark.parametrize("queue", list(QueueModel))


def filled(reports: Any) -> list[str]:
    return [str(fill.qty) for report in reports for fill in report.fills]


def resting_buy(desk: Any, spot: Any, queue: QueueModel, size: float = 2.0, price: str = "99.9") -> Any:
    """A buy of 1.00 at 99.9, where `size` is displayed."""
    d = desk(spot, queue=queue)
    d.quote(99.9, 100.0, bid_size=size)
    [report] = d.place("BUY", "1", price)
    assert report.status is OrderStatus.NEW
    return d


@EVERY_MODEL
def test_a_trade_through_the_price_fills_up_to_its_size(desk: Any, spot: Any, queue: QueueModel) -> None:
    d = resting_buy(desk, spot, queue)
    [report] = d.trade(99.8, 0.4)
    assert (report.status, filled([report])) == (OrderStatus.PARTIALLY_FILLED, ["0.40"])
    [report] = d.trade(99.8, 5.0)
    assert (report.status, filled([report])) == (OrderStatus.FILLED, ["0.60"])
    assert report.fills[0].is_maker
    assert report.fills[0].price == Decimal("99.9")
    assert not d.exchange.queue_mattered


@EVERY_MODEL
def test_an_opposite_quote_at_the_price_fills_up_to_its_size(desk: Any, spot: Any, queue: QueueModel) -> None:
    d = resting_buy(desk, spot, queue)
    assert filled(d.quote(99.8, 99.9, ask_size=0.3)) == ["0.30"]
    assert filled(d.quote(99.7, 99.8, ask_size=0.0)) == ["0.70"]
    assert not d.exchange.queue_mattered


@EVERY_MODEL
def test_a_quote_that_shows_nothing_new_fills_nothing(desk: Any, spot: Any, queue: QueueModel) -> None:
    d = desk(spot, queue=queue)
    d.quote(99.8, 99.9, ask_size=0.5)
    [taken] = d.place("BUY", "1", "99.9")
    assert taken.filled == Decimal("0.5")
    assert d.quote(99.7, 99.9, ask_size=0.5) == []
    assert d.quote(99.7, 99.9, ask_size=0.3) == []
    assert filled(d.quote(99.7, 99.9, ask_size=0.4)) == ["0.10"]
    d.quote(99.7, 100.0, ask_size=0.4)
    assert filled(d.quote(99.7, 99.9, ask_size=0.2)) == ["0.20"]


@EVERY_MODEL
def test_sells_mirror_buys(desk: Any, spot: Any, queue: QueueModel) -> None:
    d = desk(spot, queue=queue)
    d.quote(99.9, 100.0, ask_size=2.0)
    d.place("SELL", "1", "100.0")
    assert d.trade(99.9, 9.0) == []
    assert filled(d.trade(100.1, 0.4)) == ["0.40"]
    assert filled(d.quote(100.0, 100.1, bid_size=0.5)) == ["0.50"]


def test_optimistic_fills_at_the_touch(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.OPTIMISTIC)
    assert filled(d.trade(99.9, 0.4)) == ["0.40"]
    assert d.exchange.queue_mattered


def test_conservative_does_not_fill_at_the_touch(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.CONSERVATIVE)
    assert filled(d.trade(99.9, 1000.0)) == []
    assert d.exchange.queue_mattered


def test_volume_waits_for_what_was_displayed(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.VOLUME, size=2.0)
    assert filled(d.trade(99.9, 1.5)) == []
    assert filled(d.trade(99.9, 0.7)) == ["0.20"]
    assert filled(d.trade(99.9, 0.3)) == ["0.30"]
    assert d.exchange.queue_mattered


def test_a_trade_by_a_taker_of_our_own_side_does_not_reach_us(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.OPTIMISTIC)
    assert filled(d.trade(99.9, 1.0, Side.BUY)) == []
    assert filled(d.trade(99.9, 1.0, Side.SELL)) == ["1"]


def test_a_smaller_display_shortens_the_queue_and_a_larger_does_not_lengthen_it(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.VOLUME, size=2.0)
    d.quote(99.9, 100.0, bid_size=0.5)
    d.quote(99.9, 100.0, bid_size=9.0)
    assert filled(d.trade(99.9, 0.6)) == ["0.10"]


def test_nothing_is_ahead_once_the_best_price_fell_behind(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.VOLUME, size=2.0)
    d.quote(99.8, 100.0, bid_size=9.0)
    d.quote(99.9, 100.0, bid_size=9.0)
    assert filled(d.trade(99.9, 0.6)) == ["0.60"]


def test_nothing_is_ahead_of_an_order_that_improves_the_touch(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.VOLUME)
    d.quote(99.8, 100.0, bid_size=9.0)
    d.place("BUY", "1", "99.9")
    assert filled(d.trade(99.9, 0.6)) == ["0.60"]


def test_behind_the_touch_without_a_book_the_queue_is_unknown_until_the_level_is_best(
    desk: Any, spot: Any
) -> None:
    d = resting_buy(desk, spot, QueueModel.VOLUME, price="99.7")
    assert filled(d.trade(99.7, 1000.0)) == []
    d.quote(99.7, 100.0, bid_size=0.5)
    assert filled(d.trade(99.7, 0.6)) == ["0.10"]


def test_a_book_shows_the_queue_behind_the_touch(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.VOLUME)
    d.book([(99.9, 1.0), (99.7, 0.8), (99.5, 3.0)], [(100.0, 1.0)])
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.7")
    d.book([(99.7, 0.2)], last_id=2)
    d.book([(99.7, 5.0)], last_id=3)
    assert filled(d.trade(99.7, 0.3)) == ["0.10"]


def test_a_level_missing_within_the_books_reach_is_empty_and_beyond_it_unknown(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.VOLUME)
    d.book([(99.9, 1.0), (99.5, 3.0)], [(100.0, 1.0)])
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.7")
    d.place("BUY", "1", "99.4")
    assert filled(d.trade(99.7, 0.3)) == ["0.30"]
    assert filled(d.trade(99.4, 1.5)) == ["0.70"]  # the rest of the first; the second does not trade


def test_a_book_with_a_gap_shows_nothing(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.VOLUME)
    d.book([(99.9, 1.0), (99.5, 3.0)], [(100.0, 1.0)])
    d.book([(99.7, 0.1)], last_id=5)
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.7")
    assert filled(d.trade(99.7, 1000.0)) == []


def test_our_orders_share_a_trade_best_price_first_then_oldest(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.OPTIMISTIC)
    d.quote(99.8, 100.0)
    d.place("BUY", "0.3", "99.8")
    d.place("BUY", "0.3", "99.9")
    d.place("BUY", "0.3", "99.8")
    reports = d.trade(99.8, 0.7)
    assert [(r.client_order_id, *filled([r])) for r in reports] == [
        ("o2", "0.3"),
        ("o1", "0.3"),
        ("o3", "0.10"),
    ]


def test_floats_that_mean_the_same_tick_are_one_price(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.OPTIMISTIC)
    assert filled(d.trade(99.7 + 0.2, 0.4)) == ["0.40"]


rows = st.tuples(st.booleans(), st.integers(997, 1001), st.integers(0, 2), st.integers(0, 300))


@given(st.lists(rows, max_size=30))
def test_the_models_are_bounds_of_each_other(desk: Any, spot: Any, market: list[Any]) -> None:
    """For one order: conservative fills no more than volume, volume no more than optimistic, at any time."""
    desks = [resting_buy(desk, spot, QueueModel(q)) for q in ("conservative", "volume", "optimistic")]
    totals = [Decimal(0)] * 3
    for is_trade, ticks, more, lots in market:
        for i, d in enumerate(desks):
            price, size = ticks / 10, lots / 100
            side = {0: 0, 1: Side.BUY, 2: Side.SELL}[more]
            reports = (
                d.trade(price, size, side)
                if is_trade
                else d.quote(price, price + 0.1 * (1 + more), size, size)
            )
            totals[i] += sum((fill.qty for report in reports for fill in report.fills), Decimal(0))
        assert totals == sorted(totals)
        if not desks[0].exchange.queue_mattered:
            assert len(set(totals)) == 1


def test_queue_places_do_not_drift_with_floats(desk: Any, spot: Any) -> None:
    d = resting_buy(desk, spot, QueueModel.VOLUME, size=0.3)
    assert filled(d.trade(99.9, 0.1) + d.trade(99.9, 0.1) + d.trade(99.9, 0.1)) == []
    assert filled(d.trade(99.9, 0.01)) == ["0.01"]
