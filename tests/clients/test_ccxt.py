"""ccxt over REST, synchronous and asynchronous: markets, orders, fills, lists, refusals, limits."""

import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support
import pytest

from tests.clients.pointing import (
    balance_of,
    ccxt_settings,
    order_of,
    result,
    use_up_the_weight,
)
from tests.loopback import Sandbox

MARKET = "BTC/USDT"
BELOW = 50_000
LIBRARIES = {"sync": ccxt.binance, "async": ccxt.async_support.binance}


class Client:
    """Calls of either library, waited for."""

    def __init__(self, kind: str, settings: dict[str, Any]) -> None:
        self.inside = LIBRARIES[kind](settings)

    async def __call__(self, method: str, *args: Any) -> Any:
        return await result(getattr(self.inside, method)(*args))

    async def close(self) -> None:
        await result(self.inside.close())


@pytest.fixture(params=LIBRARIES)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def client(exchange: Sandbox, kind: str) -> AsyncIterator[Client]:
    one = Client(kind, ccxt_settings(exchange))
    yield one
    await one.close()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


async def limit_order(client: Client, name: str, amount: float = 0.01) -> Any:
    return await client("create_order", MARKET, "limit", "buy", amount, BELOW, {"newClientOrderId": name})


async def test_the_markets_have_their_steps_and_limits(client):
    markets = await client("load_markets")
    market = markets[MARKET]
    assert (market["spot"], market["active"], market["id"]) == (True, True, "BTCUSDT")
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.00001, 0.01)
    assert market["limits"]["cost"]["min"] == 5.0
    assert market["limits"]["amount"]["min"] == 0.00001
    assert client.inside.price_to_precision(MARKET, 29_000.005) == "29000.01"


async def test_an_order_rests_fills_in_part_and_is_cancelled(exchange, client, name):
    placed = await limit_order(client, name)
    assert (placed["status"], placed["clientOrderId"], placed["filled"]) == ("open", name, 0.0)
    exchange.fill(int(placed["id"]), "0.004")
    found = await client("fetch_order", None, MARKET, {"origClientOrderId": name})
    assert (found["id"], found["status"]) == (placed["id"], "open")
    assert (found["filled"], found["remaining"], found["average"]) == (0.004, 0.006, float(BELOW))
    assert [order["id"] for order in await client("fetch_open_orders", MARKET)] == [placed["id"]]
    (trade,) = await client("fetch_order_trades", placed["id"], MARKET)
    assert (trade["amount"], trade["price"], trade["takerOrMaker"]) == (0.004, float(BELOW), "maker")
    await client("cancel_order", placed["id"], MARKET)
    ended = await client("fetch_order", placed["id"], MARKET)
    assert (ended["status"], ended["filled"]) == ("canceled", 0.004)
    assert order_of(exchange, placed["id"])["status"] == "CANCELED"


async def test_a_market_order_fills_and_its_fee_comes_off_what_was_bought(exchange, client):
    before = Decimal(balance_of(exchange, "BTC")["free"])
    bought = await client("create_order", MARKET, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01)
    (trade,) = await client("fetch_order_trades", bought["id"], MARKET)
    assert (trade["fee"]["currency"], trade["fee"]["cost"]) == ("BTC", 0.00001)
    assert trade["takerOrMaker"] == "taker"
    now = balance_of(exchange, "BTC")["free"]
    assert Decimal(now) - before == Decimal("0.00999")
    balance = await client("fetch_balance")
    assert balance["BTC"]["free"] == float(now)
    assert balance["USDT"]["free"] == float(balance_of(exchange, "USDT")["free"])
    assert bought["id"] in [order["id"] for order in await client("fetch_closed_orders", MARKET)]


async def test_spending_an_amount_of_the_quote_asset(exchange, client):
    spent = await client("create_market_buy_order_with_cost", MARKET, 100)
    order = order_of(exchange, spent["id"])
    assert (spent["status"], order["quote_quantity"]) == ("closed", "100")
    assert 99 < float(order["quote_filled"]) <= 100


async def test_editing_an_order_replaces_it(exchange, client, name):
    placed = await limit_order(client, name)
    edited = await client("edit_order", placed["id"], MARKET, "limit", "buy", 0.02, BELOW + 100)
    assert edited["id"] != placed["id"]
    assert (edited["amount"], edited["price"]) == (0.02, float(BELOW + 100))
    assert [order_of(exchange, each["id"])["status"] for each in (placed, edited)] == ["CANCELED", "NEW"]


async def test_cancelling_all_orders_of_a_market_leaves_none(exchange, client, name):
    placed = [await limit_order(client, f"{name}-{n}") for n in range(3)]
    await client("cancel_all_orders", MARKET)
    assert await client("fetch_open_orders", MARKET) == []
    assert {order_of(exchange, each["id"])["status"] for each in placed} == {"CANCELED"}


async def test_one_leg_of_a_list_ends_the_other(exchange, client):
    terms = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "70000",
        "belowType": "STOP_LOSS_LIMIT",
        "belowPrice": "49900",
        "belowStopPrice": "50000",
        "belowTimeInForce": "GTC",
    }
    placed = await client("private_post_orderlist_oco", terms)
    kinds = {report["type"]: report["orderId"] for report in placed["orderReports"]}
    exchange.fill(int(kinds["LIMIT_MAKER"]))
    done = await client("private_get_orderlist", {"orderListId": placed["orderListId"]})
    assert done["listOrderStatus"] == "ALL_DONE"
    assert order_of(exchange, kinds["LIMIT_MAKER"])["status"] == "FILLED"
    assert order_of(exchange, kinds["STOP_LOSS_LIMIT"])["status"] == "EXPIRED"


async def test_market_data_is_what_the_book_shows(client):
    book = await client("fetch_order_book", MARKET)
    assert book["bids"][0][0] < book["asks"][0][0]
    ticker = await client("fetch_ticker", MARKET)
    assert 0 < ticker["bid"] < ticker["ask"]
    trades = await client("fetch_trades", MARKET)
    numbers = sorted(int(trade["id"]) for trade in trades)
    assert numbers == list(range(numbers[0], numbers[0] + len(trades)))
    (*_, candle) = await client("fetch_ohlcv", MARKET, "1m")
    assert candle[3] <= min(candle[1], candle[4]) <= max(candle[1], candle[4]) <= candle[2]


LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
SALE = LIMIT | {"side": "SELL", "price": "55000"}
REFUSALS = [
    ("public_get_depth", {"symbol": "NOPE"}, ccxt.BadSymbol, "-1121"),
    ("public_get_depth", {"symbol": "BTCUSDT", "lmit": "5"}, ccxt.BadRequest, "-1104"),
    ("private_post_order", SALE | {"quantity": "150"}, ccxt.InsufficientFunds, "insufficient balance"),
    ("private_post_order", LIMIT | {"price": "50000.123456789"}, ccxt.BadRequest, "-1111"),
    ("private_post_order", LIMIT | {"price": "50000.001"}, ccxt.InvalidOrder, "PRICE_FILTER"),
    (
        "private_post_order",
        LIMIT | {"price": "90000", "quantity": "0.00001"},
        ccxt.BadRequest,
        ": NOTIONAL",
    ),
    (
        "private_post_order",
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": "90000"},
        ccxt.OrderImmediatelyFillable,
        "immediately match",
    ),
    ("private_get_order", {"symbol": "BTCUSDT", "orderId": "99999999"}, ccxt.OrderNotFound, "-2013"),
    ("private_delete_order", {"symbol": "BTCUSDT", "orderId": "99999999"}, ccxt.OrderNotFound, "-2011"),
]


@pytest.mark.parametrize(("method", "params", "error", "words"), REFUSALS)
async def test_a_refusal_is_told_as_what_it_is(client, method, params, error, words):
    with pytest.raises(error, match=words):
        await client(method, params)


async def test_an_id_is_taken_as_long_as_its_order_is_open(exchange, client, name):
    first = await limit_order(client, name)
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await limit_order(client, name)
    exchange.fill(int(first["id"]))
    again = await limit_order(client, name)
    assert again["id"] != first["id"]
    assert again["status"] == "open"


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"secret": "wrong"}, ccxt.AuthenticationError, "-1022"),
        ({"apiKey": "short"}, ccxt.AuthenticationError, "-2014"),
        ({"apiKey": "a" * 64}, ccxt.ExchangeError, "-2008"),
        ({"options": {"timeDifference": 60_000}}, ccxt.InvalidNonce, "-1021.*outside of the recvWindow"),
        ({"options": {"timeDifference": -60_000}}, ccxt.InvalidNonce, "-1021.*ahead of the server"),
    ],
)
async def test_strangers_and_late_requests_are_turned_away(exchange, kind, settings, error, words):
    client = Client(kind, ccxt_settings(exchange, **settings))
    try:
        with pytest.raises(error, match=words):
            await client("fetch_balance")
    finally:
        await client.close()


async def test_a_clock_that_is_wrong_is_healed_by_the_servers_time(exchange, kind):
    client = Client(kind, ccxt_settings(exchange, options={"timeDifference": 60_000}))
    try:
        await client("load_time_difference")
        assert (await client("fetch_balance"))["BNB"]["total"] == 10.0
    finally:
        await client.close()


async def test_used_weight_and_order_counts_are_in_the_headers(client, name):
    await limit_order(client, name)
    headers = {key.lower(): value for key, value in client.inside.last_response_headers.items()}
    assert int(headers["x-mbx-order-count-10s"]) >= 1
    before = int(headers["x-mbx-used-weight-1m"])
    assert before >= 1
    await client("fetch_balance")
    headers = {key.lower(): value for key, value in client.inside.last_response_headers.items()}
    # Less only if a new minute has begun.
    assert int(headers["x-mbx-used-weight-1m"]) - before in (20, 20 - before)


async def test_who_asks_too_much_is_told_to_wait_and_then_shut_out(own_exchange, kind):
    settings = ccxt_settings(own_exchange, options={"timeDifference": 0})
    client = Client(kind, settings)
    try:
        use_up_the_weight(own_exchange)
        with pytest.raises(ccxt.DDoSProtection, match=r"429.*-1003"):
            await client("public_get_ping")
        headers = {key.lower(): value for key, value in client.inside.last_response_headers.items()}
        assert 0 < int(headers["retry-after"]) <= 60
        for _ in range(19):
            with pytest.raises(ccxt.DDoSProtection, match="429"):
                await client("public_get_ping")
        with pytest.raises(ccxt.DDoSProtection, match=r"418.*banned until"):
            await client("public_get_ping")
        own_exchange.jump(121)
        assert await client("public_get_ping") == {}
    finally:
        await client.close()
