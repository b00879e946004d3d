"""What arrives from an exchange: one queue for market data, reports on orders, and remarks on both.

    Missed      something of the account may have been missed: the kernel is to look again
    ClockError  how far our clock may be off the exchange's
    Gap         market data is missing
    Blind       no market data comes any more
    Notice      for people

Sockets and gateways put, one reader takes, all in one event loop; order of arrival is kept.  Knows nothing
of what an item means, and never makes a sender wait: who reads too slowly sees `len` grow.
"""

import asyncio
from collections import deque
from contextlib import suppress

import msgspec

from quantcli.model.market import MarketEvent
from quantcli.model.message import Report


class Missed(msgspec.Struct, frozen=True):
    """News of the account may have been lost before this moment; `reason` says how."""

    reason: str


class ClockError(msgspec.Struct, frozen=True):
    """Our clock, corrected by the measured offset, may still be off the exchange's by `error_ns`."""

    error_ns: int


class Notice(msgspec.Struct, frozen=True):
    """Something people should know.

    `kind` is one of breaker, limit, reconnect, malformed, balance, gap, stale, trading_disabled.
    """

    kind: str
    message: str


class Gap(msgspec.Struct, frozen=True):
    """Market data of `symbol` and `channel` is missing before `at_ns` (our clock); `kind` says why."""

    symbol: str
    channel: str
    at_ns: int
    kind: str
    detail: str = ""


class Blind(msgspec.Struct, frozen=True):
    """The market cannot be seen any more, for `reason`: what was seen last is no price to trade on.  It can
    be seen again when the next market event comes."""

    reason: str


Item = MarketEvent | Report | Missed | ClockError | Notice | Gap | Blind


class Inbox:
    """First in, first out.  Not for several threads."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._is_filled = asyncio.Event()

    def __len__(self) -> int:
        """How many items wait to be taken."""
        return len(self._items)

    def put(self, item: Item) -> None:
        """Append an item; never blocks."""
        self._items.append(item)
        self._is_filled.set()

    def take(self) -> Item:
        """The oldest item; raises `IndexError` if there is none."""
        item = self._items.popleft()
        if not self._items:
            self._is_filled.clear()
        return item

    def wake(self) -> None:
        """Let whoever waits look around, though nothing has come."""
        self._is_filled.set()

    async def wait(self, timeout_s: float | None) -> bool:
        """Wait until something is there, somebody calls `wake`, or `timeout_s` (`None`: for ever) is over;
        whether something is there."""
        if not self._items:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._is_filled.wait()
            if not self._items:
                self._is_filled.clear()
        return bool(self._items)
