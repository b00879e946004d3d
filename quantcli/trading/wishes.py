"""What strategies say: lasting wishes (`keep`, `hold`, `bracket`) and the commands that make them true.

A wish names a slot; the slot, not the price, is its identity.  Commands are what the engine carries out:
the imperative verbs append them directly, `trading.quotes` derives them from wishes.
Nothing here decides, and no number is checked against a market.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from quantcli.config import parse_duration, parse_rate
from quantcli.errors import QuantError, StrategyError, UsageError
from quantcli.model.instrument import Number, Side
from quantcli.model.order import StandardOrder, StandardOrderGroup
from quantcli.trading.blame import calling_line


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Keep an order of `size` resting at `price`, as long as this is yielded.

    `size` is in base units or text with a currency ("50 USDT").  Within `tolerance` (ticks) and
    `size_tolerance` (a fraction) the order rests and keeps its queue place; it is moved at most every
    `min_rest_ns`, and what was filled is refilled `cooldown_ns` later.
    """

    slot: str
    side: Side
    size: Number
    price: Number
    tolerance: float
    size_tolerance: float
    min_rest_ns: int
    cooldown_ns: int
    post_only: bool


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Hold a position of `target` (base units, or text with a currency); reached with market orders.

    A difference within `tolerance` (a fraction of the target) is left alone.
    """

    slot: str
    target: Number
    tolerance: float


class Bracket(msgspec.Struct, frozen=True, gc=False):
    """Enter a position at `entry` or, once the market has come there, from `entry_stop` on, and guard it.

    The order for `size` (base units, or text with a currency) begets a stop at `stop_loss`, which follows the
    market at the distance `trail` if there is one, and a `take_profit`.  Within `tolerance` (ticks) of the
    wish all of them stay as they are.
    """

    slot: str
    size: Number
    entry: Number | None
    entry_stop: Number | None
    stop_loss: Number
    take_profit: Number | None
    trail: Number | None
    tolerance: float


Wish = Keep | Hold | Bracket


@lru_cache(maxsize=1024)
def _ticks(tolerance: float | str) -> float:
    text = str(tolerance).strip()
    number = text.removesuffix("ticks").removesuffix("tick")
    try:
        ticks = float(number)
    except ValueError:
        ticks = -1.0
    if not 0 <= ticks < float("inf"):
        raise StrategyError(
            f"{calling_line()}: {tolerance!r} is not a tolerance in ticks",
            todo='write it like tolerance=2 or tolerance="2 ticks"',
        )
    return ticks


@lru_cache(maxsize=1024)
def _fraction(tolerance: float | str) -> float:
    try:
        fraction = float(parse_rate(tolerance))
    except QuantError:
        fraction = -1.0
    if fraction < 0:
        raise StrategyError(
            f"{calling_line()}: {tolerance!r} is not a fraction",
            todo='write it like 0.1 or "10 %"',
        )
    return fraction


@lru_cache(maxsize=1024)
def duration_ns(text: str) -> int:
    """Read "10s" or "500 ms", naming the author's line where it cannot be read (`StrategyError`)."""
    try:
        return parse_duration(text)
    except UsageError as error:
        raise StrategyError(f"{calling_line()}: {error.what}", why=error.why, todo=error.todo) from None


class _KeepVerb:
    """`keep.bid(...)` and `keep.ask(...)`: an order that rests for as long as it is yielded."""

    @staticmethod
    def bid(
        slot: str,
        size: Number,
        price: Number,
        *,
        tolerance: float | str = 1.0,
        size_tolerance: float | str = 0.05,
        min_rest: str = "250ms",
        cooldown: str = "1s",
        post_only: bool = False,
    ) -> Keep:
        """Keep buying `size` at `price`.

        The slot is the order's identity: the same name moves the order, a new name is a new order, a
        name no longer yielded is cancelled.  The order rests while the wish stays within `tolerance`
        (ticks) and `size_tolerance` (a fraction or "5 %") of it, is moved at most once in `min_rest`, and
        is refilled `cooldown` after a fill.  A `post_only` order that would trade at once is not placed.
        """
        return Keep(
            slot,
            Side.BUY,
            size,
            price,
            _ticks(tolerance),
            _fraction(size_tolerance),
            duration_ns(min_rest),
            duration_ns(cooldown),
            post_only,
        )

    @staticmethod
    def ask(
        slot: str,
        size: Number,
        price: Number,
        *,
        tolerance: float | str = 1.0,
        size_tolerance: float | str = 0.05,
        min_rest: str = "250ms",
        cooldown: str = "1s",
        post_only: bool = False,
    ) -> Keep:
        """Keep selling `size` at `price`; see `bid`.  On spot never more than is held."""
        return Keep(
            slot,
            Side.SELL,
            size,
            price,
            _ticks(tolerance),
            _fraction(size_tolerance),
            duration_ns(min_rest),
            duration_ns(cooldown),
            post_only,
        )


keep = _KeepVerb()


def hold(target: Number, slot: str = "hold", tolerance: float | str = 0.05) -> Hold:
    """Hold a position of `target`; negative is short, which spot markets do not have.

    Where the position misses the target by more than `tolerance` (a fraction of it, or "5 %") and by
    at least what the exchange accepts as an order, a market order makes up the difference.
    """
    return Hold(slot, target, _fraction(tolerance))


def bracket(
    slot: str,
    *,
    size: Number,
    entry: Number | None = None,
    entry_stop: Number | None = None,
    stop_loss: Number,
    take_profit: Number | None = None,
    trail: Number | None = None,
    tolerance: float | str = 1.0,
) -> Bracket:
    """Enter with `size`, and let a stop loss and a take profit guard what was entered.

    `entry` is a limit; from `entry_stop` on the market is bought (with both, a limit order is placed).  A
    `stop_loss` below it makes it a buy, one above it a sell.  The exits are for as much as has been entered,
    and one shrinks as the other fills.  With a `trail` (a distance in quote currency) the stop follows the
    best price.  How many exits there are, and the trail, are settled when the entry is placed.

    An entry that is no longer yielded is cancelled; exits stay until the position they guard is gone,
    whatever is yielded.  While it is yielded, other prices move the orders, if they are off by more than
    `tolerance` (ticks).  Nothing is entered again before the exits have ended, and nothing is placed while
    the market is beyond the `entry_stop`.  An order of it that somebody else cancels pauses the slot.
    """
    if entry is None and entry_stop is None:
        raise StrategyError(
            f"{calling_line()}: a bracket without an entry",
            todo="give entry=…, a limit, or entry_stop=…, where the market is to be bought",
        )
    return Bracket(slot, size, entry, entry_stop, stop_loss, take_profit, trail, _ticks(tolerance))


class Ticket:
    """A strategy's handle on one order it placed; filled in by the engine as things happen.

    `intent_id` is empty until the kernel has accepted the wish, `refused` says why it did not.
    """

    __slots__ = ("__weakref__", "filled", "intent_id", "is_open", "refused", "symbol")

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


class PlaceGroup(msgspec.Struct, frozen=True):
    """Place the orders of a slot's bracket."""

    group: StandardOrderGroup
    metadata: Mapping[str, str]
    slot: str


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


class StartTimer(msgspec.Struct, frozen=True):
    """Call `on_timer(name)` every `every_ns` from now on."""

    name: str
    every_ns: int


Command = PlaceOrder | PlaceGroup | ModifyOrder | CancelOrder | CancelAll | StartTimer
