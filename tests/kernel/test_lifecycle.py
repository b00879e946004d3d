"""The state table and the merge: what came decides, not in which order or how often."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quantcli.errors import InvariantError
from quantcli.kernel.lifecycle import TRANSITIONS, Seen, doubted, is_news, merge, transition
from quantcli.model.instrument import Side
from quantcli.model.message import Absence, Observation, Refusal, Silence
from quantcli.model.order import (
    AttemptState,
    Fill,
    OrderState,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
)

QTY = Decimal(10)
# What follows arrival, by the module's own word: everything else is a fact.
REMARKS = {
    "reason": "",
    "last_sync_at": 0,
    "reconciliation_status": ReconciliationStatus.IN_SYNC,
    "evidence": None,
    "reopened": False,
}
ENDS = [status for status in OrderStatus if status.is_terminal]


def prepared():
    order = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, QTY, Decimal(100))
    return OrderState("i", 1, "c", order, 1, 0)


def fill(trade_id, qty):
    return Fill(
        trade_id, "BTC/USDT", Side.BUY, Decimal(qty), Decimal(100), Decimal(0), "USDT", True, 0, "c", "x"
    )


def seen(status, filled="0", fills=(), venue_ns=0, exchange_id="x"):
    return Observation("c", exchange_id, status, Decimal(filled), venue_ns, tuple(fills))


def fold(reports, state=None):
    """Merge reports one after the other, counting each fill once."""
    state = state or prepared()
    known = {}
    for now_ns, report in enumerate(reports, 1):
        known.update({f.trade_id: f.qty for f in getattr(report, "fills", ())})
        state = merge(state, report, sum(known.values(), Decimal(0)), now_ns)
    return state


def facts(state):
    return replace(state, **REMARKS)


FILLS = [fill("t1", 4), fill("t2", 3), fill("t3", 3)]
reports = st.one_of(
    st.builds(
        seen,
        st.sampled_from(OrderStatus),
        st.integers(0, 10).map(str),
        st.lists(st.sampled_from(FILLS), max_size=3, unique_by=lambda f: f.trade_id),
        st.integers(0, 5),
        st.sampled_from(["x", ""]),
    ),
    st.just(Refusal("c", "place", -2010, "no")),
    st.just(Refusal("c", "cancel", -2011, "unknown order")),
    st.builds(Silence, st.just("c"), st.sampled_from(["place", "cancel", "lookup"]), st.just("time-out")),
    st.just(Silence("c", "place", "refused to connect", sent=False)),
    st.just(Absence("c", 3)),
)


@given(st.lists(reports, max_size=8), st.randoms(use_true_random=False))
def test_order_of_reports_does_not_matter(came, random):
    shuffled = list(came)
    random.shuffle(shuffled)
    assert facts(fold(came)) == facts(fold(shuffled))


@given(st.lists(reports, max_size=6), st.data())
def test_reports_that_come_again_change_nothing(came, data):
    again = data.draw(st.lists(st.sampled_from(came), max_size=6)) if came else []
    once = fold(came)
    assert facts(fold(came + again)) == facts(once)


def test_every_order_of_a_full_life_ends_the_same():
    life = [
        seen(OrderStatus.UNKNOWN, "0"),
        seen(OrderStatus.NEW),
        seen(OrderStatus.PARTIALLY_FILLED, "4", FILLS[:1], 1),
        seen(OrderStatus.PARTIALLY_FILLED, "7", FILLS[1:2], 2),
        seen(OrderStatus.CANCELED, "7", (), 3),
        Silence("c", "place", "time-out"),
    ]
    ends = {fold(order).state for order in permutations(life)}
    assert ends == {AttemptState.DONE}
    assert {fold(order).status for order in permutations(life)} == {OrderStatus.PARTIALLY_CANCELED}


@given(st.lists(reports, min_size=1, max_size=8))
def test_quantities_and_certainty_never_go_back(came):
    rank = [
        AttemptState.PREPARED,
        AttemptState.AMBIGUOUS,
        AttemptState.DEAD,
        AttemptState.LIVE,
        AttemptState.CLOSING,
        AttemptState.DONE,
    ]
    state, known = prepared(), {}
    for report in came:
        known.update({f.trade_id: f.qty for f in getattr(report, "fills", ())})
        after = merge(state, report, sum(known.values(), Decimal(0)), 1)
        assert after.filled >= state.filled
        reopened = state.state is AttemptState.DONE and after.state is AttemptState.CLOSING
        assert rank.index(after.state) >= rank.index(state.state) or reopened
        assert (after.state is AttemptState.DONE) == (
            after.state in (AttemptState.CLOSING, AttemptState.DONE) and after.fills_qty >= after.filled
        )
        assert is_news(state, after) or facts(replace(state, venue_ns=0)) == facts(replace(after, venue_ns=0))
        state = after


@pytest.mark.parametrize("end", ENDS)
def test_an_end_without_its_fills_is_closing_until_they_are_known(end):
    ended = fold([seen(end, "7")])
    missing = Decimal(10) if end is OrderStatus.FILLED else Decimal(7)
    assert (ended.state, ended.filled) == (AttemptState.CLOSING, missing)
    complete = fold([seen(end, "7"), seen(OrderStatus.NEW, "0", FILLS)])
    assert complete.state is AttemptState.DONE


@pytest.mark.parametrize(
    ("reported", "filled", "status"),
    [
        (OrderStatus.NEW, "0", OrderStatus.NEW),
        (OrderStatus.NEW, "4", OrderStatus.PARTIALLY_FILLED),
        (OrderStatus.PARTIALLY_FILLED, "10", OrderStatus.FILLED),
        (OrderStatus.CANCELED, "0", OrderStatus.CANCELED),
        (OrderStatus.CANCELED, "4", OrderStatus.PARTIALLY_CANCELED),
        (OrderStatus.PARTIALLY_CANCELED, "0", OrderStatus.CANCELED),
        (OrderStatus.CANCELED, "10", OrderStatus.FILLED),
        (OrderStatus.EXPIRED, "4", OrderStatus.EXPIRED),
        (OrderStatus.REJECTED, "0", OrderStatus.REJECTED),
        (OrderStatus.REJECTED, "4", OrderStatus.PARTIALLY_CANCELED),
    ],
)
def test_status_follows_the_quantity_where_that_says_more(reported, filled, status):
    assert fold([seen(reported, filled)]).status is status


def test_a_refused_order_is_dead_until_it_shows_up():
    refused = fold([Refusal("c", "place", -2010, "insufficient balance")])
    assert (refused.state, refused.status) == (AttemptState.DEAD, OrderStatus.REJECTED)
    assert refused.reason == "-2010: insufficient balance"
    adopted = fold([seen(OrderStatus.NEW)], refused)
    assert (adopted.state, adopted.status) == (AttemptState.LIVE, OrderStatus.NEW)


def test_silence_and_absence_end_nothing():
    silent = fold([Silence("c", "place", "time-out"), Absence("c", 9), Silence("c", "lookup", "time-out")])
    assert silent.state is AttemptState.AMBIGUOUS
    working = fold([seen(OrderStatus.NEW), Absence("c", 9)])
    assert working.state is AttemptState.LIVE


def test_an_unclear_cancel_leaves_doubt_until_the_order_is_seen():
    doubtful = fold([seen(OrderStatus.NEW), Refusal("c", "cancel", -2011, "unknown order")])
    assert doubtful.state is AttemptState.LIVE
    assert doubtful.reconciliation_status is ReconciliationStatus.UNCERTAIN
    again = fold([seen(OrderStatus.NEW)], doubtful)
    assert again.reconciliation_status is ReconciliationStatus.IN_SYNC


def test_what_was_never_sent_is_dead_and_what_perhaps_was_is_not():
    assert fold([Silence("c", "place", "no route", sent=False)]).state is AttemptState.DEAD
    assert doubted(prepared(), Seen.RESTARTED, "").state is AttemptState.AMBIGUOUS


def test_only_a_placement_under_way_can_be_overdue():
    for state in set(AttemptState) - {AttemptState.PREPARED}:
        for seen_as in (Seen.OVERDUE, Seen.RESTARTED):
            with pytest.raises(InvariantError):
                transition(state, seen_as)


def test_only_what_is_in_doubt_can_be_proved_and_only_what_worked_can_vanish():
    """T7, T12."""
    for state in AttemptState:
        for seen_as, source, target in (
            (Seen.PROVED, AttemptState.AMBIGUOUS, AttemptState.DEAD),
            (Seen.VANISHED, AttemptState.LIVE, AttemptState.DONE),
        ):
            assert TRANSITIONS.get((state, seen_as)) is (target if state is source else None)


def test_reports_of_the_world_can_never_be_illegal():
    ours = {Seen.OVERDUE, Seen.RESTARTED, Seen.PROVED, Seen.VANISHED, Seen.REAPPEARED}
    for seen_as in set(Seen) - ours - {Seen.COMPLETE, Seen.INCOMPLETE}:
        for state in AttemptState:
            assert (state, seen_as) in TRANSITIONS
