"""Commit before send, in order, whatever suspends, fails or is cancelled."""

import asyncio

import pytest

from quantcli.errors import SafetyError, StoreError
from quantcli.model.message import Lookup, Place
from quantcli.model.order import OrderStatus
from quantcli.store.api import Identity
from quantcli.store.memory import MemoryStore


class SlowStore(MemoryStore):
    """Commits take `turns` turns of the event loop; a log of what was begun and what is durable."""

    def __init__(self, turns: int = 3) -> None:
        super().__init__(Identity(7, 99, b"secret", 1))
        self.turns = turns
        self.under_way = 0

    async def commit(self, rows):
        self.under_way += 1
        assert self.under_way == 1, "two commits at once"
        for _ in range(self.turns):
            await asyncio.sleep(0)
        await super().commit(rows)
        self.under_way -= 1


class BrokenStore(MemoryStore):
    """Fails when told to."""

    broken = False

    async def commit(self, rows):
        if self.broken:
            raise StoreError("disk full")
        await super().commit(rows)


@pytest.fixture
async def slow(make_bench):
    from quantcli.kernel.policy import Policy

    bench = make_bench(Policy(), SlowStore())
    await bench.kernel.start()
    return bench


@pytest.fixture
async def broken(make_bench):
    from quantcli.kernel.policy import Policy

    bench = make_bench(Policy(), BrokenStore(Identity(7, 99, b"secret", 1)))
    await bench.kernel.start()
    return bench


async def test_nothing_is_sent_before_it_is_durable(slow):
    durable_when_sent = []
    send = slow.gateway.send

    def checking_send(request):
        durable_when_sent.append(request.client_order_id in slow.store.orders.rows)
        send(request)

    slow.gateway.send = checking_send
    placing = asyncio.create_task(slow.kernel.place_order(slow.order(), {}))
    await asyncio.sleep(0)
    assert slow.gateway.sent == []
    assert slow.events == []
    await placing
    assert durable_when_sent == [True]
    assert len(slow.events) == 1


async def test_concurrent_steps_are_carried_out_in_their_order(slow):
    orders = [slow.order(price=str(price)) for price in range(100, 120)]
    intent_ids = await asyncio.gather(*(slow.kernel.place_order(order, {}) for order in orders))
    assert [place.order.price for place in slow.gateway.take(Place)] == list(range(100, 120))
    assert [event.intent.intent_id for event in slow.events] == intent_ids == sorted(intent_ids)


async def test_a_cancelled_caller_tears_nothing(slow):
    first = asyncio.create_task(slow.kernel.place_order(slow.order(), {}))
    second = asyncio.create_task(slow.kernel.place_order(slow.order(), {}))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    third = await slow.kernel.place_order(slow.order(), {})
    assert first.cancelled()
    assert second.cancelled()
    sent = slow.gateway.take(Place)
    assert {place.client_order_id for place in sent} == set(slow.store.orders.rows)
    assert len(sent) == 3  # what was accepted is carried out, whoever still waits for it
    assert slow.events[-1].intent.intent_id == third


async def test_stopping_finishes_what_is_under_way(slow):
    placing = asyncio.create_task(slow.kernel.place_order(slow.order(), {}))
    await asyncio.sleep(0)
    await slow.kernel.stop()
    assert len(slow.gateway.take(Place)) == 1
    await placing


def test_with_a_store_that_never_suspends_nothing_ever_does(make_bench):
    from quantcli.kernel.policy import Policy

    bench = make_bench(Policy())

    def run(coroutine):
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        return done.value.value

    run(bench.kernel.start())
    run(bench.kernel.place_order(bench.order(), {}))
    run(bench.show(bench.placed(), OrderStatus.NEW))
    assert len(bench.events) == 2


async def test_a_failed_commit_sends_nothing_and_stops_the_kernel(broken):
    _, client_id = await broken.place()
    broken.kinds()
    broken.store.broken = True
    with pytest.raises(StoreError, match="disk full"):
        await broken.kernel.place_order(broken.order(), {})
    broken.store.broken = False
    assert broken.gateway.sent == []
    assert broken.kinds() == []
    for attempt in (
        broken.kernel.place_order(broken.order(), {}),
        broken.show(client_id, OrderStatus.NEW),
        broken.kernel.run_due(),
    ):
        with pytest.raises(SafetyError, match="stopped") as refused:
            await attempt
        assert refused.value.why == "disk full"
    health = await broken.kernel.health_check()
    assert (health.ok, health.failure) == (False, "disk full")
    metrics = broken.kernel.get_reconciliation_metrics()
    assert (metrics.running, metrics.error_count) == (False, 1)


async def test_a_restart_goes_on_from_what_was_durable(broken):
    intent_id, client_id = await broken.place()
    broken.store.broken = True
    with pytest.raises(StoreError):
        await broken.show(client_id, OrderStatus.CANCELED)
    broken.store.broken = False
    await broken.restart()
    assert [lookup.client_order_id for lookup in broken.gateway.take(Lookup)] == [client_id]
    await broken.show(client_id, OrderStatus.CANCELED)
    assert (await broken.kernel.get_order_intent(intent_id)).phase.is_terminal


async def test_a_failing_callback_keeps_nothing_else_from_being_done(bench):
    def fail(event):
        raise RuntimeError("a subscriber's own fault")

    later = []
    bench.kernel.subscribe_events(fail)
    bench.kernel.subscribe_events(later.append)
    with pytest.raises(RuntimeError, match="own fault"):
        await bench.kernel.place_order(bench.order(), {})
    assert len(bench.gateway.take(Place)) == 1
    assert len(later) == 1
    await bench.kernel.run_due()
