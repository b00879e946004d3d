"""Carrying out what was decided: on the projection, into the draft of the step's commit, with the counts.

One method per action of `reconcile`, and what subscribers are told of it.  The invariants that an action
must not break are checked here, before anything is written.  Decides nothing and awaits nothing.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from quantcli.errors import InvariantError
from quantcli.kernel import identity as ids
from quantcli.kernel.actions import (
    AmendAttempt,
    Bury,
    CancelAttempt,
    Confirm,
    Doubt,
    LookUp,
    PlaceAttempt,
    Resend,
    Settle,
    TakeStock,
)
from quantcli.kernel.draft import Draft
from quantcli.kernel.lifecycle import Seen, doubted, filled, vanished
from quantcli.kernel.policy import Policy
from quantcli.kernel.projection import Entry, Projection
from quantcli.model.event import OrderEventKind
from quantcli.model.instrument import canonical
from quantcli.model.message import Amend, Cancel, Lookup, Place, PlaceList, Survey
from quantcli.model.order import (
    Amendment,
    AttemptState,
    Evidence,
    Fill,
    IntentPhase,
    OrderState,
    OrderStatus,
    StandardOrder,
)
from quantcli.store.api import RECENT_NS, Identity


class Metrics(msgspec.Struct):
    """Counts since start.

    Intents `created`, `cancelled` and `rejected`; attempts `placed`, `replaced` (placed for new terms) and
    `unknown` (were so at some time); requests unanswered (`errors`) and repeated (`retries`).
    `lag_ns` is how late the last intent that was due was looked at.  `unprotected_ns` is for how long
    positions of brackets had less of a stop on the exchange than they needed, in all and (`…_max_ns`) at a
    stretch.
    """

    created: int = 0
    placed: int = 0
    cancelled: int = 0
    rejected: int = 0
    unknown: int = 0
    replaced: int = 0
    errors: int = 0
    retries: int = 0
    lag_ns: int = 0
    unprotected_ns: int = 0
    unprotected_max_ns: int = 0


_UNSEEN = frozenset({AttemptState.PREPARED, AttemptState.AMBIGUOUS, AttemptState.DEAD})
_TOLD_AS = {
    IntentPhase.CANCELED: OrderEventKind.CANCELLED,
    IntentPhase.EXPIRED: OrderEventKind.EXPIRED,
    IntentPhase.FAILED: OrderEventKind.REJECTED,
}


class Execution:
    """The hands of the core; `checks` counts how often each invariant was checked."""

    def __init__(self, identity: Identity, policy: Policy, view: Projection, draft: Draft) -> None:
        self.metrics = Metrics()
        self.checks = {"one_open_attempt": 0, "quantity_bound": 0, "filled_monotone": 0}
        self._identity, self._policy = identity, policy
        self._view, self._draft = view, draft

    # What was decided.

    def place(self, entry: Entry, action: PlaceAttempt) -> None:
        """Prepare an attempt and send it: the row is durable first."""
        self._draft.send(self._prepared(entry, action.n, action.qty))

    def place_linked(self, entries: Sequence[Entry]) -> None:
        """Prepare the first attempts of wishes that the exchange is to link, and send them as one."""
        places = [self._prepared(entry, 1, entry.intent.order.quantity) for entry in entries]
        self._draft.send(PlaceList(tuple(places)))

    def _prepared(self, entry: Entry, number: int, quantity: Decimal) -> Place:
        intent, last, now_ns = entry.intent, entry.last, self._draft.now_ns
        self.check_open_attempts(entry, at_most=0)
        within = quantity <= intent.order.quantity - filled(entry.attempts)
        self.check("quantity_bound", within, intent.intent_id)
        order = intent.order
        if quantity != order.quantity:
            order = replace(order, quantity=quantity)
        client_id = ids.mint(self._identity, intent.intent_id, number)
        state = OrderState(
            intent.intent_id,
            number,
            client_id,
            order,
            intent.generation,
            now_ns,
            deadline_ns=now_ns + self._policy.venue.fence_ns,
        )
        self.metrics.placed += 1
        if last is not None:
            again = last.generation == intent.generation
            self.metrics.retries += again
            self.metrics.replaced += not again
        if intent.phase is IntentPhase.PENDING:
            self._draft.put_intent(entry, phase=IntentPhase.ACTIVE)
        self._view.attach(entry, state)
        self._draft.put_state(entry, state)
        self._draft.log(entry, number, "placed", "" if order is intent.order else described(order))
        self._draft.tell(OrderEventKind.SUBMITTED, entry, number)
        return Place(client_id, order, state.deadline_ns)

    def resend(self, entry: Entry, action: Resend) -> None:
        """Send the same placement again; its new deadline is durable first."""
        state, now_ns = self._open_attempt(entry, action.client_order_id), self._draft.now_ns
        deadline_ns = now_ns + self._policy.venue.fence_ns
        again = replace(state, deadline_ns=deadline_ns, lookup_sent_ns=now_ns, sends=state.sends + 1)
        self.metrics.retries += 1
        self._draft.put_state(entry, again)
        self._draft.log(entry, state.attempt, "resent", action.why)
        self._draft.send(Place(state.client_order_id, state.order, deadline_ns))

    def amend(self, entry: Entry, action: AmendAttempt) -> None:
        """Send new terms; that they were sent is durable first."""
        state = self._open_attempt(entry, action.client_order_id)
        others = filled(entry.attempts) - state.filled
        within = action.order.quantity <= entry.intent.order.quantity - others
        self.check("quantity_bound", within, entry.intent.intent_id)
        number = state.amends + 1
        deadline_ns = self._draft.now_ns + self._policy.venue.fence_ns
        pending = Amendment(number, action.order, entry.intent.generation, deadline_ns)
        self.metrics.replaced += 1
        self._draft.put_state(entry, replace(state, amends=number, amendment=pending))
        self._draft.log(entry, state.attempt, "amending", described(action.order))
        self._draft.send(Amend(state.client_order_id, action.order, number, deadline_ns))

    def confirm(self, entry: Entry, action: Confirm) -> None:
        """Nothing is to be done for the new terms: they are the ones that work."""
        state = self._open_attempt(entry, action.client_order_id)
        confirmed = replace(state, generation=entry.intent.generation, amendment=None)
        self._draft.put_state(entry, confirmed)
        self._draft.tell(OrderEventKind.MODIFIED, entry, state.attempt)

    def cancel(self, entry: Entry, action: CancelAttempt) -> None:
        """Send a cancel; that it was sent is durable first, so that its effect is not taken for another's."""
        state, now_ns = self._open_attempt(entry, action.client_order_id), self._draft.now_ns
        self.metrics.retries += state.cancel_sent_ns > 0
        evidence = state.evidence
        if action.probe and evidence is None:
            evidence = Evidence(fenced_ns=now_ns)
        self._draft.put_state(entry, replace(state, cancel_sent_ns=now_ns, evidence=evidence))
        self._draft.log(entry, state.attempt, "probing" if action.probe else "cancelling", action.why)
        self._draft.send(Cancel(state.client_order_id, state.order.symbol, now_ns))

    def look_up(self, entry: Entry, action: LookUp) -> None:
        """Send a look-up; asking changes nothing, so no row says so."""
        state, now_ns = self._open_attempt(entry, action.client_order_id), self._draft.now_ns
        self.metrics.retries += state.lookup_sent_ns > state.last_sync_at
        asked = replace(state, lookup_sent_ns=now_ns)
        entry.attempts[entry.places[state.client_order_id]] = asked
        self._draft.send(Lookup(state.client_order_id, state.order.symbol, now_ns))

    def take_stock(self, entry: Entry, action: TakeStock) -> None:
        """Ask for a market's statement, unless one is on its way."""
        self.survey(action.symbol)

    def survey(self, symbol: str) -> None:
        """Ask for a market's statement, unless one was asked for that may still come."""
        market, now_ns = self._view.markets[symbol], self._draft.now_ns
        if not self._policy.venue.statement or now_ns < market.asked_ns + self._policy.spacing_ns:
            return
        market.asked_ns = now_ns
        since_ns = (market.row.surveyed_ns or now_ns) - RECENT_NS // 2
        self._draft.send(Survey(symbol, since_ns, now_ns))

    def doubt(self, entry: Entry, action: Doubt) -> None:
        """Stop waiting for an answer."""
        self.cast_doubt(entry, self._open_attempt(entry, action.client_order_id), Seen.OVERDUE, action.why)

    def bury(self, entry: Entry, action: Bury) -> None:
        """End an attempt that provably is not on the exchange."""
        before = self._open_attempt(entry, action.client_order_id)
        if before.state is AttemptState.AMBIGUOUS:
            after = doubted(before, Seen.PROVED, action.why)
        else:
            after = vanished(before, action.why)
        self._draft.put_state(entry, after)
        self._draft.log(entry, after.attempt, "buried", action.why)

    def settle(self, entry: Entry, action: Settle) -> None:
        """End an intent."""
        self._draft.put_intent(entry, phase=action.phase, reason=action.reason)
        self._draft.log(entry, 0, "settled", f"{action.phase.value} {action.reason}".strip())
        self.metrics.cancelled += action.phase is IntentPhase.CANCELED
        self.metrics.rejected += action.phase is IntentPhase.FAILED
        kind = _TOLD_AS.get(action.phase)
        if kind is None and not self._draft.tells_fill_of(entry):
            # A smaller total may be reached without a fill: what happened then is the modification.
            kind = OrderEventKind.MODIFIED
        if kind is not None:
            number = entry.last.attempt if entry.last is not None else 0
            self._draft.tell(kind, entry, number, reason=action.reason)

    # What was seen.

    def cast_doubt(self, entry: Entry, before: OrderState, seen: Seen, reason: str) -> None:
        """Let an attempt become AMBIGUOUS."""
        after = doubted(before, seen, reason)
        self._draft.put_state(entry, after)
        self.tell(entry, before, after, ())

    def tell(self, entry: Entry, before: OrderState, after: OrderState, fills: Sequence[Fill]) -> None:
        """What subscribers and the journal learn of a change to one attempt."""
        if before.state is not after.state:
            self._draft.log(entry, after.attempt, after.state.value, after.reason)
        if before.state is not after.state and after.state is AttemptState.AMBIGUOUS:
            self.metrics.unknown += 1
            self._draft.tell(OrderEventKind.UNKNOWN, entry, after.attempt, reason=after.reason)
        elif before.state in _UNSEEN and not (after.state in _UNSEEN or after.status is OrderStatus.REJECTED):
            kind = OrderEventKind.ACCEPTED if after.generation == 1 else OrderEventKind.MODIFIED
            self._draft.tell(kind, entry, after.attempt)
        elif before.amendment is not None and before.generation != after.generation:
            self._draft.tell(OrderEventKind.MODIFIED, entry, after.attempt)
        for fill in fills:
            self._draft.log(
                entry, after.attempt, "filled", f"{canonical(fill.qty)} at {canonical(fill.price)}"
            )
            self._draft.tell(OrderEventKind.FILLED, entry, after.attempt, fill=fill)

    # Promises.

    def check_open_attempts(self, entry: Entry, at_most: int) -> None:
        """Invariant: one placement of an intent at a time may trade, but for those that came back."""
        working = [attempt for attempt in entry.open_attempts if not attempt.reopened]
        self.check("one_open_attempt", len(working) <= at_most, entry.intent.intent_id)

    def check(self, name: str, holds: bool, whose: str) -> None:
        """Count the check of an invariant; raises `InvariantError` if it does not hold."""
        self.checks[name] += 1
        if not holds:
            raise InvariantError(
                f"{name} does not hold for {whose}",
                why="a promise of the kernel is broken",
                todo="look at the exchange by hand before starting again",
            )

    def _open_attempt(self, entry: Entry, client_order_id: str) -> OrderState:
        place = entry.places.get(client_order_id)
        if place is None or entry.attempts[place].state.is_closed:
            raise InvariantError(f"{client_order_id} is not an open attempt of {entry.intent.intent_id}")
        return entry.attempts[place]


def described(order: StandardOrder) -> str:
    """The terms of an order in a few words."""
    words = [order.side.name.lower(), canonical(order.quantity), order.symbol, order.type.name.lower()]
    if order.stop_price is not None:
        words.append(f"stop {canonical(order.stop_price)}")
    if order.price is not None:
        words.append(f"at {canonical(order.price)}")
    return " ".join(words)
