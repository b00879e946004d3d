"""What the futures account asks about itself: orders, trades, positions, wallets, incomes, configuration.

Source: developers.binance.com, USDⓈ-M Futures, "Account" and "Trade".  Positions are one-way and margin is
crossed; what would change that is refused.  Queries answer as of the exchange's `as_of`.  Knows nothing of
signatures.
"""

from collections.abc import Callable
from typing import Any

from quantcli.model.instrument import SymbolMetadata
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures import shapes
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.params import find_order, read_ids, read_week
from quantcli.sandbox.futures.positions import PositionView, WalletView, totals
from quantcli.sandbox.futures.records import FuturesOrder
from quantcli.sandbox.futures.rules import MAX_LEVERAGE, MAX_NOTIONAL, brackets
from quantcli.sandbox.order_params import read_market
from quantcli.sandbox.order_records import OrderRecord
from quantcli.sandbox.params import Params, needed
from quantcli.sandbox.queries import is_within, select_fills, select_orders
from quantcli.sandbox.shapes import amount

_INCOMES = ("TRANSFER", "REALIZED_PNL", "FUNDING_FEE", "COMMISSION", "INSURANCE_CLEAR", "COMMISSION_REBATE")
_SUCCESS = {"code": 200, "msg": "success"}
_FLAGS = ("canTrade", "canDeposit", "canWithdraw")

Usage = Callable[[], list[dict[str, Any]]]


class FuturesAccount:
    """Handlers of the account endpoints; `order_usage` tells the order counts."""

    def __init__(self, exchange: FuturesExchange, order_usage: Usage) -> None:
        self._exchange = exchange
        self._order_usage = order_usage

    # Orders and trades.

    def order(self, params: Params) -> Any:
        """Query Order."""
        return self._order(self._find(params))

    def open_order(self, params: Params) -> Any:
        """Query Current Open Order."""
        order = self._find(params)
        if not order.is_open:
            raise ApiError(*errors.NO_SUCH_ORDER)
        return self._order(order)

    def _find(self, params: Params) -> FuturesOrder:
        symbol = read_market(params, self._exchange).symbol.name
        ids = read_ids(params)
        params.finish()
        return find_order(self._exchange, symbol, ids, errors.NO_SUCH_ORDER, self._exchange.as_of)

    def _order(self, order: OrderRecord) -> dict[str, Any]:
        assert isinstance(order, FuturesOrder)
        return shapes.order_json(order, self._exchange.instruments[order.symbol])

    def open_orders(self, params: Params) -> Any:
        """Current All Open Orders."""
        meta = self._market(params)
        params.finish()
        found = self._exchange.ledger.open_orders(meta.symbol.name if meta else None, self._exchange.as_of)
        return [self._order(order) for order in found]

    def _market(self, params: Params) -> SymbolMetadata | None:
        return read_market(params, self._exchange) if "symbol" in params else None

    def all_orders(self, params: Params) -> Any:
        """All Orders."""
        symbol = read_market(params, self._exchange).symbol.name
        from_id, limit = params.whole("orderId"), params.limit(500, 1_000)
        span = read_week(params)
        params.finish()
        found = select_orders(self._exchange, symbol, from_id, span, limit)
        return [self._order(order) for order in found]

    def trades(self, params: Params) -> Any:
        """Account Trade List."""
        meta = read_market(params, self._exchange)
        order_id, from_id = params.whole("orderId"), params.whole("fromId")
        limit = params.limit(500, 1_000)
        span = read_week(params)
        if from_id is not None and span != (None, None):
            raise errors.bad_combination()
        params.finish()
        books = self._exchange.engine.books
        found = select_fills(self._exchange, meta.symbol.name, order_id, from_id, span, limit)
        return [shapes.trade_json(fill, books.of(fill.trade_id), meta) for fill in found]

    def incomes(self, params: Params) -> Any:
        """Get Income History."""
        meta = self._market(params)
        kind = params.choice("incomeType", _INCOMES)
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        page, limit = params.whole("page") or 1, params.limit(100, 1_000)
        params.finish()
        found = [
            income
            for income in self._exchange.engine.books.incomes
            if (meta is None or income.symbol == meta.exchange_symbol)
            and kind in {None, income.type}
            and is_within(income.at_ns, start_ms, end_ms)
        ]
        return [shapes.income_json(income) for income in found[(page - 1) * limit : page * limit]]

    def no_liquidations(self, params: Params) -> Any:
        """User's Force Orders: nothing is liquidated here."""
        self._market(params)
        params.choice("autoCloseType", ("LIQUIDATION", "ADL"))
        params.skip("startTime", "endTime", "limit")
        params.finish()
        return []

    # Positions and wallets.

    def balances(self, params: Params) -> Any:
        """Futures Account Balance."""
        params.finish()
        return [wallet.balance() for wallet in self._wallets(self._positions())]

    def account(self, params: Params) -> Any:
        """Account Information V3: positions only where there is something."""
        params.finish()
        positions = self._positions()
        wallets = self._wallets(positions)
        return totals(wallets) | {
            "assets": [wallet.in_account() for wallet in wallets],
            "positions": [position.in_account() for position in positions if position.is_used],
        }

    def account_v2(self, params: Params) -> Any:
        """Account Information V2."""
        params.finish()
        positions = self._positions()
        wallets = self._wallets(positions)
        more = {
            "assets": [wallet.in_account() for wallet in wallets],
            "positions": [position.in_account_v2() for position in positions],
        }
        return self._flags() | totals(wallets) | more

    def positions(self, params: Params) -> Any:
        """Position Information V3: only where there is something."""
        return [position.risk() for position in self._asked_for(params) if position.is_used]

    def positions_v2(self, params: Params) -> Any:
        """Position Information V2."""
        return [position.risk_v2() for position in self._asked_for(params)]

    def _asked_for(self, params: Params) -> list[PositionView]:
        meta = self._market(params)
        params.finish()
        return [PositionView(self._exchange, meta)] if meta else self._positions()

    def _positions(self) -> list[PositionView]:
        return [PositionView(self._exchange, meta) for meta in self._exchange.instruments.values()]

    def _wallets(self, positions: list[PositionView]) -> list[WalletView]:
        at_ns = self._exchange.clock.now_ns()
        held = {balance.asset: balance.total for balance in self._exchange.balances_then()}
        return [WalletView(asset, total, positions, at_ns) for asset, total in held.items()]

    # Configuration.

    def account_config(self, params: Params) -> Any:
        """Futures Account Configuration."""
        params.finish()
        return self._flags() | {"dualSidePosition": False}

    def _flags(self) -> dict[str, Any]:
        may = self._exchange.permissions
        flags = dict(zip(_FLAGS, (may.can_trade, may.can_deposit, may.can_withdraw), strict=True))
        return {"feeTier": 0, **flags, "updateTime": 0, "multiAssetsMargin": False, "tradeGroupId": -1}

    def symbol_config(self, params: Params) -> Any:
        """Symbol Configuration."""
        meta = self._market(params)
        params.finish()
        metas = [meta] if meta else self._exchange.instruments.values()
        return [
            {
                "symbol": each.exchange_symbol,
                "marginType": "CROSSED",
                "isAutoAddMargin": False,
                "leverage": self._exchange.engine.account.contract(each.symbol.name).leverage,
                "maxNotionalValue": str(MAX_NOTIONAL),
            }
            for each in metas
        ]

    def set_leverage(self, params: Params) -> Any:
        """Change Initial Leverage."""
        meta = read_market(params, self._exchange)
        leverage = needed(params.whole("leverage"), "leverage")
        params.finish()
        if not 1 <= leverage <= MAX_LEVERAGE:
            raise futures.bad_leverage(leverage)
        self._exchange.set_leverage(meta, leverage)
        told = {"leverage": leverage, "maxNotionalValue": str(MAX_NOTIONAL)}
        return told | {"symbol": meta.exchange_symbol}

    def set_margin_type(self, params: Params) -> Any:
        """Change Margin Type: it is crossed, and stays so."""
        read_market(params, self._exchange)
        word = needed(params.choice("marginType", ("ISOLATED", "CROSSED")), "marginType")
        params.finish()
        if word == "CROSSED":
            raise ApiError(*futures.SAME_MARGIN_TYPE)
        raise futures.not_here("margin is crossed")

    def position_side(self, params: Params) -> Any:
        """Get Current Position Mode."""
        params.finish()
        return {"dualSidePosition": False}

    def set_position_side(self, params: Params) -> Any:
        """Change Position Mode: it is one-way, and stays so."""
        needed(params.raw("dualSidePosition"), "dualSidePosition")
        is_dual = params.flag("dualSidePosition")
        params.finish()
        if not is_dual:
            raise ApiError(*futures.SAME_POSITION_SIDE)
        raise futures.not_here("positions are one-way, there is no hedge mode")

    def multi_assets(self, params: Params) -> Any:
        """Get Current Multi-Assets Mode."""
        params.finish()
        return {"multiAssetsMargin": False}

    # Fees and limits.

    def brackets(self, params: Params) -> Any:
        """Notional and Leverage Brackets."""
        meta = self._market(params)
        params.finish()
        return [brackets(each) for each in ([meta] if meta else self._exchange.instruments.values())]

    def commission(self, params: Params) -> Any:
        """User Commission Rate."""
        meta = read_market(params, self._exchange)
        params.finish()
        fees = self._exchange.fees
        return {
            "symbol": meta.exchange_symbol,
            "makerCommissionRate": amount(fees.maker),
            "takerCommissionRate": amount(fees.taker),
        }

    def order_count(self, params: Params) -> Any:
        """Query User Rate Limit."""
        params.finish()
        return self._order_usage()

    def adl_quantiles(self, params: Params) -> Any:
        """Position ADL Quantile Estimation: nothing is deleveraged here."""
        meta = self._market(params)
        params.finish()
        metas = [meta] if meta else self._exchange.instruments.values()
        return [{"symbol": each.exchange_symbol, "adlQuantile": {"BOTH": 0}} for each in metas]
