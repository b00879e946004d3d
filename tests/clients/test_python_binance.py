"""python-binance, synchronous and asynchronous: orders, lists, sockets, account events, a cached book."""

import asyncio
import uuid
import warnings
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

with warnings.catch_warnings():
    # It imports a name that its own dependency wants to be rid of.
    warnings.filterwarnings("ignore", r"websockets\.", DeprecationWarning)
    from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
    from binance.exceptions import BinanceAPIException

from tests.clients.pointing import (
    balance_of,
    order_of,
    result,
    soon,
    stand_still,
    use_up_the_weight,
)
from tests.loopback import Sandbox

MARKET = {"symbol": "BTCUSDT"}
LIMIT = {**MARKET, "quantity": "0.01", "price": "50000"}
LIST = {
    **MARKET,
    "side": "SELL",
    "quantity": "0.01",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "70000",
    "belowType": "STOP_LOSS_LIMIT",
    "belowPrice": "49900",
    "belowStopPrice": "50000",
    "belowTimeInForce": "GTC",
}


def addresses(exchange: Sandbox) -> dict[str, str]:
    """Its addresses are attributes of its classes."""
    return {
        "API_URL": exchange.url + "/api",
        "MARGIN_API_URL": exchange.url + "/sapi",
        "WS_API_URL": exchange.ws_url + "/ws-api/v3",
    }


async def open_client(exchange: Sandbox, kind: str, secret: str | None = None) -> Any:
    secret = secret or exchange.secret
    if kind == "sync":
        return type("Here", (Client,), addresses(exchange))(exchange.key, secret)
    return await type("Here", (AsyncClient,), addresses(exchange)).create(exchange.key, secret)


async def leave(client: Any) -> None:
    """Close it: its reader looks whether it shall end when something arrives, so something does."""
    last = asyncio.create_task(client.ws_ping()) if client.ws_api.ws is not None else None
    await asyncio.sleep(0)
    await client.close_connection()
    if last is not None:
        await asyncio.gather(last, return_exceptions=True)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def client(exchange: Sandbox, kind: str) -> AsyncIterator[Any]:
    one = await open_client(exchange, kind)
    yield one
    await result(one.close_connection())


@pytest.fixture
async def async_client(exchange: Sandbox) -> AsyncIterator[Any]:
    one = await open_client(exchange, "async")
    yield one
    await leave(one)


@pytest.fixture
def sockets(exchange: Sandbox, async_client: Any) -> Any:
    here = type("Here", (BinanceSocketManager,), {"STREAM_URL": exchange.ws_url + "/"})
    return here(async_client)


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


async def test_an_order_rests_fills_in_part_and_is_cancelled(exchange, client, name):
    info = await result(client.get_symbol_info("BTCUSDT"))
    assert info["filters"][0]["tickSize"] == "0.01000000"
    placed = await result(client.order_limit_buy(**LIMIT, newClientOrderId=name))
    assert (placed["status"], placed["clientOrderId"]) == ("NEW", name)
    exchange.fill(placed["orderId"], "0.004")
    found = await result(client.get_order(**MARKET, origClientOrderId=name))
    assert (found["orderId"], found["status"]) == (placed["orderId"], "PARTIALLY_FILLED")
    assert [each["clientOrderId"] for each in await result(client.get_open_orders(**MARKET))] == [name]
    (trade,) = await result(client.get_my_trades(**MARKET, orderId=placed["orderId"]))
    assert (trade["qty"], trade["isMaker"]) == ("0.00400000", True)
    cancelled = await result(client.cancel_order(**MARKET, orderId=placed["orderId"]))
    assert (cancelled["status"], cancelled["executedQty"]) == ("CANCELED", "0.00400000")
    assert order_of(exchange, placed["orderId"])["status"] == "CANCELED"


async def test_a_market_order_fills_and_the_balance_follows(exchange, client):
    bought = await result(client.order_market_buy(**MARKET, quantity="0.01"))
    assert bought["status"] == "FILLED"
    assert sum(Decimal(fill["qty"]) for fill in bought["fills"]) == Decimal("0.01")
    balance = await result(client.get_asset_balance("BTC"))
    assert Decimal(balance["free"]) == Decimal(balance_of(exchange, "BTC")["free"])


async def test_an_order_is_replaced(exchange, client):
    placed = await result(client.order_limit_buy(**LIMIT))
    terms = {**LIMIT, "price": "50001", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    replaced = await result(
        client.cancel_replace_order(
            **terms, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"]
        )
    )
    assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert order_of(exchange, placed["orderId"])["status"] == "CANCELED"
    assert order_of(exchange, replaced["newOrderResponse"]["orderId"])["price"] == "50001"


async def test_a_list_is_placed_and_cancelled(exchange, client):
    placed = await result(client.create_oco_order(**LIST))
    assert placed["listOrderStatus"] == "EXECUTING"
    (mine,) = await result(client.get_open_oco_orders())
    assert mine["orderListId"] == placed["orderListId"]
    await result(client.v3_delete_order_list(**MARKET, orderListId=placed["orderListId"]))
    legs = [order_of(exchange, each["orderId"])["status"] for each in placed["orders"]]
    assert legs == ["CANCELED", "CANCELED"]


@pytest.mark.parametrize(
    ("method", "terms", "code"),
    [
        ("order_limit_sell", {**LIMIT, "quantity": "150", "price": "55000"}, -2010),
        ("get_order_book", {"symbol": "NOPE"}, -1121),
        ("order_limit_buy", {**LIMIT, "quantity": "0.0123456789"}, -1111),
        ("order_limit_buy", {**LIMIT, "quantity": "0.012345"}, -1013),
        ("get_order", {**MARKET, "orderId": 99_999_999}, -2013),
        ("cancel_order", {**MARKET, "orderId": 99_999_999}, -2011),
        ("get_order_book", {**MARKET, "levels": 5}, -1104),
    ],
)
async def test_a_refusal_has_its_code(client, method, terms, code):
    with pytest.raises(BinanceAPIException) as refused:
        await result(getattr(client, method)(**terms))
    assert refused.value.code == code
    assert refused.value.status_code == 400


async def test_an_id_is_taken_as_long_as_its_order_is_open(exchange, client, name):
    placed = await result(client.order_limit_buy(**LIMIT, newClientOrderId=name))
    with pytest.raises(BinanceAPIException, match=r"-2010.*Duplicate order sent"):
        await result(client.order_limit_buy(**LIMIT, newClientOrderId=name))
    exchange.fill(placed["orderId"])
    again = await result(client.order_limit_buy(**LIMIT, newClientOrderId=name))
    assert again["orderId"] != placed["orderId"]


async def test_a_wrong_secret_and_a_late_request_are_turned_away(exchange, kind):
    stranger = await open_client(exchange, kind, secret="wrong")
    with pytest.raises(BinanceAPIException, match="-1022"):
        await result(stranger.get_account())
    await result(stranger.close_connection())
    late = await open_client(exchange, kind)
    late.timestamp_offset = -60_000
    with pytest.raises(BinanceAPIException, match="-1021"):
        await result(late.get_account())
    late.REQUEST_RECVWINDOW = 60_001
    with pytest.raises(BinanceAPIException, match="-1131"):
        await result(late.get_account())
    await result(late.close_connection())


async def test_limits_are_told_in_headers_and_kept(own_exchange, kind):
    client = await open_client(own_exchange, kind)
    await result(client.order_limit_buy(**LIMIT))
    assert client.response.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert int(client.response.headers["X-MBX-USED-WEIGHT-1M"]) > 0
    use_up_the_weight(own_exchange)
    with pytest.raises(BinanceAPIException) as refused:
        await result(client.ping())
    assert (refused.value.status_code, refused.value.code) == (429, -1003)
    assert int(refused.value.response.headers["Retry-After"]) > 0
    await result(client.close_connection())


async def first_of(socket: Any) -> Any:
    async with socket as stream:
        return await soon(stream.recv())


async def test_sockets_tell_the_market(sockets):
    told = await asyncio.gather(
        first_of(sockets.trade_socket("BTCUSDT")),
        first_of(sockets.aggtrade_socket("BTCUSDT")),
        first_of(sockets.kline_socket("BTCUSDT")),
        first_of(sockets.symbol_ticker_socket("BTCUSDT")),
        first_of(sockets.symbol_book_ticker_socket("BTCUSDT")),
        first_of(sockets.miniticker_socket()),
    )
    *named, quote, small = told
    assert [each["e"] for each in named] == ["trade", "aggTrade", "kline", "24hrTicker"]
    assert float(quote["b"]) < float(quote["a"])
    assert {each["e"] for each in small} == {"24hrMiniTicker"}


async def test_one_socket_carries_several_streams(sockets):
    names = ["btcusdt@trade", "ethusdt@bookTicker"]
    async with sockets.multiplex_socket(names) as stream:
        told = {(await soon(stream.recv()))["stream"] for _ in range(30)}
    assert told == set(names)


async def test_the_account_is_told_as_it_happens(exchange, sockets, async_client, name):
    async with sockets.user_socket() as stream:
        placed = await async_client.order_limit_buy(**LIMIT, newClientOrderId=name)
        exchange.fill(placed["orderId"], "0.004")
        await async_client.cancel_order(**MARKET, origClientOrderId=name)
        told = [await soon(stream.recv()) for _ in range(6)]
    reports = [each for each in told if each["e"] == "executionReport"]
    assert [(each["x"], each["X"]) for each in reports] == [
        ("NEW", "NEW"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("CANCELED", "CANCELED"),
    ]
    assert [each["c"] if each["x"] != "CANCELED" else each["C"] for each in reports] == [name] * 3
    positions = [each for each in told if each["e"] == "outboundAccountPosition"]
    last = {each["a"]: each for each in positions[-1]["B"]}
    assert Decimal(last["USDT"]["l"]) == 0
    assert Decimal(last["BTC"]["f"]) == Decimal(balance_of(exchange, "BTC")["free"])


async def test_the_account_is_told_in_the_old_way_under_a_listen_key(sockets, async_client, name):
    key = await async_client.stream_get_listen_key()
    async with sockets.multiplex_socket([key]) as stream:
        await async_client.order_limit_buy(**LIMIT, newClientOrderId=name)
        report, position = [await soon(stream.recv()) for _ in range(2)]
        await async_client.stream_keepalive(key)
        # Its reader looks whether it shall end when something arrives, so something does.
        last = asyncio.create_task(async_client.cancel_order(**MARKET, origClientOrderId=name))
        await asyncio.sleep(0)
    await last
    assert (report["stream"], report["data"]["c"]) == (key, name)
    assert position["data"]["e"] == "outboundAccountPosition"
    await async_client.stream_close(key)


async def test_orders_go_through_the_websocket_too(exchange, async_client, name):
    placed = await async_client.ws_order_limit_buy(**LIMIT, newClientOrderId=name)
    found = await async_client.ws_get_order(**MARKET, origClientOrderId=name)
    assert (found["orderId"], found["status"]) == (placed["orderId"], "NEW")
    cancelled = await async_client.ws_cancel_order(**MARKET, origClientOrderId=name)
    assert cancelled["status"] == "CANCELED"
    taken = await async_client.ws_order_market_buy(**MARKET, quantity="0.01")
    assert order_of(exchange, taken["orderId"])["status"] == "FILLED"
    both = await async_client.ws_create_oco_order(**LIST)
    assert len(await async_client.ws_get_oco_open_orders()) == 1
    await async_client.ws_cancel_oco_order(**MARKET, orderListId=both["orderListId"])
    assert await async_client.ws_get_open_orders(**MARKET) == []
    with pytest.raises(BinanceAPIException, match="-2010"):
        await async_client.ws_order_limit_sell(**LIMIT | {"quantity": "150", "price": "55000"})


async def test_a_cached_book_is_the_exchanges_own(exchange, sockets, async_client):
    async with DepthCacheManager(async_client, "BTCUSDT", bm=sockets, ws_interval=100) as cache:
        for _ in range(10):
            await soon(cache.recv())
        stand_still(exchange)
        while True:
            truth = await async_client.get_order_book(**MARKET, limit=5_000)
            if cache._last_update_id == truth["lastUpdateId"]:
                break
            book = await soon(cache.recv())
        book = cache.get_depth_cache()
        exchange.feed(speed=1)
    assert book.get_bids() == [[float(price), float(size)] for price, size in truth["bids"]]
    assert book.get_asks() == [[float(price), float(size)] for price, size in truth["asks"]]
