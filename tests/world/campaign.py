"""The campaign: a million lifecycles with faults, every crash point, every mutant, and the page that says so.

    python -m tests.world.campaign [--runs LIFECYCLES] [--seed N] [--jobs N] [--page FILE]

    swarm         runs until so many lifecycles have met with faults; of ten runs six are ordinary, two lean
                  as some mutant needs it, one is at an exchange as shipped in `quantcli/venues`, and one (not
                  counted) at one that breaks its contract
    crash points  schedules, crashed at each place where they can, and at pairs
    mutants       each is hunted, for `HUNT` lifecycles at most
    determinism   seeds done again in processes with other hash seeds: equal to the last bit
    algebra       every order of reports gives the same outcome (tests/kernel/merge_algebra.py)
    marks         everything interesting has happened

Work is cut into tasks by seed, and what they count is added up in their order: the same seed gives the same
figures with any number of jobs.  The last line says how it went; the exit code is 1 if it went badly.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import msgspec

from .marks import BREACHES, EXPECTED
from .mutants import MUTANTS, Caught
from .regressions import write
from .workers import (
    SHIPPED,
    CrashTask,
    Finding,
    HuntTask,
    SwarmTask,
    Tally,
    crashes,
    digest,
    hunted,
    shrunk,
    swarm,
)

T = TypeVar("T")
R = TypeVar("R")

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden_digests.json")
FULL = 1_000_000
HUNT = 50_000  # lifecycles for one mutant
SCHEDULES, POINTS, PAIRS = 300, 20_000, 30  # of a full campaign; pairs of points for each schedule
REPEATED = 1_000  # seeds of a full campaign that are done twice
CHUNK = 50  # seeds in a task
TOLD = 5  # findings that are shrunk and told
_LEANS = {3: 0, 7: 1}  # of ten chunks, those whose worlds lean
_SHIPPED, _BREAKS = 5, 9
_HASH_SEEDS = ("1", "2")


class Results(msgspec.Struct):
    """What a campaign found; `unequal` are the seeds whose runs differ, `pythons` those that agreed."""

    runs: int
    seed: int
    swarm: Tally = msgspec.field(default_factory=Tally)
    last_seed: int = 0
    crashed: Tally = msgspec.field(default_factory=Tally)
    schedules: int = 0
    hunts: list[Caught | None] = []
    repeated: int = 0
    unequal: list[int] = []
    algebra: int = 0
    findings: list[Finding] = []
    files: list[str] = []
    seconds: float = 0.0

    @property
    def missed(self) -> list[str]:
        """Marks that were never reached."""
        marks = self.swarm.marks + self.crashed.marks
        missed = [name for name in EXPECTED if not marks[name]]
        return missed + [name for name in BREACHES if not self.swarm.breach_marks[name]]

    @property
    def violations(self) -> list[Finding]:
        """Every broken promise."""
        return self.swarm.findings + self.crashed.findings

    @property
    def is_good(self) -> bool:
        """Nothing broke, and nothing that should have been seen was not."""
        return not (self.violations or self.unequal or self.missed or None in self.hunts)

    @property
    def line(self) -> str:
        """The campaign in one line."""
        caught = sum(1 for hunt in self.hunts if hunt is not None)
        crashes, violations = self.swarm.crashes + self.crashed.crashes, len(self.violations)
        return (
            f"{self.swarm.lifecycles} lifecycles, {crashes} crashes, "
            f"{violations + len(self.unequal)} violations, {caught}/{len(self.hunts)} mutants caught"
        )


def in_order(
    pool: ProcessPoolExecutor, jobs: int, work: Callable[[T], R], tasks: Iterable[T]
) -> Iterator[tuple[T, R]]:
    """What the tasks give, in their order, a few of them ahead; stops when nobody asks for more."""
    ahead: list[tuple[T, Future[R]]] = []
    source = iter(tasks)
    try:
        while True:
            while len(ahead) < 3 * jobs and (task := next(source, None)) is not None:
                ahead.append((task, pool.submit(work, task)))
            if not ahead:
                return
            task, future = ahead.pop(0)
            yield task, future.result()
    finally:
        for _, future in ahead:
            future.cancel()


def swarm_tasks(seed: int) -> Iterator[SwarmTask]:
    """Chunks of seeds without end, a tenth of them at exchanges that break their contract."""
    exchanges = list(SHIPPED)
    for number in count():
        kind, first = number % 10, seed + number * CHUNK
        leaning = number // 10 * 2 + _LEANS[kind] if kind in _LEANS else None
        shipped = exchanges[number // 10 % len(exchanges)] if kind == _SHIPPED else ""
        yield SwarmTask(first, CHUNK, kind == _BREAKS, leaning, shipped)


class Campaign:
    """One campaign, part by part."""

    def __init__(self, runs: int, seed: int, jobs: int) -> None:
        self.results = Results(runs, seed)
        self._jobs, self._share = jobs, min(runs / FULL, 1.0)
        self._pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
        self._said_s = 0.0

    def run(self) -> Results:
        """All parts."""
        started_s = time.monotonic()
        try:
            for part in (self._swarm, self._crash_points, self._mutants, self._determinism, self._algebra):
                part()
            self._tell_findings()
        finally:
            self._pool.shutdown(cancel_futures=True)
        self.results.seconds = time.monotonic() - started_s
        return self.results

    def _swarm(self) -> None:
        results, total = self.results, self.results.swarm
        for task, tally in in_order(self._pool, self._jobs, swarm, swarm_tasks(results.seed)):
            for finding in tally.findings:
                sys.stderr.write(f"{finding.where}: {finding.name}: {finding.said}\n")
            total.add(tally)
            results.last_seed = task.first + task.number - 1
            self._say(f"swarm: {total.lifecycles} lifecycles, {len(total.findings)} violations")
            if total.lifecycles >= results.runs and task.breaks:
                return

    def _crash_points(self) -> None:
        results, total = self.results, self.results.crashed
        least, points = max(round(SCHEDULES * self._share), 1), max(round(POINTS * self._share), 1)
        tasks = (CrashTask(results.seed + n, PAIRS, None if n % 2 else n // 2) for n in count())
        for _, tally in in_order(self._pool, self._jobs, crashes, tasks):
            total.add(tally)
            results.schedules += 1
            self._say(f"crash points: {total.points} of {results.schedules} schedules")
            if results.schedules >= least and total.points >= points:
                return

    def _mutants(self) -> None:
        tasks = [HuntTask(index, HUNT) for index in range(len(MUTANTS))]
        for task, hunt in in_order(self._pool, self._jobs, hunted, tasks):
            self.results.hunts.append(hunt)
            self._say(f"mutants: {task.mutant + 1} of {len(MUTANTS)}")

    def _determinism(self) -> None:
        results = self.results
        results.repeated = max(round(REPEATED * self._share), 20)
        told = [digests(results.seed, results.repeated, hash_seed) for hash_seed in _HASH_SEEDS]
        one, other = (process.communicate()[0].split("\n") for process in told)
        results.unequal = [
            results.seed + n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b or "-" in a
        ]

    def _algebra(self) -> None:
        if importlib.util.find_spec("tests.kernel.merge_algebra") is None:
            return
        self._say("merge algebra")
        algebra = importlib.import_module("tests.kernel.merge_algebra")
        self.results.algebra = algebra.check_all()

    def _tell_findings(self) -> None:
        results = self.results
        told = [finding for _, finding in in_order(self._pool, self._jobs, shrunk, results.violations[:TOLD])]
        results.findings = told
        results.files = [write(finding) for finding in told]

    def _say(self, what: str) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= 10:
            self._said_s = now_s
            sys.stderr.write(f"{what}\n")


def digests(seed: int, number: int, hash_seed: str) -> subprocess.Popen[str]:
    """A process of its own that prints the hashes of so many runs, done twice each."""
    words = [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--digests", f"{seed}:{number}"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)


def print_digests(seed: int, number: int) -> None:
    """A line for each run; a dash in it says that the run differs from itself done again."""
    for each in range(seed, seed + number):
        one, again = digest(each), digest(each)
        sys.stdout.write(f"{one}\n" if one == again else f"{one} - {again}\n")


def golden_digests() -> dict[str, str]:
    """The digests that every Python must agree on, by seed."""
    return {str(seed): digest(seed) for seed in range(20)}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.world.campaign")
    parser.add_argument("--runs", type=int, default=FULL, help="lifecycles with faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "campaign.md")
    parser.add_argument("--digests", help=argparse.SUPPRESS)
    parser.add_argument("--golden", action="store_true", help="only write the golden digests anew")
    asked = parser.parse_args()
    if asked.golden:
        GOLDEN.write_text(json.dumps(golden_digests(), indent=1) + "\n", encoding="utf-8")
        return 0
    if asked.digests:
        print_digests(*map(int, asked.digests.split(":")))
        return 0
    results = Campaign(asked.runs, asked.seed, asked.jobs).run()
    asked.page.write_text(page(results), encoding="utf-8")
    sys.stdout.write(f"{results.line}\n")
    return 0 if results.is_good else 1


if __name__ == "__main__":
    from .campaign_page import page

    sys.exit(main())
