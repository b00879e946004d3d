"""Orders by REST: what is answered, what is refused, and what becomes of balances and listeners."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

ORDER = "/api/v3/order"


def test_a_resting_order_is_answered_in_full_and_holds_its_notional_alone(desk: Any) -> None:
    told = desk.place("BUY", "1", "99.00", newClientOrderId="mine")
    assert told["fills"] == []
    assert {k: told[k] for k in ("clientOrderId", "status", "executedQty", "price", "orderListId")} == {
        "clientOrderId": "mine",
        "status": "NEW",
        "executedQty": "0.00000000",
        "price": "99.00000000",
        "orderListId": -1,
    }
    assert told["workingTime"] == told["transactTime"] == 1_700_000_000_000
    assert desk.balance("USDT") == (Decimal(9_901), Decimal(99))
    assert desk.happened() == ["NEW", "BalancesChanged"]


def test_a_taker_pays_its_fee_in_the_asset_it_receives(desk: Any) -> None:
    told = desk.place("BUY", "1")
    [fill] = told["fills"]
    assert (fill["price"], fill["commission"], fill["commissionAsset"]) == (
        "100.01000000",
        "0.00200000",
        "BTC",
    )
    assert (told["status"], told["cummulativeQuoteQty"]) == ("FILLED", "100.01000000")
    assert desk.balance("BTC") == (Decimal("2.998"), 0)
    assert desk.balance("USDT") == (Decimal("9899.99"), 0)
    sold = desk.place("SELL", "1")
    assert sold["fills"][0]["commissionAsset"] == "USDT"
    assert desk.balance("USDT")[0] == Decimal("9899.99") + Decimal("99.99") * Decimal("0.998")
    assert desk.happened() == ["NEW", "TRADE", "BalancesChanged"] * 2


def test_a_resting_order_fills_as_a_maker(desk: Any) -> None:
    placed = desk.place("BUY", "2", "99.50")
    desk.happened()
    desk.trade(99.4, 0.5, side=2)
    order = desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
    assert (order["status"], order["executedQty"]) == ("PARTIALLY_FILLED", "0.50000000")
    [trade] = desk.ask("GET", "/api/v3/myTrades", symbol="BTCUSDT")
    assert (trade["isMaker"], trade["commission"], trade["commissionAsset"]) == (True, "0.00050000", "BTC")
    assert "clientOrderId" not in trade
    desk.trade(99.4, 9.0, side=2)
    assert desk.happened() == ["TRADE", "BalancesChanged"] * 2
    assert desk.ask("GET", "/api/v3/openOrders", symbol="BTCUSDT") == []
    assert desk.balance("BTC") == (Decimal("3.998"), 0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ACK", {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}),
        ("RESULT", {"status", "origQty", "selfTradePreventionMode", "workingTime"}),
        ("FULL", {"fills"}),
    ],
)
def test_the_answer_has_the_form_asked_for(desk: Any, kind: str, fields: set[str]) -> None:
    told = desk.place("BUY", "1", "99.00", newOrderRespType=kind)
    assert fields <= set(told)
    assert ("fills" in told, "status" in told) == (kind == "FULL", kind != "ACK")


def test_a_post_only_order_is_acknowledged_only(desk: Any) -> None:
    told = desk.place("BUY", "1", "99.00", type="LIMIT_MAKER", timeInForce=None)
    assert "status" not in told
    refused = desk.refused(
        "POST", ORDER, **desk.terms("BUY", "1", "100.01", type="LIMIT_MAKER", timeInForce=None)
    )
    assert refused == (400, -2010, "Order would immediately match and take.")


def test_an_id_is_unique_among_open_orders_only(desk: Any) -> None:
    desk.place("BUY", "1", newClientOrderId="again")
    second = desk.place("BUY", "1", "99.00", newClientOrderId="again")
    refused = desk.refused("POST", ORDER, **desk.terms("BUY", "1", "99.00", newClientOrderId="again"))
    assert refused == (400, -2010, "Duplicate order sent.")
    found = desk.ask("GET", ORDER, symbol="BTCUSDT", origClientOrderId="again")
    assert found["orderId"] == second["orderId"]
    desk.ask("DELETE", ORDER, symbol="BTCUSDT", orderId=second["orderId"])
    third = desk.place("BUY", "1", newClientOrderId="again")
    found = desk.ask("GET", ORDER, symbol="BTCUSDT", origClientOrderId="again")
    assert found["orderId"] == third["orderId"]


def test_an_order_without_an_id_gets_one(desk: Any) -> None:
    ids = {desk.place("BUY", "1", "99.00")["clientOrderId"] for _ in range(3)}
    assert len(ids) == 3
    assert {len(each) for each in ids} == {22}


@pytest.mark.parametrize(("lifetime", "status", "filled"), [("IOC", "EXPIRED", "1"), ("FOK", "EXPIRED", "0")])
def test_what_does_not_rest_expires(make_desk: Any, lifetime: str, status: str, filled: str) -> None:
    desk = make_desk()
    desk.quote(99.99, 100.01, 1.0)
    told = desk.place("BUY", "2", "100.01", timeInForce=lifetime)
    assert (told["status"], Decimal(told["executedQty"])) == (status, Decimal(filled))
    assert desk.happened()[-2:] == ["EXPIRED", "BalancesChanged"]
    assert desk.balance("USDT")[1] == 0


def test_a_market_order_can_spend_an_amount_of_quote_currency(desk: Any) -> None:
    told = desk.place("BUY", None, quoteOrderQty="50")
    assert told["origQuoteOrderQty"] == "50.00000000"
    assert Decimal("49.99") < Decimal(told["cummulativeQuoteQty"]) <= 50
    assert (told["status"], told["origQty"]) == ("FILLED", told["executedQty"])
    both = desk.refused("POST", ORDER, **desk.terms("BUY", "1", quoteOrderQty="50"))
    assert both == (400, -1106, "Parameter 'quoteOrderQty' sent when not required.")
    none = desk.refused("POST", ORDER, **desk.terms("BUY", None))
    assert none == (400, -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")


def test_a_market_order_in_an_empty_market_expires(make_desk: Any) -> None:
    desk = make_desk()
    assert desk.place("BUY", "1")["status"] == "EXPIRED"
    refused = desk.refused("POST", ORDER, **desk.terms("BUY", None, quoteOrderQty="50"))
    assert refused == (400, -2010, "Order book liquidity is less than symbol minimum quantity.")


def test_a_stop_is_told_again_when_it_begins_to_work(desk: Any) -> None:
    stop = {"type": "STOP_LOSS_LIMIT", "stopPrice": "95.00"}
    placed = desk.place("SELL", "1", "94.00", **stop)
    assert "status" not in placed
    shown = desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
    assert (shown["isWorking"], shown["workingTime"], shown["stopPrice"]) == (False, -1, "95.00000000")
    desk.happened()
    desk.wait(1)
    desk.quote(93.0, 93.5)
    desk.trade(94.9)
    shown = desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
    assert (shown["isWorking"], shown["workingTime"]) == (True, 1_700_000_001_000)
    assert desk.happened() == ["NEW", "BalancesChanged"]
    desk.quote(94.0, 94.5)
    assert desk.happened() == ["TRADE", "BalancesChanged"]


def test_a_market_stop_begins_to_work_and_trades_at_once(desk: Any) -> None:
    desk.place("SELL", "1", None, type="STOP_LOSS", stopPrice="95.00")
    desk.happened()
    desk.quote(94.9, 95.1)
    desk.trade(95.0)
    assert desk.happened() == ["NEW", "TRADE", "BalancesChanged"]
    refused = desk.refused("POST", ORDER, **desk.terms("SELL", "1", type="STOP_LOSS", stopPrice="96.00"))
    assert refused == (400, -2010, "Stop price would trigger immediately.")


def test_cancelling_tells_both_ids_and_gives_back_what_was_held(desk: Any) -> None:
    desk.place("BUY", "1", "99.00", newClientOrderId="mine")
    desk.happened()
    told = desk.ask("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="bye")
    assert (told["origClientOrderId"], told["clientOrderId"], told["status"]) == ("mine", "bye", "CANCELED")
    assert desk.events[0].new_client_order_id == "bye"
    assert desk.happened() == ["CANCELED", "BalancesChanged"]
    assert desk.balance("USDT") == (Decimal(10_000), 0)
    again = desk.refused("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine")
    assert again == (400, -2011, "Unknown order sent.")
    shown = desk.ask("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine")
    assert (shown["clientOrderId"], shown["status"]) == ("mine", "CANCELED")


def test_both_ids_of_an_order_must_be_its_own(desk: Any) -> None:
    order = desk.place("BUY", "1", "99.00", newClientOrderId="mine")["orderId"]
    ids = {"symbol": "BTCUSDT", "orderId": order, "origClientOrderId": "other"}
    assert desk.refused("GET", ORDER, **ids) == (400, -2013, "Order does not exist.")
    assert desk.refused("DELETE", ORDER, **ids) == (400, -2011, "Unknown order sent.")
    assert desk.refused("GET", ORDER, symbol="ETHBTC", orderId=order)[1] == -2013
    assert desk.refused("DELETE", ORDER, symbol="BTCUSDT")[1] == -1102


def test_a_cancel_can_be_tied_to_the_status(desk: Any) -> None:
    order = desk.place("BUY", "1", "99.00")["orderId"]
    cancel = {"symbol": "BTCUSDT", "orderId": order}
    refused = desk.refused("DELETE", ORDER, **cancel, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert refused == (400, -2011, "Order was not canceled due to cancel restrictions.")
    assert desk.refused("DELETE", ORDER, **cancel, cancelRestrictions="NEVER")[1] == -1145
    assert desk.ask("DELETE", ORDER, **cancel, cancelRestrictions="ONLY_NEW")["status"] == "CANCELED"


def test_all_orders_of_a_symbol_are_cancelled_at_once(desk: Any) -> None:
    for price in ("98.00", "99.00"):
        desk.place("BUY", "1", price)
    told = desk.ask("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert [each["status"] for each in told] == ["CANCELED", "CANCELED"]
    assert desk.refused("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")[1] == -2011


def test_a_test_order_is_checked_and_not_placed(desk: Any) -> None:
    assert desk.ask("POST", ORDER + "/test", **desk.terms("BUY", "1", "99.00")) == {}
    rates = desk.ask(
        "POST", ORDER + "/test", **desk.terms("BUY", "1", "99.00"), computeCommissionRates="true"
    )
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00200000"}
    assert desk.refused("POST", ORDER + "/test", **desk.terms("BUY", "1", "99.001"))[1] == -1013
    assert desk.happened() == []
    assert desk.ask("GET", "/api/v3/allOrders", symbol="BTCUSDT") == []


@pytest.mark.parametrize(
    ("terms", "failed"),
    [
        ({"quantity": "1", "price": "99.001"}, "PRICE_FILTER"),
        ({"quantity": "0.000001", "price": "99.00"}, "LOT_SIZE"),
        ({"quantity": "0.00001", "price": "99.00"}, "NOTIONAL"),
        ({"quantity": "1", "price": "501.00"}, "PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "1", "price": "19.99"}, "PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "9000001", "price": "99.00"}, "LOT_SIZE"),
        ({"quantity": "1000000", "price": "99.00"}, "NOTIONAL"),
    ],
)
def test_filters_are_enforced_as_exchange_info_tells_them(
    desk: Any, terms: dict[str, str], failed: str
) -> None:
    told = desk.refused("POST", ORDER, **(desk.terms("BUY", "1", "99.00") | terms))
    assert told == (400, -1013, f"Filter failure: {failed}")


def test_the_number_of_open_orders_is_limited(desk: Any) -> None:
    info = desk.public_call("/api/v3/exchangeInfo", symbol="BTCUSDT")
    limits = {f["filterType"]: f for f in info["symbols"][0]["filters"]}
    most = limits["MAX_NUM_ORDERS"]["maxNumOrders"]
    for number in range(most):
        desk.wait(1)
        desk.place("BUY", "0.06", "90.00", newClientOrderId=f"n{number}")
    desk.wait(1)
    told = desk.refused("POST", ORDER, **desk.terms("BUY", "0.06", "90.00"))
    assert told == (400, -1013, "Filter failure: MAX_NUM_ORDERS")


def test_more_than_there_is_cannot_be_traded(desk: Any) -> None:
    told = (400, -2010, "Account has insufficient balance for requested action.")
    assert desk.refused("POST", ORDER, **desk.terms("BUY", "102", "99.00")) == told
    assert desk.refused("POST", ORDER, **desk.terms("SELL", "2.00001")) == told


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"side": "buy"}, -1117),
        ({"type": "LIMITED"}, -1116),
        ({"timeInForce": "GTD"}, -1115),
        ({"timeInForce": None}, -1102),
        ({"price": None}, -1102),
        ({"price": "0"}, -1102),
        ({"quantity": None}, -1102),
        ({"quantity": ""}, -1105),
        ({"quantity": "1e3"}, -1100),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "0.123456789"}, -1111),
        ({"symbol": "BTCEUR"}, -1121),
        ({"symbol": "btcusdt"}, -1100),
        ({"newClientOrderId": "a.b"}, -1100),
        ({"newClientOrderId": "a" * 37}, -1100),
        ({"stopPrice": "95.00"}, -1106),
        ({"quoteOrderQty": "50"}, -1106),
        ({"strategyType": "12"}, -1134),
        ({"newOrderRespType": "SOME"}, -1130),
        ({"selfTradePreventionMode": "SOME"}, -1130),
        ({"icebergQty": "0.1"}, -2010),
        ({"trailingDelta": "10"}, -2010),
        ({"type": "TAKE_PROFIT", "stopPrice": "110.00"}, -2010),
        ({"reduceOnly": "true"}, -1104),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    desk: Any, change: dict[str, Any], code: int
) -> None:
    told = desk.refused("POST", ORDER, **(desk.terms("BUY", "1", "99.00") | change))
    assert told[:2] == (400, code), told
    assert desk.exchange.truth()["orders"] == []
    assert desk.happened() == []


@pytest.mark.parametrize("extra", [{"price": "99.00"}, {"timeInForce": "GTC"}, {"stopPrice": "99.00"}])
def test_a_market_order_takes_no_terms_of_others(desk: Any, extra: dict[str, str]) -> None:
    [name] = extra
    told = desk.refused("POST", ORDER, **(desk.terms("BUY", "1") | extra))
    assert told == (400, -1106, f"Parameter '{name}' sent when not required.")


def test_marks_of_a_strategy_come_back(desk: Any) -> None:
    marks = {"strategyId": 7, "strategyType": 1_000_000, "selfTradePreventionMode": "EXPIRE_TAKER"}
    told = desk.place("BUY", "1", "99.00", **marks)
    shown = desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=told["orderId"])
    for each in (told, shown):
        assert {name: each[name] for name in marks} == marks


def test_an_account_that_may_not_trade_is_told_so(desk: Any) -> None:
    desk.exchange.restrict(can_trade=False)
    told = desk.refused("POST", ORDER, **desk.terms("BUY", "1", "99.00"))
    assert told == (400, -2010, "This action is disabled on this account.")
    assert desk.ask("GET", "/api/v3/account")["canTrade"] is False
    desk.exchange.restrict(can_trade=True, enable_trading=False)
    told = desk.refused("POST", ORDER, **desk.terms("BUY", "1", "99.00"))
    assert told == (401, -2015, "Invalid API-key, IP, or permissions for action.")


# Cancel-replace.


def replacement(desk: Any, order_id: int, price: str = "98.00", **params: Any) -> Any:
    terms = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": order_id}
    reply = desk.signed("POST", ORDER + "/cancelReplace", **desk.terms("BUY", "1", price, **(terms | params)))
    return reply.status, msgspec.json.decode(reply.body)


def test_an_order_is_replaced_even_under_its_own_id(desk: Any) -> None:
    first = desk.place("BUY", "1", "99.00", newClientOrderId="mine")["orderId"]
    status, told = replacement(desk, first, newClientOrderId="mine")
    assert (status, told["cancelResult"], told["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    assert told["cancelResponse"]["origClientOrderId"] == "mine"
    assert told["newOrderResponse"]["price"] == "98.00000000"
    [shown] = desk.ask("GET", "/api/v3/openOrders")
    assert shown["orderId"] == told["newOrderResponse"]["orderId"]


def test_replacing_nothing_stops_or_goes_on_as_asked(desk: Any) -> None:
    status, told = replacement(desk, 77)
    unknown = {"code": -2011, "msg": "Unknown order sent."}
    assert (status, told["code"]) == (400, -2022)
    assert told["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": unknown,
        "newOrderResponse": None,
    }
    status, told = replacement(desk, 77, cancelReplaceMode="ALLOW_FAILURE")
    assert (status, told["code"], told["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    status, told = replacement(
        desk, 77, "100.01", cancelReplaceMode="ALLOW_FAILURE", type="LIMIT_MAKER", timeInForce=None
    )
    assert (status, told["code"], told["data"]["newOrderResult"]) == (400, -2022, "FAILURE")
    assert told["data"]["newOrderResponse"]["code"] == -2010


def test_a_cancel_stands_though_the_new_order_is_refused(desk: Any) -> None:
    order = desk.place("BUY", "1", "99.00")["orderId"]
    desk.happened()
    status, told = replacement(desk, order, "100.01", type="LIMIT_MAKER", timeInForce=None)
    assert (status, told["code"]) == (409, -2021)
    assert (told["data"]["cancelResult"], told["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert [event.reason for event in desk.events if hasattr(event, "reason")] == [
        "NONE",
        "WOULD_MATCH_IMMEDIATELY",
    ]
    assert desk.happened() == ["CANCELED", "BalancesChanged", "REJECTED", "BalancesChanged"]
    assert len(desk.exchange.truth()["orders"]) == 1


def test_filters_are_looked_at_before_anything_is_cancelled(desk: Any) -> None:
    order = desk.place("BUY", "1", "99.00")["orderId"]
    status, told = replacement(desk, order, "98.001")
    assert (status, told) == (400, {"code": -1013, "msg": "Filter failure: PRICE_FILTER"})
    assert len(desk.ask("GET", "/api/v3/openOrders")) == 1


# Amendments.

AMEND = ORDER + "/amend/keepPriority"


def test_an_order_is_made_smaller_under_a_name_that_may_stay(desk: Any) -> None:
    order = desk.place("BUY", "2", "99.00", newClientOrderId="mine")["orderId"]
    desk.happened()
    told = desk.ask("PUT", AMEND, symbol="BTCUSDT", orderId=order, newQty="1.5", newClientOrderId="mine")
    assert told["amendedOrder"]["qty"] == "1.50000000"
    assert told["amendedOrder"]["origClientOrderId"] == told["amendedOrder"]["clientOrderId"] == "mine"
    assert "listStatus" not in told
    renamed = desk.ask("PUT", AMEND, symbol="BTCUSDT", origClientOrderId="mine", newQty="1")
    assert renamed["amendedOrder"]["clientOrderId"] != "mine"
    assert desk.happened() == ["REPLACED", "BalancesChanged"] * 2
    assert desk.balance("USDT") == (Decimal(9_901), Decimal(99))
    told = desk.ask("GET", ORDER + "/amendments", symbol="BTCUSDT", orderId=order)
    assert [(each["origQty"], each["newQty"]) for each in told] == [
        ("2.00000000", "1.50000000"),
        ("1.50000000", "1.00000000"),
    ]
    assert desk.refused("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine")[1] == -2013
    desk.place("BUY", "1", "99.00", newClientOrderId="mine")


@pytest.mark.parametrize(
    ("quantity", "code", "text"),
    [
        ("2", -2038, "The requested action would change no state; rejecting."),
        ("3", -2038, "Order amend (quantity increase) is not supported."),
        ("0.00001", -1013, "Filter failure: NOTIONAL"),
        ("0", -1102, "Mandatory parameter 'newQty' was not sent, was empty/null, or malformed."),
    ],
)
def test_an_amendment_that_is_none_is_refused(desk: Any, quantity: str, code: int, text: str) -> None:
    order = desk.place("BUY", "2", "99.00")["orderId"]
    told = desk.refused("PUT", AMEND, symbol="BTCUSDT", orderId=order, newQty=quantity)
    assert told == (400, code, text)


def test_an_amendment_of_what_is_not_open_is_refused(desk: Any) -> None:
    told = desk.refused("PUT", AMEND, symbol="BTCUSDT", orderId=5, newQty="1")
    assert told == (400, -2038, "Unknown order sent.")
    order = desk.place("BUY", "1")["orderId"]
    told = desk.refused("PUT", AMEND, symbol="BTCUSDT", orderId=order, newQty="0.5")
    assert told == (400, -2038, "Unknown order sent.")


def test_an_amendment_cannot_take_the_name_of_another_order(desk: Any) -> None:
    desk.place("BUY", "2", "98.00", newClientOrderId="other")
    order = desk.place("BUY", "2", "99.00")["orderId"]
    told = desk.refused("PUT", AMEND, symbol="BTCUSDT", orderId=order, newQty="1", newClientOrderId="other")
    assert told == (400, -2010, "Duplicate order sent.")
