"""What is held of one market, and what it cost: exact accounting of quantity, cost and profit.

Nothing is ever lost: the cost of what is sold is rounded once, to `COST_SCALE`, and the remainder stays
in the cost of what is left.  Hence, after any trades,

    realised - cost == what selling brought in less what buying took          (to the last digit)

Knows no currency, no clock and no exchange.
"""

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

ZERO = Decimal(0)

# Sums and products of money fit in 100 digits; one that does not is an error, never a rounding.
EXACT = Context(prec=100, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow])

COST_SCALE = 12  # decimals to which a share of a cost is rounded, towards zero


def divide(amount: Decimal, by: Decimal) -> Decimal:
    """`amount / by`, rounded once, towards zero, to `COST_SCALE` decimals.  To be called in `EXACT`."""
    return (amount.scaleb(COST_SCALE) // by).scaleb(-COST_SCALE)


class Holding:
    """A signed quantity and its cost (negative for shorts), with what was earned and paid on the way.

    `realised` is gross of `fees`; both are in the account's currency.  `trade_ids` are the fills counted.
    """

    __slots__ = ("cost", "fees", "is_spot", "qty", "realised", "trade_ids", "updated_ns")

    def __init__(self, is_spot: bool) -> None:
        self.is_spot = is_spot
        self.qty = ZERO
        self.cost = ZERO
        self.realised = ZERO
        self.fees = ZERO
        self.trade_ids: set[str] = set()
        self.updated_ns = 0

    def trade(self, delta: Decimal, price: Decimal) -> Decimal:
        """Change the quantity by `delta` at `price`; returns the profit realised by it.

        What goes against the holding closes it at average cost; what is left over opens the other side.
        To be called in `EXACT`.
        """
        held, left = self.qty, self.qty + delta
        if not held or (held > 0) == (delta > 0):
            profit = ZERO
            self.cost += delta * price
        elif left and (left > 0) == (held > 0):
            share = divide(self.cost * -delta, held)
            profit = -delta * price - share
            self.cost -= share
        else:
            profit = held * price - self.cost
            self.cost = left * price if left else ZERO
        self.qty = left
        self.realised += profit
        return profit

    def unrealised(self, mark: Decimal | None) -> Decimal | None:
        """Profit if all were closed at `mark`; `None` if that is not known and something is held."""
        if not self.qty:
            return ZERO
        return None if mark is None else self.qty * mark - self.cost

    def avg_price(self) -> Decimal:
        """Mean cost of one unit, to `COST_SCALE` decimals; 0 when nothing is held."""
        return divide(self.cost, self.qty) if self.qty else ZERO
