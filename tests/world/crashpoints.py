"""Every place where a run can crash, one after the other.

points(schedule)       how many there are: before and after each commit, after each request
at_every(schedule)     the run again for each of them, dying exactly there
"""

from collections.abc import Callable, Iterator

from .choices import Choices
from .run import Outcome, run

Schedule = Callable[[], Choices]
_NEVER: frozenset[int] = frozenset()


def points(schedule: Schedule, acts: int = 0) -> int:
    """In how many places the run can crash."""
    return run(schedule(), acts=acts, crash_at=_NEVER).points


def at_every(schedule: Schedule, acts: int = 0, step: int = 1) -> Iterator[tuple[int, Outcome]]:
    """Outcomes of the runs that crash at each `step`-th place; `Violation` if a promise breaks."""
    for point in range(1, points(schedule, acts) + 1, step):
        yield point, run(schedule(), acts=acts, crash_at=frozenset({point}))
