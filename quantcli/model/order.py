"""Orders: what was wished for (intents), what was tried (order states), what came of it (fills).

    StandardOrder   the terms of an order                     immutable
    OrderIntent     the durable wish: an order that should exist, and how far it has come
    OrderGroup      wishes that bear on each other: one cancels the other, one begets the others
    OrderState      one attempt to make the exchange agree: one placement under one client order id
    Fill            one execution; never changed, never inferred

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
    """How the orders of a group share one quantity.

    NATIVE             the exchange links them itself (an order list)
    ONE_LIVE           only one of them is on the exchange at a time: together they never overfill
    REDUCE_ON_PARTIAL  all are there, and each fill makes the others smaller by as much
    CANCEL_ON_FILL     all are there, and the first fill of any size cancels the others
    """

    NATIVE = "native"
    ONE_LIVE = "one_live"
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

    @property
    def is_wanted(self) -> bool:
        """Neither settled nor being cancelled."""
        return self in _WANTED


_WANTED = frozenset({IntentPhase.PENDING, IntentPhase.ACTIVE})
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
    HELD_BACK = "HeldBack"  # its group does not want it on the exchange now
    SYNCING = "Syncing"  # the exchange's statement of this market has not been seen since the start
    HALTED = "Halted"  # the kill switch, or what was found on the exchange, forbids new orders
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
    """Orders that share one quantity: one cancels, or shrinks, the others (OCO).

    With an `entry` they are its exits (OTO; with a stop and a target, a bracket): held back until it
    fills, and for as much as it has filled, whatever quantity they name.  With a `trail` the first order, a
    stop, follows the market at this distance (quote currency) and never moves back.
    """

    orders: tuple[StandardOrder, ...]
    mode: OcoMode = OcoMode.REDUCE_ON_PARTIAL
    entry: StandardOrder | None = None
    trail: Decimal | None = None


class OrderGroup(msgspec.Struct, frozen=True):
    """A group as it is remembered; members are intent ids.

    `quantity` is shared by the `legs`; it is 0 in a group with an `entry`, whose fills count instead.
    `best` is the best price seen since the entry first filled, for a stop that trails by `trail`.
    `live_leg` is the one that ONE_LIVE wants on the exchange.
    """

    group_id: str
    mode: OcoMode
    quantity: Decimal
    legs: tuple[str, ...]
    entry: str = ""
    trail: Decimal | None = None
    best: Decimal | None = None
    live_leg: str = ""


class OrderIntent(msgspec.Struct, frozen=True, gc=False):
    """A durable wish.  `generation` counts its modifications; `reason` says why it ended or waits.

    `metadata` is the caller's own (strategy, slot, …) and comes back with every event.  `request_id` is the
    caller's too: asked again under the same one, the kernel answers with the intent that is there.  A
    wish that is `held` lives, but its group wants it off the exchange for now; one that is `protective`
    closes a position, and no halt short of flattening keeps it from doing so.
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
    request_id: str = ""
    held: bool = False
    protective: bool = False


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What speaks for an order not being on the exchange; each time is ours, and 0 means: not yet.

    `fenced_ns` (E1)   when its placement could no longer be executed
    `probed_ns` (E2)   when the exchange, asked after that to cancel it, said that it knew no such order
    `…_absent_ns` (E3) look-ups asked since that did not find it: when the first was heard, the last asked
    `…_agreed_ns` (E3) statements asked since in which every trade was known and the position was ours to the
                       last unit: when the first was heard, the last asked
    """

    fenced_ns: int = 0
    probed_ns: int = 0
    first_absent_ns: int = 0
    last_absent_ns: int = 0
    first_agreed_ns: int = 0
    last_agreed_ns: int = 0


class Amendment(msgspec.Struct, frozen=True, gc=False):
    """New terms for a working order, on their way: the `number`-th of this order, for `generation`.

    `order.quantity` is the new total of this order, what it has filled included.  `refused` says why the
    exchange would not have them; empty while that is open.
    """

    number: int
    order: StandardOrder
    generation: int
    deadline_ns: int
    refused: str = ""


class OrderState(msgspec.Struct, frozen=True, gc=False):
    """One attempt to satisfy an intent: what was sent, and what is known to have become of it.

    `order` holds the terms as sent, or as the exchange has shown since that it amended them.  `filled` is
    the exchange's cumulative quantity, `fills_qty` the sum of the fills we hold: the gap between them is
    derived, never filled in by guessing.
    `venue_ns` is the exchange's time of the newest observation; `cancel_sent_ns` and `lookup_sent_ns`
    are when we last asked (0: never); `deadline_ns` is when the placement can no longer execute.
    `terms_ns` is the exchange's time of the terms in `order` (0: as sent).  `sends` counts how often the
    placement was sent, `amends` how many amendments were.  An attempt that was closed and came back is
    `reopened`: its order is not wanted any more, and another may be open beside it.
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
    terms_ns: int = 0
    sends: int = 1
    amends: int = 0
    reopened: bool = False
    amendment: Amendment | None = None
    evidence: Evidence | None = None


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
