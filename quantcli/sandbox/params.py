"""Strict parameters: each is read once, in the form it must have, and none may be left unread.

Forms and texts are Binance's: binance-spot-api-docs, errors.md, "11xx - Request issues", and the legal ranges
that its answers name.  A handler reads all its parameters, calls `finish`, and only then acts: so a request
with a parameter too many changes nothing.  Knows no endpoint.
"""

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError

NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
WHOLE = r"^[0-9]{1,20}$"
CLIENT_ID = r"^[a-zA-Z0-9-_]{1,36}$"
SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
ENUM = r"^[A-Za-z0-9_]{1,40}$"
FLAG = r"^true|false$"

MAX_DECIMALS = 8
MICROSECONDS_FROM = 10**15
T = TypeVar("T")


def read_form(query: str, body: str) -> dict[str, str]:
    """Parameters of a query string and a form body; what is in both counts as in the query string.

    "General Information on Endpoints" (rest-api.md).  Raises `ApiError` for a name that one of them has
    twice.
    """
    return _pairs(body) | _pairs(query)


def _pairs(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise errors.twice()
    return found


class Params:
    """The parameters of one request, and which of them were read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def finish(self) -> None:
        """Refuse what nobody has read."""
        if len(self._read) < len(self._values):
            raise errors.unread(len(self._read), len(self._values))

    def raw(self, name: str, legal: str = "") -> str | None:
        """A parameter as it was sent, in the legal form; `None` if it was not sent."""
        text = self._values.get(name)
        if text is None:
            return None
        self._read.add(name)
        if not text:
            raise errors.empty(name)
        if legal and not re.fullmatch(legal.strip("^$"), text, re.ASCII):
            raise errors.illegal(name, legal)
        return text

    def refuse(self, *names: str) -> None:
        """Refuse parameters that do not belong to this kind of request."""
        for name in names:
            if name in self._values:
                raise errors.needless(name)

    def skip(self, *names: str) -> None:
        """Take notice of parameters that change nothing here."""
        for name in names:
            self.raw(name)

    # Words.

    def client_id(self, name: str) -> str | None:
        """A client order id."""
        return self.raw(name, CLIENT_ID)

    def choice(self, name: str, among: Collection[str], bad: ApiError | None = None) -> str | None:
        """One of some words."""
        word = self.raw(name, ENUM)
        if word is not None and word not in among:
            raise bad or errors.invalid(name)
        return word

    def flag(self, name: str, default: bool = False) -> bool:
        """`true` or `false`, in any case."""
        word = self.raw(name)
        if word is not None and word.lower() not in {"true", "false"}:
            raise errors.illegal(name, FLAG)
        return default if word is None else word.lower() == "true"

    def words(self, name: str) -> list[str] | None:
        """A JSON array of words."""
        text = self.raw(name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.DecodeError:
            raise ApiError(400, -1135, f"JSON sent for parameter '{name}' is not valid") from None

    # Numbers.

    def number(self, name: str) -> Decimal | None:
        """An exact amount above zero, of at most eight decimals."""
        text = self.raw(name, NUMBER)
        if text is None:
            return None
        value = Decimal(text)
        if -int(value.normalize().as_tuple().exponent) > MAX_DECIMALS:
            raise errors.too_precise(name)
        return value

    def whole(self, name: str) -> int | None:
        """A whole number."""
        text = self.raw(name, WHOLE)
        if text is not None and int(text) >= 2**63:
            raise ApiError(400, -1108, f"Parameter '{name}' overflowed.")
        return None if text is None else int(text)

    def millis(self, name: str) -> int | None:
        """A time in milliseconds; sent in microseconds it is cut off.  "General API Information"."""
        value = self.whole(name)
        return value // 1000 if value is not None and value >= MICROSECONDS_FROM else value

    def limit(self, default: int, most: int) -> int:
        """`limit`: what is above the maximum counts as the maximum."""
        value = self.whole("limit")
        if value is None:
            return default
        if value < 1:
            raise ApiError(400, -1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, most)


def needed(value: T | None, name: str) -> T:
    """A mandatory parameter's value."""
    if value is None:
        raise errors.missing(name)
    return value
