"""The store of simulations and tests: dictionaries, with the rules of `store.api` kept by hand.

It stands in the path of every simulated order, so a commit costs a few dictionary writes: constraints
are looked up in indexes, and atomicity is an undo list.  No method ever suspends.  Knows no files.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from quantcli.errors import InvariantError
from quantcli.model.message import Correction
from quantcli.model.order import Fill, OrderGroup, OrderIntent, OrderState
from quantcli.store import refusals
from quantcli.store.api import RECENT_NS, Identity, JournalEntry, Loaded, MarketRow, Remark, Row
from quantcli.store.memory_intents import MemoryIntents, by_age
from quantcli.store.memory_orders import MemoryOrders, by_attempt

T = TypeVar("T", bound=msgspec.Struct)

_JOURNAL_ENTRIES = 10_000


class _Facts(Generic[T]):
    """Rows that never change or go away, by what `key_of` says identifies them."""

    def __init__(
        self, key_of: Callable[[T], tuple[str, ...]], changed: Callable[..., InvariantError]
    ) -> None:
        self.rows: dict[tuple[str, ...], T] = {}
        self._key_of, self._changed = key_of, changed

    def put(self, row: T) -> T | None:
        """Insert once; returns the row if it was there."""
        key = self._key_of(row)
        old = self.rows.get(key)
        if old is None:
            self.rows[key] = row
        elif old != row:
            raise self._changed(*key)
        return old

    def drop(self, row: T) -> None:
        del self.rows[self._key_of(row)]


class _Named(Generic[T]):
    """Rows that are replaced, by the field that names them."""

    def __init__(self, key_of: Callable[[T], str]) -> None:
        self.rows: dict[str, T] = {}
        self._key_of = key_of

    def put(self, row: T) -> T | None:
        """Insert or replace; returns what was there."""
        key = self._key_of(row)
        old = self.rows.get(key)
        self.rows[key] = row
        return old

    def drop(self, row: T) -> None:
        del self.rows[self._key_of(row)]

    def in_order(self) -> list[T]:
        return [self.rows[key] for key in sorted(self.rows)]


class MemoryStore:
    """`Store` in dictionaries; ready without `open`, and nothing is lost by `close` but the object."""

    def __init__(self, identity: Identity) -> None:
        self.was_restored = False
        self.identity = identity
        self.intents = MemoryIntents()
        self.orders = MemoryOrders()
        self._fills: _Facts[Fill] = _Facts(lambda row: (row.symbol, row.trade_id), refusals.changed_fill)
        self._corrections: _Facts[Correction] = _Facts(
            lambda row: (row.symbol, row.cause, row.cause_id), refusals.changed_correction
        )
        self._groups: _Named[OrderGroup] = _Named(lambda row: row.group_id)
        self._markets: _Named[MarketRow] = _Named(lambda row: row.symbol)
        self._remarks: _Named[Remark] = _Named(lambda row: row.key)
        self._journal: deque[JournalEntry] = deque(maxlen=_JOURNAL_ENTRIES)
        self._parts: dict[type[Row], Any] = {
            OrderIntent: self.intents,
            OrderState: self.orders,
            Fill: self._fills,
            Correction: self._corrections,
            OrderGroup: self._groups,
            MarketRow: self._markets,
            Remark: self._remarks,
        }
        self._put: dict[type[Row], Callable[[Any], Row | None]] = {
            kind: part.put for kind, part in self._parts.items()
        }

    async def open(self) -> None:
        """See `Store`."""

    async def close(self) -> None:
        """See `Store`."""

    async def commit(self, rows: Sequence[Row]) -> None:
        """See `Store`."""
        done: list[tuple[Row, Row | None]] = []
        entries: list[JournalEntry] = []
        try:
            for row in rows:
                if type(row) is JournalEntry:
                    entries.append(row)
                else:
                    done.append((row, self._put[type(row)](row)))
        except InvariantError:
            for row, old in reversed(done):
                self._undo(row, old)
            raise
        self._journal.extend(entries)

    async def load(self) -> Loaded:
        """See `Store`."""
        unsettled = {i.intent_id for i in self.intents.rows.values() if not i.phase.is_terminal}
        unsettled.update(self.orders.rows[client_id].intent_id for client_id in self.orders.all_open())
        groups = {i.group_id for i in self.intents.rows.values() if i.intent_id in unsettled} - {None}
        intents = [i for i in self.intents.rows.values() if i.intent_id in unsettled or i.group_id in groups]
        attempts = set(self.orders.all_open())
        for intent in intents:
            attempts.update(self.orders.of_intent(intent.intent_id))
        states = sorted(map(self.orders.rows.__getitem__, attempts), key=by_attempt)
        return Loaded(
            tuple(sorted(intents, key=by_age)),
            tuple(states),
            tuple(self._fills_to_load({intent.intent_id for intent in intents})),
            tuple(group for group in self._groups.in_order() if group.group_id in groups),
            tuple(self._markets.in_order()),
            tuple(r for r in self._remarks.in_order() if r.key.startswith("kernel.") and r.value),
            tuple(self._corrections.rows.values()),
        )

    def _fills_to_load(self, intent_ids: set[str]) -> Iterable[Fill]:
        oldest_ns = {row.symbol: row.surveyed_ns - RECENT_NS for row in self._markets.rows.values()}
        for fill in self._fills.rows.values():
            if fill.intent_id in intent_ids or fill.exchange_ns >= oldest_ns.get(fill.symbol, -RECENT_NS):
                yield fill

    async def fills(self, symbol_id: str | None = None) -> list[Fill]:
        """See `Store`."""
        return [fill for fill in self._fills.rows.values() if symbol_id in (None, fill.symbol)]

    async def corrections(self, symbol_id: str | None = None) -> list[Correction]:
        """See `Store`."""
        return [row for row in self._corrections.rows.values() if symbol_id in (None, row.symbol)]

    async def journal(self, intent_id: str | None = None) -> list[JournalEntry]:
        """See `Store`."""
        return [entry for entry in self._journal if intent_id in (None, entry.intent_id)]

    async def groups(self) -> list[OrderGroup]:
        """See `Store`."""
        return self._groups.in_order()

    async def markets(self) -> list[MarketRow]:
        """See `Store`."""
        return self._markets.in_order()

    async def get_meta(self, key: str) -> str | None:
        """See `Store`."""
        remark = self._remarks.rows.get(key)
        return remark.value or None if remark else None

    async def set_meta(self, key: str, value: str) -> None:
        """See `Store`."""
        await self.commit([Remark(key, value)])

    def _undo(self, row: Row, old: Row | None) -> None:
        """Take back one row, the latest that was put."""
        part = self._parts[type(row)]
        if old is None:
            part.drop(row)
        elif isinstance(old, OrderState):
            self.orders.put_back(old)
        else:
            part.put(old)
