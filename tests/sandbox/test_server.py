"""The sandbox behind real sockets: what a client meets at REST, with and without faults."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quantcli.clock import WallClock
from quantcli.errors import QuantError
from quantcli.sandbox.doors.certificate import make_certificates
from tests.loopback import InProcessSandbox
from tests.sandbox.rest_client import Client

PLACE = "POST /api/v3/order"


@pytest.fixture
async def exchange() -> AsyncIterator[InProcessSandbox]:
    async with InProcessSandbox(is_held=True, seed=5) as sandbox:
        yield sandbox


@pytest.fixture
async def client(exchange: InProcessSandbox) -> AsyncIterator[Client]:
    async with Client(exchange, timeout_s=3) as one:
        yield one


def names(exchange: InProcessSandbox) -> list[str]:
    """Client order ids of the orders that really exist."""
    return [order["client_order_id"] for order in exchange.orders()]


async def test_it_serves_the_public_and_the_account_on_one_port(exchange, client):
    assert (await client.public("/api/v3/ping"))[0] == 200
    status, placed = await client.place("mine")
    assert (status, placed["clientOrderId"], placed["status"]) == (200, "mine", "NEW")
    assert (await client.order("mine"))[1]["orderId"] == placed["orderId"]
    assert names(exchange) == ["mine"]
    assert exchange.calls()[PLACE] == 1


async def test_it_listens_on_loopback_only(exchange):
    port = int(exchange.url.rpartition(":")[2])
    assert exchange.url.startswith("http://127.0.0.1:")
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", port))


async def test_a_port_that_is_taken_is_said_to_be(exchange):
    port = int(exchange.url.rpartition(":")[2])
    other = InProcessSandbox(port=port)
    with pytest.raises(QuantError, match="cannot listen"):
        await other.__aenter__()
    await other.inside.close()


@pytest.mark.parametrize(
    ("rule", "outcome", "exists"),
    [
        ({"fault": "lost_request"}, aiohttp.ServerDisconnectedError, False),
        ({"fault": "lost_request", "hold": True}, TimeoutError, False),
        ({"fault": "lost_answer"}, aiohttp.ServerDisconnectedError, True),
        ({"fault": "lost_answer", "hold": True}, TimeoutError, True),
        ({"fault": "half_open"}, TimeoutError, True),
        ({"fault": "truncate", "bytes": 30}, aiohttp.ClientPayloadError, True),
        ({"fault": "truncate", "applied": False}, aiohttp.ClientPayloadError, False),
        ({"fault": "reset"}, ConnectionResetError, True),
        ({"fault": "reset", "bytes": 80}, ConnectionResetError, True),
        ({"fault": "reset", "applied": False}, ConnectionResetError, False),
        ({"fault": "trickle", "seconds": 0.5}, TimeoutError, True),
    ],
    ids=str,
)
async def test_a_connection_that_fails_tells_nothing_of_the_order(exchange, rule, outcome, exists):
    exchange.chaos({"on": PLACE, **rule})
    async with Client(exchange, timeout_s=0.6) as client:
        with pytest.raises((outcome, aiohttp.ClientOSError)) as failed:
            await client.place("a")
        if outcome is ConnectionResetError:
            assert failed.value.errno == 104
        else:
            assert isinstance(failed.value, outcome)
    assert names(exchange) == (["a"] if exists else [])


@pytest.mark.parametrize(
    ("rule", "status", "told", "exists"),
    [
        ({"fault": "status", "status": 504, "applied": True}, 504, -1007, True),
        ({"fault": "status", "status": 504}, 504, -1007, False),
        ({"fault": "status", "status": 500, "code": -1006, "applied": True}, 500, -1006, True),
        ({"fault": "status", "status": 503, "code": -1008, "message": "busy"}, 503, -1008, False),
        ({"fault": "status", "status": 400, "code": -2010, "message": "no"}, 400, -2010, False),
        ({"fault": "html", "status": 502, "applied": True}, 502, "<html>", True),
        ({"fault": "empty"}, 200, "", True),
        ({"fault": "ban", "seconds": 9}, 429, -1003, False),
        ({"fault": "maintenance", "seconds": 9}, 503, -1016, False),
    ],
    ids=str,
)
async def test_an_answer_may_lie_about_the_order(exchange, client, rule, status, told, exists):
    exchange.chaos({"on": PLACE, **rule})
    answered, body = await client.place("a")
    assert answered == status
    assert body["code"] == told if isinstance(told, int) else body.startswith(told)
    assert names(exchange) == (["a"] if exists else [])


async def test_a_redirect_can_be_answered(exchange, client):
    target = {"Location": "http://127.0.0.1:1/elsewhere"}
    exchange.chaos({"on": PLACE, "fault": "status", "status": 307, "headers": target})
    async with client.http.post(exchange.url + "/api/v3/order", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, target["Location"])


async def test_a_ban_holds_for_every_call_and_says_how_long(exchange, client):
    exchange.chaos({"on": PLACE, "fault": "ban", "status": 418, "seconds": 0.5})
    assert (await client.place())[0] == 418
    async with client.http.get(exchange.url + "/api/v3/time") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (418, "1")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.http.ws_connect(exchange.ws_url + "/ws")
    assert refused.value.status == 418
    await asyncio.sleep(0.5)
    assert (await client.public("/api/v3/time"))[0] == 200


async def test_a_delayed_request_is_carried_out_though_its_client_has_left(exchange):
    exchange.chaos({"on": PLACE, "fault": "delay", "seconds": 0.6})
    async with Client(exchange, timeout_s=0.2) as client:
        with pytest.raises(TimeoutError):
            await client.place("late")
    assert names(exchange) == []
    await asyncio.sleep(0.6)
    assert names(exchange) == ["late"]


async def test_a_request_delayed_past_its_window_is_refused(exchange, client):
    exchange.chaos({"on": PLACE, "fault": "delay", "seconds": 0.5})
    assert (await client.place(recvWindow=200))[1]["code"] == -1021
    assert names(exchange) == []


async def test_an_answer_can_be_late_while_the_order_is_not(exchange, client):
    exchange.chaos({"on": PLACE, "fault": "delay", "seconds": 0.5, "after": True})
    placing = asyncio.create_task(client.place("a"))
    await asyncio.sleep(0.25)
    assert names(exchange) == ["a"]
    assert not placing.done()
    assert (await placing)[0] == 200


async def test_each_order_is_hit_once_however_often_it_is_sent(exchange, client):
    exchange.chaos({"on": PLACE, "fault": "lost_request", "once_per": "newClientOrderId"})
    for name in ("a", "b"):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.place(name)
        assert (await client.place(name))[0] == 200
    assert names(exchange) == ["a", "b"]
    assert exchange.calls()[PLACE] == 4


async def test_queries_can_lag_while_orders_act_at_once(exchange, client):
    exchange.transfer("USDT", "5")
    await asyncio.sleep(0.45)
    exchange.chaos(
        *({"on": f"GET /api/v3/{what}", "fault": "lag", "seconds": 0.4} for what in LAGGING),
    )
    await client.place("rests")
    await client.place("filled", type="MARKET")
    assert {order["status"] for order in exchange.orders()} == {"NEW", "FILLED"}
    assert (await client.order("rests"))[1]["code"] == -2013
    assert (await client.signed("GET", "/api/v3/openOrders"))[1] == []
    assert (await client.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT"))[1] == []
    assert (await client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT"))[1] == []
    assert await free(client, "USDT") == 100_005.0
    await asyncio.sleep(0.5)
    assert (await client.order("rests"))[1]["status"] == "NEW"
    assert len((await client.signed("GET", "/api/v3/openOrders"))[1]) == 1
    assert len((await client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT"))[1]) == 1
    assert await free(client, "USDT") < 99_000
    assert (await client.cancel("rests"))[0] == 200
    assert (await client.order("rests"))[1]["status"] == "NEW"


LAGGING = ("order", "openOrders", "allOrders", "myTrades", "account")


async def free(client: Client, asset: str) -> float:
    _, account = await client.signed("GET", "/api/v3/account")
    return next(float(b["free"]) for b in account["balances"] if b["asset"] == asset)


async def test_the_clock_can_jump_at_a_call(exchange, client):
    exchange.chaos({"on": "GET /api/v3/time", "fault": "clock", "seconds": 30, "calls": [1]})
    _, told = await client.public("/api/v3/time")
    assert told["serverTime"] / 1000 - time.time() == pytest.approx(30, abs=2)
    assert (await client.place())[1]["code"] == -1021


async def test_answers_can_be_altered(exchange, client):
    exchange.chaos({"on": "GET /api/v3/order", "fault": "alter", "set": {"executedQty": "0.5"}})
    await client.place("a")
    assert (await client.order("a"))[1]["executedQty"] == "0.5"
    assert exchange.orders()[0]["filled"] in ("0", "0.00000000")


async def test_a_cancel_whose_answer_is_lost_was_carried_out(exchange, client):
    await client.place("a")
    exchange.chaos({"on": "DELETE /api/v3/order", "fault": "lost_answer", "calls": [1]})
    http = client.http
    http._retry_connection = False
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.cancel("a")
    assert exchange.orders()[0]["status"] == "CANCELED"
    assert (await client.cancel("a"))[1]["code"] == -2011


async def test_what_has_been_struck_is_on_record(exchange, client):
    exchange.chaos({"on": PLACE, "fault": "empty", "every": 2}, seed=1)
    for name in "abcd":
        await client.place(name)
    assert [strike["newClientOrderId"] for strike in exchange.strikes()] == ["b", "d"]


async def test_unknown_paths_and_methods_are_answered_as_the_exchange_does(client):
    assert (await client.public("/api/v3/nothing"))[0] == 404
    assert (await client.signed("PATCH", "/api/v3/order"))[0] in (404, 405)


async def test_many_clients_at_once_are_all_answered(exchange, client):
    placed = await asyncio.gather(*(client.place(f"n{n}", quantity="0.001") for n in range(40)))
    assert [status for status, _ in placed] == [200] * 40
    assert len(set(names(exchange))) == 40


def test_the_authoritys_key_is_kept_nowhere_and_the_servers_from_others(tmp_path: Path):
    _, ca = make_certificates(tmp_path / "tls", WallClock())
    assert b"PRIVATE" not in ca.read_bytes()
    assert sorted(path.name for path in ca.parent.iterdir()) == ["ca.pem", "server.pem"]
    assert (ca.parent / "server.pem").stat().st_mode & 0o077 == 0


async def test_without_limits_nobody_is_counted():
    async with InProcessSandbox(is_held=True, is_unlimited=True) as sandbox, Client(sandbox) as client:
        placed = await asyncio.gather(*(client.place(f"n{n}", quantity="0.0002") for n in range(130)))
        assert {status for status, _ in placed} == {200}


async def test_tls_is_served_under_the_exchanges_names():
    async with InProcessSandbox(tls=True) as sandbox, aiohttp.ClientSession() as http:
        trusting = ssl.create_default_context(cafile=sandbox.told["ca"])
        port = int(sandbox.told["tls_url"].rpartition(":")[2])
        async with http.get(sandbox.told["tls_url"] + "/api/v3/ping", ssl=trusting) as answer:
            assert answer.status == 200
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname="stream.binance.com"
        )
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="example.com")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(sandbox.told["tls_url"] + "/api/v3/ping")


async def test_a_reset_reaches_a_tls_client_too():
    async with InProcessSandbox(tls=True) as sandbox, aiohttp.ClientSession() as http:
        sandbox.chaos({"on": "GET *", "fault": "reset"})
        trusting = ssl.create_default_context(cafile=sandbox.told["ca"])
        with pytest.raises(aiohttp.ClientOSError):
            await http.get(sandbox.told["tls_url"] + "/api/v3/ping", ssl=trusting)


async def test_closing_does_not_wait_for_clients_that_hold_on(exchange: Any):
    async with InProcessSandbox() as sandbox, Client(sandbox) as client:
        sandbox.chaos({"on": PLACE, "fault": "lost_answer", "hold": True})
        stuck = asyncio.create_task(client.place())
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await sandbox.inside.close()
        assert time.monotonic() - began < 2
        with pytest.raises(aiohttp.ClientError):
            await stuck
