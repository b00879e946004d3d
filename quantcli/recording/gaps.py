"""Breaks in what an exchange sent: ids that should follow each other and do not.

Looks at a stream's rows in order and remembers the last id; keeps no book (that is `codecs.depth`).
What to do about a break is for others to say.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quantcli.model.batch import Columns, Ints
from quantcli.model.market import Channel

# Exchanges whose trade ids rise by one from trade to trade of a market; elsewhere a jump says nothing.
_COUNTED_TRADES = frozenset({"binance"})


class Break(NamedTuple):
    """What is missing before the row at `at_ns`, and after the one at `after_ns`: how many ids, and which, in
    words."""

    at_ns: int
    ids: int
    detail: str
    after_ns: int


class SequenceWatch:
    """The ids of one stream (one channel of one symbol).

    `last` is the last of them and `last_ns` the time of its row: what a watch that goes on begins with.
    """

    __slots__ = ("_counted", "last", "last_ns")

    def __init__(self, exchange: str, last: int = 0, last_ns: int = 0) -> None:
        self._counted = exchange in _COUNTED_TRADES
        self.last = last
        self.last_ns = last_ns

    def see(self, rows: Columns) -> list[Break]:
        """The breaks in and before the next rows of the stream."""
        if rows.channel is Channel.BOOK:
            return self._book(rows)
        if rows.channel in {Channel.TRADES, Channel.AGG_TRADES} and self._counted:
            return self._steps(rows, "trade_id", np.ones(len(rows), np.int64))
        if rows.channel is Channel.BARS:
            return self._steps(rows, "open_ns", rows.data["interval_ns"])
        return []

    def _steps(self, rows: Columns, name: str, step: Ints) -> list[Break]:
        number = rows.data[name]
        before = self._shifted(number)
        jump = number - before
        broken = (before > 0) & (jump != 0) & (jump != step)
        ids = np.maximum(np.abs(jump) // step - (jump > 0), 1)
        return self._breaks(rows.local_ns, broken, ids, name, number=number, before=before)

    def _book(self, rows: Columns) -> list[Break]:
        """Snapshots stand outside the sequence, and so do messages older than what was seen."""
        diffs = ~rows.data["is_snapshot"]
        first, last, prev = (rows.data[name][diffs] for name in ("first_id", "last_id", "prev_id"))
        newest = np.maximum.accumulate(np.maximum(last, self.last))
        before = self._shifted(newest)
        follows = np.where(prev > 0, prev == before, first <= before + 1)
        broken = (before > 0) & (last > before) & ~follows
        number = np.where(prev > 0, prev, first)
        one = np.ones_like(last)
        return self._breaks(rows.local_ns[diffs], broken, one, "update_id", number=number, before=before)

    def _shifted(self, number: Ints) -> Ints:
        """For each row the number of the one before; the last becomes what the next call begins with."""
        if not len(number):
            return number
        before = np.concatenate(([self.last], number[:-1]))
        self.last = int(number[-1])
        return before

    def _breaks(
        self,
        local_ns: Ints,
        broken: npt.NDArray[np.bool_],
        ids: Ints,
        name: str,
        *,
        number: Ints,
        before: Ints,
    ) -> list[Break]:
        found = [
            Break(
                int(local_ns[i]),
                int(ids[i]),
                f"{name} {number[i]} after {before[i]}",
                int(local_ns[i - 1]) if i else self.last_ns,
            )
            for i in np.flatnonzero(broken)
        ]
        if len(local_ns):
            self.last_ns = int(local_ns[-1])
        return found
