"""Looks regularly whether trading has to end, or may go on: a loss beyond its limit, the kill switch moved.

Losses grow with the market as well as with fills, and the switch may be moved by another process, so
neither can be waited for.  What a level means is the kernel's business.
"""

from collections.abc import Callable

from quantcli.clock import NS_PER_S
from quantcli.store.halt import HaltFlag, KillLevel


class Watch:
    """`loss` says what limit is broken, `None` if none is; `due_ns` is when to look again."""

    def __init__(self, halt: HaltFlag, loss: Callable[[], str | None], start_ns: int) -> None:
        self.due_ns = start_ns
        self._halt = halt
        self._loss = loss
        self._told = halt.level

    def look(self, now_ns: int) -> KillLevel | None:
        """Look now; the level of the kill switch if it has moved since it was last told.  A broken limit
        moves it."""
        self.due_ns = now_ns + NS_PER_S
        reason = self._loss()
        if reason is not None and self._halt.level == KillLevel.NONE:
            self._halt.raise_to(KillLevel.CANCEL_ALL, reason, now_ns)
        level = self._halt.level
        if level == self._told:
            return None
        self._told = level
        return level

    @property
    def is_still(self) -> bool:
        """Whether slots are to wish for nothing: all was cancelled, until somebody lifts the halt."""
        return self._halt.is_shared and self._told >= KillLevel.CANCEL_ALL

    @property
    def reason(self) -> str:
        """Why the switch stands as it does."""
        return self._halt.reason
