"""The sandbox's clock: another clock, plus an offset that can be made to jump.

An exchange's clock is not ours; whoever trades against it has to live with that.  Knows nothing of who asks.
"""

from quantcli.clock import NS_PER_S, Clock


class SkewedClock:
    """`clock`, wrong by `offset_ns`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC, by this clock."""
        return self._clock.now_ns() + self.offset_ns

    def jump(self, seconds: float) -> None:
        """Go forward (or back) from now on."""
        self.offset_ns += round(seconds * NS_PER_S)
