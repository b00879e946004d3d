"""The user data stream against a real WebSocket server that plays Binance: well, and badly."""

import asyncio
import hashlib
import hmac
import http
import json
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.server import serve

from quantcli.clock import VirtualClock
from quantcli.codecs.binance_orders import BinanceOrders
from quantcli.model.message import Observation
from quantcli.model.order import OrderStatus
from quantcli.venues.binance.private_stream import PrivateStream, StreamPolicy
from quantcli.venues.calls import Credentials
from quantcli.venues.inbox import Inbox, Missed, Notice
from quantcli.venues.web_socket import SocketLost, open_socket

KEY, SECRET = "the-key-of-the-account", "the-secret-of-the-account"
NOW_MS = 1_700_000_000_123
QUICK = StreamPolicy(silent=5, answer=2, first_pause=0.01, longest_pause=0.05, at_once=0, malformed=0.05)


def report(order_id, status="NEW", client_order_id="ours"):
    event = {
        "e": "executionReport",
        "E": NOW_MS,
        "s": "BTCUSDT",
        "c": client_order_id,
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "1",
        "p": "100",
        "P": "0",
        "C": "",
        "x": status,
        "X": status,
        "r": "NONE",
        "i": order_id,
        "z": "0",
        "T": NOW_MS,
        "t": -1,
    }
    return json.dumps({"subscriptionId": 0, "event": event})


class Binance:
    """One behaviour a connection, the last of them for all that follow."""

    def __init__(self, *behaviours):
        self.behaviours = list(behaviours)
        self.requests = []
        self.handshakes = 0

    async def __call__(self, connection):
        behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        await behaviour(self, connection)

    async def request(self, connection):
        """The next request, taken down."""
        self.requests.append(json.loads(await connection.recv()))
        return self.requests[-1]

    async def accept(self, connection):
        request = await self.request(connection)
        reply = {"id": request["id"], "status": 200, "result": {"subscriptionId": 0}, "rateLimits": []}
        await connection.send(json.dumps(reply))


def sends(*texts, then_close=False):
    """Accept, send these, and stay."""

    async def behave(binance, connection):
        await binance.accept(connection)
        for text in texts:
            await connection.send(text)
        if not then_close:
            await connection.wait_closed()

    return behave


def refuses(status, code, message="no"):
    async def behave(binance, connection):
        request = await binance.request(connection)
        error = {"code": code, "msg": message}
        await connection.send(json.dumps({"id": request["id"], "status": status, "error": error}))
        await connection.wait_closed()

    return behave


async def says_nothing(binance, connection):
    await binance.request(connection)
    await connection.wait_closed()


async def resets(binance, connection):
    await binance.accept(connection)
    connection.transport.abort()


async def goes_deaf(binance, connection):
    """Accept, then never read or write again: not even pings are answered."""
    await binance.accept(connection)
    await asyncio.sleep(0.01)
    connection.transport.pause_reading()
    await asyncio.sleep(1)
    connection.transport.abort()


class Seen:
    """A stream under test and what came out of it."""

    def __init__(self, stream, inbox, binance):
        self.stream, self.inbox, self.binance = stream, inbox, binance
        self.items = []

    async def until(self, is_enough, timeout_s=5.0):
        """Take items until enough were seen."""
        async with asyncio.timeout(timeout_s):
            while not is_enough(self):
                await self.inbox.wait(0.02)
                while len(self.inbox):
                    self.items.append(self.inbox.take())
        return self

    def kind(self, kind):
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def orders(self):
        return [each.exchange_order_id for each in self.kind(Observation)]


@asynccontextmanager
async def playing(*behaviours, policy=QUICK, process_request=None, dice=lambda: 0.5, **options):
    binance, inbox = Binance(*behaviours), Inbox()
    async with serve(
        binance, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1, process_request=process_request
    ) as server:
        port = server.sockets[0].getsockname()[1]
        stream = PrivateStream(
            f"ws://127.0.0.1:{port}/ws-api/v3",
            Credentials(KEY, SECRET),
            BinanceOrders({}),
            VirtualClock(NOW_MS * 1_000_000 + 999),
            inbox,
            policy,
            dice=dice,
            **options,
        )
        running = asyncio.create_task(stream.run())
        try:
            yield Seen(stream, inbox, binance)
        finally:
            assert not running.done() or running.cancelled(), running
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_the_subscription_is_signed_and_news_follow_it():
    async with playing(sends(report(1), report(2, "CANCELED"))) as seen:
        await seen.until(lambda seen: len(seen.orders) == 2)
        assert seen.stream.subscribed.is_set()
        (request,) = seen.binance.requests
        params = request["params"]
        payload = f"apiKey={KEY}&recvWindow=5000&timestamp={NOW_MS}"
        assert request["method"] == "userDataStream.subscribe.signature"
        assert params == {
            "apiKey": KEY,
            "recvWindow": 5000,
            "timestamp": NOW_MS,
            "signature": hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest(),
        }
        first, *news = seen.items
        assert isinstance(first, Missed)
        assert [each.status for each in news] == [OrderStatus.NEW, OrderStatus.CANCELED]


async def test_missed_is_said_only_when_the_subscription_was_accepted():
    accept_now = asyncio.Event()

    async def hesitates(binance, connection):
        request = await binance.request(connection)
        await accept_now.wait()
        await connection.send(json.dumps({"id": request["id"], "status": 200, "result": {}}))
        await connection.wait_closed()

    async with playing(hesitates) as seen:
        await seen.until(lambda seen: seen.binance.requests)
        await asyncio.sleep(0.05)
        assert len(seen.inbox) == 0
        accept_now.set()
        await seen.until(lambda seen: seen.kind(Missed))


async def test_a_reply_to_somebody_elses_request_is_no_acceptance():
    async def confuses(binance, connection):
        request = await binance.request(connection)
        await connection.send(json.dumps({"id": "other", "status": 200, "result": {}}))
        await connection.send(
            json.dumps({"id": request["id"], "status": 400, "error": {"code": -1, "msg": "x"}})
        )
        await connection.wait_closed()

    async with playing(confuses, sends()) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
        assert len(seen.binance.requests) == 2


@pytest.mark.parametrize("ending", [resets, sends(then_close=True)])
async def test_after_a_lost_connection_the_kernel_is_told_to_look_again(ending):
    async with playing(ending, sends(report(7))) as seen:
        await seen.until(lambda seen: seen.orders)
        kinds = [type(item) for item in seen.items]
        assert kinds == [Missed, Notice, Missed, Observation]
        assert seen.items[2].reason.startswith("private stream was down")
        assert seen.stream.connections == 2


async def test_a_refused_subscription_is_tried_again_later():
    async with playing(refuses(400, -1000), refuses(500, -1001), sends(report(1))) as seen:
        await seen.until(lambda seen: seen.orders)
        assert len(seen.kind(Missed)) == 1
        messages = [notice.message for notice in seen.kind(Notice)]
        assert len(messages) == 2
        assert "400 -1000" in messages[0]


@pytest.mark.parametrize("code", [-2015, -2014, -1022])
async def test_a_wrong_key_is_not_tried_again_soon(code):
    async with playing(refuses(400, code), policy=StreamPolicy(first_pause=0.01, longest_pause=20)) as seen:
        await seen.until(lambda seen: seen.kind(Notice))
        await asyncio.sleep(0.2)
        assert len(seen.binance.requests) == 1


async def test_a_clock_that_is_off_is_doubted():
    doubts = []
    async with playing(refuses(400, -1021), sends(), on_clock_doubt=lambda: doubts.append(1)) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
        assert doubts == [1]


async def test_an_unanswered_subscription_is_given_up():
    policy = StreamPolicy(answer=0.1, first_pause=0.01)
    async with playing(says_nothing, sends(), policy=policy) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
        assert "not answered" in seen.kind(Notice)[0].message


async def test_a_connection_that_goes_deaf_is_cut_and_renewed():
    policy = StreamPolicy(silent=0.2, first_pause=0.01)
    async with playing(goes_deaf, sends(report(3)), policy=policy) as seen:
        await seen.until(lambda seen: seen.orders)
        assert "nothing was heard for 0.2 s" in seen.kind(Notice)[0].message


async def test_a_quiet_connection_whose_peer_answers_pings_is_alive():
    policy = StreamPolicy(silent=0.15, first_pause=0.01)
    async with playing(sends(), policy=policy) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
        await asyncio.sleep(0.6)
        assert seen.stream.connections == 1


async def test_a_terminated_stream_is_renewed_at_once():
    ended = '{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1728973001334}}'
    policy = StreamPolicy(first_pause=20, longest_pause=20)
    async with playing(sends(ended), sends(report(1)), policy=policy) as seen:
        await seen.until(lambda seen: seen.orders, timeout_s=3)
        assert "eventStreamTerminated" in seen.kind(Missed)[1].reason


async def test_one_that_is_terminated_again_and_again_is_left_alone_for_a_while():
    ended = '{"event":{"e":"eventStreamTerminated","E":1728973001334}}'
    policy = StreamPolicy(first_pause=20, longest_pause=20, at_once=20)
    async with playing(sends(ended), policy=policy) as seen:
        await seen.until(lambda seen: len(seen.binance.requests) == 2)
        await asyncio.sleep(0.2)
        assert len(seen.binance.requests) == 2


async def test_a_connection_is_renewed_before_its_time_is_up():
    policy = StreamPolicy(lifetime=0.1, first_pause=20, longest_pause=20, at_once=0)
    async with playing(sends(), policy=policy) as seen:
        await seen.until(lambda seen: len(seen.kind(Missed)) == 3)
        assert "before its time is up" in seen.items[-1].reason


async def test_what_cannot_be_read_is_counted_told_and_looked_after_and_ends_nothing():
    frames = ["{", b"\xff\xfe", report(1)[:-9], '{"event":{"e":"executionReport"}}', "[" * 5000, report(2)]
    async with playing(sends(*frames)) as seen:
        await seen.until(lambda seen: seen.orders and len(seen.kind(Missed)) == 3)
        assert seen.orders == ["2"]
        assert seen.stream.malformed == 5
        assert seen.stream.connections == 1
        assert [notice.kind for notice in seen.kind(Notice)] == ["malformed"]
        assert seen.items[-1].reason.startswith("4 more")


async def test_a_frame_beyond_all_measure_ends_the_connection_and_not_the_stream():
    async with playing(sends("x" * 2_000_000), sends(report(1))) as seen:
        await seen.until(lambda seen: seen.orders)
        assert len(seen.kind(Missed)) == 2


async def test_doubled_and_reordered_news_pass_as_they_come():
    async with playing(sends(report(2), report(1), report(2))) as seen:
        await seen.until(lambda seen: len(seen.orders) == 3)
        assert seen.orders == ["2", "1", "2"]


async def test_other_news_are_told_to_people_or_counted():
    held = '{"e":"outboundAccountPosition","E":1,"u":1,"B":[{"a":"ETH","f":"1","l":"0"}]}'
    moved = '{"e":"balanceUpdate","E":1,"a":"BTC","d":"-0.5","T":1}'
    listed = '{"event":{"e":"listStatus","E":1,"s":"BTCUSDT"}}'
    async with playing(sends(held, moved, listed, report(1))) as seen:
        await seen.until(lambda seen: seen.orders)
        assert [type(item) for item in seen.items] == [Missed, Notice, Observation]
        assert seen.items[1].message.startswith("-0.5 BTC")
        assert seen.stream.unknown == {"listStatus": 1}


async def test_a_refused_handshake_is_tried_again_after_the_time_it_names():
    times = []

    def refuse_once(connection, request):
        times.append(asyncio.get_running_loop().time())
        if len(times) > 1:
            return None
        response = connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "maintenance\n")
        response.headers["Retry-After"] = "1"
        return response

    async with playing(sends(), process_request=refuse_once) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
        assert times[1] - times[0] >= 1
        assert "HTTP 503" in seen.kind(Notice)[0].message


async def test_nothing_is_signed_for_an_address_that_a_redirect_names():
    asked = []
    async with serve(asked.append, "127.0.0.1", 0) as elsewhere:
        port = elsewhere.sockets[0].getsockname()[1]

        def redirect(connection, request):
            response = connection.respond(http.HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = f"ws://127.0.0.1:{port}/"
            return response

        async with playing(sends(), process_request=redirect) as seen:
            await seen.until(lambda seen: seen.kind(Notice))
            assert "HTTP 307" in seen.kind(Notice)[0].message
    assert asked == []


async def test_while_nobody_listens_pauses_grow_and_people_are_told_once():
    async with playing(sends()) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
    port = 9  # discard: nobody is there
    inbox, rolls = Inbox(), []
    stream = PrivateStream(
        f"ws://127.0.0.1:{port}/",
        Credentials(KEY, SECRET),
        BinanceOrders({}),
        VirtualClock(),
        inbox,
        StreamPolicy(first_pause=0.02, longest_pause=0.16),
        dice=lambda: rolls.append(1) or 1.0,
    )
    running = asyncio.create_task(stream.run())
    await asyncio.sleep(0.5)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert 3 <= len(rolls) <= 6  # 20, 40, 80, 160, 160 ms
    assert [item.kind for item in (inbox.take() for _ in range(len(inbox)))] == ["reconnect"]


async def test_a_stable_subscription_makes_the_next_pause_short_again():
    policy = StreamPolicy(first_pause=0.01, longest_pause=30, stable=0.15)

    async def lasts(binance, connection):
        await binance.accept(connection)
        await asyncio.sleep(0.3)
        connection.transport.abort()

    behaviours = [*[refuses(400, -1000)] * 6, lasts, sends()]
    async with playing(*behaviours, policy=policy, dice=lambda: 1.0) as seen:
        await seen.until(lambda seen: len(seen.kind(Missed)) == 1)
        started = asyncio.get_running_loop().time()
        await seen.until(lambda seen: len(seen.kind(Missed)) == 2)
        assert asyncio.get_running_loop().time() - started < 0.3 + 0.5  # and not 0.64 s on top


async def test_neither_key_nor_secret_is_ever_shown():
    async with playing(refuses(400, -2015, "Invalid API-key"), policy=StreamPolicy(longest_pause=20)) as seen:
        await seen.until(lambda seen: seen.kind(Notice))
        shown = f"{seen.stream!r} {seen.stream} {seen.items}"
        assert KEY not in shown
        assert SECRET not in shown


async def test_cancelling_ends_the_stream_and_closes_the_connection():
    closed = asyncio.Event()

    async def watches(binance, connection):
        await binance.accept(connection)
        await connection.wait_closed()
        closed.set()

    async with playing(watches) as seen:
        await seen.until(lambda seen: seen.kind(Missed))
    assert closed.is_set()


async def test_a_socket_says_why_it_could_not_be_opened():
    with pytest.raises(SocketLost, match="no connection"):
        await open_socket("ws://127.0.0.1:9/", timeout_s=1, silent_s=1)
