"""Whom to look at next, and when: a delay queue of intent ids.

A key is in the queue at most once, at the earliest time anyone asked for; what was asked, and why, is
not kept: whoever takes a key out looks at the whole of it.  Keys due at the same time come out in the
order in which they were put at that time.  Knows nothing of clocks.
"""

from heapq import heappop, heappush


class WorkQueue:
    """Delay queue of keys; `len` counts the keys waiting."""

    __slots__ = ("_heap", "_turn", "_waiting")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._waiting: dict[str, tuple[int, int]] = {}  # what the heap holds beyond these is stale
        self._turn = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: str, at_ns: int) -> None:
        """Look at `key` at `at_ns`, or earlier if that was asked for before."""
        known = self._waiting.get(key)
        if known is not None and known[0] <= at_ns:
            return
        self._turn += 1
        self._waiting[key] = at_ns, self._turn
        heappush(self._heap, (at_ns, self._turn, key))

    def next_due(self) -> int | None:
        """Time of the first key; `None` if none waits."""
        heap, waiting = self._heap, self._waiting
        while heap:
            at_ns, turn, key = heap[0]
            if waiting.get(key) == (at_ns, turn):
                return at_ns
            heappop(heap)
        return None

    def pop_due(self, now_ns: int) -> tuple[str, int] | None:
        """Take out the first key that is due, with the time it was due at; `None` if none is."""
        heap, waiting = self._heap, self._waiting
        while heap and heap[0][0] <= now_ns:
            at_ns, turn, key = heappop(heap)
            if waiting.get(key) == (at_ns, turn):
                del waiting[key]
                return key, at_ns
        return None
