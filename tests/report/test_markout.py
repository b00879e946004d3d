"""Mark-outs: the middle of the market some time after our fills."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantcli.model.batch import Chunk, Columns
from quantcli.model.instrument import Side
from quantcli.model.market import Channel
from quantcli.model.order import Fill
from quantcli.report.markout import MarkOuts

S = 1_000_000_000
Quote = tuple[int, float, float]


def chunk(*quotes: Quote, symbol: str = "BTC/USDT", until_s: float | None = None) -> Chunk:
    """Quotes (seconds, bid, ask) of one market, perhaps with a trade of another market at the end."""
    streams = [_columns(Channel.QUOTES, symbol, quotes)]
    if until_s is not None:
        streams.append(_columns(Channel.TRADES, "ETH/USDT", [(until_s, 1.0, 1.0)]))
    local = np.concatenate([c.local_ns for c in streams])
    turn = np.concatenate([np.full(len(c), i, np.int16) for i, c in enumerate(streams)])
    order = np.argsort(local, kind="stable")
    return Chunk(tuple(streams), turn[order], local[order], ())


def _columns(channel: Channel, symbol: str, rows: Iterable[tuple[float, float, float]]) -> Columns:
    rows = list(rows)
    times = np.array([int(t * S) for t, _, _ in rows], np.int64)
    bids, asks = (np.array([row[i] for row in rows], np.float64) for i in (1, 2))
    return Columns(channel, symbol, times, times, times, {"bid": bids, "ask": asks})


def fill(side: str, qty: float, price: float) -> Fill:
    return Fill(
        "t",
        "BTC/USDT",
        Side[side],
        Decimal(str(qty)),
        Decimal(str(price)),
        Decimal(0),
        "USDT",
        True,
        0,
        "c",
        "x",
    )


def test_a_bought_fill_gains_when_the_middle_rises() -> None:
    outs = MarkOuts((1, 10))
    outs.on_fill(fill("BUY", 1, 100), 5 * S)
    outs.on_chunk(chunk((0, 99, 101), (6, 100, 101), (7, 1, 2), (14, 98, 100), (16, 1, 2)))
    assert outs.bps() == {"1s": pytest.approx(50), "10s": pytest.approx(-100)}


def test_a_sold_fill_gains_when_the_middle_falls() -> None:
    outs = MarkOuts((1,))
    outs.on_fill(fill("SELL", 1, 100), 0)
    outs.on_chunk(chunk((0, 98, 100), (2, 1, 2)))
    assert outs.bps() == {"1s": pytest.approx(100)}


def test_the_mean_is_weighted_by_value() -> None:
    outs = MarkOuts((1,))
    outs.on_fill(fill("BUY", 3, 100), 0)
    outs.on_fill(fill("SELL", 1, 100), 0)
    outs.on_chunk(chunk((0, 101, 101), (2, 1, 2)))
    assert outs.bps() == {"1s": pytest.approx(50)}


def test_what_is_due_later_waits_for_the_next_chunk_and_may_use_the_last_quote_before_it() -> None:
    outs = MarkOuts((10,))
    outs.on_fill(fill("BUY", 1, 100), 0)
    outs.on_chunk(chunk((0, 100, 100), (3, 102, 102)))
    assert outs.bps() == {"10s": None}
    outs.on_chunk(chunk((11, 50, 50)))
    assert outs.bps() == {"10s": pytest.approx(200)}


def test_a_quote_at_the_very_moment_counts_even_if_the_next_chunk_brings_it() -> None:
    outs = MarkOuts((10,))
    outs.on_fill(fill("BUY", 1, 100), 0)
    outs.on_chunk(chunk((0, 100, 100), (10, 101, 101)))
    outs.on_chunk(chunk((10, 103, 103), (11, 1, 1)))
    assert outs.bps() == {"10s": pytest.approx(300)}


def test_other_streams_pass_time_too() -> None:
    outs = MarkOuts((10,))
    outs.on_chunk(chunk((0, 101, 101)))
    outs.on_fill(fill("BUY", 1, 100), 1 * S)
    outs.on_chunk(chunk((20, 1, 1), symbol="SOL/USDT"))
    assert outs.bps() == {"10s": pytest.approx(100)}
    later = MarkOuts((10,))
    later.on_fill(fill("BUY", 1, 100), 0)
    later.on_chunk(chunk((0, 102, 102), until_s=30))
    assert later.bps() == {"10s": pytest.approx(200)}


def test_one_sided_quotes_are_passed_over() -> None:
    outs = MarkOuts((1,))
    outs.on_fill(fill("BUY", 1, 100), 0)
    outs.on_chunk(chunk((0, 100, 102), (1, 0, 102), (2, 0, 0)))
    assert outs.bps() == {"1s": pytest.approx(100)}


def test_a_fill_beyond_the_data_or_before_any_quote_counts_nowhere() -> None:
    outs = MarkOuts((1, 60))
    outs.on_fill(fill("BUY", 1, 100), 0)
    outs.on_chunk(chunk((5, 101, 101)))
    outs.on_chunk(chunk())
    assert outs.bps() == {"1s": None, "60s": None}


def test_the_horizons_are_a_second_ten_and_a_minute_unless_told() -> None:
    assert MarkOuts().bps() == {"1s": None, "10s": None, "60s": None}


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(90, 110)), min_size=1, max_size=30)


@given(steps=steps, cuts=st.sets(st.integers(1, 29)), at=st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_chunking_changes_nothing(steps: list[tuple[int, int]], cuts: set[int], at: int) -> None:
    now, quotes = 0, []
    for wait, price in steps:
        now += wait
        quotes.append((now, float(price), float(price)))
    edges = [0, *sorted(c for c in cuts if c < len(quotes)), len(quotes)]
    outs = MarkOuts((5,))
    sent = False
    for start, stop in pairwise(edges):
        part = quotes[start:stop]
        if not sent and part[-1][0] >= at:
            outs.on_fill(fill("BUY", 1, 100), at * S)
            sent = True
        outs.on_chunk(chunk(*part))
    seen = [price for t, price, _ in quotes if t <= at + 5]
    known = sent and quotes[-1][0] > at + 5 and seen
    assert outs.bps()["5s"] == (pytest.approx((seen[-1] - 100) * 100) if known else None)
