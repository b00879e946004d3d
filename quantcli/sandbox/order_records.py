"""What the account's history is made of: orders, order lists, amendments, and what happened to them.

Everything is frozen: whoever holds a record holds it as it stood at that time.  Words (`LIMIT`, `NEW`, `GTC`)
are Binance's ("Enums", binance-spot-api-docs enums.md); amounts are exact, times nanoseconds of the sandbox's
clock.  Knows nothing of matching or JSON.
"""

from decimal import Decimal

import msgspec

from quantcli.model.instrument import Side
from quantcli.model.order import Fill

_ZERO = Decimal(0)

OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})


class OrderRecord(msgspec.Struct, frozen=True):
    """One order as it stands at `updated_ns`.

    `symbol` is the canonical name, `exchange_symbol` Binance's.  `quantity` and `filled` are in base units,
    `quote_filled` and `quote_quantity` (what a market order may spend or is to bring) in quote units.
    `working_ns` is since when it has been able to trade, 0 while it waits for its stop price.  `list_id` is
    -1 outside of lists.  `client_order_id` is the present one, `first_client_order_id` the one it was placed
    under.
    """

    order_id: int
    client_order_id: str
    symbol: str
    exchange_symbol: str
    side: Side
    type: str
    time_in_force: str
    quantity: Decimal
    created_ns: int
    updated_ns: int
    price: Decimal = _ZERO
    stop_price: Decimal = _ZERO
    quote_quantity: Decimal = _ZERO
    filled: Decimal = _ZERO
    quote_filled: Decimal = _ZERO
    status: str = "NEW"
    working_ns: int = 0
    list_id: int = -1
    strategy_id: int | None = None
    strategy_type: int | None = None
    self_trade_prevention: str = "NONE"
    first_client_order_id: str = ""

    @property
    def is_open(self) -> bool:
        """It can still trade."""
        return self.status in OPEN


class ListRecord(msgspec.Struct, frozen=True):
    """An order list as it stands at `updated_ns`; `orders` are (order id, client order id) of its legs.

    `status_type` is RESPONSE, EXEC_STARTED, UPDATED or ALL_DONE; `order_status` EXECUTING, ALL_DONE or
    REJECT.
    """

    list_id: int
    client_list_id: str
    symbol: str
    exchange_symbol: str
    orders: tuple[tuple[int, str], ...]
    created_ns: int
    updated_ns: int
    contingency: str = "OCO"
    status_type: str = "EXEC_STARTED"
    order_status: str = "EXECUTING"

    @property
    def is_open(self) -> bool:
        """A leg of it can still trade."""
        return self.order_status == "EXECUTING"


class AmendRecord(msgspec.Struct, frozen=True):
    """One amendment of an order: its quantity before and after, and its ids."""

    execution_id: int
    order_id: int
    symbol: str
    exchange_symbol: str
    client_order_id: str
    new_client_order_id: str
    quantity: Decimal
    new_quantity: Decimal
    at_ns: int


class Transfer(msgspec.Struct, frozen=True):
    """An amount that came to the account (or left it, below zero) without a trade."""

    asset: str
    amount: Decimal
    at_ns: int


# What listeners of the exchange are told.


class Execution(msgspec.Struct, frozen=True):
    """One thing that happened to an order, in order of happening.

    `kind` is NEW, TRADE, CANCELED, EXPIRED, REPLACED (amended) or REJECTED ("User Data Streams", Execution
    types); `order` is the order after it.  A stop that is triggered is NEW once more, working now.
    `new_client_order_id` is the cancel request's own id (CANCELED), the amended order's former one is
    `orig_client_order_id` (REPLACED).  `reason` is Binance's word for a rejection.
    """

    kind: str
    order: OrderRecord
    fill: Fill | None
    at_ns: int
    new_client_order_id: str = ""
    orig_client_order_id: str = ""
    execution_id: int = 0
    reason: str = "NONE"


class BalancesChanged(msgspec.Struct, frozen=True):
    """Balances of these assets may have changed: look at them now."""

    assets: tuple[str, ...]
    at_ns: int


class ListChanged(msgspec.Struct, frozen=True):
    """An order list began, was changed or ended."""

    record: ListRecord
    at_ns: int


class Transferred(msgspec.Struct, frozen=True):
    """Something came or went without a trade (`balanceUpdate` on the wire)."""

    transfer: Transfer
    at_ns: int


AccountEvent = Execution | BalancesChanged | ListChanged | Transferred
