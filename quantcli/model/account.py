"""What an account holds: balances, positions, and their sum.

All amounts are exact.  How a position follows from fills is `trading.portfolio`'s business.
"""

from decimal import Decimal

import msgspec


class AssetBalance(msgspec.Struct, frozen=True):
    """Amounts of one asset: `free` can be used, `locked` backs open orders, `available` equals
    `free` less what the exchange withholds for other reasons."""

    asset: str
    available: Decimal
    free: Decimal
    locked: Decimal
    total: Decimal


class Position(msgspec.Struct, frozen=True):
    """Holding of one market: `qty` is signed, `avg_price` its mean entry price.

    `realised`, `unrealised` and `fees` are in quote currency; `unrealised` is taken at `mark`.
    """

    symbol: str
    qty: Decimal
    avg_price: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    mark: Decimal | None = None
    updated_ns: int = 0


class AccountState(msgspec.Struct, frozen=True):
    """Balances and positions at one moment; `equity` in `currency`, `None` while a mark is missing."""

    exchange: str
    currency: str
    balances: tuple[AssetBalance, ...]
    positions: tuple[Position, ...]
    equity: Decimal | None
    updated_ns: int
