"""Statements: the barrier before the first one, what is folded from them, positions, strangers, drift."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.errors import ValidationError
from quantcli.kernel import identity as ids
from quantcli.kernel.steps import AcceptDrift, Adopt, Observed, Resync, Trust
from quantcli.model.event import OrderEventKind
from quantcli.model.instrument import Side
from quantcli.model.message import (
    Amend,
    Cancel,
    Correction,
    Lookup,
    Observation,
    Place,
    Survey,
)
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderStatus,
    ReconciliationStatus,
)
from quantcli.store.api import RECENT_NS
from tests.kernel.by_hand import HOLD, IDENTITY, SYMBOL, TOTAL, ByHand, done

LIVE, DONE, PREPARED = AttemptState.LIVE, AttemptState.DONE, AttemptState.PREPARED
AMBIGUOUS, CLOSING = AttemptState.AMBIGUOUS, AttemptState.CLOSING
NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
PARTLY = OrderStatus.PARTIALLY_FILLED


# The barrier.


def test_nothing_is_placed_before_the_first_statement():
    """I19, section 2.14."""
    bench = ByHand().boot()
    intent_id = bench.wish()
    bench.wait(30)
    assert bench.take(Place) == []
    assert bench.core.view.find(intent_id).condition is ReconciliationStatus.SYNCING
    bench.state()
    assert len(bench.take(Place)) == 1


def test_a_statement_that_is_lost_is_asked_for_again():
    bench = ByHand().boot()
    bench.wish()
    for _ in range(3):
        bench.wait(3.1)
        assert len(bench.take(Survey)) >= 1
    bench.wait(3)
    bench.state()
    assert len(bench.take(Place)) == 1


def test_a_market_that_is_new_to_the_kernel_is_surveyed_before_its_first_order():
    bench = ByHand().synced()
    bench.wish(symbol="ETH/USDT")
    assert bench.take(Place) == []
    (survey,) = bench.take(Survey)
    assert survey.symbol == "ETH/USDT"
    bench.state(survey, orders=(), fills=(), position=Decimal(0))
    assert [place.order.symbol for place in bench.take(Place)] == ["ETH/USDT"]


def test_cancels_go_before_the_barrier_and_replacements_do_not():
    """Section 2.14."""
    bench = ByHand().synced()
    gone, gone_client = bench.work()
    changed, changed_client = bench.work()
    bench.boot()
    bench.cancel(gone)
    bench.modify(changed, "5")
    assert {cancel.client_order_id for cancel in bench.take(Cancel)} == {gone_client, changed_client}
    bench.show(gone_client, CANCELED)
    bench.show(changed_client, CANCELED)
    bench.wait(1)
    assert (bench.phase(gone), bench.take(Place)) == (IntentPhase.CANCELED, [])
    bench.state()
    assert [place.order.quantity for place in bench.take(Place)] == [5]


def test_a_gap_closes_the_barrier_until_a_statement_asked_since():
    """N19, P13: what was asked before the gap does not tell of it."""
    bench = ByHand().synced()
    bench.wait(60)
    (early,) = bench.take(Survey)
    bench.now_ns += NS_PER_S
    bench.step(Resync("sequence gap"))
    bench.wish()
    bench.state(early)
    assert bench.take(Place) == []
    bench.state()
    assert len(bench.take(Place)) == 1


def test_one_sick_market_blocks_only_itself():
    """Section 2.14."""
    bench = ByHand().boot(symbols=(SYMBOL, "ETH/USDT"))
    for symbol in (SYMBOL, "ETH/USDT"):
        bench.wish(symbol=symbol)
    survey = next(s for s in bench.take(Survey) if s.symbol == SYMBOL)
    bench.state(survey)
    assert [place.order.symbol for place in bench.take(Place)] == [SYMBOL]


def test_without_statements_there_is_no_barrier():
    bench = ByHand(HOLD).boot()
    bench.wish()
    assert len(bench.take(Place)) == 1
    bench.wait(300)
    assert bench.take(Survey) == []


def test_orders_wait_for_a_baseline_to_be_proved_against():
    """VC7: a trade in the very first statement makes it useless as one; the next is asked for soon."""
    bench = ByHand().boot()
    bench.position = Decimal(3)
    bench.trade("", "1", exchange_id="somebody's")
    intent_id = bench.wish()
    bench.now_ns += NS_PER_S
    bench.state()
    assert bench.take(Place) == []
    bench.wait(1)
    bench.state()
    assert bench.market().baseline == 3
    (place,) = bench.take(Place)
    bench.silence(place.client_order_id)
    for _ in range(20):
        bench.wait(0.5)
        bench.answer_all()
    assert bench.states(intent_id)[0] is AttemptState.DEAD


def test_an_exchange_that_does_not_say_its_position_is_traded_on_without_one():
    bench = ByHand().boot()
    bench.wish()
    bench.state(position=None)
    assert len(bench.take(Place)) == 1
    assert bench.market().baseline is None


def test_after_a_restart_one_list_comes_before_questions_about_each_order():
    """R4: 50 working orders, an hour later."""
    bench = ByHand().synced()
    clients = [bench.work("1")[1] for _ in range(50)]
    bench.now_ns += 3600 * NS_PER_S
    bench.boot()
    assert (len(bench.take(Survey)), bench.take(Lookup)) == (1, [])
    bench.boot()
    missing = clients[7]
    del bench.orders[missing]
    bench.now_ns += NS_PER_S // 10
    bench.state()
    assert [lookup.client_order_id for lookup in bench.take(Lookup)] == [missing]
    bench.boot()
    bench.now_ns += 3600 * NS_PER_S
    bench.boot()
    bench.wait(10)  # the list does not come: then they are asked about one by one
    assert {lookup.client_order_id for lookup in bench.take(Lookup)} == set(clients)


def test_surveys_overlap_and_go_on():
    """V34: since an hour before the last one that was folded; once a minute."""
    bench = ByHand().synced()
    bench.wait(3.1)  # the second comes early: nobody knew yet whether the first would
    bench.state()
    surveyed_ns = bench.market().surveyed_ns
    bench.wait(56)
    assert bench.take(Survey) == []
    bench.wait(10)
    (survey,) = bench.take(Survey)
    assert survey.since_ns == surveyed_ns - RECENT_NS // 2
    bench.state(survey)
    bench.boot()
    assert bench.take(Survey)[0].since_ns == survey.asked_ns - RECENT_NS // 2


# What is folded.


def test_a_fill_that_no_stream_told_of_is_found_in_the_statement():
    """N17: and it is told once, however often it is stated."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    bench.trade(client_id, "4")
    for _ in range(3):
        bench.wait(61)
        bench.state()
        bench.take(Lookup)
    assert (bench.attempt(client_id).filled, bench.market().own) == (4, 4)
    assert [event.kind for event in bench.events].count(OrderEventKind.FILLED) == 1
    assert bench.market().drift == 0
    assert bench.states(intent_id) == [LIVE]


def test_an_order_that_is_not_listed_is_asked_about_and_nothing_else():
    """V4, section 2.5: absence from a list never causes a transition."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    bench.orders.clear()
    bench.wait(3.1)
    assert bench.take(Lookup) == []
    bench.state()
    assert bench.states(intent_id) == [LIVE]
    assert [lookup.client_order_id for lookup in bench.take(Lookup)] == [client_id]


def test_trades_without_a_client_order_id_are_bound_by_the_exchanges_own():
    """V12, VC1."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    bench.trade("", "4", exchange_id=f"X-{client_id}")
    bench.wait(61)
    bench.state()
    (fill,) = done(bench.store.fills())
    assert (fill.intent_id, fill.client_order_id) == (intent_id, client_id)


def test_the_same_after_a_restart():
    """V12: the exchange order id is remembered with the attempt."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    bench.boot()
    bench.trade("", "4", exchange_id=f"X-{client_id}")
    bench.now_ns += 1
    bench.state()
    assert bench.attempt(client_id).filled == 4
    assert done(bench.store.fills())[0].intent_id == intent_id


def test_a_trade_that_may_be_of_a_placement_in_doubt_is_parked_until_that_is_known():
    """V12, E3: not recorded as a stranger's, and nothing is proved while it stands unexplained."""
    bench = ByHand().synced()
    intent_id, client_id = bench.place()
    bench.silence(client_id)
    bench.trade("", "4", exchange_id=f"X-{client_id}")
    for _ in range(40):
        bench.wait(0.5)
        bench.answer_all()
    assert done(bench.store.fills()) == []
    assert bench.states(intent_id) == [AMBIGUOUS]
    bench.show(client_id, PARTLY, "4")
    bench.wait(61)
    bench.state()
    (fill,) = done(bench.store.fills())
    assert (fill.intent_id, bench.attempt(client_id).fills_qty) == (intent_id, 4)


def test_a_parked_trade_that_was_a_strangers_is_recorded_as_one_in_the_end():
    """V12, H4: once no placement is in doubt any more."""
    bench = ByHand().synced()
    intent_id, client_id = bench.place()
    bench.silence(client_id)
    bench.trade("", "4", exchange_id="somebody's")
    bench.wait(3.1)
    bench.state()
    assert done(bench.store.fills()) == []
    bench.accept(client_id)
    bench.wait(61)
    bench.state()
    (fill,) = done(bench.store.fills())
    assert (fill.intent_id, bench.market().position, bench.market().own) == ("", 4, 0)
    assert bench.states(intent_id) == [LIVE]


def test_trades_of_a_position_are_signed_and_fees_in_the_base_asset_are_not_received():
    """I10, I11, V18: exactly, in decimals; other assets' fees leave the position alone."""
    bench = ByHand().synced()
    _, buy = bench.work("10")
    bench.show(buy, PARTLY, "3", bench.trade(buy, "3", fee="0.003", fee_asset="BTC"))
    bench.show(buy, PARTLY, "4", bench.trade(buy, "1", fee="-0.01", fee_asset="BNB"))
    _, sell = bench.work("2", side=Side.SELL)
    fill = bench.trade(sell, "2", side=Side.SELL, fee="0.2")
    bench.show(sell, FILLED, "2", fill)
    row = bench.market()
    assert row.position == row.own == Decimal("1.997")
    bench.wait(61)
    bench.state()
    assert bench.market().drift == 0


def test_a_fill_and_its_position_are_one_commit():
    """I10, section 2.9."""
    bench = ByHand().synced()
    _, client_id = bench.work()
    fill = bench.trade(client_id, "4")
    report = Observation(client_id, "x", PARTLY, Decimal(4), bench.now_ns, (fill,))
    (commit,) = bench.core.step(bench.now_ns, Observed(report))
    rows = {type(row).__name__: row for row in commit.rows}
    assert rows["Fill"].trade_id == fill.trade_id
    assert rows["MarketRow"].position == rows["OrderState"].filled == 4


# Strangers.


def test_foreign_orders_are_listed_and_never_touched():
    """H4, I24: whatever is done, even everything being cancelled."""
    bench = ByHand().synced()
    bench.list_order("web_1", bench.order("3"), "F1")
    bench.list_order("", bench.order("2"), "F2")
    bench.wait(61)
    bench.state()
    assert [order.exchange_order_id for order in bench.market().foreign] == ["F1", "F2"]
    _, client_id = bench.work()
    for intent in bench.core.view.unsettled():
        bench.cancel(intent.intent_id)
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [client_id]
    bench.show(client_id, CANCELED)
    bench.orders.pop("web_1")
    bench.wait(61)
    bench.state()
    assert [order.exchange_order_id for order in bench.market().foreign] == ["F2"]
    assert bench.take((Cancel, Amend, Lookup)) == []
    assert bench.core.findings() == []


def test_a_foreign_trade_moves_the_position_and_is_no_drift():
    """H4, V23: recorded with an empty intent id; it is not ours to flatten."""
    bench = ByHand().synced()
    bench.trade("web_1", "4")
    bench.wait(61)
    bench.state()
    bench.wait(61)
    bench.state()
    row = bench.market()
    assert (row.position, row.own, row.drift) == (4, 0, 0)
    assert [fill.intent_id for fill in done(bench.store.fills())] == [""]


def adoptable(filled: str = "0") -> ByHand:
    bench = ByHand(TOTAL).synced()
    bench.list_order("web_1", bench.order("3"), "F1")
    if filled != "0":
        bench.list_order("web_1", bench.order("3"), "F1", filled)
        bench.trade("web_1", filled, exchange_id="F1")
    bench.wait(61)
    bench.state()
    bench.wait(61)
    bench.state()
    return bench


def test_an_adopted_order_is_a_wish_like_any_other():
    """Section 2.13: seen, modified, filled, and remembered over a restart."""
    bench = adoptable()
    intent_id = bench.core.new_intent_id()
    bench.step(Adopt("F1", intent_id, {"by": "hand"}))
    assert (bench.phase(intent_id), bench.intent(intent_id).metadata) == (IntentPhase.ACTIVE, {"by": "hand"})
    assert bench.market().foreign == ()
    bench.wait(61)
    bench.state()
    assert bench.market().foreign == ()
    bench.boot()
    bench.state()
    bench.modify(intent_id, "5")
    (amend,) = bench.take(Amend)
    assert amend.client_order_id == "web_1"
    bench.show("web_1", NEW, order=amend.order)
    bench.cancel(intent_id)
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == ["web_1"]
    bench.show("web_1", CANCELED, "1", bench.trade("web_1", "1", exchange_id="F1"))
    assert (bench.phase(intent_id), bench.market().own) == (IntentPhase.CANCELED, 1)


def test_an_adopted_order_that_had_traded_before_ends_like_any_other():
    """Section 2.13: what it filled as a stranger's is in the books once, and counts for the order."""
    bench = adoptable(filled="1")
    assert bench.market().position == 1
    intent_id = bench.core.new_intent_id()
    bench.step(Adopt("F1", intent_id, {}))
    bench.wait(1)
    old, new = bench.fills[0], bench.trade("web_1", "2", exchange_id="F1")
    bench.boot()
    bench.state()
    bench.show("web_1", FILLED, "3", old, new)
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DONE], IntentPhase.SATISFIED)
    assert (bench.market().position, bench.market().own) == (3, 2)


def test_only_a_listed_stranger_can_be_adopted():
    bench = adoptable()
    with pytest.raises(ValidationError, match="no foreign order"):
        bench.step(Adopt("F9", bench.core.new_intent_id(), {}))


# Orders that only we can have made.


def lost_record(filled: str = "0", rows_lost: bool = True) -> tuple[ByHand, str, str]:
    """The exchange works an order under one of our ids, and there is no row of it."""
    bench = ByHand().boot()
    intent_id = ids.intent_id(replace(IDENTITY, epoch=77), 5)
    client_id = ids.mint(IDENTITY, intent_id, 1)
    bench.list_order(client_id, bench.order(), f"X-{client_id}", filled)
    return bench, intent_id, client_id


def stated_for(bench: ByHand, seconds: float) -> None:
    """Time passes, and every survey is answered from the account."""
    end_ns = bench.now_ns + round(seconds * NS_PER_S)
    while bench.now_ns < end_ns:
        bench.wait(0.5)
        for survey in bench.take(Survey):
            bench.state(survey)


def test_an_order_of_ours_without_a_row_stops_placing_until_an_operator_has_looked():
    """P12, P15, D4, D6, VC8: imported from its id; kept as it is; nothing new is placed."""
    bench, intent_id, client_id = lost_record()
    bench.wish("1")
    bench.state()
    stated_for(bench, 62)
    assert bench.phase(intent_id) is IntentPhase.ACTIVE
    assert bench.states(intent_id) == [LIVE]
    assert any(client_id in finding for finding in bench.core.findings())
    stated_for(bench, 300)
    assert bench.take((Place, Cancel, Amend)) == []
    bench.boot()  # it is remembered
    stated_for(bench, 10)
    assert bench.take((Place, Cancel)) == []
    bench.step(Trust())
    assert len(bench.take(Place)) == 1
    assert bench.core.findings() == []
    bench.cancel(intent_id)
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [client_id]


def test_what_a_lagging_copy_lists_is_not_imported_and_nothing_is_placed_meanwhile():
    """V4, P1: settled just before a restart, and still in the list for a while."""
    bench = ByHand().synced()
    intent_id, client_id = bench.work()
    stale = dict(bench.orders)
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bench.boot()
    bench.orders = stale
    bench.wish("1")
    stated_for(bench, 30)
    assert bench.take(Place) == []
    bench.orders = {}
    stated_for(bench, 10)
    assert len(bench.take(Place)) == 1
    assert (bench.states(intent_id), bench.phase(intent_id)) == ([DONE], IntentPhase.SATISFIED)
    assert bench.core.findings() == []


def test_what_an_imported_order_had_filled_is_asked_for_and_is_no_drift():
    """D4, P15: the baseline waits until the fills are known."""
    bench, intent_id, client_id = lost_record(filled="4")
    fill = bench.trade(client_id, "4")
    bench.fills.clear()  # too old for the statement
    bench.now_ns += NS_PER_S
    bench.state()
    stated_for(bench, 62)
    assert bench.market().baseline is None
    assert bench.take(Lookup)[0].client_order_id == client_id
    bench.show(client_id, PARTLY, "4", fill)
    stated_for(bench, 180)
    assert (bench.market().own, bench.market().drift, bench.market().baseline) == (4, 0, 0)
    assert bench.states(intent_id) == [LIVE]


def test_what_an_imported_order_had_filled_may_have_been_booked_before():
    """D4, P15: its trade was in the first statement, the order is believed in only later."""
    bench, intent_id, client_id = lost_record(filled="4")
    fill = bench.trade(client_id, "4")
    bench.now_ns += NS_PER_S
    bench.state()
    stated_for(bench, 62)
    bench.show(client_id, PARTLY, "4", fill)
    stated_for(bench, 180)
    assert (bench.market().own, bench.market().position, bench.market().drift) == (4, 4, 0)
    assert (bench.attempt(client_id).fills_qty, bench.states(intent_id)) == (4, [LIVE])
    assert len(done(bench.store.fills())) == 1


def test_a_stream_that_tells_of_such_an_order_has_the_list_asked_for():
    """P12, VC8."""
    bench, intent_id, client_id = lost_record()
    bench.orders.clear()
    bench.state()
    bench.list_order(client_id, bench.order(), f"X-{client_id}")
    bench.wait(1)
    bench.take(Survey)
    bench.show(client_id, NEW, order=bench.order())
    assert len(bench.take(Survey)) == 1
    bench.boot()
    stated_for(bench, 62)
    assert bench.states(intent_id) == [LIVE]
    assert bench.core.findings()


def test_another_attempt_of_a_wish_we_know_is_imported_and_taken_back():
    """P15: an older copy of the database: attempt 2 was placed, and is not in it."""
    bench = ByHand().synced()
    intent_id, _ = bench.work()
    second = ids.mint(IDENTITY, intent_id, 2)
    bench.list_order(second, bench.order("10"), "X-2")
    bench.wait(61)
    bench.state()
    assert bench.core.findings()
    assert [attempt.attempt for attempt in bench.attempts(intent_id)] == [1, 2]
    assert bench.states(intent_id) == [LIVE, LIVE]
    assert [cancel.client_order_id for cancel in bench.take(Cancel)] == [second]
    bench.show(second, CANCELED)
    assert bench.states(intent_id) == [LIVE, DONE]


def test_a_trade_of_an_attempt_that_we_do_not_know_stops_placing_too():
    """P15: attempt 1 of an open wish has traded, and the copy of the database does not know that it was."""
    bench = ByHand().boot()
    intent_id = bench.wish()
    client_id = ids.mint(IDENTITY, intent_id, 1)
    bench.trade(client_id, "4")
    bench.now_ns += NS_PER_S
    bench.state()
    bench.wait(5)
    bench.state()
    assert bench.core.findings()
    assert bench.take(Place) == []
    assert bench.attempt(client_id).filled == 4
    assert bench.market().own == 4


# Drift.


def drifting() -> ByHand:
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bench.position += 5
    return bench


def stated(bench: ByHand) -> Decimal:
    bench.wait(65)
    bench.state()
    return bench.market().drift


def test_drift_needs_two_calm_statements_that_agree():
    """V35, section 2.13: one may be a stale copy; and it is never traded away."""
    bench = drifting()
    assert stated(bench) == 0
    bench.position += 1
    assert stated(bench) == 0  # another difference: not the same thing twice
    assert stated(bench) == 6
    assert "drift" in bench.journal()
    assert any("6" in finding for finding in bench.core.findings())
    bench.wait(600)
    assert bench.take((Place, Cancel)) == []


def test_a_first_difference_is_looked_into_soon():
    bench = drifting()
    bench.wait(61)
    bench.state()
    bench.wait(3.1)
    assert bench.take(Survey)
    assert bench.market().drift == 0, "a copy may lag"


def test_drift_that_is_gone_is_gone_at_once():
    """V35."""
    bench = drifting()
    stated(bench)
    assert stated(bench) == 5
    bench.boot()
    assert bench.core.findings()
    bench.position -= 5
    bench.state()
    assert bench.market().drift == 0
    assert bench.core.findings() == []


def test_movement_around_a_statement_makes_it_no_witness():
    """V35: the books moved after it was asked for."""
    bench = drifting()
    for _ in range(5):
        _, client_id = bench.work("1")
        bench.wait(61)
        (survey,) = bench.take(Survey)[-1:]
        bench.now_ns += 1
        bench.show(client_id, FILLED, "1", bench.trade(client_id, "1"))
        bench.state(survey, position=bench.position - 1)
    assert bench.market().drift == 0


@pytest.mark.parametrize("doubt", ["unanswered", "fills missing"])
def test_there_is_no_drift_while_an_order_is_in_doubt(doubt):
    """Section 2.13: what is missing may be what it traded."""
    bench = ByHand(HOLD.__class__("test", statement=True)).synced()
    if doubt == "unanswered":
        _, client_id = bench.place()
        bench.silence(client_id)
    else:
        _, client_id = bench.work()
        bench.show(client_id, PARTLY, "5")
    bench.position += 5
    for _ in range(4):
        assert stated(bench) == 0
    bench.show(client_id, PARTLY, "5", bench.trade(client_id, "5"))
    bench.position -= 5
    assert stated(bench) == 0


def test_an_operator_can_accept_drift():
    """Section 2.13: booked as a correction, in the same commit as the position."""
    bench = drifting()
    with pytest.raises(ValidationError, match="no drift"):
        bench.step(AcceptDrift(SYMBOL, "a gift"))
    stated(bench)
    stated(bench)
    bench.step(AcceptDrift(SYMBOL, "a gift"))
    (correction,) = done(bench.store.corrections())
    assert (correction.cause, correction.delta) == ("operator", 5)
    row = bench.market()
    assert (row.position, row.own, row.drift) == (15, 10, 0)
    assert stated(bench) == stated(bench) == 0
    assert bench.core.findings() == []


def test_what_the_account_held_before_is_the_baseline():
    """I10: and it is never moved by what comes later."""
    bench = ByHand()
    bench.position = Decimal("7.5")
    bench.synced()
    assert bench.market().baseline == Decimal("7.5")
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bench.wait(61)
    bench.state()
    assert (bench.market().baseline, bench.market().position) == (Decimal("7.5"), 10)


# Corrections.


def test_a_correction_moves_the_position_once():
    """V15, V24: a bust told by stream and by history; transfers; never the fills."""
    bench = ByHand().synced()
    _, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    bust = Correction(SYMBOL, "bust", "t1", Decimal(-4), bench.now_ns)
    for _ in range(3):
        bench.see(bust)
    bench.see(Correction(SYMBOL, "transfer", "t1", Decimal(1), bench.now_ns))
    bench.position += -4 + 1
    assert (bench.market().position, bench.market().own) == (7, 10)
    assert len(done(bench.store.fills())) == 1
    assert stated(bench) == stated(bench) == 0


def test_a_correction_that_is_told_again_after_a_restart_counts_once():
    """V15, V24, P1: histories overlap."""
    bench = ByHand().synced()
    bust = Correction(SYMBOL, "bust", "t1", Decimal(-4), bench.now_ns)
    bench.see(bust)
    bench.boot()
    bench.see(bust)
    assert bench.market().position == -4


def test_with_an_older_copy_of_the_record_nothing_is_placed_until_somebody_has_looked():
    """P15: what was placed after the copy was made may be open, or filled, under ids it does not know."""
    bench = ByHand()
    bench.boot(is_outdated=True)
    bench.state()
    bench.wish()
    assert bench.take(Place) == []
    assert "older copy" in bench.core.findings()[0]
    bench.step(Trust())
    assert len(bench.take(Place)) == 1
