"""The public face: the gate, queries, subscriptions, health, figures."""

import pytest

from quantcli.errors import NotFoundError, RiskRefused, SafetyError
from quantcli.kernel.policy import Policy
from quantcli.model.event import OrderEventKind
from quantcli.model.message import Cancel, Lookup, Silence
from quantcli.model.order import IntentPhase, OrderStatus, StandardOrderGroup


async def test_what_the_gate_refuses_leaves_nothing_behind(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, OrderStatus.NEW)
    bench.kinds()
    large = bench.order("1001")
    with pytest.raises(RiskRefused):
        await bench.kernel.place_order(large, {})
    with pytest.raises(RiskRefused):
        await bench.kernel.place_order_group(StandardOrderGroup((bench.order(), large)), {})
    with pytest.raises(RiskRefused):
        await bench.kernel.modify_order(intent_id, large)
    assert [i.intent_id for i in await bench.kernel.get_all_intents()] == [intent_id]
    assert (bench.gateway.sent, bench.events) == ([], [])


async def test_metadata_comes_back_with_every_event(bench):
    await bench.place()
    assert bench.events[0].intent.metadata == {"by": "test"}


async def test_settled_orders_can_still_be_asked_for_and_cancelled_without_effect(bench):
    intent_id, client_id = await bench.place()
    await bench.show(client_id, OrderStatus.CANCELED)
    await bench.restart()
    assert (await bench.kernel.get_order_intent(intent_id)).phase is IntentPhase.CANCELED
    assert (await bench.kernel.get_order_state(intent_id)).client_order_id == client_id
    await bench.kernel.cancel_order(intent_id)
    assert [s.client_order_id for s in await bench.kernel.get_all_orders("BTC/USDT")] == [client_id]
    assert await bench.kernel.get_all_orders("ETH/USDT") == []


async def test_what_does_not_exist_is_not_found(bench):
    kernel = bench.kernel
    for question in (
        kernel.get_order_intent("none"),
        kernel.get_order_state("none"),
        kernel.cancel_order("none"),
        kernel.modify_order("none", bench.order()),
        kernel.force_reconciliation("none"),
        kernel.get_symbol_metadata("ETH/USDT"),
        kernel.get_asset_metadata("ETH"),
    ):
        with pytest.raises(NotFoundError):
            await question
    with pytest.raises(NotFoundError):
        kernel.unsubscribe_events(99)


async def test_symbols_and_assets(bench):
    assert await bench.kernel.list_symbols() == ["BTC/USDT"]
    assert (await bench.kernel.get_symbol_metadata("BTC/USDT")).exchange_symbol == "BTCUSDT"
    assert (await bench.kernel.get_asset_metadata("USDT")).asset == "USDT"
    assert await bench.kernel.get_positions() == []
    assert (await bench.kernel.get_account_state()).exchange == "test"


async def test_cancelling_all_counts_what_was_open_on_that_market(bench):
    clients = [(await bench.place())[1] for _ in range(3)]
    for client_id in clients[:2]:
        await bench.show(client_id, OrderStatus.NEW)
    await bench.show(clients[2], OrderStatus.CANCELED)
    assert await bench.kernel.cancel_all_orders("ETH/USDT") == 0
    assert await bench.kernel.cancel_all_orders() == 2
    assert [c.client_order_id for c in bench.gateway.take(Cancel)] == clients[:2]


async def test_subscribers_hear_what_they_asked_for_until_they_leave(bench):
    accepted, everything = [], []
    bench.kernel.subscribe_events(accepted.append, {OrderEventKind.ACCEPTED})
    subscription = bench.kernel.subscribe_events(everything.append)
    _, client_id = await bench.place()
    await bench.show(client_id, OrderStatus.NEW)
    bench.kernel.unsubscribe_events(subscription)
    await bench.show(client_id, OrderStatus.CANCELED)
    assert [e.kind for e in accepted] == [OrderEventKind.ACCEPTED]
    assert [e.kind for e in everything] == [OrderEventKind.SUBMITTED, OrderEventKind.ACCEPTED]


async def test_forcing_asks_the_exchange_at_once(bench):
    first, client_id = await bench.place()
    _, other = await bench.place()
    await bench.kernel.force_reconciliation(first)
    assert bench.gateway.take(Lookup) == [Lookup(client_id, "BTC/USDT", bench.now_ns)]
    await bench.kernel.force_reconciliation()
    assert [r.client_order_id for r in bench.gateway.take(Lookup)] == [client_id, other]


async def test_figures_are_real(bench):
    _, client_id = await bench.place()
    assert bench.kernel.get_reconciliation_metrics().pending_reconciliations == 1
    await bench.show(client_id, OrderStatus.NEW)
    figures = bench.kernel.get_reconciliation_metrics()
    assert (figures.running, figures.pending_reconciliations, figures.reconciliation_lag_ms) == (True, 0, 0)
    await bench.kernel.observe(Silence(client_id, "lookup", "time-out"))
    bench.clock.advance_to(bench.kernel.next_due() + 250_000_000)
    assert bench.kernel.get_reconciliation_metrics().reconciliation_lag_ms == 250
    await bench.kernel.run_due()
    assert bench.kernel.get_reconciliation_metrics().reconciliation_lag_ms == 250
    await bench.wait(60)
    figures = bench.kernel.get_reconciliation_metrics()
    assert figures.error_count == 1
    assert figures.retry_count > 1
    assert (await bench.kernel.health_check()).ok
    assert bench.kernel.counts().created == 1
    assert bench.kernel.checks()["one_open_attempt"] == 1


async def test_a_kernel_that_is_not_running_refuses(make_bench):
    bench = make_bench(Policy())
    assert (await bench.kernel.health_check()).failure == "not started"
    with pytest.raises(SafetyError):
        await bench.kernel.place_order(bench.order(), {})
    await bench.kernel.start()
    _, client_id = await bench.place()
    await bench.show(client_id, OrderStatus.NEW)
    await bench.kernel.stop()
    assert bench.gateway.sent == []
    assert (await bench.kernel.health_check()).failure == "stopped"
    with pytest.raises(SafetyError):
        await bench.kernel.place_order(bench.order(), {})
