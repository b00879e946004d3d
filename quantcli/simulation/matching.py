"""Who gets filled: our resting orders against what the market shows.

An order of ours was never in the recorded market, so whether it would have been filled is a model.
Three rules hold in every model:

    a trade strictly through our price          fills us, up to the trade's size
    an opposite quote at or through our price   fills us, up to the size that is new in it (all, where
                                                sizes are not known)
    several orders of ours                      share what is there, best price first, then oldest

A trade exactly at our price by a taker of the other side (or of an unknown one) is where models differ:

    OPTIMISTIC     nobody was ahead of us: it fills us
    VOLUME         what was displayed at our price when we joined is ahead; trades there use it up, and
                   it is never more than what is displayed later; it is gone once our side's best price
                   falls back behind us
    CONSERVATIVE   everybody was ahead of us: it does not fill us

Knows nothing of time, money or messages.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from math import inf

import numpy as np

from quantcli.model.batch import Floats
from quantcli.model.instrument import Side
from quantcli.model.market import BookUpdate
from quantcli.simulation.market import Market
from quantcli.simulation.orders import LiveOrder, OwnOrders

Hit = tuple[LiveOrder, Decimal]
Levels = tuple[Floats, Floats]


class QueueModel(StrEnum):
    """What stands ahead of our resting orders."""

    OPTIMISTIC = "optimistic"
    VOLUME = "volume"
    CONSERVATIVE = "conservative"


class Matcher:
    """Applies one queue model.

    `queue_mattered` turns true with the first trade at the very price of a resting order: up to then every
    model gives the same fills.
    """

    def __init__(self, model: QueueModel) -> None:
        self.model = model
        self.queue_mattered = False

    @property
    def minds_touch(self) -> bool:
        """A trade at the very price of an order still has to be looked at."""
        return self.model is not QueueModel.CONSERVATIVE or not self.queue_mattered

    @property
    def keeps_queues(self) -> bool:
        """Displayed sizes have to be looked at."""
        return self.model is QueueModel.VOLUME

    def join(self, order: LiveOrder, market: Market) -> None:
        """Give an order that begins to rest its place in the queue."""
        order.queue = market.ahead(order.terms.side, order.limit) if self.keeps_queues else 0.0

    def trade(self, own: OwnOrders, price: float, size: float, taker: int) -> list[Hit]:
        """Orders that a trade fills, and how much; `taker` is its aggressor's side, 0 if unknown."""
        hits: list[Hit] = []
        self._share_trade(own.buys, price, size, taker != Side.BUY, hits)
        self._share_trade(own.sells, price, size, taker != Side.SELL, hits)
        return hits

    def _share_trade(
        self, orders: list[LiveOrder], price: float, size: float, at_touch: bool, hits: list[Hit]
    ) -> None:
        for order in orders:
            if not order.reached_by(price):
                return
            mine = size
            if not order.passed_by(price):
                if not at_touch:
                    continue
                self.queue_mattered = True
                if self.model is QueueModel.CONSERVATIVE:
                    continue
                mine -= order.queue
                order.queue = max(0.0, order.queue - size)
            if qty := order.part_of(mine):
                hits.append((order, qty))
                size -= float(qty)

    def quote(self, own: OwnOrders, market: Market) -> list[Hit]:
        """Orders that the quote just shown by the market fills, and how much."""
        hits: list[Hit] = []
        for orders, side in ((own.buys, Side.BUY), (own.sells, Side.SELL)):
            price, size = market.newly_opposite(side)
            if not price:
                continue
            for order in orders:
                if not order.reached_by(price):
                    break
                if qty := order.part_of(size):
                    hits.append((order, qty))
                    size -= float(qty)
        return hits

    def see_quotes(
        self, own: OwnOrders, bid: Floats, bid_size: Floats, ask: Floats, ask_size: Floats
    ) -> None:
        """Let queues shrink to what a run of quotes displayed."""
        for order in _queued(own.buys):
            order.queue = min(order.queue, _least_shown(order, bid, bid_size))
        for order in _queued(own.sells):
            order.queue = min(order.queue, _least_shown(order, ask, ask_size))

    def see_book(self, own: OwnOrders, market: Market, update: BookUpdate) -> None:
        """Let queues shrink to what a book update displayed, once the market has taken it over."""
        for orders, levels in ((own.buys, update.bids), (own.sells, update.asks)):
            shown = dict(levels)
            for order in _queued(orders):
                if update.is_snapshot or order.limit in shown:
                    size = market.book_size(order.terms.side, order.limit)
                    order.queue = order.queue if size is None else min(order.queue, size)

    def see_levels(self, own: OwnOrders, bids: Levels, asks: Levels) -> None:
        """Let queues shrink to what a run of book changes (prices, sizes) displayed."""
        for orders, (prices, sizes) in ((own.buys, bids), (own.sells, asks)):
            for order in _queued(orders):
                shown = sizes[prices == order.limit]
                if len(shown):
                    order.queue = min(order.queue, float(shown.min()))


def _queued(orders: Iterable[LiveOrder]) -> Iterable[LiveOrder]:
    return (order for order in orders if order.queue)


def _least_shown(order: LiveOrder, prices: Floats, sizes: Floats) -> float:
    """The least size that quotes displayed at the order's price on its own side.

    0 if the best price was once behind the order or the side empty; infinite if no quote tells.
    """
    behind = prices < order.far if order.sign > 0 else prices > order.far
    if behind.any() or not prices.all():
        return 0.0
    level = prices < order.near if order.sign > 0 else prices > order.near
    shown = sizes[level & (sizes > 0)]
    return float(np.min(shown)) if len(shown) else inf
