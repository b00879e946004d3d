"""The request budget: windows, lanes, bans, deadlines, and processes that share it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.codecs.binance_limits import rate_limits
from quantcli.codecs.errors import CodecError
from quantcli.venues.budget_file import BudgetFile, Page, budget_path
from quantcli.venues.limit_rules import Usage
from quantcli.venues.limits import BINANCE_SPOT, Budget, Lane, Rule, TooLate

MINUTE = 60 * NS_PER_S
START = 1_700_000_040 * NS_PER_S + 22 * NS_PER_S  # 22 seconds into a minute
RULES = (Rule("weight", 100, MINUTE), Rule("orders", 10, 10 * NS_PER_S))


class Bench:
    """A budget on a clock that is set by hand; requests are tasks."""

    def __init__(self, rules=RULES, shared=None, server=None):
        self.clock = VirtualClock(START)
        self.told = []
        self.budget = Budget(rules, self.clock, shared, server=server, tell=self.told.append)
        self.gone = []

    async def ask(self, lane, weight=1, orders=0, deadline_s=None, name=None):
        """Start a request and see whether it goes at once; returns its task."""
        task = asyncio.create_task(self._ask(lane, weight, orders, deadline_s, name or lane))
        await settle()
        return task

    async def _ask(self, lane, weight, orders, deadline_s, name):
        deadline_ns = None if deadline_s is None else START + round(deadline_s * NS_PER_S)
        await self.budget.admit(lane, weight, orders, deadline_ns)
        self.gone.append(name)

    async def pass_time(self, seconds):
        self.clock.advance_to(self.clock.now_ns() + round(seconds * NS_PER_S))
        self.budget.wake()
        await settle()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.budget.close()


# Windows.


async def test_a_full_window_makes_everybody_wait_for_the_next(bench):
    await bench.ask(Lane.CANCEL, 100)
    waiting = await bench.ask(Lane.CANCEL, 1)
    await bench.pass_time(37.9)
    assert not waiting.done()
    await bench.pass_time(0.5)
    assert waiting.done()
    assert bench.budget.used("weight", MINUTE) == 1


async def test_orders_have_windows_of_their_own(bench):
    for _ in range(10):
        await bench.ask(Lane.PLACE, 1, 1)
    waiting = await bench.ask(Lane.PLACE, 1, 1)
    passing = await bench.ask(Lane.DATA, 1)
    assert (waiting.done(), passing.done()) == (False, True)
    await bench.pass_time(10.5)
    assert waiting.done()


async def test_near_the_border_a_request_counts_in_both_windows(bench):
    await bench.pass_time(37.5)
    await bench.ask(Lane.CANCEL, 100)
    waiting = await bench.ask(Lane.CANCEL, 1)
    await bench.pass_time(10)
    assert not waiting.done()
    await bench.pass_time(51)
    assert waiting.done()


async def test_windows_go_by_the_exchanges_clock():
    server = VirtualClock(START + 39 * NS_PER_S)
    bench = Bench(server=server)
    await bench.ask(Lane.CANCEL, 100)
    waiting = await bench.ask(Lane.CANCEL, 1)
    server.advance_to(START + 101 * NS_PER_S)
    await bench.pass_time(0)
    assert waiting.done()
    bench.budget.close()


async def test_what_no_window_can_hold_is_an_error(bench):
    with pytest.raises(ValueError, match="101 weight"):
        await bench.budget.admit(Lane.CANCEL, 101)


async def test_waiting_ends_by_itself_when_the_window_opens():
    bench = Bench([Rule("weight", 5, NS_PER_S)])
    loop = asyncio.get_running_loop()
    started = loop.time()
    bench.clock.now_ns = lambda: START + round((loop.time() - started) * NS_PER_S)
    for _ in range(2):
        await bench.budget.admit(Lane.CANCEL, 5)
    assert 0.9 < loop.time() - started < 1.5
    bench.budget.close()


# What the exchange says.


async def test_the_greater_count_is_believed(bench):
    await bench.ask(Lane.CANCEL, 30)
    bench.budget.seen({"x-mbx-used-weight-1m": "95", "x-mbx-order-count-10s": "9"})
    assert bench.budget.used("weight", MINUTE) == 95
    bench.budget.seen({"x-mbx-used-weight-1m": "20"})
    assert bench.budget.used("weight", MINUTE) == 95
    assert not (await bench.ask(Lane.CANCEL, 6)).done()
    assert bench.budget.used("orders", 10 * NS_PER_S) == 9


async def test_a_count_that_may_be_of_the_window_before_is_left_out(bench):
    await bench.pass_time(38.1)
    bench.budget.seen({"x-mbx-used-weight-1m": "100"})
    await bench.pass_time(10)
    bench.budget.seen({"x-mbx-used-weight-1m": "100"}, sent_ns=START)
    assert bench.budget.used("weight", MINUTE) == 0


@pytest.mark.parametrize("value", ["", "many", "-5", "1e9", "٣"])
async def test_headers_that_are_no_counts_mean_nothing(bench, value):
    bench.budget.seen({"x-mbx-used-weight-1m": value})
    assert bench.budget.used("weight", MINUTE) in (0, 3)


@pytest.mark.parametrize("status", [429, 418])
async def test_a_ban_stops_every_lane_until_it_is_over(bench, status):
    bench.budget.seen({"retry-after": "7"}, status)
    bench.budget.seen({"retry-after": "5"}, status)
    waiting = [await bench.ask(lane) for lane in Lane]
    await bench.pass_time(6.9)
    assert not any(task.done() for task in waiting)
    await bench.pass_time(0.2)
    assert all(task.done() for task in waiting)
    assert [notice.kind for notice in bench.told] == ["limit"]


async def test_a_ban_without_an_end_lasts_as_long_as_the_shortest(bench):
    bench.budget.seen({}, 418)
    waiting = await bench.ask(Lane.CANCEL)
    await bench.pass_time(119)
    assert not waiting.done()
    await bench.pass_time(2)
    assert waiting.done()


async def test_too_many_orders_stop_orders_only(bench):
    bench.budget.seen({}, 429)
    order = await bench.ask(Lane.PLACE, 1, 1)
    cancel = await bench.ask(Lane.CANCEL)
    assert (order.done(), cancel.done()) == (False, True)
    await bench.pass_time(10.5)
    assert order.done()


async def test_limits_that_change_are_taken_over(bench):
    bench.budget.learn([("weight", 10, MINUTE), ("orders", 5, 300 * NS_PER_S)])
    await bench.ask(Lane.CANCEL, 10)
    assert not (await bench.ask(Lane.CANCEL, 1)).done()
    bench.budget.learn([("weight", 20, MINUTE)])
    await settle()
    assert bench.budget.used("weight", MINUTE) == 11


def test_limits_are_read_from_what_the_exchange_states():
    body = (
        b'{"timezone":"UTC","rateLimits":['
        b'{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},'
        b'{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100},'
        b'{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}]}'
    )
    assert rate_limits(body) == (("weight", 6000, MINUTE), ("orders", 100, 10 * NS_PER_S))
    for broken in (b"", b"{}", b'{"rateLimits":[{}]}', "\ud800"):
        with pytest.raises(CodecError):
            rate_limits(broken)


def test_headers_have_the_names_that_binance_gives_them():
    assert [rule.header for rule in BINANCE_SPOT] == [
        "x-mbx-used-weight-1m",
        "x-mbx-order-count-10s",
        "x-mbx-order-count-1d",
    ]


# Lanes.


@pytest.mark.parametrize(
    ("lane", "most"), [(Lane.DATA, 60), (Lane.PLACE, 80), (Lane.RECONCILE, 90), (Lane.CANCEL, 100)]
)
async def test_a_lane_leaves_to_the_higher_ones_what_is_theirs(bench, lane, most):
    tasks = [await bench.ask(lane) for _ in range(101)]
    assert sum(task.done() for task in tasks) == most
    for task in tasks:
        task.cancel()


async def test_within_a_lane_it_is_first_come_first_served(bench):
    await bench.ask(Lane.CANCEL, 60)
    for name, weight in (("a", 30), ("b", 1), ("c", 29)):
        await bench.ask(Lane.DATA, weight, name=name)
    await bench.pass_time(41)
    assert bench.gone[1:] == ["a", "b", "c"]


async def test_when_room_comes_the_higher_lane_goes_first(bench):
    await bench.ask(Lane.CANCEL, 100)
    for lane in (Lane.DATA, Lane.PLACE, Lane.RECONCILE, Lane.CANCEL):
        await bench.ask(lane, 50)
    await bench.pass_time(41)
    assert bench.gone == [Lane.CANCEL, Lane.CANCEL]
    await bench.pass_time(60)
    assert bench.gone[2:] == [Lane.RECONCILE]
    await bench.pass_time(60)
    assert bench.gone[3:] == [Lane.PLACE]


async def test_a_small_request_does_not_slip_past_a_large_one_of_a_higher_lane(bench):
    await bench.ask(Lane.CANCEL, 20)
    large = await bench.ask(Lane.RECONCILE, 80)
    small = await bench.ask(Lane.DATA, 1)
    assert (large.done(), small.done()) == (False, False)
    await bench.pass_time(41)
    assert (large.done(), small.done()) == (True, False)


# Deadlines and those who give up.


async def test_who_waits_past_the_deadline_is_told_so(bench):
    await bench.ask(Lane.CANCEL, 100)
    late = await bench.ask(Lane.PLACE, 1, 1, deadline_s=5)
    early = await bench.ask(Lane.PLACE, 1, 1, deadline_s=50)
    await bench.pass_time(5)
    assert isinstance(late.exception(), TooLate)
    await bench.pass_time(36)
    assert early.exception() is None
    assert bench.budget.used("orders", 10 * NS_PER_S) == 1


async def test_a_deadline_ends_the_wait_by_itself(bench):
    loop = asyncio.get_running_loop()
    started = loop.time()
    bench.clock.now_ns = lambda: START + round((loop.time() - started) * NS_PER_S)
    await bench.budget.admit(Lane.CANCEL, 100)
    with pytest.raises(TooLate):
        await bench.budget.admit(Lane.CANCEL, 1, deadline_ns=START + NS_PER_S // 10)
    assert loop.time() - started < 1


async def test_who_gives_up_makes_room_for_the_next(bench):
    await bench.ask(Lane.CANCEL, 50)
    blocking = await bench.ask(Lane.RECONCILE, 80)
    behind = await bench.ask(Lane.DATA, 1)
    assert not behind.done()
    blocking.cancel()
    await settle()
    assert behind.done()


async def test_one_that_gives_up_when_it_has_just_been_let_go_gives_its_place_back(bench):
    await bench.ask(Lane.CANCEL, 100)
    task = await bench.ask(Lane.CANCEL, 40)
    bench.clock.advance_to(START + 41 * NS_PER_S)
    bench.budget.wake()  # let go, but the task has not run yet
    assert bench.budget.used("weight", MINUTE) == 40
    task.cancel()
    await settle()
    assert task.cancelled()
    assert bench.budget.used("weight", MINUTE) == 0


async def test_one_cancelled_in_the_same_moment_is_not_let_go(bench):
    await bench.ask(Lane.CANCEL, 100)
    task = await bench.ask(Lane.CANCEL, 40)
    bench.clock.advance_to(START + 41 * NS_PER_S)
    task.cancel()
    bench.budget.wake()
    await settle()
    assert task.cancelled()
    assert bench.budget.used("weight", MINUTE) == 0


# What must never happen.

requests = st.tuples(
    st.sampled_from(Lane),
    st.integers(1, 40),
    st.booleans(),
    st.floats(0, 4),
    st.floats(0, 0.75),
    st.booleans(),
)


async def campaign(steps, skew_s):
    """Send at random moments; returns what reached the exchange in each of its windows."""
    bench = Bench()
    arrived, tasks, latencies = Counter(), [], {}

    def record():
        now_s = bench.clock.now_ns() / NS_PER_S
        for name in bench.gone:
            weight, orders, latency = latencies[name]
            at_s = now_s + skew_s + latency
            arrived["weight", at_s // 60] += weight
            arrived["orders", at_s // 10] += orders
        bench.gone.clear()

    for number, (lane, weight, is_order, pause, latency, gives_up) in enumerate(steps):
        latencies[f"r{number}"] = (weight, int(is_order), latency)
        tasks.append(await bench.ask(lane, weight, int(is_order), name=f"r{number}"))
        record()
        if gives_up and not tasks[number // 2].done():
            tasks[number // 2].cancel()
            await settle()
            record()
        await bench.pass_time(pause)
        record()
    for _ in range(len(steps) * 2):
        await bench.pass_time(31)
        record()
    is_done = all(task.done() for task in tasks)
    bench.budget.close()
    return arrived, is_done


@settings(max_examples=60, deadline=None)
@given(st.lists(requests, max_size=40), st.floats(-0.2, 0.2))
def test_no_window_of_the_exchange_is_ever_over_budget_and_nobody_waits_for_ever(steps, skew_s):
    arrived, is_done = asyncio.run(campaign(steps, skew_s))
    for (kind, window), used in arrived.items():
        assert used <= {"weight": 100, "orders": 10}[kind], (kind, window)
    assert is_done


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Lane), st.integers(1, 60)), max_size=40))
def test_no_cancel_ever_waits_behind_anything_else(steps):
    async def run():
        bench = Bench()
        waiting = set()
        for number, (lane, weight) in enumerate(steps):
            name = (lane, number)
            before = len(bench.gone)
            waiting |= {name} if lane is Lane.CANCEL else set()
            await bench.ask(lane, weight, name=name)
            if waiting - set(bench.gone):
                assert all(kind is Lane.CANCEL for kind, _ in bench.gone[before:])
        before = len(bench.gone)
        for _ in range(len(steps) + 1):
            await bench.pass_time(61)
            lanes = [kind for kind, _ in bench.gone[before:]]
            assert lanes == sorted(lanes)
        bench.budget.close()

    asyncio.run(run())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([Lane.PLACE, Lane.DATA]), st.integers(1, 60)), max_size=60))
def test_whatever_data_and_placements_did_there_is_room_for_a_cancel_at_once(steps):
    async def run():
        bench = Bench()
        for lane, weight in steps:
            await bench.ask(lane, weight)
        assert (await bench.ask(Lane.CANCEL, 20)).done()
        bench.budget.close()

    asyncio.run(run())


# Processes that share.

SENDER = """
import asyncio, sys, time
from pathlib import Path
from quantcli.clock import WallClock
from quantcli.venues.limits import Budget, Lane

class Watched(WallClock):
    def now_ns(self):
        self.last_ns = super().now_ns()
        return self.last_ns

async def run():
    told, clock = [], Watched()
    budget = Budget([("weight", 50, 500_000_000)], clock, Path(sys.argv[1]), tell=told.append)
    end = time.time() + 1.6
    while time.time() < end:
        await budget.admit(Lane.CANCEL, 1)
        print(clock.last_ns)
    assert not told, told

asyncio.run(run())
"""
HOLDER = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def start(script, path):
    return subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)


def test_two_processes_together_never_exceed_the_limit(tmp_path):
    senders = [start(SENDER, tmp_path / "account.budget") for _ in range(2)]
    stamps = [[int(line) for line in sender.communicate(timeout=60)[0].split()] for sender in senders]
    assert [sender.returncode for sender in senders] == [0, 0]
    assert all(stamps)
    together = Counter(stamp // 500_000_000 for each in stamps for stamp in each)
    assert max(together.values()) <= 50
    assert sorted(together.values())[-2:] == [50, 50]


async def test_two_budgets_of_one_account_add_up(tmp_path):
    one, two = (Bench(shared=tmp_path / "account.budget") for _ in range(2))
    await one.ask(Lane.CANCEL, 60)
    await two.ask(Lane.CANCEL, 30)
    assert not (await one.ask(Lane.CANCEL, 11)).done()
    assert (await two.ask(Lane.CANCEL, 10)).done()
    two.budget.seen({"retry-after": "9"}, 418)
    after_restart = Bench(shared=tmp_path / "account.budget")
    banned = await after_restart.ask(Lane.CANCEL, 1, deadline_s=8)
    await after_restart.pass_time(8)
    assert isinstance(banned.exception(), TooLate)
    for bench in (one, two, after_restart):
        bench.budget.close()


# What is told of it.


async def test_the_report_tells_every_rule_and_who_is_held_back(bench):
    await bench.ask(Lane.CANCEL, 59)
    data = [await bench.ask(Lane.DATA, 2) for _ in range(2)]
    order = await bench.ask(Lane.PLACE, 1, 1)
    weight, orders = bench.budget.report()
    assert weight == Usage("weight", 60, 100, 60.0, 38.0, 2)
    assert orders == Usage("orders", 1, 10, 10.0, 8.0, 0)
    assert (order.done(), [each.done() for each in data]) == (True, [False, False])
    bench.budget.banned(bench.clock.now_ns() + 5 * NS_PER_S)
    await bench.ask(Lane.CANCEL, 1)
    assert [each.waiting for each in bench.budget.report()] == [3, 0]
    for each in data:
        each.cancel()


async def test_the_report_counts_what_others_sent_and_changes_nothing(tmp_path):
    path = tmp_path / "account.budget"
    one, two = Bench(shared=path), Bench(shared=path)
    await one.ask(Lane.PLACE, 7, 1)
    before = path.read_bytes()
    assert [each.used for each in two.budget.report()] == [7, 1]
    assert path.read_bytes() == before
    path.write_bytes(b"damaged")
    assert [each.used for each in one.budget.report()] == [7, 1]
    for each in (one, two):
        each.budget.close()


async def test_one_that_dies_holding_the_file_leaves_nothing_stuck(tmp_path):
    path = tmp_path / "account.budget"
    holder = start(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    bench = Bench(shared=path)
    waiting = await bench.ask(Lane.CANCEL, 10)
    assert not waiting.done()
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    await asyncio.wait_for(waiting, 5)
    assert BudgetFile(path).change(lambda page: page.used(RULES[0].key, START // MINUTE)) == 10
    assert bench.told == []
    bench.budget.close()


async def test_one_that_holds_the_file_and_does_not_go_on_is_not_waited_for(tmp_path):
    path = tmp_path / "account.budget"
    holder = start(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    bench = Bench(shared=path)
    waiting = [await bench.ask(Lane.CANCEL, 60) for _ in range(2)]
    await bench.pass_time(1.1)
    assert [task.done() for task in waiting] == [True, False]
    assert [notice.kind for notice in bench.told] == ["limit"]
    holder.kill()
    holder.communicate()
    await bench.pass_time(0.1)
    assert BudgetFile(path).change(lambda page: page.used(RULES[0].key, START // MINUTE)) == 60
    assert not waiting[1].done()
    bench.budget.close()


async def test_without_a_usable_file_it_works_alone_and_says_so_once(tmp_path):
    (tmp_path / "folder").mkdir()
    bench = Bench(shared=tmp_path / "folder")
    tasks = [await bench.ask(Lane.CANCEL, 40) for _ in range(3)]
    assert [task.done() for task in tasks] == [True, True, False]
    assert len(bench.told) == 1
    assert "not shared" in bench.told[0].message
    bench.budget.close()


@pytest.mark.parametrize("damage", [b"", b"x", b"qbudget1" + b"\xff" * 800, b"\0" * 10_000])
async def test_a_damaged_file_counts_nothing_and_is_mended(tmp_path, damage):
    path = tmp_path / "account.budget"
    path.write_bytes(damage)
    bench = Bench(shared=path)
    assert (await bench.ask(Lane.CANCEL, 100)).done()
    other = Bench(shared=path)
    assert not (await other.ask(Lane.CANCEL, 1)).done()
    for each in (bench, other):
        each.budget.close()


async def test_a_file_that_was_removed_is_made_anew_with_what_was_counted(tmp_path):
    path = tmp_path / "account.budget"
    bench = Bench(shared=path)
    await bench.ask(Lane.CANCEL, 90)
    path.unlink()
    await bench.ask(Lane.CANCEL, 5)
    other = Bench(shared=path)
    assert not (await other.ask(Lane.CANCEL, 6)).done()
    for each in (bench, other):
        each.budget.close()


@given(
    st.lists(st.tuples(st.integers(0, 2**32), st.integers(0, 10**6), st.integers(0, 10**9)), max_size=30),
    st.integers(0, 2**62),
)
def test_a_page_comes_back_from_its_bytes(counts, banned_ns):
    page = Page()
    page.banned_ns = banned_ns
    for count in counts:
        page.add(*count)
    data = page.pack()
    assert Page.unpack(data).pack() == data
    assert all(Page.unpack(data).used(rule, window) == page.used(rule, window) for rule, window, _ in counts)


@given(st.binary(max_size=900))
def test_any_bytes_are_a_page(data):
    Page.unpack(data)


def test_the_file_lies_where_only_its_owner_can_read(tmp_path, monkeypatch):
    path = budget_path("binance-1", {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert path == tmp_path / "quantcli" / "binance-1.budget"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fallback = budget_path("binance-1", {})
    assert fallback == tmp_path / f"quantcli-{os.getuid()}" / "binance-1.budget"
    fallback.parent.chmod(0o755)
    assert budget_path("binance-1", {}) is None
    fallback.parent.rmdir()
    Path(fallback.parent).symlink_to(tmp_path / "quantcli")
    assert budget_path("binance-1", {}) is None
