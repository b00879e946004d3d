"""What the account asks about itself: balances, orders, trades, fees, limits, and what its key may do.

Source: binance-spot-api-docs, rest-api.md, "Account Endpoints" and "User data stream requests"; the SAPI
calls: developers.binance.com, "Wallet" (All Coins' Information, System Status, API Key Permission, Trade Fee,
Account Status, Account API Trading Status) and "Margin Trading" (Get All Cross/Isolated Margin Symbol).
Queries answer as of the exchange's `as_of`.  Knows nothing of signatures.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quantcli.model.account import AssetBalance
from quantcli.model.order import Fill
from quantcli.sandbox import errors, shapes
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.order_params import read_market
from quantcli.sandbox.params import Params
from quantcli.sandbox.queries import read_span, select_fills, select_orders
from quantcli.sandbox.security import READ_HERE
from quantcli.sandbox.spot.orders import NO_DISCOUNT

_UID = 354_937_868
_ZERO = Decimal(0)
_NONE = "0.00000000"

Usage = Callable[[], list[dict[str, Any]]]


class SpotAccount:
    """Handlers of the account endpoints; `order_usage` tells the order counts."""

    def __init__(self, exchange: SandboxExchange, order_usage: Usage) -> None:
        self._exchange = exchange
        self._order_usage = order_usage

    # Balances and fees.

    def account(self, params: Params) -> Any:
        """Account information."""
        omits_zeros = params.flag("omitZeroBalances")
        params.finish()
        fees, may = self._exchange.fees, self._exchange.permissions
        held = self._exchange.balances_then()
        none = [AssetBalance(asset, *[_ZERO] * 4) for asset in self._assets()]
        balances = sorted({b.asset: b for b in (*none, *held)}.values(), key=lambda b: b.asset)
        return {
            "makerCommission": _basis_points(fees.maker),
            "takerCommission": _basis_points(fees.taker),
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": self._rates(),
            "canTrade": may.can_trade,
            "canWithdraw": may.can_withdraw,
            "canDeposit": may.can_deposit,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": max(0, shapes.millis(self._exchange.ledger.updated_ns)),
            "accountType": "SPOT",
            "balances": [shapes.balance_json(b) for b in balances if b.total or not omits_zeros],
            "permissions": ["SPOT"],
            "uid": _UID,
        }

    def _rates(self) -> dict[str, str]:
        fees = self._exchange.fees
        return {
            "maker": shapes.amount(fees.maker),
            "taker": shapes.amount(fees.taker),
            "buyer": _NONE,
            "seller": _NONE,
        }

    def commission(self, params: Params) -> Any:
        """Query Commission Rates."""
        meta = read_market(params, self._exchange)
        params.finish()
        rates = self._rates()
        none = dict.fromkeys(rates, _NONE)
        return {
            "symbol": meta.exchange_symbol,
            "standardCommission": rates,
            "specialCommission": none,
            "taxCommission": none,
            "discount": NO_DISCOUNT,
        }

    def order_count(self, params: Params) -> Any:
        """Query Unfilled Order Count."""
        params.finish()
        return self._order_usage()

    # Orders.

    def order(self, params: Params) -> Any:
        """Query order."""
        symbol = read_market(params, self._exchange).symbol.name
        order_id, client_id = params.whole("orderId"), params.client_id("origClientOrderId")
        if order_id is None and client_id is None:
            raise errors.missing_both("origClientOrderId", "orderId")
        params.finish()
        order = self._exchange.ledger.find(symbol, order_id, client_id, self._exchange.as_of)
        if order is None:
            raise ApiError(*errors.NO_SUCH_ORDER)
        return shapes.order_json(order)

    def open_orders(self, params: Params) -> Any:
        """Current open orders."""
        symbol = read_market(params, self._exchange).symbol.name if "symbol" in params else None
        params.finish()
        found = self._exchange.ledger.open_orders(symbol, self._exchange.as_of)
        return [shapes.order_json(order) for order in found]

    def all_orders(self, params: Params) -> Any:
        """All orders of a symbol."""
        symbol = read_market(params, self._exchange).symbol.name
        from_id, limit = params.whole("orderId"), params.limit(500, 1_000)
        span = read_span(params)
        params.finish()
        found = select_orders(self._exchange, symbol, from_id, span, limit)
        return [shapes.order_json(order) for order in found]

    def amendments(self, params: Params) -> Any:
        """Query Order Amendments."""
        symbol = read_market(params, self._exchange).symbol.name
        order_id = params.whole("orderId")
        if order_id is None:
            raise errors.missing("orderId")
        from_id, limit = params.whole("fromExecutionId") or 0, params.limit(500, 1_000)
        params.finish()
        if self._exchange.ledger.find(symbol, order_id, None) is None:
            raise ApiError(*errors.NO_SUCH_ORDER)
        found = [r for r in self._exchange.ledger.amendments_of(order_id) if r.execution_id >= from_id]
        return [shapes.amendment_json(record) for record in found[:limit]]

    def trades(self, params: Params) -> Any:
        """Account trade list.  Combinations that it does not name are refused."""
        symbol = read_market(params, self._exchange).symbol.name
        order_id, from_id = params.whole("orderId"), params.whole("fromId")
        limit = params.limit(500, 1_000)
        span = read_span(params)
        if (order_id is not None or from_id is not None) and span != (None, None):
            raise errors.bad_combination()
        params.finish()
        found = select_fills(self._exchange, symbol, order_id, from_id, span, limit)
        return [self._trade(fill) for fill in found]

    def _trade(self, fill: Fill) -> dict[str, Any]:
        order = self._exchange.ledger.order(int(fill.exchange_order_id))
        assert order is not None
        return shapes.trade_json(fill, order)

    def prevented_matches(self, params: Params) -> Any:
        """Query Prevented Matches: there are none, because nobody else trades under this account."""
        read_market(params, self._exchange)
        for name in ("preventedMatchId", "orderId", "fromPreventedMatchId"):
            params.whole(name)
        params.limit(500, 1_000)
        params.finish()
        return []

    # What clients ask of SAPI when they start.

    def system_status(self, params: Params) -> Any:
        """System Status: normal."""
        params.finish()
        return {"status": 0, "msg": "normal"}

    def coins(self, params: Params) -> Any:
        """All Coins' Information."""
        params.finish()
        return [
            {
                "coin": balance.asset,
                "depositAllEnable": True,
                "withdrawAllEnable": True,
                "name": balance.asset,
                "free": shapes.amount(balance.free),
                "locked": shapes.amount(balance.locked),
                "freeze": "0",
                "withdrawing": "0",
                "ipoing": "0",
                "ipoable": "0",
                "storage": "0",
                "isLegalMoney": False,
                "trading": True,
                "networkList": [],
            }
            for balance in self._exchange.balances(self._assets())
        ]

    def _assets(self) -> list[str]:
        traded = {a for m in self._exchange.instruments.values() for a in (m.symbol.base, m.symbol.quote)}
        return sorted(traded | {balance.asset for balance in self._exchange.balances()})

    def no_margin_pairs(self, params: Params) -> Any:
        """Margin symbols: there are none here.  Some clients sign the question, which needs only a key."""
        params.skip("symbol", "symbols", *READ_HERE)
        params.finish()
        return []

    def trade_fees(self, params: Params) -> Any:
        """Trade Fee of a symbol, or of all."""
        metas = list(self._exchange.instruments.values())
        if "symbol" in params:
            metas = [read_market(params, self._exchange)]
        params.finish()
        rates = self._rates()
        return [
            {
                "symbol": meta.exchange_symbol,
                "makerCommission": rates["maker"],
                "takerCommission": rates["taker"],
            }
            for meta in metas
        ]

    def key_permissions(self, params: Params) -> Any:
        """Get API Key Permission."""
        params.finish()
        may = self._exchange.permissions
        return {
            "ipRestrict": may.ip_restricted,
            "createTime": 1_698_645_219_000,
            "enableReading": may.enable_reading,
            "enableSpotAndMarginTrading": may.enable_trading,
            "enableWithdrawals": may.enable_withdrawals,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enablePortfolioMarginTrading": False,
        }

    def account_status(self, params: Params) -> Any:
        """Account Status."""
        params.finish()
        return {"data": "Normal"}

    def trading_status(self, params: Params) -> Any:
        """Account API Trading Status."""
        params.finish()
        locked = not self._exchange.permissions.can_trade
        return {
            "data": {
                "isLocked": locked,
                "plannedRecoverTime": 0,
                "triggerCondition": {"GCR": 150, "IFER": 150, "UFR": 300},
                "updateTime": 1_547_630_471_725,
            }
        }


class ListenKeys:
    """The old way to a user stream: one key at a time, good until it is closed."""

    def __init__(self, exchange: SandboxExchange) -> None:
        self._exchange = exchange
        self._key = ""

    def is_valid(self, key: str) -> bool:
        """The key opens a user stream."""
        return bool(self._key) and key == self._key

    def start(self, params: Params) -> Any:
        """Start user data stream: the key there is, or a new one."""
        params.finish()
        make_id = self._exchange.ledger.make_id
        self._key = self._key or (make_id() + make_id() + make_id())[:60]
        return {"listenKey": self._key}

    def keep_alive(self, params: Params) -> Any:
        """Keepalive user data stream."""
        self._check(params)
        return {}

    def close(self, params: Params) -> Any:
        """Close user data stream."""
        self._check(params)
        self._key = ""
        return {}

    def _check(self, params: Params) -> None:
        key = params.raw("listenKey")
        if key is None:
            raise errors.missing("listenKey")
        params.finish()
        if not self.is_valid(key):
            raise ApiError(*errors.BAD_LISTEN_KEY)


def _basis_points(rate: Decimal) -> int:
    return int(rate * 10_000)
