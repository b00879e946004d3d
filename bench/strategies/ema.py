"""Two exponential averages of the trade price, computed in the hook; a market order at each crossing."""

from quantcli import Strategy

FAST, SLOW = 2 / 301, 2 / 1201


class Ema(Strategy):
    fast = slow = 0.0
    is_long = None

    async def on_trade(self, trade):
        price = trade.price
        if not self.fast:
            self.fast = self.slow = price
        self.fast += (price - self.fast) * FAST
        self.slow += (price - self.slow) * SLOW
        if (self.fast > self.slow) is not self.is_long:
            self._turn()

    def _turn(self):
        was_long, self.is_long = self.is_long, self.fast > self.slow
        if self.is_long:
            self.buy(0.01)
        elif was_long:
            self.sell(0.01)
