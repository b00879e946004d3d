"""Drift: for how long wishes and the exchange differed.

They differ from when an order is placed until the exchange has answered, and from when its cancel is sent
until it has ended.  A modification is both, one after the other, and so one episode of its wish.  Pure
functions on placements; all times in nanoseconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from sys import maxsize

from quantcli.report.run import OrderRow

Span = tuple[int, int]

# The end of a span that has not ended.
OPEN = maxsize


def episodes(rows: Iterable[OrderRow]) -> list[Span]:
    """Every episode of every wish: from and until when it differed from the exchange."""
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for row in rows:
        spans[row.intent_id] += _differing(row)
    return [episode for of_one in spans.values() for episode in _union(of_one)]


def share(differing: Sequence[Span], from_ns: int, to_ns: int) -> float | None:
    """Share of the time, 0..1, in which some wish differed; `None` if there was no time."""
    if to_ns <= from_ns:
        return None
    inside = (min(end, to_ns) - max(start, from_ns) for start, end in _union(differing))
    return sum(max(0, length) for length in inside) / (to_ns - from_ns)


def _differing(row: OrderRow) -> Iterator[Span]:
    ended_ns = OPEN if row.ended_ns is None else row.ended_ns
    yield row.placed_ns, ended_ns if row.acked_ns is None else row.acked_ns
    if row.cancel_ns is not None:
        yield row.cancel_ns, ended_ns


def _union(spans: Iterable[Span]) -> Iterator[Span]:
    """The spans that cover the same time, in order and apart; those that touch are one."""
    start, end = 0, -1
    for next_start, next_end in sorted(spans):
        if next_start > end:
            if end >= start:
                yield start, end
            start, end = next_start, next_end
        end = max(end, next_end)
    if end >= start:
        yield start, end
