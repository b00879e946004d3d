"""Market streams by their names: which events concern a stream, and what it says of them when.

Streams that Binance pushes at intervals are paced by the time of the events themselves, so that a recording
that is played faster is told faster; nothing is told of a market in which nothing changed.  Source of names
and intervals: binance-spot-api-docs, web-socket-streams.md ("Detailed Stream information").  Sans-I/O; knows
nothing of sockets or subscriptions.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from quantcli.clock import NS_PER_MS
from quantcli.model.market import AggTrade, Bar, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.sandbox.candles import INTERVALS, Candle
from quantcli.sandbox.public import PublicMarket, as_agg_trade
from quantcli.sandbox.streams import shapes
from quantcli.sandbox.streams.shapes import Stamp

_S = 1_000 * NS_PER_MS
_WINDOWS = {"1h": 3600 * _S, "4h": 4 * 3600 * _S, "1d": 86_400 * _S}

_DEPTH = re.compile(r"depth(?P<levels>5|10|20)?(?P<speed>@100ms|@1000ms)?")
_KLINE = re.compile(r"kline_(?P<interval>\w+)")
_TICKER = re.compile(r"ticker_(?P<window>1h|4h|1d)")
# Clients still name the interval that these two once had a choice of.
_ALL_MARKETS = re.compile(r"(?P<kind>!(miniTicker|ticker)@arr)(@[13]000ms)?")

TRADED: tuple[type, ...] = (Trade, AggTrade, Bar)
SHOWN: tuple[type, ...] = (Trade, AggTrade, Bar, Ticker)
_ANY: tuple[type, ...] = (Trade, AggTrade, Bar, Ticker, BookUpdate)


class Source:
    """One stream: `tell` gives the texts that an event of `kinds` in one of `symbols` leads to."""

    def __init__(
        self,
        kinds: tuple[type, ...],
        symbols: Collection[str],
        tell: Callable[[Any], Iterator[str]],
    ) -> None:
        self.kinds = kinds
        self.symbols = symbols
        self.tell = tell


def open_source(name: str, public: PublicMarket, stamp: Stamp, kind: "type[MarketStreams]") -> Source | None:
    """The stream of this name on a `kind` of markets; `None` where there is none, as for a market that does
    not exist."""
    if name.startswith("!"):
        return kind.of_all_markets(name, public, stamp)
    lower, _, what = name.partition("@")
    symbol = public.name_of(lower.upper()) if lower == lower.lower() else None
    return None if symbol is None else kind(public, symbol, stamp).named(what)


class MarketStreams:
    """Makes the streams of one market; what they say is in the words of spot."""

    def __init__(self, public: PublicMarket, symbol: str, stamp: Stamp) -> None:
        self._public = public
        self._symbol = symbol
        self._name = public.instruments[symbol].exchange_symbol
        self._stamp = stamp

    def _source(self, kinds: tuple[type, ...], tell: Callable[[Any], Iterator[str]]) -> Source:
        return Source(kinds, (self._symbol,), tell)

    @classmethod
    def of_all_markets(cls, name: str, public: PublicMarket, stamp: Stamp) -> Source | None:
        """`!ticker@arr` and `!miniTicker@arr`: each second the markets that changed in it."""
        match = _ALL_MARKETS.fullmatch(name)
        if match is None:
            return None
        markets = {symbol: cls(public, symbol, stamp) for symbol in public.instruments}
        if match["kind"] == "!miniTicker@arr":
            return together(TRADED, {symbol: each.mini_ticker_body for symbol, each in markets.items()})
        return together(SHOWN, {symbol: each.ticker_body for symbol, each in markets.items()})

    def named(self, what: str) -> Source | None:
        """The stream of this name, without the market's; `None` where there is none."""
        simple = {
            "trade": self.trades,
            "aggTrade": self.agg_trades,
            "bookTicker": self.quotes,
            "miniTicker": self.mini_ticker,
            "ticker": self.ticker,
        }
        if what in simple:
            return simple[what]()
        if (match := _KLINE.fullmatch(what)) and match["interval"] in INTERVALS:
            return self.klines(match["interval"])
        return self._particular(what)

    def _particular(self, what: str) -> Source | None:
        """Streams that are not alike on every kind of market."""
        if what == "avgPrice":
            return self.average()
        if match := _DEPTH.fullmatch(what):
            every_ns = 100 * NS_PER_MS if match["speed"] == "@100ms" else _S
            return self.partial_book(int(match["levels"]), every_ns) if match["levels"] else self.diffs()
        if match := _TICKER.fullmatch(what):
            return self.window(match["window"])
        return None

    def trades(self) -> Source:
        def tell(trade: Trade) -> Iterator[str]:
            yield self._trade_text(trade)

        return self._source((Trade,), tell)

    def agg_trades(self) -> Source:
        board = self._public.board(self._symbol)

        def tell(trade: Trade | AggTrade) -> Iterator[str]:
            if isinstance(trade, AggTrade):
                yield self._agg_trade_text(trade)
            elif not board.has_aggs:
                yield self._agg_trade_text(as_agg_trade(trade))

        return self._source((Trade, AggTrade), tell)

    def quotes(self) -> Source:
        def tell(quote: Ticker) -> Iterator[str]:
            yield self._quote_text(quote)

        return self._source((Ticker,), tell)

    def diffs(self) -> Source:
        def tell(update: BookUpdate) -> Iterator[str]:
            if not update.is_snapshot:
                yield self._diff_text(update)

        return self._source((BookUpdate,), tell)

    def partial_book(self, levels: int, every_ns: int) -> Source:
        return self._source((BookUpdate, Ticker), paced(every_ns, lambda: self._book_text(levels)))

    def mini_ticker(self) -> Source:
        return self._source(TRADED, paced(_S, lambda: shapes.texts(self.mini_ticker_body())))

    def mini_ticker_body(self) -> dict[str, Any]:
        return shapes.mini_ticker(self._public.day(self._symbol), self._name, self._now())

    def ticker(self) -> Source:
        return self._source(SHOWN, paced(_S, lambda: shapes.texts(self.ticker_body())))

    def ticker_body(self) -> dict[str, Any]:
        stats, quote = self._public.day(self._symbol), self._public.quote(self._symbol)
        return shapes.ticker(stats, quote, self._name, self._now(), self._stamp)

    def window(self, window: str) -> Source:
        def tell() -> str:
            stats = self._public.window(self._symbol, _WINDOWS[window])
            return shapes.texts(shapes.window_ticker(window, stats, self._name, self._now(), self._stamp))

        return self._source(TRADED, paced(_S, tell))

    def average(self) -> Source:
        def tell() -> str:
            price, last_ms = self._public.average(self._symbol)
            return shapes.average_text(price, self._stamp(last_ms * NS_PER_MS), self._name, self._now())

        return self._source(TRADED, paced(_S, tell))

    def klines(self, interval: str) -> Source:
        teller = _Klines(self._public, self._symbol, interval)

        def tell(event: MarketEvent) -> Iterator[str]:
            for bar in teller.after(event):
                yield self._kline_text(bar)

        return self._source(_ANY, tell)

    def _now(self) -> int:
        return self._stamp(self._public.now_ns(self._symbol))

    # What is said.

    def _trade_text(self, trade: Trade) -> str:
        return shapes.trade_text(trade, self._name, self._stamp)

    def _agg_trade_text(self, trade: AggTrade) -> str:
        return shapes.agg_trade_text(trade, self._name, self._stamp)

    def _quote_text(self, quote: Ticker) -> str:
        return shapes.quote_text(quote, self._name)

    def _diff_text(self, update: BookUpdate) -> str:
        return shapes.diff_text(update, self._name, self._stamp)

    def _book_text(self, levels: int) -> str:
        return shapes.partial_book_text(*self._public.depth(self._symbol, levels))

    def _kline_text(self, bar: Bar) -> str:
        return shapes.kline_text(bar, self._name, self._stamp)


def together(
    kinds: tuple[type, ...], bodies: Mapping[str, Callable[[], dict[str, Any]]], every_ns: int = _S
) -> Source:
    """One text for all markets (`bodies` by symbol) that changed since the last."""
    changed: dict[str, None] = {}

    def tell() -> str:
        text = shapes.texts([bodies[symbol]() for symbol in changed])
        changed.clear()
        return text

    told = paced(every_ns, tell)

    def note(event: MarketEvent) -> Iterator[str]:
        changed[event.symbol] = None
        return told(event)

    return Source(kinds, tuple(bodies), note)


def paced(every_ns: int, tell: Callable[[], str]) -> Callable[[MarketEvent], Iterator[str]]:
    """Tell at most once in so long a time, by the arrival of the events."""
    told_ns: int | None = None

    def due(event: MarketEvent) -> Iterator[str]:
        nonlocal told_ns
        # Time that went back is a feed that began anew.
        if told_ns is None or not 0 <= event.local_ns - told_ns < every_ns:
            told_ns = event.local_ns
            yield tell()

    return due


class _Klines:
    """When the candle of one interval is told: at intervals while it changes, and once when it is over.

    Recorded candles are told as they are recorded, and then none are built.
    """

    def __init__(self, public: PublicMarket, symbol: str, interval: str) -> None:
        self._public = public
        self._symbol = symbol
        self._interval = interval
        self._board = public.board(symbol)
        self._length_ns = INTERVALS[interval]
        # One second for candles of a second, two for all others ("Kline/Candlestick Streams").
        self._every_ns = _S if interval == "1s" else 2 * _S
        self._told_ns: int | None = None
        self._open: tuple[int, int] | None = None  # start of the candle told last, and its trades

    def after(self, event: MarketEvent) -> Iterator[Bar]:
        """The candles to tell after an event of the market."""
        if isinstance(event, Bar):
            if event.interval_ns == self._length_ns:
                yield event
            return
        if self._length_ns in self._board.recorded_bars:
            return
        if self._open is not None and self._board.now_ns >= self._open[0] + self._length_ns:
            yield from self._closed(self._open[0])
            self._open = None
        if self._told_ns is not None and 0 <= event.local_ns - self._told_ns < self._every_ns:
            return
        bars = self._public.bars(self._symbol, self._interval, 1)
        state = (bars[-1].open_ns, bars[-1].trades) if bars else None
        if state is not None and state != self._open:
            self._open, self._told_ns = state, event.local_ns
            yield bars[-1]

    def _closed(self, open_ns: int) -> Iterator[Candle]:
        yield from self._public.bars(self._symbol, self._interval, 1, start_ms=open_ns // NS_PER_MS)
