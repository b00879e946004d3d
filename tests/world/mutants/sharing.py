"""Mutants whose groups share wrongly: too much, too late, the wrong way round."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.kernel import groups
from quantcli.kernel.desk import Desk
from quantcli.kernel.groups import Change, Member, Plan, _Planning
from quantcli.kernel.projection import Entry

from .mutant import Patch, mutant
from .scenery import CRASHES, GROUPS, PLAIN, SLOW_ENGINE

_REDUCE, _CANCEL, _ONE_LIVE, _NATIVE = range(4)
_WITH_ENTRY = GROUPS.leaning({"user.entry": (1,)})


def _changes(patch: Patch, changed: Any) -> None:
    def planned(real: Any, planning: _Planning) -> Plan:
        plan: Plan = real(planning)
        kept = (changed(planning, change) for change in plan.changes)
        return replace(plan, changes=tuple(change for change in kept if change is not None))

    patch.around(_Planning, "plan", planned)


@mutant(GROUPS.leaning({"user.mode": (_REDUCE,), "user.entry": (0,)}), "I20", "L1")
def siblings_do_not_shrink(patch: Patch) -> None:
    """What one order of a group fills is not taken from the others."""
    _changes(patch, lambda planning, change: replace(change, quantity=None) if not change.cancel else change)


@mutant(_WITH_ENTRY, "I20")
def exits_for_the_whole_wish(patch: Patch) -> None:
    """Exits are sized by what the entry wants, not by what it has filled (LEAN's brackets)."""
    patch.around(
        _Planning,
        "_capacity",
        lambda real, planning: planning.entry.intent.order.quantity if planning.entry else real(planning),
    )


@mutant(_WITH_ENTRY.on(SLOW_ENGINE), "I20", "L1")
def exits_forget_the_fee(patch: Patch) -> None:
    """Exits sell what was bought, though a part of it was never received."""
    patch.around(Entry, "member", lambda real, entry, _: replace(real(entry, False), held_back=Decimal(0)))


@mutant(GROUPS.leaning({"user.mode": (_ONE_LIVE,)}), "I20")
def both_are_let_go(patch: Patch) -> None:
    """Both orders of a one-live group are on the exchange."""
    patch.around(_Planning, "_is_let_go", lambda real, planning, leg, live: True)


@mutant(GROUPS.leaning({"user.mode": (_ONE_LIVE,)}), "I20", "one live")
def swapped_before_the_other_is_gone(patch: Patch) -> None:
    """The other order of a one-live group is let go while the first may still trade."""
    patch.around(_Planning, "_is_let_go", lambda real, planning, leg, live: leg.intent.intent_id == live)


@mutant(GROUPS.leaning({"user.mode": (_REDUCE, _ONE_LIVE)}), "L1", "group")
def held_orders_are_left_behind(patch: Patch) -> None:
    """When a group is over, an order of it that is held back is forgotten."""
    _changes(
        patch,
        lambda planning, change: (
            None if change.cancel and planning.members[change.intent_id].intent.held else change
        ),
    )


@mutant(GROUPS.leaning({"user.mode": (_CANCEL,), "user.entry": (0,)}), "I20", "group")
def the_first_fill_cancels_nobody(patch: Patch) -> None:
    """In a group whose first fill cancels the others they go on working."""

    def changed(planning: _Planning, change: Change) -> Change | None:
        return None if change.cancel and planning.closed else change

    _changes(patch, changed)


@mutant(_WITH_ENTRY.leaning({"user.mode": (_REDUCE,)}), "group", "L1")
def exits_go_with_the_entry(patch: Patch) -> None:
    """When the entry ends, its exits are cancelled, whatever it has filled: a position without protection."""

    def changed(real: Any, planning: _Planning, leg: Member) -> str:
        if planning.entry is not None and planning.is_final and not planning.closed:
            return groups.BY_GROUP + "the entry has ended"
        return real(planning, leg)  # type: ignore[no-any-return]

    patch.around(_Planning, "_why_over", changed)


@mutant(GROUPS.leaning({"user.trail": (3,), "user.mode": (_REDUCE, _ONE_LIVE)}), "trail", "L1")
def the_trail_goes_both_ways(patch: Patch) -> None:
    """A trailing stop follows the market back, too."""

    def changed(real: Any, group: Any, order: Any, quoted: Any, tick: Any) -> Any:
        if group.trail is None or quoted is None or order.stop_price is None:
            return real(group, order, quoted, tick)
        stop = quoted + group.trail * order.side.sign
        return quoted, None if stop <= 0 or stop == order.stop_price else stop

    patch.around(groups, "trailed", changed)


@mutant(_WITH_ENTRY, "group", "L1")
def fills_do_not_reach_the_group(patch: Patch) -> None:
    """A fill changes nothing for the other orders of its group until the next restart."""
    patch.around(Desk, "balance", lambda real, desk, group_id: None)


@mutant(GROUPS.leaning({"user.mode": (_ONE_LIVE,)}), "I20", "L1")
def known_fills_count_for_the_group(patch: Patch) -> None:
    """A group reckons with the fills we hold, not with what the exchange counts."""

    def changed(real: Any, entry: Entry, pays_in_base: bool) -> Member:
        known = sum((attempt.fills_qty for attempt in entry.attempts), Decimal(0))
        return replace(real(entry, pays_in_base), filled=known)

    patch.around(Entry, "member", changed)


@mutant(CRASHES.leaning({"user.act": (3, 3, 0), "user.mode": (_REDUCE, _CANCEL, _ONE_LIVE)}), "I20", "L1")
def groups_are_forgotten_at_a_restart(patch: Patch) -> None:
    """After a restart the orders of a group do not know of each other."""

    def changed(real: Any, desk: Desk, loaded: Any, *symbols: Any) -> None:
        real(desk, replace(loaded, groups=()), *symbols)

    patch.around(Desk, "restore", changed)


@mutant(GROUPS.on(PLAIN, SLOW_ENGINE).leaning({"user.mode": (_NATIVE,)}), "external", "L1")
def linked_orders_are_strangers_work(patch: Patch) -> None:
    """A cancel by the exchange's own link is taken for somebody's, or fought."""
    patch.around(groups, "ended_by_sibling", lambda real, *args: False)
