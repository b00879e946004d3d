"""What markets look like now: the two ways of knowing it.

`LiveView` remembers the last event of each kind.  `ReplayView` remembers nothing: it stands at a row
of a chunk and looks things up when they are asked for, because most rows are never asked about.
Both implement `trading.market.View`; neither decides anything.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from quantcli.codecs.depth import DepthSync
from quantcli.model.batch import Chunk, Columns, Ints, event_at, events
from quantcli.model.instrument import to_decimal
from quantcli.model.market import AggTrade, BookUpdate, Channel, MarketEvent, OrderBook, Ticker, Trade
from quantcli.trading.market import Reads
from quantcli.trading.portfolio import Portfolio

# One event costs about as much as twenty of a batch: who asks often gets them all at once.
_MISSES_MAX = 200

# What events change, as plain integers: an IntFlag's `|` costs more than taking an event does.
_TIME = int(Reads.TIME)
_PRICE = int(Reads.TIME | Reads.PRICE | Reads.SIZE)
_SIZE = int(Reads.TIME | Reads.SIZE)
_LAST = int(Reads.TIME | Reads.LAST)
_BOOK = int(Reads.TIME | Reads.BOOK)


class Holdings:
    """The half of a view that comes from our own books."""

    portfolio: Portfolio

    def __init__(self) -> None:
        self._marks: dict[str, tuple[Ticker, Decimal]] = {}

    def position(self, symbol: str) -> Decimal:
        """Signed holding in base units."""
        return self.portfolio.qty(symbol)

    def avg_price(self, symbol: str) -> Decimal:
        """Mean entry price of the holding, 0 when flat."""
        return self.portfolio.position(symbol).avg_price

    def equity(self) -> float:
        """The account's worth in quote currency; what was started with while a mark is missing."""
        worth = self.portfolio.equity()
        return float(self.portfolio.start_equity if worth is None else worth)

    def quote(self, symbol: str) -> Ticker | None:
        """The best bid and ask as of now."""
        raise NotImplementedError

    def mark(self, symbol: str) -> Decimal | None:
        """The exact middle of bid and ask, which positions are valued at."""
        quote = self.quote(symbol)
        if quote is None:
            return None
        known = self._marks.get(symbol)
        if known is None or known[0] is not quote:
            known = self._marks[symbol] = quote, (to_decimal(quote.bid) + to_decimal(quote.ask)) / 2
        return known[1]


class LiveView(Holdings):
    """Remembers the last quote, trade and book of each market, as events are taken."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__()
        self._now = now
        self._quotes: dict[str, Ticker] = {}
        self._last: dict[str, float] = {}
        self._depth: dict[str, DepthSync] = {}

    @property
    def now_ns(self) -> int:
        """The present."""
        return self._now()

    def take(self, event: MarketEvent) -> int:
        """Remember an event; what it has changed, as `Reads`."""
        symbol = event.symbol
        if isinstance(event, BookUpdate):
            depth = self._depth.get(symbol)
            if depth is None:
                depth = self._depth[symbol] = DepthSync(symbol)
            depth.apply(event)
            return _BOOK
        if isinstance(event, Ticker):
            before = self._quotes.get(symbol)
            self._quotes[symbol] = event
            if before is None or before.bid != event.bid or before.ask != event.ask:
                return _PRICE
            return _SIZE if (before.bid_size, before.ask_size) != (event.bid_size, event.ask_size) else _TIME
        if isinstance(event, (Trade, AggTrade)):
            price, self._last[symbol] = self._last.get(symbol), event.price
            return _TIME if price == event.price else _LAST
        return _TIME

    def forget(self) -> None:
        """What was seen last is not true any more: no quote, no book, until they are seen again."""
        self._quotes.clear()
        self._depth.clear()

    def quote(self, symbol: str) -> Ticker | None:
        """The last quote seen."""
        return self._quotes.get(symbol)

    def last(self, symbol: str) -> float:
        """Price of the last trade seen, 0.0 before the first."""
        return self._last.get(symbol, 0.0)

    def book(self, symbol: str) -> OrderBook | None:
        """The book, while it is in step with the exchange."""
        depth = self._depth.get(symbol)
        return depth.book if depth and depth.synced else None


class _Stream:
    """One stream of the present chunk, and the last row of the chunks before.

    The event found last is kept with the merged rows `since`..`until` that it holds for: most questions
    are about the same one.
    """

    __slots__ = ("_batch", "_carried", "_columns", "_misses", "_rows", "event", "since", "until", "where")

    def __init__(self) -> None:
        self.where: Ints = np.empty(0, np.int64)
        self._columns: Columns | None = None
        self._carried: MarketEvent | None = None
        self._forget()

    def _forget(self) -> None:
        self._rows: list[int] | None = None
        self._batch: list[MarketEvent] | None = None
        self._misses = 0
        self.since = self.until = 0
        self.event: MarketEvent | None = None

    @property
    def columns(self) -> Columns | None:
        """The rows of the present chunk."""
        return self._columns

    def load(self, columns: Columns, where: Ints) -> None:
        """Turn to the next chunk."""
        if self._columns is not None and len(self._columns):
            self._carried = event_at(self._columns, len(self._columns) - 1)
        self._columns, self.where = columns, where
        self._forget()

    def at(self, row: int) -> MarketEvent | None:
        """The newest event at or before a merged row."""
        if self.since <= row < self.until:
            return self.event
        if self._rows is None:
            self._rows = self.where.tolist()
        j = bisect_right(self._rows, row) - 1
        self.since = self._rows[j] if j >= 0 else -1
        self.until = self._rows[j + 1] if j + 1 < len(self._rows) else sys.maxsize
        self.event = self._make(j) if j >= 0 else self._carried
        return self.event

    def _make(self, j: int) -> MarketEvent:
        if self._batch is not None:
            return self._batch[j]
        columns = self._columns
        assert columns is not None
        self._misses += 1
        if self._misses > _MISSES_MAX:
            self._batch = list(events(columns))
        return event_at(columns, j)


class ReplayView(Holdings):
    """Stands at a merged row of a chunk; a strategy's hook moves it there by the event it handles.

    `row` is set by the replay whenever it stops.  Between stops the replay only says which event is
    being handled, and the row is found when something is asked.  `book_so_far` is the imagined
    exchange's.
    """

    book_so_far: Callable[[str], tuple[DepthSync, int]]

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__()
        self._now = now
        self._streams: dict[tuple[Channel, str], _Stream] = {}
        self._quotes: dict[str, _Stream] = {}
        self._depth: dict[str, DepthSync] = {}
        self._depth_done: dict[str, int] = {}
        self._times: Ints = np.empty(0, np.int64)
        self.row = -1
        self.event_row: Callable[[], int] | None = None

    @property
    def now_ns(self) -> int:
        """The present; between two stops, the time of the event being handled."""
        return self._now() if self.event_row is None else int(self._times[self.event_row()])

    def load(self, chunk: Chunk) -> None:
        """Move on to the next chunk."""
        for symbol in self._depth:
            self._catch_up(symbol, None)
        self._depth_done = dict.fromkeys(self._depth, 0)
        for columns, where in zip(chunk.streams, chunk.where, strict=True):
            key = (columns.channel, columns.symbol)
            stream = self._streams.setdefault(key, _Stream())
            stream.load(columns, where)
            if columns.channel is Channel.QUOTES:
                self._quotes[columns.symbol] = stream
        self._times = chunk.local_ns
        self.row = -1

    def _at(self) -> int:
        return self.row if self.event_row is None else self.event_row()

    def quote(self, symbol: str) -> Ticker | None:
        """The newest quote at the present row."""
        stream = self._quotes.get(symbol)
        if stream is None:
            return None
        row = self.row if self.event_row is None else self.event_row()
        # Asked several times a wish: the common answer takes no call.  A quotes stream holds only quotes.
        return stream.event if stream.since <= row < stream.until else stream.at(row)  # type: ignore[return-value]

    def last(self, symbol: str) -> float:
        """Price of the newest trade at the present row, 0.0 before the first."""
        for channel in (Channel.TRADES, Channel.AGG_TRADES):
            stream = self._streams.get((channel, symbol))
            found = stream.at(self._at()) if stream else None
            if isinstance(found, Trade | AggTrade):
                return found.price
        return 0.0

    def book(self, symbol: str) -> OrderBook | None:
        """The book at the present row, while it is in step.

        Only books that are asked for are kept; the first question takes over what the imagined exchange
        has built of it so far.
        """
        if (Channel.BOOK, symbol) not in self._streams:
            return None
        if symbol not in self._depth:
            self._depth[symbol], self._depth_done[symbol] = self.book_so_far(symbol)
        self._catch_up(symbol, self._at())
        depth = self._depth[symbol]
        return depth.book if depth.synced else None

    def _catch_up(self, symbol: str, row: int | None) -> None:
        stream = self._streams[(Channel.BOOK, symbol)]
        columns = stream.columns
        if columns is None:
            return
        start = self._depth_done[symbol]
        stop = len(columns) if row is None else int(stream.where.searchsorted(row, "right"))
        depth = self._depth[symbol]
        for update in events(columns, start, stop) if stop > start else ():
            if isinstance(update, BookUpdate):
                depth.apply(update)
        self._depth_done[symbol] = max(start, stop)
