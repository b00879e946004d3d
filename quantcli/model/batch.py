"""Market data in columns: the form in which recordings travel to the replay and its matching.

A `Columns` holds consecutive rows of one stream (one channel of one symbol); a `Chunk` holds rows of
several streams and the order in which they happened.  `events` turns columns into the structs of
`model.market`.  Knows nothing of files.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from quantcli.model.market import EVENT_TYPES, BookUpdate, Channel, MarketEvent

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Columns of each channel beside the three stamps, in the order of the event struct's fields.
FIELDS: dict[Channel, tuple[str, ...]] = {
    channel: tuple(f for f in kind.__struct_fields__ if f not in {"symbol", "exchange_ns", "local_ns", "seq"})
    for channel, kind in EVENT_TYPES.items()
    if channel is not Channel.BOOK
} | {
    Channel.BOOK: (
        "is_snapshot",
        "first_id",
        "last_id",
        "prev_id",
        "bid_offsets",
        "bid_prices",
        "bid_sizes",
        "ask_offsets",
        "ask_prices",
        "ask_sizes",
    )
}


class Columns(msgspec.Struct, frozen=True):
    """Rows of one stream.  `data` maps each of `FIELDS[channel]` to an array.

    Prices and sizes are float64, ids int64, flags bool, sides int8.  A book row's levels are
    `bid_prices[bid_offsets[i]:bid_offsets[i + 1]]` and so on: offsets have one entry more than rows and
    start at 0.
    """

    channel: Channel
    symbol: str
    exchange_ns: Ints
    local_ns: Ints
    seq: Ints
    data: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.local_ns)


class Chunk(msgspec.Struct, frozen=True):
    """Rows of several streams in one total order, by (`local_ns`, `seq`, number of the stream).

    `turn[i]` is the number of the stream that the i-th row comes from, `local_ns[i]` its time;
    `where[s][j]` is the place of stream s's j-th row in that order.
    """

    streams: tuple[Columns, ...]
    turn: npt.NDArray[np.int16]
    local_ns: Ints
    where: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.local_ns)


def events(columns: Columns, start: int = 0, stop: int | None = None) -> Iterator[MarketEvent]:
    """The rows `start`..`stop` as structs, made as they are taken."""
    rows = slice(start, stop)
    stamps = [c[rows].tolist() for c in (columns.exchange_ns, columns.local_ns, columns.seq)]
    if columns.channel is Channel.BOOK:
        return _book_events(columns, range(*rows.indices(len(columns))), stamps)
    fields = [columns.data[name][rows].tolist() for name in FIELDS[columns.channel]]
    make: Any = EVENT_TYPES[columns.channel]
    return map(make, repeat(columns.symbol), *stamps, *fields)


def _book_events(columns: Columns, rows: range, stamps: list[list[int]]) -> Iterator[BookUpdate]:
    data = columns.data
    sides = []
    for side in ("bid", "ask"):
        offsets = data[f"{side}_offsets"].tolist()
        lo, hi = (offsets[rows.start], offsets[rows.stop]) if rows else (0, 0)
        levels = list(
            zip(data[f"{side}_prices"][lo:hi].tolist(), data[f"{side}_sizes"][lo:hi].tolist(), strict=True)
        )
        sides.append((offsets, lo, levels))
    (bo, b0, bids), (ao, a0, asks) = sides
    flags = data["is_snapshot"].tolist()
    first, last, prev = (data[n].tolist() for n in ("first_id", "last_id", "prev_id"))
    for i, exchange_ns, local_ns, seq in zip(rows, *stamps, strict=True):
        yield BookUpdate(
            columns.symbol,
            exchange_ns,
            local_ns,
            seq,
            flags[i],
            first[i],
            last[i],
            prev[i],
            bids[bo[i] - b0 : bo[i + 1] - b0],
            asks[ao[i] - a0 : ao[i + 1] - a0],
        )
