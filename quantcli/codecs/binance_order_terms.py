"""Binance's words for kinds of orders, lifetimes and statuses, and ours.

    order_type(order) -> ("STOP_LOSS_LIMIT", "GTC")     what to send
    kind_of(…), terms(…), status_of(…)                  what was shown

Knows nothing of messages.
"""

from decimal import Decimal

from quantcli.errors import ValidationError
from quantcli.model.instrument import Side, canonical
from quantcli.model.order import OrderStatus, OrderType, StandardOrder, TimeInForce

_ZERO = Decimal(0)

# rest-api.md, Order types: which of them want a timeInForce.
_TO_WIRE: dict[OrderType, tuple[str, str | None]] = {
    OrderType.LIMIT: ("LIMIT", "GTC"),
    OrderType.IMMEDIATE_OR_CANCEL: ("LIMIT", "IOC"),
    OrderType.FILL_OR_KILL: ("LIMIT", "FOK"),
    OrderType.LIMIT_MAKER: ("LIMIT_MAKER", None),
    OrderType.MARKET: ("MARKET", None),
    OrderType.STOP_LIMIT: ("STOP_LOSS_LIMIT", "GTC"),
    OrderType.STOP_MARKET: ("STOP_LOSS", None),
}
_CHOOSES_LIFETIME = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})
_LIMITLESS = frozenset({OrderType.MARKET, OrderType.STOP_MARKET})

_BY_LIFETIME = {
    "IOC": OrderType.IMMEDIATE_OR_CANCEL,
    "FOK": OrderType.FILL_OR_KILL,
    "GTX": OrderType.LIMIT_MAKER,
}
_KINDS = {
    "LIMIT_MAKER": OrderType.LIMIT_MAKER,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
}
# Of these our terms say everything; take-profit and trailing orders are triggered in other ways.
_EXPRESSIBLE = frozenset({"LIMIT", *_KINDS})

# rest-api.md, ENUM definitions, Order status.  Neither PENDING_NEW (waits for another order of its list) nor
# PENDING_CANCEL is an end.
_STATUSES = {
    "NEW": OrderStatus.NEW,
    "PENDING_NEW": OrderStatus.NEW,
    "PENDING_CANCEL": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


def plain(number: Decimal) -> Decimal:
    """The same number without the trailing zeros that Binance writes."""
    return Decimal(canonical(number))


def order_type(order: StandardOrder) -> tuple[str, str | None]:
    """`type` and `timeInForce` of an order to be placed; the second is `None` where none is sent.

    Raises `ValidationError` for a lifetime that spot orders do not have.
    """
    kind, lifetime = _TO_WIRE[order.type]
    if order.type in _CHOOSES_LIFETIME:
        lifetime = order.time_in_force.name
    if order.time_in_force is TimeInForce.GTD:
        raise ValidationError(
            "Binance's spot market has no orders good till a date",
            todo="place it good till cancelled, and cancel it then",
        )
    return kind, lifetime


def kind_of(wire: str, lifetime: str, price: Decimal | None, stop_price: Decimal | None) -> OrderType:
    """Our kind of an order by its `type` and `timeInForce`.

    Total: a type that we do not have (TAKE_PROFIT, one invented later) is what its prices make it, a stop or
    not, with a limit or without.
    """
    if wire == "LIMIT":
        return _BY_LIFETIME.get(lifetime, OrderType.LIMIT)
    if wire in _KINDS:
        return _KINDS[wire]
    if price:
        return OrderType.STOP_LIMIT if stop_price else OrderType.LIMIT
    return OrderType.STOP_MARKET if stop_price else OrderType.MARKET


def terms(
    symbol: str,
    side: str,
    wire: str,
    lifetime: str,
    quantity: Decimal | None,
    price: Decimal | None,
    stop_price: Decimal | None,
    trails: bool,
) -> StandardOrder | None:
    """An order's terms; `None` if a part of them was not shown, or ours cannot express them."""
    kind = kind_of(wire, lifetime, price, stop_price)
    has_limit, has_stop = kind not in _LIMITLESS, kind in _STOPS
    is_whole = quantity and (price or not has_limit) and (stop_price or not has_stop)
    if not is_whole or wire not in _EXPRESSIBLE or lifetime == "GTD" or trails or quantity is None:
        return None
    return StandardOrder(
        symbol,
        Side[side],
        kind,
        plain(quantity),
        plain(price) if has_limit and price else None,
        plain(stop_price) if has_stop and stop_price else None,
        TimeInForce[lifetime]
        if lifetime in ("IOC", "FOK") and kind is not OrderType.MARKET
        else TimeInForce.GTC,
    )


def status_of(wire: str, executed: Decimal) -> OrderStatus:
    """Our status of an order; what is not known is UNKNOWN, never an end.

    An order that was cancelled with a part of it filled is PARTIALLY_CANCELED.
    """
    status = _STATUSES.get(wire, OrderStatus.UNKNOWN)
    if executed > _ZERO and status is OrderStatus.NEW:
        return OrderStatus.PARTIALLY_FILLED
    if executed > _ZERO and status is OrderStatus.CANCELED:
        return OrderStatus.PARTIALLY_CANCELED
    return status
