"""Live waits where the replay jumps; nothing else is different."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from quantcli import Strategy, keep, ta
from quantcli.clock import VirtualClock
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import AggTrade, Bar, MarketEvent, Ticker, Trade
from quantcli.recording.reader import Recording, open_recording
from quantcli.recording.writer import Writer
from quantcli.runtime.live import Feed, Live, Pace
from quantcli.runtime.paper import merged_events
from quantcli.runtime.simulate import Job, simulate
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import SimulatedDesk, build_desk, seeded_identity
from quantcli.simulation.latency import Latency
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000


class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", "60 USDT", m.best_bid - m.tick, tolerance=1, post_only=True)
        if m.position > 0:
            yield keep.ask("ask", "60 USDT", m.best_ask + m.tick, tolerance=1, post_only=True)


class Trader(Strategy):
    """Hooks, limit orders that expire, stops, a timer, answers to fills."""

    def on_start(self):
        self.every("15s")
        self.seen = 0

    def on_trade(self, trade):
        self.seen += 1
        if self.seen % 40 == 0:
            self.buy("50 USDT", limit=self.market.best_bid, ttl="5s")
        elif self.seen % 77 == 0:
            self.buy("50 USDT")

    async def on_fill(self, fill):
        if fill.side.name == "BUY":
            self.sell(float(fill.qty), stop=float(fill.price) * 0.998)

    def on_timer(self, name):
        self.cancel_all()


class Trend(Strategy):
    bars = "10s"

    def setup(self, m):
        m.fast, m.slow = m.use(ta.EMA(2)), m.use(ta.EMA(5))

    def desired(self, m):
        yield m.hold("100 USDT" if m.fast > m.slow else 0)


class AtOnce:
    """A pace at which every moment comes at once, until `end_ns`."""

    def __init__(self, end_ns: int | None = None) -> None:
        self.end_ns = end_ns
        self.moments: list[int] = []

    async def until(self, at_ns: int) -> bool:
        self.moments.append(at_ns)
        return self.end_ns is None or at_ns < self.end_ns


class Setting:
    """A strategy of a job, ready to run live on a store in memory."""

    def __init__(self, job: Job, events: Sequence[MarketEvent] | None = None) -> None:
        recording = job.recording
        self.clock = VirtualClock(recording.from_ns)
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
        channels = {(s.symbol, s.channel.value) for s in recording.streams}
        printed = {symbol for symbol in job.markets if (symbol, "trades") in channels}
        barred = {s for s in job.markets if s not in printed and (s, "agg_trades") not in channels}
        self.stage = Stage(self.desk.engine, self.view, printed, barred)
        self.live = Live(self.stage, self.desk.exchange, self.clock)
        self.feed = Feed(merged_events(recording.chunks()) if events is None else events)

    async def run(self, pace: AtOnce) -> None:
        await self.desk.kernel.start()
        await self.desk.engine.start()
        await self.live.run(self.feed, pace)


def with_latency(job: Job, latency: Latency) -> Job:
    return msgspec.structs.replace(job, assumptions=msgspec.structs.replace(job.assumptions, latency=latency))


@pytest.mark.parametrize("strategy", [Maker, Trader, Trend], ids=lambda s: s.__name__)
async def test_live_makes_the_decisions_of_the_replay(
    strategy: type[Strategy], job: Callable[..., Job], two_markets: Recording
) -> None:
    work = job(strategy, two_markets)
    setting = Setting(work)
    await setting.run(AtOnce())

    run = await simulate(work, all_queues=False, progress=lambda _: None)

    assert len(run.fills) > 3, "a run without fills proves nothing"
    assert setting.desk.logbook.fills == run.fills
    assert setting.desk.trace.digest == run.trace_hash
    assert setting.stage.events == run.events


async def test_live_makes_the_decisions_of_the_replay_without_any_latency(
    job: Callable[..., Job], short_recording: Recording
) -> None:
    work = with_latency(job(Maker, short_recording), Latency())
    setting = Setting(work)
    await setting.run(AtOnce())

    run = await simulate(work, all_queues=False, progress=lambda _: None)

    assert len(run.fills) > 3
    assert setting.desk.trace.digest == run.trace_hash


async def test_a_late_machine_decides_as_one_in_time(
    job: Callable[..., Job], short_recording: Recording
) -> None:
    """However far real time has run ahead: nothing becomes due before what came earlier was handled."""
    late, in_time = Setting(job(Maker, short_recording)), Setting(job(Maker, short_recording))
    await late.run(Pace(short_recording.from_ns, 1e12, None))
    await in_time.run(AtOnce())
    assert late.desk.trace.digest == in_time.desk.trace.digest


async def test_what_happens_at_one_instant_is_not_torn_apart(
    job: Callable[..., Job], recording: Recording
) -> None:
    times = [event.local_ns for event in merged_events(recording.chunks())]
    tie = next(t for t, after in pairwise(times[100:]) if t == after)
    later = next(t for t in times if t > tie)
    setting = Setting(job(Maker))
    await setting.run(AtOnce(end_ns=later))
    assert setting.stage.events == sum(t <= tie for t in times)
    assert tie <= setting.clock.now_ns() < later
    assert setting.feed.head is not None
    assert setting.feed.head.local_ns == later


async def test_moments_are_waited_for_in_order_and_none_twice(job: Callable[..., Job]) -> None:
    pace = AtOnce()
    await Setting(job(Maker)).run(pace)
    assert pace.moments == sorted(set(pace.moments))


class KeepsAndBuys(Strategy):
    """One order that is kept, one that lives by itself, and a memory of everything it was told."""

    told: list[str]

    def on_start(self):
        self.told = []
        self.bought = False

    def on_tick(self, tick):
        self.told.append("tick")
        if not self.bought:
            self.bought = True
            self.buy("50 USDT", limit=tick.bid * 0.97)

    def on_order(self, event):
        self.told.append(event.kind.value)

    def on_stop(self):
        self.told.append("stop")

    def desired(self, m):
        yield keep.bid("far", "50 USDT", m.best_bid * 0.98, tolerance=400)


async def test_settling_waits_for_cancels_only_and_shows_the_strategy_nothing(
    job: Callable[..., Job], recording: Recording
) -> None:
    setting = Setting(job(KeepsAndBuys))
    kernel, engine = setting.desk.kernel, setting.desk.engine
    await setting.run(AtOnce(end_ns=recording.from_ns + 60 * S))
    assert len(kernel.working()) == 2
    await engine.stop(cancel_kept=True)
    events, stopped_ns = setting.stage.events, setting.clock.now_ns()

    assert await setting.live.settle(setting.feed, AtOnce())

    (left,) = kernel.working()
    assert "slot" not in (await kernel.get_order_intent(left.intent_id)).metadata
    assert setting.strategy.told[-1] == "stop"
    assert setting.stage.events == events
    assert setting.clock.now_ns() - stopped_ns <= 40_000_000, "the way there and back, and no longer"


async def test_settling_gives_up_when_its_pace_ends(job: Callable[..., Job], recording: Recording) -> None:
    setting = Setting(job(KeepsAndBuys))
    await setting.run(AtOnce(end_ns=recording.from_ns + 60 * S))
    await setting.desk.engine.stop(cancel_kept=True)
    assert not await setting.live.settle(setting.feed, AtOnce(end_ns=0))
    assert len(setting.desk.kernel.working()) == 2


# The pace.


class Hand:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_moment_that_has_come_is_not_waited_for() -> None:
    hand = Hand()
    pace = Pace(T0, 60.0, None, hand)
    assert await pace.until(T0)
    hand.now += 2.0  # two minutes of the feed
    waited = asyncio.ensure_future(pace.until(T0 + 120 * S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waited.done()
    assert waited.result()


async def test_a_moment_to_come_is_waited_for_and_stopping_ends_the_wait() -> None:
    pace = Pace(T0, 1.0, None, Hand())
    assert await pace.until(T0)
    waiting = asyncio.ensure_future(pace.until(T0 + 3_600 * S))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    pace.stop()
    assert await asyncio.wait_for(waiting, 1) is False
    assert await pace.until(T0) is False


async def test_a_pace_lasts_as_long_as_it_was_given() -> None:
    hand = Hand()
    pace = Pace(T0, 10.0, 2.0, hand)
    assert await pace.until(T0)
    hand.now += 1.9
    assert await pace.until(T0 + 19 * S)
    hand.now += 0.2
    assert not await pace.until(T0 + 19 * S), "late is late, even for what should have come before"


async def test_a_pace_begins_with_its_first_wait() -> None:
    hand = Hand()
    pace = Pace(T0, 1.0, 5.0, hand)
    hand.now += 1_000
    assert await pace.until(T0)


async def test_others_get_their_turn_while_it_is_late() -> None:
    hand = Hand()
    pace = Pace(T0, 1.0, None, hand)
    await pace.until(T0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    for _ in range(10):
        hand.now += 0.01
        await pace.until(T0)
    task.cancel()
    assert turns >= 9


# What stands in for trades.

RULES = SymbolMetadata(
    Symbol("AAA", "USDT"), "binance", "AAAUSDT", price_tick=Decimal("0.01"), lot=Decimal("0.001")
)


class Listener(Strategy):
    bars = "10s"

    def on_start(self):
        self.trades, self.closes = [], []

    def on_trade(self, trade):
        self.trades.append((type(trade).__name__, trade.price))

    def on_bar(self, bar):
        self.closes.append((bar.close, bar.volume))


def told(root: Path, kinds: str) -> tuple[Recording, list[MarketEvent]]:
    """A quote, and at 1, 2, 3 s a trade as the channels `kinds` tell it (t, a), then a bar (b) of it all."""
    name = RULES.symbol.name
    rows: list[MarketEvent] = [Ticker(name, T0, T0, 0, 100.0, 1.0, 100.01, 1.0, 1)]
    for number in (1, 2, 3):
        at_ns, price = T0 + number * S, 100.0 + number
        if "t" in kinds:
            rows.append(Trade(name, at_ns, at_ns, 10 * number, price, 1.0, 1, number))
        if "a" in kinds:
            rows.append(AggTrade(name, at_ns, at_ns, 10 * number + 1, price, 1.0, 1, number, number, number))
    end_ns = T0 + 10 * S
    if "b" in kinds:
        rows.append(
            Bar(name, end_ns, end_ns, 98, T0, 10 * S, 101.0, 103.0, 101.0, 103.0, 3.0, 306.0, 3, True)
        )
    rows.append(Ticker(name, end_ns + S, end_ns + S, 99, 100.0, 1.0, 100.01, 1.0, 2))
    with Writer(root, "binance", {"source": kinds}) as writer:
        writer.instruments([RULES])
        for row in rows:
            writer.append(row)
        writer.close()
    return open_recording(root), rows


@pytest.mark.parametrize(("kinds", "shown"), [("t", "Trade"), ("a", "AggTrade"), ("ta", "Trade")])
async def test_a_trade_is_shown_once_whoever_tells_it(
    kinds: str, shown: str, job: Callable[..., Job], tmp_path: Path
) -> None:
    source, rows = told(tmp_path, kinds)
    setting = Setting(job(Listener, source), rows)
    await setting.run(AtOnce())
    assert setting.strategy.trades == [(shown, 101.0), (shown, 102.0), (shown, 103.0)]


@pytest.mark.parametrize("kinds", ["t", "a", "ta", "b", "tb", "ab", "tab"])
async def test_a_bar_comes_once_whatever_it_is_made_of(
    kinds: str, job: Callable[..., Job], tmp_path: Path
) -> None:
    source, rows = told(tmp_path, kinds)
    setting = Setting(job(Listener, source), rows)
    await setting.run(AtOnce())
    assert setting.strategy.closes == [(103.0, 3.0)]
