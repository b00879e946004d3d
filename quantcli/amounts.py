"""The texts people write for money, durations, rates and fees, and what they mean.

Every mistake is a `UsageError` that says how to write it instead.  Knows nothing of where the text stood.
"""

import re
from decimal import Decimal
from typing import NamedTuple

from quantcli.errors import QuantError, UsageError, ValidationError
from quantcli.model.instrument import to_decimal

_NS_PER_UNIT = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)")
_MONEY = re.compile(r"([+-]?[\d_,]*\.?\d+)\s*([A-Za-z][A-Za-z0-9]*)")
_MOST_MONEY = 10**15  # with 12 decimals still exact in the 28 digits that decimals have by default


class Money(NamedTuple):
    """An amount and the currency it is in."""

    amount: Decimal
    currency: str


class Fees(NamedTuple):
    """Fee rates as fractions of the notional; negative is a rebate."""

    maker: Decimal
    taker: Decimal


def parse_money(text: str) -> Money:
    """Read "200 USDT".  Raises `UsageError`."""
    match = _MONEY.fullmatch(str(text).strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not an amount of money",
            why="an amount needs its currency",
            todo='write it like "200 USDT"',
        )
    money = Money(to_decimal(match[1].replace(",", "").replace("_", "")), match[2].upper())
    if abs(money.amount) > _MOST_MONEY:
        raise UsageError(
            f"{text!s} is more money than there is", todo=f"give at most {_MOST_MONEY:,} {money.currency}"
        )
    return money


def parse_duration(text: str) -> int:
    """Read "30s", "500ms", "1h30m" as nanoseconds.  Raises `UsageError`."""
    compact = str(text).replace(" ", "")
    parts = _DURATION.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise UsageError(
            f"{text!r} is not a duration",
            why=f"a duration is a number with a unit: {', '.join(_NS_PER_UNIT)}",
            todo="write it like 30s or 1h30m",
        )
    return int(sum(Decimal(number) * _NS_PER_UNIT[unit] for number, unit in parts))


def parse_rate(text: str | float) -> Decimal:
    """Read "0.001", "0.1%" or "10bps" as a fraction.  Raises `UsageError`."""
    compact = str(text).replace(" ", "").lower()
    for suffix, per in (("bps", Decimal(10_000)), ("%", Decimal(100))):
        if compact.endswith(suffix):
            return _number(compact.removesuffix(suffix)) / per
    return _number(compact)


def _number(text: str) -> Decimal:
    try:
        return to_decimal(text)
    except ValidationError as error:
        raise UsageError(error.what, why=error.why, todo=error.todo) from None


def parse_fees(text: str) -> Fees:
    """Read "maker,taker", each as `parse_rate` does.  Raises `UsageError`."""
    maker, comma, taker = str(text).partition(",")
    try:
        if not comma:
            raise UsageError("one rate")
        fees = Fees(parse_rate(maker), parse_rate(taker))
    except QuantError:
        raise UsageError(
            f"{text!r} is not a pair of fees",
            why="fees are the maker's and the taker's rate, with a comma between",
            todo='write them like "0.001,0.001", "10bps,10bps" or "0.1%,0.1%"',
        ) from None
    if max(map(abs, fees)) >= 1:
        raise UsageError(f"fees of {text!r} eat the whole trade", todo='did you mean "%" or "bps"?')
    return fees
