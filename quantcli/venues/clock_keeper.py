"""Keeps what we know of the exchange's clock fresh: measures, and tells how wrong it may be.

Measured when a venue is opened, every five minutes, and whenever the exchange finds a timestamp of ours
wrong.  What is told (`ClockError`) holds until the next measurement: it has room for what both clocks may
wander until then, and for how far the offset has just moved, since earlier requests were stamped by the old
one.
"""

import asyncio
from collections.abc import Awaitable, Callable

from quantcli.clock import NS_PER_S, Clock
from quantcli.errors import ExchangeError
from quantcli.venues.inbox import ClockError, Inbox, Notice
from quantcli.venues.server_clock import Sample, ServerClock, wander

SAMPLES = 5
PERIOD_S = 300.0
_SOONEST_S = 1.0


class ClockKeeper:
    """`ask` gives the exchange's time; `is_set` is called after each measurement."""

    def __init__(
        self,
        server_clock: ServerClock,
        clock: Clock,
        inbox: Inbox,
        ask: Callable[[], Awaitable[int]],
        is_set: Callable[[], None] = lambda: None,
        period_s: float = PERIOD_S,
    ) -> None:
        self._server_clock, self._clock, self._inbox = server_clock, clock, inbox
        self._ask, self._is_set, self._period_s = ask, is_set, period_s
        self._doubt = asyncio.Event()

    def doubt(self) -> None:
        """Measure soon: the exchange found our time wrong."""
        self._doubt.set()

    async def measure(self) -> None:
        """Ask a few times and tell how far off we may be.  Raises what the last asking raised if none was
        answered."""
        samples: list[Sample] = []
        failed: ExchangeError | None = None
        for _ in range(SAMPLES):
            asked_ns = self._clock.now_ns()
            try:
                server_ns = await self._ask()
            except ExchangeError as error:
                failed = error
                continue
            samples.append(Sample(asked_ns, server_ns, self._clock.now_ns()))
        if samples:
            self._take(samples)
        elif failed is not None:
            raise failed

    def _take(self, samples: list[Sample]) -> None:
        known_ns, was_measured = self._server_clock.offset_ns, self._server_clock.is_measured
        self._server_clock.take(samples)
        self._is_set()
        moved_ns = abs(self._server_clock.offset_ns - known_ns) if was_measured else 0
        self._tell(moved_ns)

    def _tell(self, more_ns: int) -> None:
        until_next_ns = wander(int(self._period_s * NS_PER_S))
        self._inbox.put(ClockError(self._server_clock.error_ns + until_next_ns + more_ns))

    async def run(self) -> None:
        """Measure for as long as the venue is open."""
        while True:
            try:
                await asyncio.wait_for(self._doubt.wait(), self._period_s)
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(_SOONEST_S)  # many requests find out at once
            self._doubt.clear()
            try:
                await self.measure()
            except ExchangeError as error:
                self._tell(0)
                self._inbox.put(Notice("clock", f"the exchange's clock could not be read: {error.what}"))
