"""The production core as a process: commits, then effects, and death at any point between.

Carries out what the core wants as `kernel.shell` does: one commit at a time, in the order of the steps, each
before its requests; a placement that became too late while its commit waited is not sent.  A crash loses
the core and the outbox; the next boot has the disk and nothing else.  `points` counts the places where it can
die: before a commit, after it, and after each effect.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence

from quantcli.errors import InvariantError, NotFoundError, QuantError, ValidationError
from quantcli.kernel.core import Core
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import (
    Boot,
    ClockBound,
    Commit,
    Event,
    Halted,
    Notify,
    Observed,
    Resync,
    Send,
    Tick,
)
from quantcli.model.message import (
    Amend,
    Asked,
    Place,
    PlaceList,
    Report,
    Request,
    Silence,
    Statement,
)
from quantcli.model.order import Fill

from .choices import Choices
from .disk import Disk
from .markets import INSTRUMENTS, SYMBOLS
from .marks import Marks
from .network import Network
from .oracle import Oracle
from .swarm import Faults
from .timeline import Timeline
from .trace import Trace
from .violation import Violation

_S = 1_000_000_000
_DOWNTIMES = (_S, 100_000_000, 10 * _S, 90 * _S, 900 * _S)
_DISK_DELAYS = (20_000_000, 500_000_000, 4 * _S, 8 * _S)
_IDS = re.compile(r"[0-9a-f]{16,}")
MAX_IDLE_TICKS = 200


class Process:
    """See the module's docstring.

    `halted` is the kill switch that outlives crashes; `crash_at` are points to die at, `None` leaves it to
    chance; `on_boot` is called after each.
    """

    def __init__(
        self,
        choices: Choices,
        timeline: Timeline,
        disk: Disk,
        network: Network,
        oracle: Oracle,
        policy: Policy,
        marks: Marks,
        trace: Trace,
    ) -> None:
        self.faults: Faults
        self.core: Core | None = None
        self.halted = Halted.NOT
        self.crash_at: frozenset[int] | None = None
        self.on_boot: Callable[[], None] = lambda: None
        self.points = self.crashes = self.steps = 0
        self.clock_error_ns = 0
        self.paused_until_ns = 0
        self._choices, self._timeline, self._disk, self._network = choices, timeline, disk, network
        self._oracle, self._policy, self._marks, self._trace = oracle, policy, marks, trace
        self._outbox: deque[Commit] = deque()
        self._is_draining = self._is_booting = False
        self.waits_for_disk = False
        self._unsynced_since_ns = dict.fromkeys(SYMBOLS, 0)
        self._synced: dict[str, bool] = {}
        self._idle_ticks = 0
        self._last_tick_ns = 0

    # Life and death.

    def knows(self, exchange_order_id: str) -> bool:
        """Whether an order of the exchange is in the record."""
        return self._disk.knows(exchange_order_id)

    def boot(self) -> None:
        """Start from the disk."""
        self.core = Core(self._disk.identity(), self._policy, INSTRUMENTS)
        self._network.life += 1
        self._unsynced()
        self._is_booting = True
        self._trace.tell("operator", "kernel", "start")
        self.feed(Boot(self._disk.load(), SYMBOLS, self.halted))
        self._is_booting = False
        if self.core is not None:
            self.feed(ClockBound(self.clock_error_ns))
        if self.core is not None:
            self.on_boot()

    def _dies(self, where: str) -> bool:
        self.points += 1
        if self.crash_at is not None:
            is_over = self.points in self.crash_at
        else:
            is_over = self._choices.chance(self.faults.crash, "process.crash")
        if is_over:
            self._marks.hit(f"crash {where}")
            if self._is_booting:
                self._marks.hit("crash during recovery")
            self._die(where)
        return is_over

    def _die(self, where: str) -> None:
        self._trace.tell("kernel", "kernel", f"dies {where}")
        self.crashes += 1
        self.core = None
        self._outbox.clear()
        self.waits_for_disk = False
        self.paused_until_ns = 0
        self._network.life += 1  # connections are gone with it
        if self._disk.nosync:
            self._disk.lose(min(self._choices.choose(4, "disk.lost"), len(self._disk.commits)))
        self._timeline.after(self._choices.pick(_DOWNTIMES, "process.downtime"), self._restart, self.crashes)

    def _restart(self, after_crash: int) -> None:
        if self.core is None and after_crash == self.crashes:
            self.boot()

    # Events.

    def receive(self, life: int, report: Report) -> None:
        """A report for the process that was alive then."""
        if life != self._network.life or self.core is None:
            return
        if self._timeline.now_ns < self.paused_until_ns:
            self._timeline.at(self.paused_until_ns, self.receive, life, report)
            return
        self._trace.tell("network", "kernel", report)
        if isinstance(report, Statement) and report.asked_ns >= self._unsynced_since_ns[report.symbol]:
            self._synced[report.symbol] = True
        self.feed(Observed(report))
        if isinstance(report, Statement) and any(
            not fill.client_order_id and (fill.symbol, fill.trade_id) not in self._disk.fills
            for fill in report.fills
        ):
            self._marks.hit("unknown trade parked")

    def resync(self, reason: str) -> None:
        """The stream had a gap, and says so."""
        if self.core is not None:
            self._marks.hit("resynchronised")
            self._unsynced()
            self.feed(Resync(reason))

    def _unsynced(self) -> None:
        self._synced = {}
        self._unsynced_since_ns = dict.fromkeys(SYMBOLS, self._timeline.now_ns)

    def next_tick_ns(self) -> int | None:
        """When the core wants to be asked again; timers may be late."""
        if self.core is None or (due_ns := self.core.next_due()) is None:
            return None
        return max(due_ns + self.faults.late_tick_ns, self.paused_until_ns, self._timeline.now_ns)

    def tick(self) -> None:
        """Time has passed; a core that asks for the same moment for ever is not going anywhere."""
        now_ns = self._timeline.now_ns
        self._idle_ticks = self._idle_ticks + 1 if now_ns == self._last_tick_ns else 0
        self._last_tick_ns = now_ns
        self._oracle.demand("L5", self._idle_ticks < MAX_IDLE_TICKS, "ticks without end")
        self.feed(Tick())

    def feed(self, event: Event) -> QuantError | None:
        """One step of the core and what follows; what it refuses comes back."""
        core = self.core
        if core is None:
            return None
        self.steps += 1
        self._trace.add(event)
        try:
            commits = core.step(self._timeline.now_ns, event)
        except (ValidationError, NotFoundError) as refused:
            return refused
        except InvariantError as broken:
            raise Violation("core", _IDS.sub("…", str(broken))) from broken
        self.carry_on(commits)
        return None

    def carry_on(self, commits: Sequence[Commit]) -> None:
        """Carry out what a step wants, behind what earlier ones want."""
        for commit in commits:
            self._check_step(commit)
            self._outbox.append(commit)
        if self._outbox and not self._is_draining and not self.waits_for_disk:
            self._drain()

    def _check_step(self, commit: Commit) -> None:
        """I19, at the moment of the decision; and that each fill is told with its commit."""
        written = [row.trade_id for row in commit.rows if isinstance(row, Fill)]
        told = [effect.event.fill.trade_id for effect in commit.then if _tells_fill(effect)]
        self._oracle.demand("told", written == told, "fills are written, and told are others:", written, told)
        for effect in commit.then:
            if isinstance(effect, Send) and isinstance(effect.request, Place | PlaceList):
                request = effect.request
                for place in request.places if isinstance(request, PlaceList) else (request,):
                    self._check_allowed(place)

    def _check_allowed(self, place: Place) -> None:
        assert self.core is not None
        found = self.core.view.find_attempt(place.client_order_id)
        is_protective = found is not None and found[0].intent.protective
        is_again = found is not None and found[1].sends > 1
        demand, client_id = self._oracle.demand, place.client_order_id
        demand("I19", not self.halted or is_protective or is_again, "placed while halted:", client_id)
        if self._policy.venue.statement:
            is_synced = self._synced.get(place.order.symbol, False)
            demand("I19", is_synced or is_again, "placed before the market was surveyed:", client_id)

    # Carrying out.

    def _drain(self) -> None:
        self._is_draining = True
        try:
            while self._outbox and self.core is not None:
                if self._begin_wait():
                    return
                if self._carry_out(self._outbox.popleft()):
                    return
        finally:
            self._is_draining = False

    def _begin_wait(self) -> bool:
        """A slow disk keeps everything behind it waiting."""
        if not self._outbox[0].rows or not self._choices.chance(self.faults.disk, "disk.slow"):
            return False
        self.waits_for_disk = True
        delay_ns = self._choices.pick(_DISK_DELAYS, "disk.delay")
        self._trace.tell("kernel", "disk", f"a commit takes {delay_ns / _S:g} s")
        self._timeline.after(delay_ns, self._waited, self.crashes)
        return True

    def _waited(self, crashes: int) -> None:
        if crashes != self.crashes or self.core is None:
            return
        self.waits_for_disk = False
        self._is_draining = True
        try:
            died = self._carry_out(self._outbox.popleft())
        finally:
            self._is_draining = False
        if not died:
            self._drain()

    def _carry_out(self, commit: Commit) -> bool:
        """True if the process died of it."""
        if commit.rows:
            if self._dies("before a commit"):
                return True
            self._commit(commit)
            if self._dies("after a commit"):
                return True
        for effect in commit.then:
            if isinstance(effect, Send):
                self._trace.add(effect.request)
                self._send(effect.request)
                if self._dies("between effects"):
                    return True
        return False

    def _commit(self, commit: Commit) -> None:
        states = self._disk.states
        before = {
            row.client_order_id: states[row.client_order_id]
            for row in commit.rows
            if hasattr(row, "attempt") and getattr(row, "client_order_id", None) in states
        }
        for row in commit.rows:
            self._trace.add(row)
        self._disk.commit(commit.rows)
        self._oracle.committed(commit.rows, before)

    def _send(self, request: Request) -> None:
        if isinstance(request, Place | PlaceList | Amend) and self._is_too_late(request):
            return
        self._oracle.sending(request, self._policy.venue.fence_ns)
        self._network.send(request)

    def _is_too_late(self, request: Place | PlaceList | Amend) -> bool:
        """A request that waited too long is not sent, and the core is told."""
        requests = request.places if isinstance(request, PlaceList) else (request,)
        if self._timeline.now_ns <= min(each.deadline_ns for each in requests):
            return False
        for each in requests:
            asked, number = (Asked.AMEND, each.number) if isinstance(each, Amend) else (Asked.PLACE, 0)
            silence = Silence(each.client_order_id, asked, "too late to send", sent=False, number=number)
            self.feed(Observed(silence))
        return True


def _tells_fill(effect: Send | Notify) -> bool:
    return isinstance(effect, Notify) and effect.event.fill is not None
