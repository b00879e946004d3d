"""An account that goes on where another left off: open orders take their seats, balances are what they were.

The books have been written before.  Knows nothing of files.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import inf

import msgspec

from quantcli.model.order import AttemptState, OrderState, OrderStatus, StandardOrder
from quantcli.sandbox.engine import Engine
from quantcli.sandbox.order_records import OrderRecord
from quantcli.simulation.orders import LiveOrder


class Seat(msgspec.Struct, frozen=True):
    """An open order's place: `queue` is what is ahead of it, `None` for all there may be; `sibling` is the
    other order of its list while neither was executed (0: none)."""

    order_id: int
    armed: bool
    queue: float | None
    sibling: int


def revive(engine: Engine, totals: Mapping[str, Decimal], seats: Sequence[Seat]) -> None:
    """Give an engine without orders these balances (free and locked together) and open orders, which stand in
    the order of their queues."""
    for balance in engine.account.balances():
        engine.account.transfer(balance.asset, -balance.total)
    for asset, total in totals.items():
        engine.account.transfer(asset, total)
    orders = {seat.order_id: _seat(engine, seat) for seat in seats}
    for seat in seats:
        if seat.sibling > seat.order_id:
            _link(engine, orders[seat.order_id], orders[seat.sibling])


def _seat(engine: Engine, seat: Seat) -> LiveOrder:
    record = engine.ledger.order(seat.order_id)
    assert record is not None
    working = engine.working
    working.adopt(_state(record, engine.terms_of(record)), engine.ledger.fills_of_order(seat.order_id))
    order = working.open[record.client_order_id]
    order.queue = inf if seat.queue is None else seat.queue
    if order.armed is not seat.armed:
        own = working.own[record.symbol]
        own.discard(order)
        order.armed = seat.armed
        own.add(order)
    engine.live[seat.order_id] = order
    return order


def _state(record: OrderRecord, terms: StandardOrder) -> OrderState:
    return OrderState(
        intent_id="",
        attempt=1,
        client_order_id=record.client_order_id,
        order=terms,
        generation=1,
        prepared_ns=record.created_ns,
        state=AttemptState.LIVE,
        status=OrderStatus[record.status],
        exchange_order_id=str(record.order_id),
        filled=record.filled,
        venue_ns=record.updated_ns,
    )


def _link(engine: Engine, one: LiveOrder, other: LiveOrder) -> None:
    """Two orders are a list again, and hold what the dearer of them needs."""
    for order in (one, other):
        engine.account.release(order)
    one.sibling, other.sibling = other, one
    engine.account.hold_once(one, other)
