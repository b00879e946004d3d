"""How long things took lately: percentiles of the last quarter of an hour, in bounded memory.

Values fall into buckets whose bounds grow by a constant factor, so a percentile is within 1 % of the exact
one whatever its size (Masson, Rim, Lee: DDSketch, VLDB 2019).  Buckets are kept by the minute: what is older
than the window goes a minute at a time.  The largest value is exact.

Reads no clock, and knows nothing of what took so long.
"""

import math
from collections.abc import Iterable

from quantcli.clock import NS_PER_S

WINDOW_S = 900
RECENT_S = 60
# How far a percentile may be from the exact one, relatively, and below which value (ms) all are alike.
ERROR = 0.01
LEAST = 0.001
NOTHING = -1.0

_GROWTH = (1 + ERROR) / (1 - ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_MIDDLE = 2 / (1 + _GROWTH)  # of a bucket, seen from its upper bound: equally far from both, relatively
_MOST = 1e9  # ms: eleven days
_SLICE_S = 60


class _Slice:
    """The values of one minute."""

    __slots__ = ("buckets", "number", "worst")

    def __init__(self, number: int) -> None:
        self.number = number
        self.buckets: dict[int, int] = {}
        self.worst = 0.0


class Durations:
    """Values in ms of one kind.  `total` and `sum_ms` are of all that ever came."""

    def __init__(self) -> None:
        self.total = 0
        self.sum_ms = 0.0
        self._slices: list[_Slice] = []  # oldest first
        self._recent: dict[int, float] = {}  # the worst value, by second

    def add(self, ms: float, now_ns: int) -> None:
        """A further value; one that is negative, by clocks that disagree, counts as 0."""
        ms = min(max(ms, 0.0), _MOST)
        second = now_ns // NS_PER_S
        self.total += 1
        self.sum_ms += ms
        found = self._slice(second // _SLICE_S)
        bucket = _bucket(ms)
        found.buckets[bucket] = found.buckets.get(bucket, 0) + 1
        found.worst = max(found.worst, ms)
        if ms > self._recent.get(second, NOTHING):
            self._recent[second] = ms
            if len(self._recent) > RECENT_S:
                self._forget(second)

    def count(self, now_ns: int) -> int:
        """How many values the window holds."""
        return sum(sum(each.buckets.values()) for each in self._within(now_ns))

    def percentiles(self, shares: Iterable[float], now_ns: int) -> tuple[float, ...]:
        """The smallest value that is at least as large as such a share of all; 0 without any."""
        merged: dict[int, int] = {}
        for each in self._within(now_ns):
            for bucket, count in each.buckets.items():
                merged[bucket] = merged.get(bucket, 0) + count
        ranked, worst = sorted(merged.items()), self.worst(now_ns)
        count = sum(merged.values())
        return tuple(min(_value_at(ranked, max(1, math.ceil(share * count))), worst) for share in shares)

    def worst(self, now_ns: int) -> float:
        """The largest value of the window; 0 without any."""
        return max((each.worst for each in self._within(now_ns)), default=0.0)

    def recent(self, now_ns: int) -> tuple[float, ...]:
        """The worst value of each second of the last minute, oldest first, `NOTHING` where there was none."""
        second = now_ns // NS_PER_S
        return tuple(self._recent.get(n, NOTHING) for n in range(second - RECENT_S + 1, second + 1))

    def _slice(self, number: int) -> _Slice:
        """The slice of a minute; what comes out of order goes to the newest."""
        if not self._slices or number > self._slices[-1].number:
            self._slices.append(_Slice(number))
            if len(self._slices) > WINDOW_S // _SLICE_S:
                del self._slices[0]
        return self._slices[-1]

    def _within(self, now_ns: int) -> list[_Slice]:
        oldest = now_ns // NS_PER_S // _SLICE_S - WINDOW_S // _SLICE_S
        return [each for each in self._slices if each.number > oldest]

    def _forget(self, second: int) -> None:
        self._recent = {n: worst for n, worst in self._recent.items() if n > second - RECENT_S}


def _bucket(ms: float) -> int:
    return math.ceil(math.log(ms / LEAST) / _LOG_GROWTH) if ms > LEAST else 0


def _value_at(ranked: list[tuple[int, int]], rank: int) -> float:
    for bucket, count in ranked:
        rank -= count
        if rank <= 0:
            return LEAST * _GROWTH**bucket * _MIDDLE if bucket else 0.0
    return 0.0
