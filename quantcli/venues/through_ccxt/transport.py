"""The one file that imports ccxt, and only when an exchange is opened: signing, addresses, market lists.

ccxt turns a call into a signed request; we send it (`http_once`).  What ccxt fetches of its own accord goes
the same way.  With an `endpoint` every address, whichever host ccxt has for it, becomes one of it, so
that no key that somebody forgot to set reaches production.

Nothing is added to what the caller asked for: no broker's client order id, no builder fee, no referrer; where
ccxt would, it is an error.  Knows no kernel and no meaning of an answer.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from yarl import URL

from quantcli.clock import NS_PER_MS, Clock
from quantcli.errors import ConfigError, ExchangeAPIError, ExchangeError, InvariantError, RateLimitError
from quantcli.venues.calls import Answer, Call, Credentials, NoAnswer
from quantcli.venues.http_once import HttpOnce, Prepared
from quantcli.venues.urls import check_endpoint

# Calls by which ccxt earns its fees with a user's key on first use (hyperliquid.py: set_ref,
# approve_builder_fee, initialize_client).
_UNWANTED = ("set_ref", "approve_builder_fee", "generate_client_order_id")
_FORBIDDEN_IN_BODY = ('"setReferrer"', '"approveBuilderFee"', '"builder"')
# What ccxt calls the types of market that we mean.
_MARKET_TYPES = {
    "spot": {"default": ["spot"]},
    "futures": {"default": ["swap"], "bybit": ["linear", "inverse"], "binance": ["linear", "inverse"]},
}
# Where ccxt has an exchange's markets apart.
_NAMES = {("kraken", "futures"): "krakenfutures"}
_OPTIONS: dict[str, Any] = {
    "fetchCurrencies": False,
    "fetchMargins": False,
    "adjustForTimeDifference": False,
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    "createMarketBuyOrderRequiresPrice": False,
    "maxRetriesOnFailure": 0,
    # Hyperliquid: as if referrer and builder had been dealt with, without either.
    "refSet": True,
    "builderFee": False,
    "approvedBuilderFee": False,
}


class CcxtTransport:
    """Signs and sends calls to one exchange, with one account's key or none."""

    def __init__(
        self,
        exchange: str,
        clock: Clock,
        credentials: Credentials | None = None,
        endpoint: str | None = None,
        market: str = "spot",
        timeout_s: float = 10.0,
    ) -> None:
        self._clock = clock
        self._server = check_endpoint(endpoint)[0] if endpoint else None
        self._http = HttpOnce(timeout_s, self._server)
        self.timestamp_ms = 0  # of the call that is being signed
        self._ccxt = _open(exchange, self, market, credentials)

    # Raw calls.

    async def ask(self, call: Call, timestamp_ms: int) -> Answer:
        """Send a call once, signed as of `timestamp_ms` by the exchange's clock.  Raises `NoAnswer`."""
        return await self._http.send(self.prepare(call, timestamp_ms))

    def prepare(self, call: Call, timestamp_ms: int) -> Prepared:
        """The request that a call becomes; what is asked for is in it, and nothing else but the signature.

        Raises `ConfigError` where the key cannot sign.
        """
        self.timestamp_ms = timestamp_ms
        try:
            signed = self._ccxt.sign(call.path, [call.section], call.method, dict(call.params))
        except (_ccxt_errors()["any"], ValueError) as error:
            raise ConfigError(
                f"{call.name} cannot be signed", why=str(error), todo="check the API key and its secret"
            ) from error
        finally:
            self.timestamp_ms = 0
        headers = {name: str(value) for name, value in (signed["headers"] or {}).items()}
        return self._checked(signed["url"], signed["method"], headers, signed["body"])

    def _checked(
        self, url: str, method: str, headers: Mapping[str, str] | None, body: str | None
    ) -> Prepared:
        if body and any(word in body for word in _FORBIDDEN_IN_BODY):
            raise InvariantError("ccxt wanted to pay itself with this account's key", why=body[:80])
        return Prepared(method, self.readdressed(url), dict(headers or {}), body)

    def readdressed(self, url: str) -> str:
        """An address on our server instead of the host that ccxt has; path and query stay."""
        if self._server is None:
            return url
        return self._server + URL(url, encoded=True).raw_path_qs

    def now_ms(self) -> int:
        """What ccxt takes for the time: the moment of the call that it signs, else our clock."""
        return self.timestamp_ms or self._clock.now_ns() // NS_PER_MS

    # What ccxt fetches and reads itself: public data only.

    async def fetch(self, url: str, method: str, headers: Any, body: str | None) -> Any:
        """Send a request of ccxt's own once; the parsed answer, errors as ccxt tells them apart."""
        answer = await self._http.send(self._checked(url, method, headers, body))
        text = answer.body.decode(errors="replace")
        try:
            parsed = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            parsed = None
        ccxt = self._ccxt
        ccxt.handle_errors(answer.status, "", url, method, answer.headers, text, parsed, headers, body)
        ccxt.handle_http_status_code(answer.status, "", url, method, text)
        return text if parsed is None else parsed

    async def unified(self, method: str, *arguments: Any) -> Any:
        """What one of ccxt's unified methods returns.

        Raises `NoAnswer`, `RateLimitError`, `ExchangeAPIError` or, for what ccxt itself does not understand,
        `ExchangeError`.
        """
        kinds = _ccxt_errors()
        try:
            return await getattr(self._ccxt, method)(*arguments)
        except kinds["rate"] as error:
            raise RateLimitError(type(error).__name__, str(error), retry_after=1.0) from error
        except kinds["network"] as error:
            raise NoAnswer(str(error), sent=True) from error
        except kinds["any"] as error:
            raise ExchangeAPIError(type(error).__name__, str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"the answer of {self._ccxt.id} to {method} cannot be read"
            raise ExchangeError(what, why=f"{type(error).__name__}: {error}") from error

    def has(self, method: str) -> bool:
        """Whether ccxt offers one of its unified methods (`fetchTime`) here."""
        return self._ccxt.has.get(method) is True

    async def markets(self) -> list[dict[str, Any]]:
        """Every market of the exchange as ccxt describes it, numbers as `Decimal`.  Raises as `unified`."""
        markets: list[dict[str, Any]] = await self.unified("fetch_markets")
        self._ccxt.set_markets(markets)
        return markets

    def addresses(self) -> list[str]:
        """Every address that ccxt knows for this exchange, before they are readdressed."""
        return sorted(_texts(self._ccxt.urls.get("api", {})))

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()


def _open(exchange: str, transport: CcxtTransport, market: str, credentials: Credentials | None) -> Any:
    """One exchange of ccxt, none of whose requests go another way than `transport`."""
    from ccxt import async_support  # noqa: PLC0415  (half a second and 100 MB: only who trades pays for it)

    kind = getattr(async_support, _NAMES.get((exchange, market), exchange), None)
    if kind is None:
        raise ConfigError(f"ccxt knows no exchange {exchange!r}")

    async def fetch(self: Any, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        return await transport.fetch(url, method, headers, body)

    async def nothing_to_approve(self: Any) -> bool:
        return True

    ours: dict[str, Any] = {
        "fetch": fetch,
        "milliseconds": lambda self: transport.now_ms(),
        "nonce": lambda self: transport.now_ms(),
        "initialize_client": nothing_to_approve,
        "handle_builder_fee_approval": nothing_to_approve,
        **{name: _refuse(name) for name in _UNWANTED},
    }
    types = _MARKET_TYPES[market]
    options = _OPTIONS | {"fetchMarkets": {"types": types.get(exchange, types["default"])}}
    settings: dict[str, Any] = {"enableRateLimit": False, "options": options}
    if credentials is not None:
        settings |= {"apiKey": credentials.api_key, "secret": credentials.secret, **credentials.extra}
    opened = type(f"Plain{exchange.capitalize()}", (kind,), ours)(settings)
    opened.number = Decimal
    return opened


def _refuse(name: str) -> Any:
    def refused(self: Any, *arguments: Any, **named: Any) -> Any:
        raise InvariantError(f"ccxt called {name}, which adds what nobody asked for")

    return refused


def _ccxt_errors() -> dict[str, Any]:
    import ccxt  # noqa: PLC0415

    return {
        "rate": (ccxt.RateLimitExceeded, ccxt.DDoSProtection),
        "network": ccxt.NetworkError,
        "any": ccxt.BaseError,
    }


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {text for each in value.values() for text in _texts(each)}
    return {value} if isinstance(value, str) else set()


# Public streams.


def pro_exchange(exchange: str, endpoint: str | None = None, markets: Collection[str] = ("spot",)) -> Any:
    """One exchange of ccxt.pro, without a key, for the public streams of `markets` (spot, futures).

    With an `endpoint` every address it has becomes one of that server.  Raises `ConfigError` for an exchange
    that ccxt has no streams of.
    """
    from ccxt import pro  # noqa: PLC0415

    kind = getattr(pro, exchange, None)
    if kind is None or exchange not in pro.exchanges:
        raise ConfigError(f"ccxt has no streams of {exchange!r}")
    types = [
        name
        for market in ("spot", "futures")
        if market in markets
        for name in _MARKET_TYPES[market].get(exchange, _MARKET_TYPES[market]["default"])
    ]
    options = _OPTIONS | {"fetchMarkets": {"types": types}, "tradesLimit": 10_000}
    opened = kind({"options": options})
    opened.has = {**opened.has, "fetchCurrencies": False}
    if endpoint is not None:
        opened.urls["api"] = _all_at(URL(check_endpoint(endpoint)[0]), opened.urls["api"])
    return opened


def ccxt_error() -> type[Exception]:
    """What every error of ccxt's is."""
    return _ccxt_errors()["any"]  # type: ignore[no-any-return]


def _all_at(origin: URL, addresses: Any) -> Any:
    """The same addresses on one server: requests and sockets keep their kind and their path."""
    if isinstance(addresses, dict):
        return {name: _all_at(origin, each) for name, each in addresses.items()}
    if not isinstance(addresses, str):
        return addresses
    scheme, _, rest = addresses.partition("://")
    secure = "s" if origin.scheme == "https" else ""
    kind = ("ws" if scheme.startswith("ws") else "http") + secure
    return f"{kind}://{origin.authority}" + "".join(rest.partition("/")[1:])
