"""binance-sdk-spot, Binance's own SDK: its models read every answer; REST, websocket API, market streams."""

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from binance_common.errors import BadRequestError, RateLimitBanError, TooManyRequestsError, UnauthorizedError
from binance_sdk_spot.spot import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
    Spot,
)

from tests.clients.pointing import balance_of, order_of, soon, until, use_up_the_weight
from tests.loopback import Sandbox

# It hands aiohttp a number where aiohttp would rather have a structure.
pytestmark = pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")

MARKET = "BTCUSDT"
LIMIT = {"time_in_force": "GTC", "quantity": 0.01, "price": 50_000.0}
LIST = {
    "above_price": 70_000.0,
    "below_price": 49_900.0,
    "below_stop_price": 50_000.0,
    "below_time_in_force": "GTC",
}


def spot(exchange: Sandbox, key: str | None = None, secret: str | None = None) -> Spot:
    account = (key or exchange.key, secret or exchange.secret)
    return Spot(
        ConfigurationRestAPI(*account, base_path=exchange.url, timeout=10_000, retries=0),
        ConfigurationWebSocketAPI(*account, stream_url=exchange.ws_url + "/ws-api/v3"),
        ConfigurationWebSocketStreams(stream_url=exchange.ws_url + "/stream"),
    )


@pytest.fixture
def rest(exchange: Sandbox) -> Any:
    return spot(exchange).rest_api


@pytest.fixture
async def requests(exchange: Sandbox) -> AsyncIterator[Any]:
    api = spot(exchange).websocket_api
    await api.create_connection()
    yield api
    await api.close_connection(close_session=True)


@pytest.fixture
async def streams(exchange: Sandbox) -> AsyncIterator[Any]:
    api = spot(exchange).websocket_streams
    await api.create_connection()
    yield api
    await api.close_connection(close_session=True)


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def limit_order(rest: Any, name: str) -> Any:
    return rest.new_order(MARKET, "BUY", "LIMIT", **LIMIT, new_client_order_id=name).data()


def test_an_order_rests_fills_in_part_is_amended_and_cancelled(exchange, rest, name):
    placed = limit_order(rest, name)
    assert (placed.status, placed.client_order_id) == ("NEW", name)
    exchange.fill(placed.order_id, "0.004")
    assert rest.get_order(MARKET, orig_client_order_id=name).data().status == "PARTIALLY_FILLED"
    amended = rest.order_amend_keep_priority(MARKET, new_qty=0.008, orig_client_order_id=name).data()
    assert amended.amended_order.order_id == placed.order_id
    assert (amended.amended_order.qty, amended.amended_order.executed_qty) == ("0.00800000", "0.00400000")
    (amendment,) = rest.order_amendments(MARKET, placed.order_id).data()
    assert (amendment.orig_client_order_id, amendment.new_qty) == (name, "0.00800000")
    assert [each.order_id for each in rest.get_open_orders(symbol=MARKET).data()] == [placed.order_id]
    (trade,) = rest.my_trades(MARKET, order_id=placed.order_id).data()
    assert (trade.qty, trade.is_maker) == ("0.00400000", True)
    (cancelled,) = rest.delete_open_orders(MARKET).data()
    assert (cancelled.status, cancelled.orig_qty) == ("CANCELED", "0.00800000")
    assert order_of(exchange, placed.order_id)["status"] == "CANCELED"


def test_a_market_order_fills_and_the_answer_tells_what_was_used(exchange, rest):
    answer = rest.new_order(MARKET, "BUY", "MARKET", quantity=0.01)
    assert answer.data().status == "FILLED"
    assert {fill.commission_asset for fill in answer.data().fills} == {"BTC"}
    kinds = {limit.rateLimitType for limit in answer.rate_limits}
    assert kinds == {"REQUEST_WEIGHT", "ORDERS"}
    held = {each.asset: each for each in rest.get_account(omit_zero_balances=True).data().balances}
    assert Decimal(held["BTC"].free) == Decimal(balance_of(exchange, "BTC")["free"])


def test_an_order_is_replaced(exchange, rest, name):
    placed = limit_order(rest, name)
    replaced = rest.order_cancel_replace(
        MARKET, "BUY", "LIMIT", "STOP_ON_FAILURE", cancel_order_id=placed.order_id, **LIMIT
    ).data()
    assert (replaced.cancel_result, replaced.new_order_result) == ("SUCCESS", "SUCCESS")
    assert order_of(exchange, replaced.new_order_response.order_id)["status"] == "NEW"


def test_a_list_is_placed_and_cancelled(exchange, rest):
    placed = rest.order_list_oco(MARKET, "SELL", 0.01, "LIMIT_MAKER", "STOP_LOSS_LIMIT", **LIST).data()
    assert rest.get_order_list(order_list_id=placed.order_list_id).data().list_order_status == "EXECUTING"
    assert placed.order_list_id in [each.order_list_id for each in rest.open_order_list().data()]
    ended = rest.delete_order_list(MARKET, order_list_id=placed.order_list_id).data()
    assert ended.list_order_status == "ALL_DONE"
    assert {order_of(exchange, each.order_id)["status"] for each in ended.orders} == {"CANCELED"}


QUERIES: list[tuple[str, tuple[Any, ...]]] = [
    ("ping", ()),
    ("time", ()),
    ("exchange_info", ()),
    ("depth", (MARKET,)),
    ("get_trades", (MARKET,)),
    ("historical_trades", (MARKET,)),
    ("agg_trades", (MARKET,)),
    ("klines", (MARKET, "1m")),
    ("ui_klines", (MARKET, "1s")),
    ("avg_price", (MARKET,)),
    ("ticker", (MARKET,)),
    ("ticker24hr", ()),
    ("ticker_trading_day", (MARKET,)),
    ("ticker_price", ()),
    ("ticker_book_ticker", ()),
    ("account_commission", (MARKET,)),
    ("all_orders", (MARKET,)),
    ("all_order_list", ()),
    ("rate_limit_order", ()),
    ("my_prevented_matches", (MARKET,)),
]


@pytest.mark.parametrize(("method", "args"), QUERIES, ids=[method for method, _ in QUERIES])
def test_an_answer_fits_its_model(rest, method, args):
    assert getattr(rest, method)(*args).data() is not None


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"side": "SELL", "type": "LIMIT", **LIMIT, "quantity": 150.0, "price": 55_000.0}, -2010),
        ({"side": "BUY", "type": "MARKET", "quantity": 0.012345}, -1013),
        ({"side": "BUY", "type": "MARKET", "quantity": 0.0123456789}, -1111),
        ({"side": "BUY", "type": "LIMIT", "quantity": 0.01, "price": 50_000.0}, -1102),
    ],
)
def test_a_refusal_has_its_code(rest, terms, code):
    with pytest.raises(BadRequestError) as refused:
        rest.new_order(MARKET, **terms)
    assert refused.value.args[0] == code


def test_an_unknown_market_and_a_taken_id_are_refused(exchange, rest, name):
    with pytest.raises(BadRequestError, match="-1121"):
        rest.depth("NOPE")
    placed = limit_order(rest, name)
    with pytest.raises(BadRequestError, match="Duplicate order sent"):
        limit_order(rest, name)
    exchange.fill(placed.order_id)
    assert limit_order(rest, name).status == "NEW"


def test_strangers_are_turned_away(exchange):
    with pytest.raises(BadRequestError, match="-1022"):
        spot(exchange, secret="wrong").rest_api.get_account()
    with pytest.raises(UnauthorizedError):
        spot(exchange, key="short").rest_api.get_account()
    with pytest.raises(BadRequestError, match="-1131"):
        spot(exchange).rest_api.get_account(recv_window=60_001)


def test_a_request_that_comes_late_is_refused(own_exchange):
    rest = spot(own_exchange).rest_api
    own_exchange.jump(6)
    with pytest.raises(BadRequestError, match="-1021"):
        rest.get_account()
    assert rest.get_account(recv_window=10_000).data().can_trade


def test_who_asks_too_much_is_told_to_wait_and_then_shut_out(own_exchange):
    rest = spot(own_exchange).rest_api
    use_up_the_weight(own_exchange)
    for _ in range(20):
        with pytest.raises(TooManyRequestsError) as refused:
            rest.ping()
    assert 0 < refused.value.retry_after <= 60
    with pytest.raises(RateLimitBanError):
        rest.ping()


async def test_orders_go_through_the_websocket_and_the_account_is_told(exchange, requests, name):
    subscribed = await requests.user_data_stream_subscribe_signature()
    told: list[Any] = []
    subscribed.stream.on("message", lambda event: told.append(event.actual_instance))
    placed = await requests.order_place(MARKET, "BUY", "LIMIT", **LIMIT, new_client_order_id=name)
    order = placed.data().result
    assert order.status == "NEW"
    exchange.fill(order.order_id, "0.004")
    amended = await requests.order_amend_keep_priority(MARKET, new_qty=0.008, order_id=order.order_id)
    assert amended.data().result.amended_order.status == "PARTIALLY_FILLED"
    cancelled = await requests.order_cancel(MARKET, order_id=order.order_id)
    assert cancelled.data().result.status == "CANCELED"
    await until(lambda: len(told) >= 8)
    reports = [each for each in told if type(each).__name__ == "ExecutionReport"]
    assert [each.x for each in reports] == ["NEW", "TRADE", "REPLACED", "CANCELED"]
    assert {each.i for each in reports} == {order.order_id}
    (*_, position) = [each for each in told if type(each).__name__ == "OutboundAccountPosition"]
    locked = {each.a: Decimal(each.l) for each in position.B}
    assert locked["USDT"] == Decimal(balance_of(exchange, "USDT")["locked"]) == 0


async def test_lists_and_questions_go_through_the_websocket(exchange, requests):
    legs = (MARKET, "SELL", 0.01, "LIMIT_MAKER", "STOP_LOSS_LIMIT")
    placed = (await requests.order_list_place_oco(*legs, **LIST)).data().result
    assert placed.list_order_status == "EXECUTING"
    (ended,) = (await requests.open_orders_cancel_all(MARKET)).data().result
    assert ended.order_list_id == placed.order_list_id
    taken = (await requests.order_place(MARKET, "BUY", "MARKET", quantity=0.01)).data().result
    assert order_of(exchange, taken.order_id)["status"] == "FILLED"
    assert taken.order_id in [each.order_id for each in (await requests.my_trades(MARKET)).data().result]
    assert (await requests.order_status(MARKET, order_id=taken.order_id)).data().result.status == "FILLED"
    assert (await requests.depth(MARKET)).data().result.bids
    assert (await requests.account_status()).data().result.can_trade


async def test_a_session_is_logged_on_and_off(requests):
    assert (await requests.session_logon()).data().result.api_key
    assert (await requests.session_status()).data().result.authorized_since
    assert (await requests.account_status()).data().result.can_trade
    assert (await requests.session_logout()).data().result.api_key is None


async def test_market_streams_fit_their_models(streams):
    told: dict[str, Any] = {}

    def hear(kind: str) -> Callable[[Any], None]:
        return lambda event: told.setdefault(kind, event)

    opened = {
        "trade": streams.trade("btcusdt"),
        "quote": streams.book_ticker("btcusdt"),
        "kline": streams.kline("btcusdt", "1m"),
        "diff": streams.diff_book_depth("btcusdt"),
    }
    for kind, stream in opened.items():
        (await soon(stream)).on("message", hear(kind))
    async with asyncio.timeout(10):
        await until(lambda: len(told) == len(opened))
    assert (told["trade"].e, told["kline"].e, told["diff"].e) == ("trade", "kline", "depthUpdate")
    assert float(told["quote"].b) < float(told["quote"].a)
    assert len((await streams.list_subscribe())["result"]) == len(opened)


async def test_it_works_encrypted_for_who_trusts_the_sandboxs_authority(exchange):
    trust = ssl.create_default_context(cafile=exchange.told["ca"])
    account = (exchange.key, exchange.secret)
    client = Spot(
        ConfigurationRestAPI(*account, base_path=exchange.told["tls_url"], https_agent=trust),
        ConfigurationWebSocketAPI(
            *account, stream_url=exchange.told["tls_ws_url"] + "/ws-api/v3", https_agent=trust
        ),
    )
    answer = await asyncio.to_thread(client.rest_api.get_account)
    assert answer.data().can_trade
    requests = client.websocket_api
    await requests.create_connection()
    placed = await requests.order_place(MARKET, "BUY", "LIMIT", **LIMIT)
    assert order_of(exchange, placed.data().result.order_id)["status"] == "NEW"
    await requests.close_connection(close_session=True)
