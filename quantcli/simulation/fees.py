"""What a fill costs.

Knows rates and notionals; knows nothing of accounts.
"""

from decimal import ROUND_DOWN, Context, Decimal

import msgspec

from quantcli.model.instrument import Side, Symbol

# What Binance keeps of a fee in the asset received: `baseCommissionPrecision`, `quoteCommissionPrecision`.
_DECIMALS = Decimal("1E-8")
_CUT = Context(prec=100, rounding=ROUND_DOWN)


class Fees(msgspec.Struct, frozen=True):
    """Fee rates as parts of the notional (0.001 is 0.1 %); a negative `maker` rate is a rebate.

    The fee is charged in the currency the market is quoted in (spot) or settled in (futures), exactly,
    without rounding.  With `in_received` a spot fee is charged in the asset received instead, and cut off
    after eight decimals, as Binance does it (which may also charge it in BNB).
    """

    maker: Decimal
    taker: Decimal
    in_received: bool = False

    def charge(self, notional: Decimal, is_maker: bool) -> Decimal:
        """The fee of a fill worth `notional`."""
        return notional * (self.maker if is_maker else self.taker)

    @property
    def worst(self) -> Decimal:
        """The rate that funds are held for while nobody knows whether an order makes or takes."""
        return max(self.maker, self.taker, Decimal(0))

    @property
    def worst_on_spot(self) -> Decimal:
        """The same for a spot buy: nothing where the fee comes out of what is received."""
        return Decimal(0) if self.in_received else self.worst

    def is_in_base(self, symbol: Symbol, side: Side) -> bool:
        """The fee of such a fill is charged in the base asset."""
        return self.in_received and side is Side.BUY and not symbol.is_futures

    def asset(self, symbol: Symbol, side: Side) -> str:
        """The asset that the fee of such a fill is charged in."""
        if symbol.is_futures:
            return symbol.settle
        return symbol.base if self.is_in_base(symbol, side) else symbol.quote

    def charge_received(self, received: Decimal, is_maker: bool) -> Decimal:
        """The fee of a spot fill that brings this amount, in the asset it brings."""
        return self.charge(received, is_maker).quantize(_DECIMALS, context=_CUT)
