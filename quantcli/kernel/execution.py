"""Carrying out what was decided: on the projection, into the draft of the step's commit, with the counts.

One method per action of `reconcile`, and what subscribers are told of it.  The invariants that an action
must not break are checked here, before anything is written.  Decides nothing and awaits nothing.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from quantcli.errors import InvariantError
from quantcli.kernel import identity as ids
from quantcli.kernel.draft import Draft
from quantcli.kernel.lifecycle import Seen, doubted
from quantcli.kernel.projection import Entry, Projection
from quantcli.kernel.reconcile import CancelAttempt, Doubt, LookUp, PlaceAttempt, Policy, Settle, filled
from quantcli.model.event import OrderEventKind
from quantcli.model.order import (
    AttemptState,
    Cancel,
    Fill,
    IntentPhase,
    Lookup,
    OrderState,
    OrderStatus,
    Place,
)
from quantcli.store.api import Identity


class Metrics(msgspec.Struct):
    """Counts since start.

    Intents `created`, `cancelled` and `rejected`; attempts `placed`, `replaced` (placed for new terms) and
    `unknown` (were so at some time); requests unanswered (`errors`) and repeated (`retries`).
    `lag_ns` is how late the last intent that was due was looked at.
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

    def place(self, entry: Entry, action: PlaceAttempt) -> None:
        """Prepare an attempt and send it: the row is durable first."""
        intent, last, now_ns = entry.intent, entry.last, self._draft.now_ns
        self.check_open_attempts(entry, at_most=0)
        within = action.qty <= intent.order.quantity - filled(entry.attempts)
        self.check("quantity_bound", within, intent.intent_id)
        order = intent.order
        if action.qty != order.quantity:
            order = replace(order, quantity=action.qty)
        client_id = ids.mint(self._identity, intent.intent_id, action.n)
        state = OrderState(
            intent.intent_id,
            action.n,
            client_id,
            order,
            intent.generation,
            now_ns,
            deadline_ns=now_ns + self._policy.fence_ns,
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
        self._draft.send(Place(client_id, order, state.deadline_ns))
        self._draft.tell(OrderEventKind.SUBMITTED, entry, action.n)

    def cancel(self, entry: Entry, action: CancelAttempt) -> None:
        """Send a cancel; that it was sent is durable first, so that its effect is not taken for another's."""
        state = _open_attempt(entry, action.client_order_id)
        self.metrics.retries += state.cancel_sent_ns > 0
        self._draft.put_state(entry, replace(state, cancel_sent_ns=self._draft.now_ns))
        self._draft.send(Cancel(state.client_order_id, state.order.symbol))

    def look_up(self, entry: Entry, action: LookUp) -> None:
        """Send a look-up; asking changes nothing, so no row says so."""
        state = _open_attempt(entry, action.client_order_id)
        self.metrics.retries += state.lookup_sent_ns > state.last_sync_at
        entry.attempts[state.attempt - 1] = replace(state, lookup_sent_ns=self._draft.now_ns)
        self._draft.send(Lookup(state.client_order_id, state.order.symbol))

    def doubt(self, entry: Entry, action: Doubt) -> None:
        """Stop waiting for an answer."""
        self.cast_doubt(entry, Seen.OVERDUE, action.why)

    def settle(self, entry: Entry, action: Settle) -> None:
        """End an intent."""
        self._draft.put_intent(entry, phase=action.phase, reason=action.reason)
        self.metrics.cancelled += action.phase is IntentPhase.CANCELED
        self.metrics.rejected += action.phase is IntentPhase.FAILED
        kind = _TOLD_AS.get(action.phase)
        if kind is None and not self._draft.tells_fill_of(entry):
            # A smaller total may be reached without a fill: what happened then is the modification.
            kind = OrderEventKind.MODIFIED
        if kind is not None:
            self._draft.tell(kind, entry, len(entry.attempts), reason=action.reason)

    def cast_doubt(self, entry: Entry, seen: Seen, reason: str) -> None:
        """Let the latest attempt become AMBIGUOUS."""
        before = entry.attempts[-1]
        after = doubted(before, seen, reason)
        self._draft.put_state(entry, after)
        self.tell(entry, before, after, ())

    def tell(self, entry: Entry, before: OrderState, after: OrderState, fills: Sequence[Fill]) -> None:
        """What subscribers learn of a change to one attempt."""
        if before.state is not after.state and after.state is AttemptState.AMBIGUOUS:
            self.metrics.unknown += 1
            self._draft.tell(OrderEventKind.UNKNOWN, entry, after.attempt, reason=after.reason)
        elif before.state in _UNSEEN and not (after.state in _UNSEEN or after.status is OrderStatus.REJECTED):
            kind = OrderEventKind.ACCEPTED if after.generation == 1 else OrderEventKind.MODIFIED
            self._draft.tell(kind, entry, after.attempt)
        for fill in fills:
            self._draft.tell(OrderEventKind.FILLED, entry, after.attempt, fill=fill)

    def check_open_attempts(self, entry: Entry, at_most: int) -> None:
        """Invariant: one placement of an intent at a time may trade."""
        working = [attempt for attempt in entry.attempts if not attempt.state.is_closed]
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


def _open_attempt(entry: Entry, client_order_id: str) -> OrderState:
    state = entry.working
    if state is None or state.client_order_id != client_order_id:
        raise InvariantError(f"{client_order_id} is not the open attempt of {entry.intent.intent_id}")
    return state
