"""Market events and markets for the tests of what the sandbox shows."""

from decimal import Decimal

from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import AggTrade, BookUpdate, Ticker, Trade

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
NOON = 1_721_736_000 * SECOND  # 2024-07-23 12:00 UTC

BTC, ETH = "BTC/USDT", "ETH/USDT"


def meta(base: str = "BTC") -> SymbolMetadata:
    return SymbolMetadata(
        Symbol(base, "USDT"),
        "binance",
        f"{base}USDT",
        Decimal("0.01"),
        Decimal("0.00001"),
        Decimal("0.00001"),
    )


def markets() -> dict[str, SymbolMetadata]:
    return {BTC: meta("BTC"), ETH: meta("ETH")}


def trade(
    number: int, price: float, size: float, at: int = 0, side: int = 1, symbol: str = BTC, seq: int = 0
) -> Trade:
    """A trade `at` nanoseconds after noon, which arrives a millisecond later."""
    return Trade(symbol, NOON + at, NOON + at + 1_000_000, seq or number, price, size, side, number)


def agg_trade(number: int, first: int, last: int, price: float, size: float, at: int = 0) -> AggTrade:
    return AggTrade(BTC, NOON + at, NOON + at + 1_000_000, number, price, size, 2, number, first, last)


def quote(
    bid: float, ask: float, size: float = 1.0, at: int = 0, number: int = 7, symbol: str = BTC
) -> Ticker:
    """A spot quote: it says no time."""
    return Ticker(symbol, 0, NOON + at + 1_000_000, number, bid, size, ask, size, number)


def snapshot(
    last_id: int, bids=((10.0, 1.0),), asks=((11.0, 1.0),), at: int = 0, symbol: str = BTC
) -> BookUpdate:
    return BookUpdate(
        symbol, 0, NOON + at + 1_000_000, last_id, True, last_id, last_id, 0, list(bids), list(asks)
    )


def diff(first_id: int, last_id: int, bids=(), asks=(), at: int = 0, symbol: str = BTC) -> BookUpdate:
    return BookUpdate(
        symbol, NOON + at, NOON + at + 1_000_000, last_id, False, first_id, last_id, 0, list(bids), list(asks)
    )
