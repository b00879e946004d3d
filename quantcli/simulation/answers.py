"""What the exchange says: an order as it stands, or why a request was refused.

Knows how reports are put together; decides nothing.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.message import Amend, Asked, Cancel, Observation, Place, Refusal
from quantcli.model.order import Fill, StandardOrder
from quantcli.simulation.orders import LiveOrder
from quantcli.simulation.rules import Check, meaning, reject


def observation(
    order: LiveOrder,
    at_ns: int,
    fills: Sequence[Fill] = (),
    reason: str = "",
    terms: StandardOrder | None = None,
) -> Observation:
    """An order as it stands, with `fills` of it, and with its terms if they are given."""
    return Observation(
        order.client_order_id,
        order.exchange_order_id,
        order.status,
        order.filled,
        at_ns,
        tuple(fills),
        reason,
        terms,
    )


def with_terms(report: Observation, order: LiveOrder) -> Observation:
    """The report on an order that has just been entered or changed, showing its terms."""
    return replace(report, order=order.terms)


def refusal(request: Place | Amend | Cancel, check: Check, meta: SymbolMetadata | None) -> Refusal:
    """Why a request was refused; `meta` is `None` for a market that does not exist."""
    asked_ns = number = 0
    match request:
        case Place():
            asked = Asked.PLACE
        case Amend():
            asked, number = Asked.AMEND, request.number
        case Cancel():
            asked, asked_ns = Asked.CANCEL, request.asked_ns
    code, message = reject(check, meta, asked)
    return Refusal(
        request.client_order_id, asked, code, message, meaning(check), asked_ns=asked_ns, number=number
    )
