"""From Binance's names of markets to canonical symbols, by the name alone.

This is the last resort, for data that carries no exchangeInfo: a spot name has no separator, so it is
split by a table of quote currencies.  Knows nothing of messages or trading rules.
"""

import re
from typing import Literal

from quantcli.errors import RecordingError
from quantcli.model.instrument import Symbol

Market = Literal["spot", "usdm", "coinm"]

# Currencies that Binance quotes or has quoted spot markets in (`quoteAsset` of exchangeInfo).  Left out are
# the few that would tear other names apart: ADAEUR is ADA/EUR, not AD/AEUR; BNBGBP is not BN/BGBP.
_SPOT_QUOTES = (
    # dollar tokens
    *("USDT", "FDUSD", "USDC", "TUSD", "BUSD", "USDP", "PAX", "USDS", "DAI", "UST", "USD1", "USDE", "VAI"),
    # coins
    *("BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL"),
    # national currencies and their tokens
    *("EUR", "EURI", "GBP", "TRY", "BRL", "AUD", "RUB", "UAH", "NGN", "ZAR", "JPY", "GYEN", "MXN", "PLN"),
    *("RON", "ARS", "CZK", "COP", "IDRT", "BIDR", "BKRW", "BVND"),
)
_USDM_QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "USD1", "BTC")

_EXPIRY = re.compile(r"\d{6}")
_COINM_NAME = re.compile(r"(?P<base>.+)USD_(?P<contract>PERP|\d{6})")


def infer_symbol(exchange_symbol: str, market: Market) -> Symbol:
    """The symbol behind a name such as `BTCUSDT`, `BTCUSDT_210924` (usdm) or `BTCUSD_PERP` (coinm).

    The longest known quote currency that leaves a base wins.  Raises `RecordingError` where none fits.
    """
    if market == "coinm":
        return _coinm_symbol(exchange_symbol)
    pair, expiry = split_expiry(exchange_symbol)
    quotes = _SPOT_QUOTES if market == "spot" else _USDM_QUOTES
    fitting = [quote for quote in quotes if pair.endswith(quote) and pair != quote]
    if not fitting or (market == "spot" and expiry):
        raise _unsplittable(exchange_symbol, market)
    quote = max(fitting, key=len)
    base = pair.removesuffix(quote)
    return Symbol(base, quote) if market == "spot" else Symbol(base, quote, True, quote, expiry)


def split_expiry(exchange_symbol: str) -> tuple[str, str]:
    """`BTCUSDT_210924` as (`BTCUSDT`, `210924`); the second part is empty for perpetuals and spot."""
    pair, _, tail = exchange_symbol.rpartition("_")
    return (pair, tail) if pair and _EXPIRY.fullmatch(tail) else (exchange_symbol, "")


def _coinm_symbol(exchange_symbol: str) -> Symbol:
    match = _COINM_NAME.fullmatch(exchange_symbol)
    if match is None:
        raise _unsplittable(exchange_symbol, "coinm")
    contract = match["contract"]
    return Symbol(match["base"], "USD", True, match["base"], "" if contract == "PERP" else contract)


def _unsplittable(exchange_symbol: str, market: Market) -> RecordingError:
    return RecordingError(
        f"cannot tell base and quote of Binance {market} market {exchange_symbol!r}",
        why="its name ends in no quote currency that is known here, and no exchangeInfo names it",
        todo="add the exchangeInfo reply of that market to the data, ahead of its messages",
    )
