"""Sets text in lines: numbers, times, cutting and padding by the cells a terminal needs.

A line is a list of spans, a span is text and the name of a style (`theme.STYLES`).  Nothing here wraps, and
nothing knows what is written.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from quantcli.clock import NS_PER_MS, NS_PER_S

Span = tuple[str, str]
Line = list[Span]

NONE = "-"
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN)
MORE = "…"
_DOTS = "⠁⠂⠄⡀", "⠈⠐⠠⢀"  # left and right column of a braille cell, from the top
_BARS = "▁▂▃▄▅▆▇█"
# What would steer a terminal, or turn the direction of writing: an exchange's text may hold it.
_STEERING = dict.fromkeys(
    (*range(32), *range(127, 160), 8206, 8207, *range(8232, 8239), *range(8294, 8298)), "·"
)


@lru_cache(maxsize=4096)
def harmless(text: str) -> str:
    """The text on one line, without what would steer a terminal."""
    return text if text.isascii() and text.isprintable() else text.translate(_STEERING)


def width_of(text: str) -> int:
    """How many cells a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int) -> str:
    """At most `width` cells of a text; what is left out is marked by `…`."""
    text = harmless(text)
    if width_of(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + MORE if width > 1 else MORE[:width]


def left(text: str, width: int) -> str:
    """A text in exactly `width` cells, at their left."""
    text = cut(text, width)
    return text + " " * (width - width_of(text))


def right(text: str, width: int) -> str:
    """A text in exactly `width` cells, at their right."""
    text = cut(text, width)
    return " " * (width - width_of(text)) + text


def length(line: Iterable[Span]) -> int:
    """How many cells a line takes."""
    return sum(width_of(text) for text, _ in line)


def clip(line: Line, width: int) -> Line:
    """A line of exactly `width` cells: cut with `…`, or filled with blanks."""
    spare = width - length(line)
    if spare >= 0:
        return [*line, (" " * spare, "")] if spare else line
    kept: Line = []
    room = width
    for text, style in line:
        needs = width_of(text)
        if needs >= room:
            kept.append((left(text + MORE * (needs == room), room), style))
            break
        kept.append((text, style))
        room -= needs
    return kept


def spread(start: Line, end: Line, width: int) -> Line:
    """Two parts of a line, at its ends; the first is cut where both do not fit."""
    room = max(0, width - length(end))
    return clip(clip(start, room) + end, width)


def plain(line: Iterable[Span]) -> str:
    """A line's text."""
    return "".join(text for text, _ in line)


def places(value: Decimal | None) -> int:
    """How many decimals a number has that say something."""
    if value is None or not value.is_finite():
        return 0
    exponent = value.normalize().as_tuple().exponent
    return min(12, max(0, -exponent)) if isinstance(exponent, int) else 0


def number(value: Decimal | float | None, decimals: int, signed: bool = False) -> str:
    """`1,234.50`; below one `.50`; zero `0`; `-` where there is nothing."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    with localcontext(_ROUNDING):  # whatever a library has set for this thread
        text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    if not text.strip("+-0."):  # too little for so few decimals
        text = text.lstrip("+-")
    for zero, short in (("0.", "."), ("-0.", "-."), ("+0.", "+.")):
        if text.startswith(zero):
            return short + text[len(zero) :]
    return text


def exact(value: Decimal | None) -> str:
    """A number with all its decimals."""
    return number(value, places(value))


def amount(value: Decimal | None, decimals: int) -> str:
    """A quantity of an asset, with fewer decimals the larger it is: nine digits say enough."""
    if value is None:
        return NONE
    return number(value, min(decimals, max(2, 9 - len(f"{abs(value):.0f}"))))


def fitted(value: Decimal | None, decimals: int, width: int) -> str:
    """A number with as many of its decimals as there is room for."""
    texts = (number(value, fewer) for fewer in range(decimals, -1, -1))
    return next((text for text in texts if len(text) <= width), number(value, 0))


def cents(equity: Decimal | None) -> int:
    """How many decimals of money matter to somebody who has so much."""
    if equity is None or abs(equity) >= 1_000:
        return 2
    return 4 if abs(equity) >= 1 else 8


def share(value: Decimal | float | None, decimals: int = 0, signed: bool = False) -> str:
    """`18 %` for 0.18."""
    if value is None:
        return NONE
    sign = "+" if signed else ""
    return f"{float(value) * 100:{sign}.{decimals}f} %"


def since(elapsed_ns: int) -> str:
    """A duration in four cells: `0.3s`, `42s`, `119m`, `47h`, `12d`."""
    seconds = max(0, elapsed_ns) / NS_PER_S
    if seconds < 10:
        return f"{int(seconds * 10) / 10:.1f}s"
    for limit, per, unit in ((120, 1, "s"), (7_200, 60, "m"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{int(seconds / per)}{unit}"
    return f"{int(seconds / 86_400)}d"


def uptime(elapsed_ns: int) -> str:
    """A long duration: `12s`, `3m05`, `3h12m`, `5d03h`."""
    seconds = max(0, elapsed_ns) // NS_PER_S
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3_600:
        return f"{seconds // 60}m{seconds % 60:02}"
    if seconds < 86_400:
        return f"{seconds // 3_600}h{seconds % 3_600 // 60:02}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3_600:02}h"


def clock_time(at_ns: int) -> str:
    """Time of day, UTC, to the millisecond; `-` for none."""
    if at_ns <= 0:
        return NONE
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return f"{at:%H:%M:%S}.{at_ns % NS_PER_S // NS_PER_MS:03}"


def milliseconds(value: float | None) -> str:
    """A latency in at most five cells: `.4`, `41`, `5100`, `62 s`."""
    if value is None or value < 0:
        return NONE
    if value < 1:
        return number(value, 1)
    return f"{value:.0f}" if value < 100_000 else f"{value / 1000:.0f} s"


def bar(part: float, width: int) -> str:
    """A bar of `width` cells, `part` (0 to 1) of it full."""
    full = round(min(1.0, max(0.0, part)) * width)
    return "█" * full + "░" * (width - full)


def sparks(values: Sequence[float], width: int, least_top: float = 0.0) -> str:
    """The last values as bars, one a cell or the worst of several; blank where there was nothing (-1).

    A full bar is the greatest of them, or `least_top` if that is more."""
    if not values or width <= 0:
        return ""
    per = max(1, -(-len(values) // width))
    first = len(values) % per
    groups = [values[:first]] * bool(first) + [values[i : i + per] for i in range(first, len(values), per)]
    worst = [max(group) for group in groups]
    top = max(least_top, *worst)
    if top <= 0:
        return "".join("▁" if value >= 0 else " " for value in worst)
    return "".join(" " if v < 0 else _BARS[min(7, int(v / top * 7.999))] for v in worst)


def curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """A curve in braille dots, `height` lines of `width` cells; blank for fewer than two values."""
    columns, rows = width * 2, height * 4
    if len(values) < 2 or columns < 2 or rows < 1:
        return [" " * width] * height
    low, high = min(values), max(values)
    cells = [[0] * width for _ in range(height)]
    before: int | None = None
    for column in range(columns):
        at = column * (len(values) - 1) / (columns - 1)
        value = values[int(at)] + (values[min(int(at) + 1, len(values) - 1)] - values[int(at)]) * (at % 1)
        row = round((high - value) / (high - low) * (rows - 1)) if high > low else rows // 2
        low_row, high_row = (row, row) if before is None else sorted((row, before))
        for dot in range(low_row, high_row + 1):
            if dot != before or dot == row:
                cells[dot // 4][column // 2] |= ord(_DOTS[column % 2][dot % 4]) - 0x2800
        before = row
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in line) for line in cells]


def part(line: Line, start: int, end: int) -> Line:
    """The cells of a line from `start` to before `end`; half of a wide character is a blank."""
    kept: Line = []
    x = 0
    for text, style in line:
        seen = ""
        for character in text:
            here, x = x, x + width_of(character)
            if start <= here and x <= end:
                seen += character
            elif here < end and start < x:
                seen += " " * (min(x, end) - max(here, start))
        if seen:
            kept.append((seen, style))
    return clip(kept, end - start)
