"""Faults of the network, on real sockets: what was asked is in doubt, is asked once, and is found again.

A live venue against the sandbox in one event loop; numbers are those of the fault catalogue.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from quantcli.codecs.binance_orders import BinanceOrders
from quantcli.model.market import Channel, Ticker, Trade
from quantcli.model.message import (
    Absence,
    Observation,
    Place,
    Refusal,
    Refused,
    Report,
    Silence,
    Statement,
    Survey,
)
from quantcli.model.order import OrderStatus
from quantcli.venues.binance.private_stream import PrivateStream, StreamPolicy
from quantcli.venues.binance.spot import BinanceSpot
from quantcli.venues.calls import Answer, Credentials
from quantcli.venues.feed import open_feed
from quantcli.venues.inbox import Gap, Inbox, Missed, Notice
from quantcli.venues.web_socket import SocketLost, open_socket
from tests.live.at_exchange import (
    AMEND,
    CANCEL,
    LIST,
    LOOK,
    PLACE,
    TIMEOUT_S,
    Ground,
    Wire,
    cancel,
    frames_between,
    look_up,
    opened,
    opened_at,
    until,
)
from tests.loopback import InProcessSandbox
from tests.venues.opened import SYMBOL, drain, next_of

QUICK = StreamPolicy(silent=0.4, answer=2, first_pause=0.01, longest_pause=0.05, at_once=0, malformed=0.05)
DEEP = "[" * 200_000
LARGE = '{"e":"' + "x" * 10_000_000 + '"}'


@pytest.fixture
async def at() -> AsyncIterator[Ground]:
    async with opened() as ground:
        yield ground


def is_in_doubt(report: Report) -> bool:
    return isinstance(report, Silence) and report.sent


async def found(at: Ground, place: Place) -> Report:
    at.exchange.chaos()
    return await at.report(look_up(place))


# Requests.


async def test_n6_a_placement_cut_off_anywhere_is_in_doubt_and_there_only_if_it_was_whole() -> None:
    async with (
        InProcessSandbox(seed=3, symbols=(SYMBOL,)) as exchange,
        Wire(exchange.url) as wire,
        opened_at(exchange, wire.url) as at,
    ):
        whole = at.placing()
        assert isinstance(await at.report(whole), Observation)
        length = len(wire.posts[0])
        for keep in sorted({*range(0, length, length // 40), length - 2, length - 1, length}):
            wire.keep, place = keep, at.placing()
            assert is_in_doubt(await at.report(place)), keep
            assert isinstance(await at.report(look_up(place)), Observation if keep == length else Absence), (
                keep
            )
        assert len(exchange.orders()) == 2


async def test_n7_a_silent_peer_is_given_up_when_the_time_for_a_call_is_over(at: Ground) -> None:
    at.exchange.chaos({"on": PLACE, "fault": "half_open"})
    place, began_s = at.placing(), time.monotonic()
    assert is_in_doubt(await at.report(place))
    assert TIMEOUT_S <= time.monotonic() - began_s < 3 * TIMEOUT_S
    assert isinstance(await found(at, place), Observation)


async def test_n8_a_command_is_sent_once_on_a_connection_that_dies_under_it(at: Ground) -> None:
    standing = at.placing()
    await at.report(standing)
    before = at.exchange.calls()
    at.exchange.chaos(*({"on": f"{verb} *", "fault": "lost_request"} for verb in ("POST", "PUT", "DELETE")))
    for request in (at.placing(), at.amending(standing), cancel(standing)):
        assert is_in_doubt(await at.report(request)), request
    assert {is_in_doubt(each) for each in await at.venue.connector.report(at.listing())} == {True}
    calls = at.exchange.calls()
    assert [calls[name] - before.get(name, 0) for name in (PLACE, AMEND, CANCEL, LIST)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "empty"},
        {"fault": "truncate", "bytes": 25},
        {"fault": "html", "status": 200, "applied": True},
        {"fault": "reset", "bytes": 60},
    ],
    ids=lambda fault: fault["fault"],
)
async def test_n9_an_answer_that_says_nothing_leaves_every_request_in_doubt(
    at: Ground, fault: dict[str, Any]
) -> None:
    standing, ending, place = at.placing(), at.placing(), at.placing()
    for each in (standing, ending):
        await at.report(each)
    at.exchange.chaos(*({"on": f"{verb} *", **fault} for verb in ("POST", "PUT", "DELETE")))
    for request in (place, at.amending(standing), cancel(ending)):
        told = await at.report(request)
        assert is_in_doubt(told)
        if fault["fault"] in ("empty", "html"):
            assert isinstance(told, Silence)
            assert "HTTP 200" in told.reason, "status, size and digest are told"
            assert "<html" not in told.reason
    at.exchange.chaos({"on": LOOK, **fault})
    assert isinstance(await at.report(look_up(place)), Silence)
    assert isinstance(await found(at, place), Observation)
    assert at.there(ending.client_order_id) == ["CANCELED"]


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504])
async def test_n10_n11_a_status_of_the_way_says_nothing_of_the_order(at: Ground, status: int) -> None:
    rules: list[dict[str, Any]] = [{"fault": "html"}, {"fault": "status"}, {"fault": "status", "code": -2010}]
    for rule in rules if status not in (499,) else rules[:2]:
        at.exchange.chaos({"on": PLACE, "status": status, "applied": True, **rule})
        place = at.placing()
        assert is_in_doubt(await at.report(place)), rule
        assert isinstance(await found(at, place), Observation)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_n12_no_signed_request_follows_a_redirect(at: Ground, status: int) -> None:
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,)) as elsewhere:
        moved = {"Location": f"{elsewhere.url}/api/v3/order"}
        at.exchange.chaos(
            *(
                {"on": on, "fault": "status", "status": status, "headers": moved, "applied": True}
                for on in (PLACE, CANCEL, LOOK)
            )
        )
        place = at.placing()
        assert is_in_doubt(await at.report(place))
        assert is_in_doubt(await at.report(cancel(place)))
        assert isinstance(await at.report(look_up(place)), Silence)
        assert elsewhere.calls() == {}


async def test_n12_no_websocket_follows_a_redirect() -> None:
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,)) as elsewhere:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 307 X\r\nLocation: {elsewhere.ws_url}/ws-api/v3\r\n\r\n".encode())
            writer.close()

        server = await asyncio.start_server(redirect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SocketLost, match="HTTP 307"):
            await open_socket(f"ws://127.0.0.1:{port}/ws-api/v3", timeout_s=2, silent_s=5)
        server.close()
        assert elsewhere.calls() == {}


async def test_n13_an_address_that_is_no_longer_allowed_is_not_asked_in_a_storm(at: Ground) -> None:
    standing = at.placing()
    await at.report(standing)
    at.exchange.chaos(
        *({"on": f"{way} *", "fault": "status", "status": 401} for way in ("GET", "POST", "DELETE", "ws"))
    )
    before = at.exchange.calls()
    refused = await at.report(at.placing())
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.kind) == (-2015, Refused.FINAL)
    assert isinstance(await at.report(cancel(standing)), Silence), "it stays wanted"
    assert isinstance(await at.report(look_up(standing)), Silence)
    drain(at.inbox)
    at.exchange.disconnect("user")
    await until(at.inbox, Notice, lambda notice: "refused: 401 -2015" in notice.message)
    await asyncio.sleep(0.5)  # in which an eager stream would knock many times
    calls = at.exchange.calls()
    assert {name: calls[name] - before.get(name, 0) for name in (PLACE, CANCEL, LOOK)} == {
        PLACE: 1,
        CANCEL: 1,
        LOOK: 1,
    }
    assert (
        calls["ws userDataStream.subscribe.signature"] - before["ws userDataStream.subscribe.signature"] == 1
    )
    assert at.there(standing.client_order_id) == ["NEW"]


async def test_n14_news_go_on_while_requests_get_no_answer(at: Ground) -> None:
    standing = at.placing()
    placed = await at.report(standing)
    assert isinstance(placed, Observation)
    at.exchange.chaos(*({"on": f"{verb} *", "fault": "lost_request"} for verb in ("GET", "POST", "DELETE")))
    at.exchange.fill(int(placed.exchange_order_id))
    await until(at.inbox, Observation, lambda seen: seen.status is OrderStatus.FILLED)
    assert is_in_doubt(await at.report(at.placing()))


async def test_n15_requests_go_on_while_no_news_can_be_had() -> None:
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,)) as exchange:
        exchange.chaos({"on": "connect /ws-api*", "fault": "refuse"})
        async with opened_at(exchange, patience_s=0.1) as at:
            place = at.placing()
            placed = await at.report(place)
            assert isinstance(placed, Observation)
            exchange.fill(int(placed.exchange_order_id))
            seen = await at.report(look_up(place))
            assert isinstance(seen, Observation)
            assert (seen.status, sum(fill.qty for fill in seen.fills)) == (
                OrderStatus.FILLED,
                place.order.quantity,
            )
            (statement,) = await at.venue.connector.report(Survey(SYMBOL, placed.venue_ns - 10**9, 1))
            assert isinstance(statement, Statement)
            assert [fill.exchange_order_id for fill in statement.fills] == [placed.exchange_order_id]


async def test_n22_of_several_orders_each_has_its_own_answer_by_name(at: Ground) -> None:
    request = at.listing()
    names = [place.client_order_id for place in request.places]
    dialect = BinanceSpot(at.venue.manifest, at.venue.instruments, at.venue.server_clock.now_ns)
    answer = await at.venue.connector.ask(next(dialect.converse(request)))
    whole = json.loads(answer.body)

    def judged(reports: list[Any]) -> list[Report]:
        conversation = dialect.converse(request)
        next(conversation)
        try:
            conversation.send(Answer(200, {}, json.dumps(whole | {"orderReports": reports}).encode()))
        except StopIteration as done:
            return list(done.value)
        raise AssertionError("it goes on asking")

    for reports in (whole["orderReports"], whole["orderReports"][::-1]):
        seen = judged(reports)
        assert [each.client_order_id for each in seen if isinstance(each, Observation)] == names
        shown = [each.order for each in seen if isinstance(each, Observation) and each.order]
        assert [(terms.type, terms.price) for terms in shown] == [
            (place.order.type, place.order.price) for place in request.places
        ]
    for missing in (0, 1):
        left = [each for each in whole["orderReports"] if each["clientOrderId"] != names[missing]]
        seen = judged(left)
        assert is_in_doubt(seen[missing])
        assert isinstance(seen[1 - missing], Observation)
    at.exchange.chaos({"on": LIST, "fault": "status", "status": 400, "code": -2010})
    refused = await at.venue.connector.report(at.listing())
    assert [type(each) for each in refused] == [Refusal, Refusal], "all or none"


async def test_n23_an_answer_that_trickles_is_given_up_when_the_time_is_over(at: Ground) -> None:
    at.exchange.chaos({"on": PLACE, "fault": "trickle", "seconds": 0.01})
    place, began_s = at.placing(), time.monotonic()
    assert is_in_doubt(await at.report(place))
    assert TIMEOUT_S <= time.monotonic() - began_s < 3 * TIMEOUT_S
    assert isinstance(await found(at, place), Observation)


# The private stream.


@asynccontextmanager
async def listening(at: Ground, url: str = "") -> AsyncIterator[tuple[PrivateStream, Inbox]]:
    """A private stream with little patience, subscribed."""
    inbox = Inbox()
    named = {rules.exchange_symbol: rules for rules in at.venue.instruments.values()}
    stream = PrivateStream(
        f"{url or at.exchange.ws_url}/ws-api/v3",
        Credentials(at.exchange.key, at.exchange.secret),
        BinanceOrders(named),
        at.venue.server_clock,
        inbox,
        QUICK,
    )
    running = asyncio.create_task(stream.run())
    try:
        await next_of(inbox, Missed)
        yield stream, inbox
        assert not running.done(), running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_n7_a_silent_stream_is_cut_and_what_it_missed_is_asked_for(at: Ground) -> None:
    async with listening(at) as (stream, inbox):
        at.exchange.chaos({"on": "user *", "fault": "half_open"})
        await at.report(at.placing())
        assert "nothing was heard" in (await next_of(inbox, Missed)).reason
        at.exchange.chaos()
        after = at.placing()
        await at.report(after)
        await until(inbox, Observation, lambda seen: seen.client_order_id == after.client_order_id)
        assert stream.connections >= 2


@pytest.mark.parametrize(
    "text", [DEEP, LARGE, "{", "", '{"e":1}'], ids=["deep", "10 MB", "cut", "empty", "wrong"]
)
async def test_n20_a_message_that_is_none_is_made_up_for_and_the_next_one_heard(
    at: Ground, text: str
) -> None:
    async with listening(at) as (_, inbox):
        at.exchange.chaos({"on": "user *", "fault": "garbled", "text": text, "bytes": 0})
        await at.report(at.placing())
        await next_of(inbox, Missed)
        at.exchange.chaos()
        after = at.placing()
        await at.report(after)
        await until(inbox, Observation, lambda seen: seen.client_order_id == after.client_order_id)


async def test_n20_messages_in_pieces_are_whole_and_bytes_that_are_no_text_are_made_up_for(
    at: Ground,
) -> None:
    spoilt: list[str] = []

    def changed(text: str) -> Any:
        if "executionReport" not in text:
            return [text]
        spoilt.append(text)
        if len(spoilt) == 2:
            return [text.encode().replace(b"executionReport", b"\xff\xfe\x80\x80")]
        return [[text[:7], text[7:8], text[8:]]]

    async with frames_between(at.exchange.ws_url, changed) as url, listening(at, url) as (_, inbox):
        first, second, third = at.placing(), at.placing(), at.placing()
        await at.report(first)
        assert (await next_of(inbox, Observation)).client_order_id == first.client_order_id
        await at.report(second)
        await next_of(inbox, Missed)
        await at.report(third)
        assert (await next_of(inbox, Observation)).client_order_id == third.client_order_id


# Market data.


@pytest.mark.parametrize(
    "text", [DEEP, LARGE, "{", '{"stream":"btcusdt@trade","data":[]}'], ids=["deep", "10 MB", "cut", "wrong"]
)
async def test_n20_a_market_message_that_is_none_is_a_gap_and_the_feed_goes_on(at: Ground, text: str) -> None:
    inbox = Inbox()
    feed = open_feed(
        "binance", [SYMBOL], [Channel.TRADES, Channel.QUOTES], at.venue._clock, inbox.put, at.exchange.url
    )
    running = asyncio.create_task(feed.run())
    try:
        await next_of(inbox, object)
        at.exchange.chaos({"on": "market btcusdt@trade", "fault": "garbled", "calls": [1], "text": text})
        await next_of(inbox, Gap)
        drain(inbox)
        await until(inbox, Trade | Ticker, bool)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
