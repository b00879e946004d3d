"""The kernel against an exchange that loses, repeats, delays and reorders, in virtual time, by seed.

The exchange knows the truth, so it can tell which promises hold (numbers from the list of invariants):

    I1   at most one order of an intent is live            I4   a placement that arrives has a durable row
    I2   fills never exceed the largest quantity wished     I5   a settled intent has no live order
    I3   fills recorded are fills that happened, and in the end all of them
    I20  a leg of a group never wants more than the others left
    I6   SATISFIED means filled in full, any other end tells exactly what was filled
    I13  each placement arrives once                        I15  an attempt is never larger than the rest

Crashes happen at commits: before or after one is durable, everything in memory is lost and a new kernel
starts from the store.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from random import Random

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.errors import ValidationError
from quantcli.kernel.identity import read
from quantcli.kernel.policy import Policy
from quantcli.model.instrument import Side
from quantcli.model.message import (
    Absence,
    Cancel,
    Observation,
    Place,
    Refusal,
    Report,
    Request,
    Silence,
)
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OcoMode,
    OrderIntent,
    OrderState,
    OrderStatus,
    ReconciliationStatus,
    StandardOrder,
    StandardOrderGroup,
)
from quantcli.store.api import Identity
from quantcli.store.memory import MemoryStore

CALM = {"lost": 0.0, "twice": 0.0, "blind": 0.0, "external": 0.0, "refused": 0.0, "unsent": 0.0}
WILD = {"lost": 0.15, "twice": 0.15, "blind": 0.2, "external": 0.03, "refused": 0.05, "unsent": 0.03}


class Crash(Exception):
    """The process is killed."""


class CrashingStore(MemoryStore):
    """Dies at the commits of given numbers: before the even ones are durable, after the odd ones."""

    def __init__(self, at: frozenset[int]) -> None:
        super().__init__(Identity(7, 99, b"secret", 1))
        self.at, self.commits = at, 0
        self.most_wished: Counter[str] = Counter()

    async def commit(self, rows):
        self.commits += 1
        if self.commits in self.at and self.commits % 2 == 0:
            raise Crash
        await super().commit(rows)
        for row in rows:
            self.check(row)
        if self.commits in self.at:
            raise Crash

    def attempts(self, intent_id: str) -> list[OrderState]:
        return [self.orders.rows[client_id] for client_id in self.orders.of_intent(intent_id)]

    def check(self, row) -> None:
        if isinstance(row, OrderIntent):
            wished = max(self.most_wished[row.intent_id], row.order.quantity)
            self.most_wished[row.intent_id] = wished
        elif isinstance(row, OrderState) and row.state is AttemptState.PREPARED:
            intent = self.intents.rows[row.intent_id]
            traded = sum(s.filled for s in self.attempts(row.intent_id))
            assert row.order.quantity <= intent.order.quantity - traded, "I15"


@dataclass
class Book:
    """An order as the exchange has it."""

    client_order_id: str
    order: StandardOrder
    status: OrderStatus = OrderStatus.NEW
    filled: Decimal = Decimal(0)
    fills: list[Fill] = field(default_factory=list)
    ended_by_others: bool = False

    @property
    def is_live(self) -> bool:
        return not self.status.is_terminal


class World:
    """Time, the way to the exchange, and the exchange; a Gateway."""

    def __init__(self, seed: int, now_ns: Callable[[], int], faults: dict[str, float]) -> None:
        self.random, self.faults = Random(seed), dict(faults)
        self.now_ns = now_ns
        self.orders: dict[str, Book] = {}
        self.arrived: Counter[str] = Counter()
        self.reports: list[Report] = []
        self.trace: list[object] = []
        self.on_place: Callable[[Place], None] = lambda place: None
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._turn, self._trades = count(), count(1)

    # The way there and back.

    def send(self, request: Request) -> None:
        self.trace.append((self.now_ns(), request))
        kind = {Place: "place", Cancel: "cancel"}.get(type(request), "lookup")
        if self.chance("unsent"):
            sent = Silence(request.client_order_id, kind, "no route", sent=False)
            self.after(1, lambda: self.reports.append(sent))
            return
        if self.chance("lost"):
            self.time_out(request.client_order_id, kind)
        else:
            self.after(self.delay(), lambda: self.arrive(request, kind))

    def time_out(self, client_order_id: str, kind: str) -> None:
        """Nothing will come: the gateway says so, or does not even do that."""
        if self.random.random() < 0.5:
            silence = Silence(client_order_id, kind, "time-out")
            self.after(1000, lambda: self.reports.append(silence))

    def answer(self, report: Report, kind: str) -> None:
        if self.chance("lost"):
            self.time_out(report.client_order_id, kind)
            return
        for _ in range(2 if self.chance("twice") else 1):
            self.after(self.delay(), lambda: self.reports.append(report))

    def stream(self, book: Book, *fills: Fill) -> None:
        """An order update on the private stream; it may be lost without anybody noticing."""
        report = self.shown(book, fills)
        if not self.chance("lost"):
            for _ in range(2 if self.chance("twice") else 1):
                self.after(self.delay(), lambda: self.reports.append(report))

    # The exchange.

    def arrive(self, request: Request, kind: str) -> None:
        client_id = request.client_order_id
        book = self.orders.get(client_id)
        if isinstance(request, Place):
            self.arrived[client_id] += 1
            self.on_place(request)
            if self.chance("refused") or self.now_ns() > request.deadline_ns:
                self.answer(Refusal(client_id, "place", -2010, "refused"), kind)
                return
            book = self.orders[client_id] = Book(client_id, request.order)
            self.trade_later(book)
        elif book is None or (kind == "lookup" and self.chance("blind")):
            unknown = Refusal(client_id, "cancel", -2011, "unknown order")
            self.answer(unknown if kind == "cancel" else Absence(client_id, self.now_ns()), kind)
            return
        elif kind == "cancel":
            if not book.is_live:
                self.answer(Refusal(client_id, "cancel", -2011, "unknown order"), kind)
                return
            self.end(book)
        self.answer(self.shown(book, book.fills if kind == "lookup" else ()), kind)

    def trade_later(self, book: Book) -> None:
        def trade() -> None:
            if not book.is_live:
                return
            if self.chance("external"):
                self.end(book)
                book.ended_by_others = True
                self.stream(book)
                return
            rest = book.order.quantity - book.filled
            qty = min(rest, Decimal(self.random.randint(1, 4)))
            client_id, order = book.client_order_id, book.order
            fill = Fill(
                f"T{next(self._trades)}",
                order.symbol,
                order.side,
                qty,
                order.price or Decimal(1),
                Decimal(0),
                "USDT",
                True,
                self.now_ns(),
                client_id,
                f"X{client_id}",
            )
            book.fills.append(fill)
            book.filled += qty
            done = book.filled == order.quantity
            book.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
            self.stream(book, fill)
            self.trade_later(book)

        self.after(self.random.randint(10, 60_000), trade)

    def end(self, book: Book) -> None:
        book.status = OrderStatus.PARTIALLY_CANCELED if book.filled else OrderStatus.CANCELED

    def shown(self, book: Book, fills: object) -> Observation:
        exchange_id = f"X{book.client_order_id}"
        return Observation(
            book.client_order_id, exchange_id, book.status, book.filled, self.now_ns(), tuple(fills)
        )

    # Time and chance.

    def chance(self, fault: str) -> bool:
        return self.random.random() < self.faults[fault]

    def delay(self) -> int:
        """Milliseconds one way: mostly short, sometimes long enough to overtake and to be given up on."""
        return self.random.randint(5, 100) if self.random.random() < 0.9 else self.random.randint(100, 6000)

    def after(self, milliseconds: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now_ns() + milliseconds * NS_PER_MS, next(self._turn), what))

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def advance(self) -> None:
        """Let happen what is due."""
        while self._due and self._due[0][0] <= self.now_ns():
            heapq.heappop(self._due)[2]()


class Run:
    """One seed: a bench, a world, users, and the promises that are checked as it goes."""

    def __init__(self, make_bench, seed: int, faults: dict[str, float], crashes: frozenset[int]) -> None:
        self.bench = make_bench(Policy(), CrashingStore(crashes))
        self.world = World(seed, self.bench.clock.now_ns, faults)
        self.world.on_place = self.check_durable
        self.bench.gateway = self.world
        self.bench.kernel = self.bench.new_kernel()
        self.store = self.bench.store
        self.crashes = 0
        self.checked = 0

    async def go(self) -> None:
        await self.survive(self.bench.kernel.start())
        random = self.world.random
        for _ in range(random.randint(4, 8)):
            await self.survive(self.some_wish())
            await self.pass_time(random.uniform(0, 20))
        wild, self.world.faults = self.world.faults, dict(CALM)
        await self.pass_time(60)
        self.check_fresh()
        self.world.faults = wild
        await self.survive(self.cancel_everything())
        await self.pass_time(10)
        self.world.faults = dict(CALM)
        await self.survive(self.cancel_everything())
        await self.pass_time(200)
        self.check_end()

    async def survive(self, doing) -> None:
        """Do something; if the process dies of it, start the next one, however often it takes."""
        try:
            await doing
        except Crash:
            self.crashes += 1
            await self.survive(self.bench.restart())

    async def some_wish(self) -> None:
        kernel, random, bench = self.bench.kernel, self.world.random, self.bench
        open_ids = [working.intent_id for working in kernel.working()]
        choice = random.random()
        if choice < 0.45 or not open_ids:
            await kernel.place_order(bench.order(str(random.randint(1, 12))), {})
        elif choice < 0.6:
            leg = bench.order(str(random.randint(2, 12)), side=Side.SELL)
            mode = random.choice([OcoMode.REDUCE_ON_PARTIAL, OcoMode.CANCEL_ON_FILL])
            await kernel.place_order_group(StandardOrderGroup((leg, leg), mode), {})
        elif choice < 0.8:
            intent_id = random.choice(open_ids)
            order = (await kernel.get_order_intent(intent_id)).order
            changed = replace(
                order, quantity=Decimal(random.randint(1, 12)), price=Decimal(random.randint(90, 99))
            )
            try:
                await kernel.modify_order(intent_id, changed)
            except ValidationError:
                assert (await kernel.get_order_intent(intent_id)).phase not in ("PENDING", "ACTIVE")
        else:
            await kernel.cancel_order(random.choice(open_ids))

    async def cancel_everything(self) -> None:
        await self.bench.kernel.cancel_all_orders()

    async def pass_time(self, seconds: float) -> None:
        clock, world = self.bench.clock, self.world
        end_ns = clock.now_ns() + round(seconds * NS_PER_S)
        while True:
            dues = [due for due in (world.next_due(), self.bench.kernel.next_due()) if due is not None]
            if not dues or min(dues) > end_ns:
                break
            clock.advance_to(min(dues))
            world.advance()
            while world.reports:
                await self.survive(self.bench.kernel.observe(world.reports.pop(0)))
            await self.survive(self.bench.kernel.run_due())
            self.check_always()
        clock.advance_to(end_ns)

    # Promises.

    def of_intent(self, intent_id: str) -> list[Book]:
        return [
            b
            for b in self.world.orders.values()
            if read(self.store.identity, b.client_order_id)[0] == intent_id
        ]

    def check_durable(self, place: Place) -> None:
        row = self.store.orders.rows[place.client_order_id]
        assert row.order == place.order, "I4"
        assert self.world.arrived[place.client_order_id] == 1, "I13"

    def check_always(self) -> None:
        self.checked += 1
        live = Counter(
            read(self.store.identity, b.client_order_id)[0] for b in self.world.orders.values() if b.is_live
        )
        for intent_id, number in live.items():
            assert number == 1, "I1"
            assert not self.store.intents.rows[intent_id].phase.is_terminal, "I5"
        self.check_groups()
        for fill in self.store._fills.rows.values():
            happened = {f.trade_id: f.qty for f in self.world.orders[fill.client_order_id].fills}
            assert happened[fill.trade_id] == fill.qty, "I3"

    def check_groups(self) -> None:
        legs: dict[str, list[OrderIntent]] = {}
        for intent in self.store.intents.rows.values():
            if intent.group_id is not None:
                legs.setdefault(intent.group_id, []).append(intent)
        for group_id, members in legs.items():
            shared = self.store._groups.rows[group_id].quantity
            known = {i.intent_id: sum(s.filled for s in self.store.attempts(i.intent_id)) for i in members}
            for intent in members:
                others = sum(known.values()) - known[intent.intent_id]
                if intent.phase in ("PENDING", "ACTIVE"):
                    assert intent.order.quantity <= shared - others, "I20"

    def check_fresh(self) -> None:
        """After a minute without faults nothing older than half of it is unknown."""
        known = {fill.trade_id for fill in self.store._fills.rows.values()}
        old_ns = self.bench.clock.now_ns() - 40 * NS_PER_S
        for book in self.world.orders.values():
            assert {f.trade_id for f in book.fills if f.exchange_ns < old_ns} <= known, "L4"

    def check_not_fought(self, intent_id: str, books: list[Book]) -> None:
        """Nothing is placed after an order that somebody else cancelled."""
        cancelled = {r.client_order_id for _, r in self.world.trace if isinstance(r, Cancel)}
        foreign = [b for b in books if b.ended_by_others and b.client_order_id not in cancelled]
        for book in foreign:
            last = self.store.attempts(intent_id)[-1]
            assert last.client_order_id == book.client_order_id, "fought"

    def check_end(self) -> None:
        recorded = Counter()
        for fill in self.store._fills.rows.values():
            recorded[fill.intent_id] += fill.qty
        for intent_id, intent in self.store.intents.rows.items():
            books = self.of_intent(intent_id)
            self.check_not_fought(intent_id, books)
            traded = sum((book.filled for book in books), Decimal(0))
            assert recorded[intent_id] == traded, "I3"
            assert traded <= self.store.most_wished[intent_id], "I2"
            attempts = self.store.attempts(intent_id)
            for state in attempts:
                assert state.state is not AttemptState.DONE or state.fills_qty == state.filled, "I7"
            if intent.phase.is_terminal:
                assert not any(book.is_live for book in books), "I5"
                assert (intent.phase is IntentPhase.SATISFIED) == (traded >= intent.order.quantity), "I6"
            else:
                self.check_held(attempts[-1])

    def check_held(self, last) -> None:
        """Only a placement that never became an order may stay unsettled, and it must say so."""
        assert last.client_order_id not in self.world.orders, "L1"
        assert last.state is AttemptState.AMBIGUOUS
        assert last.reconciliation_status is ReconciliationStatus.NEEDS_OPERATOR, "L2"


async def run(make_bench, seed, faults=WILD, crashes=frozenset()):
    world = Run(make_bench, seed, faults, crashes)
    try:
        await world.go()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, crashes at {sorted(crashes)}: {error}") from error
    return world


@pytest.mark.parametrize("block", range(10))
async def test_promises_hold_against_a_lying_exchange(make_bench, block):
    seen = Counter()
    for seed in range(block * 20, block * 20 + 20):
        done = await run(make_bench, seed)
        seen["checks"] += done.checked
        seen.update(intent.phase for intent in done.store.intents.rows.values())
        seen["second attempts"] += sum(s.attempt > 1 for s in done.store.orders.rows.values())
    assert seen["checks"] > 1000
    assert all(seen[phase] for phase in (IntentPhase.SATISFIED, IntentPhase.CANCELED, "second attempts"))


async def test_a_calm_exchange_leaves_nobody_waiting(make_bench):
    for seed in range(50):
        done = await run(make_bench, seed, CALM)
        assert all(intent.phase.is_terminal for intent in done.store.intents.rows.values())


async def test_equal_seeds_give_equal_traces(make_bench):
    for seed in range(10):
        first, second = await run(make_bench, seed), await run(make_bench, seed)
        assert first.world.trace == second.world.trace
        assert first.bench.events == second.bench.events
        assert first.store.orders.rows == second.store.orders.rows


@pytest.mark.parametrize("seed", range(3))
async def test_promises_survive_a_crash_at_any_commit(make_bench, seed):
    commits = (await run(make_bench, seed)).store.commits
    assert commits > 10
    for number in range(1, commits + 1):
        crashed = await run(make_bench, seed, WILD, frozenset({number}))
        assert crashed.crashes == 1 or crashed.store.commits < number


async def test_promises_survive_crash_upon_crash(make_bench):
    for seed in range(30):
        done = await run(make_bench, seed, WILD, frozenset(range(3, 60, 1 + seed % 5)))
        assert done.crashes > 1
