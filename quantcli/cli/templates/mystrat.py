"""Market making: a bid and an ask beside the touch, until the inventory is full."""

from collections.abc import Iterator

from quantcli import Market, Param, Strategy, Wish, keep


class TouchMaker(Strategy):
    size = Param("100 quote", help="worth of each order, in the quote currency")
    behind = Param(1, min=0, help="ticks behind the touch")
    limit = Param(4.0, min=1, help="stop adding inventory beyond this many orders")

    def desired(self, m: Market) -> Iterator[Wish]:
        bid = m.best_bid - self.behind * m.tick
        ask = m.best_ask + self.behind * m.tick
        inventory = m.position / m.quantity(self.size)

        if inventory < self.limit:
            yield keep.bid("bid", self.size, bid, tolerance="2 ticks", post_only=True)
        if inventory > -self.limit:
            yield keep.ask("ask", self.size, ask, tolerance="2 ticks", post_only=True)
