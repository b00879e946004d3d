"""The circuit breaker of one exchange: after too many failures in a row, leave it alone for a while.

    closed      everything passes
    open        placements and data wait out a pause; cancels pass, as they always do
    half open   the pause is over: one look (RECONCILE, or DATA where nothing else is asked) goes ahead, and
                its outcome closes or opens

A failure is an answer that did not come, or a 5xx: what speaks of the way or of the exchange's health.  A
refusal speaks of a request, so it counts as success.  Any success closes, whoever's it is.  Placements are
never the probe: theirs is the one outcome that must not be in doubt.
"""

from collections.abc import Callable
from enum import StrEnum

from quantcli.clock import NS_PER_S, Clock
from quantcli.venues.backoff import Backoff
from quantcli.venues.inbox import Notice
from quantcli.venues.limits import Lane

_FAILURES = 5
_FORGET_NS = 60 * NS_PER_S  # a failure longer ago than this is no part of a row
_FIRST_NS, _MOST_NS = 1 * NS_PER_S, 60 * NS_PER_S
_STABLE_NS = 60 * NS_PER_S
_PROBE_NS = 15 * NS_PER_S


class BreakerState(StrEnum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker:
    """Opens after `failures` in a row; each pause is twice as long as the one before, from 1 s to 60 s, and
    scattered by `dice` (numbers from 0 to 1).  A minute without opening makes the pauses short again.
    `opened` is called when it opens."""

    def __init__(
        self,
        clock: Clock,
        failures: int = _FAILURES,
        *,
        dice: Callable[[], float] = lambda: 0.5,
        tell: Callable[[Notice], None] = lambda notice: None,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock, self._most, self._tell, self._opened = clock, failures, tell, opened
        self._backoff = Backoff(_FIRST_NS, _MOST_NS, dice)
        self._failures = 0
        self._failed_ns = 0
        self._is_open = False
        self._until_ns = 0
        self._closed_ns = 0
        self._probed_ns: int | None = None

    @property
    def state(self) -> BreakerState:
        """Closed, open or half open, as of now."""
        if not self._is_open:
            return BreakerState.CLOSED
        is_over = self._clock.now_ns() >= self._until_ns
        return BreakerState.HALF_OPEN if is_over else BreakerState.OPEN

    @property
    def wants_probe(self) -> bool:
        """Whether somebody should ask for anything harmless, so that the others may go on."""
        return self.state is BreakerState.HALF_OPEN and not self._is_probing()

    def allows(self, lane: Lane) -> bool:
        """Whether a request of this lane may be sent now; a yes in the half-open state makes it the probe."""
        state = self.state
        if lane is Lane.CANCEL or state is BreakerState.CLOSED:
            return True
        if state is BreakerState.OPEN or lane is Lane.PLACE or self._is_probing():
            return False
        self._probed_ns = self._clock.now_ns()
        return True

    def succeeded(self) -> None:
        """The exchange answered."""
        self._failures = 0
        if self._is_open:
            self._is_open, self._probed_ns = False, None
            self._closed_ns = self._clock.now_ns()
            self._tell(Notice("breaker", "the exchange answers again"))

    def failed(self, reason: str) -> None:
        """There was no answer, or none that speaks of the request."""
        now_ns, state = self._clock.now_ns(), self.state
        if now_ns - self._failed_ns > _FORGET_NS:
            self._failures = 0
        self._failures, self._failed_ns = self._failures + 1, now_ns
        if state is BreakerState.HALF_OPEN:
            self._open(now_ns)
        elif state is BreakerState.CLOSED and self._failures >= self._most:
            if now_ns - self._closed_ns >= _STABLE_NS:
                self._backoff.reset()
            self._open(now_ns)
            count = self._failures
            self._tell(
                Notice("breaker", f"{count} failures in a row: only cancels go out for now ({reason})")
            )
            self._opened()

    def _open(self, now_ns: int) -> None:
        self._is_open, self._probed_ns = True, None
        self._until_ns = now_ns + int(self._backoff.next())

    def _is_probing(self) -> bool:
        """Whether a probe is under way; one of which nothing more is heard is forgotten."""
        return self._probed_ns is not None and self._clock.now_ns() - self._probed_ns < _PROBE_NS
