"""Amounts are exact, however many digits they take, and agree with books that were kept elsewhere."""

from decimal import Context, Decimal, Inexact, localcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.simulation.account import COST_DECIMALS
from quantcli.simulation.fees import Fees
from quantcli.trading import holding
from quantcli.trading.holding import Holding

EXACT = Context(prec=100, traps=[Inexact])
FEES = Fees(Decimal("-0.00012345"), Decimal("0.00054321"))


def fine(name: str) -> SymbolMetadata:
    """A market of eight decimals in price and size."""
    step = Decimal("1e-8")
    return SymbolMetadata(Symbol.parse(name), "binance", "X", price_tick=step, lot=step)


trades = st.lists(
    st.tuples(
        st.sampled_from(list(Side)), st.integers(1, 99_999_999_999), st.integers(1_000_000, 9_999_999_999_999)
    ),
    min_size=1,
    max_size=25,
)


def trade(d: Any, orders: list[Any]) -> list[Any]:
    """Take each quantity (in lots) at its price (in ticks), at once."""
    fills = []
    for side, lots, ticks in orders:
        price, qty = Decimal(ticks) * d.meta.price_tick, Decimal(lots) * d.meta.lot
        d.quote(float(price), float(price), 0.0, 0.0)
        [report] = d.place(side.name, str(qty))
        fills += report.fills
    assert len(fills) == len(orders)
    return fills


@given(trades)
def test_futures_profit_is_that_of_books_kept_at_cost(desk: Any, orders: list[Any]) -> None:
    start = Decimal(10) ** 12
    d = desk(fine("ETH/USDT:USDT"), balances={"USDT": start}, fees=FEES)
    fills = trade(d, orders)
    books = Holding(is_spot=False)
    with localcontext(EXACT):
        for fill in fills:
            books.trade(fill.side.sign * fill.qty, fill.price)
        cash = start + books.realised - sum(fill.fee for fill in fills)
    [usdt] = d.exchange.balances()
    assert usdt.total == cash
    assert d.exchange.positions() == ({d.symbol: books.qty} if books.qty else {})


@given(trades)
def test_a_futures_round_trip_loses_nothing_to_rounding(desk: Any, orders: list[Any]) -> None:
    start = Decimal(10) ** 12
    d = desk(fine("ETH/USDT:USDT"), balances={"USDT": start}, fees=Fees(Decimal(0), Decimal(0)))
    fills = trade(d, orders)
    held = sum((fill.side.sign * fill.qty for fill in fills), Decimal(0))
    if held:
        side = Side.SELL if held > 0 else Side.BUY
        fills += trade(d, [(side, int(abs(held) / d.meta.lot), 123_456_789)])
    with localcontext(EXACT):
        cash = start - sum(fill.side.sign * fill.qty * fill.price for fill in fills)
    assert d.exchange.balances()[0].total == cash
    assert d.exchange.positions() == {}


@given(trades)
def test_spot_amounts_of_eight_decimals_are_exact(desk: Any, orders: list[Any]) -> None:
    start = {"USDT": Decimal(10) ** 12, "ETH": Decimal(10) ** 6}
    d = desk(fine("ETH/USDT"), balances=start, fees=FEES)
    resting = d.place("BUY", "0.12345678", "0.00000003")
    assert resting[0].status.name == "NEW"
    fills = trade(d, orders)
    with localcontext(EXACT):
        paid = sum(fill.side.sign * fill.qty * fill.price + fill.fee for fill in fills)
        bought = sum(fill.side.sign * fill.qty for fill in fills)
        expected = {"ETH": start["ETH"] + bought, "USDT": start["USDT"] - paid}
    assert {b.asset: b.total for b in d.exchange.balances()} == expected


def test_the_share_of_a_cost_is_cut_off_towards_zero(desk: Any, perp: Any) -> None:
    """3 bought for 200, 1 sold for 80: the cost of that one is 66.666666666666, and the rest stays."""
    for side, other, profit in (("BUY", "SELL", "13.333333333334"), ("SELL", "BUY", "-13.333333333334")):
        d = desk(perp, balances={"USDT": Decimal(1000)})
        for price, way, qty in ((60.0, side, "1"), (70.0, side, "2"), (80.0, other, "1")):
            d.quote(price, price, 0.0, 0.0)
            d.place(way, qty)
        assert d.exchange.balances()[0].total - 1000 == Decimal(profit)


def test_both_books_define_the_same_rounding() -> None:
    assert COST_DECIMALS == holding.COST_SCALE


def test_the_statement_lists_every_fill_in_order(desk: Any, spot: Any) -> None:
    d = desk(spot)
    d.quote(99.9, 100.0, 9.0, 9.0)
    [first] = d.place("BUY", "1", "100.0")
    d.place("SELL", "2", "101.0")
    [second] = d.trade(101.5, 0.5)
    assert list(d.exchange.fills()) == [*first.fills, *second.fills]
