"""Exits that follow the market: which of stop and target is nearer, and where a trailing stop belongs.

`quoted` is the price an exit would get now: the bid for sells, the ask for buys.  Functions of prices
alone; whether an order is to move at all is `kernel.groups`' business.
"""

from decimal import Decimal

from quantcli.model.instrument import round_price
from quantcli.model.order import OrderGroup, OrderIntent, StandardOrder

_TRAIL_STEPS = 20  # a trailing stop is moved in steps of this part of its distance, or of a tick


def nearer_leg(live: str, stop: OrderIntent, target: OrderIntent, quoted: Decimal | None) -> str:
    """Which of two exits belongs on the exchange, now that `live` is there.

    The target once the market has reached it; the stop again once the market has come back half-way.
    """
    at, floor = target.order.price, stop.order.stop_price
    if quoted is None or at is None or floor is None:
        return live
    sign = -stop.order.side.sign
    if (quoted - at) * sign >= 0:
        return target.intent_id
    if (quoted - (at + floor) / 2) * sign <= 0:
        return stop.intent_id
    return live


def trailed(
    group: OrderGroup, order: StandardOrder, quoted: Decimal | None, tick: Decimal
) -> tuple[Decimal | None, Decimal | None]:
    """The best price to remember, and the stop price to move to, `None` if it is not worth a move.

    A stop only ever moves in favour of the position.  Only prices that move it are remembered: no other
    can matter later.
    """
    now = order.stop_price
    if group.trail is None or quoted is None or now is None:
        return group.best, None
    sign = -order.side.sign
    best = quoted if group.best is None or (quoted - group.best) * sign > 0 else group.best
    stop = best - group.trail * sign
    if tick:
        stop = round_price(stop, order.side.opposite, tick)  # a stop waits longer on the passive side
    if stop <= 0 or (stop - now) * sign < max(tick, group.trail / _TRAIL_STEPS):
        return group.best, None
    return best, stop


def moved(order: StandardOrder, stop: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """New stop price and limit of an order whose stop moves to `stop`; its limit keeps its distance."""
    if stop is None or order.price is None or order.stop_price is None:
        return stop, None
    return stop, order.price + (stop - order.stop_price)
