"""Wishes that bear on each other: what fills and prices mean for each order of a group.

    found(orders, ids, mode, …)             -> the group's row, and who of it starts held back
    plan(group, members, rules, bid, ask)   -> Plan(group, changes, alarm)

With C what the legs may trade together (the group's quantity, or what the entry has received) and f_i what
each has traded, every leg is given the total C - (what the others traded), so each is left C - sum(f):

    ONE_LIVE           one leg is not held back: the stop, or the target once the market has reached it; it
                       is let go only when no order of the other can trade any more, so sum(f) <= C always
    REDUCE_ON_PARTIAL  all work, and shrink (or, while the entry goes on filling, grow) together
    CANCEL_ON_FILL     at the first fill of any size the others are cancelled
    NATIVE             the exchange does it; `ended_by_sibling` tells its cancels from a stranger's

A leg that has nothing to do, while its entry may still fill, is held back rather than ended.  Functions of
fills and prices alone: asked again without news, after a restart too, they ask for nothing more.  Knows
nothing of attempts beyond whether one may trade: how a change is made is `reconcile`'s business.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from quantcli.kernel.following import moved, nearer_leg, trailed
from quantcli.kernel.founding import STOPS, check_group
from quantcli.model.instrument import Side, SymbolMetadata, canonical, round_qty
from quantcli.model.order import (
    IntentPhase,
    OcoMode,
    OrderGroup,
    OrderIntent,
    StandardOrder,
    StandardOrderGroup,
)

BY_GROUP = "group: "  # how reasons begin of wishes that were cancelled here, and by nobody else

_ZERO = Decimal(0)


class Member(msgspec.Struct, frozen=True):
    """One wish of a group, and how far it has come.

    `filled` is the exchange's count over all attempts; `held_back` what of it was paid as fees in the base
    asset (for entries: it was never received, so no exit can sell it).  `is_open`: an order of it may still
    trade.
    """

    intent: OrderIntent
    filled: Decimal
    held_back: Decimal = _ZERO
    is_open: bool = False

    @property
    def is_wanted(self) -> bool:
        """Neither settled nor being cancelled."""
        return self.intent.phase.is_wanted


class Change(msgspec.Struct, frozen=True):
    """What is to change about one wish: its total (fills included), its prices, whether its group holds it
    back, or that it is over.  `None` leaves a term as it is."""

    intent_id: str
    quantity: Decimal | None = None
    held: bool | None = None
    stop_price: Decimal | None = None
    price: Decimal | None = None
    cancel: bool = False
    why: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What follows for a group.  `alarm` says why its position is not guarded as was wished; it stands for as
    long as that is so."""

    group: OrderGroup
    changes: tuple[Change, ...]
    alarm: str = ""


def found(
    orders: Sequence[StandardOrder],
    intent_ids: Sequence[str],
    mode: OcoMode,
    has_entry: bool = False,
    trail: Decimal | None = None,
) -> tuple[OrderGroup, frozenset[str]]:
    """The row of a new group, named after its first member, and the ids of those that start held back.

    With `has_entry` the first order is the entry.  Raises `ValidationError` for what cannot be a group.
    """
    entry = orders[0] if has_entry else None
    legs = tuple(orders[1:] if has_entry else orders)
    check_group(legs, entry, mode, trail)
    leg_ids = tuple(intent_ids[1:] if entry else intent_ids)
    group = OrderGroup(
        group_id=intent_ids[0],
        mode=mode,
        quantity=_ZERO if entry else legs[0].quantity,
        legs=leg_ids,
        entry=intent_ids[0] if entry else "",
        trail=trail,
        live_leg=leg_ids[0] if mode is OcoMode.ONE_LIVE else "",
    )
    held = leg_ids if entry else leg_ids[1:] if mode is OcoMode.ONE_LIVE else ()
    return group, frozenset(held)


def leg_names(group: StandardOrderGroup) -> tuple[str, ...]:
    """What each order is to a group, in order of its intent ids: "entry", "stop" or "target"."""
    legs = tuple("stop" if order.type in STOPS else "target" for order in group.orders)
    return legs if group.entry is None else ("entry", *legs)


def follows_price(group: OrderGroup) -> bool:
    """Prices matter to the group: `plan` is to be asked at each quote of its market."""
    return group.mode is OcoMode.ONE_LIVE or group.trail is not None


def worst_overfill(group: OrderGroup, members: Mapping[str, Member]) -> Decimal:
    """By how much the legs may trade more than they share, if all fill before any can be cancelled."""
    if group.mode in (OcoMode.ONE_LIVE, OcoMode.NATIVE):
        return _ZERO
    if group.entry:
        return members[group.entry].intent.order.quantity * (len(group.legs) - 1)
    at_most = [min(members[leg].intent.order.quantity, group.quantity) for leg in group.legs]
    return max(sum(at_most, -group.quantity), _ZERO)


def unprotected(group: OrderGroup, members: Mapping[str, Member], working: Mapping[str, Decimal]) -> Decimal:
    """How much of what the entry filled is neither closed nor covered by a stop on the exchange.

    `working` is what is left of each leg's order there (base units); legs without one may be missing.
    """
    if not group.entry:
        return _ZERO
    entry = members[group.entry]
    stops = [leg for leg in group.legs if members[leg].intent.order.type in STOPS]
    covered = sum((working.get(leg, _ZERO) for leg in stops), _ZERO)
    return max(entry.filled - entry.held_back - _closed(group, members) - covered, _ZERO)


def ended_by_sibling(group: OrderGroup, intent_id: str, members: Mapping[str, Member]) -> bool:
    """A cancelled or expired order of a NATIVE group was ended by the exchange's link, not by a stranger.

    A link never ends one order alone: another one has traded, or still works and its fill is not told yet.
    """
    others = [members[leg] for leg in group.legs if leg != intent_id]
    return group.mode is OcoMode.NATIVE and any(other.filled or other.is_open for other in others)


def plan(
    group: OrderGroup,
    members: Mapping[str, Member],
    rules: SymbolMetadata | None,
    bid: Decimal | None = None,
    ask: Decimal | None = None,
) -> Plan:
    """What fills, and the best prices if they are known, ask for.

    `members` are all of the group by intent id, settled ones included: they count, and are not changed.
    """
    return _Planning(group, members, rules, bid, ask).plan()


def _closed(group: OrderGroup, members: Mapping[str, Member]) -> Decimal:
    return sum([members[leg].filled for leg in group.legs], _ZERO)


class _Planning:
    """One question to `plan`; everything that several of its answers need."""

    def __init__(
        self,
        group: OrderGroup,
        members: Mapping[str, Member],
        rules: SymbolMetadata | None,
        bid: Decimal | None,
        ask: Decimal | None,
    ) -> None:
        self.group, self.members, self.rules = group, members, rules
        self.entry = members[group.entry] if group.entry else None
        self.legs = [members[leg] for leg in group.legs]
        self.side = self.legs[0].intent.order.side
        self.quoted = bid if self.side is Side.SELL else ask  # what an exit would get now
        self.capacity = self._capacity()
        self.closed = _closed(group, members)
        self.rest = self.capacity - self.closed
        self.is_final = self.entry is None or self.entry.intent.phase.is_terminal
        self.is_begun = self.entry is None or self.entry.filled > 0
        # A stop that trails is seen where it is going: what the exchange accepts depends on its price.
        self.best, stop = self._trailed()
        self.stop_price, self.price = moved(self.legs[0].intent.order, stop)
        if stop is not None:
            self.legs[0] = self._moved_stop(self.legs[0])

    def _capacity(self) -> Decimal:
        if self.entry is None:
            return self.group.quantity
        received = self.entry.filled - self.entry.held_back
        return round_qty(received, self.rules.lot) if self.rules else received

    def plan(self) -> Plan:
        if self.group.mode is OcoMode.NATIVE:
            return Plan(self.group, ())
        live = self._live_leg()
        changes = [
            change for leg in self.legs if leg.is_wanted and (change := self._leg(leg, live)) is not None
        ]
        if (change := self._entry()) is not None:
            changes.append(change)
        return Plan(replace(self.group, live_leg=live, best=self.best), tuple(changes), self._alarm())

    # -- one leg ---------------------------------------------------------------------------------

    def _leg(self, leg: Member, live: str) -> Change | None:
        intent_id, order = leg.intent.intent_id, leg.intent.order
        if why := self._why_over(leg):
            return Change(intent_id, cancel=True, why=why)
        total, has_work = self._total(leg), self._has_work(leg)
        # One that has filled all it ever will is let go, so that it ends as satisfied.
        held = not has_work and not (self.is_final and total <= leg.filled)
        held = held or (bool(live) and has_work and not self._is_let_go(leg, live))
        is_stop = leg is self.legs[0]
        change = Change(
            intent_id,
            quantity=total if has_work and total != order.quantity else None,
            held=held if held is not leg.intent.held else None,
            stop_price=self.stop_price if is_stop else None,
            price=self.price if is_stop else None,
        )
        if change == Change(intent_id):
            return None
        return replace(change, why=self._why_changed(change))

    def _total(self, leg: Member) -> Decimal:
        shared = self.rest + leg.filled
        return shared if self.entry else min(shared, leg.intent.order.quantity)

    def _has_work(self, leg: Member) -> bool:
        """There is something for the leg to do that the exchange accepts, or lets it go on with."""
        total = self._total(leg)
        rest = total - leg.filled
        if rest <= 0:
            return False
        if self.entry is None and not self.closed:
            return True  # as it was admitted
        goes_on = leg.is_open and not leg.intent.held and total == leg.intent.order.quantity
        return goes_on or _accepts(self.rules, leg.intent.order, rest)

    def _why_over(self, leg: Member) -> str:
        """Why a leg is to be cancelled; empty if it is not."""
        if self.group.mode is OcoMode.CANCEL_ON_FILL and self.closed and leg is not self._leader():
            return BY_GROUP + "another order of the group has traded"
        if self.entry is None and not self.closed and self._failed():
            return BY_GROUP + "another order of the group was refused before any traded"
        if not self.is_final or self._has_work(leg):
            return ""
        if (rest := self._total(leg) - leg.filled) > 0:
            return f"{BY_GROUP}dust: the exchange accepts no order of {canonical(rest)}"
        if leg.filled and leg.intent.order.quantity <= leg.filled:
            return ""
        return BY_GROUP + ("its position is closed" if self.is_begun else "the entry ended without a fill")

    def _leader(self) -> Member | None:
        traded = [leg for leg in self.legs if leg.is_wanted and leg.filled]
        return max(traded, key=lambda leg: leg.filled, default=None)

    def _failed(self) -> bool:
        return any(leg.intent.phase is IntentPhase.FAILED for leg in self.legs)

    def _why_changed(self, change: Change) -> str:
        if change.held is not None:
            return "held back by its group" if change.held else "its turn in its group"
        if change.quantity is not None:
            return "fills in its group"
        return f"trails the market at {self.quoted}"

    # -- prices ----------------------------------------------------------------------------------

    def _live_leg(self) -> str:
        """The one that is to be on the exchange in ONE_LIVE; empty in other modes."""
        live = self.group.live_leg
        if self.group.mode is not OcoMode.ONE_LIVE or self.rest <= 0:
            return live
        left = [leg.intent for leg in self.legs if leg.is_wanted and not self._why_over(leg)]
        if len(left) == len(self.legs):
            return nearer_leg(live, left[0], left[1], self.quoted)
        return left[0].intent_id if left else live

    def _is_let_go(self, leg: Member, live: str) -> bool:
        if leg.intent.intent_id != live:
            return False
        other_trades = any(other.is_open for other in self.legs if other is not leg)
        return not other_trades or (leg.is_open and not leg.intent.held)

    def _trailed(self) -> tuple[Decimal | None, Decimal | None]:
        stop = self.legs[0]
        if not self.is_begun or not stop.is_wanted or stop.filled:
            return self.group.best, None
        tick = self.rules.price_tick if self.rules else _ZERO
        return trailed(self.group, stop.intent.order, self.quoted, tick)

    def _moved_stop(self, leg: Member) -> Member:
        order = replace(leg.intent.order, stop_price=self.stop_price)
        if self.price is not None:
            order = replace(order, price=self.price)
        return replace(leg, intent=replace(leg.intent, order=order))

    # -- the whole -------------------------------------------------------------------------------

    def _entry(self) -> Change | None:
        """An entry whose exits have begun to end is to bring no more."""
        if self.entry is None or not self.entry.is_wanted:
            return None
        if not any(leg.intent.phase.is_terminal for leg in self.legs):
            return None
        why = BY_GROUP + "an order that was to close it has ended"
        return Change(self.entry.intent.intent_id, cancel=True, why=why)

    def _alarm(self) -> str:
        if self.entry is None or not any(
            _accepts(self.rules, leg.intent.order, self.rest) for leg in self.legs
        ):
            return ""
        ended = [leg for leg in self.legs if leg.intent.phase.is_terminal]
        guarded = any(leg.is_wanted for leg in self.legs)
        if not ended or (guarded and self.group.mode is OcoMode.CANCEL_ON_FILL and self._leader()):
            return ""
        intent = ended[0].intent
        name = "stop" if intent.order.type in STOPS else "target"
        reason = f": {intent.reason}" if intent.reason else ""
        rest = "the other order covers it" if guarded else "nothing covers it"
        return f"{canonical(self.rest)} held, but its {name} is {intent.phase}{reason}; {rest}"


def _accepts(rules: SymbolMetadata | None, order: StandardOrder, quantity: Decimal) -> bool:
    """The exchange takes an order of `quantity` at the prices of `order`."""
    if rules is None:
        return quantity > 0
    if quantity < max(rules.lot, rules.min_qty or _ZERO):
        return False
    price = order.price or order.stop_price
    if rules.min_notional is None or price is None:
        return True
    worth = quantity * rules.contract_size if rules.inverse else quantity * price
    return worth >= rules.min_notional
