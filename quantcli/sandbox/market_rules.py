"""Trading rules of the sandbox's spot markets as exchangeInfo tells them.

Source: binance-spot-api-docs, rest-api.md, "Exchange information", and filters.md.  The filters are those
that orders here are checked against, no others: prices relative to the market refer to the last price
(`avgPriceMins` 0).  Knows nothing of requests.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.model.instrument import SymbolMetadata
from quantcli.sandbox.shapes import amount
from quantcli.sandbox.tickets import PREVENTION, TYPES

MAX_NOTIONAL = Decimal(9_000_000)

_ZERO = Decimal(0)
# Limits of a market that names none, because clients expect some; Binance's own are of this size.
_MAX_QTY = Decimal(9_000_000)
_MAX_PRICE = Decimal(10_000_000)
_MAX_ORDERS = 200


def completed(meta: SymbolMetadata) -> SymbolMetadata:
    """The rules of a market with every limit that exchangeInfo must tell."""
    return replace(
        meta,
        min_qty=meta.min_qty or meta.lot,
        max_qty=meta.max_qty or _MAX_QTY,
        min_price=meta.min_price or meta.price_tick,
        max_price=meta.max_price or _MAX_PRICE,
        max_orders=meta.max_orders or _MAX_ORDERS,
    )


def exchange_info(
    metas: Iterable[SymbolMetadata], limits: list[dict[str, Any]], now_ms: int, with_sets: bool = True
) -> dict[str, Any]:
    """Answer to exchangeInfo; `limits` are the rate limits, `metas` completed rules."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": limits,
        "exchangeFilters": [],
        "symbols": [_symbol(meta, with_sets) for meta in metas],
    }


def status(meta: SymbolMetadata) -> str:
    """Whether the market is open."""
    return "TRADING" if meta.active else "BREAK"


def _symbol(meta: SymbolMetadata, with_sets: bool) -> dict[str, Any]:
    precision = 8
    return {
        "symbol": meta.exchange_symbol,
        "status": status(meta),
        "baseAsset": meta.symbol.base,
        "baseAssetPrecision": precision,
        "quoteAsset": meta.symbol.quote,
        "quotePrecision": precision,
        "quoteAssetPrecision": precision,
        "baseCommissionPrecision": precision,
        "quoteCommissionPrecision": precision,
        "orderTypes": sorted(TYPES),
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(meta),
        "permissions": [],
        "permissionSets": [["SPOT"]] if with_sets else [],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": list(PREVENTION),
    }


def _filters(meta: SymbolMetadata) -> list[dict[str, Any]]:
    lot = {
        "minQty": amount(meta.min_qty or _ZERO),
        "maxQty": amount(meta.max_qty or _ZERO),
        "stepSize": amount(meta.lot),
    }
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": amount(meta.min_price or _ZERO),
            "maxPrice": amount(meta.max_price or _ZERO),
            "tickSize": amount(meta.price_tick),
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {
            "filterType": "NOTIONAL",
            "minNotional": amount(meta.min_notional or _ZERO),
            "applyMinToMarket": True,
            "maxNotional": amount(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": meta.max_orders},
    ]
    if meta.band_up is not None or meta.band_down is not None:
        up, down = _multiplier(meta.band_up or _MAX_QTY), _multiplier(meta.band_down or _ZERO)
        filters.append(
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": up,
                "bidMultiplierDown": down,
                "askMultiplierUp": up,
                "askMultiplierDown": down,
                "avgPriceMins": 0,
            }
        )
    return filters


def _multiplier(value: Decimal) -> str:
    return format(value, "f")
