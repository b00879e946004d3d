"""What the account can pay for, and what trading does to it."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.account import Position
from quantcli.model.instrument import Side
from quantcli.model.order import OrderStatus
from quantcli.simulation.fees import Fees


def amounts(d: Any) -> dict[str, tuple[Decimal, Decimal]]:
    return {b.asset: (b.free, b.locked) for b in d.exchange.balances()}


def test_a_resting_spot_order_holds_its_cover_until_it_ends(desk: Any, spot: Any) -> None:
    fees = Fees(Decimal("0.001"), Decimal("0.002"))
    d = desk(spot, balances={"USDT": Decimal(1000), "BTC": Decimal(3)}, fees=fees)
    d.quote(99.9, 100.0)
    d.place("BUY", "2", "99.0")
    d.place("SELL", "1", "101.0")
    held = Decimal("198.396")
    assert amounts(d) == {"BTC": (2, 1), "USDT": (1000 - held, held)}
    d.cancel("o1")
    d.cancel("o2")
    assert amounts(d) == {"BTC": (3, 0), "USDT": (1000, 0)}


def test_spot_orders_beyond_the_free_balance_are_refused(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(100), "BTC": Decimal(1)})
    d.quote(99.9, 100.0, 9.0, 9.0)
    refused = [
        d.place("BUY", "1.01", "100.0"),
        d.place("BUY", "1.01"),
        d.place("SELL", "1.01", "101.0"),
        d.place("SELL", "1.01"),
    ]
    assert {(r.code, r.message) for [r] in refused} == {
        (-2010, "Account has insufficient balance for requested action.")
    }
    d.place("BUY", "0.5", "99.0")
    assert d.place("BUY", "0.6")[0].code == -2010
    assert d.place("BUY", "0.5")[0].status is OrderStatus.FILLED


def test_a_better_price_than_the_limit_frees_the_difference(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(1000)})
    d.quote(99.9, 100.0, 9.0, 9.0)
    d.place("BUY", "1", "105.0")
    assert amounts(d) == {"BTC": (1, 0), "USDT": (900, 0)}


def test_futures_positions_turn_and_book_their_profit(desk: Any, perp: Any) -> None:
    d = desk(perp, balances={"USDT": Decimal(1000)}, fees=Fees(Decimal(0), Decimal("0.001")))
    d.quote(100.0, 100.0, 0.0, 0.0)
    d.place("SELL", "2")  # short 2 at 100, fee 0.2
    d.quote(90.0, 90.0, 0.0, 0.0)
    [turned] = d.place("BUY", "3")  # profit 20, long 1 at 90, fee 0.27
    assert turned.fills[0].fee_asset == "USDT"
    d.quote(80.0, 80.0, 0.0, 0.0)
    d.place("SELL", "1")  # loss 10, fee 0.08
    assert amounts(d) == {"USDT": (Decimal(1000) + 20 - 10 - Decimal("0.55"), 0)}


def test_the_mean_entry_price_decides_the_profit(desk: Any, perp: Any) -> None:
    d = desk(perp, balances={"USDT": Decimal(1000)})
    for price, side, qty in ((100.0, "BUY", "1"), (110.0, "BUY", "3"), (120.0, "SELL", "2")):
        d.quote(price, price, 0.0, 0.0)
        d.place(side, qty)
    assert amounts(d)["USDT"][0] == Decimal(1025)  # entry 107.5


def test_positions_and_orders_are_limited_to_twenty_times_the_wallet(desk: Any, perp: Any) -> None:
    d = desk(perp, balances={"USDT": Decimal(100)})
    d.quote(100.0, 100.0, 0.0, 0.0)
    d.place("BUY", "15")
    d.place("BUY", "4", "99.5")
    [refused] = d.place("BUY", "2", "99.5")
    assert (refused.code, refused.message) == (-2019, "Margin is insufficient.")
    assert d.place("SELL", "20", "101.0")[0].status is OrderStatus.NEW  # leaves no larger exposure
    usdt = d.exchange.balances()[-1]
    assert (usdt.free, usdt.available) == (Decimal(100), Decimal(100) - Decimal(1898) / 20)


def test_a_position_held_from_before_counts(desk: Any, perp: Any) -> None:
    held = Position(
        perp.symbol.name,
        Decimal(19),
        Decimal(100),
        realised=Decimal(0),
        unrealised=Decimal(0),
        fees=Decimal(0),
    )
    d = desk(perp, balances={"USDT": Decimal(100)}, positions=[held])
    d.quote(100.0, 100.0, 0.0, 0.0)
    assert d.place("BUY", "2")[0].code == -2019
    assert d.place("SELL", "19", reduce_only=True)[0].filled == Decimal(19)


trades = st.tuples(st.sampled_from(list(Side)), st.integers(1, 300), st.integers(990, 1010), st.booleans())


@given(st.lists(trades, max_size=20))
def test_value_is_neither_made_nor_lost(desk: Any, spot: Any, orders: list[Any]) -> None:
    """What is held is what was there at first, plus the fills, less their fees."""
    start = {"USDT": Decimal(500), "BTC": Decimal(5)}
    d = desk(spot, balances=start, fees=Fees(Decimal("-0.0001"), Decimal("0.0007")))
    fills = []
    for side, lots, ticks, market in orders:
        price = None if market else str(Decimal(ticks) / 10)
        reports = d.quote(99.9, 100.0, 0.5, 0.5)
        reports += d.place(side.name, str(Decimal(lots) / 100), price)
        reports += d.trade(ticks / 10, 0.3)
        fills += [fill for report in reports for fill in getattr(report, "fills", ())]
    base = sum((f.side.sign * f.qty for f in fills), Decimal(0))
    paid = sum((f.side.sign * f.qty * f.price + f.fee for f in fills), Decimal(0))
    held = {b.asset: b.total for b in d.exchange.balances()}
    assert held == {"BTC": start["BTC"] + base, "USDT": start["USDT"] - paid}
    assert all(b.free >= 0 and b.locked >= 0 for b in d.exchange.balances())
    for order in d.exchange.open_orders():
        d.cancel(order.client_order_id)
    assert all(b.locked == 0 for b in d.exchange.balances())


def test_balances_come_in_order_of_asset(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(1), "ADA": Decimal(2), "BTC": Decimal(3)})
    assert [b.asset for b in d.exchange.balances()] == ["ADA", "BTC", "USDT"]
