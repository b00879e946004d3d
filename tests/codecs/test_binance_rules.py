"""Trading rules and names from real exchangeInfo replies, of 2021 and later, of all three markets."""

import gzip
from collections import Counter
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.codecs.binance import parse_exchange_info
from quantcli.codecs.binance_symbols import infer_symbol
from quantcli.errors import RecordingError
from quantcli.model.instrument import Symbol, SymbolMetadata

CAPTURES = {
    "spot": ("spot_misc_20211012", 1695),
    "usdm": ("usdm_misc_20210722", 122),
    "coinm": ("coinm_misc_20210722", 36),
}


@pytest.fixture(params=CAPTURES)
def market(request):
    return request.param


@pytest.fixture
def rules(market, binance_capture):
    """All instruments of a market in 2021."""
    return binance_capture(CAPTURES[market][0]).codec.instruments()


def test_every_market_of_2021_has_sane_rules_under_a_name_of_its_own(market, rules):
    assert len(rules) == CAPTURES[market][1]
    for name, rule in rules.items():
        assert name == rule.symbol.name
        assert Symbol.parse(name) == rule.symbol
        assert min(rule.price_tick, rule.lot, rule.min_price) > 0
        assert rule.min_qty < rule.max_qty
        assert rule.band_down < 1 < rule.band_up
        assert rule.max_orders == 200
        assert rule.inverse == (market == "coinm")
        assert (rule.min_notional is None) == (market == "coinm")


def test_names_alone_are_split_as_exchange_info_says(market, rules):
    inferred = {name: infer_symbol(rule.exchange_symbol, market).name for name, rule in rules.items()}
    assert inferred == {name: name for name in rules}


def test_spot_rules_in_the_shape_of_2021(binance_capture):
    assert binance_capture("spot_misc_20211012").codec.instruments()["ETH/BTC"] == SymbolMetadata(
        symbol=Symbol("ETH", "BTC"),
        exchange="binance",
        exchange_symbol="ETHBTC",
        price_tick=Decimal("0.000001"),
        lot=Decimal("0.0001"),
        min_qty=Decimal("0.0001"),
        max_qty=Decimal(100000),
        min_price=Decimal("0.000001"),
        max_price=Decimal(922327),
        min_notional=Decimal("0.0001"),
        band_up=Decimal(5),
        band_down=Decimal("0.2"),
        max_orders=200,
    )


def test_spot_rules_in_the_shape_of_today(binance_bodies):
    """Serves NOTIONAL and PERCENT_PRICE_BY_SIDE in place of MIN_NOTIONAL and PERCENT_PRICE."""
    bodies = binance_bodies("rest_spot_recordings.jsonl.gz")
    (text,) = (body["raw"] for body in bodies if body["name"] == "GET /api/v3/exchangeInfo")
    eth, *_ = rules = parse_exchange_info(text, "spot")
    assert len(rules) == 25
    assert Counter(rule.active for rule in rules) == {True: 12, False: 13}
    assert (eth.symbol.name, eth.price_tick, eth.min_notional) == (
        "ETH/BTC",
        Decimal("0.00001"),
        Decimal("0.0001"),
    )
    assert (eth.band_up, eth.band_down, eth.max_orders) == (Decimal(5), Decimal("0.2"), 200)


def test_inverse_contracts_are_sized_in_quote_currency_and_settled_in_base(binance_capture):
    rules = binance_capture("coinm_misc_20210722").codec.instruments()
    assert (rules["BTC/USD:BTC"].contract_size, rules["ETH/USD:ETH"].contract_size) == (100, 10)
    assert rules["BTC/USD:BTC-210924"].exchange_symbol == "BTCUSD_210924"


def test_usdm_rules_agree_with_an_independent_reading_of_the_same_markets(binance_data):
    """ccxt's `load_markets()` of 2025-03-27, which carries the raw entries it was made from."""
    markets = msgspec.json.decode(
        gzip.decompress((binance_data / "ccxt_markets_usdm_20250327.json.gz").read_bytes())
    )
    text = msgspec.json.encode({"symbols": [market["info"] for market in markets.values()]})
    rules = {rule.symbol.name: rule for rule in parse_exchange_info(text, "usdm")}
    assert rules.keys() == markets.keys()
    for name, market in markets.items():
        rule = rules[name]
        amounts, prices = market["limits"]["amount"], market["limits"]["price"]
        assert float(rule.price_tick) == market["precision"]["price"]
        assert float(rule.lot) == market["precision"]["amount"]
        assert float(rule.min_notional) == market["limits"]["cost"]["min"]
        assert (float(rule.min_qty), float(rule.max_qty)) == (amounts["min"], amounts["max"])
        assert (float(rule.min_price), float(rule.max_price)) == (prices["min"], prices["max"])
        assert rule.active == market["active"]
        assert infer_symbol(rule.exchange_symbol, "usdm") == rule.symbol


def info(filters: list[dict[str, object]], **fields: object) -> bytes:
    instrument = {"symbol": "ABCUSDT", "baseAsset": "ABC", "quoteAsset": "USDT", "filters": filters} | fields
    return msgspec.json.encode({"symbols": [instrument]})


def test_values_of_zero_switch_a_limit_off():
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.00", "maxPrice": "0.00", "tickSize": "0.00"},
        {"filterType": "LOT_SIZE", "minQty": "0.0", "maxQty": "5.0", "stepSize": "0.10000000"},
        {"filterType": "SOMETHING_NEW", "limit": 7},
    ]
    (rule,) = parse_exchange_info(info(filters, pricePrecision=3), "usdm")
    assert (rule.min_price, rule.max_price, rule.min_qty) == (None, None, None)
    assert (str(rule.price_tick), str(rule.lot), str(rule.max_qty)) == ("0.001", "0.1", "5")
    assert not rule.active


def test_where_buys_and_sells_have_bands_of_their_own_the_wider_one_counts():
    by_side = {
        "filterType": "PERCENT_PRICE_BY_SIDE",
        "bidMultiplierUp": "1.2",
        "bidMultiplierDown": "0.2",
        "askMultiplierUp": "5",
        "askMultiplierDown": "0.8",
    }
    (rule,) = parse_exchange_info(info([by_side]), "spot")
    assert (rule.band_down, rule.band_up) == (Decimal("0.2"), Decimal(5))


@pytest.mark.parametrize("text", ["", "null", "{}", '{"symbols":[{}]}', '{"symbols":{}}', b"\xff"])
def test_what_is_no_exchange_info_is_refused(text):
    with pytest.raises(RecordingError, match="exchangeInfo"):
        parse_exchange_info(text, "spot")


@pytest.mark.parametrize(
    ("exchange_symbol", "market", "name"),
    [
        ("BTCUSDT", "spot", "BTC/USDT"),
        ("BTCUSDT", "usdm", "BTC/USDT:USDT"),
        ("BTCUSDT_210924", "usdm", "BTC/USDT:USDT-210924"),
        ("ETHBTC", "usdm", "ETH/BTC:BTC"),
        ("1000SHIBUSDT", "usdm", "1000SHIB/USDT:USDT"),
        ("BTCUSD_PERP", "coinm", "BTC/USD:BTC"),
        ("BTCUSD_210924", "coinm", "BTC/USD:BTC-210924"),
        ("1INCHBUSD", "spot", "1INCH/BUSD"),
        ("USDTTRY", "spot", "USDT/TRY"),
        ("FDUSDUSDT", "spot", "FDUSD/USDT"),
        ("BTCFDUSD", "spot", "BTC/FDUSD"),
        ("BNBBTC", "spot", "BNB/BTC"),
        ("WBTCBTC", "spot", "WBTC/BTC"),
        ("ADAEUR", "spot", "ADA/EUR"),
    ],
)
def test_a_name_is_split_before_its_quote_currency(exchange_symbol, market, name):
    assert infer_symbol(exchange_symbol, market).name == name


@pytest.mark.parametrize(
    ("exchange_symbol", "market"),
    [
        ("USDT", "spot"),
        ("BTCXYZ", "spot"),
        ("BTCUSDT_210924", "spot"),
        ("", "spot"),
        ("BTCEUR", "usdm"),
        ("BTCUSDT_", "usdm"),
        ("BTCUSD", "coinm"),
        ("USD_PERP", "coinm"),
        ("BTCUSD_2109", "coinm"),
    ],
)
def test_a_name_that_cannot_be_split_is_refused_with_a_way_out(exchange_symbol, market):
    with pytest.raises(RecordingError, match="cannot tell base and quote") as refusal:
        infer_symbol(exchange_symbol, market)
    assert "exchangeInfo" in refusal.value.todo


@given(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8),
    st.sampled_from(["spot", "usdm", "coinm"]),
)
def test_splitting_a_name_loses_no_letter(base, market):
    name = {"spot": f"{base}USDT", "usdm": f"{base}USDT_250926", "coinm": f"{base}USD_PERP"}[market]
    symbol = infer_symbol(name, market)
    assert symbol.base == base
    assert symbol.base + symbol.quote == name.partition("_")[0]
    assert symbol.is_futures == (market != "spot")
