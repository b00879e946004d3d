"""What a feed of Binance's hears, and what it makes of it: events in order, each once, and gaps.

    frame -> codec -> is it new? does it follow? -> put

A book begins with the REST snapshot and goes on with the diffs that this does not contain (`depth_merge`).
A gap is put where ids jump, where a message cannot be read, where streams were interrupted.  Opens no socket
and asks for nothing: it says when a snapshot is needed.
"""

import re
from collections.abc import Callable, Collection, Iterable

import msgspec

from quantcli.clock import NS_PER_S, Clock
from quantcli.codecs.binance import BinanceCodec, Market
from quantcli.errors import ExchangeError, RecordingError
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import EVENT_TYPES, BookUpdate, Channel, MarketEvent, Ticker
from quantcli.venues.binance.depth_merge import GOES_ON, DepthMerge, Fate
from quantcli.venues.feed import Arrivals, Put, Tally
from quantcli.venues.inbox import Gap, Notice
from quantcli.venues.pulse import Doubt, Pulse

STREAMS = {
    Channel.TRADES: "trade",
    Channel.AGG_TRADES: "aggTrade",
    Channel.QUOTES: "bookTicker",
    Channel.BOOK: "depth@100ms",
    Channel.BARS: "kline_1m",
    Channel.MARKS: "markPrice@1s",
}
_STREAM_OF = re.compile(rb'"stream"\s*:\s*"([\w@!]+)"')
_NAMES = frozenset(channel.value for channel in Channel)


class Hearing:
    """The streams of one kind of market.  `codec` has learnt its symbols; `answered` is told of replies to
    requests, `need_snapshot` of symbols whose book must begin anew."""

    def __init__(
        self,
        market: Market,
        codec: BinanceCodec,
        channels: Collection[Channel],
        clock: Clock,
        put: Put,
        arrivals: Arrivals,
        answered: Callable[[bytes], None],
        need_snapshot: Callable[[str], None],
    ) -> None:
        self.tally = Tally()
        self._channels = channels
        self._clock = clock
        self._put = put
        self._arrivals = arrivals
        self._answered = answered
        self._need_snapshot = need_snapshot
        self._codec = codec
        # On futures, ids of trades are also given to what never met the book (see `codecs.binance_trades`).
        self._counted = {Channel.AGG_TRADES} | ({Channel.TRADES} if market == "spot" else set())
        self._pulses: dict[tuple[type[MarketEvent], str], Pulse] = {}
        self._by_stream: dict[str, Pulse] = {}
        self._books: dict[str, DepthMerge] = {}
        self._awaited: dict[str, int] = {}
        self._asked = 0
        self._remarked: set[str] = set()

    def add(self, rule: SymbolMetadata) -> None:
        """Begin to take a symbol's events."""
        name, now_ns = rule.symbol.name, self._clock.now_ns()
        for channel in self._channels:
            pulse = Pulse(name, channel, channel in self._counted, now_ns)
            self._pulses[EVENT_TYPES[channel], name] = pulse
            self._by_stream[stream_of(rule, channel)] = pulse
        if Channel.BOOK in self._channels:
            self._books[name] = DepthMerge()

    def remove(self, rule: SymbolMetadata) -> None:
        """Take a symbol's events no more."""
        name = rule.symbol.name
        self._books.pop(name, None)
        self._awaited.pop(name, None)
        for channel in self._channels:
            self._pulses.pop((EVENT_TYPES[channel], name), None)
            self._by_stream.pop(stream_of(rule, channel), None)

    def heard(self, frame: bytes) -> None:
        """Take a frame: the way of every event.  Raises what `put` raises."""
        now_ns = self._clock.now_ns()
        arrivals = self._arrivals
        try:
            decoded = self._codec.decode(frame, now_ns, arrivals.seq + 1)
        except RecordingError as error:
            self._unreadable(frame, error.why)
            return
        event = decoded.event
        if event is None:
            self._no_event(decoded.name, frame)
            return
        pulse = self._pulses.get((type(event), event.symbol))
        if pulse is None:  # of a symbol that was removed a moment ago
            return
        if type(event) is BookUpdate:
            self._diff(event, pulse, now_ns)
        elif pulse.takes(_id_of(event), now_ns):
            if pulse.doubt:
                self._gap(pulse, pulse.doubt, now_ns)
            arrivals.seq += 1
            self._put(event)
        else:
            self.tally.duplicates += 1

    def interrupted(self, stream: str, reason: str) -> None:
        """A stream is not on its way any more.  The gap is put when it is confirmed again, or heard before
        that."""
        pulse = self._by_stream.get(stream)
        if pulse is None:
            return
        pulse.resume(Doubt("reconnect", reason))
        if pulse.channel is Channel.BOOK:
            self._awaited.pop(pulse.symbol, None)
            self._books[pulse.symbol].restart()

    def confirmed(self, stream: str) -> None:
        """The exchange confirmed that a stream is on its way."""
        pulse = self._by_stream.get(stream)
        if pulse is None:
            return
        if pulse.doubt:
            self._gap(pulse, pulse.doubt, self._clock.now_ns())
        if pulse.channel is Channel.BOOK:
            self._begin_book(pulse.symbol)

    def awaits_snapshot(self, symbol: str) -> int:
        """Which snapshot a book waits for, by a number that is handed to `snapshot`; 0 if for none."""
        return self._awaited.get(symbol, 0)

    def snapshot(self, symbol: str, awaited: int, url: str, body: bytes) -> bool:
        """Take a reply to `GET depth`; false if a newer one is needed.

        The snapshot and the diffs that waited for it are put with the time at which they became known
        together.  Raises `ExchangeError` for a reply that cannot be read.
        """
        now_ns = self._clock.now_ns()
        try:
            taken = self._codec.decode_http(url, body, now_ns, 0).event
        except RecordingError as error:
            raise ExchangeError(error.what, why=error.why) from error
        if not isinstance(taken, BookUpdate) or taken.symbol != symbol:
            raise ExchangeError("the reply is no order book", why=repr(body[:60]))
        if self._awaited.get(symbol) != awaited:  # asked for before what it is to be joined to
            return True
        found = self._books[symbol].snapshot(taken)
        if found is None:
            return False
        del self._awaited[symbol]
        for update in found:
            self._arrivals.seq += 1
            self._put(msgspec.structs.replace(update, local_ns=now_ns, seq=self._arrivals.seq))
        return True

    def _begin_book(self, symbol: str) -> None:
        self._asked += 1
        self._awaited[symbol] = self._asked
        self._need_snapshot(symbol)

    def silent(self, least_s: float) -> list[Channel]:
        """Channels of streams that have been silent for too long to be alive."""
        now_ns = self._clock.now_ns()
        found = []
        for pulse in self._pulses.values():
            if not pulse.is_stale(now_ns, least_s):
                continue
            told = f"silent for {(now_ns - pulse.heard_ns) / NS_PER_S:.0f} s"
            self._put(Notice("stale", f"{pulse.symbol} {pulse.channel.value}: {told}; connecting anew"))
            pulse.was_doubted(now_ns)
            if pulse.channel is not Channel.BOOK and not pulse.counted:
                pulse.doubt = Doubt("stale", told)  # elsewhere the ids will tell whether anything is missing
            found.append(pulse.channel)
        return found

    def clock_was_set(self, by_ns: int) -> None:
        """The clock was put forward or back by so much: that was no silence."""
        now_ns = self._clock.now_ns()
        for pulse in self._pulses.values():
            pulse.shift(by_ns, now_ns)

    def _diff(self, update: BookUpdate, pulse: Pulse, now_ns: int) -> None:
        pulse.heard(now_ns)
        book = self._books[update.symbol]
        before = book.last_id
        fate = book.diff(update)
        if fate is GOES_ON:
            self._arrivals.seq += 1
            self._put(update)
        elif fate is Fate.OLD:
            self.tally.duplicates += 1
        elif fate is Fate.BREAKS:
            told = f"update_id {update.prev_id or update.first_id} after {before}"
            self._gap(pulse, Doubt("sequence", told), now_ns)
            self._begin_book(update.symbol)

    def _no_event(self, name: str, frame: bytes) -> None:
        if name == "control":
            self._answered(frame)
        elif name in _NAMES:
            self.tally.withheld[Channel(name)] += 1
        elif _STREAM_OF.search(frame[:160]):
            self._unreadable(frame, name)
        elif name not in self._remarked:
            self._remarked.add(name)
            self._put(Notice("malformed", f"a message that means nothing here: {name}"))

    def _unreadable(self, frame: bytes, why: str) -> None:
        """Something was said and not understood: that is a gap, of the stream it names or else of all."""
        self.tally.malformed += 1
        told = _STREAM_OF.search(frame[:160])
        if told and told[1].decode() not in self._by_stream:  # of a symbol that was removed a moment ago
            return
        concerned = [self._by_stream[told[1].decode()]] if told else list(self._pulses.values())
        detail = f"a message of {len(frame)} bytes cannot be read: {why}"
        for pulse in concerned:
            self._gap(pulse, Doubt("malformed", detail), self._clock.now_ns())

    def _gap(self, pulse: Pulse, doubt: Doubt, now_ns: int) -> None:
        pulse.doubt = None
        self._put(Gap(pulse.symbol, pulse.channel.value, now_ns, doubt.kind, doubt.detail))


def stream_of(rule: SymbolMetadata, channel: Channel) -> str:
    """What Binance calls a stream: `btcusdt@trade`."""
    return f"{rule.exchange_symbol.lower()}@{STREAMS[channel]}"


def streams_of(rules: Iterable[SymbolMetadata], channels: Iterable[Channel]) -> list[str]:
    """All of these channels of all of these symbols."""
    wanted = list(channels)
    return [stream_of(rule, channel) for rule in rules for channel in wanted]


def _id_of(event: MarketEvent) -> int:
    """What tells a message from others of its stream, and rises: candles and marks have but their time."""
    if type(event) is Ticker:
        return event.update_id
    return getattr(event, "trade_id", 0) or event.exchange_ns
