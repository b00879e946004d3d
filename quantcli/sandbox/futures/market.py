"""Public data of futures by request: rules, book, trades, candles, tickers, mark price and funding.

Source: developers.binance.com, USDⓈ-M Futures, "Market Data".  Numbers are shown as the market streams show
them.  Knows nothing of accounts.
"""

from collections.abc import Callable, Iterable
from typing import Any

from quantcli.clock import NS_PER_MS, Clock
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import AggTrade, Level, Trade
from quantcli.sandbox import errors
from quantcli.sandbox.candles import INTERVALS, Candle
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.numbers import Numbers
from quantcli.sandbox.futures.rules import exchange_info
from quantcli.sandbox.order_params import read_market
from quantcli.sandbox.params import Params, needed
from quantcli.sandbox.public import FUNDING_NS, PublicMarket

DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)
_SELL = 2
_HOUR_MS = 3_600_000
_INTEREST = "0.00010000"


class FuturesMarket:
    """Handlers of the public endpoints; `rate_limits` are those that exchangeInfo lists."""

    def __init__(
        self,
        exchange: FuturesExchange,
        public: PublicMarket,
        clock: Clock,
        rate_limits: list[dict[str, Any]],
    ) -> None:
        self._exchange = exchange
        self._public = public
        self._clock = clock
        self._rate_limits = rate_limits
        self._numbers = {name: Numbers(meta) for name, meta in exchange.instruments.items()}

    # General.

    def ping(self, params: Params) -> Any:
        """Test Connectivity."""
        params.finish()
        return {}

    def time(self, params: Params) -> Any:
        """Check Server Time."""
        params.finish()
        return {"serverTime": self._now_ms()}

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

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

    def trades(self, params: Params) -> Any:
        """Recent Trades List."""
        meta = read_market(params, self._exchange)
        limit = params.limit(500, 1_000)
        params.finish()
        return [self._trade(trade) for trade in self._public.trades(meta.symbol.name, limit)]

    def old_trades(self, params: Params) -> Any:
        """Old Trades Lookup."""
        meta = read_market(params, self._exchange)
        limit, from_id = params.limit(100, 500), params.whole("fromId")
        params.finish()
        return [self._trade(trade) for trade in self._public.trades(meta.symbol.name, limit, from_id)]

    def _trade(self, trade: Trade) -> dict[str, Any]:
        numbers = self._numbers[trade.symbol]
        return {
            "id": trade.trade_id,
            "price": numbers.price(trade.price),
            "qty": numbers.size(trade.size),
            "quoteQty": f"{trade.price * trade.size:.2f}",
            "time": (trade.exchange_ns or trade.local_ns) // NS_PER_MS,
            "isBuyerMaker": trade.side == _SELL,
            "isRPITrade": False,
        }

    def agg_trades(self, params: Params) -> Any:
        """Compressed/Aggregate Trades List."""
        meta = read_market(params, self._exchange)
        limit, from_id = params.limit(500, 1_000), params.whole("fromId")
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        if start_ms is not None and end_ms is not None and end_ms - start_ms > _HOUR_MS:
            raise ApiError(400, -4166, "Search window is restricted to recent 90 days and one hour.")
        params.finish()
        found = self._public.agg_trades(meta.symbol.name, limit, from_id, start_ms, end_ms)
        return [self._agg_trade(trade) for trade in found]

    def _agg_trade(self, trade: AggTrade) -> dict[str, Any]:
        numbers = self._numbers[trade.symbol]
        return {
            "a": trade.trade_id,
            "p": numbers.price(trade.price),
            "q": numbers.size(trade.size),
            "f": trade.first_id,
            "l": trade.last_id,
            "T": (trade.exchange_ns or trade.local_ns) // NS_PER_MS,
            "m": trade.side == _SELL,
        }

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
        return [_kline(candle, numbers) for candle in candles]

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


def _kline(candle: Candle, numbers: Numbers) -> list[Any]:
    return [
        candle.open_ns // NS_PER_MS,
        numbers.price(candle.open),
        numbers.price(candle.high),
        numbers.price(candle.low),
        numbers.price(candle.close),
        numbers.sum(candle.volume),
        (candle.open_ns + candle.interval_ns) // NS_PER_MS - 1,
        f"{candle.quote_volume:.5f}",
        candle.trades,
        numbers.sum(candle.taker_volume),
        f"{candle.taker_quote_volume:.5f}",
        "0",
    ]
