"""Binance's private messages: real ones decoded, generated ones there and back, broken ones refused."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.codecs.binance_orders import (
    BalanceNews,
    BinanceOrders,
    CodecError,
    Reply,
    StreamEnded,
    Unknown,
    order_type,
)
from quantcli.errors import ValidationError
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side, Symbol, SymbolMetadata, canonical
from quantcli.model.message import Observation
from quantcli.model.order import Fill, OrderStatus, OrderType, StandardOrder, TimeInForce

D = Decimal
RULES = SymbolMetadata(Symbol("BTC", "USDT"), "binance", "BTCUSDT", D("0.01"), D("0.00001"))
CODEC = BinanceOrders({"BTCUSDT": RULES})
SPOT = "spot/http_json/"
STREAM = "ws_messages/ws_spot_execution_report_"


@pytest.fixture(scope="session")
def private(binance_bodies):
    """The text of a recorded private message, by name."""
    texts = {body["name"]: body["raw"] for body in binance_bodies("payloads_private.jsonl")}
    return lambda name: texts[f"{name}.json"]


# Answers of REST.


def test_a_full_answer_shows_every_fill_with_its_own_fee(private):
    seen = CODEC.observation(private(SPOT + "new_order_full_response").encode())
    assert (seen.client_order_id, seen.exchange_order_id) == ("6gCrw2kRUAF9CvJDGP16IP", "28")
    assert (seen.status, seen.filled, seen.venue_ns) == (OrderStatus.FILLED, D(10), 1507725176595 * 10**6)
    assert seen.order == StandardOrder("BTC/USDT", Side.SELL, OrderType.MARKET, D(10))
    assert [fill.trade_id for fill in seen.fills] == ["56", "57", "58", "59", "60"]
    assert seen.fills[1] == Fill(
        "57",
        "BTC/USDT",
        Side.SELL,
        D("5"),
        D("3999"),
        D("19.995"),
        "USDT",
        False,
        1507725176595 * 10**6,
        "6gCrw2kRUAF9CvJDGP16IP",
        "28",
    )
    assert sum(fill.qty for fill in seen.fills) == seen.filled


def test_a_cancelled_order_is_told_by_its_own_id_not_the_cancels(private):
    seen = CODEC.observation(private(SPOT + "cancel_order_response"))
    assert (seen.client_order_id, seen.status) == ("myOrder1", OrderStatus.CANCELED)
    assert seen.order == StandardOrder("LTC/BTC", Side.BUY, OrderType.LIMIT, D(1), D(2))


def test_a_query_tells_status_terms_and_when_it_last_changed(private):
    seen = CODEC.observation(private(SPOT + "order_response"))
    order = StandardOrder("LTC/BTC", Side.BUY, OrderType.LIMIT, D("1.0"), D("0.1"))
    assert seen == Observation("myOrder1", "1", OrderStatus.NEW, D(0), 1499827319559 * 10**6, order=order)


@pytest.mark.parametrize("name", ["all_orders_response", "open_orders_response"])
def test_lists_of_orders(private, name):
    (order,) = CODEC.orders(private(SPOT + name))
    assert (order.symbol, order.client_order_id, order.exchange_order_id) == ("LTC/BTC", "myOrder1", "1")
    assert (order.type, order.status, order.quantity, order.filled) == (
        OrderType.LIMIT,
        OrderStatus.NEW,
        1,
        0,
    )
    assert (order.price, order.stop_price) == (D("0.1"), None)
    assert order.created_ns == order.updated_ns == 1499827319559 * 10**6
    assert CODEC.order(json.dumps(json.loads(private(SPOT + name))[0])) == order


def test_cancelling_all_tells_of_orders_and_of_those_in_lists(private):
    seen = CODEC.list_observations(private(SPOT + "cancel_open_orders_response"))
    assert [each.exchange_order_id for each in seen] == ["11", "13", "20", "21"]
    assert {each.status for each in seen} == {OrderStatus.CANCELED}
    stop, maker = seen[2].order, seen[3].order
    assert (seen[2].client_order_id, seen[3].client_order_id) == (
        "CwOOIPHSmYywx6jZX77TdL",
        "461cPg51vQjV3zIMOXNz39",
    )
    assert (stop.type, stop.price, stop.stop_price) == (OrderType.STOP_LIMIT, D("0.668611"), D("0.378131"))
    assert (maker.type, maker.price, maker.stop_price) == (OrderType.LIMIT_MAKER, D("0.008791"), None)


def test_an_order_list_is_told_order_by_order(private):
    whole = json.loads(private(SPOT + "cancel_open_orders_response"))
    body = json.dumps(whole[2]).encode()
    assert [each.exchange_order_id for each in CODEC.list_observations(body)] == ["20", "21"]


def test_trades_of_the_account(private):
    assert CODEC.fills(private(SPOT + "account_trades_response")) == [
        Fill(
            "28457",
            "BNB/BTC",
            Side.BUY,
            D("12"),
            D("4.000001"),
            D("10.1"),
            "BNB",
            False,
            1499865549590 * 10**6,
            "",
            "100234",
        )
    ]


@pytest.mark.parametrize("name", [SPOT + "account_response", "http_responses/http_spot_wallet_account"])
def test_balances(private, name):
    balances = CODEC.balances(private(name))
    free = D("4723846.89208129")
    assert list(balances) == ["BTC", "LTC"]
    assert balances["BTC"] == AssetBalance("BTC", free, free, D(0), free)


def test_an_amended_order_shows_its_new_total():
    body = {
        "transactTime": 1741926410255,
        "executionId": 75,
        "amendedOrder": {
            "symbol": "BTCUSDT",
            "orderId": 33,
            "orderListId": -1,
            "origClientOrderId": "ours",
            "clientOrderId": "made-up-by-them",
            "price": "6.00000000",
            "qty": "5.00000000",
            "executedQty": "1.00000000",
            "status": "PARTIALLY_FILLED",
            "timeInForce": "GTC",
            "type": "LIMIT",
            "side": "SELL",
        },
    }
    seen = CODEC.observation(json.dumps(body))
    assert (seen.client_order_id, seen.filled, seen.venue_ns) == ("ours", D(1), 1741926410255 * 10**6)
    assert seen.order == StandardOrder("BTC/USDT", Side.SELL, OrderType.LIMIT, D(5), D(6))


def test_an_ack_says_only_that_the_order_has_a_number():
    seen = CODEC.observation(
        b'{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"ours","transactTime":1507725176595}'
    )
    assert seen == Observation("ours", "28", OrderStatus.UNKNOWN, D(0), 1507725176595 * 10**6)


def test_errors_are_told_from_other_bodies(binance_bodies, private):
    told = {body["http_status"]: CODEC.error(body["raw"]) for body in binance_bodies("errors.jsonl")}
    assert told[503][0] == -1007
    assert told[403] is None
    assert CODEC.error(b'{"code":-2010,"msg":"no"}') == (-2010, "no")
    assert [CODEC.error(body) for body in (b"", b"{}", b"[]", b"\xff", private(SPOT + "order_response"))] == (
        [None] * 5
    )


# The user data stream.


def test_every_recorded_event_of_spot_means_something(binance_bodies):
    bodies = [
        body
        for body in binance_bodies("payloads_private.jsonl")
        if body["name"].startswith((STREAM, "spot/user_data_json/"))
    ]
    events = [CODEC.event(body["raw"]) for body in bodies]
    kinds = {Observation: 25, BalanceNews: 4, Unknown: 1}
    assert {kind: sum(isinstance(event, kind) for event in events) for kind in kinds} == kinds
    assert len(events) == sum(kinds.values())


@pytest.mark.parametrize(
    ("name", "status", "filled"),
    [
        ("new", OrderStatus.NEW, 0),
        ("trade", OrderStatus.PARTIALLY_FILLED, "0.5"),
        ("canceled", OrderStatus.PARTIALLY_CANCELED, "0.1"),
        ("pending_cancel", OrderStatus.PARTIALLY_FILLED, "0.1"),
        ("expired", OrderStatus.EXPIRED, 0),
        ("rejected", OrderStatus.REJECTED, 0),
        ("trade_prevention", OrderStatus.EXPIRED, 0),
        ("binance_us", OrderStatus.FILLED, "0.00042"),
        ("trade_l_zero_canceled", OrderStatus.CANCELED, 0),
    ],
)
def test_statuses_of_events(private, name, status, filled):
    seen = CODEC.event(private(STREAM + name))
    assert (seen.status, seen.filled) == (status, D(filled))


def test_a_trade_is_exactly_one_fill_with_its_fee(private):
    seen = CODEC.event(private(STREAM + "trade"))
    assert seen.fills == (
        Fill(
            "98765432",
            "ETH/USDT",
            Side.BUY,
            D("0.5"),
            D("2499.5"),
            D("0.0005"),
            "ETH",
            True,
            1759347763167 * 10**6,
            "O-12345-test-trade",
            "1234567890",
        ),
    )


@pytest.mark.parametrize(
    "name",
    ["trade_l_zero", "trade_l_zero_new", "trade_l_zero_partial", "trade_prevention", "canceled", "new"],
)
def test_what_has_no_quantity_or_no_price_is_no_fill(private, name):
    assert CODEC.event(private(STREAM + name)).fills == ()


def test_a_liquidation_is_a_fill(private):
    (fill,) = CODEC.event(private(STREAM + "calculated")).fills
    assert (fill.qty, fill.price, fill.client_order_id) == (D("0.01"), D(49500), "autoclose-123456789")


def test_ids_of_others_pass_unchanged(private):
    assert CODEC.event(private(STREAM + "custom_client_id")).client_order_id == "INIT-BTC-1234567890"
    assert CODEC.event(private(STREAM + "empty_client_id")).client_order_id == ""


def test_why_an_order_ended_is_told(private):
    assert CODEC.event(private("spot/user_data_json/execution_report_expired")).reason == (
        "INSUFFICIENT_LIQUIDITY"
    )
    assert CODEC.event(private(STREAM + "rejected")).reason == "GTX_ORDER_REJECT"
    assert CODEC.event(private(STREAM + "new")).reason == ""


def test_terms_that_are_not_ours_are_not_shown_as_if_they_were(private):
    assert CODEC.event(private(STREAM + "new_limit_if_touched_price_match")).order is None  # take profit
    assert CODEC.event(private(STREAM + "expired")).order is None  # good till a date that is not told
    stop = CODEC.event(private(STREAM + "new_stop_limit_price_match")).order
    assert (stop.type, stop.price, stop.stop_price) == (OrderType.STOP_LIMIT, D("2405.75"), D("2400"))


@pytest.mark.parametrize("execution", ["CANCELED", "REPLACED"])
def test_the_original_id_names_the_order(private, execution):
    event = json.loads(private(STREAM + "canceled"))["data"]
    event |= {
        "x": execution,
        "C": "ours",
        "c": "the-cancels-own",
        "X": "NEW" if execution[0] == "R" else execution,
    }
    assert CODEC.event(json.dumps(event)).client_order_id == "ours"


def test_balances_and_transfers(private):
    held = CODEC.event(private("spot/user_data_json/account_position_wrapped"))
    assert held == BalanceNews(
        1564034571073 * 10**6, (AssetBalance("ETH", D(10000), D(10000), D(0), D(10000)),)
    )
    moved = CODEC.event(private("spot/user_data_json/balance_update_wrapped"))
    assert moved == BalanceNews(1573200697068 * 10**6, asset="BTC", delta=D(100))
    out = CODEC.event('{"e":"balanceUpdate","E":1,"a":"BTC","d":"-1.5","T":1573200697068}')
    assert out.delta == D("-1.5")


def test_wrapped_and_bare_forms_say_the_same(private):
    event = json.loads(private(STREAM + "trade"))["data"]
    forms = [event, {"subscriptionId": 0, "event": event}, {"stream": "x", "data": event}]
    assert len({CODEC.event(json.dumps(form)) for form in forms}) == 1
    assert CODEC.event(json.dumps(forms[1]).encode()) == CODEC.event(json.dumps(forms[1]))


def test_replies_and_ends():
    accepted = '{"id":"sub-1","status":200,"result":{"subscriptionId":0},"rateLimits":[]}'
    refused = '{"id":7,"status":400,"error":{"code":-1022,"msg":"bad signature"}}'
    assert CODEC.event(accepted) == Reply("sub-1", 200)
    assert CODEC.event(refused) == Reply(7, 400, (-1022, "bad signature"))
    ended = '{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1728973001334}}'
    assert CODEC.event(ended) == StreamEnded("eventStreamTerminated")
    assert CODEC.event('{"event":{"e":"serverShutdown","E":1}}') == StreamEnded("serverShutdown")
    assert CODEC.event('{"e":"somethingNew","x":[1]}') == Unknown("somethingNew")


def test_a_market_nobody_named_is_told_by_its_letters(private):
    event = json.loads(private(STREAM + "new"))["data"]
    assert CODEC.event(json.dumps(event)).order.symbol == "ETH/USDT"
    assert CODEC.event(json.dumps(event | {"s": "这是测试币456"})).order.symbol == "这是测试币456"


# Statuses and types.


@given(st.text(), st.decimals(0, 10))
def test_a_status_nobody_knows_is_never_an_end(text, executed):
    known = {"NEW", "PENDING_NEW", "PENDING_CANCEL", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED"}
    known |= {"EXPIRED", "EXPIRED_IN_MATCH"}
    body = order_body(StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, D(1), D(1)), text or "?", executed)
    seen = CODEC.observation(json.dumps(body))
    if body["status"] not in known:
        assert seen.status is OrderStatus.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "lifetime", "wire"),
    [
        (OrderType.LIMIT, TimeInForce.GTC, ("LIMIT", "GTC")),
        (OrderType.LIMIT, TimeInForce.IOC, ("LIMIT", "IOC")),
        (OrderType.IMMEDIATE_OR_CANCEL, TimeInForce.GTC, ("LIMIT", "IOC")),
        (OrderType.FILL_OR_KILL, TimeInForce.FOK, ("LIMIT", "FOK")),
        (OrderType.LIMIT_MAKER, TimeInForce.GTC, ("LIMIT_MAKER", None)),
        (OrderType.MARKET, TimeInForce.GTC, ("MARKET", None)),
        (OrderType.STOP_LIMIT, TimeInForce.GTC, ("STOP_LOSS_LIMIT", "GTC")),
        (OrderType.STOP_MARKET, TimeInForce.GTC, ("STOP_LOSS", None)),
    ],
)
def test_what_is_sent_for_each_kind(kind, lifetime, wire):
    order = StandardOrder("BTC/USDT", Side.BUY, kind, D(1), D(1), D(1), lifetime)
    assert order_type(order) == wire


def test_good_till_a_date_cannot_be_sent():
    order = StandardOrder(
        "BTC/USDT", Side.BUY, OrderType.LIMIT, D(1), D(1), None, TimeInForce.GTD, expire_ns=1
    )
    with pytest.raises(ValidationError):
        order_type(order)


def test_kinds_we_do_not_have_are_listed_as_what_their_prices_make_them(private):
    listed = json.loads(private(SPOT + "open_orders_response"))[0]
    shapes = [
        ("TAKE_PROFIT", "0", "9"),
        ("TAKE_PROFIT_LIMIT", "8", "9"),
        ("NEW_KIND", "8", "0"),
        ("?", "0", "0"),
    ]
    bodies = [listed | {"type": kind, "price": price, "stopPrice": stop} for kind, price, stop in shapes]
    assert [order.type for order in CODEC.orders(json.dumps(bodies))] == [
        OrderType.STOP_MARKET,
        OrderType.STOP_LIMIT,
        OrderType.LIMIT,
        OrderType.MARKET,
    ]


# Generated orders, there and back.

amounts = st.integers(1, 10**14).map(lambda n: D(n).scaleb(-8))
stamps = st.integers(1_500_000_000_000, 1_900_000_000_000)
ids = st.text("ABCabc019-_", min_size=1, max_size=36)


@st.composite
def orders(draw):
    kind = draw(st.sampled_from(OrderType))
    lifetime = {OrderType.IMMEDIATE_OR_CANCEL: TimeInForce.IOC, OrderType.FILL_OR_KILL: TimeInForce.FOK}.get(
        kind
    )
    return StandardOrder(
        "BTC/USDT",
        draw(st.sampled_from(Side)),
        kind,
        draw(amounts),
        None if kind in (OrderType.MARKET, OrderType.STOP_MARKET) else draw(amounts),
        draw(amounts) if kind in (OrderType.STOP_LIMIT, OrderType.STOP_MARKET) else None,
        lifetime or TimeInForce.GTC,
    )


def text_of(number):
    return f"{number or 0:.8f}"


def order_body(order, status, executed, **more):
    kind, lifetime = order_type(order)
    return {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "orderListId": -1,
        "clientOrderId": "ours",
        "transactTime": 1_700_000_000_000,
        "price": text_of(order.price),
        "origQty": text_of(order.quantity),
        "executedQty": text_of(executed),
        "status": status,
        "timeInForce": lifetime or "GTC",
        "type": kind,
        "side": order.side.name,
        "stopPrice": text_of(order.stop_price),
    } | more


def event_body(order, status, executed, **more):
    kind, lifetime = order_type(order)
    return {
        "e": "executionReport",
        "E": 1_700_000_000_001,
        "s": "BTCUSDT",
        "c": "ours",
        "C": "",
        "S": order.side.name,
        "o": kind,
        "f": lifetime or "GTC",
        "q": text_of(order.quantity),
        "p": text_of(order.price),
        "P": text_of(order.stop_price),
        "x": "NEW",
        "X": status,
        "r": "NONE",
        "i": 7,
        "l": "0",
        "z": text_of(executed),
        "L": "0",
        "n": "0",
        "N": None,
        "T": 1_700_000_000_000,
        "t": -1,
        "m": False,
    } | more


@given(orders(), amounts, stamps, ids)
def test_an_order_comes_back_from_the_wire_as_it_was_sent(order, executed, at, name):
    body = order_body(order, "PARTIALLY_FILLED", executed, transactTime=at, clientOrderId=name)
    answer = CODEC.observation(json.dumps(body))
    event = event_body(order, "PARTIALLY_FILLED", executed, T=at, c=name)
    assert answer == CODEC.event(json.dumps({"subscriptionId": 0, "event": event}))
    assert (answer.order, answer.filled, answer.venue_ns) == (order, executed, at * 10**6)
    assert (answer.client_order_id, answer.exchange_order_id) == (name, "7")
    for number in (answer.filled, answer.order.quantity):
        assert number.as_tuple() == D(canonical(number)).as_tuple()
    listed = CODEC.order(json.dumps(body))
    assert (listed.type, listed.quantity, listed.price) == (order.type, order.quantity, order.price)


@given(orders(), st.lists(st.tuples(amounts, amounts, amounts), min_size=1, max_size=5))
def test_fills_come_back_exactly_whichever_way_they_are_told(order, trades):
    executed = sum(qty for qty, _, _ in trades)
    fills = [
        {
            "price": text_of(price),
            "qty": text_of(qty),
            "commission": text_of(fee),
            "commissionAsset": "BNB",
            "tradeId": n,
        }
        for n, (qty, price, fee) in enumerate(trades)
    ]
    answer = CODEC.observation(json.dumps(order_body(order, "FILLED", executed, fills=fills)))
    events = [
        CODEC.event(
            json.dumps(
                event_body(
                    order,
                    "FILLED",
                    executed,
                    x="TRADE",
                    l=fill["qty"],
                    L=fill["price"],
                    n=fill["commission"],
                    N="BNB",
                    t=fill["tradeId"],
                )
            )
        )
        for fill in fills
    ]
    assert answer.fills == tuple(fill for event in events for fill in event.fills)
    assert sum(fill.qty for fill in answer.fills) == executed == answer.filled


# What is broken.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
READERS = [
    CODEC.observation,
    CODEC.list_observations,
    CODEC.order,
    CODEC.orders,
    CODEC.fills,
    CODEC.balances,
    CODEC.event,
]


def read_or_refuse(reader, body):
    try:
        return reader(body)
    except CodecError:
        return None


@given(st.sampled_from(READERS), st.binary(max_size=60) | st.text(max_size=60) | json_values.map(json.dumps))
def test_any_bytes_are_read_or_refused_and_nothing_else(reader, body):
    read_or_refuse(reader, body)


@given(st.data())
def test_a_damaged_message_is_read_or_refused_and_nothing_else(data):
    """Real shapes with one field gone, or of another kind; cut off anywhere."""
    order = data.draw(orders())
    body = data.draw(
        st.sampled_from([order_body(order, "NEW", D(0)), event_body(order, "FILLED", D(1), x="TRADE", t=1)])
    )
    field = data.draw(st.sampled_from(sorted(body)))
    if data.draw(st.booleans()):
        del body[field]
    else:
        body[field] = data.draw(json_values)
    text = json.dumps(body)
    for reader in READERS:
        read_or_refuse(reader, text)
        read_or_refuse(reader, text[: data.draw(st.integers(0, len(text)))])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "1e999999", "1e-999999", "", "1,5", True, None])
def test_impossible_amounts_are_refused(number):
    order = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, D(1), D(1))
    with pytest.raises(CodecError):
        CODEC.observation(json.dumps(order_body(order, "NEW", D(0), executedQty=number)))
    with pytest.raises(CodecError):
        CODEC.event(json.dumps(event_body(order, "NEW", D(0), z=number)))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"<html></html>", b'{"code":-1013,"msg":"no"}'])
def test_other_bodies_are_no_order(body):
    for reader in (CODEC.observation, CODEC.order, CODEC.event):
        with pytest.raises(CodecError):
            reader(body)


def test_a_hundred_thousand_brackets_are_refused():
    for reader in READERS:
        with pytest.raises(CodecError):
            reader("[" * 100_000)
        with pytest.raises(CodecError):
            reader('{"e":"executionReport","a":' + "[" * 100_000)
    assert CODEC.error("[" * 100_000) is None


def test_a_stamp_beyond_all_years_is_refused():
    order = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, D(1), D(1))
    with pytest.raises(CodecError):
        CODEC.observation(json.dumps(order_body(order, "NEW", D(0), transactTime=10**18)))
