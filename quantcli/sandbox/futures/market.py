"""Public data of futures by request: rules, book, trades, candles, tickers, mark price and funding.

Source: developers.binance.com, USDⓈ-M Futures, "Market Data".  Numbers are shown as the market streams show
them.  Knows nothing of accounts.
"""

from collections.abc import Callable, Iterable
from typing import Any

from quantcli.clock import NS_PER_MS, Clock
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import Level, Trade
from quantcli.sandbox import errors
from quantcli.sandbox.candles import INTERVALS
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures.numbers import Numbers
from quantcli.sandbox.futures.rules import exchange_info
from quantcli.sandbox.order_params import read_market
from quantcli.sandbox.params import Params, needed
from quantcli.sandbox.public import FUNDING_NS, PublicMarket
from quantcli.sandbox.public_data import PublicData, agg_trade_json, kline_json, trade_json
from quantcli.sandbox.venue_account import VenueAccount

DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)
_HOUR_MS = 3_600_000
_INTEREST = "0.00010000"


class FuturesMarket(PublicData):
    """Handlers of the public endpoints of futures."""

    old_trades_limit = (100, 500)

    def __init__(
        self, exchange: VenueAccount, public: PublicMarket, clock: Clock, rate_limits: list[dict[str, Any]]
    ) -> None:
        super().__init__(exchange, public, clock, rate_limits)
        self._numbers = {name: Numbers(meta) for name, meta in exchange.instruments.items()}

    # General.

    def exchange_info(self, params: Params) -> Any:
        """Exchange Information."""
        params.finish()
        return exchange_info(self._exchange.instruments.values(), self._rate_limits, self._now_ms())

    # Book and trades.

    def depth(self, params: Params) -> Any:
        """Order Book."""
        meta = read_market(params, self._exchange)
        limit = params.whole("limit") or 500
        params.finish()
        if limit not in DEPTHS:
            raise futures.bad_depth(limit)
        name = meta.symbol.name
        last_id, bids, asks = self._public.depth(name, limit)
        at_ms = self._market_ms(name)
        told = {"lastUpdateId": last_id, "E": at_ms, "T": at_ms}
        return told | {"bids": self._levels(name, bids), "asks": self._levels(name, asks)}

    def _market_ms(self, name: str) -> int:
        return self._public.now_ns(name) // NS_PER_MS

    def _levels(self, name: str, levels: Iterable[Level]) -> list[list[str]]:
        numbers = self._numbers[name]
        return [[numbers.price(price), numbers.size(size)] for price, size in levels]

    def _trade(self, trade: Trade) -> dict[str, Any]:
        numbers = self._numbers[trade.symbol]
        return trade_json(trade, numbers.price, numbers.size, "{:.2f}".format) | {"isRPITrade": False}

    def agg_trades(self, params: Params) -> Any:
        """Compressed/Aggregate Trades List."""
        meta = read_market(params, self._exchange)
        limit, from_id = params.limit(500, 1_000), params.whole("fromId")
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        if start_ms is not None and end_ms is not None and end_ms - start_ms > _HOUR_MS:
            raise ApiError(400, -4166, "Search window is restricted to recent 90 days and one hour.")
        params.finish()
        numbers = self._numbers[meta.symbol.name]
        found = self._public.agg_trades(meta.symbol.name, limit, from_id, start_ms, end_ms)
        return [agg_trade_json(trade, numbers.price, numbers.size) for trade in found]

    def klines(self, params: Params) -> Any:
        """Kline/Candlestick Data."""
        meta = read_market(params, self._exchange)
        interval = needed(params.raw("interval"), "interval")
        if interval not in INTERVALS or interval == "1s":
            raise ApiError(*errors.BAD_INTERVAL)
        limit = params.limit(500, 1_500)
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        params.finish()
        numbers = self._numbers[meta.symbol.name]
        candles = self._public.bars(meta.symbol.name, interval, limit, start_ms, end_ms)
        return [kline_json(candle, numbers.price, numbers.sum, "{:.5f}".format) for candle in candles]

    # Tickers.

    def day_ticker(self, params: Params) -> Any:
        """24hr Ticker Price Change Statistics."""
        return self._each(params, self._day)

    def _day(self, meta: SymbolMetadata) -> dict[str, Any]:
        stats, numbers = self._public.day(meta.symbol.name), self._numbers[meta.symbol.name]
        return {
            "symbol": meta.exchange_symbol,
            "priceChange": numbers.price(stats.change),
            "priceChangePercent": f"{stats.change_percent:.3f}",
            "weightedAvgPrice": numbers.price(stats.weighted_average),
            "lastPrice": numbers.price(stats.last),
            "lastQty": numbers.size(stats.last_size),
            "openPrice": numbers.price(stats.open),
            "highPrice": numbers.price(stats.high),
            "lowPrice": numbers.price(stats.low),
            "volume": numbers.sum(stats.volume),
            "quoteVolume": f"{stats.quote_volume:.2f}",
            "openTime": stats.open_ms,
            "closeTime": stats.close_ms,
            "firstId": stats.first_id,
            "lastId": stats.last_id,
            "count": stats.count,
        }

    def price_ticker(self, params: Params) -> Any:
        """Symbol Price Ticker."""
        return self._each(params, self._price)

    def _price(self, meta: SymbolMetadata) -> dict[str, Any]:
        name = meta.symbol.name
        price = self._numbers[name].price(self._public.last_price(name) or 0.0)
        return {"symbol": meta.exchange_symbol, "price": price, "time": self._market_ms(name)}

    def book_ticker(self, params: Params) -> Any:
        """Symbol Order Book Ticker."""
        return self._each(params, self._best)

    def _best(self, meta: SymbolMetadata) -> dict[str, Any]:
        name, numbers = meta.symbol.name, self._numbers[meta.symbol.name]
        quote = self._public.quote(name)
        return {
            "symbol": meta.exchange_symbol,
            "bidPrice": numbers.price(quote.bid if quote else 0.0),
            "bidQty": numbers.size(quote.bid_size if quote else 0.0),
            "askPrice": numbers.price(quote.ask if quote else 0.0),
            "askQty": numbers.size(quote.ask_size if quote else 0.0),
            "time": self._market_ms(name),
            "lastUpdateId": quote.update_id if quote else 0,
        }

    # Mark price and funding.

    def premium_index(self, params: Params) -> Any:
        """Mark Price."""
        return self._each(params, self._premium)

    def _premium(self, meta: SymbolMetadata) -> dict[str, Any]:
        mark = self._public.mark(meta.symbol.name)
        return {
            "symbol": meta.exchange_symbol,
            "markPrice": f"{mark.mark:.8f}",
            "indexPrice": f"{mark.index:.8f}",
            "estimatedSettlePrice": f"{mark.index:.8f}",
            "lastFundingRate": f"{mark.funding_rate:.8f}",
            "interestRate": _INTEREST,
            "nextFundingTime": mark.next_funding_ns // NS_PER_MS,
            "time": mark.exchange_ns // NS_PER_MS,
        }

    def funding_rates(self, params: Params) -> Any:
        """Get Funding Rate History: the last one alone, because no more is known."""
        metas = [read_market(params, self._exchange)] if "symbol" in params else self._markets()
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        params.limit(100, 1_000)
        params.finish()
        rates = [self._funding(meta) for meta in metas]
        return [
            rate
            for rate in rates
            if (start_ms is None or rate["fundingTime"] >= start_ms)
            and (end_ms is None or rate["fundingTime"] <= end_ms)
        ]

    def _funding(self, meta: SymbolMetadata) -> dict[str, Any]:
        mark = self._public.mark(meta.symbol.name)
        return {
            "symbol": meta.exchange_symbol,
            "fundingRate": f"{mark.funding_rate:.8f}",
            "fundingTime": (mark.next_funding_ns - FUNDING_NS) // NS_PER_MS,
            "markPrice": f"{mark.mark:.8f}",
        }

    def funding_info(self, params: Params) -> Any:
        """Get Funding Rate Info: no market here has a rule of its own."""
        params.finish()
        return []

    def _markets(self) -> list[SymbolMetadata]:
        return list(self._exchange.instruments.values())

    def _each(self, params: Params, shape: Callable[[SymbolMetadata], dict[str, Any]]) -> Any:
        """One, or a list of all where no symbol is sent."""
        meta = read_market(params, self._exchange) if "symbol" in params else None
        params.finish()
        return shape(meta) if meta else [shape(each) for each in self._markets()]
