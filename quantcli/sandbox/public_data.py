"""Public data by request, as far as spot and futures tell it alike: connection, time, trades, and the shapes
of trades and candles.

How their numbers are written, and what else there is to ask, is the business of those who build on this.
Knows nothing of accounts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from quantcli.clock import NS_PER_MS, Clock
from quantcli.model.market import AggTrade, Trade
from quantcli.sandbox.candles import Candle
from quantcli.sandbox.order_params import read_market
from quantcli.sandbox.params import Params
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.venue_account import VenueAccount

_SELL = 2

Write = Callable[[float], str]


class PublicData(ABC):
    """Handlers of the public endpoints; `rate_limits` are those that exchangeInfo lists.

    `old_trades_limit` is how many trades the old trade lookup tells, unless asked for more, and at most.
    """

    old_trades_limit = (500, 1_000)

    def __init__(
        self, exchange: VenueAccount, public: PublicMarket, clock: Clock, rate_limits: list[dict[str, Any]]
    ) -> None:
        self._exchange = exchange
        self._public = public
        self._clock = clock
        self._rate_limits = rate_limits

    def ping(self, params: Params) -> Any:
        """Test connectivity."""
        params.finish()
        return {}

    def time(self, params: Params) -> Any:
        """Check server time."""
        params.finish()
        return {"serverTime": self._now_ms()}

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

    def trades(self, params: Params) -> Any:
        """Recent trades list."""
        meta = read_market(params, self._exchange)
        limit = params.limit(500, 1_000)
        params.finish()
        return [self._trade(trade) for trade in self._public.trades(meta.symbol.name, limit)]

    def old_trades(self, params: Params) -> Any:
        """Old trade lookup."""
        meta = read_market(params, self._exchange)
        limit, from_id = params.limit(*self.old_trades_limit), params.whole("fromId")
        params.finish()
        return [self._trade(trade) for trade in self._public.trades(meta.symbol.name, limit, from_id)]

    @abstractmethod
    def _trade(self, trade: Trade) -> dict[str, Any]: ...


def trade_json(trade: Trade, price: Write, size: Write, worth: Write) -> dict[str, Any]:
    """A trade in a list of trades."""
    return {
        "id": trade.trade_id,
        "price": price(trade.price),
        "qty": size(trade.size),
        "quoteQty": worth(trade.price * trade.size),
        "time": _millis(trade),
        "isBuyerMaker": trade.side == _SELL,
    }


def agg_trade_json(trade: AggTrade, price: Write, size: Write) -> dict[str, Any]:
    """A trade in a list of aggregated trades."""
    return {
        "a": trade.trade_id,
        "p": price(trade.price),
        "q": size(trade.size),
        "f": trade.first_id,
        "l": trade.last_id,
        "T": _millis(trade),
        "m": trade.side == _SELL,
    }


def _millis(trade: Trade | AggTrade) -> int:
    return (trade.exchange_ns or trade.local_ns) // NS_PER_MS


def kline_json(candle: Candle, price: Write, volume: Write, worth: Write) -> list[Any]:
    """A candle in a list of candles."""
    return [
        candle.open_ns // NS_PER_MS,
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        volume(candle.volume),
        (candle.open_ns + candle.interval_ns) // NS_PER_MS - 1,
        worth(candle.quote_volume),
        candle.trades,
        volume(candle.taker_volume),
        worth(candle.taker_quote_volume),
        "0",
    ]
