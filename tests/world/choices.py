"""Where the choices of a world come from, each under a label.

    choose(n, label)          0 … n - 1
    chance(per_mille, label)  whether it happens
    weighted(odds, label)     an index, by odds made with `odds`
    pick(items, label)        one of several

Choice 0 is the ordinary one (no fault, first come first served, least delay), so that smaller means simpler.
A tape keeps the choices of each label apart: leaving one out moves no other label's, and a whole kind of
fault goes away with its label.  Knows nothing of what is chosen.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Protocol, TypeVar

T = TypeVar("T")
Odds = tuple[float, ...]
Tape = dict[str, list[int]]


def odds(*weights: float) -> Odds:
    """Weights of the indices 0, 1, … as shares that add up."""
    total = sum(weights)
    return tuple(share / total for share in accumulate(weights))


class Choices(Protocol):
    """A source of choices; `tape` holds those made so far."""

    tape: Tape

    def choose(self, n: int, label: str) -> int:
        """A number below `n`."""
        ...

    def chance(self, per_mille: int, label: str) -> bool:
        """True in so many of a thousand cases; a chance of 0 is no choice at all."""
        ...

    def weighted(self, odds: Odds, label: str) -> int:
        """An index of `odds`."""
        ...

    def pick(self, items: Sequence[T], label: str) -> T:
        """One of `items`, the first being the ordinary one."""
        ...


class Drawn:
    """By a seed; well under a microsecond each, because a lifecycle takes a hundred."""

    __slots__ = ("_random", "tape")

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random
        self.tape: Tape = {}

    def choose(self, n: int, label: str) -> int:
        """See `Choices`."""
        return self._note(label, int(self._random() * n))

    def chance(self, per_mille: int, label: str) -> bool:
        """See `Choices`."""
        return per_mille > 0 and self._note(label, int(self._random() * 1000 < per_mille)) == 1

    def weighted(self, odds: Odds, label: str) -> int:
        """See `Choices`."""
        return self._note(label, bisect_right(odds, self._random()))

    def pick(self, items: Sequence[T], label: str) -> T:
        """See `Choices`."""
        return items[self._note(label, int(self._random() * len(items)))]

    def _note(self, label: str, value: int) -> int:
        track = self.tape.get(label)
        if track is None:
            track = self.tape[label] = []
        track.append(value)
        return value


class _Numbered:
    """Choices of every kind made from `choose`."""

    tape: Tape

    def choose(self, n: int, label: str) -> int:
        """See `Choices`."""
        raise NotImplementedError

    def chance(self, per_mille: int, label: str) -> bool:
        """See `Choices`."""
        return per_mille > 0 and self.choose(2, label) == 1

    def weighted(self, odds: Odds, label: str) -> int:
        """See `Choices`."""
        return self.choose(len(odds), label)

    def pick(self, items: Sequence[T], label: str) -> T:
        """See `Choices`."""
        return items[self.choose(len(items), label)]


class Replayed(_Numbered):
    """From a tape; where it ends, 0.  `tape` is what was used of it."""

    def __init__(self, tape: Mapping[str, Sequence[int]]) -> None:
        self._source = tape
        self.tape: Tape = {}

    def choose(self, n: int, label: str) -> int:
        """See `Choices`."""
        track = self.tape.setdefault(label, [])
        source = self._source.get(label, ())
        value = min(source[len(track)], n - 1) if len(track) < len(source) else 0
        track.append(value)
        return value


class Odometer(_Numbered):
    """Every combination there is, one per round: `while odometer.turn(): …`."""

    def __init__(self) -> None:
        self.tape: Tape = {}
        self._wheels: list[tuple[int, int]] | None = None  # value, size
        self._at = 0

    def turn(self) -> bool:
        """Go to the next combination; False when all have been."""
        self.tape, self._at = {}, 0
        if self._wheels is None:
            self._wheels = []
            return True
        while self._wheels:
            value, size = self._wheels.pop()
            if value + 1 < size:
                self._wheels.append((value + 1, size))
                return True
        return False

    def choose(self, n: int, label: str) -> int:
        """See `Choices`."""
        assert self._wheels is not None, "turn first"
        if self._at == len(self._wheels):
            self._wheels.append((0, n))
        value, _ = self._wheels[self._at]
        self._at += 1
        self.tape.setdefault(label, []).append(value)
        return value
