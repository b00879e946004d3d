"""The books add up: to the last digit, after any fills, against a plain recomputation in fractions."""

import itertools
import time
from collections import deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantcli.clock import VirtualClock
from quantcli.errors import InvariantError, NotFoundError, ValidationError
from quantcli.model.event import PositionEventKind
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.order import Fill
from quantcli.trading.holding import COST_SCALE
from quantcli.trading.portfolio import Portfolio

D = Decimal
SPOT, SOL, PERP = "BTC/USDT", "SOL/USDT", "BTC/USDT:USDT"
INSTRUMENTS = {
    name: SymbolMetadata(Symbol.parse(name), "binance", name, D("0.01"), D("0.001"))
    for name in (SPOT, SOL, PERP, "ETH/BTC")
} | {
    "BTC/USD:BTC": SymbolMetadata(
        Symbol.parse("BTC/USD:BTC"), "binance", "BTCUSD_PERP", D("0.1"), D(1), inverse=True
    )
}
_ids = itertools.count()


class Marks(dict[str, Decimal]):
    """A source of marks that tests write into."""


def portfolio(marks: Marks, **balances: str) -> Portfolio:
    held = {asset: D(n) for asset, n in balances.items()}
    return Portfolio("binance", "USDT", held, INSTRUMENTS, marks.get, VirtualClock(1_000))


def buy(qty: str, price: str, symbol: str = SPOT, fee: str = "0", asset: str = "USDT") -> Fill:
    return fill((Side.BUY, D(qty), D(price), D(fee)), symbol, asset)


def sell(qty: str, price: str, symbol: str = SPOT) -> Fill:
    return fill((Side.SELL, D(qty), D(price), D(0)), symbol)


Row = tuple[Side, Decimal, Decimal, Decimal]


def fill(row: Row, symbol: str, asset: str = "USDT") -> Fill:
    side, qty, price, fee = row
    return Fill(f"t{next(_ids)}", symbol, side, qty, price, fee, asset, True, 0, "c", "x", "i")


def assert_identity(books: Portfolio) -> None:
    """Compared as fractions: no decimal context can hide a digit."""
    equity, open_profit = books.equity(), books.unrealised()
    assert equity is not None
    assert open_profit is not None
    parts = [books.start_equity, books.realised, open_profit]
    assert Fraction(equity) == sum(map(Fraction, parts)) - Fraction(books.fees)


def test_a_spot_round_trip_pays_the_difference_less_fees() -> None:
    books = portfolio(Marks({SPOT: D(110)}), USDT="1000")
    books.apply(buy("2", "100", fee="0.2"))
    books.apply(fill((Side.SELL, D(1), D(110), D("0.11")), SPOT))
    position = books.position(SPOT)
    assert (position.qty, position.avg_price) == (1, 100)
    assert (position.realised, position.unrealised, position.fees) == (10, 10, D("0.31"))
    assert books.equity() == D("1019.69")


def test_a_short_future_earns_when_the_price_falls() -> None:
    books = portfolio(Marks({PERP: D(90)}), USDT="1000")
    books.apply(sell("2", "100", PERP))
    assert books.equity() == 1020
    books.apply(buy("1", "90", PERP))
    position = books.position(PERP)
    assert (position.qty, position.avg_price, position.realised, position.unrealised) == (-1, 100, 10, 10)
    assert books.account_state().balances[0].total == 1010


def test_a_flip_closes_the_old_position_and_opens_the_new_one_at_the_fills_price() -> None:
    books = portfolio(Marks({PERP: D(130)}), USDT="1000")
    books.apply(buy("1", "100", PERP))
    event = books.apply(sell("3", "120", PERP))
    assert event.kind is PositionEventKind.MODIFIED
    assert (event.position.qty, event.position.avg_price, event.position.realised) == (-2, 120, 20)
    assert books.unrealised() == -20
    assert_identity(books)


def test_events_say_opened_modified_closed() -> None:
    books = portfolio(Marks({SPOT: D(1)}), USDT="10")
    kinds = [
        books.apply(f).kind.value for f in (buy("1", "1"), buy("1", "1"), sell("1", "1"), sell("1", "1"))
    ]
    assert kinds == ["opened", "modified", "modified", "closed"]


def test_the_same_trade_twice_is_counted_once() -> None:
    books = portfolio(Marks({SPOT: D(100)}), USDT="1000")
    once = buy("1", "100", fee="1")
    books.apply(once)
    event = books.apply(once)
    assert event.kind is PositionEventKind.MODIFIED
    assert event.position.qty == 1
    assert (books.fees, books.equity()) == (1, 999)


def test_the_same_trade_id_in_another_market_is_another_trade() -> None:
    books = portfolio(Marks({SPOT: D(100), SOL: D(100)}), USDT="1000")
    first = buy("1", "100")
    books.apply(first)
    books.apply(Fill("t", SOL, Side.BUY, D(1), D(100), D(0), "USDT", True, 0, "c", "x"))
    books.apply(Fill("t", SPOT, Side.BUY, D(1), D(100), D(0), "USDT", True, 0, "c", "x"))
    assert (books.qty(SPOT), books.qty(SOL)) == (2, 1)


def test_a_base_fee_shrinks_the_holding_and_is_valued_at_the_fills_price() -> None:
    books = portfolio(Marks({SPOT: D(100)}), USDT="1000")
    books.apply(buy("1", "100", fee="0.001", asset="BTC"))
    assert books.qty(SPOT) == D("0.999")
    assert books.fees == D("0.1")
    assert books.equity() == D("999.9")
    assert_identity(books)


def test_a_fee_in_a_third_asset_is_tallied_and_leaves_equity_alone() -> None:
    books = portfolio(Marks({SPOT: D(100)}), USDT="1000", BNB="1")
    books.apply(buy("1", "100", fee="0.01", asset="BNB"))
    assert books.fees_by_asset == {"BNB": D("0.01")}
    assert (books.fees, books.equity()) == (0, 1000)
    held = {b.asset: b.total for b in books.account_state().balances}
    assert held == {"BNB": D("0.99"), "BTC": 1, "USDT": 900}


def test_a_starting_base_balance_is_worth_its_first_mark() -> None:
    marks = Marks()
    books = portfolio(marks, USDT="1000", BTC="2")
    assert books.equity() is None
    assert books.start_equity == 1000
    marks[SPOT] = D(100)
    assert books.equity() == 1200
    marks[SPOT] = D(150)
    assert books.start_equity == 1200
    assert books.unrealised() == 100
    assert books.position(SPOT).avg_price == 100
    assert_identity(books)


def test_a_starting_base_balance_sold_before_any_mark_starts_at_the_fills_price() -> None:
    marks = Marks()
    books = portfolio(marks, USDT="0", BTC="2")
    books.apply(sell("1", "80"))
    marks[SPOT] = D(100)
    assert books.start_equity == 160
    assert books.realised == 0
    assert books.equity() == 180
    assert_identity(books)


def test_equity_is_unknown_while_a_held_market_has_no_mark() -> None:
    books = portfolio(Marks(), USDT="1000")
    books.apply(buy("1", "100"))
    assert books.equity() is None
    assert books.unrealised() is None
    assert books.account_state().equity is None
    books.apply(sell("1", "101"))
    assert books.equity() == 1001


def test_positions_come_in_order_of_symbol_and_can_be_asked_for_one() -> None:
    books = portfolio(Marks({SPOT: D(1), SOL: D(1)}), USDT="100")
    books.apply(buy("1", "1", SOL))
    books.apply(buy("1", "1", SPOT))
    assert [p.symbol for p in books.positions()] == [SPOT, SOL]
    assert [p.symbol for p in books.positions(SOL)] == [SOL]
    assert books.positions(PERP) == []
    assert books.position(PERP).qty == 0


@pytest.mark.parametrize("symbol", ["ETH/BTC", "BTC/USD:BTC"])
def test_markets_that_pay_in_another_currency_are_refused(symbol: str) -> None:
    with pytest.raises(ValidationError):
        portfolio(Marks(), USDT="1").apply(buy("1", "1", symbol))


def test_an_unknown_market_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        portfolio(Marks(), USDT="1").apply(buy("1", "1", "XRP/USDT"))


def test_numbers_beyond_exact_arithmetic_stop_trading_instead_of_being_rounded() -> None:
    books = portfolio(Marks(), USDT="1")
    with pytest.raises(InvariantError):
        books.apply(buy("1" + "0" * 60 + "1", "1." + "0" * 50 + "1"))


# -- against a plain recomputation ---------------------------------------------------------------------

prices = st.decimals("0.00000001", "100000", places=8)
quantities = st.decimals("0.00000001", "1000", places=8)
fees = st.decimals("-1", "5", places=10)
trades = st.tuples(st.sampled_from([Side.BUY, Side.SELL]), quantities, prices, fees)


def as_fills(rows: list[Row], symbol: str) -> list[Fill]:
    return [fill(row, symbol) for row in rows]


def recompute(rows: list[Fill]) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Quantity, cost, realised and cash flow by average cost, in fractions, fees aside."""
    qty = cost = realised = cash = Fraction(0)
    for row in rows:
        price, delta = Fraction(row.price), Fraction(row.qty) * row.side.sign
        cash -= delta * price
        closing = min(abs(delta), abs(qty)) if qty * delta < 0 else Fraction(0)
        if closing:
            sign = 1 if qty > 0 else -1
            share = cost * closing / abs(qty)
            realised += sign * closing * price - share
            cost -= share
        opening = abs(delta) - closing
        cost += (1 if delta > 0 else -1) * opening * price
        qty += delta
    return qty, cost, realised, cash


@given(rows=st.lists(trades, max_size=30), mark=prices, symbol=st.sampled_from([SPOT, PERP]))
@settings(max_examples=150, deadline=None)
def test_the_books_equal_a_recomputation_from_the_list_of_fills(
    rows: list[Row], mark: Decimal, symbol: str
) -> None:
    books = portfolio(Marks({symbol: mark}), USDT="1000000")
    fills = as_fills(rows, symbol)
    for row in fills:
        books.apply(row)
        assert_identity(books)
    qty, cost, realised, cash = recompute(fills)
    paid = sum(Fraction(f.fee) for f in fills)
    equity = books.equity()
    assert equity is not None
    assert Fraction(books.qty(symbol)) == qty
    assert Fraction(equity) == 1_000_000 + cash + qty * Fraction(mark) - paid
    assert Fraction(books.fees) == paid
    # Each partial close rounds one share of the cost; nothing else is rounded, and nothing is lost.  What
    # a rounding leaves in the cost can only move between realised and unrealised.
    slack = Fraction(len(fills), 10**COST_SCALE)
    assert abs(Fraction(books.realised) - realised) <= slack
    open_profit = books.unrealised()
    assert open_profit is not None
    assert Fraction(books.realised) + Fraction(open_profit) == realised + qty * Fraction(mark) - cost


@given(
    rows=st.lists(st.tuples(st.sampled_from([SPOT, SOL, PERP]), trades), max_size=20),
    marks=st.tuples(prices, prices, prices),
    start=quantities,
)
@settings(max_examples=80, deadline=None)
def test_the_identity_holds_over_markets_base_fees_and_starting_balances(
    rows: list[tuple[str, Row]],
    marks: tuple[Decimal, Decimal, Decimal],
    start: Decimal,
) -> None:
    seen = Marks(zip((SPOT, SOL, PERP), marks, strict=True))
    books = portfolio(seen, USDT="1000", BTC=str(start))
    for number, (symbol, row) in enumerate(rows):
        asset = "BTC" if symbol == SPOT and number % 2 else "USDT"
        books.apply(fill(row, symbol, asset))
        seen[symbol] = row[2]
        assert_identity(books)
    by_market = books.positions()
    assert sum(Fraction(p.realised) for p in by_market) == Fraction(books.realised)
    assert sum(Fraction(p.fees) for p in by_market) == Fraction(books.fees)


@given(rows=st.lists(trades, max_size=8), mark=prices, data=st.data())
@settings(max_examples=60, deadline=None)
def test_total_equity_does_not_depend_on_the_order_of_fills(
    rows: list[Row], mark: Decimal, data: st.DataObject
) -> None:
    fills = as_fills(rows, PERP)
    shuffled = data.draw(st.permutations(fills))
    one, other = (portfolio(Marks({PERP: mark}), USDT="5") for _ in range(2))
    deque(map(one.apply, fills), maxlen=0)
    deque(map(other.apply, shuffled), maxlen=0)
    assert one.equity() == other.equity()
    assert one.qty(PERP) == other.qty(PERP)


def test_many_thirds_leave_nothing_behind() -> None:
    books = portfolio(Marks({SPOT: D(7)}), USDT="1000")
    books.apply(buy("3", "33.3333333333"))
    books.apply(buy("0.01", "0.0000001"))
    for _ in range(300):
        books.apply(sell("0.01", "7"))
        assert_identity(books)
    books.apply(sell("0.01", "7"))
    assert books.position(SPOT).avg_price == 0
    assert books.unrealised() == 0
    assert books.realised == D("21.07") - D("99.9999999999") - D("0.000000001")


def test_applying_a_fill_is_quick() -> None:
    books = portfolio(Marks({SPOT: D("61234.565")}), USDT="1000000")
    fills = [fill((Side(1 + n % 2), D("0.00123"), D("61234.56"), D("0.0150637")), SPOT) for n in range(3000)]
    best = float("inf")
    for part in range(3):
        start = time.perf_counter()
        for row in fills[part * 1000 : part * 1000 + 1000]:
            books.apply(row)
        best = min(best, time.perf_counter() - start)
    assert best / 1000 < 25e-6
