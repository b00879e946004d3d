"""What to do next about one wish: a pure function of the wish, its attempts and the time.

    decide(intent, attempts, now_ns, policy) -> Decision(actions, status, look_again_at)

`RULES` says what to do while an attempt is open, by its state and whether its order is still wanted as it
is; `ENDINGS` says what becomes of the wish once an attempt has ended, by how it ended.  A new case
is a new row.  `quant reconcile --plan` is this function plus a table on the terminal.

Three things are never done here: an order is never placed while an earlier one of the same wish may still
trade, silence or absence never ends one, and an order that somebody cancelled on the exchange is not
placed again.  Deciding twice without news gives no second command.  Knows nothing of rows, requests, or
how time passes.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.kernel.identity import MAX_ATTEMPT
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    TimeInForce,
)


class Policy(msgspec.Struct, frozen=True):
    """Patience of the kernel; all times in nanoseconds.

    `patience_ns`  no answer to a place or cancel for so long: look the order up
    `resync_ns`    a working order that was not seen for so long is looked up
    `spacing_ns`, `spacing_max_ns`   between look-ups of one order: as long as it has been about, within these
    `fence_ns`     a placement is worthless to the exchange so long after it was sent
    `hold_ns`      after so long without certainty an operator is asked for
    `max_attempts` placements for one set of terms (more were needed only if none left this machine)
    """

    patience_ns: int = 3 * NS_PER_S
    resync_ns: int = 30 * NS_PER_S
    spacing_ns: int = 500 * NS_PER_MS
    spacing_max_ns: int = 5 * NS_PER_S
    fence_ns: int = 5 * NS_PER_S
    hold_ns: int = 120 * NS_PER_S
    max_attempts: int = 20


class PlaceAttempt(msgspec.Struct, frozen=True, gc=False):
    """Place `qty` at `price` (`None`: the type has none) as attempt number `n`."""

    qty: Decimal
    price: Decimal | None
    n: int
    why: str


class CancelAttempt(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange to cancel."""

    client_order_id: str
    why: str


class LookUp(msgspec.Struct, frozen=True, gc=False):
    """Ask the exchange for status and fills."""

    client_order_id: str
    why: str


class Doubt(msgspec.Struct, frozen=True, gc=False):
    """Give up waiting for the answer to a placement: it is AMBIGUOUS from now on."""

    client_order_id: str
    why: str


class Settle(msgspec.Struct, frozen=True, gc=False):
    """The wish has ended in `phase`, for `reason`."""

    phase: IntentPhase
    reason: str
    why: str


Action = PlaceAttempt | CancelAttempt | LookUp | Doubt | Settle


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What to do now, how wish and exchange stand, and when to decide again unless news comes first."""

    actions: tuple[Action, ...]
    status: ReconciliationStatus
    look_again_at: int | None = None


_IN_SYNC = ReconciliationStatus.IN_SYNC
_AWAITING = ReconciliationStatus.AWAITING_VENUE
_UNCERTAIN = ReconciliationStatus.UNCERTAIN
_FILLS_PENDING = ReconciliationStatus.FILLS_PENDING
_NEEDS_OPERATOR = ReconciliationStatus.NEEDS_OPERATOR

_ZERO = Decimal(0)

WANTED = frozenset({IntentPhase.PENDING, IntentPhase.ACTIVE})


def decide(intent: OrderIntent, attempts: Sequence[OrderState], now_ns: int, policy: Policy) -> Decision:
    """What to do about `intent`; `attempts` are all of its attempts by number, at most the last one open."""
    for attempt in reversed(attempts):
        if not attempt.state.is_closed:
            wanted = _is_wanted(attempt, intent, attempts)
            return RULES[attempt.state, wanted](attempt, now_ns, policy)
    return _between_attempts(intent, attempts, now_ns, policy)


def _is_wanted(attempt: OrderState, intent: OrderIntent, attempts: Sequence[OrderState]) -> bool:
    """The order is wished for as it is: on these terms, and for no more than is left.  It may have become
    too large where an exchange went on filling an earlier one whose end it had told."""
    if intent.phase not in WANTED or attempt.generation != intent.generation:
        return False
    if len(attempts) == 1:
        return True
    before = filled(attempts) - attempt.filled
    return attempt.order.quantity <= intent.order.quantity - before


def filled(attempts: Sequence[OrderState]) -> Decimal:
    """What all attempts together have traded, as the exchange counts."""
    if len(attempts) == 1:  # almost always
        return attempts[0].filled
    return sum([attempt.filled for attempt in attempts], _ZERO)


# While an attempt is open.


def _await_answer(attempt: OrderState, now_ns: int, policy: Policy) -> Decision:
    patient_until = attempt.prepared_ns + policy.patience_ns
    if now_ns < patient_until:
        return Decision((), _AWAITING, patient_until)
    why = f"no answer to the placement for {policy.patience_ns / NS_PER_S:g} s"
    client_id = attempt.client_order_id
    again = now_ns + policy.spacing_ns
    return Decision((Doubt(client_id, why), LookUp(client_id, why)), _UNCERTAIN, again)


def _find_out(attempt: OrderState, now_ns: int, policy: Policy) -> Decision:
    held = now_ns - attempt.prepared_ns >= policy.hold_ns
    why = "nobody knows whether the placement reached the exchange"
    return _look(attempt, now_ns, policy, _NEEDS_OPERATOR if held else _UNCERTAIN, why)


def _keep_working(attempt: OrderState, now_ns: int, policy: Policy) -> Decision:
    if attempt.fills_qty < attempt.filled:
        return _await_fills(attempt, now_ns, policy)
    fresh_until = attempt.last_sync_at + policy.resync_ns
    if now_ns < fresh_until and attempt.lookup_sent_ns <= attempt.last_sync_at:
        return Decision((), _IN_SYNC, fresh_until)
    late_ns = now_ns - fresh_until - policy.patience_ns
    status = _IN_SYNC if late_ns < 0 else _UNCERTAIN if late_ns < policy.hold_ns else _NEEDS_OPERATOR
    return _look(attempt, now_ns, policy, status, f"not seen for {policy.resync_ns / NS_PER_S:g} s")


def _withdraw(attempt: OrderState, now_ns: int, policy: Policy) -> Decision:
    sent_ns, client_id = attempt.cancel_sent_ns, attempt.client_order_id
    patient_until = sent_ns + policy.patience_ns
    if sent_ns == 0:
        again = now_ns + policy.patience_ns
        return Decision((CancelAttempt(client_id, "no longer wanted as it is"),), _AWAITING, again)
    if now_ns >= patient_until and attempt.last_sync_at >= patient_until:
        again = now_ns + policy.patience_ns
        return Decision((CancelAttempt(client_id, "still working after a cancel"),), _AWAITING, again)
    if now_ns < patient_until and attempt.reconciliation_status is not _UNCERTAIN:
        return Decision((), _AWAITING, patient_until)
    held = now_ns - max(attempt.last_sync_at, sent_ns) >= policy.hold_ns
    status = _NEEDS_OPERATOR if held else _UNCERTAIN
    return _look(attempt, now_ns, policy, status, "the cancel was not confirmed")


def _await_fills(attempt: OrderState, now_ns: int, policy: Policy) -> Decision:
    patient_until = attempt.last_sync_at + policy.spacing_ns  # fills often follow on a path of their own
    if now_ns < patient_until:
        return Decision((), _FILLS_PENDING, patient_until)
    return _look(attempt, now_ns, policy, _FILLS_PENDING, "the exchange counts more than the fills we hold")


def _look(
    attempt: OrderState, now_ns: int, policy: Policy, status: ReconciliationStatus, why: str
) -> Decision:
    """Look an order up, as rarely as befits its age: answers that did not come so far are slow to come."""
    due = attempt.lookup_sent_ns + _gap(attempt.lookup_sent_ns, attempt, policy)
    if now_ns < due:
        return Decision((), status, due)
    action = LookUp(attempt.client_order_id, why)
    return Decision((action,), status, now_ns + _gap(now_ns, attempt, policy))


def _gap(asked_ns: int, attempt: OrderState, policy: Policy) -> int:
    return min(max(asked_ns - attempt.prepared_ns, policy.spacing_ns), policy.spacing_max_ns)


Rule = Callable[[OrderState, int, Policy], Decision]

RULES: dict[tuple[AttemptState, bool], Rule] = {
    (AttemptState.PREPARED, True): _await_answer,
    (AttemptState.PREPARED, False): _await_answer,
    (AttemptState.AMBIGUOUS, True): _find_out,
    (AttemptState.AMBIGUOUS, False): _find_out,
    (AttemptState.LIVE, True): _keep_working,
    (AttemptState.LIVE, False): _withdraw,
    (AttemptState.CLOSING, True): _await_fills,
    (AttemptState.CLOSING, False): _await_fills,
}

# Between attempts.

# How an attempt ended, when that was not our doing, and whether it was made not to rest: what becomes of the
# wish.  Ends that are missing here (filled, but the total has grown since; never sent) leave it open.
ENDINGS: dict[tuple[OrderStatus, bool], tuple[IntentPhase, str]] = {
    (OrderStatus.REJECTED, False): (IntentPhase.FAILED, "refused by the exchange"),
    (OrderStatus.REJECTED, True): (IntentPhase.FAILED, "refused by the exchange"),
    (OrderStatus.EXPIRED, False): (IntentPhase.EXPIRED, "expired on the exchange"),
    (OrderStatus.EXPIRED, True): (IntentPhase.EXPIRED, "not filled at once"),
    (OrderStatus.CANCELED, True): (IntentPhase.EXPIRED, "not filled at once"),
    (OrderStatus.PARTIALLY_CANCELED, True): (IntentPhase.EXPIRED, "not filled at once"),
    (OrderStatus.CANCELED, False): (IntentPhase.CANCELED, "external: cancelled on the exchange"),
    (OrderStatus.PARTIALLY_CANCELED, False): (IntentPhase.CANCELED, "external: cancelled on the exchange"),
}

_CANCELLED = frozenset({OrderStatus.CANCELED, OrderStatus.PARTIALLY_CANCELED})
_NEVER_REST = frozenset({OrderType.MARKET, OrderType.IMMEDIATE_OR_CANCEL, OrderType.FILL_OR_KILL})
_NEVER_REST_TIF = frozenset({TimeInForce.IOC, TimeInForce.FOK})


def _between_attempts(
    intent: OrderIntent, attempts: Sequence[OrderState], now_ns: int, policy: Policy
) -> Decision:
    if intent.phase.is_terminal:
        return Decision((), _IN_SYNC)
    rest = intent.order.quantity - filled(attempts)
    if rest <= 0:
        return _settle(IntentPhase.SATISFIED, "", "filled")
    if intent.phase is IntentPhase.CANCEL_REQUESTED:
        return _settle(IntentPhase.CANCELED, intent.reason, "cancelled, nothing is working any more")
    if attempts and (ending := _ending(intent, attempts[-1])) is not None:
        return _settle(*ending, "the order ended on the exchange")
    return _place(intent, attempts, rest, now_ns, policy)


def _ending(intent: OrderIntent, last: OrderState) -> tuple[IntentPhase, str] | None:
    """How the wish ends with its last attempt; `None` if it goes on.

    An attempt at older terms ends nothing, unless somebody else cancelled it before we did.
    """
    cancelled = last.status in _CANCELLED
    if (cancelled and last.cancel_sent_ns) or (not cancelled and last.generation != intent.generation):
        return None
    never_rests = last.order.type in _NEVER_REST or last.order.time_in_force in _NEVER_REST_TIF
    ending = ENDINGS.get((last.status, never_rests))
    if ending is None:
        return None
    phase, reason = ending
    return phase, f"{reason}: {last.reason}" if last.reason else reason


def _place(
    intent: OrderIntent, attempts: Sequence[OrderState], rest: Decimal, now_ns: int, policy: Policy
) -> Decision:
    number = len(attempts) + 1
    tries = len([attempt for attempt in attempts if attempt.generation == intent.generation])
    if tries >= policy.max_attempts or number > MAX_ATTEMPT:
        return Decision((), _NEEDS_OPERATOR)
    if tries:
        pause = min(policy.spacing_ns << (tries - 1), policy.spacing_max_ns)
        due = attempts[-1].prepared_ns + pause
        if now_ns < due:
            return Decision((), _AWAITING, due)
    action = PlaceAttempt(rest, intent.order.price, number, "wanted, and nothing is working")
    return Decision((action,), _AWAITING, now_ns + policy.patience_ns)


def _settle(phase: IntentPhase, reason: str, why: str) -> Decision:
    return Decision((Settle(phase, reason, why),), _IN_SYNC)
