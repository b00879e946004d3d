"""Mutants that write too late, or start and go on after a gap as if nothing had happened meanwhile."""

from typing import Any

from msgspec.structs import replace

from quantcli.kernel import desk as desks
from quantcli.kernel import identity as ids
from quantcli.kernel.core import Core
from quantcli.kernel.desk import Desk
from quantcli.kernel.draft import Draft
from quantcli.kernel.seeing import Seeing
from quantcli.kernel.steps import Boot, Commit, Halted
from quantcli.model.order import OrderIntent, ReconciliationStatus

from ..process import Process
from .mutant import Patch, mutant
from .scenery import ANYWHERE, BREACHES, CRASHES, LATE_EXECUTION

_PAUSED = ANYWHERE.leaning({"swarm.episodes": (3,), "episode.kind": (2, 8), "swarm.latency": (1, 2)})


@mutant(ANYWHERE, "I26", "I4")
def written_after_it_is_sent(patch: Patch) -> None:
    """The row follows the request (freqtrade, Hummingbot)."""

    def changed(real: Any, process: Process, commit: Commit) -> bool:
        return real(process, Commit((), commit.then)) or real(process, Commit(commit.rows, ()))

    patch.around(Process, "_carry_out", changed)


@mutant(CRASHES, "I4", "I26", "I12", "L1")
def written_but_not_synchronised(patch: Patch) -> None:
    """The latest commits are lost with the power (synchronous below FULL; Nautilus' queue to Redis)."""

    def changed(real: Any, process: Process, where: str) -> None:
        process._disk.nosync = True
        real(process, where)

    patch.around(Process, "_die", changed)


@mutant(CRASHES, "I12", "I25")
def ids_begin_anew(patch: Patch) -> None:
    """Every start counts from one, and ids return."""

    def changed(real: Any, identity: Any, counter: int) -> str:
        return real(replace(identity, epoch=0), counter)  # type: ignore[no-any-return]

    patch.around(ids, "intent_id", changed)


@mutant(CRASHES.leaning({"user.act": (0, 0, 4, 4), "user.request": (1,)}), "I25")
def request_ids_are_not_kept(patch: Patch) -> None:
    """The caller's request id is not written down: asked again after a restart, the order is placed again."""

    def strip(row: Any) -> Any:
        return replace(row, request_id="") if isinstance(row, OrderIntent) else row

    def changed(real: Any, draft: Draft) -> list[Commit]:
        return [Commit(tuple(map(strip, commit.rows)), commit.then) for commit in real(draft)]

    patch.around(Draft, "take", changed)


@mutant(ANYWHERE, "I19")
def placed_before_the_first_statement(patch: Patch) -> None:
    """A start does not wait until the exchange has said what is there."""

    def changed(real: Any, desk: Desk, intent: OrderIntent) -> ReconciliationStatus | None:
        found = real(desk, intent)
        return None if found is ReconciliationStatus.SYNCING else found

    patch.around(Desk, "closed", changed)


@mutant(_PAUSED, "I19")
def an_old_statement_opens_the_market(patch: Patch) -> None:
    """A statement that was asked for before a gap counts as one asked for after it."""

    def changed(real: Any, seeing: Seeing, statement: Any) -> None:
        real(seeing, statement)
        seeing._desk.market(statement.symbol).is_synced = True

    patch.around(Seeing, "_stated", changed)


@mutant(_PAUSED, "I19")
def gaps_are_passed_over(patch: Patch) -> None:
    """A gap in the stream changes nothing (peers reconnect, and go on)."""
    patch.around(Core, "_resync", lambda real, core, event: None)


@mutant(CRASHES.leaning({"user.act": (0, 0, 5)}), "I19")
def halts_end_with_the_process(patch: Patch) -> None:
    """The kill switch is forgotten at a restart."""

    def changed(real: Any, core: Core, event: Boot) -> None:
        real(core, replace(event, halted=Halted.NOT))

    patch.around(Core, "_boot", changed)


@mutant(CRASHES, "L1", "L3")
def open_orders_are_not_loaded(patch: Patch) -> None:
    """What was being cancelled before a restart is not gone on with."""

    def changed(real: Any, desk: Desk, loaded: Any, *symbols: Any) -> None:
        kept = tuple(i for i in loaded.intents if i.phase.value != "CANCEL_REQUESTED")
        names = {intent.intent_id: None for intent in kept}
        states = tuple(state for state in loaded.states if state.intent_id in names)
        groups = tuple(g for g in loaded.groups if all(leg in names for leg in g.legs))
        real(desk, replace(loaded, intents=kept, states=states, groups=groups), *symbols)

    patch.around(Desk, "restore", changed)


@mutant(BREACHES.leaning({"run.breach": (LATE_EXECUTION,), "swarm.crash": (4,)}), "alarm", "I17")
def quarantine_ends_with_the_process(patch: Patch) -> None:
    """That the exchange broke its contract is forgotten at a restart."""

    def changed(real: Any, draft: Draft, key: str, value: str) -> None:
        if key != desks.BETRAYAL:
            real(draft, key, value)

    patch.around(Draft, "remark", changed)


@mutant(BREACHES.leaning({"run.breach": (LATE_EXECUTION,)}), "L3", "I3")
def the_dead_stay_dead(patch: Patch) -> None:
    """An order that was declared dead and is there after all is not looked at."""

    def changed(real: Any, seeing: Seeing, report: Any) -> None:
        found = seeing._desk.view.find_attempt(report.client_order_id)
        if found is None or found[1].state.value != "DEAD":
            real(seeing, report)

    patch.around(Seeing, "_reported", changed)


@mutant(BREACHES.leaning({"run.breach": (LATE_EXECUTION,)}), "alarm")
def no_alarm_when_the_dead_return(patch: Patch) -> None:
    """A broken contract is put up with in silence."""
    patch.around(Desk, "betrayed", lambda real, desk, how: None)


@mutant(ANYWHERE.leaning({"user.type": (0,), "user.time_in_force": (3,), "user.expires": (1,)}), "I19")
def placed_after_its_time(patch: Patch) -> None:
    """A wish whose time is over before it could be placed is placed all the same."""
    from quantcli.kernel import reconcile

    def changed(real: Any, intent: OrderIntent, attempts: Any, rest: Any, now_ns: int, rules: Any) -> Any:
        return real(intent, attempts, rest, 0, rules)

    patch.around(reconcile, "ending", changed)
