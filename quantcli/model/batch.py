"""Market data in columns: the form in which recordings travel to the replay and its matching.

A `Columns` holds consecutive rows of one stream (one channel of one symbol); a `Chunk` holds rows of
several streams and the order in which they happened.  `events` turns columns into the structs of
`model.market`.  Knows nothing of files.
"""

from collections.abc import Iterator
from itertools import pairwise, repeat
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from quantcli.model.market import EVENT_TYPES, BookUpdate, Channel, Level, MarketEvent

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
        return _book_events(columns, rows, stamps)
    fields = [columns.data[name][rows].tolist() for name in FIELDS[columns.channel]]
    make: Any = EVENT_TYPES[columns.channel]
    return map(make, repeat(columns.symbol), *stamps, *fields)


def event_at(columns: Columns, row: int) -> MarketEvent:
    """One row as a struct: cheaper than a batch of one."""
    if columns.channel is Channel.BOOK:
        return next(events(columns, row, row + 1))
    stamps = (columns.exchange_ns[row].item(), columns.local_ns[row].item(), columns.seq[row].item())
    data = columns.data
    make: Any = EVENT_TYPES[columns.channel]
    return make(columns.symbol, *stamps, *[data[name][row].item() for name in FIELDS[columns.channel]])  # type: ignore[no-any-return]


def _book_events(columns: Columns, rows: slice, stamps: list[list[int]]) -> Iterator[BookUpdate]:
    data = columns.data
    names = ("is_snapshot", "first_id", "last_id", "prev_id")
    fields = zip(*stamps, *(data[name][rows].tolist() for name in names), strict=True)
    levels = zip(_levels(data, "bid", rows), _levels(data, "ask", rows), strict=True)
    make: Any = BookUpdate
    for row, (bids, asks) in zip(fields, levels, strict=True):
        yield make(columns.symbol, *row, bids, asks)


def _levels(data: dict[str, npt.NDArray[Any]], side: str, rows: slice) -> Iterator[list[Level]]:
    """The levels of each row on one side."""
    offsets = data[f"{side}_offsets"]
    first, last, _ = rows.indices(len(offsets) - 1)
    bounds = offsets[first : last + 1].tolist() if last > first else []
    if not bounds:
        return
    lo, hi = bounds[0], bounds[-1]
    prices, sizes = data[f"{side}_prices"][lo:hi].tolist(), data[f"{side}_sizes"][lo:hi].tolist()
    flat = list(zip(prices, sizes, strict=True))
    yield from (flat[a - lo : b - lo] for a, b in pairwise(bounds))
