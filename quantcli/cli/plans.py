"""What would be done about each difference between wish and exchange, as a list that can be shown.

Asks the kernel's own decision of what a database remembers; of a running bot, reads its rows.
"""

from collections.abc import Iterable

import msgspec

from quantcli.cli.remembered import Remembered
from quantcli.kernel.actions import (
    Action,
    LookUp,
)
from quantcli.kernel.policy import Policy
from quantcli.kernel.reconcile import decide
from quantcli.model.order import ReconciliationStatus
from quantcli.runtime.control.rows import Wanted
from quantcli.runtime.control.stories import action_name
from quantcli.runtime.control.wire import OrderItem

# The character before each kind of action.
MARKS = {
    "place": "+",
    "cancel": "x",
    "replace": "~",
    "settle": "=",
    "wait": "~",
    "look": "!",
    "adopt": "?",
}
# What a running bot does about a row, by the row's character; what is in sync or trades needs nothing.
_OF_ROW = {"+": "place", "~": "replace", "x": "cancel", "!": "lookup"}


class PlanItem(msgspec.Struct, frozen=True):
    """One thing that would be done, or is waited for, and for which wish."""

    action: str
    symbol: str
    intent_id: str
    why: str


def plan_of_rows(items: Iterable[OrderItem]) -> list[PlanItem]:
    """What a running bot is about to do."""
    plan = []
    for item in items:
        if not item.intent_id:
            why = f"{item.exchange_order_id} ({item.client_order_id}) is nobody's wish"
            plan.append(PlanItem("adopt", item.symbol, "", why))
        elif (action := _OF_ROW.get(item.mark)) is not None:
            why = ", ".join(
                dict.fromkeys(text for text in (item.drift, item.condition, item.slot_status) if text)
            )
            action = "look" if item.condition == ReconciliationStatus.NEEDS_OPERATOR else action
            plan.append(PlanItem(action, item.symbol, item.intent_id, why))
    return plan


def plan_items(state: Remembered) -> list[PlanItem]:
    """What differs: actions due, waits that are under way, and open orders that no wish accounts for."""
    items = [item for wanted in state.wanted for item in _items(wanted, state.now_ns)]
    return items + [
        PlanItem(
            "wait", stray.order.symbol, stray.intent_id, f"{stray.client_order_id} is open, its wish is lost"
        )
        for stray in state.strays
    ]


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
