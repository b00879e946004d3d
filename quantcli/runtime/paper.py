"""Paper trading: a strategy trades on an imagined exchange, on a recording in real or scaled time.

The state database makes it durable: stop it or kill it, start it again, and it goes on at the same moment
with the same orders, fills and money.

The imagined exchange lives in this process and dies with it.  Started again, it is made anew from what the
database says it accepted (`seat_again`): a placement that it had not yet confirmed then never reached it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from quantcli.clock import VirtualClock
from quantcli.errors import SafetyError
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import Halted
from quantcli.model.batch import Chunk, events
from quantcli.model.event import Event
from quantcli.model.market import Channel, MarketEvent
from quantcli.model.message import Silence
from quantcli.model.order import Fill
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.seating import seat
from quantcli.runtime.live import Feed, Live, Pace
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
from quantcli.runtime.simulate import Job
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, imagine, join, open_books
from quantcli.runtime.world import CASH_META, PAPER, same_world
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.store.api import Loaded
from quantcli.store.halt import HaltFlag
from quantcli.store.sqlite import SQLiteStore
from quantcli.trading.strategy import Strategy

_FEED_META = "paper.feed_ns"


class Paper:
    """One paper run, `speed` times as fast as the recording; over `bridge`, if there is one, it is watched
    and steered."""

    def __init__(
        self,
        job: Job,
        session: Session,
        speed: float,
        on_event: Callable[[Event], None],
        bridge: Bridge | None = None,
    ) -> None:
        self._job = job
        self._bridge = bridge
        self._session = session
        self._speed = speed
        self._on_event = on_event
        self._pace: Pace | None = None
        self._settling: Pace | None = None
        self._stopped = False

    @property
    def strategy(self) -> type[Strategy]:
        """What is run."""
        return self._job.strategy

    def stop(self) -> None:
        """End the run soon: cancel what the strategy keeps, wait for the exchange, leave."""
        self._stopped = True
        if self._pace is not None:
            self._pace.stop()

    async def run(self) -> Outcome:
        """Trade until the feed ends, the time is over, or `stop` is called.

        Raises `SafetyError` where going on would lose sight of something, `StoreError`.
        """
        bridge = self._bridge
        if bridge is not None:
            bridge.enter(self._nudge)
        try:
            async with opened(self._session.database) as store:
                return await self._trade(store)
        finally:
            if bridge is not None:
                bridge.leave()

    def _nudge(self) -> None:
        for pace in (self._pace, self._settling):
            if pace is not None:
                pace.nudge()

    async def _trade(self, store: SQLiteStore) -> Outcome:
        job, session = self._job, self._session
        await same_world(store, PAPER)
        rows = await store.everything()
        same_markets(rows, job.markets)
        assumed = await same_cash(store, job.assumptions)
        stopped_ns = await _stopped_ns(store, rows, assumed.latency.feed_ns)
        if stopped_ns >= job.recording.to_ns:
            raise SafetyError(
                "this bot has traded the recording to its end",
                why="paper trading goes on where it stopped, and time does not go back",
                todo=f"start afresh under another --name, or remove {session.database}",
            )
        clock = VirtualClock(max(stopped_ns, job.recording.from_ns))
        feed = Feed(merged_events(job.recording.chunks(symbols=list(job.markets))))
        view, halt = LiveView(clock.now_ns), HaltFlag(session.halt_flag)
        strategy = job.strategy()
        strategy.apply_params(job.params)
        cash = {assumed.currency: assumed.cash}
        books = open_books(
            job.recording.exchange, assumed.currency, cash, job.markets, clock, view, rows.fills
        )
        exchange = imagine(books, job.markets, assumed, clock)
        desk = join(strategy, job.markets, books, exchange, job.limits, store, halt, clock, view)
        listen(desk, self._on_event)
        while feed.head is not None and feed.head.local_ns <= stopped_ns:
            event = feed.take()  # the market is to be as it was when the bot stopped
            view.take(event)
            exchange.on_event(event)
        stage = Stage(desk.engine, view, *_sources(job))
        bridge = self._bridge
        live = Live(stage, exchange, clock, None if bridge is None else bridge.words)
        seat_again(rows, exchange)
        await desk.kernel.start(job.markets, Halted(halt.level))
        try:
            await forget_unconfirmed(rows, desk.kernel)
            self._pace = pace = Pace(clock.now_ns(), self._speed, session.for_s)
            if self._stopped:
                pace.stop()
            if bridge is not None:
                bridge.clock.kept_by = clock
                seat(bridge, desk, stage, view, halt, session.database, Policy())
            failure = await run_strategy(desk, lambda: self._drive(live, feed, pace), session.cancel_on_stop)
            if bridge is not None and failure is not None:
                bridge.fail(failure)
            self._settling = Pace(clock.now_ns(), self._speed, SETTLE_S)
            await live.settle(feed, self._settling)
            await store.set_meta(_FEED_META, str(clock.now_ns()))
        finally:
            await desk.kernel.stop()
        return outcome(desk, stage.events, failure)

    async def _drive(self, live: Live, feed: Feed, pace: Pace) -> None:
        if self._bridge is not None:
            self._bridge.state = "trading"
        await live.run(feed, pace)
        if self._bridge is not None:
            self._bridge.begin_to_stop()


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


async def same_cash(store: SQLiteStore, asked: Assumptions) -> Assumptions:
    """What is assumed, with the cash that the bot began with."""
    known = await same_account(store, CASH_META, {asked.currency: asked.cash})
    if asked.currency not in known:
        raise SafetyError(
            f"this bot's account is in {', '.join(known)}, the markets pay in {asked.currency}",
            todo="choose other markets with --symbol, or another --name",
        )
    return replace(asked, cash=known[asked.currency])


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


def seat_again(rows: Loaded, exchange: SimulatedExchange) -> None:
    """Give the exchange back all orders it ever accepted: ended ones too, for they have used up its ids."""
    fills: defaultdict[str, list[Fill]] = defaultdict(list)
    for fill in rows.fills:
        fills[fill.client_order_id].append(fill)
    for state in sorted(rows.states, key=lambda s: (s.prepared_ns, s.client_order_id)):
        exchange.adopt(state, fills[state.client_order_id])


async def forget_unconfirmed(rows: Loaded, kernel: ExchangeKernel) -> None:
    """Tell the kernel of placements that the exchange, made anew, does not have: they may go out again."""
    for state in rows.states:
        if not state.state.is_closed and state.exchange_order_id is None:
            reason = "on its way when the imagined exchange went down"
            await kernel.observe(Silence(state.client_order_id, "place", reason, sent=False))
