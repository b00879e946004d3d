"""Lines of a bot's log, read back: whoever writes meanwhile, and wherever the files are cut.

Light to import.  Writes nothing.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.errors import UsageError

LEVELS = ("debug", "info", "warn", "error")
_MOST_OLD = 9


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: an event of the bot (`source` is "quant", fields as in `wire.EventItem`), or what a logger
    called `source` said.  `at` is `at_ns` for people; `error` a traceback."""

    at: str
    at_ns: int
    level: str
    source: str
    kind: str
    text: str
    bot: str = ""
    number: int = 0
    symbol: str = ""
    intent_id: str = ""
    why: str = ""
    effect: str = ""
    todo: str = ""
    error: str = ""


_decoder = msgspec.json.Decoder(LogLine)


def read_log(path: Path, since_ns: int = 0, level: str = "info") -> Iterator[LogLine]:
    """The lines that are there, oldest first: of `level` and above, from `since_ns` on.

    What is no line, torn by a crash or a full disk, is left out.  Raises `UsageError` for a level that is
    none.
    """
    wanted = levels_from(level)
    for each in _files(path):
        try:
            with each.open("rb") as file:
                yield from _lines(file, since_ns, wanted)
        except FileNotFoundError:
            continue  # rotated away meanwhile


class Tail:
    """The lines that come from now on; whoever follows asks `more` again and again."""

    def __init__(self, path: Path, level: str = "info") -> None:
        self._path, self._wanted = path, levels_from(level)
        self._file: BinaryIO | None = None
        self._rest = b""
        if self._open() and self._file is not None:
            self._file.seek(0, 2)

    def more(self) -> list[LogLine]:
        """What was written since the last time, in the next file too if this one is full."""
        found = self._read()
        if self._is_replaced():
            found += self._read()  # what was written before it was replaced
            self.close()
            if self._open():
                found += self._read()
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return False
        return True

    def _is_replaced(self) -> bool:
        if self._file is None:
            return True
        try:
            there = self._path.stat()
        except OSError:
            return False  # between two files: next time
        return not os.path.samestat(there, os.fstat(self._file.fileno()))

    def _read(self) -> list[LogLine]:
        if self._file is None:
            return []
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [line for raw in whole if (line := _line(raw)) is not None and line.level in self._wanted]


def levels_from(level: str) -> frozenset[str]:
    """The levels from one on.  Raises `UsageError`."""
    if level not in LEVELS:
        raise UsageError(f"{level!r} is no level", todo=f"choose one of {', '.join(LEVELS)}")
    return frozenset(LEVELS[LEVELS.index(level) :])


def stamped(at_ns: int) -> str:
    """RFC 3339, UTC, to the millisecond."""
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % NS_PER_S // NS_PER_MS:03d}Z"


def _files(path: Path) -> list[Path]:
    old = [path.with_name(f"{path.name}.{n}") for n in range(_MOST_OLD, 0, -1)]
    return [each for each in [*old, path] if each.is_file()]


def _lines(file: BinaryIO, since_ns: int, wanted: frozenset[str]) -> Iterator[LogLine]:
    for raw in file:
        line = _line(raw)
        if line is not None and line.at_ns >= since_ns and line.level in wanted:
            yield line


def _line(raw: bytes) -> LogLine | None:
    try:
        return _decoder.decode(raw)
    except msgspec.MsgspecError:
        return None
