"""Runs commands as whole processes and tells what each cost: CPU seconds, wall seconds, peak memory.

Cases are run in turn, round after round, so that a machine that slows down slows all of them; medians
and pairwise ratios are what to quote.
"""

import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """One finished process: CPU and wall in seconds, peak resident memory in MB."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def run(command: list[str]) -> Cost:
    """Run a command to its end; raises `RuntimeError` with its output if it fails."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}\n{said.decode()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


def rounds(cases: dict[str, list[str]], count: int) -> dict[str, list[Cost]]:
    """Costs of each case, one a round."""
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    for number in range(count):
        for name, command in cases.items():
            sys.stderr.write(f"\rround {number + 1} of {count}: {name:<40}")
            costs[name].append(run(command))
    sys.stderr.write("\r" + " " * 70 + "\r")
    return costs


def median(costs: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(statistics.median(figures) for figures in zip(*costs, strict=True)))


def ratio(a: list[Cost], b: list[Cost], figure: str) -> float:
    """Median over the rounds of a's figure by b's of the same round."""
    return statistics.median(getattr(x, figure) / getattr(y, figure) for x, y in zip(a, b, strict=True))
