"""What a fill costs.

Knows rates and notionals; knows nothing of accounts.
"""

from decimal import Decimal

import msgspec


class Fees(msgspec.Struct, frozen=True):
    """Fee rates as parts of the notional (0.001 is 0.1 %); a negative `maker` rate is a rebate.

    The fee is charged in the currency the market is quoted in (spot) or settled in (futures), exactly,
    without rounding.  Binance charges spot fees in the asset received, or in BNB.
    """

    maker: Decimal
    taker: Decimal

    def charge(self, notional: Decimal, is_maker: bool) -> Decimal:
        """The fee of a fill worth `notional`."""
        return notional * (self.maker if is_maker else self.taker)

    @property
    def worst(self) -> Decimal:
        """The rate that funds are held for while nobody knows whether an order makes or takes."""
        return max(self.maker, self.taker, Decimal(0))
