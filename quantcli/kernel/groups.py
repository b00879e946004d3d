"""One cancels the other: what fills of one order of a group mean for the rest.

    plan(group, intents, filled_by_intent) -> [Change(intent_id, new_total | None), …]

A pure function of fills, so it may be asked again at any time, after a restart too, and gives the same.
`REDUCE_ON_PARTIAL` leaves every order the total G - (what the others filled), with G the group's quantity
and totals including an order's own fills; `CANCEL_ON_FILL` lets the order work on that has filled most, for
the same total, and cancels the others at the first fill of any size.  All orders may fill before either
rule can act: `worst_overfill` is how much that may be at most.

The id of a group says its mode and quantity, so any one of its orders is enough to know the group again.
Knows nothing of attempts: how a total is changed on the exchange is `reconcile`'s business.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from quantcli.errors import InvariantError
from quantcli.model.instrument import canonical
from quantcli.model.order import OcoMode, OrderIntent


class Group(msgspec.Struct, frozen=True):
    """Orders that share one `quantity` (base units); `first` is the intent that named the group."""

    mode: OcoMode
    quantity: Decimal
    first: str

    @property
    def name(self) -> str:
        """The group's id: `reduce_on_partial/0.5/00a1…`."""
        return f"{self.mode.value}/{canonical(self.quantity)}/{self.first}"

    @classmethod
    def parse(cls, name: str) -> "Group":
        """Read a group's id; raises `InvariantError` for text that `name` never gave."""
        try:
            mode, quantity, first = name.split("/")
            return cls(OcoMode(mode), Decimal(quantity), first)
        except (ValueError, InvalidOperation):
            raise InvariantError(f"{name!r} is not the id of a group") from None


class Change(msgspec.Struct, frozen=True):
    """A new total for one order of a group; `None` cancels it."""

    intent_id: str
    new_total: Decimal | None


def plan(
    group: Group, intents: Iterable[OrderIntent], filled_by_intent: Mapping[str, Decimal]
) -> list[Change]:
    """Changes that fills ask for to `intents`, those of the group that are still wanted.

    `filled_by_intent` has every order of the group, settled ones included; the first of those that filled
    most leads.
    """
    total = sum(filled_by_intent.values(), Decimal(0))
    leader = max(filled_by_intent, key=lambda intent_id: filled_by_intent[intent_id])
    changes = []
    for intent in intents:
        own = filled_by_intent[intent.intent_id]
        target = group.quantity - (total - own)
        if total and group.mode is OcoMode.CANCEL_ON_FILL and intent.intent_id != leader:
            changes.append(Change(intent.intent_id, None))
        elif intent.order.quantity > target:
            changes.append(Change(intent.intent_id, target if target > own else None))
    return changes


def worst_overfill(group: Group, intents: Iterable[OrderIntent]) -> Decimal:
    """By how much fills may exceed the group's quantity, if all orders fill before any can be cancelled."""
    total = sum((min(intent.order.quantity, group.quantity) for intent in intents), Decimal(0))
    return max(total - group.quantity, Decimal(0))
