"""Sees every trade and does nothing."""

from quantcli import Strategy


class Empty(Strategy):
    async def on_trade(self, trade):
        pass
