"""What survives a crash: the rows, and the rules that the database itself keeps (`store.api`).

Commits apply as a whole; a row that breaks a rule is a violation, named after the invariant.  With `nosync` a
crash may lose the latest commits, as a disk does that says it has written what it has not.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from quantcli.model.message import Correction
from quantcli.model.order import AttemptState, Fill, OrderGroup, OrderIntent, OrderState
from quantcli.store.api import RECENT_NS, Identity, JournalEntry, Loaded, MarketRow, Remark, Row

from .markets import base_of
from .violation import Violation

_ZERO = Decimal(0)
_CLOSED = frozenset({AttemptState.DONE, AttemptState.DEAD})


class Disk:
    """Rows by kind and key, in order of insertion; `version` counts commits, `epoch` boots."""

    def __init__(self) -> None:
        self.nosync = False
        self.epoch = 0
        self.commits: list[Sequence[Row]] = []
        self.clear()

    def clear(self) -> None:
        """An empty disk."""
        self.intents: dict[str, OrderIntent] = {}
        self.states: dict[str, OrderState] = {}
        self.attempts: dict[str, list[str]] = {}  # client order ids by intent, by number
        self.open: dict[str, str] = {}  # intent -> the open attempt that was not reopened
        self.reopened: dict[str, None] = {}
        self.fills: dict[tuple[str, str], Fill] = {}
        self.groups: dict[str, OrderGroup] = {}
        self.markets: dict[str, MarketRow] = {}
        self.ledger: dict[str, Decimal] = {}
        self.corrections: dict[tuple[str, str, str], Correction] = {}
        self.journal: list[JournalEntry] = []
        self.remarks: dict[str, str] = {}
        self.requests: dict[str, str] = {}

    def identity(self) -> Identity:
        """Of the next run of the program: every boot has ids of its own."""
        self.epoch += 1
        return Identity(7, 99, b"secret", self.epoch)

    def knows(self, exchange_order_id: str) -> bool:
        """Whether an attempt stands for this order of the exchange."""
        return any(state.exchange_order_id == exchange_order_id for state in self.states.values())

    def commit(self, rows: Sequence[Row]) -> None:
        """Make rows durable; raises `Violation` where a rule would be broken."""
        self.commits.append(rows)
        self._apply(rows)

    def lose(self, number: int) -> None:
        """Power is lost, and the latest commits with it."""
        kept = self.commits[: len(self.commits) - number]
        self.clear()
        self.commits = kept
        for rows in kept:
            self._apply(rows)

    def _apply(self, rows: Sequence[Row]) -> None:
        for row in rows:
            _PUT[type(row)](self, row)
        for row in rows:
            if type(row) is MarketRow and row.position != self.ledger.get(row.symbol, _ZERO):
                raise Violation("I10", f"{row.symbol}: {row.position} is not {self.ledger.get(row.symbol)}")

    def load(self) -> Loaded:
        """See `Store.load`."""
        wanted = {i: None for i, intent in self.intents.items() if not intent.phase.is_terminal}
        wanted.update(dict.fromkeys(self.open))
        wanted.update({self.states[c].intent_id: None for c in self.reopened})
        groups = {self.intents[i].group_id: None for i in wanted if i in self.intents}
        intents = [
            intent
            for i, intent in self.intents.items()
            if i in wanted or (intent.group_id is not None and intent.group_id in groups)
        ]
        known = {intent.intent_id: None for intent in intents}
        states = [
            state
            for c, state in self.states.items()
            if state.intent_id in known or state.state not in _CLOSED
        ]
        return Loaded(
            tuple(sorted(intents, key=lambda intent: (intent.created_ns, intent.intent_id))),
            tuple(sorted(states, key=lambda state: (state.intent_id, state.attempt))),
            tuple(fill for fill in self.fills.values() if fill.intent_id in known or self._is_recent(fill)),
            tuple(group for g, group in self.groups.items() if g in groups),
            tuple(self.markets[symbol] for symbol in sorted(self.markets)),
            tuple(Remark(key, value) for key, value in self.remarks.items()),
            tuple(self.corrections.values()),
        )

    def _is_recent(self, fill: Fill) -> bool:
        market = self.markets.get(fill.symbol)
        return market is None or fill.exchange_ns >= market.surveyed_ns - RECENT_NS

    def _put_intent(self, intent: OrderIntent) -> None:
        request_id, intent_id = intent.request_id, intent.intent_id
        if request_id and self.requests.setdefault(request_id, intent_id) != intent_id:
            raise Violation("I25", f"request {request_id} names two intents")
        self.intents[intent.intent_id] = intent

    def _put_state(self, state: OrderState) -> None:
        client_id, intent_id = state.client_order_id, state.intent_id
        old = self.states.get(client_id)
        if old is None:
            of_intent = self.attempts.setdefault(intent_id, [])
            if any(self.states[other].attempt == state.attempt for other in of_intent):
                raise Violation("I12", f"attempt {state.attempt} of {intent_id} has two ids")
            of_intent.append(client_id)
        elif (old.intent_id, old.attempt) != (intent_id, state.attempt):
            raise Violation("I12", f"{client_id} is another attempt now")
        elif state.filled < old.filled:
            raise Violation("I8", f"{client_id}: {old.filled} -> {state.filled}")
        self.states[client_id] = state
        self._note_open(state)

    def _note_open(self, state: OrderState) -> None:
        client_id, intent_id = state.client_order_id, state.intent_id
        is_open = state.state not in _CLOSED
        self.reopened.pop(client_id, None)
        if is_open and state.reopened:
            self.reopened[client_id] = None
        counts = is_open and not state.reopened
        if counts and self.open.setdefault(intent_id, client_id) != client_id:
            raise Violation("I1", f"two open attempts of {intent_id} in the database")
        if not counts and self.open.get(intent_id) == client_id:
            del self.open[intent_id]

    def _put_fill(self, fill: Fill) -> None:
        key = fill.symbol, fill.trade_id
        old = self.fills.get(key)
        if old is not None:
            if old != fill:
                raise Violation("I9", f"fill {key} changed")
            return
        self.fills[key] = fill
        fee = fill.fee if fill.fee_asset == base_of(fill.symbol) else _ZERO
        self._move(fill.symbol, fill.qty * fill.side.sign - fee)

    def _put_correction(self, correction: Correction) -> None:
        key = correction.symbol, correction.cause, correction.cause_id
        is_new = key not in self.corrections
        if self.corrections.setdefault(key, correction) != correction:
            raise Violation("I9", f"correction {key} changed")
        if is_new:
            self._move(correction.symbol, correction.delta)

    def _move(self, symbol: str, delta: Decimal) -> None:
        self.ledger[symbol] = self.ledger.get(symbol, _ZERO) + delta

    def _put_group(self, group: OrderGroup) -> None:
        self.groups[group.group_id] = group

    def _put_market(self, market: MarketRow) -> None:
        self.markets[market.symbol] = market

    def _put_journal(self, entry: JournalEntry) -> None:
        if self.journal and entry.at_ns < self.journal[-1].at_ns:
            raise Violation("journal", "it goes back in time")
        self.journal.append(entry)

    def _put_remark(self, remark: Remark) -> None:
        if remark.value:
            self.remarks[remark.key] = remark.value
        else:
            self.remarks.pop(remark.key, None)


_PUT: dict[type, Any] = {
    OrderIntent: Disk._put_intent,
    OrderState: Disk._put_state,
    Fill: Disk._put_fill,
    OrderGroup: Disk._put_group,
    MarketRow: Disk._put_market,
    Correction: Disk._put_correction,
    JournalEntry: Disk._put_journal,
    Remark: Disk._put_remark,
}
