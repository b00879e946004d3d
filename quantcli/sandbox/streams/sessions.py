"""Sessions of the market streams: what a client is subscribed to on one socket, and what it is told.

    /ws/<stream>/<stream>         raw texts
    /ws                           nothing yet, then SUBSCRIBE
    /stream?streams=<a>/<b>       texts in a frame {"stream":…,"data":…}
    /stream                       likewise, then SUBSCRIBE
    /private/ws?listenKey=<key>   the account's events (futures)

Source: binance-spot-api-docs, web-socket-streams.md ("General WSS information", "Live
Subscribing/Unsubscribing to streams", "Error Messages").  Names that mean nothing are accepted and stay
silent, as on the real exchange.  Sans-I/O: knows nothing of sockets.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import unquote

from quantcli.model.market import MarketEvent
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.streams.shapes import micros, millis
from quantcli.sandbox.streams.sources import MarketStreams, Source, open_source

# What is sent as the answer to a request, among the names of streams.
REPLY = "reply"

Send = Callable[[str, str], None]
# Opens the account's own stream under a listen key; what closes it, or `None` if the key is none.
OpenAccount = Callable[[str, Callable[[str, str], None]], Callable[[], None] | None]

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_MAX_STREAMS = 1024
_NAME = re.compile(r"[\w!@.:+-]+")
_ID = re.compile(r"[A-Za-z0-9_-]{0,36}")
_INT64 = 1 << 63


class _BadRequest(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class MarketSession:
    """One socket's subscriptions; hears the market from its making until `close`.

    `path` and `query` (undecoded) are those of the connection.  `send` gets (name of the stream or `REPLY`,
    text).  `open_account` is asked about names that could be listen keys; the others are streams of
    a `kind` of markets, those of spot unless told otherwise.
    """

    def __init__(
        self,
        public: PublicMarket,
        path: str,
        query: str,
        send: Send,
        open_account: OpenAccount | None = None,
        kind: type[MarketStreams] = MarketStreams,
    ) -> None:
        self._public = public
        self._kind = kind
        self._send = send
        self._open_account = open_account
        values = dict(part.partition("=")[::2] for part in query.split("&"))
        self._stamp = micros if values.get("timeUnit", "").upper() == "MICROSECOND" else millis
        self.combined, names = _target(path, unquote(values.get("streams", "")))
        if "listenKey" in values:
            names.append(values["listenKey"])
        self._names: dict[str, Source | None] = {}
        self._accounts: dict[str, Callable[[], None]] = {}
        self._told: dict[tuple[type, str], list[tuple[str, Source]]] = {}
        self._subscribe(names)
        public.listeners.append(self._see)

    @property
    def names(self) -> Collection[str]:
        """The streams subscribed to, in order."""
        return self._names.keys()

    def close(self) -> None:
        """Stop listening."""
        if self._see in self._public.listeners:
            self._public.listeners.remove(self._see)
        self._unsubscribe(list(self._names))

    def receive(self, text: str) -> None:
        """Carry out a request and send the answer."""
        request_id: Any = None
        try:
            request = _parse(text)
            request_id = _id_of(request)
            answer: dict[str, Any] = {"result": self._carry_out(request), "id": request_id}
        except _BadRequest as error:
            answer = {"error": {"code": error.code, "msg": error.message}}
            if request_id is not None:
                answer["id"] = request_id
        self._send(REPLY, json.dumps(answer, separators=(",", ":")))

    def _see(self, event: MarketEvent) -> None:
        for name, source in self._told.get((type(event), event.symbol), ()):
            for text in source.tell(event):
                self._push(name, text)

    def _push(self, name: str, text: str) -> None:
        self._send(name, f'{{"stream":"{name}","data":{text}}}' if self.combined else text)

    def _carry_out(self, request: dict[str, Any]) -> Any:
        method, params = request["method"], request.get("params")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._names)
        if method in {"SET_PROPERTY", "GET_PROPERTY"}:
            return self._property(method, params)
        names = _stream_names(params)
        if method == "UNSUBSCRIBE":
            self._unsubscribe(names)
            return None
        if len(self._names.keys() | set(names)) > _MAX_STREAMS:
            raise _BadRequest(2, "Invalid request: too many subscriptions")
        self._subscribe(names)
        return None

    def _property(self, method: str, params: Any) -> Any:
        if not isinstance(params, list) or not params or not isinstance(params[0], str):
            raise _BadRequest(2, "Invalid request: property name must be a string")
        if len(params) > (2 if method == "SET_PROPERTY" else 1):
            raise _BadRequest(2, "Invalid request: too many parameters")
        if params[0] != "combined":
            raise _BadRequest(0, "Unknown property")
        if method == "GET_PROPERTY":
            return self.combined
        if len(params) < 2 or not isinstance(params[1], bool):
            raise _BadRequest(1, "Invalid value type: expected Boolean")
        self.combined = params[1]
        return None

    def _subscribe(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._names:
                self._names[name] = open_source(name, self._public, self._stamp, self._kind)
                self._open(name)
        self._index()

    def _open(self, name: str) -> None:
        """Open the account's stream, if the name is its key."""
        if self._open_account is None or "@" in name:
            return

        def push(kind: str, text: str) -> None:
            self._send(kind, f'{{"stream":"{name}","data":{text}}}' if self.combined else text)

        closer = self._open_account(name, push)
        if closer is not None:
            self._accounts[name] = closer

    def _unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            self._names.pop(name, None)
            if closer := self._accounts.pop(name, None):
                closer()
        self._index()

    def _index(self) -> None:
        """Which streams an event of a kind in a market concerns."""
        told: dict[tuple[type, str], list[tuple[str, Source]]] = {}
        for name, source in self._names.items():
            if source is not None:
                for kind in source.kinds:
                    for symbol in source.symbols:
                        told.setdefault((kind, symbol), []).append((name, source))
        self._told = told


def _target(path: str, streams: str) -> tuple[bool, list[str]]:
    """Whether texts come in frames, and the streams that the address names.

    Clients put things before (`/market/ws/…`) and between (`/stream/ws/…`): the last of the two words counts.
    """
    parts = [unquote(part) for part in path.split("/") if part]
    if "ws" in parts:
        at = len(parts) - 1 - parts[::-1].index("ws")
        return False, parts[at + 1 :]
    return True, [name for name in streams.split("/") if name]


def _parse(text: str) -> dict[str, Any]:
    try:
        request = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"Invalid JSON: expected value at line {error.lineno} column {error.colno}"
        raise _BadRequest(3, message) from None
    if not isinstance(request, dict):
        raise _BadRequest(2, "Invalid request: expected an object")
    return request


def _id_of(request: dict[str, Any]) -> Any:
    """The id of a request whose method is known: an integer of 64 bits, a short text, or null."""
    request_id = request.get("id")
    is_number = (
        isinstance(request_id, int) and not isinstance(request_id, bool) and -_INT64 <= request_id < _INT64
    )
    is_text = isinstance(request_id, str) and _ID.fullmatch(request_id)
    if "id" not in request or not (request_id is None or is_number or is_text):
        raise _BadRequest(2, "Invalid request: request ID must be an unsigned integer")
    if "method" not in request:
        raise _BadRequest(2, f"Invalid request: missing field `method` at {_end_of(request)}")
    if request["method"] not in _METHODS:
        expected = ", ".join(f"`{name}`" for name in _METHODS)
        raise _BadRequest(
            2,
            f"Invalid request: unknown variant `{request['method']}`, expected one of {expected} "
            f"at {_end_of(request)}",
        )
    return request_id


def _end_of(request: dict[str, Any]) -> str:
    return f"line 1 column {len(json.dumps(request, separators=(',', ':')))}"


def _stream_names(params: Any) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise _BadRequest(2, "Invalid request: expected a list of stream names")
    if not all(_NAME.fullmatch(name) for name in params):
        raise _BadRequest(2, "Invalid request: invalid stream")
    return params
