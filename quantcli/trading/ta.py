"""Indicators for `m.use(...)`: talipp's streams under the names a strategy writes.

    m.fast, m.slow = m.use(ta.EMA(12)), m.use(ta.EMA(26))
    if m.fast > m.slow: ...

A line compares and computes by its latest value, which is NaN until it is warm (so every comparison
is false).  The mathematics is talipp's; this module only feeds it closed bars and forgets old ones.
"""

from math import nan
from typing import Any

from talipp import indicators
from talipp.ohlcv import OHLCV

from quantcli.errors import StrategyError
from quantcli.model.market import Bar
from quantcli.trading.blame import calling_line

# talipp remembers every input.  A stream that has grown to this many times what it needs is cut back
# to half of that, at least this many bars: it must never shrink to where talipp would start over.
_KEEP_TIMES = 8
_KEEP_MIN = 512


class Stream:
    """A talipp indicator fed with bars; `needed` is how many it takes until the first value."""

    takes_bars = False  # high and low matter too, not only the close

    def __init__(self, source: Any, needed: int) -> None:
        self.needed = needed
        self._source = source
        self._latest: Any = None
        self._room = max(_KEEP_MIN, _KEEP_TIMES * needed)

    @property
    def is_ready(self) -> bool:
        """It has a value."""
        return self._latest is not None

    def add_bar(self, bar: Bar) -> None:
        """Take the next closed bar."""
        source = self._source
        source.add(
            OHLCV(bar.open, bar.high, bar.low, bar.close, bar.volume) if self.takes_bars else bar.close
        )
        self._latest = self._value_of(source[-1])
        if len(source) >= self._room:
            source.purge_oldest(self._room // 2)

    def _value_of(self, output: Any) -> Any:
        return output


class Line(Stream):
    """An indicator with one value, which stands for it in comparisons and arithmetic."""

    @property
    def value(self) -> float:
        """The latest value, NaN until warm."""
        return nan if self._latest is None else float(self._latest)

    def __float__(self) -> float:
        return self.value

    def __lt__(self, other: "float | Line") -> bool:
        return self.value < float(other)

    def __le__(self, other: "float | Line") -> bool:
        return self.value <= float(other)

    def __gt__(self, other: "float | Line") -> bool:
        return self.value > float(other)

    def __ge__(self, other: "float | Line") -> bool:
        return self.value >= float(other)

    def __add__(self, other: "float | Line") -> float:
        return self.value + float(other)

    def __sub__(self, other: "float | Line") -> float:
        return self.value - float(other)

    def __mul__(self, other: "float | Line") -> float:
        return self.value * float(other)

    def __truediv__(self, other: "float | Line") -> float:
        return self.value / float(other)

    def __radd__(self, other: float) -> float:
        return other + self.value

    def __rsub__(self, other: float) -> float:
        return other - self.value

    def __rmul__(self, other: float) -> float:
        return other * self.value

    def __rtruediv__(self, other: float) -> float:
        return other / self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value:g})"


class EMA(Line):
    """Exponential moving average of closes, started with their simple mean."""

    def __init__(self, period: int) -> None:
        super().__init__(indicators.EMA(_period(period)), period)


class SMA(Line):
    """Simple moving average of closes."""

    def __init__(self, period: int) -> None:
        super().__init__(indicators.SMA(_period(period)), period)


class RSI(Line):
    """Relative strength index of closes, Wilder's smoothing; 0..100."""

    def __init__(self, period: int = 14) -> None:
        super().__init__(indicators.RSI(_period(period, least=2)), period + 1)


class ATR(Line):
    """Average true range, Wilder's smoothing; in quote currency."""

    takes_bars = True

    def __init__(self, period: int = 14) -> None:
        super().__init__(indicators.ATR(_period(period)), period)


class Bands(Stream):
    """An indicator with a lower, a middle and an upper line; each NaN until warm."""

    def _value_of(self, output: Any) -> tuple[float, float, float] | None:
        return None if output is None else (output.lb, output.cb, output.ub)

    @property
    def lower(self) -> float:
        """The lower line."""
        return nan if self._latest is None else float(self._latest[0])

    @property
    def middle(self) -> float:
        """The middle line."""
        return nan if self._latest is None else float(self._latest[1])

    @property
    def upper(self) -> float:
        """The upper line."""
        return nan if self._latest is None else float(self._latest[2])


class Donchian(Bands):
    """Lowest low and highest high of the last bars, the newest one included."""

    takes_bars = True

    def __init__(self, period: int = 20) -> None:
        super().__init__(indicators.DonchianChannels(_period(period)), period)


class BollingerBands(Bands):
    """Simple moving average of closes, and `width` standard deviations to either side."""

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        super().__init__(indicators.BB(_period(period), width), period)


def _period(period: int, least: int = 1) -> int:
    if not isinstance(period, int) or isinstance(period, bool) or period < least:
        raise StrategyError(
            f"{calling_line()}: an indicator cannot have the period {period!r}",
            todo=f"give a whole number of bars, {least} or more",
        )
    return period
