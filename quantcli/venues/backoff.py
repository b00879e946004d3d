"""Pauses that grow while something keeps failing, and scatter so that many who fail do not come back as one.

Rolls no dice itself: who makes one hands in something that gives numbers from 0 to 1.
"""

from collections.abc import Callable


class Backoff:
    """Pauses of `first` doubling to `most`, each shortened by up to half of it.  Any unit of time."""

    def __init__(self, first: float, most: float, dice: Callable[[], float]) -> None:
        self._first, self._most, self._dice = first, most, dice
        self._next = first

    def next(self) -> float:
        """The next pause."""
        pause, self._next = self._next, min(self._next * 2, self._most)
        return pause * (0.5 + 0.5 * self._dice())

    def hold_off(self) -> None:
        """Make the next pause as long as any: trying soon would change nothing."""
        self._next = self._most

    def reset(self) -> None:
        """Begin again with the shortest."""
        self._next = self._first
