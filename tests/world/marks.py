"""Whether anything interesting happened: a campaign in which one of these never did proves little.

`Marks.hit(name)` counts.  `EXPECTED` are those that every campaign of some hundred runs over honest exchanges
must reach, `RARE` those that take some thousands, `BREACHES` those that only exchanges that break their
contract bring about.
"""

from collections import Counter
from collections.abc import Iterable

EXPECTED = (
    "T2 seen working",
    "T3 end seen",
    "T4 refused",
    "T5 never left",
    "T6 in doubt",
    "T7 proved",
    "T8 last fill found",
    "T9 partly filled",
    "T12 vanished from look-ups",
    "accepted but not yet decided",
    "rejected after acceptance",
    "amendment applied",
    "amendment of an ended order",
    "answer lost",
    "both legs filled",
    "busy refusal",
    "cancelled by a stranger",
    "crash after a commit",
    "crash before a commit",
    "crash between effects",
    "crash during recovery",
    "deadline refused",
    "dust",
    "exit sized by its entry",
    "expired",
    "fill during cancel",
    "foreign order seen",
    "forgotten by the exchange",
    "halted: cancelled all",
    "halted: flattened",
    "held back in its group",
    "linked order cancelled by its sibling",
    "needs operator",
    "partition",
    "position moved without a trade",
    "probe hit",
    "probe unknown",
    "reduce-only trimmed",
    "resynchronised",
    "same request again",
    "second attempt",
    "sent again under the same id",
    "served by a copy that lags",
    "stop trailed",
    "stream lost",
    "unknown trade parked",
)
RARE = ("amendment below what has filled", "foreign order adopted")
BREACHES = ("T10 filled after its end", "T11 came back", "quarantine")


class Marks:
    """Counts by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self, name: str) -> None:
        """It happened once more."""
        self.counts[name] += 1

    def missing(self, expected: Iterable[str] = EXPECTED) -> list[str]:
        """What never happened."""
        return [name for name in expected if not self.counts[name]]
