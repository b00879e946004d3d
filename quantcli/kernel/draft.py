"""The commit that a step is writing: changed rows, each once; requests; and what subscribers will be told.

Kept apart from the core so that there is one place where rows and sends meet: `take` is the only maker
of a `Commit`.  Decides nothing.
"""

from typing import Any

from msgspec.structs import replace

from quantcli.kernel.projection import Entry
from quantcli.kernel.steps import Commit, Notify, Send
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.order import Fill, OrderIntent, OrderState, Request
from quantcli.store.api import Row

_Note = tuple[OrderEventKind, Entry, int, Fill | None, str]


class Draft:
    """Rows, requests and notes of the step at `now_ns`."""

    __slots__ = ("_notes", "_requests", "_rows", "now_ns")

    def __init__(self) -> None:
        self.now_ns = 0
        self._rows: dict[Any, Row] = {}
        self._requests: list[Send] = []
        self._notes: list[_Note] = []

    def put_intent(self, entry: Entry, **changes: Any) -> None:
        """Change an intent."""
        entry.intent = replace(entry.intent, updated_ns=self.now_ns, **changes)
        self._rows[entry.intent.intent_id] = entry.intent

    def add_intent(self, intent: OrderIntent) -> None:
        """A new intent's row."""
        self._rows[intent.intent_id] = intent

    def put_state(self, entry: Entry, state: OrderState) -> None:
        """Change an attempt, or add the next one's row."""
        entry.attempts[state.attempt - 1] = state
        self._rows[state.client_order_id] = state

    def add_fill(self, fill: Fill) -> None:
        """A new fill's row."""
        self._rows[fill.symbol, fill.trade_id] = fill

    def send(self, request: Request) -> None:
        """Send a request once the rows are durable."""
        self._requests.append(Send(request))

    def tell(
        self, kind: OrderEventKind, entry: Entry, attempt: int, *, fill: Fill | None = None, reason: str = ""
    ) -> None:
        """Tell subscribers about an entry and one of its attempts (by number; 0: none)."""
        self._notes.append((kind, entry, attempt, fill, reason))

    def tells_fill_of(self, entry: Entry) -> bool:
        """Whether subscribers learn of a fill of this entry."""
        return any(note[0] is OrderEventKind.FILLED and note[1] is entry for note in self._notes)

    def take(self) -> list[Commit]:
        """The commit, or nothing if nothing changed; an empty draft remains.

        Requests come first.  Events show intents and attempts as the whole step leaves them.
        """
        if not (self._rows or self._requests or self._notes):
            return []
        told = [Notify(self._event(*note)) for note in self._notes]
        commit = Commit(tuple(self._rows.values()), (*self._requests, *told))
        self._rows, self._requests, self._notes = {}, [], []
        return [commit]

    def _event(
        self, kind: OrderEventKind, entry: Entry, attempt: int, fill: Fill | None, why: str
    ) -> OrderEvent:
        state = entry.attempts[attempt - 1] if attempt else None
        return OrderEvent(kind, self.now_ns, entry.intent, state, fill, why)
