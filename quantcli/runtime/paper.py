"""The program `quant trade --paper`: a strategy trades on an imagined exchange, on a live feed.

The state database makes it durable: stop it, start it again, and it goes on with the same orders, fills
and money.  The feed here is a recording in real or scaled time.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path

import msgspec
from msgspec.structs import replace

from quantcli.config import parse_money
from quantcli.errors import SafetyError
from quantcli.model.batch import Chunk, events
from quantcli.model.event import Event
from quantcli.model.instrument import canonical
from quantcli.model.market import MarketEvent
from quantcli.model.order import Working
from quantcli.runtime.live import Live, ScaledClock, recorded_feed
from quantcli.runtime.simulate import Job
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, Desk, build_desk
from quantcli.store.api import Loaded
from quantcli.store.halt import HaltFlag
from quantcli.store.sqlite import SQLiteStore

# How long stopping waits for the exchange to confirm cancels, in real seconds.
_SETTLE_S = 5.0
_FEED_META = "paper.feed_ns"
_CASH_META = "paper.cash"


class Session(msgspec.Struct, frozen=True):
    """How a paper run is to go: `speed` times real time, for `for_s` real seconds (`None`: to the end)."""

    database: Path
    halt_flag: Path
    speed: float
    for_s: float | None
    cancel_on_stop: bool


class Outcome(msgspec.Struct, frozen=True):
    """What a paper run leaves behind; `left_working` may still trade when it is started again."""

    events: int
    equity: Decimal | None
    currency: str
    left_working: tuple[Working, ...]


class Paper:
    """One paper run.  `stop` may be called from a signal handler, at any time."""

    def __init__(self, job: Job, session: Session, on_event: Callable[[Event], None]) -> None:
        self._job = job
        self._session = session
        self._on_event = on_event
        self._live: Live | None = None
        self._stopped = False

    def stop(self) -> None:
        """End the run soon: cancel what the strategy keeps, wait for the exchange, leave."""
        self._stopped = True
        if self._live is not None:
            self._live.stopping.set()

    async def run(self) -> Outcome:
        """Trade until the feed ends, the time is over, or `stop` is called."""
        self._session.database.parent.mkdir(parents=True, exist_ok=True)
        store = SQLiteStore(self._session.database)
        await store.open()
        try:
            return await self._trade(store)
        finally:
            await store.close()

    async def _trade(self, store: SQLiteStore) -> Outcome:
        job, session = self._job, self._session
        loaded = await store.load()
        assumptions = await _same_account(store, job.assumptions)
        resume_ns = int(await store.get_meta(_FEED_META) or job.recording.from_ns)
        if resume_ns >= job.recording.to_ns:
            raise SafetyError(
                "this bot has traded the recording to its end",
                why="paper trading goes on where it stopped, and time does not go back",
                todo=f"start afresh under another --name, or remove {session.database}",
            )
        strategy = job.strategy()
        strategy.apply_params(job.params)
        clock = ScaledClock(resume_ns, session.speed, time.monotonic)
        view = LiveView(clock.now_ns)
        desk = build_desk(
            job.recording.exchange,
            strategy,
            job.markets,
            assumptions,
            job.limits,
            store,
            HaltFlag(session.halt_flag),
            clock,
            view,
            loaded.fills,
        )
        desk.bus.subscribe("**", self._on_event)
        feed = merged_events(job.recording.chunks(symbols=list(job.markets)))
        first = _catch_up(feed, resume_ns, desk, view)
        _adopt(loaded, desk)
        await desk.kernel.start()
        self._live = live = Live(desk.engine, desk.exchange, clock, view)
        if self._stopped:
            live.stopping.set()
        clock.restart()
        await desk.engine.start()
        until_ns = None if session.for_s is None else clock.after(session.for_s)
        await live.run(recorded_feed(chain(first, feed), clock), until_ns)
        await desk.engine.stop(cancel_kept=session.cancel_on_stop)
        if session.cancel_on_stop:
            await live.settle(_SETTLE_S)
        await store.set_meta(_FEED_META, str(min(clock.now_ns(), job.recording.to_ns)))
        await desk.kernel.stop()
        return Outcome(
            live.events, desk.portfolio.equity(), assumptions.currency, tuple(desk.kernel.working())
        )


async def _same_account(store: SQLiteStore, asked: Assumptions) -> Assumptions:
    """The account a bot began with: its starting cash is remembered, not given anew at each start."""
    known = await store.get_meta(_CASH_META)
    if known is None:
        await store.set_meta(_CASH_META, f"{canonical(asked.cash)} {asked.currency}")
        return asked
    cash = parse_money(known)
    if cash.currency != asked.currency:
        raise SafetyError(
            f"this bot's account is in {cash.currency}, the markets pay in {asked.currency}",
            todo="choose other markets with --symbol, or another --name",
        )
    return replace(asked, cash=cash.amount)


def merged_events(chunks: Iterable[Chunk]) -> Iterator[MarketEvent]:
    """The rows of chunks as events, in their order."""
    for chunk in chunks:
        streams = [events(columns) for columns in chunk.streams]
        for turn in chunk.turn.tolist():
            yield next(streams[turn])


def _catch_up(feed: Iterator[MarketEvent], until_ns: int, desk: Desk, view: LiveView) -> list[MarketEvent]:
    """Let the market be as it was when the bot stopped; the event that comes next has been taken off."""
    for event in feed:
        if event.local_ns >= until_ns:
            return [event]
        view.take(event)
        desk.exchange.on_event(event)
    return []


def _adopt(loaded: Loaded, desk: Desk) -> None:
    for state in sorted(loaded.states, key=lambda s: (s.prepared_ns, s.client_order_id)):
        own = [fill for fill in loaded.fills if fill.client_order_id == state.client_order_id]
        desk.exchange.adopt(state, own)
