"""The floor under any engine with a Python callback: the same file, a bare `await hook(event)` loop.

    python floor.py RECORDING STRATEGY [trades|every]

No orders, no matching, no merge: rows from Parquet to structs to the hook of the same strategy file, its
orders thrown away.  `trades` reads and awaits only what the strategy listens to; `every` every row of
the recording, quotes with a hook that does nothing.
"""

import asyncio
import sys
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from quantcli.model.market import Ticker, Trade
from quantcli.trading.loader import load_strategy

STAMPS = ("exchange_ns", "local_ns", "seq")
KINDS = {
    "trades": (Trade, (*STAMPS, "price", "size", "side", "trade_id")),
    "quotes": (Ticker, (*STAMPS, "bid", "bid_size", "ask", "ask_size", "update_id")),
}
BATCH_ROWS = 8192


def column(array) -> list:
    """An Arrow column as Python numbers; decimals as floats, by their integer words."""
    if array.type.num_fields == 0 and str(array.type).startswith("decimal"):
        words = np.frombuffer(array.buffers()[1], np.int64)[::2]
        return (words[array.offset : array.offset + len(array)] / 10**array.type.scale).tolist()
    return array.to_numpy(zero_copy_only=False).tolist()


async def drive(files: list[Path], channel: str, hook, outbox: list) -> int:
    kind, fields = KINDS[channel]
    count = 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, use_threads=False, columns=list(fields)):
            columns = [column(batch.column(name)) for name in fields]
            for event in map(kind, repeat("BTC/USDT"), *columns):
                await hook(event)
                outbox.clear()
            count += batch.num_rows
    return count


async def nothing(event) -> None:
    pass


def main() -> None:
    root, reference = Path(sys.argv[1]), sys.argv[2]
    strategy = load_strategy(reference)()
    strategy.buy = strategy.sell = lambda *_: None
    hooks = {"trades": strategy.on_trade}
    if sys.argv[3:] == ["every"]:
        hooks["quotes"] = nothing
    for channel, hook in hooks.items():
        files = sorted(root.glob(f"**/{channel}/**/*.parquet"))
        print(channel, asyncio.run(drive(files, channel, hook, strategy.outbox)))


if __name__ == "__main__":
    main()
