"""What markets look like now: the two ways of knowing it.

`LiveView` remembers the last event of each kind.  `ReplayView` remembers nothing: it stands at a row
of a chunk and looks things up when they are asked for, because most rows are never asked about.
Both implement `trading.market.View`; neither decides anything.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from quantcli.codecs.depth import DepthSync
from quantcli.model.batch import Chunk, Columns, Ints, events
from quantcli.model.instrument import to_decimal
from quantcli.model.market import AggTrade, BookUpdate, Channel, MarketEvent, OrderBook, Ticker, Trade
from quantcli.trading.portfolio import Portfolio


class Holdings:
    """The half of a view that comes from our own books."""

    portfolio: Portfolio

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
        return (to_decimal(quote.bid) + to_decimal(quote.ask)) / 2


class LiveView(Holdings):
    """Remembers the last quote, trade and book of each market, as events are taken."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._quotes: dict[str, Ticker] = {}
        self._last: dict[str, float] = {}
        self._depth: dict[str, DepthSync] = {}

    @property
    def now_ns(self) -> int:
        """The present."""
        return self._now()

    def take(self, event: MarketEvent) -> None:
        """Remember an event."""
        match event:
            case Ticker():
                self._quotes[event.symbol] = event
            case Trade() | AggTrade():
                self._last[event.symbol] = event.price
            case BookUpdate():
                self._depth.setdefault(event.symbol, DepthSync(event.symbol)).apply(event)
            case _:
                pass

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
    """One stream of the present chunk, and the last row of the chunks before."""

    __slots__ = ("carried", "columns", "j", "event", "where")

    def __init__(self) -> None:
        self.columns: Columns | None = None
        self.where: Ints = np.empty(0, np.int64)
        self.carried: MarketEvent | None = None
        self.j = -1
        self.event: MarketEvent | None = None

    def load(self, columns: Columns, where: Ints) -> None:
        if self.columns is not None and len(self.columns):
            self.carried = next(events(self.columns, len(self.columns) - 1))
        self.columns, self.where, self.j, self.event = columns, where, -1, None

    def at(self, row: int) -> MarketEvent | None:
        """The newest event at or before a merged row."""
        j = int(np.searchsorted(self.where, row, "right")) - 1
        if j < 0 or self.columns is None:
            return self.carried
        if j != self.j:
            self.j, self.event = j, next(events(self.columns, j, j + 1))
        return self.event


class ReplayView(Holdings):
    """Stands at a merged row of a chunk; a strategy's hook moves it there by the event it handles.

    `row` is set by the replay whenever it stops.  Between stops the replay only says which event is
    being handled, and the row is found when something is asked.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._streams: dict[tuple[Channel, str], _Stream] = {}
        self._depth: dict[str, DepthSync] = {}
        self._depth_done: dict[str, int] = {}
        self.row = -1
        self.event_row: Callable[[], int] | None = None

    @property
    def now_ns(self) -> int:
        """The present."""
        return self._now()

    def load(self, chunk: Chunk) -> None:
        """Move on to the next chunk."""
        for symbol in self._depth:
            self._catch_up(symbol, None)
        self._depth_done = dict.fromkeys(self._depth, 0)
        for columns, where in zip(chunk.streams, chunk.where, strict=True):
            key = (columns.channel, columns.symbol)
            self._streams.setdefault(key, _Stream()).load(columns, where)
        self.row = -1

    def _at(self) -> int:
        return self.row if self.event_row is None else self.event_row()

    def quote(self, symbol: str) -> Ticker | None:
        """The newest quote at the present row."""
        stream = self._streams.get((Channel.QUOTES, symbol))
        found = stream.at(self._at()) if stream else None
        return found if isinstance(found, Ticker) else None

    def last(self, symbol: str) -> float:
        """Price of the newest trade at the present row, 0.0 before the first."""
        for channel in (Channel.TRADES, Channel.AGG_TRADES):
            stream = self._streams.get((channel, symbol))
            found = stream.at(self._at()) if stream else None
            if isinstance(found, Trade | AggTrade):
                return found.price
        return 0.0

    def book(self, symbol: str) -> OrderBook | None:
        """The book at the present row, while it is in step; kept up to date from the first call on."""
        if (Channel.BOOK, symbol) not in self._streams:
            return None
        if symbol not in self._depth:
            self._depth[symbol] = DepthSync(symbol)
            self._depth_done[symbol] = 0
        self._catch_up(symbol, self._at())
        depth = self._depth[symbol]
        return depth.book if depth.synced else None

    def _catch_up(self, symbol: str, row: int | None) -> None:
        stream = self._streams[(Channel.BOOK, symbol)]
        columns = stream.columns
        if columns is None:
            return
        start = self._depth_done[symbol]
        stop = len(columns) if row is None else int(np.searchsorted(stream.where, row, "right"))
        depth = self._depth[symbol]
        for update in events(columns, start, stop) if stop > start else ():
            if isinstance(update, BookUpdate):
                depth.apply(update)
        self._depth_done[symbol] = max(start, stop)
