"""Checks that a recording is what was written: bytes, rows, ranges and types against the manifests.

Reports on every file instead of stopping at the first that is wrong.  Repairs nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from quantcli.errors import DamagedRecording
from quantcli.model.market import Channel
from quantcli.recording import manifest
from quantcli.recording.columns import schema
from quantcli.recording.manifest import FileEntry
from quantcli.recording.stream_writer import file_sha256


class FileCheck(msgspec.Struct, frozen=True):
    """One file as the manifest lists it, and what is wrong with it (`problem`, empty if `ok`).

    A manifest, or a file that no manifest lists, appears only if something is wrong, with nothing but
    its path.
    """

    path: str
    exchange: str
    symbol: str
    channel: str
    rows: int
    from_ns: int
    to_ns: int
    gaps: int
    sha256: str
    ok: bool
    problem: str


def verify(root: Path) -> list[FileCheck]:
    """Check everything under `root`; raises `NotFoundError` if there is no recording."""
    checks: list[FileCheck] = []
    for path in manifest.manifests(root):
        try:
            record = manifest.load(path)
        except DamagedRecording as error:
            checks.append(_stray(path.relative_to(root), f"damaged: {error.why}"))
            continue
        checks += [_checked(entry, _problem(root / entry.path, entry)) for entry in record.files]
    listed = {check.path for check in checks}
    return checks + [
        _stray(path, "no manifest lists it") for path in _parquet_files(root) if str(path) not in listed
    ]


def _problem(path: Path, entry: FileEntry) -> str:
    if not path.is_file():
        return "missing"
    if file_sha256(path) != entry.sha256:
        return "damaged: its bytes are not those that were written"
    try:
        with pq.ParquetFile(path) as file:
            return _disagreement(file, entry)
    except (OSError, pa.ArrowException) as error:
        return f"unreadable: {error}"


def _disagreement(file: pq.ParquetFile, entry: FileEntry) -> str:
    """Where an undamaged file and the manifest say different things."""
    if file.schema_arrow not in (schema(Channel(entry.channel), wide) for wide in (False, True)):
        return f"its columns are not those of {entry.channel}"
    if file.metadata.num_rows != entry.rows:
        return f"it holds {file.metadata.num_rows} rows, the manifest says {entry.rows}"
    local_ns = file.read(["local_ns"]).column(0).to_numpy()
    if (local_ns[0], local_ns[-1]) != (entry.from_ns, entry.to_ns):
        return f"it runs from {local_ns[0]} to {local_ns[-1]}, the manifest says otherwise"
    return ""


def _parquet_files(root: Path) -> Iterator[Path]:
    """Parquet files, but for those of sessions that were never finished: their folders are hidden."""
    for path in sorted(root.glob("**/*.parquet")):
        relative = path.relative_to(root)
        if not any(name.startswith(".") for name in relative.parts):
            yield relative


def _checked(entry: FileEntry, problem: str) -> FileCheck:
    return FileCheck(**msgspec.structs.asdict(entry), ok=not problem, problem=problem)


def _stray(path: Path, problem: str) -> FileCheck:
    return _checked(FileEntry(str(path), "", "", "", 0, 0, 0, 0, ""), problem)
