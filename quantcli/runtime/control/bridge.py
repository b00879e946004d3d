"""Where a run and those who look at it meet: the run seats itself here, the control thread looks.

Holds things, and how far the run has come; does nothing.  A run that nobody watches has one, too.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from quantcli.clock import NS_PER_S, Clock
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


class Last(msgspec.Struct, frozen=True):
    """What there was at the end: orders cancelled while it stopped, how long that took, what is held."""

    cancelled: int = 0
    took_s: float = 0.0
    held: tuple[tuple[str, Decimal], ...] = ()


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
        self.last = Last()
        self._stopping = 0, 0  # orders cancelled until then, and when

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

    def begin_to_stop(self) -> None:
        """The strategy is not shown anything any more; what it keeps is withdrawn."""
        self.state = "stopping"
        self._stopping = self.gauges.counts["cancelled"], self.clock.now_ns()

    def fail(self, error: BaseException) -> None:
        """The run ends before its time."""
        if self.state != "stopping":
            self.begin_to_stop()
        self.why = str(error)
        why, todo = getattr(error, "why", ""), getattr(error, "todo", "")
        effect = "what its slots keep is cancelled, and the bot ends"
        self.notes.add("failed", str(error), "error", why=why, effect=effect, todo=todo)

    def leave(self) -> None:
        """Nothing can be seen or steered any more."""
        self.words.close()
        if self.cockpit is not None:
            self.left_open = frozenset(self.cockpit.open_now())
            before, since_ns = self._stopping
            self.last = Last(
                self.gauges.counts["cancelled"] - before if since_ns else 0,
                (self.clock.now_ns() - since_ns) / NS_PER_S if since_ns else 0.0,
                tuple((each.symbol, each.qty) for each in self.cockpit.positions() if each.qty),
            )
        self.cockpit = self.deeds = None
        self.loop = self.task = None
