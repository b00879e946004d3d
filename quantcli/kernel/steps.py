"""What a step of the core takes and what it gives: events in, effects out.

`Send` exists only inside `Commit.then`: a request whose cause is not durable cannot be written down.
Structs only.
"""

import msgspec

from quantcli.model.event import OrderEvent
from quantcli.model.order import Fill, OcoMode, OrderIntent, OrderState, Report, Request
from quantcli.ports import Approved
from quantcli.store.api import Row

# Events.


class Boot(msgspec.Struct, frozen=True, gc=False):
    """What the store knows of everything unsettled, and every fill: the first event of a run."""

    intents: tuple[OrderIntent, ...]
    states: tuple[OrderState, ...]
    fills: tuple[Fill, ...]


class Admit(msgspec.Struct, frozen=True, gc=False):
    """A new wish, under an id from `Core.new_intent_id`."""

    approved: Approved
    intent_id: str
    group_id: str | None = None


class AdmitGroup(msgspec.Struct, frozen=True, gc=False):
    """New wishes that share one quantity; they become durable together."""

    approved: tuple[Approved, ...]
    intent_ids: tuple[str, ...]
    mode: OcoMode


class Modify(msgspec.Struct, frozen=True, gc=False):
    """New terms for an open wish; `quantity` is the new total, what is filled already included."""

    intent_id: str
    approved: Approved


class CancelIntents(msgspec.Struct, frozen=True, gc=False):
    """Nothing more shall be traded for these wishes; settled and unknown ones are passed over."""

    intent_ids: tuple[str, ...]
    reason: str = "cancelled"


class Observed(msgspec.Struct, frozen=True, gc=False):
    """A report of the exchange, or of the way to it."""

    report: Report


class Force(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange about the open order of one wish, or (`None`) of all, and look at it again."""

    intent_id: str | None = None


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time has passed."""


Event = Boot | Admit | AdmitGroup | Modify | CancelIntents | Observed | Force | Tick

# Effects.


class Send(msgspec.Struct, frozen=True, gc=False):
    """Hand a request to the gateway."""

    request: Request


class Notify(msgspec.Struct, frozen=True, gc=False):
    """Tell subscribers."""

    event: OrderEvent


class Commit(msgspec.Struct, frozen=True, gc=False):
    """Make `rows` durable, all or none; only then do what is in `then`, in order."""

    rows: tuple[Row, ...]
    then: tuple[Send | Notify, ...]


Effect = Commit
