"""The recorded market by columns: where it next concerns our orders, and catching up until there.

A row that cannot concern any open order is never looked at by itself.  `next_row` finds the next one that
may with numpy; `catch_up` then takes over what the rows before it amount to: the newest quote, the last
trade, the sum of the book changes, and the least size displayed at the price of each queued order.
Whether rows are folded like this or seen one by one, the state is the same.

Knows nothing of requests, money or time.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from quantcli.model.batch import Chunk, Columns, Floats, Ints, event_at, events
from quantcli.model.market import BookUpdate, Channel, Level, MarketEvent
from quantcli.simulation.market import Market
from quantcli.simulation.matching import Matcher
from quantcli.simulation.orders import OwnOrders

# Rows looked at first; blocks grow from there, so that a search costs what it finds.
_FIRST_BLOCK = 256
_GROWTH = 8

# Aggregated trades come before trades: they only count until trades begin.
_CHANNELS = (Channel.QUOTES, Channel.AGG_TRADES, Channel.TRADES, Channel.BOOK)


class _Stream:
    """One stream of the chunk: `done` rows are folded in, those from `end` on do not count."""

    __slots__ = ("_asks", "columns", "done", "end", "where")

    def __init__(self, columns: Columns, where: Ints) -> None:
        self._asks: Floats | None = None
        self.columns = columns
        self.where = where
        self.done = 0
        self.end = len(columns)

    def rows_before(self, row: int) -> int:
        """How many of its rows come before a row of the chunk."""
        return int(self.where[: self.end].searchsorted(row))

    def asks(self) -> Floats:
        """Best asks; where there are none, above every price."""
        if self._asks is None:
            ask: Floats = self.columns.data["ask"]
            self._asks = ask if ask.all() else np.where(ask > 0, ask, np.inf)
        return self._asks


class _Watch:
    """Looks in one stream for `falling` under, or `rising` over, a bound."""

    __slots__ = ("_above", "_at", "_below", "_end", "_falling", "_rising", "_where")

    def __init__(
        self, stream: _Stream, row: int, falling: tuple[Floats, float], rising: tuple[Floats, float]
    ) -> None:
        self._where, self._end = stream.where, stream.end
        self._at = max(stream.done, stream.rows_before(row))
        self._falling, self._below = falling
        self._rising, self._above = rising

    def first(self, stop: int) -> int:
        """The first row of the chunk that is beyond a bound, of those before `stop` that were not looked at
        yet; `stop` if none is."""
        start = self._at
        end = self._at = start + int(self._where[start : self._end].searchsorted(stop))
        if start == end:
            return stop
        if self._below == -np.inf:
            beyond = self._rising[start:end] > self._above
        else:
            beyond = self._falling[start:end] < self._below
            if self._above != np.inf:
                beyond |= self._rising[start:end] > self._above
        found = int(beyond.argmax())
        return int(self._where[start + found]) if beyond[found] else stop


class ColumnFeed:
    """The chunk being replayed, and how much of it each market has taken over."""

    def __init__(self, markets: Mapping[str, Market], own: Mapping[str, OwnOrders], matcher: Matcher) -> None:
        self._markets = markets
        self._own = own
        self._matcher = matcher
        self._chunk: Chunk | None = None
        self._by_symbol: dict[str, list[_Stream]] = {}
        self._by_turn: dict[int, _Stream] = {}

    def load(self, chunk: Chunk) -> None:
        """Fold in what is left of the present chunk, and turn to the next one."""
        if self._chunk is not None:
            for symbol in self._by_symbol:
                self.catch_up(symbol, len(self._chunk))
        self._chunk = chunk
        self._by_turn = {
            turn: _Stream(columns, where)
            for turn, (columns, where) in enumerate(zip(chunk.streams, chunk.where, strict=True))
            if columns.symbol in self._markets and columns.channel in _CHANNELS
        }
        self._by_symbol = {}
        for stream in sorted(self._by_turn.values(), key=lambda s: _CHANNELS.index(s.columns.channel)):
            self._by_symbol.setdefault(stream.columns.symbol, []).append(stream)
        for symbol, streams in self._by_symbol.items():
            self._prefer_trades(self._markets[symbol], streams)

    def _prefer_trades(self, market: Market, streams: list[_Stream]) -> None:
        """Aggregated trades say again what trades have said: from the first trade on they do not count."""
        by_channel = {s.columns.channel: s for s in streams}
        trades, aggregated = by_channel.get(Channel.TRADES), by_channel.get(Channel.AGG_TRADES)
        if aggregated is None:
            return
        if market.has_prints:
            aggregated.end = 0
        elif trades is not None and trades.end:
            aggregated.end = aggregated.rows_before(int(trades.where[0]))

    def local_ns(self, row: int) -> int:
        """When a row of the chunk reached us."""
        assert self._chunk is not None
        return int(self._chunk.local_ns[row])

    def book_rows_done(self, symbol: str) -> int:
        """How many of the chunk's book rows a market has taken over."""
        streams = self._by_symbol.get(symbol, ())
        return next((s.done for s in streams if s.columns.channel is Channel.BOOK), 0)

    def catch_up_to(self, symbol: str, now_ns: int) -> None:
        """Let a market take over its rows up to and including the time `now_ns`."""
        if self._chunk is not None:
            self.catch_up(symbol, int(self._chunk.local_ns.searchsorted(now_ns, "right")))

    def catch_up(self, symbol: str, row: int) -> None:
        """Let a market take over its rows before a row of the chunk."""
        for stream in self._by_symbol.get(symbol, ()):
            market, own = self._markets[symbol], self._own[symbol]
            start, end = stream.done, stream.rows_before(row)
            if start >= end:
                continue
            stream.done = end
            match stream.columns.channel:
                case Channel.QUOTES:
                    self._fold_quotes(market, own, stream.columns, slice(start, end))
                case Channel.BOOK:
                    self._fold_book(market, own, stream.columns, start, end)
                case channel:
                    market.last = float(stream.columns.data["price"][end - 1])
                    market.has_prints |= channel is Channel.TRADES

    def _fold_quotes(self, market: Market, own: OwnOrders, columns: Columns, rows: slice) -> None:
        sides = [columns.data[name] for name in ("bid", "bid_size", "ask", "ask_size")]
        market.quote(*(float(side[rows.stop - 1]) for side in sides))
        if self._matcher.keeps_queues and own:
            self._matcher.see_quotes(own, *(side[rows] for side in sides))

    def _fold_book(self, market: Market, own: OwnOrders, columns: Columns, start: int, end: int) -> None:
        """Sum up the changes; where ids do not continue, step by step, as the synchronisation needs it."""
        done = start + 1
        changed = self._step_book(market, own, columns, start, done)
        if not (changed and _continuous(columns, start, end)):
            self._step_book(market, own, columns, done, end)
            return
        bids, asks = _levels(columns, "bid", done, end), _levels(columns, "ask", done, end)
        if self._matcher.keeps_queues and own:
            self._matcher.see_levels(own, bids, asks)
        market.overwrite_levels(_pairs(bids), _pairs(asks), int(columns.data["last_id"][end - 1]))

    def _step_book(self, market: Market, own: OwnOrders, columns: Columns, start: int, end: int) -> bool:
        """Take over updates singly; true if the last one changed a valid book."""
        changed = False
        for update in events(columns, start, end):
            assert isinstance(update, BookUpdate)
            changed = market.update_book(update)
            if changed and self._matcher.keeps_queues and own:
                self._matcher.see_book(own, market, update)
        return changed

    def next_row(self, start: int) -> int:
        """The first row from `start` on that may concern an open order; the chunk's length if none does.

        Some rows it names turn out not to matter; none that matters is left out.
        """
        assert self._chunk is not None
        total = len(self._chunk)
        watches = [w for symbol in self._by_symbol for w in self._watches(symbol, start)]
        size = _FIRST_BLOCK
        while watches and start < total:
            end = found = min(start + size, total)
            for watch in watches:
                found = watch.first(found)
            if found < end:
                return found
            start, size = end, size * _GROWTH
        return total

    def _watches(self, symbol: str, row: int) -> Iterator[_Watch]:
        own = self._own[symbol]
        if not own:
            return
        bounds = own.bounds(self._matcher.minds_touch)
        for stream in self._by_symbol[symbol]:
            channel, data = stream.columns.channel, stream.columns.data
            if stream.done >= stream.end or channel is Channel.BOOK:
                continue
            if channel is not Channel.QUOTES:
                price = data["price"]
                yield _Watch(stream, row, (price, bounds.trade_below), (price, bounds.trade_above))
                continue
            bid, ask = data["bid"], data["ask"]
            if own.buys or own.sells:
                yield _Watch(stream, row, (stream.asks(), bounds.ask_below), (bid, bounds.bid_above))
            if own.stops and not self._markets[symbol].last:
                yield _Watch(stream, row, (bid, bounds.bid_below), (ask, bounds.ask_above))

    def take(self, row: int) -> MarketEvent | None:
        """The event of a row, its market caught up to just before it; `None` if it concerns no market, or
        was taken over before."""
        assert self._chunk is not None
        stream = self._by_turn.get(int(self._chunk.turn[row]))
        if stream is None:
            return None
        self.catch_up(stream.columns.symbol, row)
        place = stream.done
        if place >= stream.end or stream.where[place] != row:
            return None
        stream.done = place + 1
        return event_at(stream.columns, place)


def _continuous(columns: Columns, start: int, end: int) -> bool:
    """Each of these book rows is a diff that continues the one before it (`codecs.depth` has the rule)."""
    data = columns.data
    if data["is_snapshot"][start:end].any():
        return False
    before, prev = data["last_id"][start : end - 1], data["prev_id"][start + 1 : end]
    first = data["first_id"][start + 1 : end]
    return bool(np.where(prev != 0, prev == before, first == before + 1).all())


def _levels(columns: Columns, side: str, start: int, end: int) -> tuple[Floats, Floats]:
    offsets = columns.data[f"{side}_offsets"]
    levels = slice(int(offsets[start]), int(offsets[end]))
    return columns.data[f"{side}_prices"][levels], columns.data[f"{side}_sizes"][levels]


def _pairs(levels: tuple[Floats, Floats]) -> list[Level]:
    return list(zip(levels[0].tolist(), levels[1].tolist(), strict=True))
