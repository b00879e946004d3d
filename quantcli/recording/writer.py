"""Writes market data as a recording: Parquet by market, channel and UTC day, and a manifest at the end.

    ROOT/<exchange>/<symbol>/<channel>/<YYYY-MM-DD of local_ns>/<session>-<part>.parquet
    ROOT/<exchange>/<session>.manifest.json

Everything is staged in a hidden folder and moved into place by `close`, manifest last, so that a crash leaves
nothing that looks whole.  No byte depends on the wall clock: the same events give the same files.
Where events come from is for others to know.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from quantcli.errors import DamagedRecording, InvariantError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import EVENT_TYPES, Channel, MarketEvent
from quantcli.recording import manifest
from quantcli.recording.instruments import Steps, observed
from quantcli.recording.manifest import FileEntry, Gap, Manifest
from quantcli.recording.session_clock import SessionClock
from quantcli.recording.stream_writer import StreamWriter

_CHANNELS = {kind: channel for channel, kind in EVENT_TYPES.items()}
_NAME_DIGITS = 12


class Writer:
    """One recording session.

    `origin` says where the data comes from (free text by key).  It names the session: by its `sha256`, the
    hash of a source file, so that importing a file again replaces what it gave before; else by all of it,
    which must then tell the session from others.  Leaving a `with` block without `close` discards it.
    """

    def __init__(self, root: Path, exchange: str, origin: Mapping[str, str]) -> None:
        self._root = root
        self._exchange = exchange
        self._origin = dict(origin)
        self._session = _session_name(exchange, origin)
        self._staging = root / exchange / f".{self._session}.partial"
        self._is_new_root = not root.exists()
        self._closed = False
        self._streams: dict[tuple[type[MarketEvent], str], StreamWriter] = {}
        self._rules: dict[str, SymbolMetadata] = {}
        self._gaps: list[Gap] = []
        self._withheld: Counter[Channel] = Counter()
        self._clock = SessionClock()
        self._seq = 0
        shutil.rmtree(self._staging, ignore_errors=True)

    def append(self, event: MarketEvent) -> None:
        """Record an event.

        Its `seq` must not be less than the one before; a `local_ns` that is less is raised to the one
        before.  Ids that do not follow each other are recorded as gaps.  Raises `RecordingError` for a
        number that cannot be kept exactly (perhaps only when its row group is written).
        """
        if event.seq < self._seq:
            raise InvariantError(f"event {event.seq} of a recording session comes after {self._seq}")
        self._seq = event.seq
        at_ns = self._clock.tell(event.local_ns)
        if at_ns != event.local_ns:
            event = msgspec.structs.replace(event, local_ns=at_ns)
        (self._streams.get((type(event), event.symbol)) or self._open(event)).append(event)

    def withhold(self, channel: Channel) -> None:
        """Take note of a message of this channel that has an id but means no event: nothing is missing
        where that id should be."""
        self._withheld[channel] += 1

    def instruments(self, rules: Iterable[SymbolMetadata]) -> None:
        """Record trading rules; those of symbols without rows are left out in the end."""
        self._rules.update({rule.symbol.name: rule for rule in rules})

    def gap(self, symbol: str, channel: Channel, at_ns: int, kind: str, detail: str) -> None:
        """Record that something is missing before `at_ns` (see `manifest.Gap`)."""
        self._gaps.append(Gap(symbol, channel.value, at_ns, kind, detail))

    def close(self) -> Manifest:
        """Finish the files, move them into place, write the manifest."""
        for stream in self._streams.values():
            stream.finish()
        record = self._manifest()
        superseded = self._superseded_by(record)
        self._move_into_place(record.files)
        manifest.save(record, self._root)
        for path in superseded:
            (self._root / path).unlink(missing_ok=True)
        shutil.rmtree(self._staging, ignore_errors=True)
        self._closed = True
        return record

    def discard(self) -> None:
        """Remove everything written so far."""
        for stream in self._streams.values():
            stream.drop()
        shutil.rmtree(self._staging, ignore_errors=True)
        made = [self._staging.parent, self._root] if self._is_new_root else [self._staging.parent]
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            self.discard()

    def _open(self, event: MarketEvent) -> StreamWriter:
        channel = _CHANNELS[type(event)]
        stream = StreamWriter(
            *(self._staging, self._exchange, self._session),
            symbol=event.symbol,
            channel=channel,
            clock=self._clock,
        )
        self._streams[type(event), event.symbol] = stream
        return stream

    def _all_gaps(self, streams: Iterable[StreamWriter]) -> list[Gap]:
        gaps = list(self._gaps)
        for stream in streams:
            for missing in stream.breaks:
                if missing.ids <= self._withheld[stream.channel]:
                    self._withheld[stream.channel] -= missing.ids
                else:
                    where = (stream.symbol, stream.channel.value)
                    gaps.append(Gap(*where, missing.at_ns, "sequence", missing.detail))
        return sorted(gaps, key=lambda gap: (gap.at_ns, gap.symbol, gap.channel))

    def _manifest(self) -> Manifest:
        streams = sorted(self._streams.values(), key=lambda stream: (stream.symbol, stream.channel))
        files = [entry for stream in streams for entry in stream.files]
        gaps = self._all_gaps(streams)
        rows: Counter[str] = Counter()
        for entry in files:
            rows[entry.channel] += entry.rows
        return Manifest(
            manifest.FORMAT,
            self._session,
            self._exchange,
            self._origin,
            dict(rows),
            self._clock.offset_ms(),
            self._clock.steps_back,
            tuple(self._rules_of(streams)),
            tuple(gaps),
            tuple(msgspec.structs.replace(entry, gaps=_gaps_in(entry, gaps)) for entry in files),
        )

    def _rules_of(self, streams: Iterable[StreamWriter]) -> list[SymbolMetadata]:
        seen: dict[str, Steps] = {}
        for stream in streams:
            seen.setdefault(stream.symbol, Steps()).add(stream.steps)
        return [
            self._rules.get(name) or observed(Symbol.parse(name), self._exchange, steps)
            for name, steps in seen.items()
        ]

    def _superseded_by(self, record: Manifest) -> set[str]:
        """Files that an earlier session of this name wrote and this one does not."""
        try:
            earlier = manifest.load(self._root / record.path)
        except (FileNotFoundError, DamagedRecording):  # nothing to go by
            return set()
        return {entry.path for entry in earlier.files} - {entry.path for entry in record.files}

    def _move_into_place(self, files: Iterable[FileEntry]) -> None:
        folders: set[Path] = set()
        for entry in files:
            path = self._root / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            (self._staging / entry.path).replace(path)
            folders.update(path.relative_to(self._root).parents)
        for folder in sorted(folders):
            manifest.sync_folder(self._root / folder)


def _session_name(exchange: str, origin: Mapping[str, str]) -> str:
    told = origin.get("sha256")
    if told is None:
        text = msgspec.json.encode([exchange, dict(origin)], order="deterministic")
        told = hashlib.sha256(text).hexdigest()
    return told[:_NAME_DIGITS]


def _gaps_in(entry: FileEntry, gaps: Iterable[Gap]) -> int:
    return sum(
        gap.symbol == entry.symbol
        and gap.channel == entry.channel
        and entry.from_ns <= gap.at_ns <= entry.to_ns
        for gap in gaps
    )
