"""ccxt and ccxt.pro, as they are installed, trade USD-M futures: requests, sockets, positions, stops."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
import pytest

from tests.clients.pointing import order_of, session_that_trusts, soon, stand_still, until
from tests.loopback import Controls, Sandbox

MARKET = "BTC/USDT:USDT"
OPEN = ("NEW", "PARTIALLY_FILLED")
BELOW, ABOVE = 50_000, 70_000
_PATHS = {
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "sapi": "/sapi/v1",
}


def settings(exchange: Controls) -> dict[str, Any]:
    """Arguments of ccxt.binanceusdm: every address leads here, none outside."""
    nowhere = dict.fromkeys(ccxt.binanceusdm().urls["api"], exchange.url + "/nowhere")
    rest = {name: exchange.url + path for name, path in _PATHS.items()}
    sockets = {"linear": exchange.ws_url + "/ws", "ws-api": {"linear": exchange.ws_url + "/ws-fapi/v1"}}
    return account(exchange) | {"urls": {"api": nowhere | rest | {"ws": sockets}}}


def account(exchange: Controls) -> dict[str, Any]:
    """Arguments of ccxt.binanceusdm without its addresses."""
    return {"apiKey": exchange.key, "secret": exchange.secret, "enableRateLimit": False}


@pytest.fixture(scope="module")
def program() -> Iterator[Sandbox]:
    words = ("--seed", "11", "--tls", "--symbol", MARKET, "--symbol", "ETH/USDT:USDT")
    with Sandbox(*words, "--balance", "1000000 USDT") as sandbox:
        yield sandbox


@pytest.fixture
def exchange(program: Sandbox) -> Iterator[Sandbox]:
    """One without orders and positions before and after."""
    yield program
    program.chaos()
    program.feed(speed=1)
    for algo in program.truth()["futures"]["algo_orders"]:
        if algo["status"] == "NEW":
            program.cancel(algo["algo_id"])
    while still := [order for order in program.orders() if order["status"] in OPEN]:
        program.cancel(still[0]["order_id"])
    for symbol, qty in program.truth()["futures"]["positions"].items():
        program.place(symbol, "SELL" if not qty.startswith("-") else "BUY", qty.lstrip("-"))


@pytest.fixture
async def client(exchange: Sandbox) -> AsyncIterator[Any]:
    one = ccxt.pro.binanceusdm(settings(exchange))
    yield one
    await one.close()


@pytest.fixture
async def stock_client(exchange: Sandbox) -> AsyncIterator[Any]:
    """With all its own addresses: only names and the trusted authority are the sandbox's."""
    async with session_that_trusts(exchange) as session:
        one = ccxt.pro.binanceusdm(account(exchange) | {"session": session})
        yield one
        await one.close()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def position_of(exchange: Controls) -> str:
    found: str = exchange.truth()["futures"]["positions"].get(MARKET, "0")
    return found


async def buy(client: Any, amount: float = 0.1) -> Any:
    return await client.create_order(MARKET, "market", "buy", amount)


async def test_the_markets_have_their_steps_and_limits(client):
    markets = await client.load_markets()
    market = markets[MARKET]
    assert (market["swap"], market["linear"], market["settle"], market["id"]) == (
        True,
        True,
        "USDT",
        "BTCUSDT",
    )
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
    assert market["limits"]["cost"]["min"] == 5
    assert await client.fetch_time() > 0


async def test_a_limit_order_rests_is_found_and_cancelled(exchange, client, name):
    placed = await client.create_order(MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name})
    assert (placed["status"], placed["clientOrderId"], placed["price"]) == ("open", name, float(BELOW))
    assert order_of(exchange, placed["id"])["client_order_id"] == name
    for found in (
        await client.fetch_order(placed["id"], MARKET),
        await client.fetch_order("", MARKET, {"origClientOrderId": name}),
        await client.fetch_open_order(placed["id"], MARKET),
        *await client.fetch_open_orders(MARKET),
    ):
        assert (found["id"], found["status"], found["remaining"]) == (placed["id"], "open", 0.01)
    cancelled = await client.cancel_order(placed["id"], MARKET)
    assert cancelled["status"] == "canceled"
    assert order_of(exchange, placed["id"])["status"] == "CANCELED"
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], MARKET)


async def test_a_market_order_opens_a_position_and_a_reducing_one_closes_it(exchange, client):
    taken = await buy(client)
    assert (taken["status"], taken["filled"]) == ("closed", 0.1)
    (position,) = await client.fetch_positions([MARKET])
    assert (position["side"], position["contracts"], position["hedged"]) == ("long", 0.1, False)
    assert position["entryPrice"] == taken["average"]
    (trade,) = await client.fetch_my_trades(MARKET, params={"orderId": taken["id"]})
    assert (trade["amount"], trade["fee"]["currency"], trade["takerOrMaker"]) == (0.1, "USDT", "taker")
    closed = await client.create_order(MARKET, "market", "sell", 0.5, None, {"reduceOnly": True})
    assert (closed["filled"], closed["status"], closed["reduceOnly"]) == (0.1, "closed", True)
    assert position_of(exchange) == "0"
    assert await client.fetch_positions([MARKET]) == []
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        await client.create_order(MARKET, "market", "sell", 0.1, None, {"reduceOnly": True})


async def test_a_post_only_order_never_takes(client):
    with pytest.raises(ccxt.InvalidOrder, match="-5022"):
        await client.create_order(MARKET, "limit", "buy", 0.01, ABOVE, {"postOnly": True})
    rests = await client.create_order(MARKET, "limit", "buy", 0.01, BELOW, {"postOnly": True})
    assert (rests["status"], rests["timeInForce"], rests["postOnly"]) == ("open", "PO", True)


async def test_an_edited_order_keeps_its_number_and_its_name(exchange, client, name):
    placed = await client.create_order(MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name})
    edited = await client.edit_order(placed["id"], MARKET, "limit", "buy", 0.02, BELOW + 100)
    assert (edited["id"], edited["amount"], edited["price"]) == (placed["id"], 0.02, BELOW + 100.0)
    assert edited["clientOrderId"] == name
    assert exchange.calls()["PUT /fapi/v1/order"] >= 1
    exchange.fill(int(placed["id"]), "0.005")
    edited = await client.edit_order(placed["id"], MARKET, "limit", "buy", 0.015, BELOW)
    assert (edited["amount"], edited["filled"], edited["remaining"]) == (0.015, 0.005, 0.01)
    ended = await client.edit_order(placed["id"], MARKET, "limit", "buy", 0.005, BELOW - 100)
    assert ended["status"] == "canceled"


async def test_batches_are_answered_one_by_one(exchange, client):
    orders = [
        {"symbol": MARKET, "type": "limit", "side": "buy", "amount": 0.01, "price": BELOW},
        {"symbol": MARKET, "type": "limit", "side": "buy", "amount": 500, "price": BELOW},
    ]
    found = {str(each["info"].get("code", "")): each for each in await client.create_orders(orders)}
    assert set(found) == {"", "-2019"}
    good = found[""]
    await client.cancel_orders([good["id"]], MARKET)
    assert order_of(exchange, good["id"])["status"] == "CANCELED"
    (answer,) = await client.cancel_all_orders(MARKET)
    assert answer["info"]["code"] == 200


async def test_leverage_and_modes_can_be_read_and_set(client):
    await client.load_markets()
    await client.set_leverage(50, MARKET)
    assert (await client.fetch_leverages([MARKET]))[MARKET]["longLeverage"] == 50
    await client.set_leverage(20, MARKET)
    assert (await client.fetch_position_mode(MARKET))["hedged"] is False
    assert (await client.fetch_margin_modes([MARKET]))[MARKET]["marginMode"] == "cross"
    with pytest.raises(ccxt.ExchangeError, match="hedge"):
        await client.set_position_mode(True)
    with pytest.raises(ccxt.ExchangeError, match="-1020"):
        await client.set_margin_mode("isolated", MARKET)
    assert (await client.fetch_leverage_tiers([MARKET]))[MARKET][0]["maxLeverage"] == 125


async def test_account_queries_answer(client):
    taken = await buy(client)
    balance = await client.fetch_balance()
    assert 0 < balance["USDT"]["free"] < balance["USDT"]["total"]
    incomes = await client.fapiprivate_get_income({"symbol": "BTCUSDT", "incomeType": "COMMISSION"})
    assert float(incomes[-1]["income"]) == -taken["cost"] * 0.0005
    fee = await client.fetch_trading_fee(MARKET)
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.0005)
    assert taken["id"] in [order["id"] for order in await client.fetch_orders(MARKET)]
    (position,) = (await client.fetch_account_positions([MARKET])) or [None]
    assert position["contracts"] == 0.1


async def test_public_queries_answer(client):
    book = await client.fetch_order_book(MARKET, 5)
    assert len(book["bids"]) == 5
    assert book["bids"][0][0] < book["asks"][0][0]
    ticker = await client.fetch_ticker(MARKET)
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert (await client.fetch_trades(MARKET))[-1]["price"] > 0
    assert (await client.fetch_ohlcv(MARKET, "1m"))[-1][0] % 60_000 == 0
    rate = await client.fetch_funding_rate(MARKET)
    assert (rate["fundingRate"], rate["markPrice"] > 0) == (0.0001, True)
    assert (await client.fetch_bids_asks([MARKET]))[MARKET]["bid"] > 0
    assert (await client.fetch_last_prices([MARKET]))[MARKET]["price"] > 0


async def test_a_stop_waits_beside_the_book_and_closes_the_position(exchange, client, name):
    await buy(client)
    terms = {"stopLossPrice": 55_000, "reduceOnly": True, "clientAlgoId": name}
    stop = await client.create_order(MARKET, "market", "sell", 0.1, None, terms)
    assert (stop["clientOrderId"], stop["triggerPrice"], stop["status"]) == (name, 55_000, "open")
    assert await client.fetch_open_orders(MARKET) == []
    assert [o["id"] for o in await client.fetch_open_orders(MARKET, params={"trigger": True})] == [stop["id"]]
    exchange.move(MARKET, "54999.9", "55000.0")
    await until(lambda: position_of(exchange) == "0")
    found = await client.fetch_order(stop["id"], MARKET, {"trigger": True})
    assert found["info"]["algoStatus"] == "FINISHED"
    made = await client.fetch_order(found["info"]["actualOrderId"], MARKET)
    assert (made["status"], made["clientOrderId"], made["filled"]) == ("closed", name, 0.1)
    exchange.move(MARKET, "60000.0", "60000.1")


async def test_conditional_orders_can_be_cancelled_and_are_refused_where_they_would_trigger(client):
    terms = {"takeProfitPrice": 80_000}
    target = await client.create_order(MARKET, "limit", "sell", 0.1, 80_000, terms)
    await client.cancel_order(target["id"], MARKET, {"trigger": True})
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(target["id"], MARKET, {"trigger": True})
    with pytest.raises(ccxt.ExchangeError, match="-2021"):
        await client.create_order(MARKET, "market", "sell", 0.1, None, {"stopLossPrice": 80_000})
    with pytest.raises(ccxt.InvalidOrder, match="not allowed"):
        await client.create_order(MARKET, "market", "sell", 0.1, None, {"trailingPercent": 1})


# Over sockets.


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
async def account_watched(exchange: Sandbox, client: Any) -> AsyncIterator[tuple[list[Any], ...]]:
    """Orders, trades and positions of the account as they are told."""
    async with (
        watched(lambda: client.watch_orders(MARKET)) as orders,
        watched(lambda: client.watch_my_trades(MARKET)) as trades,
        watched(lambda: client.watch_positions([MARKET])) as positions,
    ):
        await until(lambda: "user" in exchange.truth()["sockets"])
        # The positions that there are come first, by a request.
        await until(lambda: client.positions and len(client.positions) > 0)
        yield orders, trades, positions


async def test_market_streams_tell_what_requests_tell(client):
    (trade, *_) = await soon(client.watch_trades(MARKET))
    told = await client.fapipublic_get_historicaltrades(
        {"symbol": "BTCUSDT", "fromId": trade["id"], "limit": 1}
    )
    assert (trade["price"], trade["amount"]) == (float(told[0]["price"]), float(told[0]["qty"]))
    quotes = await soon(client.watch_bids_asks([MARKET]))
    assert quotes[MARKET]["bid"] < quotes[MARKET]["ask"]
    (*_, candle) = await soon(client.watch_ohlcv(MARKET, "1m"))
    assert candle[3] <= candle[4] <= candle[2]
    ticker = await soon(client.watch_ticker(MARKET))
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    mark = await soon(client.watch_mark_price(MARKET))
    assert mark["markPrice"] > 0


async def test_a_book_kept_from_differences_is_the_exchanges_own(exchange, client):
    for _ in range(10):
        book = await soon(client.watch_order_book(MARKET))
    stand_still(exchange)
    while True:
        truth = await client.fapipublic_get_depth({"symbol": "BTCUSDT", "limit": 1_000})
        if int(truth["lastUpdateId"]) == book["nonce"]:
            break
        book = await soon(client.watch_order_book(MARKET))
    assert book["bids"] == [[float(price), float(size)] for price, size in truth["bids"]]
    assert book["asks"] == [[float(price), float(size)] for price, size in truth["asks"]]


async def for_ever(watch: Callable[[str], Awaitable[Any]]) -> None:
    while True:
        await soon(watch(MARKET))


async def test_a_gap_in_the_differences_is_noticed(exchange, client):
    await soon(client.watch_order_book(MARKET))
    exchange.chaos({"on": "market btcusdt@depth*", "fault": "gap", "count": 2, "calls": [3]})
    with pytest.raises(ccxt.ChecksumError):
        await for_ever(client.watch_order_book)


async def test_orders_trades_and_positions_are_told_as_they_happen(exchange, client, name):
    async with account_watched(exchange, client) as (orders, trades, positions):
        placed = await client.create_order(MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name})
        await until(lambda: any(each["clientOrderId"] == name for each in orders))
        exchange.fill(int(placed["id"]), "0.004")
        await until(lambda: any(each["contracts"] == 0.004 for each in positions))
        await client.edit_order(placed["id"], MARKET, "limit", "buy", 0.02, BELOW)
        await until(lambda: any(each["amount"] == 0.02 for each in orders))
        await client.cancel_order(placed["id"], MARKET)
        await until(lambda: any(each["status"] == "canceled" for each in orders))
    assert [each["filled"] for each in orders if each["id"] == placed["id"]] == [0, 0.004, 0.004, 0.004]
    (trade,) = [each for each in trades if each["order"] == placed["id"]]
    assert (trade["amount"], trade["price"], trade["takerOrMaker"]) == (0.004, float(BELOW), "maker")
    (position,) = [each for each in positions if each["contracts"]]
    assert (position["side"], position["entryPrice"], position["marginMode"]) == ("long", BELOW, "cross")


async def test_orders_go_through_the_websocket_too(exchange, client, name):
    await client.load_markets()
    placed = await client.create_order_ws(MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name})
    assert (placed["status"], placed["clientOrderId"]) == ("open", name)
    assert (await client.fetch_order_ws(placed["id"], MARKET))["price"] == float(BELOW)
    edited = await client.edit_order_ws(placed["id"], MARKET, "limit", "buy", 0.02, BELOW + 100)
    assert (edited["id"], edited["amount"]) == (placed["id"], 0.02)
    await client.cancel_order_ws(placed["id"], MARKET)
    assert order_of(exchange, placed["id"])["status"] == "CANCELED"
    stop = await client.create_order_ws(MARKET, "market", "sell", 0.1, None, {"triggerPrice": 55_000})
    await client.cancel_order_ws(stop["id"], MARKET, {"trigger": True})
    with pytest.raises(ccxt.ExchangeError, match="-2019"):
        await client.create_order_ws(MARKET, "limit", "buy", 500, BELOW)
    assert exchange.calls()["ws-fapi order.modify"] == 1


async def test_a_word_of_its_own_that_it_forwards_is_refused(client):
    """ccxt sends `stopLossPrice` along over the websocket, and no exchange knows that parameter."""
    await client.load_markets()
    with pytest.raises(ccxt.BadRequest, match="-1104"):
        await client.create_order_ws(MARKET, "market", "sell", 0.1, None, {"stopLossPrice": 55_000})


async def test_account_queries_go_through_the_websocket_too(client):
    await client.load_markets()
    await buy(client)
    assert (await client.fetch_balance_ws())["USDT"]["total"] > 0
    (position,) = await client.fetch_positions_ws([MARKET])
    assert position["contracts"] == 0.1


async def test_stock_addresses_bring_the_table_of_futures_errors(exchange, stock_client, name):
    assert stock_client.urls["api"]["fapiPrivate"] == "https://fapi.binance.com/fapi/v1"
    await stock_client.load_markets()
    book = await soon(stock_client.watch_order_book(MARKET))
    assert book["bids"][0][0] < book["asks"][0][0]
    async with account_watched(exchange, stock_client) as (orders, _, positions):
        placed = await stock_client.create_order(
            MARKET, "limit", "buy", 0.01, BELOW, {"newClientOrderId": name}
        )
        exchange.fill(int(placed["id"]))
        await until(lambda: any(each["status"] == "closed" for each in orders))
        await until(lambda: positions)
    with pytest.raises(ccxt.InsufficientFunds):
        await stock_client.create_order(MARKET, "limit", "buy", 500, BELOW)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await stock_client.create_order(MARKET, "market", "sell", 0.1, None, {"stopLossPrice": 80_000})


async def test_its_own_retry_of_an_edit_is_seen_by_the_count(exchange, client):
    placed = await client.create_order(MARKET, "limit", "buy", 0.01, BELOW)
    before = exchange.calls().get("PUT /fapi/v1/order", 0)
    exchange.chaos({"on": "PUT /fapi/v1/order", "fault": "lost_answer", "calls": [1]})
    with pytest.raises(ccxt.ExchangeError, match="-5027"):
        await client.edit_order(placed["id"], MARKET, "limit", "buy", 0.02, BELOW)
    assert exchange.calls()["PUT /fapi/v1/order"] == before + 2
    assert order_of(exchange, placed["id"])["quantity"] == "0.02"
