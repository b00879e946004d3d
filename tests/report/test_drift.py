"""Drift: when wishes and the exchange differed, to the nanosecond."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.instrument import Side
from quantcli.model.order import OrderStatus, OrderType
from quantcli.report import drift
from quantcli.report.run import OrderRow


def row(placed: int, acked: int | None, cancel: int | None, ended: int | None, intent: str = "i") -> OrderRow:
    order = "BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(100)
    times = placed, acked, cancel, ended
    return OrderRow(intent, f"c{placed}", "", *order, *times, OrderStatus.NEW, Decimal(0), "")


def test_a_wish_differs_until_the_exchange_has_answered_its_placement() -> None:
    assert drift.episodes([row(10, 15, None, 90)]) == [(10, 15)]


def test_a_cancel_differs_until_the_order_has_ended() -> None:
    assert drift.episodes([row(10, 15, 40, 60)]) == [(10, 15), (40, 60)]


def test_a_modification_is_one_episode_from_the_cancel_to_the_new_answer() -> None:
    assert drift.episodes([row(10, 15, 40, 60), row(60, 72, None, None)]) == [(10, 15), (40, 72)]


def test_what_was_never_answered_differs_until_it_ended_or_has_not_ended() -> None:
    assert drift.episodes([row(10, None, None, 30)]) == [(10, 30)]
    assert drift.episodes([row(10, None, None, None)]) == [(10, drift.OPEN)]
    assert drift.episodes([row(10, 12, 20, None)]) == [(10, 12), (20, drift.OPEN)]


def test_each_wish_has_its_own_episodes_but_shared_time_counts_once() -> None:
    rows = [row(10, 20, None, None, "a"), row(15, 30, None, None, "b")]
    assert drift.episodes(rows) == [(10, 20), (15, 30)]
    assert drift.share(drift.episodes(rows), 0, 100) == 0.2


def test_only_time_within_the_run_counts() -> None:
    assert drift.share([(-50, 10), (90, drift.OPEN)], 0, 100) == 0.2
    assert drift.share([], 0, 100) == 0
    assert drift.share([(0, 10)], 5, 5) is None


@pytest.mark.parametrize("length", [0, 1])
def test_an_answer_at_once_is_an_episode_of_no_length(length: int) -> None:
    assert drift.episodes([row(10, 10 + length, None, None)]) == [(10, 10 + length)]


moments = st.integers(0, 60)
spans = st.tuples(moments, moments).map(sorted).map(tuple)


@given(st.lists(spans, max_size=12))
def test_the_share_equals_a_count_of_every_nanosecond(differing: list[tuple[int, int]]) -> None:
    inside = sum(any(start <= at < end for start, end in differing) for at in range(5, 55))
    assert drift.share(differing, 5, 55) == inside / 50
