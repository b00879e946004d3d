"""What futures streams and the futures account's events say, and that a client reads back what was there."""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.codecs.binance import BinanceCodec
from quantcli.codecs.binance_rules import parse_exchange_info
from quantcli.model.market import AggTrade, BookUpdate, MarkPrice, Ticker, Trade
from quantcli.sandbox.futures.sources import FuturesStreams
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.streams.sessions import MarketSession

PERP = "BTC/USDT:USDT"


class Listener:
    """A session and what it was told, by stream."""

    def __init__(self, public: PublicMarket, path: str, query: str = "", **more: Any) -> None:
        self.sent: list[tuple[str, str]] = []
        self.session = MarketSession(
            public,
            path,
            query,
            lambda kind, text: self.sent.append((kind, text)),
            kind=FuturesStreams,
            **more,
        )

    def told(self, name: str) -> list[Any]:
        return [json.loads(text) for kind, text in self.sent if kind == name]


@pytest.fixture
def listen(perp_desk: Any) -> Callable[..., Listener]:
    return lambda *names: Listener(perp_desk.public, "/public/ws/" + "/".join(names))


def test_trades_quotes_and_marks_say_what_futures_say(perp_desk: Any, listen: Any) -> None:
    client = listen("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@markPrice@1s")
    at = perp_desk.clock.now_ns() // 1_000_000
    perp_desk.trade(100.5, 0.25, side=2)
    perp_desk.quote(100.4, 100.6, 3.0)
    perp_desk.mark(100.55)
    [trade] = client.told("btcusdt@trade")
    assert {k: trade[k] for k in ("e", "T", "s", "p", "q", "X", "m")} == {
        "e": "trade",
        "T": at,
        "s": "BTCUSDT",
        "p": "100.50",
        "q": "0.250",
        "X": "MARKET",
        "m": True,
    }
    [whole] = client.told("btcusdt@aggTrade")
    assert (whole["f"], whole["l"], "M" in whole) == (trade["t"], trade["t"], False)
    [quote] = client.told("btcusdt@bookTicker")
    assert (quote["e"], quote["T"], quote["b"], quote["A"]) == ("bookTicker", at, "100.40", "3.000")
    [mark] = client.told("btcusdt@markPrice@1s")
    assert (mark["p"], mark["r"], mark["T"] > at) == ("100.55000000", "0.00010000", True)


@pytest.mark.parametrize("speed", ["", "@0ms", "@100ms", "@500ms"])
def test_each_change_of_the_book_names_the_one_before(perp_desk: Any, listen: Any, speed: str) -> None:
    client = listen("btcusdt@depth" + speed)
    snapshot_id, _, _ = perp_desk.public.depth(PERP, 5)
    perp_desk.quote(100.0, 100.02)
    perp_desk.quote(100.01, 100.02)
    one, other = client.told("btcusdt@depth" + speed)
    assert (one["pu"], other["pu"]) == (snapshot_id, one["u"])
    assert one["U"] == one["pu"] + 1


def test_a_part_of_the_book_is_shown_as_a_change(perp_desk: Any, listen: Any) -> None:
    client = listen("btcusdt@depth5@100ms")
    perp_desk.quote(100.0, 100.02)
    [book, *_] = client.told("btcusdt@depth5@100ms")
    assert (book["e"], book["b"], book["a"]) == (
        "depthUpdate",
        [["100.00", "100.000"]],
        [["100.02", "100.000"]],
    )


def test_candles_and_tickers_are_told(perp_desk: Any, listen: Any) -> None:
    client = listen("btcusdt@kline_1m", "btcusdt@ticker", "!ticker@arr", "!markPrice@arr@1s", "!bookTicker")
    perp_desk.trade(101.0)
    perp_desk.quote(100.9, 101.1)
    perp_desk.mark(101.0)
    assert client.told("btcusdt@kline_1m")[0]["k"]["c"] == "101.00000000"
    [ticker] = client.told("btcusdt@ticker")
    assert (ticker["c"], "b" in ticker, "x" in ticker) == ("101.00000000", False, False)
    assert client.told("!ticker@arr")[0][0]["s"] == "BTCUSDT"
    assert client.told("!markPrice@arr@1s")[0][0]["p"] == "101.00000000"
    assert client.told("!bookTicker")[0]["b"] == "100.90"


@pytest.mark.parametrize("name", ["btceur@trade", "btcusdt@avgPrice", "btcusdt@ticker_1h", "btcusdt@depth7"])
def test_a_stream_that_futures_do_not_have_is_silent(perp_desk: Any, listen: Any, name: str) -> None:
    client = listen(name)
    perp_desk.trade(101.0)
    perp_desk.quote(100.9, 101.1)
    assert client.sent == []


CAPTURES = {
    "usdm_btcusdt_20230404-05": {"trade", "bookTicker", "depth@0ms", "markPrice@1s"},
    "usdm_misc_20210722": {"aggTrade", "bookTicker", "depth@100ms"},
}


@pytest.mark.parametrize("name", CAPTURES)
def test_real_traffic_comes_back_as_it_was(capture: Callable[[str], list[Any]], name: str) -> None:
    events = capture(name)
    symbols = {event.symbol for event in events}
    metas = {meta.symbol.name: meta for meta in rules(name) if meta.symbol.name in symbols}
    public = PublicMarket(metas)
    codec = BinanceCodec("usdm")
    streams = [f"{meta.exchange_symbol.lower()}@{what}" for meta in metas.values() for what in CAPTURES[name]]
    first_books = {event.symbol: event for event in reversed(events) if isinstance(event, BookUpdate)}
    for event in first_books.values():
        public.see(event)  # until then a market shows a book that is made of its quotes
    told = Listener(public, "/public/ws/" + "/".join(streams))
    before, after = [], []
    for event in events:
        told.sent.clear()
        public.see(event)
        if isinstance(event, BookUpdate) and event.is_snapshot:
            continue
        before.append(event)
        after += [codec.decode(text, event.local_ns, event.seq).event for _, text in told.sent]
    shown = [
        event for event in before if isinstance(event, Trade | AggTrade | Ticker | BookUpdate | MarkPrice)
    ]
    assert len(shown) > 1_000
    assert after == shown


def folder() -> Path:
    found = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "binance"
    if not found.is_dir():
        pytest.skip("the recorded exchange data is not here")
    return found


@pytest.fixture(scope="module")
def capture() -> Callable[[str], list[Any]]:
    """The first events of a real capture."""

    def load(name: str) -> list[Any]:
        codec, events = BinanceCodec("usdm", default_symbol="BTCUSDT"), []
        with gzip.open(folder() / f"{name}.capture.jsonl.gz") as lines:
            for seq, line in enumerate(lines):
                record = json.loads(line)
                if record["k"] != "recv":
                    continue
                event = codec.decode(record["d"], record["ts"], seq).event
                if event is not None and not type(event).__name__.startswith("Bar"):
                    events.append(event)
                if len(events) == 3_000:
                    break
        return events

    return load


def rules(name: str) -> list[Any]:
    """Rules of the markets: those of the capture, else of a market like BTCUSDT."""
    with gzip.open(folder() / "usdm_misc_20210722.capture.jsonl.gz") as lines:
        for line in lines:
            record = json.loads(line)
            if record["k"] == "http" and "exchangeInfo" in record.get("url", ""):
                return parse_exchange_info(record["d"], "usdm")
    raise AssertionError(name)


# The account's events.


@pytest.fixture
def account(perp_desk: Any) -> Listener:
    """The account's events on a private socket."""
    keys = perp_desk.dispatcher.listen_keys
    key = json.loads(keyed(perp_desk, "POST").body)["listenKey"]

    def opener(name: str, send: Any) -> Any:
        return keys.open(send).close if keys.is_valid(name) else None

    return Listener(perp_desk.public, "/private/ws", f"listenKey={key}", open_account=opener)


def keyed(desk: Any, method: str) -> Any:
    """A request that needs the key and no signature."""
    return desk.send(method, "/fapi/v1/listenKey")


def kinds(client: Listener) -> list[str]:
    return [kind for kind, _ in client.sent]


def test_a_fill_is_told_with_the_wallet_and_the_position_before_it(perp_desk: Any, account: Listener) -> None:
    told = perp_desk.place("BUY", "2", newClientOrderId="mine")
    assert kinds(account) == ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    new, fill = (each["o"] for each in account.told("ORDER_TRADE_UPDATE"))
    assert (new["x"], new["X"], new["c"], new["i"], new["z"]) == (
        "NEW",
        "NEW",
        "mine",
        told["orderId"],
        "0.000",
    )
    assert (fill["x"], fill["X"], fill["l"], fill["L"], fill["rp"], fill["m"]) == (
        "TRADE",
        "FILLED",
        "2.000",
        "100.01",
        "0.00000000",
        False,
    )
    assert Decimal(fill["n"]) == Decimal("200.02") * Decimal("0.0005")
    [update] = account.told("ACCOUNT_UPDATE")
    [position], [balance] = update["a"]["P"], update["a"]["B"]
    assert (update["a"]["m"], position["pa"], position["ep"]) == ("ORDER", "2.000", "100.01000")
    assert Decimal(balance["wb"]) == 10_000 - Decimal(fill["n"])


def test_each_fill_of_one_order_tells_the_position_after_it(make_perp_desk: Any) -> None:
    desk = make_perp_desk()
    desk.quote(99.99, 100.01, 1.0)
    desk.place("BUY", "3")
    booked = [event.booking for event in desk.events if type(event).__name__ == "PositionChanged"]
    assert [booking.qty for booking in booked] == [1, 2, 3]
    assert booked[0].cost < booked[1].cost < booked[2].cost


def test_what_ends_or_changes_an_order_is_told(perp_desk: Any, account: Listener) -> None:
    placed = perp_desk.place("BUY", "2", "99.00")
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": placed["orderId"]}
    perp_desk.ask("PUT", "/fapi/v1/order", **change, quantity="3", price="98.00")
    perp_desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    told = [each["o"] for each in account.told("ORDER_TRADE_UPDATE")]
    assert [(each["x"], each["X"], each["q"]) for each in told] == [
        ("NEW", "NEW", "2.000"),
        ("AMENDMENT", "NEW", "3.000"),
        ("CANCELED", "CANCELED", "3.000"),
    ]


def test_conditional_orders_tell_how_they_go_on(perp_desk: Any, account: Listener) -> None:
    perp_desk.stop("SELL", "95.00", clientAlgoId="mine")
    perp_desk.trade(95.0)
    told = [each["o"] for each in account.told("ALGO_UPDATE")]
    assert [each["X"] for each in told] == ["NEW", "TRIGGERED", "FINISHED"]
    assert [each["caid"] for each in told] == ["mine"] * 3
    assert (told[0]["ai"], told[2]["aq"], told[2]["act"]) == ("", "1.000", "MARKET")
    fill = account.told("ORDER_TRADE_UPDATE")[-1]["o"]
    assert (fill["c"], fill["ot"], fill["sp"], str(fill["i"])) == (
        "mine",
        "STOP_MARKET",
        "95.00",
        told[2]["ai"],
    )


def test_transfers_and_leverage_are_told(perp_desk: Any, account: Listener) -> None:
    perp_desk.exchange.transfer("USDT", Decimal(7))
    perp_desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=5)
    [update] = account.told("ACCOUNT_UPDATE")
    assert (update["a"]["m"], update["a"]["B"][0]["bc"], update["a"]["P"]) == ("DEPOSIT", "7.00000000", [])
    assert account.told("ACCOUNT_CONFIG_UPDATE")[0]["ac"] == {"s": "BTCUSDT", "l": 5}


def test_a_key_that_nobody_keeps_alive_expires_and_says_so(perp_desk: Any, account: Listener) -> None:
    perp_desk.wait(3_000)
    assert keyed(perp_desk, "PUT").status == 200
    perp_desk.wait(3_000)
    perp_desk.trade(100.0)
    assert account.sent == []
    perp_desk.wait(601)
    perp_desk.trade(100.0)
    assert kinds(account) == ["listenKeyExpired"]
    perp_desk.place("BUY", "1")
    assert kinds(account) == ["listenKeyExpired"]
    assert json.loads(keyed(perp_desk, "PUT").body)["code"] == -1125


def test_a_key_that_is_closed_ends_its_events(perp_desk: Any, account: Listener) -> None:
    assert keyed(perp_desk, "DELETE").status == 200
    perp_desk.place("BUY", "1")
    assert account.sent == []
