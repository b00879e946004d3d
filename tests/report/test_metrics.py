"""Figures of equity curves, against cases worked out by hand and plain formulas."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.report import metrics

S = 1_000_000_000
HOUR, DAY = 3600 * S, 86400 * S
YEAR_MINUTES = 365 * 24 * 60


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def times(*seconds: int) -> np.ndarray:
    return np.array(seconds, np.int64) * S


def test_returns_are_taken_by_the_minute_and_over_two_days_by_the_hour() -> None:
    assert metrics.sampling_ns(0, 2 * DAY) == 60 * S
    assert metrics.sampling_ns(0, 2 * DAY + 1) == HOUR


def test_a_curve_is_resampled_to_the_last_value_at_or_before_each_step() -> None:
    curve = metrics.resample(times(0, 59, 60, 61, 200, 239), array(1, 2, 3, 4, 5, 6), 60 * S)
    assert curve.tolist() == [1, 3, 4, 4]


def test_returns_are_relative_changes() -> None:
    assert metrics.returns(array(100, 110, 99)).tolist() == pytest.approx([0.1, -0.1])


@pytest.mark.parametrize("values", [[100.0], [], [100.0, 0.0, 50.0], [100.0, -5.0]])
def test_no_returns_without_two_positive_values(values: list[float]) -> None:
    assert len(metrics.returns(np.array(values))) == 0


def test_sharpe_sortino_and_volatility_by_hand() -> None:
    changes = array(0.01, -0.02, 0.03, 0.0)
    # mean 0.005; squared deviations 25, 625, 625, 25 (millionths): sum 0.0013; negative squares: 0.0004
    deviation = math.sqrt(0.0013 / 3)
    year = math.sqrt(YEAR_MINUTES)
    assert metrics.volatility(changes, 60 * S) == pytest.approx(deviation * year)
    assert metrics.sharpe(changes, 60 * S) == pytest.approx(0.005 / deviation * year)
    assert metrics.sortino(changes, 60 * S) == pytest.approx(0.005 / math.sqrt(0.0004 / 4) * year)


@given(st.lists(st.integers(-999, 999).map(lambda n: n / 1e4), min_size=2, max_size=40))
def test_ratios_equal_plain_formulas_or_are_undefined(sample: list[float]) -> None:
    mean, deviation = statistics.fmean(sample), statistics.stdev(sample)
    found = metrics.sharpe(np.array(sample), HOUR)
    if found is None:
        assert deviation <= abs(mean) * 1e-9
    elif deviation > abs(mean) * 1e-9:
        assert found == pytest.approx(mean / deviation * math.sqrt(365 * 24), rel=1e-6, abs=1e-9)
    below = math.sqrt(sum(min(r, 0.0) ** 2 for r in sample) / len(sample))
    found = metrics.sortino(np.array(sample), HOUR)
    if found is not None:
        assert found == pytest.approx(mean / below * math.sqrt(365 * 24), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("sample", [[], [0.01], [0.01, 0.01, 0.01], [0.0, 0.0]])
def test_ratios_without_risk_are_undefined(sample: list[float]) -> None:
    changes = np.array(sample, np.float64)
    assert metrics.sharpe(changes, HOUR) is None
    assert metrics.sortino(changes, HOUR) is None


def test_volatility_of_a_still_curve_is_zero_and_of_one_return_undefined() -> None:
    assert metrics.volatility(array(0, 0, 0), HOUR) == 0
    assert metrics.volatility(array(0.1), HOUR) is None


def test_a_drawdown_is_measured_from_its_peak_to_its_recovery() -> None:
    fall = metrics.max_drawdown(times(0, 10, 20, 30, 40, 50, 60), array(100, 120, 90, 100, 119, 120, 130))
    assert fall == metrics.Drawdown(0.25, 30, 40 * S)


def test_a_drawdown_that_never_recovers_lasts_to_the_end() -> None:
    fall = metrics.max_drawdown(times(0, 10, 20, 30), array(100, 120, 60, 110))
    assert fall == metrics.Drawdown(0.5, 60, 20 * S)


def test_a_drawdown_starts_at_the_last_moment_of_its_peak() -> None:
    fall = metrics.max_drawdown(times(0, 10, 20, 30), array(100, 100, 50, 100))
    assert fall == metrics.Drawdown(0.5, 50, 20 * S)


def test_the_deepest_drawdown_is_the_deepest_relative_to_its_peak() -> None:
    fall = metrics.max_drawdown(times(0, 1, 2, 3, 4), array(10, 5, 100, 60, 100))
    assert fall is not None
    assert (fall.fraction, fall.amount) == (0.5, 5)


def test_a_rising_curve_has_no_drawdown_and_an_empty_one_none_defined() -> None:
    assert metrics.max_drawdown(times(0, 1), array(1, 2)) == metrics.Drawdown(0, 0, 0)
    assert metrics.max_drawdown(times(), array()) is None
    assert metrics.max_drawdown(times(0, 1), array(0, 2)) is None


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=40))
def test_the_drawdown_equals_a_search_through_all_pairs(values: list[float]) -> None:
    fall = metrics.max_drawdown(times(*range(len(values))), np.array(values))
    assert fall is not None
    deepest = max((a - b) / a for i, a in enumerate(values) for b in values[i:])
    assert fall.fraction == pytest.approx(deepest)
