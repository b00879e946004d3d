"""Which endpoints there are, with their weights and handlers: Binance's table, as far as it is served here.

Weights, security types and unfilled order counts: binance-spot-api-docs, rest-api.md, at each endpoint.  SAPI
has a limiter of its own, which is not modelled: those calls weigh nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from quantcli.sandbox.endpoints import Endpoint, Security, Weight
from quantcli.sandbox.params import WHOLE, Params
from quantcli.sandbox.spot_account import ListenKeys, SpotAccount
from quantcli.sandbox.spot_lists import SpotLists
from quantcli.sandbox.spot_market import SpotMarket
from quantcli.sandbox.spot_orders import SpotOrders

_NONE, _KEY, _SIGNED = Security.NONE, Security.KEY, Security.SIGNED
_Rows = Iterator[Endpoint]
_Values = Mapping[str, str]

# Weight of a book by the number of levels asked for.
_DEPTH = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))


def endpoints(
    market: SpotMarket, orders: SpotOrders, lists: SpotLists, account: SpotAccount, listen_keys: ListenKeys
) -> list[Endpoint]:
    """Every endpoint."""
    return list(
        chain(
            _general(market),
            _tickers(market),
            _trading(orders),
            _lists(lists),
            _account(account),
            _streams(listen_keys),
            _sapi(account),
        )
    )


def _general(market: SpotMarket) -> _Rows:
    api = "/api/v3/"
    yield _get(api + "ping", "ping", 1, _NONE, market.ping)
    yield _get(api + "time", "time", 1, _NONE, market.time)
    yield _get(api + "exchangeInfo", "exchangeInfo", 20, _NONE, market.exchange_info)
    yield _get(api + "depth", "depth", _depth_weight, _NONE, market.depth)
    yield _get(api + "trades", "trades.recent", 25, _NONE, market.trades)
    yield _get(api + "historicalTrades", "trades.historical", 25, _NONE, market.old_trades)
    yield _get(api + "aggTrades", "trades.aggregate", 4, _NONE, market.agg_trades)
    yield _get(api + "klines", "klines", 2, _NONE, market.klines)
    yield _get(api + "uiKlines", "uiKlines", 2, _NONE, market.klines)
    yield _get(api + "avgPrice", "avgPrice", 2, _NONE, market.average_price)


def _tickers(market: SpotMarket) -> _Rows:
    ticker = "/api/v3/ticker"
    yield _get(ticker + "/24hr", "ticker.24hr", _day_weight, _NONE, market.day_ticker)
    yield _get(ticker + "/tradingDay", "ticker.tradingDay", _span_weight, _NONE, market.trading_day)
    yield _get(ticker + "/price", "ticker.price", _touch_weight, _NONE, market.price_ticker)
    yield _get(ticker + "/bookTicker", "ticker.book", _touch_weight, _NONE, market.book_ticker)
    yield _get(ticker, "ticker", _span_weight, _NONE, market.window_ticker)


def _trading(orders: SpotOrders) -> _Rows:
    order = "/api/v3/order"
    yield _endpoint("POST", order, "order.place", 1, _SIGNED, orders.place, 1)
    yield _endpoint("POST", order + "/test", "order.test", _test_weight, _SIGNED, orders.test)
    yield _endpoint("DELETE", order, "order.cancel", 1, _SIGNED, orders.cancel)
    yield _endpoint("DELETE", "/api/v3/openOrders", "openOrders.cancelAll", 1, _SIGNED, orders.cancel_all)
    replace = order + "/cancelReplace"
    yield _endpoint("POST", replace, "order.cancelReplace", 1, _SIGNED, orders.replace, 1)
    amend = order + "/amend/keepPriority"
    yield _endpoint("PUT", amend, "order.amend.keepPriority", 4, _SIGNED, orders.amend)


def _lists(lists: SpotLists) -> _Rows:
    one = "/api/v3/orderList"
    yield _endpoint("POST", one + "/oco", "orderList.place.oco", 1, _SIGNED, lists.place_oco, 2)
    yield _endpoint("POST", "/api/v3/order/oco", "orderList.place", 1, _SIGNED, lists.place_old_oco, 2)
    yield _endpoint("DELETE", one, "orderList.cancel", 1, _SIGNED, lists.cancel)
    yield _get(one, "orderList.status", 4, _SIGNED, lists.find)
    yield _get("/api/v3/allOrderList", "allOrderLists", 20, _SIGNED, lists.all)
    yield _get("/api/v3/openOrderList", "openOrderLists.status", 6, _SIGNED, lists.open)


def _account(account: SpotAccount) -> _Rows:
    api = "/api/v3/"
    yield _get(api + "account", "account.status", 20, _SIGNED, account.account)
    yield _get(api + "account/commission", "account.commission", 20, _SIGNED, account.commission)
    yield _get(api + "rateLimit/order", "account.rateLimits.orders", 40, _SIGNED, account.order_count)
    yield _get(api + "order", "order.status", 4, _SIGNED, account.order)
    yield _get(api + "openOrders", "openOrders.status", _open_weight, _SIGNED, account.open_orders)
    yield _get(api + "allOrders", "allOrders", 20, _SIGNED, account.all_orders)
    yield _get(api + "order/amendments", "order.amendments", 4, _SIGNED, account.amendments)
    yield _get(api + "myTrades", "myTrades", _trades_weight, _SIGNED, account.trades)
    matches = api + "myPreventedMatches"
    yield _get(matches, "myPreventedMatches", 20, _SIGNED, account.prevented_matches)


def _streams(keys: ListenKeys) -> _Rows:
    path = "/api/v3/userDataStream"
    yield _endpoint("POST", path, "userDataStream.start", 2, _KEY, keys.start)
    yield _endpoint("PUT", path, "userDataStream.ping", 2, _KEY, keys.keep_alive)
    yield _endpoint("DELETE", path, "userDataStream.stop", 2, _KEY, keys.close)


def _sapi(account: SpotAccount) -> _Rows:
    sapi = "/sapi/v1/"
    yield _get(sapi + "system/status", "", 0, _NONE, account.system_status)
    yield _get(sapi + "capital/config/getall", "", 0, _SIGNED, account.coins)
    yield _get(sapi + "margin/allPairs", "", 0, _KEY, account.no_margin_pairs)
    yield _get(sapi + "margin/isolated/allPairs", "", 0, _SIGNED, account.no_margin_pairs)
    yield _get(sapi + "asset/tradeFee", "", 0, _SIGNED, account.trade_fees)
    yield _get(sapi + "account/apiRestrictions", "", 0, _SIGNED, account.key_permissions)
    yield _get(sapi + "account/status", "", 0, _SIGNED, account.account_status)
    yield _get(sapi + "account/apiTradingStatus", "", 0, _SIGNED, account.trading_status)


def _endpoint(
    method: str,
    path: str,
    ws: str,
    weight: Weight,
    security: Security,
    handler: Callable[[Params], Any],
    counts_orders: int = 0,
) -> Endpoint:
    return Endpoint(f"{method} {path}", method, path, ws, weight, security, counts_orders, handler)


def _get(
    path: str, ws: str, weight: Weight, security: Security, handler: Callable[[Params], Any]
) -> Endpoint:
    return _endpoint("GET", path, ws, weight, security, handler)


# Weights that depend on parameters.


def _depth_weight(values: _Values) -> int:
    text = values.get("limit", "")
    asked = int(text) if re.fullmatch(WHOLE, text, re.ASCII) else 100
    return next((weight for most, weight in _DEPTH if asked <= most), _DEPTH[-1][1])


def _day_weight(values: _Values) -> int:
    if "symbol" in values:
        return 2
    count = values["symbols"].count(",") + 1 if "symbols" in values else 101
    return 2 if count <= 20 else 40 if count <= 100 else 80


def _touch_weight(values: _Values) -> int:
    return 2 if "symbol" in values else 4


def _span_weight(values: _Values) -> int:
    return min(200, 4 * (values.get("symbols", "").count(",") + 1))


def _test_weight(values: _Values) -> int:
    return 20 if values.get("computeCommissionRates", "").lower() == "true" else 1


def _open_weight(values: _Values) -> int:
    return 6 if "symbol" in values else 80


def _trades_weight(values: _Values) -> int:
    return 5 if "orderId" in values else 20
