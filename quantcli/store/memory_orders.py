"""Attempts in dictionaries: what is, with its indexes and rules.  Knows one table, and no transactions."""

from collections.abc import Iterable

from quantcli.clock import NS_PER_S
from quantcli.model.order import AttemptState, Evidence, OrderState, ReconciliationStatus
from quantcli.store import refusals
from quantcli.store.memory_intents import Index

_CLOSED = frozenset(state for state in AttemptState if state.is_closed)


class MemoryOrders:
    """`ActualStateStore` in dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[str, OrderState] = {}
        self.open: dict[str, str] = {}  # intent -> client order id of its open attempt
        self.reopened: dict[str, None] = {}  # client order ids of attempts that are open again
        self._attempts: dict[str, dict[int, str]] = {}
        self._by_symbol = Index()
        self._by_exchange_id = Index()

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
            key=by_attempt,
        )

    async def get_stale_orders(self, max_age_seconds: float, now_ns: int) -> list[OrderState]:
        """See `ActualStateStore`."""
        oldest_ns = now_ns - round(max_age_seconds * NS_PER_S)
        working = map(self.rows.__getitem__, self.all_open())
        return sorted((state for state in working if state.last_sync_at < oldest_ns), key=by_attempt)

    def all_open(self) -> list[str]:
        """Client order ids of all attempts that are not closed."""
        return [*self.open.values(), *self.reopened]

    def of_intent(self, intent_id: str) -> Iterable[str]:
        """Client order ids of all attempts of an intent."""
        return self._attempts.get(intent_id, {}).values()

    def put(self, state: OrderState) -> OrderState | None:
        """Insert or replace; returns what was there.  Changes nothing if it raises `InvariantError`."""
        client_id, intent_id = state.client_order_id, state.intent_id
        old = self.rows.get(client_id)
        opened = self.open.get(intent_id)
        closed = state.state in _CLOSED
        counts = not closed and not state.reopened
        if counts and opened is not None and opened != client_id:
            raise refusals.broken_rule(f"intent {intent_id} has an open attempt already, {opened}")
        if closed:
            _check_end(state)
        if old is None:
            self._insert(state)
        else:
            self._replace(old, state)
        self.rows[client_id] = state
        if counts:
            self.open[intent_id] = client_id
        elif opened == client_id:
            del self.open[intent_id]
        if state.reopened or (old is not None and old.reopened):
            self._keep_reopened(state, closed)
        return old

    def put_back(self, state: OrderState) -> None:
        """Undo the change of a row; the rules that look back at what it was do not apply."""
        self.drop(self.rows[state.client_order_id])
        self.put(state)

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
        self.reopened.pop(client_id, None)
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
        if new.filled < old.filled:
            raise refusals.broken_rule(f"{client_id} has filled {old.filled}, and that never falls")
        if old.state in _CLOSED and new.state not in _CLOSED and not new.reopened:
            raise refusals.broken_rule(f"{client_id} was closed, and is open again only as a reopened one")
        if old.order.symbol != new.order.symbol:
            self._by_symbol.move(client_id, old.order.symbol, new.order.symbol)
        if old.exchange_order_id != new.exchange_order_id:
            self._by_exchange_id.move(client_id, old.exchange_order_id, new.exchange_order_id)

    def _keep_reopened(self, state: OrderState, closed: bool) -> None:
        if state.reopened and not closed:
            self.reopened[state.client_order_id] = None
        else:
            self.reopened.pop(state.client_order_id, None)


def _check_end(state: OrderState) -> None:
    """Whether what is said of a closed attempt is enough to close it."""
    if state.state is AttemptState.DONE:
        if state.filled != state.fills_qty:
            raise refusals.broken_rule(f"{state.client_order_id} is done, but not every fill of it is known")
    elif not state.reason:
        raise refusals.broken_rule(f"{state.client_order_id} is dead for no reason")
    elif state.reason.startswith("proved") and not _is_proof(state.evidence):
        raise refusals.broken_rule(f"{state.client_order_id} is proved dead without proof")


def _is_proof(evidence: Evidence | None) -> bool:
    """Fenced off, then denied by the exchange, then not found and not missed."""
    if evidence is None or not 0 < evidence.fenced_ns <= evidence.probed_ns:
        return False
    return evidence.probed_ns <= min(evidence.first_absent_ns, evidence.first_agreed_ns)


def by_attempt(state: OrderState) -> tuple[str, int]:
    """The order in which attempts are listed."""
    return state.intent_id, state.attempt
