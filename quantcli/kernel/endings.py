"""What becomes of a wish when nothing of it is on the exchange: whether, and how, it ends.

    ending(intent, attempts, rest, now_ns, scene) -> Settle | None

`ENDINGS` is the table, by how the last attempt ended.  Knows nothing of attempts that are open.
"""

from collections.abc import Sequence
from decimal import Decimal

from quantcli.kernel.actions import Settle
from quantcli.kernel.policy import Scene
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
    TimeInForce,
)

_ZERO = Decimal(0)

# How an attempt ended, when that was not our doing, and whether it was made not to rest: what becomes of the
# wish.  Ends that are missing here (filled, but the total has grown since; never accepted) leave it open.
ENDINGS: dict[tuple[OrderStatus, bool], tuple[IntentPhase, str]] = {
    (OrderStatus.REJECTED, False): (IntentPhase.FAILED, "refused by the exchange"),
    (OrderStatus.REJECTED, True): (IntentPhase.FAILED, "refused by the exchange"),
    (OrderStatus.EXPIRED, False): (IntentPhase.EXPIRED, "expired on the exchange"),
    (OrderStatus.EXPIRED, True): (IntentPhase.EXPIRED, "not filled at once"),
    (OrderStatus.CANCELED, True): (IntentPhase.EXPIRED, "not filled at once"),
    (OrderStatus.PARTIALLY_CANCELED, True): (IntentPhase.EXPIRED, "not filled at once"),
    (OrderStatus.CANCELED, False): (IntentPhase.CANCELED, "external: cancelled on the exchange"),
    (OrderStatus.PARTIALLY_CANCELED, False): (IntentPhase.CANCELED, "external: cancelled on the exchange"),
}

_CANCELLED = frozenset({OrderStatus.CANCELED, OrderStatus.PARTIALLY_CANCELED})
_NEVER_REST = frozenset({OrderType.MARKET, OrderType.IMMEDIATE_OR_CANCEL, OrderType.FILL_OR_KILL})
_NEVER_REST_TIF = frozenset({TimeInForce.IOC, TimeInForce.FOK})


def ending(
    intent: OrderIntent,
    attempts: Sequence[OrderState],
    rest: Decimal,
    now_ns: int,
    scene: Scene,
) -> Settle | None:
    """How the wish ends; `None` if it goes on.  `rest` is what it has not got yet of its total."""
    wished = intent.order.quantity
    if rest <= 0 < wished and not (intent.held and intent.phase.is_wanted):
        return Settle(IntentPhase.SATISFIED, "", "filled")
    if intent.phase is IntentPhase.CANCEL_REQUESTED:
        return Settle(IntentPhase.CANCELED, intent.reason, "cancelled, nothing is working any more")
    end = _by_last(intent, attempts[-1], scene) if attempts and not intent.held else None
    if intent.held or end is not None:
        return end
    if rest < min(wished, _least(intent.order, scene.rules)):
        return Settle(IntentPhase.SATISFIED, f"dust: {rest} is too small an order", "filled but for dust")
    if intent.order.expire_ns is None or now_ns < intent.order.expire_ns:
        return None
    return Settle(IntentPhase.EXPIRED, "its time is over", "too late")


def _least(order: StandardOrder, rules: SymbolMetadata | None) -> Decimal:
    """The smallest quantity that the exchange takes at the order's price."""
    if rules is None:
        return _ZERO
    least = rules.min_qty or _ZERO
    if rules.min_notional is not None and order.price:
        least = max(least, rules.min_notional / order.price)
    return least


def _by_last(intent: OrderIntent, last: OrderState, scene: Scene) -> Settle | None:
    """How the wish ends with its last attempt; `None` if it goes on.

    An attempt at older terms ends nothing, unless somebody else cancelled it before we did.
    """
    if scene.is_linked and last.state is AttemptState.DEAD:
        return Settle(IntentPhase.FAILED, f"not placed: {last.reason}", "linked orders are placed once")
    cancelled = last.status in _CANCELLED
    if (cancelled and last.cancel_sent_ns) or (not cancelled and last.generation != intent.generation):
        return None
    never_rests = last.order.type in _NEVER_REST or last.order.time_in_force in _NEVER_REST_TIF
    end = ENDINGS.get((last.status, never_rests))
    if end is None:
        return None
    phase, reason = end
    reason = f"{reason}: {last.reason}" if last.reason else reason
    return Settle(phase, reason, "the order ended on the exchange")
