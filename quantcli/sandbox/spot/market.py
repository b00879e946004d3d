"""Public market data by request: rules, book, trades, candles, tickers.

Source: binance-spot-api-docs, rest-api.md, "General endpoints" and "Market Data endpoints".  Numbers are
shown as the market streams show them.  Knows nothing of accounts.
"""

import re
from collections.abc import Callable
from typing import Any

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import Level, Trade
from quantcli.sandbox import errors
from quantcli.sandbox.candles import INTERVALS
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.market_rules import exchange_info, status
from quantcli.sandbox.order_params import read_market
from quantcli.sandbox.params import SYMBOL, Params, needed
from quantcli.sandbox.public import DayStats
from quantcli.sandbox.public_data import PublicData, agg_trade_json, kline_json, trade_json
from quantcli.sandbox.streams.shapes import number, sums

_STATUSES = ("TRADING", "HALT", "BREAK")
_NS_PER_MINUTE = 60_000_000_000
_WINDOW = re.compile(r"([1-9]\d?)([mhd])")
_UNITS = {"m": (1, 59), "h": (60, 23), "d": (1_440, 7)}
_MOST_SYMBOLS = 100
_WRONG_STATUS = (400, -1220, "The symbol's status does not match the requested symbolStatus.")


class SpotMarket(PublicData):
    """Handlers of the public endpoints of spot."""

    # General.

    def exchange_info(self, params: Params) -> Any:
        """Exchange information."""
        wanted = self._wanted(params)
        permissions = _permissions(params)
        with_sets = params.flag("showPermissionSets", default=True)
        word = params.choice("symbolStatus", _STATUSES, ApiError(400, -1122, "Invalid symbolStatus."))
        if wanted is not None and (permissions or word):
            raise errors.bad_combination()
        params.finish()
        metas = list(self._exchange.instruments.values()) if wanted is None else wanted
        if permissions and "SPOT" not in permissions:
            metas = []
        metas = [meta for meta in metas if word in {None, status(meta)}]
        return exchange_info(metas, self._rate_limits, self._now_ms(), with_sets)

    def _wanted(self, params: Params) -> list[SymbolMetadata] | None:
        """The markets that `symbol` or `symbols` name, `None` for neither.  Raises `ApiError`."""
        symbol, symbols = params.raw("symbol", SYMBOL), params.words("symbols")
        if symbol is not None and symbols is not None:
            raise errors.bad_combination()
        if symbols is not None:
            if len(set(symbols)) < len(symbols):
                raise ApiError(400, -1151, "Symbol is present multiple times in the list.")
            return [self._exchange.market(name) for name in symbols]
        return None if symbol is None else [self._exchange.market(symbol)]

    # Book and trades.

    def depth(self, params: Params) -> Any:
        """Order book."""
        meta = self._one(params)
        limit = params.limit(100, 5_000)
        params.finish()
        last_id, bids, asks = self._public.depth(meta.symbol.name, limit)
        return {"lastUpdateId": last_id, "bids": _levels(bids), "asks": _levels(asks)}

    def _one(self, params: Params) -> SymbolMetadata:
        meta = read_market(params, self._exchange)
        word = params.choice("symbolStatus", _STATUSES, ApiError(400, -1122, "Invalid symbolStatus."))
        if word not in {None, status(meta)}:
            raise ApiError(*_WRONG_STATUS)
        return meta

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return trade_json(trade, number, number, sums) | {"isBestMatch": True}

    def agg_trades(self, params: Params) -> Any:
        """Compressed/Aggregate trades list."""
        meta = read_market(params, self._exchange)
        limit, from_id = params.limit(500, 1_000), params.whole("fromId")
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise errors.bad_combination()
        params.finish()
        found = self._public.agg_trades(meta.symbol.name, limit, from_id, start_ms, end_ms)
        return [agg_trade_json(trade, number, number) | {"M": True} for trade in found]

    def klines(self, params: Params) -> Any:
        """Kline/Candlestick data; in UTC alone."""
        meta = read_market(params, self._exchange)
        interval = needed(params.raw("interval"), "interval")
        if interval not in INTERVALS:
            raise ApiError(*errors.BAD_INTERVAL)
        limit = params.limit(500, 1_000)
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        if params.raw("timeZone") not in {None, "0", "0:00", "00:00"}:
            raise errors.invalid("timeZone")
        params.finish()
        candles = self._public.bars(meta.symbol.name, interval, limit, start_ms, end_ms)
        return [kline_json(candle, number, sums, sums) for candle in candles]

    # Tickers.

    def average_price(self, params: Params) -> Any:
        """Current average price."""
        meta = read_market(params, self._exchange)
        params.finish()
        price, at_ms = self._public.average(meta.symbol.name)
        return {"mins": 5, "price": sums(price), "closeTime": at_ms}

    def day_ticker(self, params: Params) -> Any:
        """24hr ticker price change statistics."""
        shape = self._day_full if _is_full(params) else self._day_mini
        return self._each(params, shape)

    def _day_full(self, meta: SymbolMetadata) -> dict[str, Any]:
        stats = self._public.day(meta.symbol.name)
        quote = self._best(meta)
        told = _span_ticker(meta, stats, full=True)
        before = {"prevClosePrice": number(stats.before), "lastQty": number(stats.last_size)}
        return told | before | {name: text for name, text in quote.items() if name != "symbol"}

    def _day_mini(self, meta: SymbolMetadata) -> dict[str, Any]:
        return _span_ticker(meta, self._public.day(meta.symbol.name), full=False)

    def price_ticker(self, params: Params) -> Any:
        """Symbol price ticker."""
        return self._each(params, self._price)

    def _price(self, meta: SymbolMetadata) -> dict[str, Any]:
        price = self._public.last_price(meta.symbol.name)
        return {"symbol": meta.exchange_symbol, "price": number(price or 0.0)}

    def book_ticker(self, params: Params) -> Any:
        """Symbol order book ticker."""
        return self._each(params, self._best)

    def _best(self, meta: SymbolMetadata) -> dict[str, Any]:
        quote = self._public.quote(meta.symbol.name)
        sides = (quote.bid, quote.bid_size, quote.ask, quote.ask_size) if quote else (0.0,) * 4
        names = ("bidPrice", "bidQty", "askPrice", "askQty")
        return {"symbol": meta.exchange_symbol, **dict(zip(names, map(number, sides), strict=True))}

    def window_ticker(self, params: Params) -> Any:
        """Rolling window price change statistics."""
        text = params.raw("windowSize") or "1d"
        match = _WINDOW.fullmatch(text)
        unit, most = _UNITS[match[2]] if match else (0, 0)
        if not match or int(match[1]) > most:
            raise errors.invalid("windowSize")
        minutes = int(match[1]) * unit
        return self._spans(
            params, lambda meta: self._public.window(meta.symbol.name, minutes * _NS_PER_MINUTE)
        )

    def trading_day(self, params: Params) -> Any:
        """Trading Day Ticker: since midnight, UTC."""
        if params.raw("timeZone") not in {None, "0", "0:00", "00:00"}:
            raise errors.invalid("timeZone")
        return self._spans(params, self._since_midnight)

    def _since_midnight(self, meta: SymbolMetadata) -> DayStats:
        minutes = self._public.now_ns(meta.symbol.name) // _NS_PER_MINUTE % 1_440
        return self._public.window(meta.symbol.name, minutes * _NS_PER_MINUTE)

    def _spans(self, params: Params, stats: Callable[[SymbolMetadata], DayStats]) -> Any:
        full = _is_full(params)
        if "symbol" not in params and "symbols" not in params:
            raise errors.missing_both("symbol", "symbols")
        return self._each(params, lambda meta: _span_ticker(meta, stats(meta), full))

    def _each(self, params: Params, shape: Callable[[SymbolMetadata], dict[str, Any]]) -> Any:
        """A ticker, or a list of them where more than one symbol can be meant."""
        is_one = "symbol" in params
        wanted = self._wanted(params)
        word = params.choice("symbolStatus", _STATUSES, ApiError(400, -1122, "Invalid symbolStatus."))
        params.finish()
        metas = list(self._exchange.instruments.values()) if wanted is None else wanted
        if len(metas) > _MOST_SYMBOLS and wanted is not None:
            raise ApiError(400, -1101, f"Too many parameters; expected '{_MOST_SYMBOLS}'.")
        fitting = [meta for meta in metas if word in {None, status(meta)}]
        if not is_one:
            return [shape(meta) for meta in fitting]
        if not fitting:
            raise ApiError(*_WRONG_STATUS)
        return shape(fitting[0])


def _permissions(params: Params) -> list[str]:
    """`permissions`: one word or a JSON array of words."""
    text = params.raw("permissions")
    if text is None:
        return []
    return params.words("permissions") or [] if text.startswith("[") else [text]


def _is_full(params: Params) -> bool:
    return params.choice("type", ("FULL", "MINI"), ApiError(400, -1139, "Invalid ticker type.")) != "MINI"


def _levels(levels: list[Level]) -> list[list[str]]:
    return [[number(price), number(size)] for price, size in levels]


def _span_ticker(meta: SymbolMetadata, stats: DayStats, full: bool) -> dict[str, Any]:
    change = {
        "priceChange": sums(stats.change),
        "priceChangePercent": f"{stats.change_percent:.3f}",
        "weightedAvgPrice": sums(stats.weighted_average),
    }
    return {
        "symbol": meta.exchange_symbol,
        **(change if full else {}),
        "openPrice": number(stats.open),
        "highPrice": number(stats.high),
        "lowPrice": number(stats.low),
        "lastPrice": number(stats.last),
        "volume": sums(stats.volume),
        "quoteVolume": sums(stats.quote_volume),
        "openTime": stats.open_ms,
        "closeTime": stats.close_ms,
        "firstId": stats.first_id,
        "lastId": stats.last_id,
        "count": stats.count,
    }
