"""The gateway against a Binance on a raw socket: whatever goes wrong becomes the one report that is true."""

import asyncio
import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_S, VirtualClock, WallClock
from quantcli.model.instrument import Side
from quantcli.model.message import (
    Absence,
    Amend,
    Cancel,
    Lookup,
    Observation,
    PlaceList,
    Refusal,
    Refused,
    Silence,
    Statement,
    Survey,
)
from quantcli.model.order import OrderStatus, OrderType, StandardOrder
from quantcli.venues.gateway import VenueGateway
from quantcli.venues.inbox import Notice
from quantcli.venues.limits import Lane
from tests.venues import stand_in as faults
from tests.venues.opened import SYMBOL, drain, id_of, limit, next_of, placing, running, venue_of

POST, PUT, DELETE = "POST /api/v3/order", "PUT /api/v3/order/amend/keepPriority", "DELETE /api/v3/order"
GET = "GET /api/v3/order"
REPORTS = Observation | Refusal | Silence | Absence | Statement
HTML = "<html><body>502 Bad Gateway</body></html>"


@pytest.fixture
async def exchange():
    async with running() as server:
        yield server


@pytest.fixture
async def way(exchange):
    """A gateway to it, the inbox, and the venue."""
    async with venue_of(exchange.endpoint, timeout_s=0.4) as (venue, inbox):
        gateway = VenueGateway(venue.connector, inbox)
        yield gateway, inbox, venue
        await gateway.close(0)


async def told(way, request):
    """The one report on a request."""
    gateway, inbox, _ = way
    gateway.send(request)
    report = await next_of(inbox, REPORTS)
    await asyncio.sleep(0)
    assert len(gateway) == 0
    assert not [item for item in drain(inbox) if isinstance(item, REPORTS)]
    return report


OURS, OTHERS = id_of(1), id_of(2)


def shown(client_order_id=OURS):
    order = {"symbol": "BTCUSDT", "orderId": 77, "clientOrderId": client_order_id, "transactTime": 1}
    return json.dumps(order | {"executedQty": "0", "status": "NEW"})


async def idle(gateway):
    """Wait until nothing is under way."""
    for _ in range(500):
        if not len(gateway):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("still under way")


SILENT = {
    "held before it was applied": faults.held(False),
    "held after": faults.held(True),
    "closed before": faults.closed(False),
    "closed after": faults.closed(True),
    "reset before": faults.reset(False),
    "reset after": faults.reset(True),
    "cut to nothing": faults.cut(0),
    "cut to one byte": faults.cut(1),
    "cut by one byte": faults.cut(-1),
    "dripping": faults.dripping(0.05),
    "answered too late": faults.late(1.0),
    "empty": faults.told(200, "", True),
    "broken JSON": faults.told(200, '{"symbol":"BTCUSDT","orderId":', True),
    "not UTF-8": faults.told(200, b"\xff\xfe{}", True),
    "an object of nothing": faults.told(200, "{}", True),
    "a list": faults.told(200, "[]", True),
    "HTML with 200": faults.told(200, HTML, True),
    "somebody else's order": faults.told(200, shown(OTHERS), True),
    "no id of ours": faults.told(200, shown(""), True),
    "no id of theirs": faults.told(200, shown().replace('"orderId": 77, ', ""), True),
    "204": faults.told(204, "", True),
    "301": faults.told(301, "", Location="/elsewhere"),
    "307": faults.told(307, "", Location="/api/v3/order"),
    "400 of somebody else": faults.told(400, HTML),
    "403": faults.told(403, HTML),
    "403 with a code": faults.error(403, -2010, "Account has insufficient balance for requested action."),
    "404": faults.told(404, HTML),
    "408": faults.error(408, -1007, "Timeout waiting for response from backend server."),
    "409": faults.told(409, '{"code":-2021,"msg":"Order cancel-replace partially failed."}', True),
    "409 of nobody": faults.told(409, HTML),
    "429 of somebody else": faults.told(429, HTML, Retry_After="0"),
    "500": faults.error(500, -1000, "An unknown error occurred while processing the request.", True),
    "500 -1006": faults.error(500, -1006, "An unexpected response was received from the message bus.", True),
    "502": faults.told(502, HTML, True),
    "503": faults.told(503, HTML),
    "503 -1008": faults.error(503, -1008, "Server is currently overloaded with other requests."),
    "504 -1007": faults.error(504, -1007, "Send status unknown; execution status unknown.", True),
    "an order with 500": faults.told(500, shown(), True),
    "an order with 400": faults.told(400, shown(), True),
    "an unknown code": faults.error(400, -9999, "What is this?"),
    "a code that is none": faults.told(400, '{"code":null,"msg":"Account has insufficient balance"}'),
}
REFUSED = {
    "a filter": (faults.error(400, -1013, "Filter failure: LOT_SIZE"), -1013, Refused.FINAL),
    "a parameter": (faults.error(400, -1102, "Mandatory parameter"), -1102, Refused.FINAL),
    "no money": (faults.error(400, -2010, "Account has insufficient balance."), -2010, Refused.FINAL),
    "post only": (faults.error(400, -2010, "Order would immediately match and take."), -2010, Refused.FINAL),
    "a duplicate": (faults.error(400, -2010, "Duplicate order sent."), -2010, Refused.EXISTS),
    "the signature": (faults.error(400, -1022, "Signature for this request"), -1022, Refused.FINAL),
    "the key": (faults.error(401, -2015, "Invalid API-key, IP, or permissions"), -2015, Refused.FINAL),
    "the clock": (faults.error(400, -1021, "Timestamp for this request is outside"), -1021, Refused.BUSY),
    "too many": (faults.error(429, -1003, "Too many requests", Retry_After="0"), -1003, Refused.BUSY),
    "banned": (faults.error(418, -1003, "Way too many requests", Retry_After="0"), -1003, Refused.BUSY),
    "orders": (faults.error(429, -1015, "Too many new orders"), -1015, Refused.BUSY),
    "overloaded": (faults.error(429, -1008, "Server is currently overloaded"), -1008, Refused.BUSY),
}


@pytest.mark.parametrize("cell", SILENT)
async def test_an_answer_that_proves_nothing_is_silence(exchange, way, cell):
    exchange.fail(POST, SILENT[cell])
    report = await told(way, placing())
    assert isinstance(report, Silence), report
    assert (report.client_order_id, report.request, report.sent) == (id_of(1), "place", True)
    assert report.reason
    assert exchange.count(POST) == 1
    assert len(exchange.orders) == SILENT[cell].is_applied


@pytest.mark.parametrize("cell", REFUSED)
async def test_a_refusal_that_the_manifest_names_is_one(exchange, way, cell):
    fault, code, kind = REFUSED[cell]
    exchange.fail(POST, fault)
    report = await told(way, placing())
    assert isinstance(report, Refusal), report
    assert (report.client_order_id, report.request, report.code, report.kind) == (
        id_of(1),
        "place",
        code,
        kind,
    )
    assert exchange.count(POST) == 1


async def test_an_acceptance_shows_the_order_under_both_ids(exchange, way):
    report = await told(way, placing())
    assert isinstance(report, Observation)
    assert (report.client_order_id, report.exchange_order_id) == (id_of(1), "1")
    assert (report.status, report.filled) == (OrderStatus.NEW, Decimal(0))
    assert report.order == limit()
    sent = exchange.last(POST)
    assert sent["newClientOrderId"] == id_of(1)
    assert (sent["quantity"], sent["price"], sent["timeInForce"]) == ("0.5", "90", "GTC")
    assert sent["newOrderRespType"] == "FULL"
    assert "selfTradePreventionMode" not in sent


async def test_nobody_listening_is_a_request_that_never_left(exchange, way):
    await exchange.stop()
    report = await told(way, placing())
    assert isinstance(report, Silence)
    assert report.sent is False


async def test_a_placement_is_signed_until_its_deadline_and_no_longer(exchange, way):
    request = placing(in_s=3.0)
    await told(way, request)
    sent = exchange.last(POST)
    expires_ms = int(sent["timestamp"]) + int(sent["recvWindow"])
    assert request.deadline_ns // 1_000_000 - 2 <= expires_ms <= request.deadline_ns // 1_000_000


async def test_a_window_is_never_longer_than_the_exchange_takes(exchange, way):
    await told(way, placing(in_s=3600))
    assert exchange.last(POST)["recvWindow"] == "60000"


async def test_a_placement_that_is_too_late_is_not_sent(exchange, way):
    report = await told(way, placing(in_s=-0.001))
    assert isinstance(report, Silence)
    assert report.sent is False
    assert exchange.calls == []


async def test_a_placement_that_no_window_of_whole_milliseconds_fits_is_not_sent(exchange):
    dial = VirtualClock(WallClock().now_ns())
    async with venue_of(exchange.endpoint, clock=dial) as (venue, inbox):
        gateway = VenueGateway(venue.connector, inbox)
        gateway.send(replace(placing(), deadline_ns=dial.now_ns() + 999_999))
        report = await next_of(inbox, REPORTS)
        assert (type(report), report.sent) == (Silence, False)
        assert exchange.calls == []
        gateway.send(replace(placing(), deadline_ns=dial.now_ns() + 1_999_999))
        await next_of(inbox, REPORTS)
        assert exchange.last(POST)["recvWindow"] == "1"


async def test_a_placement_that_waits_past_its_deadline_is_not_sent(exchange, way):
    _, _, venue = way
    budget = venue.connector._asking.budget
    budget.banned(WallClock().now_ns() + 60 * NS_PER_S)
    report = await told(way, placing(in_s=0.2))
    assert isinstance(report, Silence)
    assert report.sent is False
    assert exchange.calls == []


async def test_what_the_exchange_says_of_too_many_holds_for_the_whole_account(exchange, way):
    gateway, inbox, _ = way
    exchange.fail(POST, faults.error(429, -1003, "Too many requests", Retry_After="1"))
    await told(way, placing())
    began_s = asyncio.get_running_loop().time()
    gateway.send(Cancel(id_of(1), SYMBOL))
    gateway.send(Lookup(id_of(1), SYMBOL))
    gateway.send(placing(number=2))
    for _ in range(3):
        await next_of(inbox, REPORTS)
    assert asyncio.get_running_loop().time() - began_s > 0.9
    assert exchange.count(POST) == 2


async def test_too_many_orders_leave_cancels_alone(exchange, way):
    exchange.fail(POST, faults.error(429, -1015, "Too many new orders"))
    await told(way, placing())
    began_s = asyncio.get_running_loop().time()
    await told(way, Cancel(id_of(1), SYMBOL))
    assert asyncio.get_running_loop().time() - began_s < 0.5


async def test_an_order_that_there_is_not_is_refused_before_anything_is_sent(exchange, way):
    report = await told(way, placing(limit(reduce_only=True)))
    assert isinstance(report, Refusal)
    assert (report.code, report.kind) == ("unsupported", Refused.FINAL)
    assert exchange.calls == []


async def test_people_hear_that_an_account_does_not_trade(exchange, way):
    gateway, inbox, _ = way
    exchange.fail(POST, faults.error(400, -2010, "This action is disabled on this account."))
    gateway.send(placing())
    notice = await next_of(inbox, Notice)
    assert notice.kind == "trading_disabled"


# Cancels.

CANCEL_SILENT = {
    "closed before": faults.closed(False),
    "closed after": faults.closed(True),
    "reset after": faults.reset(True),
    "held": faults.held(True),
    "cut": faults.cut(20),
    "empty": faults.told(200, "", True),
    "another order": faults.told(200, shown(OTHERS), True),
    "redirected": faults.told(307, "", Location="/api/v3/order"),
    "the key": faults.error(401, -2015, "Invalid API-key, IP, or permissions for action."),
    "restrictions": faults.error(400, -2011, "Order was not canceled due to cancel restrictions."),
    "overloaded": faults.error(503, -1008, "Server is currently overloaded with other requests."),
}


@pytest.mark.parametrize("cell", CANCEL_SILENT)
async def test_a_cancel_is_sent_once_and_its_lost_answer_is_silence(exchange, way, cell):
    await told(way, placing())
    exchange.fail(DELETE, CANCEL_SILENT[cell])
    report = await told(way, Cancel(id_of(1), SYMBOL, 5))
    assert isinstance(report, Silence), report
    assert (report.request, report.sent) == ("cancel", True)
    assert exchange.count(DELETE) == 1


async def test_a_cancel_shows_the_order_as_it_ended(exchange, way):
    await told(way, placing())
    report = await told(way, Cancel(id_of(1), SYMBOL))
    assert isinstance(report, Observation)
    assert (report.client_order_id, report.status) == (id_of(1), OrderStatus.CANCELED)


async def test_a_cancel_of_an_order_that_is_not_open_says_so_and_when_it_was_asked(exchange, way):
    report = await told(way, Cancel(id_of(1), SYMBOL, 5))
    assert isinstance(report, Refusal)
    assert (report.kind, report.asked_ns, report.request) == (Refused.UNKNOWN_ORDER, 5, "cancel")


async def test_a_cancel_passes_while_the_exchange_is_left_alone_otherwise(exchange, way):
    _, _, venue = way
    await told(way, placing())
    for _ in range(5):
        venue.connector._asking.breaker.failed("a test")
    assert not venue.connector._asking.breaker.allows(Lane.PLACE)
    blocked = await told(way, placing(number=2))
    assert isinstance(blocked, Silence)
    assert blocked.sent is False
    assert isinstance(await told(way, Lookup(id_of(1), SYMBOL)), Observation)  # and ends it
    assert isinstance(await told(way, placing(number=3)), Observation)
    for _ in range(5):
        venue.connector._asking.breaker.failed("a test")
    assert isinstance(await told(way, Cancel(id_of(1), SYMBOL)), Observation)
    assert exchange.count(POST) == 2


# Amendments.


def amending(qty="0.3", number=4, in_s=5.0):
    return Amend(id_of(1), limit(qty), number, WallClock().now_ns() + int(in_s * NS_PER_S))


async def test_an_amendment_keeps_the_id_and_shows_the_new_total(exchange, way):
    await told(way, placing())
    report = await told(way, amending())
    assert isinstance(report, Observation)
    assert (report.client_order_id, report.order.quantity) == (id_of(1), Decimal("0.3"))
    sent = exchange.last(PUT)
    assert sent["origClientOrderId"] == sent["newClientOrderId"] == id_of(1)
    assert sent["newQty"] == "0.3"
    assert exchange.orders[1]["clientOrderId"] == id_of(1)


@pytest.mark.parametrize("is_applied", [False, True])
async def test_an_amendment_whose_connection_breaks_is_sent_once(exchange, way, is_applied):
    await told(way, placing())
    exchange.fail(PUT, faults.closed(is_applied))
    report = await told(way, amending())
    assert isinstance(report, Silence)
    assert (report.request, report.number, report.sent) == ("amend", 4, True)
    assert exchange.count(PUT) == 1


async def test_a_refused_amendment_says_which_and_why(exchange, way):
    unknown = await told(way, amending())
    assert (unknown.kind, unknown.number) == (Refused.UNKNOWN_ORDER, 4)
    await told(way, placing())
    larger = await told(way, amending("0.7", 5))
    assert (larger.code, larger.kind, larger.number) == (-2038, Refused.FINAL, 5)
    late = await told(way, amending(in_s=-1.0))
    assert (type(late), late.sent, late.number) == (Silence, False, 4)


# Look-ups.


async def test_a_look_up_brings_the_fills_along(exchange, way):
    await told(way, placing())
    exchange.fill(1, "0.2", "89.00")
    exchange.trade(99, "BTCUSDT", "3", "1.00", False)
    report = await told(way, Lookup(id_of(1), SYMBOL, 5))
    assert isinstance(report, Observation)
    assert (report.status, report.filled) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.2"))
    (fill,) = report.fills
    assert (fill.qty, fill.price, fill.client_order_id) == (Decimal("0.2"), Decimal("89.00"), id_of(1))
    assert (fill.fee, fill.fee_asset) == (Decimal("0.001"), "BNB")


async def test_a_look_up_of_an_order_without_fills_asks_for_none(exchange, way):
    await told(way, placing())
    await told(way, Lookup(id_of(1), SYMBOL))
    assert exchange.count("GET /api/v3/myTrades") == 0


async def test_a_look_up_whose_fills_do_not_come_still_shows_the_order(exchange, way):
    await told(way, placing())
    exchange.fill(1, "0.2")
    exchange.fail("GET /api/v3/myTrades", *[faults.told(200, "nonsense")] * 3)
    report = await told(way, Lookup(id_of(1), SYMBOL))
    assert (report.filled, report.fills) == (Decimal("0.2"), ())


@pytest.mark.parametrize("code", [-2013, -2026])
async def test_a_look_up_in_vain_is_an_absence_and_no_more(exchange, way, code):
    exchange.fail(GET, faults.error(400, code, "Order does not exist."))
    report = await told(way, Lookup(id_of(1), SYMBOL, 5))
    assert isinstance(report, Absence)
    assert (report.client_order_id, report.asked_ns) == (id_of(1), 5)
    assert abs(report.venue_ns - WallClock().now_ns()) < NS_PER_S


@pytest.mark.parametrize(
    "fault", [faults.closed(False), faults.told(502, HTML), faults.cut(9), faults.error(500, -1000, "?")]
)
async def test_a_look_up_is_tried_again_a_few_times(exchange, way, fault):
    await told(way, placing())
    exchange.fail(GET, fault, fault)
    assert isinstance(await told(way, Lookup(id_of(1), SYMBOL)), Observation)
    exchange.fail(GET, fault, fault, fault)
    report = await told(way, Lookup(id_of(1), SYMBOL))
    assert isinstance(report, Silence)
    assert report.request == "lookup"
    assert exchange.count(GET) == 6


# Lists.


def linked(side=Side.SELL, numbers=(1, 2), in_s=5.0):
    target = StandardOrder(SYMBOL, side, OrderType.LIMIT_MAKER, Decimal("0.5"), Decimal(120))
    stop = StandardOrder(
        SYMBOL, side, OrderType.STOP_LIMIT, Decimal("0.5"), Decimal("79.5"), stop_price=Decimal(80)
    )
    places = (placing(stop, numbers[0], in_s), placing(target, numbers[1], in_s))
    return PlaceList(places)


async def both(way, request):
    gateway, inbox, _ = way
    gateway.send(request)
    return [await next_of(inbox, REPORTS) for _ in range(2)]


async def test_linked_orders_are_placed_as_one_and_answered_one_by_one(exchange, way):
    reports = await both(way, linked())
    assert [(type(each), each.client_order_id) for each in reports] == [
        (Observation, id_of(1)),
        (Observation, id_of(2)),
    ]
    sent = exchange.last("POST /api/v3/orderList/oco")
    assert (sent["aboveType"], sent["aboveClientOrderId"], sent["abovePrice"]) == (
        "LIMIT_MAKER",
        id_of(2),
        "120",
    )
    assert (sent["belowType"], sent["belowClientOrderId"]) == ("STOP_LOSS_LIMIT", id_of(1))
    assert (sent["belowStopPrice"], sent["belowPrice"], sent["belowTimeInForce"]) == ("80", "79.5", "GTC")


async def test_when_buying_the_stop_is_above(exchange, way):
    await both(way, linked(Side.BUY))
    sent = exchange.last("POST /api/v3/orderList/oco")
    assert (sent["aboveType"], sent["belowType"]) == ("STOP_LOSS_LIMIT", "LIMIT_MAKER")


@pytest.mark.parametrize("fault", [faults.closed(True), faults.told(200, "{}", True), faults.told(502, HTML)])
async def test_a_list_without_an_answer_is_silence_for_each(exchange, way, fault):
    exchange.fail("POST /api/v3/orderList/oco", fault)
    reports = await both(way, linked())
    assert [(type(each), each.client_order_id, each.sent) for each in reports] == [
        (Silence, id_of(1), True),
        (Silence, id_of(2), True),
    ]


async def test_a_refused_list_is_refused_for_each_but_a_duplicate_proves_neither(exchange, way):
    exchange.fail("POST /api/v3/orderList/oco", faults.error(400, -2010, "Account has insufficient balance."))
    assert {(type(each), each.kind) for each in await both(way, linked())} == {(Refusal, Refused.FINAL)}
    exchange.fail("POST /api/v3/orderList/oco", faults.error(400, -2010, "Duplicate order sent."))
    assert {type(each) for each in await both(way, linked())} == {Silence}


async def test_orders_that_cannot_be_linked_are_refused_before_anything_is_sent(exchange, way):
    pair = PlaceList((placing(number=1), placing(number=2)))
    assert {each.code for each in await both(way, pair)} == {"unsupported"}
    assert exchange.calls == []


# Surveys.


async def surveyed(way, since_ns):
    return await told(way, Survey(SYMBOL, since_ns, 5))


async def test_a_survey_states_orders_trades_and_position(exchange, way):
    await told(way, placing())
    exchange.balances["BTC"] = [Decimal("1.5"), Decimal("0.5")]
    exchange.trade(7, "BTCUSDT", "0.1", "100", True)
    statement = await surveyed(way, WallClock().now_ns() - 60 * NS_PER_S)
    assert isinstance(statement, Statement)
    assert [order.client_order_id for order in statement.orders] == [id_of(1)]
    assert [(fill.trade_id, fill.exchange_order_id) for fill in statement.fills] == [("100", "7")]
    assert (statement.position, statement.asked_ns) == (Decimal(2), 5)


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
async def test_a_position_that_moves_meanwhile_is_not_stated(exchange, way, asset):
    def moves(name):
        if name == "GET /api/v3/openOrders":
            exchange.balances[asset][0] += Decimal("0.1")

    exchange.on_call = moves
    statement = await surveyed(way, WallClock().now_ns())
    assert statement.position is None


async def test_funds_that_are_only_locked_meanwhile_move_no_position(exchange, way):
    def locks(name):
        if name == "GET /api/v3/openOrders":
            exchange.balances["BTC"] = [Decimal(1), Decimal(1)]

    exchange.on_call = locks
    statement = await surveyed(way, WallClock().now_ns())
    assert statement.position == Decimal(2)


async def test_a_survey_pages_through_every_trade_of_several_days(exchange, way):
    now_ms = WallClock().now_ns() // 1_000_000
    day_ms = 86_400_000
    times = [now_ms - 4 * day_ms, *[now_ms - 2 * day_ms + n for n in range(2300)], now_ms - 10]
    for time in times:
        exchange.trade(7, "BTCUSDT", "0.001", "100", True, time)
    statement = await surveyed(way, (now_ms - 5 * day_ms) * 1_000_000)
    assert [int(fill.trade_id) for fill in statement.fills] == [100 + n for n in range(len(times))]
    later = await surveyed(way, (now_ms - 60_000) * 1_000_000)
    assert len(later.fills) == 1


@pytest.mark.parametrize("name", ["account", "openOrders", "myTrades"])
async def test_a_survey_of_which_a_part_is_missing_states_nothing(exchange, way, name):
    gateway, inbox, _ = way
    exchange.fail(f"GET /api/v3/{name}", *[faults.error(400, -1003, "Too many requests")] * 3)
    gateway.send(Survey(SYMBOL, WallClock().now_ns(), 5))
    await idle(gateway)
    assert not [item for item in drain(inbox) if isinstance(item, REPORTS)]


async def test_surveys_of_one_market_do_not_pile_up(exchange, way):
    gateway, inbox, _ = way
    now_ns = WallClock().now_ns()
    for asked_ns in range(20):
        gateway.send(Survey(SYMBOL, now_ns, asked_ns))
    stated = [(await next_of(inbox, Statement)).asked_ns for _ in range(2)]
    assert stated == [0, 19]
    await idle(gateway)
    assert exchange.count("GET /api/v3/openOrders") == 2


# The gateway itself.


async def test_sending_returns_before_anything_is_sent(exchange, way):
    gateway, inbox, _ = way
    gateway.send(placing())
    assert exchange.calls == []
    assert len(inbox) == 0
    assert len(gateway) == 1
    await next_of(inbox, Observation)


async def test_what_is_under_way_at_the_end_becomes_silence(exchange, way):
    gateway, inbox, _ = way
    exchange.fail(POST, faults.held(True))
    gateway.send(placing())
    await asyncio.wait_for(exchange.was_called.wait(), 5)
    await gateway.close(0.05)
    (report,) = drain(inbox)
    assert (type(report), report.client_order_id, report.sent) == (Silence, id_of(1), True)
    assert len(gateway) == 0
    gateway.send(placing(number=2))
    (report,) = drain(inbox)
    assert (type(report), report.client_order_id, report.sent) == (Silence, id_of(2), False)


async def test_what_ends_within_the_grace_is_told_as_it_was(exchange, way):
    gateway, inbox, _ = way
    exchange.fail(POST, faults.late(0.1))
    gateway.send(placing())
    await gateway.close(2.0)
    assert [type(item) for item in drain(inbox)] == [Observation]


async def test_more_than_can_be_under_way_is_silence_and_cancels_come_first(exchange, way):
    _, inbox, venue = way
    gateway = VenueGateway(venue.connector, inbox, most_tasks=10)
    for number in range(8):
        gateway.send(placing(number=number))
    refused = [item for item in drain(inbox) if isinstance(item, Silence)]
    assert [(each.client_order_id, each.sent) for each in refused] == [(id_of(n), False) for n in (5, 6, 7)]
    gateway.send(Cancel(id_of(0), SYMBOL))
    assert len(gateway) == 6
    await gateway.close()


async def test_a_fault_of_ours_is_silence_for_its_request_and_for_no_other(exchange, way):
    gateway, inbox, _ = way
    gateway.send(replace(placing(), client_order_id="not one of ours"))
    gateway.send(placing(number=2))
    reports = [await next_of(inbox, REPORTS) for _ in range(2)]
    assert {(type(each), each.client_order_id) for each in reports} == {
        (Silence, "not one of ours"),
        (Observation, id_of(2)),
    }
