"""What this process takes of its machine: memory, processor, room on the disk.

Looks when it is asked; a figure that the system does not tell is 0.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_MB = 1 << 20


class Burden(NamedTuple):
    """`cpu_share` is of one processor, since the look before."""

    rss_mb: float
    cpu_share: float
    database_mb: float


class Machine:
    """The process that asks; `elapsed_ns` and `worked_ns` count its real time and its processor time."""

    def __init__(
        self,
        elapsed_ns: Callable[[], int] = time.monotonic_ns,
        worked_ns: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self._elapsed_ns, self._worked_ns = elapsed_ns, worked_ns
        self._before = elapsed_ns(), worked_ns()
        self._share = 0.0

    def look(self, database: Path | None = None) -> Burden:
        """How it is now; `database` counts with what belongs to it."""
        return Burden(_rss_mb(), self._cpu_share(), _size_mb(database) if database is not None else 0.0)

    def _cpu_share(self) -> float:
        now = self._elapsed_ns(), self._worked_ns()
        elapsed_ns = now[0] - self._before[0]
        if elapsed_ns > 0:
            self._share = (now[1] - self._before[1]) / elapsed_ns
            self._before = now
        return self._share


def _rss_mb() -> float:
    """Linux tells in pages, second of the line: proc(5)."""
    try:
        resident = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return resident * os.sysconf("SC_PAGE_SIZE") / _MB


def _size_mb(database: Path) -> float:
    """The database with its log of changes, which SQLite keeps beside it."""
    sizes = []
    for path in (database, database.with_name(f"{database.name}-wal")):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue
    return sum(sizes) / _MB
