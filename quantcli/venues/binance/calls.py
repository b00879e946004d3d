"""Binance's spot endpoints as calls: paths, parameters, and what each weighs against the limits.

Weights are those of binance-spot-api-docs rest-api.md at each endpoint ("Weight"), and of the wallet API's
"Get API Key Permission".  Knows what to send, not what an answer means.
"""

from collections.abc import Mapping

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.venues.calls import Call

PAGE = 1000  # trades in an answer at most ("Account trade list", limit)
DAY_NS = 24 * 3_600_000_000_000  # between startTime and endTime at most (likewise)


def given(terms: Mapping[str, str | None]) -> dict[str, str]:
    """The parameters that have a value; an empty one is an error there (-1105)."""
    return {name: value for name, value in terms.items() if value is not None}


# Public.


def ping() -> Call:
    """GET /api/v3/ping"""
    return _public("ping", {}, 1)


def server_time() -> Call:
    """GET /api/v3/time"""
    return _public("time", {}, 1)


def exchange_info(symbols: tuple[str, ...]) -> Call:
    """GET /api/v3/exchangeInfo, of all markets if none is named."""
    named = msgspec.json.encode(list(symbols)).decode()
    return _public("exchangeInfo", {"symbols": named} if symbols else {}, 20)


def depth(symbol: str, limit: int) -> Call:
    """GET /api/v3/depth, with at most 5000 levels a side."""
    weight = next(weight for most, weight in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= most)
    return _public("depth", {"symbol": symbol, "limit": str(limit)}, weight)


def trades(symbol: str, limit: int) -> Call:
    """GET /api/v3/trades"""
    return _public("trades", {"symbol": symbol, "limit": str(limit)}, 25)


def _public(path: str, params: dict[str, str], weight: int) -> Call:
    return Call("public", "GET", path, params, is_read=True, is_signed=False, weight=weight)


# Orders.


def place(terms: dict[str, str], deadline_ns: int) -> Call:
    """POST /api/v3/order"""
    params = terms | {"newOrderRespType": "FULL"}
    return Call("private", "POST", "order", params, weight=1, orders=1, deadline_ns=deadline_ns)


def place_list(terms: dict[str, str], deadline_ns: int) -> Call:
    """POST /api/v3/orderList/oco"""
    params = terms | {"newOrderRespType": "FULL"}
    return Call("private", "POST", "orderList/oco", params, weight=1, orders=2, deadline_ns=deadline_ns)


def amend(symbol: str, client_order_id: str, quantity: str, deadline_ns: int) -> Call:
    """PUT /api/v3/order/amend/keepPriority; without `newClientOrderId` the order gets a random one."""
    params = {
        "symbol": symbol,
        "origClientOrderId": client_order_id,
        "newClientOrderId": client_order_id,
        "newQty": quantity,
    }
    path = "order/amend/keepPriority"
    return Call("private", "PUT", path, params, weight=4, deadline_ns=deadline_ns)


def cancel(symbol: str, client_order_id: str) -> Call:
    """DELETE /api/v3/order"""
    params = {"symbol": symbol, "origClientOrderId": client_order_id}
    return Call("private", "DELETE", "order", params, weight=1)


def cancel_all(symbol: str) -> Call:
    """DELETE /api/v3/openOrders: everybody's orders of the account in this market."""
    return Call("private", "DELETE", "openOrders", {"symbol": symbol}, weight=1)


# What there is.


def look_up(symbol: str, client_order_id: str) -> Call:
    """GET /api/v3/order"""
    return _private("order", {"symbol": symbol, "origClientOrderId": client_order_id}, 4)


def open_orders(symbol: str | None) -> Call:
    """GET /api/v3/openOrders, of all markets at thirteen times the weight."""
    return _private("openOrders", {"symbol": symbol} if symbol else {}, 6 if symbol else 80)


def trades_of(symbol: str, order_id: str) -> Call:
    """GET /api/v3/myTrades, of one order."""
    return _private("myTrades", {"symbol": symbol, "orderId": order_id, "limit": str(PAGE)}, 5)


def trades_between(symbol: str, start_ns: int, end_ns: int) -> Call:
    """GET /api/v3/myTrades, of a day at most; the first `PAGE` of them."""
    params = {
        "symbol": symbol,
        "startTime": str(start_ns // NS_PER_MS),
        "endTime": str(end_ns // NS_PER_MS),
        "limit": str(PAGE),
    }
    return _private("myTrades", params, 20)


def trades_from(symbol: str, trade_id: int) -> Call:
    """GET /api/v3/myTrades, from one on; `fromId` goes with no times."""
    return _private("myTrades", {"symbol": symbol, "fromId": str(trade_id), "limit": str(PAGE)}, 20)


def account() -> Call:
    """GET /api/v3/account"""
    return _private("account", {}, 20)


def permissions() -> Call:
    """GET /sapi/v1/account/apiRestrictions"""
    return Call("sapi", "GET", "account/apiRestrictions", is_read=True, weight=1)


def _private(path: str, params: dict[str, str], weight: int) -> Call:
    return Call("private", "GET", path, params, is_read=True, weight=weight)
