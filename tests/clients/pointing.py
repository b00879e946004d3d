"""How each client is pointed at a sandbox, and what tests of all clients share: patience and the true state.

The clients are as their authors published them: addresses go in by the ways they offer (constructor, class
attributes, the HTTP session), and nothing else of them is changed.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

import aiohttp
import ccxt
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.loopback import Controls

PATIENCE_S = 30.0
# Only spot is served: what else ccxt asks for as it loads would be asked in vain.
CCXT_OPTIONS = {"fetchMarkets": {"types": ["spot"]}}

_CCXT_PATHS = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
}


def ccxt_settings(exchange: Controls, **more: Any) -> dict[str, Any]:
    """Arguments of a ccxt exchange: every address leads here, none outside."""
    nowhere = dict.fromkeys(ccxt.binance().urls["api"], exchange.url + "/nowhere")
    rest = {name: exchange.url + path for name, path in _CCXT_PATHS.items()}
    stream, requests = exchange.ws_url + "/stream/ws", exchange.ws_url + "/ws-api/v3"
    sockets = {"spot": stream, "margin": stream, "ws-api": {"spot": requests}}
    settings = ccxt_account(exchange) | {"urls": {"api": nowhere | rest | {"ws": sockets}}}
    options = settings.pop("options") | more.pop("options", {})
    return settings | {"options": options} | more


def ccxt_account(exchange: Controls) -> dict[str, Any]:
    """Arguments of a ccxt exchange without its addresses."""
    return {
        "apiKey": exchange.key,
        "secret": exchange.secret,
        "enableRateLimit": False,
        "options": dict(CCXT_OPTIONS),
    }


class HereResolver(AbstractResolver):
    """Every name is this machine, whatever port was asked for."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The one answer."""
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": self._port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self) -> None:
        """Nothing was opened."""


def session_that_trusts(exchange: Controls) -> aiohttp.ClientSession:
    """A session in which every host is the sandbox's TLS port, and only its authority is trusted."""
    trust = ssl.create_default_context(cafile=exchange.told["ca"])
    port = int(exchange.told["tls_url"].rpartition(":")[2])
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=HereResolver(port), ssl=trust))


async def result(value: Any) -> Any:
    """A client's answer, be it asynchronous or not."""
    return await value if isawaitable(value) else value


async def soon(awaitable: Awaitable[Any]) -> Any:
    """Wait, but not for ever."""
    return await asyncio.wait_for(awaitable, PATIENCE_S)


async def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  of another program, which sets no event here
            await asyncio.sleep(0.02)


def order_of(exchange: Controls, order_id: Any) -> Mapping[str, Any]:
    """An order as it really stands."""
    (found,) = [order for order in exchange.orders() if str(order["order_id"]) == str(order_id)]
    return found


def balance_of(exchange: Controls, asset: str) -> Mapping[str, str]:
    """What of an asset is really there."""
    found: Mapping[str, str] = exchange.truth()["balances"][asset]
    return found


def stand_still(exchange: Controls) -> None:
    """Let no more market data come; the step that is under way may."""
    exchange.feed(speed=0.0001)


def use_up_the_weight(exchange: Controls) -> None:
    """Use up the request weight of a minute that has only just begun."""
    now_ms = exchange.truth()["server_time_ms"]
    exchange.jump((60_000 - now_ms % 60_000) / 1000 + 1)
    exchange.ask("POST", "weight", {"weight": 6_000})
