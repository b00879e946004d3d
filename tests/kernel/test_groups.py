"""OCO as a function of fills."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import InvariantError
from quantcli.kernel.groups import Change, Group, plan, worst_overfill
from quantcli.model.instrument import Side
from quantcli.model.order import OcoMode, OrderIntent, OrderType, StandardOrder


def leg(name, total):
    order = StandardOrder("BTC/USDT", Side.SELL, OrderType.LIMIT, Decimal(total), Decimal(100))
    return OrderIntent(name, order, 0)


def amounts(**filled):
    return {name: Decimal(qty) for name, qty in filled.items()}


def group(mode, quantity="10"):
    return Group(mode, Decimal(quantity), "a")


REDUCE, CANCEL = OcoMode.REDUCE_ON_PARTIAL, OcoMode.CANCEL_ON_FILL


def test_without_fills_nothing_changes():
    for mode in OcoMode:
        assert plan(group(mode), [leg("a", 10), leg("b", 10)], amounts(a=0, b=0)) == []


def test_a_partial_fill_shrinks_the_others_by_as_much():
    changes = plan(group(REDUCE), [leg("a", 10), leg("b", 10), leg("c", 10)], amounts(a=3, b=0, c=0))
    assert changes == [Change("b", Decimal(7)), Change("c", Decimal(7))]


def test_totals_count_what_an_order_filled_itself():
    changes = plan(group(REDUCE), [leg("a", 10), leg("b", 7)], amounts(a=3, b=2))
    assert changes == [Change("a", Decimal(8))]


def test_an_order_with_nothing_left_to_do_is_cancelled():
    assert plan(group(REDUCE), [leg("b", 10)], amounts(a=10, b=0)) == [Change("b", None)]
    assert plan(group(REDUCE), [leg("b", 10)], amounts(a=8, b=2)) == [Change("b", None)]


def test_fills_of_settled_orders_count():
    assert plan(group(REDUCE), [leg("c", 7)], amounts(a=3, b=2, c=0)) == [Change("c", Decimal(5))]


def test_an_order_cannot_outgrow_its_group():
    assert plan(group(REDUCE), [leg("a", 12)], amounts(a=0, b=0)) == [Change("a", Decimal(10))]


def test_any_fill_cancels_the_others_and_lets_the_leader_go_on():
    legs = [leg("a", 10), leg("b", 10)]
    assert plan(group(CANCEL), legs, amounts(a="0.1", b=0)) == [Change("b", None)]
    assert plan(group(CANCEL), legs, amounts(a=1, b=2)) == [Change("a", None), Change("b", Decimal(9))]


def test_worst_case_is_every_order_filling_at_once():
    assert worst_overfill(group(REDUCE), [leg("a", 10), leg("b", 10)]) == 10
    assert worst_overfill(group(REDUCE), [leg("a", 10), leg("b", 4)]) == 4
    assert worst_overfill(group(REDUCE), [leg("a", 4)]) == 0


@given(st.sampled_from(OcoMode), st.lists(st.integers(0, 12), min_size=2, max_size=4))
def test_a_plan_carried_out_asks_for_nothing_more_and_bounds_what_is_left(mode, filled):
    names = "abcd"[: len(filled)]
    traded = {name: Decimal(qty) for name, qty in zip(names, filled, strict=True)}
    legs = {name: leg(name, 10) for name in names}
    for change in plan(group(mode), legs.values(), traded):
        if change.new_total is None:
            del legs[change.intent_id]
        else:
            legs[change.intent_id] = leg(change.intent_id, change.new_total)
    assert plan(group(mode), legs.values(), traded) == []
    left = [legs[name].order.quantity - traded[name] for name in legs]
    assert all(rest <= max(10 - sum(filled), 0) for rest in left if sum(filled))


@given(
    st.sampled_from(OcoMode), st.decimals("0.0001", "1000", places=4), st.text("0123456789abcdef", min_size=1)
)
def test_the_name_tells_the_group(mode, quantity, first):
    named = Group(mode, quantity, first)
    assert Group.parse(named.name) == named


@pytest.mark.parametrize("text", ["", "a/b", "reduce_on_partial/x/a", "native/1/a", "a/b/c/d"])
def test_other_text_is_no_group(text):
    with pytest.raises(InvariantError):
        Group.parse(text)
