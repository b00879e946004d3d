"""The table of what can be asked: name, method, path, ws-api method, weight, security, handler.

Weights and security types: binance-spot-api-docs, rest-api.md, at each endpoint; ws-api names:
web-socket-api.md.
Knows nothing of sockets, and of handlers only that they turn parameters into builtins.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from quantcli.sandbox.params import Params


class Security(Enum):
    """What a request has to prove: nothing, that it has the key, that it has the secret."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


Weight = int | Callable[[Mapping[str, str]], int]


class Endpoint(msgspec.Struct, frozen=True):
    """One thing that can be asked.

    `name` is "POST /api/v3/order"; `ws` is its ws-api method, empty where there is none.  `counts_orders` is
    how many orders it adds to the account's unfilled order count.
    """

    name: str
    method: str
    path: str
    ws: str
    weight: Weight
    security: Security
    counts_orders: int
    handler: Callable[[Params], Any]

    def weighs(self, params: Mapping[str, str]) -> int:
        """Its weight with these parameters."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)
