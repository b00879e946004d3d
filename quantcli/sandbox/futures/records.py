"""What a futures account's history is made of beside orders and fills: conditional orders, bookings, incomes.

Everything is frozen.  Words are those of Binance's USDⓈ-M Futures documentation ("Common Definition", "New
Algo Order", "Get Income History"); amounts are exact, times nanoseconds of the sandbox's clock.  Knows
nothing of matching or JSON.
"""

from decimal import Decimal

import msgspec

from quantcli.model.instrument import Side
from quantcli.sandbox.order_records import OrderRecord

_ZERO = Decimal(0)


class FuturesOrder(OrderRecord, frozen=True):
    """An order on futures.

    `orig_type` is what it was asked for as: a conditional order works as LIMIT or MARKET once it is
    triggered, and `algo_id` is then its number (0: none).  `good_till_ns` is when a GTD order expires.
    """

    reduce_only: bool = False
    orig_type: str = ""
    working_type: str = "CONTRACT_PRICE"
    close_position: bool = False
    price_protect: bool = False
    good_till_ns: int = 0
    algo_id: int = 0


class AlgoOrder(msgspec.Struct, frozen=True):
    """A conditional order as it stands at `updated_ns`.

    `status` is NEW, CANCELED, TRIGGERED, FINISHED, REJECTED or EXPIRED; `order_id` is the order that came of
    it (0: none yet), `reason` why none did.  `quantity` is 0 where it closes the whole position.
    """

    algo_id: int
    client_algo_id: str
    symbol: str
    exchange_symbol: str
    side: Side
    type: str
    trigger_price: Decimal
    created_ns: int
    updated_ns: int
    quantity: Decimal = _ZERO
    price: Decimal = _ZERO
    time_in_force: str = "GTC"
    working_type: str = "CONTRACT_PRICE"
    reduce_only: bool = False
    close_position: bool = False
    price_protect: bool = False
    good_till_ns: int = 0
    self_trade_prevention: str = "NONE"
    status: str = "NEW"
    triggered_ns: int = 0
    order_id: int = 0
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """It still waits for its price."""
        return self.status == "NEW"


class Booking(msgspec.Struct, frozen=True):
    """What a fill did to the account.

    `profit` is what it realised, before its `fee`; `qty`, `cost` and `realised` are the position's after it
    (`realised` sums up all profits of the market), `wallet` is the balance of `asset` after it.
    """

    trade_id: str
    symbol: str
    at_ns: int
    asset: str
    profit: Decimal
    fee: Decimal
    qty: Decimal
    cost: Decimal
    realised: Decimal
    wallet: Decimal


class Income(msgspec.Struct, frozen=True):
    """A change of the wallet: REALIZED_PNL, COMMISSION or TRANSFER."""

    number: int
    type: str
    asset: str
    amount: Decimal
    at_ns: int
    symbol: str = ""
    trade_id: str = ""


# What listeners are told beside executions and transfers.


class PositionChanged(msgspec.Struct, frozen=True):
    """A fill was booked; told before its execution."""

    booking: Booking
    at_ns: int


class AlgoChanged(msgspec.Struct, frozen=True):
    """A conditional order began, was triggered, or ended."""

    order: AlgoOrder
    at_ns: int


class LeverageChanged(msgspec.Struct, frozen=True):
    """A market has another leverage."""

    exchange_symbol: str
    leverage: int
    at_ns: int
