"""Futures orders by REST: what is answered, what is refused, what becomes of positions and wallets."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

ORDER, ALGO, BATCH = "/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/batchOrders"


def test_a_resting_order_is_answered_and_needs_margin(perp_desk: Any) -> None:
    told = perp_desk.place("BUY", "10", "99.00", newClientOrderId="mine")
    assert {k: told[k] for k in ("clientOrderId", "status", "executedQty", "price", "origQty", "type")} == {
        "clientOrderId": "mine",
        "status": "NEW",
        "executedQty": "0.000",
        "price": "99.00",
        "origQty": "10.000",
        "type": "LIMIT",
    }
    assert (told["reduceOnly"], told["positionSide"], told["avgPrice"]) == (False, "BOTH", "0.00000")
    assert perp_desk.wallet() == {"balance": 10_000, "availableBalance": 10_000 - Decimal(990) / 20}
    assert perp_desk.happened() == ["NEW"]


def test_an_acknowledgement_tells_the_order_as_it_was_accepted(perp_desk: Any) -> None:
    told = perp_desk.place("BUY", "1", newOrderRespType="ACK")
    assert (told["status"], told["executedQty"], told["cumQty"]) == ("NEW", "0.000", "0.000")
    shown = perp_desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=told["orderId"])
    assert (shown["status"], shown["executedQty"], shown["avgPrice"]) == ("FILLED", "1.000", "100.01000")


def test_an_order_that_may_rest_is_answered_as_it_was_accepted_even_if_it_took(perp_desk: Any) -> None:
    told = perp_desk.place("BUY", "1", "101.00")
    assert (told["status"], told["executedQty"]) == ("NEW", "0.000")
    assert perp_desk.position() == (Decimal(1), Decimal("100.01"))


def test_a_position_is_opened_turned_and_closed_to_the_last_cent(perp_desk: Any) -> None:
    assert perp_desk.place("BUY", "3")["status"] == "FILLED"
    assert perp_desk.position() == (Decimal(3), Decimal("100.01"))
    perp_desk.quote(110.0, 110.02)
    perp_desk.place("SELL", "5")
    assert perp_desk.position() == (Decimal(-2), Decimal("110.00"))
    perp_desk.quote(104.99, 105.0)
    perp_desk.place("BUY", "2")
    assert perp_desk.position() == (Decimal(0), Decimal(0))
    profits = 3 * (Decimal(110) - Decimal("100.01")) + 2 * (110 - Decimal(105))
    fees = Decimal("0.0005") * (3 * Decimal("100.01") + 5 * Decimal(110) + 2 * Decimal(105))
    assert perp_desk.wallet()["balance"] == 10_000 + profits - fees
    trades = perp_desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
    assert [Decimal(trade["realizedPnl"]) for trade in trades] == [0, Decimal("29.97"), 10]
    incomes = perp_desk.ask("GET", "/fapi/v1/income", symbol="BTCUSDT")
    assert sum(Decimal(each["income"]) for each in incomes) == profits - fees


STEPS = st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(100, 2_000), st.integers(9_000, 11_000))


@given(st.lists(STEPS, max_size=12))
def test_what_is_told_fill_by_fill_agrees_with_the_matching(make_perp_desk: Any, steps: list[Any]) -> None:
    desk = make_perp_desk()
    for side, lots, cents in steps:
        desk.quote(cents / 100, (cents + 1) / 100, lots / 2_000)  # every order takes several levels
        desk.place(side, str(Decimal(lots) / 1_000))
    [balance] = desk.exchange.balances(["USDT"])
    booking = desk.exchange.engine.books.position("BTC/USDT:USDT")
    margin = desk.exchange.engine.account.contract("BTC/USDT:USDT")
    told = (booking.qty, booking.cost, booking.wallet) if booking else (0, 0, 10_000)
    assert told == (margin.qty, margin.cost, balance.total)


def test_a_booking_is_told_before_its_fill(perp_desk: Any) -> None:
    perp_desk.place("BUY", "1")
    assert perp_desk.happened() == ["NEW", "PositionChanged", "TRADE"]


def test_an_order_that_only_reduces_is_cut_to_the_position(perp_desk: Any) -> None:
    perp_desk.place("BUY", "2")
    told = perp_desk.place("SELL", "5", reduceOnly="true")
    assert (told["status"], told["origQty"], told["executedQty"]) == ("FILLED", "2.000", "2.000")
    refused = perp_desk.refused("POST", ORDER, **perp_desk.terms("SELL", "1", reduceOnly="true"))
    assert refused == (400, -2022, "ReduceOnly Order is rejected.")


def test_resting_orders_that_only_reduce_end_with_the_position(perp_desk: Any) -> None:
    perp_desk.place("BUY", "2")
    rests = perp_desk.place("SELL", "2", "105.00", reduceOnly="true")
    perp_desk.place("SELL", "2")
    shown = perp_desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=rests["orderId"])
    assert (shown["status"], shown["reduceOnly"]) == ("EXPIRED", True)


def test_a_post_only_order_rests_or_is_refused_and_not_recorded(perp_desk: Any) -> None:
    told = perp_desk.place("BUY", "1", "99.00", timeInForce="GTX")
    assert (told["status"], told["timeInForce"], told["type"]) == ("NEW", "GTX", "LIMIT")
    terms = perp_desk.terms("BUY", "1", "100.01", timeInForce="GTX", newClientOrderId="gone")
    assert perp_desk.refused("POST", ORDER, **terms)[:2] == (400, -5022)
    missing = perp_desk.refused("GET", ORDER, symbol="BTCUSDT", origClientOrderId="gone")
    assert missing == (400, -2013, "Order does not exist.")


def test_all_or_nothing_is_filled_or_refused_and_not_recorded(make_perp_desk: Any) -> None:
    desk = make_perp_desk()
    desk.quote(99.99, 100.01, 1.0)
    refused = desk.refused("POST", ORDER, **desk.terms("BUY", "2", "100.01", timeInForce="FOK"))
    assert refused[:2] == (400, -5021)
    assert desk.exchange.truth()["orders"] == []
    assert desk.place("BUY", "1", "100.01", timeInForce="FOK")["status"] == "FILLED"
    told = desk.place("BUY", "2", "100.01", timeInForce="IOC")
    assert (told["status"], told["executedQty"]) == ("EXPIRED", "1.000")


def test_a_dated_order_ends_when_its_date_has_come(perp_desk: Any) -> None:
    now_ms = perp_desk.clock.now_ns() // 1_000_000
    told = perp_desk.place("BUY", "1", "99.00", timeInForce="GTD", goodTillDate=now_ms + 700_999)
    assert told["goodTillDate"] == (now_ms + 700_999) // 1000 * 1000
    perp_desk.wait(699)
    assert len(perp_desk.ask("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")) == 1
    perp_desk.wait(2)
    assert perp_desk.ask("GET", "/fapi/v1/openOrders", symbol="BTCUSDT") == []
    assert perp_desk.happened() == ["NEW", "EXPIRED"]
    soon = perp_desk.terms("BUY", "1", "99.00", timeInForce="GTD", goodTillDate=now_ms + 100_000)
    assert perp_desk.refused("POST", ORDER, **soon)[1] == -5040


def test_a_modified_order_has_a_new_total_and_keeps_number_and_name(perp_desk: Any) -> None:
    placed = perp_desk.place("BUY", "2", "99.00", newClientOrderId="mine")
    perp_desk.exchange.fill(placed["orderId"], Decimal("0.5"))
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": placed["orderId"]}
    told = perp_desk.ask("PUT", ORDER, **change, quantity="3", price="98.00")
    assert (told["clientOrderId"], told["status"]) == ("mine", "PARTIALLY_FILLED")
    assert (told["origQty"], told["executedQty"], told["price"]) == ("3.000", "0.500", "98.00")
    assert perp_desk.happened() == ["NEW", "PositionChanged", "TRADE", "AMENDMENT"]
    same = perp_desk.refused("PUT", ORDER, **change, quantity="3", price="98.00")
    assert same == (400, -5027, "No need to modify the order.")
    ended = perp_desk.ask("PUT", ORDER, **change, quantity="0.5", price="97.00")
    assert ended["status"] == "CANCELED"
    gone = perp_desk.refused("PUT", ORDER, **change, quantity="1", price="97.00")
    assert gone == (400, -2013, "Order does not exist.")


def test_a_modification_may_take(perp_desk: Any) -> None:
    placed = perp_desk.place("BUY", "2", "99.00")
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": placed["orderId"]}
    told = perp_desk.ask("PUT", ORDER, **change, quantity="2", price="100.50")
    assert (told["status"], told["avgPrice"]) == ("FILLED", "100.01000")
    maker = perp_desk.place("BUY", "2", "99.00", timeInForce="GTX")
    change["orderId"] = maker["orderId"]
    assert perp_desk.ask("PUT", ORDER, **change, quantity="2", price="100.50")["status"] == "CANCELED"


def test_cancelling_tells_the_order_as_it_ended(perp_desk: Any) -> None:
    placed = perp_desk.place("BUY", "1", "99.00", newClientOrderId="mine")
    told = perp_desk.ask("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine")
    assert (told["orderId"], told["clientOrderId"], told["status"]) == (placed["orderId"], "mine", "CANCELED")
    again = perp_desk.refused("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine")
    assert again == (400, -2011, "Unknown order sent.")
    assert (
        perp_desk.refused("GET", "/fapi/v1/openOrder", symbol="BTCUSDT", orderId=placed["orderId"])[1]
        == -2013
    )
    assert perp_desk.wallet()["availableBalance"] == 10_000


def test_all_orders_of_a_symbol_are_cancelled_even_if_there_are_none(perp_desk: Any) -> None:
    for price in ("98.00", "99.00"):
        perp_desk.place("BUY", "1", price)
    for _ in range(2):
        told = perp_desk.ask("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
        assert told["code"] == 200
    assert [o["status"] for o in perp_desk.ask("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")] == [
        "CANCELED"
    ] * 2


def test_an_id_is_unique_among_open_orders_only(perp_desk: Any) -> None:
    perp_desk.place("BUY", "1", newClientOrderId="again")
    perp_desk.place("BUY", "1", "99.00", newClientOrderId="again")
    refused = perp_desk.refused(
        "POST", ORDER, **perp_desk.terms("BUY", "1", "99.00", newClientOrderId="again")
    )
    assert refused == (400, -4116, "ClientOrderId is duplicated.")


def test_a_batch_is_answered_one_by_one(perp_desk: Any) -> None:
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
    batch = [good | {"price": "99.00"}, good | {"price": "99.001"}, good | {"price": "98.00", "nonsense": 1}]
    told = perp_desk.ask("POST", BATCH, batchOrders=msgspec.json.encode(batch).decode())
    assert [each.get("code") for each in told] == [None, -4014, -1104]
    changes = [good | {"orderId": told[0]["orderId"], "price": "97.00"}]
    changes = [{k: v for k, v in each.items() if k not in {"type", "timeInForce"}} for each in changes]
    [changed] = perp_desk.ask("PUT", BATCH, batchOrders=msgspec.json.encode(changes).decode())
    assert changed["price"] == "97.00"
    ids = f"[{told[0]['orderId']},77]"
    gone = perp_desk.ask("DELETE", BATCH, symbol="BTCUSDT", orderIdList=ids)
    assert [each.get("status", each.get("code")) for each in gone] == ["CANCELED", -2011]
    assert perp_desk.refused("POST", BATCH, batchOrders="[]")[1] == -4082
    assert perp_desk.refused("POST", BATCH, batchOrders="{")[1] == -1135


def test_a_test_order_is_checked_and_not_placed(perp_desk: Any) -> None:
    told = perp_desk.ask("POST", ORDER + "/test", **perp_desk.terms("BUY", "1", "99.00"))
    assert told["status"] == "NEW"
    assert perp_desk.refused("POST", ORDER + "/test", **perp_desk.terms("BUY", "9999", "99.00"))[1] == -2019
    assert perp_desk.exchange.truth()["orders"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "BTCEUR"}, -1121),
        ({"side": "buy"}, -1117),
        ({"type": "LIMITED"}, -1116),
        ({"type": "STOP_MARKET", "stopPrice": "90"}, -4120),
        ({"type": "TRAILING_STOP_MARKET", "callbackRate": "1"}, -4120),
        ({"timeInForce": "GTE"}, -1115),
        ({"timeInForce": None}, -1102),
        ({"timeInForce": "GTD"}, -1102),
        ({"goodTillDate": "1800000000000"}, -1106),
        ({"price": None}, -1102),
        ({"price": "0"}, -4013),
        ({"price": "99.001"}, -4014),
        ({"price": "300.00"}, -4016),
        ({"price": "10.00"}, -4024),
        ({"quantity": None}, -1102),
        ({"quantity": "0"}, -4003),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "0.0001"}, -4004),
        ({"quantity": "1.0001"}, -1111),
        ({"quantity": "9000001"}, -4005),
        ({"quantity": "0.01"}, -4164),
        ({"quantity": "5000"}, -2019),
        ({"positionSide": "LONG"}, -4061),
        ({"newClientOrderId": "a" * 37}, -4015),
        ({"newClientOrderId": "a b"}, -1100),
        ({"closePosition": "true"}, -1106),
        ({"stopPrice": "95.00"}, -1106),
        ({"workingType": "SOME"}, -4031),
        ({"priceMatch": "QUEUE"}, -1020),
        ({"reduceOnly": "maybe"}, -1100),
        ({"newOrderRespType": "FULL"}, -1130),
        ({"quoteOrderQty": "50"}, -1104),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    perp_desk: Any, change: dict[str, Any], code: int
) -> None:
    told = perp_desk.refused("POST", ORDER, **(perp_desk.terms("BUY", "1", "99.00") | change))
    assert told[:2] == (400, code), told
    assert perp_desk.exchange.truth()["orders"] == []
    assert perp_desk.happened() == []


@pytest.mark.parametrize("extra", [{"price": "99.00"}, {"timeInForce": "GTC"}])
def test_a_market_order_takes_no_terms_of_others(perp_desk: Any, extra: dict[str, str]) -> None:
    [name] = extra
    told = perp_desk.refused("POST", ORDER, **(perp_desk.terms("BUY", "1") | extra))
    assert told == (400, -1106, f"Parameter '{name}' sent when not required.")


def test_an_account_that_may_not_trade_is_told_so(perp_desk: Any) -> None:
    perp_desk.exchange.restrict(can_trade=False)
    told = perp_desk.refused("POST", ORDER, **perp_desk.terms("BUY", "1", "99.00"))
    assert told == (400, -4088, "User can not place order currently.")


# Conditional orders.


def test_a_stop_waits_and_becomes_an_order_of_the_same_name(perp_desk: Any) -> None:
    perp_desk.place("BUY", "1")
    stop = perp_desk.stop("SELL", "95.00", clientAlgoId="mine", reduceOnly="true")
    assert (stop["algoStatus"], stop["orderType"], stop["triggerPrice"]) == ("NEW", "STOP_MARKET", "95.00")
    assert perp_desk.ask("GET", "/fapi/v1/openOrders") == []
    perp_desk.happened()
    perp_desk.quote(94.99, 95.01)
    assert perp_desk.algo(stop)["algoStatus"] == "NEW"
    perp_desk.trade(95.0)
    told = perp_desk.algo(stop)
    assert told["algoStatus"] == "FINISHED"
    made = perp_desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=told["actualOrderId"])
    assert (made["clientOrderId"], made["type"], made["origType"]) == ("mine", "MARKET", "STOP_MARKET")
    assert (made["status"], made["avgPrice"]) == ("FILLED", "94.99000")
    assert perp_desk.happened() == ["AlgoChanged", "NEW", "PositionChanged", "TRADE", "AlgoChanged"]
    assert perp_desk.position()[0] == 0


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "not_yet", "then"),
    [
        ("STOP_MARKET", "BUY", "105.00", 104.99, 105.0),
        ("STOP_MARKET", "SELL", "95.00", 95.01, 95.0),
        ("TAKE_PROFIT_MARKET", "SELL", "105.00", 104.99, 105.0),
        ("TAKE_PROFIT_MARKET", "BUY", "95.00", 95.01, 95.0),
    ],
)
def test_a_price_that_comes_triggers(
    perp_desk: Any, kind: str, side: str, trigger: str, not_yet: float, then: float
) -> None:
    stop = perp_desk.stop(side, trigger, type=kind)
    perp_desk.trade(not_yet)
    assert perp_desk.algo(stop)["algoStatus"] == "NEW"
    perp_desk.trade(then)
    assert perp_desk.algo(stop)["algoStatus"] == "FINISHED"


def test_the_mark_price_triggers_those_that_ask_for_it(perp_desk: Any) -> None:
    perp_desk.mark(100.0)
    stop = perp_desk.stop("SELL", "95.00", workingType="MARK_PRICE")
    perp_desk.trade(94.0)
    assert perp_desk.algo(stop)["algoStatus"] == "NEW"
    perp_desk.mark(95.0)
    assert perp_desk.algo(stop)["algoStatus"] == "FINISHED"


def test_a_stop_with_a_price_rests_at_it(perp_desk: Any) -> None:
    stop = perp_desk.stop("BUY", "105.00", type="STOP", price="104.00")
    perp_desk.quote(104.99, 105.01)
    perp_desk.trade(105.0)
    told = perp_desk.algo(stop)
    made = perp_desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=told["actualOrderId"])
    assert (told["algoStatus"], made["status"], made["price"]) == ("TRIGGERED", "NEW", "104.00")
    perp_desk.ask("DELETE", ORDER, symbol="BTCUSDT", orderId=made["orderId"])
    assert perp_desk.algo(stop)["algoStatus"] == "FINISHED"


def test_a_stop_that_closes_takes_whatever_position_there_is(perp_desk: Any) -> None:
    stop = perp_desk.stop("SELL", "95.00", None, closePosition="true")
    perp_desk.place("BUY", "1")
    perp_desk.place("BUY", "2")
    perp_desk.trade(95.0)
    assert perp_desk.position()[0] == 0
    assert perp_desk.algo(stop)["closePosition"] is True


def test_a_stop_without_a_position_to_reduce_is_rejected_when_it_triggers(perp_desk: Any) -> None:
    stop = perp_desk.stop("SELL", "95.00", reduceOnly="true")
    perp_desk.trade(95.0)
    assert perp_desk.algo(stop)["algoStatus"] == "REJECTED"
    assert perp_desk.events[-1].order.reason == "ReduceOnly Order is rejected."
    assert perp_desk.exchange.truth()["orders"] == []


def test_conditional_orders_are_listed_and_cancelled(perp_desk: Any) -> None:
    one, other = perp_desk.stop("SELL", "95.00", clientAlgoId="one"), perp_desk.stop("SELL", "94.00")
    listed = perp_desk.ask("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")
    assert [each["algoId"] for each in listed] == [one["algoId"], other["algoId"]]
    told = perp_desk.ask("DELETE", ALGO, clientAlgoId="one")
    assert (told["algoId"], told["code"]) == (one["algoId"], "200")
    assert perp_desk.refused("DELETE", ALGO, clientAlgoId="one") == (400, -2011, "Unknown order sent.")
    assert perp_desk.refused("GET", ALGO, algoId=1)[1] == -2013
    perp_desk.ask("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
    states = [each["algoStatus"] for each in perp_desk.ask("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT")]
    assert states == ["CANCELED", "CANCELED"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"algoType": None}, -1102),
        ({"type": "MARKET"}, -1116),
        ({"type": "TRAILING_STOP_MARKET"}, -1020),
        ({"triggerPrice": None}, -1102),
        ({"triggerPrice": "105.00"}, -2021),
        ({"triggerPrice": "95.001"}, -4014),
        ({"quantity": None}, -1102),
        ({"quantity": "0"}, -4003),
        ({"closePosition": "true"}, -1106),
        ({"price": "95.00"}, -1106),
        ({"type": "STOP"}, -1102),
        ({"clientAlgoId": "taken"}, -4116),
        ({"stopPrice": "95.00"}, -1104),
    ],
)
def test_a_conditional_order_that_cannot_be_meant_is_refused(
    perp_desk: Any, change: dict[str, Any], code: int
) -> None:
    perp_desk.stop("SELL", "90.00", clientAlgoId="taken")
    told = perp_desk.refused("POST", ALGO, **(perp_desk.stop_terms("SELL", "95.00") | change))
    assert told[:2] == (400, code), told
    assert len(perp_desk.ask("GET", "/fapi/v1/openAlgoOrders")) == 1
