"""A paper run on a real state database: it goes on where it stopped, and leaves no kept order unattended."""

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from quantcli import Strategy, keep, ta
from quantcli.config import LimitsConfig, Money
from quantcli.errors import SafetyError, StrategyError
from quantcli.model.event import Event, OrderEvent, OrderEventKind, RiskLimit
from quantcli.model.instrument import Side
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderType,
    StandardOrder,
)
from quantcli.recording.reader import Recording
from quantcli.runtime.paper import Paper
from quantcli.runtime.session import Outcome, Session
from quantcli.runtime.simulate import Job, simulate
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel
from quantcli.store.api import Loaded
from quantcli.store.halt import HaltFlag, KillLevel
from quantcli.store.sqlite import SQLiteStore

S = 1_000_000_000
AS_FAST_AS_IT_CAN = 1e12


class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", "60 USDT", m.best_bid - m.tick, tolerance=1, cooldown="0s")
        if m.position > 0:
            yield keep.ask("ask", "60 USDT", m.best_ask + m.tick, tolerance=1, cooldown="0s")


class NotReady(Strategy):
    """Has wishes, once its indicator has seen fifty hours: until then it touches nothing."""

    bars = "1h"

    def setup(self, m):
        m.slow = m.use(ta.EMA(50))

    def desired(self, m):
        yield keep.bid("bid", "60 USDT", m.slow.value)


class Quiet(Strategy):
    """Far from the market, so that nothing trades and nothing moves."""

    def desired(self, m):
        yield keep.bid("far", "50 USDT", m.best_bid * 0.9, tolerance=400)


class QuietAndOnce(Quiet):
    bought = False

    def on_tick(self, tick):
        if not self.bought:
            self.bought = True
            self.buy("50 USDT", limit=tick.bid * 0.95)


class Failing(QuietAndOnce):
    seen = 0

    def on_trade(self, trade):
        self.seen += 1
        if self.seen == 20:
            raise ZeroDivisionError("the twentieth")


class Leaving(QuietAndOnce):
    seen = 0

    def on_trade(self, trade):
        self.seen += 1
        if self.seen == 20:
            sys.exit(0)


class FailingAtTheEnd(QuietAndOnce):
    def on_stop(self):
        raise ZeroDivisionError("the end")


class Bot:
    """A bot's files, and what its runs have told."""

    def __init__(self, root: Path) -> None:
        self.database, self.flag = root / "bot.db", root / "bot.halt"
        self.told: list[Event] = []

    async def run(
        self, job: Job, *, events: int | None = None, for_s: float | None = None, cancel: bool = True
    ) -> Outcome:
        """Run until so many order events have come, or the time is over, or the recording ends."""
        left = events

        def on_event(event: Event) -> None:
            nonlocal left
            self.told.append(event)
            if left is not None and isinstance(event, OrderEvent):
                left -= 1
                if left <= 0:
                    paper.stop()

        paper = Paper(job, Session(self.database, self.flag, for_s, cancel), AS_FAST_AS_IT_CAN, on_event)
        return await paper.run()

    async def rows(self) -> Loaded:
        store = SQLiteStore(self.database)
        await store.open()
        try:
            return await store.everything()
        finally:
            await store.close()

    async def write(self, *rows: OrderIntent | OrderState) -> None:
        store = SQLiteStore(self.database)
        await store.open()
        await store.commit(rows)
        await store.close()

    def orders(self, kind: OrderEventKind) -> list[OrderEvent]:
        return [e for e in self.told if isinstance(e, OrderEvent) and e.kind is kind]


@pytest.fixture
def bot(tmp_path: Path) -> Bot:
    return Bot(tmp_path)


def plain(job: Job) -> Job:
    """Without latency and chance: the run does not depend on how often it was interrupted."""
    changes = msgspec.structs.replace(job.assumptions, latency=Latency(), queue=QueueModel.OPTIMISTIC)
    return msgspec.structs.replace(job, assumptions=changes)


def trades(rows: Loaded) -> list[tuple[int, Side, Decimal, Decimal, Decimal]]:
    return [(f.exchange_ns, f.side, f.qty, f.price, f.fee) for f in rows.fills]


async def test_paper_trades_as_the_simulation_does(
    bot: Bot, job: Callable[..., Job], short_recording: Recording
) -> None:
    work = job(Maker, short_recording)
    outcome = await bot.run(work)
    run = await simulate(work, all_queues=False, progress=lambda _: None)
    rows = await bot.rows()
    simulated = [(f.exchange_ns, f.side, f.qty, f.price, f.fee) for f in run.fills]
    assert len(simulated) > 3
    assert trades(rows) == simulated
    assert outcome.equity == run.end_equity
    assert outcome.events == run.events
    assert outcome.left_working == ()


async def test_starting_again_finds_the_same_orders_fills_and_money(
    bot: Bot, job: Callable[..., Job]
) -> None:
    before = await bot.run(job(Maker), events=60, cancel=False)
    rows = await bot.rows()
    after = await bot.run(job(NotReady), for_s=-1.0, cancel=False)  # no time at all
    assert before.left_working
    assert rows.fills
    assert after.equity == before.equity
    assert after.left_working == before.left_working
    again = await bot.rows()
    assert again.fills == rows.fills
    assert [i.intent_id for i in again.intents] == [i.intent_id for i in rows.intents]
    assert [s.client_order_id for s in again.states] == [s.client_order_id for s in rows.states]


async def test_an_interrupted_run_trades_as_one_that_was_not(
    bot: Bot, job: Callable[..., Job], short_recording: Recording, tmp_path: Path
) -> None:
    work = plain(job(Maker, short_recording))
    whole = Bot(tmp_path / "whole")
    told = (await whole.run(work)).events
    parts = [await bot.run(work, events=count, cancel=False) for count in (25, 1, 40, 2)]
    outcome = await bot.run(work)

    rows, uninterrupted = await bot.rows(), await whole.rows()
    assert trades(rows) == trades(uninterrupted)
    assert sum(part.events for part in parts) + outcome.events == told, "each event is shown once"
    assert outcome.left_working == ()
    assert_sound(rows)


def assert_sound(rows: Loaded) -> None:
    """No id is used twice, nothing is left half done, and time has not gone back."""
    for ids in (
        [i.intent_id for i in rows.intents],
        [s.client_order_id for s in rows.states],
        [s.exchange_order_id for s in rows.states if s.exchange_order_id],
        [f.trade_id for f in rows.fills],
    ):
        assert len(ids) == len(set(ids))
    known = {s.client_order_id: s for s in rows.states}
    for state in rows.states:
        own = [f.qty for f in rows.fills if f.client_order_id == state.client_order_id]
        assert state.filled == state.fills_qty == sum(own, Decimal(0)) <= state.order.quantity
    assert all(f.client_order_id in known for f in rows.fills)
    open_intents = [s.intent_id for s in rows.states if not s.state.is_closed]
    assert len(open_intents) == len(set(open_intents))
    starts = [i.created_ns for i in sorted(rows.intents, key=lambda i: i.intent_id)]
    assert starts == sorted(starts)
    made = [f.exchange_ns for f in rows.fills]
    assert made == sorted(made)


async def test_a_slot_goes_on_with_its_order(bot: Bot, job: Callable[..., Job]) -> None:
    await bot.run(job(Quiet), events=2, cancel=False)
    outcome = await bot.run(job(Quiet), for_s=0.1, cancel=False)
    assert outcome.events > 100
    assert len(outcome.left_working) == 1
    assert len((await bot.rows()).states) == 1


async def test_stopping_withdraws_what_is_kept_and_tells_of_the_rest(
    bot: Bot, job: Callable[..., Job]
) -> None:
    outcome = await bot.run(job(QuietAndOnce), events=4)
    (left,) = outcome.left_working
    intents = {i.intent_id: i for i in (await bot.rows()).intents}
    assert "slot" not in intents[left.intent_id].metadata
    kept = [i.phase for i in intents.values() if "slot" in i.metadata]
    assert kept == [IntentPhase.CANCELED]


async def test_stopping_leaves_everything_if_it_is_to(bot: Bot, job: Callable[..., Job]) -> None:
    outcome = await bot.run(job(QuietAndOnce), events=4, cancel=False)
    assert len(outcome.left_working) == 2
    assert not bot.orders(OrderEventKind.CANCELLED)


@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize("strategy", [Failing, Leaving], ids=lambda s: s.__name__)
async def test_a_failing_strategy_leaves_no_kept_order_behind(
    strategy: type[Strategy], cancel: bool, bot: Bot, job: Callable[..., Job]
) -> None:
    outcome = await bot.run(job(strategy), cancel=cancel)
    assert isinstance(outcome.failure, StrategyError)
    assert "test_paper.py:" in str(outcome.failure)
    (left,) = outcome.left_working
    intents = {i.intent_id: i for i in (await bot.rows()).intents}
    assert "slot" not in intents[left.intent_id].metadata
    (kept,) = [i for i in intents.values() if "slot" in i.metadata]
    assert (kept.phase, kept.reason) == (IntentPhase.CANCELED, "its strategy failed")


async def test_failing_at_the_end_leaves_no_kept_order_behind(bot: Bot, job: Callable[..., Job]) -> None:
    outcome = await bot.run(job(FailingAtTheEnd), events=4)
    assert isinstance(outcome.failure, StrategyError)
    assert len(outcome.left_working) == 1


async def test_after_a_failure_it_goes_on_where_it_failed(bot: Bot, job: Callable[..., Job]) -> None:
    failed = await bot.run(job(Failing))
    rest = await bot.run(job(Quiet))
    assert rest.failure is None
    assert failed.events + rest.events < job(Quiet).recording.rows + 20
    assert_sound(await bot.rows())


# A run that was killed.


def half_placed(at_ns: int, state: AttemptState) -> tuple[OrderIntent, OrderState]:
    """A wish whose placement was durable, and perhaps sent, when everything ended."""
    order = StandardOrder("AAA/USDT", Side.BUY, OrderType.LIMIT, Decimal("0.5"), Decimal("90"))
    intent = OrderIntent("00" * 9 + "aa", order, at_ns, phase=IntentPhase.ACTIVE, updated_ns=at_ns)
    return intent, OrderState(
        intent.intent_id, 1, "ab" * 16, order, 1, at_ns, state, deadline_ns=at_ns + 5 * S
    )


@pytest.mark.parametrize("state", [AttemptState.PREPARED, AttemptState.AMBIGUOUS])
async def test_a_placement_that_died_on_its_way_goes_out_again(
    state: AttemptState, bot: Bot, job: Callable[..., Job], recording: Recording
) -> None:
    await bot.run(job(Quiet), events=2)
    await bot.write(*half_placed(recording.from_ns + 20 * S, state))
    outcome = await bot.run(job(Quiet), for_s=0.1, cancel=False)
    attempts = [s for s in (await bot.rows()).states if s.intent_id == "00" * 9 + "aa"]
    assert [s.state for s in attempts] == [AttemptState.DEAD, AttemptState.LIVE]
    assert {w.order.price for w in outcome.left_working} > {Decimal("90")}


async def test_time_does_not_go_back_after_a_crash(
    bot: Bot, job: Callable[..., Job], recording: Recording
) -> None:
    """Only a clean stop leaves a note of how far the feed was; the newest row says as much."""
    await bot.run(job(Quiet), events=2)
    late_ns = recording.from_ns + 200 * S
    await bot.write(*half_placed(late_ns, AttemptState.PREPARED))
    bot.told.clear()
    await bot.run(job(Quiet))
    assert min(e.at_ns for e in bot.told if isinstance(e, OrderEvent)) >= late_ns


# What it refuses.


async def test_a_recording_is_traded_once(bot: Bot, job: Callable[..., Job]) -> None:
    await bot.run(job(Quiet))
    with pytest.raises(SafetyError, match="to its end"):
        await bot.run(job(Quiet))


async def test_a_market_it_has_traded_must_be_there(
    bot: Bot, job: Callable[..., Job], two_markets: Recording
) -> None:
    await bot.run(job(Maker, two_markets), events=100, cancel=False)
    one = msgspec.structs.replace(
        job(Maker, two_markets), markets={"AAA/USDT": two_markets.instruments["AAA/USDT"]}
    )
    with pytest.raises(SafetyError, match="BBB/USDT"):
        await bot.run(one)


async def test_it_can_be_started_again_after_refusing(bot: Bot, job: Callable[..., Job]) -> None:
    await bot.run(job(Quiet), events=2)
    other = msgspec.structs.replace(
        job(Quiet), assumptions=msgspec.structs.replace(job(Quiet).assumptions, currency="EUR")
    )
    with pytest.raises(SafetyError, match="USDT"):
        await bot.run(other)
    assert (await bot.run(job(Quiet), for_s=0.0)).failure is None


# The kill flag.


async def test_a_halted_bot_places_nothing(bot: Bot, job: Callable[..., Job]) -> None:
    HaltFlag(bot.flag).raise_to(KillLevel.HALT_NEW, "holiday", 1)
    outcome = await bot.run(job(QuietAndOnce), for_s=0.1)
    assert outcome.failure is None
    assert not (await bot.rows()).intents
    refused = [e for e in bot.told if isinstance(e, RiskLimit)]
    assert refused
    assert all("holiday" in e.reason for e in refused)


async def test_halting_holds_from_the_next_order_on(bot: Bot, job: Callable[..., Job]) -> None:
    fills = 0

    def on_event(event: Event) -> None:
        nonlocal fills
        bot.told.append(event)
        fills += isinstance(event, OrderEvent) and event.fill is not None
        if fills == 1:
            HaltFlag(bot.flag).raise_to(KillLevel.HALT_NEW, "enough", 1)

    session = Session(bot.database, bot.flag, None, True)
    await Paper(job(Maker), session, AS_FAST_AS_IT_CAN, on_event).run()
    first = next(n for n, e in enumerate(bot.told) if isinstance(e, OrderEvent) and e.fill)
    after = [e.intent.order.side for e in bot.told[first:] if isinstance(e, OrderEvent) and not e.fill]
    placed = [
        e.intent.order.side
        for e in bot.told[first:]
        if isinstance(e, OrderEvent) and e.kind is OrderEventKind.SUBMITTED and e.intent.generation == 1
    ]
    assert after
    assert Side.BUY not in placed, "what adds exposure"


async def test_flattening_undoes_what_the_bot_did_and_nothing_more(bot: Bot, job: Callable[..., Job]) -> None:
    """Its orders are cancelled, its position is closed at the market, and it stays so over a restart."""
    fills = 0

    def on_event(event: Event) -> None:
        nonlocal fills
        bot.told.append(event)
        fills += isinstance(event, OrderEvent) and event.fill is not None
        if fills == 1:
            HaltFlag(bot.flag).raise_to(KillLevel.FLATTEN, "out", 1)

    session = Session(bot.database, bot.flag, None, True)
    await Paper(job(Maker), session, AS_FAST_AS_IT_CAN, on_event).run()
    rows = await bot.rows()
    held = sum((f.side.sign * f.qty for f in rows.fills), Decimal(0))
    assert any(f.side is Side.BUY for f in rows.fills)
    assert 0 <= held <= Decimal("0.001"), "the exchange takes no order of so little"
    assert all(intent.phase.is_terminal for intent in rows.intents)
    flattening = [intent for intent in rows.intents if "flatten" in intent.metadata]
    assert {(i.order.side, i.order.type) for i in flattening} == {(Side.SELL, OrderType.MARKET)}
    assert len(flattening) <= 10, "nor is it asked for ever"


async def test_a_loss_at_the_limit_halts_and_withdraws_for_good(bot: Bot, job: Callable[..., Job]) -> None:
    limits = LimitsConfig(max_loss=Money(Decimal("0.02"), "USDT"))
    work = msgspec.structs.replace(job(Maker), limits=limits)
    outcome = await bot.run(work)
    assert HaltFlag(bot.flag).level is KillLevel.CANCEL_ALL
    assert "max_loss" in HaltFlag(bot.flag).reason
    assert outcome.left_working == ()
    cancelled_ns = max(e.at_ns for e in bot.orders(OrderEventKind.CANCELLED))
    assert not [e for e in bot.orders(OrderEventKind.SUBMITTED) if e.at_ns > cancelled_ns]


async def test_orders_that_were_to_be_cancelled_are_cancelled_at_the_next_start(
    bot: Bot, job: Callable[..., Job]
) -> None:
    """The flag is durable before the cancels are: a crash may come between them."""
    await bot.run(job(QuietAndOnce), events=4, cancel=False)
    HaltFlag(bot.flag).raise_to(KillLevel.CANCEL_ALL, "loss", 1)
    outcome = await bot.run(job(Quiet), for_s=0.1, cancel=False)
    assert outcome.left_working == ()
