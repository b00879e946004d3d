"""A futures account that is kept in a file goes on after a restart as if nothing had been."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from quantcli.sandbox.futures.state import FuturesStateFile
from quantcli.sandbox.state import StateFile

PERP = "BTC/USDT:USDT"
QUERIES = [
    ("/fapi/v2/account", {}),
    ("/fapi/v2/positionRisk", {}),
    ("/fapi/v1/openOrders", {}),
    ("/fapi/v1/allOrders", {"symbol": "BTCUSDT"}),
    ("/fapi/v1/userTrades", {"symbol": "BTCUSDT"}),
    ("/fapi/v1/openAlgoOrders", {}),
    ("/fapi/v1/income", {}),
]


def live(desk: Any) -> None:
    """Orders and positions of every kind, some of them over."""
    desk.trade(100.0)
    desk.quote(99.99, 100.01)
    desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
    desk.place("BUY", "3", newClientOrderId="filled")
    desk.wait(1)
    desk.exchange.transfer("USDT", Decimal(50))
    desk.wait(1)
    desk.place("SELL", "1")
    rests = desk.place("BUY", "2", "99.00", newClientOrderId="resting")
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": rests["orderId"]}
    desk.ask("PUT", "/fapi/v1/order", **change, quantity="3", price="98.50")
    desk.place("SELL", "2", "110.00", reduceOnly="true", timeInForce="GTX")
    desk.stop("SELL", "90.00", clientAlgoId="waits")
    desk.stop("SELL", "91.00", clientAlgoId="over")
    desk.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="over")


def shown(desk: Any) -> list[Any]:
    return [desk.exchange.truth(), *(desk.ask("GET", path, **params) for path, params in QUERIES)]


def market_of(desk: Any, at_ns: int) -> None:
    desk.clock.advance_to(at_ns)
    desk.trade(100.0)
    desk.quote(99.99, 100.01)


def test_everything_is_shown_and_goes_on_as_before(make_perp_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    before, after = make_perp_desk(), make_perp_desk(balances={"USDT": Decimal(1)})
    keeper = FuturesStateFile(path, before.exchange)
    before.exchange.listeners.append(lambda _: keeper.save())
    live(before)
    keeper.save()
    assert FuturesStateFile(path, after.exchange).restore()
    market_of(after, before.clock.now_ns())
    assert shown(after) == shown(before)
    for desk in (before, after):
        desk.trade(90.0)
        desk.quote(109.0, 111.0)
        desk.trade(110.5)
    assert shown(after) == shown(before)
    assert after.exchange.truth()["algo_orders"][0]["status"] == "FINISHED"


def test_positions_of_awkward_cost_come_back_to_the_last_digit(make_perp_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    before, after = make_perp_desk(), make_perp_desk()
    for bid, side, qty in ((100, "BUY", "0.7"), (101, "BUY", "0.3"), (97, "SELL", "0.9")):
        before.quote(bid, bid + 0.03)
        before.place(side, qty)
    FuturesStateFile(path, before.exchange).save()
    assert FuturesStateFile(path, after.exchange).restore()
    one, other = (desk.exchange.engine.account.contract(PERP) for desk in (before, after))
    assert one == other
    assert one.cost != 0


def test_two_accounts_share_a_file(desk: Any, make_desk: Any, make_perp_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    perp = make_perp_desk()
    spot_keeper, perp_keeper = StateFile(path, desk.exchange), FuturesStateFile(path, perp.exchange)
    perp.trade(100.0)
    perp.quote(99.99, 100.01)
    for _ in range(2):
        desk.place("BUY", "1")
        spot_keeper.save()
        perp.place("BUY", "2")
        perp_keeper.save()
    spot_after, perp_after = make_desk(), make_perp_desk()
    assert StateFile(path, spot_after.exchange).restore()
    assert FuturesStateFile(path, perp_after.exchange).restore()
    assert spot_after.exchange.truth() == desk.exchange.truth()
    assert perp_after.exchange.truth() == perp.exchange.truth()
    assert perp_after.exchange.truth()["positions"] == {PERP: "4"}
