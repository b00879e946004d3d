"""A recording session's local time: it does not go back, and it is compared with the exchange's.

Reads no clock; it is told the times of the rows.
"""

from collections import Counter

import numpy as np

from quantcli.clock import NS_PER_MS
from quantcli.model.batch import Columns


class SessionClock:
    """`steps_back` counts how often the local time went back (and was held instead)."""

    def __init__(self) -> None:
        self.steps_back = 0
        self._raw_ns = 0
        self._now_ns = 0
        self._late_ms: Counter[int] = Counter()

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
