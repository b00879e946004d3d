"""What can be traded, and in which steps: symbols, their filters, and rounding to tick and lot.

Prices and quantities of orders are `Decimal`; what a strategy computes is `float`.  The functions here
are the only bridge: they turn any number a user may write into an exact one, and round it so that
the order never becomes more aggressive or larger than was asked.
Knows nothing of exchanges beyond the names of their filters.
"""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal, InvalidOperation
from enum import IntEnum
from functools import lru_cache

import msgspec

from quantcli.errors import ValidationError

Number = float | int | str | Decimal

# A float is taken to mean the tick it is nearest to when it misses it by less than this part of a
# tick: `0.3 - 0.1` is 0.19999999999999998 and means 0.2.
_TICK_FUZZ = Decimal("0.000001")


class Side(IntEnum):
    """Direction of an order, or of the aggressor of a trade."""

    BUY = 1
    SELL = 2

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class Symbol(msgspec.Struct, frozen=True, order=True):
    """A market, named as ccxt names it: `BTC/USDT`, `BTC/USDT:USDT`, `BTC/USD:BTC-210924`.

    `settle` is the currency that profit is paid in (futures only), `expiry` is `YYMMDD` or empty.
    """

    base: str
    quote: str
    is_futures: bool = False
    settle: str = ""
    expiry: str = ""

    @property
    def name(self) -> str:
        """The canonical name, used as `symbol_id` everywhere."""
        if not self.is_futures:
            return f"{self.base}/{self.quote}"
        tail = f"-{self.expiry}" if self.expiry else ""
        return f"{self.base}/{self.quote}:{self.settle}{tail}"

    @property
    def path(self) -> str:
        """The name as a folder: `BTC-USDT`, `BTC-USDT_USDT`."""
        return self.name.replace("/", "-", 1).replace(":", "_", 1)

    @classmethod
    def parse(cls, text: str) -> "Symbol":
        """Read a canonical name; raises `ValidationError` for anything else."""
        pair, _, tail = text.strip().upper().partition(":")
        base, slash, quote = pair.partition("/")
        settle, _, expiry = tail.partition("-")
        if not (slash and base and quote) or (":" in text and not settle):
            raise ValidationError(
                f"{text!r} is not a symbol",
                why="a symbol is written BASE/QUOTE, with :SETTLE for futures",
                todo="write it like BTC/USDT or BTC/USDT:USDT",
            )
        return cls(base, quote, bool(settle), settle, expiry)


class SymbolMetadata(msgspec.Struct, frozen=True):
    """The trading rules of one market.  `None` means: the exchange sets no such limit.

    `price_tick` and `lot` are steps in quote currency and in base units (contracts on inverse
    markets).  `band_up`/`band_down` bound an order's price as multiples of the last price.
    `source` says where the rules come from: `exchangeInfo`, or `observed` when a recording carries
    none and tick and lot were inferred from its prices and sizes.
    """

    symbol: Symbol
    exchange: str
    exchange_symbol: str
    price_tick: Decimal
    lot: Decimal
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    min_notional: Decimal | None = None
    band_up: Decimal | None = None
    band_down: Decimal | None = None
    max_orders: int | None = None
    contract_size: Decimal = Decimal(1)
    inverse: bool = False
    active: bool = True
    source: str = "exchangeInfo"


class AssetMetadata(msgspec.Struct, frozen=True):
    """A currency: its code and how many decimals the exchange keeps of it."""

    asset: str
    precision: int = 8


def to_decimal(value: Number) -> Decimal:
    """The exact decimal a person means by `value`: a float is read as it prints.

    Raises `ValidationError` for NaN, infinities and text that is no number.
    """
    if isinstance(value, float):
        # Adding zero turns the negative zero, which equals the other one but prints otherwise.
        number = _as_printed(value + 0.0)
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, bool):
        raise ValidationError(f"{value!r} is not a number", todo="give a price or quantity")
    else:
        try:
            number = Decimal(str(value).strip())
        except (InvalidOperation, ValueError):
            raise ValidationError(f"{value!r} is not a number", todo="write it like 0.01") from None
    if not number.is_finite():
        raise ValidationError(f"{value!r} is not a finite number", todo="give a price or quantity")
    return number


# The same few prices come again and again: both conversions of floats remember their last answers.
@lru_cache(maxsize=8192)
def _as_printed(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def round_to_step(value: Number, step: Decimal, rounding: str) -> Decimal:
    """`value` as a whole number of `step`s; floats within a millionth of a step count as on it."""
    if isinstance(value, float):
        return _round_float(value + 0.0, step, rounding)
    return _on_grid((to_decimal(value) / step).to_integral_value(rounding), step)


@lru_cache(maxsize=8192)
def _round_float(value: float, step: Decimal, rounding: str) -> Decimal:
    steps = to_decimal(value) / step
    nearest = steps.to_integral_value()
    return _on_grid(nearest if abs(steps - nearest) < _TICK_FUZZ else steps.to_integral_value(rounding), step)


def _on_grid(steps: Decimal, step: Decimal) -> Decimal:
    return (steps * step).quantize(step) if step < 1 else steps * step


def round_price(value: Number, side: Side, tick: Decimal) -> Decimal:
    """A price on the tick grid, moved to the passive side: buys down, sells up."""
    return round_to_step(value, tick, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)


def round_qty(value: Number, lot: Decimal) -> Decimal:
    """A quantity on the lot grid, never larger than asked."""
    return round_to_step(value, lot, ROUND_DOWN)


def canonical(value: Decimal) -> str:
    """The one text of a decimal: no exponent, no trailing zeros, no negative zero."""
    if value == 0:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
