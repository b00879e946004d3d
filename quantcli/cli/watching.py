"""A listing, shown once, or again and again: redrawn on a terminal, as lines of JSON in a pipe.

Knows nothing of what is listed.  Watching goes on until it is interrupted, and that is its good end.
"""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

import typer

from quantcli.cli.output import Output, Shape, emit, emit_line, harmless, is_coloured, painted
from quantcli.errors import DaemonAbsent, OutcomeUnknown

WatchOption = Annotated[
    float | None,
    typer.Option(
        "--watch",
        "-w",
        metavar="[SECONDS]",
        min=0.1,
        help="Look again every so often (1): redrawn on a terminal, JSON lines of what changed in a pipe.",
    ),
]


class Shown(NamedTuple):
    """What a look found, and how people see it."""

    found: dict[str, Any]
    table: Callable[[], str]
    wide: Callable[[], str] | None = None
    shape: Shape = Shape()


def present(look: Callable[[], Shown], output: Output, watch: float | None = None) -> None:
    """Show what `look` finds, once, or every `watch` seconds until it is interrupted."""
    if watch is None:
        _once(look(), output)
        return
    draws = output in (Output.TABLE, Output.WIDE) and sys.stdout.isatty()
    show = _Screen(output).draw if draws else _Lines().tell
    try:
        while True:
            with suppress(DaemonAbsent, OutcomeUnknown):  # it stopped meanwhile: the next look will say so
                show(look())
            time.sleep(watch)
    except KeyboardInterrupt:
        if draws:
            sys.stdout.write("\n")
            sys.stdout.flush()


def _once(shown: Shown, output: Output) -> None:
    wide = shown.wide
    emit(
        shown.found,
        output,
        lambda _: shown.table(),
        None if wide is None else lambda _: wide(),
        shown.shape,
    )


class _Screen:
    """A terminal on which each look is drawn over the one before, without a blank in between."""

    def __init__(self, output: Output) -> None:
        self._output = output
        sys.stdout.write("\x1b[2J")

    def draw(self, shown: Shown) -> None:
        """From home, each line to its end, then clear what is below."""
        text = shown.wide() if self._output is Output.WIDE and shown.wide is not None else shown.table()
        width, height = shutil.get_terminal_size()
        lines = [line[:width] for line in harmless(text).split("\n")[: height - 1]]
        if is_coloured(sys.stdout):
            lines = [painted(line) for line in lines]
        sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()


class _Lines:
    """A pipe, into which goes what differs from the look before."""

    def __init__(self) -> None:
        self._told: dict[str, Any] | None = None

    def tell(self, shown: Shown) -> None:
        """A document, unless it only says what the last one said."""
        told = {key: value for key, value in shown.found.items() if key != "as_of"}
        if told != self._told:
            self._told = told
            emit_line(shown.found)
