"""A live venue: opened in order, closed without a rest, and what it knows of clock and key."""

import asyncio
import gc
from decimal import Decimal

import pytest

from quantcli.clock import NS_PER_MS, NS_PER_S, WallClock
from quantcli.errors import (
    ConfigError,
    ExchangeAPIError,
    NotFoundError,
    RateLimitError,
    TradingDisabled,
)
from quantcli.model.instrument import Side, round_price
from quantcli.model.message import Lookup, Observation, Refusal, Silence, Survey
from quantcli.model.order import OrderStatus
from quantcli.venues.calls import Credentials, NoAnswer
from quantcli.venues.clock_keeper import ClockKeeper
from quantcli.venues.inbox import ClockError, Inbox, Missed, Notice
from quantcli.venues.live import LiveVenue, Permissions
from quantcli.venues.server_clock import Sample, ServerClock
from tests.loopback import InProcessSandbox
from tests.venues import stand_in as faults
from tests.venues.opened import ACCOUNT, SYMBOL, drain, id_of, limit, next_of, placing, running, venue_of

POST = "POST /api/v3/order"


@pytest.fixture
async def exchange():
    async with running() as server:
        yield server


# Opening and closing.


async def test_an_opened_venue_knows_markets_clock_and_key_and_trades(exchange):
    async with venue_of(exchange.endpoint) as (venue, inbox):
        await venue.open([SYMBOL])
        assert set(venue.instruments) == {SYMBOL}
        assert venue.instruments[SYMBOL].price_tick == Decimal("0.01")
        assert venue.contract.exchange == "binance"
        assert await venue.permissions() == Permissions(True, False, True)
        assert set(await venue.balances()) == {"BTC", "USDT"}
        kinds = {type(item) for item in drain(inbox)}
        assert {ClockError, Missed} <= kinds
        venue.send(placing())
        assert isinstance(await next_of(inbox, Observation), Observation)


async def test_a_venue_without_a_key_has_its_public_half_and_sends_nothing(exchange):
    async with venue_of(exchange.endpoint, credentials=None) as (venue, inbox):
        await venue.open([SYMBOL])
        assert (await venue.connector.get_orderbook(SYMBOL)).best_bid == 100.0
        with pytest.raises(ConfigError):
            await venue.permissions()
        drain(inbox)
        venue.send(placing())
        venue.send(Survey(SYMBOL, 0, 0))
        (report,) = drain(inbox)
        assert (type(report), report.client_order_id, report.sent) == (Silence, id_of(1), False)
        assert exchange.count(POST) == 0


async def test_closing_leaves_no_task_and_no_connection(exchange):
    before = asyncio.all_tasks()
    async with venue_of(exchange.endpoint) as (venue, inbox):
        await venue.open([SYMBOL])
        exchange.fail(POST, faults.held(True))
        venue.send(placing())
        await venue.close()
        assert isinstance(await next_of(inbox, Silence), Silence)
        ours = {task for task in asyncio.all_tasks() - before if "stand_in" not in repr(task.get_coro())}
        assert not [task for task in ours if "quantcli" in repr(task)]
        await venue.close()
    gc.collect()  # a session that is left open complains, and complaints are errors here


async def test_what_is_opened_is_closed_when_opening_fails(exchange):
    async with venue_of(exchange.endpoint) as (venue, _):
        with pytest.raises(NotFoundError):
            await venue.open(["NO/SUCH"])
        assert venue._tasks == []
    exchange.account["canTrade"] = False
    async with venue_of(exchange.endpoint) as (venue, _):
        with pytest.raises(TradingDisabled):
            await venue.open([SYMBOL])
        assert venue._tasks == []


async def test_a_private_stream_that_does_not_come_up_is_said_and_does_not_stop_trading(exchange):
    exchange.has_streams = False
    async with venue_of(exchange.endpoint, patience_s=0.1) as (venue, inbox):
        await venue.open([SYMBOL])
        assert "stale" in {item.kind for item in drain(inbox) if isinstance(item, Notice)}
        venue.send(placing())
        await next_of(inbox, Observation)


async def test_it_tells_which_connections_are_up_and_what_its_limits_are(exchange):
    async with venue_of(exchange.endpoint) as (venue, _):
        assert venue.links() == {"rest": True}
        await venue.open([SYMBOL])
        assert venue.links() == {"rest": True, "user ws": True}
        used = {line.kind: line.used for line in venue.budget_lines() if line.interval_s >= 60}
        assert used["weight"] > 0


@pytest.mark.parametrize(
    ("exchange_name", "market"), [("okx", "spot"), ("kraken", "spot"), ("binance", "futures")]
)
def test_other_exchanges_are_not_traded_live_and_say_so(exchange_name, market):
    with pytest.raises(ConfigError, match="cannot be traded live yet") as failure:
        LiveVenue(exchange_name, WallClock(), Inbox(), ACCOUNT, market=market)
    assert "paper" in failure.value.todo


def test_an_exchange_that_nobody_knows_is_told_the_known_ones():
    with pytest.raises(ConfigError) as failure:
        LiveVenue("mtgox", WallClock(), Inbox())
    assert "binance" in failure.value.todo


async def test_an_exchange_that_was_left_alone_is_tried_again_by_something_harmless(exchange):
    async with venue_of(exchange.endpoint) as (venue, inbox):
        await venue.open([SYMBOL])
        drain(inbox)
        exchange.fail("GET /api/v3/depth", *[faults.told(502, "")] * 6)
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await venue.connector.get_orderbook(SYMBOL)
        assert [item for item in drain(inbox) if isinstance(item, Missed)], "it is looked at anew"
        venue.send(placing())
        assert (await next_of(inbox, Silence)).sent is False
        while "answers again" not in (await next_of(inbox, Notice)).message:
            pass
        assert exchange.count("GET /api/v3/ping") == 1
        venue.send(placing(number=2))
        await next_of(inbox, Observation)


# The whole of it, on the sandbox.


@pytest.fixture
async def sandbox():
    async with InProcessSandbox(seed=3) as server:
        account = Credentials(server.key, server.secret)
        async with venue_of(server.url, credentials=account) as (venue, inbox):
            await venue.open([SYMBOL])
            bid = (await venue.connector.get_orderbook(SYMBOL)).best_bid
            price = round_price(bid * 0.9, Side.BUY, venue.instruments[SYMBOL].price_tick)
            drain(inbox)
            yield server, venue, inbox, limit("0.01", str(price))


def observing(status):
    class Kind(type):
        def __instancecheck__(cls, item):
            return isinstance(item, Observation) and item.status is status

    return Kind("Observing", (), {})


async def test_an_order_that_trades_is_told_of_by_the_private_stream(sandbox):
    server, venue, inbox, resting = sandbox
    venue.send(placing(resting))
    placed = await next_of(inbox, observing(OrderStatus.NEW))
    server.fill(int(placed.exchange_order_id))
    told = await next_of(inbox, observing(OrderStatus.FILLED))
    assert (told.client_order_id, told.filled) == (id_of(1), Decimal("0.01"))
    assert sum(fill.qty for fill in told.fills) == Decimal("0.01")


async def test_a_placement_whose_answer_is_lost_is_one_order_that_is_found(sandbox):
    server, venue, inbox, resting = sandbox
    server.chaos({"on": "POST /api/v3/order", "calls": [1], "fault": "lost_answer"})
    venue.send(placing(resting))
    lost = await next_of(inbox, Silence)
    assert (lost.client_order_id, lost.sent) == (id_of(1), True)
    drain(inbox)
    venue.send(Lookup(id_of(1), SYMBOL))
    assert (await next_of(inbox, Observation)).client_order_id == id_of(1)
    assert len(server.orders()) == 1
    assert server.calls()["POST /api/v3/order"] == 1


async def test_the_sandboxes_clock_is_followed_when_it_jumps(sandbox):
    server, venue, inbox, resting = sandbox
    server.jump(30)
    venue.send(placing(resting))
    assert (await next_of(inbox, Refusal)).code == -1021
    assert (await next_of(inbox, ClockError)).error_ns > 29 * NS_PER_S
    venue.send(placing(resting, 2))
    assert (await next_of(inbox, Observation)).client_order_id == id_of(2)


# The key.


async def test_a_key_that_the_exchange_does_not_accept_is_an_error_of_configuration(exchange):
    wrong = Credentials("another", ACCOUNT.secret)
    async with venue_of(exchange.endpoint, credentials=wrong) as (venue, _):
        with pytest.raises(ConfigError, match="does not accept this API key"):
            await venue.open([SYMBOL])
    wrong = Credentials(ACCOUNT.api_key, "another")
    async with venue_of(exchange.endpoint, credentials=wrong) as (venue, _):
        with pytest.raises(ConfigError) as failure:
            await venue.permissions()
    assert "another" not in str(failure.value) + failure.value.why


@pytest.mark.parametrize(
    ("restrictions", "can_trade", "permitted"),
    [
        ({"enableSpotAndMarginTrading": False}, True, Permissions(False, None, None)),
        ({"enableSpotAndMarginTrading": True}, False, Permissions(False, None, None)),
        (
            {"enableSpotAndMarginTrading": True, "enableWithdrawals": True, "ipRestrict": False},
            True,
            Permissions(True, True, False),
        ),
        (None, True, Permissions(True, None, None)),
    ],
)
async def test_what_a_key_may_do_is_what_the_exchange_says(exchange, restrictions, can_trade, permitted):
    exchange.restrictions, exchange.account["canTrade"] = restrictions, can_trade
    async with venue_of(exchange.endpoint) as (venue, _):
        assert await venue.permissions() == permitted


# Errors of reads.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.error(429, -1003, "Too many requests", Retry_After="0"), RateLimitError),
        (faults.error(400, -1121, "Invalid symbol."), ExchangeAPIError),
        (faults.error(400, -2010, "Market is closed."), TradingDisabled),
        (faults.told(502, "<html>"), NoAnswer),
        (faults.closed(False), NoAnswer),
    ],
)
async def test_a_read_that_fails_raises_what_went_wrong(exchange, fault, kind):
    async with venue_of(exchange.endpoint) as (venue, _):
        exchange.fail("GET /api/v3/depth", fault, fault, fault)
        with pytest.raises(kind):
            await venue.connector.get_orderbook(SYMBOL)


@pytest.mark.parametrize("fault", [faults.error(429, -1003, "?", Retry_After="0"), faults.told(500, "")])
async def test_a_read_is_tried_three_times_and_what_is_refused_once(exchange, fault):
    async with venue_of(exchange.endpoint) as (venue, _):
        exchange.fail("GET /api/v3/depth", fault, fault)
        await venue.connector.get_orderbook(SYMBOL)
        assert exchange.count("GET /api/v3/depth") == 3
        exchange.fail("GET /api/v3/ping", faults.error(400, -1, "?"))
        with pytest.raises(ExchangeAPIError):
            await venue.connector.ping()
        assert exchange.count("GET /api/v3/ping") == 1


async def test_a_read_that_is_not_asked_at_all_is_not_tried_again(exchange):
    async with venue_of(exchange.endpoint, dice=lambda: 1.0) as (venue, _):
        for _ in range(5):
            venue.connector._asking.breaker.failed("a test")
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer) as failure:
            await venue.connector.ping()
        assert failure.value.sent is False
        assert asyncio.get_running_loop().time() - began_s < 0.1
        assert exchange.calls == []


async def test_pauses_between_tries_are_as_the_dice_fall(exchange):
    took = []
    for roll in (0.0, 1.0):
        async with venue_of(exchange.endpoint, dice=lambda roll=roll: roll) as (venue, _):
            exchange.fail("GET /api/v3/ping", faults.closed(False), faults.closed(False))
            began_s = asyncio.get_running_loop().time()
            await venue.connector.ping()
            took.append(asyncio.get_running_loop().time() - began_s)
    assert 0.3 <= took[0] < 0.5  # half of 0.2 and of 0.4
    assert 0.6 <= took[1] < 0.9


async def test_the_limits_that_the_exchange_states_are_taken_over(exchange):
    exchange.limits = [faults.LIMITS[0] | {"limit": 21}, faults.LIMITS[1] | {"rateLimitType": "RAW_REQUESTS"}]
    async with venue_of(exchange.endpoint) as (venue, _):
        await venue.connector.get_exchange_info([SYMBOL])
        with pytest.raises(ValueError, match="25 weight at once, of 21"):
            await venue.connector.get_recent_trades(SYMBOL)


# The clock.


class Dial:
    """A clock that is set."""

    def __init__(self, now_ns=1_000 * NS_PER_S):
        self.at_ns = now_ns

    def now_ns(self):
        return self.at_ns


def test_an_offset_lies_where_every_answer_allows_it():
    dial = Dial()
    clock = ServerClock(dial)
    assert (clock.is_measured, clock.offset_ns, clock.error_ns) == (False, 0, 0)
    ms = NS_PER_MS
    # asked, server, heard: offsets 5..(-) by 10 ms and 4 ms round trips
    clock.take([Sample(0, 12 * ms, 10 * ms), Sample(20 * ms, 30 * ms, 24 * ms)])
    assert clock.offset_ns == (6 * ms + 11 * ms) // 2
    assert clock.error_ns == (11 * ms - 6 * ms) // 2
    assert clock.now_ns() == dial.now_ns() + clock.offset_ns
    dial.at_ns += 100 * NS_PER_S
    assert clock.error_ns == (11 * ms - 6 * ms) // 2 + 10 * ms


def test_answers_that_contradict_each_other_make_the_error_wide():
    clock, s = ServerClock(Dial()), NS_PER_S
    clock.take([Sample(0, 0, 0), Sample(0, 5 * s, 0)])
    assert clock.error_ns >= 2.5 * s
    assert abs(clock.offset_ns - 2.5 * s) <= NS_PER_MS


async def test_a_clock_that_is_off_is_reckoned_with(exchange):
    exchange.now_ms = lambda: WallClock().now_ns() // NS_PER_MS + 7_000
    async with venue_of(exchange.endpoint) as (venue, inbox):
        await venue.open([SYMBOL])
        assert abs(venue.server_clock.offset_ns - 7 * NS_PER_S) < 100 * NS_PER_MS
        told = await next_of(inbox, ClockError)
        assert 0 < told.error_ns < 200 * NS_PER_MS
        venue.send(placing())
        await next_of(inbox, Observation)
        assert abs(int(exchange.last(POST)["timestamp"]) - exchange.now_ms()) < 1_000


async def test_a_clock_that_jumps_is_measured_again_and_the_jump_is_told(exchange):
    async with venue_of(exchange.endpoint) as (venue, inbox):
        await venue.open([SYMBOL])
        drain(inbox)
        exchange.now_ms = lambda: WallClock().now_ns() // NS_PER_MS - 5_000
        venue.send(placing())
        refusal = await next_of(inbox, Refusal)
        assert (refusal.code, refusal.kind) == (-1021, "busy")
        told = await next_of(inbox, ClockError)
        assert 4.5 * NS_PER_S < told.error_ns < 6 * NS_PER_S
        venue.send(placing(number=2))
        assert (await next_of(inbox, Observation)).client_order_id == id_of(2)


async def test_the_clock_is_measured_again_from_time_to_time_and_a_failure_is_told():
    asked, inbox, dial = [], Inbox(), Dial()

    async def ask():
        asked.append(None)
        dial.at_ns += NS_PER_MS
        if len(asked) > 5:
            raise NoAnswer("the line is dead", sent=True)
        return dial.at_ns + 3 * NS_PER_S

    keeper = ClockKeeper(ServerClock(dial), dial, inbox, ask, period_s=0.05)
    await keeper.measure()
    first = await next_of(inbox, ClockError)
    task = asyncio.create_task(keeper.run())
    dial.at_ns += 1_000 * NS_PER_S
    second = await next_of(inbox, ClockError)
    notice = await next_of(inbox, Notice)
    task.cancel()
    assert len(asked) >= 10
    assert second.error_ns > first.error_ns + 99 * NS_PER_MS
    assert "line is dead" in notice.message


async def test_a_first_measurement_without_any_answer_is_an_error():
    async def ask():
        raise NoAnswer("the line is dead", sent=True)

    dial = Dial()
    with pytest.raises(NoAnswer):
        await ClockKeeper(ServerClock(dial), dial, Inbox(), ask).measure()
