"""What can be decided about a wish: the actions, and a decision as a whole.

Structs only.  `reconcile` makes them, `execution` carries them out, `quant reconcile --plan` prints them.
"""

from decimal import Decimal

import msgspec

from quantcli.model.order import IntentPhase, ReconciliationStatus, StandardOrder


class PlaceAttempt(msgspec.Struct, frozen=True, gc=False):
    """Place `qty` at `price` (`None`: the type has none) as attempt number `n`."""

    qty: Decimal
    price: Decimal | None
    n: int
    why: str


class Resend(msgspec.Struct, frozen=True, gc=False):
    """Send the same placement again under the same id, to an exchange that makes one order of both."""

    client_order_id: str
    why: str


class AmendAttempt(msgspec.Struct, frozen=True, gc=False):
    """Give the working order the terms of `order`."""

    client_order_id: str
    order: StandardOrder
    why: str


class Confirm(msgspec.Struct, frozen=True, gc=False):
    """The working order has the terms of the wish already."""

    client_order_id: str
    why: str


class CancelAttempt(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange to cancel; as a `probe`, to learn whether there is anything to cancel."""

    client_order_id: str
    why: str
    probe: bool = False


class LookUp(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange for status and fills."""

    client_order_id: str
    why: str


class TakeStock(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange for its statement of the market."""

    symbol: str
    why: str


class Doubt(msgspec.Struct, frozen=True, gc=False):
    """Give up waiting for the answer to a placement: it is AMBIGUOUS from now on."""

    client_order_id: str
    why: str


class Bury(msgspec.Struct, frozen=True, gc=False):
    """The order provably is not on the exchange: DEAD if it was never seen there, else ended."""

    client_order_id: str
    why: str


class Settle(msgspec.Struct, frozen=True, gc=False):
    """The wish has ended in `phase`, for `reason`."""

    phase: IntentPhase
    reason: str
    why: str


Action = (
    PlaceAttempt
    | Resend
    | AmendAttempt
    | Confirm
    | CancelAttempt
    | LookUp
    | TakeStock
    | Doubt
    | Bury
    | Settle
)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What to do now, how wish and exchange stand, and when to decide again unless news comes first."""

    actions: tuple[Action, ...]
    status: ReconciliationStatus
    look_again_at: int | None = None
