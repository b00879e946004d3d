"""Public endpoints: rules as clients read them, book, trades, candles, tickers."""

from typing import Any

import msgspec
import pytest

from quantcli.codecs.binance_rules import parse_exchange_info
from quantcli.model.market import BookUpdate

INFO = "/api/v3/exchangeInfo"


def refused(desk: Any, path: str, query: str) -> int:
    reply = desk.send("GET", path, query, key=None)
    assert reply.status == 400, reply.body
    code: int = msgspec.json.decode(reply.body)["code"]
    return code


def test_time_is_the_clocks(desk: Any) -> None:
    assert desk.public_call("/api/v3/ping") == {}
    assert desk.public_call("/api/v3/time") == {"serverTime": 1_700_000_000_000}


def test_our_own_codec_reads_back_the_rules(desk: Any) -> None:
    text = desk.send("GET", INFO).body
    rules = {meta.symbol.name: meta for meta in parse_exchange_info(text, "spot")}
    for name, meta in desk.exchange.instruments.items():
        assert rules[name] == meta


def test_markets_are_chosen_by_name_permission_or_status(desk: Any) -> None:
    def names(**params: Any) -> list[str]:
        return [each["symbol"] for each in desk.public_call(INFO, **params)["symbols"]]

    assert names() == names(permissions="SPOT") == names(permissions='["SPOT","MARGIN"]')
    assert names(symbol="ETHBTC") == names(symbols='["ETHBTC"]') == ["ETHBTC"]
    assert names(permissions="MARGIN") == names(symbolStatus="HALT") == []
    assert refused(desk, INFO, "symbol=NONEUSDT") == -1121
    assert refused(desk, INFO, "symbols=[%22NONEUSDT%22]") == -1121
    assert refused(desk, INFO, "symbol=ETHBTC&permissions=SPOT") == -1128
    assert refused(desk, INFO, "symbols=ETHBTC") == -1135
    [market] = desk.public_call(INFO, symbol="ETHBTC", showPermissionSets="false")["symbols"]
    assert market["permissionSets"] == []


def test_a_market_lists_the_orders_it_takes(desk: Any) -> None:
    [market] = desk.public_call(INFO, symbol="BTCUSDT")["symbols"]
    assert market["orderTypes"] == ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"]
    assert (market["status"], market["permissionSets"]) == ("TRADING", [["SPOT"]])
    assert {each["filterType"] for each in market["filters"]} == {
        "PRICE_FILTER",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
        "PERCENT_PRICE_BY_SIDE",
    }


def test_the_book_is_told_best_first_under_its_id(desk: Any) -> None:
    bids, asks = [(99.0, 1.0), (98.0, 2.0)], [(101.0, 3.0), (102.0, 4.0)]
    desk.see(BookUpdate("BTC/USDT", 0, 1, 1, True, 7, 7, 0, bids, asks))
    told = desk.public_call("/api/v3/depth", symbol="BTCUSDT", limit=1)
    assert told == {
        "lastUpdateId": 7,
        "bids": [["99.00000000", "1.00000000"]],
        "asks": [["101.00000000", "3.00000000"]],
    }
    assert refused(desk, "/api/v3/depth", "symbol=BTCUSDT&limit=0") == -1130
    assert refused(desk, "/api/v3/depth", "symbol=BTCUSDT&symbolStatus=HALT") == -1220


def test_trades_are_told_with_the_side_of_the_maker(desk: Any) -> None:
    desk.trade(99.5, 2.0, side=2)
    told = desk.public_call("/api/v3/trades", symbol="BTCUSDT", limit=1)
    assert told == [
        {
            "id": 3,
            "price": "99.50000000",
            "qty": "2.00000000",
            "quoteQty": "199.00000000",
            "time": 1_700_000_000_000,
            "isBuyerMaker": True,
            "isBestMatch": True,
        }
    ]
    assert desk.public_call("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=3) == told
    [aggregate] = desk.public_call("/api/v3/aggTrades", symbol="BTCUSDT", fromId=3)
    assert (aggregate["a"], aggregate["f"], aggregate["l"], aggregate["m"]) == (3, 3, 3, True)
    assert refused(desk, "/api/v3/aggTrades", "symbol=BTCUSDT&fromId=1&startTime=1") == -1128


def test_candles_have_twelve_fields(desk: Any) -> None:
    desk.trade(101.0, 2.0, side=1)
    [candle] = desk.public_call("/api/v3/klines", symbol="BTCUSDT", interval="1m")
    assert candle == [
        1_699_999_980_000,
        "100.00000000",
        "101.00000000",
        "100.00000000",
        "101.00000000",
        "3.00000000",
        1_700_000_039_999,
        "302.00000000",
        2,
        "2.00000000",
        "202.00000000",
        "0",
    ]
    assert desk.public_call("/api/v3/uiKlines", symbol="BTCUSDT", interval="1m") == [candle]
    assert refused(desk, "/api/v3/klines", "symbol=BTCUSDT&interval=7m") == -1120
    assert refused(desk, "/api/v3/klines", "symbol=BTCUSDT") == -1102


def test_tickers_are_told_for_one_or_many(desk: Any) -> None:
    assert desk.public_call("/api/v3/ticker/price", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT",
        "price": "100.00000000",
    }
    assert len(desk.public_call("/api/v3/ticker/price")) == 2
    [best] = desk.public_call("/api/v3/ticker/bookTicker", symbols='["BTCUSDT"]')
    assert (best["bidPrice"], best["askQty"]) == ("99.99000000", "100.00000000")
    day = desk.public_call("/api/v3/ticker/24hr", symbol="BTCUSDT")
    assert (day["lastPrice"], day["bidPrice"], day["count"]) == ("100.00000000", "99.99000000", 1)
    mini = desk.public_call("/api/v3/ticker/24hr", symbol="BTCUSDT", type="MINI")
    assert set(mini) < set(day)
    assert desk.public_call("/api/v3/avgPrice", symbol="BTCUSDT")["price"] == "100.00000000"
    assert refused(desk, "/api/v3/ticker/24hr", "symbol=BTCUSDT&type=HUGE") == -1139
    assert refused(desk, "/api/v3/ticker/price", "symbol=BTCUSDT&symbols=[%22BTCUSDT%22]") == -1128


@pytest.mark.parametrize(("size", "is_window"), [("1m", True), ("7d", True), ("60m", False), ("1w", False)])
def test_windows_have_a_few_sizes(desk: Any, size: str, is_window: bool) -> None:
    reply = desk.send("GET", "/api/v3/ticker", f"symbol=BTCUSDT&windowSize={size}")
    assert (reply.status == 200) is is_window
    assert refused(desk, "/api/v3/ticker", "") == -1102


def test_a_day_begins_at_midnight(desk: Any) -> None:
    desk.wait(86_400)
    desk.trade(120.0)
    told = desk.public_call("/api/v3/ticker/tradingDay", symbol="BTCUSDT")
    assert (told["openPrice"], told["openTime"] % 86_400_000) == ("120.00000000", 0)
