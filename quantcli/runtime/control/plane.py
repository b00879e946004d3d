"""The control thread of a running bot, from start to end: its loop, its door, its watchman, its server.

    with ControlPlane(bridge, path, halt_flag): …        in the main thread, around the run

The one place that joins those who look with the run they look at.  Where no socket can be had the bot trades
all the same, and says so.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from quantcli.clock import WallClock
from quantcli.errors import QuantError, SafetyError
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.clerk import Clerk
from quantcli.runtime.control.door import Door
from quantcli.runtime.control.reach import Reach
from quantcli.runtime.control.server import Server
from quantcli.runtime.control.watching import Watching
from quantcli.runtime.control.watchman import Watchman
from quantcli.runtime.control.wire import Health, Status

T = TypeVar("T")

_END_S = 5.0
# What else lives in the control thread: made there, given the plane, ended with it.
Companion = Callable[["ControlPlane"], Awaitable[object]]


class ControlPlane:
    """Of one run; `path` is where the bot is spoken to, `None` where that cannot be."""

    def __init__(
        self,
        bridge: Bridge,
        path: Path | None,
        halt_flag: Path,
        companions: tuple[Companion, ...] = (),
    ) -> None:
        self.bridge = bridge
        self.watchman = Watchman(bridge)
        self.reach = Reach(bridge, lambda: bool(self.watchman.stuck_at))
        self.clerk = Clerk(bridge, self.reach, self.watchman, halt_flag, WallClock())
        self.server = Server(bridge, self.reach, self.clerk, self.watchman)
        self._path, self._companions = path, companions
        self._door: Door | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._ready = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.watchman.at_hand())
        try:
            if self._path is not None:
                self._door = Door(self._path)
            else:
                self.bridge.notes.add("control", "there is no private folder for a socket", "warn")
            self._thread = threading.Thread(target=self._run, name="quant-control", daemon=True)
            self._thread.start()
            self._ready.wait(_END_S)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bridge.leave()
        if self._loop is not None and self._ending is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._ending.set)
        if self._thread is not None:
            self._thread.join(_END_S)
        if self._door is not None:
            self._door.close()
        self._stack.close()

    async def figures(self) -> tuple[Status, Health, Mapping[str, int]]:
        """What scrapers are told; to be awaited in the control thread."""
        status = await self.server.status()
        health = await self.reach.ask(lambda cockpit: cockpit.health())
        return status, health, dict(self.bridge.gauges.counts)

    def picture(self, made_of: Callable[..., T]) -> T:
        """The same for another thread, as a struct of its choice."""
        if self._loop is None:
            raise SafetyError("the bot is ending", why="it was asked too late")
        return made_of(*asyncio.run_coroutine_threadsafe(self.figures(), self._loop).result(_END_S))

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # the bot goes on trading, deaf; the log says so
            self.bridge.notes.add("control", f"the bot cannot be spoken to any more: {error!r}", "error")
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        watching = Watching(self.bridge, self.reach, self.server)
        self.server.watch = watching.serve
        self.bridge.lag_ms = lambda: self.watchman.lag_ms
        if self._door is not None:
            await self.server.open(self._door)
        tasks: list[asyncio.Task[Any]] = [self._loop.create_task(self.watchman.run())]
        tasks += [self._loop.create_task(self._accompanied(make)) for make in self._companions]
        self._ready.set()
        try:
            await self._ending.wait()
        finally:
            await watching.close()
            await self.server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _accompanied(self, make: Companion) -> None:
        try:
            await make(self)
        except QuantError as error:
            self.bridge.notes.add("control", error.what, "warn", why=error.why, todo=error.todo)
        except Exception as error:  # whatever it is, the bot goes on
            self.bridge.notes.add("control", f"{error!r}", "error")
