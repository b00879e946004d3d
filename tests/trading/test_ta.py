"""Indicators: their values, when they are warm, and that they forget without changing."""

import math
from collections.abc import Callable

import pytest

from quantcli.errors import StrategyError
from quantcli.model.market import Bar
from quantcli.trading import ta

Bars = Callable[..., Bar]
CLOSES = [10.0, 11.0, 13.0, 12.0, 15.0, 14.0, 16.0]


def feed(indicator: ta.Stream, bars: list[Bar]) -> int:
    """Feed all bars; returns after how many it was ready."""
    ready_after = 0
    for n, bar in enumerate(bars, 1):
        indicator.add_bar(bar)
        if indicator.is_ready and not ready_after:
            ready_after = n
    return ready_after


def smoothed(start: float, values: list[float], share: float) -> float:
    """Move from `start` towards each value by `share` of the way."""
    for value in values:
        start += (value - start) * share
    return start


@pytest.mark.parametrize(
    ("indicator", "value"),
    [
        (ta.SMA(3), sum(CLOSES[-3:]) / 3),
        (ta.EMA(3), smoothed(sum(CLOSES[:3]) / 3, CLOSES[3:], share=2 / 4)),
        # Bars reach one up and one down from the close, and on to the close before.
        (ta.ATR(2), smoothed(2.0, [3.0, 2.0, 4.0, 2.0, 3.0], share=1 / 2)),
    ],
)
def test_values(indicator: ta.Line, value: float, bar: Bars) -> None:
    feed(indicator, [bar(n, close) for n, close in enumerate(CLOSES)])
    assert indicator.value == pytest.approx(value)


def test_rsi_is_100_when_it_only_rises(bar: Bars) -> None:
    rsi = ta.RSI(3)
    feed(rsi, [bar(n, 10.0 + n) for n in range(8)])
    assert rsi.value == 100.0


def test_channels(bar: Bars) -> None:
    channel, bands = ta.Donchian(3), ta.BollingerBands(3, 2.0)
    bars = [bar(n, close) for n, close in enumerate(CLOSES)]
    feed(channel, bars)
    feed(bands, bars)
    assert (channel.lower, channel.middle, channel.upper) == (13.0, 15.0, 17.0)
    width = 2 * math.sqrt(2 / 3)
    assert (bands.lower, bands.middle, bands.upper) == pytest.approx((15 - width, 15.0, 15 + width))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ta.EMA(5), lambda: ta.SMA(5), lambda: ta.RSI(5), lambda: ta.ATR(5),
        lambda: ta.Donchian(5), lambda: ta.BollingerBands(5),
    ],
)  # fmt: skip
def test_needed_is_the_bar_of_the_first_value(make: Callable[[], ta.Stream], bar: Bars) -> None:
    indicator = make()
    assert feed(indicator, [bar(n, 100.0 + n % 7) for n in range(20)]) == indicator.needed


@pytest.mark.parametrize("make", [ta.EMA, ta.SMA, ta.RSI, ta.ATR])
def test_forgetting_old_bars_changes_nothing(make: Callable[[int], ta.Line], bar: Bars) -> None:
    bars = [bar(n, 100.0 + (n * 7919) % 31) for n in range(1300)]
    forgetful, faithful = make(10), make(10)
    faithful._room = 10**9
    for each in bars:
        forgetful.add_bar(each)
        faithful.add_bar(each)
        assert forgetful.value == faithful.value or not faithful.is_ready
    assert len(forgetful._source) < 600


def test_lines_compare_and_compute_by_their_latest_value(bar: Bars) -> None:
    fast, slow = ta.SMA(1), ta.SMA(2)
    for n, close in enumerate(CLOSES):
        fast.add_bar(bar(n, close))
        slow.add_bar(bar(n, close))
    assert fast > slow
    assert slow < fast
    assert fast >= 16.0
    assert slow <= 15.0
    assert (2 * fast, fast - slow, 1 + slow, 20 - fast, fast / 2, 32 / fast) == (
        32.0,
        1.0,
        16.0,
        4.0,
        8.0,
        2.0,
    )
    assert float(slow) == 15.0


def test_before_it_is_warm_every_comparison_is_false() -> None:
    line = ta.EMA(3)
    assert not line > 0
    assert not line <= 0
    assert math.isnan(line.value)


@pytest.mark.parametrize("period", [0, -1, 2.5, "12", True])
def test_an_impossible_period_names_the_line(period: int) -> None:
    with pytest.raises(StrategyError, match=r"test_ta\.py:\d+: an indicator cannot have the period"):
        ta.EMA(period)
