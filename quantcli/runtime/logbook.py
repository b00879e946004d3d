"""Writes down what happens to orders during a run: one row a placement, every fill, every count.

Listens on the bus; decides nothing.  Its size follows the number of orders, not the length of the run.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from quantcli.model.event import Event, OrderEvent, OrderEventKind, RiskLimit
from quantcli.model.instrument import Side
from quantcli.model.order import Fill, OrderState, OrderStatus, OrderType
from quantcli.report.run import OrderCounts, OrderRow


class _Entry(msgspec.Struct):
    """A placement that may still change."""

    intent_id: str
    client_order_id: str
    slot: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    price: Decimal | None
    placed_ns: int
    acked_ns: int | None = None
    ended_ns: int | None = None
    status: OrderStatus = OrderStatus.UNKNOWN
    filled: Decimal = Decimal(0)
    reason: str = ""


class Logbook:
    """Subscribe `take` to the bus.  `on_fill` is told of every fill, with the local time it came at."""

    def __init__(self, on_fill: Callable[[Fill, int], None]) -> None:
        self.fills: list[Fill] = []
        self.rejected: dict[str, int] = {}
        self._counts = dict.fromkeys(OrderEventKind, 0)
        self._entries: dict[str, _Entry] = {}
        self._on_fill = on_fill
        self._refused = 0

    def take(self, event: Event) -> None:
        """Write one event down."""
        match event:
            case OrderEvent():
                self._counts[event.kind] += 1
                if event.state is not None:
                    self._note(event.state, event)
                if event.kind is OrderEventKind.REJECTED:
                    self._count_rejection(event.reason)
                if event.fill is not None:
                    self.fills.append(event.fill)
                    self._on_fill(event.fill, event.at_ns)
            case RiskLimit(check=check):
                self._refused += 1
                self._count_rejection(f"risk {check}")
            case _:
                pass

    def _count_rejection(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def _note(self, state: OrderState, event: OrderEvent) -> None:
        entry = self._entries.get(state.client_order_id)
        if entry is None:
            order = state.order
            entry = self._entries[state.client_order_id] = _Entry(
                state.intent_id,
                state.client_order_id,
                event.intent.metadata.get("slot", ""),
                order.symbol,
                order.side,
                order.type,
                order.quantity,
                order.price,
                state.prepared_ns,
            )
        if state.status is not OrderStatus.UNKNOWN and entry.acked_ns is None:
            entry.acked_ns = event.at_ns
        if state.status.is_terminal and entry.ended_ns is None:
            entry.ended_ns = event.at_ns
        entry.status, entry.filled = state.status, state.filled
        entry.reason = state.reason or event.reason

    @property
    def orders(self) -> list[OrderRow]:
        """Every placement, in order."""
        return [OrderRow(*msgspec.structs.astuple(entry)) for entry in self._entries.values()]

    @property
    def counts(self) -> OrderCounts:
        """How orders fared so far."""
        count = self._counts
        return OrderCounts(
            created=len(self._entries),
            replaced=count[OrderEventKind.MODIFIED],
            cancelled=count[OrderEventKind.CANCELLED],
            rejected=count[OrderEventKind.REJECTED] + self._refused,
            unknown=count[OrderEventKind.UNKNOWN],
        )
