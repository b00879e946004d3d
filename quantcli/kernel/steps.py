"""What a step of the core takes and what it gives: events in, effects out.

`Send` exists only inside `Commit.then`: a request whose cause is not durable cannot be written down.
Structs only.
"""

from decimal import Decimal
from enum import IntEnum

import msgspec

from quantcli.model.event import OrderEvent
from quantcli.model.message import Report, Request
from quantcli.model.order import OcoMode
from quantcli.ports import Approved
from quantcli.store.api import Loaded, Row

# Events.


class Halted(IntEnum):
    """How much of trading is off; each level includes those below it."""

    NOT = 0
    NEW = 1  # nothing more is placed for the wishes there are; what protects a position still is
    ALL = 2  # and everything that does not protect a position is cancelled
    FLAT = 3  # and everything else too, and what was bought or sold is undone at the market


class Boot(msgspec.Struct, frozen=True, gc=False):
    """What the store knows: the first event of a run.

    `symbols` are markets to be surveyed in any case.  `is_outdated`: the store has known more than it does.
    """

    loaded: Loaded
    symbols: tuple[str, ...] = ()
    halted: Halted = Halted.NOT
    is_outdated: bool = False


class Admit(msgspec.Struct, frozen=True, gc=False):
    """A new wish, under an id from `Core.new_intent_id`."""

    approved: Approved
    intent_id: str
    request_id: str = ""


class AdmitGroup(msgspec.Struct, frozen=True, gc=False):
    """New wishes that bear on each other; they become durable together.

    With `has_entry` the first one is the entry whose fills the others close.
    """

    approved: tuple[Approved, ...]
    intent_ids: tuple[str, ...]
    mode: OcoMode
    has_entry: bool = False
    trail: Decimal | None = None
    request_id: str = ""


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


class Quoted(msgspec.Struct, frozen=True, gc=False):
    """The best prices of a market, for the groups that follow it (`Core.follows`)."""

    symbol: str
    bid: Decimal
    ask: Decimal


class Force(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange about the open order of one wish, or (`None`) of all, and look at it again."""

    intent_id: str | None = None


class Resync(msgspec.Struct, frozen=True, gc=False):
    """The stream had a gap, or time stood still: nothing is placed before the exchange was asked again."""

    reason: str


class ClockBound(msgspec.Struct, frozen=True, gc=False):
    """Our clock and the exchange's may differ by this much, beyond the offset that is reckoned with."""

    error_ns: int


class Halt(msgspec.Struct, frozen=True, gc=False):
    """The kill switch was set, or (`NOT`) released; the flag that outlives us was set before."""

    level: Halted
    reason: str = ""


class Adopt(msgspec.Struct, frozen=True, gc=False):
    """Take a foreign order over, as the wish `intent_id`."""

    exchange_order_id: str
    intent_id: str
    metadata: dict[str, str]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """An operator's word on an order that nobody could prove anything about: it never existed."""

    client_order_id: str
    reason: str


class AcceptDrift(msgspec.Struct, frozen=True, gc=False):
    """An operator's word on a difference of positions: it is to be reckoned with from now on."""

    symbol: str
    reason: str


class Trust(msgspec.Struct, frozen=True, gc=False):
    """An operator has looked at what was found on the exchange: orders may be placed again."""


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time has passed."""


Event = (
    Boot
    | Admit
    | AdmitGroup
    | Modify
    | CancelIntents
    | Observed
    | Quoted
    | Force
    | Resync
    | ClockBound
    | Halt
    | Adopt
    | Verdict
    | AcceptDrift
    | Trust
    | Tick
)

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
