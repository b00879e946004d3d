"""Where things stand in the text of a TOML file, and how one of them is changed without touching the rest.

Understands the plain form that people write: `[section]`, one `key = value` to a line, comments.  What is
written otherwise (inline tables, values of several lines) is found by its section, but not changed: that is a
`ConfigError`.  Knows no key by name.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from quantcli.errors import ConfigError

_HEADER = re.compile(r"\s*\[\s*[\"']?([\w-]+)[\"']?\s*\]\s*(?:#.*)?")
_SETTING = re.compile(r"(\s*)[\"']?([\w-]+)[\"']?(\s*=\s*)(.*?)\s*")
_DOTTED = re.compile(r"\s*([\w-]+)\s*(?:\.\s*([\w-]+)\s*)?=")
# A value that ends where it began, and what may stand behind it.
_VALUE = re.compile(r"(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\"'\[{#\s][^#]*?|\[[^\[\]{}#\"]*\])(\s*(?:#.*)?)")


class Spot(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


def find(text: str, section: str, key: str = "") -> Spot | None:
    """Where a key stands, or its section if `key` is empty or not to be found; `None` if neither is."""
    inside, found = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            inside = header[1]
            if inside == section and found is None:
                found = Spot(number, header.start(1) + 1)
        elif inside == section and (setting := _SETTING.fullmatch(line)) and setting[2] == key:
            return Spot(number, setting.start(2) + 1)
        elif not inside and (dotted := _DOTTED.match(line)) and dotted[1] == section:
            found = Spot(number, dotted.start(1) + 1)
            if dotted[2] == key:
                return found
    return found


def parse(text: str) -> dict[str, Any]:
    """A TOML document.  Raises `msgspec.DecodeError`, whose text names the line."""
    found: dict[str, Any] = msgspec.toml.decode(text)
    return found


def changed(text: str, section: str, key: str, value: Any) -> str:
    """The text with one key set; every other character stays, comments too.

    Raises `ConfigError` if that cannot be done surely.
    """
    literal = written(value)
    lines = text.splitlines()
    at = find(text, section, key)
    standing = _SETTING.fullmatch(lines[at.line - 1]) if at else None
    if at and standing and standing[2] == key:
        tail = _VALUE.fullmatch(standing[4])
        after = tail[2] if tail else ""
        lines[at.line - 1] = f"{standing[1]}{key}{standing[3]}{literal}{after}"
    elif at and _HEADER.fullmatch(lines[at.line - 1]):
        lines.insert(_last_of_section(lines, at.line), f"{key} = {literal}")
    else:
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{section}]", f"{key} = {literal}"]
    new = "\n".join(lines) + "\n"
    wanted = parse(text)
    wanted[section] = wanted.get(section, {}) | {key: value}
    if _parsed(new) != wanted:
        raise ConfigError(
            f"{section}.{key} cannot be set without rewriting the file",
            why="it is not written as one plain line",
            todo=f"write it by hand, under [{section}]:\n{key} = {literal}",
        )
    return new


def written(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return msgspec.toml.encode({"key": value}).decode().partition("=")[2].strip()


def document(values: Mapping[str, Any]) -> str:
    """A new TOML document."""
    return msgspec.toml.encode(values).decode()


def _last_of_section(lines: list[str], header: int) -> int:
    """Behind which line a section's next key goes: its last key, or its header."""
    last = header
    for number, line in enumerate(lines[header:], header + 1):
        if _HEADER.fullmatch(line):
            break
        if _SETTING.fullmatch(line):
            last = number
    return last


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return parse(text)
    except msgspec.DecodeError:
        return None
