"""Where exchanges are: production addresses, and what an `--endpoint` makes of them.

An endpoint is another server that speaks the same protocol, mostly on this machine.  Its address replaces
scheme, host and port, and every path stays as in production.  Knows no messages.
"""

from urllib.parse import urlsplit

import msgspec

from quantcli.errors import ConfigError
from quantcli.model.instrument import Symbol

_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


class Urls(msgspec.Struct, frozen=True):
    """Addresses of one exchange and kind of market.

    `rest` is the server, without a path; `stream` combined market streams; `private` the account's stream or
    the socket that it is subscribed on.  `slow_stream` is for the streams that are not of the order book
    and its trades, where an exchange serves these elsewhere; else it is `stream` too.
    """

    rest: str
    stream: str
    private: str
    slow_stream: str


# Binance Spot API docs, "General API Information", "WebSocket Streams", "WebSocket API"; USDⓈ-M Futures,
# "Important WebSocket Change Notice" (public, market and private routes since 2026-04-23); COIN-M Futures,
# "General Info", "Websocket Market Streams", "User Data Streams".
_BINANCE = {
    "spot": Urls(
        "https://api.binance.com",
        "wss://stream.binance.com:9443/stream",
        "wss://ws-api.binance.com:443/ws-api/v3",
        "wss://stream.binance.com:9443/stream",
    ),
    "usdm": Urls(
        "https://fapi.binance.com",
        "wss://fstream.binance.com/public/stream",
        "wss://fstream.binance.com/private/ws",
        "wss://fstream.binance.com/market/stream",
    ),
    "coinm": Urls(
        "https://dapi.binance.com",
        "wss://dstream.binance.com/stream",
        "wss://dstream.binance.com/ws",
        "wss://dstream.binance.com/stream",
    ),
}
_MARKETS = {"binance": _BINANCE}


def urls(exchange: str, market: str = "spot", endpoint: str | None = None) -> Urls:
    """The addresses of an exchange's market (`spot`, `usdm`, `coinm`; `futures` is `usdm`).

    Only exchanges that are spoken to directly have any here; raises `ConfigError` for others, and for an
    endpoint that is no address.
    """
    found = _MARKETS.get(exchange, {}).get("usdm" if market == "futures" else market)
    if found is None:
        raise ConfigError(f"no addresses are known of {exchange} {market}")
    if endpoint is None:
        return found
    server, sockets = check_endpoint(endpoint)
    return Urls(
        server,
        *(sockets + urlsplit(url).path for url in (found.stream, found.private, found.slow_stream)),
    )


def check_endpoint(endpoint: str) -> tuple[str, str]:
    """An endpoint's address for requests and for sockets, both without a path.  Raises `ConfigError`."""
    try:
        parts = urlsplit(endpoint)
        told = parts.hostname and (parts.port or True)
    except ValueError:
        told = None
    if not told or parts.scheme not in _SOCKET_SCHEMES or parts.path.strip("/") or parts.query:
        raise ConfigError(
            f"{endpoint!r} is no endpoint",
            why="an endpoint is a server: scheme, host and port, without a path",
            todo="write it like http://127.0.0.1:8080 or https://localhost:8443",
        )
    return f"{parts.scheme}://{parts.netloc}", f"{_SOCKET_SCHEMES[parts.scheme]}://{parts.netloc}"


def market_of(symbol: Symbol) -> str:
    """The kind of market that Binance trades a symbol on: `spot`, `usdm` or `coinm`."""
    if not symbol.is_futures:
        return "spot"
    return "coinm" if symbol.settle == symbol.base else "usdm"
