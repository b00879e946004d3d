"""A futures position: its quantity, what it cost, and the profit that closing a part of it realises.

Every amount is exact but one: the cost of what is closed of a position is its share of the whole cost,
rounded towards zero to `COST_DECIMALS` decimals; the remainder stays in the cost of what is left.  Knows
nothing of balances, fees or orders.
"""

from decimal import ROUND_DOWN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation

COST_DECIMALS = 12
_ZERO = Decimal(0)
# An amount that does not fit in 100 digits is an error, never a rounding.
EXACT = Context(prec=100, traps=[DivisionByZero, Inexact, InvalidOperation])
# Cutting off twice cuts off once: the quotient's digits first, then its decimals.
_CUT = Context(prec=100, rounding=ROUND_DOWN)
_COST_UNIT = Decimal(1).scaleb(-COST_DECIMALS)


class Holding:
    """A position: `qty` is signed, and so is `cost`, in the settlement currency (negative for shorts).

    To be changed under `decimal.localcontext(EXACT)`.
    """

    __slots__ = ("cost", "qty")

    def __init__(self) -> None:
        self.qty = self.cost = _ZERO

    def change(self, signed: Decimal, unit: Decimal) -> Decimal:
        """Take a fill into the position, at `unit` in the settlement currency for each contract; the profit
        it realises."""
        closed = _ZERO
        if self.qty * signed < 0:
            closed = min(abs(signed), abs(self.qty)).copy_sign(self.qty)
        share = self._share(closed)
        self.cost += (signed + closed) * unit - share
        self.qty += signed
        return closed * unit - share

    def _share(self, closed: Decimal) -> Decimal:
        """The part of the cost that goes with what is closed."""
        if closed in (_ZERO, self.qty):
            return self.cost if closed else _ZERO
        part = _CUT.divide(self.cost * closed, self.qty)
        return part.quantize(_COST_UNIT, context=_CUT)
