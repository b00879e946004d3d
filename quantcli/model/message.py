"""What passes between the kernel and an exchange: requests out, reports back.

    Request   place, place linked orders, amend, cancel, look up, survey
    Report    observation, refusal, silence, absence, statement, correction

Whatever comes of a request, silence included, comes back as a report.  Structs without behaviour.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from quantcli.model.order import Fill, Order, OrderStatus, StandardOrder

# What the kernel asks of an exchange.  `asked_ns` is our clock; whoever answers repeats it.


class Place(msgspec.Struct, frozen=True, gc=False):
    """Place `order` under `client_order_id`; worthless after `deadline_ns`."""

    client_order_id: str
    order: StandardOrder
    deadline_ns: int


class PlaceList(msgspec.Struct, frozen=True):
    """Place orders that the exchange itself links, all or none; answered order by order."""

    places: tuple[Place, ...]


class Amend(msgspec.Struct, frozen=True, gc=False):
    """Give a working order the price and total quantity of `order`; worthless after `deadline_ns`."""

    client_order_id: str
    order: StandardOrder
    number: int
    deadline_ns: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Cancel by client order id."""

    client_order_id: str
    symbol: str
    asked_ns: int = 0


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """Ask for status and fills of one order."""

    client_order_id: str
    symbol: str
    asked_ns: int = 0


class Survey(msgspec.Struct, frozen=True, gc=False):
    """Ask for everything about one market: open orders, trades since `since_ns`, position."""

    symbol: str
    since_ns: int
    asked_ns: int


Request = Place | PlaceList | Amend | Cancel | Lookup | Survey

# What comes back.


class Asked(StrEnum):
    """Which request an answer is to."""

    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"
    LOOKUP = "lookup"


class Refused(StrEnum):
    """What a refusal means; each exchange's codes are told apart in its manifest.

    FINAL          this request will never be accepted
    BUSY           not accepted, but may be if asked again later (overload, order rate, a deadline passed)
    EXISTS         a placement: an order of this client order id is there
    UNKNOWN_ORDER  a cancel or an amendment: no such open order, ended or never been
    """

    FINAL = "final"
    BUSY = "busy"
    EXISTS = "exists"
    UNKNOWN_ORDER = "unknown_order"


class Observation(msgspec.Struct, frozen=True, gc=False):
    """The exchange showed the order: its status, cumulative filled quantity, and perhaps fills.

    `order` has the terms in force at `venue_ns`, if they were shown.
    """

    client_order_id: str
    exchange_order_id: str
    status: OrderStatus
    filled: Decimal
    venue_ns: int
    fills: tuple[Fill, ...] = ()
    reason: str = ""
    order: StandardOrder | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """The exchange definitively refused this very request.

    `request` is an `Asked`, `number` that of an amendment.
    """

    client_order_id: str
    request: str
    code: int | str
    message: str
    kind: Refused = Refused.FINAL
    asked_ns: int = 0
    number: int = 0


class Silence(msgspec.Struct, frozen=True, gc=False):
    """No usable answer: time-out, reset, 5xx, unknown code.  `sent` is False only if provably no
    byte left this machine."""

    client_order_id: str
    request: str
    reason: str
    sent: bool = True
    number: int = 0


class Absence(msgspec.Struct, frozen=True, gc=False):
    """A look-up did not find the order.  Weak evidence: never ends an order by itself."""

    client_order_id: str
    venue_ns: int
    asked_ns: int = 0


class Statement(msgspec.Struct, frozen=True):
    """The exchange's account of one market, asked for at `asked_ns`.

    `orders` are all open orders of the account, `fills` all trades since `since_ns`, whoever's they are;
    trades of orders whose client order id the exchange does not repeat have an empty one.  `position` is
    signed, in base units: of a spot market the whole balance of the base asset, locked parts included;
    `None` where the exchange does not say.
    """

    symbol: str
    asked_ns: int
    since_ns: int
    venue_ns: int
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    position: Decimal | None


class Correction(msgspec.Struct, frozen=True, gc=False):
    """The position moved by `delta` (base units) without a trade: a bust, a transfer, funding in kind.

    Identity: (`symbol`, `cause`, `cause_id`).
    """

    symbol: str
    cause: str
    cause_id: str
    delta: Decimal
    venue_ns: int


Report = Observation | Refusal | Silence | Absence | Statement | Correction
