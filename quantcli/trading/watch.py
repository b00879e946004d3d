"""Looks regularly whether trading has to end: a loss beyond its limit, or a halt raised by somebody else.

Losses grow with the market as well as with fills, and a halt may come from another process, so neither
can be waited for.  What ending means is the engine's business.
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
        self._acted = False

    def look(self, now_ns: int) -> bool:
        """Look now; true once when every order is to be cancelled.  A broken limit raises the halt flag."""
        self.due_ns = now_ns + NS_PER_S
        reason = self._loss()
        if reason is not None and self._halt.level == KillLevel.NONE:
            self._halt.raise_to(KillLevel.CANCEL_ALL, reason, now_ns)
        must_act = self._halt.level >= KillLevel.CANCEL_ALL and not self._acted
        self._acted = self._halt.level >= KillLevel.CANCEL_ALL
        return must_act
