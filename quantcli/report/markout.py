"""Mark-outs: how the market moved after our fills, which tells whom we traded with.

A mark-out at horizon h compares the middle of the last quote at or before fill + h with the price we got,
in basis points of that price and so that + is good for us.  The mean is weighted by value.  A fill whose
horizon lies beyond the data does not count.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from quantcli.clock import NS_PER_S
from quantcli.model.batch import Chunk, Columns, Floats, Ints
from quantcli.model.market import Channel
from quantcli.model.order import Fill

_Due = tuple[int, float, float]  # when to look, signed quantity, price paid


class _Horizon:
    """What waits for one horizon, by symbol and in order of time, and the sums of what has been seen."""

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self.gain = 0.0
        self.value = 0.0
        self.waiting: dict[str, deque[_Due]] = {}

    def settle(self, symbol: str, before_ns: int, times_ns: Ints, mids: Floats) -> None:
        """Look at everything due before `before_ns`; without any quote so far, a fill is passed over."""
        queue = self.waiting.get(symbol, ())
        while queue and queue[0][0] < before_ns:
            due_ns, qty, price = queue.popleft()
            row = int(times_ns.searchsorted(due_ns, side="right")) - 1
            if row >= 0:
                self.gain += qty * (float(mids[row]) - price)
                self.value += abs(qty) * price


class MarkOuts:
    """Mark-outs of a run, chunk by chunk.

    Fills are to be given in order of time, those within a chunk before that chunk.
    """

    def __init__(self, horizons_s: Sequence[int] = (1, 10, 60)) -> None:
        self._horizons = {f"{s}s": _Horizon(s * NS_PER_S) for s in horizons_s}
        self._last: dict[str, tuple[Ints, Floats]] = {}

    def on_fill(self, fill: Fill, at_ns: int) -> None:
        """Note a fill of ours, seen at `at_ns` (local time, as the quotes')."""
        qty, price = float(fill.qty) * fill.side.sign, float(fill.price)
        for horizon in self._horizons.values():
            queue = horizon.waiting.setdefault(fill.symbol, deque())
            queue.append((at_ns + horizon.length_ns, qty, price))

    def on_chunk(self, chunk: Chunk) -> None:
        """Settle what falls due before the chunk's last row; at its very time more may still come."""
        if not len(chunk):
            return
        quotes = {c.symbol: c for c in chunk.streams if c.channel is Channel.QUOTES}
        symbols = quotes.keys() | {s for h in self._horizons.values() for s, q in h.waiting.items() if q}
        for symbol in symbols:
            times_ns, mids = self._curve(symbol, quotes.get(symbol))
            for horizon in self._horizons.values():
                horizon.settle(symbol, int(chunk.local_ns[-1]), times_ns, mids)
            if len(mids):
                self._last[symbol] = (times_ns[-1:].copy(), mids[-1:].copy())

    def _curve(self, symbol: str, quotes: Columns | None) -> tuple[Ints, Floats]:
        """The middle of every two-sided quote of a chunk, with the last one of the chunks before."""
        times_ns, mids = self._last.get(symbol, (np.empty(0, np.int64), np.empty(0)))
        if quotes is None:
            return times_ns, mids
        bids, asks = quotes.data["bid"], quotes.data["ask"]
        two_sided = (bids > 0) & (asks > 0)
        return (
            np.concatenate((times_ns, quotes.local_ns[two_sided])),
            np.concatenate((mids, (bids[two_sided] + asks[two_sided]) / 2)),
        )

    def bps(self) -> dict[str, float | None]:
        """Mean mark-out by horizon, in basis points; `None` where no fill could be followed so far."""
        return {name: h.gain / h.value * 1e4 if h.value else None for name, h in self._horizons.items()}
