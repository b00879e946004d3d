"""What tests and people can ask of a sandbox and do to it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from quantcli.clock import NS_PER_MS, NS_PER_S, VirtualClock
from quantcli.sandbox.skew import SkewedClock
from tests.loopback import InProcessSandbox
from tests.sandbox.rest_client import Client


@pytest.fixture
async def exchange() -> AsyncIterator[InProcessSandbox]:
    async with InProcessSandbox(is_held=True, seed=5) as sandbox:
        yield sandbox


@pytest.fixture
async def client(exchange: InProcessSandbox) -> AsyncIterator[Client]:
    async with Client(exchange) as one:
        yield one


async def test_the_truth_tells_every_order_fill_and_balance(exchange, client):
    await client.place("rests")
    await client.place("filled", type="MARKET")
    truth = exchange.truth()
    assert {order["client_order_id"]: order["status"] for order in truth["orders"]} == {
        "rests": "NEW",
        "filled": "FILLED",
    }
    assert [fill["client_order_id"] for fill in truth["fills"]] == ["filled"]
    assert float(truth["balances"]["USDT"]["locked"]) >= 500


async def test_a_resting_order_is_filled_by_hand_in_part_and_in_full(exchange, client):
    order_id = (await client.place("a"))[1]["orderId"]
    await client.place("b", quantity="0.02")
    exchange.fill(order_id, "0.004")
    assert (await client.order("a"))[1]["executedQty"] == "0.00400000"
    exchange.fill()
    assert {order["status"] for order in exchange.orders()} == {"FILLED"}


async def test_an_order_is_cancelled_by_hand(exchange, client):
    order_id = (await client.place("a"))[1]["orderId"]
    exchange.cancel(order_id)
    assert (await client.order("a"))[1]["status"] == "CANCELED"
    with pytest.raises(AssertionError, match="Unknown order"):
        exchange.cancel(order_id)


async def test_somebody_else_places_an_order(exchange, client):
    order_id = exchange.place("BTCUSDT", "BUY", "0.01", "50000")
    (found,) = (await client.signed("GET", "/api/v3/openOrders"))[1]
    assert (found["orderId"], found["clientOrderId"][:4]) == (order_id, "web_")
    assert exchange.place("BTCUSDT", "BUY", "0.01") == order_id + 1


async def test_money_comes_and_goes(exchange, client):
    socket = await client.account_events()
    exchange.transfer("DOGE", "12.5")
    assert (await socket.receive_json())["event"]["e"] == "balanceUpdate"
    assert exchange.truth()["balances"]["DOGE"]["free"] == "12.5"
    exchange.transfer("DOGE", "-12.5")
    with pytest.raises(AssertionError, match="insufficient balance"):
        exchange.transfer("DOGE", "-1")


async def test_the_clock_jumps(exchange, client):
    before = (await client.public("/api/v3/time"))[1]["serverTime"]
    exchange.jump(60)
    assert (await client.public("/api/v3/time"))[1]["serverTime"] - before == pytest.approx(60_000, abs=2_000)
    exchange.jump(-60)
    assert (await client.place())[0] == 200


def test_a_skewed_clock_goes_on_at_the_pace_of_the_other():
    machine = VirtualClock(10 * NS_PER_S)
    clock = SkewedClock(machine)
    clock.jump(-2.5)
    machine.advance_to(11 * NS_PER_S)
    assert clock.now_ns() == 8_500 * NS_PER_MS
    clock.jump(2.5)
    assert clock.now_ns() == machine.now_ns()


async def test_permissions_change(exchange, client):
    exchange.ask("POST", "permissions", {"canTrade": False})
    assert (await client.place())[0] == 400
    assert (await client.signed("GET", "/api/v3/account"))[1]["canTrade"] is False
    with pytest.raises(AssertionError):
        exchange.ask("POST", "permissions", {"canFly": True})
    with pytest.raises(AssertionError, match="neither true nor false"):
        exchange.ask("POST", "permissions", {"canTrade": 1})


async def test_a_synthetic_market_is_moved_and_orders_fill(exchange, client):
    await client.place("a", price="59000")
    exchange.move("BTC/USDT", "58990", "58991")
    assert exchange.orders()[0]["status"] == "FILLED"
    _, ticker = await client.public("/api/v3/ticker/bookTicker", symbol="BTCUSDT")
    assert (float(ticker["bidPrice"]), float(ticker["askPrice"])) == (58990, 58991)
    for symbol, bid, ask in (("BTCUSDT", "5", "4"), ("BTCUSDT", "1.001", "2"), ("XRPUSDT", "1", "2")):
        with pytest.raises(AssertionError):
            exchange.move(symbol, bid, ask)


async def test_the_feed_is_held_started_and_sped_up(exchange):
    held = exchange.ask("GET", "feed")
    assert (held["held"], held["done"]) == (True, False)
    await asyncio.sleep(0.15)
    assert exchange.ask("GET", "feed")["events"] == held["events"]
    assert exchange.feed(start=True, speed=50)["speed"] == 50
    await asyncio.sleep(0.15)
    assert exchange.ask("GET", "feed")["events"] > held["events"]
    for speed in (-1, "fast", True):
        with pytest.raises(AssertionError, match="is not a speed"):
            exchange.feed(speed=speed)


async def test_fault_plans_are_replaced_while_running_and_mistakes_leave_the_old_one(exchange, client):
    exchange.chaos({"on": "GET /api/v3/time", "fault": "empty"})
    with pytest.raises(AssertionError, match="did you mean 'empty'"):
        exchange.chaos({"on": "GET /api/v3/time", "fault": "emty"})
    assert (await client.public("/api/v3/time"))[1] == ""
    assert [strike["fault"] for strike in exchange.strikes()] == ["empty"]
    exchange.ask("POST", "chaos", {})
    assert "serverTime" in (await client.public("/api/v3/time"))[1]


async def test_somebody_else_uses_up_the_limits(exchange, client):
    exchange.ask("POST", "weight", {"weight": 100, "orders": 40})
    async with client.http.get(exchange.url + "/api/v3/ping") as answer:
        assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) == 101
    exchange.ask("POST", "weight", {"orders": 60})
    assert (await client.place())[1]["code"] == -1015
    with pytest.raises(AssertionError, match="Too much request weight"):
        exchange.ask("POST", "weight", {"weight": 6_000})
    assert (await client.public("/api/v3/ping"))[0] == 429


async def test_stopping_ends_the_run(exchange):
    running = asyncio.create_task(exchange.inside.run())
    exchange.ask("POST", "stop")
    await asyncio.wait_for(running, 1)


@pytest.mark.parametrize(
    ("method", "name", "body", "status"),
    [
        ("GET", "nothing", b"", 404),
        ("POST", "fill", b"{", 400),
        ("POST", "fill", b"[]", 400),
        ("POST", "fill", b"{}", 400),
        ("POST", "fill", b'{"orderId":"x"}', 400),
        ("POST", "fill", b'{"order":1}', 400),
        ("POST", "fill", b'{"orderId":999}', 400),
        ("POST", "clock", b'{"jump_s":true}', 400),
        ("POST", "clock", b'{"jump_s":"NaN"}', 400),
        ("POST", "transfer", b'{"asset":"BTC"}', 400),
        ("POST", "disconnect", b'{"kind":"some"}', 400),
        ("GET", "truth", b"", 200),
    ],
)
async def test_mistakes_are_told_over_http(exchange, client, method, name, body, status):
    async with client.http.request(method, f"{exchange.url}/sandbox/{name}", data=body) as answer:
        assert answer.status == status
        told = await answer.json()
        assert status == 200 or told["what"]
