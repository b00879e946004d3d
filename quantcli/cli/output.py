"""Owns stdout, stderr and how errors read: data goes to stdout, narration to stderr, never mixed.

A verb hands over what it found, as a struct or dict, and how a person would like to see it; `-o json`
prints the first, the default the second, `forms` makes the rest.  In JSON, money is canonical decimal text
and times are integer nanoseconds, but for `as_of`, which is RFC 3339.  Knows nothing of orders or recordings.
Rich is imported only to draw a bar.
"""

import io
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TextIO, TypeVar

import msgspec
import typer

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.errors import QuantError
from quantcli.model.instrument import canonical

API = "quant/v1"
T = TypeVar("T", bound=msgspec.Struct | Mapping[str, Any])

# Control characters but for the line feed, and those that turn the direction of writing.
_STEERING = {
    n: f"\\x{n:02x}" if n < 256 else f"\\u{n:04x}"
    for n in (*range(10), *range(11, 32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_BAR_AFTER_S = 1.0
_LINE_EVERY_S = 10.0
# How a terminal shows the character that a listing's row begins with (SGR); the character alone says it all.
_STATE_STYLES = {"=": "32", "~": "33", "+": "36", "x": "31", "/": "34", "!": "1;7", "?": "33"}


class Output(StrEnum):
    """Form of what goes to stdout."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    NAME = "name"


class Colour(StrEnum):
    """When to use colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


OutputOption = Annotated[
    Output,
    typer.Option(
        "--output", "-o", help="For people (table, wide) or for programs.  --json is short for -o json."
    ),
]


class Shape(NamedTuple):
    """What a list holds: structs of this kind, called by the first of these fields that is not empty."""

    item: type[msgspec.Struct] | None = None
    ids: tuple[str, ...] = ("name", "path", "symbol")


_ANY = Shape()


def emit(
    found: T,
    output: Output,
    render: Callable[[T], str],
    wide: Callable[[T], str] | None = None,
    shape: Shape = _ANY,
) -> None:
    """Print `found` on stdout: as the text `render` (or `wide`) makes of it, or as programs like it."""
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain(found)), indent=2).decode() + "\n")
    elif output in (Output.TABLE, Output.WIDE):
        write_text((wide or render)(found) if output is Output.WIDE else render(found))
    else:
        from quantcli.cli.forms import lines

        sys.stdout.writelines(f"{line}\n" for line in lines(plain(found), output, shape))
    sys.stdout.flush()


def emit_line(event: msgspec.Struct | Mapping[str, Any], out: TextIO | None = None) -> None:
    """Print one event as one line of JSON on stdout, or `out`, at once."""
    stream = out or sys.stdout
    stream.write(msgspec.json.encode(plain(event)).decode() + "\n")
    stream.flush()


def document(kind: str, fields: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
    """An object of the JSON interface: `fields` under the name of their kind."""
    return {"api": API, "kind": kind, **plain(fields)}


def envelope(
    kind: str,
    items: Iterable[msgspec.Struct | Mapping[str, Any]],
    as_of_ns: int,
    stale: bool = False,
) -> dict[str, Any]:
    """A list of the JSON interface.  `stale` says that nobody keeps what is listed up to date."""
    return document(kind, {"as_of": timestamp(as_of_ns), "stale": stale, "items": list(items)})


def timestamp(at_ns: int) -> str:
    """RFC 3339, UTC, to the millisecond: `2026-11-20T09:14:02.118Z`."""
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % NS_PER_S // NS_PER_MS:03d}Z"


def columns(headers: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """Rows under headers, in columns; those named in `right` are aligned so.  No box, no colour."""
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if header in right else cell.ljust(width)
            for header, cell, width in zip(headers, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def note(text: str) -> None:
    """Say something to the person at the terminal (stderr).

    Where that cannot be, it is left out: a full disk under a log is no reason to stop.
    """
    with suppress(OSError):
        sys.stderr.write(harmless(text) + "\n")
        sys.stderr.flush()


class Narration(io.TextIOBase):
    """Takes what others print, as `note` takes what we say."""

    def write(self, text: str) -> int:
        """Print it on stderr, if that can be."""
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        with suppress(OSError):
            sys.stderr.flush()


def harmless(text: str) -> str:
    """A text, perhaps an exchange's, without what would steer a terminal: such characters are spelt out."""
    return text.translate(_STEERING)


def one_line(text: str) -> str:
    """The same on a single line, so that nobody else's text can look like a line of ours."""
    return harmless(text).replace("\n", "\\n")


def explain(error: QuantError) -> str:
    """An error as shown to users: what happened, why, what to do."""
    lines = [f"error {error.help_id}: {one_line(error.what)}"]
    for label, text in (("why", error.why), ("do", error.todo)):
        if text:
            lines.append(f"  {label:<4}  " + text.replace("\n", "\n        "))
    return "\n".join([*lines, f"  docs  quant help {error.help_id}"])


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how far something is, on stderr; yields `advance(units_done_since_last_time)`.

    A terminal gets a bar once it takes longer than a second, anything else a line every ten seconds.
    """
    meter = _Bar(description, total) if sys.stderr.isatty() else _Lines(description, total)
    try:
        yield meter.advance
    finally:
        meter.close()


class _Lines:
    """Progress where lines stay: a log, a pipe."""

    def __init__(self, description: str, total: int | None) -> None:
        self._description = description
        self._of = f" of {total:,}" if total is not None else ""
        self._done = 0
        self._said_s = time.monotonic()

    def advance(self, units: int) -> None:
        self._done += units
        if time.monotonic() - self._said_s >= _LINE_EVERY_S:
            self._said_s = time.monotonic()
            note(f"{self._description}: {self._done:,}{self._of}")

    def close(self) -> None:
        """Nothing is left to clear away."""


class _Bar:
    """Progress on a terminal; gone when done."""

    def __init__(self, description: str, total: int | None) -> None:
        self._description = description
        self._total = total
        self._done = 0
        self._since_s = time.monotonic()
        self._shown: Any = None

    def advance(self, units: int) -> None:
        self._done += units
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=self._done)
        elif time.monotonic() - self._since_s >= _BAR_AFTER_S:
            self._show()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._shown = Progress(console=Console(stderr=True), transient=True)
        self._shown.add_task(self._description, total=self._total, completed=self._done)
        self._shown.start()

    def close(self) -> None:
        if self._shown is not None:
            self._shown.stop()


def write_text(text: str) -> None:
    """Print lines for people, their state in colour where that is wished for."""
    lines = harmless(text).split("\n")
    if is_coloured(sys.stdout):
        lines = [painted(line) for line in lines]
    sys.stdout.write("\n".join(lines) + "\n")


def painted(line: str) -> str:
    """A row with the character it begins with in its colour."""
    style = _STATE_STYLES.get(line[:1]) if line[1:2] == " " else None
    return f"\x1b[{style}m{line[0]}\x1b[0m{line[1:]}" if style else line


def is_coloured(stream: TextIO) -> bool:
    """Whether to use colour on a stream: `NO_COLOR`, then `FORCE_COLOR`, then whether it is a terminal
    that has any."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def choose_colour(when: Colour) -> None:
    """Have colour always or never, here and in programs started from here."""
    if when is Colour.ALWAYS:
        os.environ.pop("NO_COLOR", None)
        os.environ["FORCE_COLOR"] = "1"
    elif when is Colour.NEVER:
        os.environ.pop("FORCE_COLOR", None)
        os.environ["NO_COLOR"] = "1"


def plain(value: Any) -> Any:
    """The same in JSON's types, decimals as their one canonical text."""
    return _canonical(msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True))


def _canonical(value: Any) -> Any:
    if isinstance(value, Decimal):
        return canonical(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value
