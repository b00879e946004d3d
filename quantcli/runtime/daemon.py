"""Trading on a live feed: on a real exchange, or on an imagined one that sees the same market (paper).

Both are one program; they differ in where orders go and whose money the account holds.  In order: the state
database, the way to the exchange, what it lets us do, the markets, the kernel, then the strategy.  A
restart is no other path.  Stopping withdraws what slots keep, waits for the exchange's word, and says what
is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from quantcli.clock import SteadyClock
from quantcli.config import LimitsConfig
from quantcli.errors import NotFoundError, UsageError
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import Halted
from quantcli.model.event import Event
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Channel
from quantcli.runtime.connection import live_venue
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.seating import seat
from quantcli.runtime.emergency import abandon
from quantcli.runtime.paper import forget_unconfirmed, same_cash, seat_again
from quantcli.runtime.realtime import Ending, RealTime
from quantcli.runtime.session import (
    SETTLE_S,
    Outcome,
    Session,
    listen,
    opened,
    outcome,
    run_strategy,
    same_account,
    same_markets,
)
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, Desk, imagine, join, open_books, pays_in
from quantcli.runtime.world import BALANCES_META, PAPER, World, same_owner, same_world
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.store.api import Loaded
from quantcli.store.halt import HaltFlag
from quantcli.store.sqlite import SQLiteStore
from quantcli.trading.strategy import Strategy
from quantcli.venues.account_check import refuse_if_unsafe
from quantcli.venues.feed import LiveFeed, Patience, open_feed
from quantcli.venues.inbox import Inbox, Missed, Notice
from quantcli.venues.live import Credentials, LiveVenue, Permissions

# Orders rest on what is seen: a connection that died without a word is to be found out in seconds.
_PATIENCE = Patience(ping=3.0, dead=9.0)
_CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BOOK)


class LiveJob(msgspec.Struct, frozen=True):
    """What is to be traded live.  `symbols` are those asked for; without any, the strategy's own.

    With `credentials` on the real exchange, else on paper as `assume` says of an account in a currency.
    `endpoint` stands in for the exchange's own address.
    """

    exchange: str
    endpoint: str | None
    symbols: tuple[str, ...]
    strategy: type[Strategy]
    label: str
    source: Path
    params: Mapping[str, str]
    limits: LimitsConfig
    credentials: Credentials | None
    assume: Callable[[str, bool], Assumptions]

    @property
    def world(self) -> World:
        """Where orders and money are."""
        return PAPER if self.credentials is None else World(self.exchange, self.endpoint)


class Listener(Protocol):
    """Who watches a run."""

    def tell(self, event: Event) -> None:
        """Something happened to an order or to money."""
        ...

    def note(self, notice: Notice) -> None:
        """Something happened to the connections."""
        ...

    def begun(self, markets: Collection[str], permissions: Permissions | None) -> None:
        """Everything is open; the strategy is about to start."""
        ...


class Daemon:
    """One live run; over `bridge`, if there is one, it is watched and steered."""

    def __init__(
        self, job: LiveJob, session: Session, listener: Listener, bridge: Bridge | None = None
    ) -> None:
        self._job = job
        self._bridge = bridge
        self._session = session
        self._listener = listener
        self._clock = SteadyClock()
        self._inbox = Inbox()
        self._ending = Ending(None, self._inbox)

    @property
    def strategy(self) -> type[Strategy]:
        """What is run."""
        return self._job.strategy

    def stop(self) -> None:
        """End the run soon: cancel what the strategy keeps, wait for the exchange, leave."""
        self._ending.stop()

    async def run(self) -> Outcome:
        """Trade until the time is over or `stop` is called.

        Raises `SafetyError` where going on would risk money or lose sight of something, `ConfigError`,
        `ExchangeError` where the exchange cannot be reached, `StoreError`.
        """
        job = self._job
        async with AsyncExitStack() as stack:
            if self._bridge is not None:
                self._bridge.enter(self._inbox.wake)
                stack.callback(self._bridge.leave)
            store = await stack.enter_async_context(opened(self._session.database))
            await same_world(store, job.world)
            rows = await _known(store, job)
            symbols = _symbols(job)
            same_markets(rows, symbols)
            if job.credentials is None:
                return await self._on_paper(stack, store, rows, symbols)
            return await self._on_exchange(stack, store, rows, symbols, job.credentials)

    # The two worlds.

    async def _on_exchange(
        self,
        stack: AsyncExitStack,
        store: SQLiteStore,
        rows: Loaded,
        symbols: Collection[str],
        credentials: Credentials,
    ) -> Outcome:
        job = self._job
        venue = live_venue(job.world, credentials, self._clock, self._inbox)
        stack.push_async_callback(venue.close)
        await venue.open(symbols)
        permissions = await venue.permissions()
        refuse_if_unsafe(permissions)
        await same_owner(store, permissions.account)
        markets = _markets(symbols, venue.instruments)
        currency = _currency(markets)
        begun_with = await same_account(store, BALANCES_META, await _holdings(venue, markets, currency))
        view, halt = LiveView(self._clock.now_ns), HaltFlag(self._session.halt_flag)
        books = open_books(job.exchange, currency, begun_with, markets, self._clock, view, rows.fills)
        policy = Policy(venue=venue.contract)
        desk = join(_strategy(job), markets, books, venue, job.limits, store, halt, self._clock, view, policy)
        feed = self._feed(symbols)
        return await self._trade(desk, view, halt, feed, permissions, venue=venue)

    async def _on_paper(
        self, stack: AsyncExitStack, store: SQLiteStore, rows: Loaded, symbols: Collection[str]
    ) -> Outcome:
        job = self._job
        feed = self._feed(symbols)
        await feed.open()
        markets = _markets(symbols, feed.instruments())
        some = next(iter(markets.values()))
        assumed = await same_cash(store, job.assume(_currency(markets), some.symbol.is_futures))
        view, halt = LiveView(self._clock.now_ns), HaltFlag(self._session.halt_flag)
        cash = {assumed.currency: assumed.cash}
        books = open_books(job.exchange, assumed.currency, cash, markets, self._clock, view, rows.fills)
        exchange = imagine(books, markets, assumed, self._clock)
        desk = join(_strategy(job), markets, books, exchange, job.limits, store, halt, self._clock, view)
        seat_again(rows, exchange)
        return await self._trade(
            desk, view, halt, feed, None, exchange, lambda: forget_unconfirmed(rows, desk.kernel)
        )

    def _feed(self, symbols: Collection[str]) -> LiveFeed:
        job, put = self._job, self._inbox.put
        return open_feed(job.exchange, symbols, _CHANNELS, self._clock, put, job.endpoint, _PATIENCE)

    async def _trade(
        self,
        desk: Desk,
        view: LiveView,
        halt: HaltFlag,
        feed: LiveFeed,
        permissions: Permissions | None,
        exchange: SimulatedExchange | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
        venue: LiveVenue | None = None,
    ) -> Outcome:
        session, markets, bridge = self._session, desk.engine.markets, self._bridge
        listen(desk, self._listener.tell)
        stage = Stage(desk.engine, view, set(markets), ())
        words = None if bridge is None else bridge.words
        time = RealTime(stage, self._inbox, self._clock, self._remark, exchange, words)
        await desk.kernel.start(markets, Halted(halt.level))
        feeding = asyncio.create_task(feed.run())
        feeding.add_done_callback(lambda _: self._ending.stop())
        try:
            if prepare is not None:
                await prepare()
            if bridge is not None:
                policy = Policy() if venue is None else Policy(venue=venue.contract)
                seat(bridge, desk, stage, view, halt, session.database, policy, venue)
            self._listener.begun(markets, permissions)
            self._ending.limit(session.for_s)
            failure = await self._run_strategy(desk, time)
            await time.settle(Ending(SETTLE_S, self._inbox))
        except Exception as error:
            # An imagined exchange is gone with us; on a real one nobody would look after what rests there.
            if exchange is not None or desk.kernel.health().ok:
                raise
            asked = () if bridge is None or bridge.deeds is None else bridge.deeds.doomed
            raise await abandon(desk.kernel, self._inbox, self._clock, error, SETTLE_S, asked) from error
        finally:
            await desk.kernel.stop()
            feeding.cancel()
            with suppress(asyncio.CancelledError):
                await feeding
        return outcome(desk, stage.events, failure)

    async def _run_strategy(self, desk: Desk, time: RealTime) -> BaseException | None:
        bridge = self._bridge

        async def drive() -> None:
            if bridge is not None:
                bridge.state = "trading"
            await time.run(self._ending)
            if bridge is not None:
                bridge.begin_to_stop()

        failure = await run_strategy(desk, drive, self._session.cancel_on_stop)
        if bridge is not None and failure is not None:
            bridge.fail(failure)
        return failure

    def _remark(self, remark: Notice | Missed) -> None:
        if isinstance(remark, Notice):
            self._listener.note(remark)
        if self._bridge is not None:
            self._bridge.remark(remark)


# What may be traded, and with what.


async def _known(store: SQLiteStore, job: LiveJob) -> Loaded:
    """What the database knows; an imagined exchange is made anew of all that was, a real one is asked."""
    if job.credentials is None:
        return await store.everything()
    return replace(await store.load(), fills=tuple(await store.fills()))


def _symbols(job: LiveJob) -> list[str]:
    names = [Symbol.parse(text).name for text in (job.symbols or job.strategy.symbols)]
    if not names:
        raise UsageError(
            "no market is named", why="neither --symbol nor the strategy names one", todo="--symbol BTC/USDT"
        )
    return list(dict.fromkeys(names))


def _strategy(job: LiveJob) -> Strategy:
    strategy = job.strategy()
    strategy.apply_params(job.params)
    return strategy


def _markets(symbols: Collection[str], known: Mapping[str, SymbolMetadata]) -> dict[str, SymbolMetadata]:
    for name in symbols:
        if name not in known:
            raise NotFoundError(f"the exchange has no market {name}", todo="name another with --symbol")
    return {name: known[name] for name in symbols}


def _currency(markets: Mapping[str, SymbolMetadata]) -> str:
    currencies = {pays_in(rules) for rules in markets.values()}
    if len(currencies) > 1:
        raise UsageError(
            f"{', '.join(markets)} pay in {' and '.join(sorted(currencies))}",
            why="an account is counted in one currency",
            todo="choose markets of one currency with --symbol",
        )
    return currencies.pop()


async def _holdings(
    venue: LiveVenue, markets: Mapping[str, SymbolMetadata], currency: str
) -> dict[str, Decimal]:
    """What the account holds of the currencies that are traded."""
    balances = await venue.balances()
    assets = [currency, *(rules.symbol.base for rules in markets.values() if not rules.symbol.is_futures)]
    return {asset: balances[asset].total if asset in balances else Decimal(0) for asset in assets}
