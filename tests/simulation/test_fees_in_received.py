"""Fees in the asset received, as Binance charges them on spot; futures and the default are untouched."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.instrument import Side
from quantcli.simulation.fees import Fees

FEES = Fees(Decimal("0.001"), Decimal("0.002"), in_received=True)


def amounts(d: Any) -> dict[str, tuple[Decimal, Decimal]]:
    return {b.asset: (b.free, b.locked) for b in d.exchange.balances()}


def test_a_buy_holds_its_notional_alone_and_pays_in_coins(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"USDT": Decimal(99)}, fees=FEES)
    d.quote(99.9, 100.0)
    d.place("BUY", "1", "99.0")
    assert amounts(d)["USDT"] == (0, 99)
    [report] = d.trade(98.9, 5.0)
    assert (report.fills[0].fee, report.fills[0].fee_asset) == (Decimal("0.001"), "BTC")
    assert amounts(d) == {"BTC": (Decimal("0.999"), 0), "USDT": (0, 0)}


def test_a_sale_pays_out_of_its_proceeds(desk: Any, spot: Any) -> None:
    d = desk(spot, balances={"BTC": Decimal(1)}, fees=FEES)
    d.quote(100.0, 100.1, 9.0, 9.0)
    [report] = d.place("SELL", "1")
    assert (report.fills[0].fee, report.fills[0].fee_asset) == (Decimal("0.2"), "USDT")
    assert amounts(d) == {"BTC": (0, 0), "USDT": (Decimal("99.8"), 0)}


def test_a_fee_is_cut_off_after_eight_decimals() -> None:
    fees = Fees(Decimal("0.00012345"), Decimal("-0.00012345"), in_received=True)
    assert fees.charge_received(Decimal("0.00123"), True) == Decimal("0.00000015")
    assert fees.charge_received(Decimal("0.00123"), False) == Decimal("-0.00000015")


def test_futures_pay_in_what_they_settle_in(desk: Any, perp: Any) -> None:
    d = desk(perp, balances={"USDT": Decimal(1000)}, fees=FEES)
    d.quote(100.0, 100.0, 9.0, 9.0)
    [report] = d.place("BUY", "1")
    assert (report.fills[0].fee, report.fills[0].fee_asset) == (Decimal("0.2"), "USDT")


trades = st.tuples(st.sampled_from(list(Side)), st.integers(1, 300), st.integers(990, 1010), st.booleans())


@given(st.lists(trades, max_size=20))
def test_value_is_neither_made_nor_lost(desk: Any, spot: Any, orders: list[Any]) -> None:
    start = {"USDT": Decimal(500), "BTC": Decimal(5)}
    d = desk(spot, balances=start, fees=FEES)
    fills = []
    for side, lots, ticks, market in orders:
        price = None if market else str(Decimal(ticks) / 10)
        reports = d.quote(99.9, 100.0, 0.5, 0.5)
        reports += d.place(side.name, str(Decimal(lots) / 100), price)
        reports += d.trade(ticks / 10, 0.3)
        fills += [fill for report in reports for fill in getattr(report, "fills", ())]
    held = {"BTC": start["BTC"], "USDT": start["USDT"]}
    for fill in fills:
        held["BTC"] += fill.side.sign * fill.qty
        held["USDT"] -= fill.side.sign * fill.qty * fill.price
        held[fill.fee_asset] -= fill.fee
        assert fill.fee_asset == ("BTC" if fill.side is Side.BUY else "USDT")
    assert {b.asset: b.total for b in d.exchange.balances()} == held
    assert all(b.free >= 0 and b.locked >= 0 for b in d.exchange.balances())
