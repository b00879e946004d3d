"""Where an exchange's error stands in its reply: code and text, by the paths of its manifest.

A reply that has no error at these places, or is none of the exchange's (HTML, cut off, empty), has none; what
an error means is `classify`'s business.  Knows no exchange by name.
"""

from typing import Any

import msgspec

from quantcli.venues.manifest import ErrorBody


class Fault(msgspec.Struct, frozen=True):
    """An error as the exchange puts it; `code` is empty where it uses none."""

    code: int | str
    text: str


def fault_of(body: bytes, places: ErrorBody) -> Fault | None:
    """The error in a reply, or `None`."""
    try:
        reply = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    text = _first(reply, places.text)
    if not places.code:
        return Fault("", str(text)) if isinstance(text, str) else None
    code = _first(reply, places.code)
    if not isinstance(code, int | str) or isinstance(code, bool) or code == "" or str(code) in places.none:
        return None
    return Fault(code, str(text or ""))


def says_disabled(text: str, places: ErrorBody) -> bool:
    """Whether an error's text says that this account or market does not trade at all."""
    return any(sign.casefold() in text.casefold() for sign in places.disabled)


def _first(reply: Any, paths: tuple[str, ...]) -> Any:
    for path in paths:
        found = _at(reply, path)
        if found is not None:
            return found
    return None


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value if isinstance(value, int | str) else None
