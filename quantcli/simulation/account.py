"""What the account can pay for: balances, what open orders hold back, positions of linear futures.

Spot: an order must be covered in full and holds its cover; a buy covers its notional and the worst fee, or
its notional alone where the fee is taken from what it buys.
Linear futures: one cross-margined wallet per settlement currency.  Positions and orders together need their
worth divided by the leverage of their market (`LEVERAGE`, unless set) in the wallet; positions count at what
they cost; orders that only reduce are free.
Profit is booked to the wallet when a position shrinks.  Spot and futures draw on the same balances.
There is no liquidation, no funding, no interest.

Every amount is exact but the cost of a part of a position (see `holding`), and margin at a leverage that
leaves no exact quotient, which is rounded up to `_MARGIN_UNIT`.

Knows nothing of prices in the market or of how orders are matched.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_UP, Context, Decimal, localcontext
from typing import NamedTuple

from quantcli.model.account import AssetBalance, Position
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.simulation.fees import Fees
from quantcli.simulation.holding import COST_DECIMALS, EXACT, Holding
from quantcli.simulation.market import Take
from quantcli.simulation.orders import LiveOrder

__all__ = ["COST_DECIMALS", "LEVERAGE", "Account", "Margin"]

LEVERAGE = 20
_ZERO = Decimal(0)
_UP = Context(prec=100, rounding=ROUND_UP)
_MARGIN_UNIT = Decimal("1E-24")


class Margin(NamedTuple):
    """A futures market of the account: position, its cost, notional of the orders that could change it, the
    worth of it all if the worse side of the orders fills, and what the leverage makes of that."""

    qty: Decimal
    cost: Decimal
    buys: Decimal
    sells: Decimal
    exposure: Decimal
    leverage: int
    margin: Decimal


class _Contract(Holding):
    """A futures position, and the notional of the orders that could change it; all amounts in the settlement
    currency."""

    __slots__ = ("buys", "leverage", "meta", "sells")

    def __init__(self, meta: SymbolMetadata) -> None:
        super().__init__()
        self.meta = meta
        self.buys = self.sells = _ZERO
        self.leverage = LEVERAGE

    def exposure(self, more_buys: Decimal = _ZERO, more_sells: Decimal = _ZERO) -> Decimal:
        """Cost and notional if the worse side of the orders fills."""
        return max(abs(self.cost + self.buys + more_buys), abs(self.cost - self.sells - more_sells))

    def margin(self, exposure: Decimal) -> Decimal:
        """What so much exposure needs in the wallet."""
        return _UP.divide(exposure, Decimal(self.leverage)).quantize(_MARGIN_UNIT, context=_UP)


class Account:
    """Balances and positions of one account, changed by holds, releases and fills."""

    def __init__(
        self,
        balances: Mapping[str, Decimal],
        positions: Iterable[Position],
        instruments: Mapping[str, SymbolMetadata],
        fees: Fees,
    ) -> None:
        self._free = defaultdict[str, Decimal](Decimal, balances)
        self._locked = defaultdict[str, Decimal](Decimal)
        self._fees = fees
        self._contracts = {n: _Contract(m) for n, m in instruments.items() if m.symbol.is_futures}
        for position in positions:
            if contract := self._contracts.get(position.symbol):
                with localcontext(EXACT):
                    contract.change(position.qty, position.avg_price * contract.meta.contract_size)

    def covers(
        self, order: LiveOrder, takes: Sequence[Take] = (), instead_of: LiveOrder | None = None
    ) -> bool:
        """The account can pay for the order: at its limit or stop price, or for the `takes` of a market
        order.  A futures order may take the place of an open one on its side (`instead_of`)."""
        with localcontext(EXACT):
            return self._covers(order, takes, _held(instead_of) if instead_of else _ZERO)

    def _covers(self, order: LiveOrder, takes: Sequence[Take], freed: Decimal) -> bool:
        side, terms = order.terms.side, order.terms
        rests_at = terms.price or (terms.stop_price if order.armed else None)
        notional = order.remaining * rests_at if rests_at else sum((p * q for p, q in takes), _ZERO)
        if order.meta.symbol.is_futures:
            return terms.reduce_only or self._has_margin(order, notional * order.meta.contract_size - freed)
        if side is Side.SELL:
            return self._free[order.meta.symbol.base] >= order.remaining
        return self._free[order.meta.symbol.quote] >= notional * (1 + self._fees.worst_on_spot)

    def _has_margin(self, order: LiveOrder, notional: Decimal) -> bool:
        contract = self._contracts[order.terms.symbol]
        more = (notional, _ZERO) if order.terms.side is Side.BUY else (_ZERO, notional)
        before, after = contract.exposure(), contract.exposure(*more)
        settle = order.meta.symbol.settle
        needed = self._margin(settle) - contract.margin(before) + contract.margin(after)
        return after <= before or needed <= self._free[settle]

    def _margin(self, settle: str) -> Decimal:
        mine = (c for c in self._contracts.values() if c.meta.symbol.settle == settle)
        return sum((c.margin(c.exposure()) for c in mine), _ZERO)

    def hold(self, order: LiveOrder) -> None:
        """Hold back what the order needs while it is open."""
        with localcontext(EXACT):
            order.unit_hold = self._unit_hold(order)
            self._move_hold(order, order.remaining)

    def hold_once(self, one: LiveOrder, other: LiveOrder) -> None:
        """Hold back what the dearer of two orders needs, of which only one can ever be executed."""
        with localcontext(EXACT):
            self.hold(max(one, other, key=self._unit_hold))

    def release(self, order: LiveOrder) -> None:
        """Give back what the order still holds."""
        with localcontext(EXACT):
            self._move_hold(order, -order.remaining)
        order.unit_hold = _ZERO

    def _unit_hold(self, order: LiveOrder) -> Decimal:
        """What the order holds per unit while it is open: quote currency (spot buys), base units (spot
        sells) or notional (futures)."""
        price = order.terms.price or order.terms.stop_price or _ZERO
        if order.meta.symbol.is_futures:
            return _ZERO if order.terms.reduce_only else price * order.meta.contract_size
        return price * (1 + self._fees.worst_on_spot) if order.terms.side is Side.BUY else Decimal(1)

    def _move_hold(self, order: LiveOrder, qty: Decimal) -> None:
        amount = qty * order.unit_hold
        symbol = order.meta.symbol
        if not symbol.is_futures:
            asset = symbol.quote if order.terms.side is Side.BUY else symbol.base
            self._free[asset] -= amount
            self._locked[asset] += amount
        elif order.terms.side is Side.BUY:
            self._contracts[order.terms.symbol].buys += amount
        else:
            self._contracts[order.terms.symbol].sells += amount

    def settle(self, order: LiveOrder, qty: Decimal, price: Decimal, is_maker: bool) -> Decimal:
        """Book a fill, before it is taken off the order's remaining quantity; the fee, in `fee_asset`."""
        with localcontext(EXACT):
            self._move_hold(order, -qty)
            return self._book(order, qty, price, is_maker)

    def _book(self, order: LiveOrder, qty: Decimal, price: Decimal, is_maker: bool) -> Decimal:
        symbol = order.meta.symbol
        signed = order.sign * qty
        notional = qty * price * order.meta.contract_size
        if symbol.is_futures:
            fee = self._fees.charge(notional, is_maker)
            profit = self._contracts[order.terms.symbol].change(signed, price * order.meta.contract_size)
            self._free[symbol.settle] += profit - fee
            return fee
        self._free[symbol.base] += signed
        self._free[symbol.quote] -= order.sign * notional
        fee = self._spot_fee(order, qty, notional, is_maker)
        self._free[self.fee_asset(order)] -= fee
        return fee

    def _spot_fee(self, order: LiveOrder, qty: Decimal, notional: Decimal, is_maker: bool) -> Decimal:
        if not self._fees.in_received:
            return self._fees.charge(notional, is_maker)
        in_base = self._fees.is_in_base(order.meta.symbol, order.terms.side)
        return self._fees.charge_received(qty if in_base else notional, is_maker)

    def fee_asset(self, order: LiveOrder) -> str:
        """The asset that fees of this order's fills are charged in."""
        return self._fees.asset(order.meta.symbol, order.terms.side)

    def transfer(self, asset: str, amount: Decimal) -> bool:
        """Let an amount come, or go (below zero); false, and nothing moves, if that is more than is free."""
        with localcontext(EXACT):
            if self._free[asset] + amount < 0:
                return False
            self._free[asset] += amount
            return True

    def reducible(self, symbol: str, side: Side) -> Decimal:
        """How much an order of this side can take off the position."""
        return max(_ZERO, -side.sign * self._contracts[symbol].qty)

    def holding(self, meta: SymbolMetadata) -> Decimal:
        """Signed quantity of a futures position; of a spot market the whole balance of the base asset."""
        if meta.symbol.is_futures:
            return self._contracts[meta.symbol.name].qty
        base = meta.symbol.base
        with localcontext(EXACT):
            return self._free.get(base, _ZERO) + self._locked.get(base, _ZERO)

    def balances(self) -> tuple[AssetBalance, ...]:
        """Every asset ever held, in order of name.  Margin in use is free but not available."""
        with localcontext(EXACT):
            return tuple(
                AssetBalance(asset, free - self._margin(asset), free, locked, free + locked)
                for asset in sorted({*self._free, *self._locked})
                for free, locked in [(self._free[asset], self._locked[asset])]
            )

    def positions(self) -> dict[str, Decimal]:
        """Signed quantity of every futures position, by symbol."""
        return {name: contract.qty for name, contract in self._contracts.items() if contract.qty}

    # What only futures have.

    def contract(self, symbol: str) -> Margin:
        """A futures market as it stands.  Raises `KeyError` for any other."""
        one = self._contracts[symbol]
        with localcontext(EXACT):
            exposure = one.exposure()
            margin = one.margin(exposure)
        return Margin(one.qty, one.cost, one.buys, one.sells, exposure, one.leverage, margin)

    def set_leverage(self, symbol: str, leverage: int) -> bool:
        """Let a futures market need its worth divided by this; false, and nothing changes, if the wallet
        does not hold as much."""
        one = self._contracts[symbol]
        before, one.leverage = one.leverage, leverage
        settle = one.meta.symbol.settle
        with localcontext(EXACT):
            if leverage < before and self._margin(settle) > self._free[settle]:
                one.leverage = before
        return one.leverage == leverage

    def reopen(self, symbol: str, qty: Decimal, cost: Decimal) -> None:
        """Let a futures position be what it was before a restart."""
        one = self._contracts[symbol]
        one.qty, one.cost = qty, cost


def _held(order: LiveOrder) -> Decimal:
    return order.remaining * order.unit_hold
