"""Sizes as people write them."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import ValidationError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.trading.sizes import quantity

Rules = Callable[..., SymbolMetadata]


@pytest.mark.parametrize(
    ("size", "price", "is_"),
    [
        (0.0129, 0, "0.012"),
        ("0.0129", 0, "0.012"),
        (Decimal("2.9999"), 0, "2.999"),
        (3, 0, "3"),
        ("1.5 BTC", 0, "1.5"),
        ("1.5btc", 0, "1.5"),
        ("50 USDT", 400.0, "0.125"),
        ("50USDT", "400", "0.125"),
        ("50 quote", "400", "0.125"),
        ("1,000 USDT", 300.0, "3.333"),
    ],
)
def test_a_size_is_a_quantity_rounded_down_to_the_lot(
    rules: Rules, size: object, price: object, is_: str
) -> None:
    assert quantity(size, rules(), price) == Decimal(is_)  # type: ignore[arg-type]


def test_a_currency_the_market_does_not_trade_is_refused(rules: Rules) -> None:
    with pytest.raises(ValidationError, match="'5 EUR' is not a size on BTC/USDT") as caught:
        quantity("5 EUR", rules(), 100)
    assert "give it in USDT or in BTC" in caught.value.todo


@pytest.mark.parametrize("size", ["", "lots", "5 %", "USDT 5", float("nan"), None, "1.2.3 USDT"])
def test_what_is_no_size_is_refused(rules: Rules, size: object) -> None:
    with pytest.raises(ValidationError):
        quantity(size, rules(), 100)  # type: ignore[arg-type]


def test_without_a_price_a_worth_has_no_quantity(rules: Rules) -> None:
    with pytest.raises(ValidationError, match="no quantity yet"):
        quantity("50 USDT", rules(), 0.0)


def test_an_inverse_contract_is_worth_a_fixed_amount_of_quote_currency(rules: Rules) -> None:
    contracts = rules("BTC/USD:BTC", lot=Decimal(1), inverse=True, contract_size=Decimal(100))
    assert quantity("250 USD", contracts, 50_000) == 2
    assert quantity("0.01 BTC", contracts, 50_000) == 5
    assert quantity(3, contracts, 50_000) == 3


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_a_worth_buys_no_more_than_it_is_worth(amount: float, price: float) -> None:
    rules = SymbolMetadata(Symbol("BTC", "USDT"), "binance", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))
    bought = quantity(f"{amount:.2f} USDT", rules, price)
    worth = float(bought) * price
    assert worth <= round(amount, 2) + price * 1e-8
    assert worth > round(amount, 2) - price * 0.0011
