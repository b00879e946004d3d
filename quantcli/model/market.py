"""Market data as a strategy sees it: trades, best bid and ask, books, bars, mark prices.

Numbers are floats on purpose: a decimal text of up to 15 digits survives the round trip, and a
strategy computes on every event.  Each event carries three stamps: `exchange_ns` (when the exchange
says it happened; 0 where it does not say), `local_ns` (when it reached us) and `seq` (our order of
arrival within one recording session).  The structs are not tracked by the garbage collector.
Knows nothing of wire formats or files.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

Level = tuple[float, float]


class Channel(StrEnum):
    """The kinds of market data that are recorded and replayed; the value is the folder's name."""

    TRADES = "trades"
    AGG_TRADES = "agg_trades"
    QUOTES = "quotes"
    BOOK = "book"
    BARS = "bars"
    MARKS = "marks"


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade print.  `side` is the aggressor's: 1 bought, 2 sold, 0 not known."""

    symbol: str
    exchange_ns: int
    local_ns: int
    seq: int
    price: float
    size: float
    side: int
    trade_id: int


class AggTrade(msgspec.Struct, frozen=True, gc=False):
    """Trades of one taker order at one price, added up by the exchange (`first_id`..`last_id`)."""

    symbol: str
    exchange_ns: int
    local_ns: int
    seq: int
    price: float
    size: float
    side: int
    trade_id: int
    first_id: int
    last_id: int


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask; `on_tick` receives these."""

    symbol: str
    exchange_ns: int
    local_ns: int
    seq: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    update_id: int

    @property
    def mid(self) -> float:
        """Half-way between bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def imbalance(self) -> float:
        """Share of the displayed size that stands on the bid, 0..1."""
        total = self.bid_size + self.ask_size
        return self.bid_size / total if total else 0.5


class BookUpdate(msgspec.Struct, frozen=True):
    """Changed levels of a book, or (`is_snapshot`) the whole of it.  A size of 0 removes a level.

    `first_id`..`last_id` are the exchange's update ids; `prev_id` is the last id of the message
    before (futures), 0 where the exchange does not say.
    """

    symbol: str
    exchange_ns: int
    local_ns: int
    seq: int
    is_snapshot: bool
    first_id: int
    last_id: int
    prev_id: int
    bids: Sequence[Level]
    asks: Sequence[Level]


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A candle: `open_ns` is its start, `interval_ns` its length; `local_ns` when it was complete."""

    symbol: str
    exchange_ns: int
    local_ns: int
    seq: int
    open_ns: int
    interval_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    is_closed: bool


class MarkPrice(msgspec.Struct, frozen=True, gc=False):
    """A futures contract's mark and index price and its next funding."""

    symbol: str
    exchange_ns: int
    local_ns: int
    seq: int
    mark: float
    index: float
    funding_rate: float
    next_funding_ns: int


MarketEvent = Trade | AggTrade | Ticker | BookUpdate | Bar | MarkPrice

EVENT_TYPES: dict[Channel, type[MarketEvent]] = {
    Channel.TRADES: Trade,
    Channel.AGG_TRADES: AggTrade,
    Channel.QUOTES: Ticker,
    Channel.BOOK: BookUpdate,
    Channel.BARS: Bar,
    Channel.MARKS: MarkPrice,
}


class OrderBook:
    """Price levels of one market: two dicts, with the best of each kept as it changes.

    The best is looked for again only when the best level itself goes.  A book is empty until its
    first snapshot; whether updates fit together is the codec's business (`codecs.depth`).
    """

    __slots__ = ("asks", "best_ask", "best_bid", "bids", "last_id", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.best_bid = 0.0
        self.best_ask = 0.0
        self.last_id = 0

    def apply(self, update: BookUpdate) -> None:
        """Take over an update (a snapshot replaces everything)."""
        if update.is_snapshot:
            self.bids, self.asks = {}, {}
            self.best_bid = self.best_ask = 0.0
        self._bid_levels(update.bids)
        self._ask_levels(update.asks)
        self.last_id = update.last_id

    def _bid_levels(self, levels: Iterable[Level]) -> None:
        bids, best = self.bids, self.best_bid
        for price, size in levels:
            if size:
                bids[price] = size
                best = max(best, price)
            elif bids.pop(price, None) is not None and price == best:
                best = max(bids, default=0.0)
        self.best_bid = best

    def _ask_levels(self, levels: Iterable[Level]) -> None:
        asks, best = self.asks, self.best_ask
        for price, size in levels:
            if size:
                asks[price] = size
                if price < best or not best:
                    best = price
            elif asks.pop(price, None) is not None and price == best:
                best = min(asks, default=0.0)
        self.best_ask = best

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """The best `levels` bids (highest first) and asks (lowest first)."""
        return (
            sorted(self.bids.items(), reverse=True)[:levels],
            sorted(self.asks.items())[:levels],
        )

    @property
    def mid(self) -> float:
        """Half-way between best bid and best ask; 0 while a side is empty."""
        return (self.best_bid + self.best_ask) / 2 if self.best_bid and self.best_ask else 0.0
