"""`quant reconcile`: where wish and exchange differ by what we remember, and what the kernel would do.

Asks the kernel's own decision, of the state database as of its last change; nothing is sent or written.
"""

from typing import Annotated

import msgspec
import typer

from quantcli.cli.drift import Wanted
from quantcli.cli.output import Output, OutputOption, columns, emit, envelope
from quantcli.cli.state import NameOption, Remembered, remembered
from quantcli.kernel.actions import (
    Action,
    AmendAttempt,
    Bury,
    CancelAttempt,
    Confirm,
    Doubt,
    LookUp,
    PlaceAttempt,
    Resend,
    Settle,
    TakeStock,
)
from quantcli.kernel.policy import Policy
from quantcli.kernel.reconcile import decide
from quantcli.model.order import ReconciliationStatus

DRIFT_FOUND = 6

# How a plan shows each kind of action, and the character before it.
_NAMES: dict[type[Action], str] = {
    PlaceAttempt: "place",
    CancelAttempt: "cancel",
    LookUp: "lookup",
    Resend: "resend",
    AmendAttempt: "amend",
    Confirm: "confirm",
    TakeStock: "survey",
    Doubt: "doubt",
    Bury: "bury",
    Settle: "settle",
}
_MARKS = {"place": "+", "cancel": "x", "settle": "=", "wait": "~"}


class PlanItem(msgspec.Struct, frozen=True):
    """One thing that would be done, or is waited for, and for which wish."""

    action: str
    symbol: str
    intent_id: str
    why: str


def command(
    plan: Annotated[
        bool, typer.Option("--plan/--check", help="Say what would be done, or only whether anything differs.")
    ] = False,
    name: NameOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare wishes with what the exchange last showed.  Leaves with 6 where they differ, else with 0."""
    state = remembered(name)
    items = plan_items(state)
    found = envelope("ReconcilePlan", items, state.as_of_ns, state.stale)
    emit(found, output, lambda _: _table(state, items, plan))
    if items:
        raise typer.Exit(DRIFT_FOUND)


def plan_items(state: Remembered) -> list[PlanItem]:
    """What differs: actions due, waits that are under way, and open orders that no wish accounts for."""
    items = [item for wanted in state.wanted for item in _items(wanted, state.changed_ns)]
    return items + [
        PlanItem(
            "wait", stray.order.symbol, stray.intent_id, f"{stray.client_order_id} is open, its wish is lost"
        )
        for stray in state.strays
    ]


def action_name(action: Action) -> str:
    """What an action is called in plans."""
    return _NAMES[type(action)]


def _items(wanted: Wanted, now_ns: int) -> list[PlanItem]:
    intent = wanted.intent
    decision = decide(intent, wanted.attempts, now_ns, Policy())
    if _is_routine(wanted, decision.actions):
        return []
    told = [(action_name(action), action.why) for action in decision.actions]
    if not told and decision.status is not ReconciliationStatus.IN_SYNC:
        told = [("wait", decision.status.value)]
    return [PlanItem(name, intent.order.symbol, intent.intent_id, why) for name, why in told]


def _is_routine(wanted: Wanted, actions: tuple[Action, ...]) -> bool:
    """Whether only a look is due at an order last found as wished: a look that finds nothing new is not
    written down, so here every quiet order seems long unseen."""
    order = wanted.open
    was_in_sync = order is not None and order.reconciliation_status is ReconciliationStatus.IN_SYNC
    return was_in_sync and bool(actions) and all(isinstance(action, LookUp) for action in actions)


def _table(state: Remembered, items: list[PlanItem], plan: bool) -> str:
    differing = len({item.intent_id for item in items})
    unsettled = sum(not wanted.intent.phase.is_terminal for wanted in state.wanted)
    verdict = f"{differing} differ" if items else "nothing differs"
    summary = f"{unsettled} open, {verdict}. {state.headline}"
    if not (plan and items):
        return summary
    rows = [
        (
            f"{_MARKS.get(item.action, '!')} {item.action}",
            item.symbol,
            item.intent_id[-state.id_length :],
            item.why,
        )
        for item in items
    ]
    return columns(("  ACTION", "SYMBOL", "ID", "WHY"), rows) + f"\n{summary}\nnothing was sent"
