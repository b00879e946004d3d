"""What the screens share: a drawn page, the rows of a table around the chosen one, titles and rules.

Knows nothing of orders or markets.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from quantcli.tui.typeset import Line, Span, clip, left, right

T = TypeVar("T")


class Target(NamedTuple):
    """Cells that a mouse may click: `what` is "row:KEY" to choose a row, "key:K" as if K were pressed."""

    y: int
    x: int
    width: int
    what: str


class Page(NamedTuple):
    """Lines, what in them can be clicked, and a word for the rule below them."""

    lines: list[Line]
    targets: Sequence[Target] = ()
    note: str = ""

    def moved(self, down: int, along: int = 0) -> "list[Target]":
        """The targets where the page begins further down."""
        return [Target(t.y + down, t.x + along, t.width, t.what) for t in self.targets]


class Column(NamedTuple):
    """A column of a table: title, width, and on which side its cells stand."""

    title: str
    width: int
    is_right: bool = False

    def set(self, text: str) -> str:
        """A cell's text in the column's width."""
        return right(text, self.width) if self.is_right else left(text, self.width)


def rule(width: int, joint: int | None = None, sign: str = "┼", note: str = "") -> Line:
    """A line across, perhaps with a joint, or a word towards its end."""
    line = "─" * width
    if joint is not None and joint < width:
        line = line[:joint] + sign + line[joint + 1 :]
    if note and len(note) + 6 < width:
        line = line[: width - len(note) - 4] + f" {note} ──"
    return [(line, "rule")]


def heading(columns: Iterable[Column]) -> Line:
    """The titles of a table."""
    return [(" " + " ".join(column.set(column.title) for column in columns), "heading")]


def cells(columns: Sequence[Column], texts: Sequence[str | Span], is_chosen: bool = False) -> Line:
    """A row of a table."""
    line: Line = [("▌" if is_chosen else " ", "mark->" if is_chosen else "")]
    for at, (column, cell) in enumerate(zip(columns, texts, strict=True)):
        text, style = cell if isinstance(cell, tuple) else (cell, "")
        line.append((" " * (at > 0) + column.set(text), style))
    return embolden(line) if is_chosen else line


def embolden(line: Line) -> Line:
    """The line of the chosen row."""
    return [(text, f"{style}*" if not style.endswith("*") else style) for text, style in line]


def around(rows: Sequence[T], chosen: int, height: int) -> tuple[int, Sequence[T]]:
    """As many rows as there is room for, with the chosen one in the middle where that can be; and the number
    of the first."""
    first = max(0, min(chosen - height // 2, len(rows) - height))
    return first, rows[first : first + height]


def table(
    rows: Sequence[T],
    keys: Callable[[T], str],
    line: Callable[[T, bool], Line],
    chosen: str,
    size: tuple[int, int],
    empty: str = "",
) -> Page:
    """Rows in a space of `size` (width, height), filled up with empty lines; the note says which there are if
    not all."""
    width, height = size
    names = [keys(row) for row in rows]
    at = names.index(chosen) if chosen in names else 0
    first, seen = around(rows, at, height)
    lines = [clip(line(row, keys(row) == chosen), width) for row in seen]
    targets = [Target(y, 0, width, f"row:{keys(row)}") for y, row in enumerate(seen)]
    if not rows and empty and height > 0:
        lines.append([(f" {empty}", "dim")])
    lines += [[] for _ in range(height - len(lines))]
    is_all = len(seen) == len(rows)
    return Page(lines, targets, "" if is_all else f"{first + 1}-{first + len(seen)} of {len(rows)}")
