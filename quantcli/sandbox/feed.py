"""Where the sandbox's market events come from: a recording, played at a speed.

The feed is held at first: what a client needs before it can follow is taken in (everything up to the first
book snapshot of every market), then it waits for `start`, so that a client can subscribe, fetch the books,
and then get every later row.  Rows are streamed; memory does not depend on how long the recording is.  Waits
on the event loop's clock, reads no other.  Knows nothing of subscribers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.model.batch import Chunk, events
from quantcli.model.market import AggTrade, Bar, BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.recording.reader import Recording

See = Callable[[MarketEvent], None]
Ready = Callable[[], Awaitable[None]]

# A market whose first snapshot comes later than this into the recording is not waited for.
_PATIENCE_NS = 60 * NS_PER_S
# Rows between two looks at who else wants to run, and how late a row may be told, in seconds.
_BATCH = 256
_LATE_S = 0.001
# How soon a change of speed is noticed while waiting for the next row.
_LOOK_S = 0.05
_BATCH_ROWS = 2048
_MINUTE_NS = 60 * NS_PER_S


async def at_once() -> None:
    """Nobody has to be waited for."""


class Pace:
    """When moments of market time come, in the loop's time, at a `speed` that may change (0: at once)."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._anchor: tuple[float, int] | None = None

    @property
    def speed(self) -> float:
        """How many times faster than it happened; 0 is as fast as possible."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._speed = speed
        self._anchor = None

    async def until(self, at_ns: int) -> None:
        """Wait for a moment; the first one after a change of speed comes at once."""
        loop = asyncio.get_running_loop()
        while self._speed:
            if self._anchor is None:
                self._anchor = (loop.time(), at_ns)
            began, began_ns = self._anchor
            left = began + (at_ns - began_ns) / NS_PER_S / self._speed - loop.time()
            if left <= _LATE_S:
                return
            await asyncio.sleep(min(left, _LOOK_S))


class RecordedFeed:
    """Plays a recording.

    `speed` is how many times faster than it happened, 0 as fast as clients keep up; it may be set any time.
    `ready` is awaited before each batch of rows.  With `loop` the recording begins anew when it ends, with
    times and ids that go on from where they were.  `only` are the markets to play, by canonical name.
    Raises `NotFoundError` for one that was not recorded.
    """

    def __init__(
        self,
        recording: Recording,
        speed: float = 1.0,
        only: Collection[str] | None = None,
        loop: bool = False,
        ready: Ready = at_once,
    ) -> None:
        self._recording = recording
        self._only = only
        self._loops = loop
        self._ready = ready
        self._pace = Pace(speed)
        self._started = asyncio.Event()
        self._snapshots_due = _markets_with_snapshot(recording, only)
        self.is_held = False
        self.is_done = False
        self.events = 0

    @property
    def speed(self) -> float:
        """How many times faster than it happened."""
        return self._pace.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._pace.speed = speed

    def start(self) -> None:
        """Let the rows come."""
        self._started.set()

    async def run(self, see: See) -> None:
        """Take in what comes before the hold, wait for `start`, and play to the end."""
        rows = self._rows()
        due = set(self._snapshots_due)
        for number, event in enumerate(rows if due else ()):
            self._tell(see, event)
            if isinstance(event, BookUpdate) and event.is_snapshot:
                due.discard(event.symbol)
                if not due:
                    break
            if number % _BATCH == 0:
                await asyncio.sleep(0)
        self.is_held = True
        await self._started.wait()
        self.is_held = False
        await self._play(rows, see)
        self.is_done = True

    async def _play(self, rows: Iterator[MarketEvent], see: See) -> None:
        loop = asyncio.get_running_loop()
        left, turned = 0, loop.time()
        for event in rows:
            await self._pace.until(event.local_ns)
            if left == 0 or loop.time() - turned > _LATE_S:
                await self._ready()
                await asyncio.sleep(0)
                left, turned = _BATCH, loop.time()
            left -= 1
            self._tell(see, event)

    def _tell(self, see: See, event: MarketEvent) -> None:
        self.events += 1
        see(event)

    def _rows(self) -> Iterator[MarketEvent]:
        rounds = Rounds(self._recording.to_ns - self._recording.from_ns)
        for event in self._once():
            rounds.note(event)
            yield event
        while self._loops:
            rounds.number += 1
            yield from map(rounds.moved, self._once())

    def _once(self) -> Iterator[MarketEvent]:
        return in_order(self._recording.chunks(self._only, batch_rows=_BATCH_ROWS))


class Rounds:
    """Makes later rounds of a recording of `length_ns` follow the first: times and ids go on.

    Every row of the first round is noted; `number` counts the rounds from 0.  A round takes whole minutes, so
    that candles stay candles.
    """

    def __init__(self, length_ns: int) -> None:
        self.number = 0
        self._round_ns = (length_ns // _MINUTE_NS + 1) * _MINUTE_NS
        self._ids: dict[tuple[str, str], tuple[int, int]] = {}

    def note(self, event: MarketEvent) -> None:
        """Remember how far the ids of a row's kind reach."""
        match event:
            case Trade():
                self._reaches(event.symbol, "trade", event.trade_id, event.trade_id)
            case AggTrade():
                self._reaches(event.symbol, "trade", event.first_id, event.last_id)
                self._reaches(event.symbol, "aggregate", event.trade_id, event.trade_id)
            case BookUpdate():
                self._reaches(event.symbol, "book", event.first_id, event.last_id)
            case Ticker():
                self._reaches(event.symbol, "book", event.update_id, event.update_id)

    def _reaches(self, symbol: str, kind: str, first: int, last: int) -> None:
        if last:
            low, high = self._ids.get((symbol, kind), (first, last))
            self._ids[symbol, kind] = (min(low, first), max(high, last))

    def _id(self, symbol: str, kind: str, number: int) -> int:
        if not number:
            return 0
        low, high = self._ids[symbol, kind]
        return number + self.number * (high - low + 1)

    def moved(self, event: MarketEvent) -> MarketEvent:
        """A row as it is in the present round."""
        symbol, later_ns = event.symbol, self.number * self._round_ns
        stamps = {
            "exchange_ns": event.exchange_ns + later_ns if event.exchange_ns else 0,
            "local_ns": event.local_ns + later_ns,
        }
        match event:
            case Trade():
                return replace(event, **stamps, trade_id=self._id(symbol, "trade", event.trade_id))
            case AggTrade():
                return replace(
                    event,
                    **stamps,
                    trade_id=self._id(symbol, "aggregate", event.trade_id),
                    first_id=self._id(symbol, "trade", event.first_id),
                    last_id=self._id(symbol, "trade", event.last_id),
                )
            case BookUpdate():
                return replace(
                    event,
                    **stamps,
                    first_id=self._id(symbol, "book", event.first_id),
                    last_id=self._id(symbol, "book", event.last_id),
                    prev_id=self._id(symbol, "book", event.prev_id),
                )
            case Ticker():
                return replace(event, **stamps, update_id=self._id(symbol, "book", event.update_id))
            case Bar():
                return replace(event, **stamps, open_ns=event.open_ns + later_ns)
            case _:
                return replace(event, **stamps)


def _markets_with_snapshot(recording: Recording, only: Collection[str] | None) -> frozenset[str]:
    """Markets whose book begins with a snapshot soon: looked up in the beginning of the recording."""
    recording.chunks(only)
    until_ns = recording.from_ns + _PATIENCE_NS
    found: set[str] = set()
    for stream in recording.streams:
        if stream.channel is not Channel.BOOK or (only is not None and stream.symbol not in only):
            continue
        for chunk in recording.chunks([stream.symbol], [Channel.BOOK], _BATCH_ROWS):
            (rows,) = chunk.streams
            early = rows.local_ns <= until_ns
            if rows.data["is_snapshot"][early].any():
                found.add(stream.symbol)
            if stream.symbol in found or not early.all():
                break
    return frozenset(found)


def in_order(chunks: Iterable[Chunk]) -> Iterator[MarketEvent]:
    """The rows of chunks as events, in their order."""
    for chunk in chunks:
        streams = [events(columns) for columns in chunk.streams]
        for turn in chunk.turn.tolist():
            yield next(streams[turn])
