"""One wish beside what the exchange has, in a character (`MARKS`) and a few words: a row of orders.

Pure functions of remembered rows.  What is to be done about a difference is the kernel's business.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.model.instrument import canonical
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    Order,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
)
from quantcli.runtime.control.wire import FillItem, OrderItem

MARKS = {
    "=": "in sync",
    "~": "differ",
    "+": "missing",
    "x": "not wanted",
    "/": "partly filled",
    "!": "unknown",
    "?": "paused",
}


class Wanted(msgspec.Struct, frozen=True):
    """A wish and every attempt at it, oldest first."""

    intent: OrderIntent
    attempts: tuple[OrderState, ...]

    @property
    def open(self) -> OrderState | None:
        """The attempt that can still trade, if there is one."""
        return next((attempt for attempt in self.attempts if not attempt.state.is_closed), None)

    @property
    def filled(self) -> Decimal:
        """Quantity executed for this wish, by the exchange's word, over all attempts."""
        return sum((attempt.filled for attempt in self.attempts), Decimal(0))

    @property
    def slot(self) -> str:
        """Name the strategy gave the wish; empty for a single order."""
        return self.intent.metadata.get("slot", "")


class Drift(NamedTuple):
    """How wish and exchange differ: the character, and words ("-" for not at all)."""

    mark: str
    words: str


_ASKING = Drift("!", "asking")
# What stands above every comparison of terms: nothing is known, or nothing is known yet.
_UNKNOWN: dict[ReconciliationStatus | AttemptState, Drift] = {
    ReconciliationStatus.NEEDS_OPERATOR: Drift("!", "needs you"),
    ReconciliationStatus.UNCERTAIN: _ASKING,
    AttemptState.AMBIGUOUS: _ASKING,
    AttemptState.PREPARED: Drift("+", "placing"),
}


def drift(wanted: Wanted) -> Drift:
    """How wish and exchange differ now."""
    attempt = wanted.open
    if attempt is None:
        return Drift("=", "-") if wanted.intent.phase.is_terminal else Drift("+", "create")
    unknown = _UNKNOWN.get(attempt.reconciliation_status) or _UNKNOWN.get(attempt.state)
    return unknown or _known(wanted.intent, attempt)


def _known(intent: OrderIntent, attempt: OrderState) -> Drift:
    if attempt.state is AttemptState.CLOSING:
        return Drift("/", f"fills missing {canonical(attempt.filled - attempt.fills_qty)}")
    if intent.phase.is_terminal or intent.phase is IntentPhase.CANCEL_REQUESTED:
        return Drift("x", "cancelling" if attempt.cancel_sent_ns else "cancel")
    if attempt.generation != intent.generation:
        return Drift("~", _difference(intent.order, attempt.order))
    if attempt.filled:
        return Drift("/", f"part {attempt.filled / attempt.order.quantity:.0%}")
    return Drift("=", "-")


def _difference(want: StandardOrder, have: StandardOrder) -> str:
    if want.price != have.price and want.price is not None and have.price is not None:
        return f"px {_signed(have.price - want.price)}"
    if want.quantity != have.quantity:
        return f"qty {_signed(have.quantity - want.quantity)}"
    return "terms"


def _signed(value: Decimal) -> str:
    return ("+" if value > 0 else "") + canonical(value)


def item(wanted: Wanted, slot_status: str = "") -> OrderItem:
    """The wish as programs and screens get it."""
    intent, attempt = wanted.intent, wanted.open
    last = wanted.attempts[-1] if wanted.attempts else None
    row = Drift("?", "paused") if attempt is None and slot_status.startswith("paused") else drift(wanted)
    now_filled = attempt.filled if attempt is not None else Decimal(0)
    return OrderItem(
        intent_id=intent.intent_id,
        client_order_id=last.client_order_id if last else None,
        exchange_order_id=last.exchange_order_id if last else None,
        symbol=intent.order.symbol,
        side=intent.order.side.name.lower(),
        type=intent.order.type.name,
        slot=wanted.slot,
        phase=intent.phase.value,
        status=(last.status if last else OrderStatus.UNKNOWN).name,
        qty=intent.order.quantity,
        price=intent.order.price,
        stop_price=intent.order.stop_price,
        filled=wanted.filled,
        condition=condition(wanted).value,
        drift=row.words,
        reason=intent.reason or (last.reason if last else ""),
        created_ns=intent.created_ns,
        updated_ns=updated_ns(wanted),
        mark=row.mark,
        have_qty=attempt.order.quantity - now_filled if attempt is not None else None,
        have_price=attempt.order.price if attempt is not None else None,
        have_state=standing(wanted) if attempt is None or attempt.state is AttemptState.AMBIGUOUS else "",
        slot_status=slot_status,
        generation=intent.generation,
        seen_generation=last.generation if last else 0,
        protective=intent.protective,
        want_qty=intent.order.quantity - (wanted.filled - now_filled),
    )


def fill_item(fill: Fill) -> FillItem:
    """An execution as programs and screens get it."""
    fields = {name: getattr(fill, name) for name in fill.__struct_fields__}
    return FillItem(**fields | {"side": fill.side.name.lower()})


def foreign(order: Order) -> OrderItem:
    """An order on the exchange that is nobody's wish."""
    return OrderItem(
        intent_id="",
        client_order_id=order.client_order_id,
        exchange_order_id=order.exchange_order_id,
        symbol=order.symbol,
        side=order.side.name.lower(),
        type=order.type.name,
        slot="",
        phase="",
        status=order.status.name,
        qty=order.quantity,
        price=order.price,
        stop_price=order.stop_price,
        filled=order.filled,
        condition="Foreign",
        drift="orphan",
        reason="nobody here wished for it",
        created_ns=order.created_ns,
        updated_ns=order.updated_ns,
        mark="x",
        have_qty=order.quantity - order.filled,
        have_price=order.price,
    )


def condition(wanted: Wanted) -> ReconciliationStatus:
    """Why wish and exchange differ: the latest attempt's word, or that nothing is left to be done."""
    attempt = wanted.open
    if attempt is not None:
        return attempt.reconciliation_status
    settled = wanted.intent.phase.is_terminal
    return ReconciliationStatus.IN_SYNC if settled else ReconciliationStatus.AWAITING_VENUE


def updated_ns(wanted: Wanted) -> int:
    """When anything was last written about the wish."""
    intent = wanted.intent
    return max(
        intent.created_ns,
        intent.updated_ns,
        *(max(attempt.prepared_ns, attempt.last_sync_at) for attempt in wanted.attempts),
    )


def terms(order: StandardOrder) -> str:
    """`buy 0.01 @ 64210.1`."""
    text = f"{order.side.name.lower()} {canonical(order.quantity)}"
    if order.type in (OrderType.STOP_LIMIT, OrderType.STOP_MARKET) and order.stop_price is not None:
        text += f" stop {canonical(order.stop_price)}"
    return text + (f" @ {canonical(order.price)}" if order.price is not None else " @ market")


def standing(wanted: Wanted) -> str:
    """What the exchange has of the wish."""
    attempt = wanted.open
    if attempt is not None:
        return "? outcome unknown" if attempt.state is AttemptState.AMBIGUOUS else terms(attempt.order)
    if not wanted.attempts:
        return "-"
    last = wanted.attempts[-1]
    status = last.status.name.lower().replace("_", " ")
    partly = wanted.filled and last.status is not OrderStatus.FILLED
    return f"{status}, {canonical(wanted.filled)} filled" if partly else status


def age(since_ns: int, now_ns: int) -> str:
    """Time since, in two digits of the unit that fits: `340ms`, `1.2s`, `42s`, `8m`, `3h`, `5d`."""
    elapsed_ns = max(0, now_ns - since_ns)
    if elapsed_ns < NS_PER_S:
        return f"{elapsed_ns // NS_PER_MS}ms"
    seconds = elapsed_ns / NS_PER_S
    for limit, per, unit in ((10, 1, "s"), (120, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / per:.1f}{unit}" if limit == 10 else f"{seconds / per:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def suffix_length(intent_ids: Sequence[str], least: int = 4) -> int:
    """How many last characters tell these ids apart."""
    longest = max((len(i) for i in intent_ids), default=least)
    return next(
        (n for n in range(least, longest) if len({i[-n:] for i in intent_ids}) == len(set(intent_ids))),
        longest,
    )
