"""What is still missing for the proof that an order is not on the exchange: a pure function of the evidence.

    missing(attempt, now_ns, policy, scene) -> what to obtain next, nothing if all is there

Three independent proofs, each later than the one before, because each alone has failed somewhere:

    E1  the fence   the placement's deadline is over by the exchange's clock: it cannot be executed any more
    E2  the probe   asked after that to cancel it, the exchange knows no such order: nothing of it works
    E3  the books   asked after that, look-ups do not find it and statements agree with our books to the
                    last unit, twice: nothing of it has traded

One agreement of positions could be an accident of two trades that net out, so while an order of the
other side is open in the market the agreements must span the time in which the exchange's copies
catch up; so must they for an order that was there once.  What came to light against it meanwhile is no
concern of this module: a sighting has then made the attempt LIVE.  Asks nobody anything.
"""

from enum import Enum

from quantcli.kernel.policy import Policy, Scene
from quantcli.model.order import AttemptState, Evidence, OrderState
from quantcli.model.venue import Resolution


class Need(Enum):
    """What is to be obtained."""

    FENCE = "the deadline to pass"
    PROBE = "the exchange to deny it"
    ABSENCE = "look-ups in vain"
    AGREEMENT = "statements that agree"


_NOTHING = Evidence()


def missing(attempt: OrderState, now_ns: int, policy: Policy, scene: Scene) -> tuple[Need, ...]:
    """What the proof still lacks, of an AMBIGUOUS attempt or of a LIVE one that is not found any more."""
    known = attempt.evidence or _NOTHING
    if attempt.state is AttemptState.AMBIGUOUS and now_ns <= fenced_ns(attempt, policy, scene):
        return (Need.FENCE,)
    if not known.probed_ns:
        return (Need.PROBE,)
    is_lagging = scene.is_opposed or attempt.state is AttemptState.LIVE
    span_ns = policy.venue.replica_lag_ns if is_lagging else policy.spacing_ns
    found = {
        Need.ABSENCE: known.last_absent_ns - known.first_absent_ns >= span_ns,
        Need.AGREEMENT: known.last_agreed_ns - known.first_agreed_ns >= span_ns,
    }
    return tuple(need for need, is_there in found.items() if not is_there)


def fenced_ns(attempt: OrderState, policy: Policy, scene: Scene) -> int:
    """Until when, by our clock, the exchange may still execute the placement (E1)."""
    return attempt.deadline_ns + policy.venue.engine_bound_ns + scene.clock_error_ns


def resolution(policy: Policy, scene: Scene, is_wanted: bool) -> Resolution:
    """How doubt is resolved: as the contract says, unless it was broken or lacks a part of the proof.

    What may not be placed now is not placed again to learn of it either.
    """
    venue = policy.venue
    if scene.is_betrayed or venue.resolution is Resolution.HOLD:
        return Resolution.HOLD
    if venue.resolution is Resolution.RESEND and is_wanted and scene.closed is None:
        return Resolution.RESEND
    return Resolution.PROVE if venue.probe and venue.statement else Resolution.HOLD
