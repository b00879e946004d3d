"""What is known of one placement: its state machine, a table, and the merge of what was seen of it.

    merge(state, report, fills_qty, now_ns) -> OrderState

Merging is a join-semilattice: the cumulative quantity is the greatest ever seen, fills are a set (their
sum comes from the caller), the terms are those of the exchange's latest word, an end is absorbing, and
FILLED outranks every other end.  So reports may come twice, late or in any order; the outcome depends only on
which came.  PREPARED < AMBIGUOUS < DEAD < LIVE < CLOSING < DONE is the order behind the table: a sighting
outranks every claim that there was none.  `reason`, `last_sync_at`, `reconciliation_status` and `evidence`
are remarks beside it and follow arrival.

An order that was refused is DEAD with status REJECTED: it never existed on the exchange; should it show up
after all, it is adopted like any other (T11).  Knows nothing of intents, and asks for nothing.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum

from msgspec.structs import replace

from quantcli.errors import InvariantError
from quantcli.model.message import Absence, Asked, Observation, Refusal, Refused, Silence
from quantcli.model.order import (
    AttemptState,
    Evidence,
    OrderState,
    OrderStatus,
    ReconciliationStatus,
    StandardOrder,
)

# What can be said of one order; statements and corrections are of a whole market.
OrderReport = Observation | Refusal | Silence | Absence


class Seen(StrEnum):
    """What a report, or our own clock, says about a placement."""

    NOTHING = "nothing"  # a look-up without result, an answer to a cancel: no evidence about the placement
    ACKNOWLEDGED = "acknowledged"  # received by the exchange; no status yet
    EXISTS = "exists"  # the exchange knows its id; nothing more was shown
    WORKING = "working"
    ENDED = "ended"
    REFUSED = "refused"  # definitively, this very request
    UNSENT = "unsent"  # provably no byte left this machine
    SILENT = "silent"  # no usable answer
    OVERDUE = "overdue"  # no answer at all while our patience lasted
    RESTARTED = "restarted"  # read back from the store: perhaps sent, perhaps not
    COMPLETE = "complete"  # every fill is known
    INCOMPLETE = "incomplete"
    PROVED = "proved"  # never existed: by the resolver's proof, or an operator's word
    REAPPEARED = "reappeared"  # listed as open long after it had ended
    VANISHED = "vanished"  # worked once, provably does no more, and every fill is known


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
    (Seen.EXISTS, (_L, _L, _L, _L, _C, _D)),
    (Seen.WORKING, (_L, _L, _L, _L, _C, _D)),
    (Seen.ENDED, (_C, _C, _C, _C, _C, _D)),
    (Seen.COMPLETE, (None, None, None, None, _D, _D)),
    (Seen.INCOMPLETE, (None, None, None, None, _C, _C)),
    (Seen.PROVED, (None, _X, None, None, None, None)),
    (Seen.REAPPEARED, (None, None, _L, None, None, _L)),
    (Seen.VANISHED, (None, None, None, _D, None, None)),
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


def merge(state: OrderState, report: OrderReport, fills_qty: Decimal, now_ns: int) -> OrderState:
    """`state` with a report folded in; `fills_qty` is the sum of all fills known, the report's included."""
    if isinstance(report, Observation):
        return _sighted(state, report, fills_qty, now_ns)
    if isinstance(report, Absence):
        return _absent(state, report, now_ns)
    return _ANSWERS[report.request](state, report, now_ns)


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
        or before.order is not after.order
        or before.amendment is not after.amendment
        or before.evidence is not after.evidence
    )


def filled(attempts: Sequence[OrderState]) -> Decimal:
    """What attempts of one wish have traded together, as the exchange counts."""
    if len(attempts) == 1:  # almost always
        return attempts[0].filled
    return sum([attempt.filled for attempt in attempts], Decimal(0))


def agreed(state: OrderState, asked_ns: int, agrees: bool, now_ns: int) -> OrderState:
    """`state` after a statement of its market that speaks for its not existing, or against.

    One that was asked for before the exchange denied the order says nothing.  A statement was made at some
    time between asking and hearing, so the first counts from when it was heard, the last from when it was
    asked for.
    """
    known = state.evidence
    if known is None or not 0 < known.probed_ns <= asked_ns:
        return state
    if not agrees:
        return replace(state, evidence=replace(known, first_agreed_ns=0, last_agreed_ns=0))
    first, last = known.first_agreed_ns or now_ns, max(known.last_agreed_ns, asked_ns)
    return replace(state, evidence=replace(known, first_agreed_ns=first, last_agreed_ns=last))


def reappeared(state: OrderState) -> OrderState:
    """`state` of an order that had ended, or never been, and that the exchange keeps listing as open."""
    status = OrderStatus.PARTIALLY_FILLED if state.filled else OrderStatus.NEW
    moved = _moved(state, Seen.REAPPEARED, "listed as open long after its end")
    return replace(moved, status=status, evidence=None)


def vanished(state: OrderState, reason: str) -> OrderState:
    """`state` of a working order that provably is there no more, and whose fills are all known."""
    status = OrderStatus.PARTIALLY_CANCELED if state.filled else OrderStatus.CANCELED
    return replace(_moved(state, Seen.VANISHED, reason), status=status)


def _placed(state: OrderState, answer: Refusal | Silence, now_ns: int) -> OrderState:
    if isinstance(answer, Silence):  # a sending that never left says nothing of an earlier one
        never_left = not answer.sent and state.sends == 1
        return _moved(state, Seen.UNSENT if never_left else Seen.SILENT, answer.reason)
    reason = f"{answer.code}: {answer.message}"
    if answer.kind is Refused.EXISTS:
        there = _moved(state, Seen.EXISTS, reason)
        in_doubt = ReconciliationStatus.UNCERTAIN if there.state is _L else there.reconciliation_status
        return replace(there, reconciliation_status=in_doubt)  # nothing else of it was shown
    if state.sends > 1:  # this sending was refused; an earlier one may have been accepted
        return _moved(state, Seen.SILENT, reason)
    dead = _moved(state, Seen.REFUSED, reason)
    is_final = dead.state is _X and answer.kind is not Refused.BUSY
    return replace(dead, status=OrderStatus.REJECTED) if is_final else dead


def _amended(state: OrderState, answer: Refusal | Silence, now_ns: int) -> OrderState:
    pending = state.amendment
    if pending is None or pending.number != answer.number:
        return state
    if isinstance(answer, Silence) or answer.kind is Refused.BUSY:
        return state  # when its fence has passed it may be sent again: that is the pause, too
    in_doubt = ReconciliationStatus.UNCERTAIN if state.state is _L else state.reconciliation_status
    refused = replace(pending, refused=f"{answer.code}: {answer.message}")
    return replace(state, amendment=refused, reconciliation_status=in_doubt)


def _cancelled(state: OrderState, answer: Refusal | Silence, now_ns: int) -> OrderState:
    """A cancel that did not do it leaves us in doubt whether the order still works; that the exchange knows
    no such order is evidence, if it was asked late enough."""
    if isinstance(answer, Refusal) and answer.kind is Refused.UNKNOWN_ORDER and state.state in _UNPROVEN:
        known = state.evidence or Evidence()
        is_late_enough = state.state is _L or 0 < known.fenced_ns <= answer.asked_ns
        if is_late_enough and not known.probed_ns:
            state = replace(state, evidence=Evidence(known.fenced_ns, probed_ns=now_ns))
    if state.state is _L:
        return replace(state, reconciliation_status=ReconciliationStatus.UNCERTAIN)
    return state


def _absent(state: OrderState, report: Absence, now_ns: int) -> OrderState:
    """A look-up in vain speaks against a doubtful order once the exchange has denied it, and against a
    working one if it was asked after the last sighting."""
    known, asked_ns = state.evidence or Evidence(), report.asked_ns
    is_late_enough = {_A: 0 < known.probed_ns <= asked_ns, _L: asked_ns > state.last_sync_at}
    if not is_late_enough.get(state.state) or asked_ns < known.probed_ns:
        return state
    first, last = known.first_absent_ns or now_ns, max(known.last_absent_ns, asked_ns)
    return replace(state, evidence=replace(known, first_absent_ns=first, last_absent_ns=last))


_UNPROVEN = frozenset({_A, _L})
_ANSWERS: dict[str, Callable[[OrderState, Refusal | Silence, int], OrderState]] = {
    Asked.PLACE: _placed,
    Asked.AMEND: _amended,
    Asked.CANCEL: _cancelled,
    Asked.LOOKUP: lambda state, answer, now_ns: state,
}


def _moved(state: OrderState, seen: Seen, reason: str) -> OrderState:
    target = transition(state.state, seen)
    if target is state.state:
        return state
    return replace(
        state,
        state=target,
        reason=reason,
        reconciliation_status=_CONDITION[target],
        reopened=state.reopened or (state.state.is_closed and not target.is_closed),
    )


def _sighted(state: OrderState, report: Observation, fills_qty: Decimal, now_ns: int) -> OrderState:
    order, terms_ns = _terms(state, report)
    filled = max(state.filled, report.filled, fills_qty)
    # Once amendments were sent, only the exchange knows which quantity is full.
    if report.status is OrderStatus.FILLED and not (state.amends and report.filled):
        filled = max(filled, order.quantity)
    ended = report.status.is_terminal or (filled >= order.quantity and not state.amends)
    bare = report.status is OrderStatus.UNKNOWN and filled == 0
    # Which terms are in force is the question, while new ones are on their way.
    is_answer = not bare and (report.order is not None or state.amendment is None)
    seen = Seen.ENDED if ended else Seen.ACKNOWLEDGED if bare else Seen.WORKING
    target = transition(state.state, seen)
    if target in _ENDED:
        target = transition(target, Seen.COMPLETE if fills_qty >= filled else Seen.INCOMPLETE)
    sighted = replace(
        state,
        state=target,
        order=order,
        status=_status(state, report.status, filled, order) if target in _SIGHTED else state.status,
        exchange_order_id=_newest_id(state.exchange_order_id, report.exchange_order_id),
        filled=filled,
        fills_qty=fills_qty,
        reconciliation_status=_CONDITION[target],
        last_sync_at=max(state.last_sync_at, now_ns) if is_answer else state.last_sync_at,
        venue_ns=max(state.venue_ns, report.venue_ns),
        reason=report.reason or (state.reason if target is state.state or state.state in _ENDED else ""),
        terms_ns=terms_ns,
        reopened=state.reopened or (state.state.is_closed and not target.is_closed),
        evidence=state.evidence if bare else None,
    )
    return _with_amendment(sighted)


def _terms(state: OrderState, report: Observation) -> tuple[StandardOrder, int]:
    """The terms in force by the exchange's latest word; of two at the same time those that were asked for
    last, or where none were the larger order's."""
    shown, known, pending = report.order, state.order, state.amendment
    if shown is None or report.venue_ns < state.terms_ns:
        return known, state.terms_ns
    if report.venue_ns == state.terms_ns:
        is_asked_for = pending is not None and _size(pending.order) == _size(shown)
        is_larger = not state.amends and _size(shown) > _size(known)
        if not (is_asked_for or is_larger):
            return known, state.terms_ns
    if _size(shown) != _size(known):
        known = replace(known, quantity=shown.quantity, price=shown.price, stop_price=shown.stop_price)
    return known, report.venue_ns


def _size(order: StandardOrder) -> tuple[Decimal, Decimal, Decimal]:
    return order.quantity, order.price or Decimal(0), order.stop_price or Decimal(0)


def _with_amendment(state: OrderState) -> OrderState:
    """`state`, in which an amendment that has come about is no longer pending.

    Of an order that has ended it may still be told that it had.
    """
    pending = state.amendment
    if pending is None or _size(pending.order) != _size(state.order):
        return state
    return replace(state, amendment=None, generation=max(state.generation, pending.generation))


def _status(state: OrderState, reported: OrderStatus, filled: Decimal, order: StandardOrder) -> OrderStatus:
    """The exchange's status by what it said of the order's end, and by quantity where that says more."""
    known = state.status if state.state in _ENDED else OrderStatus.UNKNOWN
    end = known if _END_RANK.get(known, 0) >= _END_RANK.get(reported, 0) else reported
    if end is OrderStatus.FILLED or (filled >= order.quantity and not state.amends):
        return OrderStatus.FILLED
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
