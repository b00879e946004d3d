"""Numbers and names of markets: what a person means by a float, and rounding that never hurts him."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import ValidationError
from quantcli.model.instrument import Side, Symbol, canonical, round_price, round_qty, to_decimal

STEPS = st.sampled_from(
    [Decimal(text) for text in ("0.00000001", "0.001", "0.05", "0.5", "1", "10", "0.025")]
)
NUMBERS = st.decimals(min_value="0.00000001", max_value="1000000", places=8)
CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8)


@given(NUMBERS, STEPS)
def test_prices_move_to_the_passive_side_by_less_than_a_tick(price: Decimal, tick: Decimal) -> None:
    bid, ask = round_price(price, Side.BUY, tick), round_price(price, Side.SELL, tick)
    assert bid <= price <= ask
    assert price - bid < tick
    assert ask - price < tick
    assert bid % tick == ask % tick == 0


@given(NUMBERS, STEPS)
def test_quantities_are_never_larger_than_asked(qty: Decimal, lot: Decimal) -> None:
    rounded = round_qty(qty, lot)
    assert rounded <= qty < rounded + lot
    assert rounded % lot == 0


@given(st.integers(1, 10**7), st.integers(-50, 50), st.sampled_from(["0.001", "0.01", "0.1", "0.05"]))
def test_float_arithmetic_on_ticks_lands_on_the_tick_it_means(ticks: int, more: int, step: str) -> None:
    """`0.3 - 0.1` is 0.19999999999999998 and means 0.2, on either side."""
    tick = Decimal(step)
    meant = (ticks + abs(more)) * tick
    computed = float(ticks * tick) + abs(more) * float(tick)
    assert round_price(computed, Side.BUY, tick) == round_price(computed, Side.SELL, tick) == meant


@given(NUMBERS, STEPS)
def test_rounding_twice_changes_nothing(value: Decimal, step: Decimal) -> None:
    once = round_qty(value, step)
    assert round_qty(once, step) == once
    assert round_price(once, Side.SELL, step) == once


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**6), max_value=10**6))
def test_a_float_means_what_it_prints(value: Decimal) -> None:
    assert to_decimal(float(value)) == Decimal(repr(float(value)))
    assert to_decimal(str(value)) == to_decimal(value) == value


def test_equal_numbers_of_other_types_do_not_borrow_each_others_rounding() -> None:
    """0.19999999999999998 is a float that means 0.2; the same number as a decimal means itself."""
    almost, tick = 0.3 - 0.1, Decimal("0.1")
    assert round_price(almost, Side.BUY, tick) == Decimal("0.2")
    assert round_price(Decimal(almost), Side.BUY, tick) == Decimal("0.1")
    assert round_price(almost, Side.BUY, tick) == Decimal("0.2")


@pytest.mark.parametrize(
    "nonsense", [float("nan"), float("inf"), "abc", "", "NaN", True, Decimal("Infinity")]
)
def test_what_is_no_number_is_refused(nonsense: object) -> None:
    with pytest.raises(ValidationError):
        to_decimal(nonsense)  # type: ignore[arg-type]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_the_canonical_text_is_one_for_equal_numbers(value: Decimal) -> None:
    text = canonical(value)
    assert Decimal(text) == value
    assert canonical(Decimal(text + ("0" if "." in text else ".0"))) == text
    assert "E" not in text
    assert text != "-0"


@given(CODES, CODES, st.one_of(st.just(""), CODES), st.sampled_from(["", "210924"]))
def test_symbols_survive_their_names(base: str, quote: str, settle: str, expiry: str) -> None:
    symbol = Symbol(base, quote, bool(settle), settle, expiry if settle else "")
    assert Symbol.parse(symbol.name) == symbol
    assert Symbol.parse(symbol.name.lower()) == symbol
    assert "/" not in symbol.path
    assert ":" not in symbol.path


@pytest.mark.parametrize("text", ["", "BTC", "/USDT", "BTC/", "BTC/USDT:", "BTCUSDT"])
def test_what_is_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not a symbol"):
        Symbol.parse(text)
