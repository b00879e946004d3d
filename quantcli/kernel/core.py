"""The kernel's heart: everything wished for and everything seen, folded into what to write and what to send.

    core.step(now_ns, event) -> [Commit(rows, then=(Send | Notify, …))]

A step folds one event into the projection, lets `reconcile.decide` look at every intent that is due, has its
actions carried out, and returns at most one `Commit`: changed rows only, each once.  A commit without rows
needs no disk.  Whoever runs the core must carry commits out in the order of their steps, and stop for
good when one fails, because the projection is ahead of it.

Awaits nothing, reads no clock, draws no random number.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from quantcli.errors import ValidationError
from quantcli.kernel import identity as ids
from quantcli.kernel.draft import Draft
from quantcli.kernel.execution import Execution, Metrics
from quantcli.kernel.groups import Group, plan
from quantcli.kernel.lifecycle import Seen, is_news, merge
from quantcli.kernel.projection import Entry, Projection
from quantcli.kernel.reconcile import (
    WANTED,
    CancelAttempt,
    Doubt,
    LookUp,
    PlaceAttempt,
    Policy,
    Settle,
    decide,
    filled,
)
from quantcli.kernel.steps import (
    Admit,
    AdmitGroup,
    Boot,
    CancelIntents,
    Effect,
    Event,
    Force,
    Modify,
    Observed,
    Tick,
)
from quantcli.kernel.workqueue import WorkQueue
from quantcli.model.event import OrderEventKind
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    Observation,
    OrderIntent,
    OrderState,
    OrderType,
    Report,
    Silence,
    StandardOrder,
)
from quantcli.store.api import Identity


class Core:
    """One exchange's orders; `view` is what it remembers, for reading."""

    def __init__(self, identity: Identity, policy: Policy) -> None:
        self.view = Projection()
        self._identity, self._policy = identity, policy
        self._counter = 0
        self._queue = WorkQueue()
        self._draft = Draft()
        self._hands = hands = Execution(identity, policy, self.view, self._draft)
        self._fold: dict[type[Event], Callable[[Any], None]] = {
            Boot: self._boot,
            Admit: self._admit,
            AdmitGroup: self._admit_group,
            Modify: self._modify,
            CancelIntents: self._cancel_intents,
            Observed: self._observed,
            Force: self._force,
            Tick: lambda _: None,
        }
        self._act: dict[type[Any], Callable[[Entry, Any], None]] = {
            PlaceAttempt: hands.place,
            CancelAttempt: hands.cancel,
            LookUp: hands.look_up,
            Doubt: hands.doubt,
            Settle: hands.settle,
        }

    @property
    def metrics(self) -> Metrics:
        """Counts since start."""
        return self._hands.metrics

    @property
    def checks(self) -> dict[str, int]:
        """How often each invariant was checked; a violation raises `InvariantError`."""
        return self._hands.checks

    def new_intent_id(self) -> str:
        """An intent id that was never used and never will be."""
        self._counter += 1
        return ids.intent_id(self._identity, self._counter)

    def next_due(self) -> int | None:
        """When the next `Tick` is due, in nanoseconds; `None` if nothing is open."""
        return self._queue.next_due()

    def step(self, now_ns: int, event: Event) -> list[Effect]:
        """Fold `event`, decide what is due, and return what follows: nothing, or one `Commit`.

        A clock that goes back stands still here.  A `ValidationError` refuses the event and leaves everything
        as it was.  After an `InvariantError` the core must not be used any more.
        """
        now_ns = self._draft.now_ns = max(now_ns, self._draft.now_ns)
        self._fold[type(event)](event)
        while (due := self._queue.pop_due(now_ns)) is not None:
            self.metrics.lag_ns = now_ns - due[1]
            self._drive(self.view.open[due[0]])
        return self._draft.take()

    def _drive(self, entry: Entry) -> None:
        """Let one intent be decided, and do what was decided."""
        decision = decide(entry.intent, entry.attempts, self._draft.now_ns, self._policy)
        for action in decision.actions:
            self._act[type(action)](entry, action)
        last = entry.last
        if last is not None and last.reconciliation_status is not decision.status:
            self._draft.put_state(entry, replace(last, reconciliation_status=decision.status))
        if not entry.is_open:
            self.view.retire(entry)
        elif decision.look_again_at is not None:
            self._queue.add(entry.intent.intent_id, decision.look_again_at)

    def _enqueue(self, entry: Entry) -> None:
        self._queue.add(entry.intent.intent_id, self._draft.now_ns)

    # What is asked for.

    def _boot(self, event: Boot) -> None:
        for intent in event.intents:
            self.view.enter(intent)
        for state in event.states:
            if state.intent_id in self.view.open:
                self.view.attach(self.view.open[state.intent_id], state)
        for fill in event.fills:
            entry = self.view.open.get(fill.intent_id)
            if entry is not None:
                entry.trades.add(fill.trade_id)
            else:
                self.view.is_stranger_known(fill)
        for entry in list(self.view.open.values()):
            if not entry.is_open:
                self.view.retire(entry)
                continue
            last = entry.last
            if last is not None and last.state is AttemptState.PREPARED:
                self._hands.cast_doubt(entry, Seen.RESTARTED, "restarted before an answer came")
            self._ask(entry)

    def _admit(self, event: Admit) -> None:
        approved, now_ns = event.approved, self._draft.now_ns
        intent = OrderIntent(
            event.intent_id, approved.order, now_ns, event.group_id, approved.metadata, updated_ns=now_ns
        )
        entry = self.view.enter(intent)
        self._draft.add_intent(intent)
        self.metrics.created += 1
        self._enqueue(entry)

    def _admit_group(self, event: AdmitGroup) -> None:
        quantities = {approved.order.quantity for approved in event.approved}
        if len(event.approved) < 2 or len(quantities) != 1:
            raise ValidationError(
                "a group needs two orders or more, all of the same quantity",
                why="they share it: what one of them fills is taken from the others",
                todo="give every order of the group the same quantity",
            )
        group_id = Group(event.mode, quantities.pop(), event.intent_ids[0]).name
        for approved, intent_id in zip(event.approved, event.intent_ids, strict=True):
            self._admit(Admit(approved, intent_id, group_id))

    def _modify(self, event: Modify) -> None:
        order = event.approved.order
        entry = self._modifiable(event.intent_id, order)
        if order != entry.intent.order:
            self._renew(entry, order)
            self._balance(entry)

    def _modifiable(self, intent_id: str, order: StandardOrder) -> Entry:
        entry = self.view.find(intent_id)
        if entry is None or entry.intent.phase not in WANTED:
            phase = entry.intent.phase.value if entry else "settled"
            raise ValidationError(f"intent {intent_id} is {phase}", why="it cannot change any more")
        intent = entry.intent
        if (order.symbol, order.side) != (intent.order.symbol, intent.order.side):
            raise ValidationError(
                f"intent {intent_id} cannot change to another market or side",
                todo="cancel it and place a new order",
            )
        if len(entry.attempts) + self._policy.max_attempts > ids.MAX_ATTEMPT:
            raise ValidationError(
                f"intent {intent_id} was modified too often",
                why=f"its placements are numbered up to {ids.MAX_ATTEMPT}",
                todo="cancel it and place a new order",
            )
        return entry

    def _cancel_intents(self, event: CancelIntents) -> None:
        for intent_id in event.intent_ids:
            entry = self.view.open.get(intent_id)
            if entry is not None and entry.intent.phase in WANTED:
                self._withdraw(entry, event.reason)

    def _force(self, event: Force) -> None:
        for entry in self.view.open.values():
            if event.intent_id in (None, entry.intent.intent_id):
                self._ask(entry)

    def _ask(self, entry: Entry) -> None:
        """Look an entry's open order up, however lately that was done."""
        working = entry.working
        if working is not None:
            self._hands.look_up(entry, LookUp(working.client_order_id, "asked for"))
        self._enqueue(entry)

    def _withdraw(self, entry: Entry, reason: str) -> None:
        self._draft.put_intent(entry, phase=IntentPhase.CANCEL_REQUESTED, reason=reason)
        self._enqueue(entry)

    def _renew(self, entry: Entry, order: StandardOrder) -> None:
        self._draft.put_intent(entry, order=order, generation=entry.intent.generation + 1)
        self._enqueue(entry)

    def _balance(self, entry: Entry) -> None:
        """Make an entry's group follow its fills."""
        found = self.view.groups.get(entry.intent.group_id or "")
        if found is None:
            return
        group, members = found
        traded = {intent_id: filled(member.attempts) for intent_id, member in members.items()}
        wanted = [member.intent for member in members.values() if member.intent.phase in WANTED]
        for change in plan(group, wanted, traded):
            member = members[change.intent_id]
            if change.new_total is None:
                self._withdraw(member, "one cancels the other")
            else:
                self._renew(member, replace(member.intent.order, quantity=change.new_total))

    # What is seen.

    def _observed(self, event: Observed) -> None:
        report = event.report
        found = self.view.find_attempt(report.client_order_id)
        if found is None:
            self._observed_stranger(report)
            return
        entry, index = found
        before = entry.attempts[index]
        fills = self._new_fills(entry, report)
        fills_qty = sum([fill.qty for fill in fills], before.fills_qty)
        after = merge(before, report, fills_qty, self._draft.now_ns)
        self.metrics.errors += isinstance(report, Silence)
        self._hands.check("filled_monotone", after.filled >= before.filled, before.client_order_id)
        if is_news(before, after):
            self._draft.put_state(entry, after)
            self._hands.tell(entry, before, after, fills)
            self._follow(entry, before, after)
        else:
            entry.attempts[index] = after  # seen again as it was: not worth a disk write
        if entry.is_open:
            self._enqueue(entry)

    def _follow(self, entry: Entry, before: OrderState, after: OrderState) -> None:
        """What a change to one attempt means beyond it."""
        if before.state.is_closed and not after.state.is_closed:
            self._hands.check_open_attempts(entry, at_most=1)
            self.view.reopen(entry)
        if after.filled != before.filled:
            self._balance(entry)

    def _new_fills(self, entry: Entry, report: Report) -> list[Fill]:
        """Fills of a report that were not folded before, bound to their intent, as rows."""
        if not isinstance(report, Observation):
            return []
        fills = []
        for reported in report.fills:
            if reported.trade_id not in entry.trades:
                entry.trades.add(reported.trade_id)
                fill = replace(reported, intent_id=entry.intent.intent_id)
                self._draft.add_fill(fill)
                fills.append(fill)
        return fills

    def _observed_stranger(self, report: Report) -> None:
        """Keep the fills of an order we do not hold; its id may still tell whose they are."""
        if not isinstance(report, Observation):
            return
        owner = ids.read(self._identity, report.client_order_id)
        why = "settled long ago" if owner else "not an order of ours"
        for reported in report.fills:
            if self.view.is_stranger_known(reported):
                continue
            fill = replace(reported, intent_id=owner[0] if owner else "")
            self._draft.add_fill(fill)
            order = StandardOrder(fill.symbol, fill.side, OrderType.LIMIT, fill.qty, fill.price)
            intent = OrderIntent(
                fill.intent_id, order, self._draft.now_ns, phase=IntentPhase.SATISFIED, reason=why
            )
            self._draft.tell(OrderEventKind.FILLED, Entry(intent), 0, fill=fill, reason=why)
