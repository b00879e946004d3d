"""The faults that trading programs were compared by, each written as rules and seen on the wire.

A row says what a client meets and what is true meanwhile: the answer to placing (or cancelling) an order, the
reports it hears within a moment, and the order's real status.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.loopback import InProcessSandbox
from tests.sandbox.rest_client import Client
from tests.sandbox.test_sockets import reports

PLACE, CANCEL, REPORT = "POST /api/v3/order", "DELETE /api/v3/order", "user executionReport"
ONCE = {"on": PLACE, "once_per": "newClientOrderId"}
NO_EVENTS = {"on": "user *", "fault": "drop"}
LATE_EVENTS = {"on": "user *", "fault": "late", "seconds": 0.5}
EVENT_FIRST = {"on": PLACE, "fault": "delay", "seconds": 0.2, "after": True}
LOST = {**ONCE, "fault": "lost_answer"}
TIMEOUT_STATUS = {**ONCE, "fault": "status", "status": 504, "code": -1007, "applied": True}
HTML_STATUS = {**ONCE, "fault": "html", "status": 504, "applied": True}
EMPTY = {**ONCE, "fault": "empty"}
GONE = aiohttp.ServerDisconnectedError


@pytest.fixture
async def exchange() -> AsyncIterator[InProcessSandbox]:
    async with InProcessSandbox(is_held=True, seed=5) as sandbox:
        yield sandbox


@pytest.fixture
async def client(exchange: InProcessSandbox) -> AsyncIterator[Client]:
    async with Client(exchange, timeout_s=0.6) as one:
        yield one


async def outcome(call: Any) -> Any:
    """Status of an answer (with its body, if that is empty), or the kind of failure."""
    try:
        status, body = await call
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error)
    return (status, body) if body == "" else status


@pytest.mark.parametrize(
    ("rules", "answer", "heard", "exists"),
    [
        pytest.param([], 200, ["NEW"], True, id="a no fault"),
        pytest.param([LOST, EVENT_FIRST], GONE, ["NEW"], True, id="b1 answer lost, event first"),
        pytest.param([LOST, LATE_EVENTS], GONE, [], True, id="b2 answer lost, event later"),
        pytest.param([LOST, NO_EVENTS], GONE, [], True, id="b3 answer and event lost"),
        pytest.param([{**LOST, "hold": True}, NO_EVENTS], TimeoutError, [], True, id="bt never answered"),
        pytest.param([TIMEOUT_STATUS, EVENT_FIRST], 504, ["NEW"], True, id="c1 504, event first"),
        pytest.param([TIMEOUT_STATUS, LATE_EVENTS], 504, [], True, id="c2 504, event later"),
        pytest.param([TIMEOUT_STATUS, NO_EVENTS], 504, [], True, id="c3 504, event lost"),
        pytest.param([HTML_STATUS, LATE_EVENTS], 504, [], True, id="c4 504 with HTML"),
        pytest.param([{**ONCE, "fault": "lost_request"}], GONE, [], False, id="d never applied"),
        pytest.param(
            [{**ONCE, "fault": "lost_request", "hold": True}],
            TimeoutError,
            [],
            False,
            id="dd not closed",
        ),
        pytest.param([EMPTY, EVENT_FIRST], (200, ""), ["NEW"], True, id="e1 empty answer, event first"),
        pytest.param([EMPTY, NO_EVENTS], (200, ""), [], True, id="e3 empty answer, event lost"),
    ],
)
async def test_placing(exchange, client, rules, answer, heard, exists):
    socket = await client.account_events()
    exchange.chaos(*rules)
    assert await outcome(client.place("a")) == answer
    assert [kind for _, kind in await reports(socket)] == heard
    assert [order["status"] for order in exchange.orders()] == (["NEW"] if exists else [])


@pytest.mark.parametrize(
    ("rule", "answer", "status"),
    [
        pytest.param({"fault": "lost_answer"}, GONE, "CANCELED", id="f cancel applied, answer lost"),
        pytest.param({"fault": "status", "status": 504, "applied": True}, 504, "CANCELED", id="fc 504"),
        pytest.param({"fault": "lost_request"}, GONE, "NEW", id="fb cancel never applied"),
    ],
)
async def test_cancelling(exchange, client, rule, answer, status):
    await client.place("a")
    client.http._retry_connection = False
    exchange.chaos({"on": CANCEL, "once_per": "origClientOrderId", **rule}, NO_EVENTS)
    assert await outcome(client.cancel("a")) == answer
    assert exchange.orders()[0]["status"] == status


@pytest.mark.parametrize(
    ("rules", "heard"),
    [
        pytest.param([{"on": REPORT, "fault": "drop", "where": {"x": "TRADE"}}], [], id="g fill lost"),
        pytest.param(
            [{"on": REPORT, "fault": "drop", "where": {"x": "TRADE"}, "calls": [1]}],
            ["0.01000000"],
            id="gp one of two fills lost",
        ),
        pytest.param(
            [{"on": REPORT, "fault": "late", "seconds": 25, "where": {"x": "TRADE"}}], [], id="gl fill late"
        ),
        pytest.param(
            [{"on": REPORT, "fault": "duplicate"}, {"on": REPORT, "fault": "reorder"}],
            ["0.00400000", "0.01000000", "0.00400000", "0.01000000"],
            id="h doubled and out of order",
        ),
    ],
)
async def test_filling(exchange, client, rules, heard):
    order_id = (await client.place("a"))[1]["orderId"]
    socket = await client.account_events()
    exchange.chaos(*rules)
    exchange.fill(order_id, "0.004")
    exchange.fill(order_id)
    told = await filled_so_far(socket)
    assert sorted(told) == sorted(heard)
    assert exchange.orders()[0]["status"] == "FILLED"


async def filled_so_far(socket: aiohttp.ClientWebSocketResponse) -> list[str]:
    """What each report of a trade says is filled."""
    found = []
    try:
        async with asyncio.timeout(0.3):
            while True:
                event = (await socket.receive_json())["event"]
                if event.get("x") == "TRADE":
                    found.append(event["z"])
    except TimeoutError:
        return found


async def test_j_all_fills_while_nobody_looks(exchange, client):
    await client.place("a")
    await client.place("b")
    exchange.fill()
    _, trades = await client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")
    assert len(trades) == 2


async def test_k_cancelled_by_hand_and_nobody_is_told(exchange, client):
    order_id = (await client.place("a"))[1]["orderId"]
    socket = await client.account_events()
    exchange.chaos(NO_EVENTS)
    exchange.cancel(order_id)
    assert await reports(socket) == []
    assert (await client.order("a"))[1]["status"] == "CANCELED"


async def test_l_answer_and_event_lost_and_queries_lag(exchange, client):
    lag = {"on": "GET /api/v3/*", "fault": "lag", "seconds": 0.4}
    exchange.chaos(LOST, NO_EVENTS, lag)
    assert await outcome(client.place("a")) == GONE
    assert (await client.order("a"))[1]["code"] == -2013
    await asyncio.sleep(0.4)
    assert (await client.order("a"))[1]["status"] == "NEW"


async def test_o_orders_older_than_an_hour(exchange, client):
    await client.place("a")
    exchange.jump(3_700)
    _, told = await client.public("/api/v3/time")
    _, order = await client.signed(
        "GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="a", timestamp=told["serverTime"]
    )
    assert told["serverTime"] - order["time"] >= 3_700_000
    assert order["status"] == "NEW"


async def test_a_repetition_with_the_same_id_meets_the_rule_of_open_orders(exchange, client):
    exchange.chaos(TIMEOUT_STATUS)
    await client.place("resting")
    await client.place("taking", type="MARKET")
    assert (await client.place("resting"))[1]["msg"] == "Duplicate order sent."
    assert (await client.place("taking", type="MARKET"))[0] == 200
    assert [order["client_order_id"] for order in exchange.orders()] == ["resting", "taking", "taking"]
