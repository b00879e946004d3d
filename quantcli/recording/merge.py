"""Brings the rows of several streams into one total order, chunk by chunk, with memory for one batch of each.

The order is (`local_ns`, `seq`, number of the stream) and does not depend on how the streams are cut into
batches.  Knows columns, not files.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from quantcli.model.batch import Chunk, Columns, Ints
from quantcli.model.market import Channel

_SIDES = ("bid", "ask")


def merged(empty: Sequence[Columns], batches: Sequence[Iterator[Columns]]) -> Iterator[Chunk]:
    """Chunks of the streams whose `batches` are given, each sorted by (`local_ns`, `seq`).

    Each chunk takes every row up to the last one of the batch that ends first; what the other batches hold
    beyond waits for the next.  `empty` stands for a stream that has no rows in a chunk.
    """
    waiting = list(empty)
    while True:
        for number, stream in enumerate(batches):
            while not len(waiting[number]):
                batch = next(stream, None)
                if batch is None:
                    break
                waiting[number] = batch
        ends = [(*_last_key(rows), number) for number, rows in enumerate(waiting) if len(rows)]
        if not ends:
            return
        end = min(ends)
        counts = [_rows_until(rows, end, number) for number, rows in enumerate(waiting)]
        taken = [part(rows, 0, count) for rows, count in zip(waiting, counts, strict=True)]
        waiting = [part(rows, count, len(rows)) for rows, count in zip(waiting, counts, strict=True)]
        yield in_order(taken)


def in_order(streams: Sequence[Columns]) -> Chunk:
    """The rows of some streams, each sorted, as a chunk."""
    lengths = [len(rows) for rows in streams]
    local_ns = np.concatenate([rows.local_ns for rows in streams])
    order = _argsort(local_ns, [rows.seq for rows in streams])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    turn = np.repeat(np.arange(len(streams), dtype=np.int16), lengths)[order]
    ends = np.cumsum(lengths)[:-1]
    return Chunk(tuple(streams), turn, local_ns[order], tuple(np.split(place, ends)))


def part(rows: Columns, start: int, stop: int) -> Columns:
    """Rows `start`..`stop`; the arrays are views."""
    if start == 0 and stop == len(rows):
        return rows
    cut = slice(start, stop)
    data = {name: column[cut] for name, column in rows.data.items()}
    if rows.channel is Channel.BOOK:
        for side in _SIDES:
            offsets = rows.data[f"{side}_offsets"][start : stop + 1]
            levels = slice(offsets[0], offsets[-1])
            data[f"{side}_offsets"] = offsets - offsets[0]
            data[f"{side}_prices"] = rows.data[f"{side}_prices"][levels]
            data[f"{side}_sizes"] = rows.data[f"{side}_sizes"][levels]
    return Columns(rows.channel, rows.symbol, rows.exchange_ns[cut], rows.local_ns[cut], rows.seq[cut], data)


def _argsort(local_ns: Ints, seqs: Sequence[Ints]) -> Ints:
    """Order by (`local_ns`, `seq`), equal ones as they stand.

    Both keys are put into one integer where they fit, as they do within hours; numpy's stable sort then
    merges the sorted runs in nearly linear time.
    """
    seq = np.concatenate(seqs)
    if not len(seq):
        return np.empty(0, np.int64)
    first_ns, first_seq = local_ns.min(), seq.min()
    bits = int(seq.max() - first_seq).bit_length()
    if int(local_ns.max() - first_ns).bit_length() + bits > 63:
        return np.lexsort((seq, local_ns))
    return np.argsort(((local_ns - first_ns) << bits) | (seq - first_seq), kind="stable")


def _last_key(rows: Columns) -> tuple[int, int]:
    return int(rows.local_ns[-1]), int(rows.seq[-1])


def _rows_until(rows: Columns, end: tuple[int, int, int], number: int) -> int:
    """How many rows of stream `number` come no later than `end` in the total order."""
    last_ns, last_seq, last_number = end
    first = int(rows.local_ns.searchsorted(last_ns, "left"))
    stop = int(rows.local_ns.searchsorted(last_ns, "right"))
    side: Literal["left", "right"] = "right" if number <= last_number else "left"
    return first + int(rows.seq[first:stop].searchsorted(last_seq, side))
