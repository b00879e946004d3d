"""One order's whole story, made of what is remembered of it: what is wanted, what was tried, what comes next.

Asks the kernel's own decision; knows neither where the rows come from nor who reads the story.
"""

from collections.abc import Iterable

import msgspec

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
from quantcli.model.order import AttemptState, Fill, OrderState
from quantcli.runtime.control.rows import Wanted, fill_item, item
from quantcli.runtime.control.wire import Happened, Next, Story
from quantcli.store.api import JournalEntry

# What each state of an attempt means, in words.
_MEANINGS = {
    AttemptState.PREPARED: "written down, perhaps sent; the answer is not here yet",
    AttemptState.AMBIGUOUS: "perhaps on the exchange, perhaps not: nobody has answered",
    AttemptState.LIVE: "working on the exchange",
    AttemptState.CLOSING: "ended on the exchange, but not all of its fills are here",
}
# What each kind of action is called.
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


def story(
    wanted: Wanted,
    fills: Iterable[Fill],
    journal: Iterable[JournalEntry],
    now_ns: int,
    policy: Policy,
    slot_status: str = "",
) -> Story:
    """The story of a wish, with its own fills and journal, oldest first."""
    decision = decide(wanted.intent, wanted.attempts, now_ns, policy)
    return Story(
        item(wanted, slot_status),
        meaning(wanted),
        dict(wanted.intent.metadata),
        tuple(map(_attempt, wanted.attempts)),
        tuple(map(fill_item, fills)),
        tuple(Happened(each.at_ns, each.attempt, each.what, each.detail) for each in journal),
        tuple(Next(action_name(action), action.why) for action in decision.actions),
        decision.look_again_at,
    )


def meaning(wanted: Wanted) -> str:
    """What the state of a wish means, in words."""
    if wanted.open is not None:
        return _MEANINGS[wanted.open.state]
    if wanted.intent.phase.is_terminal:
        return f"settled: {wanted.intent.reason or wanted.intent.phase.lower()}"
    return "nothing of it is on the exchange"


def action_name(action: Action) -> str:
    """What an action is called."""
    return _NAMES[type(action)]


def _attempt(attempt: OrderState) -> dict[str, object]:
    fields = {name: getattr(attempt, name) for name in attempt.__struct_fields__ if name != "order"}
    terms = {
        "qty": attempt.order.quantity,
        "price": attempt.order.price,
        "stop_price": attempt.order.stop_price,
        "time_in_force": attempt.order.time_in_force.name,
        "reduce_only": attempt.order.reduce_only,
        "status": attempt.status.name,
    }
    return {name: msgspec.to_builtins(value) for name, value in (fields | terms).items()}
