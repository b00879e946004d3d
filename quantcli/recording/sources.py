"""The files that data is imported from: opened (plain, gzip or zip), lines numbered, damage named.

Knows nothing of what the lines mean.
"""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import msgspec

from quantcli.errors import RecordingError
from quantcli.recording.manifest import Manifest
from quantcli.recording.stream_writer import file_sha256

_REPORT_EVERY = 4096


class Imported(msgspec.Struct, frozen=True):
    """A session made from a file: its manifest, and the file's messages counted by name."""

    manifest: Manifest
    messages: dict[str, int]
    connections: int = 0


def origin_of(path: Path, **details: str) -> dict[str, str]:
    """What a session tells of the file it was made from."""
    found = {name: text for name, text in details.items() if text}
    return {"file": path.name, "sha256": file_sha256(path), **found}


def lines(path: Path, advance: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, numbered from 1; `advance` is told how many of its bytes were
    read since last.

    Raises `RecordingError`, with the line, where the file is damaged, and for a zip that does not hold
    exactly one file.
    """
    number, told = 0, 0
    with path.open("rb") as raw:
        try:
            with _unpacked(path, raw) as text:
                for number, line in enumerate(text, 1):
                    if not line.isspace():
                        yield number, line
                    if number % _REPORT_EVERY == 0:
                        advance(raw.tell() - told)
                        told = raw.tell()
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
            raise broken(path, number + 1, f"the compressed data is damaged or cut off: {error}") from None
        advance(path.stat().st_size - told)


def broken(path: Path, line: int, why: str) -> RecordingError:
    """The error for a line that cannot be what it should be."""
    return RecordingError(
        f"{path} line {line} cannot be read", why=why, todo="get the file again; nothing was recorded"
    )


@contextmanager
def _unpacked(path: Path, raw: BinaryIO) -> Iterator[IO[bytes]]:
    if path.suffix == ".gz":
        with gzip.open(raw) as text:
            yield cast(IO[bytes], text)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(raw) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if len(names) != 1:
                raise RecordingError(
                    f"{path} holds {len(names)} files", why="an archive of Binance's holds exactly one"
                )
            with archive.open(names[0]) as text:
                yield text
    else:
        yield raw
