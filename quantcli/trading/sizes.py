"""How much "50 USDT" is: sizes as people write them, as quantities of one market.

    0.01, "0.01", "0.01 BTC"    base units            (contracts, for a plain number on an inverse market)
    "50 USDT"                   worth that much at a price
    "50 quote"                  the same, in the market's own quote currency, whichever it is

    size_at_risk("0.5 %", …)    what loses half a per cent of the account between entry and stop

Knows the market's currencies, contract size and lot; knows neither prices nor positions.
"""

import re
from decimal import Decimal

import msgspec

from quantcli.config import parse_rate
from quantcli.errors import ValidationError
from quantcli.model.instrument import Number, SymbolMetadata, round_qty, to_decimal

_SPARE = 0.002  # of an account's worth is left for fees and for the step a price is rounded by
_AMOUNT = re.compile(r"([+-]?[\d_,]*\.?\d+)\s*([A-Za-z][A-Za-z0-9]*)")


class Size(msgspec.Struct, frozen=True, gc=False):
    """A size that waits for its price: the quantity is `amount · price ** power`."""

    amount: float
    power: int

    def at(self, price: float) -> float:
        """The quantity at a price, not rounded."""
        if self.power == 0:
            return self.amount
        return self.amount / price if self.power < 0 else self.amount * price


def parse_size(size: Number, instrument: SymbolMetadata) -> Size:
    """Read a size for one market.

    Raises `ValidationError` for what is no number, and for a currency the market does not trade.
    """
    match = _AMOUNT.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None:
        return Size(float(to_decimal(size)), 0)
    amount = to_decimal(match[1].replace(",", "").replace("_", ""))
    currency, symbol = match[2].upper(), instrument.symbol
    if currency == "QUOTE":
        currency = symbol.quote
    if currency not in (symbol.base, symbol.quote):
        raise ValidationError(
            f"{size!r} is not a size on {symbol.name}",
            why=f"{symbol.name} trades {symbol.base} for {symbol.quote}, not {currency}",
            todo=f'give it in {symbol.quote} or in {symbol.base}, or as "{match[1]} quote" for any market',
        )
    in_quote = currency == symbol.quote
    if instrument.inverse:
        # A contract is worth a fixed amount of quote currency, whatever the price.
        return Size(float(amount / instrument.contract_size), 0 if in_quote else 1)
    return Size(float(amount), -1 if in_quote else 0)


def quantity(size: Number, instrument: SymbolMetadata, price: Number) -> Decimal:
    """The quantity that `size` comes to at `price`, rounded down to the lot.

    Raises `ValidationError` as `parse_size` does, and where a price is needed and there is none.
    """
    parsed = parse_size(size, instrument)
    if parsed.power == 0:
        return round_qty(parsed.amount if isinstance(size, str) else size, instrument.lot)
    at = float(to_decimal(price))
    if at <= 0:
        raise ValidationError(
            f"{size!r} has no quantity yet on {instrument.symbol.name}",
            why="no price is known before the first quote",
            todo=f"wait for the first quote, or give the size in {instrument.symbol.base}",
        )
    return round_qty(parsed.at(at), instrument.lot)


def size_at_risk(
    risk: Number, entry: Number, stop: Number, equity: float, instrument: SymbolMetadata
) -> Decimal:
    """The quantity that loses `risk` between two prices, rounded down to the lot.

    `risk` is a share of `equity` ("0.5 %", 0.005), or an amount of quote currency ("50 USDT").  Never more
    than `equity` pays for without leverage, less `_SPARE` of it.  Raises `ValidationError` and `UsageError`.
    """
    first, last = float(to_decimal(entry)), float(to_decimal(stop))
    if first <= 0 or last <= 0 or first == last:
        raise ValidationError(
            f"between {first:g} and {last:g} there is no risk to size by",
            todo="give an entry and a stop that differ",
        )
    money = _money_at_risk(risk, equity, instrument)
    if instrument.inverse:  # a contract's worth in base currency is its size over the price
        return round_qty(
            money / first / (float(instrument.contract_size) * abs(1 / first - 1 / last)), instrument.lot
        )
    payable = max(equity, 0.0) * (1 - _SPARE) / max(first, last)
    return round_qty(min(money / abs(first - last), payable), instrument.lot)


def _money_at_risk(risk: Number, equity: float, instrument: SymbolMetadata) -> float:
    match = _AMOUNT.fullmatch(risk.strip()) if isinstance(risk, str) else None
    if match is None:
        money = float(parse_rate(risk if isinstance(risk, str | float) else str(risk))) * equity
    elif match[2].upper() in ("QUOTE", instrument.symbol.quote):
        money = float(to_decimal(match[1].replace(",", "").replace("_", "")))
    else:
        raise ValidationError(
            f"{risk!r} is no amount of {instrument.symbol.quote}", todo='write it like "0.5 %" or "50 quote"'
        )
    if not money >= 0:
        raise ValidationError(f"{risk!r} is no risk", todo='write it like "0.5 %" or "50 quote"')
    return money
