"""From what an exchange lists to our structs, and back: orders, trades, and the attempts that stand for them.

Conversions only; they know nothing of what follows.
"""

from decimal import Decimal

from quantcli.model.message import Observation
from quantcli.model.order import AttemptState, Fill, Order, OrderState, OrderStatus, StandardOrder

_ZERO = Decimal(0)


def terms_of(order: Order) -> StandardOrder:
    """The terms of an order that an exchange lists."""
    return StandardOrder(
        order.symbol, order.side, order.type, order.quantity, order.price, stop_price=order.stop_price
    )


def seated(order: Order, intent_id: str, number: int, now_ns: int) -> OrderState:
    """The attempt that stands for an order which the exchange lists and we have no row of."""
    return OrderState(
        intent_id,
        number,
        order.client_order_id or f"exchange:{order.exchange_order_id}",
        terms_of(order),
        1,
        now_ns,
        AttemptState.LIVE,
        order.status,
        order.exchange_order_id,
        order.filled,
        Decimal(0),
        last_sync_at=now_ns,
        venue_ns=order.updated_ns,
    )


def traded(client_id: str, fill: Fill, order: StandardOrder | None = None) -> Observation:
    """What an execution alone says of its order."""
    status, exchange_id = OrderStatus.UNKNOWN, fill.exchange_order_id
    return Observation(client_id, exchange_id, status, _ZERO, fill.exchange_ns, (fill,), order=order)


def listed(report: Observation) -> Order:
    """An observed order as an exchange would list it; its terms must have been shown."""
    terms = report.order
    assert terms is not None
    return Order(
        terms.symbol,
        report.client_order_id,
        report.exchange_order_id,
        terms.side,
        terms.type,
        report.status,
        terms.quantity,
        report.filled,
        terms.price,
        terms.stop_price,
        report.venue_ns,
        report.venue_ns,
    )
