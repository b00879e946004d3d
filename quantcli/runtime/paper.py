"""The program `quant trade --paper`: a strategy trades on an imagined exchange, on a live feed.

The state database makes it durable: stop it or kill it, start it again, and it goes on at the same moment
with the same orders, fills and money.  The feed here is a recording in real or scaled time.

The imagined exchange lives in this process and dies with it.  Started again, it is made anew from what the
database says it accepted: a placement that it had not yet confirmed then never reached it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec.structs import replace

from quantcli.clock import VirtualClock
from quantcli.config import parse_money
from quantcli.errors import NotFoundError, SafetyError
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.steps import Halted
from quantcli.model.batch import Chunk, events
from quantcli.model.event import Event
from quantcli.model.instrument import canonical
from quantcli.model.market import Channel, MarketEvent
from quantcli.model.message import Silence
from quantcli.model.order import Fill, Working
from quantcli.runtime.live import Feed, Live, Pace
from quantcli.runtime.simulate import Job
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, Desk, build_desk
from quantcli.store.api import Loaded
from quantcli.store.halt import HaltFlag
from quantcli.store.sqlite import SQLiteStore
from quantcli.trading.loader import strategy_error

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
    """What a paper run leaves behind; `left_working` may still trade when it is started again.

    `failure` is what ended it early: mostly an error in the strategy.
    """

    events: int
    equity: Decimal | None
    currency: str
    left_working: tuple[Working, ...]
    failure: BaseException | None


class Paper:
    """One paper run."""

    def __init__(self, job: Job, session: Session, on_event: Callable[[Event], None]) -> None:
        self._job = job
        self._session = session
        self._on_event = on_event
        self._pace: Pace | None = None
        self._stopped = False

    def stop(self) -> None:
        """End the run soon: cancel what the strategy keeps, wait for the exchange, leave."""
        self._stopped = True
        if self._pace is not None:
            self._pace.stop()

    async def run(self) -> Outcome:
        """Trade until the feed ends, the time is over, or `stop` is called.

        Raises `SafetyError` where going on would lose sight of something, `StoreError`.
        """
        self._session.database.parent.mkdir(parents=True, exist_ok=True)
        store = SQLiteStore(self._session.database)
        await store.open()
        try:
            return await self._trade(store)
        finally:
            await store.close()

    async def _trade(self, store: SQLiteStore) -> Outcome:
        job = self._job
        rows = await store.everything()
        _same_markets(rows, job)
        job = replace(job, assumptions=await _same_account(store, job.assumptions))
        stopped_ns = await _stopped_ns(store, rows, job.assumptions.latency.feed_ns)
        if stopped_ns >= job.recording.to_ns:
            raise SafetyError(
                "this bot has traded the recording to its end",
                why="paper trading goes on where it stopped, and time does not go back",
                todo=f"start afresh under another --name, or remove {self._session.database}",
            )
        clock = VirtualClock(max(stopped_ns, job.recording.from_ns))
        feed = Feed(merged_events(job.recording.chunks(symbols=list(job.markets))))
        view = LiveView(clock.now_ns)
        halt = HaltFlag(self._session.halt_flag)
        desk = self._desk(job, store, halt, clock, view, rows)
        _catch_up(feed, stopped_ns, desk, view)
        _adopt(rows, desk)
        live = Live(desk.engine, desk.exchange, clock, view, *_sources(job))
        await desk.kernel.start(job.markets, Halted(halt.level))
        try:
            await _forget_unconfirmed(rows, desk.kernel)
            failure = await self._run(live, desk, feed, clock)
            await store.set_meta(_FEED_META, str(clock.now_ns()))
        finally:
            await desk.kernel.stop()
        left = tuple(desk.kernel.working())
        return Outcome(live.events, desk.portfolio.equity(), job.assumptions.currency, left, failure)

    def _desk(
        self,
        job: Job,
        store: SQLiteStore,
        halt: HaltFlag,
        clock: VirtualClock,
        view: LiveView,
        rows: Loaded,
    ) -> Desk:
        strategy = job.strategy()
        strategy.apply_params(job.params)
        desk = build_desk(
            job.recording.exchange,
            strategy,
            job.markets,
            job.assumptions,
            job.limits,
            store,
            halt,
            clock,
            view,
            rows.fills,
        )
        for topics in ("order.**", "position.**", "portfolio.**"):
            desk.bus.subscribe(topics, self._on_event)
        return desk

    async def _run(self, live: Live, desk: Desk, feed: Feed, clock: VirtualClock) -> BaseException | None:
        """Trade, and leave no kept order unattended; what made the run fail, if it did."""
        session = self._session
        failure: BaseException | None = None
        self._pace = Pace(clock.now_ns(), session.speed, session.for_s)
        if self._stopped:
            self._pace.stop()
        try:
            await desk.engine.start()
            await live.run(feed, self._pace)
            await desk.engine.stop(cancel_kept=session.cancel_on_stop)
        except (Exception, SystemExit) as error:
            # Whatever it is: without its strategy a kept order is nobody's.
            if not (await desk.kernel.health_check()).ok:
                raise
            leaves = isinstance(error, SystemExit)  # an author's way to stop
            failure = strategy_error(error, desk.engine.strategy) if leaves else error
            await _withdraw_kept(desk.kernel)
        await live.settle(feed, Pace(clock.now_ns(), session.speed, _SETTLE_S))
        return failure


def merged_events(chunks: Iterable[Chunk]) -> Iterator[MarketEvent]:
    """The rows of chunks as events, in their order."""
    for chunk in chunks:
        streams = [events(columns) for columns in chunk.streams]
        for turn in chunk.turn.tolist():
            yield next(streams[turn])


def _sources(job: Job) -> tuple[set[str], set[str]]:
    """The markets whose trades are recorded one by one, and those without any trades."""
    channels = {(stream.channel, stream.symbol) for stream in job.recording.streams}
    printed = {symbol for symbol in job.markets if (Channel.TRADES, symbol) in channels}
    traded = printed | {symbol for symbol in job.markets if (Channel.AGG_TRADES, symbol) in channels}
    return printed, set(job.markets) - traded


# Going on where it stopped.


def _same_markets(rows: Loaded, job: Job) -> None:
    """Refuse to go on without a market in which the bot has traded or still works."""
    working = {intent.order.symbol for intent in rows.intents if not intent.phase.is_terminal}
    missing = sorted((working | {fill.symbol for fill in rows.fills}) - set(job.markets))
    if missing:
        raise SafetyError(
            f"this bot has traded {', '.join(missing)}, which it is not given now",
            why="its orders and its position there would be out of sight",
            todo="add the market with --symbol, from a recording that has it, or choose another --name",
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


async def _stopped_ns(store: SQLiteStore, rows: Loaded, feed_ns: int) -> int:
    """The moment up to which the bot has seen its feed; 0 if it has never run.

    A run that was killed left no note of it, but nothing durable may lie in the future of the next one.
    """
    stamps = [int(await store.get_meta(_FEED_META) or 0)]
    stamps += [max(intent.created_ns, intent.updated_ns) for intent in rows.intents]
    for state in rows.states:
        stamps += (state.prepared_ns, state.cancel_sent_ns, state.lookup_sent_ns, state.last_sync_at)
    stamps += [fill.exchange_ns + feed_ns for fill in rows.fills]
    return max(stamps)


def _catch_up(feed: Feed, until_ns: int, desk: Desk, view: LiveView) -> None:
    """Let the market be as it was when the bot stopped."""
    while feed.head is not None and feed.head.local_ns <= until_ns:
        event = feed.take()
        view.take(event)
        desk.exchange.on_event(event)


def _adopt(rows: Loaded, desk: Desk) -> None:
    """Give the exchange back all orders it ever accepted: ended ones too, for they have used up its ids."""
    fills: defaultdict[str, list[Fill]] = defaultdict(list)
    for fill in rows.fills:
        fills[fill.client_order_id].append(fill)
    for state in sorted(rows.states, key=lambda s: (s.prepared_ns, s.client_order_id)):
        desk.exchange.adopt(state, fills[state.client_order_id])


async def _forget_unconfirmed(rows: Loaded, kernel: ExchangeKernel) -> None:
    """Tell the kernel of placements that the exchange, made anew, does not have: they may go out again."""
    for state in rows.states:
        if not state.state.is_closed and state.exchange_order_id is None:
            reason = "on its way when the imagined exchange went down"
            await kernel.observe(Silence(state.client_order_id, "place", reason, sent=False))


# Coming to an end.


async def _withdraw_kept(kernel: ExchangeKernel) -> None:
    """Cancel every order that a slot keeps, without asking the strategy; what guards a position stays."""
    for item in kernel.working():
        try:
            intent = await kernel.get_order_intent(item.intent_id)
            if "slot" in intent.metadata and not intent.protective:
                await kernel.cancel_order(item.intent_id, "its strategy failed")
        except NotFoundError:
            continue  # settled in the meantime
