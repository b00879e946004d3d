"""Steps of the core through the kernel's public face: lives of orders, restarts, late and foreign reports."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.errors import ValidationError
from quantcli.kernel.core import Core
from quantcli.kernel.policy import Policy
from quantcli.kernel.projection import WATCHED
from quantcli.kernel.steps import Admit, Commit, Observed, Send, Tick
from quantcli.model.event import OrderEventKind
from quantcli.model.instrument import Side
from quantcli.model.message import (
    Absence,
    Cancel,
    Lookup,
    Observation,
    Place,
    Refusal,
    Silence,
)
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OcoMode,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    StandardOrderGroup,
)
from quantcli.ports import Approved
from quantcli.store.api import JournalEntry, MarketRow

KIND = OrderEventKind
NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED


async def phase(bench, intent_id):
    return (await bench.kernel.get_order_intent(intent_id)).phase


# Lives.


async def test_an_order_lives_from_wish_to_fill(bench):
    intent_id, client_id = await bench.place("2")
    await bench.show(client_id, NEW)
    await bench.show(client_id, PARTIALLY_FILLED, "0.5", bench.fill(client_id, "t1", "0.5"))
    assert bench.kernel.working()[0].remaining == Decimal("1.5")
    last_event_phase = bench.events[-1].intent.phase
    await bench.show(client_id, FILLED, "2", bench.fill(client_id, "t2", "1.5"))
    assert (last_event_phase, bench.events[-1].intent.phase) == (IntentPhase.ACTIVE, IntentPhase.SATISFIED)
    assert bench.kinds() == [KIND.SUBMITTED, KIND.ACCEPTED, KIND.FILLED, KIND.FILLED]
    assert bench.kernel.working() == []
    assert bench.kernel.next_due() is None
    assert [fill.intent_id for fill in await bench.store.fills()] == [intent_id, intent_id]
    assert (await bench.store.orders.get_order_state(intent_id)).state is AttemptState.DONE


async def test_a_fill_told_twice_counts_once(bench):
    _, client_id = await bench.place("2")
    fill = bench.fill(client_id, "t1", "0.5")
    for _ in range(3):
        await bench.show(client_id, PARTIALLY_FILLED, "0.5", fill)
    assert bench.kinds().count(KIND.FILLED) == 1
    assert len(await bench.store.fills()) == 1


async def test_a_refusal_fails_the_wish_with_code_and_message(bench):
    intent_id, client_id = await bench.place()
    await bench.kernel.observe(Refusal(client_id, "place", -2010, "insufficient balance"))
    assert await phase(bench, intent_id) is IntentPhase.FAILED
    assert bench.events[-1].reason == "refused by the exchange: -2010: insufficient balance"
    assert bench.kinds() == [KIND.SUBMITTED, KIND.REJECTED]
    assert bench.gateway.sent == []


async def test_a_market_order_without_takers_expires(bench):
    intent_id, client_id = await bench.place("2", order_type=OrderType.MARKET, price=None)
    await bench.show(client_id, OrderStatus.EXPIRED, "0.5", bench.fill(client_id, "t", "0.5"))
    assert await phase(bench, intent_id) is IntentPhase.EXPIRED
    assert bench.kinds() == [KIND.SUBMITTED, KIND.ACCEPTED, KIND.FILLED, KIND.EXPIRED]


async def test_an_order_cancelled_by_somebody_else_is_not_placed_again(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, NEW)
    await bench.show(client_id, CANCELED, reason="by the account holder")
    assert await phase(bench, intent_id) is IntentPhase.CANCELED
    assert bench.events[-1].reason == "external: cancelled on the exchange: by the account holder"
    await bench.wait(600)
    assert bench.gateway.take(Place) == []


async def test_a_cancel_ends_the_wish_only_when_the_exchange_confirms(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, NEW)
    await bench.kernel.cancel_order(intent_id)
    assert bench.gateway.take(Cancel) == [Cancel(client_id, "BTC/USDT", bench.now_ns)]
    assert await phase(bench, intent_id) is IntentPhase.CANCEL_REQUESTED
    assert bench.kernel.working()[0].remaining == 1
    await bench.show(client_id, CANCELED)
    assert await phase(bench, intent_id) is IntentPhase.CANCELED
    assert bench.kinds()[-1] is KIND.CANCELLED


async def test_a_cancel_of_an_order_nobody_saw_yet_waits_until_it_is_seen(bench):
    intent_id, client_id = await bench.place()
    await bench.kernel.cancel_order(intent_id)
    assert bench.gateway.take(Cancel) == []
    await bench.show(client_id, NEW)
    assert bench.gateway.take(Cancel) == [Cancel(client_id, "BTC/USDT", bench.now_ns)]


async def test_a_refused_cancel_is_looked_into(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, NEW)
    await bench.kernel.cancel_order(intent_id)
    await bench.kernel.observe(Refusal(client_id, "cancel", -2011, "unknown order"))
    assert bench.gateway.take(Lookup) == [Lookup(client_id, "BTC/USDT", bench.now_ns)]
    await bench.show(client_id, FILLED, "1", bench.fill(client_id, "t", "1"))
    assert await phase(bench, intent_id) is IntentPhase.SATISFIED


# Modifications.


async def test_a_modification_waits_for_the_final_count_and_places_the_rest(bench):
    intent_id, first = await bench.place("2")
    await bench.show(first, NEW)
    await bench.kernel.modify_order(intent_id, bench.order("3", price="101"))
    assert bench.gateway.take(Cancel) != []
    await bench.show(first, OrderStatus.PARTIALLY_CANCELED, "0.5")  # a fill is still missing
    assert bench.gateway.take(Place) == []
    await bench.show(first, OrderStatus.PARTIALLY_CANCELED, "0.5", bench.fill(first, "t", "0.5"))
    (place,) = bench.gateway.take(Place)
    assert (place.order.quantity, place.order.price) == (Decimal("2.5"), 101)
    await bench.show(place.client_order_id, NEW)
    assert bench.kinds() == [KIND.SUBMITTED, KIND.ACCEPTED, KIND.FILLED, KIND.SUBMITTED, KIND.MODIFIED]
    assert bench.kernel.counts().replaced == 1


async def test_our_own_cancel_is_not_taken_for_somebody_elses_after_a_restart(bench):
    intent_id, first = await bench.place()
    await bench.show(first, NEW)
    await bench.kernel.modify_order(intent_id, bench.order(price="101"))
    await bench.restart()
    await bench.show(first, CANCELED)
    (place,) = bench.gateway.take(Place)
    assert place.order.price == 101


async def test_many_modifications_place_only_the_last(bench):
    intent_id, first = await bench.place()
    await bench.show(first, NEW)
    for price in range(200, 300):
        await bench.kernel.modify_order(intent_id, bench.order(price=str(price)))
    assert len(bench.gateway.take(Cancel)) == 1
    await bench.show(first, CANCELED)
    (place,) = bench.gateway.take(Place)
    assert place.order.price == 299


async def test_modifying_to_the_same_terms_changes_nothing(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, NEW)
    await bench.kernel.modify_order(intent_id, bench.order())
    assert bench.gateway.sent == []
    assert (await bench.kernel.get_order_intent(intent_id)).generation == 1


async def test_a_total_lowered_to_what_is_filled_satisfies(bench):
    intent_id, client_id = await bench.place("2")
    await bench.show(client_id, PARTIALLY_FILLED, "1", bench.fill(client_id, "t", "1"))
    await bench.kernel.modify_order(intent_id, bench.order("1"))
    assert bench.kernel.working()[0].remaining == 1  # still out there
    await bench.show(client_id, OrderStatus.PARTIALLY_CANCELED, "1")
    assert await phase(bench, intent_id) is IntentPhase.SATISFIED
    assert bench.kinds()[-1] is KIND.MODIFIED


async def test_what_cannot_be_modified_says_so(bench):
    intent_id, client_id = await bench.place()
    for other in (bench.order(side=Side.SELL), replace(bench.order(), symbol="ETH/USDT")):
        with pytest.raises(ValidationError, match="market or side"):
            await bench.kernel.modify_order(intent_id, other)
    await bench.kernel.cancel_order(intent_id)
    with pytest.raises(ValidationError, match="CANCEL_REQUESTED"):
        await bench.kernel.modify_order(intent_id, bench.order("2"))
    await bench.show(client_id, CANCELED)
    with pytest.raises(ValidationError, match="CANCELED"):
        await bench.kernel.modify_order(intent_id, bench.order("2"))


async def test_modifications_end_before_the_numbers_do(bench):
    intent_id, client_id = await bench.place()
    for price in range(101, 336):
        await bench.show(client_id, NEW)
        await bench.kernel.modify_order(intent_id, bench.order(price=str(price)))
        await bench.show(client_id, CANCELED)
        client_id = bench.placed()
    await bench.show(client_id, NEW)
    with pytest.raises(ValidationError, match="too often"):
        await bench.kernel.modify_order(intent_id, bench.order(price="400"))
    assert (await bench.kernel.get_order_state(intent_id)).attempt == 236


# Not knowing.


async def test_silence_is_looked_into_and_a_sighting_adopted(bench):
    intent_id, client_id = await bench.place()
    await bench.kernel.observe(Silence(client_id, "place", "time-out"))
    assert bench.kinds() == [KIND.SUBMITTED, KIND.UNKNOWN]
    assert bench.gateway.take(Lookup) == [Lookup(client_id, "BTC/USDT", bench.now_ns)]
    await bench.kernel.observe(Absence(client_id, 0))
    await bench.wait(30)
    assert len(bench.gateway.take(Lookup)) > 3
    await bench.show(client_id, NEW)
    assert bench.kinds() == [KIND.ACCEPTED]
    assert (await bench.kernel.get_order_state(intent_id)).reconciliation_status.value == "InSync"


async def test_no_answer_at_all_becomes_doubt_and_then_a_question_to_the_operator(bench):
    intent_id, _ = await bench.place("2")
    await bench.wait(3)
    assert (await bench.kernel.get_order_state(intent_id)).state is AttemptState.AMBIGUOUS
    await bench.wait(3600)
    state = await bench.store.orders.get_order_state(intent_id)
    assert state.reconciliation_status is ReconciliationStatus.NEEDS_OPERATOR
    assert bench.gateway.take(Place) == []
    assert [(w.intent_id, w.remaining) for w in bench.kernel.working()] == [(intent_id, 2)]
    assert bench.kernel.counts().unknown == 1


async def test_what_provably_never_left_is_placed_again_under_another_id(bench):
    intent_id, first = await bench.place()
    await bench.kernel.observe(Silence(first, "place", "no route to host", sent=False))
    await bench.wait(1)
    second = bench.placed()
    assert second != first
    await bench.show(second, NEW)
    assert (await bench.kernel.get_order_state(intent_id)).attempt == 2
    assert bench.kernel.counts().retries == 1


async def test_a_refused_order_that_shows_up_after_all_is_counted_and_cancelled(bench):
    intent_id, client_id = await bench.place("2")
    await bench.kernel.observe(Refusal(client_id, "place", -1, "no"))
    await bench.show(client_id, PARTIALLY_FILLED, "0.5", bench.fill(client_id, "t", "0.5"))
    assert bench.gateway.take(Cancel) == [Cancel(client_id, "BTC/USDT", bench.now_ns)]
    assert bench.kernel.working()[0].remaining == Decimal("1.5")
    await bench.show(client_id, OrderStatus.PARTIALLY_CANCELED, "0.5")
    assert bench.kernel.working() == []
    assert await phase(bench, intent_id) is IntentPhase.FAILED


async def test_a_working_order_is_looked_up_now_and_then_without_writing(bench):
    _, client_id = await bench.place()
    await bench.show(client_id, NEW)
    rows = dict(bench.store.orders.rows)
    await bench.wait(30)
    assert bench.gateway.take(Lookup) == [Lookup(client_id, "BTC/USDT", bench.now_ns)]
    await bench.show(client_id, NEW)
    assert bench.store.orders.rows == rows


# Late, foreign and forgotten.


async def test_a_late_fill_is_still_bound_to_its_wish(bench):
    intent_id, client_id = await bench.place("2")
    await bench.show(client_id, NEW)
    await bench.kernel.cancel_order(intent_id)
    await bench.show(client_id, CANCELED)
    bench.kinds()
    await bench.show(client_id, CANCELED, "0.5", bench.fill(client_id, "late", "0.5"))
    assert bench.events[-1].intent.intent_id == intent_id
    assert bench.kinds() == [KIND.FILLED]
    assert await phase(bench, intent_id) is IntentPhase.CANCELED


async def test_a_late_count_without_fills_is_followed_up(bench):
    intent_id, client_id = await bench.place("2")
    await bench.show(client_id, NEW)
    await bench.kernel.cancel_order(intent_id)
    await bench.show(client_id, CANCELED)
    await bench.show(client_id, CANCELED, "0.5")
    await bench.wait(1)
    assert bench.gateway.take(Lookup) != []
    await bench.show(client_id, CANCELED, "0.5", bench.fill(client_id, "late", "0.5"))
    assert (await bench.store.orders.get_order_state(intent_id)).state is AttemptState.DONE


async def test_memory_is_bounded_and_ids_still_tell_whose_a_very_late_fill_is(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, CANCELED)
    for _ in range(WATCHED):
        _, later = await bench.place()
        await bench.show(later, CANCELED)
    assert bench.kernel._core.view.find(intent_id) is None
    bench.kinds()
    for _ in range(2):
        await bench.show(client_id, CANCELED, "0.5", bench.fill(client_id, "late", "0.5"))
    assert [(e.kind, e.intent.intent_id) for e in bench.events] == [(KIND.FILLED, intent_id)]
    assert (await bench.store.fills())[0].intent_id == intent_id


async def test_what_is_remembered_of_fills_is_bounded(bench):
    """I30: nobody repeats a trade after hours; its row stays."""
    for hour in range(100):
        _, client_id = await bench.place()
        await bench.show(client_id, FILLED, "1", bench.fill(client_id, f"t{hour}", "1"))
        await bench.wait(3600)
    assert len(bench.kernel._core.view._fills) <= 3
    assert len(await bench.store.fills()) == 100


async def test_a_strangers_fill_is_kept_and_told_once(bench):
    for _ in range(2):
        await bench.show("somebody else's", FILLED, "3", bench.fill("somebody else's", "t", "3"))
    assert [(e.kind, e.intent.intent_id, e.fill.qty) for e in bench.events] == [(KIND.FILLED, "", 3)]
    assert [fill.intent_id for fill in await bench.store.fills()] == [""]
    assert bench.gateway.sent == []


# Restarts.


async def test_after_a_restart_everything_open_is_doubted_or_looked_up(bench):
    working, working_client = await bench.place()
    await bench.show(working_client, NEW)
    unanswered, unanswered_client = await bench.place()
    settled, settled_client = await bench.place()
    await bench.show(settled_client, CANCELED)
    await bench.restart()
    assert {r.client_order_id for r in bench.gateway.take(Lookup)} == {working_client, unanswered_client}
    assert (await bench.kernel.get_order_state(unanswered)).state is AttemptState.AMBIGUOUS
    assert (await bench.kernel.get_order_state(working)).state is AttemptState.LIVE
    assert await phase(bench, settled) is IntentPhase.CANCELED
    fresh, _ = await bench.place()
    assert fresh not in {working, unanswered, settled}


async def test_a_fill_known_before_a_restart_is_not_told_again(bench):
    _, client_id = await bench.place("2")
    fill = bench.fill(client_id, "t", "0.5")
    _, gone = await bench.place("1")
    last = bench.fill(gone, "u", "1")
    await bench.show(client_id, PARTIALLY_FILLED, "0.5", fill)
    await bench.show(gone, FILLED, "1", last)
    await bench.restart()
    bench.kinds()
    await bench.show(client_id, PARTIALLY_FILLED, "0.5", fill)
    await bench.show(gone, FILLED, "1", last)
    assert bench.kinds() == []
    assert bench.kernel.working()[0].remaining == Decimal("1.5")


async def test_a_cancel_requested_before_a_restart_is_carried_out_after_it(bench):
    intent_id, client_id = await bench.place()
    await bench.kernel.cancel_order(intent_id)
    await bench.restart()
    await bench.show(client_id, NEW)
    assert bench.gateway.take(Cancel) == [Cancel(client_id, "BTC/USDT", bench.now_ns)]
    await bench.show(client_id, CANCELED)
    assert await phase(bench, intent_id) is IntentPhase.CANCELED


# Groups.


async def place_oco(bench, mode=OcoMode.REDUCE_ON_PARTIAL, legs=2):
    orders = tuple(bench.order("10", price=str(100 + n), side=Side.SELL) for n in range(legs))
    intent_ids = await bench.kernel.place_order_group(StandardOrderGroup(orders, mode), {})
    client_ids = [place.client_order_id for place in bench.gateway.take(Place)]
    for client_id in client_ids:
        await bench.show(client_id, NEW)
    return intent_ids, client_ids


async def test_a_partial_fill_shrinks_the_sibling_in_the_same_commit(bench):
    (_, other), (first, second) = await place_oco(bench)
    await bench.show(first, PARTIALLY_FILLED, "4", bench.fill(first, "t", "4"))
    assert (await bench.store.intents.get_intent(other)).order.quantity == 6
    assert bench.gateway.take(Cancel) == [Cancel(second, "BTC/USDT", bench.now_ns)]
    await bench.show(second, CANCELED)
    (place,) = bench.gateway.take(Place)
    assert place.order.quantity == 6


async def test_a_full_fill_cancels_the_sibling(bench):
    (_, other), (first, second) = await place_oco(bench)
    await bench.show(first, FILLED, "10", bench.fill(first, "t", "10"))
    assert bench.gateway.take(Cancel) == [Cancel(second, "BTC/USDT", bench.now_ns)]
    await bench.show(second, CANCELED)
    assert await phase(bench, other) is IntentPhase.CANCELED
    assert bench.kernel.working() == []


async def test_any_fill_cancels_the_sibling_where_that_is_wanted(bench):
    (one, other), (first, second) = await place_oco(bench, OcoMode.CANCEL_ON_FILL)
    await bench.show(first, PARTIALLY_FILLED, "1", bench.fill(first, "t", "1"))
    assert bench.gateway.take(Cancel) == [Cancel(second, "BTC/USDT", bench.now_ns)]
    assert await phase(bench, other) is IntentPhase.CANCEL_REQUESTED
    assert await phase(bench, one) is IntentPhase.ACTIVE


async def test_fills_of_a_settled_leg_count_after_a_restart(bench):
    (_, _, third), (first, second, third_client) = await place_oco(bench, legs=3)
    await bench.show(first, CANCELED, "3", bench.fill(first, "t1", "3"))
    await bench.restart()
    bench.gateway.take(Lookup)
    await bench.show(second, PARTIALLY_FILLED, "2", bench.fill(second, "t2", "2"))
    assert (await bench.kernel.get_order_intent(third)).order.quantity == 5
    await bench.show(third_client, CANCELED)
    places = {place.order.price: place.order.quantity for place in bench.gateway.take(Place)}
    assert places[Decimal(102)] == 5


async def test_legs_of_unequal_size_are_refused_and_leave_nothing(bench):
    legs = (bench.order("1"), bench.order("2"))
    for orders, why in ((legs, "same quantity"), (legs[:1], "two orders or more")):
        with pytest.raises(ValidationError, match=why):
            await bench.kernel.place_order_group(StandardOrderGroup(orders), {})
    assert bench.kernel.working() == []
    assert await bench.kernel.get_all_intents() == []


# The shape of a step.


def approved(bench):
    return Approved(bench.order(), {})


def test_the_cause_of_a_placement_is_in_the_commit_that_sends_it(bench, identity):
    core = Core(identity, Policy())
    intent_id = core.new_intent_id()
    (commit,) = core.step(1, Admit(approved(bench), intent_id))
    send = commit.then[0]
    assert isinstance(send, Send)
    intent, attempt, *journal = commit.rows
    assert [(entry.intent_id, entry.attempt, entry.what) for entry in journal] == [
        (intent_id, 0, "wished"),
        (intent_id, 1, "placed"),
    ]
    assert (intent.intent_id, intent.phase) == (intent_id, IntentPhase.ACTIVE)
    assert attempt.client_order_id == send.request.client_order_id
    assert attempt.state is AttemptState.PREPARED
    assert attempt.deadline_ns == send.request.deadline_ns


def test_a_step_without_news_has_no_effects(bench, identity):
    core = Core(identity, Policy())
    assert core.step(1, Tick()) == []
    core.step(1, Admit(approved(bench), core.new_intent_id()))
    assert core.step(2, Tick()) == []


def test_asking_needs_no_row(bench, identity):
    core = Core(identity, Policy())
    (commit,) = core.step(1, Admit(approved(bench), core.new_intent_id()))
    client_id = commit.then[0].request.client_order_id
    core.step(2, Observed(Observation(client_id, "x", NEW, Decimal(0), 2)))
    due_ns = core.next_due()
    (commit,) = core.step(due_ns, Tick())
    assert commit == Commit((), (Send(Lookup(client_id, "BTC/USDT", due_ns)),))


def test_rows_come_once_and_with_their_fills(bench, identity):
    core = Core(identity, Policy())
    (commit,) = core.step(1, Admit(approved(bench), core.new_intent_id()))
    client_id = commit.then[0].request.client_order_id
    fill = bench.fill(client_id, "t", "1")
    (commit,) = core.step(2, Observed(Observation(client_id, "x", FILLED, Decimal(1), 2, (fill,))))
    rows = [row for row in commit.rows if not isinstance(row, JournalEntry)]
    assert sorted(type(row).__name__ for row in rows) == ["Fill", "MarketRow", "OrderIntent", "OrderState"]
    assert next(row for row in rows if isinstance(row, Fill)).intent_id
    market = next(row for row in rows if isinstance(row, MarketRow))
    assert (market.position, market.own) == (1, 1)
    journal = [row.what for row in commit.rows if isinstance(row, JournalEntry)]
    assert journal == ["DONE", "filled", "settled"]
    assert all(count > 0 for count in core.checks.values())
