"""Writes down what happens to orders during a run: when each placement was answered and ended, every fill,
every refusal.

Listens on the bus; decides nothing.  What became of a placement is read from the kernel's record at the end;
when, only the events tell.  Its size follows the number of orders, not the length of the run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from quantcli.model.event import Event, OrderEvent, OrderEventKind, RiskLimit
from quantcli.model.order import Fill, OrderState, OrderStatus
from quantcli.report.run import OrderCounts, OrderRow


class Placements(msgspec.Struct, frozen=True):
    """Every placement of a run, in order; how they fared, and refusals by the exchange's code or by the
    risk check (`-2010`, `risk capital`)."""

    rows: Sequence[OrderRow]
    counts: OrderCounts
    rejected_by_code: Mapping[str, int]


class _Noted(msgspec.Struct):
    """What events told of one placement."""

    slot: str
    generation: int
    answered_ns: int | None = None
    ended_ns: int | None = None
    reason: str = ""


class Logbook:
    """Subscribe `take` to the bus.  `on_fill` is told of every fill, with the local time it came at."""

    def __init__(self, on_fill: Callable[[Fill, int], None]) -> None:
        self.fills: list[Fill] = []
        self._on_fill = on_fill
        self._noted: dict[str, _Noted] = {}
        self._latest: dict[str, _Noted] = {}
        self._told = dict.fromkeys(OrderEventKind, 0)
        self._replaced = 0
        self._refused: dict[str, int] = {}

    def take(self, event: Event) -> None:
        """Write one event down."""
        match event:
            case OrderEvent():
                self._told[event.kind] += 1
                if event.state is not None:
                    self._note(event.state, event)
                if event.fill is not None:
                    self.fills.append(event.fill)
                    self._on_fill(event.fill, event.at_ns)
            case RiskLimit(check=check):
                _count(self._refused, f"risk {check}")
            case _:
                pass

    def _note(self, state: OrderState, event: OrderEvent) -> None:
        noted = self._noted.get(state.client_order_id)
        if noted is None:
            noted = _Noted(event.intent.metadata.get("slot", ""), state.generation)
            self._noted[state.client_order_id] = noted
            self._end_latest(state, event.at_ns)
            self._latest[state.intent_id] = noted
        if state.status is not OrderStatus.UNKNOWN and noted.answered_ns is None:
            noted.answered_ns = event.at_ns
        if state.status.is_terminal and noted.ended_ns is None:
            noted.ended_ns = event.at_ns
        noted.reason = event.reason

    def _end_latest(self, state: OrderState, at_ns: int) -> None:
        """A wish has one placement at a time: its next one tells that the one before has ended."""
        latest = self._latest.get(state.intent_id)
        if latest is not None:
            self._replaced += latest.generation != state.generation
            if latest.ended_ns is None:
                latest.ended_ns = at_ns

    def placements(self, record: Iterable[OrderState]) -> Placements:
        """What was written down so far, with the kernel's `record` of those placements."""
        states = {state.client_order_id: state for state in record}
        rows = [_row(states[name], noted) for name, noted in self._noted.items()]
        rejected = dict(self._refused)
        for row in rows:
            if row.status is OrderStatus.REJECTED:
                _count(rejected, _code(row.reason))
        counts = OrderCounts(
            created=len(rows),
            replaced=self._replaced,
            cancelled=self._told[OrderEventKind.CANCELLED],
            rejected=sum(rejected.values()),
            unknown=self._told[OrderEventKind.UNKNOWN],
        )
        return Placements(rows, counts, rejected)


def _row(state: OrderState, noted: _Noted) -> OrderRow:
    order, answered_ns = state.order, noted.answered_ns
    if answered_ns is None and state.status is not OrderStatus.UNKNOWN:
        answered_ns = noted.ended_ns  # its first answer was its end
    return OrderRow(
        state.intent_id,
        state.client_order_id,
        noted.slot,
        order.symbol,
        order.side,
        order.type,
        order.quantity,
        order.price,
        state.prepared_ns,
        answered_ns,
        state.cancel_sent_ns or None,
        noted.ended_ns,
        state.status,
        state.filled,
        state.reason or noted.reason,
    )


def _code(reason: str) -> str:
    """The exchange's code, with which the kernel begins the reason of a refused placement."""
    return reason.partition(":")[0]


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
