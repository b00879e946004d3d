"""Which orders an exchange is asked for at all: our own table, not its library's.

Libraries turn an order that they do not know into another one that they do: a trailing stop into an
immediate market order, a price on a market order into an amount to spend.  What the manifest does not
name is refused here, before any library sees it.
"""

from quantcli.errors import ValidationError
from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.venues.manifest import Manifest

_LIMITLESS = frozenset({OrderType.MARKET, OrderType.STOP_MARKET})
_STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})


def check_order(order: StandardOrder, manifest: Manifest) -> None:
    """Raise `ValidationError` for an order that the exchange is not asked for, or that lacks or has too many
    of its terms.

    An order good till a date is asked for everywhere: where the exchange does not end it, the kernel does.
    """
    where = f"{manifest.exchange} {manifest.market}"
    kind, lifetime = order.type.name.lower(), order.time_in_force.name
    if not manifest.orders.has_type(order.type):
        raise ValidationError(
            f"no {kind} orders on {where}", todo=f"choose one of {', '.join(manifest.orders.types)}"
        )
    ends_by_us = order.time_in_force is TimeInForce.GTD and not manifest.contract.expires
    if not ends_by_us and not manifest.orders.has_time_in_force(order.time_in_force):
        raise ValidationError(f"no {lifetime} orders on {where}", todo="place it good till cancelled")
    if order.reduce_only and not manifest.orders.reduce_only:
        raise ValidationError(
            f"no reduce-only orders on {where}",
            why="there is no position to reduce, only balances",
            todo="leave reduce_only out",
        )
    _check_prices(order, kind)


def _check_prices(order: StandardOrder, kind: str) -> None:
    if not order.quantity.is_finite() or order.quantity <= 0:
        raise ValidationError(f"an order over {order.quantity} is none")
    wants = {
        "price": (order.price, order.type not in _LIMITLESS),
        "stop_price": (order.stop_price, order.type in _STOPS),
    }
    for name, (value, is_wanted) in wants.items():
        if is_wanted and (value is None or not value.is_finite() or value <= 0):
            raise ValidationError(f"a {kind} order needs a {name}")
        if not is_wanted and value is not None:
            raise ValidationError(
                f"a {kind} order has no {name}",
                why="some exchanges read a price on it as an amount to spend",
                todo=f"leave {name} out",
            )
    if order.expire_ns is not None and order.time_in_force is not TimeInForce.GTD:
        raise ValidationError("only an order good till a date has a date")
