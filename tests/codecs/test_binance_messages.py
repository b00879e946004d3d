"""One message at a time: what each becomes, and that nothing well-formed breaks the codec."""

import csv
import gzip

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantcli.codecs.binance import BinanceCodec, Decoded
from quantcli.errors import RecordingError
from quantcli.model.instrument import Symbol
from quantcli.model.market import AggTrade, Bar, BookUpdate, MarkPrice, Ticker, Trade

TRADE = (
    '{"e":"trade","E":1723161255315,"s":"BTCUSDT","t":3728563271,"p":"61837.64000000","q":"0.00097000",'
    '"T":1723161255314,"m":false,"M":true}'
)
FUTURES_TRADE = (
    '{"e":"trade","E":1680652874406,"T":1680652874400,"s":"BTCUSDT","t":3535191080,"p":"28722.50",'
    '"q":"0.001","X":"%s","m":true}'
)
SPOT_TICKER = '{"u":50093239212,"s":"BTCUSDT","b":"61837.63","B":"3.78826","a":"61837.64","A":"1.54698"}'
FUTURES_TICKER = (
    '{"u":2710246762461,"e":"bookTicker","s":"BTCUSDT","b":"28145.10","B":"3.868","a":"28145.20",'
    '"A":"6.887","T":1680652700430,"E":1680652700435}'
)
SPOT_DEPTH = (
    '{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,'
    '"b":[["0.35130000","6195.00000000"]],"a":[]}'
)
FUTURES_DEPTH = (
    '{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":5123107832006,'
    '"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[["61800.30","0.000"]]}'
)
KLINE = (
    '{"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT",'
    '"i":"%s","f":19862761,"L":19862790,"o":"0.3527","c":"0.3528","h":"0.3529","l":"0.3522",'
    '"v":"25877.0","n":30,"x":true,"q":"9116.046","V":"58.0","Q":"20.4624","B":"0"}}'
)
AGG_TRADE = (
    '{"e":"aggTrade","E":1633998523964,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000",'
    '"f":19862790,"l":19862795,"T":1633998523963,"m":true,"M":true}'
)
MARK = (
    '{"e":"markPriceUpdate","E":1680652701000,"s":"BTCUSDT","p":"28147.27373413","P":"28142.15563565",'
    '"i":"28159.75642857","r":"-0.00002754","T":1680652800000}'
)
DELIVERY_MARK = (
    '{"e":"markPriceUpdate","E":1596095725000,"s":"BTCUSD_200925","p":"10934.62615417",'
    '"P":"10962.17178236","r":"","T":0}'
)

SPOT, USDM, COINM = BinanceCodec("spot"), BinanceCodec("usdm"), BinanceCodec("coinm")

EVENTS = [
    (
        SPOT,
        TRADE,
        "trades",
        Trade("BTC/USDT", 1723161255314_000000, 7, 8, 61837.64, 0.00097, 1, 3728563271),
    ),
    (
        USDM,
        FUTURES_TRADE % "MARKET",
        "trades",
        Trade("BTC/USDT:USDT", 1680652874400_000000, 7, 8, 28722.5, 0.001, 2, 3535191080),
    ),
    (
        SPOT,
        AGG_TRADE,
        "agg_trades",
        AggTrade(
            *("NKN/USDT", 1633998523963_000000, 7, 8, 0.3528, 58.0, 2),
            *(15683430, 19862790, 19862795),
        ),
    ),
    (
        SPOT,
        SPOT_TICKER,
        "quotes",
        Ticker("BTC/USDT", 0, 7, 8, 61837.63, 3.78826, 61837.64, 1.54698, 50093239212),
    ),
    (
        USDM,
        FUTURES_TICKER,
        "quotes",
        Ticker("BTC/USDT:USDT", 1680652700430_000000, 7, 8, 28145.1, 3.868, 28145.2, 6.887, 2710246762461),
    ),
    (
        SPOT,
        SPOT_DEPTH,
        "book",
        BookUpdate(
            *("NKN/USDT", 1633998512068_000000, 7, 8, False, 499869750, 499869752, 0),
            *([(0.3513, 6195.0)], []),
        ),
    ),
    (
        USDM,
        FUTURES_DEPTH,
        "book",
        BookUpdate(
            *("BTC/USDT:USDT", 1723161256298_000000, 7, 8, False),
            *(5123107832006, 5123107837557, 5123107831937, [(58710.2, 0.014)], [(61800.3, 0.0)]),
        ),
    ),
    (
        SPOT,
        KLINE % "1m",
        "bars",
        Bar(
            *("NKN/USDT", 1633998523963_000000, 7, 8, 1633998480000_000000, 60_000000000),
            *(0.3527, 0.3529, 0.3522, 0.3528, 25877.0, 9116.046, 30, True),
        ),
    ),
    (
        USDM,
        MARK,
        "marks",
        MarkPrice(
            *("BTC/USDT:USDT", 1680652701000_000000, 7, 8, 28147.27373413, 28159.75642857),
            *(-0.00002754, 1680652800000_000000),
        ),
    ),
    (
        COINM,
        DELIVERY_MARK,
        "marks",
        MarkPrice("BTC/USD:BTC-200925", 1596095725000_000000, 7, 8, 10934.62615417, 0.0, 0.0, 0),
    ),
]


@pytest.mark.parametrize("form", ["raw", "combined", "indented", "sorted keys"])
@pytest.mark.parametrize(("codec", "text", "name", "event"), EVENTS)
def test_a_message_becomes_its_event_in_whatever_form_it_comes(codec, text, name, event, form):
    framed = f'{{"stream":"x@{"depth@100ms" if name == "book" else "y"}","data":{text}}}'
    written = {
        "raw": text,
        "combined": framed,
        "indented": msgspec.json.format(framed, indent=2),
        "sorted keys": msgspec.json.encode(msgspec.json.decode(framed), order="deterministic").decode(),
    }[form]
    assert codec.decode(written, 7, 8) == Decoded(name, event)
    assert codec.decode(written.encode(), 7, 8) == Decoded(name, event)


@pytest.mark.parametrize("origin", ["INSURANCE_FUND", "ADL", "NA"])
def test_a_trade_outside_the_order_book_is_counted_but_is_no_print(origin):
    assert USDM.decode(FUTURES_TRADE % origin, 7, 8) == Decoded("trades", None)


@pytest.mark.parametrize(
    ("interval", "nanoseconds"),
    [("1s", 1), ("15m", 900), ("12h", 43200), ("3d", 259200), ("1w", 604800), ("1M", 60)],
)
def test_a_candle_has_the_length_of_its_interval_and_a_month_that_of_its_times(interval, nanoseconds):
    event = SPOT.decode(KLINE % interval, 7, 8).event
    assert isinstance(event, Bar)
    assert event.interval_ns == nanoseconds * 1_000_000_000


def test_microsecond_times_are_converted_exactly(binance_data):
    """The TRXUSDT recording was made with `timeUnit=MICROSECOND`."""
    with gzip.open(binance_data / "spot_trxusdt_trades_20250304.csv.gz", "rt") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 10_000
    for row in rows:
        text = msgspec.json.encode(
            {
                "e": "trade",
                "E": int(row["EventTime"]),
                "s": row["Symbol"],
                "t": int(row["TradeId"]),
                "p": row["Price"],
                "q": row["Quantity"],
                "T": int(row["TransactionTime"]),
                "m": row["IsBuyerMarketMaker"] == "1",
            }
        )
        trade = SPOT.decode(text, 7, 8).event
        assert isinstance(trade, Trade)
        assert trade.exchange_ns == int(row["TransactionTime"]) * 1000
        assert trade.side == (2 if row["IsBuyerMarketMaker"] == "1" else 1)


UNKNOWN = [
    ('{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL"}}', "unknown:forceOrder"),
    ('{"stream":"btcusdt@miniTicker","data":{"e":"24hrMiniTicker","s":"BTCUSDT"}}', "unknown:24hrMiniTicker"),
    ('{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","s":"X"}]}', "unknown:24hrMiniTicker[]"),
    ('{"stream":"!miniTicker@arr","data":[]}', "unknown:[]"),
    (
        '{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":160,"bids":[["1","2"]],"asks":[]}}',
        "unknown:depth20@100ms",
    ),
    (f'{{"stream":"btcusdt@depth5@0ms","data":{FUTURES_DEPTH}}}', "unknown:depth5@0ms"),
    (f'{{"data":{FUTURES_DEPTH},"stream":"btcusdt@rpiDepth@500ms"}}', "unknown:rpiDepth@500ms"),
    ('{"e":"trade","s":"BTCUSDT"}', "unknown:trade"),
    ('{"e":"trade","s":7}', "unknown:trade"),
    ('{"lastUpdateId":160,"bids":[],"asks":[]}', "unknown:message"),
    ("{}", "unknown:message"),
    ("null", "unknown:message"),
    ("12", "unknown:message"),
    ('"text"', "unknown:message"),
]


@pytest.mark.parametrize(("text", "name"), UNKNOWN)
def test_other_json_is_counted_by_its_kind(text, name):
    assert SPOT.decode(text, 7, 8) == USDM.decode(text, 7, 8) == Decoded(name, None)


@pytest.mark.parametrize(
    "text",
    [
        '{"result":null,"id":1}',
        '{"id":"a","status":200,"result":{}}',
        '{"error":{"code":2,"msg":"Invalid request"},"id":3}',
        '{"code":2,"msg":"Invalid request: unknown variant","id":3}',
    ],
)
def test_replies_to_subscriptions_are_control(text):
    assert SPOT.decode(text, 7, 8) == Decoded("control", None)


@pytest.mark.parametrize("text", ["", "x", '{"e":"trade"', "<html>502 Bad Gateway</html>", '{"e":"\ud800"}'])
def test_text_that_is_no_json_is_refused_and_shown(text):
    with pytest.raises(RecordingError, match="no JSON") as refusal:
        SPOT.decode(text, 7, 8)
    assert refusal.value.why
    assert refusal.value.todo


@pytest.mark.parametrize("text", ["", "x", "<html>502 Bad Gateway</html>"])
def test_a_reply_that_never_was_json_is_counted_by_its_endpoint(text):
    for reply in (text, text.encode()):
        assert SPOT.decode_http("https://api.binance.com/api/v3/depth", reply, 7, 8) == Decoded(
            "unknown:depth"
        )


@pytest.mark.parametrize("text", ['{"symbols":[', '[{"e":"\ud800"}]'])
def test_a_reply_that_is_broken_json_is_refused(text):
    with pytest.raises(RecordingError, match="no JSON"):
        SPOT.decode_http("", text, 7, 8)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
messages = st.dictionaries(
    st.sampled_from(
        ["e", "s", "u", "U", "b", "B", "a", "A", "p", "q", "T", "E", "m", "t", "k", "id", "X", "r"]
    ),
    json_values | st.sampled_from(["trade", "bookTicker", "depthUpdate", "kline", "1.5", "BTCUSDT", 5]),
)


@given(st.one_of(json_values, messages, st.fixed_dictionaries({"stream": json_values, "data": messages})))
@example({"e": "trade", "s": "BTCUSDT", "t": 10**30, "p": "1", "q": "1", "T": 1, "m": True})
@example(
    {"stream": 5, "data": {"e": "depthUpdate", "s": "BTCUSDT", "U": 1, "u": 1, "E": 1, "b": [], "a": []}}
)
def test_no_json_breaks_the_codec(value):
    text = msgspec.json.encode(value)
    for codec in (SPOT, USDM, COINM):
        assert outcome(codec.decode, text)
        assert outcome(codec.decode_http, "", text)


def outcome(decode, *text) -> str:
    """The name, or what a refusal says; any other error is the test's."""
    try:
        return decode(*text, 7, 8).name
    except RecordingError as refusal:
        return refusal.what


@pytest.mark.parametrize("collection", ["payloads_public.jsonl", "rest_spot_recordings.jsonl.gz"])
def test_no_published_body_breaks_the_codec(collection, binance_bodies):
    names = set()
    for body in binance_bodies(collection):
        market = "spot" if "spot" in body["name"] or "/api/v3" in body["name"] else "usdm"
        codec = BinanceCodec(market, default_symbol="BTCUSDT")
        texts = body["raw"]
        if body["kind"] == "ws":
            names.add(codec.decode(texts, 7, 8).name)
        else:
            names.add(codec.decode_http("", texts, 7, 8).name)
    assert {"snapshots", "instruments"} <= names


def test_every_published_websocket_message_has_the_name_of_its_channel(binance_bodies):
    bodies = [b for b in binance_bodies("payloads_public.jsonl") if b["kind"] == "ws"]
    names = {b["name"].rpartition("/")[2]: USDM.decode(b["raw"], 7, 8).name for b in bodies}
    assert names == {
        "agg_trade_stream.json": "agg_trades",
        "book_ticker_stream.json": "quotes",
        "depth_update_stream.json": "book",
        "kline_stream_closed.json": "bars",
        "kline_stream_open.json": "bars",
        "liquidation_stream.json": "unknown:forceOrder",
        "mark_price_stream.json": "marks",
        "ticker_stream.json": "unknown:24hrTicker",
        "trade_stream.json": "trades",
        "ws_futures_book_ticker.json": "quotes",
        "ws_futures_depth_diff_update.json": "book",
        "ws_futures_depth_update.json": "book",
        "ws_futures_ticker_24hr.json": "unknown:24hrTicker",
        "ws_spot_agg_trade.json": "agg_trades",
        "ws_spot_ticker_24hr.json": "unknown:24hrTicker",
        "ws_spot_ticker_book.json": "quotes",
        "ws_spot_trade.json": "trades",
    }


SNAPSHOT = '{"lastUpdateId":1027024,"bids":[["4.00000000","431.0"]],"asks":[["4.00000200","12.0"]]}'


@pytest.mark.parametrize("url", ["https://api.binance.com/api/v3/depth?symbol=BNBBTC&limit=1000", ""])
def test_a_depth_reply_is_a_whole_book(url):
    codec = BinanceCodec("spot", default_symbol="BNBBTC")
    book = BookUpdate(
        *("BNB/BTC", 0, 7, 8, True, 1027024, 1027024, 0),
        *([(4.0, 431.0)], [(4.000002, 12.0)]),
    )
    assert codec.decode_http(url, SNAPSHOT, 7, 8) == Decoded("snapshots", book)


def test_a_depth_reply_may_name_its_symbol_and_time_itself():
    text = '{"lastUpdateId":5,"E":1626916404580,"T":1626916404574,"symbol":"BCHUSD_PERP","bids":[],"asks":[]}'
    event = COINM.decode_http("", text, 7, 8).event
    assert isinstance(event, BookUpdate)
    assert (event.symbol, event.exchange_ns) == ("BCH/USD:BCH", 1626916404574_000000)


def test_a_depth_reply_of_nobody_makes_no_event():
    decoded = SPOT.decode_http("https://api.binance.com/api/v3/depth", SNAPSHOT, 7, 8)
    assert decoded == Decoded("unknown:depth")


@pytest.mark.parametrize(
    ("url", "text", "name"),
    [
        ("https://api.binance.com/api/v3/klines?symbol=X", "[]", "unknown:klines"),
        (
            "https://api.binance.com/api/v3/depth?symbol=X",
            '{"code":-1121,"msg":"Invalid symbol."}',
            "unknown:depth",
        ),
        ("", '{"lastUpdateId":"x"}', "unknown:depth"),
        ("", '{"code":-1121,"msg":"Invalid symbol."}', "unknown:http"),
    ],
)
def test_other_replies_are_counted_by_their_endpoint(url, text, name):
    assert SPOT.decode_http(url, text, 7, 8) == Decoded(name, None)


@pytest.mark.parametrize("informed", [False, True])
def test_a_given_symbol_goes_before_exchange_info_and_the_letters_of_its_name(informed):
    codec = BinanceCodec("spot", {"BTCUSDT": Symbol("XBT", "USDT")})
    if informed:
        rule = '{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[]}'
        codec.decode_http("", f'{{"symbols":[{rule}]}}', 7, 8)
    event = codec.decode(TRADE, 7, 8).event
    assert isinstance(event, Trade)
    assert event.symbol == "XBT/USDT"


def test_exchange_info_settles_what_letters_cannot():
    """DEFGHI ends in no known currency; only exchangeInfo can say where to split it."""
    rule = '{"symbol":"DEFGHI","status":"TRADING","baseAsset":"DEF","quoteAsset":"GHI","filters":[]}'
    info = f'{{"symbols":[{rule}]}}'
    trade = TRADE.replace("BTCUSDT", "DEFGHI")
    codec = BinanceCodec("spot")
    with pytest.raises(RecordingError, match="DEFGHI"):
        codec.decode(trade, 7, 8)
    assert codec.decode_http("", info, 7, 8) == Decoded("instruments", None)
    event = codec.decode(trade, 7, 8).event
    assert isinstance(event, Trade)
    assert event.symbol == "DEF/GHI"
    assert list(codec.instruments()) == ["DEF/GHI"]
