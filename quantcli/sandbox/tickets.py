"""An order as it is asked for: the ticket, and what it means to the matching.

Binance's order types become the simulation's; TAKE_PROFIT, trailing, iceberg and pegged orders have no
counterpart there and never get so far.  Knows nothing of the account.
"""

from decimal import Decimal

import msgspec

from quantcli.model.instrument import Side, SymbolMetadata, round_qty
from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.sandbox.order_records import OrderRecord
from quantcli.simulation.market import Market

TYPES = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT_MAKER,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
}
PREVENTION = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}

_ZERO = Decimal(0)
# More than any book holds.
_ENDLESS = Decimal(10) ** 15


class Ticket(msgspec.Struct, frozen=True):
    """One order to be placed; exactly one of `quantity` and `quote_quantity` is above zero."""

    meta: SymbolMetadata
    side: Side
    type: str
    client_order_id: str
    quantity: Decimal = _ZERO
    quote_quantity: Decimal = _ZERO
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: str = "GTC"
    strategy_id: int | None = None
    strategy_type: int | None = None
    self_trade_prevention: str = "NONE"

    def terms(self, market: Market) -> StandardOrder:
        """Its terms for the matching."""
        quantity = self.quantity or quantity_for(market, self.side, self.quote_quantity)
        return StandardOrder(
            self.meta.symbol.name,
            self.side,
            TYPES[self.type],
            quantity,
            self.price,
            self.stop_price,
            TIMES_IN_FORCE[self.time_in_force],
        )

    def record(self, order_id: int, quantity: Decimal, at_ns: int, list_id: int = -1) -> OrderRecord:
        """The order that comes of it, as it begins."""
        return OrderRecord(
            order_id=order_id,
            client_order_id=self.client_order_id,
            symbol=self.meta.symbol.name,
            exchange_symbol=self.meta.exchange_symbol,
            side=self.side,
            type=self.type,
            time_in_force=self.time_in_force,
            quantity=quantity,
            created_ns=at_ns,
            updated_ns=at_ns,
            price=self.price or _ZERO,
            stop_price=self.stop_price or _ZERO,
            quote_quantity=self.quote_quantity,
            working_ns=0 if self.stop_price else at_ns,
            list_id=list_id,
            strategy_id=self.strategy_id,
            strategy_type=self.strategy_type,
            self_trade_prevention=self.self_trade_prevention,
            first_client_order_id=self.client_order_id,
        )


def quantity_for(market: Market, side: Side, quote: Decimal) -> Decimal:
    """How much a market order can take for this amount of quote currency: whole lots, never more than that
    amount buys or needs.  0 in an empty market.  "New order", on quoteOrderQty."""
    quantity = _ZERO
    for price, size in market.takes(side, _ENDLESS, None):
        part = min(size, quote / price)
        quantity += part
        quote -= part * price
        if quote <= 0:
            break
    return round_qty(quantity, market.meta.lot)
