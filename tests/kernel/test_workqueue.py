"""The work queue: each key once, at the earliest time asked for, in a reproducible order."""

from hypothesis import given
from hypothesis import strategies as st

from quantcli.kernel.workqueue import WorkQueue


def drain(queue, now_ns):
    taken = []
    while (due := queue.pop_due(now_ns)) is not None:
        taken.append(due)
    return taken


def test_keys_come_out_by_time_then_by_order_of_asking():
    queue = WorkQueue()
    for key, at_ns in [("late", 20), ("first", 10), ("second", 10)]:
        queue.add(key, at_ns)
    assert queue.next_due() == 10
    assert drain(queue, 15) == [("first", 10), ("second", 10)]
    assert queue.next_due() == 20
    assert drain(queue, 20) == [("late", 20)]
    assert queue.next_due() is None


def test_an_earlier_wish_wins_and_a_later_one_changes_nothing():
    queue = WorkQueue()
    queue.add("a", 10)
    queue.add("a", 30)
    queue.add("a", 5)
    assert len(queue) == 1
    assert queue.next_due() == 5
    assert drain(queue, 100) == [("a", 5)]
    assert len(queue) == 0


def test_a_key_taken_out_can_be_put_later():
    queue = WorkQueue()
    queue.add("a", 10)
    assert queue.pop_due(10) == ("a", 10)
    queue.add("a", 40)
    assert queue.pop_due(39) is None
    assert queue.pop_due(40) == ("a", 40)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 20))))
def test_every_key_comes_out_once_at_its_earliest_time(asked):
    queue = WorkQueue()
    earliest: dict[str, int] = {}
    for key, at_ns in asked:
        queue.add(key, at_ns)
        earliest[key] = min(at_ns, earliest.get(key, at_ns))
    assert queue.next_due() == min(earliest.values(), default=None)
    taken = drain(queue, 20)
    assert dict(taken) == earliest
    assert len(taken) == len(earliest)
    assert [at_ns for _, at_ns in taken] == sorted(at_ns for _, at_ns in taken)
