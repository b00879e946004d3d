"""Which endpoints there are, with their weights and handlers: Binance's table, as far as it is served here.

Weights, security types and unfilled order counts: binance-spot-api-docs, rest-api.md, at each endpoint.  SAPI
has a limiter of its own, which is not modelled: those calls weigh nothing.
"""

from collections.abc import Iterator, Mapping
from itertools import chain

from quantcli.clock import Clock
from quantcli.sandbox.endpoints import Endpoint, Security, Table, asked_levels, endpoint, reading
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.order_records import AccountEvent, Execution
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.spot.account import ListenKeys, SpotAccount
from quantcli.sandbox.spot.lists import SpotLists
from quantcli.sandbox.spot.market import SpotMarket
from quantcli.sandbox.spot.orders import SpotOrders
from quantcli.sandbox.weights import Weights

_NONE, _KEY, _SIGNED = Security.NONE, Security.KEY, Security.SIGNED
_Rows = Iterator[Endpoint]
_Values = Mapping[str, str]

# Weight of a book by the number of levels asked for.
_DEPTH = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))


def spot_table(exchange: SandboxExchange, public: PublicMarket, limits: Weights, clock: Clock) -> Table:
    """Every endpoint of a spot account; an order's first fill takes one off the counts ("Spot Unfilled Order
    Count Rules")."""

    def count_fills(event: AccountEvent) -> None:
        if isinstance(event, Execution) and event.fill is not None and event.order.filled == event.fill.qty:
            limits.count_orders(-1, event.at_ns)

    exchange.listeners.append(count_fills)
    account = SpotAccount(exchange, lambda: limits.usage(clock.now_ns(), "ORDERS"))
    listen_keys = ListenKeys(exchange)
    market = SpotMarket(exchange, public, clock, [rule.json() for rule in limits.rules])
    rows = chain(
        _general(market),
        _tickers(market),
        _trading(SpotOrders(exchange, lambda: limits.check_orders(1, clock.now_ns()))),
        _lists(SpotLists(exchange)),
        _account(account),
        _streams(listen_keys),
        _sapi(account),
    )
    return Table(tuple(rows), listen_keys)


def _general(market: SpotMarket) -> _Rows:
    api = "/api/v3/"
    yield reading(api + "ping", "ping", 1, _NONE, market.ping)
    yield reading(api + "time", "time", 1, _NONE, market.time)
    yield reading(api + "exchangeInfo", "exchangeInfo", 20, _NONE, market.exchange_info)
    yield reading(api + "depth", "depth", _depth_weight, _NONE, market.depth)
    yield reading(api + "trades", "trades.recent", 25, _NONE, market.trades)
    yield reading(api + "historicalTrades", "trades.historical", 25, _NONE, market.old_trades)
    yield reading(api + "aggTrades", "trades.aggregate", 4, _NONE, market.agg_trades)
    yield reading(api + "klines", "klines", 2, _NONE, market.klines)
    yield reading(api + "uiKlines", "uiKlines", 2, _NONE, market.klines)
    yield reading(api + "avgPrice", "avgPrice", 2, _NONE, market.average_price)


def _tickers(market: SpotMarket) -> _Rows:
    ticker = "/api/v3/ticker"
    yield reading(ticker + "/24hr", "ticker.24hr", _day_weight, _NONE, market.day_ticker)
    yield reading(ticker + "/tradingDay", "ticker.tradingDay", _span_weight, _NONE, market.trading_day)
    yield reading(ticker + "/price", "ticker.price", _touch_weight, _NONE, market.price_ticker)
    yield reading(ticker + "/bookTicker", "ticker.book", _touch_weight, _NONE, market.book_ticker)
    yield reading(ticker, "ticker", _span_weight, _NONE, market.window_ticker)


def _trading(orders: SpotOrders) -> _Rows:
    order = "/api/v3/order"
    yield endpoint("POST", order, "order.place", 1, _SIGNED, orders.place, 1)
    yield endpoint("POST", order + "/test", "order.test", _test_weight, _SIGNED, orders.test)
    yield endpoint("DELETE", order, "order.cancel", 1, _SIGNED, orders.cancel)
    yield endpoint("DELETE", "/api/v3/openOrders", "openOrders.cancelAll", 1, _SIGNED, orders.cancel_all)
    replace = order + "/cancelReplace"
    yield endpoint("POST", replace, "order.cancelReplace", 1, _SIGNED, orders.replace, 1)
    amend = order + "/amend/keepPriority"
    yield endpoint("PUT", amend, "order.amend.keepPriority", 4, _SIGNED, orders.amend)


def _lists(lists: SpotLists) -> _Rows:
    one = "/api/v3/orderList"
    yield endpoint("POST", one + "/oco", "orderList.place.oco", 1, _SIGNED, lists.place_oco, 2)
    yield endpoint("POST", "/api/v3/order/oco", "orderList.place", 1, _SIGNED, lists.place_old_oco, 2)
    yield endpoint("DELETE", one, "orderList.cancel", 1, _SIGNED, lists.cancel)
    yield reading(one, "orderList.status", 4, _SIGNED, lists.find)
    yield reading("/api/v3/allOrderList", "allOrderLists", 20, _SIGNED, lists.all)
    yield reading("/api/v3/openOrderList", "openOrderLists.status", 6, _SIGNED, lists.open)


def _account(account: SpotAccount) -> _Rows:
    api = "/api/v3/"
    yield reading(api + "account", "account.status", 20, _SIGNED, account.account)
    yield reading(api + "account/commission", "account.commission", 20, _SIGNED, account.commission)
    yield reading(api + "rateLimit/order", "account.rateLimits.orders", 40, _SIGNED, account.order_count)
    yield reading(api + "order", "order.status", 4, _SIGNED, account.order)
    yield reading(api + "openOrders", "openOrders.status", _open_weight, _SIGNED, account.open_orders)
    yield reading(api + "allOrders", "allOrders", 20, _SIGNED, account.all_orders)
    yield reading(api + "order/amendments", "order.amendments", 4, _SIGNED, account.amendments)
    yield reading(api + "myTrades", "myTrades", _trades_weight, _SIGNED, account.trades)
    matches = api + "myPreventedMatches"
    yield reading(matches, "myPreventedMatches", 20, _SIGNED, account.prevented_matches)


def _streams(keys: ListenKeys) -> _Rows:
    path = "/api/v3/userDataStream"
    yield endpoint("POST", path, "userDataStream.start", 2, _KEY, keys.start)
    yield endpoint("PUT", path, "userDataStream.ping", 2, _KEY, keys.keep_alive)
    yield endpoint("DELETE", path, "userDataStream.stop", 2, _KEY, keys.close)


def _sapi(account: SpotAccount) -> _Rows:
    sapi = "/sapi/v1/"
    yield reading(sapi + "system/status", "", 0, _NONE, account.system_status)
    yield reading(sapi + "capital/config/getall", "", 0, _SIGNED, account.coins)
    yield reading(sapi + "margin/allPairs", "", 0, _KEY, account.no_margin_pairs)
    yield reading(sapi + "margin/isolated/allPairs", "", 0, _SIGNED, account.no_margin_pairs)
    yield reading(sapi + "asset/tradeFee", "", 0, _SIGNED, account.trade_fees)
    yield reading(sapi + "account/apiRestrictions", "", 0, _SIGNED, account.key_permissions)
    yield reading(sapi + "account/status", "", 0, _SIGNED, account.account_status)
    yield reading(sapi + "account/apiTradingStatus", "", 0, _SIGNED, account.trading_status)


# Weights that depend on parameters.


def _depth_weight(values: _Values) -> int:
    return asked_levels(values, _DEPTH, 100)


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
