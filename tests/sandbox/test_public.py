"""What the public sees of the sandbox's markets: book, trades, candles, statistics, quotes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.market import Bar, BookUpdate
from quantcli.sandbox.candles import INTERVALS
from quantcli.sandbox.public import PublicMarket
from tests.sandbox.market_events import (
    BTC,
    ETH,
    MINUTE,
    NOON,
    SECOND,
    agg_trade,
    diff,
    markets,
    quote,
    snapshot,
    trade,
)

MS = 1_000_000


def shown(*events) -> PublicMarket:
    public = PublicMarket(markets())
    for event in events:
        public.see(event)
    return public


# The book.


def test_the_book_is_the_recorded_one_under_its_ids():
    public = shown(
        snapshot(100, [(10.0, 1.0), (9.0, 2.0)], [(11.0, 3.0), (12.0, 4.0)]),
        diff(101, 103, [(9.5, 5.0), (10.0, 0.0)], [(11.0, 6.0)]),
    )
    assert public.depth(BTC, 5) == (103, [(9.5, 5.0), (9.0, 2.0)], [(11.0, 6.0), (12.0, 4.0)])
    assert public.depth(BTC, 1) == (103, [(9.5, 5.0)], [(11.0, 6.0)])
    assert public.depth(BTC, 1000) == public.depth(BTC, 5)


def test_diffs_that_came_before_the_snapshot_are_in_the_book():
    public = shown(diff(99, 101, [(9.0, 1.0)]), diff(102, 103, [(9.9, 2.0)]), snapshot(101))
    assert public.depth(BTC, 5) == (103, [(10.0, 1.0), (9.9, 2.0)], [(11.0, 1.0)])


def test_a_gap_leaves_the_best_quote_until_the_next_snapshot():
    public = shown(snapshot(100), quote(10.0, 11.0, size=3.0), diff(105, 106, [(9.0, 1.0)]))
    assert public.depth(BTC, 5) == (100, [(10.0, 3.0)], [(11.0, 3.0)])
    public.see(snapshot(106, [(9.0, 1.0)]))
    assert public.depth(BTC, 5) == (106, [(9.0, 1.0)], [(11.0, 1.0)])


def test_a_market_without_a_book_shows_one_level_made_of_its_quotes_with_ids_that_count_up():
    public = PublicMarket(markets())
    told = []
    public.listeners.append(told.append)
    public.see(quote(10.0, 11.0, size=2.0))
    assert public.depth(BTC, 5) == (1, [(10.0, 2.0)], [(11.0, 2.0)])
    public.see(quote(10.5, 11.0, size=2.0))
    public.see(quote(10.5, 11.0, size=2.0))  # says nothing new
    assert public.depth(BTC, 5) == (2, [(10.5, 2.0)], [(11.0, 2.0)])
    made = [event for event in told if isinstance(event, BookUpdate)]
    assert [(u.is_snapshot, u.first_id, u.last_id, u.bids, u.asks) for u in made] == [
        (False, 1, 1, [(10.0, 2.0)], [(11.0, 2.0)]),
        (False, 2, 2, [(10.0, 0.0), (10.5, 2.0)], []),
    ]


def test_a_made_up_book_gives_way_to_the_recorded_one():
    public = shown(quote(10.0, 11.0), snapshot(500, [(9.0, 1.0)]), quote(9.5, 11.0))
    assert public.depth(BTC, 5) == (500, [(9.0, 1.0)], [(11.0, 1.0)])


def test_quotes_of_unknown_size_still_make_a_book_that_is_not_crossed():
    public = shown(trade(1, 10.0, 0.5), quote(10.0, 10.0, size=0.0))
    assert public.depth(BTC, 5) == (1, [(10.0, 0.5)], [(10.01, 0.5)])


def test_nothing_is_shown_of_a_market_that_has_shown_nothing():
    public = shown(trade(1, 10.0, 1.0))
    assert public.depth(ETH, 5) == (0, [], [])
    assert public.quote(ETH) is None
    assert public.last_price(ETH) is None
    assert public.bars(ETH, "1m", 10) == []
    day = public.day(ETH)
    assert (day.count, day.first_id, day.last_id, day.last) == (0, -1, -1, 0.0)


def test_an_event_of_a_market_that_does_not_exist_is_passed_over():
    public = PublicMarket(markets())
    told = []
    public.listeners.append(told.append)
    public.see(trade(1, 1.0, 1.0, symbol="XRP/USDT"))
    assert told == []
    with pytest.raises(KeyError):
        public.day("XRP/USDT")


def test_the_best_prices_are_the_newest_quote_or_the_top_of_the_book():
    public = shown(snapshot(100, [(10.0, 1.0)], [(11.0, 2.0)]))
    best = public.quote(BTC)
    assert (best.bid, best.bid_size, best.ask, best.ask_size, best.update_id) == (10.0, 1.0, 11.0, 2.0, 100)
    public.see(quote(10.2, 10.9))
    assert (public.quote(BTC).bid, public.quote(BTC).ask) == (10.2, 10.9)


# Trades.


def test_trades_are_asked_for_from_the_end_or_from_an_id():
    public = shown(*(trade(number, 10.0, 1.0) for number in range(1, 8)))
    assert [t.trade_id for t in public.trades(BTC, 3)] == [5, 6, 7]
    assert [t.trade_id for t in public.trades(BTC, 3, from_id=2)] == [2, 3, 4]
    assert public.trades(BTC, 0) == []


def test_without_aggregated_trades_every_trade_is_one_of_its_own():
    public = shown(trade(4, 10.0, 1.0), trade(5, 10.5, 2.0, at=SECOND))
    aggregated = public.agg_trades(BTC, 10)
    assert [(a.trade_id, a.first_id, a.last_id, a.size) for a in aggregated] == [
        (4, 4, 4, 1.0),
        (5, 5, 5, 2.0),
    ]
    from_ms = (NOON + SECOND) // MS
    assert [a.trade_id for a in public.agg_trades(BTC, 10, start_ms=from_ms)] == [5]
    assert [a.trade_id for a in public.agg_trades(BTC, 10, end_ms=from_ms - 1)] == [4]
    assert [a.trade_id for a in public.agg_trades(BTC, 1, from_id=4)] == [4]


def test_recorded_aggregated_trades_are_shown_and_counted_once():
    public = shown(trade(4, 10.0, 1.0), trade(5, 10.0, 2.0), agg_trade(77, 4, 5, 10.0, 3.0))
    assert [a.trade_id for a in public.agg_trades(BTC, 10)] == [77]
    assert (public.day(BTC).volume, public.day(BTC).count) == (3.0, 2)


def test_aggregated_trades_alone_count_as_the_trades_they_were():
    public = shown(agg_trade(77, 4, 6, 10.0, 3.0), trade(6, 10.0, 1.0), trade(7, 11.0, 1.0))
    day = public.day(BTC)
    assert (day.volume, day.count, day.first_id, day.last_id) == (4.0, 4, 4, 7)
    assert public.last_price(BTC) == 11.0


def test_only_so_many_trades_are_kept():
    public = shown(*(trade(number, 10.0, 1.0) for number in range(1, 6001)))
    assert len(public.trades(BTC, 10_000)) == 5000
    assert public.day(BTC).count == 6000


# Candles.


def test_a_candle_adds_up_its_trades():
    public = shown(
        trade(1, 10.0, 1.0, at=0, side=1),
        trade(2, 12.0, 2.0, at=20 * SECOND, side=2),
        trade(3, 9.0, 3.0, at=50 * SECOND, side=1),
        trade(4, 11.0, 1.0, at=61 * SECOND, side=2),
    )
    first, second = public.bars(BTC, "1m", 10)
    assert (first.open_ns, first.interval_ns, first.is_closed) == (NOON, MINUTE, True)
    assert (first.open, first.high, first.low, first.close) == (10.0, 12.0, 9.0, 9.0)
    assert (first.volume, first.quote_volume, first.trades) == (6.0, 61.0, 3)
    assert (first.taker_volume, first.taker_quote_volume) == (4.0, 37.0)
    assert (first.first_id, first.last_id) == (1, 3)
    assert (second.open_ns, second.close, second.is_closed) == (NOON + MINUTE, 11.0, False)


def test_where_nobody_traded_candles_are_flat():
    public = shown(trade(1, 10.0, 1.0), trade(2, 12.0, 1.0, at=3 * MINUTE))
    assert [(b.open, b.close, b.volume, b.trades, b.first_id) for b in public.bars(BTC, "1m", 10)] == [
        (10.0, 10.0, 1.0, 1, 1),
        (10.0, 10.0, 0.0, 0, -1),
        (10.0, 10.0, 0.0, 0, -1),
        (12.0, 12.0, 1.0, 1, 2),
    ]
    assert [b.close for b in public.bars(BTC, "1m", 2)] == [10.0, 12.0]


def test_candles_are_asked_for_by_time():
    public = shown(*(trade(n, 10.0 + n, 1.0, at=n * MINUTE) for n in range(10)))
    start = (NOON + 2 * MINUTE + 1) // MS
    assert [b.close for b in public.bars(BTC, "1m", 2, start_ms=start)] == [12.0, 13.0]
    assert [b.close for b in public.bars(BTC, "1m", 2, start_ms=start + 1)] == [13.0, 14.0]
    assert [b.close for b in public.bars(BTC, "1m", 2, end_ms=start)] == [11.0, 12.0]
    assert [b.close for b in public.bars(BTC, "1m", 10, start_ms=start + 1, end_ms=start + 60_000)] == [13.0]


def test_weeks_begin_on_monday():
    (week,) = shown(trade(1, 10.0, 1.0)).bars(BTC, "1w", 5)
    assert week.open_ns == 1_721_606_400 * SECOND  # Monday, 2024-07-22


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * 3600), st.integers(1, 500), st.integers(1, 1000), st.sampled_from([0, 1, 2])
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([name for name in INTERVALS if name not in {"1s", "1w"}]),
)
def test_candles_of_every_length_agree_with_the_trades(ticks, interval):
    ticks.sort()
    trades = [
        trade(number, price / 4, size / 8, at=second * SECOND, side=side)
        for number, (second, price, size, side) in enumerate(ticks, 1)
    ]
    length = INTERVALS[interval]
    bars = shown(*trades).bars(BTC, interval, 1000)
    assert [bar.open_ns for bar in bars] == list(
        range(
            trades[0].exchange_ns // length * length,
            trades[-1].exchange_ns // length * length + 1,
            length,
        )
    )
    for bar in bars:
        inside = [t for t in trades if bar.open_ns <= t.exchange_ns < bar.open_ns + length]
        assert bar.trades == len(inside)
        assert bar.volume == sum(t.size for t in inside)
        assert bar.taker_volume == sum(t.size for t in inside if t.side == 1)
        assert math.isclose(bar.quote_volume, sum(t.price * t.size for t in inside), abs_tol=1e-9)
        if inside:
            prices = [t.price for t in inside]
            assert (bar.open, bar.high, bar.low, bar.close) == (
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
            )


def test_a_recorded_candle_stands_where_no_trade_is_recorded():
    bar = Bar(BTC, NOON + MINUTE, NOON + MINUTE, 1, NOON, MINUTE, 1.0, 3.0, 0.5, 2.0, 9.0, 18.0, 4, True)
    public = shown(bar)
    (shown_bar,) = public.bars(BTC, "1m", 1, end_ms=NOON // MS)
    assert (shown_bar.open, shown_bar.close, shown_bar.volume, shown_bar.trades) == (1.0, 2.0, 9.0, 4)
    assert public.last_price(BTC) == 2.0


# Statistics.


def test_the_statistics_of_a_day_fit_together():
    public = shown(
        trade(1, 50.0, 9.0, at=0),
        trade(2, 10.0, 1.0, at=1440 * MINUTE + 30 * SECOND),
        trade(3, 12.0, 2.0, at=1441 * MINUTE),
        trade(4, 11.0, 1.0, at=1442 * MINUTE),
    )
    day = public.day(BTC)
    assert (day.open, day.high, day.low, day.last, day.last_size) == (10.0, 12.0, 10.0, 11.0, 1.0)
    assert (day.volume, day.quote_volume, day.weighted_average) == (4.0, 45.0, 11.25)
    assert (day.first_id, day.last_id, day.count) == (2, 4, 3)
    assert (day.before, day.change, day.change_percent) == (50.0, 1.0, 10.0)
    assert day.close_ms == (NOON + 1442 * MINUTE) // MS
    assert day.close_ms - day.open_ms == 86_400_000


@given(st.lists(st.tuples(st.integers(1, 40_000), st.integers(1, 100), st.integers(1, 100)), max_size=40))
def test_statistics_are_those_of_the_trades_since_their_beginning(steps):
    public, trades, at = PublicMarket(markets()), [], 0
    for number, (seconds, price, size) in enumerate(steps, 1):
        at += seconds * SECOND
        trades.append(trade(number, price / 4, size / 8, at=at))
        public.see(trades[-1])
        day = public.day(BTC)
        inside = [t for t in trades if t.exchange_ns >= day.open_ms * MS]
        assert day.close_ms * MS - 86_400 * SECOND - MINUTE < day.open_ms * MS <= NOON + at - 86_400 * SECOND
        assert (day.count, day.first_id, day.last_id) == (
            len(inside),
            inside[0].trade_id,
            inside[-1].trade_id,
        )
        assert day.volume == sum(t.size for t in inside)
        assert day.low <= day.weighted_average <= day.high or math.isclose(day.low, day.high)


def test_the_average_of_five_minutes_is_weighted_by_size():
    public = shown(trade(1, 10.0, 1.0), trade(2, 13.0, 2.0, at=MINUTE))
    assert public.average(BTC) == (12.0, (NOON + MINUTE) // MS)
    public.see(diff(1, 1, at=30 * MINUTE))
    assert public.average(BTC) == (13.0, (NOON + MINUTE) // MS)
