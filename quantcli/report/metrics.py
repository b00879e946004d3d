"""Figures of an equity curve: return against risk, drawdown.

Pure functions on arrays.  A year has 365 days, because these markets never close.  Ratios are taken from
returns over even steps (`sampling_ns`), without a risk-free rate.  What cannot be defined, such as a ratio to
no risk at all, is `None`, never NaN or infinite.
"""

from math import sqrt

import msgspec
import numpy as np

from quantcli.clock import NS_PER_S
from quantcli.model.batch import Floats, Ints

_HOUR_NS = 3600 * NS_PER_S
_MINUTE_NS = 60 * NS_PER_S
_DAY_NS = 24 * _HOUR_NS
_YEAR_NS = 365 * _DAY_NS
# Below this part of the mean, a deviation is the noise of floating point.
_NOISE = 1e-12


class Drawdown(msgspec.Struct, frozen=True):
    """The deepest fall of a curve from a peak: as a fraction of the peak, as an amount, and the time from
    that peak until the curve was there again, or until its end."""

    fraction: float
    amount: float
    duration_ns: int


def sampling_ns(from_ns: int, to_ns: int) -> int:
    """The step that returns are taken over: an hour for runs longer than two days, else a minute."""
    return _HOUR_NS if to_ns - from_ns > 2 * _DAY_NS else _MINUTE_NS


def resample(times_ns: Ints, values: Floats, step_ns: int) -> Floats:
    """The curve at every `step_ns` from its first point on: the last value at or before each.  What is
    left of the last step is dropped."""
    grid = np.arange(times_ns[0], times_ns[-1] + 1, step_ns)
    return values[np.searchsorted(times_ns, grid, side="right") - 1]


def returns(values: Floats) -> Floats:
    """Relative change from each value to the next; empty if a value is not positive, as no return is
    defined then."""
    if len(values) < 2 or not np.all(values > 0):
        return np.empty(0)
    return np.diff(values) / values[:-1]


def volatility(changes: Floats, step_ns: int) -> float | None:
    """Standard deviation of returns (n - 1), for a year; `None` for fewer than two."""
    if len(changes) < 2:
        return None
    return _finite(float(np.std(changes, ddof=1)) * sqrt(_YEAR_NS / step_ns))


def sharpe(changes: Floats, step_ns: int) -> float | None:
    """Mean return by its standard deviation, for a year (Sharpe 1994, with a risk-free rate of 0)."""
    if len(changes) < 2:
        return None
    return _ratio(float(np.mean(changes)), float(np.std(changes, ddof=1)), step_ns)


def sortino(changes: Floats, step_ns: int) -> float | None:
    """Mean return by the root mean square of the negative ones over all steps, for a year (Sortino and
    Price 1994, with a target of 0)."""
    if len(changes) < 2:
        return None
    downside = sqrt(float(np.mean(np.minimum(changes, 0.0) ** 2)))
    return _ratio(float(np.mean(changes)), downside, step_ns)


def max_drawdown(times_ns: Ints, values: Floats) -> Drawdown | None:
    """The deepest fall, relative to its peak; `None` without values or without a positive peak."""
    if not len(values) or not values[0] > 0:
        return None
    peaks: Floats = np.maximum.accumulate(values)
    falls = (peaks - values) / peaks
    low = int(np.argmax(falls))
    if not falls[low] > 0:
        return Drawdown(0.0, 0.0, 0)
    peak = float(peaks[low])
    top = int(np.flatnonzero(values[: low + 1] == peak)[-1])
    back = np.flatnonzero(values[low:] >= peak)
    until = low + int(back[0]) if len(back) else len(values) - 1
    return Drawdown(float(falls[low]), peak - float(values[low]), int(times_ns[until] - times_ns[top]))


def _ratio(mean: float, risk: float, step_ns: int) -> float | None:
    if not risk > abs(mean) * _NOISE:
        return None
    return _finite(mean / risk * sqrt(_YEAR_NS / step_ns))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
