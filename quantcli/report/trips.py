"""What fills alone tell: round trips, and the time in the market.

A round trip is what was bought matched with what was sold, first in, first out.  Each fill that closes
something ends one; its profit is net of the fees of both its ends.  These are figures to judge a strategy by:
the account's profit is counted, exactly and at average cost, elsewhere.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, localcontext

from quantcli.model.account import Position
from quantcli.model.instrument import Symbol
from quantcli.model.order import Fill

_ZERO = Decimal(0)
_PRECISION = Context(prec=50)


class _Lot:
    """What is left of an opening fill; `qty` is signed, `fee` in quote currency."""

    __slots__ = ("fee", "price", "qty")

    def __init__(self, qty: Decimal, price: Decimal, fee: Decimal) -> None:
        self.qty = qty
        self.price = price
        self.fee = fee

    def take(self, size: Decimal) -> Decimal:
        """Take `size` units out; returns the part of the fee that goes with them."""
        part = self.fee if size == abs(self.qty) else self.fee * size / abs(self.qty)
        self.fee -= part
        self.qty -= size if self.qty > 0 else -size
        return part


def round_trips(fills: Iterable[Fill], held: Sequence[Position] = ()) -> list[Decimal]:
    """Net profit of every round trip in quote currency, in order of its last fill.  `held` are the positions
    at the start, taken at their `avg_price`."""
    lots: defaultdict[str, deque[_Lot]] = defaultdict(deque)
    trips: list[Decimal] = []
    with localcontext(_PRECISION):
        for position in held:
            if position.qty:
                lots[position.symbol].append(_Lot(position.qty, position.avg_price, _ZERO))
        for fill in fills:
            arriving = _Lot(fill.qty * fill.side.sign, fill.price, quote_fee(fill))
            profit = _close(lots[fill.symbol], arriving)
            if profit is not None:
                trips.append(profit)
            if arriving.qty:
                lots[fill.symbol].append(arriving)
    return trips


def _close(lots: deque[_Lot], arriving: _Lot) -> Decimal | None:
    profit = None
    while arriving.qty and lots and lots[0].qty * arriving.qty < 0:
        oldest = lots[0]
        size = min(abs(oldest.qty), abs(arriving.qty))
        gain = (arriving.price - oldest.price) * size
        earned = gain if oldest.qty > 0 else -gain
        profit = (profit or _ZERO) + earned - oldest.take(size) - arriving.take(size)
        if not oldest.qty:
            lots.popleft()
    return profit


def time_in_market(fills: Iterable[Fill], held: Sequence[Position], from_ns: int, to_ns: int) -> float | None:
    """Share of the time, 0..1, in which something was held; `None` if there was no time.

    `fills` in order of time (the exchange's), `held` are the positions at the start.
    """
    if to_ns <= from_ns:
        return None
    quantities = {position.symbol: position.qty for position in held if position.qty}
    inside_ns, since_ns = 0, from_ns
    for fill in fills:
        at_ns = min(max(fill.exchange_ns, since_ns), to_ns)
        inside_ns += at_ns - since_ns if quantities else 0
        since_ns = at_ns
        left = quantities.pop(fill.symbol, _ZERO) + fill.side.sign * fill.qty
        if left:
            quantities[fill.symbol] = left
    inside_ns += to_ns - since_ns if quantities else 0
    return inside_ns / (to_ns - from_ns)


def quote_fee(fill: Fill) -> Decimal:
    """A fill's fee in quote currency; one in the base asset at the fill's price, in any other asset 0."""
    if not fill.fee:
        return _ZERO
    symbol = Symbol.parse(fill.symbol)
    if fill.fee_asset in (symbol.quote, symbol.settle):
        return fill.fee
    return fill.fee * fill.price if fill.fee_asset == symbol.base else _ZERO


def win_rate(trips: Sequence[Decimal]) -> float | None:
    """Share of round trips that earned something; `None` without any."""
    return sum(profit > 0 for profit in trips) / len(trips) if trips else None


def profit_factor(trips: Sequence[Decimal]) -> float | None:
    """What the winning trips won by what the losing ones lost; `None` when none lost."""
    won = sum((p for p in trips if p > 0), _ZERO)
    lost = -sum((p for p in trips if p < 0), _ZERO)
    return float(won / lost) if lost else None


def expectancy(trips: Sequence[Decimal]) -> Decimal | None:
    """Mean profit of a round trip, to 8 decimals; `None` without any."""
    if not trips:
        return None
    with localcontext(_PRECISION):
        return (sum(trips, _ZERO) / len(trips)).quantize(Decimal("1e-8"))
