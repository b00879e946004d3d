"""Scenarios of the fault catalogue that no other file tells by name (docs/faults.md lists all of them)."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.kernel import identity as ids
from quantcli.kernel.steps import AdmitGroup
from quantcli.model.event import OrderEventKind
from quantcli.model.instrument import Side
from quantcli.model.message import Amend, Cancel, Lookup, Place, Refused, Survey
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OcoMode,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    TimeInForce,
)
from quantcli.ports import Approved
from tests.kernel.by_hand import HOLD, IDENTITY, ByHand

NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
UNKNOWN, EXPIRED, REJECTED = OrderStatus.UNKNOWN, OrderStatus.EXPIRED, OrderStatus.REJECTED


def kinds(bench: ByHand) -> list[OrderEventKind]:
    return [event.kind for event in bench.events]


# The network.


def test_the_stream_goes_on_while_requests_get_no_answer():
    """N14: fills are applied, a cancel stays wanted, and nothing is placed twice."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work("10")
    bench.cancel(intent_id)
    (cancel,) = bench.take(Cancel)
    bench.silence(cancel.client_order_id, "cancel")
    bench.show(client_id, OrderStatus.PARTIALLY_FILLED, "4", bench.trade(client_id, "4"))
    bench.wait(60)
    assert bench.attempt(client_id).fills_qty == 4
    assert bench.phase(intent_id) is IntentPhase.CANCEL_REQUESTED
    assert bench.take(Place) == []
    assert bench.take((Cancel, Lookup)), "it goes on asking"


@pytest.mark.parametrize("seconds", [31, 120])
def test_a_silent_stream_is_made_up_for_by_asking(seconds):
    """N15, N16: requests work, events do not come: the order is looked up, and its fills are found."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.work("10")
    bench.wait(seconds)
    assert bench.take(Lookup)
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    assert bench.phase(intent_id) is IntentPhase.SATISFIED


def test_ten_thousand_wishes_at_once_are_ten_thousand_orders():
    """N24: each is durable and placed once; cancelling all of them asks once for each."""
    bench = ByHand(HOLD).boot()
    wishes = [bench.wish("1") for _ in range(10_000)]
    placed = bench.take(Place)
    assert len({place.client_order_id for place in placed}) == len(placed) == len(bench.store.orders.rows)
    for place in placed[::100]:
        bench.show(place.client_order_id, NEW)
    for intent_id in wishes[::100]:
        bench.cancel(intent_id)
    assert len(bench.take(Cancel)) == 100


# The exchange.


def test_a_count_that_falls_is_not_believed():
    """V14: the greatest count stays, and the missing fills are asked for."""
    bench = ByHand(HOLD).boot()
    _, client_id = bench.work("10")
    bench.show(client_id, OrderStatus.PARTIALLY_FILLED, "6", bench.trade(client_id, "4"))
    bench.show(client_id, OrderStatus.PARTIALLY_FILLED, "2")
    assert (bench.attempt(client_id).filled, bench.attempt(client_id).fills_qty) == (6, 4)
    bench.wait(5)
    assert bench.take(Lookup)


def test_one_trade_id_counts_once_in_each_market():
    """V16, V17: the same fill told twice is one; the same id in another market is another."""
    bench = ByHand(HOLD).boot()
    _, here = bench.work("10")
    _, there = bench.place("10", symbol="ETH/USDT")
    fill = bench.trade(here, "4")
    for _ in range(2):
        bench.show(here, OrderStatus.PARTIALLY_FILLED, "4", fill)
    other = replace(fill, symbol="ETH/USDT", client_order_id=there, qty=Decimal(3))
    bench.show(there, OrderStatus.PARTIALLY_FILLED, "3", other)
    assert (bench.attempt(here).fills_qty, bench.attempt(there).fills_qty) == (4, 3)
    assert kinds(bench).count(OrderEventKind.FILLED) == 2


def test_an_order_taken_for_processing_and_then_rejected_was_never_accepted():
    """V19: an early answer only says that the order was passed on."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.place("10")
    bench.show(client_id, UNKNOWN)
    assert bench.attempt(client_id).state is AttemptState.PREPARED
    bench.show(client_id, REJECTED, reason="insufficient margin")
    assert bench.phase(intent_id) is IntentPhase.FAILED
    assert OrderEventKind.ACCEPTED not in kinds(bench)


@pytest.mark.parametrize(
    ("answer", "phase"),
    [
        (lambda bench, client_id: bench.refuse(client_id), IntentPhase.FAILED),
        (lambda bench, client_id: bench.show(client_id, EXPIRED), IntentPhase.EXPIRED),
        (lambda bench, client_id: bench.show(client_id, CANCELED), IntentPhase.CANCELED),
    ],
)
def test_a_post_only_order_that_would_take_is_never_made_a_taker(answer, phase):
    """V20: refused, or accepted and ended at once: the wish ends with it."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.place("10", type=OrderType.LIMIT_MAKER)
    answer(bench, client_id)
    assert bench.phase(intent_id) is phase
    assert bench.take(Place) == []


def test_a_quantity_prevented_by_self_trade_prevention_is_no_fill():
    """V21: the order ends with what it traded."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.work("10")
    bench.show(client_id, EXPIRED, "3", bench.trade(client_id, "3"), reason="self-trade prevention")
    assert bench.phase(intent_id) is IntentPhase.EXPIRED
    assert "self-trade prevention" in bench.intent(intent_id).reason
    assert bench.attempt(client_id).filled == 3


def test_two_instances_do_not_take_each_others_orders_for_their_own():
    """V36, P12: ids carry the instance; the other's are a stranger's here."""
    other = replace(IDENTITY, tag=8)
    client_id = ids.mint(other, ids.intent_id(other, 1), 1)
    bench = ByHand().boot()
    bench.list_order(client_id, bench.order("1"), "Y1")
    bench.state()
    assert [order.client_order_id for order in bench.market().foreign] == [client_id]
    assert bench.core.findings() == []
    assert bench.take((Cancel, Amend)) == []


def test_a_contract_that_expired_is_not_bought_again():
    """K7: the exchange ends the order with the contract."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.work("10")
    bench.show(client_id, EXPIRED, reason="contract expired")
    bench.wait(600)
    assert bench.phase(intent_id) is IntentPhase.EXPIRED
    assert bench.take(Place) == []


# The process.


def test_a_crash_between_the_commit_and_the_sending_is_asked_about_and_never_placed_anew_before_proof():
    """P1, P2, D3: the row is durable before the first byte leaves."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.place("10")
    bench.boot()  # whatever was sent, nobody knows
    (lookup,) = bench.take(Lookup)
    assert lookup.client_order_id == client_id
    assert bench.states(intent_id) == [AttemptState.AMBIGUOUS]
    assert bench.take(Place) == []


def test_a_hundred_crashes_on_end_ask_a_hundred_times_and_place_nothing():
    """P3: a crash loop makes no orders and no storm; ids never return."""
    bench = ByHand(HOLD).boot()
    intent_id, _ = bench.place("10")
    fresh = set()
    for _ in range(100):
        bench.boot()
        assert len(bench.take(Lookup)) == 1
        assert bench.take((Place, Cancel, Survey)) == []
        fresh.add(bench.core.new_intent_id())
    assert len(fresh) == 100
    assert intent_id not in fresh


@pytest.mark.parametrize(
    ("quantity", "parts"),
    [
        ("0.000000000000000003", ["0.000000000000000001"] * 3),
        ("1000000000000.5", ["999999999999.75", "0.75"]),
        ("1E+3", ["1000"]),
    ],
)
def test_quantities_of_any_size_add_up_to_the_last_digit(quantity, parts):
    """D14: eighteen decimals, a trillion, exponents."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.work(quantity)
    total = Decimal(0)
    for part in parts:
        total += Decimal(part)
        bench.show(client_id, UNKNOWN, "0", bench.trade(client_id, part))
    assert bench.phase(intent_id) is IntentPhase.SATISFIED
    assert bench.market().position == total == Decimal(quantity)


# Groups and people.


def test_a_doubtful_leg_counts_as_working_and_its_probe_takes_it_back():
    """O4: the other leg fills while nobody knows of this one."""
    bench = ByHand().synced()
    legs = tuple(Approved(bench.order("10", price), {}) for price in ("100", "90"))
    names = tuple(bench.core.new_intent_id() for _ in legs)
    bench.step(AdmitGroup(legs, names, OcoMode.CANCEL_ON_FILL))
    first, second = (place.client_order_id for place in bench.take(Place))
    bench.accept(first)
    bench.silence(second)
    bench.show(first, FILLED, "10", bench.trade(first, "10"))
    assert bench.phase(names[1]) is IntentPhase.CANCEL_REQUESTED
    assert [(w.intent_id, w.remaining) for w in bench.core.view.working()] == [(names[1], Decimal(10))]
    bench.wait(8)
    (probe,) = bench.take(Cancel)
    assert probe.client_order_id == second
    bench.show(second, CANCELED)
    assert bench.phase(names[1]) is IntentPhase.CANCELED


def test_what_a_person_cancels_on_the_exchange_stays_cancelled():
    """H5: the wish ends, with the reason, and is not fought over."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.work("10")
    bench.show(client_id, CANCELED)
    bench.wait(600)
    assert bench.phase(intent_id) is IntentPhase.CANCELED
    assert bench.intent(intent_id).reason.startswith("external")
    assert bench.take(Place) == []


def test_an_order_that_may_only_fill_at_once_and_got_no_answer_is_not_doubled():
    """N2, V10: a market order whose answer is lost is found by its id, with its fills."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.place("10", None, time_in_force=TimeInForce.IOC)
    bench.silence(client_id)
    assert bench.take(Lookup)
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    assert bench.phase(intent_id) is IntentPhase.SATISFIED
    assert bench.take(Place) == []


def test_a_busy_exchange_is_asked_again_and_again_with_pauses():
    """R5, V39: a limit on orders is no refusal for good; nor is it a reason to hurry."""
    bench = ByHand(HOLD).boot()
    intent_id, client_id = bench.place("10")
    pauses = []
    for _ in range(6):
        refused_ns = bench.now_ns
        bench.refuse(client_id, kind=Refused.BUSY)
        while not (placed := bench.take(Place)):
            bench.wait(0.1)
        client_id = placed[0].client_order_id
        pauses.append(round((bench.now_ns - refused_ns) / NS_PER_S, 1))
    assert pauses == [0.5, 1, 2, 4, 5, 5]
    bench.accept(client_id)
    assert bench.core.view.find(intent_id).condition is ReconciliationStatus.IN_SYNC
    assert bench.intent(intent_id).order.side is Side.BUY
