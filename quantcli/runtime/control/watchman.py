"""Notices a strategy that does not return, says at which line it stands, and breaks it off when it must.

Lives in the control thread.  Each ping is a word (`words`) that does nothing: answered, the trading loop
goes on; not answered while a hook is on the main thread's stack, or awaited by its task, that hook holds
everything up.  It is broken by an exception raised inside it: by a signal whose handler looks at the very
stack it interrupts, or, where a hook awaits something that never comes, by cancelling that wait.  What runs
code that looks at no signals cannot be broken.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from quantcli.runtime.control.bridge import Bridge
from quantcli.trading.overdue import Overdue, awaited, is_breakable, stack, standing_at

# Everybody ignores this one unless told otherwise, and nobody sends it by hand.
_SIGNAL = signal.SIGURG
_PING_S = 0.25
_LOOK_S = 0.02
STUCK_S = 1.0
# How long a hook may hold everything up: while orders may rest, before they do, and when somebody waits.
PATIENCE_S, PATIENCE_AT_START_S, URGENT_S = 10.0, 120.0, 0.25


class Watchman:
    """Of one run.

    `stuck_at` is where the strategy stands that does not return, empty while it does; `lag_ms` how long the
    last ping took, `waits_s` how long the present one has gone unanswered, whoever holds the loop up.
    """

    def __init__(
        self,
        bridge: Bridge,
        patience_s: float = PATIENCE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stuck_at = ""
        self.stuck_s = 0.0
        self.lag_ms = self.waits_s = 0.0
        self.broken = ""
        self._bridge, self._strategy, self._home = bridge, bridge.about.strategy, bridge.about.home
        self._patience_s, self._monotonic = patience_s, monotonic
        self._waited: Future[Any] | None = None
        self._said = ""

    # In the control thread.

    async def run(self) -> None:
        """Ping for ever."""
        while True:
            began = self._monotonic()
            ping = self._bridge.words.put(self._pinged)
            while not ping.done():
                await asyncio.sleep(_LOOK_S)
                self._look(ping, self._monotonic() - began)
            self.lag_ms = (self._monotonic() - began) * 1000
            self.stuck_at, self.stuck_s, self.waits_s = "", 0.0, 0.0
            await asyncio.sleep(_PING_S)

    async def _pinged(self) -> None:
        if self._bridge.cockpit is not None:
            self._bridge.cockpit.sample()

    def _look(self, ping: "Future[Any]", elapsed_s: float) -> None:
        self.waits_s = elapsed_s
        if elapsed_s < STUCK_S:
            return
        where = self._where()
        if where and not self.stuck_at:
            self._bridge.notes.add(
                "stuck",
                f"{self._strategy} does not return, at {where}",
                "error",
                why="while a hook runs nothing else can: no quote, no fill, no cancel",
                effect=f"it is given up after {self._patience()[0]:g} s, and the bot ends",
                todo="quant halt --cancel, or quant stop, break it off at once",
            )
        self.stuck_at, self.stuck_s = where, elapsed_s if where else 0.0
        patience_s, is_debugged = self._patience()
        if where and elapsed_s >= patience_s and not is_debugged:
            self._break(ping, where, elapsed_s)

    def _patience(self) -> tuple[float, bool]:
        """How long a hook may take, and whether somebody steps through it and is not to be hurried."""
        is_starting = self._bridge.state == "starting"
        return PATIENCE_AT_START_S if is_starting else self._patience_s, sys.gettrace() is not None

    async def urge(self, waited: "Future[Any]") -> None:
        """Somebody waits for a word: break a hook that holds it up, until it is done; at once, if it is known
        not to return."""
        began = self._monotonic()
        while not waited.done():
            elapsed_s = self._monotonic() - began
            if (self.stuck_at or elapsed_s >= URGENT_S) and (where := self._where()):
                self._break(waited, where, max(elapsed_s, self.stuck_s))
            await asyncio.sleep(_LOOK_S / 2)

    def _where(self) -> str:
        frames = stack(sys._current_frames().get(self._bridge.thread_id))
        return standing_at(frames, self._home) or standing_at(self._awaited(), self._home)

    def _awaited(self) -> Iterator[FrameType]:
        task = self._bridge.task
        return awaited(task.get_coro() if task is not None else None)

    def _break(self, waited: "Future[Any]", where: str, elapsed_s: float) -> None:
        self._waited = waited
        self._said = f"{where}: {self._strategy} did not return for {elapsed_s:.1f} s"
        loop = self._bridge.loop
        if loop is None:
            return
        with suppress(RuntimeError, ProcessLookupError):  # it has ended this moment
            loop.call_soon_threadsafe(self._break_wait)
            signal.pthread_kill(self._bridge.thread_id, _SIGNAL)

    # In the main thread.

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """While this lasts, hooks can be broken; to be entered by the main thread."""
        before = signal.signal(_SIGNAL, self._on_signal)
        try:
            yield
        finally:
            self._waited = None
            signal.signal(_SIGNAL, before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_waited_for() and is_breakable(stack(frame)):
            raise Overdue(self._given_up())

    def _break_wait(self) -> None:
        """The loop itself goes on: it is the hook that awaits, if anything."""
        task = self._bridge.task
        if task is not None and self._is_waited_for() and is_breakable(self._awaited()):
            task.cancel(Overdue(self._given_up()))

    def _is_waited_for(self) -> bool:
        return self._waited is not None and not self._waited.done()

    def _given_up(self) -> str:
        self.broken = self._said
        self._waited = None
        return self._said
