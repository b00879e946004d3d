"""Hooks that do not return: whose code is running, where it stands, and the exception that breaks it.

A stack is judged frame by frame, innermost first, and only whose frames they are counts.  When a hook is too
late, and who raises the exception in it, is for others to say.
"""

import os
from asyncio import CancelledError, current_task
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, TypeVar

from quantcli.errors import StrategyError
from quantcli.trading.blame import is_below, is_ours, place

_F = TypeVar("_F", bound=Callable[..., Any])
# The functions of ours that call the author's code.
_ENTRANCES: set[CodeType] = set()


class Overdue(BaseException):
    """Raised inside a hook that did not return; not an `Exception`, so that few handlers swallow it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def entrance(function: _F) -> _F:
    """Mark a function as one that calls the author's code."""
    _ENTRANCES.add(function.__code__)
    return function


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def awaited(coroutine: Any) -> Iterator[FrameType]:
    """The frames of what a suspended coroutine waits for, innermost first."""
    frames: list[FrameType] = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return reversed(frames)


def is_breakable(frames: Iterable[FrameType]) -> bool:
    """Whether the author's code is what runs, and none of ours that it called: that may be half-way through
    something which has to be done as a whole."""
    is_theirs = False
    for frame in frames:
        if is_ours(frame.f_code.co_filename):
            return is_theirs and frame.f_code in _ENTRANCES
        is_theirs = True
    return False


def standing_at(frames: Iterable[FrameType], home: str) -> str:
    """File and line at which the author's code stands, preferably in a file under the folder `home`; empty if
    none of it runs."""
    at_home = theirs = ""
    for frame in frames:
        name = frame.f_code.co_filename
        if frame.f_code in _ENTRANCES:
            return at_home or theirs
        if is_ours(name):
            continue
        theirs = theirs or place(name, frame.f_lineno)
        if not at_home and is_below(name, home):
            at_home = place(name, frame.f_lineno)
    return ""


def home_of(module_file: str | None) -> str:
    """The folder of the author's files."""
    return os.path.dirname(os.path.abspath(module_file)) if module_file else os.getcwd()


def overdue_error(error: BaseException) -> BaseException:
    """What a hook that was broken is answered with; any other cancellation as it is."""
    if isinstance(error, CancelledError):
        told = error.args[0] if error.args else None
        if not isinstance(told, Overdue):
            return error
        task = current_task()
        if task is not None:
            task.uncancel()
        error = told
    what = error.what if isinstance(error, Overdue) else str(error)
    return StrategyError(
        what,
        why="while a hook runs nothing else can: no quote, no fill, no cancel",
        todo="let it return: no endless loop, no time.sleep, no call that waits for an answer",
    )
