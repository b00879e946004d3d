"""Floats of market data as Parquet decimals, and back, without losing a digit.

Every price and size is stored with eight decimals, whatever its market: files of all markets and days then
have one type, and a reader that is pointed at many files at once cannot round one to the scale of
another.  A float is the exact image of a decimal text only up to 15 significant digits (IEEE 754 binary64),
so anything longer is refused.  Knows nothing of events or files.
"""

from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quantcli.errors import RecordingError
from quantcli.model.batch import Floats, Ints

SCALE = 8
NARROW = pa.decimal128(18, SCALE)  # one 64-bit integer in the file
WIDE = pa.decimal128(38, SCALE)  # 16 bytes: sizes from ten thousand million up, as coins of tiny price have

_UNIT = 10**SCALE
_NARROW_LIMIT = 10**18
_WIDE_LIMIT = 10**38
_DIGITS = 15
_PLAIN_LIMIT = 10**_DIGITS  # below, a product with 10^8 is off by less than half a unit
_FLOAT_LIMIT = 2**53  # below, an integer is a float exactly


class Limbs(msgspec.Struct, frozen=True):
    """Numbers in units of 10^-8 as 128-bit integers: `words[:, 0]` low, `words[:, 1]` high halves."""

    words: Ints
    wide: bool

    def units(self) -> Ints:
        """The numbers as 64-bit integers, without those that are larger."""
        low, high = self.words[:, 0], self.words[:, 1]
        return low[high == low >> 63] if self.wide else low


def to_limbs(values: Floats, what: str) -> Limbs:
    """The numbers in units of 10^-8.

    Raises `RecordingError`, naming `what`, for a number with more than 8 decimals or 15 significant
    digits, and for NaN and infinities.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * _UNIT)
        plain = np.abs(scaled) < _PLAIN_LIMIT
        units = np.where(plain, scaled, 0).astype(np.int64)
    inexact = plain & (units / _UNIT != values)
    if inexact.any():
        raise _refused(float(values[inexact][0]), what)
    words = np.stack((units, units >> 63), axis=1)
    wide = False
    for i in np.flatnonzero(~plain):
        exact = _exact_units(float(values[i]), what)
        words[i] = np.frombuffer(exact.to_bytes(16, "little", signed=True), np.int64)
        wide |= abs(exact) >= _NARROW_LIMIT
    return Limbs(words, wide)


def to_arrow(limbs: Limbs, kind: pa.DataType) -> pa.Array:
    """The numbers as an Arrow array of type `NARROW` or `WIDE`."""
    return pa.Array.from_buffers(kind, len(limbs.words), [None, pa.py_buffer(limbs.words)])


def to_floats(numbers: pa.Array) -> Floats:
    """The numbers of an Arrow array of type `NARROW` or `WIDE`, each the float nearest to it."""
    count = len(numbers)
    if not count:
        return np.empty(0)
    words: npt.NDArray[np.int64] = np.frombuffer(numbers.buffers()[1], np.int64)
    words = words[2 * numbers.offset : 2 * (numbers.offset + count)].reshape(-1, 2)
    low = words[:, 0]
    values: Floats = low / _UNIT
    if numbers.type == WIDE or max(low.max(), -low.min()) > _FLOAT_LIMIT:
        high_too = (np.abs(low) > _FLOAT_LIMIT) | (words[:, 1] != low >> 63)
        for i in np.flatnonzero(high_too):
            values[i] = int.from_bytes(words[i].tobytes(), "little", signed=True) / _UNIT
    return values


def _exact_units(value: float, what: str) -> int:
    """A large number by way of its shortest text, which float arithmetic would blur."""
    if not np.isfinite(value):
        raise _refused(value, what)
    text = Decimal(repr(value))
    units = text.scaleb(SCALE)
    too_long = len(text.normalize().as_tuple().digits) > _DIGITS
    if too_long or units != int(units) or abs(units) >= _WIDE_LIMIT:
        raise _refused(value, what)
    return int(units)


def _refused(value: float, what: str) -> RecordingError:
    return RecordingError(
        f"{what} holds {value!r}, which cannot be recorded exactly",
        why=f"prices and sizes are kept with {SCALE} decimals and at most {_DIGITS} significant digits",
    )
