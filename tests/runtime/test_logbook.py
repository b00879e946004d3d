"""The log of a run's orders: which placement was answered and ended when, and what was refused why."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli import Strategy, keep
from quantcli.model.event import OrderEvent, OrderEventKind, RiskLimit
from quantcli.model.instrument import Side
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.report import drift
from quantcli.report.run import OrderRow, Run
from quantcli.runtime.logbook import Logbook
from quantcli.runtime.simulate import Job, simulate

Kind = OrderEventKind
TERMS = StandardOrder("AAA/USDT", Side.BUY, OrderType.LIMIT, Decimal(2), Decimal(100))
INTENT = OrderIntent("i1", TERMS, 10, metadata={"slot": "bid"}, phase=IntentPhase.ACTIVE)
FIRST = OrderState("i1", 1, "c1", TERMS, generation=1, prepared_ns=10)
LIVE = replace(FIRST, state=AttemptState.LIVE, status=OrderStatus.NEW)
REFUSED = replace(
    FIRST, state=AttemptState.DEAD, status=OrderStatus.REJECTED, reason="-2010: Order would take: at once."
)


def told(*events: tuple[OrderEventKind, int, OrderState, str] | RiskLimit) -> Logbook:
    book = Logbook(lambda fill, at_ns: None)
    for event in events:
        if isinstance(event, RiskLimit):
            book.take(event)
        else:
            kind, at_ns, state, reason = event
            book.take(OrderEvent(kind, at_ns, INTENT, state, reason=reason))
    return book


def row_of(book: Logbook, *record: OrderState) -> OrderRow:
    return book.placements(record).rows[0]


def test_a_placement_is_logged_from_its_wish_to_its_answer() -> None:
    sent = Kind.SUBMITTED, 10, FIRST, ""
    row = row_of(told(sent), FIRST)
    assert (row.slot, row.placed_ns, row.acked_ns, row.ended_ns) == ("bid", 10, None, None)
    row = row_of(told(sent, (Kind.ACCEPTED, 35, LIVE, "")), LIVE)
    assert (row.acked_ns, row.ended_ns, row.status) == (35, None, OrderStatus.NEW)


def test_a_replaced_placement_ended_when_the_next_one_was_placed() -> None:
    cancelled = replace(LIVE, state=AttemptState.DONE, status=OrderStatus.CANCELED, cancel_sent_ns=50)
    partial = replace(
        cancelled, status=OrderStatus.PARTIALLY_CANCELED, filled=Decimal(1), fills_qty=Decimal(1)
    )
    second = replace(FIRST, attempt=2, client_order_id="c2", generation=2, prepared_ns=70)
    for end in (cancelled, partial):
        book = told(
            (Kind.SUBMITTED, 10, FIRST, ""), (Kind.ACCEPTED, 35, LIVE, ""), (Kind.SUBMITTED, 70, second, "")
        )
        first, last = book.placements([end, second]).rows
        assert (first.acked_ns, first.cancel_ns, first.ended_ns) == (35, 50, 70)
        assert (first.status, first.filled) == (end.status, end.filled)
        assert (last.placed_ns, last.ended_ns) == (70, None)
        assert book.placements([end, second]).counts.replaced == 1
        assert book.placements([end, second]).counts.created == 2


def test_a_placement_tried_again_on_the_same_terms_replaces_nothing() -> None:
    unsent = replace(FIRST, state=AttemptState.DEAD, reason="no route")
    second = replace(FIRST, attempt=2, client_order_id="c2", prepared_ns=70)
    book = told((Kind.SUBMITTED, 10, FIRST, ""), (Kind.SUBMITTED, 70, second, ""))
    assert book.placements([unsent, second]).counts.replaced == 0
    row = row_of(book, unsent, second)
    assert (row.acked_ns, row.ended_ns, row.reason) == (None, 70, "no route")


def test_refusals_are_counted_by_code_and_keep_their_text_in_the_row() -> None:
    why = "refused by the exchange: " + REFUSED.reason
    book = told(
        (Kind.SUBMITTED, 10, FIRST, ""),
        (Kind.REJECTED, 35, REFUSED, why),
        RiskLimit(40, "capital", "AAA/USDT", "needs 5,000 USDT, has 3"),
        RiskLimit(41, "capital", "AAA/USDT", "needs 6,000 USDT, has 3"),
    )
    found = book.placements([REFUSED])
    assert found.rejected_by_code == {"-2010": 1, "risk capital": 2}
    assert (found.counts.created, found.counts.rejected) == (1, 3)
    assert found.rows[0].reason == "-2010: Order would take: at once."
    assert (found.rows[0].acked_ns, found.rows[0].ended_ns) == (35, 35)


def test_a_refusal_that_no_event_told_of_counts_too() -> None:
    """The wish had new terms by then, and went on with them."""
    second = replace(FIRST, attempt=2, client_order_id="c2", generation=2, prepared_ns=40)
    book = told((Kind.SUBMITTED, 10, FIRST, ""), (Kind.SUBMITTED, 40, second, ""))
    found = book.placements([REFUSED, second])
    assert (found.rejected_by_code, found.counts.rejected) == ({"-2010": 1}, 1)
    assert (found.rows[0].acked_ns, found.rows[0].ended_ns) == (40, 40)


def test_placements_of_earlier_sessions_are_left_out() -> None:
    assert told().placements([FIRST]).rows == []


class Mover(Strategy):
    """Follows the touch; what is on its way when the market comes towards it is refused."""

    def desired(self, m: Any) -> Any:
        yield keep.bid("bid", "60 USDT", m.best_bid, tolerance=0, post_only=True, cooldown="1ms")
        yield keep.bid("near", "60 USDT", m.best_ask - m.tick, tolerance=0, post_only=True, cooldown="1ms")


async def a_run(job: Callable[..., Job]) -> Run:
    run = await simulate(job(Mover), all_queues=False, progress=lambda _: None)
    assert not run.violated
    return run


async def test_in_a_run_what_ended_has_an_end_and_nothing_else_has(job: Callable[..., Job]) -> None:
    run = await a_run(job)
    statuses = Counter(row.status for row in run.order_rows)
    assert statuses[OrderStatus.CANCELED] > 20, statuses
    for row in run.order_rows:
        assert row.status.is_terminal == (row.ended_ns is not None), row
        assert row.ended_ns is None or (row.acked_ns is not None and row.acked_ns <= row.ended_ns)
    assert run.orders.created == len(run.order_rows)
    assert 0 < run.orders.replaced < run.orders.created


async def test_in_a_run_a_wish_has_one_placement_at_a_time(job: Callable[..., Job]) -> None:
    run = await a_run(job)
    last: dict[str, OrderRow] = {}
    for row in run.order_rows:
        if row.intent_id in last:
            assert last[row.intent_id].ended_ns == row.placed_ns
        last[row.intent_id] = row


async def test_in_a_run_rejections_add_up(job: Callable[..., Job]) -> None:
    run = await a_run(job)
    refused = [row for row in run.order_rows if row.status is OrderStatus.REJECTED]
    assert refused, "a run without refusals proves nothing"
    assert sum(run.rejected_by_code.values()) == run.orders.rejected
    assert run.rejected_by_code["-2010"] == len(refused)
    assert {row.reason for row in refused} == {"-2010: Order would immediately match and take."}


async def test_in_a_run_a_modification_differs_for_longer_than_any_placement(job: Callable[..., Job]) -> None:
    run = await a_run(job)
    lengths = [end - start for start, end in drift.episodes(run.order_rows) if end != drift.OPEN]
    answers = [row.acked_ns - row.placed_ns for row in run.order_rows if row.acked_ns is not None]
    assert max(answers) < max(lengths) <= 2 * max(answers)
