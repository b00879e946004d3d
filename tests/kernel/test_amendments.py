"""New terms for a working order: in place where that is safe, by cancel and replace where it is not.

The table of the FIX protocol's cancel/replace scenarios (order state changes C.2, C.3) against both rules an
exchange may have, with answers lost, late, in any order (V25, O8-O10).
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import permutations

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.kernel.steps import ClockBound
from quantcli.model.event import OrderEventKind
from quantcli.model.message import Amend, Asked, Cancel, Lookup, Place, Refused, Survey
from quantcli.model.order import AttemptState, IntentPhase, OrderStatus, OrderType, ReconciliationStatus
from quantcli.model.venue import AmendRule, VenueContract
from tests.kernel.by_hand import DECREASE, PROVE, TOTAL, ByHand

LIVE, DONE, PREPARED = AttemptState.LIVE, AttemptState.DONE, AttemptState.PREPARED
NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
PARTLY = OrderStatus.PARTIALLY_FILLED
FENCE_S = PROVE.fence_ns / NS_PER_S


def working(venue=TOTAL) -> tuple[ByHand, str, str]:
    """A bench with an order of 10 at 100 that works; intent id and client order id."""
    bench = ByHand(venue).synced()
    bench.now_ns += NS_PER_S
    return bench, *bench.work()


def amending(quantity: str = "8", price: str = "101") -> tuple[ByHand, str, str, Amend]:
    """The same, with an amendment on its way."""
    bench, intent_id, client_id = working()
    bench.now_ns += NS_PER_S
    bench.modify(intent_id, quantity, price)
    (amend,) = bench.take(Amend)
    return bench, intent_id, client_id, amend


def amended(bench: ByHand, amend: Amend, status=NEW, filled: str = "0", *fills) -> None:
    """The exchange shows the order with its new terms."""
    bench.show(amend.client_order_id, status, filled, *fills, order=amend.order)


# What goes in place.


@pytest.mark.parametrize(
    ("venue", "terms", "in_place"),
    [
        (TOTAL, ("8", "100"), True),
        (TOTAL, ("12", "100"), True),
        (TOTAL, ("10", "99"), True),
        (TOTAL, ("12", "99"), True),
        (DECREASE, ("8", "100"), True),
        (DECREASE, ("12", "100"), False),
        (DECREASE, ("8", "99"), False),
        (PROVE, ("8", "100"), False),
    ],
)
def test_only_what_the_contract_allows_is_changed_in_place(venue, terms, in_place):
    """V25: up and down; everything else by cancelling it and placing the rest."""
    bench, intent_id, client_id = working(venue)
    bench.modify(intent_id, *terms)
    amends, cancels = bench.take(Amend), bench.take(Cancel)
    assert (len(amends), len(cancels)) == ((1, 0) if in_place else (0, 1))
    if in_place:
        (amend,) = amends
        assert (amend.order.quantity, amend.order.price) == tuple(map(Decimal, terms))
        assert (amend.client_order_id, amend.number) == (client_id, 1)  # V26: our id stays
        amended(bench, amend)
    else:
        bench.show(client_id, CANCELED)
        (place,) = bench.take(Place)
        assert (place.order.quantity, place.order.price) == tuple(map(Decimal, terms))
        bench.accept(place.client_order_id)
    assert bench.attempts(intent_id)[-1].generation == bench.intent(intent_id).generation == 2
    assert bench.events[-1].kind is OrderEventKind.MODIFIED
    bench.wait(20)
    assert bench.take((Amend, Cancel, Place)) == []


@pytest.mark.parametrize(
    "terms", [{"type": OrderType.LIMIT_MAKER}, {"reduce_only": True}, {"expire_ns": 1 << 62}]
)
def test_a_change_of_more_than_price_and_quantity_is_a_new_order(terms):
    bench, intent_id, _ = working()
    bench.modify(intent_id, **terms)
    assert (len(bench.take(Amend)), len(bench.take(Cancel))) == (0, 1)


def test_an_amendment_is_durable_before_it_is_sent_and_fenced():
    """Section 2.9, I14, I26."""
    bench, _, client_id, amend = amending()
    pending = bench.attempt(client_id).amendment
    assert (pending.number, pending.order, pending.generation) == (1, amend.order, 2)
    assert pending.deadline_ns == amend.deadline_ns == bench.now_ns + TOTAL.fence_ns


def test_an_amendment_counts_fills_as_part_of_the_total():
    """V25: the total of this order is what the earlier ones have left, its own fills included."""
    bench, intent_id, first = working()
    bench.show(first, PARTLY, "4", bench.trade(first, "4"))
    bench.modify(intent_id, price="99", type=OrderType.LIMIT_MAKER)
    bench.show(first, CANCELED, "4")
    (place,) = bench.take(Place)
    second = place.client_order_id
    bench.accept(second)
    bench.show(second, PARTLY, "1", bench.trade(second, "1"))
    bench.modify(intent_id, "12", "99", type=OrderType.LIMIT_MAKER)
    (amend,) = bench.take(Amend)
    assert amend.order.quantity == 8  # 12 less the 4 of the first
    assert bench.core.checks["quantity_bound"] >= 3


@pytest.mark.parametrize("venue", [TOTAL, DECREASE])
def test_a_total_below_what_has_filled_ends_the_order_there(venue):
    """V25, C.3: it becomes what has filled."""
    bench, intent_id, client_id = working(venue)
    bench.show(client_id, PARTLY, "6", bench.trade(client_id, "6"))
    bench.modify(intent_id, "5")
    assert bench.take(Amend) == []
    assert len(bench.take(Cancel)) == 1
    bench.show(client_id, CANCELED, "6")
    assert bench.phase(intent_id) is IntentPhase.SATISFIED


def test_fills_that_race_a_decrease_only_shorten_the_rest():
    """V25, C.2: the exchange had filled more than the new total when it arrived: the total becomes that."""
    bench, intent_id, _, amend = amending("8", "100")
    fill = bench.trade(amend.client_order_id, "9")
    trimmed = replace(amend, order=replace(amend.order, quantity=Decimal(9)))
    amended(bench, trimmed, FILLED, "9", fill)
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DONE], IntentPhase.SATISFIED)
    assert bench.take((Amend, Cancel, Place)) == []


def test_fills_before_the_answer_count():
    """C.2: partly filled while the replacement is pending."""
    bench, intent_id, client_id, amend = amending("12", "100")
    bench.show(client_id, PARTLY, "10", bench.trade(client_id, "10"))  # all of the old terms
    assert bench.states(intent_id) == [LIVE]
    amended(bench, amend, PARTLY, "10")
    bench.show(client_id, FILLED, "12", bench.trade(client_id, "2"))
    assert bench.phase(intent_id) is IntentPhase.SATISFIED
    assert bench.market().own == 12


def test_filled_on_the_old_terms_places_what_an_increase_left():
    """C.2: filled before the increase arrived; the rest is a new order."""
    bench, _intent_id, client_id, _ = amending("12", "100")
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bench.refuse(client_id, Asked.AMEND, Refused.UNKNOWN_ORDER, number=1)
    (place,) = bench.take(Place)
    assert place.order.quantity == 2


# Answers that do not come, or say no.


def test_a_lost_answer_is_found_in_a_look_up():
    """V25: applied, and the answer lost."""
    bench, _intent_id, client_id, amend = amending()
    bench.silence(client_id, Asked.AMEND, number=1)
    bench.wait(4)
    assert len(bench.take(Lookup)) >= 1
    amended(bench, amend)
    assert bench.attempt(client_id).generation == 2
    assert (bench.attempt(client_id).order.price, bench.attempt(client_id).amendment) == (101, None)
    bench.wait(20)
    assert bench.take((Amend, Cancel, Place)) == []


def test_a_lost_request_is_sent_again_only_after_its_fence_and_a_look():
    """V25: never two in flight; the order was seen with its old terms after the first could not arrive."""
    bench, _intent_id, client_id, first = amending()
    bench.silence(client_id, Asked.AMEND, number=1)
    for _ in range(60):
        bench.wait(0.1)
        for _ in bench.take(Lookup):
            bench.show(client_id, NEW, order=bench.order())
        if again := bench.take(Amend):
            break
    (again,) = again
    assert (again.number, again.order) == (2, first.order)
    assert bench.now_ns > first.deadline_ns
    bench.silence(client_id, Asked.AMEND, number=1)  # the first one's answer, twice
    bench.now_ns += NS_PER_MS
    amended(bench, again)
    assert bench.attempt(client_id).generation == 2


def test_a_look_that_was_not_answered_yet_does_not_count_as_one():
    """V25: an event of the stream says that the order works, not on which terms."""
    bench, intent_id, client_id, first = amending()
    bench.wait(FENCE_S)
    bench.take(Lookup)
    while not bench.take(Lookup):
        bench.wait(0.1)
    bench.show(client_id, NEW, venue_ns=bench.now_ns - NS_PER_S)
    bench.modify(intent_id)  # back to what it was
    bench.wait(0.1)
    assert bench.take((Amend, Cancel)) == []
    assert bench.attempt(client_id).amendment is not None
    amended(bench, first)  # the answer: the amendment had come about
    (back,) = bench.take(Amend)
    assert (back.order.quantity, back.order.price) == (10, 100)


def test_the_fence_of_an_amendment_waits_for_the_clock_as_well():
    """V38, section 2.7."""
    bench, _intent_id, client_id, _first = amending()
    bench.step(ClockBound(5 * NS_PER_S))
    for _ in range(98):
        bench.wait(0.1)
        for _ in bench.take(Lookup):
            bench.show(client_id, NEW, order=bench.order())
        assert bench.take(Amend) == []
    bench.wait(6)
    for _ in bench.take(Lookup):
        bench.show(client_id, NEW, order=bench.order())
    bench.wait(0.1)
    assert len(bench.take(Amend)) == 1


def test_a_refused_amendment_ends_in_cancel_and_replace():
    """V25: nobody knows why; the safe way is taken, once for this generation."""
    bench, _intent_id, client_id, _ = amending()
    bench.refuse(client_id, Asked.AMEND, number=1)
    assert len(bench.take(Cancel)) == 1
    bench.show(client_id, CANCELED, "4", bench.trade(client_id, "4"))
    (place,) = bench.take(Place)
    assert (place.order.quantity, place.order.price) == (4, 101)
    assert bench.take(Amend) == []


def test_an_amendment_refused_because_the_order_is_filled():
    """V25, V6: too late to replace."""
    bench, intent_id, client_id, _ = amending()
    bench.refuse(client_id, Asked.AMEND, Refused.UNKNOWN_ORDER, number=1)
    assert bench.take(Place) == []
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DONE], IntentPhase.SATISFIED)
    assert bench.take(Place) == []


@pytest.mark.parametrize("answer", ["busy", "unsent"])
def test_an_amendment_that_was_not_accepted_now_is_sent_again_with_a_pause(answer):
    """V28, L5: an exchange that is busy, or cannot be reached, is not asked in a tight loop."""
    bench, intent_id, client_id, first = amending()
    numbers = [first.number]
    for _ in range(300):
        if answer == "busy":
            bench.refuse(client_id, Asked.AMEND, Refused.BUSY, number=numbers[-1])
        else:
            bench.silence(client_id, Asked.AMEND, sent=False, number=numbers[-1])
        bench.wait(0.1)
        for _ in bench.take(Lookup):
            bench.show(client_id, NEW, order=bench.order())
        numbers += [amend.number for amend in bench.take(Amend)]
    assert 3 <= len(numbers) <= 61
    assert numbers == list(range(1, len(numbers) + 1))
    assert (bench.states(intent_id), bench.take(Cancel)) == ([LIVE], [])


def test_answers_to_earlier_amendments_are_not_taken_for_the_last_ones():
    """N18, N21."""
    bench, intent_id, client_id, amend = amending()
    amended(bench, amend)
    bench.modify(intent_id, "7", "102")
    (second,) = bench.take(Amend)
    bench.refuse(client_id, Asked.AMEND, number=1)
    assert bench.take(Cancel) == []
    assert bench.attempt(client_id).amendment.number == second.number == 2


def test_stale_terms_do_not_come_back():
    """V4, V25: of two sightings the one of the later exchange time has the terms, whichever came last."""
    bench, _intent_id, client_id, amend = amending()
    amended(bench, amend)
    bench.show(client_id, NEW, order=bench.order(), venue_ns=bench.now_ns - NS_PER_S)
    assert bench.attempt(client_id).order == amend.order
    assert bench.take((Amend, Cancel)) == []


def test_an_unasked_for_change_of_quantity_is_adopted():
    """V22: the exchange trimmed a reduce-only order; what it took away is not filled, and not drift."""
    bench, intent_id, client_id = working()
    bench.show(client_id, NEW, order=bench.order("6"), venue_ns=bench.now_ns + 1)
    assert bench.attempt(client_id).order.quantity == 6
    bench.show(client_id, FILLED, "6", bench.trade(client_id, "6"))
    assert bench.states(intent_id)[0] is DONE
    assert bench.market().drift == 0


def test_a_restart_does_not_forget_that_an_amendment_is_on_its_way():
    """P1, section 2.9: no second one before the first was seen to have come about, or not."""
    bench, _intent_id, client_id, first = amending()
    bench.boot()
    bench.state()
    bench.wait(1)
    assert bench.take((Amend, Cancel, Place)) == []
    amended(bench, first)
    assert bench.attempt(client_id).generation == 2
    assert bench.take((Amend, Cancel, Place)) == []


def test_a_restart_sends_a_lost_one_again():
    bench, _intent_id, client_id, _first = amending()
    bench.boot()
    for _ in range(80):
        bench.wait(0.1)
        for survey in bench.take(Survey):
            bench.state(survey)
        for _ in bench.take(Lookup):
            bench.show(client_id, NEW, order=bench.order())
    assert [amend.number for amend in bench.take(Amend)] == [2]


def test_an_order_that_vanishes_with_an_amendment_on_its_way_ends_all_the_same():
    """T12, V29, L1."""
    bench, intent_id, client_id, _ = amending()
    del bench.orders[client_id]
    for _ in range(400):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id)[:1] == [DONE]
    assert bench.attempts(intent_id)[1].order.price == 101


def test_an_amendment_that_nobody_tells_of_needs_an_operator_in_the_end():
    """L2: where nothing can be proved."""
    bench = ByHand(VenueContract("test", amend=AmendRule.TOTAL)).boot()
    intent_id, client_id = bench.work()
    bench.modify(intent_id, "8")
    bench.wait(140)
    assert bench.attempt(client_id).reconciliation_status is ReconciliationStatus.NEEDS_OPERATOR
    assert (bench.states(intent_id), bench.take((Place, Cancel))) == ([LIVE], [])


# Minds that change.


def test_a_thousand_modifications_drive_only_the_last():
    """O9: coalesced while one is in flight; then one more, for what is wanted then."""
    bench, intent_id, client_id, first = amending()
    for number in range(1_000):
        bench.modify(intent_id, "9", str(200 + number))
    assert bench.take((Amend, Cancel, Place)) == []
    amended(bench, first)
    (last,) = bench.take(Amend)
    assert (last.number, last.order.price) == (2, 1199)
    amended(bench, last)
    assert bench.attempt(client_id).generation == bench.intent(intent_id).generation == 1002
    bench.wait(10)
    assert bench.take((Amend, Cancel, Place)) == []


def test_changing_ones_mind_back_while_it_is_on_its_way():
    """O9, O10: what was sent may come about, so the way back is an amendment, too."""
    bench, intent_id, client_id, first = amending()
    bench.modify(intent_id)
    assert bench.take((Amend, Cancel)) == []
    amended(bench, first)
    (back,) = bench.take(Amend)
    assert (back.order.quantity, back.order.price) == (10, 100)
    amended(bench, back)
    assert bench.attempt(client_id).generation == 3


def test_changing_ones_mind_back_when_it_was_refused_needs_nothing():
    bench, intent_id, client_id, _ = amending()
    bench.modify(intent_id)
    bench.refuse(client_id, Asked.AMEND, number=1)
    assert bench.take((Amend, Cancel)) == []
    assert bench.attempt(client_id).generation == 3


def test_other_terms_after_a_lost_amendment_wait_for_its_end():
    """V25: lost, and the terms changed again: the second goes out after the fence of the first."""
    bench, intent_id, client_id, first = amending()
    bench.silence(client_id, Asked.AMEND, number=1)
    bench.modify(intent_id, "7", "102")
    sent = []
    for _ in range(70):
        bench.wait(0.1)
        for _ in bench.take(Lookup):
            bench.show(client_id, NEW, order=bench.order())
        sent += [(bench.now_ns, amend) for amend in bench.take(Amend)]
    ((sent_ns, second),) = sent
    assert (second.number, second.order.price) == (2, 102)
    assert sent_ns > first.deadline_ns
    bench.show(client_id, NEW, order=first.order, venue_ns=first.deadline_ns)  # cannot be, and is survived
    amended(bench, second)
    assert bench.attempt(client_id).generation == 3


def test_a_cancel_does_not_wait_for_an_amendment():
    """O8: in the same millisecond; whatever comes of the amendment, the order goes."""
    bench, intent_id, client_id, amend = amending()
    bench.cancel(intent_id)
    assert len(bench.take(Cancel)) == 1
    amended(bench, amend)
    assert bench.take((Amend, Cancel)) == []
    bench.show(client_id, CANCELED, order=amend.order)
    assert (bench.phase(intent_id), bench.take(Place)) == (IntentPhase.CANCELED, [])


# Cancel, modify and fill of one order in the same millisecond.


class Resting:
    """An order as the exchange has it."""

    def __init__(self, order) -> None:
        self.order, self.filled, self.status = order, Decimal(0), NEW


class Engine:
    """An exchange that does what it is asked at once; its answers wait to be delivered."""

    def __init__(self, bench: ByHand, client_id: str) -> None:
        self.bench = bench
        self.book = {client_id: Resting(bench.order())}
        self.answers: list[Callable[[], None]] = []
        self.version = 0

    @property
    def filled(self) -> Decimal:
        return sum((resting.filled for resting in self.book.values()), Decimal(0))

    def tell(self, client_id: str, *fills) -> None:
        resting, self.version = self.book[client_id], self.version + 1
        shown = client_id, resting.status, str(resting.filled), *fills
        terms = {"venue_ns": self.bench.now_ns + self.version, "order": resting.order}
        self.answers.append(lambda: self.bench.show(*shown, **terms))

    def fill(self, qty: str) -> None:
        for client_id, resting in self.book.items():
            amount = min(Decimal(qty), resting.order.quantity - resting.filled)
            if not resting.status.is_terminal and amount > 0:
                resting.filled += amount
                resting.status = FILLED if resting.filled == resting.order.quantity else PARTLY
                self.tell(client_id, self.bench.trade(client_id, str(amount)))

    def serve(self) -> None:
        """Do what was sent since the last time."""
        for request in self.bench.take((Amend, Cancel, Place)):
            client_id = request.client_order_id
            if isinstance(request, Place):
                self.book[client_id] = Resting(request.order)
                self.tell(client_id)
            elif self.book[client_id].status.is_terminal:
                self.answers.append(self.refusal(request))
            elif isinstance(request, Cancel):
                self.book[client_id].status = CANCELED
                self.tell(client_id)
            else:
                self.amend(self.book[client_id], request)

    def amend(self, resting: Resting, request: Amend) -> None:
        quantity = max(request.order.quantity, resting.filled)
        resting.order = replace(request.order, quantity=quantity)
        if resting.filled == quantity:
            resting.status = FILLED
        self.tell(request.client_order_id)

    def refusal(self, request: Amend | Cancel) -> Callable[[], None]:
        is_amend = isinstance(request, Amend)
        asked, number = (Asked.AMEND, request.number) if is_amend else (Asked.CANCEL, 0)
        kind = Refused.UNKNOWN_ORDER
        return lambda: self.bench.refuse(request.client_order_id, asked, kind, number=number)

    def pass_time(self, steps: int) -> None:
        """Time passes, and everything is answered at once."""
        for _ in range(steps):
            self.bench.wait(0.1)
            self.serve()
            for lookup in self.bench.take(Lookup):
                self.tell(lookup.client_order_id)
            self.bench.take(Survey)
            while self.answers:
                self.answers.pop(0)()
                self.serve()


@pytest.mark.parametrize("venue", [TOTAL, DECREASE, PROVE], ids=["total", "decrease", "none"])
@pytest.mark.parametrize("order", list(permutations(["cancel", "modify", "fill"])), ids="-".join)
@pytest.mark.parametrize("qty", ["4", "10"])
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_cancel_modify_and_fill_at_once_end_the_same_way(venue, order, qty, late):
    """O8: in all six orders, with answers at once or only after all has happened, in any order: the wish ends
    cancelled with exactly what was filled, or satisfied if that was all of it."""
    bench, intent_id, client_id = working(venue)
    engine = Engine(bench, client_id)
    for act in order:
        if act == "cancel":
            bench.cancel(intent_id)
        elif act == "modify" and bench.intent(intent_id).phase.is_wanted:
            bench.modify(intent_id, "6")
        elif act == "fill":
            engine.fill(qty)
        if not late:
            engine.serve()
            while engine.answers:
                engine.answers.pop(0)()
                engine.serve()
    engine.serve()
    while engine.answers:
        engine.answers.pop()()  # the last one first
        engine.serve()
    engine.pass_time(60)
    intent, attempts = bench.intent(intent_id), bench.attempts(intent_id)
    assert sum(attempt.filled for attempt in attempts) == sum(fill.qty for fill in bench.fills)
    assert bench.market().own == engine.filled
    assert {attempt.state for attempt in attempts} == {DONE}
    done = engine.filled >= intent.order.quantity
    assert intent.phase is (IntentPhase.SATISFIED if done else IntentPhase.CANCELED)
    assert bench.take((Place, Amend)) == []


def test_modifications_and_fills_at_random_times_never_ask_for_too_much():
    """I2, I15, L1: a storm of new totals against a filling exchange; every amendment is within the bound."""
    for seed in range(40):
        bench, intent_id, client_id = working()
        engine = Engine(bench, client_id)
        most = Decimal(10)
        for step in range(30):
            dice = (seed * 7919 + step * 104729) % 10
            if dice < 4 and bench.intent(intent_id).phase.is_wanted:
                quantity = 5 + (seed + step * 3) % 9
                bench.modify(intent_id, str(quantity), str(100 + step % 3))
                most = max(most, Decimal(quantity))
            elif dice < 6:
                engine.fill("1")
            elif dice < 8:
                engine.serve()
            elif engine.answers:
                engine.answers.pop(step % len(engine.answers))()
            bench.now_ns += NS_PER_MS
        engine.pass_time(100)
        intent, first = bench.intent(intent_id), bench.attempts(intent_id)[0]
        assert first.filled == engine.filled <= most
        if first.state is LIVE:
            assert engine.book[client_id].order == intent.order
            assert first.generation == intent.generation
