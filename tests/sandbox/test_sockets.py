"""Websockets of the sandbox: events and replies as they come, with faults, pings, and slow readers."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from quantcli.sandbox.doors import sockets
from quantcli.sandbox.doors.sockets import Timing
from tests.loopback import InProcessSandbox
from tests.sandbox.rest_client import Client

Socket = aiohttp.ClientWebSocketResponse
REPORT = "user executionReport"


@pytest.fixture
async def exchange() -> AsyncIterator[InProcessSandbox]:
    async with InProcessSandbox(is_held=True, seed=5) as sandbox:
        yield sandbox


@pytest.fixture
async def client(exchange: InProcessSandbox) -> AsyncIterator[Client]:
    async with Client(exchange, timeout_s=3) as one:
        yield one


async def heard(socket: Socket, seconds: float = 0.25) -> list[Any]:
    """The events of so many seconds; a frame that is no JSON is its text."""
    found: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await socket.receive()
                if message.type is not WSMsgType.TEXT:
                    return [*found, message.type]
                found.append(_event(message.data))
    except TimeoutError:
        return found


def _event(text: str) -> Any:
    try:
        frame = json.loads(text)
    except ValueError:
        return text
    return frame.get("event", frame.get("data", frame))


async def reports(socket: Socket, seconds: float = 0.25) -> list[tuple[str, str]]:
    """(client order id, what happened) of each report."""
    return [
        (event["c"], event["x"])
        for event in await heard(socket, seconds)
        if isinstance(event, dict) and event.get("e") == "executionReport"
    ]


async def test_account_events_arrive_in_order_of_happening(client):
    socket = await client.account_events()
    await client.place("rests")
    await client.place("takes", type="MARKET")
    events = [e["e"] for e in await heard(socket)]
    assert events[:2] == ["executionReport", "outboundAccountPosition"]
    socket = await client.account_events()
    await client.place("more", type="MARKET")
    assert await reports(socket) == [("more", "NEW"), ("more", "TRADE")]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"fault": "drop"}, []),
        ({"fault": "drop", "where": {"x": "TRADE"}}, [("a", "NEW")]),
        ({"fault": "duplicate"}, [("a", "NEW")] * 2 + [("a", "TRADE")] * 2),
        ({"fault": "reorder"}, [("a", "TRADE"), ("a", "NEW")]),
        ({"fault": "reorder", "calls": [1]}, [("a", "TRADE"), ("a", "NEW")]),
        ({"fault": "late", "seconds": 9, "where": {"x": "NEW"}}, [("a", "TRADE")]),
        ({"fault": "alter", "set": {"event.x": "CANCELED"}}, [("a", "CANCELED")] * 2),
    ],
    ids=str,
)
async def test_account_events_meet_faults(exchange, client, rule, expected):
    socket = await client.account_events()
    exchange.chaos({"on": REPORT, **rule})
    await client.place("a", type="MARKET")
    assert await reports(socket) == expected


async def test_an_event_held_back_comes_alone_if_no_other_follows(exchange, client):
    socket = await client.account_events()
    exchange.chaos({"on": "user *", "fault": "reorder", "seconds": 0.3, "calls": [2]})
    await client.place("a")
    assert [event["e"] for event in await heard(socket, 0.15)] == ["executionReport"]
    assert [event["e"] for event in await heard(socket, 0.4)] == ["outboundAccountPosition"]


async def test_an_event_can_come_half_a_second_after_the_answer(exchange, client):
    socket = await client.account_events()
    exchange.chaos(
        {"on": REPORT, "fault": "late", "seconds": 0.4},
        {"on": "POST /api/v3/order", "fault": "status", "status": 504, "applied": True},
    )
    assert (await client.place("a"))[0] == 504
    assert await reports(socket, 0.2) == []
    assert await reports(socket, 0.4) == [("a", "NEW")]


async def test_garbled_frames_arrive_as_they_are(exchange, client):
    socket = await client.account_events()
    exchange.chaos({"on": REPORT, "fault": "garbled", "bytes": 9})
    await client.place("a")
    frames = await heard(socket)
    assert isinstance(frames[0], str)
    assert len(frames[0]) == 9


async def test_a_stream_can_be_terminated_while_its_connection_stays(exchange, client):
    socket = await client.account_events()
    exchange.ask("POST", "terminate")
    await client.place("a")
    assert [event["e"] for event in await heard(socket)] == ["eventStreamTerminated"]
    await socket.send_json({"id": 2, "method": "ping"})
    assert (await socket.receive_json())["status"] == 200


@pytest.mark.parametrize(
    ("rule", "exists", "answer"),
    [
        ({"fault": "lost_request", "hold": True}, False, []),
        ({"fault": "lost_answer", "hold": True}, True, []),
        ({"fault": "lost_answer"}, True, [WSMsgType.CLOSED]),
        ({"fault": "lost_request"}, False, [WSMsgType.CLOSED]),
        ({"fault": "half_open"}, True, []),
        ({"fault": "empty"}, True, [""]),
        ({"fault": "truncate", "bytes": 7}, True, ['{"id":7']),
    ],
    ids=str,
)
async def test_orders_over_the_socket_meet_faults_too(exchange, client, rule, exists, answer):
    exchange.chaos({"on": "ws order.place", **rule})
    socket = await client.connect("/ws-api/v3")
    await socket.send_json(order_request(client))
    assert await heard(socket) == answer
    assert bool(exchange.orders()) is exists


def order_request(client: Client) -> dict[str, Any]:
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    params = client.ws_signed(**terms, price="50000", newClientOrderId="a")
    return {"id": 7, "method": "order.place", "params": params}


@pytest.mark.parametrize(
    ("rule", "status", "code", "exists"),
    [
        ({"fault": "status", "status": 504, "applied": True}, 504, -1007, True),
        ({"fault": "ban", "seconds": 3}, 429, -1003, False),
        ({"fault": "maintenance", "seconds": 3}, 503, -1016, False),
    ],
    ids=str,
)
async def test_refusals_over_the_socket_name_the_request(exchange, client, rule, status, code, exists):
    exchange.chaos({"on": "ws order.place", **rule})
    exchange_socket = await client.connect("/ws-api/v3")
    await exchange_socket.send_json(order_request(client))
    answer = await exchange_socket.receive_json()
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (7, status, code)
    assert bool(exchange.orders()) is exists


async def test_a_reply_can_come_for_a_request_that_was_never_made(exchange, client):
    exchange.chaos({"on": "ws order.place", "fault": "wrong_id"})
    socket = await client.connect("/ws-api/v3")
    await socket.send_json(order_request(client))
    answer = await socket.receive_json()
    assert (answer["id"], answer["status"]) == ("0", 200)


async def test_other_requests_overtake_one_that_is_delayed(exchange, client):
    exchange.chaos({"on": "ws order.place", "fault": "delay", "seconds": 0.3})
    socket = await client.connect("/ws-api/v3")
    await socket.send_json(order_request(client))
    await socket.send_json({"id": 8, "method": "ping"})
    assert [(await socket.receive_json())["id"] for _ in range(2)] == [8, 7]


async def test_a_delayed_order_is_placed_though_its_connection_is_gone(exchange, client):
    exchange.chaos({"on": "ws order.place", "fault": "delay", "seconds": 0.3})
    socket = await client.connect("/ws-api/v3")
    await socket.send_json(order_request(client))
    await asyncio.sleep(0.05)
    await socket.close()
    await asyncio.sleep(0.4)
    assert [order["client_order_id"] for order in exchange.orders()] == ["a"]


async def test_connections_are_refused_reset_or_left_silent(exchange, client):
    path = "/ws-api/v3"
    exchange.chaos({"on": "connect /ws-api/v3", "fault": "refuse"})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.connect(path)
    assert refused.value.status == 503
    exchange.chaos({"on": "connect *", "fault": "reset"})
    with pytest.raises(aiohttp.ClientOSError):
        await client.connect(path)
    exchange.chaos({"on": "connect *", "fault": "disconnect", "seconds": 0.1})
    assert await heard(await client.connect(path)) == [WSMsgType.CLOSE]
    exchange.chaos({"on": "connect *", "fault": "half_open"})
    silent = await client.connect(path, autoping=False)
    await silent.send_json({"id": 1, "method": "ping"})
    await silent.ping(b"there?")
    assert await heard(silent) == []


async def test_all_sockets_of_a_kind_are_closed_at_a_call(exchange, client):
    account = await client.account_events()
    market = await client.connect("/ws/btcusdt@trade")
    exchange.chaos({"on": "POST /api/v3/order", "fault": "disconnect", "sockets": "user", "calls": [1]})
    await client.place("a")
    assert (await heard(account))[-1] is WSMsgType.CLOSE
    assert await heard(market) == []
    assert exchange.truth()["sockets"] == ["market"]


async def test_an_event_can_break_or_freeze_its_own_connection(exchange, client):
    for fault, end in (("reset", [WSMsgType.ERROR]), ("half_open", []), ("disconnect", [WSMsgType.CLOSE])):
        exchange.chaos()
        socket = await client.account_events()
        exchange.chaos({"on": REPORT, "fault": fault})
        await client.place(fault)
        told = await heard(socket)
        assert [m for m in told if not isinstance(m, dict)] in (end, [WSMsgType.CLOSED][: len(end)])
        assert not any(isinstance(m, dict) and m.get("e") == "executionReport" for m in told)


async def test_market_messages_are_dropped_in_a_row(exchange, client):
    socket = await client.connect("/ws/btcusdt@bookTicker")
    exchange.chaos({"on": "market btcusdt@bookTicker", "fault": "gap", "count": 2, "calls": [2]})
    for tick in range(5):
        exchange.move("BTCUSDT", f"{61_000 + tick}", f"{61_001 + tick}")
    assert [event["b"][:5] for event in await heard(socket)] == ["61000", "61003", "61004"]


@pytest.mark.parametrize(
    "path",
    ["/ws/btcusdt@trade", "/stream?streams=btcusdt@trade", "/ws", "/stream", "/stream/ws/0", "/stream/ws"],
)
async def test_every_path_that_clients_use_gives_the_stream(exchange, client, path):
    socket = await client.connect(path)
    if "@" not in path:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        assert (await socket.receive_json())["result"] is None
    exchange.move("BTCUSDT", "61000", "61001")
    assert [event["e"] for event in await heard(socket)] == ["trade"]


async def test_a_rule_for_market_data_spares_the_answer_to_a_subscription(exchange, client):
    exchange.chaos({"on": "market *", "fault": "drop"})
    socket = await client.connect("/ws")
    await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
    exchange.move("BTCUSDT", "61000", "61001")
    assert await heard(socket) == [{"result": None, "id": 1}]
    exchange.chaos({"on": "reply", "fault": "drop"})
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
    assert await heard(socket) == []


async def test_account_events_come_in_the_old_way_too(exchange, client):
    async with client.http.post(
        exchange.url + "/api/v3/userDataStream", headers={"X-MBX-APIKEY": exchange.key}
    ) as answer:
        key = (await answer.json())["listenKey"]
    socket = await client.connect(f"/ws/{key}")
    await client.place("a")
    assert [event["e"] for event in await heard(socket)] == ["executionReport", "outboundAccountPosition"]
    exchange.disconnect("user")
    assert await heard(socket) == [WSMsgType.CLOSE]


class Hasty(Timing):
    """Minutes in tenths of a second."""

    ping_every_s = 0.1
    pong_within_s = 0.35
    lives_s = 1.2


async def test_pings_come_and_who_answers_none_is_cut_off():
    async with InProcessSandbox(timing=Hasty) as sandbox, Client(sandbox) as client:
        polite = await client.connect("/ws")
        rude = await client.connect("/ws", autoping=False)
        listening = asyncio.create_task(heard(polite, 0.9))
        assert (await rude.receive()).type is WSMsgType.PING
        assert (await heard_until_closed(rude, 0.8)) is True
        assert await listening == []


async def test_no_connection_lives_for_ever():
    async with InProcessSandbox(timing=Hasty) as sandbox, Client(sandbox) as client:
        socket = await client.connect("/ws")
        assert await heard(socket, 2.0) == [WSMsgType.CLOSE]


async def heard_until_closed(socket: Socket, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while (await socket.receive()).type in (WSMsgType.PING, WSMsgType.TEXT):
                pass
    except TimeoutError:
        return False
    return True


async def test_pings_of_a_client_are_answered(exchange, client):
    socket = await client.connect("/ws", autoping=False)
    await socket.ping(b"there?")
    pong = await socket.receive()
    assert (pong.type, bytes(pong.data)) == (WSMsgType.PONG, b"there?")


async def test_a_client_that_does_not_read_is_cut_off(exchange, client, monkeypatch):
    monkeypatch.setattr(sockets, "MOST_WAITING_BYTES", 200_000)
    reader, writer = await raw_socket(exchange)
    (one,) = exchange.inside.venue.sockets
    for _ in range(400):
        one.send("x" * 20_000)
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert exchange.inside.venue.sockets == set()
    with pytest.raises(ConnectionResetError):
        await reader.read(-1)
    writer.close()


async def test_a_feed_as_fast_as_can_be_waits_for_a_client_that_reads_slowly(exchange, monkeypatch):
    exchange.feed(speed=0)
    monkeypatch.setattr(sockets, "FULL_BYTES", 100_000)
    reader, writer = await raw_socket(exchange)
    (one,) = exchange.inside.venue.sockets
    await asyncio.wait_for(exchange.inside.room(), 1)
    for _ in range(400):
        one.send("x" * 20_000)
    waiting = asyncio.create_task(exchange.inside.room())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    exchange.feed(speed=2)
    await asyncio.wait_for(exchange.inside.room(), 1)
    reading = asyncio.create_task(reader.read(-1))
    await asyncio.wait_for(waiting, 5)
    reading.cancel()
    writer.close()


async def raw_socket(exchange: InProcessSandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A websocket that reads only what it is asked to."""
    port = int(exchange.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer
