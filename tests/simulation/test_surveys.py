"""What the exchange states of a market when it is asked for everything."""

from decimal import Decimal
from typing import Any

from quantcli.clock import VirtualClock
from quantcli.model.instrument import Side
from quantcli.model.message import Absence, Lookup, Place, Survey
from quantcli.model.order import AttemptState, OrderState, OrderStatus, OrderType, StandardOrder
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel


def test_a_statement_repeats_what_was_asked_and_when(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=100, feed_ns=20))
    sent = d.clock.now_ns()
    [statement] = d.send(Survey(d.symbol, 17, 23))
    assert (statement.symbol, statement.since_ns, statement.asked_ns) == (d.symbol, 17, 23)
    assert statement.venue_ns == sent + 100


def test_it_lists_the_open_orders_and_the_fills_of_the_market(desk: Any, spot: Any, perp: Any) -> None:
    metas = {meta.symbol.name: meta for meta in (spot, perp)}
    d = desk(spot, instruments=metas, queue=QueueModel.OPTIMISTIC)
    d.quote(99.9, 100.0, 9.0, 9.0)
    [bought] = d.place("BUY", "1")
    d.place("SELL", "1", "105")
    d.place("SELL", "2", "106")
    elsewhere = StandardOrder(perp.symbol.name, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))
    d.send(Place("other", elsewhere, 2**62))
    [sold] = d.trade(105.0, 0.4)
    statement = d.survey()
    assert [(o.client_order_id, o.status, o.filled) for o in statement.orders] == [
        ("o2", OrderStatus.PARTIALLY_FILLED, Decimal("0.4")),
        ("o3", OrderStatus.NEW, 0),
    ]
    assert statement.fills == (*bought.fills, *sold.fills)


def test_fills_are_those_from_the_asked_time_on(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, 9.0, 9.0)
    fills = []
    for _ in range(4):
        fills += d.place("BUY", "1")[0].fills
        d.quote(99.9, 100.0, 9.0, 9.0)
    for first, fill in enumerate(fills):
        assert list(d.survey(fill.exchange_ns).fills) == fills[first:]
        assert list(d.survey(fill.exchange_ns + 1).fills) == fills[first + 1 :]


def test_the_position_of_a_spot_market_is_the_whole_balance(desk: Any, spot: Any) -> None:
    d = desk(
        spot, balances={"BTC": Decimal(3), "USDT": Decimal(1000)}, fees=Fees(Decimal(0), Decimal("0.01"))
    )
    d.quote(99.9, 100.0, 9.0, 9.0)
    d.place("BUY", "1")
    d.place("SELL", "2", "105")
    assert d.survey().position == Decimal(4)


def test_the_position_of_a_futures_market_is_signed(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.quote(99.5, 100.0, 9.0, 9.0)
    assert d.survey().position == 0
    d.place("SELL", "2")
    assert d.survey().position == Decimal(-2)


def test_asking_leaves_no_trace(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(1)})
    before = d.exchange.balances()
    assert d.survey().position == 0
    assert d.exchange.balances() == before


def test_of_a_market_that_does_not_exist_nothing_is_stated(desk: Any, spot: Any) -> None:
    assert desk(spot).send(Survey("DOGE/USDT", 0, 1)) == []


def test_an_absence_repeats_when_it_was_asked(desk: Any, spot: Any) -> None:
    d = desk(spot)
    assert d.send(Lookup("nobody", d.symbol, asked_ns=5)) == [Absence("nobody", d.clock.now_ns(), 5)]


def test_fills_from_before_a_restart_are_stated_too(desk: Any, spot: Any) -> None:
    before = desk(spot)
    before.quote(99.9, 100.0, 9.0, 9.0)
    reports = [before.place("BUY", "1")[0], before.place("SELL", "0.5")[0]]
    after = desk(spot, clock=VirtualClock(500))
    for report in reversed(reports):
        order = StandardOrder(before.symbol, report.fills[0].side, OrderType.MARKET, report.filled)
        state = OrderState("i", 1, report.client_order_id, order, 1, 0, AttemptState.DONE, report.status)
        state = OrderState(
            "i",
            1,
            report.client_order_id,
            order,
            1,
            0,
            AttemptState.DONE,
            report.status,
            report.exchange_order_id,
        )
        after.exchange.adopt(state, report.fills)
    old = [fill for report in reports for fill in report.fills]
    assert sorted(after.survey().fills, key=lambda f: f.trade_id) == old
    assert list(after.exchange.fills()) == []
