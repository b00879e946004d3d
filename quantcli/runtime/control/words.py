"""What operators want done, queued for the trading loop, which does it between two events, one at a time.

Any thread puts, the loop alone attends.  What a word means, and who gave it, is not known here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from quantcli.errors import SafetyError, StrategyError

T = TypeVar("T")


class _Word(NamedTuple):
    deed: Callable[[], Awaitable[Any]]
    answer: "Future[Any]"


class Words:
    """First come, first done.  True while something waits."""

    def __init__(self) -> None:
        self._queue: deque[_Word] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: Callable[[], None] = lambda: None
        self._is_closed = False

    def __bool__(self) -> bool:
        return bool(self._queue)

    def attach(self, wake: Callable[[], None]) -> None:
        """From here on the running loop attends; `wake` makes it look up when it waits."""
        self._loop, self._wake = asyncio.get_running_loop(), wake

    def put(self, deed: Callable[[], Awaitable[T]]) -> "Future[T]":
        """Have something done in the trading loop; the future gets what it returns or raises."""
        word = _Word(deed, Future())
        self._queue.append(word)
        if self._is_closed:  # looked at after it was put: whoever closes empties the queue afterwards
            self._refuse_all()
        elif self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: closing answers
                self._loop.call_soon_threadsafe(self._wake)
        return word.answer

    async def attend(self) -> None:
        """Do what waits.  What goes wrong is told to whoever asked; a strategy that fails meanwhile fails its
        run all the same."""
        while self._queue:
            deed, answer = self._queue.popleft()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                result = await deed()
            except StrategyError as error:
                answer.set_exception(error)
                raise
            except Exception as error:
                answer.set_exception(error)
            except BaseException:
                answer.set_exception(_ending())
                raise
            else:
                answer.set_result(result)

    def close(self) -> None:
        """Nobody attends any more: refuse what waits, and what comes."""
        self._is_closed = True
        self._refuse_all()

    def _refuse_all(self) -> None:
        while self._queue:
            try:
                answer = self._queue.popleft().answer
            except IndexError:
                return  # another thread was quicker
            if answer.set_running_or_notify_cancel():
                answer.set_exception(_ending())


def _ending() -> SafetyError:
    return SafetyError(
        "the bot is ending", why="it was asked too late", todo="see what is left: quant orders"
    )
