"""Since when, as people write it: `2h`, `2026-11-01`, `2026-11-01T09:14:02Z`."""

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from quantcli.clock import NS_PER_S, WallClock
from quantcli.errors import UsageError

_PARTS = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE
)

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only what is newer: 2h, 2026-11-01, 2026-11-01T09:14:02Z."),
]


def since_ns(text: str | None, now_ns: int | None = None) -> int:
    """The moment meant, 0 for none: so long before `now_ns`, or a date or time of RFC 3339 (UTC unless told).

    Raises `UsageError`.
    """
    if text is None:
        return 0
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        return (WallClock().now_ns() if now_ns is None else now_ns) - _ago(text)
    day, time, fraction, zone = parts.groups()
    try:
        zone = (zone or "Z").upper().replace("Z", "+00:00")
        at = datetime.fromisoformat(f"{day}T{time or '00:00'}{zone}").astimezone(UTC)
    except ValueError as error:
        raise _unclear(text, str(error)) from None
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    elapsed = at - epoch
    return (elapsed.days * 86_400 + elapsed.seconds) * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def _ago(text: str) -> int:
    from quantcli.config import parse_duration

    try:
        return parse_duration(text)
    except UsageError as error:
        raise _unclear(text, error.why) from None


def _unclear(text: str, why: str) -> UsageError:
    return UsageError(
        f"--since {text!r} is no moment", why=why, todo="write it like 2h, 2026-11-01 or 2026-11-01T09:14:02Z"
    )
