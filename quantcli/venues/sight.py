"""Says when a market has been out of sight for too long: a lost connection is usually back in a moment.

Knows nothing of sockets.
"""

import asyncio

from quantcli.venues.feed import Put
from quantcli.venues.inbox import Blind


class Sight:
    """Puts one `Blind` if a connection that was lost is not back after `patience_s`."""

    def __init__(self, put: Put, patience_s: float) -> None:
        self._put = put
        self._patience_s = patience_s
        self._pending: asyncio.TimerHandle | None = None

    def lost(self, reason: str) -> None:
        """The connection is gone, or could not be opened again."""
        if self._pending is None:
            loop = asyncio.get_running_loop()
            self._pending = loop.call_later(self._patience_s, self._put, Blind(reason))

    def back(self) -> None:
        """What is sent can be heard again."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
