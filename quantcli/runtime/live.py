"""Passing time by waiting: each event and each moment due is handled when its time has come.

The same order of things as in the replay: an event's hooks, what they wished, the exchange acting on the
event, its reports; and what is due at T after every event with `local_ns <= T`.  Waiting is all that is
added.  The clock shows the moment that is being handled, never one ahead of it: on a machine that is
late everything happens later, not otherwise, so a recording gives the orders and fills of its replay.

Here the exchange is imagined (paper trading): it sees the same feed as the strategy.  Knows nothing of
where the feed comes from.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.model.market import MarketEvent
from quantcli.model.message import Report
from quantcli.runtime.control.words import Words
from quantcli.runtime.stage import Stage
from quantcli.simulation.exchange import SimulatedExchange

# Who is late does not sleep, yet signals and the store must get their turn so often, in seconds.
_TURN_S = 0.005


class Pace:
    """When the moments of a run come, in real time: from `start_ns` on, `speed` times as fast.

    It ends `for_s` real seconds after it began (`None`: never), or when `stop` is called.  It begins with
    its first wait: what is prepared before takes no time.
    """

    def __init__(
        self,
        start_ns: int,
        speed: float,
        for_s: float | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start_ns = start_ns
        self._speed = speed
        self._for_s = for_s
        self._monotonic = monotonic
        self._started: float | None = None
        self._end = 0.0
        self._turned = 0.0
        self._stopping = False
        self._called = asyncio.Event()

    def stop(self) -> None:
        """End it now."""
        self._stopping = True
        self._called.set()

    def nudge(self) -> None:
        """Let whoever waits look around, though the moment has not come."""
        self._called.set()

    async def until(self, at_ns: int) -> bool | None:
        """Wait for a moment; `False` if the run ends before it comes, `None` if there was a nudge."""
        now = self._monotonic()
        if self._started is None:
            self._started = self._turned = now
            self._end = now + self._for_s if self._for_s is not None else float("inf")
        comes = self._started + (at_ns - self._start_ns) / self._speed / NS_PER_S
        if comes > now or now - self._turned > _TURN_S:
            self._called.clear()
            await self._sleep(min(comes, self._end) - now)
            self._turned = self._monotonic()
            if self._called.is_set() and not self._stopping and self._turned < min(comes, self._end):
                return None
        return not self._stopping and max(comes, self._turned) <= self._end

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0 or self._stopping:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._called.wait()


class Feed:
    """Events in order of time; `head` is the one that comes next, `None` after the last."""

    def __init__(self, events: Iterable[MarketEvent]) -> None:
        self._events = iter(events)
        self.head = next(self._events, None)

    def take(self) -> MarketEvent:
        """Take the head; there must be one."""
        event = self.head
        assert event is not None
        self.head = next(self._events, None)
        return event


class Live:
    """One strategy on an imagined exchange, at a pace; operators' `words` are attended to between two
    events."""

    def __init__(
        self, stage: Stage, exchange: SimulatedExchange, clock: VirtualClock, words: Words | None = None
    ) -> None:
        self._stage = stage
        self._exchange = exchange
        self._clock = clock
        self._words = words or Words()

    async def run(self, feed: Feed, pace: Pace) -> None:
        """Take events until the feed or the pace ends; what happens at one instant is not torn apart."""
        while feed.head is not None and await self._step(feed, pace):
            pass

    async def settle(self, feed: Feed, pace: Pace) -> bool:
        """Without the strategy, pass time until the exchange has answered everything that was asked.

        `False` if the pace ends before, or if no answer is to come.
        """
        self._stage.close()
        while not self._stage.is_settled:
            if not await self._step(feed, pace):
                return False
        return True

    async def _step(self, feed: Feed, pace: Pace) -> bool:
        """Handle what comes next, once it has come; `False` if nothing does while the pace lasts."""
        if self._words:
            await self._words.attend()
        due_ns = earlier(self._stage.next_due(), self._exchange.next_due())
        event = feed.head
        is_event = event is not None and (due_ns is None or event.local_ns <= due_ns)
        at_ns = event.local_ns if event is not None and is_event else due_ns
        if at_ns is None:
            return False
        if at_ns > self._clock.now_ns() and not (has_come := await pace.until(at_ns)):
            return has_come is None  # nudged: what comes next may be something else now
        self._clock.advance_to(at_ns)
        if is_event:
            event = feed.take()
            await self._stage.see(event)
            if reports := self._exchange.on_event(event):
                await self._stage.hear(reports)
        else:
            await pass_time(self._stage, self._exchange, self._clock.now_ns())
        return True


class Driven(Protocol):
    """What `pass_time` needs of a stage."""

    def next_due(self) -> int | None: ...
    async def due(self) -> None: ...
    async def hear(self, reports: Iterable[Report]) -> None: ...


def earlier(ours: int | None, theirs: int | None) -> int | None:
    """The moment that comes first; `None` if there is neither."""
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return min(ours, theirs)


async def pass_time(stage: Driven, exchange: SimulatedExchange, now_ns: int) -> None:
    """Do what is due by now: the exchange's answers first."""
    if (at_ns := exchange.next_due()) is not None and at_ns <= now_ns:
        await stage.hear(exchange.advance(now_ns))
    if (at_ns := stage.next_due()) is not None and at_ns <= now_ns:
        await stage.due()
