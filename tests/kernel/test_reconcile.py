"""The decision table, row by row, and what holds for all of it."""

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.kernel.actions import (
    AmendAttempt,
    Bury,
    CancelAttempt,
    Confirm,
    Doubt,
    LookUp,
    PlaceAttempt,
    Resend,
    Settle,
    TakeStock,
)
from quantcli.kernel.lifecycle import Seen, doubted, vanished
from quantcli.kernel.policy import Policy, Scene
from quantcli.kernel.reconcile import RULES, Want, decide
from quantcli.model.instrument import Side
from quantcli.model.order import (
    Amendment,
    AttemptState,
    Evidence,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
    TimeInForce,
)
from quantcli.model.venue import AmendRule, Resolution
from tests.kernel.by_hand import DECREASE, HOLD, PROVE, RESEND, TOTAL

T0 = 1_000 * NS_PER_S
POLICY = Policy()
ORDER = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(10), Decimal(100))
PREPARED, AMBIGUOUS, LIVE = AttemptState.PREPARED, AttemptState.AMBIGUOUS, AttemptState.LIVE
CLOSING, DONE, DEAD = AttemptState.CLOSING, AttemptState.DONE, AttemptState.DEAD


def wish(phase=IntentPhase.ACTIVE, generation=1, reason="", **terms):
    return OrderIntent("i", replace(ORDER, **terms), T0, phase=phase, generation=generation, reason=reason)


def attempt(state, number=1, status=OrderStatus.UNKNOWN, filled="0", fills=None, generation=1, **more):
    amount = Decimal(filled)
    known = amount if fills is None else Decimal(fills)
    return OrderState(
        "i",
        number,
        f"c{number}",
        more.pop("order", ORDER),
        generation,
        more.pop("prepared_ns", T0),
        state=state,
        status=status,
        filled=amount,
        fills_qty=known,
        **more,
    )


def at(seconds):
    return T0 + round(seconds * NS_PER_S)


def decided(intent, *attempts, seconds=0.0, policy=POLICY):
    return decide(intent, attempts, at(seconds), policy)


def kinds(decision):
    return [type(action) for action in decision.actions]


def test_a_new_wish_is_placed_in_full():
    decision = decided(wish(IntentPhase.PENDING))
    (place,) = decision.actions
    assert (place.qty, place.price, place.n) == (10, 100, 1)
    assert decision.look_again_at == at(3)


def test_a_placement_under_way_is_waited_for():
    decision = decided(wish(), attempt(PREPARED), seconds=2.9)
    assert (decision.actions, decision.look_again_at) == ((), at(3))
    assert decision.status is ReconciliationStatus.AWAITING_VENUE


@pytest.mark.parametrize("phase", [IntentPhase.ACTIVE, IntentPhase.CANCEL_REQUESTED])
def test_patience_ends_in_doubt_and_a_look_up(phase):
    assert kinds(decided(wish(phase), attempt(PREPARED), seconds=3)) == [Doubt, LookUp]


@pytest.mark.parametrize("phase", [IntentPhase.ACTIVE, IntentPhase.CANCEL_REQUESTED])
def test_an_unknown_order_is_looked_up_and_never_placed_again(phase):
    for hours in range(24):
        decision = decided(wish(phase), attempt(AMBIGUOUS), seconds=3600 * hours)
        assert set(kinds(decision)) <= {LookUp}


def test_look_ups_of_an_unknown_order_grow_rarer():
    state, now_ns, asked = attempt(AMBIGUOUS), T0, []
    while len(asked) < 8:
        decision = decide(wish(), [state], now_ns, POLICY)
        if decision.actions:
            asked.append((now_ns - T0) / NS_PER_S)
            state = replace(state, lookup_sent_ns=now_ns)
        now_ns = decision.look_again_at
    assert asked == [0, 0.5, 1, 2, 4, 8, 13, 18]


def test_an_operator_is_asked_for_after_the_hold():
    assert decided(wish(), attempt(AMBIGUOUS), seconds=119).status is ReconciliationStatus.UNCERTAIN
    assert decided(wish(), attempt(AMBIGUOUS), seconds=120).status is ReconciliationStatus.NEEDS_OPERATOR


def test_a_fresh_working_order_is_left_alone():
    state = attempt(LIVE, status=OrderStatus.NEW, last_sync_at=at(1))
    decision = decided(wish(), state, seconds=30.9)
    assert (decision.actions, decision.status) == ((), ReconciliationStatus.IN_SYNC)
    assert decision.look_again_at == at(31)
    assert kinds(decided(wish(), state, seconds=31)) == [LookUp]


def test_a_working_order_nobody_answers_for_becomes_uncertain():
    state = attempt(LIVE, status=OrderStatus.NEW, last_sync_at=at(1))
    assert decided(wish(), state, seconds=33).status is ReconciliationStatus.IN_SYNC
    assert decided(wish(), state, seconds=34).status is ReconciliationStatus.UNCERTAIN
    assert decided(wish(), state, seconds=154).status is ReconciliationStatus.NEEDS_OPERATOR


@pytest.mark.parametrize("state", [LIVE, CLOSING])
def test_missing_fills_are_asked_for_while_working_and_after(state):
    lacking = attempt(state, filled="4", fills="3", last_sync_at=at(1))
    early = decided(wish(), lacking, seconds=1.4)
    assert (early.actions, early.status) == ((), ReconciliationStatus.FILLS_PENDING)
    assert kinds(decided(wish(), lacking, seconds=1.5)) == [LookUp]


@pytest.mark.parametrize(
    "intent", [wish(IntentPhase.CANCEL_REQUESTED), wish(generation=2, price=Decimal(99))]
)
def test_a_working_order_no_longer_wanted_is_cancelled_once(intent):
    state = attempt(LIVE, last_sync_at=at(1))
    assert kinds(decided(intent, state, seconds=2)) == [CancelAttempt]
    waiting = decided(intent, replace(state, cancel_sent_ns=at(2)), seconds=4.9)
    assert (waiting.actions, waiting.look_again_at) == ((), at(5))


def test_an_unanswered_cancel_is_looked_into_and_then_repeated():
    intent = wish(IntentPhase.CANCEL_REQUESTED)
    state = attempt(LIVE, last_sync_at=at(1), cancel_sent_ns=at(2))
    assert kinds(decided(intent, state, seconds=5)) == [LookUp]
    answered = replace(state, lookup_sent_ns=at(5), last_sync_at=at(5.1))
    assert kinds(decided(intent, answered, seconds=5.2)) == [CancelAttempt]


def test_a_refused_cancel_is_looked_into_at_once():
    doubtful = attempt(
        LIVE,
        last_sync_at=at(1),
        cancel_sent_ns=at(2),
        reconciliation_status=ReconciliationStatus.UNCERTAIN,
    )
    assert kinds(decided(wish(IntentPhase.CANCEL_REQUESTED), doubtful, seconds=2.1)) == [LookUp]


# What an ended attempt means.


def settled(decision):
    (action,) = decision.actions
    assert isinstance(action, Settle)
    return action.phase, action.reason


def ended(status, filled="0", **more):
    return attempt(DEAD if status is OrderStatus.REJECTED else DONE, status=status, filled=filled, **more)


@pytest.mark.parametrize(
    ("status", "filled", "phase", "reason"),
    [
        (OrderStatus.FILLED, "10", IntentPhase.SATISFIED, ""),
        (OrderStatus.REJECTED, "0", IntentPhase.FAILED, "refused by the exchange: -1013: x"),
        (OrderStatus.EXPIRED, "4", IntentPhase.EXPIRED, "expired on the exchange: -1013: x"),
        (OrderStatus.CANCELED, "0", IntentPhase.CANCELED, "external: cancelled on the exchange: -1013: x"),
        (
            OrderStatus.PARTIALLY_CANCELED,
            "4",
            IntentPhase.CANCELED,
            "external: cancelled on the exchange: -1013: x",
        ),
    ],
)
def test_an_end_on_the_exchange_ends_the_wish(status, filled, phase, reason):
    assert settled(decided(wish(), ended(status, filled, reason="-1013: x"))) == (phase, reason)


@pytest.mark.parametrize(
    "terms",
    [
        {"type": OrderType.MARKET, "price": None},
        {"type": OrderType.IMMEDIATE_OR_CANCEL},
        {"type": OrderType.FILL_OR_KILL},
        {"time_in_force": TimeInForce.IOC},
        {"time_in_force": TimeInForce.FOK},
    ],
)
@pytest.mark.parametrize(
    "status", [OrderStatus.EXPIRED, OrderStatus.CANCELED, OrderStatus.PARTIALLY_CANCELED]
)
def test_an_order_that_never_rests_expires_with_what_it_got(terms, status):
    state = ended(status, "4", order=replace(ORDER, **terms))
    assert settled(decided(wish(**terms), state)) == (IntentPhase.EXPIRED, "not filled at once")


def test_a_cancelled_wish_ends_when_its_order_has():
    intent = wish(IntentPhase.CANCEL_REQUESTED, reason="by hand")
    state = ended(OrderStatus.PARTIALLY_CANCELED, "4", cancel_sent_ns=at(1))
    assert settled(decided(intent, state)) == (IntentPhase.CANCELED, "by hand")
    assert settled(decided(intent)) == (IntentPhase.CANCELED, "by hand")


def test_a_fill_that_outran_the_cancel_satisfies():
    intent = wish(IntentPhase.CANCEL_REQUESTED, reason="by hand")
    state = ended(OrderStatus.FILLED, "10", cancel_sent_ns=at(1))
    assert settled(decided(intent, state))[0] is IntentPhase.SATISFIED


def test_a_modified_wish_places_the_rest_on_the_new_terms():
    state = ended(OrderStatus.PARTIALLY_CANCELED, "4", cancel_sent_ns=at(1))
    (place,) = decided(wish(generation=2, price=Decimal(99), quantity=Decimal(12)), state).actions
    assert (place.qty, place.price, place.n) == (8, 99, 2)


def test_a_total_reduced_below_what_is_filled_is_satisfied():
    state = ended(OrderStatus.PARTIALLY_CANCELED, "4", cancel_sent_ns=at(1))
    intent = wish(generation=2, quantity=Decimal(3))
    assert settled(decided(intent, state))[0] is IntentPhase.SATISFIED


def test_new_terms_survive_the_end_of_the_old_unless_somebody_else_cancelled():
    intent = wish(generation=2, price=Decimal(99))
    for status in (OrderStatus.REJECTED, OrderStatus.EXPIRED):
        assert kinds(decided(intent, ended(status))) == [PlaceAttempt]
    assert settled(decided(intent, ended(OrderStatus.CANCELED)))[0] is IntentPhase.CANCELED


def test_what_never_left_is_placed_again_with_pauses_and_not_for_ever():
    tries = [attempt(DEAD, number) for number in (1, 2)]
    waiting = decided(wish(), *tries, seconds=0.9)
    assert (waiting.actions, waiting.look_again_at) == ((), at(1))
    (place,) = decided(wish(), *tries, seconds=1).actions
    assert (place.qty, place.n) == (10, 3)
    enough = decided(wish(), *[attempt(DEAD, n) for n in range(1, 21)], seconds=99)
    assert (enough.actions, enough.status) == ((), ReconciliationStatus.NEEDS_OPERATOR)


def test_numbers_of_attempts_are_never_used_up_silently():
    many = [ended(OrderStatus.CANCELED, number=n, cancel_sent_ns=at(1)) for n in range(1, 256)]
    decision = decided(wish(generation=2), *many)
    assert (decision.actions, decision.status) == ((), ReconciliationStatus.NEEDS_OPERATOR)


def test_a_settled_wish_is_left_alone():
    for phase in (IntentPhase.SATISFIED, IntentPhase.CANCELED, IntentPhase.EXPIRED, IntentPhase.FAILED):
        assert decided(wish(phase), ended(OrderStatus.CANCELED)).actions == ()
        assert kinds(decided(wish(phase), attempt(LIVE))) == [CancelAttempt]


# Over all of it.

times = st.integers(0, 200_000).map(lambda ms: T0 + ms * NS_PER_MS)
asked = st.one_of(st.just(0), times)
CONTRACTS = [HOLD, PROVE, RESEND, DECREASE, TOTAL]
CONDITIONS = [ReconciliationStatus.IN_SYNC, ReconciliationStatus.UNCERTAIN]
policies = st.sampled_from([Policy(venue=contract) for contract in CONTRACTS])
scenes = st.builds(
    Scene,
    st.sampled_from([None, ReconciliationStatus.HALTED, ReconciliationStatus.SYNCING]),
    st.sampled_from([0, NS_PER_S]),
    st.booleans(),
    st.sampled_from([False, False, True]),
)
last = st.sampled_from([at(8), at(8.4), at(9), at(69)])
pieces = st.one_of(
    st.builds(Evidence, asked, asked, asked, asked, asked, asked),
    st.builds(Evidence, *[st.just(at(s)) for s in (6, 7, 8)], last, st.just(at(8)), last),
)
rarely = st.sampled_from([False, False, False, False, True])
pending = st.builds(
    lambda quantity, generation, deadline, refused: Amendment(
        1, replace(ORDER, quantity=Decimal(quantity)), generation, deadline, refused
    ),
    st.integers(1, 12),
    st.integers(1, 2),
    times,
    st.sampled_from(["", "-1: no"]),
)


def open_attempt(state, filled, fills, sync, cancel, look, generation, condition, evidence, amendment, back):
    amendment = amendment if state is LIVE else None
    return attempt(
        state,
        filled=str(filled),
        fills=str(min(fills, filled)),
        last_sync_at=sync,
        cancel_sent_ns=cancel,
        lookup_sent_ns=look,
        generation=generation,
        deadline_ns=at(5),
        reconciliation_status=condition,
        evidence=evidence,
        amendment=amendment,
        amends=int(amendment is not None),
        reopened=back,
    )


ANY = {
    "state": st.sampled_from([PREPARED, AMBIGUOUS, LIVE, CLOSING]),
    "filled": st.integers(0, 10),
    "fills": st.integers(0, 10),
    "sync": times,
    "cancel": asked,
    "look": asked,
    "generation": st.integers(1, 2),
    "condition": st.sampled_from(CONDITIONS),
    "evidence": st.one_of(st.none(), pieces),
    "amendment": st.one_of(st.none(), pending),
    "back": rarely,
}
open_attempts = st.builds(open_attempt, **ANY)
wishes = st.builds(
    lambda phase, generation, quantity, price, held: replace(
        wish(phase, generation, quantity=Decimal(quantity), price=Decimal(price)), held=held
    ),
    st.one_of(st.just(IntentPhase.ACTIVE), st.sampled_from(IntentPhase)),
    st.integers(2, 3),
    st.sampled_from([6, 10, 12]),
    st.sampled_from([99, 100]),
    rarely,
)
ASKS = (PlaceAttempt, Resend, AmendAttempt, CancelAttempt, LookUp, TakeStock)


def test_there_is_a_rule_for_every_open_attempt():
    assert set(RULES) == {(state, want) for state in (PREPARED, AMBIGUOUS, LIVE, CLOSING) for want in Want}


@settings(max_examples=400)
@given(wishes, open_attempts, times, policies, scenes)
def test_nothing_is_placed_or_settled_while_an_order_may_trade(intent, state, now_ns, policy, scene):
    """I1, I5, section 2.10; L1: and it is always known when to look again."""
    decision = decide(intent, [state], now_ns, policy, scene)
    assert not {PlaceAttempt, Settle} & set(kinds(decision))
    assert decision.look_again_at is not None
    if not {Confirm, Bury} & set(kinds(decision)):
        assert decision.look_again_at > now_ns


@settings(max_examples=400)
@given(
    wishes, st.builds(open_attempt, **ANY | {"state": st.sampled_from([PREPARED, AMBIGUOUS])}), times, scenes
)
def test_what_may_not_be_placed_is_not_placed_again_either(intent, state, now_ns, scene):
    """I19: not while it is halted, not before the barrier, not what nobody wants."""
    for action in decide(intent, [state], now_ns, Policy(venue=RESEND), scene).actions:
        if isinstance(action, Resend):
            assert scene.closed is None
            assert intent.phase.is_wanted
            assert not intent.held
            assert not state.reopened
            assert not scene.is_betrayed


@settings(max_examples=400)
@given(
    wishes,
    st.builds(
        open_attempt,
        **ANY
        | {
            "state": st.sampled_from([AMBIGUOUS, LIVE]),
            "evidence": pieces,
            "filled": st.just(0),
            "amendment": st.none(),
        },
    ),
    st.integers(1, 200).map(at),
    st.sampled_from([Policy(venue=PROVE), Policy(venue=RESEND)]),
    scenes,
)
def test_an_order_is_buried_only_with_the_whole_proof(intent, state, now_ns, policy, scene):
    """I16, T7, T12."""
    for action in decide(intent, [state], now_ns, policy, scene).actions:
        if isinstance(action, Bury):
            known, contract = state.evidence, policy.venue
            assert contract.resolution in (Resolution.PROVE, Resolution.RESEND)
            assert not scene.is_betrayed
            assert state.state in (AMBIGUOUS, LIVE)
            fence_ns = state.deadline_ns + contract.engine_bound_ns + scene.clock_error_ns
            assert state.state is LIVE or now_ns > fence_ns
            span_ns = contract.replica_lag_ns if scene.is_opposed else policy.spacing_ns
            assert known.probed_ns > 0
            assert known.last_absent_ns - known.first_absent_ns >= span_ns
            assert known.last_agreed_ns - known.first_agreed_ns >= span_ns
            assert state.fills_qty >= state.filled


@settings(max_examples=400)
@given(
    wishes,
    st.builds(open_attempt, **ANY | {"state": st.just(LIVE), "cancel": st.just(0), "back": st.just(False)}),
    times,
    st.sampled_from([Policy(venue=DECREASE), Policy(venue=TOTAL)]),
    scenes,
)
def test_what_is_amended_stays_within_the_wish_and_the_contract(intent, state, now_ns, policy, scene):
    """I2, I15, section 2.11: and never a second amendment while one may still come about."""
    assume(max(state.last_sync_at, state.lookup_sent_ns) <= now_ns)
    for action in decide(intent, [state], now_ns, policy, scene).actions:
        if isinstance(action, AmendAttempt):
            rule, before, after = policy.venue.amend, state.order, action.order
            assert state.filled < after.quantity <= intent.order.quantity
            assert replace(after, quantity=before.quantity, price=before.price) == before
            assert rule is AmendRule.TOTAL or (
                after.price == before.price and after.quantity < before.quantity
            )
            assert rule is not AmendRule.NONE
            open_until = state.amendment.deadline_ns if state.amendment and not state.amendment.refused else 0
            assert open_until < now_ns


def applied(intent, state, action, now_ns):
    """The attempt after an action was carried out, as `execution` does it."""
    after = state
    if isinstance(action, CancelAttempt):
        evidence = state.evidence or (Evidence(fenced_ns=now_ns) if action.probe else None)
        after = replace(state, cancel_sent_ns=now_ns, evidence=evidence)
    elif isinstance(action, LookUp | Resend):
        after = replace(state, lookup_sent_ns=now_ns)
    elif isinstance(action, AmendAttempt):
        deadline_ns = now_ns + POLICY.venue.fence_ns
        amendment = Amendment(state.amends + 1, action.order, intent.generation, deadline_ns)
        after = replace(state, amends=state.amends + 1, amendment=amendment)
    elif isinstance(action, Confirm):
        after = replace(state, generation=intent.generation, amendment=None)
    elif isinstance(action, Doubt):
        after = replace(state, state=AMBIGUOUS)
    elif isinstance(action, Bury):
        after = doubted(state, Seen.PROVED, "") if state.state is AMBIGUOUS else vanished(state, "")
    return after


@settings(max_examples=600)
@given(wishes, open_attempts, times, policies, scenes)
def test_deciding_again_without_news_gives_no_second_command(intent, state, now_ns, policy, scene):
    """I22: whatever was decided is carried out; the same moment has nothing more of its kind to ask."""
    commands = []
    # Nothing was heard or asked in the future: it would look like the answer to what is asked now.
    heard_ns, asked_ns = min(state.last_sync_at, now_ns), min(state.lookup_sent_ns, now_ns)
    state = replace(state, last_sync_at=heard_ns, lookup_sent_ns=asked_ns)
    for _ in range(5):
        decision = decide(intent, [state], now_ns, policy, scene)
        for action in decision.actions:
            state = applied(intent, state, action, now_ns)
        commands += [kind for kind in kinds(decision) if kind in ASKS]
        if not decision.actions or state.state.is_closed:
            break
    else:
        pytest.fail(f"it goes on for ever: {kinds(decision)}")
    assert len(commands) == len(set(commands))
