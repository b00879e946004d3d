"""What the exchange keeps on record: its numbering, every fill, and orders that have ended.

Knows nothing of how an order is filled or why it ends.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from decimal import Decimal
from operator import attrgetter

from quantcli.model.order import Fill
from quantcli.simulation.orders import LiveOrder

# Ended orders that can still be looked up.
_REMEMBERED = 10_000

_WHEN = attrgetter("exchange_ns")


class Records:
    """Order and trade numbers count upwards; fills are in order of time, over all markets and by market."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self.fills: list[Fill] = []
        self._fills_of: dict[str, list[Fill]] = {symbol: [] for symbol in symbols}
        self._ended: dict[str, LiveOrder] = {}
        self._last_order_id = 0
        self._last_trade_id = 0

    def next_order_id(self) -> str:
        """The number of an order that is accepted now."""
        self._last_order_id += 1
        return str(self._last_order_id)

    def fill(
        self,
        order: LiveOrder,
        qty: Decimal,
        price: Decimal,
        fee: Decimal,
        fee_asset: str,
        is_maker: bool,
        at_ns: int,
    ) -> Fill:
        """Record an execution of an order."""
        self._last_trade_id += 1
        fill = Fill(
            trade_id=str(self._last_trade_id),
            symbol=order.terms.symbol,
            side=order.terms.side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=fee_asset,
            is_maker=is_maker,
            exchange_ns=at_ns,
            client_order_id=order.client_order_id,
            exchange_order_id=order.exchange_order_id,
        )
        order.fills.append(fill)
        self.fills.append(fill)
        self._fills_of[order.terms.symbol].append(fill)
        return fill

    def fills_since(self, symbol: str, since_ns: int) -> tuple[Fill, ...]:
        """Fills of a market from this time on, oldest first, those from before a restart too."""
        fills = self._fills_of[symbol]
        return tuple(fills[bisect_left(fills, since_ns, key=_WHEN) :])

    def remember(self, order: LiveOrder) -> None:
        """Keep an order that has ended, in place of an earlier one of the same client order id."""
        self._ended.pop(order.client_order_id, None)
        self._ended[order.client_order_id] = order
        if len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def ended(self, client_order_id: str) -> LiveOrder | None:
        """An order that has ended, not too many others ago."""
        return self._ended.get(client_order_id)

    @property
    def numbering(self) -> tuple[int, int]:
        """The numbers of the newest order and of the newest fill."""
        return self._last_order_id, self._last_trade_id

    def continue_after(self, last_order_id: int, last_trade_id: int) -> None:
        """Let numbering go on after these."""
        self._last_order_id = max(self._last_order_id, last_order_id)
        self._last_trade_id = max(self._last_trade_id, last_trade_id)

    def resume(self, order_id: str | None, fills: Sequence[Fill]) -> None:
        """Take over an order's number and fills from before a restart; numbering goes on after them."""
        for number in (order_id, *(fill.exchange_order_id for fill in fills)):
            self._last_order_id = max(self._last_order_id, int(number or 0))
        self._last_trade_id = max([self._last_trade_id, *(int(fill.trade_id) for fill in fills)])
        for fill in fills:
            if fill.symbol in self._fills_of:
                insort(self._fills_of[fill.symbol], fill, key=_WHEN)
