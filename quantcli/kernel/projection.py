"""What the core remembers: open intents with their attempts and fills, and how to find them.

Memory is bounded.  Settled intents are kept while an order of their group is open, because a group decides
by the fills of all, and then as one of the last `WATCHED`, so that late reports still find them.  A fill of
anything else is a stranger's: of those, the last `WATCHED` are remembered, to be told once.

Decides nothing and knows nothing of time.
"""

from decimal import Decimal

from quantcli.kernel.groups import Group
from quantcli.kernel.reconcile import WANTED
from quantcli.model.order import AttemptState, Fill, OrderIntent, OrderState, ReconciliationStatus, Working

WATCHED = 1024


class Entry:
    """An intent, its attempts by number, and the trade ids of its fills."""

    __slots__ = ("attempts", "intent", "trades")

    def __init__(self, intent: OrderIntent) -> None:
        self.intent = intent
        self.attempts: list[OrderState] = []
        self.trades: set[str] = set()

    @property
    def last(self) -> OrderState | None:
        """The latest attempt; only it can be open."""
        return self.attempts[-1] if self.attempts else None

    @property
    def working(self) -> OrderState | None:
        """The open attempt."""
        for attempt in reversed(self.attempts):
            if not attempt.state.is_closed:
                return attempt
        return None

    @property
    def is_open(self) -> bool:
        """Something is still to be done or found out."""
        return not self.intent.phase.is_terminal or self.working is not None

    @property
    def outlook(self) -> Working:
        """What may still come: the greater of what is wished and what is out there, less what is booked."""
        intent, working, remaining = self.intent, self.working, Decimal(0)
        booked = sum([attempt.fills_qty for attempt in self.attempts], Decimal(0))
        if working is not None:
            most = working.filled if working.state is AttemptState.CLOSING else working.order.quantity
            remaining = most - working.fills_qty
        if intent.phase in WANTED:
            remaining = max(intent.order.quantity - booked, remaining)
        return Working(intent.intent_id, intent.order, remaining, booked)


class Projection:
    """Entries, open and watched, by intent id, client order id and group."""

    def __init__(self) -> None:
        self.open: dict[str, Entry] = {}
        self.groups: dict[str, tuple[Group, dict[str, Entry]]] = {}
        self._watched: dict[str, Entry] = {}  # oldest first
        self._by_client_id: dict[str, tuple[Entry, int]] = {}
        self._strangers: dict[tuple[str, str], None] = {}  # oldest first

    def enter(self, intent: OrderIntent) -> Entry:
        """A new entry."""
        entry = self.open[intent.intent_id] = Entry(intent)
        if intent.group_id is not None:
            if intent.group_id not in self.groups:
                self.groups[intent.group_id] = Group.parse(intent.group_id), {}
            self.groups[intent.group_id][1][intent.intent_id] = entry
        return entry

    def attach(self, entry: Entry, state: OrderState) -> None:
        """A further attempt of an entry."""
        self._by_client_id[state.client_order_id] = entry, len(entry.attempts)
        entry.attempts.append(state)

    def find(self, intent_id: str) -> Entry | None:
        """An entry, open or watched."""
        return self.open.get(intent_id) or self._watched.get(intent_id)

    def find_attempt(self, client_order_id: str) -> tuple[Entry, int] | None:
        """The entry that an order belongs to, and the index of its attempt."""
        return self._by_client_id.get(client_order_id)

    def reopen(self, entry: Entry) -> None:
        """A watched entry has work again."""
        if self._watched.pop(entry.intent.intent_id, None) is not None:
            self.open[entry.intent.intent_id] = entry

    def retire(self, entry: Entry) -> None:
        """An entry is settled and its orders are closed: watch it, and forget the oldest watched."""
        intent_id, group_id = entry.intent.intent_id, entry.intent.group_id
        self.open.pop(intent_id, None)
        self._watched[intent_id] = entry
        if group_id in self.groups and not any(e.is_open for e in self.groups[group_id][1].values()):
            del self.groups[group_id]
        if len(self._watched) > WATCHED:
            self._forget_oldest()

    def is_stranger_known(self, fill: Fill) -> bool:
        """Remember a fill that belongs to no entry; True if it was told before."""
        key = fill.symbol, fill.trade_id
        known = key in self._strangers
        self._strangers[key] = None
        if len(self._strangers) > WATCHED:
            del self._strangers[next(iter(self._strangers))]
        return known

    def unsettled(self, symbol_id: str | None = None) -> list[OrderIntent]:
        """Unsettled intents in order of creation, of one market or all."""
        intents = (entry.intent for entry in self.open.values())
        return [i for i in intents if not i.phase.is_terminal and symbol_id in (None, i.order.symbol)]

    def conditions(self) -> dict[ReconciliationStatus, int]:
        """How many open entries are in which condition; those without an attempt await the exchange."""
        counts = dict.fromkeys(ReconciliationStatus, 0)
        for entry in self.open.values():
            last = entry.last
            counts[last.reconciliation_status if last else ReconciliationStatus.AWAITING_VENUE] += 1
        return counts

    def working(self) -> list[Working]:
        """What open entries may still do to a position."""
        return [outlook for entry in self.open.values() if (outlook := entry.outlook).remaining > 0]

    def _forget_oldest(self) -> None:
        for intent_id, entry in self._watched.items():
            if entry.intent.group_id not in self.groups:
                del self._watched[intent_id]
                for attempt in entry.attempts:
                    del self._by_client_id[attempt.client_order_id]
                return
