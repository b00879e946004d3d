"""Passing time by waiting: events as they come, and whatever is due in between.

The same order of things as in the replay: an event's hooks, what they wished, the exchange acting on
the event, its reports.  Here the exchange is imagined (paper trading): it sees the same feed as the
strategy.  Knows nothing of where the feed comes from.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from quantcli.clock import NS_PER_S
from quantcli.model.market import AggTrade, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.runtime.view import LiveView
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.trading.engine import Engine

_HOOK_OF: dict[type, str] = {
    Ticker: "on_tick",
    Trade: "on_trade",
    AggTrade: "on_trade",
    BookUpdate: "on_book",
}


class ScaledClock:
    """A clock that starts at a given moment and runs `speed` times as fast as real time."""

    def __init__(self, start_ns: int, speed: float, monotonic: Callable[[], float]) -> None:
        self._start_ns = start_ns
        self._speed = speed
        self._monotonic = monotonic
        self._started = monotonic()

    def now_ns(self) -> int:
        """The scaled time."""
        return self._start_ns + int((self._monotonic() - self._started) * self._speed * NS_PER_S)

    def restart(self) -> None:
        """Begin anew at the given moment: what was done so far took no time."""
        self._started = self._monotonic()

    def after(self, seconds: float) -> int:
        """The moment that comes after so many real seconds."""
        return self.now_ns() + int(seconds * self._speed * NS_PER_S)

    def seconds_until(self, at_ns: int) -> float:
        """Real seconds until a moment on this clock; 0 when it has passed."""
        return max(0.0, (at_ns - self.now_ns()) / self._speed / NS_PER_S)


async def recorded_feed(events: Iterable[MarketEvent], clock: ScaledClock) -> AsyncIterator[MarketEvent]:
    """A recording as a live feed: each event comes when its time has come."""
    for event in events:
        wait = clock.seconds_until(event.local_ns)
        if wait > 0:
            await asyncio.sleep(wait)
        yield event


class Live:
    """One running strategy on an imagined exchange.  `events` counts what the feed has brought."""

    def __init__(
        self, engine: Engine, exchange: SimulatedExchange, clock: ScaledClock, view: LiveView
    ) -> None:
        self.events = 0
        self.stopping = asyncio.Event()
        self._engine = engine
        self._exchange = exchange
        self._clock = clock
        self._view = view
        self._hooks = engine.hooks

    async def run(self, feed: AsyncIterator[MarketEvent], until_ns: int | None = None) -> None:
        """Take events until the feed ends, `until_ns` comes, or `stopping` is set."""
        coming = asyncio.ensure_future(anext(feed, None))
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            while not self.stopping.is_set() and not self._is_over(until_ns):
                await asyncio.wait(
                    {coming, stopping}, timeout=self._patience(until_ns), return_when=asyncio.FIRST_COMPLETED
                )
                if coming.done():
                    event = coming.result()
                    if event is None:
                        return
                    await self._take(event)
                    coming = asyncio.ensure_future(anext(feed, None))
                await self._due()
        finally:
            for task in (coming, stopping):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def settle(self, within_s: float) -> bool:
        """Pass time until no order is working; False if some still are after `within_s` real seconds."""
        deadline = asyncio.get_running_loop().time() + within_s
        while self._engine.kernel.working():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(min(0.05, self._patience(None) or 0.05))
            await self._due()
        return True

    def _is_over(self, until_ns: int | None) -> bool:
        return until_ns is not None and self._clock.now_ns() >= until_ns

    def _patience(self, until_ns: int | None) -> float | None:
        times = (self._engine.next_due(), self._exchange.next_due(), until_ns)
        at = min((t for t in times if t is not None), default=None)
        return None if at is None else self._clock.seconds_until(at)

    async def _take(self, event: MarketEvent) -> None:
        self.events += 1
        self._view.take(event)
        builder = self._engine.bars.get(event.symbol)
        if builder is not None and isinstance(event, Trade):
            builder.add(event.price, event.size, event.local_ns)
        has_hook = await self._call_hook(event)
        for symbol in self._engine.markets if has_hook else (event.symbol,):
            self._engine.evaluate(symbol)
        await self._engine.flush()
        await self._engine.take(self._exchange.on_event(event))

    async def _call_hook(self, event: MarketEvent) -> bool:
        """Whether there was a hook: what it remembers may change the wish for every market."""
        name = _HOOK_OF.get(type(event))
        if name is None or name not in self._hooks:
            return False
        argument: Any = self._view.book(event.symbol) if isinstance(event, BookUpdate) else event
        if argument is not None:
            self._engine.strategy.event = event
            await self._engine.call(name, argument)
        return True

    async def _due(self) -> None:
        now = self._clock.now_ns()
        if (at := self._exchange.next_due()) is not None and at <= now:
            await self._engine.take(self._exchange.advance(now))
        if (at := self._engine.next_due()) is not None and at <= now:
            await self._engine.due()
