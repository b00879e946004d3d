"""Where a run and those who look at it meet: the run seats itself here, the control thread looks.

Holds things, and how far the run has come; does nothing.  A run that nobody watches has one, too.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from quantcli.clock import Clock
from quantcli.runtime.control.gauges import Gauges
from quantcli.runtime.control.notes import Notes
from quantcli.runtime.control.words import Words
from quantcli.venues.inbox import Missed, Notice

if TYPE_CHECKING:
    from quantcli.runtime.control.cockpit import Cockpit
    from quantcli.runtime.control.deeds import Deeds


class About(msgspec.Struct, frozen=True):
    """What is known of a bot before anything is opened; `world` as in `wire.Status`.  `home` is the folder of
    the strategy's file."""

    bot: str
    exchange: str
    endpoint: str
    world: str
    strategy: str
    symbols: tuple[str, ...]
    started_ns: int
    project: str = ""
    log: str = ""
    version: str = ""
    home: str = ""
    pid: int = msgspec.field(default_factory=os.getpid)


class RunClock:
    """The clock of a run: the machine's, until the run says that it has another (a recording's)."""

    def __init__(self, clock: Clock) -> None:
        self.kept_by = clock

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self.kept_by.now_ns()


class Bridge:
    """Of one run.  `state` and `why` are as in `wire.Status`; `stop` ends the run in good order, `lag_ms`
    says how late its loop is; `left_open` are the wishes that had something open when all was over."""

    def __init__(self, about: About, machine: Clock) -> None:
        self.about = about
        self.clock = clock = RunClock(machine)
        self.words = Words()
        self.notes = Notes(clock)
        self.gauges = Gauges(clock)
        self.state, self.why = "starting", ""
        self.stop: Callable[[], None] = lambda: None
        self.lag_ms: Callable[[], float] = lambda: 0.0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[object] | None = None
        self.thread_id = 0
        self.cockpit: Cockpit | None = None
        self.deeds: Deeds | None = None
        self.left_open: frozenset[str] | None = None

    def enter(self, wake: Callable[[], None]) -> None:
        """The run has begun, in the task and thread that call this; `wake` makes its loop look up."""
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        self.thread_id = threading.get_ident()
        self.words.attach(wake)

    def seat(self, cockpit: "Cockpit", deeds: "Deeds") -> None:
        """Everything is open: it can be seen, and steered."""
        self.cockpit, self.deeds = cockpit, deeds

    def remark(self, remark: Notice | Missed) -> None:
        """Something was said about the connections."""
        self.gauges.note(remark)
        if isinstance(remark, Notice):
            self.notes.notice(remark)

    def fail(self, error: BaseException) -> None:
        """The run ends before its time."""
        self.state, self.why = "stopping", str(error)
        why, todo = getattr(error, "why", ""), getattr(error, "todo", "")
        effect = "what its slots keep is cancelled, and the bot ends"
        self.notes.add("failed", str(error), "error", why=why, effect=effect, todo=todo)

    def leave(self) -> None:
        """Nothing can be seen or steered any more."""
        self.words.close()
        if self.cockpit is not None:
            self.left_open = frozenset(self.cockpit.open_now())
        self.cockpit = self.deeds = None
        self.loop = self.task = None
