"""Opens a recording and reads it in order.

Everything about a recording but its rows comes from the manifests; rows are streamed, so that memory does
not depend on how long the recording is.  Whether the files are still what was written is `verify`'s
business.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from quantcli.errors import DamagedRecording, NotFoundError, RecordingError
from quantcli.model.batch import Chunk, Columns
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import Channel
from quantcli.recording import manifest
from quantcli.recording.columns import from_batch, no_rows
from quantcli.recording.derive import SOURCES, View, with_quotes
from quantcli.recording.instruments import best_known
from quantcli.recording.manifest import FileEntry, Gap, Manifest
from quantcli.recording.merge import merged


class Stream(msgspec.Struct, frozen=True):
    """One channel of one symbol; `files` in order of time.  Quotes that were not recorded name the channel
    they are derived from, and that channel's files."""

    symbol: str
    channel: Channel
    files: tuple[FileEntry, ...]
    derived_from: Channel | None = None

    @property
    def rows(self) -> int:
        """Rows in the files."""
        return sum(entry.rows for entry in self.files)


class Recording(msgspec.Struct, frozen=True):
    """What was recorded of one exchange under `root`.

    `from_ns`..`to_ns` are the first and last `local_ns`; `rows` and `files` are as recorded, without
    derived quotes; `digest` is one hash over all of them; `origins` has one entry per session.
    """

    root: Path
    exchange: str
    streams: tuple[Stream, ...]
    instruments: dict[str, SymbolMetadata]
    from_ns: int
    to_ns: int
    rows: int
    digest: str
    files: tuple[FileEntry, ...]
    gaps: tuple[Gap, ...]
    origins: tuple[dict[str, str], ...]

    def chunks(
        self,
        symbols: Collection[str] | None = None,
        channels: Collection[Channel] | None = None,
        batch_rows: int = 8192,
    ) -> Iterator[Chunk]:
        """The rows of the selected streams (default: all) in total order.

        Every chunk has the selected streams, in the order of `streams`, empty where they have no rows in
        it.  `batch_rows` bounds how many rows of each are held.  Raises `NotFoundError` for a symbol
        that was not recorded.
        """
        self._check(symbols or ())
        chosen = [
            stream
            for stream in self.streams
            if (symbols is None or stream.symbol in symbols)
            and (channels is None or stream.channel in channels)
        ]
        sources = list(dict.fromkeys((s.symbol, s.derived_from or s.channel, s.files) for s in chosen))
        chunks = merged(
            [no_rows(channel, symbol) for symbol, channel, _ in sources],
            [_batches(self.root, *source, batch_rows) for source in sources],
        )
        if all(stream.derived_from is None for stream in chosen):
            return chunks
        numbers = {(symbol, channel): number for number, (symbol, channel, _) in enumerate(sources)}
        views = [
            View(numbers[s.symbol, s.derived_from or s.channel], s.symbol, s.derived_from) for s in chosen
        ]
        return with_quotes(chunks, views)

    def _check(self, symbols: Collection[str]) -> None:
        known = sorted({stream.symbol for stream in self.streams})
        for symbol in symbols:
            if symbol not in known:
                raise NotFoundError(
                    f"{symbol} is not in the recording {self.root}", why=f"it holds {', '.join(known)}"
                )


def open_recording(root: Path, exchange: str | None = None) -> Recording:
    """The recording in a folder.

    Raises `NotFoundError` if there is none, `DamagedRecording` for a damaged manifest, `RecordingError` if
    several exchanges are there and none is named, or if two sessions hold the same stream at the
    same time.
    """
    sessions = [manifest.load(path) for path in manifest.manifests(root)]
    name = exchange or _only_exchange(sessions, root)
    sessions = sorted(
        (s for s in sessions if s.exchange == name),
        key=lambda s: (max((entry.to_ns for entry in s.files), default=0), s.session),
    )
    files = sorted(
        (entry for session in sessions for entry in session.files), key=lambda e: (e.from_ns, e.to_ns, e.path)
    )
    if not files:
        raise NotFoundError(f"nothing of {name} is recorded in {root}")
    return Recording(
        root,
        name,
        tuple(_streams(files)),
        best_known(rule for session in sessions for rule in session.instruments),
        min(entry.from_ns for entry in files),
        max(entry.to_ns for entry in files),
        sum(entry.rows for entry in files),
        _digest(files),
        tuple(files),
        tuple(gap for session in sessions for gap in session.gaps),
        tuple(session.origin for session in sessions),
    )


def _only_exchange(sessions: Sequence[Manifest], root: Path) -> str:
    names = sorted({session.exchange for session in sessions})
    if len(names) > 1:
        raise RecordingError(
            f"{root} holds recordings of several exchanges", why=", ".join(names), todo="name the exchange"
        )
    return names[0]


def _streams(files: Sequence[FileEntry]) -> Iterator[Stream]:
    """The streams in order of symbol and channel, derived quotes right after what they come from."""
    held: dict[str, dict[Channel, list[FileEntry]]] = {}
    for entry in files:
        held.setdefault(entry.symbol, {}).setdefault(Channel(entry.channel), []).append(entry)
    for symbol in sorted(held):
        channels = held[symbol]
        source = next((c for c in SOURCES if c in channels), None) if Channel.QUOTES not in channels else None
        for channel in Channel:
            if channel not in channels:
                continue
            _refuse_overlap(channels[channel])
            stream = Stream(symbol, channel, tuple(channels[channel]))
            yield stream
            if channel is source:
                yield Stream(symbol, Channel.QUOTES, stream.files, channel)


def _refuse_overlap(files: Sequence[FileEntry]) -> None:
    """Two sessions that saw the same stream would give every event twice."""
    for before, after in pairwise(files):
        if after.from_ns <= before.to_ns and _session(after) != _session(before):
            raise RecordingError(
                f"{before.symbol} {before.channel} was recorded twice for the same time",
                why=f"{before.path}\n{after.path}",
                todo="keep one of the sessions, and the other in a folder of its own",
            )


def _session(entry: FileEntry) -> str:
    return Path(entry.path).name.partition("-")[0]


def _digest(files: Sequence[FileEntry]) -> str:
    lines = sorted(f"{entry.path} {entry.sha256}\n" for entry in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _batches(
    root: Path, symbol: str, channel: Channel, files: Sequence[FileEntry], batch_rows: int
) -> Iterator[Columns]:
    for entry in files:
        try:
            # Read ahead, Arrow would hold the whole file: memory would follow the length of the recording.
            with pq.ParquetFile(root / entry.path, page_checksum_verification=True, pre_buffer=False) as file:
                for batch in file.iter_batches(batch_rows, use_threads=False):
                    yield from_batch(batch, channel, symbol)
        except (OSError, pa.ArrowException, KeyError) as error:
            raise DamagedRecording(
                f"{root / entry.path} cannot be read", why=str(error), todo=f"quant recordings verify {root}"
            ) from None
