"""Intents in dictionaries: what should be, with its indexes.  Knows one table, and no transactions."""

from collections.abc import Iterable

from quantcli.model.order import OrderIntent
from quantcli.store import refusals


class Index:
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
        self._by_symbol = Index()
        self._by_group = Index()
        self._by_request: dict[str, str] = {}

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
        return sorted((i for i in found if symbol_id in (None, i.order.symbol)), key=by_age)

    async def get_intents_by_group(self, group_id: str) -> list[OrderIntent]:
        """See `IntentStateStore`."""
        return await self.list_intents(group_id=group_id)

    async def get_intent_by_request(self, request_id: str) -> OrderIntent | None:
        """See `IntentStateStore`."""
        intent_id = self._by_request.get(request_id)
        return None if intent_id is None else self.rows[intent_id]

    def put(self, intent: OrderIntent) -> OrderIntent | None:
        """Insert or replace; returns what was there.  Changes nothing if it raises `InvariantError`."""
        intent_id = intent.intent_id
        old = self.rows.get(intent_id)
        if intent.request_id or (old is not None and old.request_id):
            self._claim(intent, old)
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
        self._by_request.pop(intent.request_id, None)

    def _claim(self, intent: OrderIntent, old: OrderIntent | None) -> None:
        """Let the intent have its request id, and have it for ever."""
        if old is not None and old.request_id != intent.request_id:
            raise refusals.broken_rule(f"intent {intent.intent_id} keeps its request id for ever")
        owner = self._by_request.setdefault(intent.request_id, intent.intent_id)
        if owner != intent.intent_id:
            raise refusals.broken_rule(f"request {intent.request_id} asked for intent {owner} already")


def by_age(intent: OrderIntent) -> tuple[int, str]:
    """The order in which intents are listed."""
    return intent.created_ns, intent.intent_id
