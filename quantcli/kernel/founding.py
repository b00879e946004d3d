"""Which orders can be a group: what is the same in all of them, and what each mode asks for beyond that.

Raises `ValidationError` for those that cannot, with what to do about it; knows nothing of fills or prices.
"""

from collections.abc import Sequence
from decimal import Decimal

from quantcli.errors import ValidationError
from quantcli.model.instrument import Side
from quantcli.model.order import OcoMode, OrderType, StandardOrder

STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})
_LIMITS = frozenset({OrderType.LIMIT, OrderType.LIMIT_MAKER})


def check_group(
    legs: Sequence[StandardOrder], entry: StandardOrder | None, mode: OcoMode, trail: Decimal | None
) -> None:
    """Refuse orders that cannot be a group; `legs` are those that share a quantity."""
    _check_legs(legs, entry, trail)
    if mode is OcoMode.ONE_LIVE:
        _check_one_live(legs)
    if mode is OcoMode.NATIVE and (entry or trail is not None):
        raise ValidationError(
            "orders that the exchange links have neither an entry nor a trail",
            why="it links only orders that are placed together, and they stay as they are",
            todo='use the mode "one_live" (spot) or "reduce_on_partial" (futures)',
        )


def _check_legs(legs: Sequence[StandardOrder], entry: StandardOrder | None, trail: Decimal | None) -> None:
    if len(legs) < (1 if entry or trail is not None else 2):
        raise ValidationError(
            "a group needs two orders or more",
            why="one that bears on no other is no group",
            todo="add an order, an entry or a trail, or place it by itself",
        )
    if len({(leg.symbol, leg.side) for leg in legs}) != 1:
        raise ValidationError("the orders of a group are of one market and on one side")
    if entry is not None and (entry.symbol, entry.side.opposite) != (legs[0].symbol, legs[0].side):
        raise ValidationError(
            "exits are of the market of their entry, and on the other side",
            why="they close what it opened",
        )
    if entry is None and len({leg.quantity for leg in legs}) != 1:
        raise ValidationError(
            "the orders of a group are all of the same quantity",
            why="they share it: what one of them fills is taken from the others",
            todo="give every order of the group the same quantity",
        )
    if trail is not None and (trail <= 0 or legs[0].type not in STOPS):
        raise ValidationError(
            "only a stop can trail, by a positive distance", todo="let the first order of the group be a stop"
        )


def _check_one_live(legs: Sequence[StandardOrder]) -> None:
    if len(legs) == 2:
        stop, target = legs
        above = target.price is not None and stop.stop_price is not None and target.price > stop.stop_price
        right_way = above is (target.side is Side.SELL)
        if stop.type in STOPS and target.type in _LIMITS and right_way:
            return
    raise ValidationError(
        "one-live orders are a stop and a target, in this order, with the market between them",
        why="which of the two is on the exchange depends on how near the market is to the target",
        todo='give exactly these two, or use the mode "reduce_on_partial"',
    )
