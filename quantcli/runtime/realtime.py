"""Passing time as it comes: what arrives is handled at once, and what is due when it is due.

The clock is the machine's; nothing is known ahead.  The exchange is a live one, whose answers arrive like
market data, or an imagined one that sees the same feed as the strategy.  A feed that has fallen silent
is no market: what the strategy keeps resting is withdrawn until it speaks again.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from quantcli.clock import NS_PER_S, Clock
from quantcli.kernel.api import ExchangeKernel
from quantcli.model.market import EVENT_TYPES, MarketEvent
from quantcli.model.message import Report
from quantcli.runtime.control.words import Words
from quantcli.runtime.live import earlier, pass_time
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.venues.inbox import Blind, ClockError, Gap, Inbox, Item, Missed, Notice

# So many things in a row, then everybody else (sockets, signals) gets a turn.
_TURN = 64

_MARKET_EVENTS = frozenset(EVENT_TYPES.values())


class Ending:
    """When a run ends: `for_s` real seconds from now (`None`: never), or when `stop` is called."""

    def __init__(self, for_s: float | None, inbox: Inbox) -> None:
        self._inbox = inbox
        self._is_stopped = False
        self.limit(for_s)

    def limit(self, for_s: float | None) -> None:
        """Let it come `for_s` real seconds from now."""
        self._ends_s = None if for_s is None else time.monotonic() + for_s

    def stop(self) -> None:
        """End it now."""
        self._is_stopped = True
        self._inbox.wake()

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, 0 if it has come; `None`: there is none in sight."""
        if self._is_stopped:
            return 0.0
        return None if self._ends_s is None else max(0.0, self._ends_s - time.monotonic())


class Audience(Protocol):
    """To whom things happen: a strategy's `Stage`, or a kernel alone."""

    @property
    def kernel(self) -> ExchangeKernel: ...
    @property
    def is_settled(self) -> bool: ...
    def next_due(self) -> int | None: ...
    def close(self) -> None: ...
    async def due(self) -> None: ...
    async def hear(self, reports: Iterable[Report]) -> None: ...
    async def see(self, event: MarketEvent) -> None: ...
    async def lose_sight(self) -> None: ...


class RealTime:
    """One audience, and all that arrives; operators' `words` are attended to between two things.  `gaps`
    counts the holes in the market data."""

    def __init__(
        self,
        audience: Audience,
        inbox: Inbox,
        clock: Clock,
        on_notice: Callable[[Notice | Missed], None],
        exchange: SimulatedExchange | None = None,
        words: Words | None = None,
    ) -> None:
        self.gaps = 0
        self._audience = audience
        self._inbox = inbox
        self._clock = clock
        self._on_notice = on_notice
        self._exchange = exchange
        self._words = words or Words()

    async def run(self, ending: Ending) -> None:
        """Handle what comes until the end."""
        while (left_s := ending.left_s) is None or left_s > 0:
            await self._turn(left_s)

    async def settle(self, ending: Ending) -> bool:
        """Without the strategy, follow orders until the exchange has answered everything that was asked;
        `False` if the end comes before."""
        self._audience.close()
        while not self._audience.is_settled:
            left_s = ending.left_s
            if left_s == 0:
                return False
            await self._turn(left_s)
        return True

    async def _turn(self, left_s: float | None) -> None:
        """Handle some of what is there, or wait for more."""
        if self._words:
            await self._words.attend()
        for _ in range(min(len(self._inbox), _TURN)):
            if self._words:
                await self._words.attend()
            await self._take(self._inbox.take())
        now_ns = self._clock.now_ns()
        due_ns = self._audience.next_due()
        if self._exchange is not None:
            due_ns = earlier(due_ns, self._exchange.next_due())
        if due_ns is not None and due_ns <= now_ns:
            await self._due(now_ns)
            await asyncio.sleep(0)
        elif self._inbox or self._words:
            await asyncio.sleep(0)
        else:
            await self._inbox.wait(_shorter(left_s, due_ns, now_ns))

    async def _due(self, now_ns: int) -> None:
        if self._exchange is None:
            await self._audience.due()
        else:
            await pass_time(self._audience, self._exchange, now_ns)

    async def _take(self, item: Item) -> None:
        if type(item) in _MARKET_EVENTS:
            await self._see(item)  # type: ignore[arg-type]
            return
        match item:
            case Missed(reason=reason):
                self._on_notice(item)
                await self._audience.kernel.resync(reason)
            case ClockError(error_ns=error_ns):
                await self._audience.kernel.bound_clock(error_ns)
            case Notice():
                self._on_notice(item)
            case Gap():
                self.gaps += 1
                self._on_notice(Notice("gap", f"{item.symbol} {item.channel}: {item.kind} {item.detail}"))
            case Blind(reason=reason):
                self._on_notice(Notice("stale", reason))
                await self._audience.lose_sight()
            case _:
                await self._audience.hear((item,))  # type: ignore[arg-type]  # a report: nothing else is left

    async def _see(self, event: MarketEvent) -> None:
        await self._audience.see(event)
        if self._exchange is not None and (reports := self._exchange.on_event(event)):
            await self._audience.hear(reports)


def _shorter(left_s: float | None, due_ns: int | None, now_ns: int) -> float | None:
    """How long to wait: until something is due, or the end."""
    if due_ns is None:
        return left_s
    due_s = (due_ns - now_ns) / NS_PER_S
    return due_s if left_s is None else min(left_s, due_s)
