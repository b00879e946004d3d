"""The table of what can be asked: name, method, path, ws-api method, weight, security, handler.

Weights and security types: binance-spot-api-docs, rest-api.md, at each endpoint; ws-api names:
web-socket-api.md.
Knows nothing of sockets, and of handlers only that they turn parameters into builtins.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from quantcli.sandbox.params import WHOLE, Params


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


class Table(msgspec.Struct, frozen=True):
    """Every endpoint of an account, and the keeper of its listen keys."""

    endpoints: tuple[Endpoint, ...]
    listen_keys: Any


def endpoint(
    method: str,
    path: str,
    ws: str,
    weight: Weight,
    security: Security,
    handler: Callable[[Params], Any],
    counts_orders: int = 0,
) -> Endpoint:
    """A row of the table."""
    return Endpoint(f"{method} {path}", method, path, ws, weight, security, counts_orders, handler)


def reading(
    path: str, ws: str, weight: Weight, security: Security, handler: Callable[[Params], Any]
) -> Endpoint:
    """A row of the table that is read with GET."""
    return endpoint("GET", path, ws, weight, security, handler)


def asked_levels(values: Mapping[str, str], steps: Sequence[tuple[int, int]], usual: int) -> int:
    """A weight by `limit`, in steps of (up to so many, weight)."""
    text = values.get("limit", "")
    asked = int(text) if re.fullmatch(WHOLE, text, re.ASCII) else usual
    return next((weight for most, weight in steps if asked <= most), steps[-1][1])
