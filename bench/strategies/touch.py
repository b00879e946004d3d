"""One post-only buy a tick behind the bid, moved when the bid is more than two ticks away."""

from quantcli import Strategy, keep


class Touch(Strategy):
    def desired(self, m):
        yield keep.bid("bid", 0.01, m.best_bid - m.tick, tolerance=2, min_rest="0ms", post_only=True)
