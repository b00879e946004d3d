"""A recording session's local time: it does not go back, and it is compared with the exchange's.

Reads no clock; it is told the times of the rows.
"""

from collections import Counter

import msgspec
import numpy as np

from quantcli.clock import NS_PER_MS
from quantcli.model.batch import Columns


class ClockState(msgspec.Struct, frozen=True):
    """What a session's clock has seen: the last time told and the last recorded, steps back, and how many
    rows came how many milliseconds late."""

    raw_ns: int = 0
    now_ns: int = 0
    steps_back: int = 0
    late_ms: dict[int, int] = {}


_AT_FIRST = ClockState()


class SessionClock:
    """`steps_back` counts how often the local time went back (and was held instead)."""

    def __init__(self, state: ClockState = _AT_FIRST) -> None:
        self.steps_back = state.steps_back
        self._raw_ns = state.raw_ns
        self._now_ns = state.now_ns
        self._late_ms: Counter[int] = Counter(state.late_ms)

    def state(self) -> ClockState:
        """What a clock that goes on begins with."""
        return ClockState(self._raw_ns, self._now_ns, self.steps_back, dict(self._late_ms))

    def tell(self, local_ns: int) -> int:
        """The time to record for a row that arrived at `local_ns`: never less than for the one before."""
        if local_ns < self._raw_ns:
            self.steps_back += 1
        self._raw_ns = local_ns
        self._now_ns = max(self._now_ns, local_ns)
        return self._now_ns

    def compare(self, rows: Columns) -> None:
        """Take account of how late rows came."""
        told = rows.exchange_ns > 0
        late_ms, counts = np.unique((rows.local_ns - rows.exchange_ns)[told] // NS_PER_MS, return_counts=True)
        for late, count in zip(late_ms.tolist(), counts.tolist(), strict=True):
            self._late_ms[late] += count

    def offset_ms(self) -> int | None:
        """Median of local less exchange time in whole milliseconds; `None` if the exchange told no times."""
        left = self._late_ms.total() / 2
        for late in sorted(self._late_ms):
            left -= self._late_ms[late]
            if left <= 0:
                return late
        return None
