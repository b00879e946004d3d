"""Request ids: asked again, over restarts and beside each other, there is one wish; and wishes whose time or
size is over."""

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.errors import ValidationError
from quantcli.kernel.policy import Policy
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.message import Amend, Cancel, Place, Refused
from quantcli.model.order import IntentPhase, OcoMode, OrderStatus, StandardOrderGroup, TimeInForce
from quantcli.store.api import Identity
from quantcli.store.memory import MemoryStore
from tests.kernel.by_hand import PROVE, SYMBOL, TOTAL, ByHand

NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
RULES = {
    SYMBOL: SymbolMetadata(
        Symbol("BTC", "USDT"),
        "test",
        "BTCUSDT",
        Decimal("0.01"),
        Decimal("0.001"),
        min_qty=Decimal(1),
        min_notional=Decimal(200),
    )
}


# Asked again.


async def test_a_request_that_is_repeated_is_one_wish(bench):
    """O11, I25: a script that lost the reply asks again: settled, restarted, or not."""
    first = await bench.kernel.place_order(bench.order(), {}, request_id="r1")
    client_id = bench.placed()
    assert await bench.kernel.place_order(bench.order(), {}, request_id="r1") == first
    await bench.restart()
    assert await bench.kernel.place_order(bench.order(), {}, request_id="r1") == first
    await bench.show(client_id, FILLED, "1", bench.fill(client_id, "t", "1"))
    assert await bench.kernel.place_order(bench.order(), {}, request_id="r1") == first
    await bench.restart()
    assert await bench.kernel.place_order(bench.order(), {}, request_id="r1") == first
    assert bench.gateway.take(Place) == []
    assert len(await bench.kernel.get_all_intents()) == 1


async def test_the_same_request_id_with_another_content_is_an_error(bench):
    """O12: nothing is placed; after a restart, too."""
    await bench.kernel.place_order(bench.order(), {}, request_id="r1")
    bench.placed()
    for _ in range(2):
        for other in (bench.order("2"), bench.order(price="99"), bench.order(side=Side.SELL)):
            with pytest.raises(ValidationError, match="r1 was another order"):
                await bench.kernel.place_order(other, {}, request_id="r1")
        await bench.restart()
    assert bench.gateway.take(Place) == []


async def test_a_wish_that_was_modified_since_is_still_the_one_that_was_asked_for(bench):
    """O11: the reply was lost, and somebody modified the order meanwhile."""
    first = await bench.kernel.place_order(bench.order(), {}, request_id="r1")
    await bench.kernel.modify_order(first, bench.order("2"))
    assert await bench.kernel.place_order(bench.order(), {}, request_id="r1") == first


async def test_requests_without_an_id_are_always_new(bench):
    ids = {await bench.kernel.place_order(bench.order(), {}) for _ in range(3)}
    assert len(ids) == 3


def oco(bench, *prices):
    return StandardOrderGroup(
        tuple(bench.order("10", price=price, side=Side.SELL) for price in prices), OcoMode.REDUCE_ON_PARTIAL
    )


async def test_a_group_that_is_repeated_is_one_group(bench):
    """O11, O12: before and after a restart, after a fill has changed its legs, and with another content."""
    ids = await bench.kernel.place_order_group(oco(bench, "110", "111"), {}, request_id="g1")
    first, *_ = [place.client_order_id for place in bench.gateway.take(Place)]
    for _ in range(2):
        assert await bench.kernel.place_order_group(oco(bench, "110", "111"), {}, request_id="g1") == ids
        for other in (oco(bench, "110", "112"), oco(bench, "110", "111", "112")):
            with pytest.raises(ValidationError, match="another order"):
                await bench.kernel.place_order_group(other, {}, request_id="g1")
        await bench.restart()
    fill = replace(bench.fill(first, "t", "4"), side=Side.SELL)
    await bench.show(first, OrderStatus.PARTIALLY_FILLED, "4", fill)
    assert await bench.kernel.place_order_group(oco(bench, "110", "111"), {}, request_id="g1") == ids
    assert bench.gateway.take(Place) == []
    assert len(await bench.store.groups()) == 1


class SlowStore(MemoryStore):
    """Suspends at every question and every commit."""

    async def commit(self, rows):
        await asyncio.sleep(0)
        await super().commit(rows)


class SlowIntents:
    """Rows that take a turn of the loop to be read."""

    def __init__(self, intents) -> None:
        self._intents = intents

    def __getattr__(self, name):
        return getattr(self._intents, name)

    async def get_intent_by_request(self, request_id):
        await asyncio.sleep(0)
        return await self._intents.get_intent_by_request(request_id)


async def test_a_request_that_is_repeated_at_the_same_time_is_one_wish(make_bench):
    """O11, I25: callers ask while the store is being read: one order, one answer or a refusal for each, and
    a kernel that goes on."""
    store = SlowStore(Identity(7, 99, b"secret", 1))
    store.intents = SlowIntents(store.intents)
    bench = make_bench(Policy(), store)
    await bench.kernel.start()
    answers = await asyncio.gather(
        *[bench.kernel.place_order(bench.order(), {}, request_id="r1") for _ in range(5)],
        *[bench.kernel.place_order_group(oco(bench, "110", "111"), {}, request_id="g1") for _ in range(5)],
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} <= {str, list, ValidationError}
    assert len(bench.gateway.take(Place)) == 3
    assert len(await bench.kernel.get_all_intents()) == 3
    first = await bench.kernel.place_order(bench.order(), {}, request_id="r1")
    assert {answer for answer in answers if isinstance(answer, str)} == {first}
    assert (await bench.kernel.health_check()).ok


# Too late, too small.


def test_a_wish_whose_time_passes_while_nothing_can_be_placed_is_never_placed():
    """K6: the exchange was not there until it was too late."""
    bench = ByHand().boot()
    intent_id = bench.wish(time_in_force=TimeInForce.GTD, expire_ns=bench.now_ns + 10 * NS_PER_S)
    bench.wait(11)
    bench.state()
    bench.wait(1)
    assert bench.take(Place) == []
    assert bench.phase(intent_id) is IntentPhase.EXPIRED


def test_a_wish_whose_time_passes_between_two_tries_is_not_placed_again():
    """K6, V28: refused as busy until it was too late."""
    bench = ByHand().synced()
    expires_ns = bench.now_ns + NS_PER_S // 4
    intent_id, client_id = bench.place(time_in_force=TimeInForce.GTD, expire_ns=expires_ns)
    bench.refuse(client_id, kind=Refused.BUSY)
    bench.wait(1)
    assert (bench.take(Place), bench.phase(intent_id)) == ([], IntentPhase.EXPIRED)


def test_an_order_in_doubt_whose_time_has_passed_is_found_out_about_and_not_placed_anew():
    """K6, N1."""
    bench = ByHand().synced()
    intent_id, client_id = bench.place(time_in_force=TimeInForce.GTD, expire_ns=bench.now_ns + NS_PER_S)
    bench.silence(client_id)
    for _ in range(20):
        bench.wait(0.5)
        bench.answer_all()
    assert (bench.take(Place), bench.phase(intent_id)) == ([], IntentPhase.EXPIRED)


def test_where_the_exchange_ends_no_order_by_itself_it_is_cancelled_when_its_time_is_over():
    """To the moment, and it is then over for good, with what it has got by then."""
    bench = ByHand(replace(PROVE, expires=False)).synced()
    ends_ns = bench.now_ns + 10 * NS_PER_S
    intent_id, client_id = bench.work(time_in_force=TimeInForce.GTD, expire_ns=ends_ns)
    bench.wait(9.999)
    assert bench.take(Cancel) == []
    bench.wait(0.001)
    (cancel,) = bench.take(Cancel)
    assert (cancel.client_order_id, cancel.asked_ns) == (client_id, ends_ns)
    bench.show(client_id, OrderStatus.PARTIALLY_CANCELED, "4", bench.trade(client_id, "4"))
    bench.wait(60)
    assert (bench.take(Place), bench.phase(intent_id)) == ([], IntentPhase.EXPIRED)


def test_where_the_exchange_ends_orders_itself_nothing_is_cancelled():
    bench = ByHand().synced()
    bench.work(time_in_force=TimeInForce.GTD, expire_ns=bench.now_ns + 10 * NS_PER_S)
    bench.wait(12)
    assert bench.take(Cancel) == []


def test_a_replacement_whose_time_has_passed_is_not_placed():
    bench = ByHand().synced()
    terms = {"time_in_force": TimeInForce.GTD, "expire_ns": bench.now_ns + 10 * NS_PER_S}
    intent_id, client_id = bench.work(**terms)
    bench.modify(intent_id, price="99", **terms)
    bench.wait(11)
    bench.show(client_id, CANCELED)
    assert (bench.take(Place), bench.phase(intent_id)) == ([], IntentPhase.EXPIRED)


@pytest.mark.parametrize(("filled", "rest"), [("9.5", "0.5"), ("8.5", "1.5")])
def test_a_rest_too_small_for_the_exchange_is_dust(filled, rest):
    """V31: below the smallest quantity, below the smallest value; said, and satisfied."""
    bench = ByHand(rules=RULES).synced()
    intent_id, client_id = bench.work()
    bench.show(client_id, OrderStatus.PARTIALLY_FILLED, filled, bench.trade(client_id, filled))
    bench.modify(intent_id, price="99")
    bench.show(client_id, CANCELED, filled)
    assert bench.take(Place) == []
    intent = bench.intent(intent_id)
    assert intent.phase is IntentPhase.SATISFIED
    assert intent.reason.startswith(f"dust: {rest}")


def test_a_rest_that_is_large_enough_is_placed():
    bench = ByHand(rules=RULES).synced()
    intent_id, client_id = bench.work()
    bench.show(client_id, OrderStatus.PARTIALLY_FILLED, "7", bench.trade(client_id, "7"))
    bench.modify(intent_id, price="99")
    bench.show(client_id, CANCELED, "7")
    assert [place.order.quantity for place in bench.take(Place)] == [3]


def test_a_wish_that_is_too_small_from_the_start_is_placed_and_refused_by_the_exchange():
    """V31: dust is what is left over, not what was wished for."""
    bench = ByHand(rules=RULES).synced()
    intent_id, client_id = bench.place("0.5")
    bench.refuse(client_id)
    assert bench.phase(intent_id) is IntentPhase.FAILED


# Modifications of what cannot change, or does not.


def test_the_same_terms_again_are_no_modification():
    """O10."""
    bench = ByHand(TOTAL).synced()
    intent_id, _ = bench.work()
    bench.modify(intent_id)
    assert (bench.intent(intent_id).generation, bench.take((Amend, Cancel, Place))) == (1, [])


def test_a_settled_wish_cannot_be_modified():
    """O10."""
    bench = ByHand(TOTAL).synced()
    intent_id, client_id = bench.work()
    bench.show(client_id, FILLED, "10", bench.trade(client_id, "10"))
    with pytest.raises(ValidationError, match="SATISFIED"):
        bench.modify(intent_id, "12")
    assert bench.take((Amend, Cancel, Place)) == []
