"""Round trips, first in, first out."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.account import Position
from quantcli.model.instrument import Side
from quantcli.model.order import Fill
from quantcli.report import trips

D = Decimal
S = 1_000_000_000


def test_the_oldest_lots_are_sold_first_and_fees_go_with_them(make_fill) -> None:
    fills = [
        make_fill("BUY", "1", "100", "0.1"),
        make_fill("BUY", "2", "110", "0.4"),
        make_fill("SELL", "2", "120", "0.2"),
        make_fill("SELL", "1", "105", "0.1"),
    ]
    # first: (120-100) + (120-110) - 0.1 - 0.2 - 0.2; second: 105-110 - 0.2 - 0.1
    assert trips.round_trips(fills) == [D("29.5"), D("-5.3")]


def test_a_short_trip_earns_when_the_price_falls(make_fill) -> None:
    assert trips.round_trips([make_fill("SELL", "1", "100"), make_fill("BUY", "1", "90")]) == [10]


def test_a_flip_ends_one_trip_and_begins_another(make_fill) -> None:
    fills = [
        make_fill("BUY", "1", "100"),
        make_fill("SELL", "3", "110", "0.3"),
        make_fill("BUY", "2", "100"),
    ]
    assert trips.round_trips(fills) == [D("9.9"), D("19.8")]


def test_markets_do_not_mix(make_fill) -> None:
    assert (
        trips.round_trips([make_fill("BUY", "1", "1"), make_fill("SELL", "1", "2", symbol="SOL/USDT")]) == []
    )


def test_what_was_held_at_the_start_is_the_oldest_lot(make_fill) -> None:
    held = Position("BTC/USDT", D(1), D(90), D(0), D(0), D(0))
    assert trips.round_trips([make_fill("SELL", "1", "100")], [held]) == [10]


def test_fees_in_the_base_asset_count_at_the_fills_price_and_in_others_not(make_fill) -> None:
    assert trips.quote_fee(make_fill("BUY", "1", "100", "0.001", "BTC")) == D("0.1")
    assert trips.quote_fee(make_fill("BUY", "1", "100", "0.001", "USDT")) == D("0.001")
    assert trips.quote_fee(make_fill("BUY", "1", "100", "0.001", "BNB")) == 0
    assert trips.quote_fee(make_fill("BUY", "1", "100", "0.2", "USDC", symbol="BTC/USD:USDC")) == D("0.2")


def test_statistics_by_hand() -> None:
    profits = [D(10), D(-4), D(6), D(0)]
    assert trips.win_rate(profits) == 0.5
    assert trips.profit_factor(profits) == 4
    assert trips.expectancy(profits) == 3
    assert trips.expectancy([D(1), D(0), D(0)]) == D("0.33333333")


def test_statistics_without_trips_or_losses_are_undefined() -> None:
    assert trips.win_rate([]) is None
    assert trips.expectancy([]) is None
    assert trips.profit_factor([]) is None
    assert trips.profit_factor([D(1)]) is None
    assert trips.profit_factor([D(-1)]) == 0


rows = st.lists(
    st.tuples(
        st.sampled_from([Side.BUY, Side.SELL]),
        st.integers(1, 9).map(D),
        st.integers(50, 150).map(D),
        st.integers(0, 9).map(lambda n: D(n) / 100),
    ),
    max_size=25,
)


@given(rows)
def test_trips_that_end_flat_earn_what_was_taken_in_less_what_was_paid(
    rows: list[tuple[Side, Decimal, Decimal, Decimal]],
) -> None:
    qty = sum((q * side.sign for side, q, _, _ in rows), D(0))
    if qty:
        rows = [*rows, (Side.SELL if qty > 0 else Side.BUY, abs(qty), D(100), D(0))]
    fills = [
        Fill(str(n), "BTC/USDT", side, q, price, fee, "USDT", True, n, "c", "x")
        for n, (side, q, price, fee) in enumerate(rows)
    ]
    cash = sum(
        (-side.sign * Fraction(q) * Fraction(p) - Fraction(fee) for side, q, p, fee in rows), Fraction(0)
    )
    assert float(sum(trips.round_trips(fills), D(0))) == pytest.approx(float(cash), abs=1e-20)


def test_time_in_the_market_is_the_time_between_fills_that_leave_something_held(make_fill) -> None:
    fills = [
        make_fill("BUY", "1", "100"),  # at 1 s
        make_fill("SELL", "1", "100"),  # at 2 s: flat
        make_fill("SELL", "1", "100"),  # at 3 s
        make_fill("BUY", "2", "100"),  # at 4 s: turned, not flat
        make_fill("BUY", "1", "50", symbol="ETH/USDT"),  # at 5 s
        make_fill("SELL", "1", "100"),  # at 6 s: the other is still held
        make_fill("SELL", "1", "50", symbol="ETH/USDT"),  # at 7 s: flat
    ]
    start = fills[0].exchange_ns - S
    assert trips.time_in_market(fills, (), start, start + 10 * S) == 0.5
    assert trips.time_in_market(fills[:1], (), start, start + 10 * S) == 0.9
    assert trips.time_in_market((), (), start, start + S) == 0
    assert trips.time_in_market(fills, (), start, start) is None


def test_what_was_held_before_the_run_is_time_in_the_market(make_fill) -> None:
    held = [Position("BTC/USDT", D(1), D(100), D(0), D(0), D(0))]
    sold = make_fill("SELL", "1", "100")
    start = sold.exchange_ns - S
    assert trips.time_in_market((), held, start, start + 10 * S) == 1
    assert trips.time_in_market([sold], held, start, start + 10 * S) == 0.1
