"""A synthetic market for the benches: a seeded walk with real tick and lot, bursts and quiet.

Half of the events are trades, half quotes.  The same seed gives the same events on every machine.

    python synthetic.py FOLDER EVENTS     FOLDER/synthetic-EVENTS (a recording) and …npz (plain arrays)
"""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np

from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Ticker, Trade
from quantcli.recording.writer import Writer

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


def write_arrays(path: Path, events: int) -> None:
    """Save the columns where the peer can read them."""
    np.savez(path, **columns(events))


def write_recording(root: Path, events: int) -> None:
    """Record the same events as `quant` would."""
    c = columns(events)
    meta = SymbolMetadata(
        Symbol("BTC", "USDT"), "binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001")
    )
    trades = zip(*(c[f"trade_{n}"].tolist() for n in ("ns", "price", "size", "side")), strict=True)
    names = ("ns", "bid", "bid_size", "ask", "ask_size")
    quotes = zip(*(c[f"quote_{n}"].tolist() for n in names), strict=True)
    with Writer(root, "binance", {"source": f"synthetic, {events} events, seed 7"}) as writer:
        writer.instruments([meta])
        for number, (quote, trade) in enumerate(zip(quotes, trades, strict=True)):
            at, *top = quote
            writer.append(Ticker("BTC/USDT", at, at, 2 * number, *top, number))
            at, *printed = trade
            writer.append(Trade("BTC/USDT", at, at, 2 * number + 1, *printed, number))
        writer.close()


if __name__ == "__main__":
    folder, events = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / f"synthetic-{events}.npz", events)
    write_recording(folder / f"synthetic-{events}", events)
