"""A client of Binance's REST and websocket APIs as short as it can be: signs, sends once, hides nothing."""

import hmac
import time
from hashlib import sha256
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp

from tests.loopback import Controls


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Client:
    """Sends requests of the account of a sandbox; an answer is (status, what its JSON says or its text)."""

    def __init__(self, exchange: Controls, timeout_s: float = 10.0) -> None:
        self.exchange = exchange
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(timeout=self._timeout)
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for socket in self._sockets:
            await socket.close()
        await self.http.close()

    async def connect(self, path: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """A websocket, closed at the end, whatever has become of it."""
        patience = aiohttp.ClientWSTimeout(ws_close=0.1)
        socket = await self.http.ws_connect(self.exchange.ws_url + path, timeout=patience, **options)
        self._sockets.append(socket)
        return socket

    def signature(self, text: str) -> str:
        return hmac.new(self.exchange.secret.encode(), text.encode(), sha256).hexdigest()

    async def public(self, path: str, **params: Any) -> tuple[int, Any]:
        return await self._request("GET", f"{path}?{urlencode(params)}", {})

    async def signed(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        params.setdefault("timestamp", now_ms())
        text = urlencode(params)
        query = f"{text}&signature={self.signature(text)}"
        return await self._request(method, f"{path}?{query}", {"X-MBX-APIKEY": self.exchange.key})

    async def _request(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        async with self.http.request(method, self.exchange.url + path, headers=headers) as answer:
            if answer.content_type == "application/json" and await answer.read():
                return answer.status, await answer.json()
            return answer.status, await answer.text()

    async def place(self, name: str = "one", **terms: Any) -> tuple[int, Any]:
        """A limit buy far below the market, under this client order id, unless told otherwise."""
        usual = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "price": "50000",
        }
        if terms.get("type") == "MARKET":
            usual = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"}
        return await self.signed("POST", "/api/v3/order", **(usual | terms), newClientOrderId=name)

    async def cancel(self, name: str = "one") -> tuple[int, Any]:
        return await self.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=name)

    async def order(self, name: str = "one") -> tuple[int, Any]:
        return await self.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=name)

    def ws_signed(self, **params: Any) -> dict[str, Any]:
        """Parameters of a signed request of the websocket API."""
        params = {"apiKey": self.exchange.key, "timestamp": now_ms(), **params}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return params | {"signature": self.signature(text)}

    async def account_events(self) -> aiohttp.ClientWebSocketResponse:
        """A connection on which the account's events arrive."""
        socket = await self.connect("/ws-api/v3")
        request = {"id": 1, "method": "userDataStream.subscribe.signature", "params": self.ws_signed()}
        await socket.send_json(request)
        assert (await socket.receive_json())["status"] == 200
        return socket
