"""When requests arrive, what reports say about time, and what is remembered."""

from decimal import Decimal
from typing import Any

from quantcli.clock import VirtualClock
from quantcli.model.instrument import Side
from quantcli.model.market import Trade
from quantcli.model.message import Absence, Cancel, Lookup, Observation, Place
from quantcli.model.order import (
    AttemptState,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.simulation.latency import Latency, Line
from quantcli.simulation.matching import QueueModel


def test_a_request_arrives_after_both_latencies(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=100, feed_ns=20))
    d.quote(99.9, 100.0)
    sent = d.clock.now_ns()
    d.exchange.send(Lookup("o1", d.symbol))
    assert d.exchange.next_due() == sent + 120
    assert d.exchange.advance(sent + 119) == []
    assert d.exchange.advance(sent + 120) == [Absence("o1", sent + 100)]
    assert d.exchange.next_due() is None


def test_jitter_is_seeded_bounded_and_never_reorders() -> None:
    def arrivals(seed: int) -> list[int]:
        line = Line(Latency(order_ns=1000, feed_ns=10, jitter=True), seed)
        for now_ns in range(0, 2000, 20):
            line.send(Cancel("x", "BTC/USDT"), now_ns)
        due = []
        while (at_ns := line.next_due()) is not None:
            due.append(at_ns)
            line.take()
        return due

    once = arrivals(1)
    assert once == arrivals(1) != arrivals(2)
    assert once == sorted(once)
    assert all(at_ns >= sent + 1010 for at_ns, sent in zip(once, range(0, 2000, 20), strict=True))
    assert max(once) <= 1980 + 1510
    assert once[0] != 1010


def test_a_row_is_handled_after_all_that_was_due_before_it(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=3))
    d.quote(99.9, 100.0)
    order = StandardOrder(d.symbol, Side.BUY, OrderType.MARKET, Decimal("0.1"))
    d.clock.advance_to(10)
    d.exchange.send(_place("a", order))  # due at 13
    d.clock.advance_to(12)
    assert d.quote(109.9, 110.0) == []  # at 13: still before it
    d.clock.advance_to(13)
    [report] = d.quote(119.9, 120.0)  # at 14
    assert report.fills[0].price == Decimal("110.0")


def test_fills_carry_the_exchanges_time_and_their_own_numbers(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=100, feed_ns=20), queue=QueueModel.OPTIMISTIC)
    d.quote(99.9, 100.0)
    sent = d.clock.now_ns()
    [taken] = d.place("BUY", "1", "100.0")
    assert (taken.venue_ns, taken.fills[0].exchange_ns) == (sent + 100, sent + 100)
    d.place("BUY", "1", "99.9")
    [made] = d.trade(99.9, 0.5)
    assert made.fills[0].exchange_ns == d.clock.now_ns() - 20
    assert [taken.fills[0].trade_id, made.fills[0].trade_id] == ["1", "2"]
    assert [taken.exchange_order_id, made.exchange_order_id] == ["1", "2"]


def test_a_lookup_shows_all_fills_of_open_and_of_ended_orders(desk: Any, spot: Any) -> None:
    d = desk(spot, queue=QueueModel.OPTIMISTIC)
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.9")
    d.trade(99.9, 0.5)
    d.trade(99.9, 0.2)
    [live] = d.lookup("o1")
    assert (live.status, live.filled, len(live.fills)) == (
        OrderStatus.PARTIALLY_FILLED,
        Decimal("0.7"),
        2,
    )
    [cancelled] = d.cancel("o1")
    assert (cancelled.status, cancelled.filled) == (OrderStatus.CANCELED, Decimal("0.7"))
    [ended] = d.lookup("o1")
    assert (ended.status, ended.fills) == (OrderStatus.CANCELED, live.fills)


def test_an_order_is_only_found_in_its_own_market(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.0")
    [answer] = d.send(Lookup("o1", "ETH/USDT"))
    assert isinstance(answer, Absence)
    assert d.send(Cancel("o1", "ETH/USDT"))[0].code == -2011


def test_after_a_restart_live_orders_rest_again_and_numbers_go_on(desk: Any, spot: Any) -> None:
    before = desk(spot, queue=QueueModel.OPTIMISTIC)
    before.quote(99.9, 100.0)
    before.place("BUY", "1", "99.9")
    [partial] = before.trade(99.9, 0.4)
    [done] = before.place("BUY", "0.1")

    after = desk(spot, balances={"USDT": Decimal(1000)}, clock=VirtualClock(500))
    after.exchange.adopt(_state(partial, "99.9", "1"), partial.fills)
    after.exchange.adopt(_state(done, None, "0.1"), done.fills)
    [order] = after.exchange.open_orders()
    assert (order.client_order_id, order.filled) == ("o1", Decimal("0.4"))
    assert after.exchange.balances()[0].locked == Decimal("59.94")
    assert after.lookup("o2")[0].fills == done.fills

    after.clock.advance_to(600)
    [report] = after.trade(99.8, 5.0)
    assert (report.status, report.filled, report.fills[0].trade_id) == (OrderStatus.FILLED, Decimal(1), "3")
    after.quote(99.8, 100.0)
    [fresh] = after.place("BUY", "0.1", "99.0")
    assert fresh.exchange_order_id == "3"


def test_an_order_that_was_never_accepted_is_not_adopted(desk: Any, spot: Any) -> None:
    d = desk(spot)
    order = StandardOrder(d.symbol, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))
    d.exchange.adopt(OrderState("i", 1, "o1", order, 1, 0), ())
    assert d.exchange.open_orders() == []
    assert isinstance(d.lookup("o1")[0], Absence)


def test_by_columns_too_an_unknown_market_is_only_refused(desk: Any, spot: Any, chunk: Any) -> None:
    d = desk(spot)
    d.exchange.load(chunk([Trade(d.symbol, 0, 5, 1, 100.0, 1.0, 0, 0)])[0])
    order = StandardOrder("DOGE/USDT", Side.BUY, OrderType.MARKET, Decimal(1))
    assert d.send(_place("x", order))[0].code == -1121
    assert d.exchange.next_row(0) == 1


def _place(client_order_id: str, order: StandardOrder) -> Any:
    return Place(client_order_id, order, 2**62)


def _state(seen: Observation, price: str | None, qty: str) -> OrderState:
    kind = OrderType.LIMIT if price else OrderType.MARKET
    order = StandardOrder("BTC/USDT", Side.BUY, kind, Decimal(qty), Decimal(price) if price else None)
    return OrderState(
        "intent",
        1,
        seen.client_order_id,
        order,
        1,
        0,
        AttemptState.LIVE,
        seen.status,
        seen.exchange_order_id,
        seen.filled,
        seen.filled,
    )
