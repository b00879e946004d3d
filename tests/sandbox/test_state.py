"""An account that is kept in a file goes on after a restart as if nothing had been."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.errors import StoreError
from quantcli.sandbox.state import StateFile
from quantcli.simulation.matching import QueueModel

OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "110.00",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "95.00",
}


def live(desk: Any) -> None:
    """Orders of every kind, some of them over."""
    desk.trade(100.0)
    desk.quote(99.99, 100.01)
    desk.place("BUY", "1", newClientOrderId="filled")
    desk.place("BUY", "2", "99.00", newClientOrderId="resting")
    desk.place("BUY", "2", "99.00", newClientOrderId="behind")
    desk.ask("POST", "/api/v3/orderList/oco", **OCO)
    desk.place("SELL", "0.5", "94.00", type="STOP_LOSS_LIMIT", stopPrice="95.50")
    desk.quote(95.0, 96.0)
    desk.place("BUY", "0.1", "94.50", newClientOrderId="amended")
    desk.ask(
        "PUT",
        "/api/v3/order/amend/keepPriority",
        symbol="BTCUSDT",
        origClientOrderId="amended",
        newClientOrderId="amended",
        newQty="0.06",
    )
    desk.exchange.transfer("ETH", Decimal(1))
    desk.exchange.restrict(ip_restricted=True)


def shown(desk: Any) -> list[Any]:
    signed = [
        ("/api/v3/account", {}),
        ("/api/v3/openOrders", {}),
        ("/api/v3/allOrders", {"symbol": "BTCUSDT"}),
        ("/api/v3/myTrades", {"symbol": "BTCUSDT"}),
        ("/api/v3/allOrderList", {}),
        ("/sapi/v1/account/apiRestrictions", {}),
    ]
    return [desk.exchange.truth(), *(desk.ask("GET", path, **params) for path, params in signed)]


def test_everything_is_shown_and_goes_on_as_before(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    before = make_desk()
    keeper = StateFile(path, before.exchange)
    assert not keeper.restore()
    before.exchange.listeners.append(lambda _: keeper.save())
    live(before)
    keeper.save()

    after = make_desk(balances={"USDT": Decimal(1)})
    assert StateFile(path, after.exchange).restore()
    assert shown(after) == shown(before)
    for desk in (before, after):
        desk.happened()
        desk.quote(98.0, 98.5)
        desk.trade(98.0, 3.0, side=2)
        desk.trade(94.0, 0.1)
        desk.place("SELL", "0.5", "120.00", newClientOrderId="new")
    assert after.happened() == before.happened()
    assert shown(after) == shown(before)


def test_places_in_queues_are_kept(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    before = make_desk(queue=QueueModel.VOLUME)
    before.trade(100.0)
    before.quote(99.0, 101.0, 5.0)
    before.place("BUY", "1", "99.00")
    before.trade(99.0, 2.0, side=2)
    StateFile(path, before.exchange).save()
    after = make_desk(queue=QueueModel.VOLUME)
    assert StateFile(path, after.exchange).restore()
    for desk in (before, after):
        desk.happened()
        desk.trade(99.0, 3.0, side=2)
        assert desk.happened() == []
        desk.trade(99.0, 1.0, side=2)
        assert desk.happened() == ["TRADE", "BalancesChanged"]


def test_a_stop_that_has_been_triggered_stays_so(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    before = make_desk()
    before.trade(100.0)
    before.quote(99.99, 100.01)
    before.place("SELL", "1", "104.00", type="STOP_LOSS_LIMIT", stopPrice="98.00")
    before.place("SELL", "1", "103.00", type="STOP_LOSS_LIMIT", stopPrice="99.00")
    before.trade(98.9)
    StateFile(path, before.exchange).save()
    after = make_desk()
    assert StateFile(path, after.exchange).restore()
    for desk in (before, after):
        desk.happened()
        desk.trade(104.5, 9.0, side=1)
        assert [e.fill.price for e in desk.events if getattr(e, "fill", None)] == [Decimal(103)]


def test_a_list_that_is_over_and_done_stays_so(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    before = make_desk()
    before.trade(100.0)
    before.quote(99.99, 100.01)
    before.ask("POST", "/api/v3/orderList/oco", **OCO)
    before.trade(111.0, 0.4, side=1)
    StateFile(path, before.exchange).save()
    after = make_desk()
    assert StateFile(path, after.exchange).restore()
    assert after.balance("BTC") == before.balance("BTC") == (Decimal(1), Decimal("0.6"))
    after.trade(111.0, 9.0, side=1)
    assert after.ask("GET", "/api/v3/openOrderList") == []


def test_only_what_changed_is_appended(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    desk = make_desk()
    keeper = StateFile(path, desk.exchange)
    keeper.save()
    desk.place("BUY", "1", "99.00", newClientOrderId="first")
    keeper.save()
    desk.place("BUY", "1", "98.00", newClientOrderId="second")
    keeper.save()
    lines = path.read_text().splitlines()
    assert [('"first"' in line, '"second"' in line) for line in lines] == [
        (False, False),
        (True, False),
        (False, True),
    ]


def test_a_torn_last_line_is_passed_over_and_cut_off(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    desk = make_desk()
    keeper = StateFile(path, desk.exchange)
    desk.place("BUY", "1", "99.00")
    keeper.save()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    after = make_desk()
    second = StateFile(path, after.exchange)
    assert second.restore()
    second.save()
    third = make_desk()
    assert StateFile(path, third.exchange).restore()
    assert len(third.ask("GET", "/api/v3/openOrders")) == 1


def test_what_is_no_state_file_is_refused(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    path.write_text('{"orders":5}\n')
    with pytest.raises(StoreError, match="cannot be read"):
        StateFile(path, make_desk().exchange).restore()
