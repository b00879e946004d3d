"""Which endpoints the futures account has, with their weights and handlers: Binance's table, as far as it is
served here.

Weights, security types and order counts: developers.binance.com, USDⓈ-M Futures, at each endpoint; names of
the websocket API: "Websocket API".
"""

from collections.abc import Iterator, Mapping
from itertools import chain

from quantcli.clock import Clock
from quantcli.sandbox.endpoints import Endpoint, Security, Table, asked_levels, endpoint, reading
from quantcli.sandbox.futures.account import FuturesAccount
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.market import FuturesMarket
from quantcli.sandbox.futures.orders import FuturesOrders
from quantcli.sandbox.futures.user_stream import FuturesListenKeys
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.weights import Rule, Weights

PREFIX = "/fapi/"
# "Exchange Information", rateLimits.
RULES = (
    Rule("REQUEST_WEIGHT", "MINUTE", 1, 2_400),
    Rule("ORDERS", "MINUTE", 1, 1_200),
    Rule("ORDERS", "SECOND", 10, 300),
)

_V1 = "/fapi/v1/"
_NONE, _KEY, _SIGNED = Security.NONE, Security.KEY, Security.SIGNED
_Rows = Iterator[Endpoint]
_Values = Mapping[str, str]

_DEPTH = ((50, 2), (100, 5), (500, 10), (1_000, 20))
_KLINES = ((99, 1), (499, 2), (1_000, 5), (1_500, 10))


def futures_table(exchange: FuturesExchange, public: PublicMarket, limits: Weights, clock: Clock) -> Table:
    """Every endpoint of a futures account."""
    market = FuturesMarket(exchange, public, clock, [rule.json() for rule in limits.rules])
    orders = FuturesOrders(exchange)
    account = FuturesAccount(exchange, lambda: limits.usage(clock.now_ns(), "ORDERS"))
    listen_keys = FuturesListenKeys(exchange)
    rows = chain(
        _market(market),
        _tickers(market),
        _trading(orders),
        _conditional(orders),
        _queries(account),
        _account(account),
        _configuration(account),
        _streams(listen_keys),
    )
    return Table(tuple(rows), listen_keys)


def _market(market: FuturesMarket) -> _Rows:
    yield reading(_V1 + "ping", "", 1, _NONE, market.ping)
    yield reading(_V1 + "time", "", 1, _NONE, market.time)
    yield reading(_V1 + "exchangeInfo", "", 1, _NONE, market.exchange_info)
    yield reading(_V1 + "depth", "depth", _depth_weight, _NONE, market.depth)
    yield reading(_V1 + "trades", "", 5, _NONE, market.trades)
    yield reading(_V1 + "historicalTrades", "", 20, _KEY, market.old_trades)
    yield reading(_V1 + "aggTrades", "", 20, _NONE, market.agg_trades)
    yield reading(_V1 + "klines", "", _kline_weight, _NONE, market.klines)
    yield reading(_V1 + "premiumIndex", "", _or_ten, _NONE, market.premium_index)
    yield reading(_V1 + "fundingRate", "", 1, _NONE, market.funding_rates)
    yield reading(_V1 + "fundingInfo", "", 1, _NONE, market.funding_info)


def _tickers(market: FuturesMarket) -> _Rows:
    ticker = _V1 + "ticker"
    yield reading(ticker + "/24hr", "", _or_forty, _NONE, market.day_ticker)
    yield reading(ticker + "/price", "ticker.price", _or_two, _NONE, market.price_ticker)
    yield reading("/fapi/v2/ticker/price", "v2/ticker.price", _or_two, _NONE, market.price_ticker)
    yield reading(ticker + "/bookTicker", "ticker.book", _two_or_five, _NONE, market.book_ticker)


def _trading(orders: FuturesOrders) -> _Rows:
    order, batch = _V1 + "order", _V1 + "batchOrders"
    yield endpoint("POST", order, "order.place", 0, _SIGNED, orders.place, 1)
    yield endpoint("POST", order + "/test", "order.test", 0, _SIGNED, orders.test)
    yield endpoint("PUT", order, "order.modify", 1, _SIGNED, orders.modify, 1)
    yield endpoint("DELETE", order, "order.cancel", 1, _SIGNED, orders.cancel)
    yield endpoint("DELETE", _V1 + "allOpenOrders", "", 1, _SIGNED, orders.cancel_all)
    yield endpoint("POST", batch, "", 5, _SIGNED, orders.place_batch, 5)
    yield endpoint("PUT", batch, "", 5, _SIGNED, orders.modify_batch, 5)
    yield endpoint("DELETE", batch, "", 1, _SIGNED, orders.cancel_batch)


def _conditional(orders: FuturesOrders) -> _Rows:
    algo = _V1 + "algoOrder"
    yield endpoint("POST", algo, "algoOrder.place", 0, _SIGNED, orders.place_algo, 1)
    yield endpoint("DELETE", algo, "algoOrder.cancel", 1, _SIGNED, orders.cancel_algo)
    yield reading(algo, "", 1, _SIGNED, orders.algo)
    yield reading(_V1 + "openAlgoOrders", "", _or_forty, _SIGNED, orders.open_algos)
    yield reading(_V1 + "allAlgoOrders", "", 5, _SIGNED, orders.all_algos)
    yield endpoint("DELETE", _V1 + "algoOpenOrders", "", 1, _SIGNED, orders.cancel_algos)


def _queries(account: FuturesAccount) -> _Rows:
    yield reading(_V1 + "order", "order.status", 1, _SIGNED, account.order)
    yield reading(_V1 + "openOrder", "", 1, _SIGNED, account.open_order)
    yield reading(_V1 + "openOrders", "", _or_forty, _SIGNED, account.open_orders)
    yield reading(_V1 + "allOrders", "", 5, _SIGNED, account.all_orders)
    yield reading(_V1 + "userTrades", "", 5, _SIGNED, account.trades)
    yield reading(_V1 + "income", "", 30, _SIGNED, account.incomes)
    yield reading(_V1 + "forceOrders", "", 20, _SIGNED, account.no_liquidations)


def _account(account: FuturesAccount) -> _Rows:
    for version, ws in (("v2", ""), ("v3", "v2/")):
        path = f"/fapi/{version}/"
        account_handler = account.account if version == "v3" else account.account_v2
        position_handler = account.positions if version == "v3" else account.positions_v2
        yield reading(path + "account", ws + "account.status", 5, _SIGNED, account_handler)
        yield reading(path + "balance", ws + "account.balance", 5, _SIGNED, account.balances)
        yield reading(path + "positionRisk", ws + "account.position", 5, _SIGNED, position_handler)
    yield reading(_V1 + "accountConfig", "", 5, _SIGNED, account.account_config)
    yield reading(_V1 + "symbolConfig", "", 5, _SIGNED, account.symbol_config)
    yield reading(_V1 + "leverageBracket", "", 1, _SIGNED, account.brackets)
    yield reading(_V1 + "commissionRate", "", 20, _SIGNED, account.commission)
    yield reading(_V1 + "rateLimit/order", "", 1, _SIGNED, account.order_count)
    yield reading(_V1 + "adlQuantile", "", 5, _SIGNED, account.adl_quantiles)


def _configuration(account: FuturesAccount) -> _Rows:
    yield endpoint("POST", _V1 + "leverage", "", 1, _SIGNED, account.set_leverage)
    yield endpoint("POST", _V1 + "marginType", "", 1, _SIGNED, account.set_margin_type)
    yield reading(_V1 + "positionSide/dual", "", 30, _SIGNED, account.position_side)
    yield endpoint("POST", _V1 + "positionSide/dual", "", 1, _SIGNED, account.set_position_side)
    yield reading(_V1 + "multiAssetsMargin", "", 30, _SIGNED, account.multi_assets)


def _streams(keys: FuturesListenKeys) -> _Rows:
    path = _V1 + "listenKey"
    yield endpoint("POST", path, "userDataStream.start", 1, _KEY, keys.start)
    yield endpoint("PUT", path, "userDataStream.ping", 1, _KEY, keys.keep_alive)
    yield endpoint("DELETE", path, "userDataStream.stop", 1, _KEY, keys.close)


# Weights that depend on parameters.


def _depth_weight(values: _Values) -> int:
    return asked_levels(values, _DEPTH, 500)


def _kline_weight(values: _Values) -> int:
    return asked_levels(values, _KLINES, 500)


def _or_two(values: _Values) -> int:
    return 1 if "symbol" in values else 2


def _two_or_five(values: _Values) -> int:
    return 2 if "symbol" in values else 5


def _or_ten(values: _Values) -> int:
    return 1 if "symbol" in values else 10


def _or_forty(values: _Values) -> int:
    return 1 if "symbol" in values else 40
