"""The strategies that the live tests run, as source texts: a bot loads them from a file, as users' are."""

# `count` orders, one each `every`: markets and resting limits in turn, or one kind; each is wished once.
PLACER = """
from quantcli import Param, Strategy


class Placer(Strategy):
    count = Param(60, help="orders in all")
    kind = Param("both", help="market, limit, crossing, or both (market and limit in turn)")
    every_ = Param("200ms", help="between two orders")
    size = Param(0.001, help="of each, in base units")

    def on_start(self):
        self.placed = 0
        self.every(self.every_)

    def on_timer(self, name):
        m = self.market
        if self.placed >= self.count or not m.best_bid:
            return
        self.placed += 1
        kind = self.kind if self.kind != "both" else ("market", "limit")[self.placed % 2]
        if kind == "market":
            self.buy(self.size)
        elif kind == "crossing":
            self.buy(self.size, limit=m.best_ask * 1.01)
        else:
            self.buy(self.size, limit=m.best_bid * 0.98 - self.placed * m.tick)
"""

# As above, and each order is cancelled `wait` after it was placed.
CANCELLER = (
    PLACER.replace("class Placer", "class Canceller")
    .replace("self.placed = 0\n", "self.placed = 0\n        self.tickets = []\n        self.after = 12\n")
    .replace(
        "if self.placed >= self.count or not m.best_bid:\n            return",
        "if not m.best_bid:\n            return\n"
        "        if self.tickets and (len(self.tickets) > self.after or self.placed >= self.count):\n"
        "            self.cancel(self.tickets.pop(0))\n"
        "        if self.placed >= self.count:\n            return",
    )
    .replace(
        "self.buy(self.size, limit=m.best_bid * 0.98 - self.placed * m.tick)",
        "self.tickets.append(self.buy(self.size, limit=m.best_bid * 0.98 - self.placed * m.tick))",
    )
)

# As the first, and whatever the exchange refuses is wished again, as impatient people do.
STUBBORN = (
    PLACER.replace("class Placer", "class Stubborn")
    + """
    def on_order(self, event):
        if event.kind.value == "rejected":
            order = event.intent.order
            self.buy(order.quantity, limit=order.price)
"""
)

# Trades all the time, in every way there is: kept quotes that follow the market, orders at the market, limits
# that are cancelled again, a bracket now and then.  With `idle` it only looks on.
BUSY = """
from quantcli import Param, Strategy, keep


class Busy(Strategy):
    idle = Param(False, help="place nothing")
    size = Param(0.001, help="of each order, in base units")

    def on_start(self):
        self.turn = 0
        self.tickets = []
        if not self.idle:
            self.every("40ms")

    def desired(self, m):
        if self.idle or not m.best_bid:
            return
        yield keep.bid("bid", self.size, m.best_bid - 3 * m.tick, tolerance=2, cooldown="0s")
        yield keep.ask("ask", self.size, m.best_ask + 3 * m.tick, tolerance=2, cooldown="0s")

    def on_timer(self, name):
        m = self.market
        if not m.best_bid:
            return
        self.turn += 1
        if self.turn % 5 == 0:
            self.buy(self.size) if m.position < 5 else self.sell(self.size)
        elif self.turn % 5 == 2:
            self.tickets.append(self.buy(self.size, limit=m.best_bid * 0.97))
        elif self.turn % 5 == 4 and len(self.tickets) > 3:
            self.cancel(self.tickets.pop(0))
"""
