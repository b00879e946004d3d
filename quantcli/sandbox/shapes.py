"""JSON shapes of orders, fills, balances and lists, shared by REST, ws-api and user stream.

Sources: binance-spot-api-docs, rest-api.md ("New order", "Query order", "Cancel order", "Order Amend Keep
Priority", "Account trade list", "Account information"; which fields appear when: "Conditional fields in Order
Responses") and user-data-stream.md ("Order Update", "Account Update", "Balance Update").  Amounts are texts
of at least eight decimals, times milliseconds.  Records in, builtins out; decides nothing.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from quantcli.clock import NS_PER_MS
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side
from quantcli.model.order import Fill
from quantcli.sandbox.order_records import AmendRecord, Execution, ListRecord, OrderRecord, Transfer

_ZERO = Decimal(0)
_DECIMALS = Decimal("1E-8")
STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})


def amount(value: Decimal) -> str:
    """An exact amount with at least eight decimals; none of its digits is hidden."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -8:
        value = value.normalize()
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -8:
            return format(value, "f")
    return format(value.quantize(_DECIMALS), "f")


def millis(ns: int) -> int:
    """Nanoseconds as the milliseconds of the wire; nothing yet (0) is -1."""
    return ns // NS_PER_MS if ns else -1


# Orders.


def _terms(order: OrderRecord) -> dict[str, Any]:
    """What placing, cancelling and asking have in common."""
    return {
        "price": amount(order.price),
        "origQty": amount(order.quantity),
        "executedQty": amount(order.filled),
        "origQuoteOrderQty": amount(order.quote_quantity),
        "cummulativeQuoteQty": amount(order.quote_filled),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side.name,
    }


def _conditional(order: OrderRecord) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if order.type in STOP_TYPES:
        told["stopPrice"] = amount(order.stop_price)
    if order.strategy_id is not None:
        told["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        told["strategyType"] = order.strategy_type
    return told


def ack_json(order: OrderRecord, at_ns: int) -> dict[str, Any]:
    """Answer ACK to a placement."""
    return {
        "symbol": order.exchange_symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        "transactTime": millis(at_ns),
    }


def result_json(order: OrderRecord, at_ns: int) -> dict[str, Any]:
    """Answer RESULT to a placement."""
    return (
        ack_json(order, at_ns)
        | _terms(order)
        | _conditional(order)
        | {"workingTime": millis(order.working_ns), "selfTradePreventionMode": order.self_trade_prevention}
    )


def full_json(order: OrderRecord, fills: Sequence[Fill], at_ns: int) -> dict[str, Any]:
    """Answer FULL to a placement."""
    return result_json(order, at_ns) | {"fills": [fill_json(fill) for fill in fills]}


def placed_json(kind: str, order: OrderRecord, fills: Sequence[Fill], at_ns: int) -> dict[str, Any]:
    """Answer to a placement in the form asked for: ACK, RESULT or FULL."""
    if kind == "FULL":
        return full_json(order, fills, at_ns)
    return result_json(order, at_ns) if kind == "RESULT" else ack_json(order, at_ns)


def fill_json(fill: Fill) -> dict[str, Any]:
    """An execution inside an answer FULL."""
    return {
        "price": amount(fill.price),
        "qty": amount(fill.qty),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "tradeId": int(fill.trade_id),
    }


def order_json(order: OrderRecord) -> dict[str, Any]:
    """An order as a query shows it."""
    strategy = {k: v for k, v in _conditional(order).items() if k != "stopPrice"}
    return {
        "symbol": order.exchange_symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        **_terms(order),
        "stopPrice": amount(order.stop_price),
        "icebergQty": amount(_ZERO),
        "time": millis(order.created_ns),
        "updateTime": millis(order.updated_ns),
        "isWorking": order.working_ns > 0,
        "workingTime": millis(order.working_ns),
        "origQuoteOrderQty": amount(order.quote_quantity),
        "selfTradePreventionMode": order.self_trade_prevention,
        **strategy,
    }


def cancel_json(order: OrderRecord, cancel_id: str, at_ns: int) -> dict[str, Any]:
    """Answer to a cancel: `cancel_id` is the cancel's own id."""
    return {
        "symbol": order.exchange_symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": cancel_id,
        "transactTime": millis(at_ns),
        **_terms(order),
        **_conditional(order),
        "selfTradePreventionMode": order.self_trade_prevention,
    }


def amend_json(record: AmendRecord, order: OrderRecord, list_record: ListRecord | None) -> dict[str, Any]:
    """Answer to an amendment; `list_record` is the list it is in, if any."""
    amended = {
        "symbol": order.exchange_symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "origClientOrderId": record.client_order_id,
        "clientOrderId": order.client_order_id,
        "price": amount(order.price),
        "qty": amount(order.quantity),
        "executedQty": amount(order.filled),
        "preventedQty": amount(_ZERO),
        "quoteOrderQty": amount(order.quote_quantity),
        "cumulativeQuoteQty": amount(order.quote_filled),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side.name,
        **_conditional(order),
        "workingTime": millis(order.working_ns),
        "selfTradePreventionMode": order.self_trade_prevention,
    }
    told = {
        "transactTime": millis(record.at_ns),
        "executionId": record.execution_id,
        "amendedOrder": amended,
    }
    if list_record is not None:
        told["listStatus"] = {
            "orderListId": list_record.list_id,
            "contingencyType": list_record.contingency,
            "listOrderStatus": list_record.order_status,
            "listClientOrderId": list_record.client_list_id,
            "symbol": list_record.exchange_symbol,
            "orders": _legs(list_record),
        }
    return told


def amendment_json(record: AmendRecord) -> dict[str, Any]:
    """An amendment as the list of them shows it."""
    return {
        "symbol": record.exchange_symbol,
        "orderId": record.order_id,
        "executionId": record.execution_id,
        "origClientOrderId": record.client_order_id,
        "newClientOrderId": record.new_client_order_id,
        "origQty": amount(record.quantity),
        "newQty": amount(record.new_quantity),
        "time": millis(record.at_ns),
    }


def trade_json(fill: Fill, order: OrderRecord) -> dict[str, Any]:
    """An execution as the account's list of trades shows it: it carries no client order id."""
    return {
        "symbol": order.exchange_symbol,
        "id": int(fill.trade_id),
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "price": amount(fill.price),
        "qty": amount(fill.qty),
        "quoteQty": amount(fill.price * fill.qty),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": millis(fill.exchange_ns),
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


# Order lists.


def _legs(record: ListRecord) -> list[dict[str, Any]]:
    return [
        {"symbol": record.exchange_symbol, "orderId": order_id, "clientOrderId": client_order_id}
        for order_id, client_order_id in record.orders
    ]


def list_json(record: ListRecord, reports: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
    """An order list; `reports` are answers for its orders, where the request is told them."""
    told: dict[str, Any] = {
        "orderListId": record.list_id,
        "contingencyType": record.contingency,
        "listStatusType": record.status_type,
        "listOrderStatus": record.order_status,
        "listClientOrderId": record.client_list_id,
        "transactionTime": millis(record.updated_ns),
        "symbol": record.exchange_symbol,
        "orders": _legs(record),
    }
    return told if reports is None else told | {"orderReports": list(reports)}


# Balances.


def balance_json(balance: AssetBalance) -> dict[str, Any]:
    """Free and locked amount of one asset."""
    return {"asset": balance.asset, "free": amount(balance.free), "locked": amount(balance.locked)}


# The user stream.


def execution_report(execution: Execution, event_ns: int = 0) -> dict[str, Any]:
    """`executionReport`: what happened to an order; `event_ns` is when it is told, if not at once."""
    order, fill = execution.order, execution.fill
    client_order_id, original = order.client_order_id, execution.orig_client_order_id
    if execution.kind == "CANCELED":
        client_order_id, original = execution.new_client_order_id or client_order_id, client_order_id
    told: dict[str, Any] = {
        "e": "executionReport",
        "E": millis(event_ns or execution.at_ns),
        "s": order.exchange_symbol,
        "c": client_order_id,
        "S": order.side.name,
        "o": order.type,
        "f": order.time_in_force,
        "q": amount(order.quantity),
        "p": amount(order.price),
        "P": amount(order.stop_price),
        "F": amount(_ZERO),
        "g": order.list_id,
        "C": original,
        "x": execution.kind,
        "X": order.status,
        "r": execution.reason,
        "i": order.order_id,
        "l": amount(fill.qty if fill else _ZERO),
        "z": amount(order.filled),
        "L": amount(fill.price if fill else _ZERO),
        "n": amount(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": millis(execution.at_ns),
        "t": int(fill.trade_id) if fill else -1,
        "I": execution.execution_id,
        "w": order.is_open and order.working_ns > 0,
        "m": fill is not None and fill.is_maker,
        "M": fill is not None,
        "O": millis(order.created_ns),
        "Z": amount(order.quote_filled),
        "Y": amount(fill.price * fill.qty if fill else _ZERO),
        "Q": amount(order.quote_quantity),
    }
    return told | _report_extras(order)


def _report_extras(order: OrderRecord) -> dict[str, Any]:
    """Fields that appear only where they say something."""
    told: dict[str, Any] = {"V": order.self_trade_prevention}
    if order.working_ns:
        told["W"] = millis(order.working_ns)
    if order.strategy_id is not None:
        told["j"] = order.strategy_id
    if order.strategy_type is not None:
        told["J"] = order.strategy_type
    return told


def list_status(record: ListRecord, at_ns: int) -> dict[str, Any]:
    """`listStatus`: an order list began, was changed or ended."""
    return {
        "e": "listStatus",
        "E": millis(at_ns),
        "s": record.exchange_symbol,
        "g": record.list_id,
        "c": record.contingency,
        "l": record.status_type,
        "L": record.order_status,
        "r": "NONE",
        "C": record.client_list_id,
        "T": millis(record.updated_ns),
        "O": [
            {"s": record.exchange_symbol, "i": order_id, "c": client_order_id}
            for order_id, client_order_id in record.orders
        ],
    }


def account_position(balances: Iterable[AssetBalance], at_ns: int, event_ns: int = 0) -> dict[str, Any]:
    """`outboundAccountPosition`: balances that may have changed at `at_ns`."""
    return {
        "e": "outboundAccountPosition",
        "E": millis(event_ns or at_ns),
        "u": millis(at_ns),
        "B": [{"a": b.asset, "f": amount(b.free), "l": amount(b.locked)} for b in balances],
    }


def balance_update(transfer: Transfer, event_ns: int = 0) -> dict[str, Any]:
    """`balanceUpdate`: something came or went without a trade."""
    return {
        "e": "balanceUpdate",
        "E": millis(event_ns or transfer.at_ns),
        "a": transfer.asset,
        "d": amount(transfer.amount),
        "T": millis(transfer.at_ns),
    }
