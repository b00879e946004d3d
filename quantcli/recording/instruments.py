"""Trading rules inferred from data that carries none: tick and lot as the greatest common step.

A price moves on multiples of the tick and a size is a multiple of the lot, so the greatest common divisor of
all those seen is the step or, after very few, a multiple of it.  Such rules are marked
`source="observed"`.  What the exchange itself says (exchangeInfo) always wins over them.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import gcd

import numpy as np

from quantcli.model.batch import Ints
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Channel
from quantcli.recording.decimals import SCALE, Limbs

# Columns that lie on the grids of tick and lot.  Mark and index prices are averages and lie on none.
_PRICES = frozenset({"price", "bid", "ask", "bid_prices", "ask_prices", "open", "high", "low", "close"})
_SIZES = frozenset({"size", "bid_size", "ask_size", "bid_sizes", "ask_sizes", "volume"})

# Binance spot, filter NOTIONAL (MIN_NOTIONAL before 2023) as exchangeInfo shows it for ordinary markets.
_SPOT_MIN_NOTIONAL = {
    "USDT": Decimal(5),
    "USDC": Decimal(5),
    "FDUSD": Decimal(5),
    "BTC": Decimal("0.0001"),
    "ETH": Decimal("0.001"),
}


class Steps:
    """Greatest common steps of one market's prices and sizes, in units of 10^-8."""

    __slots__ = ("lot", "tick")

    def __init__(self, tick: int = 0, lot: int = 0) -> None:
        self.tick = tick
        self.lot = lot

    def see(self, channel: Channel, numbers: dict[str, Limbs]) -> None:
        """Take account of more rows."""
        if channel is Channel.MARKS:
            return
        for name, limbs in numbers.items():
            if name in _PRICES:
                self.tick = _common(self.tick, limbs.units())
            elif name in _SIZES:
                self.lot = _common(self.lot, limbs.units())

    def add(self, other: "Steps") -> None:
        """Take account of what another stream of the same market showed."""
        self.tick = gcd(self.tick, other.tick)
        self.lot = gcd(self.lot, other.lot)


def observed(symbol: Symbol, exchange: str, steps: Steps) -> SymbolMetadata:
    """Rules of a market as far as its data shows them.

    Besides tick, lot and (as the smallest order) lot again there is only what Binance sets alike for
    whole groups of markets: the minimum notional of spot quotes, and COIN-M contract sizes (100 USD for
    BTC, 10 USD for other coins: "COIN-M Futures: Contract Specifications").
    """
    inverse = symbol.is_futures and symbol.settle == symbol.base
    is_spot = exchange == "binance" and not symbol.is_futures
    lot = _decimal(steps.lot)
    return SymbolMetadata(
        symbol,
        exchange,
        _exchange_symbol(symbol, inverse),
        price_tick=_decimal(steps.tick),
        lot=lot,
        min_qty=lot,
        min_notional=_SPOT_MIN_NOTIONAL.get(symbol.quote) if is_spot else None,
        contract_size=Decimal(100 if symbol.base == "BTC" else 10) if inverse else Decimal(1),
        inverse=inverse,
        source="observed",
    )


def best_known(rules: Iterable[SymbolMetadata]) -> dict[str, SymbolMetadata]:
    """Rules by symbol, of sessions in order: the exchange's own win over observed ones, later ones over
    earlier; of two observed ones the finer steps hold."""
    known: dict[str, SymbolMetadata] = {}
    for rule in rules:
        before = known.get(rule.symbol.name)
        if before is None or rule.source != "observed":
            known[rule.symbol.name] = rule
        elif before.source == "observed":
            known[rule.symbol.name] = _finer(before, rule)
    return known


def _finer(one: SymbolMetadata, other: SymbolMetadata) -> SymbolMetadata:
    steps = Steps()
    for rule in (one, other):
        steps.tick = gcd(steps.tick, int(rule.price_tick.scaleb(SCALE)))
        steps.lot = gcd(steps.lot, int(rule.lot.scaleb(SCALE)))
    return observed(one.symbol, one.exchange, steps)


def _common(step: int, units: Ints) -> int:
    return int(np.gcd.reduce(units, initial=step)) if units.size else step


def _decimal(step: int) -> Decimal:
    """A step in units of 10^-8, without trailing zeros; a market of which nothing was seen gets 10^-8."""
    exact = Decimal(step or 1).scaleb(-SCALE).normalize()
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact


def _exchange_symbol(symbol: Symbol, inverse: bool) -> str:
    pair = symbol.base + symbol.quote
    if inverse:
        return f"{pair}_{symbol.expiry or 'PERP'}"
    return f"{pair}_{symbol.expiry}" if symbol.expiry else pair
