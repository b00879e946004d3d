"""Mutants whose merge of reports depends on their order, or believes the wrong one."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.kernel import lifecycle, seeing
from quantcli.kernel.execution import Execution
from quantcli.kernel.lifecycle import Seen
from quantcli.model.message import Observation
from quantcli.model.order import AttemptState, OrderState, OrderStatus

from .mutant import Patch, mutant
from .scenery import AMENDING, ANYWHERE, DOUBT, FORGETFUL, PLAIN

_A = AttemptState
_SHAKEN = ANYWHERE.leaning({"swarm.latency": (1, 2), "swarm.again": (3,), "swarm.blind": (3,)})


def _silently(patch: Patch) -> None:
    """The kernel does not check itself."""
    patch.around(Execution, "check", lambda real, hands, name, holds, whose: None)


@mutant(_SHAKEN, "core", "I8")
def quantity_is_assigned(patch: Patch) -> None:
    """The cumulative quantity is the last one heard, not the greatest."""

    def changed(real: Any, state: OrderState, report: Any, fills_qty: Decimal, now_ns: int) -> OrderState:
        after: OrderState = real(state, report, fills_qty, now_ns)
        if isinstance(report, Observation) and report.status is not OrderStatus.UNKNOWN:
            return replace(after, filled=report.filled)
        return after

    patch.around(seeing, "merge", changed)


@mutant(_SHAKEN, "I8", "I7")
def quantity_is_assigned_unchecked(patch: Patch) -> None:
    """The same, and the kernel's own check of it is off."""
    _silently(patch)
    quantity_is_assigned.damage(patch)


@mutant(_SHAKEN, "I17", "L1")
def ends_are_not_ends(patch: Patch) -> None:
    """A late "working" brings an order back that has ended."""
    patch.item(lifecycle.TRANSITIONS, (_A.CLOSING, Seen.WORKING), _A.LIVE)
    patch.item(lifecycle.TRANSITIONS, (_A.DONE, Seen.WORKING), _A.LIVE)


@mutant(_SHAKEN, "I7")
def done_without_the_fills(patch: Patch) -> None:
    """An order that has ended is done, whether its fills are known or not."""
    patch.item(lifecycle.TRANSITIONS, (_A.CLOSING, Seen.INCOMPLETE), _A.DONE)


@mutant(
    AMENDING.leaning(
        {"swarm.again": (3,), "net.again": (0, 1), "net.delay": (1, 4, 6, 7), "swarm.blind": (3,)}
    ),
    "L1",
    "I2",
)
def terms_of_the_last_word_heard(patch: Patch) -> None:
    """The terms are those of the report that came last, not of the latest."""

    def changed(real: Any, state: OrderState, report: Observation) -> Any:
        return real(replace(state, terms_ns=0), report)

    patch.around(lifecycle, "_terms", changed)


@mutant(_SHAKEN.on(PLAIN, FORGETFUL), "I5", "I17")
def expired_by_our_own_clock(patch: Patch) -> None:
    """A look-up in vain ends an order that worked (an order missing from a list is closed)."""

    def changed(real: Any, state: OrderState, report: Any, now_ns: int) -> OrderState:
        if state.state is _A.LIVE:
            return lifecycle.vanished(state, "not found any more")
        return real(state, report, now_ns)  # type: ignore[no-any-return]

    patch.around(lifecycle, "_absent", changed)


@mutant(DOUBT, "I3", "I7", "I12")
def silence_ends_what_worked(patch: Patch) -> None:
    """A request without an answer ends an order that was seen working."""

    def changed(real: Any, state: OrderState, report: Any, fills_qty: Decimal, now_ns: int) -> OrderState:
        after: OrderState = real(state, report, fills_qty, now_ns)
        if isinstance(report, lifecycle.Silence) and after.state is _A.LIVE:
            return lifecycle.vanished(after, report.reason)
        return after

    patch.around(seeing, "merge", changed)
