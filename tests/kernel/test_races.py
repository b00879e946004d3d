"""What happens at the same time, out of turn, or against the exchange's own word."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from random import Random

import pytest
from msgspec.structs import replace

from quantcli.errors import RiskRefused, SafetyError, ValidationError
from quantcli.kernel.policy import Policy
from quantcli.model.event import OrderEventKind
from quantcli.model.message import Cancel, Observation, Place
from quantcli.model.order import IntentPhase, OrderStatus, StandardOrder, StandardOrderGroup
from quantcli.ports import Approved
from quantcli.store.api import Identity
from quantcli.store.memory import MemoryStore


class SlowStore(MemoryStore):
    """Commits take a few turns of the event loop, now more, now fewer."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(Identity(7, 99, b"secret", 1))
        self.random = Random(seed)

    async def commit(self, rows):
        for _ in range(self.random.randint(1, 4)):
            await asyncio.sleep(0)
        await super().commit(rows)


# Starting and stopping.


async def test_ids_do_not_return_when_another_kernel_goes_on_with_an_open_store(bench):
    first, _ = await bench.place()
    await bench.restart()
    second, _ = await bench.place()
    assert len({first, second}) == len(await bench.kernel.get_all_intents()) == 2


async def test_a_stopped_kernel_starts_again_where_it_was(bench):
    first, client_id = await bench.place()
    await bench.kernel.stop()
    await bench.kernel.start()
    second, _ = await bench.place()
    await bench.show(client_id, OrderStatus.NEW)
    assert first != second
    assert [i.intent_id for i in await bench.kernel.get_all_intents()] == [first, second]


async def test_a_running_kernel_cannot_be_started(bench):
    intent_id, _ = await bench.place()
    with pytest.raises(SafetyError, match="running"):
        await bench.kernel.start()
    assert [w.intent_id for w in bench.kernel.working()] == [intent_id]


# Errors of our own.


async def test_a_report_that_makes_no_sense_stops_the_kernel_and_leaves_no_trace(bench):
    _, client_id = await bench.place()
    rows = dict(bench.store.orders.rows)
    bad = Observation(
        client_id, "X1", OrderStatus.NEW, Decimal("NaN"), 0, (bench.fill(client_id, "T1", "1"),)
    )
    with pytest.raises(ArithmeticError):
        await bench.kernel.observe(bad)
    with pytest.raises(SafetyError, match="stopped"):
        await bench.kernel.run_due()
    assert bench.store.orders.rows == rows
    assert await bench.store.fills() == []
    assert not (await bench.kernel.health_check()).ok


# What the books do not know yet is not free.


async def test_what_traded_without_its_fills_still_counts(bench):
    intent_id, client_id = await bench.place("5")
    await bench.show(client_id, OrderStatus.FILLED, "5", bench.fill(client_id, "T1", "2"))
    (working,) = bench.kernel.working()
    assert (working.intent_id, working.remaining, working.filled) == (intent_id, 3, 2)
    await bench.show(client_id, OrderStatus.FILLED, "5", bench.fill(client_id, "T2", "3"))
    assert bench.kernel.working() == []


async def test_of_a_cancelled_order_only_the_missing_fills_count(bench):
    intent_id, client_id = await bench.place("5")
    await bench.show(client_id, OrderStatus.NEW)
    await bench.kernel.cancel_order(intent_id)
    await bench.show(client_id, OrderStatus.PARTIALLY_CANCELED, "2")
    assert [(w.remaining, w.filled) for w in bench.kernel.working()] == [(2, 0)]


class CoinCounter:
    """Admits sells of what the fills told so far, and the orders still working, leave of ten coins."""

    def __init__(self, bench) -> None:
        self.bench, self.sold = bench, Decimal(0)

    def admit(
        self, order: StandardOrder, metadata: Mapping[str, str], replaces=None, beside=(), closes=None
    ) -> Approved:
        left = 10 - self.sold - sum(w.remaining for w in self.bench.kernel.working())
        if order.quantity > left:
            raise RiskRefused("sold already", check="capital")
        return Approved(order, dict(metadata))

    def on_event(self, event) -> None:
        self.sold += event.fill.qty if event.fill else 0


@pytest.fixture
async def slow(make_bench):
    bench = make_bench(Policy(), SlowStore())
    await bench.kernel.start()
    return bench


@pytest.mark.parametrize("modifying", [False, True])
async def test_a_fill_that_is_being_committed_is_not_forgotten_by_the_gate(slow, modifying):
    """It has left the working orders and has not reached the books."""
    gate = CoinCounter(slow)
    slow.kernel.subscribe_events(gate.on_event)
    slow.kernel._gate = gate
    _, client_id = await slow.place("6")
    other, _ = await slow.place("1")
    reporting = asyncio.create_task(
        slow.show(client_id, OrderStatus.FILLED, "6", slow.fill(client_id, "T1", "6"))
    )
    await asyncio.sleep(0)
    order = slow.order("5")
    asking = slow.kernel.modify_order(other, order) if modifying else slow.kernel.place_order(order, {})
    with pytest.raises(RiskRefused):
        await asking
    await reporting


async def test_the_legs_of_a_group_are_admitted_beside_each_other(bench):
    leg = bench.order("600")
    with pytest.raises(RiskRefused):
        await bench.kernel.place_order_group(StandardOrderGroup((leg, leg)), {})
    assert bench.gateway.sent == []


# An exchange that takes back its word.


async def test_an_order_that_became_too_large_is_replaced(bench):
    """The first order traded on after its end was told: the second was sized for what seemed left."""
    intent_id, first = await bench.place("10")
    await bench.show(first, OrderStatus.NEW)
    await bench.kernel.modify_order(intent_id, bench.order("10", price="101"))
    await bench.show(first, OrderStatus.PARTIALLY_CANCELED, "2", bench.fill(first, "T1", "2"))
    second = bench.placed()
    await bench.show(second, OrderStatus.NEW)
    bench.gateway.sent.clear()
    await bench.show(first, OrderStatus.PARTIALLY_CANCELED, "3", bench.fill(first, "T2", "1"))
    assert [c.client_order_id for c in bench.gateway.take(Cancel)] == [second]
    await bench.show(second, OrderStatus.CANCELED)
    await bench.wait(1)
    (third,) = bench.gateway.take(Place)
    assert third.order.quantity == 7


# Subscribers that act.


async def test_a_subscriber_may_call_the_kernel_and_come_and_go(slow):
    tasks, heard = [], []

    def cancel_what_works(event):
        if event.kind is OrderEventKind.ACCEPTED:
            tasks.append(asyncio.create_task(slow.kernel.cancel_order(event.intent.intent_id)))
            slow.kernel.unsubscribe_events(own)
            slow.kernel.subscribe_events(heard.append)

    own = slow.kernel.subscribe_events(cancel_what_works)
    _, client_id = await slow.place()
    await slow.show(client_id, OrderStatus.NEW)
    await asyncio.gather(*tasks)
    assert [c.client_order_id for c in slow.gateway.take(Cancel)] == [client_id]
    assert heard == []
    await slow.show(client_id, OrderStatus.CANCELED)
    assert [event.kind for event in heard] == [OrderEventKind.CANCELLED]


# Everything at once.


async def some_user(bench, random: Random) -> None:
    """Places, changes, cancels, and reports what the exchange did, without waiting for the others."""
    kernel = bench.kernel
    intent_id = await kernel.place_order(bench.order("9"), {})
    for number in range(6):
        await asyncio.sleep(0)
        state = await kernel.get_order_state(intent_id)
        client_id = state.client_order_id
        match random.randint(0, 3):
            case 0:
                price = str(100 + random.randint(1, 9))
                changing = kernel.modify_order(intent_id, bench.order(str(random.randint(5, 9)), price=price))
                await asyncio.gather(changing, return_exceptions=True)
            case 1 if number > 3:
                await kernel.cancel_order(intent_id)
            case 2:
                fill = bench.fill(client_id, f"{client_id}-{number}", "1")
                cum = min(state.filled + 1, state.order.quantity)
                await bench.show(client_id, OrderStatus.PARTIALLY_FILLED, str(cum), fill)
            case _:
                ended = state.cancel_sent_ns > 0
                status = OrderStatus.CANCELED if ended else OrderStatus.NEW
                await bench.show(client_id, status, str(state.filled))


async def test_concurrent_callers_leave_memory_and_store_agreed(make_bench):
    for seed in range(30):
        random = Random(seed)
        bench = make_bench(Policy(), SlowStore(seed))
        await bench.kernel.start()
        sent_undurable = []
        send = bench.gateway.send

        def checking(request, bench=bench, send=send, sent=sent_undurable):
            if request.client_order_id not in bench.store.orders.rows:
                sent.append(request)
            send(request)

        bench.gateway.send = checking
        await asyncio.gather(*(some_user(bench, random) for _ in range(8)))
        assert sent_undurable == []
        for entry in bench.kernel._core.view.open.values():
            assert await bench.store.intents.get_intent(entry.intent.intent_id) == entry.intent
            for state in entry.attempts:
                row = bench.store.orders.rows[state.client_order_id]
                remarks = {"last_sync_at": 0, "lookup_sent_ns": 0, "venue_ns": 0}
                assert replace(row, **remarks) == replace(state, **remarks)
        told = [event.fill.trade_id for event in bench.events if event.fill]
        assert sorted(told) == sorted(fill.trade_id for fill in await bench.store.fills())
        assert len(told) == len(set(told))


async def test_of_a_change_and_a_cancel_at_once_the_cancel_stays(slow):
    intent_id, client_id = await slow.place("5")
    await slow.show(client_id, OrderStatus.NEW)
    cancelling = asyncio.create_task(slow.kernel.cancel_order(intent_id))
    await asyncio.sleep(0)
    with pytest.raises(ValidationError, match="CANCEL_REQUESTED"):
        await slow.kernel.modify_order(intent_id, slow.order("5", price="101"))
    await cancelling
    await slow.show(client_id, OrderStatus.CANCELED)
    assert (await slow.kernel.get_order_intent(intent_id)).phase is IntentPhase.CANCELED
    assert len(slow.gateway.take(Place)) == 0
