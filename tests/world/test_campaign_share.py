"""A share of the campaign for every day: lifecycles with faults, crash points, and no promise broken."""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

import pytest

from tests.world import campaign
from tests.world.choices import Replayed
from tests.world.run import Outcome
from tests.world.workers import CrashTask, Settings, SwarmTask, Tally, crashes, played, swarm

LIFECYCLES = 12_000


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def test_lifecycles_with_faults_break_no_promise(pool, capsys):
    total = Tally()
    for _, tally in campaign.in_order(pool, 2, swarm, campaign.swarm_tasks(0)):
        total.add(tally)
        if total.lifecycles >= LIFECYCLES:
            break
    with capsys.disabled():
        sys.stdout.write(f"\n{total.lifecycles} lifecycles with faults, {total.crashes} crashes\n")
    assert [(finding.where, finding.name, finding.said) for finding in total.findings] == []
    assert total.crashes > 1_000
    assert total.calm < total.lifecycles / 10


def test_every_crash_point_of_ten_schedules_breaks_no_promise(pool):
    total = Tally()
    tasks = [CrashTask(seed, pairs=5, leaning=seed if seed % 2 else None, acts=5) for seed in range(10)]
    for _, tally in campaign.in_order(pool, 2, crashes, tasks):
        total.add(tally)
    assert [(finding.where, finding.name, finding.said) for finding in total.findings] == []
    assert total.points > 300


def test_work_gives_the_same_however_it_is_cut():
    whole = swarm(SwarmTask(0, 12))
    parts = Tally()
    for first in (0, 5, 10):
        parts.add(swarm(SwarmTask(first, 5 if first < 10 else 2)))
    assert parts == whole


def test_tasks_come_in_their_order_and_one_in_ten_breaks_the_contract():
    tasks = list(islice(campaign.swarm_tasks(7), 20))
    assert [task.first for task in tasks] == [7 + campaign.CHUNK * n for n in range(20)]
    assert sum(task.breaks for task in tasks) == 2
    assert [task.leaning for task in tasks if task.leaning is not None] == [0, 1, 2, 3]


def test_a_run_that_breaks_a_promise_is_kept_whole(monkeypatch):
    monkeypatch.setattr("quantcli.kernel.resolver.missing", lambda *_: ())
    tally = swarm(SwarmTask(0, 80))
    assert tally.findings
    finding = tally.findings[0]
    again = played(Replayed(finding.tape), finding.settings)[1]
    assert not isinstance(again, Outcome)
    assert (again.name, again.story) == (finding.name, finding.said)


def test_an_error_of_the_kernel_is_a_finding(monkeypatch):
    def fails(*_):
        raise KeyError("gone")

    monkeypatch.setattr("quantcli.kernel.reconcile._place", fails)
    ended = played(Replayed({}), Settings())[1]
    assert not isinstance(ended, Outcome)
    assert ended.name == "error"


@pytest.mark.parametrize("missing", ["violation", "mutant", "mark", "digest"])
def test_a_campaign_is_good_only_if_nothing_is_amiss(missing):
    results = campaign.Results(1, 0)
    results.swarm.marks.update(campaign.EXPECTED)
    results.swarm.breach_marks.update(campaign.BREACHES)
    assert results.is_good
    if missing == "violation":
        results.crashed.findings = [campaign.Finding("seed 1", "I1", "two", {})]
    elif missing == "mutant":
        results.hunts = [None]
    elif missing == "mark":
        results.swarm.marks["T7 proved"] = 0
    else:
        results.unequal = [3]
    assert not results.is_good


def test_the_last_line_says_it_all():
    results = campaign.Results(1, 0, hunts=[None])
    results.swarm.lifecycles, results.swarm.crashes, results.crashed.crashes = 12, 3, 4
    assert results.line == "12 lifecycles, 7 crashes, 0 violations, 0/1 mutants caught"
