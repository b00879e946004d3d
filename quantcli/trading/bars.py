"""Candles out of trades, one by one (live) or by columns (replay), with the same digits either way.

Boundaries are multiples of the interval on local time.  Who notices that one has passed is the
engine's business: it says `close`.
"""

from typing import TYPE_CHECKING

from quantcli.config import parse_duration
from quantcli.errors import StrategyError, UsageError
from quantcli.model.market import Bar

if TYPE_CHECKING:  # a type only: a strategy file must not pay for numpy
    from quantcli.model.batch import Floats


def parse_interval(text: str) -> int:
    """Nanoseconds of a bar's interval, "1m" or "4h".  Raises `StrategyError`."""
    try:
        interval_ns = parse_duration(text)
    except UsageError:
        interval_ns = 0
    if interval_ns <= 0:
        raise StrategyError(f"{text!r} is not a bar's interval", todo='write it like bars = "1m" or "4h"')
    return interval_ns


class BarBuilder:
    """The bar of one symbol that is being formed.

    Volumes are summed in the order of the trades, so that both ways of adding give the same floats.
    """

    def __init__(self, symbol: str, interval_ns: int) -> None:
        self.symbol = symbol
        self.interval_ns = interval_ns
        self._last = 0.0
        self._end_ns = 0
        self._early: list[tuple[float, float, int]] = []
        self._clear()

    def _clear(self) -> None:
        self._open = self._high = self._low = self._last
        self._volume = self._quote_volume = 0.0
        self._trades = 0

    def add(self, price: float, size: float, local_ns: int) -> None:
        """Add one trade; one that comes after the boundary, but before `close`, waits for the next bar."""
        if not self._end_ns:
            self._end_ns = (local_ns // self.interval_ns + 1) * self.interval_ns
        if local_ns >= self._end_ns:
            self._early.append((price, size, local_ns))
            return
        if not self._trades:
            self._open = self._high = self._low = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._last = price
        self._volume += size
        self._quote_volume += price * size
        self._trades += 1

    def add_columns(self, prices: "Floats", sizes: "Floats") -> None:
        """Add consecutive trades of the present interval."""
        if not len(prices):
            return
        high, low = float(prices.max()), float(prices.min())
        if not self._trades:
            self._open, self._high, self._low = float(prices[0]), high, low
        self._high, self._low = max(self._high, high), min(self._low, low)
        self._last = float(prices[-1])
        self._volume = _sum_onto(self._volume, sizes.copy())
        self._quote_volume = _sum_onto(self._quote_volume, prices * sizes)
        self._trades += len(prices)

    def close(self, boundary_ns: int) -> Bar | None:
        """The bar that ends at `boundary_ns`; flat if nothing traded, `None` before the first trade."""
        bar = self._bar(boundary_ns) if self._last else None
        self._end_ns = boundary_ns + self.interval_ns
        self._clear()
        early, self._early = self._early, []
        for trade in early:
            self.add(*trade)
        return bar

    def _bar(self, boundary_ns: int) -> Bar:
        return Bar(
            symbol=self.symbol,
            exchange_ns=0,
            local_ns=boundary_ns,
            seq=0,
            open_ns=boundary_ns - self.interval_ns,
            interval_ns=self.interval_ns,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._last,
            volume=self._volume,
            quote_volume=self._quote_volume,
            trades=self._trades,
            is_closed=True,
        )


def _sum_onto(total: float, owned: "Floats") -> float:
    # `cumsum` adds from left to right, as a loop would; `sum` adds in pairs and rounds differently.
    owned[0] += total
    return float(owned.cumsum()[-1])
