"""From a failing tape to a small one that fails alike: whole labels first, then spans, then single choices.

shrink(tape, fails, budget) -> Tape        `fails(tape)` tells whether the same promise breaks
"""

from collections.abc import Callable, Iterator

from .choices import Tape


def shrink(tape: Tape, fails: Callable[[Tape], bool], budget: int = 2_000) -> Tape:
    """The smallest failing tape found within `budget` runs; the one given must fail."""
    return _Shrinking(tape, fails, budget).run()


def size(tape: Tape) -> tuple[int, int]:
    """How simple a tape is: its choices other than 0, and their sum."""
    values = [value for track in tape.values() for value in track]
    return sum(1 for value in values if value), sum(values)


class _Shrinking:
    def __init__(self, tape: Tape, fails: Callable[[Tape], bool], budget: int) -> None:
        self.best, self._fails, self._left = _trimmed(tape), fails, budget

    def run(self) -> Tape:
        before = None
        while before != self.best and self._left > 0:
            before = self.best
            for simpler in (self._without_labels, self._without_spans, self._with_lower_values):
                simpler()
        return self.best

    def _try(self, candidate: Tape) -> bool:
        candidate = _trimmed(candidate)
        if self._left <= 0 or candidate == self.best:
            return False
        self._left -= 1
        if not self._fails(candidate):
            return False
        self.best = candidate
        return True

    def _without_labels(self) -> None:
        """A kind of fault at a time."""
        for label in sorted(self.best, key=lambda label: -len(self.best[label])):
            if label in self.best:
                self._try({other: track for other, track in self.best.items() if other != label})

    def _without_spans(self) -> None:
        """Parts of a track, large ones first: left out, or made ordinary."""
        for label in list(self.best):
            length = max(len(self.best.get(label, ())) // 2, 1)
            while length:
                self._without_spans_of(label, length)
                length //= 2

    def _without_spans_of(self, label: str, length: int) -> None:
        start = 0
        while start < len(track := self.best.get(label, [])) and self._left > 0:
            before, span, after = track[:start], track[start : start + length], track[start + length :]
            if any(span) and self._try({**self.best, label: before + after}):
                continue
            if any(span):
                self._try({**self.best, label: before + [0] * len(span) + after})
            start += length

    def _with_lower_values(self) -> None:
        for label in list(self.best):
            for index in range(len(self.best.get(label, ()))):
                for lower in self._lower(label, index):
                    track = list(self.best[label])
                    track[index] = lower
                    if self._try({**self.best, label: track}):
                        break

    def _lower(self, label: str, index: int) -> Iterator[int]:
        track = self.best.get(label, [])
        value = track[index] if index < len(track) else 0
        yield from sorted({lower for lower in (0, value // 2, value - 1) if 0 <= lower < value})


def _cut_zeros(track: list[int]) -> list[int]:
    end = len(track)
    while end and not track[end - 1]:
        end -= 1
    return track[:end]


def _trimmed(tape: Tape) -> Tape:
    """Without what a replay takes for granted: zeros at the end."""
    return {label: cut for label, track in tape.items() if (cut := _cut_zeros(track))}
