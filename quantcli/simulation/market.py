"""One market as it was recorded: touch, last price, book, and what a taker would meet in it.

Our orders leave no trace here: what we take is still displayed afterwards.  Knows nothing of orders.
"""

from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from heapq import heapify, heappop
from math import inf

from quantcli.codecs.depth import DepthSync
from quantcli.model.instrument import Side, SymbolMetadata, round_to_step, to_decimal
from quantcli.model.market import BookUpdate, Level

# Without a book the market behind the touch is taken to be flat: this many ticks, each with its size.
FLAT_LEVELS = 50

Take = tuple[Decimal, Decimal]


class Market:
    """State of one market.  Prices of 0 mean: this side is empty, or has not been seen yet."""

    __slots__ = (
        "_deepest_ask",
        "_deepest_bid",
        "_new_ask",
        "_new_bid",
        "ask",
        "ask_size",
        "bid",
        "bid_size",
        "depth",
        "half_tick",
        "has_prints",
        "last",
        "meta",
    )

    def __init__(self, meta: SymbolMetadata) -> None:
        self.meta = meta
        self.half_tick = float(meta.price_tick) / 2
        self.bid = self.bid_size = self.ask = self.ask_size = 0.0
        self._new_bid = self._new_ask = 0.0
        self.last = 0.0
        self.has_prints = False
        self.depth: DepthSync | None = None
        self._deepest_bid, self._deepest_ask = inf, -inf

    def quote(self, bid: float, bid_size: float, ask: float, ask_size: float) -> None:
        """Take over the best bid and ask; a size of 0 is not known."""
        self._new_bid = _newly_shown(bid, bid_size, self.bid, self.bid_size)
        self._new_ask = _newly_shown(ask, ask_size, self.ask, self.ask_size)
        self.bid, self.bid_size, self.ask, self.ask_size = bid, bid_size, ask, ask_size

    def newly_opposite(self, side: Side) -> tuple[float, float]:
        """Price, and what the newest quote added there, that comes towards resting orders of this side."""
        return (self.ask, self._new_ask) if side is Side.BUY else (self.bid, self._new_bid)

    def update_book(self, update: BookUpdate) -> bool:
        """Take over a change of the book; true if the book changed and can be trusted."""
        if self.depth is None:
            self.depth = DepthSync(update.symbol)
        changed = self.depth.apply(update)
        if changed and update.is_snapshot:
            self._deepest_bid = min((p for p, _ in update.bids), default=inf)
            self._deepest_ask = max((p for p, _ in update.asks), default=-inf)
        return changed

    def overwrite_levels(self, bids: Sequence[Level], asks: Sequence[Level], last_id: int) -> None:
        """Take over many changes at once, oldest first, that are known to continue a valid book."""
        assert self.depth is not None
        book = self.depth.book
        for levels, changes in ((book.bids, bids), (book.asks, asks)):
            levels.update(changes)
            for price, size in changes:
                if not size and not levels.get(price, 1.0):
                    del levels[price]
        book.best_bid = max(book.bids, default=0.0)
        book.best_ask = min(book.asks, default=0.0)
        book.last_id = last_id

    def opposite(self, side: Side) -> tuple[float, float]:
        """Price and size that a taker of this side meets first."""
        return (self.ask, self.ask_size) if side is Side.BUY else (self.bid, self.bid_size)

    def crosses(self, side: Side, price: float) -> bool:
        """An order of this side at `price` would trade at once."""
        opposite, _ = self.opposite(side)
        return opposite > 0 and side.sign * (price - opposite) > -self.half_tick

    def last_price(self, side: Side) -> float:
        """The price that stops of this side and price bands refer to, 0 if there is none yet: the last
        trade, or the opposite touch in a market that has shown no trade."""
        return self.last or self.opposite(side)[0]

    def ahead(self, side: Side, price: float) -> float:
        """Size displayed at a price on its own side, that is ahead of an order that joins there now.

        0 if the order would be the best; infinite where nothing shows the level.
        """
        best, size = (self.bid, self.bid_size) if side is Side.BUY else (self.ask, self.ask_size)
        lead = side.sign * (price - best)
        if (self.bid or self.ask) and (not best or lead > self.half_tick):
            return 0.0
        if best and lead > -self.half_tick and size:
            return size
        shown = self.book_size(side, price)
        return inf if shown is None else shown

    def book_size(self, side: Side, price: float) -> float | None:
        """Size of a level in the book; `None` where there is no valid book or it does not reach so far.

        How far it reaches is what its snapshot said: beyond that, a missing level may be an unseen one.
        """
        if self.depth is None or not self.depth.synced:
            return None
        book = self.depth.book
        if side is Side.BUY:
            return book.bids.get(price, 0.0 if price >= self._deepest_bid else None)
        return book.asks.get(price, 0.0 if price <= self._deepest_ask else None)

    def takes(self, side: Side, qty: Decimal, limit: Decimal | None) -> list[Take]:
        """What a taker gets now: (price, quantity) from the best price on, none worse than `limit`."""
        taken = []
        for price, size in self._ladder(side):
            if limit is not None and side.sign * (price - limit) > 0:
                break
            part = qty if size is None else min(qty, size)
            if part:
                taken.append((price, part))
                qty -= part
            if not qty:
                break
        return taken

    def _ladder(self, side: Side) -> Iterator[tuple[Decimal, Decimal | None]]:
        """Levels a taker meets: the touch of the newest quote, then the book or a flat one."""
        touch, touch_size = self.opposite(side)
        if not touch:
            return
        price = self._price(touch, side)
        if not touch_size:
            yield price, None
            return
        size = self._lots(touch_size)
        yield price, size
        if self.depth is not None and self.depth.synced:
            yield from self._book_behind(side, touch)
            return
        for _ in range(FLAT_LEVELS):
            price += side.sign * self.meta.price_tick
            if price <= 0:
                return
            yield price, size

    def _book_behind(self, side: Side, touch: float) -> Iterator[tuple[Decimal, Decimal]]:
        assert self.depth is not None
        book = self.depth.book
        sign = side.sign
        levels = book.asks if side is Side.BUY else book.bids
        worse = [sign * price for price in levels if sign * (price - touch) > self.half_tick]
        heapify(worse)
        while worse:
            price = sign * heappop(worse)
            yield self._price(price, side), self._lots(levels[price])

    def _price(self, price: float, side: Side) -> Decimal:
        """Exact and on the tick; a price between ticks is moved against the taker."""
        rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
        return round_to_step(price, self.meta.price_tick, rounding)

    def _lots(self, size: float) -> Decimal:
        return round_to_step(size, self.meta.lot, ROUND_DOWN)

    def reference(self, side: Side) -> Decimal | None:
        """`last_price`, exact; `None` if there is none yet."""
        price = self.last_price(side)
        return to_decimal(price) if price else None

    def touch_price(self, side: Side) -> Decimal | None:
        """The exact price a taker of this side starts at; `None` if it meets nobody."""
        price, _ = self.opposite(side)
        return self._price(price, side) if price else None


def _newly_shown(price: float, size: float, price_before: float, size_before: float) -> float:
    """What a quote shows that the one before did not: a repeated quote brings nobody new."""
    if not size:
        return inf
    return size - size_before if price == price_before else size
