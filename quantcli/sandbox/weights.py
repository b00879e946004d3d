"""Limits: request weight, raw requests and orders, in fixed intervals; who goes on after a 429 is banned.

Source: binance-spot-api-docs, rest-api.md, "LIMITS" (headers, 429, 418, Retry-After) and "Spot Unfilled Order
Count Rules" (intervals are aligned to the clock; an order's first fill takes one off the counts).  How many
requests after a 429 bring a ban, and for how long the first one lasts (two minutes), is not all written
down: `patience` stands for it.  Is told what time it is.
"""

from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.sandbox import errors

_SECONDS = {"SECOND": 1, "MINUTE": 60, "DAY": 86_400}


class Rule(msgspec.Struct, frozen=True):
    """At most `limit` of a kind in `number` intervals."""

    kind: str
    interval: str
    number: int
    limit: int

    @property
    def span_ns(self) -> int:
        """Length of its interval."""
        return _SECONDS[self.interval] * self.number * NS_PER_S

    @property
    def spelt(self) -> str:
        """As error texts name the interval: `1 MINUTE`."""
        return f"{self.number} {self.interval}"

    @property
    def suffix(self) -> str:
        """As headers name the interval: `1M`."""
        return f"{self.number}{self.interval[0]}"

    def json(self) -> dict[str, Any]:
        """As exchangeInfo lists it."""
        return {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.number,
            "limit": self.limit,
        }


RULES = (
    Rule("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
    Rule("ORDERS", "SECOND", 10, 100),
    Rule("ORDERS", "DAY", 1, 200_000),
    Rule("RAW_REQUESTS", "MINUTE", 5, 61_000),
)


class _Counter:
    """What was used of one rule in its present interval."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._interval = -1
        self._used = 0

    def used(self, at_ns: int) -> int:
        interval = at_ns // self.rule.span_ns
        if interval != self._interval:
            self._interval, self._used = interval, 0
        return self._used

    def add(self, count: int, at_ns: int) -> None:
        self._used = max(0, self.used(at_ns) + count)

    def retry_s(self, at_ns: int) -> int:
        """Whole seconds until the interval ends."""
        return -(-(self.rule.span_ns - at_ns % self.rule.span_ns) // NS_PER_S)


class Weights:
    """Counts of the one address and account there is.

    `patience` requests are answered 429 in one interval, and the next 418; bans last `ban_s`, then twice as
    long, up to three days.  "IP Limits".
    """

    def __init__(self, rules: tuple[Rule, ...] = RULES, patience: int = 20, ban_s: int = 120) -> None:
        self.rules = rules
        self._counters = [_Counter(rule) for rule in rules]
        self._patience = patience
        self._next_ban_s = ban_s
        self._ignored = 0
        self._limited_until_ns = 0
        self._banned_until_ns = 0

    def charge(self, weight: int, at_ns: int) -> None:
        """Count a request.  Raises `ApiError` (429, 418)."""
        self._check_ban(at_ns)
        for counter in self._of("RAW_REQUESTS", "REQUEST_WEIGHT"):
            rule = counter.rule
            counter.add(1 if rule.kind == "RAW_REQUESTS" else weight, at_ns)
            if counter.used(at_ns) > rule.limit:
                self._refuse(counter, at_ns)

    def _check_ban(self, at_ns: int) -> None:
        if at_ns < self._banned_until_ns:
            left_s = -(-(self._banned_until_ns - at_ns) // NS_PER_S)
            raise errors.banned(self._banned_until_ns // NS_PER_MS, left_s)

    def _refuse(self, counter: _Counter, at_ns: int) -> None:
        if at_ns >= self._limited_until_ns:
            self._ignored = 0
        self._ignored += 1
        retry_s = counter.retry_s(at_ns)
        self._limited_until_ns = at_ns + retry_s * NS_PER_S
        if self._ignored > self._patience:
            self.ban(self._next_ban_s, at_ns)
            self._next_ban_s = min(2 * self._next_ban_s, 3 * 86_400)
            self._ignored = 0
            self._check_ban(at_ns)
        raise errors.too_heavy(counter.rule.limit, counter.rule.spelt, retry_s)

    def ban(self, seconds: int, at_ns: int) -> None:
        """Answer everything 418 for so long."""
        self._banned_until_ns = at_ns + seconds * NS_PER_S

    def check_orders(self, count: int, at_ns: int) -> None:
        """Whether so many orders may still be placed.  Raises `ApiError` (429, -1015)."""
        for counter in self._of("ORDERS"):
            if count and counter.used(at_ns) + count > counter.rule.limit:
                raise errors.too_many_orders(counter.rule.limit, counter.rule.spelt, counter.retry_s(at_ns))

    def count_orders(self, count: int, at_ns: int) -> None:
        """Count placed orders; below zero, orders that have begun to fill."""
        for counter in self._of("ORDERS"):
            counter.add(count, at_ns)

    def headers(self, at_ns: int, orders: bool = False) -> dict[str, str]:
        """What an answer's headers say: used weight, and with `orders` the order counts."""
        told = {}
        for counter in self._of("REQUEST_WEIGHT"):
            used = str(counter.used(at_ns))
            told["X-MBX-USED-WEIGHT"] = used
            told[f"X-MBX-USED-WEIGHT-{counter.rule.suffix}"] = used
        for counter in self._of("ORDERS") if orders else ():
            told[f"X-MBX-ORDER-COUNT-{counter.rule.suffix}"] = str(counter.used(at_ns))
        return told

    def usage(self, at_ns: int, *kinds: str) -> list[dict[str, Any]]:
        """Rules of these kinds with what is used of them."""
        return [c.rule.json() | {"count": c.used(at_ns)} for c in self._of(*kinds)]

    def _of(self, *kinds: str) -> list[_Counter]:
        return [counter for counter in self._counters if counter.rule.kind in kinds]
