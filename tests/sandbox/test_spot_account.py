"""What the account is told of itself: balances, history, limits of queries, lag, calls of the start."""

from decimal import Decimal
from typing import Any

import pytest

from quantcli.sandbox.errors import ApiError

ORDER, TRADES, ALL = "/api/v3/order", "/api/v3/myTrades", "/api/v3/allOrders"
DAY_S = 86_400


def ids(found: list[dict[str, Any]], name: str = "id") -> list[int]:
    return [each[name] for each in found]


@pytest.fixture
def traded(desk: Any) -> Any:
    """Five trades, a second apart."""
    for _ in range(5):
        desk.place("BUY", "0.1")
        desk.wait(1)
    return desk


def test_the_account_shows_balances_rates_and_permissions(desk: Any) -> None:
    desk.place("BUY", "1", "99.00")
    told = desk.ask("GET", "/api/v3/account")
    assert told["balances"] == [
        {"asset": "BTC", "free": "2.00000000", "locked": "0.00000000"},
        {"asset": "ETH", "free": "0.00000000", "locked": "0.00000000"},
        {"asset": "USDT", "free": "9901.00000000", "locked": "99.00000000"},
    ]
    assert (told["makerCommission"], told["takerCommission"]) == (10, 20)
    assert told["commissionRates"]["taker"] == "0.00200000"
    assert (told["canTrade"], told["permissions"], told["accountType"]) == (True, ["SPOT"], "SPOT")
    assert told["updateTime"] == 1_700_000_000_000


def test_zero_balances_can_be_left_out(desk: Any) -> None:
    desk.place("SELL", "2")
    assert len(desk.ask("GET", "/api/v3/account")["balances"]) == 3
    [left] = desk.ask("GET", "/api/v3/account", omitZeroBalances="true")["balances"]
    assert left["asset"] == "USDT"


def test_the_newest_trades_come_without_a_start_and_the_oldest_with_one(traded: Any) -> None:
    start = {"symbol": "BTCUSDT", "startTime": 1_700_000_001_000}
    assert ids(traded.ask("GET", TRADES, symbol="BTCUSDT", limit=2)) == [4, 5]
    assert ids(traded.ask("GET", TRADES, **start, limit=2)) == [2, 3]
    assert ids(traded.ask("GET", TRADES, **start, endTime=1_700_000_002_000)) == [2, 3]
    assert ids(traded.ask("GET", TRADES, symbol="BTCUSDT", endTime=1_700_000_002_000, limit=2)) == [2, 3]
    assert ids(traded.ask("GET", TRADES, symbol="BTCUSDT", fromId=3)) == [3, 4, 5]
    assert ids(traded.ask("GET", TRADES, symbol="BTCUSDT", orderId=2)) == [2]
    assert traded.ask("GET", TRADES, symbol="BTCUSDT", orderId=2, fromId=3) == []
    assert traded.ask("GET", TRADES, symbol="ETHBTC") == []


def test_a_query_spans_a_day_at_most(traded: Any) -> None:
    span = {"symbol": "BTCUSDT", "startTime": 1_700_000_000_000}
    for path in (TRADES, ALL):
        traded.ask("GET", path, **span, endTime=1_700_000_000_000 + DAY_S * 1000)
        told = traded.refused("GET", path, **span, endTime=1_700_000_000_001 + DAY_S * 1000)
        assert told[1:] == (-1127, "More than 24 hours between startTime and endTime.")
        assert traded.refused("GET", path, **span, endTime=1)[1] == -1130
    assert traded.refused("GET", TRADES, **span, fromId=1)[1] == -1128


def test_orders_are_listed_with_the_same_rules(traded: Any) -> None:
    assert ids(traded.ask("GET", ALL, symbol="BTCUSDT", limit=2), "orderId") == [4, 5]
    assert ids(traded.ask("GET", ALL, symbol="BTCUSDT", orderId=2, limit=2), "orderId") == [2, 3]
    found = traded.ask("GET", ALL, symbol="BTCUSDT", startTime=1_700_000_003_000)
    assert ids(found, "orderId") == [4, 5]


def test_open_orders_of_all_markets_or_one(desk: Any) -> None:
    desk.place("BUY", "1", "99.00")
    desk.place("BUY", "1", "0.05", symbol="ETHBTC")
    assert len(desk.ask("GET", "/api/v3/openOrders")) == 2
    [order] = desk.ask("GET", "/api/v3/openOrders", symbol="ETHBTC")
    assert (order["symbol"], order["icebergQty"], order["isWorking"]) == ("ETHBTC", "0.00000000", True)


def test_queries_can_lag_while_orders_act_at_once(desk: Any) -> None:
    first = desk.place("BUY", "1", "99.00")["orderId"]
    desk.wait(10)
    desk.ask("DELETE", ORDER, symbol="BTCUSDT", orderId=first)
    second = desk.place("BUY", "1")["orderId"]
    desk.exchange.lag_ns = 5_000_000_000
    assert desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=first)["status"] == "NEW"
    assert desk.refused("GET", ORDER, symbol="BTCUSDT", orderId=second)[1] == -2013
    assert ids(desk.ask("GET", "/api/v3/openOrders"), "orderId") == [first]
    assert desk.ask("GET", TRADES, symbol="BTCUSDT") == []
    assert desk.ask("GET", "/api/v3/account")["balances"][2]["locked"] == "99.00000000"
    assert desk.refused("DELETE", ORDER, symbol="BTCUSDT", orderId=first)[1] == -2011
    desk.wait(6)
    assert desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=first)["status"] == "CANCELED"
    desk.exchange.lag_ns = 0
    assert len(desk.ask("GET", TRADES, symbol="BTCUSDT")) == 1


def test_calls_of_the_start_are_answered(desk: Any) -> None:
    assert desk.public_call("/sapi/v1/system/status") == {"status": 0, "msg": "normal"}
    coins = {each["coin"]: each for each in desk.ask("GET", "/sapi/v1/capital/config/getall")}
    assert set(coins) == {"BTC", "ETH", "USDT"}
    assert coins["USDT"]["free"] == "10000.00000000"
    assert desk.send("GET", "/sapi/v1/margin/allPairs").body == b"[]"
    assert desk.ask("GET", "/sapi/v1/margin/isolated/allPairs") == []
    [fee] = desk.ask("GET", "/sapi/v1/asset/tradeFee", symbol="BTCUSDT")
    assert fee == {"symbol": "BTCUSDT", "makerCommission": "0.00100000", "takerCommission": "0.00200000"}
    assert len(desk.ask("GET", "/sapi/v1/asset/tradeFee")) == 2
    assert desk.ask("GET", "/sapi/v1/account/status") == {"data": "Normal"}
    assert desk.ask("GET", "/sapi/v1/account/apiTradingStatus")["data"]["isLocked"] is False
    assert desk.ask("GET", "/api/v3/account/commission", symbol="BTCUSDT")["standardCommission"] == {
        "maker": "0.00100000",
        "taker": "0.00200000",
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }
    assert desk.ask("GET", "/api/v3/myPreventedMatches", symbol="BTCUSDT", orderId=1) == []


def test_what_the_key_may_do_can_be_changed(desk: Any) -> None:
    path = "/sapi/v1/account/apiRestrictions"
    assert desk.ask("GET", path)["enableWithdrawals"] is False
    desk.exchange.restrict(enable_withdrawals=True, ip_restricted=True, can_withdraw=False)
    told = desk.ask("GET", path)
    assert (told["enableWithdrawals"], told["ipRestrict"]) == (True, True)
    assert desk.ask("GET", "/api/v3/account")["canWithdraw"] is False
    with pytest.raises(ValueError, match="there are can_trade"):
        desk.exchange.restrict(can_fly=True)


def test_a_listen_key_lives_until_it_is_closed(desk: Any) -> None:
    path = "/api/v3/userDataStream"
    assert desk.send("POST", path, key=None).status == 401
    first, second = desk.send("POST", path).body, desk.send("POST", path).body
    assert first == second
    key = first.decode().split('"')[3]
    assert len(key) == 60
    assert desk.dispatcher.listen_keys.is_valid(key)
    assert desk.send("PUT", path, f"listenKey={key}").status == 200
    assert desk.send("DELETE", path, f"listenKey={key}").status == 200
    assert not desk.dispatcher.listen_keys.is_valid(key)
    assert b"-1125" in desk.send("PUT", path, f"listenKey={key}").body


# Control: what happens without the client.


def test_resting_orders_are_filled_by_hand_at_their_price(desk: Any) -> None:
    first = desk.place("BUY", "1", "90.00")["orderId"]
    desk.place("BUY", "1", "80.00")
    desk.place("SELL", "1", "94.00", type="STOP_LOSS_LIMIT", stopPrice="95.00")
    desk.happened()
    desk.exchange.fill(first, Decimal("0.25"))
    assert desk.events[0].fill.price == 90
    assert desk.events[0].order.status == "PARTIALLY_FILLED"
    assert desk.happened() == ["TRADE", "BalancesChanged"]
    with pytest.raises(ApiError):
        desk.exchange.fill(first, Decimal(-1))
    assert desk.exchange.fill_all() == 2
    assert [order["type"] for order in desk.ask("GET", "/api/v3/openOrders")] == ["STOP_LOSS_LIMIT"]


def test_an_order_is_cancelled_by_hand(desk: Any) -> None:
    order = desk.place("BUY", "1", "90.00")["orderId"]
    desk.happened()
    desk.exchange.cancel_by_hand(order)
    assert desk.events[0].new_client_order_id.startswith("web_")
    assert desk.happened() == ["CANCELED", "BalancesChanged"]


def test_somebody_else_can_trade_under_the_same_account(desk: Any) -> None:
    order = desk.exchange.place_foreign("BTCUSDT", "sell", Decimal(1), Decimal(105))
    [shown] = desk.ask("GET", "/api/v3/openOrders")
    assert (shown["orderId"], shown["side"], shown["clientOrderId"][:4]) == (order, "SELL", "web_")


def test_what_comes_without_a_trade_is_told(desk: Any) -> None:
    desk.exchange.transfer("ETH", Decimal("1.5"))
    desk.exchange.transfer("USDT", Decimal(-10_000))
    assert desk.happened() == ["Transferred", "BalancesChanged"] * 2
    assert (desk.balance("ETH")[0], desk.balance("USDT")[0]) == (Decimal("1.5"), 0)
    with pytest.raises(ApiError, match="insufficient balance"):
        desk.exchange.transfer("USDT", Decimal(-1))


def test_the_truth_adds_up(traded: Any) -> None:
    traded.place("SELL", "0.05", "150.00", newClientOrderId="mine")
    truth = traded.exchange.truth()
    assert [order["client_order_id"] for order in truth["orders"]][-1] == "mine"
    assert [(order["status"], order["filled"]) for order in truth["orders"]] == [("FILLED", "0.1")] * 5 + [
        ("NEW", "0")
    ]
    bought = sum((Decimal(fill["qty"]) - Decimal(fill["fee"]) for fill in truth["fills"]), Decimal(0))
    assert Decimal(truth["balances"]["BTC"]["total"]) == 2 + bought
    assert truth["balances"]["BTC"]["locked"] == "0.05"
    assert truth["orders"][0]["side"] == truth["fills"][0]["side"] == "BUY"
