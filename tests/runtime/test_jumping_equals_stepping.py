"""The replay jumps from stop to stop; walking through every row must come to the same orders and fills.

The walker here is the slow reference: every row becomes an event, and what it changed is seen from the event
and not from columns, the exchange sees events one by one.
"""

from collections.abc import Callable

import pytest

from quantcli import Strategy, bracket, keep, ta
from quantcli.clock import VirtualClock
from quantcli.model.event import OrderEvent
from quantcli.model.market import BookUpdate, MarketEvent, Ticker, Trade
from quantcli.recording.reader import Recording
from quantcli.runtime.paper import merged_events
from quantcli.runtime.simulate import Job, simulate
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import SimulatedDesk, build_desk, seeded_identity
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore
from quantcli.trading.market import Reads

HOOK_OF = {Ticker: "on_tick", Trade: "on_trade", BookUpdate: "on_book"}


class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", "60 USDT", m.best_bid - m.tick, tolerance=1, post_only=True)
        if m.position > 0:
            yield keep.ask("ask", "60 USDT", m.best_ask + m.tick, tolerance=1, post_only=True)


class SizeReader(Strategy):
    """Reads displayed sizes, so it must be asked again when only they change."""

    def desired(self, m):
        if m.imbalance > 0.47:
            yield keep.bid("bid", "60 USDT", m.best_bid, tolerance=0, cooldown="1ms")


class LastReader(Strategy):
    def desired(self, m):
        if m.last:
            yield keep.bid("bid", "50 USDT", m.last - 3 * m.tick, tolerance=1)


class BookReader(Strategy):
    def desired(self, m):
        if m.book is not None:
            yield keep.bid("bid", "50 USDT", m.book.depth(3)[0][-1][0], tolerance=0)


class LateBookReader(Strategy):
    """Looks at the book for the first time when much of the recording is over."""

    seen = 0

    def on_tick(self, tick):
        self.seen += 1

    def desired(self, m):
        if self.seen > 1_000 and m.book is not None:
            yield keep.bid("bid", "50 USDT", m.book.depth(2)[0][-1][0], tolerance=0)


class Trend(Strategy):
    bars = "10s"

    def setup(self, m):
        m.fast, m.slow = m.use(ta.EMA(2)), m.use(ta.EMA(5))

    def desired(self, m):
        yield m.hold("100 USDT" if m.fast > m.slow else 0)


class Trader(Strategy):
    """Imperative: hooks on trades and quotes, limit and stop orders, a timer, answers to fills."""

    def on_start(self):
        self.every("15s")
        self.seen = 0

    def on_trade(self, trade):
        self.seen += 1
        if self.seen % 50 == 0:
            self.buy("50 USDT", limit=self.market.best_bid, ttl="5s")
        elif self.seen % 77 == 0:
            self.buy("50 USDT")

    def on_tick(self, tick):
        if tick.bid_size > 8.9 and self.market.position > 5:
            self.sell(1, limit=tick.ask, post_only=True)

    async def on_fill(self, fill):
        if fill.side.name == "BUY":
            self.sell(float(fill.qty), stop=float(fill.price) * 0.998)

    def on_timer(self, name):
        self.cancel_all()


class Mixed(Maker):
    """Its wish depends on what a hook has seen."""

    up = True

    def on_trade(self, trade):
        self.up = trade.side == 1

    def desired(self, m):
        if self.up:
            yield from super().desired(m)


class Bracketed(Strategy):
    """One exit at a time, which of the two depends on the quotes."""

    trail = None

    def desired(self, m):
        if m.flat:
            entry = m.best_bid
            yield bracket(
                "b",
                size="60 USDT",
                entry=entry,
                stop_loss=entry - 4 * m.tick,
                take_profit=entry + 3 * m.tick,
                trail=self.trail and self.trail * m.tick,
            )


class Trailing(Bracketed):
    """The stop follows the quotes too."""

    trail = 3


class Walker:
    """Passes time row by row."""

    def __init__(self, job: Job) -> None:
        self.clock = VirtualClock(job.recording.from_ns)
        self.view = LiveView(self.clock.now_ns)
        self.strategy = job.strategy()
        self.desk: SimulatedDesk = build_desk(
            "binance",
            self.strategy,
            job.markets,
            job.assumptions,
            job.limits,
            MemoryStore(seeded_identity(job.assumptions.seed)),
            HaltFlag(None),
            self.clock,
            self.view,
        )

    async def walk(self, recording: Recording) -> None:
        engine = self.desk.engine
        await self.desk.kernel.start()
        await engine.start()
        for event in merged_events(recording.chunks()):
            await self.due_before(event.local_ns)
            self.clock.advance_to(event.local_ns)
            await self.take(event)

    async def due_before(self, at_ns: int) -> None:
        engine, exchange = self.desk.engine, self.desk.exchange
        while True:
            times = [t for t in (engine.next_due(), exchange.next_due()) if t is not None]
            if not times or min(times) >= at_ns:
                return
            self.clock.advance_to(min(times))
            now = self.clock.now_ns()
            if (at := exchange.next_due()) is not None and at <= now:
                await engine.take(exchange.advance(now))
            if (at := engine.next_due()) is not None and at <= now:
                await engine.due()

    async def take(self, event: MarketEvent) -> None:
        engine = self.desk.engine
        changed = self.view.take(event)
        if isinstance(event, Trade) and event.symbol in engine.bars:
            engine.bars[event.symbol].add(event.price, event.size, event.local_ns)
        name = HOOK_OF[type(event)]
        if name in engine.hooks:
            self.strategy.event = event
            await engine.call(name, event)
        for symbol in engine.markets:
            if name in engine.hooks or (symbol == event.symbol and engine.markets[symbol].minds(changed)):
                engine.evaluate(symbol)
        await engine.flush()
        if isinstance(event, Ticker) and changed & Reads.PRICE and self.desk.kernel.follows(event.symbol):
            await engine.quote(event)
        await engine.take(self.desk.exchange.on_event(event))


STRATEGIES = [
    Maker,
    SizeReader,
    LastReader,
    BookReader,
    LateBookReader,
    Trend,
    Trader,
    Mixed,
    Bracketed,
    Trailing,
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.__name__)
@pytest.mark.parametrize("markets", [1, 2])
async def test_jumping_equals_stepping(
    strategy: type[Strategy],
    markets: int,
    job: Callable[..., Job],
    recording: Recording,
    two_markets: Recording,
) -> None:
    source = recording if markets == 1 else two_markets
    assert len(list(source.chunks())) > 1, "what is carried from chunk to chunk is part of the question"
    work = job(strategy, source)
    seen: list[OrderEvent] = []
    walker = Walker(work)
    walker.desk.bus.subscribe("order.**", seen.append)
    await walker.walk(source)

    run = await simulate(work, all_queues=False, progress=lambda _: None)

    assert len(run.fills) > 3, "a run without fills proves nothing"
    assert run.fills == walker.desk.logbook.fills
    assert run.trace_hash == walker.desk.trace.digest
    assert not run.violated
