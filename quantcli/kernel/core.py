"""The kernel's heart: everything wished for and everything seen, folded into what to write and what to send.

    core.step(now_ns, event) -> [Commit(rows, then=(Send | Notify, …))]

A step folds one event into the projection, lets `reconcile.decide` look at every intent that is due, has its
actions carried out, and returns at most one `Commit`: changed rows only, each once.  A commit without rows
needs no disk.  Whoever runs the core must carry commits out in the order of their steps, and stop for
good when one fails, because the projection is ahead of it.

What is wished is folded by `wishing`, what is seen by `seeing`.  Awaits nothing, reads no clock, draws no
random number.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

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
from quantcli.kernel.desk import Desk
from quantcli.kernel.execution import Metrics
from quantcli.kernel.lifecycle import Seen
from quantcli.kernel.policy import Policy, Scene
from quantcli.kernel.projection import Entry, Projection
from quantcli.kernel.reconcile import decide
from quantcli.kernel.seeing import Seeing
from quantcli.kernel.steps import (
    AcceptDrift,
    Admit,
    AdmitGroup,
    Adopt,
    Boot,
    CancelIntents,
    ClockBound,
    Effect,
    Event,
    Force,
    Halt,
    Modify,
    Observed,
    Quoted,
    Resync,
    Tick,
    Trust,
    Verdict,
)
from quantcli.kernel.wishing import Wishing
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.order import AttemptState
from quantcli.store.api import Identity

_NO_RULES: Mapping[str, SymbolMetadata] = {}


class _PlainScenes(dict[str, Scene]):
    """Scenes in which nothing is the matter, by market: nearly all are."""

    def __init__(self, rules: Mapping[str, SymbolMetadata]) -> None:
        self._rules = rules

    def __missing__(self, symbol: str) -> Scene:
        scene = self[symbol] = Scene(rules=self._rules.get(symbol))
        return scene


class Core:
    """One exchange's orders; `view` is what it remembers, for reading.

    `rules` are the markets' steps and minima, as far as they are known.
    """

    def __init__(
        self, identity: Identity, policy: Policy, rules: Mapping[str, SymbolMetadata] = _NO_RULES
    ) -> None:
        self._desk = desk = Desk(identity, policy, rules)
        self._identity, self._policy = identity, policy
        self._counter = 0
        self._plain = _PlainScenes(rules)
        self._wishing = wishing = Wishing(desk, self.new_intent_id)
        self._seeing = seeing = Seeing(desk, identity)
        self._fold: dict[type[Event], Callable[[Any], None]] = {
            Boot: self._boot,
            Admit: wishing.admit,
            AdmitGroup: wishing.admit_group,
            Modify: wishing.modify,
            CancelIntents: wishing.cancel,
            Halt: wishing.halt,
            Adopt: wishing.adopt,
            Observed: seeing.observed,
            Quoted: seeing.quoted,
            ClockBound: seeing.clock_bound,
            Verdict: wishing.verdict,
            AcceptDrift: wishing.accept_drift,
            Resync: self._resync,
            Trust: self._trust,
            Force: self._force,
            Tick: lambda _: None,
        }
        hands = desk.hands
        self._act: dict[type[Any], Callable[[Entry, Any], None]] = {
            PlaceAttempt: self._place,
            Resend: hands.resend,
            AmendAttempt: hands.amend,
            Confirm: hands.confirm,
            CancelAttempt: hands.cancel,
            LookUp: hands.look_up,
            TakeStock: hands.take_stock,
            Doubt: hands.doubt,
            Bury: self._bury,
            Settle: hands.settle,
        }

    @property
    def view(self) -> Projection:
        """What is remembered."""
        return self._desk.view

    @property
    def metrics(self) -> Metrics:
        """Counts since start."""
        return self._desk.hands.metrics

    @property
    def checks(self) -> dict[str, int]:
        """How often each invariant was checked; a violation raises `InvariantError`."""
        return self._desk.hands.checks

    def findings(self) -> list[str]:
        """What an operator should look at."""
        return self._desk.findings()

    def new_intent_id(self) -> str:
        """An intent id that was never used and never will be."""
        self._counter += 1
        return ids.intent_id(self._identity, self._counter)

    def next_due(self) -> int | None:
        """When the next `Tick` is due, in nanoseconds; `None` if nothing is open."""
        intents, surveys = self._desk.queue.next_due(), self._desk.surveys.next_due()
        if surveys is None or intents is None:
            return surveys if intents is None else intents
        return min(intents, surveys)

    def follows(self, symbol: str) -> bool:
        """A group of this market wants to be told its quotes (`Quoted`)."""
        return self._desk.follows(symbol)

    def step(self, now_ns: int, event: Event) -> list[Effect]:
        """Fold `event`, decide what is due, and return what follows: nothing, or one `Commit`.

        A clock that goes back stands still here.  A `ValidationError` refuses the event and leaves everything
        as it was.  After an `InvariantError` the core must not be used any more.
        """
        desk = self._desk
        now_ns = desk.draft.now_ns = max(now_ns, desk.draft.now_ns)
        self._fold[type(event)](event)
        while True:
            while (due := desk.queue.pop_due(now_ns)) is not None:
                self.metrics.lag_ns = now_ns - due[1]
                self._drive(desk.view.open[due[0]])
            if not self._wishing.flatten():
                break
        while (due := desk.surveys.pop_due(now_ns)) is not None:
            desk.survey(due[0])
        return desk.draft.take()

    def _drive(self, entry: Entry) -> None:
        """Let one intent be decided, and do what was decided."""
        desk = self._desk
        decision = decide(entry.intent, entry.attempts, desk.draft.now_ns, self._policy, self._scene(entry))
        for action in decision.actions:
            self._act[type(action)](entry, action)
        self._show(entry, decision.status)
        if not entry.is_open:
            desk.retire(entry)
        elif decision.look_again_at is not None:
            desk.queue.add(entry.intent.intent_id, decision.look_again_at)

    def _place(self, entry: Entry, action: PlaceAttempt) -> None:
        """Place an order; one that the exchange links to others goes with them, if they can still go."""
        desk = self._desk
        if not desk.is_linked(entry.intent):
            desk.hands.place(entry, action)
            return
        linked = list(desk.view.groups[entry.intent.group_id or ""][1].values())
        if all(each.intent.phase.is_wanted and not each.attempts for each in linked):
            desk.hands.place_linked(linked)
        else:
            desk.withdraw(entry, "it cannot be linked any more")

    def _bury(self, entry: Entry, action: Bury) -> None:
        """End an order that is not there; its group may go on."""
        self._desk.hands.bury(entry, action)
        self._desk.balance(entry.intent.group_id)

    def _show(self, entry: Entry, status: Any) -> None:
        last = entry.last
        entry.status = status
        if last is not None and not last.state.is_closed and last.reconciliation_status is not status:
            self._desk.draft.put_state(entry, replace(last, reconciliation_status=status))

    def _scene(self, entry: Entry) -> Scene:
        desk, order, last = self._desk, entry.intent.order, entry.last
        in_doubt = last is not None and (last.state is AttemptState.AMBIGUOUS or last.evidence is not None)
        if not (in_doubt or entry.intent.group_id or desk.is_special):
            return self._plain[order.symbol]
        return Scene(
            desk.closed(entry.intent),
            desk.clock_error_ns,
            in_doubt and desk.view.is_opposed(order),
            bool(desk.betrayal),
            desk.is_linked(entry.intent),
            desk.rules.get(order.symbol),
        )

    # The whole.

    def _boot(self, event: Boot) -> None:
        desk, view, loaded = self._desk, self._desk.view, event.loaded
        desk.restore(loaded, event.symbols)
        if event.is_outdated and self._policy.venue.statement:
            desk.enter_safe_mode("an older copy of our record was put back: it does not know every order")
        for entry in list(view.open.values()):
            if not entry.is_open:
                view.retire(entry)
                continue
            for state in entry.open_attempts:
                if state.state is AttemptState.PREPARED:
                    desk.hands.cast_doubt(entry, state, Seen.RESTARTED, "restarted before an answer came")
            self._ask(entry, spared=self._policy.venue.statement)
        for group_id in list(view.groups):
            desk.balance(group_id)
        if event.halted:
            self._wishing.halt(Halt(event.halted, "halted before the start"))
        desk.draft.log(None, 0, "started", f"{len(view.open)} open intents")

    def _resync(self, event: Resync) -> None:
        self._desk.draft.log(None, 0, "resync", event.reason)
        for symbol, market in self._desk.view.markets.items():
            market.is_synced = False
            market.since_ns = self._desk.draft.now_ns  # what was asked before the gap does not tell of it
            self._desk.surveys.add(symbol, self._desk.draft.now_ns)
        for entry in self._desk.view.open.values():
            self._ask(entry, spared=self._policy.venue.statement)

    def _trust(self, event: Trust) -> None:
        self._desk.trust()

    def _force(self, event: Force) -> None:
        for entry in self._desk.view.open.values():
            if event.intent_id in (None, entry.intent.intent_id):
                self._ask(entry)

    def _ask(self, entry: Entry, spared: bool = False) -> None:
        """Look an entry's open orders up, however lately that was done; those that work are `spared` the
        question where one list of all of them is asked for anyway."""
        for state in entry.open_attempts:
            if spared and state.state is AttemptState.LIVE:
                asked = replace(state, lookup_sent_ns=self._desk.draft.now_ns)
                self._desk.view.update(entry, asked)
                continue
            self._desk.hands.look_up(entry, LookUp(state.client_order_id, "asked for"))
        self._desk.enqueue(entry)
