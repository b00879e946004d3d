"""Questions to the trading loop from another thread, answered between two of its turns, or not in time.

A loop that is held up by a strategy is asked nothing: it changes nothing either, so that what only reads may
be read from here.  Says so where neither is possible.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from quantcli.errors import OutcomeUnknown, SafetyError
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.cockpit import Cockpit

T = TypeVar("T")

_PATIENCE_S = 4.0
_LOOK_S = 0.1


class Reach:
    """To one run; `is_stuck` says whether a strategy holds its loop up."""

    def __init__(self, bridge: Bridge, is_stuck: Callable[[], bool]) -> None:
        self._bridge, self._is_stuck = bridge, is_stuck

    @property
    def cockpit(self) -> Cockpit:
        """What can be seen; raises `SafetyError` before everything is open, and after the end."""
        found = self._bridge.cockpit
        if found is None:
            is_early = self._bridge.state == "starting"
            raise SafetyError(
                "the bot is still starting" if is_early else "the bot is ending",
                why="nothing can be seen or done yet" if is_early else "it was asked too late",
                todo="try again in a moment" if is_early else "quant orders",
            )
        return found

    async def ask(self, look: Callable[[Cockpit], T]) -> T:
        """What `look` finds in the cockpit; raises `OutcomeUnknown` if the loop does not answer in time."""
        cockpit, loop = self.cockpit, self._bridge.loop
        if loop is None:
            raise SafetyError("the bot is ending", why="it was asked too late")
        answer: Future[T] = Future()

        def answer_there() -> None:
            try:
                answer.set_result(look(cockpit))
            except Exception as error:  # whatever it is, somebody waits for it
                answer.set_exception(error)

        try:
            loop.call_soon_threadsafe(answer_there)
        except RuntimeError:  # it has ended this moment
            raise SafetyError("the bot is ending", why="it was asked too late") from None
        waiting, waited_s = asyncio.wrap_future(answer), 0.0
        while not (await asyncio.wait((waiting,), timeout=_LOOK_S))[0]:
            waited_s += _LOOK_S
            if self._is_stuck():
                return self._look_from_here(look, cockpit)
            if waited_s >= _PATIENCE_S:
                raise OutcomeUnknown(
                    "the bot is busy and does not answer", why=f"for {_PATIENCE_S:g} s", todo="try again"
                )
        return waiting.result()

    def _look_from_here(self, look: Callable[[Cockpit], T], cockpit: Cockpit) -> T:
        try:
            return look(cockpit)
        except RuntimeError:  # it has come back this moment, and changes what is looked at
            raise OutcomeUnknown("the bot is busy and does not answer", todo="try again") from None
