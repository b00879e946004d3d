"""One stream of a feed: which ids came, and whether it is still alive.

Exactly once: an id that came before is not taken again, however often or late it is sent, and one that
was skipped is still taken when it comes late.  Alive: a stream that was never silent so long, measured by its
own rate, is doubted.  Knows no wire format and reads no clock.
"""

from typing import NamedTuple

from quantcli.clock import NS_PER_S
from quantcli.model.market import Channel

_MOST_MISSING = 10_000  # skipped ids that are remembered
_KNOWN_RATE = 20  # messages until a stream's rate is known
_TIMES_SILENT = 60  # a silence so many times the usual pause is no chance


class Doubt(NamedTuple):
    """Why something may be missing before the next event: kind and detail of a `Gap`."""

    kind: str
    detail: str


class Pulse:
    """`counted`: its ids rise by one, so that a jump is a gap; else they only rise.

    `doubt` is for whoever takes the next event to hand on and to empty.
    """

    __slots__ = (
        "_is_resumed",
        "_missing",
        "_since_ns",
        "_times",
        "channel",
        "count",
        "counted",
        "doubt",
        "heard_ns",
        "last",
        "symbol",
    )

    def __init__(self, symbol: str, channel: Channel, counted: bool, now_ns: int) -> None:
        self.symbol = symbol
        self.channel = channel
        self.counted = counted
        self.doubt: Doubt | None = None
        self.last = 0
        self.count = 0
        self.heard_ns = now_ns
        self._since_ns = now_ns
        self._times = _TIMES_SILENT
        self._missing: set[int] = set()
        self._is_resumed = False

    def heard(self, now_ns: int) -> None:
        """A message came."""
        self.count += 1
        self.heard_ns = now_ns

    def takes(self, number: int, now_ns: int) -> bool:
        """Whether a message with this id is new; `doubt` is set where ids before it are missing."""
        self.heard(now_ns)
        last = self.last
        if number == last + 1 or not last:
            self.last = number
            self._is_resumed = False
            return True
        if number > last:
            if self.counted:
                self._skip(last + 1, number)
            self.last = number
            return True
        if number in self._missing:
            self._missing.discard(number)
            return True
        return False

    def resume(self, doubt: Doubt) -> None:
        """The stream was interrupted, and that is known: the ids that were missed are no news."""
        self.doubt = doubt
        self._is_resumed = True

    def is_stale(self, now_ns: int, least_s: float) -> bool:
        """Whether it has been silent for longer than its own rate and `least_s` make likely."""
        silent_ns = now_ns - self.heard_ns
        if self.count < _KNOWN_RATE or silent_ns < least_s * NS_PER_S:
            return False
        usual_ns = (self.heard_ns - self._since_ns) / self.count
        return silent_ns > self._times * usual_ns

    def was_doubted(self, now_ns: int) -> None:
        """Something was done about its silence: doubt it again only after one that is twice as long."""
        self._times *= 2
        self.heard_ns = now_ns

    def shift(self, by_ns: int, now_ns: int) -> None:
        """The clock was set: what was heard was heard so much later by it, and not after now."""
        self.heard_ns = min(self.heard_ns + by_ns, now_ns)
        self._since_ns = min(self._since_ns + by_ns, self.heard_ns)

    def _skip(self, start: int, stop: int) -> None:
        if not self._is_resumed:
            self.doubt = self.doubt or Doubt("sequence", f"id {stop} after {start - 1}")
        self._is_resumed = False
        if stop - start <= _MOST_MISSING:
            if len(self._missing) > _MOST_MISSING:
                self._missing.clear()
            self._missing.update(range(start, stop))
