"""From a call to its reply: the endpoint, the limits, who asks, the parameters, the answer.

Sans-I/O: a `Call` is a request that has arrived, a `Reply` is what goes back.  A signed request is judged
twice: by the time it arrived, and by the clock as it is carried out ("Timing security", binance-spot-api-docs
rest-api.md).  Knows nothing of HTTP libraries, of sockets or of faults.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from quantcli.clock import Clock
from quantcli.sandbox import errors
from quantcli.sandbox.endpoints import Endpoint, Security, Table
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.params import Params, read_form
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.security import (
    Keys,
    check_key,
    check_signature,
    signed_params,
    signed_text,
    validity,
)
from quantcli.sandbox.spot.table import spot_table
from quantcli.sandbox.venue_account import VenueAccount
from quantcli.sandbox.weights import Weights

# Makes the endpoints of an account.
OpenTable = Callable[[Any, PublicMarket, Weights, Clock], Table]

_JSON = {"Content-Type": "application/json;charset=UTF-8"}
_NOT_FOUND = b"<html><body><h2>404 Not found</h2></body></html>"
# ccxt signs all of these, and is answered, though some of them ask for no signature.
_LENIENT = "/sapi/"
_REPLACE = "POST /api/v3/order/cancelReplace"


class Call(msgspec.Struct, frozen=True):
    """A REST request: `query` and `body` as sent, header names in lower case, `at_ns` its arrival."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]
    at_ns: int


class Reply(msgspec.Struct, frozen=True):
    """What goes back: status, JSON body, headers."""

    status: int
    body: bytes
    headers: dict[str, str]


class Dispatcher:
    """Answers calls to one account; the one way in for REST and websocket API alike.

    `open_table` makes the endpoints; those of spot unless told otherwise.
    """

    def __init__(
        self,
        exchange: VenueAccount,
        public: PublicMarket,
        keys: Keys,
        limits: Weights,
        clock: Clock,
        open_table: OpenTable = spot_table,
    ) -> None:
        self._exchange = exchange
        self._keys = keys
        self._limits = limits
        self._clock = clock
        table = open_table(exchange, public, limits, clock)
        self.listen_keys = table.listen_keys
        self.endpoints = table.endpoints
        self._by_path = {(each.method, each.path): each for each in table.endpoints}
        self._by_ws = {each.ws: each for each in table.endpoints if each.ws}

    # REST.

    def endpoint_of(self, method: str, path: str) -> Endpoint | None:
        """The endpoint of a REST request, `None` where there is none."""
        return self._by_path.get((method, path))

    def reply(self, call: Call) -> Reply:
        """Carry out a REST request now; never raises `ApiError`."""
        endpoint = self.endpoint_of(call.method, call.path)
        if endpoint is None:
            return Reply(404, _NOT_FOUND, {"Content-Type": "text/html"})
        status, extra = 200, {}
        try:
            told = self._answer(endpoint, call)
        except ApiError as error:
            status, extra, told = error.status, error.headers, error.body()
        at_ns = self._clock.now_ns()
        limits = self._limits.headers(at_ns, orders=endpoint.counts_orders > 0)
        return Reply(status, msgspec.json.encode(told), _JSON | limits | extra)

    def _answer(self, endpoint: Endpoint, call: Call) -> Any:
        values = read_form(call.query, call.body)
        self._limits.charge(endpoint.weighs(values), self._clock.now_ns())
        params = Params(values)
        if endpoint.security is not Security.NONE:
            check_key(call.headers.get("x-mbx-apikey"), self._keys)
        if endpoint.security is Security.SIGNED:
            params.raw("signature")
            self._check_time(values, call.at_ns)
            check_signature(signed_text(call.query, call.body), values.get("signature"), self._keys)
        self._check_permissions(endpoint)
        return self._carry_out(endpoint, params)

    def _check_time(self, values: Mapping[str, Any], arrived_ns: int) -> None:
        valid = validity(values)
        valid.check_arrival(arrived_ns)
        valid.check_matching(self._clock.now_ns())

    def _check_permissions(self, endpoint: Endpoint) -> None:
        if endpoint.security is not Security.SIGNED:
            return
        may = self._exchange.permissions
        trades = endpoint.method != "GET"
        if not (may.enable_trading if trades else may.enable_reading):
            raise ApiError(*errors.KEY_REJECTED)

    def _carry_out(self, endpoint: Endpoint, params: Params) -> Any:
        """Run the handler; what it places is counted.  Cancel-replace looks at the count itself, and is
        counted even when its order is not attempted."""
        if endpoint.security is Security.SIGNED or endpoint.path.startswith(_LENIENT):
            params.skip("timestamp", "recvWindow", "signature")
        self._exchange.pass_time()
        counts, replaces = endpoint.counts_orders, endpoint.name == _REPLACE
        if not replaces:
            self._limits.check_orders(counts, self._clock.now_ns())
        try:
            told = endpoint.handler(params)
        except ApiError as error:
            if replaces and error.data is not None:
                self._limits.count_orders(counts, self._clock.now_ns())
            raise
        if counts:
            self._limits.count_orders(counts, self._clock.now_ns())
        return told

    # The websocket API.

    def endpoint_of_ws(self, method: str) -> Endpoint | None:
        """The endpoint behind a ws-api method such as `order.place`."""
        return self._by_ws.get(method)

    def authenticate_ws(self, params: Mapping[str, str], arrived_ns: int, logged_on: bool = False) -> None:
        """Check apiKey, signature, timestamp and recvWindow of a request's parameters, all texts as they were
        sent; with `logged_on` (session.logon) no key and signature are needed.  Raises `ApiError`."""
        if not logged_on:
            self.check_key_ws(params)
        self._check_time(params, arrived_ns)
        if not logged_on:
            check_signature(signed_params(params), params.get("signature"), self._keys)

    def check_key_ws(self, params: Mapping[str, str]) -> None:
        """Check the apiKey alone, for methods of security KEY.  Raises `ApiError`."""
        check_key(params.get("apiKey"), self._keys)

    def run(self, endpoint: Endpoint, params: Mapping[str, str]) -> Any:
        """Carry out a ws-api request that has been authenticated: its `result`.

        Its weight and orders are charged; what it was authenticated by may still be among `params`.  Raises
        `ApiError`.
        """
        values = {k: v for k, v in params.items() if k not in {"apiKey", "signature"}}
        self._limits.charge(endpoint.weighs(values), self._clock.now_ns())
        self._check_permissions(endpoint)
        return self._carry_out(endpoint, Params(values))

    def rate_limits(self, orders: bool = False) -> list[dict[str, Any]]:
        """The `rateLimits` of a ws-api answer: request weight, and with `orders` the order counts."""
        kinds = ("ORDERS", "REQUEST_WEIGHT") if orders else ("REQUEST_WEIGHT",)
        return self._limits.usage(self._clock.now_ns(), *kinds)
