"""What a recording session says about itself: its files, gaps, instruments and origin.

One manifest per session, JSON, at `ROOT/<exchange>/<session>.manifest.json`.  It begins with the SHA-256 of
the rest of itself, so that one changed byte shows.  Reading it needs neither numpy nor pyarrow:
listings must be quick.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from quantcli.errors import DamagedRecording, NotFoundError, RecordingError
from quantcli.model.instrument import SymbolMetadata

FORMAT = 1
SUFFIX = ".manifest.json"

_HEAD = b'{"sha256":"'
_BODY = len(_HEAD) + 64  # what the checksum covers begins after it


class FileEntry(msgspec.Struct, frozen=True):
    """One Parquet file.  `path` is relative to the root, `from_ns`..`to_ns` are its first and last
    `local_ns`, `gaps` counts the gaps known in its time, `sha256` is of its bytes."""

    path: str
    exchange: str
    symbol: str
    channel: str
    rows: int
    from_ns: int
    to_ns: int
    gaps: int
    sha256: str


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """A place where the record is known not to be whole.

    `kind` is `sequence` (the exchange's ids jump) or `time` (its clock goes back), or what a recorder
    saw itself, as `reconnect`; `at_ns` is the `local_ns` of the first row after it.
    """

    symbol: str
    channel: str
    at_ns: int
    kind: str
    detail: str


class Manifest(msgspec.Struct, frozen=True):
    """A session.  `events` counts rows by channel.  `clock_offset_ms` is the median of `local_ns` less
    `exchange_ns` (`None` where the exchange gives no times), `clock_steps_back` how often the local clock
    went back (the rows are clamped).  `origin` is free text by key: file, hash, licence, source."""

    format: int
    session: str
    exchange: str
    origin: dict[str, str]
    events: dict[str, int]
    clock_offset_ms: int | None
    clock_steps_back: int
    instruments: tuple[SymbolMetadata, ...]
    gaps: tuple[Gap, ...]
    files: tuple[FileEntry, ...]

    @property
    def path(self) -> str:
        """Where it lies, relative to the root."""
        return f"{self.exchange}/{self.session}{SUFFIX}"


def manifests(root: Path) -> Iterator[Path]:
    """The manifests under `root`, in order of path; raises `NotFoundError` if there is none."""
    found = sorted(root.glob(f"*/*{SUFFIX}"))
    if root.is_file():
        raise NotFoundError(
            f"no recording in {root}",
            why="it is a file, not the folder of a recording",
            todo=f"quant import {root} --to recordings",
        )
    if not found:
        raise NotFoundError(
            f"no recording in {root}",
            why="there is no folder of that name" if not root.is_dir() else "it holds no manifest",
            todo=f"quant import FILE --to {root}",
        )
    return iter(found)


def save(manifest: Manifest, root: Path) -> None:
    """Write it durably; one of the same session is replaced."""
    path = root / manifest.path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(to_bytes(manifest))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def load(path: Path) -> Manifest:
    """Read and check it; raises `DamagedRecording` if its bytes are not those that were written."""
    return from_bytes(path.read_bytes(), str(path))


def to_bytes(manifest: Manifest) -> bytes:
    """The file's bytes, the same for the same content."""
    body = (
        b'",'
        + msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1)[1:]
        + b"\n"
    )
    return _HEAD + _digest(body) + body


def from_bytes(data: bytes, name: str) -> Manifest:
    """The manifest in a file called `name`; errors as `load`."""
    if data[:_BODY] != _HEAD + _digest(data[_BODY:]):
        raise DamagedRecording(
            f"{name} is damaged",
            why="its bytes do not match the checksum it begins with",
            todo="restore it from a copy, or import the original again",
        )
    if msgspec.json.decode(data, type=_Head).format != FORMAT:
        raise RecordingError(f"{name} is of a format this version cannot read", todo="upgrade quant")
    return msgspec.json.decode(data, type=Manifest)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Head(msgspec.Struct, frozen=True):
    format: int
