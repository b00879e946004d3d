"""How long the way to the exchange and back takes, and in which order requests arrive.

    we send at t                 the exchange gets it at t + order + jitter
    it answers at once           we see the answer, and the market it acted on, feed later

Recordings are stamped when a row reached us, `feed_ns` after it happened.  All times here are in that
local time of the recording, so that a request due at T meets every row with `local_ns <= T`.
Knows nothing of what a request says.
"""

from collections import deque
from random import Random

import msgspec

from quantcli.model.message import Request


class Latency(msgspec.Struct, frozen=True):
    """Delays in nanoseconds: `order_ns` from us to the exchange, `feed_ns` from the exchange to us.

    With `jitter` each request takes up to half of `order_ns` longer, uniformly.
    """

    order_ns: int = 0
    feed_ns: int = 0
    jitter: bool = False


class Line:
    """The connection to the exchange: first in, first out.  A slow request holds up those behind it."""

    def __init__(self, latency: Latency, seed: int) -> None:
        self._latency = latency
        self._random = Random(seed)
        self._due: deque[tuple[int, Request]] = deque()
        self._last_due_ns = 0

    def send(self, request: Request, now_ns: int) -> None:
        """Put a request on the way at `now_ns`."""
        delay = self._latency.order_ns
        if self._latency.jitter:
            # `random()` alone is promised to give the same numbers on every Python version.
            delay += int(delay * 0.5 * self._random.random())
        self._last_due_ns = max(self._last_due_ns, now_ns + delay + self._latency.feed_ns)
        self._due.append((self._last_due_ns, request))

    def next_due(self) -> int | None:
        """When the next request arrives, in local time; `None` while nothing is on the way."""
        return self._due[0][0] if self._due else None

    def take(self) -> Request:
        """Take the request that arrives next off the line."""
        return self._due.popleft()[1]
