"""Mutants that cancel, replace or amend as peers do: too early, twice, or for the wrong quantity."""

from typing import Any

from msgspec.structs import replace

from quantcli.kernel import lifecycle, reconcile
from quantcli.kernel.actions import AmendAttempt, Decision, PlaceAttempt
from quantcli.kernel.execution import Execution
from quantcli.kernel.lifecycle import filled
from quantcli.kernel.projection import Entry
from quantcli.kernel.reconcile import Case, Want
from quantcli.model.message import Asked, Refusal, Refused
from quantcli.model.order import AttemptState, OrderState, OrderStatus

from .merging import _silently
from .mutant import Patch, mutant
from .scenery import AMENDING, DOUBT, EARLY, PLAIN, REPLACING, SLOW_ENGINE, UNFENCED

_A = AttemptState
_LOSING = {"swarm.back": (3,), "swarm.there": (3,), "swarm.stream": (3,)}


@mutant(REPLACING, "I3", "I17", "I7")
def unknown_order_is_closed(patch: Patch) -> None:
    """A cancel answered "unknown order" closes an order that worked, as if nothing of it had filled."""
    real = lifecycle._ANSWERS[Asked.CANCEL]

    def changed(state: OrderState, answer: Any, now_ns: int) -> OrderState:
        unknown = isinstance(answer, Refusal) and answer.kind is Refused.UNKNOWN_ORDER
        if unknown and state.state is _A.LIVE:
            return lifecycle.vanished(state, "the exchange does not know it")
        return real(state, answer, now_ns)

    patch.item(lifecycle._ANSWERS, Asked.CANCEL, changed)


@mutant(REPLACING, "I5", "I17", "I1")
def asked_is_cancelled(patch: Patch) -> None:
    """An order is over when its cancel has been sent (Hummingbot drops it after three cancels not found)."""

    def changed(real: Any, hands: Execution, entry: Entry, action: Any) -> None:
        real(hands, entry, action)
        state = entry.attempts[entry.places[action.client_order_id]]
        if state.state is _A.LIVE and state.fills_qty == state.filled:
            hands._draft.put_state(entry, lifecycle.vanished(state, "cancelled"))

    patch.around(Execution, "cancel", changed)


@mutant(REPLACING.leaning(_LOSING), "L3", "L1")
def a_cancel_is_sent_once(patch: Patch) -> None:
    """A cancel that got lost is not sent again."""

    def changed(real: Any, case: Case) -> Decision:
        if not case.attempt.cancel_sent_ns:
            return real(case)  # type: ignore[no-any-return]
        return Decision((), reconcile._AWAITING, case.now_ns + 60_000_000_000)

    rule = reconcile._withdraw
    patch.attribute(reconcile, "_withdraw", lambda case: changed(rule, case))
    patch.item(reconcile.RULES, (_A.LIVE, Want.NOT), lambda case: changed(rule, case))


def _replaced_at_once(patch: Patch, size: Any) -> None:
    """The next order goes out together with the cancel of the one before."""
    _silently(patch)

    def changed(real: Any, hands: Execution, entry: Entry, action: Any) -> None:
        real(hands, entry, action)
        state, intent = entry.attempts[entry.places[action.client_order_id]], entry.intent
        is_replaced = intent.phase.is_wanted and not intent.held and not state.reopened and not action.probe
        rest = size(entry)
        if is_replaced and state.generation != intent.generation and rest > 0:
            hands._draft.put_state(entry, replace(state, reopened=True))
            hands.place(entry, PlaceAttempt(rest, intent.order.price, state.attempt + 1, "at once"))

    patch.around(Execution, "cancel", changed)


@mutant(REPLACING, "I1", "I2")
def replaced_in_one_go(patch: Patch) -> None:
    """Cancel and new order leave together, the new one sized by what had filled (Hyperliquid #4154)."""
    _replaced_at_once(patch, lambda entry: entry.intent.order.quantity - filled(entry.attempts))


@mutant(REPLACING, "I1", "I2", "I15")
def replaced_in_one_go_in_full(patch: Patch) -> None:
    """The same, with the whole quantity."""
    _replaced_at_once(patch, lambda entry: entry.intent.order.quantity)


@mutant(REPLACING, "core", "I1")
def ended_is_closed(patch: Patch) -> None:
    """The next order is placed when the last has ended, before its fills are known."""

    def changed(real: Any, intent: Any, attempts: Any, now_ns: int, policy: Any, *scene: Any) -> Decision:
        closed = [replace(a, state=_A.DONE) if a.state is _A.CLOSING else a for a in attempts]
        return real(intent, closed, now_ns, policy, *scene)  # type: ignore[no-any-return]

    from quantcli.kernel import core

    patch.around(core, "decide", changed)


@mutant(AMENDING.leaning({"swarm.latency": (2,), "swarm.back": (3,)}), "L1", "I26")
def amendments_overtake_each_other(patch: Patch) -> None:
    """The next amendment is sent while one is on its way."""

    def changed(real: Any, case: Case) -> Decision:
        pending = case.attempt.amendment
        if pending is None or pending.refused or pending.generation == case.intent.generation:
            return real(case)  # type: ignore[no-any-return]
        return real(
            Case(
                replace(case.attempt, amendment=None),
                case.terms,
                case.intent,
                case.now_ns,
                case.policy,
                case.scene,
            )
        )

    _adjusting(patch, changed)


def _adjusting(patch: Patch, changed: Any) -> None:
    rule = reconcile.RULES[_A.LIVE, Want.OTHERWISE]
    patch.item(reconcile.RULES, (_A.LIVE, Want.OTHERWISE), lambda case: changed(rule, case))


@mutant(AMENDING.leaning({**_LOSING, "swarm.latency": (2,)}), "L1", "I26")
def amendment_again_before_its_fence(patch: Patch) -> None:
    """An amendment without an answer is sent again at once."""

    def changed(real: Any, case: Case) -> Decision:
        pending = case.attempt.amendment
        if pending is None or pending.refused:
            return real(case)  # type: ignore[no-any-return]
        if case.now_ns < pending.deadline_ns - case.policy.venue.fence_ns + case.policy.spacing_ns:
            return Decision((), reconcile._AWAITING, case.now_ns + case.policy.spacing_ns)
        return real(
            Case(
                replace(case.attempt, amendment=None),
                case.terms,
                case.intent,
                case.now_ns,
                case.policy,
                case.scene,
            )
        )

    _adjusting(patch, changed)


@mutant(AMENDING, "L1")
def amendments_name_the_rest(patch: Patch) -> None:
    """The new quantity is sent as what is to remain, to an exchange that means the total."""

    def changed(real: Any, hands: Execution, entry: Entry, action: AmendAttempt) -> None:
        state = entry.attempts[entry.places[action.client_order_id]]
        rest = action.order.quantity - state.filled
        real(hands, entry, replace(action, order=replace(action.order, quantity=rest)))

    patch.around(Execution, "amend", changed)


@mutant(AMENDING, "I2", "core")
def amendments_take_the_total_for_the_rest(patch: Patch) -> None:
    """The new quantity is sent with what has filled on top (an exchange whose quantity means the rest)."""
    _silently(patch)

    def changed(real: Any, hands: Execution, entry: Entry, action: AmendAttempt) -> None:
        state = entry.attempts[entry.places[action.client_order_id]]
        more = action.order.quantity + state.filled
        real(hands, entry, replace(action, order=replace(action.order, quantity=more)))

    patch.around(Execution, "amend", changed)


@mutant(AMENDING.on(PLAIN, EARLY, UNFENCED).leaning({"swarm.refused": (3,)}), "L5", "L1")
def refused_amendments_are_sent_again(patch: Patch) -> None:
    """An amendment that the exchange refused is sent again, for ever."""

    def changed(real: Any, case: Case) -> Decision:
        pending = case.attempt.amendment
        if pending is None or not pending.refused:
            return real(case)  # type: ignore[no-any-return]
        return real(
            Case(
                replace(case.attempt, amendment=None),
                case.terms,
                case.intent,
                case.now_ns,
                case.policy,
                case.scene,
            )
        )

    _adjusting(patch, changed)


@mutant(AMENDING.on(PLAIN, EARLY, SLOW_ENGINE), "L1", "I2")
def amended_when_asked(patch: Patch) -> None:
    """An amendment is taken to have come about when it was sent."""

    def changed(real: Any, hands: Execution, entry: Entry, action: AmendAttempt) -> None:
        real(hands, entry, action)
        state = entry.attempts[entry.places[action.client_order_id]]
        hands._draft.put_state(
            entry, replace(state, order=action.order, generation=entry.intent.generation, amendment=None)
        )

    patch.around(Execution, "amend", changed)


@mutant(REPLACING.leaning({"swarm.external": (3,)}), "external")
def strangers_cancels_are_fought(patch: Patch) -> None:
    """An order that somebody cancelled on the exchange is placed again."""
    from quantcli.kernel import endings

    for status in (OrderStatus.CANCELED, OrderStatus.PARTIALLY_CANCELED):
        patch.without(endings.ENDINGS, (status, False))


@mutant(DOUBT.leaning({"user.act": (0, 0, 2, 2)}), "L3", "I5")
def cancelled_while_it_may_be_there(patch: Patch) -> None:
    """A wish that is cancelled ends at once, while its placement is in doubt (no finalizer)."""

    def changed(real: Any, intent: Any, attempts: Any, now_ns: int, policy: Any, *scene: Any) -> Decision:
        is_cancelled = intent.phase.value == "CANCEL_REQUESTED"
        if is_cancelled and all(
            a.state in (_A.PREPARED, _A.AMBIGUOUS) or a.state.is_closed for a in attempts
        ):
            settle = reconcile.ending(intent, [], intent.order.quantity, now_ns, None)
            return Decision((settle,), reconcile._IN_SYNC)  # type: ignore[arg-type]
        return real(intent, attempts, now_ns, policy, *scene)  # type: ignore[no-any-return]

    from quantcli.kernel import core

    patch.around(core, "decide", changed)
