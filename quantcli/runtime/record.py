"""The program `quant record`: a live feed to a journal, and the journal to Parquet.

    feed -> put -> journal      within one call; flushed twenty times a second, synced each second
    each hour, each UTC day, each so many bytes: a new journal, and the old one to files beside (`recovery`)
    at the end: the rest to files, the manifest, the sum

Killed with -9 it loses at most what arrived in the last twentieth of a second, in a power cut at most the
last second and the time of a sync; the next recorder, or `quant recordings verify`, makes a proper session of
the rest.  Memory does not follow time: rows wait in files.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from quantcli.clock import NS_PER_S, Clock
from quantcli.errors import RecordingError, SafetyError, ValidationError
from quantcli.model.market import EVENT_TYPES, Channel, MarketEvent
from quantcli.recording import recovery
from quantcli.recording.decimals import SCALE
from quantcli.recording.journal import GapNote, Head, Journal, Withheld
from quantcli.recording.manifest import Manifest
from quantcli.runtime.record_sum import RecordingSummary, StreamTally, sum_of
from quantcli.venues.feed import LiveFeed, Put
from quantcli.venues.inbox import Gap, Item, Notice

_FLUSH_S = 0.05
_SYNC_S = 1.0
_HOUR_NS = 3600 * NS_PER_S
_JOURNAL_BYTES = 128 * 1024 * 1024  # then a journal ends before its hour
_CLOCK_BEHIND_NS = 10 * NS_PER_S  # a clock that is further behind the last recorded row is wrong
_SESSION_DIGITS = 12
_EVENTS: dict[type, Channel] = {kind: channel for channel, kind in EVENT_TYPES.items()}


class RecordJob(msgspec.Struct, frozen=True):
    """What to record: `for_s` in seconds (`None`: until stopped); `origin` is kept in the manifest."""

    exchange: str
    symbols: tuple[str, ...]
    channels: tuple[Channel, ...]
    root: Path
    for_s: float | None = None
    origin: dict[str, str] = {}


class Recorder:
    """One recording session.  `connect` makes the feed for a taker of events; `tell` hears what people should
    know.  `streams` is what was recorded so far."""

    def __init__(
        self,
        job: RecordJob,
        clock: Clock,
        connect: Callable[[Put], LiveFeed],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.streams: dict[tuple[type[MarketEvent], str], StreamTally] = {}
        self.exchange = job.exchange
        self.feed = connect(self.put)
        self._job = job
        self._clock = clock
        self._tell = tell
        self._journal: Journal | None = None
        self._session = ""
        self._wanted = set(job.symbols)
        self._withheld: Counter[Channel] = Counter()
        self._begun_ns = 0  # of the present journal
        self._making: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    @property
    def rows(self) -> int:
        """Rows recorded so far."""
        return sum(stream.rows for stream in self.streams.values())

    @property
    def gaps(self) -> int:
        """Gaps noted so far; jumps of ids are added in the end."""
        return sum(stream.gaps for stream in self.streams.values())

    def stop(self) -> None:
        """End the session soon, in good order."""
        self._stop.set()

    def add(self, symbol: str) -> None:
        """Record one more symbol, from soon on.  Raises `ValidationError`, `UsageError`."""
        self.feed.add_symbol(symbol)
        self._wanted.add(symbol)

    def remove(self, symbol: str) -> None:
        """Record a symbol no longer; what there is of it stays."""
        self.feed.remove_symbol(symbol)
        self._wanted.discard(symbol)

    def put(self, item: Item) -> None:
        """Take what the feed has: the way of every row.  Raises `RecordingError` if the disk refuses."""
        journal = self._journal
        if journal is None:
            return
        if isinstance(item, Gap):
            channel = Channel(item.channel)
            self._stream(EVENT_TYPES[channel], item.symbol).gaps += 1
            journal.gap(GapNote(item.symbol, channel, item.at_ns, item.kind, item.detail))
            if item.kind != "reconnect":  # which a notice told once for all streams
                self._tell(f"gap: {item.symbol} {item.channel}: {item.kind}, {item.detail}")
        elif isinstance(item, Notice):
            self._tell(f"{item.kind}: {item.message}")
        elif type(item) in _EVENTS:
            self._record(journal, item)  # type: ignore[arg-type]

    def _record(self, journal: Journal, event: MarketEvent) -> None:
        stream = self.streams.get((type(event), event.symbol)) or self._stream(type(event), event.symbol)
        stream.rows += 1
        stream.bytes += journal.append(event)
        if event.exchange_ns:
            stream.lags.append(event.local_ns - event.exchange_ns)

    def _stream(self, kind: type[MarketEvent], symbol: str) -> StreamTally:
        return self.streams.setdefault((kind, symbol), StreamTally(symbol, _EVENTS[kind]))

    async def run(self) -> RecordingSummary:
        """Record until the time is over or `stop` is called.

        Raises `SafetyError` if something else records here, `RecordingError` if the disk refuses, and what
        the feed's `open` raises.  Whatever ends it, what was recorded is finished first.
        """
        try:
            await self.feed.open()
            _check_exact(self.feed)
            with recovery.recorder_lock(self._job.root, self.exchange):
                return await self._run()
        finally:
            await self.feed.close()

    async def _run(self) -> RecordingSummary:
        root = self._job.root
        for crashed in await asyncio.to_thread(recovery.recover, root, self.exchange):
            rows = sum(crashed.events.values())
            self._tell(f"recovered {rows:,} rows of session {crashed.session}, which was cut off")
        earlier = recovery.earlier_sessions(root, self.exchange)
        _check_clock(self._clock.now_ns(), earlier.to_ns)
        self._begin(earlier)
        try:
            await self._record_until_stopped()
        finally:
            record = await self._finish()
        return sum_of(self._session, record, self.feed.tally)

    # A session's journals.

    def _begin(self, earlier: recovery.Earlier) -> None:
        job, now_ns = self._job, self._clock.now_ns()
        self._session = os.urandom(_SESSION_DIGITS // 2).hex()
        origin = job.origin | {"started_ns": str(now_ns)}
        head = Head(job.exchange, self._session, origin, 1, floor_ns=earlier.to_ns + 1)
        self._journal = Journal(job.root, head)
        self._begun_ns = now_ns
        self._note_rules()
        for (symbol, channel), last_ns in earlier.crashed.items():
            if symbol in self._wanted and channel in job.channels:
                detail = f"nothing was recorded after {last_ns}: the recorder before this one crashed"
                self._journal.gap(GapNote(symbol, Channel(channel), now_ns, "crash", detail))

    async def _record_until_stopped(self) -> None:
        tasks = [
            asyncio.create_task(self.feed.run()),
            asyncio.create_task(self._keep_journal()),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, timeout=self._job.for_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_journal(self) -> None:
        """Flush, sync and rotate, for ever."""
        assert self._journal is not None
        synced_ns = self._clock.now_ns()
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._journal.flush()
            now_ns = self._clock.now_ns()
            if abs(now_ns - synced_ns) >= _SYNC_S * NS_PER_S:
                synced_ns = now_ns
                await asyncio.to_thread(self._journal.sync)
            if self._is_full(now_ns):
                await self._rotate(now_ns)

    def _is_full(self, now_ns: int) -> bool:
        """Hours end with the clock's, so that days do too."""
        assert self._journal is not None
        return now_ns // _HOUR_NS != self._begun_ns // _HOUR_NS or self._journal.size >= _JOURNAL_BYTES

    async def _rotate(self, now_ns: int) -> None:
        assert self._journal is not None
        self._note_rules()
        ended = self._journal.rotate()
        self._begun_ns = now_ns
        self._note_rules()
        if self._making is not None:
            await self._making
        self._making = asyncio.create_task(self._make_files(ended))

    async def _make_files(self, upto: int) -> None:
        """Turn journals into files, in a process of its own: this one's time belongs to the socket."""
        job = self._job
        words = ("-m", recovery.__name__, str(job.root), job.exchange, self._session, str(upto))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            self._tell(f"journal {upto} is not made into files yet, and kept: {last}")

    def _note_rules(self) -> None:
        assert self._journal is not None
        self._journal.instruments(self.feed.instruments().values())
        for channel, count in self.feed.tally.withheld.items():
            if count > self._withheld[channel]:
                self._journal.withhold(Withheld(channel, count - self._withheld[channel]))
                self._withheld[channel] = count

    async def _finish(self) -> Manifest | None:
        """Make files of what is left; the manifest, `None` without rows."""
        job, journal = self._job, self._journal
        assert journal is not None
        with contextlib.suppress(RecordingError):  # if the disk is full, that was what ended the session
            self._note_rules()
        self._journal = None
        with contextlib.suppress(RecordingError):
            journal.close()
        if self._making is not None:
            await asyncio.gather(self._making, return_exceptions=True)
        return await asyncio.to_thread(
            recovery.absorb, job.root, job.exchange, self._session, ended=recovery.STOPPED
        )


def _check_clock(now_ns: int, recorded_ns: int) -> None:
    """Rows must not lie before those that are there: no reader would know which came first."""
    if recorded_ns - now_ns > _CLOCK_BEHIND_NS:
        behind_s = (recorded_ns - now_ns) / NS_PER_S
        raise SafetyError(
            f"the clock is {behind_s:.0f} s behind what is recorded here already",
            why="new rows would lie before old ones",
            todo="set the clock right, or record to another folder with --to",
        )


def _check_exact(feed: LiveFeed) -> None:
    """Refuse markets whose prices a recording cannot hold."""
    for name, rules in feed.instruments().items():
        if rules.price_tick < Decimal(1).scaleb(-SCALE):
            raise ValidationError(
                f"{name} cannot be recorded exactly",
                why=f"its prices move in steps of {rules.price_tick:f}; recordings keep {SCALE} decimals",
                todo="leave it out",
            )
