"""Books from diffs and snapshots: the documented rules, one by one and as properties of random streams."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.codecs.depth import DepthSync
from quantcli.model.market import BookUpdate


def snapshot(last_id: int, bids=((10.0, 1.0),), asks=((11.0, 1.0),)) -> BookUpdate:
    return BookUpdate("X/Y", 0, 0, 0, True, last_id, last_id, 0, list(bids), list(asks))


def diff(first_id: int, last_id: int, prev_id: int = 0, bids=(), asks=()) -> BookUpdate:
    return BookUpdate("X/Y", 0, 0, 0, False, first_id, last_id, prev_id, list(bids), list(asks))


def fed(*updates: BookUpdate) -> DepthSync:
    depth = DepthSync("X/Y")
    for update in updates:
        depth.apply(update)
    return depth


def state(depth: DepthSync) -> tuple[object, ...]:
    book = depth.book
    return depth.synced, depth.last_id, book.bids, book.asks, book.best_bid, book.best_ask


def test_before_anything_comes_there_is_no_book_and_nothing_to_ask_for():
    depth = DepthSync("X/Y")
    assert (depth.synced, depth.last_id, depth.gaps, depth.needs_snapshot) == (False, 0, 0, False)


def test_the_first_diff_asks_for_a_snapshot_and_the_snapshot_makes_the_book():
    depth = DepthSync("X/Y")
    assert not depth.apply(diff(4, 6, bids=[(9.0, 2.0)]))
    assert depth.needs_snapshot
    assert depth.apply(snapshot(5))
    assert (depth.synced, depth.last_id, depth.needs_snapshot) == (True, 6, False)
    assert depth.book.bids == {10.0: 1.0, 9.0: 2.0}


def test_a_snapshot_that_comes_first_is_a_book_at_once():
    depth = DepthSync("X/Y")
    assert depth.apply(snapshot(5))
    assert (depth.synced, depth.book.best_bid, depth.book.best_ask) == (True, 10.0, 11.0)


@pytest.mark.parametrize(
    ("update", "bridges"),
    [
        # spot: the one after the snapshot's id, 100, must be inside
        (diff(101, 101), True),
        (diff(95, 101), True),
        (diff(101, 110), True),
        (diff(102, 110), False),
        # futures: the snapshot's id itself must be inside, or the message before have ended with it
        (diff(100, 110, prev_id=90), True),
        (diff(95, 100, prev_id=90), True),
        (diff(95, 110, prev_id=90), True),
        (diff(103, 110, prev_id=100), True),
        (diff(103, 110, prev_id=102), False),
        (diff(103, 110, prev_id=99), False),
    ],
)
def test_the_first_diff_must_bridge_to_the_snapshot(update, bridges):
    after = DepthSync("X/Y")
    after.apply(snapshot(100))
    assert after.apply(update) == bridges
    before = DepthSync("X/Y")
    before.apply(update)
    assert before.apply(snapshot(100)) == bridges
    assert after.synced == before.synced == bridges
    assert after.gaps == (not bridges)
    assert before.needs_snapshot != bridges
    if bridges:
        assert after.last_id == before.last_id == update.last_id


def test_diffs_that_the_snapshot_contains_change_nothing():
    old = diff(90, 99, bids=[(10.0, 5.0)])
    depth = fed(old, snapshot(100))
    assert not depth.apply(old)
    assert depth.synced
    assert depth.book.bids == {10.0: 1.0}


@pytest.mark.parametrize(
    ("follower", "fits"),
    [
        (diff(111, 120), True),
        (diff(112, 120), False),
        (diff(109, 120), False),  # bridging is for the first one only
        (diff(115, 120, prev_id=110), True),
        (diff(111, 120, prev_id=111), False),
        (diff(105, 120, prev_id=104), False),
    ],
)
def test_from_then_on_each_diff_must_continue_the_one_before(follower, fits):
    first = diff(95, 110, prev_id=90 if follower.prev_id else 0)
    for depth in (fed(snapshot(100), first), fed(first, snapshot(100))):
        assert depth.apply(follower) == fits
        assert (depth.synced, depth.gaps, depth.needs_snapshot) == (fits, not fits, not fits)


def test_a_gap_leaves_the_book_stale_until_a_snapshot_bridges():
    depth = fed(diff(101, 110), snapshot(100), diff(112, 120), diff(121, 130, bids=[(10.5, 3.0)]))
    assert not depth.synced
    assert not depth.apply(snapshot(105))  # still too old
    assert depth.needs_snapshot
    assert depth.apply(snapshot(115))
    assert (depth.synced, depth.gaps, depth.last_id, depth.book.best_bid) == (True, 1, 130, 10.5)


def test_a_gap_while_waiting_counts_and_only_what_came_after_it_is_kept():
    depth = fed(diff(1, 5), diff(6, 9), diff(20, 25))
    assert depth.gaps == 1
    assert not depth.apply(snapshot(7))
    assert depth.apply(snapshot(20))
    assert (depth.gaps, depth.last_id) == (1, 25)


def test_a_doubled_diff_is_ignored():
    update = diff(101, 110)
    for depth in (fed(snapshot(100), update), fed(update)):
        assert not depth.apply(update)
        assert depth.gaps == 0


def test_a_newer_snapshot_is_a_fresh_start_and_an_older_one_is_ignored():
    depth = fed(snapshot(100), diff(101, 110, bids=[(9.0, 9.0)]))
    assert not depth.apply(snapshot(105))
    assert depth.last_id == 110
    assert depth.apply(snapshot(115))
    assert depth.book.bids == {10.0: 1.0}
    assert not depth.apply(diff(111, 115))  # contained
    assert depth.apply(diff(113, 120))  # bridges again
    assert (depth.gaps, depth.last_id) == (0, 120)


def test_waiting_diffs_are_bounded_and_the_newest_are_kept():
    depth = fed(*(diff(i, i) for i in range(1, 10_001)))
    assert not depth.apply(snapshot(5_000))
    assert depth.apply(snapshot(9_000))
    assert (depth.gaps, depth.last_id) == (0, 10_000)


levels = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([0.0, 1.0, 2.0])), max_size=4, unique_by=lambda t: t[0]
)


class Stream(msgspec.Struct):
    """Diffs of a random market and the book as it truly was before the first and after each of them."""

    diffs: list[BookUpdate]
    truth: dict[int, tuple[dict[float, float], dict[float, float]]]

    def snapshot(self, last_id: int) -> BookUpdate:
        bids, asks = self.truth[last_id]
        return snapshot(last_id, bids.items(), asks.items())


@st.composite
def streams(draw: st.DrawFn, min_size: int = 2) -> Stream:
    """Spot or futures: futures skip ids between messages, as the exchange does."""
    futures = draw(st.booleans())
    last_id = draw(st.integers(1, 50))
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    stream = Stream([], {last_id: ({}, {})})
    for _ in range(draw(st.integers(min_size, 12))):
        skipped = draw(st.integers(0, 3)) if futures else 0
        first_id, prev_id = last_id + 1 + skipped, last_id if futures else 0
        last_id = first_id + draw(st.integers(0, 3))
        changed_bids = [(float(p), s) for p, s in draw(levels)]
        changed_asks = [(float(p + 10), s) for p, s in draw(levels)]
        merge(bids, changed_bids)
        merge(asks, changed_asks)
        stream.diffs.append(diff(first_id, last_id, prev_id, changed_bids, changed_asks))
        stream.truth[last_id] = (dict(bids), dict(asks))
    return stream


def merge(side: dict[float, float], changed: Iterable[tuple[float, float]]) -> None:
    for price, size in changed:
        side[price] = size
        if not size:
            del side[price]


def assert_true(depth: DepthSync, stream: Stream) -> None:
    bids, asks = stream.truth[depth.last_id]
    assert (depth.book.bids, depth.book.asks) == (bids, asks)
    assert (depth.book.best_bid, depth.book.best_ask) == (max(bids, default=0.0), min(asks, default=0.0))


@given(streams(), st.data())
def test_wherever_the_snapshot_comes_the_book_is_the_same_once_synced(stream, data):
    """The snapshot may show any state and arrive at any time from then on."""
    ids = list(stream.truth)
    shown = data.draw(st.integers(0, len(ids) - 1))
    arrives = data.draw(st.integers(shown, len(stream.diffs)))
    depth = DepthSync("X/Y")
    for update in (*stream.diffs[:arrives], stream.snapshot(ids[shown]), *stream.diffs[arrives:]):
        if depth.apply(update):
            assert_true(depth, stream)
    assert (depth.synced, depth.gaps, depth.last_id) == (True, 0, ids[-1])
    assert_true(depth, stream)


@given(streams(), st.data())
def test_a_snapshot_may_also_run_ahead_of_the_diffs(stream, data):
    ids = list(stream.truth)
    shown = data.draw(st.integers(0, len(ids) - 1))
    arrives = data.draw(st.integers(0, shown))
    depth = fed(*stream.diffs[:arrives], stream.snapshot(ids[shown]), *stream.diffs[arrives:])
    assert (depth.synced, depth.gaps, depth.last_id) == (True, 0, ids[-1])
    assert_true(depth, stream)


@given(streams(min_size=3), st.data())
def test_lost_diffs_are_always_noticed_and_a_wrong_book_is_never_shown(stream, data):
    """All lost diffs but the last ones, which nothing follows, show as one gap per hole."""
    lost = data.draw(st.sets(st.integers(0, len(stream.diffs) - 2), min_size=1))
    holes = sum(i not in lost and i - 1 in lost for i in range(len(stream.diffs)))
    first_id = next(iter(stream.truth))
    depth = fed(stream.snapshot(first_id))
    for i, update in enumerate(stream.diffs):
        if i not in lost and depth.apply(update):
            assert_true(depth, stream)
    assert not depth.synced
    assert depth.needs_snapshot
    assert depth.gaps == holes
    assert depth.apply(stream.snapshot(stream.diffs[-1].last_id))
    assert_true(depth, stream)


@given(streams(), st.data())
def test_doubled_and_late_diffs_and_old_snapshots_do_no_harm(stream, data):
    ids = list(stream.truth)
    depth = fed(stream.snapshot(ids[0]))
    for i, update in enumerate(stream.diffs):
        assert depth.apply(update)
        again = data.draw(st.integers(0, i))
        before = state(depth)
        assert not depth.apply(stream.diffs[again])
        if again:
            assert not depth.apply(stream.snapshot(ids[again - 1]))
        assert state(depth) == before
    assert depth.gaps == 0
