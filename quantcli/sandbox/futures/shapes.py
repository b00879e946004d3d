"""JSON shapes of futures orders, trades and account events, for REST, websocket API and user stream.

Sources: developers.binance.com, USDⓈ-M Futures, "New Order", "Query Order", "Account Trade List", "New Algo
Order", "Position Information V3", "Account Information V3", "Get Income History", and "User Data Streams"
(ORDER_TRADE_UPDATE, ACCOUNT_UPDATE, ALGO_UPDATE, ACCOUNT_CONFIG_UPDATE).  Prices have the decimals of their
tick, quantities those of their lot.  Records in, builtins out; decides nothing.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from quantcli.model.instrument import Side, SymbolMetadata, canonical
from quantcli.model.order import Fill
from quantcli.sandbox.futures.records import AlgoOrder, Booking, FuturesOrder, Income
from quantcli.sandbox.order_records import Execution
from quantcli.sandbox.shapes import amount, millis

_ZERO = Decimal(0)
_MEAN = Context(prec=40, rounding=ROUND_HALF_EVEN)
_MEAN_DECIMALS = 5


def decimals(step: Decimal) -> int:
    """Decimals of a tick or lot."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def fixed(value: Decimal, step: Decimal) -> str:
    """A price or quantity with the decimals of its step, and with more where it has more."""
    text = f"{value:.{decimals(step)}f}"
    return text if Decimal(text) == value else canonical(value)


def mean(total: Decimal, quantity: Decimal, step: Decimal) -> str:
    """A mean price, rounded to five decimals, or to those of a finer tick."""
    places = max(_MEAN_DECIMALS, decimals(step))
    value = _MEAN.divide(total, quantity) if quantity else _ZERO
    return f"{value:.{places}f}"


# Orders.


def order_json(order: FuturesOrder, meta: SymbolMetadata) -> dict[str, Any]:
    """An order as a query shows it."""
    return _order(order, meta) | {"time": millis(order.created_ns), "updateTime": millis(order.updated_ns)}


def placed_json(order: FuturesOrder, meta: SymbolMetadata) -> dict[str, Any]:
    """Answer to placing, cancelling or modifying."""
    more = {"cumQty": fixed(order.filled, meta.lot), "updateTime": millis(order.updated_ns)}
    return _order(order, meta) | more


def _order(order: FuturesOrder, meta: SymbolMetadata) -> dict[str, Any]:
    tick, lot = meta.price_tick, meta.lot
    return {
        "orderId": order.order_id,
        "symbol": order.exchange_symbol,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": fixed(order.price, tick),
        "avgPrice": mean(order.quote_filled, order.filled, tick),
        "origQty": fixed(order.quantity, lot),
        "executedQty": fixed(order.filled, lot),
        "cumQuote": fixed(order.quote_filled * meta.contract_size, tick),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side.name,
        "positionSide": "BOTH",
        "stopPrice": fixed(order.stop_price, tick),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.orig_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": _moment(order.good_till_ns),
    }


def _moment(at_ns: int) -> int:
    return millis(at_ns) if at_ns else 0


def trade_json(fill: Fill, booking: Booking, meta: SymbolMetadata) -> dict[str, Any]:
    """An execution as the account's list of trades shows it."""
    return {
        "symbol": meta.exchange_symbol,
        "id": int(fill.trade_id),
        "orderId": int(fill.exchange_order_id),
        "side": fill.side.name,
        "price": fixed(fill.price, meta.price_tick),
        "qty": fixed(fill.qty, meta.lot),
        "realizedPnl": amount(booking.profit),
        "quoteQty": canonical(fill.price * fill.qty * meta.contract_size),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": millis(fill.exchange_ns),
        "positionSide": "BOTH",
        "buyer": fill.side is Side.BUY,
        "maker": fill.is_maker,
    }


def algo_json(order: AlgoOrder, meta: SymbolMetadata, actual: FuturesOrder | None = None) -> dict[str, Any]:
    """A conditional order; `actual` is the order that came of it."""
    tick, lot = meta.price_tick, meta.lot
    return {
        "algoId": order.algo_id,
        "clientAlgoId": order.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": order.type,
        "symbol": order.exchange_symbol,
        "side": order.side.name,
        "positionSide": "BOTH",
        "timeInForce": order.time_in_force,
        "quantity": fixed(order.quantity, lot),
        "algoStatus": order.status,
        "actualOrderId": str(order.order_id) if order.order_id else "",
        "actualPrice": mean(actual.quote_filled, actual.filled, tick) if actual else "0.00000",
        "triggerPrice": fixed(order.trigger_price, tick),
        "price": fixed(order.price, tick),
        "icebergQuantity": None,
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
        "selfTradePreventionMode": order.self_trade_prevention,
        "workingType": order.working_type,
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": order.price_protect,
        "reduceOnly": order.reduce_only,
        "createTime": millis(order.created_ns),
        "updateTime": millis(order.updated_ns),
        "triggerTime": _moment(order.triggered_ns),
        "goodTillDate": _moment(order.good_till_ns),
    }


def income_json(income: Income) -> dict[str, Any]:
    """A change of the wallet."""
    return {
        "symbol": income.symbol,
        "incomeType": income.type,
        "income": amount(income.amount),
        "asset": income.asset,
        "info": income.trade_id or income.type,
        "time": millis(income.at_ns),
        "tranId": income.number,
        "tradeId": income.trade_id,
    }


# The user stream.


def order_trade_update(execution: Execution, meta: SymbolMetadata, booking: Booking | None) -> dict[str, Any]:
    """`ORDER_TRADE_UPDATE`: what happened to an order; `booking` is that of its fill."""
    order, fill = execution.order, execution.fill
    assert isinstance(order, FuturesOrder)
    tick, lot, at = meta.price_tick, meta.lot, millis(execution.at_ns)
    told: dict[str, Any] = {
        "s": order.exchange_symbol,
        "c": order.client_order_id,
        "S": order.side.name,
        "o": order.type,
        "f": order.time_in_force,
        "q": fixed(order.quantity, lot),
        "p": fixed(order.price, tick),
        "ap": mean(order.quote_filled, order.filled, tick) if order.filled else "0",
        "sp": fixed(order.stop_price, tick),
        "x": execution.kind,
        "X": order.status,
        "i": order.order_id,
        "l": fixed(fill.qty if fill else _ZERO, lot),
        "z": fixed(order.filled, lot),
        "L": fixed(fill.price if fill else _ZERO, tick),
        "n": amount(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else meta.symbol.settle,
        "T": at,
        "t": int(fill.trade_id) if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill is not None and fill.is_maker,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.orig_type,
        "ps": "BOTH",
        "cp": order.close_position,
        "rp": amount(booking.profit) if booking else "0",
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.self_trade_prevention,
        "pm": "NONE",
        "gtd": _moment(order.good_till_ns),
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": at, "T": at, "o": told}


def account_update(
    reason: str, asset: str, wallet: Decimal, change: Decimal, position: dict[str, Any] | None, at_ns: int
) -> dict[str, Any]:
    """`ACCOUNT_UPDATE`: a wallet, by how much it changed other than by trades, and the position that did."""
    balance = {"a": asset, "wb": amount(wallet), "cw": amount(wallet), "bc": amount(change)}
    positions = [] if position is None else [position]
    at = millis(at_ns)
    return {"e": "ACCOUNT_UPDATE", "E": at, "T": at, "a": {"m": reason, "B": [balance], "P": positions}}


def position_update(booking: Booking, meta: SymbolMetadata, mark: Decimal | None) -> dict[str, Any]:
    """A position as ACCOUNT_UPDATE shows it."""
    entry = mean(booking.cost, booking.qty * meta.contract_size, meta.price_tick)
    return {
        "s": meta.exchange_symbol,
        "pa": fixed(booking.qty, meta.lot),
        "ep": entry,
        "bep": entry,
        "cr": amount(booking.realised),
        "up": amount(unrealised(booking.qty, booking.cost, meta, mark)),
        "mt": "cross",
        "iw": "0.00000000",
        "ps": "BOTH",
        "ma": meta.symbol.settle,
    }


def unrealised(qty: Decimal, cost: Decimal, meta: SymbolMetadata, mark: Decimal | None) -> Decimal:
    """What closing the position at the mark price would bring."""
    return qty * mark * meta.contract_size - cost if mark is not None else _ZERO


def algo_update(
    order: AlgoOrder, meta: SymbolMetadata, actual: FuturesOrder | None, at_ns: int
) -> dict[str, Any]:
    """`ALGO_UPDATE`: a conditional order began, was triggered, or ended."""
    tick, lot, at = meta.price_tick, meta.lot, millis(at_ns)
    told = {
        "caid": order.client_algo_id,
        "aid": order.algo_id,
        "at": "CONDITIONAL",
        "o": order.type,
        "s": order.exchange_symbol,
        "S": order.side.name,
        "ps": "BOTH",
        "f": order.time_in_force,
        "q": fixed(order.quantity, lot),
        "X": order.status,
        "ai": str(order.order_id) if order.order_id else "",
        "ap": mean(actual.quote_filled, actual.filled, tick) if actual else "0.00000",
        "aq": fixed(actual.filled if actual else _ZERO, lot),
        "act": actual.type if actual else "0",
        "tp": fixed(order.trigger_price, tick),
        "p": fixed(order.price, tick),
        "V": order.self_trade_prevention,
        "wt": order.working_type,
        "pm": "NONE",
        "cp": order.close_position,
        "pP": order.price_protect,
        "R": order.reduce_only,
        "tt": _moment(order.triggered_ns),
        "gtd": _moment(order.good_till_ns),
        "rm": order.reason,
    }
    return {"e": "ALGO_UPDATE", "E": at, "T": at, "o": told}


def config_update(exchange_symbol: str, leverage: int, at_ns: int) -> dict[str, Any]:
    """`ACCOUNT_CONFIG_UPDATE`: a market has another leverage."""
    at = millis(at_ns)
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": at, "T": at, "ac": {"s": exchange_symbol, "l": leverage}}
