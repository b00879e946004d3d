"""Trend following: long while the fast average is above the slow one, out of the market otherwise."""

from collections.abc import Iterator

from quantcli import Market, Param, Strategy, Wish, ta


class EmaCross(Strategy):
    bars = "1m"
    fast = Param(12, range=(2, 50), help="bars of the fast average")
    slow = Param(26, range=(5, 200), help="bars of the slow average")
    stake = Param("100 quote", help="worth of the position, in the quote currency")

    def setup(self, m: Market) -> None:
        m.fast, m.slow = m.use(ta.EMA(self.fast)), m.use(ta.EMA(self.slow))

    def desired(self, m: Market) -> Iterator[Wish]:
        yield m.hold(self.stake if m.fast > m.slow else 0)
