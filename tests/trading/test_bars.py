"""Bars out of trades."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import StrategyError
from quantcli.trading.bars import BarBuilder, parse_interval

MINUTE = 60_000_000_000


def test_a_bar_holds_the_trades_of_its_interval() -> None:
    builder = BarBuilder("BTC/USDT", MINUTE)
    for i, (price, size) in enumerate([(10.0, 1.0), (12.0, 2.0), (9.0, 0.5), (11.0, 1.5)]):
        builder.add(price, size, 5 * MINUTE + i)
    bar = builder.close(6 * MINUTE)
    assert bar is not None
    assert (bar.open, bar.high, bar.low, bar.close) == (10.0, 12.0, 9.0, 11.0)
    assert (bar.volume, bar.quote_volume, bar.trades) == (5.0, 55.0, 4)
    assert (bar.open_ns, bar.local_ns, bar.interval_ns, bar.is_closed) == (
        5 * MINUTE,
        6 * MINUTE,
        MINUTE,
        True,
    )


def test_there_is_no_bar_before_the_first_trade() -> None:
    assert BarBuilder("BTC/USDT", MINUTE).close(MINUTE) is None


def test_an_interval_without_trades_is_flat_at_the_last_price() -> None:
    builder = BarBuilder("BTC/USDT", MINUTE)
    builder.add(10.0, 1.0, 1)
    builder.add(13.0, 1.0, 2)
    builder.close(MINUTE)
    bar = builder.close(2 * MINUTE)
    assert bar is not None
    assert (bar.open, bar.high, bar.low, bar.close) == (13.0,) * 4
    assert (bar.volume, bar.trades) == (0.0, 0)


def test_a_trade_that_arrives_after_the_boundary_belongs_to_the_next_bar() -> None:
    builder = BarBuilder("BTC/USDT", MINUTE)
    builder.add(10.0, 1.0, MINUTE - 1)
    builder.add(20.0, 2.0, MINUTE)
    builder.add(30.0, 3.0, 2 * MINUTE + 1)
    bars = [builder.close(n * MINUTE) for n in (1, 2, 3)]
    assert [(b.open, b.close, b.volume) for b in bars if b] == [
        (10.0, 10.0, 1.0),
        (20.0, 20.0, 2.0),
        (30.0, 30.0, 3.0),
    ]


TRADES = st.lists(
    st.tuples(st.floats(0.01, 1e5), st.floats(1e-8, 1e6), st.integers(0, 5 * MINUTE - 1)), max_size=60
).map(lambda trades: sorted(trades, key=lambda t: t[2]))


@given(TRADES, st.integers(1, 7))
def test_one_by_one_and_by_columns_give_the_same_bars(
    trades: list[tuple[float, float, int]], cut: int
) -> None:
    single, columns = BarBuilder("X/Y", MINUTE), BarBuilder("X/Y", MINUTE)
    for n in range(5):
        inside = [t for t in trades if t[2] // MINUTE == n]
        for trade in inside:
            single.add(*trade)
        for i in range(0, len(inside), cut):
            part = inside[i : i + cut]
            columns.add_columns(np.array([t[0] for t in part]), np.array([t[1] for t in part]))
        assert single.close((n + 1) * MINUTE) == columns.close((n + 1) * MINUTE)


def test_adding_columns_leaves_them_as_they_were() -> None:
    prices, sizes = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    builder = BarBuilder("X/Y", MINUTE)
    builder.add_columns(prices, sizes)
    builder.add_columns(prices, sizes)
    assert (prices.tolist(), sizes.tolist()) == ([1.0, 2.0], [3.0, 4.0])
    builder.add_columns(prices[:0], sizes[:0])
    bar = builder.close(MINUTE)
    assert bar is not None
    assert bar.volume == 14.0


def test_intervals() -> None:
    assert parse_interval("1m") == MINUTE
    assert parse_interval("4h") == 240 * MINUTE


@pytest.mark.parametrize("text", ["", "5", "m", "0s", "monthly", "-1m"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(StrategyError, match="is not a bar's interval"):
        parse_interval(text)
