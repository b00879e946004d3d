"""Prices and sizes of a futures market as texts: with the decimals of tick and lot, as Binance writes them.

Knows nothing of what the numbers mean.
"""

from decimal import Decimal

from quantcli.model.instrument import SymbolMetadata
from quantcli.sandbox.futures.shapes import decimals


class Numbers:
    """Writes the numbers of one market; a number with more decimals than its step is written in full, so that
    it reads back as it was."""

    def __init__(self, meta: SymbolMetadata) -> None:
        self._price = decimals(meta.price_tick)
        self._size = decimals(meta.lot)

    def price(self, value: float) -> str:
        """A price."""
        return _written(value, self._price)

    def size(self, value: float) -> str:
        """A quantity."""
        return _written(value, self._size)

    def sum(self, value: float) -> str:
        """A quantity that was added up."""
        return f"{value:.{self._size}f}"


def _written(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text if float(text) == value else format(Decimal(repr(value)), "f")
