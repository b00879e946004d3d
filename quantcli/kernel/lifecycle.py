"""What is known of one placement: its state machine, a table, and the merge of what was seen of it.

    merge(state, report, fills_qty, now_ns) -> OrderState

Merging is a join-semilattice: the cumulative quantity is the greatest ever seen, fills are a set (their
sum comes from the caller), an end is absorbing, and FILLED outranks every other end.  So reports may come
twice, late or in any order; the outcome depends only on which came.  PREPARED < AMBIGUOUS < DEAD < LIVE <
CLOSING < DONE is the order behind the table: a sighting outranks every claim that there was none.
`reason`, `last_sync_at` and `reconciliation_status` are remarks beside it and follow arrival.

An order that was refused is DEAD with status REJECTED: it never existed on the exchange; should it show up
after all, it is adopted like any other (T11).  Knows nothing of intents, and asks for nothing.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec.structs import replace

from quantcli.errors import InvariantError
from quantcli.model.order import (
    Absence,
    AttemptState,
    Observation,
    OrderState,
    OrderStatus,
    ReconciliationStatus,
    Refusal,
    Report,
    Silence,
)


class Seen(StrEnum):
    """What a report, or our own clock, says about a placement."""

    NOTHING = "nothing"  # a look-up without result, an answer to a cancel: no evidence about the placement
    ACKNOWLEDGED = "acknowledged"  # received by the exchange; no status yet
    WORKING = "working"
    ENDED = "ended"
    REFUSED = "refused"  # definitively, this very request
    UNSENT = "unsent"  # provably no byte left this machine
    SILENT = "silent"  # no usable answer
    OVERDUE = "overdue"  # no answer at all while our patience lasted
    RESTARTED = "restarted"  # read back from the store: perhaps sent, perhaps not
    COMPLETE = "complete"  # every fill is known
    INCOMPLETE = "incomplete"


_P, _A, _X = AttemptState.PREPARED, AttemptState.AMBIGUOUS, AttemptState.DEAD
_L, _C, _D = AttemptState.LIVE, AttemptState.CLOSING, AttemptState.DONE

_FROM = (_P, _A, _X, _L, _C, _D)
_ROWS: tuple[tuple[Seen, tuple[AttemptState | None, ...]], ...] = (
    # from             PREPARED AMBIGUOUS DEAD  LIVE  CLOSING DONE
    (Seen.NOTHING, (_P, _A, _X, _L, _C, _D)),
    (Seen.ACKNOWLEDGED, (_P, _A, _X, _L, _C, _D)),
    (Seen.OVERDUE, (_A, None, None, None, None, None)),
    (Seen.RESTARTED, (_A, None, None, None, None, None)),
    (Seen.SILENT, (_A, _A, _X, _L, _C, _D)),
    (Seen.UNSENT, (_X, _X, _X, _L, _C, _D)),
    (Seen.REFUSED, (_X, _X, _X, _L, _C, _D)),
    (Seen.WORKING, (_L, _L, _L, _L, _C, _D)),
    (Seen.ENDED, (_C, _C, _C, _C, _C, _D)),
    (Seen.COMPLETE, (None, None, None, None, _D, _D)),
    (Seen.INCOMPLETE, (None, None, None, None, _C, _C)),
)

TRANSITIONS: dict[tuple[AttemptState, Seen], AttemptState] = {
    (source, seen): target
    for seen, targets in _ROWS
    for source, target in zip(_FROM, targets, strict=True)
    if target is not None
}

_ENDED = frozenset({_C, _D})
_SIGHTED = frozenset({_L, _C, _D})
_CONDITION = {
    _P: ReconciliationStatus.AWAITING_VENUE,
    _A: ReconciliationStatus.UNCERTAIN,
    _L: ReconciliationStatus.IN_SYNC,
    _C: ReconciliationStatus.FILLS_PENDING,
    _D: ReconciliationStatus.IN_SYNC,
    _X: ReconciliationStatus.IN_SYNC,
}
# Exchanges may tell the same end in two ways; the higher number is believed.
_END_RANK = {
    OrderStatus.REJECTED: 1,
    OrderStatus.CANCELED: 2,
    OrderStatus.PARTIALLY_CANCELED: 2,
    OrderStatus.EXPIRED: 3,
    OrderStatus.FILLED: 4,
}


def transition(state: AttemptState, seen: Seen) -> AttemptState:
    """The state that follows; raises `InvariantError` for a pair that the table does not have."""
    target = TRANSITIONS.get((state, seen))
    if target is None:
        raise InvariantError(f"an attempt that is {state} cannot be seen as {seen}")
    return target


def merge(state: OrderState, report: Report, fills_qty: Decimal, now_ns: int) -> OrderState:
    """`state` with a report folded in; `fills_qty` is the sum of all fills known, the report's included."""
    if isinstance(report, Observation):
        return _sighted(state, report, fills_qty, now_ns)
    if isinstance(report, Absence):
        return _moved(state, Seen.NOTHING, "")
    if report.request == "place":
        return _answered(state, report)
    if report.request == "cancel" and state.state is _L:
        # Refused or unanswered, the cancel leaves us in doubt whether the order still works.
        return replace(state, reconciliation_status=ReconciliationStatus.UNCERTAIN)
    return _moved(state, Seen.NOTHING, "")


def doubted(state: OrderState, seen: Seen, reason: str) -> OrderState:
    """`state` when our own clock or a restart, not a report, casts doubt on a placement."""
    return _moved(state, seen, reason)


def is_news(before: OrderState, after: OrderState) -> bool:
    """Whether more changed than remarks on when something was seen."""
    return (
        before.state is not after.state
        or before.status is not after.status
        or before.filled != after.filled
        or before.fills_qty != after.fills_qty
        or before.exchange_order_id != after.exchange_order_id
        or before.reconciliation_status is not after.reconciliation_status
        or before.reason != after.reason
    )


def _answered(state: OrderState, answer: Refusal | Silence) -> OrderState:
    if isinstance(answer, Refusal):
        dead = _moved(state, Seen.REFUSED, f"{answer.code}: {answer.message}")
        return replace(dead, status=OrderStatus.REJECTED) if dead.state is _X else dead
    return _moved(state, Seen.SILENT if answer.sent else Seen.UNSENT, answer.reason)


def _moved(state: OrderState, seen: Seen, reason: str) -> OrderState:
    target = transition(state.state, seen)
    if target is state.state:
        return state
    return replace(state, state=target, reason=reason, reconciliation_status=_CONDITION[target])


def _sighted(state: OrderState, report: Observation, fills_qty: Decimal, now_ns: int) -> OrderState:
    quantity = state.order.quantity
    filled = max(state.filled, report.filled, fills_qty)
    if report.status is OrderStatus.FILLED:
        filled = max(filled, quantity)
    ended = report.status.is_terminal or filled >= quantity
    bare = report.status is OrderStatus.UNKNOWN and filled == 0
    seen = Seen.ENDED if ended else Seen.ACKNOWLEDGED if bare else Seen.WORKING
    target = transition(state.state, seen)
    if target in _ENDED:
        target = transition(target, Seen.COMPLETE if fills_qty >= filled else Seen.INCOMPLETE)
    return replace(
        state,
        state=target,
        status=_status(state, report.status, filled) if target in _SIGHTED else state.status,
        exchange_order_id=_newest_id(state.exchange_order_id, report.exchange_order_id),
        filled=filled,
        fills_qty=fills_qty,
        reconciliation_status=_CONDITION[target],
        last_sync_at=state.last_sync_at if bare else max(state.last_sync_at, now_ns),
        venue_ns=max(state.venue_ns, report.venue_ns),
        reason=report.reason or (state.reason if target is state.state or state.state in _ENDED else ""),
    )


def _status(state: OrderState, reported: OrderStatus, filled: Decimal) -> OrderStatus:
    """The exchange's status by what it said of the order's end, and by quantity where that says more."""
    if filled >= state.order.quantity:
        return OrderStatus.FILLED
    known = state.status if state.state in _ENDED else OrderStatus.UNKNOWN
    end = known if _END_RANK.get(known, 0) >= _END_RANK.get(reported, 0) else reported
    if not end.is_terminal:
        return OrderStatus.PARTIALLY_FILLED if filled > 0 else OrderStatus.NEW
    if filled > 0 and end is not OrderStatus.EXPIRED:
        return OrderStatus.PARTIALLY_CANCELED
    return OrderStatus.CANCELED if end is OrderStatus.PARTIALLY_CANCELED else end


def _newest_id(known: str | None, reported: str) -> str | None:
    """Exchanges count upwards, so of two ids the greater is the later, in whichever order they came."""
    if not known:
        return reported or known
    return max(known, reported, key=lambda text: (len(text), text))
