"""Futures behind real sockets, beside spot: two accounts on one exchange, faults, control, recordings."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import BookUpdate, Ticker, Trade
from quantcli.recording.writer import Writer
from tests.loopback import InProcessSandbox
from tests.sandbox.rest_client import Client

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
ORDER = "/fapi/v1/order"


@pytest.fixture
async def exchange() -> AsyncIterator[InProcessSandbox]:
    async with InProcessSandbox(seed=3, symbols=(SPOT, PERP), speed=0.0001) as sandbox:
        yield sandbox


@pytest.fixture
async def client(exchange: InProcessSandbox) -> AsyncIterator[Client]:
    async with Client(exchange) as one:
        yield one


async def place(client: Client, name: str = "one", **terms: Any) -> tuple[int, Any]:
    """A limit buy far below the market, unless told otherwise."""
    usual = {"type": "LIMIT", "timeInForce": "GTC", "price": "50000"} if "type" not in terms else {}
    order = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"} | usual | terms
    return await client.signed("POST", ORDER, newClientOrderId=name, **order)


async def listen_key(client: Client) -> str:
    headers = {"X-MBX-APIKEY": client.exchange.key}
    async with client.http.post(client.exchange.url + "/fapi/v1/listenKey", headers=headers) as answer:
        found: str = (await answer.json())["listenKey"]
        return found


async def private(client: Client) -> Any:
    """A socket with the account's events."""
    return await client.connect(f"/private/ws?listenKey={await listen_key(client)}")


async def heard(socket: Any, count: int = 1) -> list[Any]:
    async with asyncio.timeout(5):
        return [json.loads(await socket.receive_str()) for _ in range(count)]


# Two accounts.


async def test_spot_and_futures_are_two_accounts(exchange, client):
    _, spot = await client.place("spot")
    _, perp = await place(client, "perp")
    assert spot["orderId"] != perp["orderId"]
    truth = exchange.truth()
    assert {order["symbol"] for order in truth["orders"]} == {SPOT, PERP}
    assert truth["balances"]["USDT"]["locked"] == "500"
    assert truth["futures"]["balances"]["USDT"] == {"free": "100000", "locked": "0", "total": "100000"}
    assert (await client.signed("GET", ORDER, symbol="BTCUSDT", orderId=spot["orderId"]))[1]["code"] == -2013
    exchange.fill(perp["orderId"])
    assert exchange.truth()["futures"]["positions"] == {PERP: "0.01"}
    assert exchange.truth()["balances"]["BTC"]["total"] == "1"
    exchange.fill(spot["orderId"])
    assert Decimal(exchange.truth()["balances"]["BTC"]["total"]) > 1
    assert {fill["symbol"] for fill in exchange.truth()["fills"]} == {SPOT, PERP}


async def test_control_reaches_either_account(exchange, client):
    foreign = exchange.place(PERP, "BUY", "0.01", "50000")
    exchange.cancel(foreign)
    assert exchange.orders()[0]["status"] == "CANCELED"
    exchange.ask("POST", "transfer", {"asset": "USDT", "amount": "5", "account": "futures"})
    exchange.transfer("USDT", "7")
    assert exchange.truth()["futures"]["balances"]["USDT"]["total"] == "100005"
    assert exchange.truth()["balances"]["USDT"]["total"] == "100007"
    exchange.ask("POST", "weight", {"weight": 2_400, "account": "futures"})
    assert (await client.public("/fapi/v1/time"))[0] == 429
    assert (await client.public("/api/v3/time"))[0] == 200
    with pytest.raises(AssertionError, match="neither spot nor futures"):
        exchange.ask("POST", "transfer", {"asset": "USDT", "amount": "5", "account": "margin"})


async def test_a_conditional_order_can_be_cancelled_by_hand(exchange, client):
    terms = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01"}
    _, stop = await client.signed(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", triggerPrice="50000", **terms
    )
    exchange.cancel(stop["algoId"])
    assert exchange.truth()["futures"]["algo_orders"][0]["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("path", "headers", "is_futures"),
    [
        ("/ws/btcusdt@bookTicker", {}, False),
        ("/public/ws/btcusdt@bookTicker", {}, True),
        ("/market/stream?streams=btcusdt@bookTicker", {}, True),
        ("/ws/btcusdt@bookTicker", {"Host": "fstream.binance.com"}, True),
        ("/stream?streams=btcusdt@bookTicker", {"Host": "stream.binance.com:9443"}, False),
    ],
)
async def test_path_or_host_says_whose_streams_are_meant(exchange, client, path, headers, is_futures):
    socket = await client.connect(path, headers=headers)
    for symbol in (SPOT, PERP):
        exchange.move(symbol, "60010.0", "60010.1")
    [told] = await heard(socket)
    assert ("T" in told.get("data", told)) is is_futures


async def test_where_there_are_only_futures_every_path_is_theirs():
    async with InProcessSandbox(seed=3, symbols=(PERP,)) as exchange, Client(exchange) as client:
        socket = await client.connect("/ws/btcusdt@bookTicker")
        [told] = await heard(socket)
        assert told["e"] == "bookTicker"
        assert (await client.public("/api/v3/exchangeInfo"))[1]["symbols"] == []
        assert set(exchange.truth()["futures"]["balances"]) == {"USDT"}


# The account's events, and orders by websocket.


async def test_the_accounts_events_arrive_on_private_sockets(exchange, client):
    socket, other = await private(client), await client.connect("/private/ws")
    await other.send_json({"method": "SUBSCRIBE", "params": [await listen_key(client)], "id": 1})
    assert await heard(other) == [{"result": None, "id": 1}]
    await place(client, type="MARKET")
    for each in (socket, other):
        new, account, fill = await heard(each, 3)
        assert (new["o"]["x"], account["e"], fill["o"]["x"]) == ("NEW", "ACCOUNT_UPDATE", "TRADE")
    await client.place("spot")
    exchange.disconnect("user")
    assert (await socket.receive()).type.name in {"CLOSE", "CLOSED", "CLOSING"}


async def test_the_end_of_a_listen_key_can_be_brought_about(exchange, client):
    socket = await private(client)
    assert exchange.ask("POST", "terminate") == {"terminated": 1}
    [told] = await heard(socket)
    assert told["e"] == "listenKeyExpired"
    status, _ = await client._request("PUT", "/fapi/v1/listenKey", {"X-MBX-APIKEY": exchange.key})
    assert status == 400


async def ask(socket: Any, client: Client, method: str, **params: Any) -> Any:
    request = {"id": "a", "method": method, "params": client.ws_signed(**params)}
    await socket.send_json(request)
    [reply] = await heard(socket)
    assert reply["id"] == "a"
    return reply


async def test_orders_go_through_the_websocket_api(exchange, client):
    socket = await client.connect("/ws-fapi/v1")
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    placed = await ask(socket, client, "order.place", **terms, quantity="0.01", price="50000")
    assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
    counts = {
        limit["interval"]: limit["count"]
        for limit in placed["rateLimits"]
        if limit["rateLimitType"] == "ORDERS"
    }
    assert counts == {"MINUTE": 1, "SECOND": 1}
    ids = {"symbol": "BTCUSDT", "orderId": placed["result"]["orderId"]}
    changed = await ask(socket, client, "order.modify", **ids, side="BUY", quantity="0.02", price="49999.9")
    assert changed["result"]["origQty"] == "0.020"
    assert (await ask(socket, client, "order.status", **ids))["result"]["price"] == "49999.9"
    assert (await ask(socket, client, "order.cancel", **ids))["result"]["status"] == "CANCELED"
    [balance] = (await ask(socket, client, "v2/account.balance"))["result"]
    assert balance["balance"] == "100000.00000000"
    assert (await ask(socket, client, "v2/account.position"))["result"] == []
    assert (await ask(socket, client, "userDataStream.subscribe"))["status"] == 400
    assert exchange.calls()["ws-fapi order.place"] == 1


async def test_who_has_logged_on_need_not_sign(exchange, client):
    socket = await client.connect("/ws-fapi/v1")
    assert (await ask(socket, client, "session.logon"))["result"]["apiKey"] == exchange.key
    await socket.send_json({"id": 2, "method": "v2/account.status", "params": {"timestamp": 0}})
    assert (await heard(socket))[0]["error"]["code"] == -1021


# Faults.


async def test_a_lost_answer_leaves_an_order_behind(exchange, client):
    exchange.chaos({"on": f"POST {ORDER}", "fault": "lost_answer", "once_per": "newClientOrderId"})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await place(client, "lost")
    assert [order["client_order_id"] for order in exchange.orders()] == ["lost"]
    assert (await place(client, "lost"))[1]["code"] == -4116
    assert exchange.strikes()[0]["newClientOrderId"] == "lost"


async def test_events_can_be_lost_and_come_twice(exchange, client):
    socket = await private(client)
    exchange.chaos(
        {"on": "user ACCOUNT_UPDATE", "fault": "drop"},
        {"on": "user ORDER_TRADE_UPDATE", "fault": "duplicate", "where": {"x": "TRADE"}},
    )
    await place(client, type="MARKET")
    told = await heard(socket, 3)
    assert [each["o"]["x"] for each in told] == ["NEW", "TRADE", "TRADE"]


async def test_requests_by_websocket_meet_faults_of_their_own(exchange, client):
    exchange.chaos({"on": "ws-fapi order.place", "fault": "wrong_id"})
    socket = await client.connect("/ws-fapi/v1")
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    await socket.send_json({"id": "a", "method": "order.place", "params": client.ws_signed(**terms)})
    assert (await heard(socket))[0]["id"] == "0"
    with pytest.raises(AssertionError, match=r"matches nothing|order\.place"):
        exchange.chaos({"on": "ws-fapi order.cancelReplace", "fault": "empty"})


async def test_queries_can_answer_from_the_past(exchange, client):
    exchange.chaos({"on": f"GET {ORDER}", "fault": "lag", "seconds": 5})
    _, placed = await place(client)
    ids = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    assert (await client.signed("GET", ORDER, **ids))[1]["code"] == -2013
    exchange.chaos()
    assert (await client.signed("GET", ORDER, **ids))[1]["status"] == "NEW"


# What stays, and what was recorded.


async def test_both_accounts_go_on_from_their_file(tmp_path: Path):
    options = {"seed": 3, "symbols": (SPOT, PERP), "state": tmp_path / "state.jsonl"}
    async with InProcessSandbox(**options) as exchange, Client(exchange) as client:
        await place(client, "taken", type="MARKET")
        await place(client, "rests")
        await client.place("spot")
        before = exchange.truth()
    async with InProcessSandbox(**options) as exchange, Client(exchange) as client:
        after = exchange.truth()
        for part in ("orders", "fills", "balances", "futures"):
            assert after[part] == before[part]
        assert exchange.inside.is_continued
        _, told = await client.signed("GET", "/fapi/v1/openOrders")
        assert [order["clientOrderId"] for order in told] == ["rests"]


async def test_a_recording_of_futures_is_played(tmp_path: Path):
    meta = SymbolMetadata(
        Symbol("BTC", "USDT", True, "USDT"), "binance", "BTCUSDT", Decimal("0.1"), Decimal("0.001")
    )
    noon = 1_721_736_000_000_000_000
    with Writer(tmp_path, "binance", {"market": "usdm"}) as writer:
        writer.instruments([meta])
        writer.append(BookUpdate(PERP, noon, noon, 1, True, 5, 5, 0, [(100.0, 1.0)], [(100.1, 2.0)]))
        writer.append(Ticker(PERP, noon, noon, 2, 100.0, 1.0, 100.1, 2.0, 5))
        writer.append(Trade(PERP, noon, noon, 3, 100.1, 0.5, 1, 77))
        writer.close()
    async with InProcessSandbox(recording=tmp_path, speed=0) as exchange, Client(exchange) as client:
        async with asyncio.timeout(5):
            while not exchange.ask("GET", "feed")["done"]:  # noqa: ASYNC110  nobody tells when
                await asyncio.sleep(0.01)
        _, book = await client.public("/fapi/v1/depth", symbol="BTCUSDT", limit=5)
        assert (book["lastUpdateId"], book["bids"], book["asks"]) == (
            5,
            [["100.0", "1.000"]],
            [["100.1", "2.000"]],
        )
        _, taken = await place(client, type="MARKET", quantity="1", newOrderRespType="RESULT")
        assert (taken["status"], taken["avgPrice"]) == ("FILLED", "100.10000")


async def test_a_futures_market_of_any_name_can_be_made_up():
    async with InProcessSandbox(seed=3, symbols=("DOGE/USDT:USDT",)) as exchange, Client(exchange) as client:
        _, info = await client.public("/fapi/v1/exchangeInfo")
        assert [each["symbol"] for each in info["symbols"]] == ["DOGEUSDT"]
        assert (await place(client, type="MARKET", symbol="DOGEUSDT", quantity="1"))[0] == 200
        assert exchange.truth()["futures"]["positions"] == {"DOGE/USDT:USDT": "1"}
