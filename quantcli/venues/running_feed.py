"""How a feed runs, whatever exchange it listens to: its tasks, and that an error in one of them ends it.

Knows no wire; what is listened to, and how, is the business of the feeds that build on this.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable

from quantcli.clock import Clock
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.venues.feed import Patience


class RunningFeed(ABC):
    """The symbols that are listened to, and the tasks of doing so.  See `feed.LiveFeed`."""

    def __init__(self, symbols: Iterable[Symbol], clock: Clock, patience: Patience) -> None:
        self._wanted = list(dict.fromkeys(symbols))
        self._rules: dict[str, SymbolMetadata] = {}
        self._clock = clock
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    @property
    def active_symbols(self) -> tuple[str, ...]:
        """The symbols that are listened to."""
        return tuple(self._rules)

    def instruments(self) -> dict[str, SymbolMetadata]:
        """Trading rules of the symbols, after `open`."""
        return dict(self._rules)

    async def run(self) -> None:
        """Put events until cancelled.  Raises what `put` raises."""
        self._failed = asyncio.get_running_loop().create_future()
        try:
            await self._begin()
            await self._failed
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()

    @abstractmethod
    async def _begin(self) -> None:
        """Open, if that was not done, and begin to listen."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of every connection; `run` does so itself."""

    def _do(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside listening; an error in it ends `run`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    def _jitter(self) -> float:
        """A number that differs from one recorder to the next, without dice."""
        return self._clock.now_ns() // 1000 % 1000 / 1000
