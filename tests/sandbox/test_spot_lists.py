"""Order lists by REST: one order of the two is executed, and the list ends with it."""

from decimal import Decimal
from typing import Any

import pytest

OCO = "/api/v3/orderList/oco"
LIST = "/api/v3/orderList"
TERMS = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "110.00",
    "aboveClientOrderId": "target",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "95.00",
    "belowClientOrderId": "stop",
    "listClientOrderId": "pair",
}


def states(desk: Any) -> list[tuple[str, str]]:
    told = desk.ask("GET", "/api/v3/allOrders", symbol="BTCUSDT")
    return [(order["clientOrderId"], order["status"]) for order in told]


def test_both_orders_are_answered_and_the_coins_are_held_once(desk: Any) -> None:
    told = desk.ask("POST", OCO, **TERMS)
    assert (told["contingencyType"], told["listStatusType"], told["listOrderStatus"]) == (
        "OCO",
        "EXEC_STARTED",
        "EXECUTING",
    )
    assert told["listClientOrderId"] == "pair"
    reports = told["orderReports"]
    assert [(each["clientOrderId"], each["type"], each["status"]) for each in reports] == [
        ("stop", "STOP_LOSS", "NEW"),
        ("target", "LIMIT_MAKER", "NEW"),
    ]
    assert [each["workingTime"] for each in reports] == [-1, told["transactionTime"]]
    assert {each["orderListId"] for each in reports} == {told["orderListId"]}
    assert desk.balance("BTC") == (1, 1)
    assert desk.happened() == ["NEW", "NEW", "ListChanged", "BalancesChanged"]


def test_a_fill_of_one_expires_the_other_and_ends_the_list(desk: Any) -> None:
    list_id = desk.ask("POST", OCO, **TERMS)["orderListId"]
    desk.happened()
    desk.trade(111.0, 0.4, side=1)
    assert desk.happened() == ["EXPIRED", "TRADE", "BalancesChanged"]
    assert desk.ask("GET", LIST, orderListId=list_id)["listOrderStatus"] == "EXECUTING"
    desk.trade(111.0, 9.0, side=1)
    assert desk.happened() == ["TRADE", "ListChanged", "BalancesChanged"]
    assert states(desk) == [("stop", "EXPIRED"), ("target", "FILLED")]
    told = desk.ask("GET", LIST, origClientOrderId="pair")
    assert (told["listStatusType"], told["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert desk.ask("GET", "/api/v3/openOrderList") == []
    assert [each["orderListId"] for each in desk.ask("GET", "/api/v3/allOrderList")] == [list_id]


def test_a_triggered_stop_expires_the_other(desk: Any) -> None:
    desk.ask("POST", OCO, **TERMS)
    desk.happened()
    desk.quote(94.9, 95.1)
    desk.trade(95.0)
    assert desk.happened() == ["EXPIRED", "NEW", "TRADE", "ListChanged", "BalancesChanged"]
    assert states(desk) == [("stop", "FILLED"), ("target", "EXPIRED")]
    assert desk.balance("BTC") == (1, 0)


@pytest.mark.parametrize(
    ("method", "path", "which"),
    [
        ("DELETE", LIST, {"listClientOrderId": "pair"}),
        ("DELETE", LIST, {"orderListId": 1, "listClientOrderId": "pair"}),
        ("DELETE", "/api/v3/order", {"origClientOrderId": "target"}),
        ("DELETE", "/api/v3/order", {"origClientOrderId": "stop"}),
    ],
)
def test_cancelling_any_part_cancels_all(desk: Any, method: str, path: str, which: dict[str, Any]) -> None:
    desk.ask("POST", OCO, **TERMS)
    desk.happened()
    told = desk.ask(method, path, symbol="BTCUSDT", newClientOrderId="bye", **which)
    assert (told["listOrderStatus"], told["listStatusType"]) == ("ALL_DONE", "ALL_DONE")
    reports = told["orderReports"]
    assert sorted(each["origClientOrderId"] for each in reports) == ["stop", "target"]
    assert {(each["clientOrderId"], each["status"]) for each in reports} == {("bye", "CANCELED")}
    assert desk.happened() == ["CANCELED", "CANCELED", "ListChanged", "BalancesChanged"]
    assert desk.balance("BTC") == (2, 0)
    assert desk.refused(method, path, symbol="BTCUSDT", **which)[1] == -2011


def test_cancelling_all_orders_tells_of_a_list_once(desk: Any) -> None:
    desk.ask("POST", OCO, **TERMS)
    desk.place("BUY", "1", "99.00")
    told = desk.ask("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert ["orderReports" in each for each in told] == [True, False]


def test_amending_one_amends_both_and_renames_one(desk: Any) -> None:
    list_id = desk.ask("POST", OCO, **TERMS)["orderListId"]
    desk.happened()
    told = desk.ask(
        "PUT",
        "/api/v3/order/amend/keepPriority",
        symbol="BTCUSDT",
        origClientOrderId="target",
        newClientOrderId="smaller",
        newQty="0.5",
    )
    assert [leg["clientOrderId"] for leg in told["listStatus"]["orders"]] == ["stop", "smaller"]
    assert desk.happened() == ["REPLACED", "REPLACED", "ListChanged", "BalancesChanged"]
    assert desk.balance("BTC") == (Decimal("1.5"), Decimal("0.5"))
    quantities = {order["origQty"] for order in desk.ask("GET", "/api/v3/openOrders", symbol="BTCUSDT")}
    assert quantities == {"0.50000000"}
    desk.trade(111.0, 9.0, side=1)
    assert desk.ask("GET", LIST, orderListId=list_id)["listOrderStatus"] == "ALL_DONE"


def test_the_older_way_to_ask_means_the_same(desk: Any) -> None:
    terms = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "1",
        "price": "110.00",
        "stopPrice": "95.00",
        "stopLimitPrice": "94.00",
        "stopLimitTimeInForce": "GTC",
        "limitClientOrderId": "target",
        "stopClientOrderId": "stop",
    }
    told = desk.ask("POST", "/api/v3/order/oco", **terms)
    assert [(r["clientOrderId"], r["type"], r["price"]) for r in told["orderReports"]] == [
        ("stop", "STOP_LOSS_LIMIT", "94.00000000"),
        ("target", "LIMIT_MAKER", "110.00000000"),
    ]
    assert desk.refused("POST", "/api/v3/order/oco", **(terms | {"stopLimitTimeInForce": None}))[1] == -1102


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"abovePrice": "99.00"}, -2010),
        ({"side": "BUY"}, -1196),
        ({"belowType": "LIMIT_MAKER", "belowPrice": "95.00", "belowStopPrice": None}, -1168),
        ({"aboveType": "STOP_LOSS", "abovePrice": None, "aboveStopPrice": "110.00"}, -1014),
        ({"aboveType": "LIMIT", "aboveTimeInForce": "GTC"}, -1158),
        ({"aboveType": "TAKE_PROFIT", "abovePrice": None, "aboveStopPrice": "110.00"}, -2010),
        ({"belowPrice": "94.00"}, -1106),
        ({"belowType": "STOP_LOSS_LIMIT", "belowPrice": "94.00"}, -1102),
        ({"quantity": "1.000001"}, -1013),
        ({"quantity": "3"}, -2010),
        ({"belowClientOrderId": "target"}, -2010),
        ({"aboveIcebergQty": "0.1"}, -2010),
        ({"surprise": "1"}, -1104),
    ],
)
def test_a_list_is_placed_whole_or_not_at_all(desk: Any, change: dict[str, Any], code: int) -> None:
    assert desk.refused("POST", OCO, **(TERMS | change))[1] == code
    assert desk.exchange.truth()["orders"] == []
    assert desk.balance("BTC") == (2, 0)


def test_a_list_id_is_unique_among_open_lists(desk: Any) -> None:
    desk.ask("POST", OCO, **TERMS)
    other = TERMS | {"aboveClientOrderId": None, "belowClientOrderId": None}
    assert desk.refused("POST", OCO, **other)[1:] == (-2010, "Duplicate order sent.")
    desk.ask("DELETE", LIST, symbol="BTCUSDT", listClientOrderId="pair")
    desk.ask("POST", OCO, **TERMS)
    assert desk.ask("GET", LIST, origClientOrderId="pair")["orderListId"] == 2


def test_what_is_no_list_is_told_so(desk: Any) -> None:
    assert desk.refused("GET", LIST, orderListId=4)[1:] == (-2013, "Order list does not exist.")
    assert desk.refused("GET", LIST)[1] == -1102
    assert desk.refused("DELETE", LIST, symbol="BTCUSDT", orderListId=4)[1] == -2011
    assert desk.refused("GET", "/api/v3/allOrderList", fromId=1, startTime=1)[1] == -1128


def test_a_list_counts_as_two_orders(desk: Any) -> None:
    reply = desk.signed("POST", OCO, **TERMS)
    assert reply.headers["X-MBX-ORDER-COUNT-10S"] == "2"
