"""What a finished run hands over to be reported: plain data, counted by others.

Knows nothing of how the run was made, and computes nothing.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quantcli.model.account import Position
from quantcli.model.instrument import Side
from quantcli.model.order import Fill, OrderStatus, OrderType


class OrderRow(msgspec.Struct, frozen=True):
    """One placement, from wish to end.  Times are local; `None` for what never happened.

    `acked_ns` is when the exchange first answered, be it with a refusal; `cancel_ns` when we last asked it to
    cancel; `ended_ns` when we learned that nothing can trade any more.
    """

    intent_id: str
    client_order_id: str
    slot: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    price: Decimal | None
    placed_ns: int
    acked_ns: int | None
    cancel_ns: int | None
    ended_ns: int | None
    status: OrderStatus
    filled: Decimal
    reason: str


class OrderCounts(msgspec.Struct, frozen=True):
    """How orders fared.

    `created` counts placements, `replaced` those among them that took another's place under new terms,
    `cancelled` wishes that ended so, `rejected` refusals by the exchange and by our own risk checks,
    `unknown` outcomes that were ambiguous for a time.
    """

    created: int = 0
    replaced: int = 0
    cancelled: int = 0
    rejected: int = 0
    unknown: int = 0


class Settings(msgspec.Struct, frozen=True):
    """What the imagined exchange was told: latency, fee rates (fractions), queue model."""

    latency_ms: float
    maker_fee: Decimal
    taker_fee: Decimal
    queue: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a run when it ends.  Money in `currency`.

    `strategy` is its label (`file.py:Class`), the two digests identify its source and the recording.
    `sample_ns`, `equity` and `exposure` run in parallel; exposure is the value of all positions, signless.
    `start_positions` are holdings the account began with.  `end_equity_by_queue` holds the result under
    other queue models, where they were run; `waiting` says of slots that could not act at the end why not.
    `violated` names broken invariants, out of `checked`.
    """

    strategy: str
    strategy_digest: str
    recording_digest: str
    exchange: str
    symbols: Sequence[str]
    params: Mapping[str, Any]
    seed: int
    settings: Settings
    from_ns: int
    to_ns: int
    events: int
    currency: str
    start_equity: Decimal
    end_equity: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    positions: Sequence[Position]
    fills: Sequence[Fill]
    order_rows: Sequence[OrderRow]
    orders: OrderCounts
    rejected_by_code: Mapping[str, int]
    sample_ns: Sequence[int]
    equity: Sequence[float]
    exposure: Sequence[float]
    markout_bps: Mapping[str, float | None]
    checked: int
    violated: Sequence[str]
    trace_hash: str
    wall_s: float
    start_positions: Sequence[Position] = ()
    end_equity_by_queue: Mapping[str, Decimal] = {}
    waiting: Mapping[str, str] = {}
