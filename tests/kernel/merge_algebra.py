"""What is known of an order depends on which reports came, not on their order or number: tried exhaustively.

    check_all(full=False) -> how many sequences were tried; `AssertionError` with the first that differs

Each life is seven reports of one order.  Every one of their 5,040 orders is tried, each with a sample of the
128 ways in which some of them come twice; with `full` each with all of them (645,120 sequences a life).
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import permutations

from msgspec.structs import replace

from quantcli.kernel.lifecycle import merge
from quantcli.model.instrument import Side
from quantcli.model.message import Asked, Observation, Refusal, Refused, Silence
from quantcli.model.order import (
    Amendment,
    AttemptState,
    Fill,
    OrderState,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
)

SAMPLED_MASKS = 2  # of the 128, for each order of the reports
OLD = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(10), Decimal(100))
NEW_TERMS = replace(OLD, quantity=Decimal(8), price=Decimal(101))
PLACED = OrderState("i", 1, "c", OLD, 1, 0)
AMENDING = replace(PLACED, amends=1, amendment=Amendment(1, NEW_TERMS, 2, 9))

# What follows arrival; everything else is a fact.
REMARKS = {
    "reason": "",
    "last_sync_at": 0,
    "reconciliation_status": ReconciliationStatus.IN_SYNC,
    "evidence": None,
    "reopened": False,
}


def _fill(trade_id: str, qty: int) -> Fill:
    price, fee = Decimal(100), Decimal(0)
    return Fill(trade_id, "BTC/USDT", Side.BUY, Decimal(qty), price, fee, "USDT", True, 0, "c", "x")


F4, F3, F1 = _fill("t1", 4), _fill("t2", 3), _fill("t3", 1)
Report = Observation | Refusal | Silence


def _seen(status: OrderStatus, filled: int, venue_ns: int, *fills: Fill, **more) -> Observation:
    return Observation("c", "x", status, Decimal(filled), venue_ns, fills, **more)


_ACK = _seen(OrderStatus.UNKNOWN, 0, 0)
_WORKS = _seen(OrderStatus.NEW, 0, 1, order=OLD)
_PART = _seen(OrderStatus.PARTIALLY_FILLED, 4, 2, F4, order=OLD)
_AMENDED = _seen(OrderStatus.PARTIALLY_FILLED, 4, 3, order=NEW_TERMS)
_MORE = _seen(OrderStatus.PARTIALLY_FILLED, 7, 4, F3)
_SILENT = Silence("c", Asked.PLACE, "time-out")

# Reports that a life consists of, what was known before, and what must be known after.
LIVES: dict[str, tuple[OrderState, tuple[Report, ...], tuple[AttemptState, OrderStatus, int]]] = {
    "amended and cancelled": (
        AMENDING,
        (_ACK, _WORKS, _PART, _AMENDED, _MORE, _seen(OrderStatus.CANCELED, 7, 5, order=NEW_TERMS), _SILENT),
        (AttemptState.DONE, OrderStatus.PARTIALLY_CANCELED, 7),
    ),
    "amended and filled": (
        AMENDING,
        (
            _WORKS,
            _PART,
            _AMENDED,
            _MORE,
            _seen(OrderStatus.FILLED, 8, 6, F1),
            _seen(OrderStatus.NEW, 0, 3),
            _ACK,
        ),
        (AttemptState.DONE, OrderStatus.FILLED, 8),
    ),
    "amended while it expires, a fill missing": (
        AMENDING,
        (
            _WORKS,
            _PART,
            _seen(OrderStatus.EXPIRED, 7, 5),
            _AMENDED,
            Refusal("c", Asked.CANCEL, -2011, "unknown order", Refused.UNKNOWN_ORDER),
            _seen(OrderStatus.CANCELED, 0, 5),
            _SILENT,
        ),
        (AttemptState.CLOSING, OrderStatus.EXPIRED, 7),
    ),
    "refused, and there after all": (
        PLACED,
        (
            Refusal("c", Asked.PLACE, -2010, "no"),
            Silence("c", Asked.PLACE, "no route", sent=False),
            Refusal("c", Asked.PLACE, -1, "busy", Refused.BUSY),
            _PART,
            _MORE,
            _seen(OrderStatus.FILLED, 10, 8),
            _seen(OrderStatus.CANCELED, 8, 7, F1),
        ),
        (AttemptState.CLOSING, OrderStatus.FILLED, 10),
    ),
    "never there": (
        PLACED,
        (
            _ACK,
            _SILENT,
            Silence("c", Asked.LOOKUP, "time-out"),
            Silence("c", Asked.CANCEL, "time-out"),
            Refusal("c", Asked.CANCEL, -2011, "unknown order", Refused.UNKNOWN_ORDER),
            Refusal("c", Asked.PLACE, -2010, "no"),
            Silence("c", Asked.PLACE, "refused to connect", sent=False),
        ),
        (AttemptState.DEAD, OrderStatus.REJECTED, 0),
    ),
}


def check_all(full: bool = False) -> int:
    """Try every life; with `full` in every way there is (about a minute each)."""
    return sum(check(name, full) for name in LIVES)


def check(name: str, full: bool = False) -> int:
    """Try one life; returns the number of sequences."""
    start, reports, expected = LIVES[name]
    after, tried = None, 0
    for sequence in _sequences(reports, full):
        ended = facts(fold(start, sequence))
        known = ended.state, ended.status, int(ended.filled)
        assert known == expected, f"{name}: {known} after {sequence}"
        assert after is None or ended == after, f"{name}: {ended} is not {after} after {sequence}"
        after, tried = ended, tried + 1
    return tried


def fold(state: OrderState, reports: Iterable[Report]) -> OrderState:
    """Merge reports one after the other, counting each fill once."""
    known: dict[str, Decimal] = {}
    for now_ns, report in enumerate(reports, 1):
        known.update({fill.trade_id: fill.qty for fill in getattr(report, "fills", ())})
        state = merge(state, report, sum(known.values(), Decimal(0)), now_ns)
    return state


def facts(state: OrderState) -> OrderState:
    """A state without its remarks."""
    return replace(state, **REMARKS)


def _sequences(reports: Sequence[Report], full: bool) -> Iterator[tuple[Report, ...]]:
    for number, order in enumerate(permutations(reports)):
        yield order
        masks = range(1, 128) if full else [(number * 37 + k * 61) % 127 + 1 for k in range(SAMPLED_MASKS)]
        for mask in masks:
            yield order + tuple(order[place] for place in _places(mask))


@cache
def _places(mask: int) -> tuple[int, ...]:
    """Which reports come again, the last ones first."""
    return tuple(place for place in reversed(range(7)) if mask >> place & 1)
