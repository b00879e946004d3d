"""Limits of an exchange: they are kept before it must say so, and when it says so, nothing is asked of it.

A live venue against the sandbox in one event loop; numbers are those of the fault catalogue.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from quantcli.errors import RateLimitError
from quantcli.model.message import Observation, Refusal, Refused, Report, Silence
from quantcli.venues.inbox import Notice
from quantcli.venues.limits import Lane
from tests.live.at_exchange import PLACE, Ground, cancel, look_up, opened, opened_at, until
from tests.loopback import InProcessSandbox
from tests.venues.opened import SYMBOL, drain, next_of

BAN_S = 2


@pytest.fixture
async def at() -> AsyncIterator[Ground]:
    async with opened() as ground:
        yield ground


def refused_since(exchange: InProcessSandbox) -> int:
    """How many requests came although the exchange had asked for none."""
    found: int = exchange.ask("GET", "chaos")["refused"]
    return found


async def passes(report: Any, within_s: float = 0.4) -> bool:
    """Whether a request is let go within so long; it is given up if not."""
    try:
        await asyncio.wait_for(report, within_s)
    except TimeoutError:
        return False
    return True


async def test_r1_after_a_429_nothing_is_asked_until_the_time_is_over(at: Ground) -> None:
    """One address has one limit, so cancels wait too."""
    standing = at.placing()
    await at.report(standing)
    at.exchange.chaos({"on": PLACE, "fault": "ban", "status": 429, "seconds": BAN_S})
    place = at.placing()
    began_s = time.monotonic()
    refused = await at.report(place)
    assert isinstance(refused, Refusal)
    assert refused.kind is Refused.BUSY, "it may go out again later"
    assert "wants no requests" in (await next_of(at.inbox, Notice)).message
    cancelled, seen = await asyncio.gather(at.report(cancel(standing)), at.report(look_up(standing)))
    assert BAN_S - 0.5 < time.monotonic() - began_s < BAN_S + 2
    assert isinstance(cancelled, Observation)
    assert isinstance(seen, Observation)
    assert refused_since(at.exchange) == 0
    assert at.there(place.client_order_id) == []


async def test_r1_a_placement_that_would_come_too_late_is_not_sent_at_all(at: Ground) -> None:
    at.exchange.chaos({"on": PLACE, "fault": "ban", "status": 429, "seconds": BAN_S, "calls": [1]})
    await at.report(at.placing())
    late = await at.report(at.placing(in_s=0.3))
    assert isinstance(late, Silence)
    assert late.sent is False
    assert at.exchange.calls()[PLACE] == 1


async def test_r2_a_ban_outlives_the_process_that_was_banned(tmp_path: Path) -> None:
    shared = tmp_path / "budget"
    async with InProcessSandbox(seed=3, symbols=(SYMBOL,)) as exchange:
        async with opened_at(exchange, shared=shared) as at:
            exchange.chaos({"on": PLACE, "fault": "ban", "status": 418, "seconds": 3})
            await at.report(at.placing())
        asked = sum(exchange.calls().values())
        began_s = time.monotonic()
        async with opened_at(exchange, shared=shared) as again:
            assert time.monotonic() - began_s > 1.5, "it waited before its first request"
            assert refused_since(exchange) == 0
            assert sum(exchange.calls().values()) > asked
            exchange.chaos()
            assert isinstance(await again.report(again.placing()), Observation)


async def test_r3_what_others_use_up_is_left_to_those_who_must(at: Ground) -> None:
    """Another program of this address has used up most of the minute: no market data, but a cancel."""
    standing = at.placing()
    await at.report(standing)
    at.exchange.ask("POST", "weight", {"weight": 5_000})
    await at.report(look_up(standing))  # an answer tells how much is used
    connector = at.venue.connector
    assert not await passes(connector.get_recent_trades(SYMBOL))
    assert not await passes(at.report(at.placing()))
    assert await passes(at.report(look_up(standing)))
    assert isinstance(await at.report(cancel(standing)), Observation)
    at.exchange.ask("POST", "weight", {"weight": 700})
    await connector.ask(_ping(), Lane.CANCEL)
    assert not await passes(at.report(look_up(standing)))
    another = at.report(cancel(standing))
    assert await passes(another), "to the last one"


def _ping() -> Any:
    from quantcli.venues.binance import calls as binance_calls

    return binance_calls.ping()


async def test_r6_limits_that_change_are_kept_as_they_are_stated_now(at: Ground) -> None:
    """First there is room for more orders than Binance's usual 50 in ten seconds, then hardly for any."""
    places = [at.placing() for _ in range(60)]
    reports: list[Report] = await asyncio.gather(*(at.report(place) for place in places))
    assert {type(report) for report in reports} == {Observation}
    fewer = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 5}
    at.exchange.chaos({"on": "GET /api/v3/exchangeInfo", "fault": "alter", "set": {"rateLimits": [fewer]}})
    await at.venue.connector.get_exchange_info([SYMBOL])
    assert not await passes(at.report(at.placing()))
    assert isinstance(await at.report(cancel(places[0])), Observation), "which is no new order"


async def test_v28_an_exchange_under_repair_is_left_alone_and_tried_by_something_harmless(at: Ground) -> None:
    at.exchange.chaos({"on": "POST *", "fault": "maintenance", "seconds": 1.5, "calls": [1]})
    drain(at.inbox)
    reports = [await at.report(at.placing()) for _ in range(8)]
    assert {type(report) for report in reports} == {Silence}
    assert [report.sent for report in reports if isinstance(report, Silence)][-1] is False
    await until(at.inbox, Notice, lambda notice: "answers again" in notice.message)
    assert isinstance(await at.report(at.placing()), Observation)
    assert len(at.exchange.orders()) == 1


async def test_reads_tell_of_limits_by_an_error_of_their_own(at: Ground) -> None:
    """R1: the people who ask by hand are told how long to wait."""
    at.exchange.chaos(
        {"on": "GET /api/v3/depth", "fault": "status", "status": 429, "headers": {"Retry-After": "0"}}
    )
    with pytest.raises(RateLimitError):
        await at.venue.connector.get_orderbook(SYMBOL)
