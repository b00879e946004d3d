"""What a decision may depend on beside the wish itself: our patience, and what else is so.

Structs only; times are nanoseconds.
"""

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.order import ReconciliationStatus
from quantcli.model.venue import VenueContract


class Policy(msgspec.Struct, frozen=True):
    """Patience of the kernel, and what it may rely on.

    `patience_ns`  no answer to a place or cancel for so long: look the order up
    `resync_ns`    a working order that was not seen for so long is looked up
    `survey_ns`    between statements of one market, where the exchange gives them
    `spacing_ns`, `spacing_max_ns`   between look-ups of one order: as long as it has been about, within these
    `hold_ns`      after so long without certainty an operator is asked for
    `max_attempts` placements for one set of terms (more were needed only if none was accepted)
    """

    patience_ns: int = 3 * NS_PER_S
    resync_ns: int = 30 * NS_PER_S
    survey_ns: int = 60 * NS_PER_S
    spacing_ns: int = 500 * NS_PER_MS
    spacing_max_ns: int = 5 * NS_PER_S
    hold_ns: int = 120 * NS_PER_S
    max_attempts: int = 20
    venue: VenueContract = VenueContract()


class Scene(msgspec.Struct, frozen=True, gc=False):
    """What bears on an intent beyond its own attempts.

    `closed`          why nothing may be placed for it now; `None` if it may
    `clock_error_ns`  how far our clock may be off the exchange's
    `is_opposed`      an order of the other side is open in the market
    `is_betrayed`     the exchange has broken its contract: nothing can be proved by it any more
    `is_linked`       the exchange links its order to others: it is placed with them, once
    `rules`           the market's steps and minima, where they are known
    """

    closed: ReconciliationStatus | None = None
    clock_error_ns: int = 0
    is_opposed: bool = False
    is_betrayed: bool = False
    is_linked: bool = False
    rules: SymbolMetadata | None = None


OPEN = Scene()
