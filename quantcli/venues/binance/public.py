"""What a feed asks Binance's REST interface: trading rules and whole books.  Nothing of an account.

Sends each request once; asking again, and when, is the caller's business.  Knows paths and weights.
"""

import asyncio
from collections.abc import Collection
from urllib.parse import urlencode

import msgspec

from quantcli.codecs.binance import BinanceCodec, Market
from quantcli.errors import ExchangeAPIError, NotFoundError, RateLimitError, RecordingError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.venues.http_once import HttpOnce, Prepared

_PREFIX = {"spot": "/api/v3", "usdm": "/fapi/v1", "coinm": "/dapi/v1"}
_LEVELS = 1000
# Spot: 6000 of weight a minute for one address, and a book of 1000 levels weighs 50; USD-M 2400 and 20 (the
# pages "Limits" and "Order book").  The header says how much of it was used; orders may need the rest.
_WEIGHT_TO_USE = {"spot": 4800, "usdm": 1900, "coinm": 1900}
_USED_WEIGHT = "x-mbx-used-weight-1m"
_PAUSE_S = 15.0
_BAD_SYMBOL = -1121


class _Told(msgspec.Struct, frozen=True):
    code: int = 0
    msg: str = ""


class BinancePublic:
    """One server's public requests.  Errors of all: `NoAnswer`, `ExchangeAPIError`, `RateLimitError`."""

    def __init__(self, rest: str, market: Market) -> None:
        self._rest = rest
        self._market: Market = market
        self._http = HttpOnce(origin=rest)
        self._one_at_a_time = asyncio.Lock()

    async def rules(self, wanted: Collection[Symbol], codec: BinanceCodec) -> list[SymbolMetadata]:
        """Trading rules of these symbols, which the codec learns too.  Raises `NotFoundError`, naming one, if
        not all are traded."""
        query = ""
        if self._market == "spot":  # the others have no choice of symbols
            names = [symbol.base + symbol.quote for symbol in wanted]
            query = urlencode({"symbols": msgspec.json.encode(names).decode()})
        try:
            body = await self._get("exchangeInfo", query)
        except ExchangeAPIError as error:
            if error.code != _BAD_SYMBOL:
                raise
            body = await self._get("exchangeInfo")  # to find out which of them it is
        try:
            codec.decode_http(self._address("exchangeInfo"), body, 0, 0)
        except RecordingError as error:
            raise ExchangeAPIError("exchangeInfo", error.what, why=error.why) from error
        known = codec.instruments()
        for symbol in wanted:
            if symbol.name not in known:
                raise NotFoundError(
                    f"binance has no market {symbol.name} ({self._market})",
                    why=_alike(symbol, known),
                    todo="write it as BASE/QUOTE, futures as BASE/QUOTE:SETTLE",
                )
        return [known[symbol.name] for symbol in wanted]

    async def book(self, exchange_symbol: str) -> tuple[str, bytes]:
        """The whole book as it is now: the address asked, and the reply's bytes."""
        query = urlencode({"symbol": exchange_symbol, "limit": _LEVELS})
        async with self._one_at_a_time:
            return self._address("depth", query), await self._get("depth", query)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    def _address(self, endpoint: str, query: str = "") -> str:
        return f"{self._rest}{_PREFIX[self._market]}/{endpoint}" + (f"?{query}" if query else "")

    async def _get(self, endpoint: str, query: str = "") -> bytes:
        answer = await self._http.send(Prepared("GET", self._address(endpoint, query)))
        used = answer.headers.get(_USED_WEIGHT, "")
        if used.isdecimal() and int(used) > _WEIGHT_TO_USE[self._market]:
            await asyncio.sleep(_PAUSE_S)
        if answer.status == 200:
            return answer.body
        told = _told(answer.body)
        if answer.status in (418, 429):
            wait = answer.headers.get("retry-after", "")
            raise RateLimitError(told.code, told.msg, retry_after=float(wait) if wait.isdecimal() else 60.0)
        raise ExchangeAPIError(
            told.code or answer.status, told.msg or "no message", why=f"HTTP {answer.status} to {endpoint}"
        )


def _told(body: bytes) -> _Told:
    try:
        return msgspec.json.decode(body, type=_Told)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Told()


def _alike(symbol: Symbol, known: Collection[str]) -> str:
    found = sorted(name for name in known if name.startswith(f"{symbol.base}/"))[:5]
    return f"of {symbol.base} it has {', '.join(found)}" if found else f"it has none of {symbol.base}"
