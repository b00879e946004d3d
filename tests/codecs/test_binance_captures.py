"""Real traffic through codec and depth: nothing is lost, nothing is unknown, and the rebuilt book is the
exchange's own."""

from decimal import Decimal

import msgspec
import pytest

from quantcli.codecs.depth import DepthSync
from quantcli.model.market import AggTrade, Bar, BookUpdate, OrderBook, Ticker, Trade

# What each capture holds, from the data's own description (README.md, "sanity check").
COUNTS = {
    "coinm_misc_20210722": {
        "quotes": 2240,
        "book": 2047,
        "agg_trades": 51,
        "bars": 33,
        "snapshots": 10,
        "instruments": 1,
    },
    "spot_btcusdt_20240808": {"quotes": 73174, "trades": 19904, "book": 6495, "snapshots": 1},
    "spot_misc_20211012": {
        "book": 177,
        "quotes": 84,
        "snapshots": 4,
        "agg_trades": 2,
        "bars": 2,
        "instruments": 1,
    },
    "spot_nexousdt_20240723": {"book": 68182, "quotes": 33437, "trades": 12458, "snapshots": 1},
    "usdm_btcusdt_20230404": {"quotes": 44205, "book": 16110, "trades": 12935, "marks": 514, "snapshots": 1},
    "usdm_btcusdt_20240808": {"quotes": 66089, "trades": 21313, "book": 6551, "snapshots": 1},
    "usdm_misc_20210722": {
        "book": 764,
        "quotes": 613,
        "agg_trades": 91,
        "bars": 67,
        "snapshots": 4,
        "instruments": 1,
    },
}

# States in which book and bookTicker can be compared, and all of which must be equal (same source).
SAME_ID_STATES = {
    "coinm_misc_20210722": 209,
    "spot_btcusdt_20240808": 1059,
    "spot_misc_20211012": 26,
    "spot_nexousdt_20240723": 12117,
    "usdm_btcusdt_20230404": 1565,
    "usdm_btcusdt_20240808": 447,
    "usdm_misc_20210722": 50,
}

captures = pytest.mark.parametrize("name", COUNTS)


@captures
def test_every_record_is_decoded_and_counted_under_its_name(name, binance_capture):
    assert binance_capture(name).counts() == COUNTS[name]


@captures
def test_every_name_but_exchange_info_means_an_event(name, binance_capture):
    silent = [d.name for d in binance_capture(name).decoded if d.event is None]
    silent = [name for name in silent if name != "instruments"]
    # One trade of this capture was a transfer to the insurance fund, not a print.
    assert silent == (["trades"] if name == "usdm_btcusdt_20230404" else [])


@captures
def test_the_rebuilt_book_equals_the_best_bid_and_ask_of_the_exchange(name, binance_capture):
    """After each update whose id is that of the market's newest bookTicker: equal prices and sizes."""
    books: dict[str, DepthSync] = {}
    tickers: dict[str, Ticker] = {}
    compared = equal = 0
    for decoded in binance_capture(name).decoded:
        match decoded.event:
            case Ticker() as ticker:
                tickers[ticker.symbol] = ticker
            case BookUpdate() as update:
                depth = books.setdefault(update.symbol, DepthSync(update.symbol))
                ticker = tickers.get(update.symbol)
                if depth.apply(update) and ticker and ticker.update_id == depth.last_id:
                    compared += 1
                    equal += top_of(depth.book) == (ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size)
    assert (equal, compared) == (SAME_ID_STATES[name], SAME_ID_STATES[name])
    assert {s: (d.synced, d.gaps, d.needs_snapshot) for s, d in books.items()} == dict.fromkeys(
        books, (True, 0, False)
    )
    assert all(d.book.best_bid < d.book.best_ask for d in books.values())


@pytest.mark.parametrize(
    ("name", "states"),
    [("coinm_misc_20210722", 5), ("spot_nexousdt_20240723", 80), ("usdm_btcusdt_20240808", 126)],
)
def test_a_ticker_that_comes_after_its_book_state_equals_it_too(name, states, binance_capture):
    books: dict[str, DepthSync] = {}
    equal = compared = 0
    for decoded in binance_capture(name).decoded:
        match decoded.event:
            case BookUpdate() as update:
                books.setdefault(update.symbol, DepthSync(update.symbol)).apply(update)
            case Ticker() as ticker:
                depth = books.get(ticker.symbol)
                if depth and depth.synced and depth.last_id == ticker.update_id:
                    compared += 1
                    equal += top_of(depth.book) == (ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size)
    assert (equal, compared) == (states, states)


def test_every_price_and_size_is_the_float_of_its_text(binance_capture):
    capture = binance_capture("spot_nexousdt_20240723")
    numbers = 0
    for text, decoded in zip(capture.texts, capture.decoded, strict=True):
        wire = msgspec.json.decode(text)
        numbers += assert_exact(wire.get("data", wire), decoded.event)
    assert numbers > 400_000


@captures
def test_trade_ids_are_unbroken_per_symbol(name, binance_capture):
    """Data description: "0 id jumps".  A trade that is no print leaves its number out."""
    last: dict[str, int] = {}
    jumps = 0
    for decoded in binance_capture(name).decoded:
        if isinstance(decoded.event, Trade | AggTrade):
            trade = decoded.event
            jumps += trade.trade_id != last.get(trade.symbol, trade.trade_id - 1) + 1
            last[trade.symbol] = trade.trade_id
    assert jumps == (1 if name == "usdm_btcusdt_20230404" else 0)


@captures
def test_events_carry_the_stamps_they_were_given(name, binance_capture):
    events = [d.event for d in binance_capture(name).decoded if d.event]
    seqs = [e.seq for e in events]
    assert seqs == sorted(set(seqs))
    for event in events:
        # Recorders' clocks are off by up to 5.1 s in these captures; a wrong unit would show at once.
        assert event.exchange_ns == 0 or abs(event.exchange_ns - event.local_ns) < 6_000_000_000


def test_spot_quotes_have_no_exchange_time_and_futures_quotes_have(binance_capture):
    for name, known in (("spot_btcusdt_20240808", False), ("usdm_btcusdt_20240808", True)):
        decoded = binance_capture(name).decoded
        assert {bool(d.event.exchange_ns) for d in decoded if d.name == "quotes"} == {known}


def test_candles_are_as_long_as_their_name_says(binance_capture):
    for name in ("coinm_misc_20210722", "spot_misc_20211012", "usdm_misc_20210722"):
        bars = [d.event for d in binance_capture(name).decoded if isinstance(d.event, Bar)]
        assert {bar.interval_ns for bar in bars} == {60_000_000_000}
        assert {bar.open_ns % 60_000_000_000 for bar in bars} == {0}
        assert all(
            bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars
        )


def test_symbols_are_canonical(binance_capture):
    def symbols(name: str) -> set[str]:
        return {d.event.symbol for d in binance_capture(name).decoded if d.event}

    assert symbols("spot_nexousdt_20240723") == {"NEXO/USDT"}
    assert symbols("spot_misc_20211012") == {"NKN/USDT", "BLZ/ETH", "LRC/BTC", "RUNE/EUR"}
    assert symbols("usdm_btcusdt_20240808") == {"BTC/USDT:USDT"}
    assert {"BCH/USD:BCH", "BTC/USD:BTC-211231"} <= symbols("coinm_misc_20210722")


def top_of(book: OrderBook) -> tuple[float, float, float, float]:
    return book.best_bid, book.bids[book.best_bid], book.best_ask, book.asks[book.best_ask]


def assert_exact(wire, event) -> int:
    """Each number of the event, printed, is the decimal that was sent.  Returns how many there were."""
    match event:
        case BookUpdate():
            sent = [
                n for side in ("bids", "asks") for level in wire.get(side, wire.get(side[0])) for n in level
            ]
            read = [n for side in (event.bids, event.asks) for level in side for n in level]
        case Trade():
            sent, read = [wire["p"], wire["q"]], [event.price, event.size]
        case Ticker():
            sent = [wire["b"], wire["B"], wire["a"], wire["A"]]
            read = [event.bid, event.bid_size, event.ask, event.ask_size]
    assert [Decimal(repr(n)) for n in read] == list(map(Decimal, sent))
    return len(read)
