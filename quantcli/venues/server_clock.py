"""How far our clock is from the exchange's: an offset, and how wrong that may be.

An exchange that says its time is somewhere between our asking and our hearing, so each answer bounds the
offset from both sides, and what several say together is narrower than any of them.  Between measurements
both clocks wander.  Asks nobody: samples are handed in.
"""

from collections.abc import Sequence

import msgspec

from quantcli.clock import NS_PER_MS, Clock

# Quartz wanders by less than 50 parts per million, and so may the other clock.
_DRIFT_PPM = 100


class Sample(msgspec.Struct, frozen=True):
    """One answer: our clock when it was asked and heard, the exchange's in between, cut to milliseconds."""

    asked_ns: int
    server_ns: int
    heard_ns: int

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest offset (exchange less ours) that this answer allows."""
        return self.server_ns - self.heard_ns, self.server_ns + NS_PER_MS - self.asked_ns


def wander(lasted_ns: int) -> int:
    """How far two clocks may have drifted apart in so long."""
    return lasted_ns * _DRIFT_PPM // 1_000_000


class ServerClock:
    """The exchange's time by our clock and the offset last measured (0 before that)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bounds = (0, 0)
        self._measured_ns = 0

    @property
    def is_measured(self) -> bool:
        """Whether the offset is more than a guess."""
        return self._measured_ns != 0

    @property
    def offset_ns(self) -> int:
        """What to add to our clock."""
        low, high = self._bounds
        return (low + high) // 2

    @property
    def error_ns(self) -> int:
        """How far the offset may be off by now, in either direction."""
        low, high = self._bounds
        age_ns = max(self._clock.now_ns() - self._measured_ns, 0) if self._measured_ns else 0
        return -(-(high - low) // 2) + wander(age_ns)

    def now_ns(self) -> int:
        """The exchange's time, as far as known."""
        return self._clock.now_ns() + self.offset_ns

    def take(self, samples: Sequence[Sample]) -> None:
        """Take over what samples of one measurement say together.

        Samples that contradict each other (a clock was set meanwhile) count as wide as they are apart.
        """
        lows, highs = zip(*(sample.bounds for sample in samples), strict=True)
        low, high = max(lows), min(highs)
        if low > high:
            low, high = min(lows), max(highs)
        self._bounds = (low, high)
        self._measured_ns = self._clock.now_ns()
