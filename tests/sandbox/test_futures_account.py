"""What the futures account is told of itself and of its markets, who may ask, and how often."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantcli.codecs.binance_rules import parse_exchange_info

PERP = "BTC/USDT:USDT"
ORDER = "/fapi/v1/order"


def test_a_position_is_valued_at_the_mark_price(perp_desk: Any) -> None:
    perp_desk.place("BUY", "2")
    perp_desk.mark(103.01)
    [risk] = perp_desk.ask("GET", "/fapi/v3/positionRisk")
    assert {name: Decimal(risk[name]) for name in ("positionAmt", "entryPrice", "markPrice", "notional")} == {
        "positionAmt": 2,
        "entryPrice": Decimal("100.01"),
        "markPrice": Decimal("103.01"),
        "notional": Decimal("206.02"),
    }
    assert Decimal(risk["unRealizedProfit"]) == 6
    assert Decimal(risk["initialMargin"]) == Decimal("200.02") / 20
    account = perp_desk.ask("GET", "/fapi/v3/account")
    assert [each["symbol"] for each in account["positions"]] == ["BTCUSDT"]
    wallet = 10_000 - Decimal("200.02") * Decimal("0.0005")
    assert Decimal(account["totalWalletBalance"]) == wallet
    assert Decimal(account["totalMarginBalance"]) == wallet + 6
    assert Decimal(account["availableBalance"]) == wallet - Decimal("200.02") / 20


def test_a_market_without_mark_prices_is_valued_at_its_last_price(perp_desk: Any) -> None:
    perp_desk.place("SELL", "1")
    perp_desk.trade(90.0)
    [risk] = perp_desk.ask("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")
    assert Decimal(risk["unRealizedProfit"]) == Decimal("9.99")
    assert perp_desk.public_call("/fapi/v1/premiumIndex", symbol="BTCUSDT")["markPrice"] == "90.00000000"


def test_the_older_queries_tell_every_market_and_the_leverage(perp_desk: Any) -> None:
    told = perp_desk.ask("GET", "/fapi/v2/positionRisk")
    assert [(each["symbol"], each["leverage"]) for each in told] == [("BTCUSDT", "20"), ("ETHUSDT", "20")]
    account = perp_desk.ask("GET", "/fapi/v2/account")
    assert (account["canTrade"], len(account["positions"])) == (True, 2)
    assert perp_desk.ask("GET", "/fapi/v3/positionRisk") == []


@pytest.mark.parametrize(
    ("leverage", "most"), [(1, "101.01"), (20, "2020.202"), (50, "5050.505"), (3, "303.03")]
)
def test_leverage_decides_how_much_can_be_bought(perp_desk: Any, leverage: int, most: str) -> None:
    told = perp_desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)
    assert (told["leverage"], told["symbol"]) == (leverage, "BTCUSDT")
    too_much = perp_desk.refused(
        "POST", ORDER, **perp_desk.terms("BUY", str(Decimal(most) + Decimal("0.001")), "99.00")
    )
    assert too_much == (400, -2019, "Margin is insufficient.")
    assert perp_desk.place("BUY", most, "99.00")["status"] == "NEW"
    [config] = perp_desk.ask("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")
    assert (config["leverage"], config["marginType"]) == (leverage, "CROSSED")


def test_leverage_cannot_be_taken_from_under_a_position(perp_desk: Any) -> None:
    perp_desk.place("BUY", "500", "100.01")
    refused = perp_desk.refused("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=2)
    assert refused[:2] == (400, -2028)
    assert perp_desk.refused("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=126)[1] == -4028
    assert perp_desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=20)["leverage"] == 20


def test_a_change_of_leverage_is_told_once(perp_desk: Any) -> None:
    for _ in range(2):
        perp_desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=5)
    assert perp_desk.happened() == ["LeverageChanged"]


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "ISOLATED"}, -1020),
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": "true"}, -1020),
        ("/fapi/v1/positionSide/dual", {}, -1102),
    ],
)
def test_margin_stays_crossed_and_positions_one_way(
    perp_desk: Any, path: str, params: dict[str, str], code: int
) -> None:
    assert perp_desk.refused("POST", path, **params)[:2] == (400, code)
    assert perp_desk.ask("GET", "/fapi/v1/positionSide/dual") == {"dualSidePosition": False}


def test_fees_brackets_and_counts_are_told(perp_desk: Any) -> None:
    rates = perp_desk.ask("GET", "/fapi/v1/commissionRate", symbol="BTCUSDT")
    assert rates == {
        "symbol": "BTCUSDT",
        "makerCommissionRate": "0.00020000",
        "takerCommissionRate": "0.00050000",
    }
    [bracket] = perp_desk.ask("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT")
    assert bracket["brackets"][0]["initialLeverage"] == 125
    perp_desk.place("BUY", "1")
    counts = perp_desk.ask("GET", "/fapi/v1/rateLimit/order")
    assert {(each["interval"], each["count"]) for each in counts} == {("MINUTE", 1), ("SECOND", 1)}


def test_transfers_come_into_the_wallet_and_the_incomes(perp_desk: Any) -> None:
    perp_desk.exchange.transfer("USDT", Decimal(-100))
    [income] = perp_desk.ask("GET", "/fapi/v1/income", incomeType="TRANSFER")
    assert (Decimal(income["income"]), income["asset"]) == (-100, "USDT")
    assert perp_desk.wallet()["balance"] == 9_900


def test_trades_can_be_asked_for_by_order_and_number(perp_desk: Any) -> None:
    one, other = (perp_desk.place("BUY", "1") for _ in range(2))
    [trade] = perp_desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", orderId=one["orderId"])
    assert (trade["buyer"], trade["maker"], trade["commissionAsset"]) == (True, False, "USDT")
    later = perp_desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", fromId=trade["id"] + 1)
    assert [each["orderId"] for each in later] == [other["orderId"]]
    both = {"fromId": 1, "startTime": 1}
    assert perp_desk.refused("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", **both)[1] == -1128


def test_queries_can_lag_behind(perp_desk: Any) -> None:
    perp_desk.wait(1)
    placed = perp_desk.place("BUY", "1")
    perp_desk.wait(1)
    perp_desk.exchange.lag_ns = 1_500_000_000
    ids = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    assert perp_desk.refused("GET", ORDER, **ids)[1] == -2013
    assert perp_desk.position()[0] == 0
    assert perp_desk.wallet()["balance"] == 10_000
    perp_desk.exchange.lag_ns = 500_000_000
    assert perp_desk.ask("GET", ORDER, **ids)["status"] == "FILLED"
    assert perp_desk.position()[0] == 1


# Who asks, and how often.


def test_answers_tell_weight_and_counts_of_futures(perp_desk: Any) -> None:
    reply = perp_desk.signed("POST", ORDER, **perp_desk.terms("BUY", "1"))
    assert reply.headers["X-MBX-ORDER-COUNT-10S"] == reply.headers["X-MBX-ORDER-COUNT-1M"] == "1"
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "0"
    reply = perp_desk.signed("GET", "/fapi/v1/income")
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "30"


def test_fills_give_no_orders_back(perp_desk: Any) -> None:
    """On spot an order that fills is taken off the counts; futures know no such rule."""
    for number in range(300):
        perp_desk.place("SELL" if number % 2 else "BUY", "1")
    refused = perp_desk.refused("POST", ORDER, **perp_desk.terms("SELL", "1"))
    assert refused[:2] == (429, -1015)
    perp_desk.wait(10)
    assert perp_desk.place("SELL", "1")["status"] == "FILLED"


def test_the_weight_of_a_minute_is_2400(perp_desk: Any) -> None:
    for _ in range(80):
        perp_desk.ask("GET", "/fapi/v1/income")
    assert perp_desk.refused("GET", "/fapi/v1/income")[:2] == (429, -1003)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"timestamp": 1_699_999_990_000}, -1021),
        ({"timestamp": 1_700_000_002_000}, -1021),
        ({"timestamp": None}, -1102),
        ({"recvWindow": 70_000}, -1131),
    ],
)
def test_a_request_out_of_time_is_refused(perp_desk: Any, change: dict[str, Any], code: int) -> None:
    assert perp_desk.refused("GET", "/fapi/v3/account", **change)[1] == code


def test_a_stranger_is_not_served(perp_desk: Any) -> None:
    reply = perp_desk.send("GET", "/fapi/v3/account", "timestamp=1700000000000&signature=0")
    assert msgspec.json.decode(reply.body)["code"] == -1022
    assert perp_desk.send("POST", "/fapi/v1/listenKey", key="x" * 64).status == 401
    assert perp_desk.send("GET", "/fapi/v1/nothing").status == 404


# The public side.


def test_exchange_info_tells_the_rules_that_are_enforced(perp_desk: Any) -> None:
    text = perp_desk.send("GET", "/fapi/v1/exchangeInfo", key=None).body
    rules = {meta.symbol.name: meta for meta in parse_exchange_info(text, "usdm")}
    known = perp_desk.exchange.instruments
    assert rules == known
    limits = {
        (r["rateLimitType"], r["interval"], r["limit"]) for r in msgspec.json.decode(text)["rateLimits"]
    }
    assert limits == {
        ("REQUEST_WEIGHT", "MINUTE", 2_400),
        ("ORDERS", "MINUTE", 1_200),
        ("ORDERS", "SECOND", 300),
    }


def test_public_queries_show_the_market(perp_desk: Any) -> None:
    at = perp_desk.clock.now_ns() // 1_000_000
    ask = perp_desk.public_call
    book = ask("/fapi/v1/depth", symbol="BTCUSDT", limit=5)
    assert (book["bids"], book["asks"], book["T"]) == ([["99.99", "100.000"]], [["100.01", "100.000"]], at)
    [trade] = ask("/fapi/v1/trades", symbol="BTCUSDT")
    assert (trade["price"], trade["qty"]) == ("100.00", "1.000")
    assert ask("/fapi/v1/ticker/price", symbol="BTCUSDT")["price"] == "100.00"
    assert ask("/fapi/v1/ticker/bookTicker", symbol="BTCUSDT")["bidPrice"] == "99.99"
    assert {each["symbol"] for each in ask("/fapi/v1/ticker/24hr")} == {"BTCUSDT", "ETHUSDT"}
    [candle] = ask("/fapi/v1/klines", symbol="BTCUSDT", interval="1m")
    assert candle[1:6] == ["100.00"] * 4 + ["1.000"]
    perp_desk.mark(101.0)
    premium = ask("/fapi/v1/premiumIndex", symbol="BTCUSDT")
    assert (premium["markPrice"], premium["lastFundingRate"]) == ("101.00000000", "0.00010000")
    [rate] = ask("/fapi/v1/fundingRate", symbol="BTCUSDT")
    assert rate["fundingTime"] < at < premium["nextFundingTime"]


def test_levels_come_in_fixed_numbers(perp_desk: Any) -> None:
    reply = perp_desk.send("GET", "/fapi/v1/depth", "symbol=BTCUSDT&limit=7")
    assert msgspec.json.decode(reply.body) == {"code": -4021, "msg": "7 is not valid depth limit"}
