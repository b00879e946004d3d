"""Trading rules of the sandbox's futures as exchangeInfo tells them.

Source: developers.binance.com, USDⓈ-M Futures, "Exchange Information".  The filters are those that orders
here are checked against; PERCENT_PRICE refers to the last price.  Knows nothing of requests.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from quantcli.model.instrument import SymbolMetadata, canonical
from quantcli.sandbox.futures.shapes import decimals, fixed
from quantcli.sandbox.futures.tickets import TIMES_IN_FORCE, TYPES

MAX_ALGO_ORDERS = 200
# One bracket: positions are not limited here.
MAX_LEVERAGE = 125
MAX_NOTIONAL = Decimal(1_000_000_000)
MAINTENANCE = Decimal("0.004")

_ZERO = Decimal(0)
_NO_BAND = Decimal(1_000_000)
_PERPETUAL_MS = 4_133_404_800_000


def exchange_info(
    metas: Iterable[SymbolMetadata], limits: list[dict[str, Any]], now_ms: int
) -> dict[str, Any]:
    """Answer to exchangeInfo; `limits` are the rate limits, `metas` completed rules."""
    known = list(metas)
    assets = sorted({meta.symbol.settle for meta in known})
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": limits,
        "exchangeFilters": [],
        "assets": [{"asset": each, "marginAvailable": True, "autoAssetExchange": "0"} for each in assets],
        "symbols": [_symbol(meta) for meta in known],
    }


def _symbol(meta: SymbolMetadata) -> dict[str, Any]:
    symbol = meta.symbol
    return {
        "symbol": meta.exchange_symbol,
        "pair": meta.exchange_symbol.partition("_")[0],
        "contractType": "CURRENT_QUARTER" if symbol.expiry else "PERPETUAL",
        "deliveryDate": _delivery_ms(symbol.expiry) if symbol.expiry else _PERPETUAL_MS,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING" if meta.active else "SETTLING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base,
        "quoteAsset": symbol.quote,
        "marginAsset": symbol.settle,
        "pricePrecision": decimals(meta.price_tick),
        "quantityPrecision": decimals(meta.lot),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": _filters(meta),
        "orderTypes": [kind for kind in TYPES if kind != "TRAILING_STOP_MARKET"],
        "timeInForce": list(TIMES_IN_FORCE),
    }


def _delivery_ms(expiry: str) -> int:
    """08:00 UTC of the day `YYMMDD`."""
    day = datetime.strptime(expiry, "%y%m%d").replace(tzinfo=UTC, hour=8)
    return int(day.timestamp()) * 1000


def _filters(meta: SymbolMetadata) -> list[dict[str, Any]]:
    tick, lot = meta.price_tick, meta.lot
    sizes = {
        "minQty": fixed(meta.min_qty or _ZERO, lot),
        "maxQty": fixed(meta.max_qty or _ZERO, lot),
        "stepSize": canonical(lot),
    }
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": fixed(meta.min_price or _ZERO, tick),
            "maxPrice": fixed(meta.max_price or _ZERO, tick),
            "tickSize": canonical(tick),
        },
        {"filterType": "LOT_SIZE", **sizes},
        {"filterType": "MARKET_LOT_SIZE", **sizes},
        {"filterType": "MAX_NUM_ORDERS", "limit": meta.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": MAX_ALGO_ORDERS},
    ]
    if meta.min_notional is not None:
        filters.append({"filterType": "MIN_NOTIONAL", "notional": canonical(meta.min_notional)})
    if meta.band_up is not None or meta.band_down is not None:
        filters.append(
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": f"{meta.band_up or _NO_BAND:.4f}",
                "multiplierDown": f"{meta.band_down or _ZERO:.4f}",
                "multiplierDecimal": "4",
            }
        )
    return filters


def brackets(meta: SymbolMetadata) -> dict[str, Any]:
    """Notional and leverage brackets of a market."""
    return {
        "symbol": meta.exchange_symbol,
        "notionalCoef": "1.0",
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": MAX_LEVERAGE,
                "notionalCap": int(MAX_NOTIONAL),
                "notionalFloor": 0,
                "maintMarginRatio": float(MAINTENANCE),
                "cum": 0.0,
            }
        ],
    }
