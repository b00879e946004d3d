"""Conditional orders that wait for their price, beside the order book ("New Algo Order", USDⓈ-M Futures).

Each is kept as it stands; how it stood before is not.  Knows what triggers one, not what becomes of it then.
"""

from collections.abc import Mapping
from decimal import Decimal

from quantcli.model.instrument import Side
from quantcli.sandbox.futures.records import AlgoOrder

_FIRST_ALGO_ID = 2_000_000
_WITH_THE_MARKET = ("STOP", "STOP_MARKET")


class AlgoBook:
    """Conditional orders by number, in order of number."""

    def __init__(self) -> None:
        self.orders: dict[int, AlgoOrder] = {}
        self.last_algo_id = _FIRST_ALGO_ID
        # Numbers of what was written since this was last cleared, in order.
        self.changed: dict[int, None] = {}
        self._waiting: dict[int, AlgoOrder] = {}

    def next_id(self) -> int:
        """The number of a conditional order that is accepted now."""
        self.last_algo_id += 1
        return self.last_algo_id

    def write(self, order: AlgoOrder) -> AlgoOrder:
        """Take in an order as it stands now."""
        self.orders[order.algo_id] = order
        self.changed[order.algo_id] = None
        self.last_algo_id = max(self.last_algo_id, order.algo_id)
        if order.is_open:
            self._waiting[order.algo_id] = order
        else:
            self._waiting.pop(order.algo_id, None)
        return order

    def waiting(self, symbol: str | None = None) -> list[AlgoOrder]:
        """Those that wait, in a market or in all."""
        return [order for order in self._waiting.values() if symbol in {None, order.symbol}]

    def find(self, algo_id: int | None, client_algo_id: str | None) -> AlgoOrder | None:
        """An order by its number, or by its own id: the waiting one, else the newest."""
        if algo_id is not None:
            return self.orders.get(algo_id)
        found = [order for order in self.orders.values() if order.client_algo_id == client_algo_id]
        return next((order for order in found if order.is_open), found[-1] if found else None)

    def due(self, symbol: str, prices: Mapping[str, Decimal]) -> list[AlgoOrder]:
        """Those that these prices (by working type) trigger."""
        return [
            order
            for order in self.waiting(symbol)
            if is_tripped(order.type, order.side, order.trigger_price, prices.get(order.working_type))
        ]


def is_tripped(kind: str, side: Side, trigger_price: Decimal, price: Decimal | None) -> bool:
    """The price has come: a stop's by moving with the order's side, a take-profit's by moving against it."""
    if price is None:
        return False
    rises = (side is Side.BUY) == (kind in _WITH_THE_MARKET)
    return price >= trigger_price if rises else price <= trigger_price
