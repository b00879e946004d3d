"""The audit holds after real runs, and each of its promises notices the lie that it is there to notice.

The lies are told at the ports: by a record, an exchange's statement or books that differ from the truth in
one thing.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from quantcli import Strategy, keep
from quantcli.clock import VirtualClock
from quantcli.model.batch import Chunk
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.market import Ticker
from quantcli.model.message import Observation, Report
from quantcli.model.order import AttemptState, Fill, IntentPhase, OrderStatus
from quantcli.recording.reader import Recording, open_recording
from quantcli.recording.writer import Writer
from quantcli.runtime.audit import audit
from quantcli.runtime.replay import Replay
from quantcli.runtime.sampling import Sampler
from quantcli.runtime.simulate import Job, simulate
from quantcli.runtime.view import ReplayView
from quantcli.runtime.wiring import SimulatedDesk, build_desk, seeded_identity
from quantcli.simulation.matching import QueueModel
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore

TINY = Decimal("1E-24")
PERP = SymbolMetadata(
    Symbol("AAA", "USDT", True, "USDT"),
    "binance",
    "AAAUSDT",
    price_tick=Decimal("0.01"),
    lot=Decimal("0.001"),
)


class Maker(Strategy):
    """Moves its quotes, trades both ways, and leaves orders resting at the end."""

    def desired(self, m: Any) -> Any:
        yield keep.bid("bid", "60 USDT", m.best_bid, tolerance=0, cooldown="1ms")
        yield keep.bid("deep", "60 USDT", m.best_bid * 0.9, tolerance=100_000)
        if m.position > 0:
            yield keep.ask("ask", "70 USDT", m.best_ask, tolerance=0, cooldown="1ms")


class Swinger(Strategy):
    """Opens, adds, closes parts and turns, on both sides of zero, in odd sizes."""

    seen = 0

    def on_tick(self, tick: Any) -> None:
        self.seen += 1
        side = self.buy if self.seen * 7 % 11 < 5 else self.sell
        side(0.007 * (1 + self.seen * 5 % 13))


class Truth:
    """What the four accounts of a run say."""

    def __init__(self, desk: SimulatedDesk, intents: Sequence[Any], states: Sequence[Any]) -> None:
        self.intents, self.states = list(intents), list(states)
        self.fills: list[Fill] = list(desk.logbook.fills)
        self.open = desk.exchange.open_orders()
        self.theirs = list(desk.exchange.fills())
        self.balances = list(desk.exchange.balances())
        self.held = desk.exchange.positions()
        self.books: Any = desk.portfolio

    def state_of(self, client_order_id: str) -> Any:
        return next(s for s in self.states if s.client_order_id == client_order_id)


class Record:
    """A kernel's record."""

    def __init__(self, told: Truth) -> None:
        self._told = told

    async def get_all_intents(self) -> list[Any]:
        return self._told.intents

    async def get_all_orders(self) -> list[Any]:
        return self._told.states


class Statement:
    """An exchange's statement."""

    def __init__(self, told: Truth) -> None:
        self.open_orders = lambda: told.open
        self.fills = lambda: told.theirs
        self.balances = lambda: told.balances
        self.positions = lambda: told.held


class Books:
    """A portfolio, but for what is given."""

    def __init__(self, true: Any, **instead: Any) -> None:
        self._true, self._instead = true, instead

    def __getattr__(self, name: str) -> Any:
        return self._instead[name] if name in self._instead else getattr(self._true, name)


async def broken(told: Truth) -> set[str]:
    record: Any = Record(told)
    statement: Any = Statement(told)
    promises = await audit(record, statement, told.books, told.fills)
    return {name for name, held in promises.items() if not held}


class Secretive:
    """The way to an exchange on which every word of one fill gets lost."""

    def __init__(self, exchange: Any, trade_id: str) -> None:
        self._exchange, self._trade_id = exchange, trade_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def on_row(self, row: int) -> list[Report]:
        return [self._censored(report) for report in self._exchange.on_row(row)]

    def advance(self, now_ns: int) -> list[Report]:
        return [self._censored(report) for report in self._exchange.advance(now_ns)]

    def _censored(self, report: Report) -> Report:
        if not isinstance(report, Observation):
            return report
        return replace(report, fills=tuple(f for f in report.fills if f.trade_id != self._trade_id))


async def run_desk(job: Job, lost: str = "") -> SimulatedDesk:
    recording = job.recording
    clock = VirtualClock(recording.from_ns)
    view = ReplayView(clock.now_ns)
    store = MemoryStore(seeded_identity(1))
    parts = job.markets, job.assumptions, job.limits, store, HaltFlag(None), clock, view
    desk = build_desk("binance", job.strategy(), *parts)
    sampler = Sampler(desk.portfolio, recording.from_ns, 10**12)

    def nothing(chunk: Chunk) -> None:
        pass

    await desk.kernel.start()
    await desk.engine.start()
    reports: Any = Secretive(desk.exchange, lost)
    await Replay(desk.engine, reports, clock, view, sampler, nothing).run(recording.chunks())
    return desk


@pytest.fixture(scope="module")
def ran() -> dict[str, SimulatedDesk]:
    """The run that all lies are about, once it was made."""
    return {}


@pytest.fixture
async def told(ran: dict[str, SimulatedDesk], job: Callable[..., Job]) -> Truth:
    """The truth, to be told otherwise."""
    desk = ran["desk"] = ran.get("desk") or await run_desk(job(Maker))
    found = Truth(desk, await desk.kernel.get_all_intents(), await desk.kernel.get_all_orders())
    assert len(found.fills) > 10
    assert len(found.open) > 1
    assert any(intent.generation > 1 for intent in found.intents)
    return found


@pytest.fixture(scope="session")
def perps(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Quotes of a perpetual contract, whose prices make unfriendly quotients."""
    root: Path = tmp_path_factory.mktemp("perps")
    with Writer(root, "binance", {"source": "made"}) as writer:
        writer.instruments([PERP])
        for n in range(300):
            mid, at_ns = 100 + (n * n * 37 % 701) / 100, 10**18 + n * 10**9
            quote = round(mid - 0.01, 2), 5.0, round(mid + 0.01, 2), 5.0
            writer.append(Ticker(PERP.symbol.name, at_ns, at_ns, n, *quote, n))
        writer.close()
    return open_recording(root)


async def test_the_truth_breaks_no_promise(told: Truth) -> None:
    assert await broken(told) == set()


@pytest.mark.parametrize("queue", list(QueueModel))
async def test_futures_runs_balance_to_the_last_digit(
    queue: QueueModel, perps: Recording, job: Callable[..., Job]
) -> None:
    run = await simulate(job(Swinger, perps, queue), all_queues=False, progress=lambda _: None)
    assert len(run.fills) > 200
    assert {fill.side for fill in run.fills} == set(Side)
    assert run.violated == []
    assert run.checked > 14


async def test_futures_accounts_agree_and_a_wrong_position_is_noticed(
    perps: Recording, job: Callable[..., Job]
) -> None:
    desk = await run_desk(job(Swinger, perps))
    told = Truth(desk, await desk.kernel.get_all_intents(), await desk.kernel.get_all_orders())
    assert told.held
    assert await broken(told) == set()
    told.held = {}
    assert await broken(told) == {"futures_positions_agree"}


# Each lie, and every promise that it breaks.


def a_strangers_order(told: Truth) -> None:
    told.open.append(replace(told.open[0], client_order_id="stranger"))


def a_fill_of_no_attempt(told: Truth) -> None:
    told.states.remove(told.state_of(told.theirs[0].client_order_id))


def two_orders_of_one_wish(told: Truth) -> None:
    live = told.state_of(told.open[0].client_order_id)
    second = replace(live, attempt=99, client_order_id="second")
    told.states.append(second)
    told.open.append(replace(told.open[0], client_order_id="second"))


def an_order_that_outlives_its_wish(told: Truth) -> None:
    mine = told.state_of(told.open[0].client_order_id).intent_id
    place = next(n for n, intent in enumerate(told.intents) if intent.intent_id == mine)
    told.intents[place] = replace(told.intents[place], phase=IntentPhase.CANCELED)


def an_order_we_think_live(told: Truth) -> None:
    del told.open[0]


def an_order_that_filled_more(told: Truth) -> None:
    told.open[0] = replace(told.open[0], filled=told.open[0].filled + TINY)


def a_fill_of_no_wish(told: Truth) -> None:
    told.fills[-1] = replace(told.fills[-1], intent_id="")


def a_fill_told_twice(told: Truth) -> None:
    told.fills.append(told.fills[0])


def a_fill_lost(told: Truth) -> None:
    del told.fills[-1]


def a_fill_told_with(**changes: Any) -> Callable[[Truth], None]:
    def lie(told: Truth) -> None:
        told.theirs[3] = replace(told.theirs[3], **changes)

    lie.__name__ = f"a_fill_with_another_{next(iter(changes))}"
    return lie


def closed(told: Truth) -> int:
    return next(
        n
        for n, s in enumerate(told.states)
        if s.state is AttemptState.DONE and s.status is OrderStatus.CANCELED and not s.filled
    )


def a_count_without_fills(told: Truth) -> None:
    n = closed(told)
    told.states[n] = replace(told.states[n], filled=TINY)


def fills_that_are_not_held(told: Truth) -> None:
    n = closed(told)
    told.states[n] = replace(told.states[n], filled=TINY, fills_qty=TINY)


def more_than_was_sent(told: Truth) -> None:
    n = next(n for n, s in enumerate(told.states) if s.status is OrderStatus.FILLED)
    order = told.states[n].order
    told.states[n] = replace(told.states[n], order=replace(order, quantity=order.quantity - TINY))


def satisfied_with(change: Decimal) -> Callable[[Truth], None]:
    def lie(told: Truth) -> None:
        n = next(
            n
            for n, i in enumerate(told.intents)
            if i.phase is IntentPhase.SATISFIED and (i.generation == 1 or change > 0)
        )
        order = told.intents[n].order
        changed = replace(order, quantity=order.quantity + change)
        told.intents[n] = replace(told.intents[n], order=changed)

    lie.__name__ = f"satisfied_with_too_{'little' if change > 0 else 'much'}"
    return lie


def a_position_off(told: Truth) -> None:
    off = [replace(p, qty=p.qty + TINY) for p in told.books.positions()]
    told.books = Books(told.books, positions=lambda: off)


def a_position_nobody_traded(told: Truth) -> None:
    [known] = told.books.positions()
    more = [known, replace(known, symbol="BBB/USDT", qty=Decimal(1))]
    told.books = Books(told.books, positions=lambda: more)


def a_futures_position_of_theirs(told: Truth) -> None:
    told.held = {"AAA/USDT:USDT": Decimal(1)}


def a_balance_off(told: Truth) -> None:
    told.balances[0] = replace(told.balances[0], total=told.balances[0].total + TINY)


def a_balance_missing(told: Truth) -> None:
    del told.balances[0]


def money_from_nowhere(told: Truth) -> None:
    told.books = Books(told.books, realised=told.books.realised + TINY)


# What a fill more or less changes.
RECOUNTED = {
    *("fills_agree", "fills_add_up_by_order", "satisfied_means_filled", "position_is_the_sum_of_fills")
}

LIES: list[tuple[Callable[[Truth], None], set[str]]] = [
    (a_strangers_order, {"every_order_has_an_intent", "live_orders_agree"}),
    (a_fill_of_no_attempt, {"every_order_has_an_intent"}),
    (two_orders_of_one_wish, {"one_live_order_per_intent"}),
    (an_order_that_outlives_its_wish, {"settled_intents_have_no_live_order"}),
    (an_order_we_think_live, {"live_orders_agree"}),
    (an_order_that_filled_more, {"live_orders_agree"}),
    (a_fill_of_no_wish, {"every_fill_has_an_intent", "satisfied_means_filled"}),
    (a_fill_told_twice, {"no_fill_doubled", *RECOUNTED}),
    (a_fill_lost, RECOUNTED),
    *(
        (a_fill_told_with(**change), {"fills_agree"})
        for change in (
            {"qty": TINY},
            {"price": TINY},
            {"fee": TINY},
            {"fee_asset": "BNB"},
            {"is_maker": None},
            {"trade_id": "another"},
        )
    ),
    (a_count_without_fills, {"fills_add_up_by_order"}),
    (fills_that_are_not_held, {"fills_add_up_by_order"}),
    (more_than_was_sent, {"no_order_overfilled"}),
    (satisfied_with(TINY), {"satisfied_means_filled"}),
    (satisfied_with(-TINY), {"satisfied_means_filled"}),
    (a_position_off, {"position_is_the_sum_of_fills"}),
    (a_position_nobody_traded, {"position_is_the_sum_of_fills"}),
    (a_futures_position_of_theirs, {"futures_positions_agree"}),
    (a_balance_off, {"balances_agree"}),
    (a_balance_missing, {"balances_agree"}),
    (money_from_nowhere, {"money_adds_up"}),
]


@pytest.mark.parametrize(("lie", "breaks"), LIES, ids=lambda part: getattr(part, "__name__", ""))
async def test_a_lie_is_noticed(lie: Callable[[Truth], None], breaks: set[str], told: Truth) -> None:
    lie(told)
    assert await broken(told) == breaks


async def test_every_promise_has_a_lie_that_breaks_it(told: Truth) -> None:
    record: Any = Record(told)
    statement: Any = Statement(told)
    names = set(await audit(record, statement, told.books, told.fills))
    assert names == set().union(*(breaks for _, breaks in LIES))


async def test_a_fill_that_never_reached_us_is_noticed(job: Callable[..., Job]) -> None:
    desk = await run_desk(job(Maker), lost="3")
    promises = await audit(desk.kernel, desk.exchange, desk.portfolio, desk.logbook.fills)
    assert {name for name, held in promises.items() if not held} == {"fills_agree", "balances_agree"}
