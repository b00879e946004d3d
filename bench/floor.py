"""The floor under any engine with a Python callback: the same file, a bare `await hook(event)` loop.

    python floor.py RECORDING STRATEGY

No orders, no matching, no merge: trades from Parquet to structs to the hook of the same strategy file,
its orders thrown away.
"""

import asyncio
import sys
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from quantcli.model.market import Trade
from quantcli.trading.loader import load_strategy

FIELDS = ("exchange_ns", "local_ns", "seq", "price", "size", "side", "trade_id")
BATCH_ROWS = 8192


def column(array) -> list:
    """An Arrow column as Python numbers; decimals as floats, by their integer words."""
    if array.type.num_fields == 0 and str(array.type).startswith("decimal"):
        words = np.frombuffer(array.buffers()[1], np.int64)[::2]
        return (words[array.offset : array.offset + len(array)] / 10**array.type.scale).tolist()
    return array.to_numpy(zero_copy_only=False).tolist()


async def drive(files: list[Path], hook, outbox: list) -> int:
    count = 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=list(FIELDS)):
            columns = [column(batch.column(name)) for name in FIELDS]
            for event in map(Trade, repeat("BTC/USDT"), *columns):
                await hook(event)
                outbox.clear()
            count += batch.num_rows
    return count


def main() -> None:
    root, reference = Path(sys.argv[1]), sys.argv[2]
    strategy = load_strategy(reference)()
    strategy.buy = strategy.sell = lambda *_: None
    files = sorted(root.glob("**/trades/**/*.parquet"))
    print(asyncio.run(drive(files, strategy.on_trade, strategy.outbox)))


if __name__ == "__main__":
    main()
