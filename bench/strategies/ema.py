"""Two exponential averages of the trade price, computed in the hook; a market order at each crossing."""

from quantcli import Strategy


class Ema(Strategy):
    fast = slow = None
    side = 0

    async def on_trade(self, trade):
        price = trade.price
        if self.fast is None:
            self.fast = self.slow = price
            return
        self.fast += (price - self.fast) * 2 / 301
        self.slow += (price - self.slow) * 2 / 1201
        side = 1 if self.fast > self.slow else -1
        if side != self.side:
            if side > 0:
                self.buy(0.01)
            elif self.side > 0:
                self.sell(0.01)
            self.side = side
