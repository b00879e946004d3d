"""ccxt.pro over websockets: market streams, a book that stays in step, account events, orders by ws-api."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest

from tests.clients.pointing import (
    balance_of,
    ccxt_settings,
    order_of,
    session_that_trusts,
    soon,
    stand_still,
    until,
)
from tests.clients.pointing import ccxt_account as account_of
from tests.loopback import Sandbox

MARKET = "BTC/USDT"
BELOW = 50_000
SUBSCRIBED = "ws userDataStream.subscribe.signature"


@pytest.fixture
async def client(exchange: Sandbox) -> AsyncIterator[Any]:
    one = ccxt.pro.binance(ccxt_settings(exchange))
    yield one
    await one.close()


@pytest.fixture
async def stock_client(exchange: Sandbox) -> AsyncIterator[Any]:
    """With all its own addresses: only names and the trusted authority are the sandbox's."""
    async with session_that_trusts(exchange) as session:
        one = ccxt.pro.binance(account_of(exchange) | {"session": session})
        yield one
        await one.close()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@asynccontextmanager
async def watched(watch: Callable[[], Awaitable[list[Any]]]) -> AsyncIterator[list[Any]]:
    """What a watch method has told so far."""
    seen: list[Any] = []

    async def go_on() -> None:
        while True:
            # Copies: ccxt goes on changing what it has told.
            seen.extend([dict(each) for each in await watch()])

    task = asyncio.create_task(go_on())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def account_watched(exchange: Sandbox, client: Any) -> AsyncIterator[tuple[list[Any], list[Any]]]:
    """Orders and trades of the account as they are told."""
    before = exchange.calls().get(SUBSCRIBED, 0)
    async with (
        watched(lambda: client.watch_orders(MARKET)) as orders,
        watched(lambda: client.watch_my_trades(MARKET)) as trades,
    ):
        await until(lambda: exchange.calls().get(SUBSCRIBED, 0) > before)
        yield orders, trades


async def test_market_streams_tell_what_requests_tell(client):
    (trade, *_) = await soon(client.watch_trades(MARKET))
    told = await client.public_get_historicaltrades({"symbol": "BTCUSDT", "fromId": trade["id"], "limit": 1})
    assert (trade["price"], trade["amount"]) == (float(told[0]["price"]), float(told[0]["qty"]))
    quotes = await soon(client.watch_bids_asks([MARKET]))
    assert quotes[MARKET]["bid"] < quotes[MARKET]["ask"]
    (*_, candle) = await soon(client.watch_ohlcv(MARKET, "1m"))
    assert candle[0] % 60_000 == 0
    assert candle[3] <= candle[4] <= candle[2]
    ticker = await soon(client.watch_ticker(MARKET))
    assert ticker["low"] <= ticker["last"] <= ticker["high"]


async def for_long(watch: Callable[[str], Awaitable[Any]]) -> None:
    async with asyncio.timeout(30):
        while True:
            await soon(watch(MARKET))


async def book_in_step(exchange: Sandbox, client: Any) -> Any:
    """Watch a book for a while; it, as soon as the market has come to rest and the last change is in."""
    for _ in range(10):
        book = await soon(client.watch_order_book(MARKET))
    stand_still(exchange)
    while True:
        truth = await client.public_get_depth({"symbol": "BTCUSDT", "limit": 5_000})
        if truth["lastUpdateId"] == book["nonce"]:
            return book, truth
        book = await soon(client.watch_order_book(MARKET))


async def test_a_book_kept_from_differences_is_the_exchanges_own(exchange, client):
    book, truth = await book_in_step(exchange, client)
    assert book["bids"] == [[float(price), float(size)] for price, size in truth["bids"]]
    assert book["asks"] == [[float(price), float(size)] for price, size in truth["asks"]]


async def test_a_gap_in_the_differences_is_noticed_and_healed(exchange, client):
    await soon(client.watch_order_book(MARKET))
    exchange.chaos({"on": "market btcusdt@depth*", "fault": "gap", "count": 2, "calls": [3]})
    with pytest.raises(ccxt.ChecksumError):
        await for_long(client.watch_order_book)
    book, truth = await book_in_step(exchange, client)
    assert book["bids"] == [[float(price), float(size)] for price, size in truth["bids"]]


async def test_orders_trades_and_balances_are_told_as_they_happen(exchange, client, name):
    balances: dict[str, Any] = {}

    async def balance() -> list[Any]:
        balances.update(await client.watch_balance())
        return []

    async with account_watched(exchange, client) as (orders, trades), watched(balance):
        placed = await client.create_order(MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name})
        await until(lambda: any(each["clientOrderId"] == name for each in orders))
        exchange.fill(int(placed["id"]), "0.004")
        await until(lambda: any(each["filled"] == 0.004 for each in orders))
        await client.cancel_order(placed["id"], MARKET)
        await until(lambda: any(each["status"] == "canceled" for each in orders))
        await until(lambda: balances["USDT"]["used"] == 0)
    assert [each["status"] for each in orders if each["id"] == placed["id"]] == ["open", "open", "canceled"]
    (trade,) = [each for each in trades if each["order"] == placed["id"]]
    assert (trade["amount"], trade["price"], trade["takerOrMaker"]) == (0.004, float(BELOW), "maker")
    assert balances["BTC"]["free"] == float(balance_of(exchange, "BTC")["free"])


async def test_orders_go_through_the_websocket_too(exchange, client, name):
    await client.load_markets()
    placed = await client.create_order_ws(MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name})
    assert (placed["status"], placed["clientOrderId"]) == ("open", name)
    found = await client.fetch_order_ws(placed["id"], MARKET)
    assert found["price"] == float(BELOW)
    edited = await client.edit_order_ws(placed["id"], MARKET, "limit", "buy", 0.02, BELOW + 100)
    assert [order["id"] for order in await client.fetch_open_orders_ws(MARKET)] == [edited["id"]]
    await client.cancel_order_ws(edited["id"], MARKET)
    assert order_of(exchange, edited["id"])["status"] == "CANCELED"
    taken = await client.create_order_ws(MARKET, "market", "buy", 0.01)
    assert taken["status"] == "closed"
    assert taken["id"] in [trade["order"] for trade in await client.fetch_my_trades_ws(MARKET)]


async def test_a_refusal_over_the_websocket_is_told_as_what_it_is(client):
    await client.load_markets()
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order_ws(MARKET, "limit", "sell", 150, 55_000)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order_ws("99999999", MARKET)


def connections(exchange: Sandbox) -> int:
    """How often a market stream was connected to."""
    return sum(count for name, count in exchange.calls().items() if name.startswith("connect /stream"))


async def test_after_a_lost_connection_the_next_call_goes_on(exchange, client):
    """The call that waits then is told so; if none does, the next one connects anew without a word."""
    await soon(client.watch_trades(MARKET))
    before = connections(exchange)
    exchange.disconnect("market")
    async with asyncio.timeout(30):
        while connections(exchange) == before:
            with suppress(ccxt.NetworkError):
                await soon(client.watch_trades(MARKET))
    assert await soon(client.watch_trades(MARKET))


async def test_stock_addresses_work_with_names_and_trust_redirected(exchange, stock_client, name):
    assert stock_client.urls["api"]["public"] == "https://api.binance.com/api/v3"
    await stock_client.load_markets()
    book = await soon(stock_client.watch_order_book(MARKET))
    assert book["bids"][0][0] < book["asks"][0][0]
    async with account_watched(exchange, stock_client) as (orders, trades):
        placed = await stock_client.create_order(
            MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name}
        )
        exchange.fill(int(placed["id"]))
        await until(lambda: any(each["status"] == "closed" for each in orders))
        await until(lambda: trades)
    by_socket = await stock_client.create_order_ws(MARKET, "market", "sell", 0.01)
    assert order_of(exchange, by_socket["id"])["status"] == "FILLED"
    assert {address.partition("?")[0] for address in stock_client.clients} == {
        "wss://stream.binance.com:9443/ws/0",
        "wss://ws-api.binance.com:443/ws-api/v3",
    }


async def test_only_stock_addresses_bring_the_whole_table_of_errors(exchange, client, stock_client):
    """ccxt chooses its table by the beginning of the address, so a sandbox by its own address tells less."""
    overloaded = {"fault": "status", "status": 400, "code": -1008, "message": "Request throttled."}
    exchange.chaos({"on": "GET /api/v3/avgPrice"} | overloaded)
    with pytest.raises(ccxt.OperationFailed, match="-1008"):
        await stock_client.public_get_avgprice({"symbol": "BTCUSDT"})
    with pytest.raises(ccxt.ExchangeError, match="-1008"):
        await client.public_get_avgprice({"symbol": "BTCUSDT"})


async def test_a_stranger_is_not_trusted(stock_client, exchange):
    """The certificate is the sandbox's own: who trusts the usual authorities does not get in."""
    one = ccxt.pro.binance(ccxt_settings(exchange))
    one.urls["api"]["public"] = exchange.told["tls_url"] + "/api/v3"
    try:
        with pytest.raises(ccxt.NetworkError):
            await one.public_get_ping()
    finally:
        await one.close()
    assert await stock_client.public_get_ping() == {}


async def test_a_recorded_book_is_followed_as_fast_as_it_comes():
    recordings = Path(__file__).parents[2] / "recordings"
    with Sandbox("--from", str(recordings), "--hold", "--speed", "0") as exchange:
        async with ccxt.pro.binance(ccxt_settings(exchange)) as client:
            await soon(client.watch_order_book("NEXO/USDT"))
            exchange.feed(start=True)
            await until(lambda: exchange.ask("GET", "feed")["events"] > 5_000)
            stand_still(exchange)
            truth = await client.public_get_depth({"symbol": "NEXOUSDT", "limit": 5_000})
            book = client.orderbooks["NEXO/USDT"]
            await until(lambda: book["nonce"] == truth["lastUpdateId"])
            assert book["bids"] == [[float(price), float(size)] for price, size in truth["bids"]]
            assert book["asks"] == [[float(price), float(size)] for price, size in truth["asks"]]
