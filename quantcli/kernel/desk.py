"""What all steps of the core share: the projection, the draft, the queues, and what holds for the kernel as a
whole.

Whether something may be placed (`closed`), what a group asks for after a fill (`balance`), what a market's
position is by our books (`book`).  Decides nothing about a single order: `reconcile` does.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.kernel import groups
from quantcli.kernel.draft import Draft
from quantcli.kernel.execution import Execution
from quantcli.kernel.policy import Policy
from quantcli.kernel.projection import Entry, MarketView, Projection
from quantcli.kernel.steps import Halted
from quantcli.kernel.workqueue import WorkQueue
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.message import Correction
from quantcli.model.order import (
    Fill,
    IntentPhase,
    OcoMode,
    OrderGroup,
    OrderIntent,
    ReconciliationStatus,
    StandardOrder,
)
from quantcli.store.api import RECENT_NS, Identity, Loaded, MarketRow

BETRAYAL = "kernel.quarantine"
SAFE_MODE = "kernel.safe_mode"


def correction_key(correction: Correction) -> tuple[str, str]:
    """What a correction is known by, beside the trades of its market."""
    return correction.symbol, f"{correction.cause}/{correction.cause_id}"


class Desk:
    """The core's shared state.

    `halted` is the kill switch.  `betrayal` says how the exchange broke its contract, `safe_mode` why our own
    record cannot be all there was; both are empty while there is nothing to say, and end with an
    operator's word.  `alarms` say, by group, why its position is not guarded as was wished.
    """

    def __init__(self, identity: Identity, policy: Policy, rules: Mapping[str, SymbolMetadata]) -> None:
        self.policy, self.rules = policy, rules
        self.view = Projection()
        self.queue, self.surveys = WorkQueue(), WorkQueue()
        self.draft = Draft(self.view)
        self.hands = Execution(identity, policy, self.view, self.draft)
        self.halted = Halted.NOT
        self._frozen: set[str] = set()  # wishes that were there when trading was halted
        self.betrayal = self.safe_mode = ""
        self.clock_error_ns = 0
        self.alarms: dict[str, str] = {}
        self._quotes: dict[str, tuple[Decimal, Decimal]] = {}
        self._unprotected: dict[str, int] = {}  # since when, by group

    def restore(self, loaded: Loaded, symbols: tuple[str, ...]) -> None:
        """Remember what the store knows."""
        view = self.view
        for row in loaded.markets:
            view.markets[row.symbol] = MarketView(row, self.rules.get(row.symbol), self.draft.now_ns)
        for intent in loaded.intents:
            view.enter(intent)
        for state in loaded.states:
            if (entry := view.open.get(state.intent_id)) is not None:
                view.attach(entry, state)
                self.market(state.order.symbol)
        for group in loaded.groups:
            view.enter_group(group)
        self._restore_fills(loaded.fills)
        for correction in loaded.corrections:
            view.is_known(correction_key(correction), correction.venue_ns)
        remarks = {remark.key: remark.value for remark in loaded.remarks}
        self.betrayal, self.safe_mode = remarks.get(BETRAYAL, ""), remarks.get(SAFE_MODE, "")
        for symbol in symbols:
            self.market(symbol)

    def _restore_fills(self, fills: Iterable[Fill]) -> None:
        """Bind fills to their orders; of one that was adopted, those it had as a stranger's, too."""
        view, known = self.view, dict[str, Decimal]()
        for fill in fills:
            client_id = fill.client_order_id
            if not fill.intent_id:
                client_id = view.client_id_of(fill.symbol, fill.exchange_order_id)
            found = view.find_attempt(client_id)
            entry = view.open.get(fill.intent_id) or (found[0] if found else None)
            view.is_fill_known(fill, entry)
            known[client_id] = known.get(client_id, Decimal(0)) + fill.qty
            if entry is not None and fill.intent_id:
                entry.base_fees += self.market(fill.symbol).base_fee(fill)
        for client_id, quantity in known.items():
            if (found := view.find_attempt(client_id)) is not None and found[1].fills_qty < quantity:
                view.update(found[0], replace(found[1], fills_qty=quantity))

    def enqueue(self, entry: Entry) -> None:
        """Look at an entry in this step."""
        self.queue.add(entry.intent.intent_id, self.draft.now_ns)

    def enqueue_all(self, symbol: str | None = None) -> None:
        """Look at all open entries, of one market or all, in this step."""
        for entry in self.view.open.values():
            if symbol in (None, entry.intent.order.symbol):
                self.enqueue(entry)

    def retire(self, entry: Entry) -> None:
        """An entry has come to its end; its group learns of it."""
        group_id = entry.intent.group_id
        if group_id in self.view.groups:
            self.balance(group_id)
        self.view.retire(entry)

    # Whether orders may be placed.

    @property
    def is_special(self) -> bool:
        """Something bears on more than one wish: statements to be waited for, a halt, a finding."""
        return bool(
            self.policy.venue.statement
            or self._frozen
            or self.safe_mode
            or self.betrayal
            or self.clock_error_ns
        )

    def closed(self, intent: OrderIntent) -> ReconciliationStatus | None:
        """Why nothing may be placed for an intent now; `None` if it may."""
        if self.safe_mode or intent.intent_id in self._frozen:
            return ReconciliationStatus.HALTED
        if self.policy.venue.statement:
            market = self.market(intent.order.symbol)
            if not market.is_synced or market.unrecorded:
                return ReconciliationStatus.SYNCING
        return None

    def is_linked(self, intent: OrderIntent) -> bool:
        """Whether the exchange links the intent's order to others."""
        found = self.view.groups.get(intent.group_id or "")
        return found is not None and found[0].mode is OcoMode.NATIVE

    def halt(self, level: Halted) -> None:
        """Place nothing any more for the wishes there are, but for those that protect a position.  What comes
        later was let in by a gate that knows of the halt."""
        if level > self.halted:
            self._frozen.update(i for i, entry in self.view.open.items() if not entry.intent.protective)
        elif not level:
            self._frozen.clear()
        self.halted = level

    def betrayed(self, how: str) -> None:
        """The exchange has broken its contract: until an operator says otherwise, nothing is proved by it."""
        if not self.betrayal:
            self.betrayal = how
            self.draft.remark(BETRAYAL, how)

    def enter_safe_mode(self, why: str) -> None:
        """Our record is not all there was: until an operator says otherwise, nothing is placed."""
        if not self.safe_mode:
            self.safe_mode = why
            self.draft.remark(SAFE_MODE, why)
            self.draft.log(None, 0, "safe mode", why)

    def trust(self) -> None:
        """An operator has looked: go on."""
        for key in (BETRAYAL, SAFE_MODE):
            self.draft.remark(key, "")
        self.betrayal = self.safe_mode = ""
        self.draft.log(None, 0, "trusted")
        self.enqueue_all()

    def findings(self) -> list[str]:
        """What an operator should look at."""
        drifts = [
            f"{market.row.symbol}: the exchange holds {market.row.drift} more than our books say"
            for market in self.view.markets.values()
            if market.row.drift
        ]
        kept = [
            f"{market.row.symbol}: {market.flattenings} orders did not close {market.row.own}"
            for market in self.view.markets.values()
            if self.halted is Halted.FLAT and market.flattenings > 1 and market.row.own
        ]
        told = (self.safe_mode, self.betrayal, *drifts, *kept, *self.alarms.values())
        return [said for said in told if said]

    # Markets.

    def market(self, symbol: str) -> MarketView:
        """A market's view; one that was not known is surveyed in this step."""
        market = self.view.markets.get(symbol)
        if market is None:
            row, rules = MarketRow(symbol), self.rules.get(symbol)
            market = self.view.markets[symbol] = MarketView(row, rules, self.draft.now_ns)
        if self.policy.venue.statement and not (market.asked_ns or market.is_synced):
            self.surveys.add(symbol, self.draft.now_ns)
        return market

    def survey(self, symbol: str) -> None:
        """Ask for a market's statement, if the exchange gives them, and see that it is asked for again."""
        policy = self.policy
        if not policy.venue.statement:
            return
        self.hands.survey(symbol)
        pause_ns = policy.survey_ns if self.view.markets[symbol].is_synced else policy.patience_ns
        self.surveys.add(symbol, self.draft.now_ns + pause_ns)

    def book(self, fill: Fill) -> None:
        """Write a new fill down, and what it does to the position, in one commit."""
        market = self.market(fill.symbol)
        moved = market.moved_by(fill)
        own = market.row.own + moved if fill.intent_id else market.row.own
        market.moved_ns = self.draft.now_ns
        self.draft.add_fill(fill)
        self.draft.put_market(market, position=market.row.position + moved, own=own)
        if not self.policy.venue.statement:
            self.forget_fills()  # where none are surveyed

    def correct(self, correction: Correction) -> None:
        """Write down that the position moved without a trade."""
        market = self.market(correction.symbol)
        market.moved_ns = self.draft.now_ns
        self.draft.add_correction(correction)
        self.draft.put_market(market, position=market.row.position + correction.delta)

    # Groups.

    def follows(self, symbol: str) -> bool:
        """A group of this market depends on prices."""
        return any(
            groups.follows_price(group) and symbol == next(iter(members.values())).intent.order.symbol
            for group, members in self.view.groups.values()
        )

    def quote(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        """Let the groups of a market follow its price."""
        self._quotes[symbol] = bid, ask
        for group_id, (group, members) in list(self.view.groups.items()):
            if groups.follows_price(group) and next(iter(members.values())).intent.order.symbol == symbol:
                self.balance(group_id)

    def balance(self, group_id: str | None) -> None:
        """Make a group follow its fills and its market's price."""
        found = self.view.groups.get(group_id or "")
        if found is None:
            return
        group, entries = found
        members = self.view.members(entries)
        symbol = next(iter(entries.values())).intent.order.symbol
        bid, ask = self._quotes.get(symbol, (None, None))
        plan = groups.plan(group, members, self.rules.get(symbol), bid, ask)
        if plan.group != group:
            self.view.groups[group.group_id] = plan.group, entries
            self.draft.put_group(plan.group)
        for change in plan.changes:
            self._change(entries[change.intent_id], change)
        self._watch_over(plan.group, entries, members, plan.alarm)

    def _change(self, entry: Entry, change: groups.Change) -> None:
        if change.cancel:
            self.withdraw(entry, change.why)
            return
        terms = {"quantity": change.quantity, "stop_price": change.stop_price, "price": change.price}
        changed: dict[str, Any] = {name: value for name, value in terms.items() if value is not None}
        held = entry.intent.held if change.held is None else change.held
        if changed:
            self.renew(entry, replace(entry.intent.order, **changed), change.why, held)
        elif held is not entry.intent.held:
            self.draft.put_intent(entry, held=held)
            self.draft.log(entry, 0, "held back" if held else "let go", change.why)
            self.enqueue(entry)

    def _watch_over(
        self,
        group: OrderGroup,
        entries: Mapping[str, Entry],
        members: Mapping[str, groups.Member],
        alarm: str,
    ) -> None:
        """Note what guards a position less than it should, and measure for how long."""
        group_id, now_ns = group.group_id, self.draft.now_ns
        if alarm != self.alarms.get(group_id, ""):
            self.alarms[group_id] = alarm
            self.draft.log(self.view.find(group.entry), 0, "alarm" if alarm else "guarded again", alarm)
            if not alarm:
                del self.alarms[group_id]
        working = {leg: entries[leg].resting for leg in group.legs}
        if groups.unprotected(group, members, working) > 0:
            self._unprotected.setdefault(group_id, now_ns)
        elif (since_ns := self._unprotected.pop(group_id, None)) is not None:
            metrics, lasted_ns = self.hands.metrics, now_ns - since_ns
            metrics.unprotected_ns += lasted_ns
            metrics.unprotected_max_ns = max(metrics.unprotected_max_ns, lasted_ns)

    def withdraw(self, entry: Entry, reason: str) -> None:
        """Nothing more shall be traded for an entry."""
        if entry.intent.phase.is_wanted:
            self.draft.put_intent(entry, phase=IntentPhase.CANCEL_REQUESTED, reason=reason)
            self.draft.log(entry, 0, "withdrawn", reason)
            self.enqueue(entry)

    def renew(self, entry: Entry, order: StandardOrder, why: str, held: bool | None = None) -> None:
        """An entry has new terms."""
        is_held = entry.intent.held if held is None else held
        generation = entry.intent.generation + 1
        self.draft.put_intent(entry, order=order, generation=generation, held=is_held)
        self.draft.log(entry, 0, "modified", why)
        self.enqueue(entry)

    def forget_fills(self) -> None:
        """Let go of the keys of fills that no exchange repeats any more."""
        surveyed = [market.row.surveyed_ns for market in self.view.markets.values() if market.row.surveyed_ns]
        self.view.forget_fills(min(surveyed, default=self.draft.now_ns) - RECENT_NS)
