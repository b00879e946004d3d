"""The comparison sees every kind of difference, each alone: what the campaigns rest on."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from quantcli.model.instrument import Side
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.store.api import Loaded
from tests.live.verdict import compare

D = Decimal
ORDER = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, D(2), D(100))
WISH = OrderIntent("w1", ORDER, 1, phase=IntentPhase.ACTIVE)
STATE = OrderState(
    *("w1", 1, "c1", ORDER, 1, 1, AttemptState.LIVE, OrderStatus.PARTIALLY_FILLED, "7", D("0.5"), D("0.5"))
)
FILL = Fill("t1", "BTC/USDT", Side.BUY, D("0.5"), D(100), D("0.001"), "BTC", True, 1, "c1", "7", "w1")
THERE = {"order_id": 7, "first_client_order_id": "c1", "client_order_id": "c1", "filled": "0.5"}
LEDGER = Loaded(intents=(WISH,), states=(STATE,), fills=(FILL,))


def truth(*orders: dict[str, Any], fills: int = 1, held: str = "1.499") -> dict[str, Any]:
    told = [{"symbol": "BTC/USDT", "trade_id": f"t{n + 1}"} for n in range(fills)]
    listed = orders or (THERE | {"status": "PARTIALLY_FILLED"},)
    return {"orders": listed, "fills": told, "balances": {"BTC": {"total": held}}}


def differences(there: dict[str, Any], here: Loaded) -> dict[str, Any]:
    found = compare(there, here, {"BTC": D(1)}, "BTC")
    names = ("wrong", "orphans", "in_flight", "doubled", "unbooked", "invented", "booked_twice", "lost")
    counts = {name: getattr(found, name) for name in names if getattr(found, name)}
    if found.position != found.position_there:
        counts["position"] = (found.position, found.position_there)
    assert found.is_clean == (not counts)
    return counts


def test_what_agrees_is_clean() -> None:
    assert differences(truth(), LEDGER) == {}


OPEN, DONE = THERE | {"status": "PARTIALLY_FILLED"}, THERE | {"status": "CANCELED"}
STRANGER = {
    "order_id": 8,
    "first_client_order_id": "c9",
    "client_order_id": "c9",
    "filled": "0",
    "status": "NEW",
}
SECOND = STRANGER | {"first_client_order_id": "c2", "client_order_id": "c2"}
DEAD = replace(STATE, state=AttemptState.DEAD, status=OrderStatus.REJECTED)
AT_SECOND = replace(
    STATE, attempt=2, client_order_id="c2", exchange_order_id="8", status=OrderStatus.NEW, filled=D(0)
)


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        (truth(OPEN, STRANGER), LEDGER, {"wrong": 1, "orphans": 1}),
        (truth(), replace(LEDGER, states=(DEAD,)), {"wrong": 1, "orphans": 1}),
        (truth(DONE), LEDGER, {"wrong": 1, "lost": 1}),
        (truth(THERE | {"status": "PARTIALLY_FILLED", "filled": "0.7"}), LEDGER, {"wrong": 1}),
        (
            truth(),
            replace(LEDGER, states=(replace(STATE, state=AttemptState.AMBIGUOUS),)),
            {"in_flight": 1},
        ),
        (truth(OPEN, SECOND), replace(LEDGER, states=(STATE, AT_SECOND)), {"doubled": 1}),
        (truth(fills=2), LEDGER, {"unbooked": 1}),
        (truth(fills=0), LEDGER, {"invented": 1}),
        (
            truth(held="1.998"),
            replace(LEDGER, fills=(FILL, FILL)),
            {"booked_twice": 1},
        ),
        (truth(held="2"), LEDGER, {"position": (D("0.499"), D(1))}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) and "orders" not in value else "",
)
def test_each_difference_is_told(there: dict[str, Any], here: Loaded, told: dict[str, Any]) -> None:
    assert differences(there, here) == told


@pytest.mark.parametrize("phase", [IntentPhase.ACTIVE, IntentPhase.PENDING, IntentPhase.FAILED])
def test_a_wish_without_an_order_is_lost(phase: IntentPhase) -> None:
    empty = {"orders": (), "fills": [], "balances": {"BTC": {"total": "1"}}}
    assert differences(empty, Loaded(intents=(replace(WISH, phase=phase),))) == {"lost": 1}


def test_a_wish_that_ended_as_it_should_is_not() -> None:
    empty = {"orders": (), "fills": [], "balances": {"BTC": {"total": "1"}}}
    assert differences(empty, Loaded(intents=(replace(WISH, phase=IntentPhase.CANCELED),))) == {}
