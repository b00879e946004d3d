"""What tests of the live venue share: a stand-in that runs, a venue that speaks to it, orders to send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from quantcli.clock import NS_PER_MS, NS_PER_S, WallClock
from quantcli.model.instrument import Side
from quantcli.model.message import Place
from quantcli.model.order import OrderType, StandardOrder
from quantcli.venues.calls import Credentials
from quantcli.venues.inbox import Inbox, Item
from quantcli.venues.live import LiveVenue
from tests.venues.stand_in import KEY, SECRET, StandIn

SYMBOL = "BTC/USDT"
ACCOUNT = Credentials(KEY, SECRET)


def id_of(number: int) -> str:
    """A client order id of the kernel's form."""
    return f"{number:032x}"


def limit(qty: str = "0.5", price: str = "90.00", **terms: Any) -> StandardOrder:
    settled: dict[str, Any] = {"side": Side.BUY, "type": OrderType.LIMIT} | terms
    return StandardOrder(SYMBOL, quantity=Decimal(qty), price=Decimal(price), **settled)


def placing(order: StandardOrder | None = None, number: int = 1, in_s: float = 5.0) -> Place:
    deadline_ns = WallClock().now_ns() + int(in_s * NS_PER_S)
    return Place(id_of(number), order or limit(), deadline_ns)


@asynccontextmanager
async def running() -> AsyncIterator[StandIn]:
    """A stand-in on loopback."""
    server = StandIn(lambda: WallClock().now_ns() // NS_PER_MS)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def venue_of(endpoint: str, **settings: Any) -> AsyncIterator[tuple[LiveVenue, Inbox]]:
    """A venue that is made, but not opened: its connector works."""
    inbox = Inbox()
    settled: dict[str, Any] = {"credentials": ACCOUNT, "timeout_s": 1.0} | settings
    clock = settled.pop("clock", WallClock())
    venue = LiveVenue("binance", clock, inbox, endpoint=endpoint, **settled)
    try:
        yield venue, inbox
    finally:
        await venue.close()


def drain(inbox: Inbox) -> list[Item]:
    return [inbox.take() for _ in range(len(inbox))]


async def next_of(inbox: Inbox, kind: Any, within_s: float = 5.0) -> Any:
    """The next item of a kind; others are dropped."""
    while await inbox.wait(within_s):
        item = inbox.take()
        if isinstance(item, kind):
            return item
    raise AssertionError(f"no {kind} within {within_s} s")
