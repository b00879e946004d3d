"""Best bid and ask for markets whose recording has none, from what it has.

From a book: a row wherever the best of it changed.  From trades, aggregated trades and bars: bid and ask are
the last price, sizes 0, which means unknown.  A derived row has the stamps of the row it comes from and
follows it at once.  Knows nothing of files.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from quantcli.codecs.depth import DepthSync
from quantcli.model.batch import Chunk, Columns, events
from quantcli.model.market import BookUpdate, Channel, Ticker
from quantcli.recording.columns import from_events
from quantcli.recording.merge import in_order

# What quotes are derived from, the best first.
SOURCES = (Channel.BOOK, Channel.TRADES, Channel.AGG_TRADES, Channel.BARS)


class View(msgspec.Struct, frozen=True):
    """A stream to show: stream number `origin` of the chunks as it is, or the quotes derived from it."""

    origin: int
    symbol: str
    derive_from: Channel | None


def with_quotes(chunks: Iterator[Chunk], views: Sequence[View]) -> Iterator[Chunk]:
    """The chunks again, with exactly the streams in `views`."""
    makers = [_as_it_is if v.derive_from is None else _maker(v.symbol, v.derive_from) for v in views]
    for chunk in chunks:
        yield in_order([make(chunk.streams[view.origin]) for make, view in zip(makers, views, strict=True)])


def _as_it_is(rows: Columns) -> Columns:
    return rows


def _maker(symbol: str, channel: Channel) -> Callable[[Columns], Columns]:
    if channel is Channel.BOOK:
        return _BookQuotes(symbol).derive
    return _from_bars if channel is Channel.BARS else _from_trades


def _from_trades(rows: Columns) -> Columns:
    return _last_price(rows, "price")


def _from_bars(rows: Columns) -> Columns:
    return _last_price(rows, "close")


def _last_price(rows: Columns, name: str) -> Columns:
    price, unknown = rows.data[name], np.zeros(len(rows))
    data = {
        "bid": price,
        "bid_size": unknown,
        "ask": price,
        "ask_size": unknown,
        "update_id": np.zeros(len(rows), np.int64),
    }
    return Columns(Channel.QUOTES, rows.symbol, rows.exchange_ns, rows.local_ns, rows.seq, data)


class _BookQuotes:
    """Follows a market's book; silent while the book is incomplete or one side of it is empty."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._sync = DepthSync(symbol)
        self._best: tuple[float, float, float, float] | None = None

    def derive(self, rows: Columns) -> Columns:
        quotes = [quote for update in events(rows) if (quote := self._after(update))]  # type: ignore[arg-type]
        return from_events(Channel.QUOTES, self._symbol, quotes)

    def _after(self, update: BookUpdate) -> Ticker | None:
        if not self._sync.apply(update):
            return None
        book = self._sync.book
        bid, ask = book.best_bid, book.best_ask
        if not (bid and ask):
            return None
        best = (bid, book.bids[bid], ask, book.asks[ask])
        if best == self._best:
            return None
        self._best = best
        return Ticker(self._symbol, update.exchange_ns, update.local_ns, update.seq, *best, book.last_id)
