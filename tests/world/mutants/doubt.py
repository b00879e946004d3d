"""Mutants that take "I do not know" for an answer: silence, a look-up in vain, a restart."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.kernel import lifecycle, reconcile, resolver, seeing
from quantcli.kernel.actions import Bury, Decision
from quantcli.kernel.core import Core
from quantcli.kernel.execution import Execution
from quantcli.kernel.lifecycle import Seen
from quantcli.kernel.reconcile import Case, Want
from quantcli.model.message import Absence, Asked, Refusal, Refused, Silence
from quantcli.model.order import AttemptState, OrderState, OrderStatus
from quantcli.model.venue import Resolution

from .mutant import Patch, mutant
from .scenery import BLIND, CRASHES, DOUBT, EARLY, FORGETFUL, IDEMPOTENT, MUTE, PLAIN, SLOW_ENGINE, UNFENCED

_A = AttemptState


def _dead(state: OrderState, reason: str) -> OrderState:
    """Declared dead, without a proof."""
    return replace(lifecycle.doubted(state, Seen.PROVED, reason), status=OrderStatus.UNKNOWN)


def _placement_answer(patch: Patch, changed: Any) -> None:
    real = lifecycle._ANSWERS[Asked.PLACE]
    patch.item(lifecycle._ANSWERS, Asked.PLACE, lambda *args: changed(real, *args))


@mutant(DOUBT, "I17", "I5", "I1")
def silence_is_a_refusal(patch: Patch) -> None:
    """A time-out or a lost connection makes the order invalid (LEAN, Hummingbot)."""

    def changed(real: Any, state: OrderState, answer: Refusal | Silence, now_ns: int) -> OrderState:
        if isinstance(answer, Silence):
            answer = Refusal(answer.client_order_id, answer.request, 0, answer.reason)
        return real(state, answer, now_ns)  # type: ignore[no-any-return]

    _placement_answer(patch, changed)


@mutant(DOUBT, "I17", "I1", "I2")
def silence_means_unsent(patch: Patch) -> None:
    """A placement without an answer never left, and is placed anew (a decorator that retries)."""

    def changed(real: Any, state: OrderState, answer: Refusal | Silence, now_ns: int) -> OrderState:
        if isinstance(answer, Silence):
            answer = replace(answer, sent=False)
        return real(state, answer, now_ns)  # type: ignore[no-any-return]

    _placement_answer(patch, changed)


@mutant(DOUBT, "I17", "I1")
def patience_is_a_proof(patch: Patch) -> None:
    """An order that was not confirmed in time was not accepted (a confirmation time-out, as in LEAN)."""
    patch.item(lifecycle.TRANSITIONS, (_A.PREPARED, Seen.OVERDUE), _A.DEAD)

    def changed(real: Any, case: Case) -> Decision:
        decision: Decision = real(case)
        return decision if len(decision.actions) < 2 else Decision(decision.actions[:1], decision.status, 0)

    for want in Want:
        rule = reconcile.RULES[_A.PREPARED, want]
        patch.item(reconcile.RULES, (_A.PREPARED, want), lambda case, rule=rule: changed(rule, case))


def _strikes(patch: Patch, strikes: int, after_the_fence: bool = False) -> None:
    """So many look-ups in vain, and the order is dead."""
    misses = patch.memory()

    def changed(
        real: Any, state: OrderState, report: lifecycle.OrderReport, fills_qty: Decimal, now_ns: int
    ) -> OrderState:
        after: OrderState = real(state, report, fills_qty, now_ns)
        if not isinstance(report, Absence) or after.state is not _A.AMBIGUOUS:
            return after
        if after_the_fence and now_ns <= after.deadline_ns:
            return after
        count = misses[after.client_order_id] = misses.get(after.client_order_id, 0) + 1
        return _dead(after, f"not found {count} times") if count >= strikes else after

    patch.around(seeing, "merge", changed)


@mutant(DOUBT, "I17", "I1", "I2")
def not_found_once_is_dead(patch: Patch) -> None:
    """ "Unknown order" at the first look-up: assumed fully cancelled (freqtrade at start)."""
    _strikes(patch, 1)


@mutant(BLIND, "I17", "I1", "I2")
def five_strikes(patch: Patch) -> None:
    """Five look-ups in vain, and a submitted order is rejected (Nautilus)."""
    _strikes(patch, 5)


@mutant(BLIND.on(SLOW_ENGINE, FORGETFUL), "I17", "I1")
def five_strikes_after_the_deadline(patch: Patch) -> None:
    """The same, counted only once the deadline of the placement is over."""
    _strikes(patch, 5, after_the_fence=True)


@mutant(CRASHES, "I17", "I1", "I4")
def prepared_at_boot_was_never_sent(patch: Patch) -> None:
    """What was not confirmed before a restart is placed anew (Hummingbot, whose rows follow the answer)."""
    patch.item(lifecycle.TRANSITIONS, (_A.PREPARED, Seen.RESTARTED), _A.DEAD)
    patch.around(Core, "_ask", lambda real, core, entry, **named: core._desk.enqueue(entry))


@mutant(DOUBT.on(PLAIN, SLOW_ENGINE, FORGETFUL, EARLY), "I13", "I2")
def same_id_again(patch: Patch) -> None:
    """The placement is sent again under the same id to an exchange that forgets ids (OKX as in Nautilus)."""

    def changed(real: Any, *args: Any) -> Resolution:
        found: Resolution = real(*args)
        return Resolution.RESEND if found is Resolution.PROVE else found

    patch.around(resolver, "resolution", changed)


@mutant(DOUBT.on(IDEMPOTENT), "I17", "I1")
def new_id_where_the_old_one_would_do(patch: Patch) -> None:
    """An exchange that makes one order of two requests is asked under a new id instead."""

    def changed(real: Any, case: Case) -> Decision:
        if reconcile._resolution(case) is not Resolution.RESEND:
            return real(case)  # type: ignore[no-any-return]
        bury = Bury(case.attempt.client_order_id, "sent anew under another id")
        return Decision((bury,), reconcile._UNCERTAIN, case.now_ns)

    for want in Want:
        rule = reconcile.RULES[_A.AMBIGUOUS, want]
        patch.item(reconcile.RULES, (_A.AMBIGUOUS, want), lambda case, rule=rule: changed(rule, case))


@mutant(DOUBT.on(IDEMPOTENT).leaning({"swarm.busy": (3,)}), "I17", "I1")
def second_sending_speaks_for_the_first(patch: Patch) -> None:
    """A sending that is refused ends the order, though an earlier sending of it was accepted."""
    _placement_answer(
        patch, lambda real, state, answer, now_ns: real(replace(state, sends=1), answer, now_ns)
    )


@mutant(DOUBT.leaning({"swarm.busy": (3,)}), "L1")
def busy_is_for_good(patch: Patch) -> None:
    """An exchange that is busy, or was asked too often, has refused the order for good (freqtrade)."""

    def changed(real: Any, state: OrderState, answer: Refusal | Silence, now_ns: int) -> OrderState:
        if isinstance(answer, Refusal) and answer.kind is Refused.BUSY:
            answer = replace(answer, kind=Refused.FINAL)
        return real(state, answer, now_ns)  # type: ignore[no-any-return]

    _placement_answer(patch, changed)


@mutant(DOUBT.on(MUTE, UNFENCED), "L2")
def nobody_is_ever_called(patch: Patch) -> None:
    """Doubt that cannot be resolved goes on for ever without an operator being asked for."""
    patch.around(
        reconcile,
        "_resolve",
        lambda real, case: real(
            Case(
                case.attempt,
                case.terms,
                case.intent,
                case.now_ns,
                replace(case.policy, hold_ns=1 << 62),
                case.scene,
            )
        ),
    )
    for want in Want:
        patch.item(reconcile.RULES, (_A.AMBIGUOUS, want), reconcile._resolve)


@mutant(DOUBT.on(PLAIN, SLOW_ENGINE, FORGETFUL, EARLY), "L2")
def look_and_look_again(patch: Patch) -> None:
    """Doubt is never resolved by more than looking up (most connectors), though the contract has a proof."""
    patch.around(resolver, "resolution", lambda real, *args: Resolution.HOLD)


@mutant(DOUBT.on(PLAIN, EARLY), "I14")
def no_fence_on_the_request(patch: Patch) -> None:
    """Orders are sent without a deadline (Nautilus at OKX, Deribit, Kraken, Hyperliquid)."""

    def changed(real: Any, hands: Execution, *args: Any) -> Any:
        place = real(hands, *args)
        return replace(place, deadline_ns=place.deadline_ns + 3_600_000_000_000)

    patch.around(Execution, "_prepared", changed)
