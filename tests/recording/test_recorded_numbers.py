"""Prices and sizes are stored as the very decimals the exchange wrote, or not at all."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import RecordingError
from quantcli.recording import decimals


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Decimal texts of up to 15 significant digits and 8 decimals."""
    digits = draw(st.integers(0, 10**15 - 1))
    places = draw(st.integers(0, 8))
    zeros = draw(st.integers(0, 6)) if places == 0 else 0
    sign = draw(st.sampled_from(["", "-"]))
    return sign + format(Decimal(digits).scaleb(zeros - places), "f")


def stored(values: list[float]) -> pa.Array:
    limbs = decimals.to_limbs(np.array(values), "test")
    return decimals.to_arrow(limbs, decimals.WIDE if limbs.wide else decimals.NARROW)


@given(st.lists(texts()))
def test_what_is_stored_is_what_was_written(written: list[str]) -> None:
    assert stored([float(text) for text in written]).to_pylist() == [Decimal(text) for text in written]


@given(st.lists(texts(), min_size=3))
def test_numbers_come_back_as_the_same_floats_also_from_a_slice(written: list[str]) -> None:
    values = [float(text) for text in written]
    assert decimals.to_floats(stored(values)).tolist() == values
    assert decimals.to_floats(stored(values).slice(1, len(values) - 2)).tolist() == values[1:-1]


@given(st.lists(st.floats()))
def test_no_float_is_stored_as_another(values: list[float]) -> None:
    try:
        array = stored(values)
    except RecordingError:
        return
    assert [float(number) for number in array.to_pylist()] == values


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-9, float("nan"), float("inf"), 1234567890.1234567, 1e40])
def test_a_number_that_cannot_be_exact_is_refused_by_name(value: float) -> None:
    with pytest.raises(RecordingError, match="A/B trades price"):
        decimals.to_limbs(np.array([1.0, value]), "A/B trades price")


def test_only_large_numbers_take_the_wide_type() -> None:
    assert not decimals.to_limbs(np.array([9_999_999_999.0, 0.00000001]), "x").wide
    assert decimals.to_limbs(np.array([10_000_000_000.0]), "x").wide
