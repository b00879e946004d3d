"""The store of simulations and tests: dictionaries, with the rules of `store.api` kept by hand.

It stands in the path of every simulated order, so a commit costs a few dictionary writes: constraints
are looked up in indexes, and atomicity is an undo list.  No method ever suspends.  Knows no files.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from quantcli.clock import NS_PER_S
from quantcli.errors import InvariantError
from quantcli.model.order import AttemptState, Fill, OrderIntent, OrderState, ReconciliationStatus
from quantcli.store import refusals
from quantcli.store.api import Identity, Loaded, Row

_CLOSED = frozenset(state for state in AttemptState if state.is_closed)


class _Index:
    """Ids of rows under a key that some rows lack."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}

    def move(self, row_id: str, before: str | None, after: str | None) -> None:
        """List a row under another key; `None` is no key."""
        if before is not None:
            ids = self._ids[before]
            del ids[row_id]
            if not ids:
                del self._ids[before]
        if after is not None:
            self._ids.setdefault(after, {})[row_id] = None

    def ids(self, key: str) -> Iterable[str]:
        """The rows under a key."""
        return self._ids.get(key, ())


class MemoryIntents:
    """`IntentStateStore` in dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[str, OrderIntent] = {}
        self._by_symbol = _Index()
        self._by_group = _Index()

    async def create_intent(self, intent: OrderIntent) -> None:
        """See `IntentStateStore`."""
        if intent.intent_id in self.rows:
            raise refusals.intent_exists(intent.intent_id)
        self.put(intent)

    async def get_intent(self, intent_id: str) -> OrderIntent:
        """See `IntentStateStore`."""
        intent = self.rows.get(intent_id)
        if intent is None:
            raise refusals.no_intent(intent_id)
        return intent

    async def update_intent(self, intent: OrderIntent) -> None:
        """See `IntentStateStore`."""
        await self.get_intent(intent.intent_id)
        self.put(intent)

    async def delete_intent(self, intent_id: str) -> None:
        """See `IntentStateStore`."""
        self.drop(await self.get_intent(intent_id))

    async def list_intents(
        self, symbol_id: str | None = None, group_id: str | None = None
    ) -> list[OrderIntent]:
        """See `IntentStateStore`."""
        ids: Iterable[str] = self.rows
        if group_id is not None:
            ids = self._by_group.ids(group_id)
        elif symbol_id is not None:
            ids = self._by_symbol.ids(symbol_id)
        found = (self.rows[intent_id] for intent_id in ids)
        return sorted((i for i in found if symbol_id in (None, i.order.symbol)), key=_by_age)

    async def get_intents_by_group(self, group_id: str) -> list[OrderIntent]:
        """See `IntentStateStore`."""
        return await self.list_intents(group_id=group_id)

    def put(self, intent: OrderIntent) -> OrderIntent | None:
        """Insert or replace; returns what was there."""
        intent_id = intent.intent_id
        old = self.rows.get(intent_id)
        self.rows[intent_id] = intent
        if old is None:
            self._by_symbol.move(intent_id, None, intent.order.symbol)
            self._by_group.move(intent_id, None, intent.group_id)
        else:
            if old.order.symbol != intent.order.symbol:
                self._by_symbol.move(intent_id, old.order.symbol, intent.order.symbol)
            if old.group_id != intent.group_id:
                self._by_group.move(intent_id, old.group_id, intent.group_id)
        return old

    def drop(self, intent: OrderIntent) -> None:
        """Remove a row that is there."""
        del self.rows[intent.intent_id]
        self._by_symbol.move(intent.intent_id, intent.order.symbol, None)
        self._by_group.move(intent.intent_id, intent.group_id, None)


class MemoryOrders:
    """`ActualStateStore` in dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[str, OrderState] = {}
        self.open: dict[str, str] = {}  # intent -> client order id of its open attempt
        self._attempts: dict[str, dict[int, str]] = {}
        self._by_symbol = _Index()
        self._by_exchange_id = _Index()

    async def create_order_state(self, state: OrderState) -> None:
        """See `ActualStateStore`."""
        if state.client_order_id in self.rows or state.attempt in self._attempts.get(state.intent_id, ()):
            raise refusals.attempt_exists(state.client_order_id, state.intent_id, state.attempt)
        self.put(state)

    async def get_order_state(self, intent_id: str) -> OrderState:
        """See `ActualStateStore`."""
        attempts = self._attempts.get(intent_id)
        if attempts is None:
            raise refusals.no_attempt(intent_id)
        return self.rows[attempts[max(attempts)]]

    async def get_order_state_by_exchange_id(self, exchange_order_id: str) -> OrderState:
        """See `ActualStateStore`."""
        found = [self.rows[client_id] for client_id in self._by_exchange_id.ids(exchange_order_id)]
        if not found:
            raise refusals.no_exchange_id(exchange_order_id)
        return max(found, key=lambda state: (state.prepared_ns, state.client_order_id))

    async def update_order_state(self, state: OrderState) -> None:
        """See `ActualStateStore`."""
        if state.client_order_id not in self.rows:
            raise refusals.no_client_id(state.client_order_id)
        self.put(state)

    async def delete_order_state(self, intent_id: str) -> None:
        """See `ActualStateStore`."""
        attempts = self._attempts.get(intent_id)
        if attempts is None:
            raise refusals.no_attempt(intent_id)
        for client_id in list(attempts.values()):
            self.drop(self.rows[client_id])

    async def list_order_states(
        self, symbol_id: str | None = None, reconciliation_status: ReconciliationStatus | None = None
    ) -> list[OrderState]:
        """See `ActualStateStore`."""
        ids = self.rows if symbol_id is None else self._by_symbol.ids(symbol_id)
        return sorted(
            (
                state
                for state in map(self.rows.__getitem__, ids)
                if reconciliation_status in (None, state.reconciliation_status)
            ),
            key=_by_attempt,
        )

    async def get_stale_orders(self, max_age_seconds: float, now_ns: int) -> list[OrderState]:
        """See `ActualStateStore`."""
        oldest_ns = now_ns - round(max_age_seconds * NS_PER_S)
        working = map(self.rows.__getitem__, self.open.values())
        return sorted((state for state in working if state.last_sync_at < oldest_ns), key=_by_attempt)

    def of_intent(self, intent_id: str) -> Iterable[str]:
        """Client order ids of all attempts of an intent."""
        return self._attempts.get(intent_id, {}).values()

    def put(self, state: OrderState) -> OrderState | None:
        """Insert or replace; returns what was there.  Changes nothing if it raises `InvariantError`."""
        client_id, intent_id = state.client_order_id, state.intent_id
        old = self.rows.get(client_id)
        opened = self.open.get(intent_id)
        closed = state.state in _CLOSED
        if not closed and opened is not None and opened != client_id:
            raise refusals.broken_rule(f"intent {intent_id} has an open attempt already, {opened}")
        if old is None:
            self._insert(state)
        else:
            self._replace(old, state)
        self.rows[client_id] = state
        if not closed:
            self.open[intent_id] = client_id
        elif opened == client_id:
            del self.open[intent_id]
        return old

    def drop(self, state: OrderState) -> None:
        """Remove a row that is there."""
        client_id, intent_id = state.client_order_id, state.intent_id
        del self.rows[client_id]
        attempts = self._attempts[intent_id]
        del attempts[state.attempt]
        if not attempts:
            del self._attempts[intent_id]
        if self.open.get(intent_id) == client_id:
            del self.open[intent_id]
        self._by_symbol.move(client_id, state.order.symbol, None)
        self._by_exchange_id.move(client_id, state.exchange_order_id, None)

    def _insert(self, state: OrderState) -> None:
        client_id, intent_id, attempt = state.client_order_id, state.intent_id, state.attempt
        attempts = self._attempts.get(intent_id)
        if attempts is None:
            self._attempts[intent_id] = {attempt: client_id}
        elif attempt in attempts:
            raise refusals.broken_rule(
                f"attempt {attempt} of intent {intent_id} is {attempts[attempt]} already"
            )
        else:
            attempts[attempt] = client_id
        self._by_symbol.move(client_id, None, state.order.symbol)
        self._by_exchange_id.move(client_id, None, state.exchange_order_id)

    def _replace(self, old: OrderState, new: OrderState) -> None:
        client_id = new.client_order_id
        if old.attempt != new.attempt or old.intent_id != new.intent_id:
            raise refusals.broken_rule(
                f"{client_id} is attempt {old.attempt} of intent {old.intent_id} for ever"
            )
        if old.order.symbol != new.order.symbol:
            self._by_symbol.move(client_id, old.order.symbol, new.order.symbol)
        if old.exchange_order_id != new.exchange_order_id:
            self._by_exchange_id.move(client_id, old.exchange_order_id, new.exchange_order_id)


class _Fills:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Fill] = {}

    def put(self, fill: Fill) -> Fill | None:
        """Insert once; returns the fill if it was there."""
        key = fill.symbol, fill.trade_id
        old = self.rows.get(key)
        if old is None:
            self.rows[key] = fill
        elif old != fill:
            raise refusals.changed_fill(fill.symbol, fill.trade_id)
        return old

    def drop(self, fill: Fill) -> None:
        del self.rows[fill.symbol, fill.trade_id]


class MemoryStore:
    """`Store` in dictionaries; ready without `open`, and nothing is lost by `close` but the object."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.intents = MemoryIntents()
        self.orders = MemoryOrders()
        self._fills = _Fills()
        self._meta: dict[str, str] = {}
        self._put: dict[type[Row], Callable[[Any], Row | None]] = {
            OrderIntent: self.intents.put,
            OrderState: self.orders.put,
            Fill: self._fills.put,
        }

    async def open(self) -> None:
        """See `Store`."""

    async def close(self) -> None:
        """See `Store`."""

    async def commit(self, rows: Sequence[Row]) -> None:
        """See `Store`."""
        done: list[tuple[Row, Row | None]] = []
        try:
            for row in rows:
                done.append((row, self._put[type(row)](row)))
        except InvariantError:
            for row, old in reversed(done):
                self._undo(row, old)
            raise

    async def load(self) -> Loaded:
        """See `Store`."""
        unsettled = {i.intent_id for i in self.intents.rows.values() if not i.phase.is_terminal}
        unsettled.update(self.orders.open)
        groups = {i.group_id for i in self.intents.rows.values() if i.intent_id in unsettled} - {None}
        intents = [i for i in self.intents.rows.values() if i.intent_id in unsettled or i.group_id in groups]
        attempts = set(self.orders.open.values())
        for intent in intents:
            attempts.update(self.orders.of_intent(intent.intent_id))
        states = sorted(map(self.orders.rows.__getitem__, attempts), key=_by_attempt)
        return Loaded(tuple(sorted(intents, key=_by_age)), tuple(states), tuple(self._fills.rows.values()))

    async def fills(self, symbol_id: str | None = None) -> list[Fill]:
        """See `Store`."""
        return [fill for fill in self._fills.rows.values() if symbol_id in (None, fill.symbol)]

    async def get_meta(self, key: str) -> str | None:
        """See `Store`."""
        return self._meta.get(key)

    async def set_meta(self, key: str, value: str) -> None:
        """See `Store`."""
        self._meta[key] = value

    def _undo(self, row: Row, old: Row | None) -> None:
        """Take back one row, the latest that was put."""
        if old is not None:
            self._put[type(old)](old)
        elif isinstance(row, OrderIntent):
            self.intents.drop(row)
        elif isinstance(row, OrderState):
            self.orders.drop(row)
        else:
            self._fills.drop(row)


def _by_age(intent: OrderIntent) -> tuple[int, str]:
    return intent.created_ns, intent.intent_id


def _by_attempt(state: OrderState) -> tuple[str, int]:
    return state.intent_id, state.attempt
