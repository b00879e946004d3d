"""Engine, kernel and store together, on an exchange that loses, repeats and delays: a wish that moves at
random, promises that hold at every step, and agreement once the faults stop.

    never two live orders of a slot                 nothing is sent without a durable row
    never more filled than was ever wished          spot coins are never on sale twice
    position = what was held + every fill recorded, each of which happened, and in the end all of them
    calm again: every slot has the order that is wished, no other order lives
"""

import heapq
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from quantcli.bus import Bus
from quantcli.clock import NS_PER_MS, NS_PER_S, VirtualClock
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.identity import read
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.market import Ticker
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
from quantcli.model.order import Fill, OrderIntent, OrderStatus, OrderType
from quantcli.store.api import Identity, Store
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore
from quantcli.store.sqlite import SQLiteStore
from quantcli.trading.engine import Engine
from quantcli.trading.portfolio import Portfolio
from quantcli.trading.risk import Limits, RiskGate
from quantcli.trading.strategy import Strategy
from quantcli.trading.wishes import Wish, hold, keep

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
HELD = Decimal(20)
START_NS = 1_700_000_000 * NS_PER_S
MINUTE = 60

CALM = dict.fromkeys(("unheard", "lost", "twice", "blind", "refused", "unsent", "stranger", "trade"), 0.0)
# Answers are lost and late; what is sent arrives.
DEAF = CALM | {"lost": 0.25, "twice": 0.2, "blind": 0.2, "trade": 1.0}
# The way there is no better, and others meddle.
WILD = DEAF | {"unheard": 0.05, "refused": 0.05, "unsent": 0.05, "stranger": 0.03}


class Listed:
    """An order as the exchange has it."""

    def __init__(self, place: Place) -> None:
        self.client_order_id, self.order = place.client_order_id, place.order
        self.status, self.fills = OrderStatus.NEW, list[Fill]()

    @property
    def filled(self) -> Decimal:
        return sum((fill.qty for fill in self.fills), Decimal(0))

    @property
    def rest(self) -> Decimal:
        return Decimal(0) if self.status.is_terminal else self.order.quantity - self.filled

    def end(self) -> None:
        self.status = OrderStatus.PARTIALLY_CANCELED if self.fills else OrderStatus.CANCELED


class Exchange:
    """The exchange and the way to it (`ports.Gateway`); `on_send` hears of every request."""

    def __init__(self, random: Random, clock: VirtualClock) -> None:
        self.random, self.clock, self.faults = random, clock, dict(CALM)
        self.listed: dict[str, Listed] = {}
        self.reports: list[Report] = []
        self.on_send: Callable[[Request], None] = lambda request: None
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._turn, self._trades = count(), count(1)

    def send(self, request: Request) -> None:
        self.on_send(request)
        kind = {Place: "place", Cancel: "cancel"}.get(type(request), "lookup")
        if self._chance("unsent"):
            self.reports.append(Silence(request.client_order_id, kind, "no route", sent=False))
        elif self._chance("unheard"):
            self._stay_silent(request.client_order_id, kind)
        else:
            self._later(lambda: self._arrive(request, kind))

    def _arrive(self, request: Request, kind: str) -> None:
        client_id = request.client_order_id
        listed = self.listed.get(client_id)
        if isinstance(request, Place):
            assert listed is None, "a client order id twice"
            if self._chance("refused"):
                self._answer(Refusal(client_id, kind, -2010, "refused"), kind)
                return
            listed = self.listed[client_id] = Listed(request)
            if listed.order.type is OrderType.MARKET:
                self._trade(listed, listed.order.quantity)
            else:
                self._live(listed)
        elif listed is None or (kind == "lookup" and self._chance("blind")):
            self._answer(Absence(client_id, 0) if kind == "lookup" else _unknown(client_id), kind)
            return
        elif kind == "cancel":
            if listed.status.is_terminal:
                self._answer(_unknown(client_id), kind)
                return
            listed.end()
        self._answer(self._shown(listed, *(listed.fills if kind == "lookup" else ())), kind)

    def _live(self, listed: Listed) -> None:
        """Sooner or later somebody trades with it, or cancels it by hand."""

        def happen() -> None:
            if listed.status.is_terminal:
                return
            if self._chance("stranger"):
                listed.end()
                self._stream(self._shown(listed))
                return
            if self._chance("trade"):
                self._trade(listed, min(listed.rest, Decimal(self.random.randint(1, 30)) / 10))
            self._live(listed)

        self._after(self.random.randint(50, 30_000), happen)

    def _trade(self, listed: Listed, qty: Decimal) -> None:
        order = listed.order
        price = order.price or Decimal(100)
        stamps = self.clock.now_ns(), listed.client_order_id, f"X{listed.client_order_id}"
        fee = Decimal("0.01")
        fill = Fill(
            f"T{next(self._trades)}", order.symbol, order.side, qty, price, fee, "USDT", True, *stamps
        )
        listed.fills.append(fill)
        done = listed.filled == order.quantity
        listed.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        self._stream(self._shown(listed, fill))

    def _shown(self, listed: Listed, *fills: Fill) -> Observation:
        client_id = listed.client_order_id
        return Observation(client_id, f"X{client_id}", listed.status, listed.filled, 0, fills)

    # What comes back, and when.

    def _answer(self, report: Report, kind: str) -> None:
        if self._chance("lost"):
            self._stay_silent(report.client_order_id, kind)
        else:
            self._stream(report, lossy=False)

    def _stay_silent(self, client_order_id: str, kind: str) -> None:
        if self.random.random() < 0.5:
            self._after(1000, lambda: self.reports.append(Silence(client_order_id, kind, "time-out")))

    def _stream(self, report: Report, lossy: bool = True) -> None:
        if lossy and self._chance("lost"):
            return
        for _ in range(2 if self._chance("twice") else 1):
            self._later(lambda: self.reports.append(report))

    def _later(self, what: Callable[[], None]) -> None:
        slow = self.random.random() < 0.1
        self._after(self.random.randint(100, 6000) if slow else self.random.randint(5, 100), what)

    def _after(self, milliseconds: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.clock.now_ns() + milliseconds * NS_PER_MS, next(self._turn), what))

    def _chance(self, fault: str) -> bool:
        return self.random.random() < self.faults[fault]

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def advance(self) -> None:
        while self._due and self._due[0][0] <= self.clock.now_ns():
            heapq.heappop(self._due)[2]()


def _unknown(client_order_id: str) -> Refusal:
    return Refusal(client_order_id, "cancel", -2011, "unknown order")


class Wisher(Strategy):
    """Wishes what it is told."""

    wishes: dict[str, tuple[Wish, ...]]

    def desired(self, m: Any) -> Iterator[Wish]:
        yield from self.wishes.get(m.symbol, ())


class LastQuote:
    """A market that stands still, and the position by the books."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self.portfolio = clock, None

    @property
    def now_ns(self) -> int:
        return self._clock.now_ns()

    def quote(self, symbol: str) -> Ticker:
        return Ticker(symbol, 0, self.now_ns, 0, 100.0, 1.0, 100.01, 1.0, 0)

    def position(self, symbol: str) -> Decimal:
        return self.portfolio.qty(symbol)


class Run:
    """One seed."""

    def __init__(self, seed: int, store: Store, markets: dict[str, SymbolMetadata]) -> None:
        self.random, self.store, self.markets = Random(seed), store, markets
        self.clock = VirtualClock(START_NS)
        self.exchange = Exchange(self.random, self.clock)
        self.exchange.on_send = self.check_durable
        self.wishes: dict[str, tuple[Wish, ...]] = {}
        self.intents: dict[str, OrderIntent] = {}
        self.most_wished: dict[str, Decimal] = {}
        self.told: list[Fill] = []
        self.steps = 0
        self.excuses: tuple[str, ...] = ()

    async def start(self) -> None:
        """A new process over what the store holds."""
        clock, view = self.clock, LastQuote(self.clock)
        balances = {"USDT": Decimal(1_000_000), "BTC": HELD}
        mark = {SPOT: Decimal(100), PERP: Decimal(100)}.get
        self.portfolio = Portfolio("test", "USDT", balances, self.markets, mark, clock)
        view.portfolio = self.portfolio
        self.told = list((await self.store.load()).fills)
        for fill in self.told:
            self.portfolio.apply(fill)
        halt = HaltFlag(None)
        gate = RiskGate(
            Limits(),
            self.portfolio,
            self.markets,
            mark,
            lambda: self.kernel.working(),  # noqa: PLW0108 (the kernel is made after its gate)
            halt,
            clock,
        )
        self.kernel = ExchangeKernel(
            "test", self.store, self.exchange, gate, self.portfolio, self.markets, clock
        )
        self.kernel.subscribe_events(self.note)
        strategy = Wisher()
        strategy.wishes = self.wishes
        self.engine = Engine(self.kernel, strategy, self.markets, self.portfolio, view, clock, Bus())
        await self.kernel.start()
        await self.engine.start()

    def note(self, event: Any) -> None:
        intent = event.intent
        self.intents[intent.intent_id] = intent
        most = max(self.most_wished.get(intent.intent_id, Decimal(0)), intent.order.quantity)
        self.most_wished[intent.intent_id] = most
        if event.fill is not None:
            self.told.append(event.fill)

    async def pass_time(self, seconds: float) -> None:
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        while True:
            dues = [at for at in (self.exchange.next_due(), self.engine.next_due()) if at is not None]
            if not dues or min(dues) > end_ns:
                break
            self.clock.advance_to(min(dues))
            self.exchange.advance()
            while self.exchange.reports:
                await self.engine.take([self.exchange.reports.pop(0)])
            await self.engine.due()
            self.check_always()
        self.clock.advance_to(end_ns)

    async def wish_something(self) -> None:
        random = self.random
        wishes: list[Wish] = []
        for slot, verb in (("bid", keep.bid), ("low", keep.bid), ("ask", keep.ask), ("high", keep.ask)):
            if random.random() < 0.8:
                size, price = random.randint(1, 100) / 10, 100 + random.randint(-50, 50) / 100
                wishes.append(verb(slot, size, price, tolerance=random.choice((0, 1, 5)), cooldown="300ms"))
        self.wishes[SPOT] = tuple(wishes)
        self.wishes[PERP] = (hold(random.randint(-5, 5)),) if random.random() < 0.9 else ()
        if random.random() < 0.1:
            self.engine.strategy.cancel_all()
        for symbol in self.markets:
            self.engine.evaluate(symbol)
        await self.engine.flush()

    # Promises.

    def check_durable(self, request: Request) -> None:
        if isinstance(self.store, MemoryStore):
            assert request.client_order_id in self.store.orders.rows
        else:
            with sqlite3.connect(self.store._path) as file:
                query = "SELECT 1 FROM order_states WHERE client_order_id = ?"
                assert file.execute(query, (request.client_order_id,)).fetchone()
            file.close()

    def intent_of(self, listed: Listed) -> OrderIntent:
        return self.intents[read(self.store.identity, listed.client_order_id)[0]]

    def live(self) -> dict[str, Listed]:
        """What lives on the exchange, by slot."""
        return {
            self.intent_of(x).metadata["slot"]: x
            for x in self.exchange.listed.values()
            if not x.status.is_terminal
        }

    def check_always(self) -> None:
        self.steps += 1
        every = self.exchange.listed.values()
        living = [x for x in every if not x.status.is_terminal]
        assert len(self.live()) == len(living), "two live orders of a slot"
        truth = HELD + sum(f.side.sign * f.qty for x in every for f in x.fills if f.symbol == SPOT)
        on_sale = sum(x.rest for x in living if (x.order.symbol, x.order.side) == (SPOT, Side.SELL))
        assert on_sale <= truth, "coins on sale twice"
        traded: Counter[str] = Counter()
        for listed in every:
            traded[self.intent_of(listed).intent_id] += listed.filled
        assert all(qty <= self.most_wished[intent_id] for intent_id, qty in traded.items()), "overfilled"
        self.check_books()

    def check_books(self) -> None:
        happened = {f.trade_id: f.qty for x in self.exchange.listed.values() for f in x.fills}
        assert all(happened[f.trade_id] == f.qty for f in self.told)
        assert len({f.trade_id for f in self.told}) == len(self.told), "a fill told twice"
        for symbol, held in ((SPOT, HELD), (PERP, Decimal(0))):
            told = sum(f.side.sign * f.qty for f in self.told if f.symbol == symbol)
            assert self.portfolio.qty(symbol) == held + told

    def check_agreement(self) -> None:
        """Nothing is left to do: the exchange has what is wished, but for slots that say why not."""
        everything = {f.trade_id for x in self.exchange.listed.values() for f in x.fills}
        assert {f.trade_id for f in self.told} == everything, "a fill forgotten"
        live = self.live()
        status = self.engine.slots[SPOT].status()
        stated = {slot for slot, words in status.items() if words.startswith(self.excuses)}
        wished = {wish.slot: wish for wish in self.wishes[SPOT]}
        assert set(live) <= set(wished), "an order that nobody wishes"
        for slot in set(wished) - stated:
            # Orders that are unknown may have taken the coins of a sell.
            if not stated or wished[slot].side is Side.BUY:
                self.check_slot(wished[slot], live.get(slot))
        self.check_held({w.intent_id for w in self.kernel.working()})

    def check_slot(self, wish: Any, listed: Listed | None) -> None:
        room = self.portfolio.qty(SPOT) - sum(
            s.rest for name, s in self.live().items() if name != wish.slot and s.order.side is Side.SELL
        )
        size = Decimal(str(wish.size)) if wish.side is Side.BUY else min(Decimal(str(wish.size)), room)
        if listed is None:
            assert size <= 0, f"{wish.slot} is missing"
            return
        assert listed.order.side is wish.side
        assert abs(listed.order.price - Decimal(str(wish.price))) <= Decimal("0.01") * int(wish.tolerance)
        assert abs(listed.rest - size) <= Decimal(str(wish.size_tolerance)) * size, wish.slot

    def check_held(self, working: set[str]) -> None:
        wished = self.wishes[PERP]
        slots = self.engine.slots[PERP].status()
        if wished and not any(words.startswith(self.excuses) for words in slots.values()):
            (target,) = wished
            assert abs(self.portfolio.qty(PERP) - target.target) <= abs(target.target) * 0.05
        arrived = {self.intent_of(listed).intent_id for listed in self.exchange.listed.values()}
        for intent_id in working - arrived:
            assert self.stated(intent_id).startswith(self.excuses)

    def stated(self, intent_id: str) -> str:
        intent = self.intents[intent_id]
        return self.engine.slots[intent.order.symbol].status().get(intent.metadata["slot"], "")


async def live_through(run: Run, faults: dict[str, float], restarts: bool) -> None:
    await run.start()
    run.exchange.faults = faults
    # A placement that nobody heard stays unknown, and a slot does not fight those who cancel its orders.
    run.excuses = ("paused", "unknown", "being cancelled") if faults["stranger"] else ()
    for _ in range(run.random.randint(8, 16)):
        await run.wish_something()
        await run.pass_time(run.random.choice((0.05, 1, 5, 20)))
        if restarts and run.random.random() < 0.2:
            run.exchange.reports.clear()
            await run.start()
    run.exchange.faults = dict(CALM)
    await run.pass_time(5 * MINUTE)
    run.check_agreement()


@pytest.fixture
def markets(rules: Callable[..., SymbolMetadata]) -> dict[str, SymbolMetadata]:
    return {symbol: rules(symbol) for symbol in (SPOT, PERP)}


def memory() -> MemoryStore:
    return MemoryStore(Identity(7, 99, b"secret", 1))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("faults", [CALM | {"trade": 1.0}, DEAF, WILD], ids=["calm", "deaf", "wild"])
async def test_orders_follow_the_wish_and_promises_hold(markets, faults, restarts):
    steps = 0
    for seed in range(10):
        run = Run(seed, memory(), markets)
        try:
            await live_through(run, faults, restarts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        steps += run.steps
    assert steps > 500


async def test_the_same_on_a_durable_store(markets, tmp_path: Path):
    for seed in range(2):
        store = SQLiteStore(tmp_path / f"{seed}.db")
        await store.open()
        try:
            await live_through(Run(seed, store, markets), WILD, restarts=True)
        finally:
            await store.close()
