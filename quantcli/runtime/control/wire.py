"""What travels between a running bot and those who watch or steer it; also what listings print as JSON.

    GET  /v1/status /v1/orders /v1/orders/ID /v1/positions /v1/fills /v1/events /v1/health /v1/book
    POST /v1/do/VERB     an operator's word, known by its `request_id`
    GET  /v1/watch       a WebSocket: `Frame`s out, `Look`s in

Structs without behaviour.  Fields are only ever added.  Quantities and money are exact (`Decimal`, text in
JSON); market data are floats; times are nanoseconds since the epoch, UTC.  Light to import: the listings and
the terminal screen stand on it, and know nothing else of a running bot.
"""

from decimal import Decimal
from typing import Any

import msgspec

# Frames come at most so often.
FRAMES_PER_S = 4


class Status(msgspec.Struct, frozen=True):
    """How a bot is.

    `world` is LIVE, TESTNET (live, but at an endpoint of somebody's choice), PAPER, or REPLAY (on paper,
    from a recording).  `state` is starting, trading, stopping, stuck (the strategy does not return: `why`
    says where) or failed (the kernel has stopped for good: `why` says what of).  `now_ns` is the bot's
    own clock, which may be a recording's.  `halt_level` is a name of `store.halt.KillLevel`.  `marks`
    counts open orders by the character of their row.  `swept_ns` is when the exchange last confirmed a
    statement of orders and position. `start_equity` is what the account was worth when the bot first
    began, in `currency`."""

    bot: str
    pid: int
    exchange: str
    endpoint: str
    world: str
    strategy: str
    symbols: tuple[str, ...]
    started_ns: int
    now_ns: int
    state: str
    why: str = ""
    halt_level: str = "NONE"
    halt_reason: str = ""
    marks: dict[str, int] = {}
    open_orders: int = 0
    swept_ns: int = 0
    feed_age_ms: float | None = None
    rate_used: float | None = None
    currency: str = ""
    equity: Decimal | None = None
    start_equity: Decimal | None = None
    exposure: Decimal | None = None
    findings: tuple[str, ...] = ()
    reconciliation_lag_ms: float = 0.0
    pending_reconciliations: int = 0
    error_count: int = 0
    retry_count: int = 0
    project: str = ""
    log: str = ""
    version: str = ""


class OrderItem(msgspec.Struct, frozen=True):
    """One wish beside what the exchange has; or, with an empty `intent_id`, an order that is nobody's wish.

    `mark` and `drift` are the row's character and words (`rows.MARKS`).  `qty` is the wish's
    whole quantity, `filled` what has traded of it, `want_qty` what of it the order that works now was placed
    for (all but what earlier ones have filled).  `have_…` is what is left of that order on the exchange:
    `None` where there is none, and `have_state` says then what became of it ("filled", "outcome unknown", …).
    `slot_status` is what the slot waits for, if it does.  `generation` counts the wish's changes,
    `seen_generation` is the one the exchange was last asked for.
    """

    intent_id: str
    client_order_id: str | None
    exchange_order_id: str | None
    symbol: str
    side: str
    type: str
    slot: str
    phase: str
    status: str
    qty: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    filled: Decimal
    condition: str
    drift: str
    reason: str
    created_ns: int
    updated_ns: int
    mark: str = "="
    have_qty: Decimal | None = None
    have_price: Decimal | None = None
    have_state: str = ""
    slot_status: str = ""
    generation: int = 1
    seen_generation: int = 0
    protective: bool = False
    want_qty: Decimal | None = None


class Happened(msgspec.Struct, frozen=True):
    """Something written down about an order: when, at which attempt (0: none), one word, and more words."""

    at_ns: int
    attempt: int
    what: str
    detail: str


class Next(msgspec.Struct, frozen=True):
    """Something the kernel does next, and why."""

    action: str
    why: str


class FillItem(msgspec.Struct, frozen=True):
    """One execution, as the exchange reported it."""

    trade_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    exchange_ns: int
    client_order_id: str
    exchange_order_id: str
    intent_id: str = ""


class Story(msgspec.Struct, frozen=True):
    """One order's whole story: what is wanted, what was tried, what happened, what comes next."""

    order: OrderItem
    means: str
    metadata: dict[str, str]
    attempts: tuple[dict[str, Any], ...]
    fills: tuple[FillItem, ...]
    journal: tuple[Happened, ...]
    next: tuple[Next, ...]
    look_again_at_ns: int | None = None


class PositionItem(msgspec.Struct, frozen=True):
    """A holding; money is in `currency`.  `fees` paid in other assets are in `other_fees`, by asset.

    `mark` and `unrealised` are `None` where no price is known.  `drift` is what the exchange holds more
    than our books say, 0 where they agree."""

    symbol: str
    side: str
    qty: Decimal
    avg_price: Decimal
    realised: Decimal
    fees: Decimal
    other_fees: dict[str, Decimal]
    currency: str
    updated_ns: int
    mark: Decimal | None = None
    unrealised: Decimal | None = None
    drift: Decimal = Decimal(0)


class WalletItem(msgspec.Struct, frozen=True):
    """An asset by our books; `differs` is what the exchange says more (or less) than `total`, `None` if
    it has not said."""

    asset: str
    free: Decimal
    locked: Decimal
    total: Decimal
    differs: Decimal | None = None


class EventItem(msgspec.Struct, frozen=True):
    """Something that happened.  `level` is info, warn or error; `kind` one word; `text` a line for people.

    `why`, `effect` and `todo` are set where somebody should care.  `number` counts up from 1 in one run.
    """

    number: int
    at_ns: int
    level: str
    kind: str
    symbol: str
    text: str
    intent_id: str = ""
    why: str = ""
    effect: str = ""
    todo: str = ""


class Print(msgspec.Struct, frozen=True):
    """A trade of the market; `is_ours` if one of our fills is in it."""

    at_ns: int
    side: str
    size: float
    price: float
    is_ours: bool = False


class BookView(msgspec.Struct, frozen=True):
    """One market: `bids` and `asks` are (price, size), best first; `is_synced`: the book is in step."""

    symbol: str
    tick: Decimal
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    prints: tuple[Print, ...]
    is_synced: bool
    seen_ns: int = 0


class Latency(msgspec.Struct, frozen=True):
    """How long something took in the last 15 minutes, in ms; `recent` has the worst of each second of the
    last minute, oldest first, -1 where there was nothing.  `total` and `sum_ms` are of all since the
    start."""

    name: str
    count: int
    p50: float
    p95: float
    p99: float
    worst: float
    recent: tuple[float, ...] = ()
    total: int = 0
    sum_ms: float = 0.0


class BudgetLine(msgspec.Struct, frozen=True):
    """A request limit of the exchange: `used` of `limit` in the present window, which ends in `reset_s`;
    `waiting` requests are held back for it."""

    kind: str
    used: int
    limit: int
    per_s: float
    reset_s: float
    waiting: int = 0


class LinkLine(msgspec.Struct, frozen=True):
    """A connection: `state` is ok, down or unknown, since `since_ns`; how often it dropped, and why last."""

    name: str
    state: str
    since_ns: int
    drops: int
    reason: str = ""


class Health(msgspec.Struct, frozen=True):
    """Figures of the machinery.  `rss_mb` and `cpu_share` are the process's, `loop_lag_ms` how late its
    loop is."""

    latencies: tuple[Latency, ...]
    budgets: tuple[BudgetLine, ...]
    links: tuple[LinkLine, ...]
    checks: dict[str, int] = {}
    rss_mb: float = 0.0
    cpu_share: float = 0.0
    loop_lag_ms: float = 0.0
    database_mb: float = 0.0
    strategy_errors: int = 0
    problems: tuple[str, ...] = ()


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has changed since the frame before; `None` means: as it was.  `events` are only the new ones."""

    status: Status | None = None
    orders: tuple[OrderItem, ...] | None = None
    positions: tuple[PositionItem, ...] | None = None
    wallet: tuple[WalletItem, ...] | None = None
    equity: tuple[tuple[int, Decimal], ...] | None = None  # (when, worth) of the last hours
    book: BookView | None = None
    events: tuple[EventItem, ...] | None = None
    health: Health | None = None
    story: Story | None = None


class Look(msgspec.Struct, frozen=True):
    """What a watcher wants to see besides: one market's book, one order's story."""

    book: str = ""
    story: str = ""


class Word(msgspec.Struct, frozen=True):
    """What an operator wants done.  Sent again under the same `request_id` it is not done again.

    verb          words
    halt          level (HALT_NEW, CANCEL_ALL, FLATTEN), reason
    resume
    stop          nothing: as Ctrl-C
    reconcile
    cancel        order: an intent id, or an exchange's id of an order that is nobody's wish
    adopt         order: an exchange's id; slot (may be empty)
    pause, unpause   symbol, slot
    flatten       symbol: cancels what rests there and closes the position at the market
    trust         go on after what was found on the exchange was looked at
    accept_drift  symbol, reason
    declare_dead  order: a client order id; reason
    """

    request_id: str
    words: dict[str, str] = {}


class Done(msgspec.Struct, frozen=True):
    """What came of a word: a line for people, and what it was about (intent ids, symbols)."""

    what: str
    items: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """An error, as users are shown it."""

    what: str
    why: str = ""
    todo: str = ""
    help_id: str = ""
    exit_code: int = 1


class OrderList(msgspec.Struct, frozen=True):
    """Answer of /v1/orders."""

    as_of_ns: int
    items: tuple[OrderItem, ...]


class PositionList(msgspec.Struct, frozen=True):
    """Answer of /v1/positions."""

    as_of_ns: int
    items: tuple[PositionItem, ...]
    wallet: tuple[WalletItem, ...] = ()


class FillList(msgspec.Struct, frozen=True):
    """Answer of /v1/fills, newest first; `total` is how many there are in all."""

    as_of_ns: int
    items: tuple[FillItem, ...]
    total: int = 0


class EventList(msgspec.Struct, frozen=True):
    """Answer of /v1/events, oldest first."""

    as_of_ns: int
    items: tuple[EventItem, ...]
