"""The filters of a real symbol, with the exchange's codes and words."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantcli.errors import ValidationError
from quantcli.model.instrument import Side
from quantcli.model.message import Cancel, Place, Refusal, Refused
from quantcli.model.order import OrderType, StandardOrder
from quantcli.simulation.latency import Latency
from quantcli.simulation.rules import FUTURES, SPOT, Check

RULES = {
    "min_qty": Decimal("0.05"),
    "max_qty": Decimal(90),
    "min_price": Decimal(1),
    "max_price": Decimal(100_000),
    "min_notional": Decimal(10),
    "band_up": Decimal(5),
    "band_down": Decimal("0.2"),
    "max_orders": 2,
}


@pytest.mark.parametrize(
    ("qty", "price", "check"),
    [
        ("1", "99.95", Check.TICK),
        ("1", "0.5", Check.MIN_PRICE),
        ("1", "200000", Check.MAX_PRICE),
        ("1.001", "99.5", Check.LOT),
        ("0.04", "99.5", Check.MIN_QTY),
        ("91", "99.5", Check.MAX_QTY),
        ("0.05", "99.5", Check.NOTIONAL),
        ("0.05", None, Check.NOTIONAL),
        ("1", "500.5", Check.BAND_UP),
        ("1", "19.5", Check.BAND_DOWN),
    ],
)
def test_each_filter_refuses_in_the_words_of_its_market(
    desk: Any, spot: Any, perp: Any, qty: str, price: str | None, check: Check
) -> None:
    for meta, table in ((spot, SPOT), (perp, FUTURES)):
        d = desk(msgspec.structs.replace(meta, **RULES))
        d.quote(99.5, 100.0)
        d.trade(100.0, 1.0)
        [refused] = d.place("BUY", qty, price)
        code, message = table[check]
        assert refused == Refusal("o1", "place", code, message.format(min_notional=10))
        assert d.exchange.open_orders() == []


def test_what_passes_every_filter_is_accepted_until_there_are_too_many(desk: Any, spot: Any) -> None:
    d = desk(msgspec.structs.replace(spot, **RULES))
    d.quote(99.5, 100.0)
    d.trade(100.0, 1.0)
    for _ in range(2):
        [accepted] = d.place("BUY", "1", "99.5")
        assert not isinstance(accepted, Refusal)
    [refused] = d.place("BUY", "1", "99.5")
    assert refused.message == "Filter failure: MAX_NUM_ORDERS"


@pytest.mark.parametrize(
    ("price", "terms", "code"),
    [
        (None, {"type": OrderType.LIMIT}, -1102),
        ("99.5", {"type": OrderType.STOP_LIMIT}, -1102),
        ("99.5", {"type": OrderType.MARKET}, -1106),
        ("99.5", {"reduce_only": True}, -1106),
    ],
)
def test_terms_that_do_not_make_an_order_are_refused(
    desk: Any, spot: Any, price: str | None, terms: dict[str, Any], code: int
) -> None:
    d = desk(spot)
    d.quote(99.5, 100.0)
    [refused] = d.place("BUY", "1", price, **terms)
    assert refused.code == code


def test_a_market_that_does_not_exist_or_is_closed(desk: Any, spot: Any) -> None:
    d = desk(msgspec.structs.replace(spot, active=False))
    assert d.place("BUY", "1", "99.5")[0].message == "Market is closed."
    order = StandardOrder("DOGE/USDT", Side.BUY, OrderType.MARKET, Decimal(1))
    assert d.send(Place("x", order, 2**62))[0].code == -1121


def test_an_order_that_arrives_after_its_deadline_is_refused(desk: Any, spot: Any) -> None:
    d = desk(spot, latency=Latency(order_ns=100, feed_ns=50))
    d.quote(99.5, 100.0)
    sent = d.clock.now_ns()
    order = StandardOrder(d.symbol, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))
    [refused] = d.send(Place("late", order, sent + 99))
    assert refused == Refusal(
        "late", "place", -1021, "Timestamp for this request is outside of the recvWindow.", Refused.BUSY
    )
    sent = d.clock.now_ns()
    [accepted] = d.send(Place("just", order, sent + 100))
    assert not isinstance(accepted, Refusal)


def test_a_client_order_id_is_unique_among_open_orders_only(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.5, 100.0)
    order = StandardOrder(d.symbol, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))
    d.send(Place("same", order, 2**62))
    [refused] = d.send(Place("same", order, 2**62))
    assert (refused.code, refused.message) == (-2010, "Duplicate order sent.")
    assert refused.kind is Refused.EXISTS
    d.cancel("same")
    [again] = d.send(Place("same", order, 2**62))
    assert again.exchange_order_id == "2"


def test_cancelling_what_is_not_open_is_refused(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.5, 100.0)
    unknown = Refusal("nobody", "cancel", -2011, "Unknown order sent.", Refused.UNKNOWN_ORDER, asked_ns=7)
    assert d.send(Cancel("nobody", d.symbol, asked_ns=7)) == [unknown]
    d.place("BUY", "1")
    assert d.cancel("o1")[0].code == -2011


def test_inverse_contracts_are_refused_at_the_start(desk: Any, perp: Any) -> None:
    with pytest.raises(ValidationError, match="not simulated yet"):
        desk(msgspec.structs.replace(perp, inverse=True))
