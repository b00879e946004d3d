"""What a recording session amounts to: stream by stream while it runs, and the sum in the end.

Knows no feed's wire format and no files but by their manifest.
"""

from collections import deque
from statistics import median

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.model.market import Channel
from quantcli.recording.manifest import Manifest
from quantcli.venues.feed import Tally

_LAGS = 512


class RecordingSummary(msgspec.Struct, frozen=True):
    """What a session recorded.

    `files` are relative to the root; `events` counts rows by channel; `gaps` is the length of `gap_list`;
    `from_ns`..`to_ns` are the first and last `local_ns`, 0 where nothing came.  `reconnects` counts
    connections that were lost and found again, `dropped` messages that could not be read, `duplicates` those
    that said nothing new.
    """

    session: str
    files: list[str]
    events: dict[str, int]
    gaps: int
    gap_list: list[dict[str, str | int]]
    from_ns: int
    to_ns: int
    symbols: list[str]
    rows: int
    reconnects: int
    dropped: int
    duplicates: int


class StreamTally:
    """What was recorded of one stream: rows, gaps, bytes in journals, the last lags in nanoseconds."""

    __slots__ = ("bytes", "channel", "gaps", "lags", "rows", "symbol")

    def __init__(self, symbol: str, channel: Channel) -> None:
        self.symbol = symbol
        self.channel = channel
        self.rows = 0
        self.gaps = 0
        self.bytes = 0
        self.lags: deque[int] = deque(maxlen=_LAGS)

    @property
    def lag_ms(self) -> float | None:
        """Median of the last local less exchange times in milliseconds; `None` without exchange times."""
        return median(self.lags) / NS_PER_MS if self.lags else None


def sum_of(session: str, record: Manifest | None, tally: Tally) -> RecordingSummary:
    """The sum of a session; `record` is `None` where it has no rows."""
    files = record.files if record else ()
    gaps = [
        {name: getattr(gap, name) for name in gap.__struct_fields__}
        for gap in (record.gaps if record else ())
    ]
    return RecordingSummary(
        session,
        [entry.path for entry in files],
        dict(record.events) if record else {},
        len(gaps),
        gaps,
        min((entry.from_ns for entry in files), default=0),
        max((entry.to_ns for entry in files), default=0),
        sorted({entry.symbol for entry in files}),
        sum(entry.rows for entry in files),
        tally.reconnects,
        tally.malformed,
        tally.duplicates,
    )
