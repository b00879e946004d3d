"""What ccxt.pro's own objects mean: its trades, books and tickers in, our events out.

ccxt keeps caches that its watch calls hand out; here each message's part of them is taken as soon as it is
there, so that nothing waits for the next call, and nothing is seen twice.

    trades   by id, once.  An id that is a number of up to 63 bits is itself; of any other (Bybit's UUIDs) it
             is 63 bits of its BLAKE2b hash, the same in every session; without one it is a running number.
    books    a snapshot, then the levels that differ from the state before.  Update ids are ours: they rise by
             one, and begin with the time, so that those of a later session are greater.
    tickers  the best bid and ask, where they differ from those before.

Knows no sockets and no exchange by name; the ccxt objects are dicts and lists to it.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from quantcli.clock import NS_PER_MS
from quantcli.model.market import BookUpdate, Level, Ticker, Trade

_SIDES = {"buy": 1, "sell": 2}
_IDS_KEPT = 20_000
_LARGEST_ID = 2**63 - 1


class TradeTap:
    """One market's trades."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.overflowed = False  # more came at once than the cache holds
        self._last: Any = None
        self._ids: OrderedDict[int, None] = OrderedDict()
        self._unnamed = 0

    def fresh(self, cache: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The trades of a cache that were not there before, oldest first, with our ids."""
        found = []
        for i in range(len(cache) - 1, -1, -1):
            if cache[i] is self._last:
                break
            found.append(cache[i])
        else:
            self.overflowed = self._last is not None
        if found:
            self._last = found[0]
        for trade in reversed(found):
            number = self._id(trade.get("id"))
            if number in self._ids:
                continue
            self._ids[number] = None
            if len(self._ids) > _IDS_KEPT:
                self._ids.popitem(last=False)
            yield number, trade

    def event(self, number: int, trade: Mapping[str, Any], now_ns: int, seq: int) -> Trade:
        """A trade as an event."""
        return Trade(
            self.symbol,
            _ns(trade.get("timestamp")),
            now_ns,
            seq,
            float(trade["price"]),
            float(trade["amount"]),
            _SIDES.get(trade.get("side") or "", 0),
            number,
        )

    def _id(self, told: Any) -> int:
        if told in (None, ""):
            self._unnamed += 1
            return self._unnamed
        text = str(told)
        if text.isascii() and text.isdecimal() and int(text) <= _LARGEST_ID:
            return int(text)
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


class BookTap:
    """One market's book; the best bid and ask of it too, for markets that have no stream of them."""

    def __init__(self, symbol: str, now_ns: int) -> None:
        self.symbol = symbol
        self._id = now_ns // 1000
        self._bids: dict[float, float] | None = None
        self._asks: dict[float, float] = {}

    def restart(self) -> None:
        """The next state is no continuation: it is put as a snapshot."""
        self._bids = None

    def update(self, book: Mapping[str, Any], now_ns: int, seq: int) -> BookUpdate | None:
        """What changed in the book since the last time; `None` if nothing did."""
        bids, asks = _levels(book["bids"]), _levels(book["asks"])
        before_bids, before_asks = self._bids, self._asks
        self._bids, self._asks = bids, asks
        stamp = _ns(book.get("timestamp"))
        if before_bids is None:
            return BookUpdate(
                *(self.symbol, stamp, now_ns, seq, True, self._id, self._id, 0),
                list(bids.items()),
                list(asks.items()),
            )
        changes = _changes(before_bids, bids), _changes(before_asks, asks)
        if not any(changes):
            return None
        self._id += 1
        return BookUpdate(self.symbol, stamp, now_ns, seq, False, self._id, self._id, 0, *changes)


class QuoteTap:
    """One market's best bid and ask."""

    def __init__(self, symbol: str, now_ns: int) -> None:
        self.symbol = symbol
        self._id = now_ns // 1000
        self._best: tuple[float, float, float, float] | None = None

    def from_ticker(self, ticker: Mapping[str, Any], now_ns: int, seq: int) -> Ticker | None:
        """The best of a ticker, if it is new and has both sides."""
        bid, ask = ticker.get("bid"), ticker.get("ask")
        if not bid or not ask:
            return None
        sizes = float(ticker.get("bidVolume") or 0), float(ticker.get("askVolume") or 0)
        return self._new((float(bid), sizes[0], float(ask), sizes[1]), ticker, now_ns, seq)

    def from_book(self, book: Mapping[str, Any], now_ns: int, seq: int) -> Ticker | None:
        """The best of a book, if it is new and both sides are there."""
        bids, asks = book["bids"], book["asks"]
        if not len(bids) or not len(asks):
            return None
        (bid, bid_size, *_), (ask, ask_size, *_) = bids[0], asks[0]
        return self._new((float(bid), float(bid_size), float(ask), float(ask_size)), book, now_ns, seq)

    def _new(
        self, best: tuple[float, float, float, float], told: Mapping[str, Any], now_ns: int, seq: int
    ) -> Ticker | None:
        if best == self._best:
            return None
        self._best = best
        self._id += 1
        return Ticker(self.symbol, _ns(told.get("timestamp")), now_ns, seq, *best, self._id)


def _levels(side: Sequence[Sequence[float]]) -> dict[float, float]:
    return {level[0]: level[1] for level in side}  # a level may go on with a count


def _changes(before: dict[float, float], after: dict[float, float]) -> list[Level]:
    if before == after:
        return []
    changed = [(price, size) for price, size in after.items() if before.get(price) != size]
    if len(after) == len(before) + sum(price not in before for price, _ in changed):
        return changed
    return changed + [(price, 0.0) for price in before if price not in after]


def _ns(timestamp_ms: Any) -> int:
    return int(timestamp_ms) * NS_PER_MS if timestamp_ms else 0
