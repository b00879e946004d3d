"""Virtual time: what happens when, and in which order if at once (first come, first served)."""

import heapq
from collections.abc import Callable
from typing import Any

START_NS = 1_750_000_000 * 1_000_000_000


class Timeline:
    """A heap of things to do; `now_ns` is the true time, and our own clock."""

    __slots__ = ("_heap", "_turn", "now_ns")

    def __init__(self) -> None:
        self.now_ns = START_NS
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._turn = 0

    def at(self, ns: int, act: Callable[..., None], *args: Any) -> None:
        """Have something done at a time that is not past."""
        self._turn += 1
        heapq.heappush(self._heap, (max(ns, self.now_ns), self._turn, act, args))

    def after(self, delay_ns: int, act: Callable[..., None], *args: Any) -> None:
        """Have something done later."""
        self._turn += 1
        heapq.heappush(self._heap, (self.now_ns + delay_ns, self._turn, act, args))

    def next_ns(self) -> int | None:
        """When the next thing is to be done."""
        return self._heap[0][0] if self._heap else None

    def do_next(self) -> None:
        """Go there and do it."""
        self.now_ns, _, act, args = heapq.heappop(self._heap)
        act(*args)

    def __len__(self) -> int:
        return len(self._heap)
