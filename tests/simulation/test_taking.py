"""What an order finds when it arrives."""

from decimal import Decimal
from typing import Any

import pytest

from quantcli.model.message import Observation, Refusal
from quantcli.model.order import OrderStatus, OrderType, TimeInForce
from quantcli.simulation.fees import Fees


def parts(report: Any) -> list[tuple[str, str]]:
    """Price and quantity of each fill."""
    return [(str(fill.price), str(fill.qty)) for fill in report.fills]


def test_a_market_order_takes_the_touch_then_a_flat_book(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.5)
    [report] = d.place("BUY", "1.2")
    assert parts(report) == [("100.0", "0.50"), ("100.1", "0.50"), ("100.2", "0.20")]
    assert report.status is OrderStatus.FILLED
    assert not any(fill.is_maker for fill in report.fills)
    assert not d.exchange.queue_mattered


def test_a_sell_walks_down(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, bid_size=0.5)
    [report] = d.place("SELL", "0.7")
    assert parts(report) == [("99.9", "0.50"), ("99.8", "0.20")]


def test_behind_the_touch_a_valid_book_is_used(desk: Any, spot: Any) -> None:
    d = desk(spot)
    # The quote is newer than the book: levels at the touch and better are no longer there.
    d.book([(99.9, 1.0)], [(99.9, 7.0), (100.0, 7.0), (100.4, 0.3), (100.2, 0.1)])
    d.quote(99.8, 100.0, ask_size=0.5)
    [report] = d.place("BUY", "1")
    assert parts(report) == [("100.0", "0.50"), ("100.2", "0.10"), ("100.4", "0.30")]
    assert report.status is OrderStatus.EXPIRED
    assert report.filled == Decimal("0.9")


def test_a_flat_book_ends_after_fifty_levels(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.01)
    [report] = d.place("BUY", "1")
    assert len(report.fills) == 51
    assert report.status is OrderStatus.EXPIRED


def test_where_the_size_is_not_known_everything_fills_at_the_touch(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, 0.0, 0.0)
    [report] = d.place("BUY", "500")
    assert parts(report) == [("100.0", "500")]


def test_a_market_order_in_an_empty_market_expires(desk: Any, spot: Any) -> None:
    [report] = desk(spot).place("BUY", "1")
    assert (report.status, report.fills) == (OrderStatus.EXPIRED, ())


def test_taking_leaves_the_recorded_market_as_it_is(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.5)
    first, second = (d.place("BUY", "0.5")[0] for _ in range(2))
    assert parts(first) == parts(second) == [("100.0", "0.5")]


def test_a_marketable_limit_takes_up_to_its_price_and_rests(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.5)
    [report] = d.place("BUY", "2", "100.1")
    assert parts(report) == [("100.0", "0.50"), ("100.1", "0.50")]
    assert report.status is OrderStatus.PARTIALLY_FILLED
    [order] = d.exchange.open_orders()
    assert (order.filled, order.price) == (Decimal(1), Decimal("100.1"))


def test_recorded_sizes_are_rounded_down_to_lots(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.509)
    [report] = d.place("BUY", "1", "100.0")
    assert parts(report) == [("100.0", "0.50")]


def test_a_price_between_ticks_is_moved_against_the_taker(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.92, 99.98)
    assert d.place("BUY", "0.1")[0].fills[0].price == Decimal("100.0")
    assert d.place("SELL", "0.1")[0].fills[0].price == Decimal("99.9")


@pytest.mark.parametrize(
    "terms",
    [{"type": OrderType.IMMEDIATE_OR_CANCEL}, {"time_in_force": TimeInForce.IOC}],
)
def test_ioc_takes_what_is_there_and_expires(desk: Any, spot: Any, terms: dict[str, Any]) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.5)
    [report] = d.place("BUY", "2", "100.0", **terms)
    assert (report.status, report.filled) == (OrderStatus.EXPIRED, Decimal("0.5"))
    assert d.exchange.open_orders() == []


@pytest.mark.parametrize(
    "terms",
    [{"type": OrderType.FILL_OR_KILL}, {"time_in_force": TimeInForce.FOK}],
)
def test_fok_takes_all_or_nothing(desk: Any, spot: Any, terms: dict[str, Any]) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, ask_size=0.5)
    [killed] = d.place("BUY", "0.6", "100.0", **terms)
    assert (killed.status, killed.fills) == (OrderStatus.EXPIRED, ())
    [filled] = d.place("BUY", "0.6", "100.1", **terms)
    assert (filled.status, filled.filled) == (OrderStatus.FILLED, Decimal("0.6"))


def test_post_only_is_refused_where_it_would_take(desk: Any, spot: Any, perp: Any) -> None:
    for meta, code in ((spot, -2010), (perp, -5022)):
        d = desk(meta)
        d.quote(99.0, 100.0)
        [refused] = d.place("BUY", "0.1", "100.0", type=OrderType.LIMIT_MAKER)
        assert isinstance(refused, Refusal)
        assert (refused.request, refused.code) == ("place", code)
        [rests] = d.place("BUY", "0.1", "99.5", type=OrderType.LIMIT_MAKER)
        assert isinstance(rests, Observation)
        assert rests.status is OrderStatus.NEW


def test_fees_are_a_part_of_the_notional_in_quote_currency(desk: Any, spot: Any) -> None:
    d = desk(
        spot, fees=Fees(maker=Decimal("-0.0001"), taker=Decimal("0.001")), balances={"USDT": Decimal(1000)}
    )
    d.quote(99.9, 100.0)
    [taken] = d.place("BUY", "0.5")
    d.place("BUY", "0.5", "99.9")
    [made] = d.trade(99.8, 5.0)
    assert [(f.fee, f.fee_asset) for f in taken.fills] == [(Decimal("0.05"), "USDT")]
    assert [(f.fee, f.fee_asset) for f in made.fills] == [(Decimal("-0.004995"), "USDT")]
    usdt = next(b for b in d.exchange.balances() if b.asset == "USDT")
    assert usdt.free == Decimal(1000) - 50 - Decimal("49.95") - Decimal("0.05") + Decimal("0.004995")
    assert usdt.locked == 0
