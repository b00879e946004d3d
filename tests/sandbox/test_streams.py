"""Market streams: what is told under which name, how clients subscribe, what bad requests are answered."""

import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.codecs.binance import BinanceCodec
from quantcli.model.instrument import Symbol
from quantcli.model.market import Bar, BookUpdate, Ticker, Trade
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.streams.sessions import REPLY, MarketSession
from quantcli.sandbox.streams.shapes import number
from tests.sandbox.market_events import (
    BTC,
    ETH,
    MINUTE,
    NOON,
    SECOND,
    agg_trade,
    diff,
    markets,
    meta,
    quote,
    snapshot,
    trade,
)

MS = 1_000_000


class Client:
    """A session and everything it was sent."""

    def __init__(
        self, path: str = "/ws", query: str = "", public: PublicMarket | None = None, **more
    ) -> None:
        self.public = public or PublicMarket(markets())
        self.sent: list[tuple[str, str]] = []
        self.session = MarketSession(
            self.public, path, query, lambda kind, text: self.sent.append((kind, text)), **more
        )

    def see(self, *events) -> "Client":
        for event in events:
            self.public.see(event)
        return self

    def ask(self, request) -> dict:
        self.session.receive(request if isinstance(request, str) else json.dumps(request))
        kind, text = self.sent.pop()
        assert kind == REPLY
        return json.loads(text)

    def told(self, name: str | None = None) -> list:
        return [json.loads(text) for kind, text in self.sent if name is None or kind == name]


def client_of(*names: str) -> Client:
    return Client("/ws/" + "/".join(names))


# Addresses.


@pytest.mark.parametrize(
    ("path", "query", "framed"),
    [
        ("/ws/btcusdt@trade", "", False),
        ("/stream/ws/btcusdt@trade", "", False),
        ("/market/ws/btcusdt@trade", "", False),
        ("/stream", "streams=btcusdt@trade", True),
        ("/stream", "streams=btcusdt%40trade/ethusdt%40trade&timeUnit=MILLISECOND", True),
        ("/public/stream", "streams=btcusdt@trade", True),
    ],
)
def test_an_address_says_what_is_streamed_and_whether_it_is_framed(path, query, framed):
    client = Client(path, query).see(trade(5, 10.0, 1.0))
    (message,) = client.told("btcusdt@trade")
    assert ("stream" in message) is framed
    assert (message["data"] if framed else message)["t"] == 5
    if framed:
        assert message["stream"] == "btcusdt@trade"


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/stream", "/ws/0", "/ws/pqia91ma19a5s61cv6a81va65sd"])
def test_an_address_without_a_stream_that_exists_is_silent_until_something_is_subscribed(path):
    client = Client(path).see(trade(5, 10.0, 1.0))
    assert client.sent == []
    assert client.ask({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}) == {
        "result": None,
        "id": 1,
    }
    client.see(trade(6, 10.0, 1.0))
    assert [kind for kind, _ in client.sent] == ["btcusdt@trade"]


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT@trade", "xrpusdt@trade", "btcusdt@nothing", "btcusdt@kline_7m", "!nothing@arr", "btcusdt"],
)
def test_a_name_that_means_nothing_is_accepted_and_silent(name):
    client = Client()
    assert client.ask({"method": "SUBSCRIBE", "params": [name], "id": 1})["result"] is None
    client.see(trade(1, 10.0, 1.0), quote(10.0, 11.0))
    assert client.sent == []


# Requests.


def test_subscriptions_can_be_listed_added_and_taken_away():
    client = Client("/ws/btcusdt@trade")
    client.ask({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "btcusdt@trade"], "id": "a-1"})
    assert client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {
        "result": ["btcusdt@trade", "btcusdt@bookTicker"],
        "id": 3,
    }
    assert client.ask({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade", "never"], "id": None}) == {
        "result": None,
        "id": None,
    }
    client.see(trade(1, 10.0, 1.0), quote(10.0, 11.0))
    assert [kind for kind, _ in client.sent] == ["btcusdt@bookTicker"]


def test_a_stream_subscribed_twice_is_told_once():
    client = client_of("btcusdt@trade", "btcusdt@trade")
    client.ask({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
    assert len(client.see(trade(1, 10.0, 1.0)).sent) == 1


def test_frames_can_be_switched_on_and_off():
    client = client_of("btcusdt@trade")
    assert client.ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 1})["result"] is False
    assert client.ask({"method": "SET_PROPERTY", "params": ["combined", True], "id": 2})["result"] is None
    assert client.ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 3})["result"] is True
    (message,) = client.see(trade(1, 10.0, 1.0)).told()
    assert message["stream"] == "btcusdt@trade"


_VARIANTS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ("no json", 3, "Invalid JSON: expected value at line 1 column 1"),
        ("[1]", 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": ["btcusdt@trade"]}, 2, "request ID must be an unsigned integer"),
        ({"method": "SUBSCRIBE", "params": [], "id": 1.5}, 2, "request ID must be an unsigned integer"),
        ({"method": "SUBSCRIBE", "params": [], "id": True}, 2, "request ID must be an unsigned integer"),
        ({"method": "SUBSCRIBE", "params": [], "id": "x" * 37}, 2, "request ID must be an unsigned integer"),
        ({"params": ["btcusdt@trade"], "id": 1}, 2, "missing field `method` at line 1 column"),
        ({"method": "SUBSCRYBE", "id": 1}, 2, f"unknown variant `SUBSCRYBE`, expected one of {_VARIANTS}"),
        ({"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}, 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": [1], "id": 1}, 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": ["btc usdt"], "id": 1}, 2, "Invalid request: invalid stream"),
        ({"method": "SUBSCRIBE", "params": [f"s{n}@trade" for n in range(1025)], "id": 1}, 2, "too many"),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0, "Unknown property"),
        ({"method": "GET_PROPERTY", "params": [], "id": 1}, 2, "property name must be a string"),
        ({"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1}, 2, "too many parameters"),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}, 1, "expected Boolean"),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 1, "expected Boolean"),
        ({"method": "SET_PROPERTY", "params": ["combined", True, 1], "id": 1}, 2, "too many parameters"),
    ],
)
def test_a_bad_request_is_answered_with_an_error_and_changes_nothing(request_, code, message):
    client = client_of("btcusdt@trade")
    answer = client.ask(request_)
    assert (answer["error"]["code"], "result" in answer) == (code, False)
    assert message in answer["error"]["msg"]
    assert list(client.session.names) == ["btcusdt@trade"]
    assert client.session.combined is False


def test_after_closing_nothing_is_sent_and_nobody_listens():
    client = client_of("btcusdt@trade", "!ticker@arr")
    client.session.close()
    client.session.close()
    client.see(trade(1, 10.0, 1.0))
    assert client.sent == []
    assert client.public.listeners == []


def test_a_listen_key_opens_the_account_and_is_closed_with_its_subscription():
    opened, closed = {}, []

    def open_account(name, push):
        if name != "secretkey":
            return None
        opened[name] = push
        return lambda: closed.append(name)

    client = Client("/stream", "streams=secretkey/other/btcusdt@trade", open_account=open_account)
    opened["secretkey"]("executionReport", '{"e":"executionReport"}')
    assert client.sent == [("executionReport", '{"stream":"secretkey","data":{"e":"executionReport"}}')]
    client.sent.clear()
    client.ask({"method": "UNSUBSCRIBE", "params": ["secretkey"], "id": 1})
    assert closed == ["secretkey"]


# What is told.


def test_a_trade():
    client = client_of("btcusdt@trade").see(
        trade(5, 61837.64, 0.00097, at=315 * MS), trade(6, 1.0, 1.0, side=2)
    )
    first, second = client.told()
    at = (NOON + 315 * MS) // MS
    assert first == {
        "e": "trade",
        "E": at,
        "s": "BTCUSDT",
        "t": 5,
        "p": "61837.64000000",
        "q": "0.00097000",
        "T": at,
        "m": False,
        "M": True,
    }
    assert second["m"] is True


def test_aggregated_trades_are_the_recorded_ones_or_every_trade():
    client = client_of("btcusdt@aggTrade").see(trade(5, 10.0, 1.0))
    (own,) = client.told()
    assert (own["a"], own["f"], own["l"], own["q"]) == (5, 5, 5, "1.00000000")
    client.sent.clear()
    client.see(agg_trade(77, 5, 6, 10.0, 3.0), trade(7, 10.0, 1.0))
    (recorded,) = client.told()
    assert recorded == {
        "e": "aggTrade",
        "E": NOON // MS,
        "s": "BTCUSDT",
        "a": 77,
        "p": "10.00000000",
        "q": "3.00000000",
        "f": 5,
        "l": 6,
        "T": NOON // MS,
        "m": True,
        "M": True,
    }


def test_the_best_bid_and_ask():
    client = client_of("btcusdt@bookTicker").see(quote(10.0, 11.5, size=2.5, number=9))
    assert client.told() == [
        {
            "u": 9,
            "s": "BTCUSDT",
            "b": "10.00000000",
            "B": "2.50000000",
            "a": "11.50000000",
            "A": "2.50000000",
        }
    ]


@pytest.mark.parametrize("name", ["btcusdt@depth", "btcusdt@depth@100ms"])
def test_changes_of_the_book_are_told_as_they_are_recorded_and_snapshots_are_not(name):
    client = client_of(name).see(snapshot(10), diff(11, 13, [(9.0, 0.0)], [(11.5, 2.0)], at=5 * MS))
    assert client.told() == [
        {
            "e": "depthUpdate",
            "E": NOON // MS + 5,
            "s": "BTCUSDT",
            "U": 11,
            "u": 13,
            "b": [["9.00000000", "0.00000000"]],
            "a": [["11.50000000", "2.00000000"]],
        }
    ]


def test_a_made_up_book_is_told_too():
    client = client_of("btcusdt@depth").see(quote(10.0, 11.0), quote(10.5, 11.0))
    _, told = client.told()
    assert (told["U"], told["u"]) == (2, 2)
    assert told["b"] == [["10.00000000", "0.00000000"], ["10.50000000", "1.00000000"]]


def test_partial_books_are_told_at_their_own_speed():
    bids = [(10.0 - n, 1.0) for n in range(8)]
    client = client_of("btcusdt@depth5", "btcusdt@depth5@100ms").see(
        snapshot(10, bids), *(diff(11 + n, 11 + n, [(10.0, 2.0 + n)], at=n * 50 * MS) for n in range(24))
    )
    slow, fast = client.told("btcusdt@depth5"), client.told("btcusdt@depth5@100ms")
    assert (len(slow), len(fast)) == (2, 12)
    assert slow[0] == {
        "lastUpdateId": 10,
        "bids": [[f"{price:.8f}", "1.00000000"] for price, _ in bids[:5]],
        "asks": [["11.00000000", "1.00000000"]],
    }
    assert fast[1]["lastUpdateId"] == 13


def test_a_candle_is_told_while_it_changes_and_once_when_it_is_over():
    client = client_of("btcusdt@kline_1m").see(
        trade(1, 10.0, 1.0, at=0),
        trade(2, 11.0, 1.0, at=SECOND),  # too soon
        trade(3, 12.0, 1.0, at=30 * SECOND, side=2),
        quote(10.0, 11.0, at=40 * SECOND),  # nothing traded
        diff(1, 1, at=61 * SECOND),  # the minute is over
        trade(4, 13.0, 1.0, at=70 * SECOND),
    )
    told = [m["k"] for m in client.told()]
    assert [(k["t"], k["x"], k["c"], k["n"]) for k in told] == [
        (NOON // MS, False, "10.00000000", 1),
        (NOON // MS, False, "12.00000000", 3),
        (NOON // MS, True, "12.00000000", 3),
        (NOON // MS + 60_000, False, "12.00000000", 0),
        (NOON // MS + 60_000, False, "13.00000000", 1),
    ]
    assert told[2] == {
        "t": NOON // MS,
        "T": NOON // MS + 59_999,
        "s": "BTCUSDT",
        "i": "1m",
        "f": 1,
        "L": 3,
        "o": "10.00000000",
        "c": "12.00000000",
        "h": "12.00000000",
        "l": "10.00000000",
        "v": "3.00000000",
        "n": 3,
        "x": True,
        "q": "33.00000000",
        "V": "2.00000000",
        "Q": "21.00000000",
        "B": "0",
    }


def test_recorded_candles_are_told_as_they_are():
    bar = Bar(BTC, NOON + MINUTE, NOON + MINUTE, 1, NOON, MINUTE, 1.0, 3.0, 0.5, 2.0, 9.5, 18.25, 4, True)
    client = client_of("btcusdt@kline_1m", "btcusdt@kline_5m").see(bar, trade(1, 2.5, 1.0, at=3 * MINUTE))
    codec = BinanceCodec("spot", {"BTCUSDT": Symbol("BTC", "USDT")})
    ((_, text),) = [sent for sent in client.sent if sent[0] == "btcusdt@kline_1m"]
    assert codec.decode(text, bar.local_ns, bar.seq).event == bar
    assert all(m["k"]["i"] == "5m" for m in client.told("btcusdt@kline_5m"))


def test_the_statistics_of_a_day_are_told_once_a_second():
    client = client_of("btcusdt@ticker", "btcusdt@miniTicker").see(
        trade(1, 10.0, 1.0),
        trade(2, 12.0, 3.0, at=500 * MS),
        quote(11.0, 12.0, at=600 * MS),
        trade(3, 11.0, 1.0, at=1500 * MS),
    )
    first, last = client.told("btcusdt@ticker")
    assert (first["c"], first["n"]) == ("10.00000000", 1)
    now = (NOON + 1500 * MS) // MS
    assert last == {
        "e": "24hrTicker",
        "E": now,
        "s": "BTCUSDT",
        "p": "1.00000000",
        "P": "10.000",
        "w": "11.40000000",
        "x": "10.00000000",
        "c": "11.00000000",
        "Q": "1.00000000",
        "b": "11.00000000",
        "B": "1.00000000",
        "a": "12.00000000",
        "A": "1.00000000",
        "o": "10.00000000",
        "h": "12.00000000",
        "l": "10.00000000",
        "v": "5.00000000",
        "q": "57.00000000",
        "O": NOON // MS - 86_400_000,
        "C": now,
        "F": 1,
        "L": 3,
        "n": 3,
    }
    assert client.told("btcusdt@miniTicker")[-1] == {
        "e": "24hrMiniTicker",
        "E": now,
        **{key: last[key] for key in ("s", "c", "o", "h", "l", "v", "q")},
    }


def test_tickers_of_all_markets_hold_those_that_changed():
    client = client_of("!miniTicker@arr", "!ticker@arr").see(
        trade(1, 10.0, 1.0),
        trade(1, 5.0, 1.0, at=200 * MS, symbol=ETH),
        trade(2, 10.0, 1.0, at=1200 * MS),
        trade(3, 10.0, 1.0, at=2300 * MS),
    )
    assert [[t["s"] for t in m] for m in client.told("!miniTicker@arr")] == [
        ["BTCUSDT"],
        ["ETHUSDT", "BTCUSDT"],
        ["BTCUSDT"],
    ]
    assert len(client.told("!ticker@arr")) == 3


def test_a_stream_of_all_markets_may_be_asked_for_with_its_interval():
    client = client_of("!miniTicker@arr@1000ms", "!miniTicker@arr@7ms").see(trade(1, 10.0, 1.0))
    assert len(client.told("!miniTicker@arr@1000ms")) == 1
    assert client.told("!miniTicker@arr@7ms") == []


def test_windows_and_the_average_price():
    client = client_of("btcusdt@ticker_1h", "btcusdt@avgPrice").see(
        trade(1, 10.0, 1.0), trade(2, 14.0, 1.0, at=2 * 60 * MINUTE)
    )
    first, second = client.told("btcusdt@ticker_1h")
    assert (first["e"], first["n"], second["n"], second["o"]) == ("1hTicker", 1, 1, "14.00000000")
    average = client.told("btcusdt@avgPrice")[-1]
    assert average == {
        "e": "avgPrice",
        "E": (NOON + 120 * MINUTE) // MS,
        "s": "BTCUSDT",
        "i": "5m",
        "w": "14.00000000",
        "T": (NOON + 120 * MINUTE) // MS,
    }


def test_times_can_be_asked_for_in_microseconds():
    client = Client("/ws/btcusdt@trade", "timeUnit=MICROSECOND").see(trade(1, 10.0, 1.0, at=1_234_000))
    assert client.told()[0]["T"] == NOON // 1000 + 1234


def test_who_listens_to_nothing_costs_no_text():
    client = Client("/ws/ethusdt@trade")
    client.see(trade(1, 10.0, 1.0), quote(10.0, 11.0), snapshot(5), diff(6, 6))
    assert client.sent == []


# Nothing is lost on the way.


@given(st.floats(min_value=0, max_value=1e15, allow_nan=False))
def test_a_number_reads_back_as_the_float_it_was(value):
    text = number(value)
    assert float(text) == value
    assert "e" not in text.lower()
    assert len(text.partition(".")[2]) >= 8


@given(st.integers(0, 10**15))
def test_a_number_of_fifteen_digits_is_written_as_the_exchange_writes_it(units):
    whole, part = divmod(units, 10**8)
    assert number(float(f"{whole}.{part:08}")) == f"{whole}.{part:08}"


def test_real_traffic_comes_back_as_it_was(binance_nexo):
    public = PublicMarket({"NEXO/USDT": meta("NEXO")})
    client = Client(
        "/stream", "streams=nexousdt@trade/nexousdt@bookTicker/nexousdt@depth@100ms", public=public
    )
    client.see(*binance_nexo)
    codec = BinanceCodec("spot")
    streamed = [e for e in binance_nexo if not (isinstance(e, BookUpdate) and e.is_snapshot)]
    assert len(client.sent) == len(streamed)
    for event, (_, text) in zip(streamed, client.sent, strict=True):
        assert codec.decode(text, event.local_ns, event.seq).event == event


# Keeping a book of one's own.


class Follower:
    """A client that keeps a book by the documented steps ("How to manage a local order book correctly"): it
    buffers events, fetches a snapshot, drops what is older, applies the rest, and begins again at a gap."""

    def __init__(self, public: PublicMarket) -> None:
        self.public = public
        self.book: dict[str, dict[str, str]] | None = None
        self.last_id = 0
        self.buffer: list[dict] = []
        self.client = Client("/ws/btcusdt@depth", public=public)
        self.client.session._send = lambda _, text: self.hear(json.loads(text))

    def fetch(self) -> None:
        last_id, bids, asks = self.public.depth(BTC, 5000)
        if self.buffer and last_id < self.buffer[0]["U"] - 1:
            return
        self.book = {
            side: {number(price): number(size) for price, size in levels}
            for side, levels in (("b", bids), ("a", asks))
        }
        self.last_id = last_id
        waiting, self.buffer = self.buffer, []
        for event in waiting:
            self.apply(event)

    def hear(self, event: dict) -> None:
        if self.book is None:
            self.buffer.append(event)
        else:
            self.apply(event)

    def apply(self, event: dict) -> None:
        if event["u"] <= self.last_id:
            return
        if event["U"] > self.last_id + 1:
            self.book, self.buffer = None, [event]
            return
        for side in ("b", "a"):
            for price, size in event[side]:
                if float(size):
                    self.book[side][price] = size
                else:
                    self.book[side].pop(price, None)
        self.last_id = event["u"]

    def agrees(self) -> bool:
        last_id, bids, asks = self.public.depth(BTC, 5000)
        return self.last_id == last_id and self.book == {
            "b": {number(price): number(size) for price, size in bids},
            "a": {number(price): number(size) for price, size in asks},
        }


_levels = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 3)), max_size=4, unique_by=lambda level: level[0]
)
_happenings = st.lists(
    st.one_of(
        st.tuples(st.just("diff"), _levels, _levels, st.integers(1, 3)),
        st.tuples(st.just("gap"), _levels, _levels, st.integers(1, 3)),
        st.tuples(st.just("fetch")),
        st.tuples(st.just("quote"), st.integers(1, 9)),
    ),
    max_size=40,
)


def _book_events(happening, last_id: int, truth: dict[str, dict[float, float]]):
    """The diff of a happening; what got lost in a gap is told by the snapshot behind it."""
    _, bids, asks, ids = happening
    for side, levels, offset in (("b", bids, 0), ("a", asks, 10)):
        for price, size in levels:
            truth[side][float(price + offset)] = float(size)
    changes = [
        [(float(p + offset), float(s)) for p, s in levels] for levels, offset in ((bids, 0), (asks, 10))
    ]
    return diff(last_id + 1, last_id + ids, *changes), last_id + ids


@given(_happenings)
def test_who_follows_the_documented_rules_has_the_book_that_is_shown(happenings):
    public = PublicMarket(markets())
    follower = Follower(public)
    truth: dict[str, dict[float, float]] = defaultdict(dict)
    truth["b"][5.0], truth["a"][15.0] = 1.0, 1.0
    last_id = 100
    public.see(snapshot(last_id, truth["b"].items(), truth["a"].items()))
    for happening in happenings:
        if happening[0] == "fetch":
            follower.fetch()
        elif happening[0] == "quote":
            public.see(quote(float(happening[1]), 20.0))
        else:
            lost = happening[0] == "gap"
            event, last_id = _book_events(happening, last_id + (2 if lost else 0), truth)
            public.see(event)
            if lost:
                levels = [[level for level in truth[side].items() if level[1]] for side in ("b", "a")]
                public.see(snapshot(last_id, *levels))
        if follower.book is not None:
            assert follower.agrees()
    follower.fetch()
    if follower.book is None:
        follower.fetch()
    assert follower.agrees()


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 5), st.integers(0, 3)), max_size=30),
    st.integers(0, 30),
)
def test_the_same_holds_for_a_book_made_of_quotes(quotes, when):
    public = PublicMarket(markets())
    follower = Follower(public)
    for at, (bid, spread, size) in enumerate(quotes):
        if at == when:
            follower.fetch()
        public.see(quote(float(bid), float(bid + spread), size=float(size)))
        if follower.book is not None:
            assert follower.agrees()
    follower.fetch()
    assert follower.agrees()


@pytest.fixture(scope="module")
def binance_nexo():
    """The first events of a real capture: trades, quotes, the first snapshot and diffs."""
    import gzip
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "binance"
    if not folder.is_dir():
        pytest.skip("the recorded exchange data is not here")
    codec, events = BinanceCodec("spot", default_symbol="NEXOUSDT"), []
    with gzip.open(folder / "spot_nexousdt_20240723-24.capture.jsonl.gz") as lines:
        for seq, line in enumerate(lines):
            record = json.loads(line)
            if record["k"] == "recv":
                decoded = codec.decode(record["d"], record["ts"], seq)
            elif record["k"] == "http":
                decoded = codec.decode_http(record.get("url", ""), record["d"], record["ts"], seq)
            else:
                continue
            if decoded.event is not None:
                events.append(decoded.event)
            if len(events) == 3000:
                break
    assert {type(event) for event in events} == {Trade, Ticker, BookUpdate}
    return events
