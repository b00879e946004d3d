"""How one kind of exchange behaves: its contract, its habits within it, and the clauses it breaks.

Habits are unpleasant but allowed; a broken clause is not, and what can still be demanded then stands in
`WAIVED`.  Knows no time and no orders.
"""

from enum import StrEnum

import msgspec

from quantcli.model.venue import AmendRule, IdForm, Resolution, VenueContract

_S = 1_000_000_000


class Breach(StrEnum):
    """A clause of the contract that an exchange does not keep."""

    NONE = "none"
    LATE_EXECUTION = "VC2"  # a placement is executed after its deadline
    BLIND_CANCEL = "VC3"  # a cancel is answered by a copy that does not know the order yet
    FALLING_CUM = "VC4"  # the cumulative quantity falls
    LATE_CUM = "VC4b"  # the quantity told with an end is too small; the rest is told later
    LYING_POSITION = "VC7"  # positions in statements are wrong
    ROLLBACK = "V29"  # the last seconds are lost
    VANISH = "vanish"  # an open order is gone, and nobody says so


class Personality(msgspec.Struct, frozen=True):
    """One kind of exchange.

    `fenced`          placements after their deadline are refused
    `idempotent`      the same client order id again is the same order, for ever
    `early_ack`       an answer to a placement says only that it was passed on
    `early_cancel`    so does one to a cancel
    `names_trades`    trades in statements carry client order ids
    `fills_in_answers`  an answer brings the fills along, else they come on the stream only
    `base_fee`        a buyer pays the fee in the base asset
    `link`            native order lists
    """

    name: str
    contract: VenueContract
    fenced: bool = True
    idempotent: bool = False
    early_ack: bool = False
    early_cancel: bool = False
    names_trades: bool = True
    fills_in_answers: bool = True
    base_fee: bool = False
    breach: Breach = Breach.NONE


_PROVE = VenueContract(
    exchange="plain",
    resolution=Resolution.PROVE,
    fence_ns=5 * _S,
    engine_bound_ns=0,
    probe=True,
    statement=True,
    amend=AmendRule.TOTAL,
    native_oco=True,
    replica_lag_ns=10 * _S,
    retention_ns=2 * 3600 * _S,
    fills_ns=48 * 3600 * _S,
)

PERSONALITIES = (
    Personality("plain", _PROVE),
    Personality(
        "slow-engine",  # as Binance's spot market: ten seconds in the engine, only smaller amendments
        msgspec.structs.replace(
            _PROVE,
            exchange="slow-engine",
            engine_bound_ns=10 * _S,
            amend=AmendRule.DECREASE,
            replica_lag_ns=60 * _S,
        ),
        names_trades=False,
        base_fee=True,
    ),
    Personality(
        "forgetful",  # as OKX: orders without fills can be looked up for a short while only
        msgspec.structs.replace(
            _PROVE,
            exchange="forgetful",
            fence_ns=3 * _S,
            engine_bound_ns=_S,
            native_oco=False,
            retention_ns=20 * _S,
            replica_lag_ns=30 * _S,
        ),
        fills_in_answers=False,
    ),
    Personality(
        "early",  # as Bybit: everything is accepted first and decided later
        msgspec.structs.replace(_PROVE, exchange="early", engine_bound_ns=2 * _S, native_oco=False),
        early_ack=True,
        early_cancel=True,
        fills_in_answers=False,
    ),
    Personality(
        "idempotent",  # as Coinbase
        VenueContract(
            exchange="idempotent",
            resolution=Resolution.RESEND,
            statement=True,
            probe=False,
            replica_lag_ns=10 * _S,
            fills_ns=48 * 3600 * _S,
        ),
        fenced=False,
        idempotent=True,
    ),
    Personality(
        "mute",  # the weakest contract: nothing can be proved
        VenueContract(exchange="mute", id_form=IdForm.HEX),
        fenced=False,
    ),
    Personality(
        "unfenced",  # no fence, but statements
        VenueContract(
            exchange="unfenced",
            statement=True,
            probe=True,
            amend=AmendRule.TOTAL,
            replica_lag_ns=5 * _S,
            fills_ns=48 * 3600 * _S,
        ),
        fenced=False,
        names_trades=False,
    ),
)

# What cannot be demanded of a kernel whose exchange breaks a clause.  I1 one live order, I2 overfills,
# I5 settled means over, I13 and I17 wrong proofs, L what is left to an operator.
_TWO = frozenset({"I1", "I2", "I5", "I15", "I17", "I18", "I20"})
WAIVED: dict[Breach, frozenset[str]] = {
    Breach.NONE: frozenset(),
    Breach.LATE_EXECUTION: _TWO,
    Breach.BLIND_CANCEL: _TWO,
    Breach.FALLING_CUM: frozenset({"I2", "I18", "I20", "I6", "I7"}),  # an end may be told with too little
    Breach.LATE_CUM: frozenset({"I2", "I3", "I18", "I20", "I6"}),
    Breach.LYING_POSITION: _TWO,
    Breach.ROLLBACK: frozenset({"I3", "I6", "I18", "I20", "L4"}),
    Breach.VANISH: frozenset({"I18"}),
}


def broken(personality: Personality, breach: Breach) -> Personality:
    """The same exchange, but for one clause that it does not keep."""
    changes: dict[str, object] = {"breach": breach, "name": f"{personality.name} {breach.value}"}
    if breach is Breach.LATE_EXECUTION:
        changes["fenced"] = False
    return msgspec.structs.replace(personality, **changes)
