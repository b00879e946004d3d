"""Groups as a function of fills and prices; the names O1 … are those of the fault catalogue."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quantcli.errors import ValidationError
from quantcli.kernel.groups import (
    Change,
    Member,
    Plan,
    ended_by_sibling,
    follows_price,
    found,
    plan,
    unprotected,
    worst_overfill,
)
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.order import IntentPhase, OcoMode, OrderIntent, OrderType, StandardOrder

D = Decimal
REDUCE, CANCEL, ONE_LIVE, NATIVE = (
    OcoMode.REDUCE_ON_PARTIAL,
    OcoMode.CANCEL_ON_FILL,
    OcoMode.ONE_LIVE,
    OcoMode.NATIVE,
)
RULES = SymbolMetadata(
    Symbol("BTC", "USDT"), "x", "BTCUSDT", D("0.5"), D("0.1"), min_qty=D("0.2"), min_notional=D(50)
)
ENTRY, STOP, TARGET = "entry", "stop", "target"


def stop_order(quantity="10", at=90, side=Side.SELL, limit=None):
    kind = OrderType.STOP_MARKET if limit is None else OrderType.STOP_LIMIT
    price = None if limit is None else D(limit)
    return StandardOrder("BTC/USDT", side, kind, D(quantity), price=price, stop_price=D(at))


def limit_order(quantity="10", at=120, side=Side.SELL):
    return StandardOrder("BTC/USDT", side, OrderType.LIMIT, D(quantity), price=D(at))


class World:
    """A group and its members, to which plans can be applied."""

    def __init__(self, mode, *, entry=None, exits=None, trail=None, ids=(STOP, TARGET)):
        orders = list(exits or (stop_order(), limit_order()))
        ids = list(ids)[: len(orders)]
        if entry is not None:
            orders, ids = [entry, *orders], [ENTRY, *ids]
        self.group, held = found(orders, ids, mode, entry is not None, trail)
        self.members = {
            name: Member(OrderIntent(name, order, 0, self.group.group_id, held=name in held), D(0))
            for name, order in zip(ids, orders, strict=True)
        }

    def __getitem__(self, name):
        return self.members[name].intent

    def fill(self, name, total, fee="0", *, is_open=True):
        member = self.members[name]
        self.members[name] = replace(member, filled=D(total), held_back=D(fee), is_open=is_open)

    def open(self, *names):
        for name, member in self.members.items():
            self.members[name] = replace(member, is_open=name in names)

    def settle(self, name, phase, reason=""):
        member = self.members[name]
        intent = replace(member.intent, phase=phase, reason=reason)
        self.members[name] = replace(member, intent=intent, is_open=False)

    def plan(self, bid=None, ask=None) -> Plan:
        prices = [None if price is None else D(price) for price in (bid, ask)]
        return plan(self.group, self.members, RULES, *prices)

    def follow(self, bid=None, ask=None) -> Plan:
        """Apply a plan; then the same question has no further answer."""
        done = self.plan(bid, ask)
        self.group = done.group
        for change in done.changes:
            self.apply(change)
        again = self.plan(bid, ask)
        assert (again.changes, again.group) == ((), self.group)
        return done

    def apply(self, change):
        member = self.members[change.intent_id]
        intent, order = member.intent, member.intent.order
        assert member.is_wanted
        assert change.why
        order = replace(
            order,
            quantity=order.quantity if change.quantity is None else change.quantity,
            stop_price=order.stop_price if change.stop_price is None else change.stop_price,
            price=order.price if change.price is None else change.price,
        )
        self.members[change.intent_id] = replace(
            member,
            intent=replace(
                intent,
                order=order,
                held=intent.held if change.held is None else change.held,
                phase=IntentPhase.CANCEL_REQUESTED if change.cancel else intent.phase,
            ),
        )

    def wanted_rest(self, name):
        """What the exchange may be given of a leg."""
        member = self.members[name]
        if not member.is_wanted or member.intent.held:
            return D(0)
        return max(member.intent.order.quantity - member.filled, D(0))


def bracket(mode=REDUCE, trail=None, quantity="10"):
    entry = limit_order(quantity, 100, Side.BUY)
    return World(mode, entry=entry, trail=None if trail is None else D(trail))


def changes(done):
    return {change.intent_id: change for change in done.changes}


# Plain groups: totals.


@pytest.mark.parametrize("mode", OcoMode)
def test_without_fills_nothing_changes(mode):
    assert World(mode).plan().changes == ()


def test_a_partial_fill_shrinks_the_others_by_as_much():
    world = World(REDUCE)
    world.fill(STOP, 3)
    assert changes(world.follow())[TARGET].quantity == 7
    assert world[STOP].order.quantity == 10


def test_totals_count_what_an_order_filled_itself():
    world = World(REDUCE)
    world.fill(STOP, 3)
    world.fill(TARGET, 2)
    world.follow()
    assert (world[STOP].order.quantity, world[TARGET].order.quantity) == (8, 7)


@pytest.mark.parametrize("own", ["0", "2"])
def test_an_order_with_nothing_left_to_do_is_cancelled(own):
    world = World(REDUCE)
    world.fill(STOP, D(10) - D(own))
    world.fill(TARGET, own)
    assert changes(world.follow())[TARGET].cancel


def test_an_order_that_was_made_smaller_by_its_owner_stays_so():
    world = World(REDUCE)
    world.apply(Change(TARGET, quantity=D(4), why="modified"))
    world.fill(STOP, 3)
    assert world.follow().changes == ()
    world.fill(STOP, 7)
    assert changes(world.follow())[TARGET].quantity == 3


def test_any_fill_cancels_the_others_and_lets_the_one_that_traded_go_on():
    world = World(CANCEL)
    world.fill(TARGET, "0.1")
    done = changes(world.follow())
    assert done[STOP].cancel
    assert TARGET not in done
    assert world.wanted_rest(TARGET) == D("9.9")


def test_what_is_left_is_too_little_for_the_other_order():
    world = World(REDUCE)
    world.open(STOP, TARGET)
    world.fill(STOP, "9.9")
    done = changes(world.follow())
    assert done[TARGET].cancel
    assert done[TARGET].why.startswith("group: dust")
    assert STOP not in done  # what works already may trade to its end


# The fault catalogue.


@pytest.mark.parametrize("mode", [REDUCE, CANCEL])
def test_o1_both_legs_fill_in_the_window(mode):
    world = World(mode)
    bound = worst_overfill(world.group, world.members)
    world.fill(STOP, 10, is_open=False)
    world.fill(TARGET, 10, is_open=False)
    world.follow()
    assert bound == 10
    assert sum(member.filled for member in world.members.values()) - 10 <= bound
    assert world.wanted_rest(STOP) == world.wanted_rest(TARGET) == 0


def test_o2_the_leg_that_is_being_shrunk_fills_too():
    world = World(REDUCE)
    world.open(STOP, TARGET)
    world.fill(STOP, 4)
    world.follow()
    world.fill(TARGET, 3)
    world.follow()
    assert (world[STOP].order.quantity, world[TARGET].order.quantity) == (7, 6)
    assert world.wanted_rest(STOP) == world.wanted_rest(TARGET) == 3


def test_o3_a_crash_between_a_fill_and_the_cancel_of_the_other_loses_nothing():
    world = World(CANCEL)
    world.fill(STOP, 10, is_open=False)
    world.settle(STOP, IntentPhase.SATISFIED)
    assert changes(world.follow())[TARGET].cancel  # asked for the first time after the restart


def test_o5_a_leg_refused_at_the_start_takes_its_sibling_with_it():
    world = World(REDUCE)
    world.settle(STOP, IntentPhase.FAILED)
    assert changes(world.follow())[TARGET].cancel


def test_o5_a_leg_refused_after_a_fill_leaves_the_rest_to_its_sibling():
    world = World(REDUCE)
    world.fill(TARGET, 4)
    world.follow()
    world.settle(STOP, IntentPhase.FAILED)
    assert world.follow().changes == ()
    assert world.wanted_rest(TARGET) == 6


def test_o6_exits_are_for_as_much_as_the_entry_has_filled():
    world = bracket()
    assert world.follow().changes == ()
    assert world[STOP].held
    assert world[TARGET].held
    world.fill(ENTRY, 4)
    world.follow()
    assert world.wanted_rest(STOP) == world.wanted_rest(TARGET) == 4
    world.fill(ENTRY, 6)
    world.follow()
    assert world.wanted_rest(STOP) == world.wanted_rest(TARGET) == 6
    world.settle(ENTRY, IntentPhase.CANCELED)
    assert world.follow().changes == ()
    world.open(STOP, TARGET)
    world.fill(STOP, 6, is_open=False)
    assert changes(world.follow())[TARGET].cancel
    assert not world[STOP].held  # it has what it wished for


def test_o6_exits_that_closed_all_so_far_wait_for_more_of_the_entry():
    world = bracket()
    world.fill(ENTRY, 4)
    world.follow()
    world.fill(TARGET, 4, is_open=False)
    done = world.follow()
    assert all(change.held for change in done.changes)
    world.fill(ENTRY, 9)
    world.follow()
    assert (world[STOP].order.quantity, world[TARGET].order.quantity) == (5, 9)
    assert world.wanted_rest(STOP) == world.wanted_rest(TARGET) == 5


def test_o6_an_entry_that_ends_without_a_fill_takes_its_exits_with_it():
    world = bracket()
    world.settle(ENTRY, IntentPhase.CANCELED)
    done = world.follow()
    assert [change.cancel for change in done.changes] == [True, True]


def test_o7_an_order_modified_below_what_it_filled_is_satisfied_and_the_others_close_the_rest():
    world = World(REDUCE)
    world.fill(STOP, 4)
    world.follow()
    world.apply(Change(STOP, quantity=D(3), why="modified"))
    world.settle(STOP, IntentPhase.SATISFIED)
    assert world.follow().changes == ()
    assert world.wanted_rest(TARGET) == 6


def test_o7_an_order_cancelled_by_its_owner_leaves_all_to_the_other():
    world = World(REDUCE)
    world.settle(STOP, IntentPhase.CANCELED)
    assert world.follow().changes == ()
    assert world.wanted_rest(TARGET) == 10


# Entries.


def test_exits_never_sell_more_than_was_received():
    world = bracket()
    world.fill(ENTRY, 10, fee="0.01")
    world.follow()
    assert world.wanted_rest(STOP) == D("9.9")  # 9.99, rounded down to the lot


@pytest.mark.parametrize(("filled", "is_held"), [("0.1", True), ("0.5", True), ("0.6", False)])
def test_exits_wait_until_the_exchange_would_accept_them(filled, is_held):
    world = bracket()  # the stop at 90 is worth 50 from 0.6 on, the target at 120 from 0.5 on
    world.fill(ENTRY, filled)
    world.follow()
    assert world[STOP].held is is_held


def test_exits_that_can_never_be_placed_end_as_dust():
    world = bracket()
    world.fill(ENTRY, "0.1", is_open=False)
    world.settle(ENTRY, IntentPhase.CANCELED)
    done = world.follow()
    assert [change.why[:11] for change in done.changes] == ["group: dust", "group: dust"]
    assert not done.alarm


@pytest.mark.parametrize("mode", [REDUCE, ONE_LIVE])
def test_a_refused_stop_is_an_alarm_and_the_target_covers_everything(mode):
    world = bracket(mode)
    world.fill(ENTRY, 4)
    world.follow()
    world.settle(STOP, IntentPhase.FAILED, "-2010 would trigger immediately")
    done = world.follow()
    assert "would trigger immediately" in done.alarm
    assert changes(done)[ENTRY].cancel
    assert world.wanted_rest(TARGET) == 4
    assert world.plan().alarm == done.alarm  # it stands
    world.settle(TARGET, IntentPhase.CANCELED)
    assert "nothing covers it" in world.plan().alarm


def test_there_is_no_alarm_while_all_goes_as_planned():
    world = bracket(CANCEL)
    for step in (lambda: world.fill(ENTRY, 10), lambda: world.fill(TARGET, 4)):
        step()
        assert not world.follow().alarm
    world.settle(STOP, IntentPhase.CANCELED)
    assert not world.follow().alarm
    world.fill(TARGET, 10, is_open=False)
    assert not world.follow().alarm


def test_what_no_stop_covers_is_unprotected():
    world = bracket()
    world.fill(ENTRY, 10, fee="0.1")
    world.fill(TARGET, 2)
    assert unprotected(world.group, world.members, {}) == D("7.9")
    assert unprotected(world.group, world.members, {STOP: D(5), TARGET: D(8)}) == D("2.9")
    assert unprotected(world.group, world.members, {STOP: D(10)}) == 0
    assert unprotected(World(REDUCE).group, World(REDUCE).members, {}) == 0


# One live leg.


def test_the_stop_is_live_until_the_market_reaches_the_target():
    world = bracket(ONE_LIVE)
    world.fill(ENTRY, 10)
    world.follow("119.5", 120)
    assert (world[STOP].held, world[TARGET].held) == (False, True)
    world.open(STOP)
    world.follow(120, 121)
    assert (world[STOP].held, world[TARGET].held) == (True, True)  # its order may still trade
    world.open()
    world.follow(119, 120)
    assert (world[STOP].held, world[TARGET].held) == (True, False)


def test_the_stop_is_live_again_when_the_market_is_half_way_back():
    world = bracket(ONE_LIVE)
    world.fill(ENTRY, 10)
    world.follow(120, 121)
    world.open(TARGET)
    assert world.follow("105.5", 106).changes == ()
    world.follow(105, 106)
    assert (world[STOP].held, world[TARGET].held) == (True, True)
    world.open()
    world.follow()  # prices are not needed to go on with what was begun
    assert (world[STOP].held, world[TARGET].held) == (False, True)


def test_exits_of_a_short_follow_the_ask():
    entry = limit_order("10", 100, Side.SELL)
    exits = (stop_order(at=110, side=Side.BUY), limit_order(at=80, side=Side.BUY))
    world = World(ONE_LIVE, entry=entry, exits=exits)
    world.fill(ENTRY, 10)
    world.follow(79, 81)
    assert not world[STOP].held
    world.follow(79, 80)
    assert not world[TARGET].held


def test_a_target_reached_before_anything_is_held_means_nothing():
    world = bracket(ONE_LIVE)
    assert world.follow(130, 131).changes == ()
    assert world.group.live_leg == STOP


# Trailing.


def test_a_stop_trails_the_best_price_and_never_moves_back():
    world = bracket(trail="10")
    assert world.follow(200, 201).changes == ()  # nothing is held yet
    world.fill(ENTRY, 10)
    world.follow(99, 100)
    assert world[STOP].order.stop_price == 90
    moved = []
    for bid in ("100.3", "100.7", "103.3", "95", "103.7", "104"):
        world.follow(bid, 110)
        moved.append(world[STOP].order.stop_price)
    assert moved == [90, D("90.5"), 93, 93, D("93.5"), 94]
    assert world.group.best == 104


def test_small_moves_are_not_worth_an_order():
    world = bracket(trail="40")
    world.fill(ENTRY, 10)
    for bid, at in ((131, 90), ("131.5", 90), (132, 92), ("133.9", 92), (134, 94)):
        world.follow(bid, 140)
        assert world[STOP].order.stop_price == at


def test_a_stop_that_has_begun_to_trade_stays():
    world = bracket(trail="10")
    world.fill(ENTRY, 10)
    world.follow()
    world.fill(STOP, 1)
    world.follow(150, 151)
    assert world[STOP].order.stop_price == 90


def test_the_limit_of_a_trailing_stop_keeps_its_distance():
    world = World(REDUCE, exits=[stop_order(at=90, limit=89)], trail=D(10))
    world.follow(105, 106)
    assert (world[STOP].order.stop_price, world[STOP].order.price) == (95, 94)


def test_the_stop_of_a_short_trails_down():
    world = World(REDUCE, exits=[stop_order(at=110, side=Side.BUY)], trail=D(10))
    for ask, at in (("99.8", 110), ("99.3", "109.5"), (105, "109.5"), (90, 100)):
        world.follow(1, ask)
        assert world[STOP].order.stop_price == D(at)


# What the exchange links itself.


def test_a_cancel_by_the_exchanges_own_link_is_not_a_strangers():
    world = World(NATIVE)
    world.open(STOP, TARGET)
    world.fill(STOP, 3)
    assert world.follow().changes == ()
    assert ended_by_sibling(world.group, TARGET, world.members)
    world.fill(STOP, 0)
    assert ended_by_sibling(world.group, TARGET, world.members)  # the fill may be told later
    world.open()
    assert not ended_by_sibling(world.group, TARGET, world.members)
    plain = World(REDUCE)
    plain.fill(STOP, 3)
    assert not ended_by_sibling(plain.group, TARGET, plain.members)


# Founding.


def test_only_groups_with_a_reason_follow_prices():
    assert follows_price(World(ONE_LIVE).group)
    assert follows_price(World(REDUCE, trail=D(1)).group)
    assert not follows_price(World(REDUCE).group)
    assert not follows_price(bracket(REDUCE).group)


def test_the_worst_case_is_known_before():
    assert worst_overfill(World(ONE_LIVE).group, World(ONE_LIVE).members) == 0
    assert worst_overfill(World(NATIVE).group, World(NATIVE).members) == 0
    world = bracket(quantity="7")
    assert worst_overfill(world.group, world.members) == 7


ODD = {
    "one order": {"exits": [limit_order()]},
    "other market": {"exits": [stop_order(), replace(limit_order(), symbol="ETH/USDT")]},
    "other side": {"exits": [stop_order(), limit_order(side=Side.BUY)]},
    "other quantity": {"exits": [stop_order(), limit_order("9")]},
    "exits on the side of the entry": {"entry": limit_order(side=Side.SELL)},
    "exits in another market": {"entry": replace(limit_order(side=Side.BUY), symbol="ETH/USDT")},
    "a trail without a stop": {"exits": [limit_order(), stop_order()], "trail": D(1)},
    "no way to trail": {"trail": D(0)},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_cannot_be_a_group_is_refused(odd):
    with pytest.raises(ValidationError):
        World(REDUCE, **odd)


ODD_LIVE = {
    "three": (stop_order(), limit_order(), limit_order()),
    "target first": (limit_order(), stop_order()),
    "target below the stop": (stop_order(at=90), limit_order(at=80)),
    "two stops": (stop_order(), stop_order(at=80)),
}


@pytest.mark.parametrize("exits", ODD_LIVE.values(), ids=ODD_LIVE)
def test_one_live_needs_a_stop_and_a_target(exits):
    with pytest.raises(ValidationError):
        World(ONE_LIVE, exits=exits, ids=("a", "b", "c"))


@pytest.mark.parametrize("odd", [{"entry": limit_order(side=Side.BUY)}, {"trail": D(1)}])
def test_the_exchange_links_only_what_is_placed_together(odd):
    with pytest.raises(ValidationError):
        World(NATIVE, **odd)


# Algebra.

lots = st.integers(0, 120).map(lambda n: D(n) / 10)
modes = st.sampled_from([REDUCE, CANCEL, ONE_LIVE])


@given(modes, lots, lots, lots, st.booleans(), st.integers(70, 140))
def test_a_plan_carried_out_asks_for_nothing_more_and_bounds_what_is_left(
    mode, entered, stopped, taken, is_settled, bid
):
    world = bracket(mode, quantity="12")
    world.fill(ENTRY, entered)
    if is_settled:
        world.settle(ENTRY, IntentPhase.CANCELED)
    world.fill(STOP, stopped, is_open=False)
    world.fill(TARGET, taken, is_open=False)
    world.follow(bid, bid + 1)
    rest = max(entered - stopped - taken, D(0))
    assert world.wanted_rest(STOP) <= rest
    assert world.wanted_rest(TARGET) <= rest
    if mode is ONE_LIVE:
        assert world.wanted_rest(STOP) + world.wanted_rest(TARGET) <= rest


@given(modes, st.lists(lots, min_size=2, max_size=4).map(sorted), lots, lots)
def test_after_all_fills_are_known_their_order_does_not_matter(mode, entered, stopped, taken):
    final = []
    steps = [*((ENTRY, qty) for qty in entered), (STOP, stopped), (TARGET, taken)]
    for order in itertools.islice(itertools.permutations(steps), 24):
        world = bracket(mode, quantity="12")
        for name, total in order:
            world.fill(name, max(total, world.members[name].filled), is_open=False)
            if mode is not CANCEL:  # whoever trades first leads there
                world.follow()
        world.follow()
        final.append([(world.wanted_rest(name), world[name].held) for name in left(world)])
    assert all(outcome == final[0] for outcome in final)


def left(world):
    """The exits, if there is anything left to close."""
    filled = {name: member.filled for name, member in world.members.items()}
    return (STOP, TARGET) if filled[ENTRY] > filled[STOP] + filled[TARGET] else ()


@given(st.data())
def test_one_live_never_overfills_whatever_the_market_does(data):
    """A random walk of prices and fills, against an exchange that fills anything it was given, and on which
    cancels take their time."""
    world = bracket(ONE_LIVE, trail=data.draw(st.sampled_from([None, "5"])))
    on_exchange: set[str] = set()
    bid = D(100)
    for _ in range(data.draw(st.integers(5, 30))):
        what = data.draw(st.sampled_from(["price", "entry", "fill", "ended", "none"]))
        if what == "price":
            bid = max(bid + data.draw(st.integers(-20, 20)), D(1))
        elif what == "entry":
            entered = world.members[ENTRY].filled
            world.fill(ENTRY, min(entered + data.draw(lots), D(10)))
        elif what == "fill" and on_exchange:
            (name,) = on_exchange
            member = world.members[name]
            room = member.intent.order.quantity - member.filled
            world.fill(name, member.filled + min(data.draw(lots), max(room, D(0))))
        elif what == "ended":
            on_exchange = {name for name in on_exchange if not world[name].held}
        world.open(*on_exchange)
        world.follow(bid, bid + 1)
        on_exchange |= {name for name in (STOP, TARGET) if world.wanted_rest(name) > 0}
        world.open(*on_exchange)
        assert len(on_exchange) <= 1
        closed = world.members[STOP].filled + world.members[TARGET].filled
        assert closed <= world.members[ENTRY].filled
