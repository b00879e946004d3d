"""Market streams of futures by their names: which there are, and what they say.

As on spot, with more in some messages (`T`, `pu`, `X`), less in others, and with mark prices and more than
one pace of the book.  Source: developers.binance.com, USDⓈ-M Futures, "Websocket Market Streams".  Every
stream is served at every path, whether it is called public or market.  Sans-I/O.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from quantcli.clock import NS_PER_MS
from quantcli.model.market import AggTrade, BookUpdate, Level, MarkPrice, Ticker, Trade
from quantcli.sandbox.futures.numbers import Numbers
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.streams import shapes
from quantcli.sandbox.streams.shapes import Stamp
from quantcli.sandbox.streams.sources import SHOWN, TRADED, MarketStreams, Source, paced, together

_S = 1_000 * NS_PER_MS
_SELL = 2
_DEPTH = re.compile(r"depth(?P<levels>5|10|20)?(?P<speed>@0ms|@100ms|@250ms|@500ms)?")
_MARK = re.compile(r"markPrice(?P<speed>@1s)?")
_ALL_MARKS = re.compile(r"!markPrice@arr(?P<speed>@1s)?")
_USUAL_MARK_NS = 3 * _S
_USUAL_BOOK_NS = 250 * NS_PER_MS
_USUAL_TICKER_NS = 2 * _S


class FuturesStreams(MarketStreams):
    """Makes the streams of one futures market."""

    def __init__(self, public: PublicMarket, symbol: str, stamp: Stamp) -> None:
        super().__init__(public, symbol, stamp)
        self._numbers = Numbers(public.instruments[symbol])

    @classmethod
    def of_all_markets(cls, name: str, public: PublicMarket, stamp: Stamp) -> Source | None:
        """Streams of all markets: each in its time those that changed in it."""
        markets = {symbol: cls(public, symbol, stamp) for symbol in public.instruments}
        if name == "!bookTicker":
            symbols = tuple(markets)
            return Source((Ticker,), symbols, lambda quote: markets[quote.symbol].tell_quote(quote))
        if match := _ALL_MARKS.fullmatch(name):
            every_ns = _S if match["speed"] else _USUAL_MARK_NS
            return together((MarkPrice,), {each: markets[each].mark_body for each in markets}, every_ns)
        if name == "!miniTicker@arr":
            return together(TRADED, {each: markets[each].mini_ticker_body for each in markets})
        if name == "!ticker@arr":
            return together(SHOWN, {each: markets[each].ticker_body for each in markets})
        return None

    def _particular(self, what: str) -> Source | None:
        if match := _DEPTH.fullmatch(what):
            if not match["levels"]:
                return self.diffs()
            pace = match["speed"]
            every_ns = int(pace.strip("@ms")) * NS_PER_MS if pace else _USUAL_BOOK_NS
            return self.partial_book(int(match["levels"]), every_ns)
        if match := _MARK.fullmatch(what):
            return self.marks(_S if match["speed"] else _USUAL_MARK_NS)
        return None

    def marks(self, every_ns: int) -> Source:
        """Mark price, at most so often; of a market that tells none, its last price."""
        if every_ns <= _S:
            # A recording of every second is told as it was.
            def tell(event: MarkPrice) -> Iterator[str]:
                yield shapes.texts(self.mark_body())

            return self._source((MarkPrice,), tell)
        return self._source((MarkPrice,), paced(every_ns, lambda: shapes.texts(self.mark_body())))

    def mark_body(self) -> dict[str, Any]:
        """`<symbol>@markPrice`."""
        mark = self._public.mark(self._symbol)
        return {
            "e": "markPriceUpdate",
            "E": self._stamp(mark.exchange_ns),
            "s": self._name,
            "p": shapes.number(mark.mark),
            "P": shapes.number(mark.index),
            "i": shapes.number(mark.index),
            "r": shapes.number(mark.funding_rate),
            "T": self._stamp(mark.next_funding_ns),
        }

    def ticker(self) -> Source:
        """`<symbol>@ticker`: every two seconds."""
        return self._source(SHOWN, paced(_USUAL_TICKER_NS, lambda: shapes.texts(self.ticker_body())))

    def ticker_body(self) -> dict[str, Any]:
        """`<symbol>@ticker`: as on spot, without quotes."""
        told = super().ticker_body()
        return {name: value for name, value in told.items() if name not in {"x", "b", "B", "a", "A"}}

    # What is said.

    def _trade_text(self, trade: Trade) -> str:
        at, maker = self._stamp(trade.exchange_ns), "true" if trade.side == _SELL else "false"
        return (
            f'{{"e":"trade","E":{at},"T":{at},"s":"{self._name}","t":{trade.trade_id},'
            f'"p":"{self._numbers.price(trade.price)}","q":"{self._numbers.size(trade.size)}",'
            f'"X":"MARKET","m":{maker}}}'
        )

    def _agg_trade_text(self, trade: AggTrade) -> str:
        at, maker = self._stamp(trade.exchange_ns), "true" if trade.side == _SELL else "false"
        return (
            f'{{"e":"aggTrade","E":{at},"s":"{self._name}","a":{trade.trade_id},'
            f'"p":"{self._numbers.price(trade.price)}","q":"{self._numbers.size(trade.size)}",'
            f'"f":{trade.first_id},"l":{trade.last_id},"T":{at},"m":{maker}}}'
        )

    def tell_quote(self, quote: Ticker) -> Iterator[str]:
        """`<symbol>@bookTicker`."""
        yield self._quote_text(quote)

    def _quote_text(self, quote: Ticker) -> str:
        return shapes.texts(self._quote(quote))

    def _quote(self, quote: Ticker) -> dict[str, Any]:
        at = self._stamp(quote.exchange_ns or quote.local_ns)
        return {
            "e": "bookTicker",
            "u": quote.update_id,
            "s": self._name,
            "b": self._numbers.price(quote.bid),
            "B": self._numbers.size(quote.bid_size),
            "a": self._numbers.price(quote.ask),
            "A": self._numbers.size(quote.ask_size),
            "T": at,
            "E": at,
        }

    def _diff_text(self, update: BookUpdate) -> str:
        return self._book(update, update.bids, update.asks)

    def _book(self, update: BookUpdate, bids: Sequence[Level], asks: Sequence[Level]) -> str:
        at = self._stamp(update.exchange_ns or update.local_ns)
        return (
            f'{{"e":"depthUpdate","E":{at},"T":{at},"s":"{self._name}","U":{update.first_id},'
            f'"u":{update.last_id},"pu":{update.prev_id or update.first_id - 1},'
            f'"b":{self._levels(bids)},"a":{self._levels(asks)}}}'
        )

    def _levels(self, levels: Sequence[Level]) -> str:
        price, size = self._numbers.price, self._numbers.size
        return "[" + ",".join(f'["{price(p)}","{size(s)}"]' for p, s in levels) + "]"

    def _book_text(self, levels: int) -> str:
        last_id, bids, asks = self._public.depth(self._symbol, levels)
        now_ns = self._public.now_ns(self._symbol)
        shown = BookUpdate(self._symbol, now_ns, now_ns, 0, False, last_id, last_id, last_id, bids, asks)
        return self._book(shown, bids, asks)
