"""A futures order as it is asked for, and what it means to the matching.

Post-only is a time in force here (GTX); conditional orders become tickets when they are triggered.  Source:
USDⓈ-M Futures, "New Order" and "Common Definition".  Knows nothing of the account.
"""

from decimal import Decimal

from msgspec.structs import asdict

from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.sandbox.futures.records import FuturesOrder
from quantcli.sandbox.order_records import OrderRecord
from quantcli.sandbox.tickets import Ticket
from quantcli.simulation.market import Market

TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "GTX", "GTD")
CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET")
TYPES = ("LIMIT", "MARKET", *CONDITIONAL, "TRAILING_STOP_MARKET")
PREVENTION = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")

_LIFETIMES = {
    "GTC": TimeInForce.GTC,
    "GTX": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTD": TimeInForce.GTD,
}


class FuturesTicket(Ticket, frozen=True):
    """One order to be placed: LIMIT, or MARKET."""

    reduce_only: bool = False
    orig_type: str = ""
    working_type: str = "CONTRACT_PRICE"
    close_position: bool = False
    price_protect: bool = False
    good_till_ns: int = 0
    algo_id: int = 0

    def terms(self, market: Market) -> StandardOrder:
        """Its terms for the matching."""
        return _terms(
            self.meta.symbol.name, self, self.quantity, self.price, self.reduce_only, self.good_till_ns
        )

    def record(self, order_id: int, quantity: Decimal, at_ns: int, list_id: int = -1) -> OrderRecord:
        """The order that comes of it, as it begins."""
        as_on_spot = asdict(super().record(order_id, quantity, at_ns, list_id))
        return FuturesOrder(
            **as_on_spot | {"working_ns": at_ns},
            reduce_only=self.reduce_only,
            orig_type=self.orig_type or self.type,
            working_type=self.working_type,
            close_position=self.close_position,
            price_protect=self.price_protect,
            good_till_ns=self.good_till_ns,
            algo_id=self.algo_id,
        )


def terms_of(record: FuturesOrder) -> StandardOrder:
    """The terms of an order that was placed."""
    return _terms(
        record.symbol,
        record,
        record.quantity,
        record.price or None,
        record.reduce_only,
        record.good_till_ns,
    )


def _terms(
    symbol: str,
    order: FuturesTicket | FuturesOrder,
    quantity: Decimal,
    price: Decimal | None,
    reduce_only: bool,
    good_till_ns: int,
) -> StandardOrder:
    kind = OrderType.MARKET if order.type == "MARKET" else OrderType.LIMIT
    return StandardOrder(
        symbol,
        order.side,
        OrderType.LIMIT_MAKER if order.time_in_force == "GTX" else kind,
        quantity,
        price,
        None,
        _LIFETIMES[order.time_in_force],
        reduce_only,
        good_till_ns or None,
    )
