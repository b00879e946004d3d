"""New terms for open orders: spot shrinks them in their place, futures queues them anew."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantcli.model.instrument import Side
from quantcli.model.message import Amend, Observation, Refusal, Refused
from quantcli.model.order import OrderStatus, OrderType, StandardOrder
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel


def seen(report: Any) -> tuple[Any, ...]:
    assert isinstance(report, Observation), report
    return report.status, report.filled, report.order.quantity, report.order.price


def refused(report: Any) -> tuple[Any, ...]:
    assert isinstance(report, Refusal), report
    assert report.request == "amend"
    return report.code, report.message


# Spot: "Order Amend Keep Priority".


def test_a_smaller_spot_order_keeps_its_id_its_fills_and_its_place(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, bid_size=2.0)
    d.place("BUY", "3", "99.9")  # 2 ahead
    d.trade(99.9, 2.5)
    [report] = d.amend("o1", "1.5")
    assert seen(report) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.5"), Decimal("1.5"), Decimal("99.9"))
    assert (report.client_order_id, report.exchange_order_id) == ("o1", "1")
    [filled] = d.trade(99.9, 5.0)  # nobody is ahead any more
    assert (filled.status, filled.filled, filled.fills[0].qty) == (OrderStatus.FILLED, Decimal("1.5"), 1)


def test_an_amended_spot_order_stays_ahead_of_the_ones_behind_it(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.OPTIMISTIC)
    d.quote(99.8, 100.0)
    d.place("BUY", "1", "99.9")
    d.place("BUY", "1", "99.9")
    d.amend("o1", "0.5")
    [first] = d.trade(99.9, 0.5)
    assert (first.client_order_id, first.status) == ("o1", OrderStatus.FILLED)


@pytest.mark.parametrize(
    ("qty", "price", "code", "message"),
    [
        ("2", None, -2038, "The requested action would change no state; rejecting."),
        ("2.1", None, -2038, "Order amend (quantity increase) is not supported."),
        ("0.5", None, -2038, "Price * QTY is zero or less."),
        ("0.4", None, -2038, "Price * QTY is zero or less."),
        ("1", "99.8", -1106, "Parameter 'price' sent when not required."),
        ("0.001", None, -1013, "Filter failure: LOT_SIZE"),
        ("0.05", None, -1013, "Filter failure: NOTIONAL"),
    ],
)
def test_what_spot_does_not_amend_stays_as_it_is(
    desk: Any, spot: Any, qty: str, price: str | None, code: int, message: str
) -> None:
    d = desk(msgspec.structs.replace(spot, min_notional=Decimal(10)), queue=QueueModel.OPTIMISTIC)
    d.quote(99.9, 100.0)
    d.place("BUY", "2", "99.9")
    d.trade(99.9, 0.5)
    before = d.exchange.open_orders(), d.exchange.balances()
    [report] = d.amend("o1", qty, price, number=3)
    assert refused(report) == (code, message)
    assert (report.kind, report.number) == (Refused.FINAL, 3)
    assert (d.exchange.open_orders(), d.exchange.balances()) == before


def test_a_waiting_spot_stop_can_be_made_smaller(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"BTC": Decimal(3)})
    d.trade(100.0, 1.0)
    d.quote(99.9, 100.0, 9.0, 9.0)
    d.place("SELL", "3", type=OrderType.STOP_MARKET, stop_price=Decimal(99))
    [report] = d.amend("o1", "2")
    assert seen(report) == (OrderStatus.NEW, 0, Decimal(2), None)
    [sold] = d.trade(99.0, 1.0)
    assert (sold.status, sold.filled) == (OrderStatus.FILLED, Decimal(2))


def test_a_smaller_spot_order_frees_what_it_no_longer_needs(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(1000)}, fees=Fees(Decimal(0), Decimal("0.001")))
    d.quote(99.9, 100.0)
    d.place("BUY", "5", "99.0")
    d.amend("o1", "2")
    [usdt] = [b for b in d.exchange.balances() if b.asset == "USDT"]
    assert (usdt.free, usdt.locked) == (Decimal("801.802"), Decimal("198.198"))
    d.cancel("o1")
    assert [b.free for b in d.exchange.balances() if b.asset == "USDT"] == [Decimal(1000)]


# Futures: "Modify Order".


def test_a_futures_order_takes_price_and_total_and_queues_anew(desk: Any, perp: Any) -> None:
    d = desk(perp, queue=QueueModel.OPTIMISTIC)
    d.quote(99.0, 100.0)
    d.place("BUY", "1", "99.5")
    d.place("BUY", "1", "99.5")
    [report] = d.amend("o1", "1.5")
    assert seen(report) == (OrderStatus.NEW, 0, Decimal("1.5"), Decimal("99.5"))
    [other] = d.trade(99.5, 1.0)
    assert other.client_order_id == "o2"
    d.amend("o1", "1.5", "98.5")
    assert d.trade(99.0, 1.0) == []
    [filled] = d.trade(98.5, 2.0)
    assert (filled.client_order_id, filled.filled) == ("o1", Decimal("1.5"))


def test_a_futures_order_joins_the_queue_of_its_new_price(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.quote(99.0, 100.0, bid_size=2.0)
    d.place("BUY", "1", "99.0")
    d.trade(99.0, 1.5)
    d.amend("o1", "0.9")  # 0.5 were ahead, now 2 are: also a smaller one is queued anew
    assert d.trade(99.0, 1.9) == []
    assert d.trade(99.0, 0.5)[0].filled == Decimal("0.4")


def test_a_futures_order_amended_through_the_touch_takes(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.quote(99.0, 100.0, ask_size=1.0)
    d.place("BUY", "2", "99.0")
    [report] = d.amend("o1", "2", "100.0")
    assert seen(report) == (OrderStatus.PARTIALLY_FILLED, 1, Decimal(2), Decimal(100))
    assert [(f.price, f.is_maker) for f in report.fills] == [(Decimal(100), False)]


@pytest.mark.parametrize("qty", ["0.5", "0.2"])
def test_a_futures_order_amended_to_what_it_has_filled_ends(desk: Any, perp: Any, qty: str) -> None:
    d = desk(perp, queue=QueueModel.OPTIMISTIC)
    d.quote(99.0, 100.0)
    d.place("BUY", "1", "99.0")
    d.trade(99.0, 0.5)
    [report] = d.amend("o1", qty)
    assert seen(report) == (OrderStatus.CANCELED, Decimal("0.5"), Decimal(1), Decimal(99))
    assert d.exchange.open_orders() == []


def test_a_post_only_futures_order_amended_to_take_ends(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.quote(99.0, 100.0)
    d.place("BUY", "1", "99.0", type=OrderType.LIMIT_MAKER)
    [report] = d.amend("o1", "1", "100.0")
    assert seen(report) == (OrderStatus.CANCELED, 0, Decimal(1), Decimal(99))


@pytest.mark.parametrize(
    ("qty", "price", "code", "message"),
    [
        ("2", None, -5027, "No need to modify the order."),
        ("0.05", None, -5029, "Order's notional must be no smaller than 10"),
        ("2", "99.3", -4014, "Price not increased by tick size."),
        ("21", None, -2019, "Margin is insufficient."),
        ("2", "-1", -4013, "Price less than min price."),
    ],
)
def test_what_futures_does_not_amend_stays_as_it_is(
    desk: Any, perp: Any, qty: str, price: str | None, code: int, message: str
) -> None:
    d = desk(msgspec.structs.replace(perp, min_notional=Decimal(10)), balances={"USDT": Decimal(100)})
    d.quote(99.0, 100.0)
    d.place("BUY", "2", "99.0")
    before = d.exchange.open_orders(), d.exchange.balances()
    [report] = d.amend("o1", qty, price)
    assert refused(report) == (code, message)
    assert (d.exchange.open_orders(), d.exchange.balances()) == before


def test_margin_is_asked_for_the_difference_only(desk: Any, perp: Any) -> None:
    d = desk(perp, balances={"USDT": Decimal(100)})
    d.quote(99.0, 100.0)
    d.place("BUY", "19", "99.0")
    [report] = d.amend("o1", "20")
    assert report.order.quantity == Decimal(20)
    [usdt] = d.exchange.balances()
    assert usdt.available == Decimal(100) - Decimal(1980) / 20


def test_futures_amends_limit_orders_only(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.trade(100.0, 1.0)
    d.place("BUY", "1", type=OrderType.STOP_MARKET, stop_price=Decimal(101))
    assert refused(d.amend("o1", "2")[0]) == (-5025, "Only limit order is supported.")


# Both.


def test_an_order_that_is_not_open_is_not_known(desk: Any, spot: Any, perp: Any) -> None:
    for meta, code, message in ((spot, -2038, "Unknown order sent."), (perp, -2013, "Order does not exist.")):
        d = desk(meta)
        d.quote(99.0, 100.0, 9.0, 9.0)
        d.place("BUY", "1")
        order = StandardOrder(d.symbol, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))
        for name in ("o1", "nobody"):
            [report] = d.send(Amend(name, order, 2, 2**62))
            assert report == Refusal(name, "amend", code, message, Refused.UNKNOWN_ORDER, number=2)


def test_an_amendment_that_arrives_after_its_deadline_is_refused(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=100))
    d.quote(99.5, 100.0)
    d.place("BUY", "1", "99.0")
    order = StandardOrder(d.symbol, Side.BUY, OrderType.LIMIT, Decimal("0.5"), Decimal(99))
    [late] = d.send(Amend("o1", order, 4, d.clock.now_ns() + 99))
    assert (late.code, late.kind, late.number) == (-1021, Refused.BUSY, 4)
    [just] = d.send(Amend("o1", order, 5, d.clock.now_ns() + 100))
    assert just.order == order


def test_answers_show_the_terms_in_force_and_fills_do_not(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.OPTIMISTIC)
    d.quote(99.9, 100.0)
    [placed] = d.place("BUY", "2", "99.0")
    assert placed.order == StandardOrder(d.symbol, Side.BUY, OrderType.LIMIT, Decimal(2), Decimal(99))
    d.amend("o1", "1")
    [found] = d.lookup("o1")
    assert found.order.quantity == Decimal(1)
    [fill] = d.trade(99.0, 0.5)
    assert fill.order is None
