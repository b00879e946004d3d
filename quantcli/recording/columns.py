"""How columns of market data lie in Parquet: types, encodings, and the way there and back.

One row per message.  Stamps and ids are 64-bit integers, prices and sizes decimals (see `decimals`); the two
numbers that are neither, quote volume and funding rate, are plain doubles.  A book row keeps its levels
as lists.  Knows nothing of folders, sessions or order.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quantcli.model.batch import FIELDS, Columns
from quantcli.model.market import EVENT_TYPES, BookUpdate, Channel, MarketEvent
from quantcli.recording import decimals
from quantcli.recording.decimals import Limbs

STAMPS = ("exchange_ns", "local_ns", "seq")
LEVELS = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
DOUBLES = frozenset({"quote_volume", "funding_rate"})
COMPRESSION = {"compression": "zstd", "compression_level": 3}

_PYTHON_TYPES: dict[Channel, dict[str, Any]] = {
    channel: {field.name: field.type for field in msgspec.structs.fields(kind)}
    for channel, kind in EVENT_TYPES.items()
}


def stored(channel: Channel) -> tuple[str, ...]:
    """Names of the file's columns, in order."""
    return STAMPS + tuple(name for name in FIELDS[channel] if not name.endswith("_offsets"))


def schema(channel: Channel, wide: bool) -> pa.Schema:
    """The file's schema; in a `wide` file every decimal has 38 digits."""
    return pa.schema(
        [pa.field(name, _type(channel, name, wide), nullable=False) for name in stored(channel)],
    )


def encodings(channel: Channel) -> dict[str, Any]:
    """Arguments of `ParquetWriter`: the encoding of each column that was smallest on real captures."""
    names = stored(channel)
    kinds = {name: _type(channel, name, wide=False) for name in names}
    deltas = [name for name in names if kinds[name] == pa.int64()]
    repeats = [_leaf(name) for name in names if _repeats(channel, name, kinds[name])]
    return {
        "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
        "use_dictionary": repeats,
        "store_decimal_as_integer": True,
        "store_schema": False,
        "write_page_checksum": True,
        **COMPRESSION,
    }


def from_events(channel: Channel, symbol: str, rows: Sequence[MarketEvent]) -> Columns:
    """Rows of one stream in columns."""
    exchange_ns, local_ns, seq = (_column(rows, name, np.int64) for name in STAMPS)
    if channel is Channel.BOOK:
        data = _book_data(cast(Sequence[BookUpdate], rows))
    else:
        data = {name: _column(rows, name, _numpy_type(channel, name)) for name in FIELDS[channel]}
    return Columns(channel, symbol, exchange_ns, local_ns, seq, data)


def no_rows(channel: Channel, symbol: str) -> Columns:
    """An empty stream."""
    return from_events(channel, symbol, ())


def numbers(columns: Columns) -> dict[str, Limbs]:
    """The stream's prices and sizes in whole units; raises `RecordingError` where one is not exact."""
    return {
        name: decimals.to_limbs(values, f"{columns.symbol} {columns.channel.value} {name}")
        for name, values in columns.data.items()
        if name in LEVELS or (values.dtype == np.float64 and name not in DOUBLES)
    }


def to_table(columns: Columns, limbs: dict[str, Limbs], wide: bool) -> pa.Table:
    """Columns as an Arrow table; `limbs` are its `numbers`."""
    kind = decimals.WIDE if wide else decimals.NARROW
    stamps = {"exchange_ns": columns.exchange_ns, "local_ns": columns.local_ns, "seq": columns.seq}
    arrays = {}
    for name in stored(columns.channel):
        if name in limbs:
            arrays[name] = decimals.to_arrow(limbs[name], kind)
        else:
            arrays[name] = pa.array(stamps[name] if name in stamps else columns.data[name])
        if name in LEVELS:
            offsets = columns.data[f"{name[:3]}_offsets"].astype(np.int32)
            arrays[name] = pa.ListArray.from_arrays(
                pa.array(offsets), arrays[name], type=pa.list_(_element(kind))
            )
    return pa.Table.from_pydict(arrays, schema(columns.channel, wide))


def from_batch(batch: pa.RecordBatch, channel: Channel, symbol: str) -> Columns:
    """Rows of a file as columns; integers are views of the batch's own memory."""
    data: dict[str, npt.NDArray[Any]] = {}
    for name in stored(channel)[len(STAMPS) :]:
        column = batch.column(name)
        if name in LEVELS:
            offsets = np.asarray(column.offsets).astype(np.int64)
            first, last = int(offsets[0]), int(offsets[-1])
            data[f"{name[:3]}_offsets"] = offsets - first
            data[name] = decimals.to_floats(column.values.slice(first, last - first))
        elif pa.types.is_decimal(column.type):
            data[name] = decimals.to_floats(column)
        else:
            data[name] = column.to_numpy(zero_copy_only=False)
    exchange_ns, local_ns, seq = (batch.column(name).to_numpy() for name in STAMPS)
    return Columns(channel, symbol, exchange_ns, local_ns, seq, data)


def _book_data(rows: Sequence[BookUpdate]) -> dict[str, npt.NDArray[Any]]:
    data = {"is_snapshot": _column(rows, "is_snapshot", np.bool_)}
    for name in ("first_id", "last_id", "prev_id"):
        data[name] = _column(rows, name, np.int64)
    for side, sides in (("bid", [row.bids for row in rows]), ("ask", [row.asks for row in rows])):
        data[f"{side}_offsets"] = np.cumsum([0, *map(len, sides)], dtype=np.int64)
        levels = np.array([level for one in sides for level in one], np.float64).reshape(-1, 2)
        data[f"{side}_prices"], data[f"{side}_sizes"] = levels[:, 0], levels[:, 1]
    return data


def _column(rows: Sequence[MarketEvent], name: str, kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.fromiter(map(attrgetter(name), rows), kind, len(rows))


def _numpy_type(channel: Channel, name: str) -> type[np.generic]:
    if name == "side":
        return np.int8
    kinds: dict[Any, type[np.generic]] = {int: np.int64, float: np.float64, bool: np.bool_}
    return kinds[_PYTHON_TYPES[channel][name]]


def _type(channel: Channel, name: str, wide: bool) -> pa.DataType:
    number = decimals.WIDE if wide else decimals.NARROW
    if name in LEVELS:
        return pa.list_(_element(number))
    kind = _numpy_type(channel, name)
    if kind is np.float64 and name not in DOUBLES:
        return number
    return pa.from_numpy_dtype(kind)


def _element(number: pa.DataType) -> pa.Field:
    return pa.field("element", number, nullable=False)


def _leaf(name: str) -> str:
    """Parquet's path of the column that holds the values."""
    return f"{name}.list.element" if name in LEVELS else name


def _repeats(channel: Channel, name: str, kind: pa.DataType) -> bool:
    """Whether values come back often enough for a dictionary: all but the sizes of best bid and ask."""
    if name == "side":
        return True
    is_number = name in LEVELS or pa.types.is_decimal(kind)
    return is_number and not (channel is Channel.QUOTES and name.endswith("_size"))
