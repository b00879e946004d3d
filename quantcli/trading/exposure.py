"""Adds up what working orders may do to an account: the worst case, order by order and side by side.

An order whose outcome is unknown counts as fully alive.  Reduce-only orders close before others open: they
never add exposure, but they use up what others could otherwise close.
Pure arithmetic, to be called in `trading.holding.EXACT`; knows no limits.
"""

from collections.abc import Iterable
from decimal import Decimal

from quantcli.model.instrument import Side
from quantcli.model.order import StandardOrder
from quantcli.trading.holding import ZERO


def unit_price(order: StandardOrder, mark: Decimal | None) -> Decimal | None:
    """The most that a unit of the order may be worth; `None` if only a missing mark could say.

    A limit bounds what a buy pays.  A sell may bring more than its price, as may a stop's market order.
    """
    if order.side is Side.BUY and order.price is not None:
        return order.price
    known = [p for p in (order.price, order.stop_price, mark) if p is not None]
    return max(known) if known else None


class SideTotal:
    """What is working on one side of one market."""

    __slots__ = ("opening", "opening_value", "qty", "top_price", "unpriced")

    def __init__(self) -> None:
        self.qty = ZERO  # all of it
        self.opening = ZERO  # … without what may only reduce
        self.opening_value = ZERO
        self.top_price = ZERO
        self.unpriced = False

    def add(self, order: StandardOrder, remaining: Decimal, price: Decimal | None, may_open: bool) -> None:
        """Count what remains of an order."""
        self.qty += remaining
        if not may_open:
            return
        self.opening += remaining
        if price is None:
            self.unpriced = True
            return
        self.opening_value += remaining * price
        self.top_price = max(self.top_price, price)

    def opens(self, closable: Decimal) -> Decimal | None:
        """Value of the position this side can open once it has closed `closable` of the other."""
        beyond = min(self.qty - closable, self.opening)
        if beyond <= 0:
            return ZERO
        return None if self.unpriced else min(self.opening_value, beyond * self.top_price)


class MarketTotal:
    """What is held and working in one market."""

    __slots__ = ("buys", "count", "is_spot", "mark", "qty", "sells")

    def __init__(self, qty: Decimal, mark: Decimal | None, is_spot: bool) -> None:
        self.qty = qty
        self.mark = mark
        self.is_spot = is_spot
        self.count = 0
        self.buys = SideTotal()
        self.sells = SideTotal()

    def add(self, order: StandardOrder, remaining: Decimal) -> None:
        """Count what remains of an order."""
        self.count += 1
        may_open = self.is_spot or not order.reduce_only
        self.side(order.side).add(order, remaining, unit_price(order, self.mark), may_open)

    def side(self, side: Side) -> SideTotal:
        """What works on a side."""
        return self.buys if side is Side.BUY else self.sells

    def reduces(self, order: StandardOrder) -> bool:
        """An order already counted can only make the position smaller, whatever else fills."""
        if not self.qty or (self.qty > 0) == (order.side is Side.BUY):
            return False
        return order.reduce_only or self.side(order.side).qty <= abs(self.qty)

    def held(self) -> Decimal | None:
        """Value of the position, signless."""
        if not self.qty:
            return ZERO
        return None if self.mark is None else abs(self.qty) * self.mark

    def opens(self, side: Side) -> Decimal | None:
        """Value of the position that a side's orders can open; on spot, sells open none."""
        if side is Side.BUY:
            return self.buys.opens(max(-self.qty, ZERO))
        return ZERO if self.is_spot else self.sells.opens(max(self.qty, ZERO))

    def position(self, side: Side) -> Decimal | None:
        """The largest value the position can reach on one side (long for buys, short for sells)."""
        same_side = (self.qty > 0) == (side is Side.BUY)
        return plus(self.held() if same_side else ZERO, self.opens(side))

    def exposure(self) -> Decimal | None:
        """Value of the position and of all that could be opened beside it, on either side."""
        return plus(self.held(), plus(self.opens(Side.BUY), self.opens(Side.SELL)))

    def backing(self) -> Decimal | None:
        """Cash that is not free: what spot buys would cost, or a future's largest position in full."""
        if self.is_spot:
            return self.buys.opens(ZERO)
        long, short = self.position(Side.BUY), self.position(Side.SELL)
        return None if long is None or short is None else max(long, short)


def plus(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    """A sum, unknown when a part of it is."""
    return None if a is None or b is None else a + b


def minus(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    """A difference, unknown when a part of it is."""
    return None if a is None or b is None else a - b


def total(parts: Iterable[Decimal | None]) -> Decimal | None:
    """A sum, unknown when a part of it is."""
    so_far: Decimal | None = ZERO
    for part in parts:
        so_far = plus(so_far, part)
    return so_far
