"""The commit that a step is writing: changed rows, each once; requests; and what subscribers will be told.

Kept apart from the core so that there is one place where rows and sends meet: `take` is the only maker
of a `Commit`.  Decides nothing.

Words of the journal, beside the kinds of order events and the requests sent (`placed`, `resent`, `amending`,
`cancelling`, `probing`): `wished`, `modified`, `withdrawn`, `held back`, `let go`, `refused`, `silent`,
`denied`, `agreed`, `buried`, `reopened`, `outdated`, `imported`, `adopted`, `settled`; of the whole
`started`, `halted`, `resync`, `drift`, `safe mode`, `trusted`.
"""

from typing import Any

from msgspec.structs import replace

from quantcli.kernel.projection import Entry, MarketView, Projection
from quantcli.kernel.steps import Commit, Notify, Send
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.message import Correction, Request
from quantcli.model.order import Fill, OrderGroup, OrderIntent, OrderState
from quantcli.store.api import JournalEntry, Remark, Row

_Note = tuple[OrderEventKind, Entry, int, Fill | None, str]


class Draft:
    """Rows, requests and notes of the step at `now_ns`."""

    __slots__ = ("_journal", "_notes", "_requests", "_rows", "_view", "now_ns")

    def __init__(self, view: Projection) -> None:
        self.now_ns = 0
        self._view = view
        self._rows: dict[Any, Row] = {}
        self._journal: list[JournalEntry] = []
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
        """Change an attempt, or write a new one's row."""
        self._view.update(entry, state)
        self._rows[state.client_order_id] = state

    def put_group(self, group: OrderGroup) -> None:
        """Change a group, or write a new one's row."""
        self._rows["group", group.group_id] = group

    def put_market(self, market: MarketView, **changes: Any) -> None:
        """Change a market's row."""
        market.row = replace(market.row, **changes)
        self._rows[market.row.symbol] = market.row

    def add_fill(self, fill: Fill) -> None:
        """A new fill's row."""
        self._rows[fill.symbol, fill.trade_id] = fill

    def add_correction(self, correction: Correction) -> None:
        """A new correction's row."""
        self._rows[correction.symbol, correction.cause, correction.cause_id] = correction

    def remark(self, key: str, value: str) -> None:
        """Remember, or with an empty value forget, a fact about the whole."""
        self._rows["remark", key] = Remark(key, value)

    def log(self, entry: Entry | None, attempt: int, what: str, detail: str = "") -> None:
        """Write into the journal what happened to an entry and one of its attempts (0: none)."""
        intent_id = entry.intent.intent_id if entry is not None else ""
        self._journal.append(JournalEntry(self.now_ns, intent_id, attempt, what, detail))

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
        if not (self._rows or self._requests or self._notes or self._journal):
            return []
        told = [Notify(self._event(*note)) for note in self._notes]
        commit = Commit((*self._rows.values(), *self._journal), (*self._requests, *told))
        self._rows, self._journal, self._requests, self._notes = {}, [], [], []
        return [commit]

    def _event(
        self, kind: OrderEventKind, entry: Entry, attempt: int, fill: Fill | None, why: str
    ) -> OrderEvent:
        state = entry.numbered(attempt) if attempt else None
        return OrderEvent(kind, self.now_ns, entry.intent, state, fill, why)
