"""A synthetic market for the benches: a seeded walk with real tick and lot, bursts and quiet.

Half of the events are trades, half quotes.  The same seed gives the same events on every machine.
"""

from pathlib import Path

import numpy as np

TICK, LOT = 0.01, 0.00001
START_NS = 1_700_000_000_000_000_000


def columns(events: int, seed: int = 7) -> dict[str, np.ndarray]:
    """Columns of `events` events: `trade_*` and `quote_*`, prices and sizes as exact floats."""
    rng = np.random.default_rng(seed)
    n = events // 2
    gaps = rng.exponential(40e6, n) * np.where(rng.random(n) < 0.7, 0.1, 2.0)
    quote_ns = START_NS + np.cumsum(gaps.astype(np.int64) + 1_000)
    moves = rng.choice([0, 0, 0, 0, 1, -1, 2, -2], n)
    bid_ticks = 6_000_000 + np.cumsum(moves)
    spread = rng.choice([1, 1, 1, 2, 3], n)
    side = rng.integers(1, 3, n)
    trade_ticks = np.where(side == 1, bid_ticks + spread, bid_ticks)
    lots = lambda: rng.integers(100, 400_000, n)  # noqa: E731
    return {
        "quote_ns": quote_ns,
        "quote_bid": bid_ticks / 100,
        "quote_ask": (bid_ticks + spread) / 100,
        "quote_bid_size": lots() / 100_000,
        "quote_ask_size": lots() / 100_000,
        "trade_ns": quote_ns + 500,
        "trade_price": trade_ticks / 100,
        "trade_size": lots() / 100_000,
        "trade_side": side,
    }


def write(path: Path, events: int) -> None:
    """Save the columns where the peer can read them."""
    np.savez(path, **columns(events))
