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
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, Protocol

from quantcli.bus import Topic
from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.kernel.api import ExchangeKernel
from quantcli.model.event import market_topic
from quantcli.model.market import EVENT_TYPES, AggTrade, Bar, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.model.message import Report
from quantcli.runtime.view import LiveView
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.trading.engine import Engine, tell_quote
from quantcli.trading.market import Reads

_CHANNEL_OF = {kind: channel for channel, kind in EVENT_TYPES.items()}
_HOOK_OF: dict[type, str] = {
    Ticker: "on_tick",
    Trade: "on_trade",
    AggTrade: "on_trade",
    BookUpdate: "on_book",
}

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
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End it now."""
        self._stopping.set()

    async def until(self, at_ns: int) -> bool:
        """Wait for a moment; `False` if the run ends before it comes."""
        now = self._monotonic()
        if self._started is None:
            self._started = self._turned = now
            self._end = now + self._for_s if self._for_s is not None else float("inf")
        comes = self._started + (at_ns - self._start_ns) / self._speed / NS_PER_S
        if comes > now or now - self._turned > _TURN_S:
            await self._sleep(min(comes, self._end) - now)
            self._turned = self._monotonic()
        return not self._stopping.is_set() and max(comes, self._turned) <= self._end

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


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


class _Trading(Protocol):
    """Who hears of reports, of moments due, and of prices that orders follow."""

    def next_due(self) -> int | None: ...
    async def due(self) -> None: ...
    async def take(self, reports: Iterable[Report]) -> None: ...
    async def quote(self, quote: Ticker) -> None: ...


class _Closing:
    """The kernel alone: orders are followed to their end, and no hook of the strategy runs."""

    def __init__(self, kernel: ExchangeKernel) -> None:
        self.next_due = kernel.next_due
        self.due = kernel.run_due
        self._observe = kernel.observe
        self._kernel = kernel

    async def quote(self, quote: Ticker) -> None:
        await tell_quote(self._kernel, quote)

    async def take(self, reports: Iterable[Report]) -> None:
        for report in reports:
            await self._observe(report)


class Live:
    """One strategy on an imagined exchange.  `events` counts what it was shown.

    `printed` are the markets whose trades come one by one: elsewhere aggregated trades stand in for
    them, and `barred` are those that have neither, whose bars come ready made.
    """

    def __init__(
        self,
        engine: Engine,
        exchange: SimulatedExchange,
        clock: VirtualClock,
        view: LiveView,
        printed: Collection[str],
        barred: Collection[str],
    ) -> None:
        self.events = 0
        self._engine = engine
        self._exchange = exchange
        self._clock = clock
        self._view = view
        self._printed = printed
        self._barred = barred
        self._trading: _Trading = engine
        self._topics: dict[tuple[type[MarketEvent], str], Topic] = {}

    async def run(self, feed: Feed, pace: Pace) -> None:
        """Take events until the feed or the pace ends; what happens at one instant is not torn apart."""
        while feed.head is not None and await self._step(feed, pace):
            pass

    async def settle(self, feed: Feed, pace: Pace) -> bool:
        """Without the strategy, pass time until the exchange has answered everything that was asked.

        `False` if the pace ends before, or if no answer is to come.
        """
        kernel = self._engine.kernel
        self._trading = _Closing(kernel)
        while kernel.get_reconciliation_metrics().pending_reconciliations:
            if not await self._step(feed, pace):
                return False
        return True

    async def _step(self, feed: Feed, pace: Pace) -> bool:
        """Handle what comes next, once it has come; `False` if nothing does while the pace lasts."""
        due_ns = self._next_due()
        event = feed.head
        is_event = event is not None and (due_ns is None or event.local_ns <= due_ns)
        at_ns = event.local_ns if event is not None and is_event else due_ns
        if at_ns is None or (at_ns > self._clock.now_ns() and not await pace.until(at_ns)):
            return False
        self._clock.advance_to(at_ns)
        if is_event:
            await self._take(feed.take())
        else:
            await self._due(self._clock.now_ns())
        return True

    def _next_due(self) -> int | None:
        ours, theirs = self._trading.next_due(), self._exchange.next_due()
        if ours is None or theirs is None:
            return theirs if ours is None else ours
        return min(ours, theirs)

    async def _due(self, now_ns: int) -> None:
        if (at_ns := self._exchange.next_due()) is not None and at_ns <= now_ns:
            await self._trading.take(self._exchange.advance(now_ns))
        if (at_ns := self._trading.next_due()) is not None and at_ns <= now_ns:
            await self._trading.due()

    async def _take(self, event: MarketEvent) -> None:
        changed = self._view.take(event)
        if not isinstance(event, Bar):  # the engine publishes the bars that count
            self._topic_of(event).publish(event)
        if self._trading is self._engine:
            self.events += 1
            await self._show(event, changed)
        if isinstance(event, Ticker) and changed & Reads.PRICE and self._engine.kernel.follows(event.symbol):
            await self._trading.quote(event)
        if reports := self._exchange.on_event(event):
            await self._trading.take(reports)

    def _topic_of(self, event: MarketEvent) -> Topic:
        key = type(event), event.symbol
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = self._engine.bus.topic(market_topic(_CHANNEL_OF[key[0]], key[1]))
        return topic

    async def _show(self, event: MarketEvent, changed: int) -> None:
        """Let the strategy see an event, and carry out what it wishes then."""
        engine = self._engine
        is_repeated = isinstance(event, AggTrade) and event.symbol in self._printed
        hook = None if is_repeated else _HOOK_OF.get(type(event))
        if isinstance(event, Trade | AggTrade) and not is_repeated and event.symbol in engine.bars:
            engine.bars[event.symbol].add(event.price, event.size, event.local_ns)
        is_shown = hook is not None and hook in engine.hooks
        if is_shown:
            await self._call(str(hook), event)
        elif self._is_bar(event):
            await engine.take_bar(event)  # type: ignore[arg-type]
            is_shown = True
        if is_shown:
            for symbol in engine.markets:
                engine.evaluate(symbol)  # what a hook remembers may change the wish for every market
        elif engine.markets[event.symbol].minds(changed):
            engine.evaluate(event.symbol)
        if engine.is_restless:
            await engine.flush()

    def _is_bar(self, event: MarketEvent) -> bool:
        return (
            isinstance(event, Bar)
            and event.is_closed
            and event.interval_ns == self._engine.bar_ns
            and event.symbol in self._barred
        )

    async def _call(self, hook: str, event: MarketEvent) -> None:
        argument: Any = self._view.book(event.symbol) if isinstance(event, BookUpdate) else event
        if argument is not None:
            self._engine.strategy.event = event
            await self._engine.call(hook, argument)
