"""The markets of the world: two of the spot kind and one derivative, with whole-number lots and prices.

Strangers trade in odd fractions: by accident alone no trade of theirs undoes one of ours.
"""

from decimal import Decimal

from quantcli.model.instrument import Symbol, SymbolMetadata

SPOT, PERPETUAL, OTHER = "BTC/USDT", "ETH/USDT:USDT", "SOL/USDT"
SYMBOLS = (SPOT, PERPETUAL, OTHER)
MIN_QTY = Decimal(2)
MID = 100
STRANGE = tuple(Decimal(number) / 1000 for number in (7, 13, 29, 31, 107, 211))

INSTRUMENTS = {
    name: SymbolMetadata(
        Symbol.parse(name),
        "world",
        name,
        price_tick=Decimal(1),
        lot=Decimal(1),
        min_qty=MIN_QTY,
        max_qty=Decimal(100_000),
    )
    for name in SYMBOLS
}
HELD = {SPOT: Decimal(5_000), PERPETUAL: Decimal(0), OTHER: Decimal(5_000)}


def is_derivative(symbol: str) -> bool:
    """Positions may be short, and reduce-only has a meaning."""
    return symbol == PERPETUAL


def base_of(symbol: str) -> str:
    """The base asset."""
    return symbol.partition("/")[0]
