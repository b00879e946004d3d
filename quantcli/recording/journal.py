"""The journal of a live session: an append-only file in which every row is safe before it becomes Parquet.

    ROOT/<exchange>/.<session>-<number>.journal

A journal is a row of batches, each its length and its CRC-32 (four bytes each, low byte first) and so many
bytes of MessagePack, an array of records.  A record is an array that begins with its kind: 0 to 5 are
events by channel (see `_KINDS`), then their fields in order; the others are below.  The first record is
the head.

What a crash costs: rows wait for `flush` in this process, and the operating system's copy of them for `sync`.
Killed with -9, the program loses what was not flushed; a power cut takes what was not synced.  The recorder
(`runtime.record`) flushes twenty times a second and syncs each second.  A batch that was torn on its way to
the disk is known by its checksum and left out.  Knows nothing of Parquet, and reads no clock.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantcli.errors import DamagedRecording, RecordingError
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import EVENT_TYPES, Channel, MarketEvent

SUFFIX = ".journal"

_KINDS = (Channel.TRADES, Channel.AGG_TRADES, Channel.QUOTES, Channel.BOOK, Channel.BARS, Channel.MARKS)
_CODES: dict[type[MarketEvent], int] = {EVENT_TYPES[channel]: code for code, channel in enumerate(_KINDS)}
_HEAD, _GAP, _RULES, _WITHHELD = 16, 17, 18, 19

_FRAME = struct.Struct("<II")
_ARRAY = struct.Struct(">BI")  # MessagePack's `array 32`: its mark and how many elements follow
_ARRAY_MARK = 0xDD
_BEGIN = _FRAME.size + _ARRAY.size
_BATCH = 64 * 1024  # bytes; more than this never wait in memory


class Head(msgspec.Struct, frozen=True):
    """Whose journal it is: exchange, session and origin (see `manifest.Manifest`), the number of this file
    among those of the session (from 1), and the least time that its rows may be recorded with."""

    exchange: str
    session: str
    origin: dict[str, str]
    number: int
    floor_ns: int = 0


class GapNote(NamedTuple):
    """Something may be missing before the next row of a stream (see `Writer.interrupted`)."""

    symbol: str
    channel: Channel
    at_ns: int
    kind: str
    detail: str


class Withheld(NamedTuple):
    """So many messages of a channel had an id and meant no event (see `Writer.withhold`)."""

    channel: Channel
    messages: int


Record = MarketEvent | GapNote | Withheld | list[SymbolMetadata]


class Journal:
    """Writes a session's journal, one file after another; `size` is the present file's, in bytes.

    Raises `RecordingError` where the disk refuses; what was written before stays whole.
    """

    def __init__(self, root: Path, head: Head) -> None:
        self.size = 0
        self._folder = root / head.exchange
        self._head = head
        self._encode = msgspec.msgpack.Encoder().encode_into
        self._count = 0
        self._buffer = bytearray(_BEGIN)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self._open()

    @property
    def number(self) -> int:
        """The number of the file that is written now."""
        return self._head.number

    def append(self, event: MarketEvent) -> int:
        """Take a row; how many bytes it has."""
        return self._add((_CODES[type(event)], *msgspec.structs.astuple(event)))

    def gap(self, note: GapNote) -> None:
        """Take note that something is missing."""
        self._add((_GAP, *note))

    def withhold(self, note: Withheld) -> None:
        """Take note of messages that took an id each."""
        self._add((_WITHHELD, *note))

    def instruments(self, rules: Iterable[SymbolMetadata]) -> None:
        """Take note of trading rules."""
        self._add((_RULES, list(rules)))

    def flush(self) -> None:
        """Hand what waits to the operating system."""
        if not self._count:
            return
        buffer = self._buffer
        _ARRAY.pack_into(buffer, _FRAME.size, _ARRAY_MARK, self._count)
        body = memoryview(buffer)[_FRAME.size :]
        _FRAME.pack_into(buffer, 0, len(body), zlib.crc32(body))
        body.release()
        try:
            self._write(buffer)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise _refused(self._path, error) from error
        finally:
            self._count = 0
            del buffer[_BEGIN:]

    def sync(self) -> None:
        """Make what was flushed survive a power cut.  May take long: not for the event loop."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise _refused(self._path, error) from error

    def rotate(self) -> int:
        """End the present file and begin the next; the number of the one that ended."""
        ended = self.number
        self.close()
        self._head = msgspec.structs.replace(self._head, number=ended + 1)
        self._file = self._open()
        return ended

    def close(self) -> None:
        """Write what waits, sync, and let go of the file."""
        try:
            self.flush()
            self.sync()
        finally:
            os.close(self._file)

    @property
    def _path(self) -> Path:
        return path_of(self._folder, self._head.session, self._head.number)

    def _open(self) -> int:
        self.size = 0
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise _refused(self._path, error) from error
        self._file = file
        self._add((_HEAD, self._head))
        self.flush()
        return file

    def _add(self, record: tuple[Any, ...]) -> int:
        buffer = self._buffer
        before = len(buffer)
        self._encode(record, buffer, -1)
        self._count += 1
        after = len(buffer)
        if after >= _BATCH:
            self.flush()
        return after - before

    def _write(self, data: bytearray) -> None:
        written = os.write(self._file, data)
        while written < len(data):
            written += os.write(self._file, memoryview(data)[written:].tobytes())
        self.size += written


def path_of(folder: Path, session: str, number: int) -> Path:
    """Where a journal lies."""
    return folder / f".{session}-{number:06}{SUFFIX}"


def journals(folder: Path) -> dict[str, list[int]]:
    """The journals in an exchange's folder: their numbers, in order, by session."""
    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob(f".*{SUFFIX}")):
        session, _, number = path.name.removesuffix(SUFFIX).removeprefix(".").rpartition("-")
        if session and number.isdecimal():
            found.setdefault(session, []).append(int(number))
    return found


def read_head(path: Path) -> Head:
    """Whose journal it is; raises `DamagedRecording` if even that is not whole."""
    for batch in _batches(path):
        for code, *fields in batch:
            if code == _HEAD:
                return msgspec.convert(fields[0], Head)
        break
    raise DamagedRecording(f"{path} is no journal", why="its first record is not whole", todo="remove it")


def read(path: Path) -> Iterator[Record]:
    """What is in a journal, up to the first batch that is not whole."""
    for batch in _batches(path):
        for code, *fields in batch:
            if code < len(_KINDS):
                kind: Any = EVENT_TYPES[_KINDS[code]]
                yield kind(*fields)
            elif code == _GAP:
                yield GapNote(fields[0], Channel(fields[1]), *fields[2:])
            elif code == _WITHHELD:
                yield Withheld(Channel(fields[0]), fields[1])
            elif code == _RULES:
                yield msgspec.convert(fields[0], list[SymbolMetadata])


def _batches(path: Path) -> Iterator[list[list[Any]]]:
    decode = msgspec.msgpack.Decoder(list[list[Any]]).decode
    with path.open("rb") as file:
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(frame)
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                return
            yield decode(body)


def _refused(path: Path, error: OSError) -> RecordingError:
    return RecordingError(
        f"{path} cannot be written on",
        why=error.strerror or str(error),
        todo="make room on the disk; what was recorded until now is kept, and recovered by the next "
        f"`quant record` to this folder or by: quant recordings verify {path.parents[1]}",
    )
