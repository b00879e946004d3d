"""Binance's exchangeInfo as trading rules, in the shapes of 2021 and of today, for its three markets.

Filters are documented under "Filters" (Spot API) and "Exchange Information" (USDⓈ-M and COIN-M Futures).
A filter value of 0 switches that part of the filter off and becomes `None` here.  Knows nothing of
market data.
"""

from decimal import Decimal

import msgspec

from quantcli.codecs.binance_symbols import Market, split_expiry
from quantcli.errors import RecordingError
from quantcli.model.instrument import Symbol, SymbolMetadata, canonical


class _Filter(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of `filters`; each type has a few of these fields.

    {"filterType":"PRICE_FILTER","minPrice":"556.72","maxPrice":"1000000","tickSize":"0.01"}
    {"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"}
    {"filterType":"MIN_NOTIONAL","notional":"5"}                                            futures
    {"filterType":"MIN_NOTIONAL","minNotional":"0.00010000","applyToMarket":true,"avgPriceMins":5}
    {"filterType":"NOTIONAL","minNotional":"0.00010000","applyMinToMarket":true,…}          spot today
    {"filterType":"PERCENT_PRICE","multiplierUp":"1.1500","multiplierDown":"0.8500","multiplierDecimal":"4"}
    {"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2",
     "askMultiplierUp":"5","askMultiplierDown":"0.2","avgPriceMins":5}
    {"filterType":"MAX_NUM_ORDERS","limit":200}          futures; spot: "maxNumOrders":200
    """

    filter_type: str
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    tick_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    step_size: Decimal | None = None
    notional: Decimal | None = None
    min_notional: Decimal | None = None
    multiplier_up: Decimal | None = None
    multiplier_down: Decimal | None = None
    bid_multiplier_up: Decimal | None = None
    bid_multiplier_down: Decimal | None = None
    ask_multiplier_up: Decimal | None = None
    ask_multiplier_down: Decimal | None = None
    max_num_orders: int | None = None
    limit: int | None = None


class _Instrument(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of `symbols`:

    {"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","baseAssetPrecision":8,"quoteAsset":"BTC",
     "quotePrecision":8,"filters":[…]}                                                      spot
    {"symbol":"BTCUSDT_210924","contractType":"CURRENT_QUARTER","status":"TRADING","baseAsset":"BTC",
     "quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":1,"quantityPrecision":3,…}   USD-M
    {"symbol":"BTCUSD_PERP","contractType":"PERPETUAL","contractStatus":"TRADING","contractSize":100,
     "marginAsset":"BTC","baseAsset":"BTC","quoteAsset":"USD","pricePrecision":1,…}         COIN-M
    """

    symbol: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    status: str = ""
    contract_status: str = ""
    margin_asset: str = ""
    contract_size: Decimal = Decimal(1)
    price_precision: int = 8
    quantity_precision: int = 8


class _ExchangeInfo(msgspec.Struct, frozen=True):
    symbols: list[_Instrument]


_NO_FILTER = _Filter("")
_DECODER = msgspec.json.Decoder(_ExchangeInfo, strict=False)


def parse_exchange_info(text: str | bytes, market: Market) -> list[SymbolMetadata]:
    """The rules of every market that an exchangeInfo reply lists, in its order.

    Raises `RecordingError` if the text is no exchangeInfo.
    """
    try:
        info = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RecordingError(
            "a reply that should be Binance's exchangeInfo cannot be read",
            why=str(error),
            todo="record exchangeInfo again, or leave that reply out",
        ) from None
    return [_metadata(instrument, market) for instrument in info.symbols]


def _metadata(instrument: _Instrument, market: Market) -> SymbolMetadata:
    filters = {f.filter_type: f for f in instrument.filters}
    price = filters.get("PRICE_FILTER", _NO_FILTER)
    lot = filters.get("LOT_SIZE", _NO_FILTER)
    orders = filters.get("MAX_NUM_ORDERS", _NO_FILTER)
    band_up, band_down = _band(filters)
    return SymbolMetadata(
        symbol=_symbol(instrument, market),
        exchange="binance",
        exchange_symbol=instrument.symbol,
        price_tick=_limit(price.tick_size) or _step(instrument.price_precision),
        lot=_limit(lot.step_size) or _step(instrument.quantity_precision),
        min_qty=_limit(lot.min_qty),
        max_qty=_limit(lot.max_qty),
        min_price=_limit(price.min_price),
        max_price=_limit(price.max_price),
        min_notional=_min_notional(filters),
        band_up=band_up,
        band_down=band_down,
        max_orders=orders.max_num_orders or orders.limit,
        contract_size=Decimal(canonical(instrument.contract_size)),
        inverse=market == "coinm",
        active=(instrument.status or instrument.contract_status) == "TRADING",
    )


def _symbol(instrument: _Instrument, market: Market) -> Symbol:
    base, quote = instrument.base_asset, instrument.quote_asset
    if market == "spot":
        return Symbol(base, quote)
    _, expiry = split_expiry(instrument.symbol)
    return Symbol(
        base, quote, True, instrument.margin_asset or (base if market == "coinm" else quote), expiry
    )


def _min_notional(filters: dict[str, _Filter]) -> Decimal | None:
    both = (filters.get("NOTIONAL", _NO_FILTER), filters.get("MIN_NOTIONAL", _NO_FILTER))
    return max((n for f in both for n in (_limit(f.min_notional), _limit(f.notional)) if n), default=None)


def _band(filters: dict[str, _Filter]) -> tuple[Decimal | None, Decimal | None]:
    """Highest and lowest price as multiples.  Where buys and sells have limits of their own, the wider one:
    beyond it no order is ever valid."""
    one = filters.get("PERCENT_PRICE", _NO_FILTER)
    two = filters.get("PERCENT_PRICE_BY_SIDE", _NO_FILTER)
    ups = (one.multiplier_up, two.bid_multiplier_up, two.ask_multiplier_up)
    downs = (one.multiplier_down, two.bid_multiplier_down, two.ask_multiplier_down)
    return (
        max((up for up in map(_limit, ups) if up), default=None),
        min((down for down in map(_limit, downs) if down), default=None),
    )


def _limit(value: Decimal | None) -> Decimal | None:
    """A filter value without trailing zeros; `None` where it is absent or switched off by 0."""
    return Decimal(canonical(value)) if value else None


def _step(precision: int) -> Decimal:
    return Decimal(1).scaleb(-precision)
