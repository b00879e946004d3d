"""What the doors of one sandboxed exchange share: the exchange, what the public sees, clock, chaos, sockets.

REST and the websocket API meet faults in the same order: first what precedes a call (the clock jumps,
connections are lost, time passes), then the call itself.  Knows nothing of HTTP.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from quantcli.clock import NS_PER_S
from quantcli.model.market import MarketEvent
from quantcli.sandbox.dispatch import Dispatcher
from quantcli.sandbox.doors.sockets import Socket
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.faults.chaos import Chaos, Verdict
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.table import PREFIX
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.skew import SkewedClock
from quantcli.sandbox.streams.ws_api import ApiSession
from quantcli.sandbox.venue_account import VenueAccount


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


A = TypeVar("A", bound=VenueAccount)


class Marketplace(Generic[A]):
    """One account with what the public sees of its markets, and how it is asked.

    `save` keeps the account's state; it is called after whatever changed it and before anybody is told, so
    that nothing that was acknowledged is lost.
    """

    def __init__(
        self,
        account: A,
        public: PublicMarket,
        dispatcher: Dispatcher,
        save: Callable[[], None] | None = None,
    ) -> None:
        self.account = account
        self.public = public
        self.dispatcher = dispatcher
        self._save = save
        self._has_changed = False
        account.listeners.append(lambda _: self.note_change())

    def note_change(self) -> None:
        """Something is to be kept."""
        self._has_changed = True

    def settle(self) -> None:
        """Keep the account's state, if it has changed."""
        if self._has_changed and self._save is not None:
            self._save()
        self._has_changed = False

    def see(self, event: MarketEvent) -> None:
        """Take in one event of the markets: resting orders meet it, then the public sees it."""
        self.account.see(event)
        self.settle()
        self.public.see(event)


class Venue:
    """One exchange with all its doors: a spot account and a futures account side by side."""

    def __init__(
        self,
        spot: Marketplace[SandboxExchange],
        futures: Marketplace[FuturesExchange],
        chaos: Chaos,
        clock: SkewedClock,
    ) -> None:
        self.spot = spot
        self.futures = futures
        self.chaos = chaos
        self.clock = clock
        self.sockets: set[Socket] = set()
        self.api_sessions: set[ApiSession] = set()
        self.calls: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def dispatcher_of(self, path: str) -> Dispatcher:
        """Who answers a REST request."""
        return (self.futures if path.startswith(PREFIX) else self.spot).dispatcher

    def account_of(self, order_id: int) -> VenueAccount:
        """Whose order this is; spot's, if nobody's."""
        if self.futures.account.ledger.order(order_id) is not None:
            return self.futures.account
        return self.spot.account

    def account_named(self, name: str | None) -> VenueAccount:
        """The account `spot` or `futures`; unless named, the one that has markets, spot first.

        Raises `KeyError` for another name.
        """
        accounts: dict[str, VenueAccount] = {"spot": self.spot.account, "futures": self.futures.account}
        usual = "spot" if self.spot.account.instruments or not self.futures.account.instruments else "futures"
        return accounts[usual if name is None else name]

    def note_change(self) -> None:
        """Something is to be kept that no account event tells of."""
        self.spot.note_change()
        self.futures.note_change()

    def settle(self) -> None:
        """Keep the accounts' state, if it has changed."""
        self.spot.settle()
        self.futures.settle()

    def see(self, event: MarketEvent) -> None:
        """Take in one event of the markets."""
        (self.futures if event.symbol in self.futures.account.instruments else self.spot).see(event)

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
        accounts = (self.spot.account, self.futures.account)
        for account in accounts:
            account.lag_ns = round(lag_s * NS_PER_S)
        try:
            yield
        finally:
            for account in accounts:
                account.lag_ns = 0

    def disconnect(self, purpose: str = "all") -> int:
        """Close the sockets of one purpose ("user", "market") or all; how many."""
        chosen = [socket for socket in self.sockets if purpose in ("all", socket.purpose)]
        for socket in chosen:
            socket.disconnect()
        return len(chosen)

    def terminate(self) -> int:
        """End the accounts' events on every connection, with `eventStreamTerminated` or (futures)
        `listenKeyExpired`; how many."""
        telling = [session for session in self.api_sessions if session.is_subscribed]
        for session in telling:
            session.terminate()
        expired: int = self.futures.dispatcher.listen_keys.expire(self.clock.now_ns())
        return len(telling) + expired

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry something out beside, whether or not the client that asked for it stays."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Give up what is still being carried out."""
        for task in list(self._tasks):
            task.cancel()
