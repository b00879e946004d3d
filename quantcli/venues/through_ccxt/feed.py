"""Live market data through ccxt.pro, for every exchange that we do not speak to ourselves.

ccxt opens the sockets, subscribes and reads the wire; each of its watch calls is made once, and again when
something of it was lost.  What it reads is taken at the moment when it would wake a waiting call
(`ccxt_listening`, `ccxt_tap`), so that nothing waits for the next one.  A lost connection is a gap of each of
its streams, a message that makes ccxt fail is a gap, a silent connection is given up.

Which of ccxt's calls watches what is `ccxt_watches`'s business.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any

from quantcli.clock import NS_PER_S, Clock
from quantcli.errors import ExchangeError, NotFoundError, QuantError, UsageError
from quantcli.model.instrument import Symbol
from quantcli.model.market import Channel, MarketEvent
from quantcli.venues.backoff import Backoff
from quantcli.venues.feed import Arrivals, Patience, Put, Tally
from quantcli.venues.inbox import Gap, Item, Notice
from quantcli.venues.pulse import Doubt, Pulse
from quantcli.venues.running_feed import RunningFeed
from quantcli.venues.sight import Sight
from quantcli.venues.through_ccxt.connector import rules_of
from quantcli.venues.through_ccxt.listening import ODD, Listening
from quantcli.venues.through_ccxt.tap import BookTap, QuoteTap, TradeTap
from quantcli.venues.through_ccxt.watches import Source, Watch, quotes_source, watches
from quantcli.venues.urls import check_endpoint

_KNOWN = (Channel.TRADES, Channel.QUOTES, Channel.BOOK)
_BROKEN_BOOK = frozenset({"InvalidNonce", "ChecksumError"})

Make = Callable[[int, int], MarketEvent | None]


class _Stream:
    """A symbol's channel: its pulse, the connection it comes by, and whether that was lost."""

    __slots__ = ("interrupted", "pulse", "url")

    def __init__(self, pulse: Pulse) -> None:
        self.pulse = pulse
        self.url = ""
        self.interrupted = ""


class CcxtFeed(RunningFeed):
    """Market data of some symbols.  See `feed.LiveFeed`."""

    def __init__(
        self,
        exchange: str,
        symbols: Iterable[Symbol],
        channels: Collection[Channel],
        clock: Clock,
        put: Put,
        endpoint: str | None,
        patience: Patience,
        arrivals: Arrivals | None = None,
    ) -> None:
        if odd := sorted(set(channels) - set(_KNOWN)):
            known = ", ".join(_KNOWN)
            raise UsageError(f"{', '.join(odd)} cannot be had of {exchange}", why=f"it has {known}")
        if endpoint is not None:
            check_endpoint(endpoint)
        super().__init__(symbols, clock, patience)
        self.tally = Tally()
        self._exchange = exchange
        self._endpoint = endpoint
        self._channels = [channel for channel in _KNOWN if channel in channels]
        self._taker = put
        self._sight = Sight(put, patience.blind)
        self._arrivals = arrivals or Arrivals()
        self._ccxt: Any = None
        self._source = Source.BOOK  # of quotes
        self._listening: Listening | None = None
        self._errors: tuple[type[BaseException], ...] = ()
        self._trades: dict[str, TradeTap] = {}
        self._books: dict[str, BookTap] = {}
        self._quotes: dict[str, QuoteTap] = {}
        self._streams: dict[tuple[str, Channel], _Stream] = {}
        self._watches: list[Watch] = []

    async def open(self) -> None:
        """Learn the trading rules; errors as `feed.LiveFeed.open`."""
        from quantcli.venues.through_ccxt.transport import ccxt_error, pro_exchange  # noqa: PLC0415

        kinds = {"futures" if symbol.is_futures else "spot" for symbol in self._wanted}
        self._ccxt = pro_exchange(self._exchange, self._endpoint, kinds)
        self._source = quotes_source(self._ccxt)
        self._errors = (ccxt_error(), OSError, TimeoutError, *ODD)
        self._listening = Listening(self._ccxt, self, self._clock, ccxt_error())
        try:
            await self._ccxt.load_markets()
        except self._errors as error:
            why = f"{type(error).__name__}: {error}"
            raise ExchangeError(f"{self._exchange} does not tell its markets", why=why) from error
        for symbol in self._wanted:
            self._learn(symbol)

    async def _begin(self) -> None:
        if self._ccxt is None:
            await self.open()
        self._watch(list(self._rules))
        self._do(self._watch_for_silence())

    async def close(self) -> None:
        """Let go of every connection; `run` does so itself."""
        if self._listening is not None:
            self._listening.stop()
            await self._ccxt.close()

    def add_symbol(self, symbol: str) -> None:
        """Listen to one more symbol, soon.  Raises `ValidationError` for what is none."""
        wanted = Symbol.parse(symbol)
        if wanted.name in self._rules:
            return
        try:
            self._learn(wanted)
        except NotFoundError as error:
            self._put(Notice("symbol", f"{wanted.name} is not listened to: {error.what}"))
            return
        self._watch([wanted.name])

    def remove_symbol(self, symbol: str) -> None:
        """Take a symbol's events no more.  The exchange goes on sending them until the next connection."""
        if self._rules.pop(symbol, None) is None:
            return
        for channel in self._channels:
            self._streams.pop((symbol, channel), None)
        for watch in self._watches:
            if symbol in watch.symbols:
                watch.symbols.remove(symbol)

    # What is heard.

    def took(self, url: str, result: Any) -> None:
        """A message changed one of ccxt's objects."""
        if isinstance(result, dict):
            if "bids" in result and "asks" in result:
                self._take_book(url, result)
            elif "bid" in result and "symbol" in result:
                self._take_ticker(url, result)
            else:
                for each in result.values():
                    if isinstance(each, dict) and "bid" in each:
                        self._take_ticker(url, each)
        elif isinstance(result, list) and len(result) and isinstance(result[-1], dict):
            self._take_trades(url, result)

    def rejected(self, url: str, error: Any, about: str) -> None:
        """ccxt gave something up; where it found a book broken, that is a gap."""
        if type(error).__name__ in _BROKEN_BOOK:
            for symbol, book in self._books.items():
                stream = self._streams.get((symbol, Channel.BOOK))
                if stream is not None and about.endswith(symbol):
                    book.restart()
                    stream.pulse.doubt = Doubt("sequence", str(error))
        self._poke()

    def unreadable(self, url: str, size: int, error: Exception) -> None:
        """A message could not be read: something of one of the connection's streams is missing."""
        self.tally.malformed += 1
        why = f"a message of {size} bytes cannot be read: {type(error).__name__}: {error}"
        for stream in self._streams.values():
            if stream.url in {url, ""}:
                self._gap(stream, Doubt("malformed", why))

    def connected(self, url: str) -> None:
        """A connection is open; those of its streams that had been lost go on after a gap."""
        self._sight.back()
        back = [stream for stream in self._streams.values() if stream.interrupted and stream.url == url]
        for stream in back:
            reason, stream.interrupted = stream.interrupted, ""
            self._gap(stream, Doubt("reconnect", reason))
        self.tally.reconnects += bool(back)

    def lost(self, url: str, reason: str) -> None:
        """A connection is gone."""
        self._put(Notice("reconnect", f"{url}: {reason}"))
        self._sight.lost(reason)
        for (symbol, channel), stream in self._streams.items():
            if stream.url == url:
                stream.interrupted = reason
                if channel is Channel.BOOK:
                    self._books[symbol].restart()
        self._poke()

    def _take_trades(self, url: str, cache: Any) -> None:
        symbol = cache[-1].get("symbol")
        stream = self._streams.get((symbol, Channel.TRADES))
        if stream is None or "price" not in cache[-1]:
            return
        tap = self._trades[symbol]
        for number, trade in tap.fresh(cache):
            if tap.overflowed:
                tap.overflowed = False
                stream.pulse.doubt = Doubt("overflow", "more trades in one message than are kept")

            def make(now_ns: int, seq: int, number: int = number, trade: Any = trade) -> MarketEvent:
                return tap.event(number, trade, now_ns, seq)

            self._emit(url, stream, make)

    def _take_book(self, url: str, book: Any) -> None:
        symbol = book.get("symbol")
        if stream := self._streams.get((symbol, Channel.BOOK)):
            self._emit(url, stream, lambda now_ns, seq: self._books[symbol].update(book, now_ns, seq))
        if self._source is Source.BOOK and (stream := self._streams.get((symbol, Channel.QUOTES))):
            self._emit(url, stream, lambda now_ns, seq: self._quotes[symbol].from_book(book, now_ns, seq))

    def _take_ticker(self, url: str, ticker: Any) -> None:
        symbol = ticker.get("symbol")
        if self._source is not Source.BOOK and (stream := self._streams.get((symbol, Channel.QUOTES))):
            self._emit(url, stream, lambda now_ns, seq: self._quotes[symbol].from_ticker(ticker, now_ns, seq))

    def _emit(self, url: str, stream: _Stream, make: Make) -> None:
        now_ns = self._clock.now_ns()
        stream.url = url
        stream.pulse.heard(now_ns)
        if stream.pulse.doubt:
            self._gap(stream, stream.pulse.doubt)
        event = make(now_ns, self._arrivals.seq + 1)
        if event is None:
            self.tally.duplicates += 1
            return
        self._arrivals.seq += 1
        self._put(event)

    def _put(self, item: Item) -> None:
        """Hand on; an error of who takes it ends `run`, and is not for ccxt to see, in whose calls we are."""
        try:
            self._taker(item)
        except QuantError as error:
            self._fail(error)

    def _gap(self, stream: _Stream, doubt: Doubt) -> None:
        pulse = stream.pulse
        pulse.doubt = None
        self._put(Gap(pulse.symbol, pulse.channel.value, self._clock.now_ns(), doubt.kind, doubt.detail))

    # What is watched.

    def _learn(self, symbol: Symbol) -> None:
        market = self._ccxt.markets.get(symbol.name)
        rules = None if market is None else rules_of(market, self._exchange)
        if rules is None:
            alike = [name for name in self._ccxt.markets if name.startswith(f"{symbol.base}/")][:5]
            raise NotFoundError(
                f"{self._exchange} has no market {symbol.name}",
                why=f"of {symbol.base} it has {', '.join(alike) or 'none'}",
                todo="write it as BASE/QUOTE, futures as BASE/QUOTE:SETTLE",
            )
        name, now_ns = symbol.name, self._clock.now_ns()
        self._rules[name] = rules
        self._trades[name] = TradeTap(name)
        self._books[name] = BookTap(name, now_ns)
        self._quotes[name] = QuoteTap(name, now_ns)
        for channel in self._channels:
            self._streams[name, channel] = _Stream(Pulse(name, channel, False, now_ns))

    def _watch(self, symbols: list[str]) -> None:
        """Begin to watch symbols: together where ccxt can do that, else one by one."""
        for channel in self._channels:
            for watch in watches(self._ccxt, channel, symbols, self._channels):
                self._watches.append(watch)
                self._do(self._keep(watch))

    async def _keep(self, watch: Watch) -> None:
        """Make a call, and again whenever something was lost: what is subscribed already, ccxt knows."""
        pauses = Backoff(self._patience.backoff, self._patience.backoff_most, self._jitter)
        while True:
            watch.poked.clear()
            try:
                if watch.symbols:
                    await watch.call(list(watch.symbols))
                pauses.reset()
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                watch.poked.set()  # ccxt cancelled the future that we waited for, not us
            except self._errors as error:
                self._put(Notice("gap", f"{', '.join(watch.symbols)}: {type(error).__name__}: {error}"))
                watch.poked.set()
            if watch.poked.is_set():
                await asyncio.sleep(pauses.next())
            else:
                await watch.poked.wait()

    async def _watch_for_silence(self) -> None:
        patience = self._patience
        while True:
            await asyncio.sleep(min(1.0, patience.dead / 4))
            assert self._listening is not None
            for url in self._listening.silent(int(patience.dead * NS_PER_S)):
                self._listening.give_up(url, f"no sign of life for {patience.dead:g} s")
            now_ns = self._clock.now_ns()
            for stream in list(self._streams.values()):
                if stream.url and stream.pulse.is_stale(now_ns, patience.stale):
                    silent_s = (now_ns - stream.pulse.heard_ns) / NS_PER_S
                    stream.pulse.was_doubted(now_ns)
                    where = f"{stream.pulse.symbol} {stream.pulse.channel.value}"
                    self._put(Notice("stale", f"{where}: silent for {silent_s:.0f} s; connecting anew"))
                    self._listening.give_up(stream.url, f"{where} was silent for {silent_s:.0f} s")

    def _poke(self) -> None:
        for watch in self._watches:
            watch.poked.set()
