"""What the doors of one sandboxed exchange share: the exchange, what the public sees, clock, chaos, sockets.

REST and the websocket API meet faults in the same order: first what precedes a call (the clock jumps,
connections are lost, time passes), then the call itself.  Knows nothing of HTTP.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from quantcli.clock import NS_PER_S
from quantcli.model.market import MarketEvent
from quantcli.sandbox.chaos import Chaos, Verdict
from quantcli.sandbox.dispatch import Dispatcher
from quantcli.sandbox.exchange import AccountEvent, SandboxExchange
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.skew import SkewedClock
from quantcli.sandbox.sockets import Socket
from quantcli.sandbox.ws_api import ApiSession


class Feed(Protocol):
    """Where market events come from.

    `speed` is in times real time, 0 as fast as clients keep up; who `is_held` waits for `start`; `events`
    counts what was told.
    """

    speed: float
    is_held: bool
    is_done: bool
    events: int

    def start(self) -> None:
        """Let the events come."""
        ...

    async def run(self, see: Callable[[MarketEvent], None]) -> None:
        """Tell events until there are no more."""
        ...


class Venue:
    """One exchange with all its doors.  `save` keeps the account's state; it is called after whatever changed
    it and before anybody is told, so that nothing that was acknowledged is lost."""

    def __init__(
        self,
        exchange: SandboxExchange,
        public: PublicMarket,
        dispatcher: Dispatcher,
        chaos: Chaos,
        clock: SkewedClock,
        save: Callable[[], None] | None = None,
    ) -> None:
        self.exchange = exchange
        self.public = public
        self.dispatcher = dispatcher
        self.chaos = chaos
        self.clock = clock
        self.sockets: set[Socket] = set()
        self.api_sessions: set[ApiSession] = set()
        self.calls: Counter[str] = Counter()
        self._save = save
        self._has_changed = False
        self._tasks: set[asyncio.Task[None]] = set()
        exchange.listeners.append(self._on_account_event)

    def _on_account_event(self, _: AccountEvent) -> None:
        self._has_changed = True

    def note_change(self) -> None:
        """Something is to be kept that no account event tells of."""
        self._has_changed = True

    def settle(self) -> None:
        """Keep the account's state, if it has changed."""
        if self._has_changed and self._save is not None:
            self._save()
        self._has_changed = False

    def see(self, event: MarketEvent) -> None:
        """Take in one event of the markets: resting orders meet it, then the public sees it."""
        self.exchange.see(event)
        self.settle()
        self.public.see(event)

    async def room(self) -> None:
        """Wait until no client is far behind with reading: for a feed that can wait."""
        await asyncio.sleep(0)
        for socket in list(self.sockets):
            await socket.room()

    async def precede(self, verdict: Verdict) -> None:
        """Let happen what comes before a call."""
        if verdict.jump_s:
            self.clock.jump(verdict.jump_s)
        if verdict.disconnect:
            loop = asyncio.get_running_loop()
            loop.call_later(verdict.disconnect_s, self.disconnect, verdict.disconnect)
        if verdict.before_s:
            await asyncio.sleep(verdict.before_s)

    @contextmanager
    def looking_back(self, lag_s: float) -> Iterator[None]:
        """Queries in here answer from the state of so long ago; orders act at once all the same."""
        self.exchange.lag_ns = round(lag_s * NS_PER_S)
        try:
            yield
        finally:
            self.exchange.lag_ns = 0

    def disconnect(self, purpose: str = "all") -> int:
        """Close the sockets of one purpose ("user", "market") or all; how many."""
        chosen = [socket for socket in self.sockets if purpose in ("all", socket.purpose)]
        for socket in chosen:
            socket.disconnect()
        return len(chosen)

    def terminate(self) -> int:
        """End the account's events on every connection with `eventStreamTerminated`; how many."""
        telling = [session for session in self.api_sessions if session.is_subscribed]
        for session in telling:
            session.terminate()
        return len(telling)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry something out beside, whether or not the client that asked for it stays."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Give up what is still being carried out."""
        for task in list(self._tasks):
            task.cancel()
