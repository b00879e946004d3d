"""Whose line it was: file and line in the strategy author's own code.

An error that names one of our files helps nobody; these functions look through our frames for the
author's.  Knows nothing of what went wrong.
"""

import linecache
import os
import sys
from types import FrameType, GeneratorType, TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def place(filename: str, line: int) -> str:
    """`file:line`, the file as seen from the working directory when it lies below it."""
    path = os.path.abspath(filename)
    below = path.startswith(os.getcwd() + os.sep)
    return f"{os.path.relpath(path) if below else path}:{line}"


def calling_line() -> str:
    """Where the author's code called ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return place(frame.f_code.co_filename, frame.f_lineno) if frame else ""


def yielding_line(wishes: object) -> str:
    """Where a suspended generator stands; empty for anything else."""
    if not isinstance(wishes, GeneratorType) or wishes.gi_frame is None:
        return ""
    return place(wishes.gi_code.co_filename, wishes.gi_frame.f_lineno)


def raising_line(error: BaseException, home: str) -> tuple[str, str]:
    """Where in the author's code an exception came from, and the text of that line.

    The author's code is what lies under the folder `home`; an exception that never passed there is
    placed at the last frame that is not ours.
    """
    frames = [(f.f_code.co_filename, line) for f, line in _frames(error.__traceback__)]
    theirs = [x for x in frames if not is_ours(x[0])]
    at_home = [x for x in theirs if is_below(x[0], home)]
    if not theirs:
        return "", ""
    filename, line = (at_home or theirs)[-1]
    return place(filename, line), linecache.getline(filename, line).strip()


def _frames(traceback: TracebackType | None) -> list[tuple[FrameType, int]]:
    frames = []
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames


def is_ours(filename: str) -> bool:
    """Whether a file is one of this package."""
    return os.path.abspath(filename).startswith(_OURS)


def is_below(filename: str, home: str) -> bool:
    """Whether a file is one of the author's, in the folder `home` or below."""
    path = os.path.abspath(filename)
    return path.startswith(os.path.join(home, "")) and "site-packages" not in path
