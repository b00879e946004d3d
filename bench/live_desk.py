"""A desk at a sandbox for the benches: the real store, gate, kernel and venue, driven as by the daemon.

It has no strategy and hears no market; the best prices are asked for once, because the gate values orders by
them.  Request limits are out of the way: a bench sends more than an exchange allows.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from quantcli import Strategy
from quantcli.clock import SteadyClock
from quantcli.config import LimitsConfig
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.market import Ticker
from quantcli.model.order import OrderType, StandardOrder
from quantcli.runtime.realtime import Ending, RealTime
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import join, open_books
from quantcli.runtime.world import World, same_world
from quantcli.store.halt import HaltFlag
from quantcli.store.sqlite import SQLiteStore
from quantcli.venues import live
from quantcli.venues.inbox import Inbox, Notice

EXCHANGE = "binance"
_PLENTY = 1_000_000_000
_CASH = Decimal(10_000_000)
_WORTH = 20  # of one order, in quote currency
_FAR = Decimal("0.6")  # of the best bid: within the band, and not reached


class Desk(NamedTuple):
    """What the benches need of it; `rests` are orders that will not trade, by market."""

    kernel: ExchangeKernel
    store: SQLiteStore
    rests: dict[str, StandardOrder]


class _Nothing(Strategy):
    """Wishes nothing."""


def lift_limits() -> None:
    """Let venues that are made from now on count requests, as ever, against limits that nobody reaches."""
    live.BINANCE_SPOT = tuple(rule._replace(limit=_PLENTY) for rule in live.BINANCE_SPOT)


@asynccontextmanager
async def desk_at(
    told: Mapping[str, str], database: Path, traded: Sequence[str], known: Sequence[str] = ()
) -> AsyncIterator[Desk]:
    """Sit down at a sandbox (`told` is its first line) to trade some markets; `known` are others whose orders
    the venue understands and the kernel does not look after."""
    lift_limits()
    clock, inbox = SteadyClock(), Inbox()
    store = SQLiteStore(database)
    await store.open()
    credentials = live.Credentials(told["api_key"], told["secret"])
    budget = database.with_suffix(".budget")
    venue = live.LiveVenue(EXCHANGE, clock, inbox, credentials, told["url"], shared=budget)
    driving: asyncio.Task[None] | None = None
    ending = Ending(None, inbox)
    try:
        await same_world(store, World(EXCHANGE, told["url"]))
        await venue.open([*traded, *known])
        markets = {name: venue.instruments[name] for name in traded}
        view = LiveView(clock.now_ns)
        books = open_books(EXCHANGE, "USDT", {"USDT": _CASH}, markets, clock, view)
        for name in traded:
            view.take(await _quote(venue, name))
        halt = HaltFlag(database.with_suffix(".halt"))
        policy = Policy(venue=venue.contract)
        desk = join(_Nothing(), markets, books, venue, LimitsConfig(), store, halt, clock, view, policy)
        stage = Stage(desk.engine, view, set(markets), ())
        stage.close()
        await desk.kernel.start(markets)
        driving = asyncio.create_task(RealTime(stage, inbox, clock, _note).run(ending))
        rests = {name: _far_away(rules, view.quote(name)) for name, rules in markets.items()}
        yield Desk(desk.kernel, store, rests)
        ending.stop()
        await driving
        await desk.kernel.stop()
    finally:
        if driving is not None:
            driving.cancel()
        await venue.close()
        await store.close()


async def _quote(venue: live.LiveVenue, name: str) -> Ticker:
    book = await venue.connector.get_orderbook(name)
    return Ticker(name, 0, 0, 0, book.best_bid, 1.0, book.best_ask, 1.0, book.last_id)


def _far_away(rules: SymbolMetadata, quote: Ticker | None) -> StandardOrder:
    assert quote is not None
    tick, lot = rules.price_tick, rules.lot
    price = Decimal(str(quote.bid)) * _FAR // tick * tick
    quantity = (_WORTH / price // lot + 1) * lot
    return StandardOrder(rules.symbol.name, Side.BUY, OrderType.LIMIT, quantity, price)


def _note(notice: Notice) -> None:
    if notice.kind != "balance":
        print(f"{notice.kind}: {notice.message}", flush=True)
