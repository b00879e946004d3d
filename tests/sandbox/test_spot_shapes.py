"""What happened to an order as the user stream and the answers tell it."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantcli.sandbox import shapes
from quantcli.sandbox.order_records import Execution, ListChanged, Transfer


def reports(desk: Any) -> list[dict[str, Any]]:
    told = [shapes.execution_report(event) for event in desk.events if isinstance(event, Execution)]
    desk.events.clear()
    return told


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.00000000"),
        ("1", "1.00000000"),
        ("1E+3", "1000.00000000"),
        ("0.1234567800000", "0.12345678"),
        ("0.123456789", "0.123456789"),
        ("-2.5", "-2.50000000"),
    ],
)
def test_an_amount_has_eight_decimals_and_hides_none(value: str, text: str) -> None:
    assert shapes.amount(Decimal(value)) == text


def test_a_new_order_is_reported(desk: Any) -> None:
    desk.place("BUY", "1", "99.00", newClientOrderId="mine", strategyId=7, strategyType=1_000_000)
    [report] = reports(desk)
    assert report == {
        "e": "executionReport",
        "E": 1_700_000_000_000,
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "1.00000000",
        "p": "99.00000000",
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": 1,
        "l": "0.00000000",
        "z": "0.00000000",
        "L": "0.00000000",
        "n": "0",
        "N": None,
        "T": 1_700_000_000_000,
        "t": -1,
        "I": 1,
        "w": True,
        "m": False,
        "M": False,
        "O": 1_700_000_000_000,
        "Z": "0.00000000",
        "Y": "0.00000000",
        "Q": "0.00000000",
        "V": "NONE",
        "W": 1_700_000_000_000,
        "j": 7,
        "J": 1_000_000,
    }


def test_a_trade_is_reported_with_price_fee_and_sums(desk: Any) -> None:
    desk.place("BUY", "2", "99.00")
    reports(desk)
    desk.wait(1)
    desk.trade(98.0, 0.5, side=2)
    desk.trade(98.0, 0.5, side=2)
    first, second = reports(desk)
    assert [first[k] for k in "xXlLzZY"] == [
        "TRADE",
        "PARTIALLY_FILLED",
        "0.50000000",
        "99.00000000",
        "0.50000000",
        "49.50000000",
        "49.50000000",
    ]
    assert (first["n"], first["N"], first["m"], first["t"]) == ("0.00050000", "BTC", True, 1)
    assert (first["T"], first["O"], first["w"]) == (1_700_000_001_000, 1_700_000_000_000, True)
    assert (second["z"], second["Z"], second["t"]) == ("1.00000000", "99.00000000", 2)


def test_a_cancel_is_reported_under_its_own_id(desk: Any) -> None:
    desk.place("BUY", "1", "99.00", newClientOrderId="mine")
    desk.ask("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=1, newClientOrderId="bye")
    _, report = reports(desk)
    assert (report["x"], report["c"], report["C"], report["w"]) == ("CANCELED", "bye", "mine", False)


def test_an_amendment_is_reported_with_both_ids(desk: Any) -> None:
    desk.place("BUY", "2", "99.00", newClientOrderId="mine")
    path = "/api/v3/order/amend/keepPriority"
    desk.ask("PUT", path, symbol="BTCUSDT", orderId=1, newQty="1", newClientOrderId="less")
    _, report = reports(desk)
    assert (report["x"], report["X"], report["c"], report["C"]) == ("REPLACED", "NEW", "less", "mine")
    assert report["q"] == "1.00000000"


def test_an_armed_stop_is_not_working(desk: Any) -> None:
    desk.place("SELL", "1", "94.00", type="STOP_LOSS_LIMIT", stopPrice="95.00")
    [report] = reports(desk)
    assert (report["w"], report["P"], "W" in report) == (False, "95.00000000", False)


def test_a_list_is_reported_with_its_orders(desk: Any) -> None:
    terms = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "1", "listClientOrderId": "pair"}
    legs = {
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "110.00",
        "aboveClientOrderId": "target",
        "belowType": "STOP_LOSS",
        "belowStopPrice": "95.00",
        "belowClientOrderId": "stop",
    }
    desk.ask("POST", "/api/v3/orderList/oco", **terms, **legs)
    [changed] = [event for event in desk.events if isinstance(event, ListChanged)]
    assert shapes.list_status(changed.record, changed.at_ns) == {
        "e": "listStatus",
        "E": 1_700_000_000_000,
        "s": "BTCUSDT",
        "g": 1,
        "c": "OCO",
        "l": "EXEC_STARTED",
        "L": "EXECUTING",
        "r": "NONE",
        "C": "pair",
        "T": 1_700_000_000_000,
        "O": [{"s": "BTCUSDT", "i": 1, "c": "stop"}, {"s": "BTCUSDT", "i": 2, "c": "target"}],
    }
    assert {report["g"] for report in reports(desk)} == {1}


def test_balances_and_transfers_are_reported(desk: Any) -> None:
    told = shapes.account_position(desk.exchange.balances(["USDT", "XRP"]), 5_000_000, 6_000_000)
    assert told == {
        "e": "outboundAccountPosition",
        "E": 6,
        "u": 5,
        "B": [
            {"a": "USDT", "f": "10000.00000000", "l": "0.00000000"},
            {"a": "XRP", "f": "0.00000000", "l": "0.00000000"},
        ],
    }
    assert shapes.balance_update(Transfer("BTC", Decimal("-1.5"), 5_000_000)) == {
        "e": "balanceUpdate",
        "E": 5,
        "a": "BTC",
        "d": "-1.50000000",
        "T": 5,
    }


def test_every_answer_is_json(desk: Any) -> None:
    desk.place("BUY", "1", "99.00")
    reply = desk.signed("GET", "/api/v3/openOrders")
    assert reply.headers["Content-Type"].startswith("application/json")
    assert msgspec.json.decode(reply.body)[0]["symbol"] == "BTCUSDT"
