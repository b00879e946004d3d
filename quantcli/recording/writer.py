"""Writes market data as a recording: Parquet by market, channel and UTC day, and a manifest at the end.

    ROOT/<exchange>/<symbol>/<channel>/<YYYY-MM-DD of local_ns>/<session>-<part>.parquet
    ROOT/<exchange>/<session>.manifest.json

Everything is staged in a hidden folder and moved into place by `checkpoint` or `close`, manifest last, so
that a crash leaves nothing that looks whole.  A session that grows for days is written on by one process
after another, each from the manifest that the one before left.  No byte depends on the wall clock: the same
events give the same files.  Where events come from is for others to know.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from quantcli.errors import DamagedRecording, InvariantError, RecordingError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import EVENT_TYPES, Channel, MarketEvent
from quantcli.recording import manifest
from quantcli.recording.gaps import Break
from quantcli.recording.instruments import Steps, observed
from quantcli.recording.manifest import FileEntry, Gap, Manifest
from quantcli.recording.session_clock import ClockState, SessionClock
from quantcli.recording.stream_writer import StreamState, StreamWriter

RESUME = "resume"  # key of `Manifest.origin` while a session grows: what the next process goes on from
_CHANNELS = {kind: channel for channel, kind in EVENT_TYPES.items()}
_NAME_DIGITS = 12
# Rows that may wait in memory, over all streams; it is looked at every so many rows.
_WAITING = 262_144
_LOOK_EVERY = 4_096


class _State(msgspec.Struct, frozen=True):
    clock: ClockState
    withheld: dict[Channel, int]
    streams: list[StreamState]


class Writer:
    """One recording session.

    `origin` says where the data comes from (free text by key).  It names the session, unless `session` does:
    by its `sha256`, the hash of a source file, so that importing a file again replaces what it gave before;
    else by all of it, which must then tell the session from others.  Leaving a `with` block without `close`
    discards what the last `checkpoint` did not write.

    `earlier` is the manifest of a session that is written on.  `floor_ns` is the least time that rows may
    have.  A session recorded live is `lenient`: a row that cannot be kept exactly becomes a gap.
    """

    def __init__(
        self,
        root: Path,
        exchange: str,
        origin: Mapping[str, str],
        *,
        session: str | None = None,
        earlier: Manifest | None = None,
        floor_ns: int = 0,
        lenient: bool = False,
    ) -> None:
        self.origin = dict(origin)
        self._root = root
        self._exchange = exchange
        self._session = session or _session_name(exchange, origin)
        self._staging = root / exchange / f".{self._session}.partial"
        self._is_new_root = not root.exists()
        self._closed = False
        self._lenient = lenient
        self._streams: dict[tuple[type[MarketEvent], str], StreamWriter] = {}
        self._rules: dict[str, SymbolMetadata] = {}
        self._gaps: list[Gap] = []
        self._pending: dict[tuple[str, Channel], list[Gap]] = {}
        self._interruptions: list[Gap] = []
        self._withheld: Counter[Channel] = Counter()
        self._clock = SessionClock(ClockState(now_ns=floor_ns))
        self._seq = 0
        self._appended = 0
        shutil.rmtree(self._staging, ignore_errors=True)
        if earlier is not None:
            self._resume(earlier)

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
        if self._pending:
            self._settle(event)
        (self._streams.get((type(event), event.symbol)) or self._open(event)).append(event)
        self._appended += 1
        if self._appended % _LOOK_EVERY == 0:
            self._relieve()

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

    def interrupted(self, symbol: str, channel: Channel, at_ns: int, kind: str, detail: str) -> None:
        """Record that something may be missing before the next row of a stream.  Until there is one, or if
        none comes, the gap stands at `at_ns`."""
        gap = Gap(symbol, channel.value, at_ns, kind, detail)
        self._pending.setdefault((symbol, channel), []).append(gap)

    def checkpoint(self) -> Manifest:
        """Finish the files, move them into place, write a manifest from which the session can go on."""
        for stream in self._streams.values():
            stream.finish()
        return self._publish(self.origin | {RESUME: msgspec.json.encode(self._state()).decode()})

    def close(self) -> Manifest:
        """Finish the files, move them into place, write the manifest."""
        for stream in self._streams.values():
            stream.finish()
        record = self._publish(self.origin)
        shutil.rmtree(self._staging, ignore_errors=True)
        self._closed = True
        return record

    def _publish(self, origin: dict[str, str]) -> Manifest:
        record = self._manifest(origin)
        superseded = self._superseded_by(record)
        self._move_into_place(record.files)
        manifest.save(record, self._root)
        for path in superseded:
            (self._root / path).unlink(missing_ok=True)
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
        return self._add(StreamState(event.symbol, _CHANNELS[type(event)]))

    def _add(self, state: StreamState, files: Iterable[FileEntry] = ()) -> StreamWriter:
        stream = self._streams[EVENT_TYPES[state.channel], state.symbol] = StreamWriter(
            *(self._staging, self._exchange, self._session),
            state=state,
            files=tuple(files),
            clock=self._clock,
            refuse=self._refuse if self._lenient else None,
        )
        return stream

    def _resume(self, earlier: Manifest) -> None:
        """Go on where the process ended that wrote this manifest."""
        state = msgspec.json.decode(earlier.origin[RESUME], type=_State)
        self._clock = SessionClock(state.clock)
        self._withheld.update(state.withheld)
        self._gaps = list(earlier.gaps)
        self.instruments(rule for rule in earlier.instruments if rule.source != "observed")
        for stream in state.streams:
            where = (stream.symbol, stream.channel)
            self._add(stream, (entry for entry in earlier.files if (entry.symbol, entry.channel) == where))

    def _state(self) -> _State:
        return _State(
            self._clock.state(),
            {channel: count for channel, count in self._withheld.items() if count},
            [stream.state() for stream in self._streams.values()],
        )

    def _refuse(self, event: MarketEvent, error: RecordingError) -> None:
        self.gap(event.symbol, _CHANNELS[type(event)], event.local_ns, "inexact", error.what)

    def _settle(self, event: MarketEvent) -> None:
        """Put the gaps that wait for the next row of a stream where it is."""
        for gap in self._pending.pop((event.symbol, _CHANNELS[type(event)]), ()):
            self._interruptions.append(msgspec.structs.replace(gap, at_ns=event.local_ns))

    @property
    def waiting(self) -> int:
        """How much waits in memory, counted in rows."""
        return sum(stream.waiting for stream in self._streams.values())

    def _relieve(self) -> None:
        """Write row groups early where many streams wait at once: memory must not follow their number."""
        waiting = self.waiting
        for stream in sorted(self._streams.values(), key=lambda stream: -stream.waiting):
            if waiting <= _WAITING:
                return
            waiting -= stream.waiting
            stream.flush()

    def _note_breaks(self, streams: Iterable[StreamWriter]) -> None:
        """Ids that do not follow each other, unless a message is known that took one and meant no event.  A
        hole that was known before its ids showed it gets their word, and stays one gap."""
        for stream in streams:
            where = (stream.symbol, stream.channel.value)
            for missing in stream.breaks:
                if missing.ids <= self._withheld[stream.channel]:
                    self._withheld[stream.channel] -= missing.ids
                elif (known := self._interruption(*where, missing)) is not None:
                    gap = self._interruptions[known]
                    detail = "; ".join(filter(None, (gap.detail, missing.detail)))
                    self._interruptions[known] = msgspec.structs.replace(gap, detail=detail)
                else:
                    self._gaps.append(Gap(*where, missing.at_ns, "sequence", missing.detail))
            stream.breaks.clear()

    def _interruption(self, symbol: str, channel: str, missing: Break) -> int | None:
        """The last interruption of a stream between the two rows of a break."""
        for i in reversed(range(len(self._interruptions))):
            gap = self._interruptions[i]
            same = (gap.symbol, gap.channel) == (symbol, channel)
            if same and missing.after_ns <= gap.at_ns <= missing.at_ns:
                return i
        return None

    def _manifest(self, origin: dict[str, str]) -> Manifest:
        streams = sorted(self._streams.values(), key=lambda stream: (stream.symbol, stream.channel))
        files = [entry for stream in streams for entry in stream.files]
        self._note_breaks(streams)
        pending = [gap for gaps in self._pending.values() for gap in gaps]
        gaps = [*self._gaps, *self._interruptions, *pending]
        gaps.sort(key=lambda gap: (gap.at_ns, gap.symbol, gap.channel))
        rows: Counter[str] = Counter()
        for entry in files:
            rows[entry.channel] += entry.rows
        return Manifest(
            manifest.FORMAT,
            self._session,
            self._exchange,
            origin,
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
            path, staged = self._root / entry.path, self._staging / entry.path
            if not staged.exists():  # one of an earlier checkpoint
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(path)
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
