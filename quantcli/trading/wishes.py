"""What strategies say: lasting wishes (`keep`, `hold`) and the commands that make them true.

A wish names a slot; the slot, not the price, is its identity.  Commands are what the engine carries out:
the imperative verbs append them directly, `trading.quotes` derives them from wishes.
Structs only; nothing here decides.
"""

from collections.abc import Mapping

import msgspec

from quantcli.model.instrument import Number, Side
from quantcli.model.order import StandardOrder


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Keep an order of `size` resting at `price`, as long as this is yielded.

    `size` is in base units or text with a currency ("50 USDT").  Within `tolerance` (ticks) and
    `size_tolerance` (a fraction) the order rests and keeps its queue place; it is moved at most every
    `min_rest_ns`.
    """

    slot: str
    side: Side
    size: Number
    price: Number
    tolerance: float
    size_tolerance: float
    min_rest_ns: int
    post_only: bool


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Hold a position of `target` (base units, or text with a currency); reached with market orders."""

    slot: str
    target: Number
    tolerance: float


Wish = Keep | Hold


class Ticket:
    """A strategy's handle on one order it placed; filled in by the engine as things happen.

    `intent_id` is empty until the kernel has accepted the wish, `refused` says why it did not.
    """

    __slots__ = ("filled", "intent_id", "is_open", "refused", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.intent_id = ""
        self.refused = ""
        self.filled = 0.0
        self.is_open = True


class PlaceOrder(msgspec.Struct, frozen=True):
    """Place an order; exactly one of `ticket` and `slot` says whose it is."""

    order: StandardOrder
    metadata: Mapping[str, str]
    ticket: Ticket | None = None
    slot: str = ""


class ModifyOrder(msgspec.Struct, frozen=True):
    """Give an open intent new terms."""

    intent_id: str
    order: StandardOrder


class CancelOrder(msgspec.Struct, frozen=True):
    """Cancel what a ticket stands for, or an intent by id."""

    intent_id: str = ""
    ticket: Ticket | None = None


class CancelAll(msgspec.Struct, frozen=True):
    """Cancel every open intent, of one symbol or of all."""

    symbol: str | None = None


Command = PlaceOrder | ModifyOrder | CancelOrder | CancelAll
