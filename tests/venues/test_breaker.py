"""The circuit breaker: when it opens, who passes, when it closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.venues.breaker import Breaker, BreakerState
from quantcli.venues.limits import Lane

CLOSED, OPEN, HALF_OPEN = BreakerState


class Bench:
    """A breaker, its clock and what it told."""

    def __init__(self, dice=lambda: 1.0):
        self.clock = VirtualClock(1_700_000_000 * NS_PER_S)
        self.told = []
        self.breaker = Breaker(self.clock, 3, dice=dice, tell=self.told.append)

    def fail(self, times=1):
        for _ in range(times):
            self.breaker.failed("HTTP 503")

    def pass_time(self, seconds):
        self.clock.advance_to(self.clock.now_ns() + round(seconds * NS_PER_S))

    def passing(self):
        return [lane for lane in Lane if self.breaker.allows(lane)]


@pytest.fixture
def bench():
    return Bench()


def test_everything_passes_until_failures_come_in_a_row(bench):
    bench.fail(2)
    assert bench.passing() == list(Lane)
    bench.breaker.succeeded()
    bench.fail(2)
    assert bench.breaker.state is CLOSED
    bench.fail()
    assert bench.breaker.state is OPEN
    assert bench.passing() == [Lane.CANCEL]


def test_failures_long_ago_are_no_part_of_a_row(bench):
    bench.fail(2)
    bench.pass_time(61)
    bench.fail(2)
    assert bench.breaker.state is CLOSED


def test_after_the_pause_one_look_goes_ahead_and_no_placement(bench):
    bench.fail(3)
    bench.pass_time(0.9)
    assert bench.passing() == [Lane.CANCEL]
    bench.pass_time(0.1)
    assert bench.breaker.wants_probe
    assert not bench.breaker.allows(Lane.PLACE)
    assert bench.breaker.allows(Lane.RECONCILE)
    assert not bench.breaker.allows(Lane.RECONCILE)
    assert not bench.breaker.wants_probe
    bench.breaker.succeeded()
    assert bench.passing() == list(Lane)


def test_a_failed_probe_doubles_the_pause(bench):
    bench.fail(3)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        bench.pass_time(pause - 0.001)
        assert bench.breaker.state is OPEN
        bench.pass_time(0.001)
        assert bench.breaker.allows(Lane.RECONCILE)
        bench.fail()


def test_a_probe_that_is_never_heard_of_again_does_not_block_the_next(bench):
    bench.fail(3)
    bench.pass_time(1)
    assert bench.breaker.allows(Lane.DATA)
    bench.pass_time(14)
    assert not bench.breaker.allows(Lane.RECONCILE)
    bench.pass_time(1)
    assert bench.breaker.allows(Lane.RECONCILE)


def test_a_cancel_that_fails_meanwhile_does_not_lengthen_the_pause(bench):
    bench.fail(3)
    bench.pass_time(0.5)
    bench.fail(10)
    bench.pass_time(0.5)
    assert bench.breaker.state is HALF_OPEN


def test_any_answer_closes(bench):
    bench.fail(3)
    assert bench.breaker.allows(Lane.CANCEL)
    bench.breaker.succeeded()
    assert bench.breaker.state is CLOSED


def test_one_that_flaps_is_left_alone_longer_until_a_quiet_minute(bench):
    bench.fail(3)
    bench.breaker.succeeded()
    bench.fail(3)
    bench.pass_time(1.9)
    assert bench.breaker.state is OPEN
    bench.breaker.succeeded()
    bench.pass_time(60)
    bench.fail(3)
    bench.pass_time(1)
    assert bench.breaker.state is HALF_OPEN


def test_pauses_are_scattered():
    bench = Bench(dice=lambda: 0.0)
    bench.fail(3)
    bench.pass_time(0.5)
    assert bench.breaker.state is HALF_OPEN


def test_people_are_told_when_it_opens_and_when_it_closes(bench):
    bench.fail(6)
    bench.pass_time(1)
    bench.fail()
    bench.breaker.succeeded()
    bench.breaker.succeeded()
    assert [notice.kind for notice in bench.told] == ["breaker", "breaker"]
    assert "HTTP 503" in bench.told[0].message


@given(st.lists(st.sampled_from(["fail", "succeed", "look", "wait"]), max_size=60))
def test_cancels_always_pass_and_it_never_stays_shut(steps):
    bench = Bench()
    for step in steps:
        match step:
            case "fail":
                bench.fail()
            case "succeed":
                bench.breaker.succeeded()
            case "look":
                bench.breaker.allows(Lane.RECONCILE)
            case "wait":
                bench.pass_time(1.5)
        assert bench.breaker.allows(Lane.CANCEL)
        if bench.breaker.state is not CLOSED:
            assert not bench.breaker.allows(Lane.PLACE)
    bench.pass_time(61)
    assert bench.breaker.allows(Lane.RECONCILE)
