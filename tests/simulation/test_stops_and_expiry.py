"""Stops, orders with an end, orders that only reduce."""

from decimal import Decimal
from typing import Any

import pytest

from quantcli.model.message import Refusal
from quantcli.model.order import OrderStatus, OrderType, TimeInForce
from quantcli.simulation.latency import Latency


def stop(desk: Any, side: str, stop_price: str, price: str | None = None, qty: str = "1") -> Any:
    kind = OrderType.STOP_MARKET if price is None else OrderType.STOP_LIMIT
    return desk.place(side, qty, price, type=kind, stop_price=Decimal(stop_price))


def test_a_stop_market_takes_at_the_row_that_triggers_it(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.trade(100.0, 1.0)
    d.quote(99.9, 100.0, 5.0, 5.0)
    [accepted] = stop(d, "SELL", "99.0")
    assert accepted.status is OrderStatus.NEW
    assert d.quote(98.9, 99.5, 5.0, 5.0) == []  # quotes do not trigger where trades are known
    assert d.trade(99.1, 1.0) == []
    [report] = d.trade(99.0, 1.0)
    assert report.status is OrderStatus.FILLED
    assert [(f.price, f.is_maker) for f in report.fills] == [(Decimal("98.9"), False)]


def test_a_buy_stop_triggers_on_the_way_up(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.trade(100.0, 1.0)
    d.quote(99.9, 100.0, 5.0, 5.0)
    stop(d, "BUY", "101.0")
    assert d.trade(100.9, 1.0) == []
    assert d.trade(101.0, 1.0)[0].status is OrderStatus.FILLED


def test_a_triggered_stop_limit_rests_where_it_finds_nobody(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.trade(100.0, 1.0)
    d.quote(98.0, 100.0)
    stop(d, "SELL", "99.0", price="98.5")
    assert d.trade(99.0, 1.0) == []
    [report] = d.trade(98.6, 1.0)
    assert report.status is OrderStatus.FILLED
    assert report.fills[0].is_maker
    assert report.fills[0].price == Decimal("98.5")


def test_without_trades_the_touch_triggers(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(100.0, 100.0, 0.0, 0.0)
    stop(d, "SELL", "99.0")
    assert d.quote(99.5, 99.5, 0.0, 0.0) == []
    [report] = d.quote(98.7, 98.7, 0.0, 0.0)
    assert report.fills[0].price == Decimal("98.7")


@pytest.mark.parametrize(
    ("side", "price"), [("BUY", "100.0"), ("BUY", "99.0"), ("SELL", "100.0"), ("SELL", "101.0")]
)
def test_a_stop_that_the_price_has_passed_is_refused(
    desk: Any, spot: Any, perp: Any, side: str, price: str
) -> None:
    for meta, code in ((spot, -2010), (perp, -2021)):
        d = desk(meta)
        d.trade(100.0, 1.0)
        [refused] = stop(d, side, price)
        assert isinstance(refused, Refusal)
        assert refused.code == code


def test_a_triggered_stop_that_cannot_be_paid_for_expires(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(102)})
    d.trade(100.0, 1.0)
    stop(d, "BUY", "101.0")
    d.quote(109.0, 110.0)
    [report] = d.trade(110.0, 1.0)
    assert (report.status, report.fills) == (OrderStatus.EXPIRED, ())
    assert next(b for b in d.exchange.balances() if b.asset == "USDT").free == Decimal(102)


def test_a_good_till_date_order_expires_at_the_exchanges_time(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=10, feed_ns=5))
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.9", time_in_force=TimeInForce.GTD, expire_ns=1000)
    assert d.exchange.next_due() == 1005
    assert d.exchange.advance(1004) == []
    [report] = d.exchange.advance(1005)
    assert (report.status, report.venue_ns) == (OrderStatus.EXPIRED, 1000)
    assert d.exchange.next_due() is None


def test_an_order_whose_date_has_passed_is_refused(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0)
    [refused] = d.place("BUY", "1", "99.9", time_in_force=TimeInForce.GTD, expire_ns=2)
    assert refused.code == -1130


def test_reduce_only_needs_a_position_and_never_turns_it(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.quote(99.5, 100.0, 50.0, 50.0)
    [refused] = d.place("SELL", "1", reduce_only=True)
    assert refused.code == -2022
    d.place("BUY", "1")
    [report] = d.place("SELL", "3", reduce_only=True)
    assert (report.status, report.filled) == (OrderStatus.EXPIRED, Decimal(1))


def test_resting_reduce_only_orders_end_with_the_position(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.quote(99.5, 100.0, 50.0, 50.0)
    d.place("BUY", "1")
    d.place("SELL", "1", "105", reduce_only=True)
    stop(d, "SELL", "90.0")
    assert len(d.exchange.open_orders()) == 2
    sold, ended = d.place("SELL", "1")
    assert sold.status is OrderStatus.FILLED
    assert (ended.client_order_id, ended.status) == ("o2", OrderStatus.EXPIRED)
    assert [o.client_order_id for o in d.exchange.open_orders()] == ["o3"]
