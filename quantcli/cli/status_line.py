"""The last line of a terminal in which a bot runs: how it is, each second anew, below all that is told.

Whatever else is written there goes through `above`, so that lines never mix.  Off where stderr is no
terminal.
"""

import asyncio
import io
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, cast

from quantcli.cli.output import one_line
from quantcli.clock import NS_PER_S
from quantcli.runtime.control.wire import Status

_CLEAR = "\r\x1b[2K"
_EVERY_S = 1.0


class StatusLine:
    """On `err`, a terminal."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._turn = threading.RLock()
        self._line = ""

    def above(self, out: TextIO) -> TextIO:
        """A stream whose lines go to `out`, above the line."""
        return cast(TextIO, _Above(out, self))

    def write(self, out: TextIO, text: str) -> None:
        """Write something else: the line makes room, and comes back below whole lines."""
        with self._turn:
            if self._line:
                self._put(_CLEAR)
            out.write(text)
            out.flush()
            if self._line and text.endswith("\n"):
                self._put(self._line)

    def show(self, text: str) -> None:
        """Show another line; none, if it is empty."""
        with self._turn:
            width = _width(self._err)
            shown = one_line(text)[: width - 1]
            if shown != self._line:
                self._put(_CLEAR + shown)
                self._line = shown

    def _put(self, text: str) -> None:
        with suppress(OSError):
            self._err.write(text)
            self._err.flush()

    async def follow(self, status: Callable[[], Any]) -> None:
        """Show how the bot is, for ever; `status` is awaited."""
        try:
            while True:
                self.show(line_of(await status()))
                await asyncio.sleep(_EVERY_S)
        finally:
            self.show("")


class _Above(io.TextIOBase):
    """One of the streams above."""

    def __init__(self, out: TextIO, line: StatusLine) -> None:
        self._out, self._line = out, line

    def write(self, text: str) -> int:
        self._line.write(self._out, text)
        return len(text)

    def flush(self) -> None:
        self._out.flush()

    def isatty(self) -> bool:
        return self._out.isatty()

    def fileno(self) -> int:
        return self._out.fileno()


def line_of(status: Status) -> str:
    """How a bot is, in one line."""
    up_s = max(0, status.now_ns - status.started_ns) // NS_PER_S if status.world != "REPLAY" else 0
    words = [f"{status.bot} [{status.world}] {status.state}"]
    if status.halt_level != "NONE":
        words.append(f"HALTED {status.halt_level}")
    words.append(f"up {up_s // 3600}h{up_s % 3600 // 60:02d}m" if up_s >= 60 else f"up {up_s}s")
    counts = " ".join(f"{mark}{count}" for mark, count in sorted(status.marks.items()))
    words.append(f"{status.open_orders} orders {counts}".strip())
    if status.equity is not None and status.start_equity is not None:
        gained = status.equity - status.start_equity
        words.append(f"{status.equity:,.2f} {status.currency} ({gained:+,.2f})")
    if status.feed_age_ms is not None:
        words.append(f"feed {status.feed_age_ms:.0f} ms")
    return "  ".join(words + ([status.why] if status.why else []))


def _width(err: TextIO) -> int:
    try:
        return os.get_terminal_size(err.fileno()).columns
    except (OSError, ValueError):
        return 80
