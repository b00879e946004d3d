"""Looks at the account at even intervals, for the report's curve; changes nothing."""

from quantcli.trading.portfolio import Portfolio


class Sampler:
    """Equity and exposure, every `every_ns`.  The arrays run in parallel."""

    def __init__(self, portfolio: Portfolio, start_ns: int, every_ns: int) -> None:
        self.times_ns: list[int] = []
        self.equity: list[float] = []
        self.exposure: list[float] = []
        self._portfolio = portfolio
        self._every_ns = every_ns
        self._next_ns = start_ns + every_ns

    def next_due(self) -> int:
        """When to look again."""
        return self._next_ns

    def sample(self, now_ns: int) -> None:
        """Look now; nothing is noted while a position has no mark."""
        self._next_ns = now_ns - now_ns % self._every_ns + self._every_ns
        worth = self._portfolio.equity()
        if worth is None:
            return
        self.times_ns.append(now_ns)
        self.equity.append(float(worth))
        self.exposure.append(
            sum(abs(float(p.qty * (p.mark or p.avg_price))) for p in self._portfolio.positions())
        )
