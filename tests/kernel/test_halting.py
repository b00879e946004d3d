"""The kill switch: what each level stops, cancels and undoes, over restarts, and how it is released."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.errors import ValidationError
from quantcli.kernel.steps import AdmitGroup, Halt, Halted
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.message import Cancel, Place, PlaceList, Refused
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OcoMode,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
)
from quantcli.ports import Approved
from tests.kernel.by_hand import HOLD, PROVE, SYMBOL, ByHand

NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
PARTLY = OrderStatus.PARTIALLY_FILLED
RULES = {
    SYMBOL: SymbolMetadata(
        Symbol("BTC", "USDT"), "test", "BTCUSDT", Decimal("0.01"), Decimal("0.1"), min_qty=Decimal("0.5")
    )
}


def halt(bench: ByHand, level: Halted) -> None:
    bench.step(Halt(level, "by hand"))


def bracket(bench: ByHand) -> tuple[tuple[str, str, str], str]:
    """An entry of 10 that has filled 4, with a stop and a target for as much; ids, and the stop's order."""
    orders = (
        bench.order("10"),
        bench.order("10", "95", Side.SELL, type=OrderType.STOP_LIMIT, stop_price=Decimal(96)),
        bench.order("10", "120", Side.SELL),
    )
    names = tuple(bench.core.new_intent_id() for _ in orders)
    approved = tuple(Approved(order, {}) for order in orders)
    bench.step(AdmitGroup(approved, names, OcoMode.ONE_LIVE, has_entry=True))
    (place,) = bench.take(Place)
    bench.accept(place.client_order_id)
    bench.show(place.client_order_id, PARTLY, "4", bench.trade(place.client_order_id, "4"))
    (stop,) = bench.take(Place)
    bench.accept(stop.client_order_id)
    return names, stop.client_order_id


def test_level_1_places_nothing_new_and_leaves_what_is_there():
    """I19, section 2.14."""
    bench = ByHand().synced()
    _, working = bench.work()
    refused, client_id = bench.place("1")
    bench.refuse(client_id, kind=Refused.BUSY)
    halt(bench, Halted.NEW)
    bench.wait(5)
    assert bench.take((Place, Cancel)) == []
    assert bench.core.view.find(refused).condition is ReconciliationStatus.HALTED
    bench.show(working, FILLED, "10", bench.trade(working, "10"))
    assert bench.market().own == 10


def test_level_1_does_not_place_what_a_modification_took_off():
    """O19: cancelled for new terms, and the switch is thrown before the rest is placed."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    bench.modify(intent_id, price="99")
    halt(bench, Halted.NEW)
    bench.show(client_id, CANCELED)
    bench.wait(5)
    assert bench.take(Place) == []
    halt(bench, Halted.NOT)
    assert len(bench.take(Place)) == 1


def test_level_1_lets_orders_through_that_protect_a_position():
    """Section 2.14: an exit that grows with its entry is placed anew."""
    bench = ByHand().synced()
    (entry, stop, _), stop_client = bracket(bench)
    halt(bench, Halted.NEW)
    entry_client = bench.attempts(entry)[0].client_order_id
    bench.show(entry_client, PARTLY, "6", bench.trade(entry_client, "2"))
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [stop_client]
    bench.show(stop_client, CANCELED)
    assert [place.order.quantity for place in bench.take(Place)] == [6]
    assert bench.intent(stop).protective


def test_level_2_cancels_everything_but_what_protects():
    """L6: at once, before the barrier too; what is in doubt is cancelled as soon as it is seen."""
    bench = ByHand().synced()
    (entry, stop, target), stop_client = bracket(bench)
    plain, plain_client = bench.work()
    doubtful, doubtful_client = bench.place()
    halt(bench, Halted.ALL)
    cancelled = {cancel.client_order_id for cancel in bench.take(Cancel)}
    assert cancelled == {plain_client, bench.attempts(entry)[0].client_order_id}
    assert {bench.phase(name) for name in (plain, entry, doubtful)} == {IntentPhase.CANCEL_REQUESTED}
    assert bench.phase(stop).is_wanted
    assert bench.phase(target).is_wanted
    bench.accept(doubtful_client)
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [doubtful_client]
    bench.wait(1)
    assert stop_client not in {cancel.client_order_id for cancel in bench.take(Cancel)}
    assert bench.take(Place) == []


def test_level_3_undoes_what_we_did_once_everything_is_closed():
    """Section 2.14: our own position, to the last unit, at the market; not the account's."""
    bench = ByHand()
    bench.position = Decimal(100)  # somebody else's
    bench.synced()
    _, first = bench.work()
    bench.show(first, PARTLY, "4", bench.trade(first, "4"))
    _, second = bench.work("3", side=Side.SELL)
    halt(bench, Halted.FLAT)
    assert {cancel.client_order_id for cancel in bench.take(Cancel)} == {first, second}
    bench.show(second, FILLED, "3", bench.trade(second, "3", side=Side.SELL))  # it won the race
    assert bench.take(Place) == []
    bench.show(first, CANCELED, "5")  # and one fill is still missing
    bench.wait(1)
    assert bench.take(Place) == []
    bench.show(first, CANCELED, "5", bench.trade(first, "1"))
    (place,) = bench.take(Place)
    order = place.order
    assert (order.side, order.type, order.quantity) == (Side.SELL, OrderType.MARKET, 2)
    fill = bench.trade(place.client_order_id, "2", side=Side.SELL)
    bench.show(place.client_order_id, FILLED, "2", fill)
    bench.wait(120)
    bench.state()
    bench.wait(10)
    assert bench.take((Place, Cancel)) == []
    assert (bench.market().own, bench.market().drift) == (0, 0)


def test_level_3_cancels_protective_orders_too():
    bench = ByHand().synced()
    (entry, _, _), stop_client = bracket(bench)
    entry_client = bench.attempts(entry)[0].client_order_id
    halt(bench, Halted.FLAT)
    assert {cancel.client_order_id for cancel in bench.take(Cancel)} == {entry_client, stop_client}
    bench.show(entry_client, CANCELED, "4")
    assert bench.take(Place) == []
    bench.show(stop_client, CANCELED)
    assert [place.order.quantity for place in bench.take(Place)] == [4]


def test_a_flattening_order_is_never_sent_twice():
    """P1, I1: unanswered, over two restarts, it is one order that is in doubt, and is resolved like any."""
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    halt(bench, Halted.FLAT)
    (place,) = bench.take(Place)
    for _ in range(2):
        bench.boot(Halted.FLAT)
        bench.wait(3.1)
        bench.answer_all()
        assert bench.take(Place) == []
    fill = bench.trade(place.client_order_id, "10", side=Side.SELL)
    bench.show(place.client_order_id, FILLED, "10", fill)
    bench.wait(10)
    assert (bench.take(Place), bench.market().own) == ([], 0)


def test_a_flattening_order_that_came_to_nothing_is_followed_by_another_not_in_a_hurry():
    """L5, L6: refused, or filled in part."""
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    halt(bench, Halted.FLAT)
    (place,) = bench.take(Place)
    bench.refuse(place.client_order_id)
    assert bench.take(Place) == []
    bench.wait(1.1)
    (place,) = bench.take(Place)
    fill = bench.trade(place.client_order_id, "6", side=Side.SELL)
    bench.show(place.client_order_id, OrderStatus.EXPIRED, "6", fill)
    bench.wait(1.1)
    (place,) = bench.take(Place)
    assert place.order.quantity == 4


@pytest.mark.parametrize("level", [Halted.NEW, Halted.ALL, Halted.FLAT])
def test_the_switch_is_in_force_from_the_first_moment_of_a_start(level):
    """P1, section 2.9: the flag outlived us; we may have died before anything was done about it."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    bench.show(client_id, PARTLY, "4", bench.trade(client_id, "4"))
    waiting = bench.wish("1")
    bench.take(Place)
    bench.boot(level)
    cancels = [cancel.client_order_id for cancel in bench.take(Cancel)]
    assert cancels == ([client_id] if level >= Halted.ALL else [])
    bench.state()
    bench.wait(5)
    assert bench.take(Place) == []
    assert bench.phase(waiting).is_wanted is (level is Halted.NEW)
    assert bench.phase(intent_id).is_wanted is (level is Halted.NEW)


def test_a_restart_goes_on_flattening():
    """Section 2.14: everything was closed, and then we died."""
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bench.boot(Halted.FLAT)
    assert bench.take(Place) == []  # not before the barrier
    bench.now_ns += 1
    bench.state()
    (place,) = bench.take(Place)
    assert (place.order.side, place.order.quantity) == (Side.SELL, 10)


def test_a_short_position_is_bought_back_and_a_future_only_reduced():
    bench = ByHand().boot(symbols=("BTC/USDT:USDT",))
    symbol = "BTC/USDT:USDT"
    bench.state(orders=(), fills=(), position=Decimal(0))
    _, client_id = bench.place("3", side=Side.SELL, symbol=symbol)
    fill = replace(bench.trade(client_id, "3", side=Side.SELL), symbol=symbol)
    bench.show(client_id, FILLED, "3", fill)
    halt(bench, Halted.FLAT)
    (place,) = bench.take(Place)
    assert (place.order.side, place.order.quantity, place.order.reduce_only) == (Side.BUY, 3, True)


def test_dust_is_left_lying():
    """V31: what the exchange accepts no order for."""
    bench = ByHand(rules=RULES).synced()
    _, client_id = bench.work("1")
    bench.show(client_id, FILLED, "1", bench.trade(client_id, "1", fee="0.55", fee_asset="BTC"))
    halt(bench, Halted.FLAT)
    bench.wait(30)
    assert bench.take(Place) == []
    assert bench.market().own == Decimal("0.45")


def test_a_flattening_order_is_of_whole_lots():
    bench = ByHand(rules=RULES).synced()
    _, client_id = bench.work("1")
    bench.show(client_id, FILLED, "1", bench.trade(client_id, "1", fee="0.01", fee_asset="BTC"))
    halt(bench, Halted.FLAT)
    (place,) = bench.take(Place)
    assert place.order.quantity == Decimal("0.9")


def test_what_the_gate_lets_in_while_it_is_halted_is_placed():
    """I19: the gate knows of the halt, and lets in only what makes a position smaller."""
    bench = ByHand().synced()
    halt(bench, Halted.NEW)
    bench.wish("1", side=Side.SELL)
    assert len(bench.take(Place)) == 1
    bench.boot(Halted.NEW)
    bench.state()
    bench.wish("1", side=Side.SELL)
    assert len(bench.take(Place)) == 1


def test_flattening_waits_for_what_is_in_doubt():
    """Section 2.14: it might still trade."""
    bench = ByHand(HOLD).boot()
    _, done_client = bench.place()
    bench.show(done_client, FILLED, "10", bench.trade(done_client, "10"))
    _, client_id = bench.place()
    bench.silence(client_id)
    halt(bench, Halted.FLAT)
    bench.wait(300)
    assert bench.take(Place) == []
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bench.wait(1)
    assert [place.order.quantity for place in bench.take(Place)] == [20]


def test_each_market_is_flattened_by_itself():
    bench = ByHand(HOLD).boot()
    _, here = bench.place()
    bench.show(here, FILLED, "10", bench.trade(here, "10"))
    _, there = bench.place(symbol="ETH/USDT")
    bench.silence(there)
    halt(bench, Halted.FLAT)
    assert [place.order.symbol for place in bench.take(Place)] == [SYMBOL]


def test_a_release_lets_everything_go_on():
    bench = ByHand().synced()
    _, client_id = bench.place("1")
    bench.refuse(client_id, kind=Refused.BUSY)
    halt(bench, Halted.NEW)
    bench.wait(5)
    assert bench.take(Place) == []
    halt(bench, Halted.NOT)
    assert len(bench.take(Place)) == 1
    assert bench.journal().count("halted") == 2


def test_a_level_may_be_lowered():
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, PARTLY, "4", bench.trade(client_id, "4"))
    halt(bench, Halted.FLAT)
    halt(bench, Halted.NEW)
    bench.show(client_id, CANCELED, "4")
    bench.wait(5)
    assert bench.take(Place) == []


def test_a_busy_exchange_is_flattened_all_the_same():
    """V28."""
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    halt(bench, Halted.FLAT)
    (place,) = bench.take(Place)
    bench.refuse(place.client_order_id, kind=Refused.BUSY)
    bench.wait(1)
    (again,) = bench.take(Place)
    assert again.order == place.order
    assert again.client_order_id != place.client_order_id


def linked(bench: ByHand) -> tuple[str, ...]:
    orders = (bench.order("10", "110", Side.SELL), bench.order("10", "90", Side.SELL))
    names = tuple(bench.core.new_intent_id() for _ in orders)
    bench.step(AdmitGroup(tuple(Approved(order, {}) for order in orders), names, OcoMode.NATIVE))
    return names


def test_linked_orders_wait_for_the_barrier_and_go_out_as_one():
    """I19."""
    bench = ByHand(replace(PROVE, native_oco=True)).boot()
    linked(bench)
    assert bench.take(PlaceList) == []
    bench.state()
    (request,) = bench.take(PlaceList)
    assert len(request.places) == 2
    assert {state.state for state in bench.store.orders.rows.values()} == {AttemptState.PREPARED}


def test_linked_orders_are_not_placed_while_it_is_halted():
    """I19."""
    bench = ByHand(replace(PROVE, native_oco=True)).boot()
    linked(bench)
    halt(bench, Halted.NEW)
    bench.state()
    bench.wait(5)
    assert bench.take(PlaceList) == []
    halt(bench, Halted.NOT)
    assert len(bench.take(PlaceList)) == 1


def test_an_exchange_that_links_nothing_refuses_linked_orders():
    bench = ByHand().synced()
    with pytest.raises(ValidationError, match="does not link"):
        linked(bench)
    assert bench.core.view.unsettled() == []
