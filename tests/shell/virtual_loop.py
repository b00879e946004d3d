"""An event loop of virtual time, whose order of things is chosen: by a seed, or each one there is in turn."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from quantcli.clock import NS_PER_S

START_NS = 1_700_000_000 * NS_PER_S
MOST_TURNS = 100_000

Choose = Callable[[int], int]


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop that never waits: with nothing ready, time jumps to the next timer.

    `choose(n)` says which of n ready callbacks is next.  `turns` counts callbacks; `at_turn` has something
    done just before one.  Timers fire late by what `lateness_ns()` says.
    """

    def __init__(self, choose: Choose) -> None:
        self.now_ns = 0
        self.turns = 0
        self.errors: list[dict[str, Any]] = []
        self.lateness_ns: Callable[[], int] = lambda: 0
        self._choose = choose
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._set_timers = 0
        self._at_turn: dict[int, Callable[[], object]] = {}

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end; no other task may be left, and no error unheard."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._turn()
            leftover = asyncio.all_tasks(self)
            for each in leftover:
                each.cancel()
            while self._ready:
                self._turn()
        finally:
            asyncio._set_running_loop(None)
        result = task.result()
        assert not leftover, f"left over: {leftover}"
        return result

    def at_turn(self, turn: int, act: Callable[[], object]) -> None:
        """Do something just before a callback, counted from now (0: the next one)."""
        self._at_turn[self.turns + turn] = act

    def block(self, seconds: float) -> None:
        """The callback that says so takes that long."""
        self.now_ns += round(seconds * NS_PER_S)

    def _turn(self) -> None:
        if not self._ready and not self._timers:
            raise AssertionError("nothing will ever happen again: a wake-up was lost")
        if not self._ready:
            self.now_ns = max(self.now_ns, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.now_ns:
            self._ready.append(heapq.heappop(self._timers)[2])
        handle = self._ready.pop(self._choose(len(self._ready)) if len(self._ready) > 1 else 0)
        if handle.cancelled():
            return
        act = self._at_turn.pop(self.turns, None)
        if act is not None:
            act()
        self.turns += 1
        assert self.turns < MOST_TURNS, "it never ends"
        if not handle.cancelled():
            handle._run()

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self.now_ns / NS_PER_S

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._set_timers += 1
        due_ns = round(when * NS_PER_S) + self.lateness_ns()
        heapq.heappush(self._timers, (due_ns, self._set_timers, timer))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **options)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""


class LoopClock:
    """The wall clock: it goes on while the machine sleeps (`asleep_ns`), timers do not."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.asleep_ns = 0

    def now_ns(self) -> int:
        return START_NS + self._loop.now_ns + self.asleep_ns


def every_schedule(most: int) -> Iterator[Choose]:
    """Choice functions, one for each schedule there is; it is an error if there are more than so many."""
    prefix: list[int] = []
    for _ in range(most):
        made: list[tuple[int, int]] = []

        def choose(options: int, prefix: Sequence[int] = tuple(prefix), made: Any = made) -> int:
            choice = prefix[len(made)] if len(made) < len(prefix) else 0
            made.append((choice, options))
            return choice

        yield choose
        while made and made[-1][0] + 1 == made[-1][1]:
            made.pop()
        if not made:
            return
        prefix = [choice for choice, _ in made[:-1]] + [made[-1][0] + 1]
    raise AssertionError(f"there are more than {most} schedules")
