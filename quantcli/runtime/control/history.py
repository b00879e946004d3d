"""What a bot's database remembers, for those who look: fills, settled orders, one order's whole story.

Each question opens the file read-only and closes it again, in whatever loop it is asked: the trading loop is
never waited for.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from quantcli.errors import NotFoundError, UsageError
from quantcli.kernel.actions import Action, Decision
from quantcli.kernel.policy import Policy
from quantcli.kernel.reconcile import decide
from quantcli.model.order import AttemptState, Fill, OrderState
from quantcli.runtime.control.rows import Wanted, item
from quantcli.runtime.control.wire import FillItem, Happened, Next, OrderItem, Story
from quantcli.store.sqlite import open_readonly

# What each state of an attempt means, in words.
_MEANINGS = {
    AttemptState.PREPARED: "written down, perhaps sent; the answer is not here yet",
    AttemptState.AMBIGUOUS: "perhaps on the exchange, perhaps not: nobody has answered",
    AttemptState.LIVE: "working on the exchange",
    AttemptState.CLOSING: "ended on the exchange, but not all of its fills are here",
}
_ACTIONS = {
    "PlaceAttempt": "place",
    "Resend": "resend",
    "AmendAttempt": "amend",
    "Confirm": "confirm",
    "CancelAttempt": "cancel",
    "LookUp": "lookup",
    "TakeStock": "survey",
    "Doubt": "doubt",
    "Bury": "bury",
    "Settle": "settle",
}


async def fills(
    database: Path, symbol: str = "", order: str = "", limit: int = 100
) -> tuple[tuple[FillItem, ...], int]:
    """The newest fills, newest first, of one market or order if named; and how many there are in all."""
    async with open_readonly(database) as store:
        found, total = await store.latest_fills(symbol or None, order or None, limit)
    return tuple(map(fill_item, found)), total


async def settled(database: Path, symbol: str = "", limit: int = 500) -> tuple[OrderItem, ...]:
    """Orders that are settled, newest first."""
    async with open_readonly(database) as store:
        found = await store.latest_settled(symbol or None, limit)
    return tuple(item(Wanted(intent, tuple(attempts))) for intent, attempts in found)


async def wanted_of(database: Path, name: str) -> Wanted:
    """The wish that an intent id names, or its beginning or end; raises `NotFoundError`, `UsageError`."""
    async with open_readonly(database) as store:
        found = await store.named(name)
    if not found:
        raise NotFoundError(
            f"no order is called {name!r}",
            why="it is neither an intent id nor the beginning or end of one",
            todo="quant orders --all",
        )
    if len(found) > 1:
        ids = "\n".join(intent.intent_id for intent, _ in found[:10])
        raise UsageError(f"{name!r} could be {len(found)} orders", why=ids, todo="give more of the id")
    ((intent, attempts),) = found
    return Wanted(intent, tuple(attempts))


async def story(database: Path, wanted: Wanted, slot_status: str, now_ns: int, policy: Policy) -> Story:
    """One order's whole story."""
    intent = wanted.intent
    async with open_readonly(database) as store:
        journal = await store.journal(intent.intent_id)
        traded, _ = await store.latest_fills(None, intent.intent_id, 1_000)
    decision = decide(intent, wanted.attempts, now_ns, policy)
    return Story(
        item(wanted, slot_status),
        meaning(wanted),
        dict(intent.metadata),
        tuple(map(_attempt, wanted.attempts)),
        tuple(fill_item(fill) for fill in reversed(traded)),
        tuple(Happened(each.at_ns, each.attempt, each.what, each.detail) for each in journal[-200:]),
        _next(decision),
        decision.look_again_at,
    )


def meaning(wanted: Wanted) -> str:
    """What state a wish is in, in words."""
    if wanted.open is not None:
        return _MEANINGS[wanted.open.state]
    if wanted.intent.phase.is_terminal:
        return f"settled: {wanted.intent.reason or wanted.intent.phase.lower()}"
    return "nothing of it is on the exchange"


def fill_item(fill: Fill) -> FillItem:
    """A fill as it travels."""
    return FillItem(
        fill.trade_id,
        fill.symbol,
        fill.side.name.lower(),
        fill.qty,
        fill.price,
        fill.fee,
        fill.fee_asset,
        fill.is_maker,
        fill.exchange_ns,
        fill.client_order_id,
        fill.exchange_order_id,
        fill.intent_id,
    )


def _next(decision: Decision) -> tuple[Next, ...]:
    actions: Sequence[Action] = decision.actions
    return tuple(Next(_ACTIONS[type(action).__name__], action.why) for action in actions)


def _attempt(state: OrderState) -> dict[str, object]:
    fields = {name: getattr(state, name) for name in state.__struct_fields__ if name != "order"}
    terms = {"qty": state.order.quantity, "price": state.order.price, "status": state.status.name}
    return {name: msgspec.to_builtins(value) for name, value in (fields | terms).items()}
