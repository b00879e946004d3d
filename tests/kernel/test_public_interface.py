"""The names and meanings that the rest of the world relies on: kernel, stores, engine, models, enums."""

import inspect

import pytest

from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.shell import ReconciliationEngine, ReconciliationMetrics
from quantcli.model import account, instrument, market, order
from quantcli.store import memory, sqlite
from quantcli.store.api import ActualStateStore, IntentStateStore

KERNEL = {
    "place_order": ["order", "metadata"],
    "place_order_group": ["group", "metadata"],
    "cancel_order": ["intent_id"],
    "modify_order": ["intent_id", "new_order"],
    "cancel_all_orders": ["symbol_id"],
    "get_order_intent": ["intent_id"],
    "get_order_state": ["intent_id"],
    "get_all_intents": ["symbol_id"],
    "get_all_orders": ["symbol_id"],
    "get_positions": ["symbol_id"],
    "get_account_state": [],
    "get_symbol_metadata": ["symbol_id"],
    "get_asset_metadata": ["asset"],
    "list_symbols": [],
    "start": [],
    "stop": [],
    "health_check": [],
    "force_reconciliation": ["intent_id"],
}
AT_ONCE = {
    "subscribe_events": ["callback", "event_filter"],
    "unsubscribe_events": ["subscription"],
    "get_reconciliation_metrics": [],
}
INTENTS = {
    "create_intent": ["intent"],
    "get_intent": ["intent_id"],
    "update_intent": ["intent"],
    "delete_intent": ["intent_id"],
    "list_intents": ["symbol_id", "group_id"],
    "get_intents_by_group": ["group_id"],
}
ORDERS = {
    "create_order_state": ["state"],
    "get_order_state": ["intent_id"],
    "get_order_state_by_exchange_id": ["exchange_order_id"],
    "update_order_state": ["state"],
    "delete_order_state": ["intent_id"],
    "list_order_states": ["symbol_id", "reconciliation_status"],
    "get_stale_orders": ["max_age_seconds"],
}
ENGINE = {"start": [], "stop": [], "reconcile_intent": ["intent_id"], "reconcile_all": []}

INTERFACES = [
    (ExchangeKernel, KERNEL, True),
    (ExchangeKernel, AT_ONCE, False),
    (ReconciliationEngine, ENGINE, True),
    (ReconciliationEngine, {"get_metrics": []}, False),
    *((store, INTENTS, True) for store in (IntentStateStore, memory.MemoryIntents, sqlite.SQLiteIntents)),
    *((store, ORDERS, True) for store in (ActualStateStore, memory.MemoryOrders, sqlite.SQLiteOrders)),
]


@pytest.mark.parametrize(("owner", "methods", "is_async"), INTERFACES)
def test_a_method_has_its_name_its_arguments_and_its_colour(owner, methods, is_async):
    for name, arguments in methods.items():
        method = getattr(owner, name)
        assert inspect.iscoroutinefunction(method) is is_async, name
        known = list(inspect.signature(method).parameters)[1:]
        assert known[: len(arguments)] == arguments, name


FIELDS = {
    order.StandardOrder: ["symbol", "side", "type", "quantity", "price"],
    order.StandardOrderGroup: ["orders", "mode"],
    order.OrderIntent: ["intent_id", "order", "group_id", "metadata"],
    order.OrderState: [
        "intent_id",
        "exchange_order_id",
        "status",
        "order",
        "reconciliation_status",
        "last_sync_at",
    ],
    order.Order: ["symbol", "side", "status", "quantity", "filled", "price"],
    account.AssetBalance: ["asset", "available", "free", "locked", "total"],
    account.Position: ["symbol"],
    account.AccountState: ["balances", "positions", "equity"],
    instrument.Symbol: ["base", "quote", "is_futures"],
    instrument.SymbolMetadata: ["symbol", "price_tick", "lot"],
    instrument.AssetMetadata: ["asset"],
    market.Trade: ["symbol", "price"],
    market.Ticker: ["symbol", "bid", "ask"],
    ReconciliationMetrics: [
        "running",
        "reconciliation_lag_ms",
        "pending_reconciliations",
        "error_count",
        "retry_count",
    ],
}


@pytest.mark.parametrize(("struct", "fields"), FIELDS.items())
def test_a_struct_has_its_fields_and_never_changes(struct, fields):
    assert set(fields) <= set(struct.__struct_fields__)
    assert struct.__struct_config__.frozen


def test_enums_have_the_values_that_are_written_to_files():
    assert {m.name: m.value for m in order.OrderStatus} == {
        "UNKNOWN": -1,
        "NEW": 1,
        "FILLED": 2,
        "PARTIALLY_FILLED": 3,
        "CANCELED": 4,
        "PARTIALLY_CANCELED": 5,
        "EXPIRED": 6,
        "REJECTED": 7,
    }
    assert [m.name for m in order.OrderType] == [
        "LIMIT",
        "MARKET",
        "LIMIT_MAKER",
        "IMMEDIATE_OR_CANCEL",
        "FILL_OR_KILL",
        "STOP_LIMIT",
        "STOP_MARKET",
    ]
    assert {m.name: m.value for m in instrument.Side} == {"BUY": 1, "SELL": 2}
    assert [m.name for m in order.TimeInForce] == ["GTC", "IOC", "FOK", "GTD"]


def test_a_kernel_knows_its_exchange(bench):
    assert bench.kernel.exchange_id == "test"
