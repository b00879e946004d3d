"""Mutants that leave out, weaken or misplace a part of the proof that an order does not exist."""

from typing import Any

from msgspec.structs import replace

from quantcli.kernel import lifecycle, resolver, seeing
from quantcli.kernel.actions import CancelAttempt
from quantcli.kernel.core import Core
from quantcli.kernel.execution import Execution
from quantcli.kernel.policy import Policy, Scene
from quantcli.kernel.projection import Entry
from quantcli.kernel.resolver import Need
from quantcli.kernel.seeing import Seeing
from quantcli.model.message import Asked, Refusal, Refused
from quantcli.model.order import AttemptState, Evidence, OrderState

from .mutant import Patch, mutant
from .scenery import BLIND, CROWDED, DOUBT, EARLY, FORGETFUL, PLAIN, SLOW_ENGINE

_A = AttemptState
_PROVING = (PLAIN, SLOW_ENGINE, FORGETFUL, EARLY)
# Placements arrive at the last moment, by a clock that is slow.
_DELAYED = BLIND.leaning(
    {
        "swarm.engine": (3,),
        "venue.engine": (0, 1),
        "swarm.clock": (3,),
        "swarm.episodes": (3,),
        "episode.at": (1,),
        "episode.kind": (7,),
        "episode.clock": (2,),
        "swarm.disk": (3,),
        "disk.slow": (0, 0, 0, 1),
        "disk.delay": (1, 2),
        "net.delay": (1, 1, 1, 5, 6),
    }
)
_SLOW_CLOCK = _DELAYED.on(PLAIN).leaning(
    {
        "disk.delay": (2,),
        "net.delay": (1, 1, 1, 5),
        "net.back": (0, 0, 0, 1),
        "venue.blind": (1,),
        "market.comes": (6,),
        "venue.lags": (0,),
        "run.acts": (3,),
        "user.act": (0,),
    }
)


def _without(patch: Patch, *skipped: Need) -> None:
    def changed(real: Any, *args: Any) -> tuple[Need, ...]:
        return tuple(need for need in real(*args) if need not in skipped)

    patch.around(resolver, "missing", changed)


@mutant(_DELAYED.on(*_PROVING), "I17", "I1")
def no_waiting_for_the_fence(patch: Patch) -> None:
    """Probe, look and reckon at once: the placement may still be on its way."""
    patch.around(resolver, "fenced_ns", lambda real, *args: 0)


@mutant(_DELAYED.on(SLOW_ENGINE), "I17", "I1")
def engine_bound_forgotten(patch: Patch) -> None:
    """The fence is taken for the time at which the request must arrive, not execute."""
    patch.around(
        resolver,
        "fenced_ns",
        lambda real, attempt, policy, scene: attempt.deadline_ns + scene.clock_error_ns,
    )


@mutant(_SLOW_CLOCK, "I17", "I1")
def our_clock_is_right(patch: Patch) -> None:
    """The fence is measured by our own clock, whatever its error."""
    patch.around(
        resolver,
        "fenced_ns",
        lambda real, attempt, policy, scene: attempt.deadline_ns + policy.venue.engine_bound_ns,
    )


@mutant(_SLOW_CLOCK, "I17", "I1")
def clock_bound_unheard(patch: Patch) -> None:
    """What is known of the clock's error never reaches the resolver."""
    patch.around(Seeing, "clock_bound", lambda real, seeing, event: None)


@mutant(_DELAYED.on(*_PROVING), "I17", "I1")
def fence_from_when_it_was_sent(patch: Patch) -> None:
    """The fence counts from the sending, as if the deadline were at once."""
    patch.around(
        resolver,
        "fenced_ns",
        lambda real, attempt, policy, scene: attempt.prepared_ns + scene.clock_error_ns,
    )


@mutant(BLIND.on(*_PROVING), "I17", "I1")
def no_probe(patch: Patch) -> None:
    """After the fence look-ups and positions decide; the cancel that would ask the engine is not sent."""

    def changed(real: Any, hands: Execution, entry: Entry, action: CancelAttempt) -> None:
        if not action.probe:
            real(hands, entry, action)
            return
        state, now_ns = hands._open_attempt(entry, action.client_order_id), hands._draft.now_ns
        evidence = Evidence(fenced_ns=now_ns, probed_ns=now_ns)
        hands._draft.put_state(entry, replace(state, cancel_sent_ns=now_ns, evidence=evidence))

    patch.around(Execution, "cancel", changed)


@mutant(_DELAYED.on(*_PROVING), "I17", "I1")
def probe_before_the_fence(patch: Patch) -> None:
    """The cancel is sent first, and its answer kept until the fence has passed."""

    def changed(
        real: Any, attempt: OrderState, now_ns: int, policy: Policy, scene: Scene
    ) -> tuple[Need, ...]:
        is_probed = attempt.evidence is not None and attempt.evidence.probed_ns
        if attempt.state is _A.AMBIGUOUS and not is_probed:
            return (Need.PROBE,)
        return real(attempt, now_ns, policy, scene)  # type: ignore[no-any-return]

    patch.around(resolver, "missing", changed)


@mutant(BLIND.on(*_PROVING), "I17", "I1")
def unknown_order_is_dead(patch: Patch) -> None:
    """A cancel answered "unknown order" ends a doubtful placement at once."""
    real = lifecycle._ANSWERS[Asked.CANCEL]

    def changed(state: OrderState, answer: Any, now_ns: int) -> OrderState:
        unknown = isinstance(answer, Refusal) and answer.kind is Refused.UNKNOWN_ORDER
        if unknown and state.state is _A.AMBIGUOUS:
            return lifecycle.doubted(state, lifecycle.Seen.PROVED, "the exchange does not know it")
        return real(state, answer, now_ns)

    patch.item(lifecycle._ANSWERS, Asked.CANCEL, changed)


@mutant(DOUBT.on(*_PROVING), "I16", "I17")
def absent_once_is_enough(patch: Patch) -> None:
    """One look-up in vain after the probe, instead of two that are apart."""
    _once(patch, "last_absent_ns", Need.ABSENCE)


@mutant(DOUBT.on(*_PROVING), "I16", "I17")
def agreed_once_is_enough(patch: Patch) -> None:
    """One statement that agrees, instead of two that are apart."""
    _once(patch, "last_agreed_ns", Need.AGREEMENT)


def _once(patch: Patch, field: str, skipped: Need) -> None:
    def changed(
        real: Any, attempt: OrderState, now_ns: int, policy: Policy, scene: Scene
    ) -> tuple[Need, ...]:
        needs: tuple[Need, ...] = real(attempt, now_ns, policy, scene)
        if attempt.evidence is None or not getattr(attempt.evidence, field):
            return needs
        return tuple(need for need in needs if need is not skipped)

    patch.around(resolver, "missing", changed)


@mutant(DOUBT.on(*_PROVING), "I16", "I17")
def no_look_ups(patch: Patch) -> None:
    """Fence, probe and positions decide; nobody looks the order up."""
    _without(patch, Need.ABSENCE)


@mutant(DOUBT.on(*_PROVING), "I16", "I17")
def no_conservation(patch: Patch) -> None:
    """Fence, probe and look-ups decide; nobody reckons up the position."""
    _without(patch, Need.AGREEMENT)


@mutant(BLIND.on(*_PROVING), "I17", "I1")
def positions_are_not_compared(patch: Patch) -> None:
    """Every statement agrees, whatever its position says."""
    patch.around(seeing, "agreed", lambda real, state, asked, agrees, now: real(state, asked, True, now))


@mutant(DOUBT.on(*_PROVING), "I16")
def old_look_up_counts(patch: Patch) -> None:
    """A look-up asked before the exchange denied the order counts as one asked after."""

    def changed(real: Any, state: OrderState, report: Any, now_ns: int) -> OrderState:
        known = state.evidence
        if known is not None and known.probed_ns and state.state is _A.AMBIGUOUS:
            first = known.first_absent_ns or report.asked_ns
            return replace(
                state,
                evidence=replace(
                    known, first_absent_ns=first, last_absent_ns=max(known.last_absent_ns, report.asked_ns)
                ),
            )
        return real(state, report, now_ns)  # type: ignore[no-any-return]

    patch.around(lifecycle, "_absent", changed)


@mutant(DOUBT.on(*_PROVING).leaning({"swarm.latency": (2,)}), "I16")
def old_statement_agrees(patch: Patch) -> None:
    """A statement asked before the exchange denied the order counts as one asked after."""

    def changed(real: Any, state: OrderState, asked_ns: int, agrees: bool, now_ns: int) -> OrderState:
        known = state.evidence
        if known is None or not known.probed_ns or not agrees:
            return real(state, asked_ns, agrees, now_ns)  # type: ignore[no-any-return]
        first, last = known.first_agreed_ns or asked_ns, max(known.last_agreed_ns, asked_ns)
        return replace(state, evidence=replace(known, first_agreed_ns=first, last_agreed_ns=last))

    patch.around(seeing, "agreed", changed)


@mutant(CROWDED.on(*_PROVING), "I17", "I1")
def opposed_orders_ignored(patch: Patch) -> None:
    """Two doubtful orders of opposite sides whose trades cancel out in the position are not thought of."""
    patch.around(Core, "_scene", lambda real, core, entry: replace(real(core, entry), is_opposed=False))


@mutant(CROWDED.on(SLOW_ENGINE), "I3", "I7")
def unnamed_trades_are_a_strangers(patch: Patch) -> None:
    """A trade of an order nobody knows is booked as a stranger's, while a placement is in doubt."""

    def changed(real: Any, seeing: Seeing, market: Any, fills: Any) -> bool:
        for fill in fills:
            client_id = fill.client_order_id or seeing._desk.view.client_id_of(
                fill.symbol, fill.exchange_order_id
            )
            if not client_id:
                seeing._strange_fill(fill, None)
        return real(seeing, market, fills)  # type: ignore[no-any-return]

    patch.around(Seeing, "_fold_fills", changed)


@mutant(CROWDED.on(SLOW_ENGINE), "I3", "L1")
def unnamed_trades_are_dropped(patch: Patch) -> None:
    """A trade of an order nobody knows is marked as seen, and nothing else is done about it."""

    def changed(real: Any, seeing: Seeing, market: Any, fills: Any) -> bool:
        view = seeing._desk.view
        for fill in fills:
            if not (fill.client_order_id or view.client_id_of(fill.symbol, fill.exchange_order_id)):
                view.is_fill_known(fill, None)
        return real(seeing, market, fills)  # type: ignore[no-any-return]

    patch.around(Seeing, "_fold_fills", changed)
