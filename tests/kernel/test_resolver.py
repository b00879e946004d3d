"""An order nobody answered for: proved not to exist step by step (E1-E3), or held, or found after all."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.errors import ValidationError
from quantcli.kernel.steps import ClockBound, Halt, Halted, Trust, Verdict
from quantcli.model.event import OrderEventKind
from quantcli.model.instrument import Side
from quantcli.model.message import Asked, Cancel, Lookup, Place, Refused, Survey
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderStatus,
    ReconciliationStatus,
)
from quantcli.model.venue import VenueContract
from tests.kernel.by_hand import HOLD, PROVE, RESEND, ByHand

PREPARED, AMBIGUOUS, LIVE = AttemptState.PREPARED, AttemptState.AMBIGUOUS, AttemptState.LIVE
CLOSING, DONE, DEAD = AttemptState.CLOSING, AttemptState.DONE, AttemptState.DEAD
NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
FENCE_S = PROVE.fence_ns / NS_PER_S


def doubtful(venue: VenueContract = PROVE, **patience: int) -> tuple[ByHand, str, str]:
    """A bench with an order whose placement was answered by nobody; intent id and client order id."""
    bench = ByHand(venue, **patience)
    bench.boot()
    if venue.statement:
        bench.state()
    intent_id, client_id = bench.place()
    bench.silence(client_id)
    return bench, intent_id, client_id


def probed(**patience: int) -> tuple[ByHand, str, str, Cancel]:
    """The same after the fence: the probe has been sent."""
    bench, intent_id, client_id = doubtful(**patience)
    bench.wait(FENCE_S + 0.1)
    (probe,) = bench.take(Cancel)
    bench.take(Lookup)
    return bench, intent_id, client_id, probe


def denied(**patience: int) -> tuple[ByHand, str, str]:
    """The same after the exchange has denied the order: nothing more was asked yet."""
    bench, intent_id, client_id, probe = probed(**patience)
    bench.take(Survey)
    bench.deny(probe)
    return bench, intent_id, client_id


def evidence(bench: ByHand, client_id: str):
    return bench.attempt(client_id).evidence


# The proof.


def test_doubt_ends_by_fence_probe_and_books_and_only_then_is_the_order_placed_anew():
    """N1, N4, V2, T7, L2: E1, then E2, then E3, each asked after the one before."""
    bench, intent_id, client_id = doubtful()
    deadline_ns = bench.attempt(client_id).deadline_ns
    assert [lookup.client_order_id for lookup in bench.take(Lookup)] == [client_id]  # V4: look first
    bench.now_ns = deadline_ns  # at its deadline it may still execute
    bench.wait(0)
    assert bench.take(Cancel) == []
    bench.wait(0.001)
    (probe,) = bench.take(Cancel)
    assert probe.asked_ns > deadline_ns  # E1
    bench.wait(0.2)
    assert (bench.take(Place), bench.states(intent_id)) == ([], [AMBIGUOUS])
    bench.take((Lookup, Survey))
    bench.deny(probe)  # E2
    answered = 0
    while not bench.sent or not isinstance(bench.sent[-1], Place):  # E3, twice
        bench.wait(0.5)
        assert bench.states(intent_id) == [AMBIGUOUS]
        for lookup, survey in zip(bench.take(Lookup), bench.take(Survey), strict=True):
            assert min(lookup.asked_ns, survey.asked_ns) >= evidence(bench, client_id).probed_ns
            bench.absent(lookup)
            bench.state(survey)
            answered += 1
    assert answered >= 2
    (place,) = bench.take(Place)
    assert bench.states(intent_id) == [DEAD, PREPARED]
    assert (place.client_order_id != client_id, place.order.quantity) == (True, 10)
    dead = bench.attempt(client_id)
    assert dead.reason.startswith("proved: ")
    known = dead.evidence
    assert deadline_ns < known.fenced_ns <= known.probed_ns <= known.first_absent_ns < known.last_absent_ns
    assert known.probed_ns <= known.first_agreed_ns < known.last_agreed_ns


def test_a_proof_takes_seconds():
    """L2: fence, one probe, two statements half a second apart."""
    bench, intent_id, _ = doubtful()
    for _ in range(70):
        bench.wait(0.1)
        bench.answer_all()
    assert bench.states(intent_id) == [DEAD, PREPARED]
    first, second = bench.attempts(intent_id)
    assert second.prepared_ns - first.prepared_ns < 6.5 * NS_PER_S


@pytest.mark.parametrize("missing", ["probe", "look-ups", "statements", "nothing"])
def test_each_proof_is_needed(missing):
    """V4, V5, I16: without any one of them the order stays in doubt, for as long as one likes."""
    bench, intent_id, _ = doubtful()
    for _ in range(600):
        bench.wait(0.25)
        for request in bench.take((Cancel, Lookup, Survey)):
            if isinstance(request, Cancel) and missing != "probe":
                bench.deny(request)
            elif isinstance(request, Lookup) and missing != "look-ups":
                bench.absent(request)
            elif isinstance(request, Survey) and missing != "statements":
                bench.state(request)
    if missing == "nothing":
        assert bench.states(intent_id)[0] is DEAD
    else:
        assert bench.states(intent_id) == [AMBIGUOUS]
        assert bench.take(Place) == []


def test_a_cancel_asked_before_the_fence_proves_nothing():
    """E2: a placement that is still on its way may arrive after it."""
    bench, _, client_id = doubtful()
    early = Cancel(client_id, "BTC/USDT", bench.now_ns)
    bench.deny(early)
    assert evidence(bench, client_id) is None
    bench.wait(FENCE_S + 0.1)
    assert len(bench.take(Cancel)) == 1
    bench.deny(early)  # its answer was slow
    assert evidence(bench, client_id).probed_ns == 0


def test_what_was_asked_before_the_probe_was_answered_proves_nothing():
    """E3: look-ups and statements that do not know of the probe's outcome."""
    bench, _, client_id, probe = probed()
    early = Lookup(client_id, "BTC/USDT", bench.now_ns)
    survey = Survey("BTC/USDT", 0, bench.now_ns)
    bench.wait(0.1)
    bench.deny(probe)
    bench.absent(early)
    bench.state(survey)
    known = evidence(bench, client_id)
    assert (known.first_absent_ns, known.first_agreed_ns) == (0, 0)
    assert known.probed_ns > 0


def test_answers_that_come_twice_are_not_two_answers():
    """N18: the agreements must be asked half a second apart, not be told twice."""
    bench, intent_id, client_id = denied()
    (lookup,), (survey,) = bench.take(Lookup), bench.take(Survey)
    for _ in range(5):
        bench.absent(lookup)
        bench.state(survey)
        bench.now_ns += 200 * NS_PER_MS
    assert bench.states(intent_id) == [AMBIGUOUS]
    known = evidence(bench, client_id)
    assert known.first_absent_ns == known.last_absent_ns
    assert known.first_agreed_ns == known.last_agreed_ns


def test_an_engine_that_may_lag_is_given_its_time():
    """E1: the deadline is checked before the engine, which may take so long after it (V1)."""
    bench, _, _ = doubtful(replace(PROVE, engine_bound_ns=10 * NS_PER_S))
    bench.wait(FENCE_S + 9.9)
    assert bench.take(Cancel) == []
    bench.wait(0.2)
    assert len(bench.take(Cancel)) == 1


def test_a_clock_that_may_be_off_makes_the_fence_wait_longer_and_never_shorter():
    """K1, K2, V38."""
    bench, _, _ = doubtful()
    bench.step(ClockBound(10 * NS_PER_S))
    bench.wait(FENCE_S + 9.9)
    assert bench.take(Cancel) == []
    bench.wait(0.2)
    assert len(bench.take(Cancel)) == 1


def test_evidence_from_before_the_clock_was_known_to_be_off_is_void():
    """V38: what was asked after the fence by a clock that was believed too much is asked again."""
    bench, intent_id, client_id = denied()
    bench.step(ClockBound(10 * NS_PER_S))
    for _ in range(8):
        bench.answer_all()
        bench.wait(1)
    assert bench.states(intent_id) == [AMBIGUOUS]
    assert evidence(bench, client_id) is None
    for _ in range(8):
        bench.answer_all()
        bench.wait(1)
    assert bench.states(intent_id)[0] is DEAD
    assert evidence(bench, client_id).fenced_ns > bench.attempt(client_id).deadline_ns + 10 * NS_PER_S


def test_a_clock_that_becomes_surer_leaves_evidence_alone():
    bench, _, client_id = doubtful()
    bench.step(ClockBound(NS_PER_S))
    bench.wait(FENCE_S + 1.1)
    bench.deny(bench.take(Cancel)[0])
    before = evidence(bench, client_id)
    bench.step(ClockBound(NS_PER_S // 2))
    assert evidence(bench, client_id) == before


def test_opposed_orders_must_agree_for_as_long_as_copies_lag():
    """E3, section 2.7: fills of a buy and a sell in doubt at once could net out in the position."""
    bench = ByHand(replace(PROVE, replica_lag_ns=20 * NS_PER_S)).synced()
    buy, buy_client = bench.place()
    sell, sell_client = bench.place(side=Side.SELL)
    bench.silence(buy_client)
    bench.silence(sell_client)
    for _ in range(50):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(buy)[0] is bench.states(sell)[0] is AMBIGUOUS
    for _ in range(10):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(buy)[0] is bench.states(sell)[0] is DEAD
    known = evidence(bench, buy_client)
    assert known.last_agreed_ns - known.first_agreed_ns >= 20 * NS_PER_S


def test_a_movement_that_nothing_explains_holds():
    """E3, H4: somebody moved the position while the proof was being made."""
    bench, intent_id, client_id = denied()
    for number in range(20):
        bench.position += number % 2 or -1  # a stranger is at work
        bench.answer_all()
        bench.wait(0.5)
    assert bench.states(intent_id) == [AMBIGUOUS]
    bench.position = bench.market().baseline
    for _ in range(40):
        bench.answer_all()
        bench.wait(0.5)
    assert bench.states(intent_id)[0] is DEAD
    assert evidence(bench, client_id).first_agreed_ns > 0


def test_a_statement_that_disagrees_makes_the_agreements_begin_anew():
    bench, intent_id, client_id = denied()
    bench.answer_all()
    assert evidence(bench, client_id).first_agreed_ns
    bench.wait(0.5)
    bench.position += 1
    bench.answer_all()
    assert evidence(bench, client_id).first_agreed_ns == 0
    bench.position -= 1
    bench.wait(0.5)
    bench.answer_all()
    assert bench.states(intent_id) == [AMBIGUOUS]


def test_an_order_with_fills_missing_spoils_the_books():
    """E3: its trades could be what the doubtful one traded."""
    bench = ByHand(PROVE).synced()
    _, other = bench.work("5")
    intent_id, client_id = bench.place()
    bench.silence(client_id)
    bench.show(other, OrderStatus.PARTIALLY_FILLED, "1")  # and no fill yet
    for _ in range(30):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id) == [AMBIGUOUS]
    bench.trade(other, "1")
    for _ in range(40):
        bench.answer_all()
        bench.wait(0.5)
    assert bench.states(intent_id)[0] is DEAD


def test_a_contract_that_lacks_a_part_of_the_proof_holds():
    """VC3, VC7."""
    for venue in (replace(PROVE, probe=False), replace(PROVE, statement=False)):
        bench, intent_id, _ = doubtful(venue)
        bench.wait(600)
        assert (bench.states(intent_id), bench.take(Cancel), bench.take(Place)) == ([AMBIGUOUS], [], [])


def test_a_restart_goes_on_with_the_proof_and_doubts_what_was_not_answered():
    """P1, T6: evidence is durable; a PREPARED attempt is AMBIGUOUS after a restart."""
    bench, intent_id, client_id = denied()
    bench.answer_all()
    before = evidence(bench, client_id)
    assert before.first_absent_ns > 0
    assert before.first_agreed_ns > 0
    bench.wait(0.5)
    bench.boot()
    assert evidence(bench, client_id) == before
    bench.answer_all()
    bench.wait(1)
    assert bench.states(intent_id)[0] is DEAD
    bench.boot()
    assert bench.states(intent_id) == [DEAD, AMBIGUOUS]


# The probe.


def test_a_probe_that_hits_closes_the_order_and_the_rest_is_placed_anew():
    """N2 and V4 together: it was there all the time; what it had traded counts."""
    bench, intent_id, client_id, _ = probed()
    fill = bench.trade(client_id, "4")
    bench.show(client_id, OrderStatus.PARTIALLY_CANCELED, "4", fill)
    (place,) = bench.take(Place)
    assert (bench.states(intent_id), place.order.quantity) == ([DONE, PREPARED], 6)


def test_a_probe_that_hits_waits_for_the_fills_before_anything_is_placed():
    """V10, V13: the exchange counts more than the fills we hold."""
    bench, intent_id, client_id, _ = probed()
    bench.show(client_id, CANCELED, "4")
    bench.wait(60)
    assert (bench.states(intent_id), bench.take(Place)) == ([CLOSING], [])
    assert len(bench.take(Lookup)) > 1
    bench.show(client_id, CANCELED, "4", bench.trade(client_id, "4"))
    assert [place.order.quantity for place in bench.take(Place)] == [6]


@pytest.mark.parametrize("answer", ["busy", "silence", "nothing", "final"])
def test_a_probe_without_a_clear_answer_is_sent_again(answer):
    """V8: errors leave the order in doubt."""
    bench, intent_id, client_id, probe = probed()
    if answer == "busy":
        bench.refuse(client_id, Asked.CANCEL, Refused.BUSY, asked_ns=probe.asked_ns)
    elif answer == "final":
        bench.refuse(client_id, Asked.CANCEL, Refused.FINAL, asked_ns=probe.asked_ns)
    elif answer == "silence":
        bench.silence(client_id, Asked.CANCEL)
    bench.wait(2.8)
    assert bench.take(Cancel) == []
    bench.wait(0.2)
    (again,) = bench.take(Cancel)
    assert evidence(bench, client_id).probed_ns == 0
    bench.deny(again)
    assert evidence(bench, client_id).probed_ns == bench.now_ns
    assert bench.states(intent_id) == [AMBIGUOUS]


@pytest.mark.parametrize("stage", ["fence", "probe", "books", "half the books"])
def test_a_sighting_ends_the_doubt_at_every_stage(stage):
    """N2, N3, V1, T2: seen after all, and no second order."""
    bench, intent_id, client_id = doubtful()
    if stage != "fence":
        bench.wait(FENCE_S + 0.1)
    if stage in ("books", "half the books"):
        (probe,) = bench.take(Cancel)
        bench.take((Lookup, Survey))
        bench.deny(probe)
    if stage == "half the books":
        bench.answer_all()
    bench.accept(client_id)
    assert (bench.states(intent_id), evidence(bench, client_id)) == ([LIVE], None)
    bench.wait(2)
    assert bench.take(Place) == []
    assert [e.kind for e in bench.events if e.kind is not OrderEventKind.SUBMITTED] == [
        OrderEventKind.UNKNOWN,
        OrderEventKind.ACCEPTED,
    ]


def test_doubt_that_comes_back_needs_a_new_proof():
    """Evidence from before a sighting says nothing about what was after it."""
    bench, intent_id, client_id = denied()
    bench.answer_all()
    bench.show(client_id, OrderStatus.UNKNOWN)  # a bare acknowledgement is no sighting
    assert evidence(bench, client_id).probed_ns
    bench.show(client_id, NEW)
    assert bench.attempt(client_id).evidence is None
    bench.wait(0.5)
    bench.answer_all()
    assert bench.states(intent_id) == [LIVE]


def test_a_placement_that_a_trade_tells_of_is_not_in_doubt():
    """V11, N17: a fill in the statement, before any acknowledgement."""
    bench, intent_id, client_id = denied()
    fill = bench.trade(client_id, "4")
    bench.wait(0.5)
    bench.state()
    assert bench.attempt(client_id).state is LIVE
    assert (bench.attempt(client_id).filled, bench.market().own) == (4, 4)
    assert fill.trade_id in {known.trade_id for known in done_fills(bench)}
    assert bench.take(Place) == []
    assert bench.phase(intent_id) is IntentPhase.ACTIVE


def done_fills(bench):
    return [event.fill for event in bench.events if event.kind is OrderEventKind.FILLED]


# Other answers to a placement.


def test_an_id_that_exists_already_is_our_order():
    """V3: "Duplicate order sent." proves existence; it is looked up at once, and no second one placed."""
    bench = ByHand(PROVE).synced()
    intent_id, client_id = bench.place()
    bench.refuse(client_id, kind=Refused.EXISTS)
    assert bench.states(intent_id) == [LIVE]
    assert [lookup.client_order_id for lookup in bench.take(Lookup)] == [client_id]
    bench.wait(0.1)
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    assert bench.phase(intent_id) is IntentPhase.SATISFIED


def test_a_busy_exchange_is_asked_again_with_growing_pauses():
    """V28, V39, K6: not accepted now; each time under a new id, 20 times at most."""
    bench = ByHand(PROVE).synced()
    intent_id, client_id = bench.place()
    asked = [bench.now_ns]
    for _ in range(19):
        bench.refuse(client_id, kind=Refused.BUSY)
        assert bench.take(Place) == []
        while not (places := bench.take(Place)):
            bench.wait(0.1)
        client_id = places[0].client_order_id
        asked.append(bench.now_ns)
    pauses = [round((b - a) / NS_PER_S, 1) for a, b in pairwise(asked)]
    assert pauses == [0.5, 1, 2, 4, *[5] * 15]
    bench.refuse(client_id, kind=Refused.BUSY)
    bench.wait(600)
    assert bench.take(Place) == []
    assert bench.phase(intent_id) is IntentPhase.ACTIVE
    assert bench.core.view.find(intent_id).condition is ReconciliationStatus.NEEDS_OPERATOR


def test_what_never_left_is_placed_again_and_needs_no_proof():
    """N5, T5; P8: a placement that was too late to be sent comes back as unsent."""
    bench = ByHand(PROVE).synced()
    intent_id, client_id = bench.place()
    bench.silence(client_id, sent=False)
    assert bench.states(intent_id) == [DEAD]
    bench.wait(0.5)
    assert len(bench.take(Place)) == 1
    assert bench.take(Cancel) == []


def test_a_definitive_refusal_ends_the_wish():
    """T4."""
    bench = ByHand(PROVE).synced()
    intent_id, client_id = bench.place()
    bench.refuse(client_id)
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DEAD], IntentPhase.FAILED)


# True idempotency.


def test_where_ids_are_idempotent_the_same_placement_is_sent_again():
    """Section 2.7: the same id, the same terms, a new deadline that is durable first."""
    bench, intent_id, client_id = doubtful(RESEND)
    (again,) = bench.take(Place)
    assert again.client_order_id == client_id
    bench.wait(20)
    more = bench.take(Place)
    assert {place.client_order_id for place in more} == {client_id}
    assert {place.order for place in more} == {again.order}
    assert bench.attempt(client_id).deadline_ns == more[-1].deadline_ns > again.deadline_ns
    assert bench.attempt(client_id).sends == 2 + len(more)
    bench.show(client_id, NEW)
    bench.wait(20)
    assert (bench.take(Place), bench.states(intent_id)) == ([], [LIVE])


def test_a_refusal_of_a_second_sending_says_nothing_of_the_first():
    """I12: the first may have been accepted."""
    bench, intent_id, client_id = doubtful(RESEND)
    bench.refuse(client_id)
    assert bench.states(intent_id) == [AMBIGUOUS]
    bench.refuse(client_id, kind=Refused.EXISTS)
    assert bench.states(intent_id) == [LIVE]


@pytest.mark.parametrize("unwanted", ["cancelled", "halted"])
def test_what_is_not_wanted_any_more_is_not_sent_again(unwanted):
    """I19, O19: to find out about an order by placing it is only for orders that may be placed."""
    bench, intent_id, client_id = doubtful(RESEND)
    bench.take(Place)
    if unwanted == "cancelled":
        bench.cancel(intent_id)
    else:
        bench.step(Halt(Halted.NEW, "test"))
    for _ in range(80):
        bench.wait(0.5)
        assert bench.take(Place) == []
        bench.answer_all()
    assert bench.states(intent_id) == [DEAD]  # by the proof that this exchange allows, too
    assert evidence(bench, client_id).probed_ns


# Held.


def test_without_proof_an_operator_is_asked_for_and_the_others_go_on():
    """L2, V4: NEEDS_OPERATOR after the hold, still trying; one order's doubt stops nobody else."""
    bench, intent_id, client_id = doubtful(HOLD)
    bench.wait(119)
    assert bench.attempt(client_id).reconciliation_status is ReconciliationStatus.UNCERTAIN
    bench.wait(6)  # it is said at the next look
    assert bench.attempt(client_id).reconciliation_status is ReconciliationStatus.NEEDS_OPERATOR
    bench.take(Lookup)
    bench.wait(120)  # more rarely now
    assert len(bench.take(Lookup)) > 2
    assert (bench.take(Cancel), bench.take(Place)) == ([], [])
    assert [(w.intent_id, w.remaining) for w in bench.core.view.working()] == [(intent_id, 10)]  # I18, O18
    other, other_client = bench.place("1")
    bench.show(other_client, FILLED, "1", bench.trade(other_client, "1"))
    assert bench.phase(other) is IntentPhase.SATISFIED
    bench.show(client_id, NEW)
    assert bench.attempt(client_id).reconciliation_status is ReconciliationStatus.IN_SYNC


def test_an_operators_word_ends_the_doubt():
    """H20: the wish goes on under a new id; the word stands in the record."""
    bench, intent_id, client_id = doubtful(HOLD)
    bench.step(Verdict(client_id, "the exchange's support says so"))
    bench.wait(1)
    assert bench.states(intent_id) == [DEAD, PREPARED]
    assert bench.attempt(client_id).reason == "operator: the exchange's support says so"
    assert len(bench.take(Place)) == 1


def test_an_operator_can_only_speak_of_what_is_in_doubt():
    bench = ByHand(PROVE).synced()
    _, client_id = bench.work()
    with pytest.raises(ValidationError, match="LIVE"):
        bench.step(Verdict(client_id, "gone"))
    with pytest.raises(ValidationError, match="no order"):
        bench.step(Verdict("unheard of", "gone"))


# Coming back.


def resurrected(wanted: bool = True):
    """T11: an order appears after it was proved not to exist; the next attempt is working."""
    bench, intent_id, client_id = denied()
    for _ in range(3):
        bench.answer_all()
        bench.wait(0.5)
    (place,) = bench.take(Place)
    if wanted:
        bench.accept(place.client_order_id)
    bench.list_order(client_id, bench.order(), f"X-{client_id}")
    return bench, intent_id, client_id, place.client_order_id


def test_an_order_that_was_proved_away_and_is_there_is_cancelled_and_its_fills_count():
    """V40, T11, I17: adopted beside the next attempt; together they never get more than wished."""
    bench, intent_id, first, second = resurrected()
    fill = bench.trade(first, "3")
    bench.show(first, OrderStatus.PARTIALLY_FILLED, "3", fill)
    assert [state.reopened for state in bench.attempts(intent_id)] == [True, False]
    assert bench.states(intent_id) == [LIVE, LIVE]
    assert {cancel.client_order_id for cancel in bench.take(Cancel)} == {first, second}
    assert bench.market().own == 3
    assert bench.core.findings()
    bench.show(first, CANCELED, "3")
    bench.show(second, CANCELED)
    (place,) = bench.take(Place)
    assert place.order.quantity == 7
    assert bench.states(intent_id) == [DONE, DONE, PREPARED]


def test_after_a_resurrection_nothing_is_proved_until_an_operator_trusts_again():
    """T11: the exchange broke its contract; quarantine survives a restart."""
    bench, intent_id, first, second = resurrected(wanted=False)
    bench.show(first, NEW)
    bench.silence(second)
    bench.show(first, CANCELED)
    bench.take(Cancel)
    for _ in range(40):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id)[1] is AMBIGUOUS
    bench.boot()
    for _ in range(40):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id)[1] is AMBIGUOUS
    assert bench.core.findings()
    bench.step(Trust())
    assert bench.core.findings() == []
    for _ in range(40):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id)[1] is DEAD


def test_a_resurrected_order_of_a_settled_wish_is_cancelled():
    """T11 after the wish has ended: only the accounting is reopened, nothing is placed."""
    bench, intent_id, first, second = resurrected()
    bench.show(second, FILLED, "10", bench.trade(second, "10"))
    assert bench.phase(intent_id) is IntentPhase.SATISFIED
    bench.show(first, NEW)
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [first]
    bench.show(first, CANCELED, "2", bench.trade(first, "2"))
    assert (bench.phase(intent_id), bench.take(Place)) == (IntentPhase.SATISFIED, [])
    assert bench.market().own == 12


def test_late_fills_of_an_ended_order_shrink_the_next_one():
    """V7, T10: cancelled with nothing filled, it was told; then a fill from before the cancel."""
    bench = ByHand(PROVE).synced()
    intent_id, first = bench.work()
    bench.modify(intent_id, price="101")
    bench.show(first, CANCELED)
    (place,) = bench.take(Place)
    second = place.client_order_id
    bench.accept(second)
    bench.take(Cancel)
    bench.show(first, CANCELED, "4")
    assert bench.states(intent_id) == [CLOSING, LIVE]
    assert bench.attempt(first).reopened
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [second]  # now for too much
    bench.show(first, CANCELED, "4", bench.trade(first, "4"))
    bench.show(second, CANCELED)
    bench.wait(1)
    assert bench.states(intent_id) == [DONE, DONE, PREPARED]
    assert [place.order.quantity for place in bench.take(Place)] == [6]


def test_a_late_fill_of_a_settled_wish_is_told_and_counted():
    """V7, T10."""
    bench = ByHand(PROVE).synced()
    intent_id, client_id = bench.work()
    bench.cancel(intent_id)
    bench.show(client_id, CANCELED)
    bench.show(client_id, CANCELED, "4", bench.trade(client_id, "4"))
    assert (bench.phase(intent_id), bench.states(intent_id)) == (IntentPhase.CANCELED, [DONE])
    assert (bench.attempt(client_id).filled, bench.market().own) == (4, 4)


def listed_for(bench: ByHand, seconds: int) -> list[Cancel]:
    """Statements come once a minute or so; the cancels that were asked for meanwhile."""
    for _ in range(seconds * 2):
        bench.wait(0.5)
        for survey in bench.take(Survey):
            bench.state(survey)
    return bench.take(Cancel)


def test_a_list_that_goes_on_showing_a_dead_order_is_believed():
    """T11, VC3: its last change was long before the proof, and there it is; a copy lags no longer than so."""
    bench, intent_id, client_id = doubtful()
    hidden = bench.list_order(client_id, bench.order(), f"X-{client_id}")
    bench.orders.clear()
    for _ in range(8):
        bench.wait(1)
        bench.answer_all()
    assert bench.states(intent_id)[0] is DEAD
    bench.accept(bench.take(Place)[-1].client_order_id)
    bench.orders[client_id] = hidden
    assert client_id in {cancel.client_order_id for cancel in listed_for(bench, 130)}
    assert bench.attempt(client_id).state is LIVE
    assert bench.attempt(client_id).reopened
    assert bench.core.findings()


def test_a_list_that_goes_on_showing_a_vanished_order_is_believed():
    """T12, VC3."""
    bench, intent_id, client_id = vanishing()
    hidden = bench.list_order(client_id, bench.order(), f"X-{client_id}")
    del bench.orders[client_id]
    bench.cancel(intent_id)
    for _ in range(75):
        bench.answer_all()
        bench.wait(1)
    assert bench.states(intent_id) == [DONE]
    bench.orders[client_id] = hidden
    assert [cancel.client_order_id for cancel in listed_for(bench, 130)][:1] == [client_id]
    assert bench.attempt(client_id).reopened
    bench.show(client_id, CANCELED, "2", bench.trade(client_id, "2"))
    assert (bench.states(intent_id), bench.market().own) == ([DONE], 2)


def test_news_from_before_the_proof_that_were_held_up_are_no_resurrection():
    """N3, T11: it was there, a probe cancelled it, and the word of its beginning comes last."""
    bench, intent_id, client_id = doubtful()
    placed_ns = bench.now_ns
    for _ in range(8):
        bench.wait(1)
        bench.answer_all()
    assert bench.states(intent_id)[0] is DEAD
    bench.show(client_id, NEW, venue_ns=placed_ns)
    assert bench.states(intent_id)[0] is DEAD
    assert bench.core.findings() == []


# Vanished.


def vanishing(filled: str = "0"):
    """T12, V29: an order that was seen working, and that the exchange knows nothing of any more."""
    bench = ByHand(PROVE).synced()
    intent_id, client_id = bench.work()
    if filled != "0":
        bench.show(client_id, OrderStatus.PARTIALLY_FILLED, filled, bench.trade(client_id, filled))
    del bench.orders[client_id]
    return bench, intent_id, client_id


@pytest.mark.parametrize("filled", ["0", "4"])
def test_an_unwanted_order_that_is_gone_ends_with_what_it_filled(filled):
    """T12, V6, V33: denied by the cancel, found by no look-up, missing in no statement."""
    bench, intent_id, client_id = vanishing(filled)
    bench.cancel(intent_id)
    vanished_ns = bench.now_ns
    while bench.states(intent_id) == [LIVE]:
        bench.answer_all()
        bench.wait(0.5)
        assert bench.now_ns - vanished_ns < 90 * NS_PER_S
    assert bench.now_ns - vanished_ns >= PROVE.replica_lag_ns  # it was there once: copies may lag
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DONE], IntentPhase.CANCELED)
    state = bench.attempt(client_id)
    assert str(state.filled) == filled
    assert state.reason.startswith("proved")
    assert state.status is (OrderStatus.PARTIALLY_CANCELED if filled != "0" else CANCELED)


@pytest.mark.parametrize("filled", ["0", "4"])
def test_a_wanted_order_that_is_gone_is_probed_only_after_copies_have_caught_up(filled):
    """T12, V4: look-ups in vain for as long as copies may lag; then the rest is placed anew."""
    bench, intent_id, _ = vanishing(filled)
    vanished_ns = bench.now_ns
    while bench.states(intent_id) == [LIVE]:
        bench.wait(1)
        for request in bench.take((Lookup, Survey, Cancel)):
            if isinstance(request, Cancel):
                assert request.asked_ns - vanished_ns >= PROVE.replica_lag_ns
                bench.deny(request)
            elif isinstance(request, Lookup):
                bench.absent(request)
            else:
                bench.state(request)
        assert bench.now_ns - vanished_ns < 300 * NS_PER_S
    assert bench.states(intent_id) == [DONE, PREPARED]
    assert [place.order.quantity for place in bench.take(Place)] == [10 - int(filled)]


def test_an_order_that_only_look_ups_have_lost_is_left_working():
    """V4: a lagging copy; the list of open orders has it."""
    bench, intent_id, client_id = vanishing()
    bench.list_order(client_id, bench.order(), f"X-{client_id}")
    for _ in range(300):
        bench.wait(1)
        for lookup in bench.take(Lookup):
            bench.absent(lookup)
        for survey in bench.take(Survey):
            bench.state(survey)
    assert (bench.states(intent_id), bench.take(Cancel)) == ([LIVE], [])


def test_a_filled_order_that_a_cancel_does_not_find_is_not_taken_for_vanished():
    """V6: the cancel came too late; its fills are on their way, and the books say so."""
    bench, intent_id, client_id = vanishing()
    bench.cancel(intent_id)
    (cancel,) = bench.take(Cancel)
    bench.deny(cancel)
    bench.position += 10  # it has traded; history lags behind
    for _ in range(40):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id) == [LIVE]
    bench.position -= 10
    bench.trade(client_id, "10")
    for _ in range(4):
        bench.wait(0.5)
        bench.answer_all()
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DONE], IntentPhase.SATISFIED)
