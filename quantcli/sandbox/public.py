"""What the public sees of the sandbox's markets: book, quotes, trades, candles, statistics of a day.

It takes market events in and answers questions; who listens is told of each event after it was taken in.
Memory is bounded.  A market whose events hold no book is shown one of a single level, made of its quotes, so
that clients which need a book have one.  Knows no wire format, no order of anybody's and no clock: the time
of a market is the newest that its events tell.
"""

from collections import deque
from collections.abc import Callable, Mapping
from heapq import nlargest, nsmallest

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.codecs.depth import DepthSync
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import AggTrade, Bar, BookUpdate, Level, MarketEvent, MarkPrice, Ticker, Trade
from quantcli.sandbox.candles import DAY_NS, MINUTE_NS, Candle, Candles

# Trades of each market that can be asked for again.
_TRADES_KEPT = 5_000

# Sorting a whole book costs less than picking so many from it.
_FEW_LEVELS = 100

# Funding is due at 00:00, 08:00 and 16:00 UTC.
FUNDING_NS = DAY_NS // 3

_BUY = 1


class DayStats(msgspec.Struct, frozen=True):
    """Statistics of a span of time, a day where nothing else is said; prices are 0 and ids -1 without trades.

    `before` is the last price before the span, 0 where it is not known; times are milliseconds.
    """

    open: float
    high: float
    low: float
    last: float
    last_size: float
    before: float
    volume: float
    quote_volume: float
    first_id: int
    last_id: int
    count: int
    open_ms: int
    close_ms: int

    @property
    def weighted_average(self) -> float:
        """Mean price, weighted by size; 0 without trades."""
        return self.quote_volume / self.volume if self.volume else 0.0

    @property
    def change(self) -> float:
        """How far the price has moved."""
        return self.last - self.open

    @property
    def change_percent(self) -> float:
        """… in percent of where it began."""
        return self.change / self.open * 100 if self.open else 0.0


class Board:
    """What is shown of one market.  `depth` is its book; `is_made_up`: its quotes stand in for one."""

    def __init__(self, meta: SymbolMetadata) -> None:
        self.meta = meta
        self.depth = DepthSync(meta.symbol.name)
        self.is_made_up = True
        self.depth.apply(BookUpdate(meta.symbol.name, 0, 0, 0, True, 0, 0, 0, (), ()))
        self.quote: Ticker | None = None
        self.mark: MarkPrice | None = None
        self.trades: deque[Trade] = deque(maxlen=_TRADES_KEPT)
        self.agg_trades: deque[AggTrade] = deque(maxlen=_TRADES_KEPT)
        self.candles = Candles(meta.symbol.name)
        self.recorded_bars: set[int] = set()
        self.last_trade: Trade | AggTrade | None = None
        self.has_prints = self.has_aggs = False
        self.last_price = 0.0
        self.now_ns = 0
        self._is_stamped = False
        self._counted_id = -1

    def take(self, event: MarketEvent) -> BookUpdate | None:
        """Take an event in; the change of a made-up book that follows from it, if any."""
        self._turn_to(event)
        match event:
            case Ticker():
                self.quote = event
                return self._book_of_quote(event) if self.is_made_up else None
            case Trade():
                self._see_trade(event)
            case AggTrade():
                self._see_agg_trade(event)
            case BookUpdate():
                if self.is_made_up:
                    self.is_made_up = False
                    self.depth = DepthSync(event.symbol)
                self.depth.apply(event)
            case Bar():
                self._see_bar(event)
            case MarkPrice():
                self.mark = event
        return None

    def _turn_to(self, event: MarketEvent) -> None:
        """The time here is what the exchange says, or our own where it never says."""
        if event.exchange_ns:
            if not self._is_stamped:
                self._is_stamped, self.now_ns = True, event.exchange_ns
            self.now_ns = max(self.now_ns, event.exchange_ns)
        elif not self._is_stamped:
            self.now_ns = event.local_ns

    def _see_trade(self, trade: Trade) -> None:
        self.has_prints = True
        self.trades.append(trade)
        self._count(trade, trade.trade_id, trade.trade_id)
        if not self.has_aggs:
            self.agg_trades.append(as_agg_trade(trade))

    def _see_agg_trade(self, trade: AggTrade) -> None:
        if not self.has_aggs:
            self.has_aggs = True
            self.agg_trades.clear()
        self.agg_trades.append(trade)
        if not self.has_prints:
            self.trades.append(Trade(*_print(trade), trade.last_id))
            self._count(trade, trade.first_id, trade.last_id)

    def _count(self, trade: Trade | AggTrade, first_id: int, last_id: int) -> None:
        """Count a trade, unless it was counted as part of an aggregated one; ids of 0 are not known."""
        if last_id and last_id <= self._counted_id:
            return
        self._counted_id = max(self._counted_id, last_id)
        self.last_trade, self.last_price = trade, trade.price
        self.candles.count(trade, trade.exchange_ns or trade.local_ns, first_id, last_id)

    def _see_bar(self, bar: Bar) -> None:
        self.recorded_bars.add(bar.interval_ns)
        if self.last_trade is None:
            self.last_price = bar.close
            self.candles.adopt(bar)

    def _book_of_quote(self, quote: Ticker) -> BookUpdate | None:
        """What a quote changes in the made-up book, which begins empty; ids count up by one."""
        bids, asks = self._level(quote.bid, quote.bid_size), self._level(quote.ask, quote.ask_size)
        if bids and asks and bids[0][0] >= asks[0][0]:
            asks = [(bids[0][0] + float(self.meta.price_tick), asks[0][1])]
        book, last_id = self.depth.book, self.depth.last_id
        bids, asks = _changes(book.bids, bids), _changes(book.asks, asks)
        if not bids and not asks:
            return None
        update = BookUpdate(
            quote.symbol,
            quote.exchange_ns,
            quote.local_ns,
            quote.seq,
            False,
            last_id + 1,
            last_id + 1,
            0,
            bids,
            asks,
        )
        self.depth.apply(update)
        return update

    def _level(self, price: float, size: float) -> list[Level]:
        """A level; where its size is not known it shows as much as traded last, or one lot."""
        if not price:
            return []
        return [(price, size or (self.last_trade.size if self.last_trade else float(self.meta.lot)))]

    def best(self) -> Ticker | None:
        """The best bid and ask: the newest quote, or the top of the book in a market without any."""
        book = self.depth.book
        bid, ask = book.best_bid, book.best_ask
        if self.quote is not None or not self.depth.synced or not (bid or ask):
            return self.quote
        sizes = (book.bids.get(bid, 0.0), book.asks.get(ask, 0.0))
        return Ticker(book.symbol, self.now_ns, self.now_ns, 0, bid, sizes[0], ask, sizes[1], book.last_id)


class PublicMarket:
    """All markets.  Symbols are canonical (`BTC/USDT`); every question about one that is not in
    `instruments` raises `KeyError`, an event of one is passed over.

    `listeners` are called with each event after it was taken in, and with the changes of made-up books.
    """

    def __init__(self, instruments: Mapping[str, SymbolMetadata]) -> None:
        self.instruments = dict(instruments)
        self.listeners: list[Callable[[MarketEvent], None]] = []
        self._boards = {name: Board(meta) for name, meta in self.instruments.items()}
        self._names = {meta.exchange_symbol: name for name, meta in self.instruments.items()}

    def see(self, event: MarketEvent) -> None:
        """Take an event in and tell it to who listens."""
        board = self._boards.get(event.symbol)
        if board is None:
            return
        follows = board.take(event)
        for listener in tuple(self.listeners):
            listener(event)
        if follows is not None:
            for listener in tuple(self.listeners):
                listener(follows)

    def name_of(self, exchange_symbol: str) -> str | None:
        """The canonical name of `BTCUSDT`."""
        return self._names.get(exchange_symbol)

    def now_ns(self, symbol: str) -> int:
        """The newest time that the market's events told; 0 before the first."""
        return self._boards[symbol].now_ns

    def board(self, symbol: str) -> Board:
        """Everything shown of one market."""
        return self._boards[symbol]

    def depth(self, symbol: str, limit: int) -> tuple[int, list[Level], list[Level]]:
        """Id of the last update in the book, bids with the best first, asks with the best first.

        While the recorded book is not whole (no snapshot yet, or a gap since) it is the best bid and ask
        alone, under the id that the book stopped at.
        """
        board = self._boards[symbol]
        sync = board.depth
        if sync.synced:
            bids, asks = sync.book.bids.items(), sync.book.asks.items()
            if limit > _FEW_LEVELS:
                return sync.last_id, sorted(bids, reverse=True)[:limit], sorted(asks)[:limit]
            return sync.last_id, nlargest(limit, bids), nsmallest(limit, asks)
        quote = board.quote
        if quote is None or limit <= 0:
            return sync.last_id, [], []
        return (
            sync.last_id,
            [(quote.bid, quote.bid_size)] if quote.bid and quote.bid_size else [],
            [(quote.ask, quote.ask_size)] if quote.ask and quote.ask_size else [],
        )

    def trades(self, symbol: str, limit: int, from_id: int | None = None) -> list[Trade]:
        """The last `limit` trades, or the first `limit` from an id on; oldest first."""
        kept = self._boards[symbol].trades
        if from_id is None:
            return list(kept)[-limit:] if limit > 0 else []
        return [trade for trade in kept if trade.trade_id >= from_id][:limit]

    def agg_trades(
        self,
        symbol: str,
        limit: int,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[AggTrade]:
        """Aggregated trades, oldest first: the last `limit`, or the first `limit` from an id or a time on.
        Where none are recorded every trade is one of its own."""
        kept = [
            trade
            for trade in self._boards[symbol].agg_trades
            if (from_id is None or trade.trade_id >= from_id)
            and (start_ms is None or trade.exchange_ns >= start_ms * NS_PER_MS)
            and (end_ms is None or trade.exchange_ns < (end_ms + 1) * NS_PER_MS)
        ]
        if from_id is None and start_ms is None:
            return kept[-limit:] if limit > 0 else []
        return kept[:limit]

    def bars(
        self, symbol: str, interval: str, limit: int, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[Candle]:
        """Candles built from the trades, oldest first: see `Candles.last`."""
        board = self._boards[symbol]
        return board.candles.last(interval, limit, board.now_ns, start_ms, end_ms)

    def day(self, symbol: str) -> DayStats:
        """Statistics of the last 24 hours."""
        return self.window(symbol, DAY_NS)

    def window(self, symbol: str, span_ns: int) -> DayStats:
        """Statistics of a span that ends now and begins on a minute."""
        board = self._boards[symbol]
        total, before = board.candles.over(span_ns, board.now_ns)
        return DayStats(
            open=total.open,
            high=total.high,
            low=total.low,
            last=total.close or board.last_price,
            last_size=board.last_trade.size if board.last_trade else 0.0,
            before=before,
            volume=total.volume,
            quote_volume=total.quote_volume,
            first_id=total.first_id,
            last_id=total.last_id,
            count=total.trades,
            open_ms=total.open_ns // NS_PER_MS,
            close_ms=board.now_ns // NS_PER_MS,
        )

    def average(self, symbol: str, minutes: int = 5) -> tuple[float, int]:
        """Mean price of the last minutes weighted by size, or the last price if there was no trade in them;
        and when the last trade was, in milliseconds."""
        board = self._boards[symbol]
        stats = self.window(symbol, minutes * MINUTE_NS)
        at_ns = board.last_trade.exchange_ns if board.last_trade else board.now_ns
        return stats.weighted_average or board.last_price, at_ns // NS_PER_MS

    def quote(self, symbol: str) -> Ticker | None:
        """The best bid and ask; `None` before anything was seen."""
        return self._boards[symbol].best()

    def mark(self, symbol: str) -> MarkPrice:
        """Mark price and funding of a futures market; where it tells none, its last price and no funding."""
        board = self._boards[symbol]
        if board.mark is not None:
            return board.mark
        quote = board.best()
        price = board.last_price or (quote.bid if quote else 0.0)
        next_ns = (board.now_ns // FUNDING_NS + 1) * FUNDING_NS
        return MarkPrice(symbol, board.now_ns, board.now_ns, 0, price, price, 0.0, next_ns)

    def last_price(self, symbol: str) -> float | None:
        """Price of the last trade, or close of the last candle; `None` before the first."""
        return self._boards[symbol].last_price or None


def as_agg_trade(trade: Trade) -> AggTrade:
    """A trade as an aggregated one of its own."""
    return AggTrade(*_print(trade), trade.trade_id, trade.trade_id, trade.trade_id)


def _print(trade: Trade | AggTrade) -> tuple[str, int, int, int, float, float, int]:
    """What both kinds of trades begin with."""
    return (
        trade.symbol,
        trade.exchange_ns,
        trade.local_ns,
        trade.seq,
        trade.price,
        trade.size,
        trade.side,
    )


def _changes(levels: Mapping[float, float], wanted: list[Level]) -> list[Level]:
    """What makes `levels` what is wanted."""
    target = dict(wanted)
    gone = [(price, 0.0) for price in levels if price not in target]
    return gone + [(price, size) for price, size in wanted if levels.get(price) != size]
