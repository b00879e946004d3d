"""What to do next about one wish: a pure function of the wish, its attempts and the time.

    decide(intent, attempts, now_ns, policy, scene) -> Decision(actions, status, look_again_at)

`RULES` says what to do while an attempt is open, by its state and by what the wish says of its order;
`ENDINGS` says what becomes of the wish once an attempt has ended, by how it ended.  A new case is a
new row.  `quant reconcile --plan` is this function plus a table on the terminal.

Three things are never done here: an order is never placed while an earlier one of the same wish may still
trade, silence or absence never ends one (`resolver` says what does), and an order that somebody cancelled on
the exchange is not placed again.  Deciding twice without news gives no second command.  Knows nothing of
rows, requests, or how time passes.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum

import msgspec
from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.kernel import resolver
from quantcli.kernel.actions import (
    Action,
    AmendAttempt,
    Bury,
    CancelAttempt,
    Confirm,
    Decision,
    Doubt,
    LookUp,
    PlaceAttempt,
    Resend,
    TakeStock,
)
from quantcli.kernel.endings import ending
from quantcli.kernel.identity import MAX_ATTEMPT
from quantcli.kernel.lifecycle import filled
from quantcli.kernel.policy import OPEN, Policy, Scene
from quantcli.kernel.resolver import Need
from quantcli.model.order import (
    AttemptState,
    OrderIntent,
    OrderState,
    ReconciliationStatus,
    StandardOrder,
)
from quantcli.model.venue import AmendRule, Resolution


class Want(Enum):
    """What the wish says of an order."""

    AS_IS = "wanted as it is"
    OTHERWISE = "wanted on other terms"
    NOT = "not wanted"


class Case(msgspec.Struct, frozen=True, gc=False):
    """One open attempt, and all there is to decide about it; `terms` are those the wish has for its order."""

    attempt: OrderState
    terms: StandardOrder
    intent: OrderIntent
    now_ns: int
    policy: Policy
    scene: Scene


_IN_SYNC = ReconciliationStatus.IN_SYNC
_AWAITING = ReconciliationStatus.AWAITING_VENUE
_UNCERTAIN = ReconciliationStatus.UNCERTAIN
_FILLS_PENDING = ReconciliationStatus.FILLS_PENDING
_NEEDS_OPERATOR = ReconciliationStatus.NEEDS_OPERATOR

_ZERO = Decimal(0)
_GONE = "it worked once, and is not found any more"


def decide(
    intent: OrderIntent, attempts: Sequence[OrderState], now_ns: int, policy: Policy, scene: Scene = OPEN
) -> Decision:
    """What to do about `intent`; `attempts` are all of its attempts by number, at most one of them open but
    for those that came back."""
    if len(attempts) == 1 and not attempts[0].state.is_closed:  # almost always
        return _about(attempts[0], intent.order, intent, now_ns, policy, scene)
    open_attempts = [attempt for attempt in attempts if not attempt.state.is_closed]
    if not open_attempts:
        return _between_attempts(intent, attempts, now_ns, policy, scene)
    decisions = [
        _about(attempt, _terms(intent, attempt, attempts), intent, now_ns, policy, scene)
        for attempt in reversed(open_attempts)
    ]
    return decisions[0] if len(decisions) == 1 else _all_of(decisions)


def _about(
    attempt: OrderState,
    terms: StandardOrder,
    intent: OrderIntent,
    now_ns: int,
    policy: Policy,
    scene: Scene,
) -> Decision:
    case = Case(attempt, terms, intent, now_ns, policy, scene)
    ends_ns = None if policy.venue.expires else intent.order.expire_ns
    if ends_ns is None:
        return RULES[attempt.state, _want(attempt, terms, intent)](case)
    if now_ns >= ends_ns:
        return RULES[attempt.state, Want.NOT](case)
    decision = RULES[attempt.state, _want(attempt, terms, intent)](case)
    return replace(decision, look_again_at=min(decision.look_again_at or ends_ns, ends_ns))


def _terms(intent: OrderIntent, attempt: OrderState, attempts: Sequence[OrderState]) -> StandardOrder:
    """The wish's terms for one attempt: its quantity is what the others have left of the total."""
    rest = intent.order.quantity - (filled(attempts) - attempt.filled)
    return intent.order if rest == intent.order.quantity else replace(intent.order, quantity=rest)


def _want(attempt: OrderState, terms: StandardOrder, intent: OrderIntent) -> Want:
    """The order may have become too large, too, where an exchange went on filling an earlier one."""
    if not intent.phase.is_wanted or intent.held or attempt.reopened or terms.quantity <= attempt.filled:
        return Want.NOT
    if attempt.generation != intent.generation or attempt.order.quantity > terms.quantity:
        return Want.OTHERWISE
    return Want.AS_IS


def _all_of(decisions: Sequence[Decision]) -> Decision:
    """One decision about several orders: the newest one's status, the earliest look."""
    looks = [d.look_again_at for d in decisions if d.look_again_at is not None]
    actions = tuple(action for decision in decisions for action in decision.actions)
    return Decision(actions, decisions[0].status, min(looks, default=None))


# While an attempt is open.


def _await_answer(case: Case) -> Decision:
    attempt, policy = case.attempt, case.policy
    patient_until = attempt.prepared_ns + policy.patience_ns
    if case.now_ns < patient_until:
        return Decision((), _AWAITING, patient_until)
    why = f"no answer to the placement for {policy.patience_ns / NS_PER_S:g} s"
    doubt = Doubt(attempt.client_order_id, why)
    return Decision((doubt, _find_out(case, why)), _UNCERTAIN, _soon(case))


def _resolution(case: Case) -> Resolution:
    intent = case.intent
    is_wanted = intent.phase.is_wanted and not intent.held and not case.attempt.reopened
    return resolver.resolution(case.policy, case.scene, is_wanted)


def _find_out(case: Case, why: str) -> Action:
    """The first question about a placement without an answer."""
    if _resolution(case) is Resolution.RESEND:
        return Resend(case.attempt.client_order_id, why)
    return LookUp(case.attempt.client_order_id, why)


def _resolve(case: Case) -> Decision:
    attempt, policy = case.attempt, case.policy
    held = case.now_ns - attempt.prepared_ns >= policy.hold_ns
    status = _NEEDS_OPERATOR if held else _UNCERTAIN
    why = "nobody knows whether the placement reached the exchange"
    if _resolution(case) is Resolution.PROVE:
        return _prove(case, status, why)
    again = _next_look(attempt, policy)
    if case.now_ns < again:
        return Decision((), status, again)
    return Decision((_find_out(case, why),), status, _next_look(attempt, policy, case.now_ns))


def _prove(case: Case, status: ReconciliationStatus, why: str) -> Decision:
    """Obtain what the proof still lacks; with nothing missing, the order is not there."""
    attempt, policy, now_ns = case.attempt, case.policy, case.now_ns
    needs = resolver.missing(attempt, now_ns, policy, case.scene)
    if Need.FENCE in needs:
        fence_ns = resolver.fenced_ns(attempt, policy, case.scene) + 1
        decision = _look(case, status, why)
        return replace(decision, look_again_at=min(decision.look_again_at or fence_ns, fence_ns))
    if Need.PROBE in needs:
        return _probe(case, status, why)
    if not needs and attempt.fills_qty < attempt.filled:
        return _look(case, status, "the exchange counts more than the fills we hold")
    if not needs:
        proof = "the exchange denies it, does not find it, and no trade of it is missing in the books"
        return Decision((Bury(attempt.client_order_id, f"proved: {proof}"),), status, now_ns)
    due = _next_look(attempt, policy)
    if now_ns < due:
        return Decision((), status, due)
    asks = LookUp(attempt.client_order_id, why), TakeStock(attempt.order.symbol, why)
    return Decision(asks, status, _next_look(attempt, policy, now_ns))


def _probe(case: Case, status: ReconciliationStatus, why: str) -> Decision:
    """Ask for a cancel that tells whether there is an order; asked in time, and answered in time."""
    attempt, policy, now_ns = case.attempt, case.policy, case.now_ns
    asked_ns = attempt.cancel_sent_ns
    is_first = asked_ns == 0 or (attempt.state is AttemptState.AMBIGUOUS and attempt.evidence is None)
    if not is_first and now_ns < asked_ns + policy.patience_ns:
        return Decision((), status, asked_ns + policy.patience_ns)
    probe = CancelAttempt(attempt.client_order_id, why, probe=True)
    return Decision((probe,), status, now_ns + policy.patience_ns)


def _keep_working(case: Case) -> Decision:
    attempt, policy, now_ns = case.attempt, case.policy, case.now_ns
    if attempt.fills_qty < attempt.filled:
        return _await_fills(case)
    fresh_until = max(attempt.last_sync_at, attempt.prepared_ns) + policy.resync_ns
    in_doubt = attempt.reconciliation_status is _UNCERTAIN
    if now_ns < fresh_until and not in_doubt and attempt.lookup_sent_ns <= attempt.last_sync_at:
        return Decision((), _IN_SYNC, fresh_until)
    late_ns = now_ns - fresh_until - policy.patience_ns
    status = (
        _NEEDS_OPERATOR if late_ns >= policy.hold_ns else _UNCERTAIN if in_doubt or late_ns >= 0 else _IN_SYNC
    )
    if _is_gone(case):
        return _prove(case, status, _GONE)
    return _look(case, status, f"not seen for {policy.resync_ns / NS_PER_S:g} s")


def _is_gone(case: Case) -> bool:
    """Whether it is time to prove that a working order vanished: the exchange has denied it, or look-ups have
    not found it for as long as copies lag."""
    known = case.attempt.evidence
    if known is None or _resolution(case) is not Resolution.PROVE:
        return False
    gone_ns = known.last_absent_ns - known.first_absent_ns
    return known.probed_ns > 0 or gone_ns >= case.policy.venue.replica_lag_ns


def _adjust(case: Case) -> Decision:
    """Bring a working order to the wish's terms: in place where that is safe, else by cancelling it."""
    attempt, pending = case.attempt, case.attempt.amendment
    if pending is not None and not pending.refused:
        over_ns = pending.deadline_ns + case.policy.venue.engine_bound_ns + case.scene.clock_error_ns
        # Another may follow only when this one cannot come about any more, and it was seen what came of it.
        if not over_ns < attempt.lookup_sent_ns < attempt.last_sync_at:
            return _await_amendment(case, over_ns)
    client_id = attempt.client_order_id
    if attempt.order == case.terms:
        return Decision((Confirm(client_id, "as it is, it is wanted again"),), _IN_SYNC, case.now_ns)
    was_refused = pending is not None and pending.refused and pending.generation == case.intent.generation
    if (
        attempt.cancel_sent_ns
        or was_refused
        or not _is_amendable(attempt.order, case.terms, case.policy.venue.amend)
    ):
        return _withdraw(case)
    order = replace(attempt.order, **_amendable(case.terms))
    action = AmendAttempt(client_id, order, "wanted on other terms")
    return Decision((action,), _AWAITING, case.now_ns + case.policy.patience_ns)


def _await_amendment(case: Case, over_ns: int) -> Decision:
    patient_until = over_ns - case.policy.venue.fence_ns + case.policy.patience_ns
    if case.now_ns < patient_until:
        return Decision((), _AWAITING, patient_until)
    why = "nobody knows whether the amendment reached the exchange"
    if case.attempt.lookup_sent_ns <= over_ns < case.now_ns:
        return Decision((LookUp(case.attempt.client_order_id, why),), _UNCERTAIN, _soon(case))
    status = _NEEDS_OPERATOR if case.now_ns - over_ns >= case.policy.hold_ns else _UNCERTAIN
    if _is_gone(case):
        return _prove(case, status, _GONE)
    decision = _look(case, status, why)
    return replace(decision, look_again_at=over_ns + 1) if case.now_ns <= over_ns else decision


def _amendable(terms: StandardOrder) -> dict[str, Decimal | None]:
    return {"quantity": terms.quantity, "price": terms.price, "stop_price": terms.stop_price}


def _is_amendable(order: StandardOrder, terms: StandardOrder, rule: AmendRule) -> bool:
    """Whether the exchange can change `order` into `terms` without an overfill."""
    if rule is AmendRule.NONE or order.stop_price is not None or replace(order, **_amendable(terms)) != terms:
        return False
    return rule is AmendRule.TOTAL or (order.price == terms.price and terms.quantity < order.quantity)


def _withdraw(case: Case) -> Decision:
    attempt, policy, now_ns = case.attempt, case.policy, case.now_ns
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
    why = "the cancel was not confirmed"
    if attempt.evidence is not None and _resolution(case) is Resolution.PROVE:
        return _prove(case, status, why)
    return _look(case, status, why)


def _await_fills(case: Case) -> Decision:
    patient_until = case.attempt.last_sync_at + case.policy.spacing_ns  # fills often follow on their own path
    if case.now_ns < patient_until:
        return Decision((), _FILLS_PENDING, patient_until)
    return _look(case, _FILLS_PENDING, "the exchange counts more than the fills we hold")


def _look(case: Case, status: ReconciliationStatus, why: str) -> Decision:
    """Look an order up, as rarely as befits its age: answers that did not come so far are slow to come."""
    attempt, policy = case.attempt, case.policy
    due = _next_look(attempt, policy)
    if case.now_ns < due:
        return Decision((), status, due)
    action = LookUp(attempt.client_order_id, why)
    return Decision((action,), status, _next_look(attempt, policy, case.now_ns))


def _next_look(attempt: OrderState, policy: Policy, asked_ns: int | None = None) -> int:
    """When to ask again, having asked at `asked_ns` (`None`: when we last did): the longer it is in doubt the
    more rarely, and once an operator was asked for, as rarely as a working order is looked up."""
    asked_ns = attempt.lookup_sent_ns if asked_ns is None else asked_ns
    known = attempt.evidence
    doubted_ns = attempt.prepared_ns
    if attempt.state is AttemptState.LIVE and known is not None:
        doubted_ns = known.first_absent_ns or known.probed_ns
    if known is not None or attempt.state is AttemptState.AMBIGUOUS:
        if asked_ns - doubted_ns >= policy.hold_ns:
            return asked_ns + policy.resync_ns
        if known is not None:
            doubted_ns = max(doubted_ns, known.probed_ns)
    return asked_ns + min(max(asked_ns - doubted_ns, policy.spacing_ns), policy.spacing_max_ns)


def _soon(case: Case) -> int:
    return case.now_ns + case.policy.spacing_ns


Rule = Callable[[Case], Decision]
_AS_IS, _OTHERWISE, _NOT = Want.AS_IS, Want.OTHERWISE, Want.NOT

RULES: dict[tuple[AttemptState, Want], Rule] = {
    # the order is …              wanted as it is, wanted on other terms, not wanted
    (AttemptState.PREPARED, _AS_IS): _await_answer,
    (AttemptState.PREPARED, _OTHERWISE): _await_answer,
    (AttemptState.PREPARED, _NOT): _await_answer,
    (AttemptState.AMBIGUOUS, _AS_IS): _resolve,
    (AttemptState.AMBIGUOUS, _OTHERWISE): _resolve,
    (AttemptState.AMBIGUOUS, _NOT): _resolve,
    (AttemptState.LIVE, _AS_IS): _keep_working,
    (AttemptState.LIVE, _OTHERWISE): _adjust,
    (AttemptState.LIVE, _NOT): _withdraw,
    (AttemptState.CLOSING, _AS_IS): _await_fills,
    (AttemptState.CLOSING, _OTHERWISE): _await_fills,
    (AttemptState.CLOSING, _NOT): _await_fills,
}

# Between attempts.


def _between_attempts(
    intent: OrderIntent, attempts: Sequence[OrderState], now_ns: int, policy: Policy, scene: Scene
) -> Decision:
    if intent.phase.is_terminal:
        return Decision((), _IN_SYNC)
    rest = intent.order.quantity - filled(attempts)
    if (end := ending(intent, attempts, rest, now_ns, scene)) is not None:
        return Decision((end,), _IN_SYNC)
    if intent.held:
        return Decision((), ReconciliationStatus.HELD_BACK)
    if scene.closed is not None:
        return Decision((), scene.closed)
    return _place(intent, attempts, rest, now_ns, policy)


def _place(
    intent: OrderIntent, attempts: Sequence[OrderState], rest: Decimal, now_ns: int, policy: Policy
) -> Decision:
    number = attempts[-1].attempt + 1 if attempts else 1
    tries = len([attempt for attempt in attempts if attempt.generation == intent.generation])
    is_patient = tries >= policy.max_attempts  # what protects a position is never given up
    if (is_patient and not intent.protective) or number > MAX_ATTEMPT:
        return Decision((), _NEEDS_OPERATOR)
    if tries:
        pause = min(policy.spacing_ns << (tries - 1), policy.spacing_max_ns)
        pause = policy.resync_ns if is_patient else pause
        due = attempts[-1].prepared_ns + pause
        if now_ns < due:
            return Decision((), _AWAITING, due)
    action = PlaceAttempt(rest, intent.order.price, number, "wanted, and nothing is working")
    return Decision((action,), _AWAITING, now_ns + policy.patience_ns)
