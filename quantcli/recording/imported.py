"""Turns a file of an exchange's data into a recording session, and tells what came of it.

Which kinds of file there are is decided here, by name; what is in them stands in `capture` and `dumps`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from quantcli.errors import NotFoundError, RecordingError
from quantcli.recording.capture import import_capture
from quantcli.recording.dumps import import_dump
from quantcli.recording.manifest import Gap, Manifest
from quantcli.recording.sources import Imported


class ImportSummary(msgspec.Struct, frozen=True):
    """What an import did.

    `files` are the Parquet files, relative to the root.  `events` counts messages by name, and every message
    has one; `skipped` of them made no row.  `gaps` is the length of `gap_list`.  `from_ns`..`to_ns` are
    the first and last `local_ns`.
    """

    files: list[str]
    events: dict[str, int]
    connections: int
    gaps: int
    gap_list: list[dict[str, str | int]]
    from_ns: int
    to_ns: int
    symbols: list[str]
    rows: int
    skipped: int


def import_file(path: Path, root: Path, advance: Callable[[int], None]) -> Imported:
    """Record what is in a file; `advance` is told of its bytes as they are read.

    Raises `NotFoundError` or `RecordingError`, and then leaves nothing of it behind.
    """
    if not path.is_file():
        raise NotFoundError(f"no file {path}", todo="check the path")
    name = path.name.lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return import_capture(path, root, advance)
    if name.endswith((".csv", ".csv.gz", ".zip")):
        return import_dump(path, root, advance)
    raise RecordingError(
        f"{path} is not a kind of file that can be imported",
        why="its name ends in none of .capture.jsonl(.gz), .csv(.gz), .zip",
        todo="give a capture, or a CSV file as data.binance.vision has them",
    )


def summary(imported: Sequence[Imported]) -> ImportSummary:
    """The sum of one or more imports."""
    records: list[Manifest] = [one.manifest for one in imported]
    files = [entry for record in records for entry in record.files]
    gaps = [_told(gap) for record in records for gap in record.gaps]
    messages: Counter[str] = Counter()
    for one in imported:
        messages.update(one.messages)
    rows = sum(entry.rows for entry in files)
    return ImportSummary(
        [entry.path for entry in files],
        dict(sorted(messages.items())),
        sum(one.connections for one in imported),
        len(gaps),
        gaps,
        min(entry.from_ns for entry in files),
        max(entry.to_ns for entry in files),
        sorted({entry.symbol for entry in files}),
        rows,
        messages.total() - rows,
    )


def _told(gap: Gap) -> dict[str, str | int]:
    return {name: getattr(gap, name) for name in gap.__struct_fields__}
