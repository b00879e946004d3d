"""Orders: what was wished for (intents), what was tried (order states), what came back (reports).

    StandardOrder   the terms of an order                     immutable
    OrderIntent     the durable wish: an order that should exist, and how far it has come
    OrderState      one attempt to make the exchange agree: one placement under one client order id
    Fill            one execution; never changed, never inferred
    Request         what the kernel asks of an exchange       (place, cancel, look up)
    Report          what comes back, silence included         (observation, refusal, silence, absence)

Structs without behaviour; they refer to nothing that could refer back, so the garbage collector need not
follow them.  Which state follows which report is `kernel.lifecycle`'s business.
"""

from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec

from quantcli.model.instrument import Side


class OrderType(IntEnum):
    """Kinds of orders.  LIMIT_MAKER is post-only."""

    LIMIT = 1
    MARKET = 2
    LIMIT_MAKER = 3
    IMMEDIATE_OR_CANCEL = 4
    FILL_OR_KILL = 5
    STOP_LIMIT = 6
    STOP_MARKET = 7


class TimeInForce(IntEnum):
    """How long an order stays: till cancelled, not at all, all or nothing, till a date."""

    GTC = 1
    IOC = 2
    FOK = 3
    GTD = 4


class OrderStatus(IntEnum):
    """Status of an order as the exchange shows it; UNKNOWN while it has shown nothing."""

    UNKNOWN = -1
    NEW = 1
    FILLED = 2
    PARTIALLY_FILLED = 3
    CANCELED = 4
    PARTIALLY_CANCELED = 5
    EXPIRED = 6
    REJECTED = 7

    @property
    def is_terminal(self) -> bool:
        """Nothing can happen to the order any more, late fills aside."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.PARTIALLY_CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
    }
)


class OcoMode(StrEnum):
    """What a fill of one order of a group does to the others (reliability: OCO with partial fills)."""

    REDUCE_ON_PARTIAL = "reduce_on_partial"
    CANCEL_ON_FILL = "cancel_on_fill"


class IntentPhase(StrEnum):
    """How far a wish has come."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    SATISFIED = "SATISFIED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        """The wish is settled; nothing will be placed for it again."""
        return self in _SETTLED


_SETTLED = frozenset({IntentPhase.SATISFIED, IntentPhase.CANCELED, IntentPhase.EXPIRED, IntentPhase.FAILED})


class AttemptState(StrEnum):
    """State of one placement; DONE and DEAD are closed."""

    PREPARED = "PREPARED"  # durable; may or may not have been sent
    AMBIGUOUS = "AMBIGUOUS"  # sent, or perhaps sent, and nobody knows
    LIVE = "LIVE"  # seen working on the exchange
    CLOSING = "CLOSING"  # ended on the exchange, fills still missing
    DONE = "DONE"  # ended, every fill known
    DEAD = "DEAD"  # proved never to have existed

    @property
    def is_closed(self) -> bool:
        """No order of this attempt can still trade."""
        return self in _CLOSED


_CLOSED = frozenset({AttemptState.DONE, AttemptState.DEAD})


class ReconciliationStatus(StrEnum):
    """Why wish and exchange differ, or that they do not."""

    IN_SYNC = "InSync"
    AWAITING_VENUE = "AwaitingVenue"
    UNCERTAIN = "Uncertain"
    FILLS_PENDING = "FillsPending"
    RISK_BLOCKED = "RiskBlocked"
    DRIFT = "Drift"
    NEEDS_OPERATOR = "NeedsOperator"


class StandardOrder(msgspec.Struct, frozen=True, gc=False):
    """The terms of an order.  `quantity` in base units, prices in quote currency, all exact.

    `price` is needed by every type with a limit, `stop_price` by the two stop types, `expire_ns`
    (UTC) by GTD.
    """

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    expire_ns: int | None = None


class StandardOrderGroup(msgspec.Struct, frozen=True):
    """Orders that share one quantity: one cancels, or shrinks, the others (OCO)."""

    orders: tuple[StandardOrder, ...]
    mode: OcoMode = OcoMode.REDUCE_ON_PARTIAL


class OrderIntent(msgspec.Struct, frozen=True, gc=False):
    """A durable wish.  `generation` counts its modifications; `reason` says why it ended or waits.

    `metadata` is the caller's own (strategy, slot, …) and comes back with every event.
    """

    intent_id: str
    order: StandardOrder
    created_ns: int
    group_id: str | None = None
    metadata: dict[str, str] = {}
    phase: IntentPhase = IntentPhase.PENDING
    generation: int = 1
    reason: str = ""
    updated_ns: int = 0


class OrderState(msgspec.Struct, frozen=True, gc=False):
    """One attempt to satisfy an intent: what was sent, and what is known to have become of it.

    `order` holds the terms as sent.  `filled` is the exchange's cumulative quantity, `fills_qty` the
    sum of the fills we hold: the gap between them is derived, never filled in by guessing.
    `venue_ns` is the exchange's time of the newest observation; `cancel_sent_ns` and `lookup_sent_ns`
    are when we last asked (0: never); `deadline_ns` is when the placement can no longer execute.
    """

    intent_id: str
    attempt: int
    client_order_id: str
    order: StandardOrder
    generation: int
    prepared_ns: int
    state: AttemptState = AttemptState.PREPARED
    status: OrderStatus = OrderStatus.UNKNOWN
    exchange_order_id: str | None = None
    filled: Decimal = Decimal(0)
    fills_qty: Decimal = Decimal(0)
    reconciliation_status: ReconciliationStatus = ReconciliationStatus.AWAITING_VENUE
    last_sync_at: int = 0
    venue_ns: int = 0
    deadline_ns: int = 0
    cancel_sent_ns: int = 0
    lookup_sent_ns: int = 0
    reason: str = ""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution, as the exchange reported it.  Identity: (`symbol`, `trade_id`)."""

    trade_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    exchange_ns: int
    client_order_id: str
    exchange_order_id: str
    intent_id: str = ""


class Working(msgspec.Struct, frozen=True, gc=False):
    """A wish that may still change a position: its terms, and how much of it the books know or await.

    `filled` is the sum of the fills we hold.  `remaining` is the most that may come on top: what is unknown
    counts in full, as does what has traded without its fills being known, and while a smaller total is on
    its way to the exchange the larger one that works there still.
    """

    intent_id: str
    order: StandardOrder
    remaining: Decimal
    filled: Decimal


class Order(msgspec.Struct, frozen=True):
    """An order as an exchange lists it."""

    symbol: str
    client_order_id: str
    exchange_order_id: str
    side: Side
    type: OrderType
    status: OrderStatus
    quantity: Decimal
    filled: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    created_ns: int
    updated_ns: int


# What the kernel asks of an exchange.


class Place(msgspec.Struct, frozen=True, gc=False):
    """Place `order` under `client_order_id`; worthless after `deadline_ns`."""

    client_order_id: str
    order: StandardOrder
    deadline_ns: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Cancel by client order id."""

    client_order_id: str
    symbol: str


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """Ask for status and fills of one order."""

    client_order_id: str
    symbol: str


Request = Place | Cancel | Lookup

# What comes back.


class Observation(msgspec.Struct, frozen=True, gc=False):
    """The exchange showed the order: its status, cumulative filled quantity, and perhaps fills."""

    client_order_id: str
    exchange_order_id: str
    status: OrderStatus
    filled: Decimal
    venue_ns: int
    fills: tuple[Fill, ...] = ()
    reason: str = ""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """The exchange definitively refused this very request; `request` is "place" or "cancel"."""

    client_order_id: str
    request: str
    code: int | str
    message: str


class Silence(msgspec.Struct, frozen=True, gc=False):
    """No usable answer: time-out, reset, 5xx, unknown code.  `sent` is False only if provably no
    byte left this machine."""

    client_order_id: str
    request: str
    reason: str
    sent: bool = True


class Absence(msgspec.Struct, frozen=True, gc=False):
    """A look-up did not find the order.  Weak evidence: never ends an order by itself."""

    client_order_id: str
    venue_ns: int


Report = Observation | Refusal | Silence | Absence
