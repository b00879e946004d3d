"""What an exchange promises about orders: the contract that the kernel may rely on, as data.

The kernel promises exactly-once under this contract, and at-most-once, loudly, where an exchange breaks
it.  Times are nanoseconds.  Knows no exchange by name: the figures stand in `venues/manifests/*.toml`,
with their sources.
"""

from enum import StrEnum

import msgspec

_S = 1_000_000_000


class Resolution(StrEnum):
    """How to find out whether a placement without an answer exists.

    RESEND  the same client order id again returns the same order, for ever (true idempotency)
    PROVE   after its deadline it cannot execute: cancel it, look, reckon up the position, then place anew
    HOLD    neither: only a sighting or an operator ends the doubt
    """

    RESEND = "resend"
    PROVE = "prove"
    HOLD = "hold"


class AmendRule(StrEnum):
    """Which changes an exchange makes to a working order, with quantity meaning the total of the order.

    An exchange whose quantity means what remains has NONE: a fill on the way would overfill.
    """

    NONE = "none"
    DECREASE = "decrease"  # a smaller quantity at the same price
    TOTAL = "total"  # price and quantity


class IdForm(StrEnum):
    """How a client order id of 128 bits is spelt on the wire."""

    HEX = "hex"  # 32 hex digits
    HEX_0X = "0x"  # the same behind 0x
    UUID = "uuid"  # 8-4-4-4-12


class VenueContract(msgspec.Struct, frozen=True):
    """What one exchange, or one kind of market on it, promises.

    `fence_ns`          a placement or amendment is sent with a deadline so far ahead …
    `engine_bound_ns`   … and cannot execute any more so long after it, by the exchange's clock
    `probe`             a cancel by client order id is decided where orders are matched, not in a copy
    `statement`         open orders, every trade and the position can be asked for
    `amend`             see `AmendRule`
    `native_oco`        order lists that cancel each other on the exchange
    `expires`           ends orders itself when their time is over; else they have to be cancelled then
    `replica_lag_ns`    look-ups and statements may be so far behind
    `retention_ns`      an order that ended without a fill can be looked up for so long
    `fills_ns`          trades can be asked for so far back
    """

    exchange: str = ""
    resolution: Resolution = Resolution.HOLD
    fence_ns: int = 5 * _S
    engine_bound_ns: int = 0
    probe: bool = False
    statement: bool = False
    amend: AmendRule = AmendRule.NONE
    native_oco: bool = False
    expires: bool = True
    replica_lag_ns: int = 60 * _S
    retention_ns: int = 0
    fills_ns: int = 0
    id_form: IdForm = IdForm.HEX
