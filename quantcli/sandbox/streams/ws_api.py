"""Sessions of the websocket API: requests in, replies out, and the account's events on the same socket.

Every method that an endpoint of the table has is answered here without being named here; only what belongs
to the connection itself is: logging on, and subscribing to the account's events.
Source: binance-spot-api-docs, web-socket-api.md ("Request format", "Response format", "Session
Authentication", "User Data Stream requests").  Sans-I/O: knows nothing of sockets.

On the real exchange only Ed25519 keys can log on (`session.logon`); here the account's key is an HMAC one,
and it can.  Listen tokens (margin accounts) do not exist.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from quantcli.clock import NS_PER_MS, Clock
from quantcli.sandbox import errors
from quantcli.sandbox.dispatch import Dispatcher
from quantcli.sandbox.endpoints import Endpoint, Security
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.streams.user import Send, UserStream

# Texts of errors.md.
_BAD_JSON = (400, -1135, "Invalid JSON Request")
_NO_SUCH_METHOD = (400, -1020, "This operation is not supported.")
_NOT_LOGGED_ON = (401, -1002, "You are not authorized to execute this request.")
_ALREADY_SUBSCRIBED = (400, -2035, "User Data Stream subscription already active.")
_NOT_SUBSCRIBED = (400, -2036, "User Data Stream subscription not active.")

# What belongs to the connection: no endpoint of the table has these names.
OWN_METHODS = (
    "session.logon",
    "session.status",
    "session.logout",
    "session.subscriptions",
    "userDataStream.subscribe",
    "userDataStream.subscribe.signature",
    "userDataStream.unsubscribe",
)

# … and those of them that do not concern the account's events, which futures tell elsewhere.
SESSION_METHODS = ("session.logon", "session.status", "session.logout")

_VERSION = "v3/"
_RETRY_AFTER = "Retry-After"
_LIMITS_WISH = "returnRateLimits"


class ApiSession:
    """One connection.  `send` gets (kind of the account event, text); replies are returned.

    `query` is that of the connection's address: `returnRateLimits=false` leaves the limits out of replies.
    `exchange` is whose events can be subscribed to; `None` (on futures): nobody's.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        exchange: SandboxExchange | None,
        clock: Clock,
        send: Send,
        query: str = "",
    ) -> None:
        self._dispatcher = dispatcher
        self._exchange = exchange
        self._clock = clock
        self._send = send
        self._tells_limits = "returnRateLimits=false" not in query.split("&")
        self._connected_ms = self._now_ms()
        self._authorized_ms: int | None = None
        self._api_key: str | None = None
        self._stream: UserStream | None = None
        self._next_subscription = 0
        own: tuple[Callable[[dict[str, str]], Any], ...] = (
            self._log_on,
            self._status,
            self._log_out,
            self._subscriptions,
            self._subscribe,
            self._subscribe_signed,
            self._unsubscribe,
        )
        self._own = dict(zip(OWN_METHODS, own, strict=True))
        if exchange is None:
            self._own = {name: act for name, act in self._own.items() if name in SESSION_METHODS}

    @property
    def is_subscribed(self) -> bool:
        """The account's events are told here."""
        return self._stream is not None

    def close(self) -> None:
        """Stop telling."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def terminate(self) -> None:
        """End the account's events with `eventStreamTerminated`; the connection stays."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.terminate(self._clock.now_ns())

    def endpoint_of(self, text: str) -> tuple[str, dict[str, str]]:
        """Method and parameters of a request, as far as it can be read; nothing of it is carried out."""
        try:
            request = _parse(text)
        except ApiError:
            return "", {}
        params = request.get("params")
        told = params.items() if isinstance(params, dict) else ()
        return _method_of(request), {name: _plain(value) for name, value in told}

    def receive(self, text: str) -> str | None:
        """Carry out a request; the reply."""
        arrived_ns = self._clock.now_ns()
        request: dict[str, Any] = {}
        endpoint: Endpoint | None = None
        try:
            request = _parse(text)
            params = _params_of(request)
            method = _method_of(request)
            endpoint = self._dispatcher.endpoint_of_ws(method)
            result = self._carry_out(method, endpoint, params, arrived_ns)
            reply: dict[str, Any] = {"id": request.get("id"), "status": 200, "result": result}
        except ApiError as error:
            reply = {"id": request.get("id"), "status": error.status, "error": self._error(error)}
        if self._shall_tell_limits(request):
            counts_orders = endpoint is not None and endpoint.counts_orders > 0
            reply["rateLimits"] = self._dispatcher.rate_limits(orders=counts_orders)
        return json.dumps(reply, separators=(",", ":"))

    def _carry_out(
        self, method: str, endpoint: Endpoint | None, params: dict[str, str], arrived_ns: int
    ) -> Any:
        if own := self._own.get(method):
            return own(params)
        if endpoint is None:
            raise ApiError(*_NO_SUCH_METHOD)
        if endpoint.security is Security.SIGNED:
            self._dispatcher.authenticate_ws(params, arrived_ns, self._is_logged_on_for(params))
        elif endpoint.security is Security.KEY and not self._is_logged_on_for(params):
            self._dispatcher.check_key_ws(params)
        # Signed like any other parameter, yet no endpoint knows it.
        return self._dispatcher.run(endpoint, {k: v for k, v in params.items() if k != _LIMITS_WISH})

    def _is_logged_on_for(self, params: Mapping[str, str]) -> bool:
        """A request that names a key itself is judged by that ("Authorize ad hoc requests")."""
        return self._authorized_ms is not None and "apiKey" not in params

    # The connection's own methods.

    def _log_on(self, params: dict[str, str]) -> dict[str, Any]:
        self._dispatcher.authenticate_ws(params, self._clock.now_ns())
        self._authorized_ms, self._api_key = self._now_ms(), params["apiKey"]
        return self._status(params)

    def _log_out(self, params: dict[str, str]) -> dict[str, Any]:
        self._authorized_ms = self._api_key = None
        return self._status(params)

    def _status(self, _: dict[str, str]) -> dict[str, Any]:
        return {
            "apiKey": self._api_key,
            "authorizedSince": self._authorized_ms,
            "connectedSince": self._connected_ms,
            "returnRateLimits": self._tells_limits,
            "serverTime": self._now_ms(),
            "userDataStream": self.is_subscribed,
        }

    def _subscriptions(self, _: dict[str, str]) -> list[dict[str, Any]]:
        return [{"subscriptionId": self._stream.subscription_id}] if self._stream is not None else []

    def _subscribe(self, _: dict[str, str]) -> dict[str, Any]:
        if self._authorized_ms is None:
            raise ApiError(*_NOT_LOGGED_ON)
        return self._open_stream()

    def _subscribe_signed(self, params: dict[str, str]) -> dict[str, Any]:
        self._dispatcher.authenticate_ws(params, self._clock.now_ns())
        return self._open_stream()

    def _open_stream(self) -> dict[str, Any]:
        assert self._exchange is not None
        if self._stream is not None:
            raise ApiError(*_ALREADY_SUBSCRIBED)
        self._stream = UserStream(self._exchange, self._send, self._next_subscription)
        self._next_subscription += 1
        return {"subscriptionId": self._stream.subscription_id}

    def _unsubscribe(self, params: dict[str, str]) -> dict[str, Any]:
        wanted = params.get("subscriptionId")
        if self._stream is None or wanted not in (None, str(self._stream.subscription_id)):
            raise ApiError(*_NOT_SUBSCRIBED)
        self.close()
        return {}

    # Replies.

    def _error(self, error: ApiError) -> dict[str, Any]:
        """An error; where REST says in a header when to come back, it is data here ("IP limits")."""
        body = error.body()
        if _RETRY_AFTER in error.headers:
            now_ms = self._now_ms()
            retry_ms = now_ms + 1000 * int(error.headers[_RETRY_AFTER])
            body["data"] = {"serverTime": now_ms, "retryAfter": retry_ms}
        return body

    def _shall_tell_limits(self, request: Mapping[str, Any]) -> bool:
        params = request.get("params")
        wish = params.get(_LIMITS_WISH) if isinstance(params, dict) else None
        return self._tells_limits if wish is None else _plain(wish) == "true"

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS


def _parse(text: str) -> dict[str, Any]:
    """A request, its numbers as they are written: they are signed so.  Raises `ApiError`."""
    try:
        request = json.loads(text, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        raise ApiError(*_BAD_JSON) from None
    if not isinstance(request, dict):
        raise ApiError(*_BAD_JSON)
    if isinstance(request.get("id"), _Number):
        request["id"] = json.loads(request["id"])
    return request


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _method_of(request: Mapping[str, Any]) -> str:
    method = request.get("method")
    return method.removeprefix(_VERSION) if type(method) is str else ""


def _params_of(request: dict[str, Any]) -> dict[str, str]:
    """Parameters as texts.  Raises `ApiError` for a request that lacks what it must have."""
    if "id" not in request:
        raise errors.missing("id")
    if not _method_of(request):
        raise errors.missing("method")
    params = request.get("params") or {}
    if not isinstance(params, dict):
        raise ApiError(*_BAD_JSON)
    return {name: _plain(value) for name, value in params.items() if value is not None}


def _plain(value: Any) -> str:
    """A value as a query string would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
