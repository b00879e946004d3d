"""What an exchange, its clock and its keys can do wrong: half answers, foreign keys, lying times.

A live venue against the sandbox in one event loop; numbers are those of the fault catalogue.
"""

import ast
import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from quantcli.clock import NS_PER_MS, NS_PER_S, WallClock
from quantcli.errors import ConfigError, ExchangeError
from quantcli.model.market import Channel, Trade
from quantcli.model.message import Observation, Refusal, Refused, Silence
from quantcli.model.order import OrderStatus
from quantcli.venues.calls import Credentials, NoAnswer
from quantcli.venues.feed import open_feed
from quantcli.venues.inbox import ClockError, Inbox, Missed
from quantcli.venues.web_socket import SocketLost, open_socket
from tests.live.at_exchange import CANCEL, LOOK, PLACE, Ground, Wire, cancel, look_up, opened, opened_at
from tests.loopback import InProcessSandbox
from tests.venues.opened import SYMBOL, drain, next_of, venue_of

VENUES = Path(__file__).resolve().parents[2] / "quantcli" / "venues"


@pytest.fixture
async def at() -> AsyncIterator[Ground]:
    async with opened() as ground:
        yield ground


# Orders.


@pytest.mark.parametrize("applied", [True, False])
async def test_v27_half_a_replacement_is_no_answer_and_none_is_ever_sent(at: Ground, applied: bool) -> None:
    """409 is the status of a replacement of which one half failed: each half is looked up by itself."""
    rule = {
        "fault": "status",
        "status": 409,
        "code": -2022,
        "message": "Order cancel-replace partially failed.",
    }
    at.exchange.chaos({"on": PLACE, "applied": applied, **rule}, {"on": CANCEL, "applied": applied, **rule})
    place = at.placing()
    for request in (place, cancel(place)):
        assert isinstance(await at.report(request), Silence)
    at.exchange.chaos()
    seen = await at.report(look_up(place))
    assert isinstance(seen, Observation) is applied
    assert at.there(place.client_order_id) == (["CANCELED"] if applied else [])
    sent = [path.name for path in VENUES.glob("*.py") if "cancelReplace" in path.read_text(encoding="utf-8")]
    assert sent == []


async def test_v37_h7_a_key_of_another_place_or_one_that_was_revoked_is_no_key() -> None:
    async with (
        InProcessSandbox(seed=3, symbols=(SYMBOL,)) as here,
        InProcessSandbox(seed=4, symbols=(SYMBOL,)) as there,
        venue_of(here.url, credentials=Credentials(there.key, there.secret)) as (venue, _),
    ):
        with pytest.raises(ConfigError, match="does not accept this API key"):
            await venue.open([SYMBOL])
        assert here.calls().get("connect /ws-api/v3", 0) == 0
    async with opened() as at:
        standing = at.placing()
        await at.report(standing)
        for status, code in ((401, -2014), (401, -2015), (400, -2008), (400, -1002)):
            at.exchange.chaos(
                *(
                    {"on": f"{verb} *", "fault": "status", "status": status, "code": code}
                    for verb in ("POST", "DELETE")
                )
            )
            refused = await at.report(at.placing())
            assert isinstance(refused, Refusal), code
            assert refused.kind is Refused.FINAL
            assert isinstance(await at.report(cancel(standing)), Silence), "a cancel is never given up"
        at.exchange.chaos()
        assert isinstance(await at.report(at.placing()), Observation), "back, without a restart"


# Times.


@pytest.mark.parametrize("after", [False, True], ids=["there", "back"])
async def test_k3_a_slow_way_to_the_time_makes_it_uncertain_by_as_much(after: bool) -> None:
    """Whichever half of the way is slow, the truth lies within the error that the kernel is told of."""
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,)) as exchange:
        exchange.jump(7)
        exchange.chaos({"on": "GET /api/v3/time", "fault": "delay", "seconds": 0.2, "after": after})
        async with venue_of(exchange.url) as (venue, inbox):
            await venue.connector.get_exchange_info([SYMBOL])
            await venue._keeper.measure()
            clock, told = venue.server_clock, (await next_of(inbox, ClockError)).error_ns
            off_ns = abs(clock.offset_ns - 7 * NS_PER_S)
            assert 100 * NS_PER_MS <= clock.error_ns <= told
            assert off_ns <= clock.error_ns
            assert off_ns > 50 * NS_PER_MS, "an error it could not know of otherwise"


@pytest.mark.parametrize("lie_s", [-3600.0, 2.0])
async def test_k4_a_time_that_lies_places_nothing_late_and_is_found_out(at: Ground, lie_s: float) -> None:
    """It may be cached, too: a cache is a lie that grows."""
    lie_ms = WallClock().now_ns() // NS_PER_MS + int(lie_s * 1000)
    at.exchange.chaos({"on": "GET /api/v3/time", "fault": "alter", "set": {"serverTime": lie_ms}})
    await at.venue._keeper.measure()
    drain(at.inbox)
    place = at.placing()
    refused = await at.report(place)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.kind) == (-1021, Refused.BUSY)
    assert at.there(place.client_order_id) == []
    at.exchange.chaos()
    told = await next_of(at.inbox, ClockError)
    assert told.error_ns >= abs(lie_s) * 0.9 * NS_PER_S, (
        "requests that were stamped by the lie are on their way"
    )
    assert isinstance(await at.report(at.placing()), Observation)


STAMPS = [0, 1, -1, 1_763_630_042, 1_763_630_042_000_000, 10**18, 9 * 10**18, 2**63 - 1, "noon"]


@pytest.mark.parametrize("stamp", STAMPS)
async def test_k5_an_event_with_an_impossible_time_is_believed_or_asked_about(at: Ground, stamp: Any) -> None:
    """Seconds, microseconds, nanoseconds, zero, the future: no fill is lost, nor written down for later."""
    place = at.placing()
    placed = await at.report(place)
    assert isinstance(placed, Observation)
    drain(at.inbox)
    names = ("event.T", "event.E", "event.W")
    at.exchange.chaos({"on": "user executionReport", "fault": "alter", "set": dict.fromkeys(names, stamp)})
    at.exchange.fill(int(placed.exchange_order_id))
    while isinstance(told := await next_of(at.inbox, Observation | Missed), Observation):
        if told.status is not OrderStatus.NEW:
            break
    else:
        told = await at.report(look_up(place))
    assert isinstance(told, Observation)
    assert told.status is OrderStatus.FILLED
    assert [fill.qty for fill in told.fills] == [place.order.quantity]
    assert 0 <= told.venue_ns <= WallClock().now_ns() + NS_PER_S


async def test_k5_market_data_with_an_impossible_time_goes_on(at: Ground) -> None:
    inbox = Inbox()
    at.exchange.chaos({"on": "market btcusdt@trade", "fault": "alter", "set": {"data.T": 2**62, "data.E": 0}})
    feed = open_feed("binance", [SYMBOL], [Channel.TRADES], WallClock(), inbox.put, at.exchange.url)
    running = asyncio.create_task(feed.run())
    try:
        trade = await next_of(inbox, Trade)
        assert trade.local_ns <= WallClock().now_ns()
        await next_of(inbox, Trade)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


# Keys, certificates, and what is never done.


async def test_h16_a_certificate_that_nobody_vouches_for_is_never_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Switches of the environment change nothing; neither key nor order has left."""
    for name in ("PYTHONHTTPSVERIFY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_TLS_REJECT_UNAUTHORIZED"):
        monkeypatch.setenv(name, "0" if "VERIFY" in name or "REJECT" in name else "")
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,), tls=True) as exchange:
        url, account = exchange.told["tls_url"], Credentials(exchange.key, exchange.secret)
        async with venue_of(url, credentials=account) as (venue, _):
            with pytest.raises(NoAnswer, match=r"(?i)certificate") as failure:
                await venue.open([SYMBOL])
            assert failure.value.sent is False
            with suppress(ExchangeError):
                await venue.permissions()
        with pytest.raises(SocketLost, match=r"(?i)certificate"):
            await open_socket(f"{exchange.told['tls_ws_url']}/ws-api/v3", timeout_s=2, silent_s=5)
        assert exchange.calls() == {}
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, exchange.told["ca"])
        socket = await open_socket(f"{exchange.told['tls_ws_url']}/ws-api/v3", timeout_s=2, silent_s=5)
        await socket.shut()
        assert exchange.calls() == {"connect /ws-api/v3": 1}, "with an authority that is vouched for"


async def test_h18_a_signed_request_that_was_overheard_is_soon_worthless() -> None:
    async with (
        InProcessSandbox(seed=3, symbols=(SYMBOL,)) as exchange,
        Wire(exchange.url) as wire,
        opened_at(exchange, wire.url) as at,
    ):
        place = at.placing()
        assert isinstance(await at.report(place), Observation)
        host, _, port = exchange.url.removeprefix("http://").partition(":")

        async def replayed() -> bytes:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(wire.posts[0])
            answer = await reader.readuntil(b"}")
            writer.close()
            return answer

        assert b"Duplicate order sent." in await replayed()
        exchange.jump(6)
        assert b'"code":-1021' in await replayed()
        assert len(at.there(place.client_order_id)) == 1


def test_h19_no_call_moves_money_out_of_an_account() -> None:
    """Every path that is asked for stands here; so does every method of ccxt's that is called by name."""
    paths, methods = set[str](), set[str]()
    for path in VENUES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        methods |= set(re.findall(r'unified\(\s*"(\w+)"', text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Call":
                words = [word.value for word in node.args if isinstance(word, ast.Constant)]
                paths |= {str(words[-1])}
    forbidden = re.compile(
        r"withdraw|transfer|capital|payment|send|deposit|redeem|borrow|loan", re.IGNORECASE
    )
    assert paths, "the calls are found"
    assert [each for each in paths | methods if forbidden.search(each)] == []


async def test_h9_a_venue_shows_its_secret_to_nobody(at: Ground) -> None:
    told = [repr(at.venue.__dict__), str(Credentials(at.exchange.key, at.exchange.secret))]
    for rule in (
        {"fault": "html"},
        {"fault": "lost_request"},
        {"fault": "status", "status": 400, "code": -1022},
    ):
        at.exchange.chaos({"on": PLACE, **rule}, {"on": LOOK, **rule})
        told += [repr(await at.report(at.placing()))]
    told += [repr(item) for item in drain(at.inbox)]
    assert not [text for text in told if at.exchange.secret in text or "signature" in text]
