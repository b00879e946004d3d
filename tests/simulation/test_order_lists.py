"""Order lists on spot: two orders, one cover, and never more than one of them executed."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantcli.model.instrument import Side
from quantcli.model.message import Observation, Place, PlaceList, Refusal, Refused
from quantcli.model.order import OrderStatus, OrderType, StandardOrder
from quantcli.simulation.fees import Fees
from quantcli.simulation.matching import QueueModel

EXPIRED_BY_LIST = "the other order of its list was executed"


def told(reports: Any) -> list[tuple[str, OrderStatus, Decimal]]:
    assert all(isinstance(report, Observation) for report in reports), reports
    return [(report.client_order_id, report.status, report.filled) for report in reports]


def free(d: Any, asset: str) -> tuple[Decimal, Decimal]:
    [balance] = [b for b in d.exchange.balances() if b.asset == asset]
    return balance.free, balance.locked


@pytest.fixture
def market(desk: Any, spot: Any) -> Any:
    """A market at 100 with coins for one sale."""
    d = desk(spot, balances={"BTC": Decimal(2), "USDT": Decimal(0)}, queue=QueueModel.OPTIMISTIC)
    d.trade(100.0, 1.0)
    d.quote(99.9, 100.1, 9.0, 9.0)
    return d


def test_each_order_is_answered_and_the_coins_are_held_once(market: Any) -> None:
    reports = market.place_list("SELL", "2", "105", "95")
    assert told(reports) == [("o1", OrderStatus.NEW, 0), ("o2", OrderStatus.NEW, 0)]
    assert [r.order.type for r in reports] == [OrderType.LIMIT_MAKER, OrderType.STOP_MARKET]
    assert free(market, "BTC") == (0, 2)
    assert market.place("SELL", "0.1", "105")[0].code == -2010


@pytest.mark.parametrize("size", [0.5, 9.0])
def test_any_fill_of_the_limit_expires_the_stop_in_the_same_instant(market: Any, size: float) -> None:
    market.place_list("SELL", "2", "105", "95")
    stop, limit = market.trade(105.0, size)
    assert (stop.client_order_id, stop.status, stop.reason) == ("o2", OrderStatus.EXPIRED, EXPIRED_BY_LIST)
    assert limit.filled == min(Decimal(2), Decimal(size))
    assert stop.venue_ns == limit.venue_ns
    assert free(market, "BTC")[0] == 0
    assert market.trade(94.0, 9.0) == []


def test_a_triggered_stop_expires_the_limit(market: Any) -> None:
    market.place_list("SELL", "2", "105", "95")
    market.quote(94.9, 95.1, 9.0, 9.0)
    limit, stop = market.trade(95.0, 1.0)
    assert (limit.client_order_id, limit.status, limit.reason) == ("o1", OrderStatus.EXPIRED, EXPIRED_BY_LIST)
    assert told([stop]) == [("o2", OrderStatus.FILLED, Decimal(2))]
    assert market.exchange.open_orders() == []
    assert free(market, "BTC") == (0, 0)


def test_a_triggered_stop_limit_expires_the_limit_before_it_trades(market: Any) -> None:
    market.place_list("SELL", "2", "105", "95", price="97")
    market.quote(94.9, 95.1, 9.0, 9.0)
    assert told(market.trade(95.0, 1.0)) == [("o1", OrderStatus.EXPIRED, 0)]
    [resting] = market.exchange.open_orders()
    assert (resting.client_order_id, free(market, "BTC")) == ("o2", (0, 2))
    assert told(market.trade(97.0, 9.0)) == [("o2", OrderStatus.FILLED, Decimal(2))]


@pytest.mark.parametrize(("asked", "other"), [("o1", "o2"), ("o2", "o1")])
def test_cancelling_one_cancels_both(market: Any, asked: str, other: str) -> None:
    market.place_list("SELL", "2", "105", "95")
    reports = market.cancel(asked)
    assert told(reports) == [(asked, OrderStatus.CANCELED, 0), (other, OrderStatus.CANCELED, 0)]
    assert free(market, "BTC") == (2, 0)
    assert market.cancel(other)[0].kind is Refused.UNKNOWN_ORDER


def test_buys_hold_what_the_dearer_one_needs(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(300)}, fees=Fees(Decimal(0), Decimal("0.01")))
    d.trade(100.0, 1.0)
    d.quote(99.9, 100.1, 9.0, 9.0)
    d.place_list("BUY", "2", "95", "105", price="106")
    assert free(d, "USDT") == (Decimal("85.88"), Decimal("214.12"))
    d.quote(94.0, 95.0, ask_size=1.0)  # half of the limit order
    assert free(d, "USDT") == (Decimal("109.05"), Decimal("95.95"))
    d.cancel("o1")
    assert free(d, "USDT") == (Decimal(205), 0)


def test_amending_one_amends_both(market: Any) -> None:
    market.place_list("SELL", "2", "105", "95")
    reports = market.amend("o2", "0.5")
    assert [(r.client_order_id, r.order.quantity) for r in reports] == [
        ("o2", Decimal("0.5")),
        ("o1", Decimal("0.5")),
    ]
    assert free(market, "BTC") == (Decimal("1.5"), Decimal("0.5"))
    assert told(market.trade(105.0, 9.0))[1] == ("o1", OrderStatus.FILLED, Decimal("0.5"))
    assert free(market, "BTC") == (Decimal("1.5"), 0)


def test_an_amendment_that_one_of_them_does_not_allow_changes_none(desk: Any, spot: Any) -> None:
    d = desk(msgspec.structs.replace(spot, min_notional=Decimal(100)))
    d.trade(100.0, 1.0)
    d.place_list("SELL", "2", "105", "95")
    assert d.amend("o1", "1")[0].message == "Filter failure: NOTIONAL"  # 95 at the stop
    assert [order.quantity for order in d.exchange.open_orders()] == [2, 2]


def order(kind: OrderType, price: str | None, stop: str | None = None, **terms: Any) -> StandardOrder:
    fields = {"symbol": "BTC/USDT", "side": Side.SELL, "quantity": Decimal(1)} | terms
    return StandardOrder(
        type=kind, price=price and Decimal(price), stop_price=stop and Decimal(stop), **fields
    )


LIMIT = order(OrderType.LIMIT_MAKER, "105")
STOP = order(OrderType.STOP_MARKET, None, "95")
COMPOSITION = (-1014, "Unsupported order combination.")
PRICES = (-2010, "The relationship of the prices for the orders is not correct.")


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ((LIMIT,), COMPOSITION),
        ((LIMIT, STOP, STOP), COMPOSITION),
        ((STOP, STOP), COMPOSITION),
        ((LIMIT, order(OrderType.STOP_MARKET, None, "95", quantity=Decimal(2))), COMPOSITION),
        ((LIMIT, order(OrderType.STOP_MARKET, None, "95", side=Side.BUY)), COMPOSITION),
        ((LIMIT, order(OrderType.STOP_MARKET, None, "95", symbol="ETH/USDT")), COMPOSITION),
        ((LIMIT, LIMIT), (-1168, "At least one OCO order must be contingent.")),
        ((order(OrderType.LIMIT, "105"), STOP), (-1158, "Order type not supported in OCO.")),
        ((LIMIT, order(OrderType.STOP_MARKET, None, "100")), PRICES),
        ((order(OrderType.LIMIT_MAKER, "100"), STOP), PRICES),
        ((LIMIT, order(OrderType.STOP_MARKET, None, "95.05")), (-1013, "Filter failure: PRICE_FILTER")),
        ((LIMIT, order(OrderType.STOP_LIMIT, None, "95")), (-1102, None)),
    ],
)
def test_what_is_no_list_is_refused_order_by_order(market: Any, orders: Any, words: Any) -> None:
    reports = market.send(PlaceList(tuple(Place(f"x{i}", o, 2**62) for i, o in enumerate(orders))))
    assert [report.client_order_id for report in reports] == [f"x{i}" for i in range(len(orders))]
    for report in reports:
        assert isinstance(report, Refusal)
        assert (report.request, report.code) == ("place", words[0])
        assert words[1] in (None, report.message)
    assert market.exchange.open_orders() == []
    assert free(market, "BTC") == (2, 0)


def test_a_list_beyond_the_balance_is_refused_whole(market: Any) -> None:
    reports = market.place_list("SELL", "2.01", "105", "95")
    assert {(r.code, r.message) for r in reports} == {
        (-2010, "Account has insufficient balance for requested action.")
    }
    assert market.exchange.open_orders() == []


def test_a_list_counts_as_two_orders(desk: Any, spot: Any) -> None:
    d = desk(msgspec.structs.replace(spot, max_orders=2))
    d.trade(100.0, 1.0)
    d.place("BUY", "1", "90")
    assert {r.message for r in d.place_list("SELL", "1", "105", "95")} == {"Filter failure: MAX_NUM_ORDERS"}
    d.cancel("o1")
    assert len(told(d.place_list("SELL", "1", "105", "95"))) == 2


def test_ids_of_a_list_are_unique_among_open_orders(market: Any) -> None:
    for _ in range(2):
        reports = market.send(PlaceList((Place("same", LIMIT, 2**62), Place("same", STOP, 2**62))))
        assert [report.kind for report in reports] == [Refused.EXISTS] * 2


def test_a_list_that_arrives_after_a_deadline_is_refused_whole(market: Any) -> None:
    late = Place("b", STOP, market.clock.now_ns() - 1)
    reports = market.send(PlaceList((Place("a", LIMIT, 2**62), late)))
    assert [(r.client_order_id, r.kind) for r in reports] == [("a", Refused.BUSY), ("b", Refused.BUSY)]


def test_futures_links_no_orders(desk: Any, perp: Any) -> None:
    d = desk(perp)
    d.trade(100.0, 1.0)
    reports = d.place_list("SELL", "1", "105", "95")
    assert {(r.code, r.message) for r in reports} == {(-1020, "This operation is not supported.")}
