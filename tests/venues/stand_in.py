"""A few of Binance's endpoints on a raw socket, hand-written, so that every byte of an answer can go wrong.

It verifies signatures, knows orders by client order id, fills nothing by itself, and counts what arrives.
`fail("POST /api/v3/order", fault)` lets the next such call go wrong once, before or after it was carried out.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import struct
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY, SECRET = "key-of-the-account", "secret-of-the-account"

FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
]
LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
]


class Refusal(Exception):
    """An error answer of the exchange."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Fault:
    """What happens to one call.  `is_applied`: it is carried out before it goes wrong."""

    def __init__(self, act: Callable[["Wire", bytes], Any], is_applied: bool = False) -> None:
        self.act, self.is_applied = act, is_applied


class Wire:
    """One connection, as a fault sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close so that the other side sees RST."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def answer(
    status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# Faults.


def closed(is_applied: bool) -> Fault:
    return Fault(lambda wire, good: wire.close(), is_applied)


def reset(is_applied: bool) -> Fault:
    return Fault(lambda wire, good: wire.reset(), is_applied)


def held(is_applied: bool) -> Fault:
    """No answer, and the connection stays."""
    return Fault(lambda wire, good: None, is_applied)


def told(status: int, body: bytes | str, is_applied: bool = False, **headers: str) -> Fault:
    text = body if isinstance(body, bytes) else body.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(lambda wire, good: wire.writer.write(answer(status, text, named)), is_applied)


def error(status: int, code: int, message: str, is_applied: bool = False, **headers: str) -> Fault:
    return told(status, json.dumps({"code": code, "msg": message}), is_applied, **headers)


def cut(keep: int) -> Fault:
    """The good answer announced whole, and only its beginning sent."""

    def act(wire: Wire, good: bytes) -> None:
        wire.writer.write(answer(200, good[:keep], length=len(good)))
        wire.writer.close()

    return Fault(act, True)


def dripping(pause_s: float) -> Fault:
    """The good answer, one byte at a time."""

    async def act(wire: Wire, good: bytes) -> None:
        for byte in answer(200, good):
            wire.writer.write(bytes([byte]))
            await asyncio.sleep(pause_s)

    return Fault(act, True)


def late(seconds: float) -> Fault:
    async def act(wire: Wire, good: bytes) -> None:
        await asyncio.sleep(seconds)
        wire.writer.write(answer(200, good))

    return Fault(act, True)


class StandIn:
    """The server; `endpoint` is where it listens."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.orders: dict[int, dict[str, Any]] = {}
        self.trades: list[dict[str, Any]] = []
        self.balances = {"BTC": [Decimal(2), Decimal(0)], "USDT": [Decimal(100_000), Decimal(0)]}
        self.account = {"canTrade": True, "canWithdraw": True, "canDeposit": True}
        self.restrictions: dict[str, Any] | None = {
            "ipRestrict": True,
            "enableReading": True,
            "enableSpotAndMarginTrading": True,
            "enableWithdrawals": False,
        }
        self.headers: dict[str, str] = {}
        self.limits: list[dict[str, Any]] = LIMITS
        self.has_streams = True
        self.was_called = asyncio.Event()
        self.on_call: Callable[[str], None] = lambda name: None
        self.endpoint = ""
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def fail(self, name: str, *faults: Fault) -> None:
        """Let the next calls of this name go wrong, in turn."""
        self._faults[name] += faults

    def count(self, name: str) -> int:
        """How often it was called."""
        return sum(called == name for called, _ in self.calls)

    def last(self, name: str) -> dict[str, str]:
        return next(params for called, params in reversed(self.calls) if called == name)

    # Connections.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(Wire(reader, writer)):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, wire: Wire) -> bool:
        head = (await wire.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = (await wire.reader.readexactly(int(headers.get("content-length", 0)))).decode()
        if headers.get("upgrade") == "websocket" and self.has_streams:
            await self._stream(wire, _key_of(head))
            return False
        parts = urlsplit(target)
        name = f"{method} {parts.path}"
        params = dict(parse_qsl(parts.query)) | dict(parse_qsl(body))
        self.calls.append((name, params))
        self.was_called.set()
        self.on_call(name)
        fault = self._faults[name].pop(0) if self._faults[name] else None
        good = b""
        if fault is None or fault.is_applied:
            status, good = self._answered(name, params, parts.query + body, head, headers)
        if fault is None:
            wire.writer.write(answer(status, good, self.headers))
        elif (doing := fault.act(wire, good)) is not None:
            await doing
        return not wire.writer.is_closing()

    def _answered(
        self, name: str, params: dict[str, str], signed: str, head: list[str], headers: dict[str, str]
    ) -> tuple[int, bytes]:
        try:
            if "signature" in params:
                self._check(params, signed, headers.get("x-mbx-apikey", ""))
            handler = getattr(self, f"_{_method_of(name)}", None)
            if handler is None:
                raise Refusal(404, -1, "no such endpoint")
            return 200, json.dumps(handler(params)).encode()
        except Refusal as refusal:
            return refusal.status, json.dumps({"code": refusal.code, "msg": refusal.message}).encode()

    def _check(self, params: dict[str, str], text: str, key: str) -> None:
        payload, _, signature = text.rpartition("&signature=")
        if hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest() != signature:
            raise Refusal(400, -1022, "Signature for this request is not valid.")
        if key != KEY.lower():
            raise Refusal(401, -2015, "Invalid API-key, IP, or permissions for action.")
        age = self.now_ms() - int(params["timestamp"])
        if age > int(params["recvWindow"]) or age < -1000:
            raise Refusal(400, -1021, "Timestamp for this request is outside of the recvWindow.")

    async def _stream(self, wire: Wire, key: str) -> None:
        """A private stream that is subscribed to and never tells anything (RFC 6455, by hand)."""
        magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
        lines = [
            "HTTP/1.1 101 X",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        ]
        wire.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        _, length = await wire.reader.readexactly(2)
        size = length & 127
        if size == 126:
            size = int.from_bytes(await wire.reader.readexactly(2), "big")
        mask, text = await wire.reader.readexactly(4), await wire.reader.readexactly(size)
        asked = json.loads(bytes(byte ^ mask[n % 4] for n, byte in enumerate(text)))
        reply = json.dumps({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}).encode()
        wire.writer.write(bytes([0x81, len(reply)]) + reply)
        await wire.reader.read()

    # Endpoints.

    def _get_ping(self, params: dict[str, str]) -> Any:
        return {}

    def _get_time(self, params: dict[str, str]) -> Any:
        return {"serverTime": self.now_ms()}

    def _get_exchangeinfo(self, params: dict[str, str]) -> Any:
        if set(json.loads(params.get("symbols", "[]"))) - {"BTCUSDT"}:
            raise Refusal(400, -1121, "Invalid symbol.")
        market = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
        return {"rateLimits": self.limits, "symbols": [{**market, "filters": FILTERS}]}

    def _get_depth(self, params: dict[str, str]) -> Any:
        return {"lastUpdateId": 7, "bids": [["100.00", "1.5"]], "asks": [["100.01", "2.0"], ["100.02", "1"]]}

    def _get_trades(self, params: dict[str, str]) -> Any:
        trade = {"price": "100.00", "qty": "0.5", "quoteQty": "50", "time": self.now_ms()}
        return [trade | {"id": 9, "isBuyerMaker": True}, trade | {"id": 10, "isBuyerMaker": False}]

    def _get_account(self, params: dict[str, str]) -> Any:
        held = [
            {"asset": asset, "free": str(free), "locked": str(locked)}
            for asset, (free, locked) in self.balances.items()
        ]
        return {**self.account, "balances": held}

    def _get_apirestrictions(self, params: dict[str, str]) -> Any:
        if self.restrictions is None:
            raise Refusal(404, -1, "no such endpoint")
        return self.restrictions

    def _post_order(self, params: dict[str, str]) -> Any:
        return self._entered(params, params["type"], params["newClientOrderId"], params) | {"fills": []}

    def _post_oco(self, params: dict[str, str]) -> Any:
        reports = []
        for where in ("above", "below"):
            terms = {"price": params.get(f"{where}Price"), "stopPrice": params.get(f"{where}StopPrice")}
            name = params[f"{where}ClientOrderId"]
            order = self._entered(params, params[f"{where}Type"], name, terms)
            reports.append(order)
        return {"orderListId": 1, "orderReports": reports}

    def _entered(self, params: dict[str, str], kind: str, name: str, terms: dict[str, Any]) -> dict[str, Any]:
        if any(o["clientOrderId"] == name and o["status"] == "NEW" for o in self.orders.values()):
            raise Refusal(400, -2010, "Duplicate order sent.")
        number = len(self.orders) + 1
        self.orders[number] = {
            "symbol": params["symbol"],
            "orderId": number,
            "orderListId": -1,
            "clientOrderId": name,
            "price": terms.get("price") or "0.00000000",
            "stopPrice": terms.get("stopPrice") or "0.00000000",
            "origQty": params["quantity"],
            "executedQty": "0.00000000",
            "cummulativeQuoteQty": "0.00000000",
            "status": "NEW",
            "timeInForce": params.get("timeInForce", "GTC"),
            "type": kind,
            "side": params["side"],
            "time": self.now_ms(),
            "updateTime": self.now_ms(),
        }
        return self.orders[number] | {"transactTime": self.now_ms()}

    def fill(self, number: int, qty: str, price: str = "100.00") -> None:
        """Let an order trade."""
        order = self.orders[number]
        done = Decimal(order["executedQty"]) + Decimal(qty)
        order["executedQty"] = str(done)
        is_full = done == Decimal(order["origQty"])
        order["status"] = "FILLED" if is_full else "PARTIALLY_FILLED"
        self.trade(number, order["symbol"], qty, price, order["side"] == "BUY")

    def trade(self, number: int, symbol: str, qty: str, price: str, is_buyer: bool, at_ms: int = 0) -> None:
        """Add to the list of trades."""
        self.trades.append(
            {
                "symbol": symbol,
                "id": len(self.trades) + 100,
                "orderId": number,
                "price": price,
                "qty": qty,
                "quoteQty": "0",
                "commission": "0.001",
                "commissionAsset": "BNB",
                "time": at_ms or self.now_ms(),
                "isBuyer": is_buyer,
                "isMaker": True,
                "isBestMatch": True,
            }
        )

    def _find(self, params: dict[str, str]) -> dict[str, Any]:
        named = [o for o in self.orders.values() if o["clientOrderId"] == params["origClientOrderId"]]
        if not named:
            raise Refusal(400, -2013, "Order does not exist.")
        return named[-1]

    def _get_order(self, params: dict[str, str]) -> Any:
        return self._find(params)

    def _delete_order(self, params: dict[str, str]) -> Any:
        try:
            order = self._find(params)
        except Refusal:
            order = {"status": ""}
        if order["status"] not in ("NEW", "PARTIALLY_FILLED"):
            raise Refusal(400, -2011, "Unknown order sent.")
        order["status"] = "CANCELED"
        return self._cancelled(order)

    def _cancelled(self, order: dict[str, Any]) -> dict[str, Any]:
        names = {"origClientOrderId": order["clientOrderId"], "clientOrderId": "cancel1"}
        return order | names | {"transactTime": self.now_ms()}

    def _delete_openorders(self, params: dict[str, str]) -> Any:
        open_orders = [o for o in self.orders.values() if o["status"] in ("NEW", "PARTIALLY_FILLED")]
        if not open_orders:
            raise Refusal(400, -2011, "Unknown order sent.")
        for order in open_orders:
            order["status"] = "CANCELED"
        return [self._cancelled(order) for order in open_orders]

    def _put_keeppriority(self, params: dict[str, str]) -> Any:
        try:
            order = self._find(params)
        except Refusal:
            raise Refusal(400, -2038, "Unknown order sent.") from None
        if Decimal(params["newQty"]) > Decimal(order["origQty"]):
            raise Refusal(400, -2038, "Order amend (quantity increase) is not supported.")
        order["origQty"] = params["newQty"]
        order["clientOrderId"] = params.get("newClientOrderId", "random")
        amended = {key: value for key, value in order.items() if key != "origQty"}
        return {
            "transactTime": self.now_ms(),
            "executionId": 5,
            "amendedOrder": amended
            | {"qty": order["origQty"], "origClientOrderId": params["origClientOrderId"]},
        }

    def _get_openorders(self, params: dict[str, str]) -> Any:
        return [o for o in self.orders.values() if o["status"] in ("NEW", "PARTIALLY_FILLED")]

    def _get_mytrades(self, params: dict[str, str]) -> Any:
        found = [trade for trade in self.trades if trade["symbol"] == params["symbol"]]
        if "fromId" in params:
            assert "startTime" not in params
            found = [trade for trade in found if trade["id"] >= int(params["fromId"])]
        if "orderId" in params:
            found = [trade for trade in found if trade["orderId"] == int(params["orderId"])]
        if "startTime" in params:
            start, end = int(params["startTime"]), int(params["endTime"])
            if end - start > 86_400_000:
                raise Refusal(400, -1127, "More than 24 hours between startTime and endTime.")
            found = [trade for trade in found if start <= trade["time"] <= end]
        return found[: int(params["limit"])]


def _key_of(head: list[str]) -> str:
    (line,) = [line for line in head if line.lower().startswith("sec-websocket-key: ")]
    return line.split(": ")[1]


def _method_of(name: str) -> str:
    method, path = name.lower().split(" ")
    return f"{method}_{path.rpartition('/')[2]}"
