"""Which rows of a chunk the kernel must be shown, for the orders that follow the market's price.

A market without such orders costs nothing.  One that has them is walked from quote to quote: every row at
which its best bid or ask changes is a stop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable

from quantcli.model.batch import Chunk
from quantcli.runtime.plan import Changes
from quantcli.trading.market import Reads


class FollowedQuotes:
    """The quotes of followed markets, in one chunk after another; `follows` says which markets are."""

    def __init__(self, symbols: Iterable[str], follows: Callable[[str], bool]) -> None:
        self._symbols = tuple(symbols)
        self._follows = follows
        self._changes = Changes()
        self._chunk: Chunk | None = None
        self._rows: dict[str, list[int]] = {}

    def load(self, chunk: Chunk) -> None:
        """Turn to the next chunk."""
        if self._chunk is not None:
            self._changes.remember(self._chunk)
        self._chunk = chunk
        self._rows = {}

    def next_row(self, start: int, stop: int) -> tuple[int, str]:
        """The first row from `start` on, before `stop`, at which a followed market's best prices change, and
        the market; `stop` and no name if there is none."""
        found, name = stop, ""
        for symbol in self._symbols:
            if self._follows(symbol):
                rows = self._of(symbol)
                place = bisect_left(rows, start)
                if place < len(rows) and rows[place] < found:
                    found, name = rows[place], symbol
        return found, name

    def _of(self, symbol: str) -> list[int]:
        rows = self._rows.get(symbol)
        if rows is None:
            assert self._chunk is not None
            rows = self._rows[symbol] = self._changes.rows(self._chunk, symbol, int(Reads.PRICE)).tolist()
        return rows
