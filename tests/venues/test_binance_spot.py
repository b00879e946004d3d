"""The dialect, without any network: what each request asks for, to the letter."""

from decimal import Decimal

import pytest

from quantcli.clock import NS_PER_MS
from quantcli.codecs.binance_rules import parse_exchange_info
from quantcli.errors import InvariantError, ValidationError
from quantcli.model.instrument import Side
from quantcli.model.message import Amend, Cancel, Lookup, Observation, Place, Refusal, Silence, Survey
from quantcli.model.order import OrderStatus, OrderType, StandardOrder, TimeInForce
from quantcli.venues.binance.spot import BinanceSpot
from quantcli.venues.calls import Answer, NoAnswer
from quantcli.venues.capabilities import check_order
from quantcli.venues.error_body import Fault, fault_of, says_disabled
from quantcli.venues.manifest import exchanges, load
from tests.venues.opened import SYMBOL, id_of

MANIFEST = load("binance")
RULES = parse_exchange_info(
    '{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[]}]}',
    "spot",
)
NOW_NS = 1_700_000_000_000 * NS_PER_MS


def dialect(known=True):
    return BinanceSpot(MANIFEST, {SYMBOL: RULES[0]} if known else {}, lambda: NOW_NS)


def order(kind=OrderType.LIMIT, **terms):
    settled = {"side": Side.BUY, "quantity": Decimal("0.50000"), "price": Decimal("1E+2")} | terms
    return StandardOrder(SYMBOL, type=kind, **settled)


def first_call(request, known=True):
    return next(dialect(known).converse(request))


def placed(kind=OrderType.LIMIT, **terms):
    return first_call(Place(id_of(1), order(kind, **terms), 9))


def ended(conversation, answer):
    """The reports after the answer to the last call."""
    with pytest.raises(StopIteration) as stop:
        conversation.throw(answer) if isinstance(answer, Exception) else conversation.send(answer)
    return stop.value.value


TERMS = [
    (OrderType.LIMIT, {}, {"type": "LIMIT", "timeInForce": "GTC", "price": "100"}),
    (
        OrderType.LIMIT,
        {"time_in_force": TimeInForce.IOC},
        {"type": "LIMIT", "timeInForce": "IOC", "price": "100"},
    ),
    (
        OrderType.LIMIT,
        {"time_in_force": TimeInForce.GTD, "expire_ns": 5},  # the kernel ends it
        {"type": "LIMIT", "timeInForce": "GTC", "price": "100"},
    ),
    (OrderType.IMMEDIATE_OR_CANCEL, {}, {"type": "LIMIT", "timeInForce": "IOC", "price": "100"}),
    (OrderType.FILL_OR_KILL, {}, {"type": "LIMIT", "timeInForce": "FOK", "price": "100"}),
    (OrderType.LIMIT_MAKER, {}, {"type": "LIMIT_MAKER", "price": "100"}),
    (OrderType.MARKET, {"price": None}, {"type": "MARKET"}),
    (
        OrderType.STOP_LIMIT,
        {"stop_price": Decimal("0.00000010")},
        {"type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "price": "100", "stopPrice": "0.0000001"},
    ),
    (
        OrderType.STOP_MARKET,
        {"price": None, "stop_price": Decimal(7)},
        {"type": "STOP_LOSS", "stopPrice": "7"},
    ),
]


@pytest.mark.parametrize(("kind", "terms", "sent"), TERMS)
def test_a_placement_says_exactly_what_was_wished(kind, terms, sent):
    call = placed(kind, **terms)
    assert call.params == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.5",
        "newClientOrderId": id_of(1),
        "newOrderRespType": "FULL",
        **sent,
    }
    assert (call.section, call.method, call.path) == ("private", "POST", "order")
    assert (call.is_read, call.is_signed, call.deadline_ns, call.orders) == (False, True, 9, 1)


@pytest.mark.parametrize("text", ["0.00000001", "123456789.12345678", "1000000"])
def test_numbers_go_out_exact_and_without_an_exponent(text):
    call = placed(quantity=Decimal(text), price=Decimal(text))
    assert call.params["quantity"] == call.params["price"] == text


IMPOSSIBLE = {
    "a market order with a price": order(OrderType.MARKET),
    "a stop market order with a price": order(OrderType.STOP_MARKET, stop_price=Decimal(1)),
    "a limit order without one": order(price=None),
    "a limit order with a stop price": order(stop_price=Decimal(1)),
    "a stop without a stop price": order(OrderType.STOP_LIMIT),
    "reduce only": order(reduce_only=True),
    "a date, but good till cancelled": order(expire_ns=5),
    "nothing": order(quantity=Decimal(0)),
    "no number": order(quantity=Decimal("NaN")),
    "a price of nothing": order(price=Decimal(0)),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_the_exchange_does_not_have_is_refused_without_a_call(what):
    with pytest.raises(StopIteration) as stop:
        first_call(Place(id_of(1), IMPOSSIBLE[what], 9))
    (report,) = stop.value.value
    assert isinstance(report, Refusal)
    assert (report.client_order_id, report.code) == (id_of(1), "unsupported")
    assert report.message


def test_the_table_of_each_exchange_decides_what_it_is_asked_for():
    check_order(order(OrderType.FILL_OR_KILL), load("okx"))
    with pytest.raises(ValidationError, match="no fill_or_kill orders on hyperliquid"):
        check_order(order(OrderType.FILL_OR_KILL), load("hyperliquid"))
    check_order(order(reduce_only=True), load("okx", "futures"))
    for exchange in exchanges():
        check_order(order(), load(exchange))


def test_an_id_that_is_not_the_kernels_is_a_fault_of_ours():
    with pytest.raises(InvariantError):
        first_call(Place("x-foreign", order(), 9))


def test_an_order_of_a_market_that_is_not_open_can_still_be_asked_for():
    assert first_call(Cancel(id_of(1), "ETH/USDT"), known=False).params["symbol"] == "ETHUSDT"
    assert first_call(Lookup(id_of(1), "ETH/USDT"), known=False).params["symbol"] == "ETHUSDT"


def test_calls_weigh_what_the_exchange_says():
    assert placed().weight == 1
    amend = first_call(Amend(id_of(1), order(), 1, 9))
    assert (amend.method, amend.path, amend.weight) == ("PUT", "order/amend/keepPriority", 4)
    assert first_call(Cancel(id_of(1), SYMBOL)).weight == 1
    assert first_call(Lookup(id_of(1), SYMBOL)).weight == 4
    weights = []
    survey = dialect().converse(Survey(SYMBOL, NOW_NS - 5, 1))
    answers = [b'{"balances":[]}', b"[]", b"[]"]
    call = next(survey)
    for body in answers:
        weights.append(call.weight)
        call = survey.send(Answer(200, {}, body))
    assert [*weights, call.weight] == [20, 6, 20, 20]


def test_what_is_asked_is_a_read_only_where_asking_twice_does_no_harm():
    for request in (Cancel(id_of(1), SYMBOL), Amend(id_of(1), order(), 1, 9), Place(id_of(1), order(), 9)):
        assert first_call(request).is_read is False
    for request in (Lookup(id_of(1), SYMBOL), Survey(SYMBOL, NOW_NS, 1)):
        assert first_call(request).is_read is True


FULL = (
    '{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"%s","transactTime":1507725176595,'
    '"price":"0.00","origQty":"10.00","executedQty":"10.00","cummulativeQuoteQty":"10.00","status":"FILLED",'
    '"timeInForce":"GTC","type":"MARKET","side":"SELL","fills":[{"price":"4000.00","qty":"1.00",'
    '"commission":"4.00","commissionAsset":"USDT","tradeId":56},{"price":"3999.00","qty":"9.00",'
    '"commission":"19.99","commissionAsset":"USDT","tradeId":57}]}'
)


def test_an_acceptance_brings_its_fills():
    conversation = dialect().converse(Place(id_of(1), order(), 9))
    next(conversation)
    (report,) = ended(conversation, Answer(200, {}, (FULL % id_of(1)).encode()))
    assert isinstance(report, Observation)
    assert (report.status, report.filled, report.exchange_order_id) == (OrderStatus.FILLED, Decimal(10), "28")
    assert [(fill.trade_id, fill.qty, fill.fee) for fill in report.fills] == [
        ("56", Decimal("1.00"), Decimal("4.00")),
        ("57", Decimal("9.00"), Decimal("19.99")),
    ]


@pytest.mark.parametrize("sent", [True, False])
def test_a_lost_answer_says_whether_anything_was_sent(sent):
    for request in (Place(id_of(1), order(), 9), Cancel(id_of(1), SYMBOL), Lookup(id_of(1), SYMBOL)):
        conversation = dialect().converse(request)
        next(conversation)
        (report,) = ended(conversation, NoAnswer("the line is dead", sent=sent))
        assert report == Silence(id_of(1), report.request, "the line is dead", sent)


def test_the_reason_of_a_silence_can_be_followed_up_and_repeats_no_body():
    conversation = dialect().converse(Place(id_of(1), order(), 9))
    next(conversation)
    (report,) = ended(conversation, Answer(502, {}, b"<html>secret</html>"))
    assert report.reason.startswith("HTTP 502, 19 bytes ")
    assert "secret" not in report.reason


def test_cancelling_one_of_a_list_shows_all_of_it():
    shape = (
        '{"symbol":"BTCUSDT","origClientOrderId":"%s","orderId":%s,"clientOrderId":"c","transactTime":1,'
        '"executedQty":"0","status":"CANCELED"}'
    )
    reports = ",".join(shape % (id_of(number), number) for number in (2, 1))
    conversation = dialect().converse(Cancel(id_of(1), SYMBOL))
    next(conversation)
    seen = ended(conversation, Answer(200, {}, f'{{"orderListId":1,"orderReports":[{reports}]}}'.encode()))
    assert [(each.client_order_id, each.status) for each in seen] == [
        (id_of(1), OrderStatus.CANCELED),
        (id_of(2), OrderStatus.CANCELED),
    ]


def test_cancelling_one_of_a_list_that_shows_only_others_is_silence_about_it():
    body = (
        '{"orderListId":1,"orderReports":[{"symbol":"BTCUSDT","origClientOrderId":"%s","orderId":2,'
        '"clientOrderId":"c","transactTime":1,"executedQty":"0","status":"CANCELED"}]}'
    )
    conversation = dialect().converse(Cancel(id_of(1), SYMBOL))
    next(conversation)
    seen = ended(conversation, Answer(200, {}, (body % id_of(2)).encode()))
    assert [(type(each), each.client_order_id) for each in seen] == [
        (Silence, id_of(1)),
        (Observation, id_of(2)),
    ]


# Errors by the manifest's paths.


@pytest.mark.parametrize(
    ("exchange", "body", "fault"),
    [
        ("binance", '{"code":-1021,"msg":"late"}', Fault(-1021, "late")),
        ("binance", '{"code":true,"msg":"x"}', None),
        ("binance", '{"msg":"x"}', None),
        ("binance", "<html>", None),
        ("binance", "", None),
        ("binance", "[" * 5000, None),
        (
            "okx",
            '{"code":"1","data":[{"sCode":"51008","sMsg":"poor"}],"msg":"failed"}',
            Fault("51008", "poor"),
        ),
        ("okx", '{"code":"50113","data":[],"msg":"signature"}', Fault("50113", "signature")),
        ("okx", '{"code":"0","data":[{"sCode":"0","sMsg":""}],"msg":""}', None),
        ("bybit", '{"retCode":10001,"retMsg":"bad"}', Fault(10001, "bad")),
        ("bybit", '{"retCode":0,"retMsg":"OK"}', None),
        ("kraken", '{"error":["EOrder:Insufficient funds"]}', Fault("EOrder:Insufficient funds", "")),
        ("kraken", '{"error":[],"result":{}}', None),
        ("coinbase", '{"success":false,"error_response":{"error":"X","message":"y"}}', Fault("X", "y")),
        (
            "hyperliquid",
            '{"status":"ok","response":{"data":{"statuses":[{"error":"poor"}]}}}',
            Fault("", "poor"),
        ),
        ("hyperliquid", '{"status":"err","response":"no wallet"}', Fault("", "no wallet")),
        ("hyperliquid", '{"status":"ok","response":{"data":{"statuses":[{"resting":{"oid":1}}]}}}', None),
    ],
)
def test_an_error_is_found_where_the_manifest_says(exchange, body, fault):
    assert fault_of(body.encode(), load(exchange).error_body) == fault


def test_an_account_that_does_not_trade_says_so_in_words():
    places = MANIFEST.error_body
    assert says_disabled("Market is closed.", places)
    assert says_disabled("this action is disabled on this account.", places)
    assert not says_disabled("Account has insufficient balance for requested action.", places)


def test_trades_of_other_orders_are_no_fills_of_the_one_that_was_looked_up():
    trade = (
        '{"symbol":"BTCUSDT","id":%s,"orderId":%s,"price":"1","qty":"2","commission":"0","commissionAsset":"BNB",'
        '"time":1,"isBuyer":true,"isMaker":true}'
    )
    conversation = dialect().converse(Lookup(id_of(1), SYMBOL))
    next(conversation)
    conversation.send(Answer(200, {}, (FULL % id_of(1)).encode()))
    trades = f"[{trade % (1, 28)},{trade % (2, 29)}]"
    (report,) = ended(conversation, Answer(200, {}, trades.encode()))
    assert [fill.trade_id for fill in report.fills] == ["1"]
