"""Binance's live market data, spot and futures, by its own protocol.

A symbol's trades, best bid and ask, book, candles and marks are streams of one combined connection
(`market_socket`), or of two where Binance serves them at two addresses.

    socket -> codec -> put(event)      in one call, without a queue; see `binance_hearing`

Here the parts are joined: which streams at which address, trading rules, snapshots, symbols that come and go.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable

from quantcli.clock import NS_PER_S, Clock
from quantcli.codecs.binance import BinanceCodec, Market
from quantcli.errors import ExchangeError, NotFoundError, RateLimitError, UsageError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Channel
from quantcli.venues.backoff import Backoff
from quantcli.venues.binance.hearing import Hearing, streams_of
from quantcli.venues.binance.market_socket import LOST, MOST_STREAMS, MarketSocket
from quantcli.venues.binance.public import BinancePublic
from quantcli.venues.feed import Arrivals, Patience, Put, Tally
from quantcli.venues.inbox import Notice
from quantcli.venues.running_feed import RunningFeed
from quantcli.venues.sight import Sight
from quantcli.venues.urls import Urls

_MARKETS: dict[str, Market] = {"spot": "spot", "usdm": "usdm", "coinm": "coinm"}
# USDⓈ-M, "Important WebSocket Change Notice": these have an address of their own.
_SLOW = (Channel.AGG_TRADES, Channel.BARS, Channel.MARKS)
_CLOCK_SET_NS = NS_PER_S  # what two clocks may differ by in a second without one having been set


class BinanceFeed(RunningFeed):
    """Market data of some symbols of one kind of market.  See `feed.LiveFeed`."""

    def __init__(
        self,
        market: str,
        symbols: Iterable[Symbol],
        channels: Collection[Channel],
        clock: Clock,
        put: Put,
        addresses: Urls,
        patience: Patience,
        arrivals: Arrivals | None = None,
    ) -> None:
        if market == "spot" and Channel.MARKS in channels:
            raise UsageError("spot markets have no mark price", todo="leave marks out of --channels")
        super().__init__(symbols, clock, patience)
        self._put = put
        self._codec = BinanceCodec(_MARKETS[market])
        self._public = BinancePublic(addresses.rest, _MARKETS[market])
        self._hearing = Hearing(
            _MARKETS[market],
            self._codec,
            [channel for channel in Channel if channel in channels],
            clock,
            put,
            arrivals or Arrivals(),
            self._answered,
            self._need_snapshot,
        )
        self._lines = [
            _Line(url, there, self._hearing, put, patience, self._jitter)
            for url, there in _addresses(addresses, channels)
        ]
        self._asking: set[str] = set()  # symbols whose book is asked for
        self._check_room(len(self._wanted))

    @property
    def tally(self) -> Tally:
        """What was counted so far."""
        return self._hearing.tally

    async def open(self) -> None:
        """Learn the trading rules; errors as `feed.LiveFeed.open`."""
        self._learn(await self._public.rules(self._wanted, self._codec))

    async def _begin(self) -> None:
        if not self._rules:
            await self.open()
        for line in self._lines:
            await line.socket.subscribe(streams_of(self._rules.values(), line.channels))
            self._do(line.socket.run())
        self._do(self._watch_for_silence())

    async def close(self) -> None:
        """Let go of every connection; `run` does so itself."""
        await self._public.close()

    def add_symbol(self, symbol: str) -> None:
        """Listen to one more symbol, soon.  Raises `ValidationError` for what is none, `UsageError` where
        there is no room for another."""
        wanted = Symbol.parse(symbol)
        if wanted.name not in self._rules:
            self._check_room(len(self._rules) + 1)
            self._do(self._add(wanted))

    def remove_symbol(self, symbol: str) -> None:
        """Stop listening to a symbol, soon."""
        rule = self._rules.pop(symbol, None)
        if rule is not None:
            self._hearing.remove(rule)
            self._do(self._tell_lines("unsubscribe", [rule]))

    async def _watch_for_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before_s, before_ns = loop.time(), self._clock.now_ns()
            await asyncio.sleep(min(1.0, self._patience.stale))
            set_ns = self._clock.now_ns() - before_ns - int((loop.time() - before_s) * NS_PER_S)
            if abs(set_ns) > _CLOCK_SET_NS:
                self._hearing.clock_was_set(set_ns)
            silent = self._hearing.silent(self._patience.stale)
            for line in self._lines:
                if any(channel in line.channels for channel in silent):
                    line.socket.renew()

    # Books.

    def _need_snapshot(self, symbol: str) -> None:
        if symbol not in self._asking:
            self._asking.add(symbol)
            self._do(self._fetch_book(symbol))

    async def _fetch_book(self, symbol: str) -> None:
        """Ask for the book until one fits the diffs that wait."""
        pauses = Backoff(self._patience.backoff, self._patience.backoff_most, self._jitter)
        hearing = self._hearing
        try:
            while (awaited := hearing.awaits_snapshot(symbol)) and (rule := self._rules.get(symbol)):
                try:
                    url, body = await self._public.book(rule.exchange_symbol)
                    if hearing.snapshot(symbol, awaited, url, body):
                        continue
                except RateLimitError as error:
                    self._put(Notice("limit", f"the book of {symbol}: {error.what}; {error.todo}"))
                    await asyncio.sleep(error.retry_after)
                except ExchangeError as error:
                    self._put(Notice("gap", f"the book of {symbol} cannot be had now: {error.what}"))
                await asyncio.sleep(pauses.next())
        finally:
            self._asking.discard(symbol)

    # Symbols.

    async def _add(self, symbol: Symbol) -> None:
        try:
            rules = await self._public.rules([symbol], self._codec)
        except (NotFoundError, ExchangeError) as error:
            self._put(Notice("symbol", f"{symbol.name} is not listened to: {error.what}"))
            return
        self._learn(rules)
        await self._tell_lines("subscribe", rules)

    async def _tell_lines(self, what: str, rules: list[SymbolMetadata]) -> None:
        for line in self._lines:
            streams = streams_of(rules, line.channels)
            try:
                await (line.socket.subscribe if what == "subscribe" else line.socket.unsubscribe)(streams)
            except LOST:
                continue  # the next connection begins with the streams that are wished for then

    def _learn(self, rules: Iterable[SymbolMetadata]) -> None:
        for rule in rules:
            self._rules[rule.symbol.name] = rule
            self._hearing.add(rule)

    def _check_room(self, symbols: int) -> None:
        most = min(MOST_STREAMS // max(len(line.channels), 1) for line in self._lines)
        if symbols > most:
            raise UsageError(
                f"{symbols} symbols are too many for one connection",
                why=f"Binance serves {MOST_STREAMS} streams on one, here enough for {most} symbols",
                todo="record fewer channels, or the rest with another command and --to another folder",
            )

    def _answered(self, frame: bytes) -> None:
        for line in self._lines:
            line.socket.answered(frame)


class _Line:
    """One connection and the channels that it carries."""

    def __init__(
        self,
        url: str,
        channels: Collection[Channel],
        hearing: Hearing,
        put: Put,
        patience: Patience,
        jitter: Callable[[], float],
    ) -> None:
        self.channels = channels
        self.heard = hearing.heard
        self.socket = MarketSocket(url, self, patience, jitter)
        self._hearing = hearing
        self._put = put
        self._sight = Sight(put, patience.blind)
        self._confirmed: set[str] = set()
        self._is_down = False

    def subscribed(self, streams: Iterable[str]) -> None:
        """Streams are on their way."""
        self._sight.back()
        if self._is_down:
            self._is_down = False
            self._hearing.tally.reconnects += 1
        for stream in streams:
            self._confirmed.add(stream)
            self._hearing.confirmed(stream)

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._put(Notice("reconnect", f"{self.socket.url}: {reason}"))
        self._sight.lost(reason)
        self._is_down = self._is_down or bool(self._confirmed)
        for stream in self._confirmed:
            self._hearing.interrupted(stream, reason)
        self._confirmed.clear()

    def refused(self, streams: Iterable[str], reason: str) -> None:
        """Streams cannot be had."""
        self._put(Notice("symbol", f"refused: {', '.join(streams)}: {reason}"))


def _addresses(addresses: Urls, channels: Collection[Channel]) -> list[tuple[str, list[Channel]]]:
    """Which channels are had where."""
    quick = [channel for channel in Channel if channel in channels and channel not in _SLOW]
    slow = [channel for channel in Channel if channel in channels and channel in _SLOW]
    if addresses.stream == addresses.slow_stream:
        return [(addresses.stream, quick + slow)]
    both = [(addresses.stream, quick), (addresses.slow_stream, slow)]
    return [(url, there) for url, there in both if there]
