"""A request limit of an exchange, as stated: how much of what, in which windows, told by which header.

A window is numbered since the epoch, on the exchange's clock.  Counts nothing.
"""

from typing import NamedTuple
from zlib import crc32

from quantcli.clock import NS_PER_S

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
# How much earlier or later than we think a request may reach the exchange.
_EARLY_NS = NS_PER_S // 4
_LATE_NS = NS_PER_S


class Rule(NamedTuple):
    """At most `limit` units of `kind` ("weight" or "orders") in every window of `interval_ns`."""

    kind: str
    limit: int
    interval_ns: int

    @property
    def key(self) -> int:
        """A number that every process gives this rule."""
        return crc32(f"{self.kind} {self.interval_ns}".encode())

    @property
    def header(self) -> str:
        """The header that tells how much is used (rest-api.md, IP Limits and Unfilled Order Count)."""
        seconds = self.interval_ns // NS_PER_S
        unit, length = next((u, n) for u, n in _UNITS if seconds % n == 0)
        name = "used-weight" if self.kind == "weight" else "order-count"
        return f"x-mbx-{name}-{seconds // length}{unit}"

    def windows(self, at_ns: int) -> tuple[int, ...]:
        """The windows that a request sent at this time (the exchange's) may count in, oldest first."""
        first = (at_ns - self._early_ns) // self.interval_ns
        last = (at_ns + min(_LATE_NS, self.interval_ns // 10)) // self.interval_ns
        return tuple(range(first, last + 1))

    def leaves(self, window: int) -> int:
        """When nothing that is sent can count in this window any more."""
        return (window + 1) * self.interval_ns + self._early_ns

    @property
    def _early_ns(self) -> int:
        return min(_EARLY_NS, self.interval_ns // 40)


class Usage(NamedTuple):
    """How a rule stands: `used` of `limit` in the window of `interval_s` seconds that ends in `reset_s`;
    `waiting` requests are held back for it, or for a ban."""

    kind: str
    used: int
    limit: int
    interval_s: float
    reset_s: float
    waiting: int
