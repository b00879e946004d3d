"""Writes one stream, one channel of one symbol, to its Parquet files: one per UTC day, rarely more.

Rows wait in memory until they make a row group.  Knows nothing of the other streams or the manifest.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from quantcli.clock import NS_PER_S
from quantcli.errors import RecordingError
from quantcli.model.batch import Columns
from quantcli.model.instrument import Symbol
from quantcli.model.market import BookUpdate, Channel, MarketEvent
from quantcli.recording import columns
from quantcli.recording.decimals import Limbs
from quantcli.recording.gaps import Break, SequenceWatch
from quantcli.recording.instruments import Steps
from quantcli.recording.manifest import FileEntry
from quantcli.recording.session_clock import SessionClock

ROW_GROUP = 32_768
_ROW_GROUP_LEVELS = 262_144  # a row group of books ends earlier where the rows are long
_LEVELS_PER_ROW = 4  # so many levels of a book take about as much memory as a row of anything else
_S_PER_DAY = 86_400
_NS_PER_DAY = _S_PER_DAY * NS_PER_S


class StreamState(msgspec.Struct, frozen=True):
    """What a stream that is written on begins with: its last id and the time of that row, the steps of its
    prices and sizes, and whether its files are wide."""

    symbol: str
    channel: Channel
    last: int = 0
    last_ns: int = 0
    tick: int = 0
    lot: int = 0
    wide: bool = False


class StreamWriter:
    """`files` are the finished ones, with paths relative to `folder`, where they are written; `steps` and
    `breaks` are what was seen of the stream's numbers and ids.  A stream that an earlier process began goes
    on from its `state` and `files`.  A row with a number that cannot be kept exactly is handed to `refuse`,
    if there is one, and left out; else it is an error."""

    def __init__(
        self,
        folder: Path,
        exchange: str,
        session: str,
        *,
        state: StreamState,
        files: Sequence[FileEntry] = (),
        clock: SessionClock,
        refuse: Callable[[MarketEvent, RecordingError], None] | None = None,
    ) -> None:
        self.symbol = state.symbol
        self.channel = state.channel
        self.steps = Steps(state.tick, state.lot)
        self.breaks: list[Break] = []
        self.files: list[FileEntry] = list(files)
        self._folder = folder
        self._exchange = exchange
        self._session = session
        self._clock = clock
        self._refuse = refuse
        self._watch = SequenceWatch(exchange, state.last, state.last_ns)
        self._rows: list[MarketEvent] = []
        self._levels = 0
        self._day = -1
        self._day_ends_ns = 0
        self._wide = state.wide  # once a number needed it, to the end: types should not alternate
        self._part: _Part | None = None

    @property
    def waiting(self) -> int:
        """How much waits in memory, counted in rows."""
        return len(self._rows) + self._levels // _LEVELS_PER_ROW

    def state(self) -> StreamState:
        """As of the last row that was written."""
        steps, watch = self.steps, self._watch
        return StreamState(
            self.symbol, self.channel, watch.last, watch.last_ns, steps.tick, steps.lot, self._wide
        )

    def append(self, event: MarketEvent) -> None:
        """Take a row; `local_ns` must not be less than that of the row before."""
        if event.local_ns >= self._day_ends_ns:
            self.finish()
            self._day = event.local_ns // _NS_PER_DAY
            self._day_ends_ns = (self._day + 1) * _NS_PER_DAY
        rows = self._rows
        rows.append(event)
        if type(event) is BookUpdate:
            self._levels += len(event.bids) + len(event.asks)
        if len(rows) >= ROW_GROUP or self._levels >= _ROW_GROUP_LEVELS:
            self.flush()

    def finish(self) -> None:
        """Write what waits and close the file.  Raises `RecordingError` for a number that is not exact."""
        self.flush()
        self._close_part()

    def drop(self) -> None:
        """Let go of an unfinished file."""
        if self._part is not None:
            self._part.abandon()

    def flush(self) -> None:
        """Write what waits, as a row group.  Raises `RecordingError` for a number that is not exact."""
        waiting, self._rows, self._levels = self._rows, [], 0
        if not waiting:
            return
        try:
            rows, numbers = self._in_columns(waiting)
        except RecordingError:
            waiting = self._exact(waiting)
            if not waiting:
                return
            rows, numbers = self._in_columns(waiting)
        self._clock.compare(rows)
        self.breaks += self._watch.see(rows)
        self.steps.see(self.channel, numbers)
        if not self._wide and any(limbs.wide for limbs in numbers.values()):
            self._wide = True
            self._close_part()
        if self._part is None:
            self._part = _Part(self._folder, self._next_entry(), self._wide)
        self._part.write(rows, numbers)

    def _in_columns(self, events: Sequence[MarketEvent]) -> tuple[Columns, dict[str, Limbs]]:
        rows = columns.from_events(self.channel, self.symbol, events)
        return rows, columns.numbers(rows)

    def _exact(self, events: Sequence[MarketEvent]) -> list[MarketEvent]:
        """Those that can be kept; the others are refused."""
        kept = []
        for event in events:
            try:
                self._in_columns([event])
            except RecordingError as error:
                if self._refuse is None:
                    raise
                self._refuse(event, error)
            else:
                kept.append(event)
        return kept

    def _close_part(self) -> None:
        if self._part is not None:
            self.files.append(self._part.close())
            self._part = None

    def _next_entry(self) -> FileEntry:
        day = f"{datetime.fromtimestamp(self._day * _S_PER_DAY, UTC):%Y-%m-%d}"
        folder = f"{self._exchange}/{Symbol.parse(self.symbol).path}/{self.channel.value}/{day}"
        number = sum(entry.path.startswith(folder) for entry in self.files)
        path = f"{folder}/{self._session}-{number:03}.parquet"
        return FileEntry(path, self._exchange, self.symbol, self.channel.value, 0, 0, 0, 0, "")


class _Part:
    """One file being written."""

    def __init__(self, folder: Path, entry: FileEntry, wide: bool) -> None:
        self._path = folder / entry.path
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._entry = entry
        self._wide = wide
        self._rows = 0
        self._from_ns = 0
        self._to_ns = 0
        self._sink = self._path.open("wb")
        channel = Channel(entry.channel)
        self._parquet = pq.ParquetWriter(
            self._sink, columns.schema(channel, wide), **columns.encodings(channel)
        )

    def write(self, rows: Columns, numbers: dict[str, Limbs]) -> None:
        if not self._rows:
            self._from_ns = int(rows.local_ns[0])
        self._to_ns = int(rows.local_ns[-1])
        self._rows += len(rows)
        self._parquet.write_table(columns.to_table(rows, numbers, self._wide))

    def close(self) -> FileEntry:
        """Make it durable; how it is to be listed (its gaps not yet counted)."""
        self._parquet.close()
        self._sink.flush()
        os.fsync(self._sink.fileno())
        self._sink.close()
        entry = self._entry
        return FileEntry(
            entry.path,
            entry.exchange,
            entry.symbol,
            entry.channel,
            self._rows,
            self._from_ns,
            self._to_ns,
            0,
            file_sha256(self._path),
        )

    def abandon(self) -> None:
        self._parquet.close()
        self._sink.close()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
