"""Time as a value: integer nanoseconds since the Unix epoch, UTC.

Everything that decides is handed `now_ns`; only the shells hold a clock.  This is the one module of
the package that may read the machine's time.  It knows nothing of markets or orders.
"""

import time
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Something that can say what time it is."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...


class WallClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC, as the operating system says."""
        return time.time_ns()


class SteadyClock:
    """The machine's clock as it stood when this was made, going on evenly: it never goes back, nobody sets
    it, and the time a machine sleeps passes.  What it is off the exchange's is measured elsewhere."""

    def __init__(self) -> None:
        self._ahead_ns = time.time_ns() - _steady_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC, if the machine's clock was right at the beginning."""
        return self._ahead_ns + _steady_ns()


class VirtualClock:
    """A clock that is set, and never goes back."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The time it was last set to."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Set the time; an earlier one than the present is ignored."""
        self._now_ns = max(self._now_ns, now_ns)


def _steady_ns() -> int:
    """Linux stops `monotonic` while the machine sleeps; what waits for a deadline must not."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()
