"""Positions and wallets of the futures account as its queries show them, at one moment.

Margin is what the matching holds back: worth at cost, divided by the leverage.  Nothing is liquidated, so no
liquidation price is told.  Source: developers.binance.com, USDⓈ-M Futures, "Position Information V2/V3",
"Account Information V2/V3", "Futures Account Balance V2/V3".  Knows no parameters.
"""

from decimal import Decimal
from typing import Any

from quantcli.model.instrument import SymbolMetadata
from quantcli.sandbox.futures import shapes
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.rules import MAINTENANCE, MAX_NOTIONAL
from quantcli.sandbox.shapes import amount, millis

_ZERO = Decimal(0)
_NONE = "0.00000000"


class PositionView:
    """One market of the account, as of the exchange's `as_of`."""

    def __init__(self, exchange: FuturesExchange, meta: SymbolMetadata) -> None:
        self.meta = meta
        name = meta.symbol.name
        margin = exchange.engine.account.contract(name)
        booking = exchange.engine.books.position(name, exchange.as_of)
        self.leverage = margin.leverage
        self.qty = booking.qty if booking else _ZERO
        self.cost = booking.cost if booking else _ZERO
        self.updated_ns = booking.at_ns if booking else 0
        self.buys, self.sells = margin.buys, margin.sells
        self.mark = exchange.mark(name)
        self.initial_margin = margin.margin
        self.position_margin = min(margin.margin, abs(self.cost) / margin.leverage)
        self.orders_margin = self.initial_margin - self.position_margin
        self.unrealised = shapes.unrealised(self.qty, self.cost, meta, self.mark) if self.qty else _ZERO
        self.notional = self.cost + self.unrealised
        self.maintenance = abs(self.notional) * MAINTENANCE

    @property
    def is_used(self) -> bool:
        """There is a position, or an order."""
        return bool(self.qty or self.buys or self.sells)

    def risk(self) -> dict[str, Any]:
        """Position Information V3."""
        meta = self.meta
        return {
            "symbol": meta.exchange_symbol,
            "positionSide": "BOTH",
            "positionAmt": shapes.fixed(self.qty, meta.lot),
            "entryPrice": self._entry(),
            "breakEvenPrice": self._entry(),
            "markPrice": amount(self.mark or _ZERO),
            "unRealizedProfit": amount(self.unrealised),
            "liquidationPrice": "0",
            "isolatedMargin": "0",
            "notional": amount(self.notional),
            "marginAsset": meta.symbol.settle,
            "isolatedWallet": "0",
            **self._margins(),
            "adl": 0,
            "bidNotional": amount(self.buys),
            "askNotional": amount(self.sells),
            "updateTime": millis(self.updated_ns) if self.updated_ns else 0,
        }

    def risk_v2(self) -> dict[str, Any]:
        """Position Information V2."""
        return self.risk() | {
            "leverage": str(self.leverage),
            "maxNotionalValue": str(MAX_NOTIONAL),
            "marginType": "cross",
            "isAutoAddMargin": "false",
        }

    def in_account(self) -> dict[str, Any]:
        """Account Information V3, `positions`."""
        meta = self.meta
        return {
            "symbol": meta.exchange_symbol,
            "positionSide": "BOTH",
            "positionAmt": shapes.fixed(self.qty, meta.lot),
            "unrealizedProfit": amount(self.unrealised),
            "isolatedMargin": _NONE,
            "notional": amount(self.notional),
            "isolatedWallet": _NONE,
            "initialMargin": amount(self.initial_margin),
            "maintMargin": amount(self.maintenance),
            "updateTime": millis(self.updated_ns) if self.updated_ns else 0,
        }

    def in_account_v2(self) -> dict[str, Any]:
        """Account Information V2, `positions`."""
        return {
            **self.in_account(),
            **self._margins(),
            "leverage": str(self.leverage),
            "isolated": False,
            "entryPrice": self._entry(),
            "breakEvenPrice": self._entry(),
            "maxNotional": str(MAX_NOTIONAL),
            "bidNotional": amount(self.buys),
            "askNotional": amount(self.sells),
        }

    def _entry(self) -> str:
        return shapes.mean(self.cost, self.qty * self.meta.contract_size, self.meta.price_tick)

    def _margins(self) -> dict[str, Any]:
        return {
            "initialMargin": amount(self.initial_margin),
            "maintMargin": amount(self.maintenance),
            "positionInitialMargin": amount(self.position_margin),
            "openOrderInitialMargin": amount(self.orders_margin),
        }


class WalletView:
    """One currency of the account with the positions that settle in it."""

    def __init__(self, asset: str, wallet: Decimal, positions: list[PositionView], at_ns: int) -> None:
        mine = [position for position in positions if position.meta.symbol.settle == asset]
        self.asset = asset
        self.wallet = wallet
        self.unrealised = sum((position.unrealised for position in mine), _ZERO)
        self.position_margin = sum((position.position_margin for position in mine), _ZERO)
        self.orders_margin = sum((position.orders_margin for position in mine), _ZERO)
        self.maintenance = sum((position.maintenance for position in mine), _ZERO)
        self.available = max(_ZERO, wallet - self.position_margin - self.orders_margin)
        self._at_ns = at_ns

    def balance(self) -> dict[str, Any]:
        """Futures Account Balance."""
        return {
            "accountAlias": "SgsR",
            "asset": self.asset,
            "balance": amount(self.wallet),
            "crossWalletBalance": amount(self.wallet),
            "crossUnPnl": amount(self.unrealised),
            "availableBalance": amount(self.available),
            "maxWithdrawAmount": amount(self.available),
            "marginAvailable": True,
            "updateTime": millis(self._at_ns),
        }

    def in_account(self) -> dict[str, Any]:
        """Account Information, `assets`."""
        return {
            "asset": self.asset,
            "walletBalance": amount(self.wallet),
            "unrealizedProfit": amount(self.unrealised),
            "marginBalance": amount(self.wallet + self.unrealised),
            "maintMargin": amount(self.maintenance),
            "initialMargin": amount(self.position_margin + self.orders_margin),
            "positionInitialMargin": amount(self.position_margin),
            "openOrderInitialMargin": amount(self.orders_margin),
            "crossWalletBalance": amount(self.wallet),
            "crossUnPnl": amount(self.unrealised),
            "availableBalance": amount(self.available),
            "maxWithdrawAmount": amount(self.available),
            "marginAvailable": True,
            "updateTime": millis(self._at_ns),
        }


def totals(wallets: list[WalletView]) -> dict[str, str]:
    """Account Information: sums over the wallets, which on a single-asset account are all in dollars."""

    def over(name: str) -> Decimal:
        return sum((getattr(wallet, name) for wallet in wallets), _ZERO)

    wallet, unrealised = over("wallet"), over("unrealised")
    return {
        "totalInitialMargin": amount(over("position_margin") + over("orders_margin")),
        "totalMaintMargin": amount(over("maintenance")),
        "totalWalletBalance": amount(wallet),
        "totalUnrealizedProfit": amount(unrealised),
        "totalMarginBalance": amount(wallet + unrealised),
        "totalPositionInitialMargin": amount(over("position_margin")),
        "totalOpenOrderInitialMargin": amount(over("orders_margin")),
        "totalCrossWalletBalance": amount(wallet),
        "totalCrossUnPnl": amount(unrealised),
        "availableBalance": amount(over("available")),
        "maxWithdrawAmount": amount(over("available")),
    }
