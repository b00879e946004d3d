"""Stand-ins at the ports of the shell.

LoopStore      the SQLite store without its threads: a commit yields at every statement and border
Exchange       the gateway; looks into the database, from outside, before it takes a placement
ScriptedCore   takes steps like the core, and decides nothing: the shell must not care what a core decides
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.errors import StoreError, StoreFull, ValidationError
from quantcli.kernel.steps import (
    Admit,
    AdmitGroup,
    Boot,
    CancelIntents,
    Commit,
    Modify,
    Notify,
    Observed,
    Send,
    Tick,
)
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.message import (
    Amend,
    Asked,
    Cancel,
    Lookup,
    Place,
    PlaceList,
    Request,
    Silence,
)
from quantcli.model.order import AttemptState, OrderIntent, OrderState, ReconciliationStatus
from quantcli.ports import Approved
from quantcli.store.api import Identity
from quantcli.store.memory import MemoryStore
from quantcli.store.sqlite import SQLiteStore
from tests.shell.virtual_loop import LoopClock

FENCE_NS = 4 * NS_PER_S
SYMBOL = "BTC/USDT"
IDENTITY = Identity(7, 99, b"secret", 1)


class Fault(Enum):
    """What may become of a commit."""

    BEFORE = "fails, and nothing is durable"
    AFTER = "fails, and everything is durable"
    FULL = "the disk is full"


class _Connection:
    """What the store's reader asks of its connection.  It waits for its turn: writer and reader are one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, *query: Any) -> None:
        """Transactions are not needed: nothing is written meanwhile."""

    async def execute_fetchall(self, *query: Any) -> list[Any]:
        await asyncio.sleep(0)
        while self._connection.in_transaction:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return self._connection.execute(*query).fetchall()


class LoopStore(SQLiteStore):
    """The SQLite store in memory and without threads.

    `faults` says what becomes of the n-th commit (from 1); `seconds` how long the n-th takes.
    """

    def __init__(self, empty: sqlite3.Connection) -> None:
        super().__init__(Path("in memory"))
        self.faults: dict[int, Fault] = {}
        self.seconds: dict[int, float] = {}
        self.committed: list[Any] = []
        self.commits = 0
        self._database = sqlite3.connect(":memory:", isolation_level=None)
        empty.backup(self._database)
        self._reader._connection = _Connection(self._database)  # type: ignore[assignment]
        self._writer.run = self._run  # type: ignore[method-assign]
        self._identity = IDENTITY
        self.transactions: set[asyncio.Task[None]] = set()

    async def commit(self, rows: Sequence[Any]) -> None:
        self.commits += 1
        transaction = asyncio.get_running_loop().create_task(self._transaction(rows, self.commits))
        self.transactions.add(transaction)
        transaction.add_done_callback(self.transactions.discard)
        await asyncio.shield(transaction)  # a cancelled commit has happened as a whole or not at all

    async def _transaction(self, rows: Sequence[Any], number: int) -> None:
        assert not self._database.in_transaction, "two commits at once"
        self._database.execute("BEGIN IMMEDIATE")
        fault = self.faults.pop(number, None)
        try:
            await asyncio.sleep(self.seconds.get(number, 0))
            for row in rows:
                await super().commit([row])
            self._spoil(fault)
        except BaseException:
            if self._database.in_transaction:  # SQLite may have undone it by itself
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        self.committed += rows
        await asyncio.sleep(0)
        if fault is Fault.AFTER:
            raise StoreError("the disk went away")

    def _spoil(self, fault: Fault | None) -> None:
        if fault is Fault.BEFORE:
            raise StoreError("the disk went away")
        if fault is Fault.FULL:
            (pages,) = self._database.execute("PRAGMA page_count").fetchone()
            self._database.execute(f"PRAGMA max_page_count = {pages}")
            try:
                self._database.execute("INSERT INTO meta VALUES ('ballast', ?)", ("x" * 100_000,))
            except sqlite3.OperationalError as error:
                raise StoreFull("the disk is full", why=str(error)) from error
            finally:
                self._database.execute("PRAGMA max_page_count = 1000000")

    async def _run(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        result = work(self._database)
        await asyncio.sleep(0)
        return result

    async def close(self) -> None:
        """Wait for what nobody waits for any more."""
        await asyncio.gather(*self.transactions, return_exceptions=True)

    def disconnect(self) -> None:
        """Forget everything."""
        self._database.close()

    def durable(self, table: str) -> list[str]:
        """Ids in a table that would survive; none can be told while a transaction is open."""
        if self._database.in_transaction:
            return []
        column = {"intents": "intent_id", "order_states": "client_order_id"}[table]
        return [row[0] for row in self._database.execute(f"SELECT {column} FROM {table} ORDER BY 1")]


class PlainStore(MemoryStore):
    """A store with as few yields as there can be: one before and one after a commit."""

    def __init__(self) -> None:
        super().__init__(IDENTITY)
        self.committed: list[Any] = []

    async def commit(self, rows: Sequence[Any]) -> None:
        await asyncio.sleep(0)
        await super().commit(rows)
        self.committed += rows
        await asyncio.sleep(0)

    def durable(self, table: str) -> list[str]:
        """Ids in a table."""
        return sorted((self.intents if table == "intents" else self.orders).rows)


class Exchange:
    """The gateway port: keeps what is sent, and notes placements that were not durable when they came."""

    def __init__(self, store: LoopStore | PlainStore, clock: LoopClock) -> None:
        self.sent: list[Request] = []
        self.undurable: list[str] = []
        self.late: list[str] = []
        self.broken = False
        self._store, self._clock = store, clock

    def send(self, request: Request) -> None:
        self.sent.append(request)
        places = request.places if isinstance(request, PlaceList) else (request,)
        for place in places:
            if isinstance(place, Place | Amend):
                if place.client_order_id not in self._store.durable("order_states"):
                    self.undurable.append(place.client_order_id)
                if place.deadline_ns < self._clock.now_ns():
                    self.late.append(place.client_order_id)
        if self.broken:
            raise ConnectionError("the gateway breaks its word and raises")

    def ids(self, kind: type[Request]) -> list[str]:
        """Client order ids of the requests of one kind, as they came."""
        return [request.client_order_id for request in self.sent if isinstance(request, kind)]


class ScriptedCore:
    """Takes steps like a core and decides nothing: each wish has one attempt, named by its id.

    Of a group each leg's deadline is a second before the last one's.
    `breaks` lets the next `Tick` fail; `splits` gives every row a commit of its own.
    """

    def __init__(self) -> None:
        conditions = dict.fromkeys(ReconciliationStatus, 0)
        self.view = SimpleNamespace(open={}, conditions=lambda: conditions)
        self._states: dict[str, OrderState] = {}
        self.metrics = SimpleNamespace(errors=0, retries=0, lag_ns=0)
        self.seen: list[Any] = []
        self.breaks: BaseException | None = None
        self.splits = False

    def step(self, now_ns: int, event: Any) -> list[Commit]:  # noqa: PLR0911
        self.seen.append(event)
        match event:
            case Boot(loaded=loaded):
                for state in loaded.states:
                    self._keep(state)
                return [Commit((), tuple(Send(Lookup(s.client_order_id, SYMBOL)) for s in self.attempts()))]
            case Admit(approved=approved, intent_id=intent_id):
                return [self._placing(now_ns, approved, intent_id)]
            case AdmitGroup(approved=approved, intent_ids=intent_ids):
                pairs = enumerate(zip(approved, intent_ids, strict=True))
                placings = [self._placing(now_ns - number * NS_PER_S, *pair) for number, pair in pairs]
                if self.splits:
                    return placings
                rows = tuple(row for placing in placings for row in placing.rows)
                places = tuple(placing.then[0].request for placing in placings)  # type: ignore[union-attr]
                return [Commit(rows, (Send(PlaceList(places)),))]  # type: ignore[arg-type]
            case Modify(intent_id=intent_id, approved=approved):
                state = self._state(intent_id)
                amend = Amend(state.client_order_id, approved.order, 1, now_ns + FENCE_NS)
                return [Commit((state,), (Send(amend),))]
            case CancelIntents(intent_ids=intent_ids):
                states = tuple(self._state(intent_id) for intent_id in intent_ids)
                return [Commit(states, tuple(Send(Cancel(s.client_order_id, SYMBOL)) for s in states))]
            case Observed(report=Silence(request=Asked.PLACE) as silence):
                state = self._state(silence.client_order_id)
                dead = self._keep(replace(state, state=AttemptState.DEAD, reason=silence.reason))
                return [Commit((dead,), (self._note(dead),))]
            case Tick() if self.breaks is not None:
                raise self.breaks
        return []

    def next_due(self) -> int | None:
        """Nothing is ever due."""
        return None

    def attempts(self) -> list[OrderState]:
        """Every attempt there is."""
        return list(self._states.values())

    def _placing(self, now_ns: int, approved: Approved, intent_id: str) -> Commit:
        order = approved.order
        intent = OrderIntent(intent_id, order, now_ns)
        deadline_ns = now_ns + FENCE_NS
        state = OrderState(intent_id, 1, intent_id, order, 1, now_ns, deadline_ns=deadline_ns)
        self._keep(state)
        return Commit((intent, state), (Send(Place(intent_id, order, deadline_ns)), self._note(state)))

    def _keep(self, state: OrderState) -> OrderState:
        is_open = not state.state.is_closed
        self._states[state.intent_id] = state
        self.view.open[state.intent_id] = SimpleNamespace(open_attempts=[state] if is_open else [])
        return state

    def _state(self, intent_id: str) -> OrderState:
        if intent_id not in self._states:
            raise ValidationError(f"no intent {intent_id}")
        return self._states[intent_id]

    @staticmethod
    def _note(state: OrderState) -> Notify:
        intent = OrderIntent(state.intent_id, state.order, state.prepared_ns)
        return Notify(
            OrderEvent(OrderEventKind.SUBMITTED, state.prepared_ns, intent, state, reason=state.reason)
        )
