"""A client that nobody here wrote, ccxt as it is installed, trades on the sandbox: over REST and sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.loopback import InProcessSandbox

ccxt = pytest.importorskip("ccxt.pro")
pytestmark = pytest.mark.filterwarnings("ignore")

MARKET = "BTC/USDT"


@pytest.fixture
async def exchange() -> AsyncIterator[InProcessSandbox]:
    async with InProcessSandbox(seed=5) as sandbox:
        yield sandbox


@pytest.fixture
async def client(exchange: InProcessSandbox) -> AsyncIterator[Any]:
    one = ccxt.binance(
        {
            "apiKey": exchange.key,
            "secret": exchange.secret,
            "enableRateLimit": False,
            "urls": {"api": urls(exchange)},
            "options": {"fetchMarkets": {"types": ["spot"]}},
        }
    )
    try:
        yield one
    finally:
        await one.close()


def urls(exchange: InProcessSandbox) -> dict[str, Any]:
    """Every address of the client turned to the sandbox, so that none is left that leads outside."""
    here = dict.fromkeys(ccxt.binance().urls["api"], exchange.url + "/nowhere")
    spot = {"public": "/api/v3", "private": "/api/v3", "sapi": "/sapi/v1"}
    api = here | {name: exchange.url + path for name, path in spot.items()}
    stream, requests = exchange.ws_url + "/stream/ws", exchange.ws_url + "/ws-api/v3"
    return api | {"ws": {"spot": stream, "margin": stream, "ws-api": {"spot": requests}}}


async def test_it_trades_over_rest(exchange, client):
    await client.load_markets()
    assert {"BTC/USDT", "ETH/USDT"} <= set(client.markets)
    bid = (await client.fetch_order_book(MARKET))["bids"][0][0]
    placed = await client.create_order(MARKET, "limit", "buy", 0.01, bid - 1000, {"newClientOrderId": "mine"})
    assert (placed["status"], placed["clientOrderId"]) == ("open", "mine")
    assert [order["id"] for order in await client.fetch_open_orders(MARKET)] == [placed["id"]]
    edited = await client.edit_order(placed["id"], MARKET, "limit", "buy", 0.02, bid - 900)
    await client.cancel_order(edited["id"], MARKET)
    assert (await client.fetch_order(edited["id"], MARKET))["status"] == "canceled"
    taken = await client.create_order(MARKET, "market", "buy", 0.01)
    assert taken["status"] == "closed"
    (trade,) = await client.fetch_my_trades(MARKET)
    assert (trade["order"], trade["fee"]["currency"]) == (taken["id"], "BTC")
    truth = exchange.truth()["balances"]["BTC"]["free"]
    assert (await client.fetch_balance())["BTC"]["free"] == float(truth)


async def test_it_watches_market_and_account(exchange, client):
    book = await asyncio.wait_for(client.watch_order_book(MARKET), 5)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert (await asyncio.wait_for(client.watch_trades(MARKET), 5))[0]["price"] > 0
    watching = asyncio.create_task(client.watch_orders(MARKET))
    for _ in range(200):
        await asyncio.sleep(0.02)
        if "ws userDataStream.subscribe.signature" in exchange.calls():
            break
    placed = await client.create_order_ws(MARKET, "limit", "buy", 0.01, 50_000)
    (seen,) = await asyncio.wait_for(watching, 5)
    assert (seen["id"], seen["status"]) == (placed["id"], "open")


async def test_its_own_retry_of_a_cancel_is_seen_by_the_count(exchange, client):
    placed = await client.create_order(MARKET, "limit", "buy", 0.01, 50_000)
    exchange.chaos({"on": "DELETE /api/v3/order", "fault": "lost_answer", "calls": [1]})
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], MARKET)
    assert exchange.calls()["DELETE /api/v3/order"] == 2
    assert exchange.orders()[0]["status"] == "CANCELED"


async def test_an_empty_answer_makes_it_believe_in_an_order_without_a_number(exchange, client):
    exchange.chaos({"on": "POST /api/v3/order", "fault": "empty"})
    placed = await client.create_order(MARKET, "limit", "buy", 0.01, 50_000)
    assert placed["id"] is None
    assert len(exchange.orders()) == 1
