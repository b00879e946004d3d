"""Candles and sums over time of one market, counted from its trades, in bounded memory.

Every trade is counted in a candle of a second, a minute, an hour and a day; so many of each are kept.
Longer candles, and the statistics of a day, are added up from these when somebody asks.  Amounts of market
data are floats, times are the exchange's.  Knows nothing of wire formats or subscribers.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.codecs.binance_time import INTERVAL_NS
from quantcli.model.market import AggTrade, Bar, Trade

_S = 1_000_000_000
SECOND_NS, MINUTE_NS, HOUR_NS, DAY_NS = _S, 60 * _S, 3600 * _S, 86_400 * _S

# Kept of each length: an hour of seconds, a week of minutes, half a year of hours, three years of days.
_KEPT = {SECOND_NS: 3_600, MINUTE_NS: 10_080, HOUR_NS: 4_400, DAY_NS: 1_100}

# Weeks begin on Monday, and the epoch on a Thursday.
_WEEK_NS, _MONDAY_NS = 7 * DAY_NS, 4 * DAY_NS

# What can be asked for: Binance's intervals but three days and months, which are not multiples of the above.
INTERVALS = {name: ns for name, ns in INTERVAL_NS.items() if name != "3d"}

_BUY = 1


class Candle(Bar, frozen=True, gc=False):
    """A bar with what Binance says beyond it: what takers bought (in base and in quote currency), and the
    ids of the first and last trade, -1 without any."""

    taker_volume: float = 0.0
    taker_quote_volume: float = 0.0
    first_id: int = -1
    last_id: int = -1


class Sums(msgspec.Struct, gc=False):
    """Trades of a span of time, added up.  Ids are -1, prices 0 while there are none."""

    open_ns: int
    open: float = 0.0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    volume: float = 0.0
    quote_volume: float = 0.0
    trades: int = 0
    taker_volume: float = 0.0
    taker_quote_volume: float = 0.0
    first_id: int = -1
    last_id: int = -1

    def count(self, trade: Trade | AggTrade, first_id: int, last_id: int) -> None:
        """Take a trade in, or the trades `first_id`..`last_id` that were added up."""
        price, size = trade.price, trade.size
        if not self.trades:
            self.open = self.high = self.low = price
            self.first_id = first_id
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size
        self.quote_volume += price * size
        self.trades += last_id - first_id + 1
        self.last_id = last_id
        if trade.side == _BUY:
            self.taker_volume += size
            self.taker_quote_volume += price * size

    def add(self, later: "Sums") -> None:
        """Take in what was added up of a later span."""
        if not later.close:
            return
        if not self.close:
            self.open, self.high, self.low = later.open, later.high, later.low
            self.first_id = later.first_id
        self.high, self.low = max(self.high, later.high), min(self.low, later.low)
        self.close, self.last_id = later.close, later.last_id
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.trades += later.trades
        self.taker_volume += later.taker_volume
        self.taker_quote_volume += later.taker_quote_volume


def start_of(at_ns: int, interval_ns: int) -> int:
    """When the candle begins that this moment is in."""
    offset = _MONDAY_NS if interval_ns == _WEEK_NS else 0
    return at_ns - (at_ns - offset) % interval_ns


class Candles:
    """The candles of one market."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._rings = {length: deque[Sums](maxlen=kept) for length, kept in _KEPT.items()}
        # The last span added up without its newest minute, which alone still changes.
        self._added: tuple[tuple[int, int], Sums, float] = ((-1, -1), Sums(0), 0.0)

    def count(self, trade: Trade | AggTrade, at_ns: int, first_id: int, last_id: int) -> None:
        """Count a trade that happened at `at_ns`; one that comes late is counted where the newest are."""
        for length, ring in self._rings.items():
            if not ring or at_ns >= ring[-1].open_ns + length:
                ring.append(Sums(at_ns - at_ns % length))
            ring[-1].count(trade, first_id, last_id)

    def adopt(self, bar: Bar) -> None:
        """Take over a recorded candle, in a market whose trades are not known one by one."""
        ring = self._rings.get(bar.interval_ns)
        if ring is None or (ring and bar.open_ns < ring[-1].open_ns):
            return
        if ring and ring[-1].open_ns == bar.open_ns:
            ring.pop()
        ring.append(
            Sums(
                bar.open_ns,
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
                bar.quote_volume,
                bar.trades,
            )
        )

    def last(
        self, interval: str, limit: int, now_ns: int, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[Candle]:
        """Candles, oldest first: the last `limit` that begin no later than `end_ms`, or the first `limit`
        from `start_ms` on.  Where nobody traded there is a flat candle, as Binance has it.

        Raises `KeyError` for an interval that is not in `INTERVALS`.
        """
        interval_ns = INTERVALS[interval]
        ring = self._rings[max(length for length in self._rings if interval_ns % length == 0)]
        if not ring or limit <= 0:
            return []
        last = start_of(now_ns, interval_ns)
        if end_ms is not None:
            last = min(last, start_of(end_ms * NS_PER_MS, interval_ns))
        first = start_of(ring[0].open_ns, interval_ns)
        if start_ms is not None:
            first = max(first, start_of(start_ms * NS_PER_MS + interval_ns - 1, interval_ns))
            last = min(last, first + (limit - 1) * interval_ns)
        else:
            first = max(first, last - (limit - 1) * interval_ns)
        folded, before = _fold(ring, interval_ns, first, last)
        return list(self._filled(folded, before, range(first, last + 1, interval_ns), interval_ns, now_ns))

    def _filled(
        self, folded: dict[int, Sums], close: float, starts: Iterable[int], interval_ns: int, now_ns: int
    ) -> Iterator[Candle]:
        for open_ns in starts:
            sums = folded.get(open_ns)
            if sums is None:
                if not close:
                    continue
                sums = Sums(open_ns, close, close, close, close)
            close = sums.close
            yield self._candle(sums, interval_ns, now_ns)

    def _candle(self, sums: Sums, interval_ns: int, now_ns: int) -> Candle:
        return Candle(
            self._symbol,
            now_ns,
            now_ns,
            0,
            sums.open_ns,
            interval_ns,
            sums.open,
            sums.high,
            sums.low,
            sums.close,
            sums.volume,
            sums.quote_volume,
            sums.trades,
            sums.open_ns + interval_ns <= now_ns,
            sums.taker_volume,
            sums.taker_quote_volume,
            sums.first_id,
            sums.last_id,
        )

    def over(self, span_ns: int, now_ns: int) -> tuple[Sums, float]:
        """What was traded in the span that ends now, from the minute in which it begins on, and the last
        price before it (0 where that is not known)."""
        ring = self._rings[MINUTE_NS]
        from_ns = start_of(now_ns - span_ns, MINUTE_NS)
        if not ring or ring[-1].open_ns < from_ns:
            return Sums(from_ns), ring[-1].close if ring else 0.0
        key = (from_ns, ring[-1].open_ns)
        if self._added[0] != key:
            closed, before = Sums(from_ns), 0.0
            for sums in ring:
                if sums.open_ns < from_ns:
                    before = sums.close
                elif sums.open_ns < key[1]:
                    closed.add(sums)
            self._added = (key, closed, before)
        _, closed, before = self._added
        total = copy(closed)
        total.add(ring[-1])
        return total, before


def _fold(ring: deque[Sums], interval_ns: int, first: int, last: int) -> tuple[dict[int, Sums], float]:
    """The candles of a length that begin within `first`..`last`, and the last price before them."""
    parts: list[tuple[int, Sums]] = []
    before = 0.0
    for sums in reversed(ring):
        open_ns = start_of(sums.open_ns, interval_ns)
        if open_ns < first:
            before = sums.close
            break
        if open_ns <= last:
            parts.append((open_ns, sums))
    folded: dict[int, Sums] = {}
    for open_ns, sums in reversed(parts):
        if open_ns not in folded:
            folded[open_ns] = Sums(open_ns)
        folded[open_ns].add(sums)
    return folded, before
