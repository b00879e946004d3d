"""Parameters: their types, their bounds, and what a wrong one is told."""

import pytest

from quantcli.errors import StrategyError, UsageError
from quantcli.trading.params import Param, Value
from quantcli.trading.strategy import Strategy


class Tuned(Strategy):
    size = Param("0.01", min="0.001", max="1")
    stake = Param("50 USDT")
    fast = Param(12, range=(5, 30), help="bars")
    share = Param(0.5, min=0)
    mode = Param("calm", choices=["calm", "bold"])
    dry = Param(False)


def test_defaults_read_as_what_they_are() -> None:
    tuned = Tuned()
    assert tuned.param_values() == {
        "size": 0.01, "stake": "50 USDT", "fast": 12, "share": 0.5, "mode": "calm", "dry": False,
    }  # fmt: skip
    assert isinstance(tuned.size, float)
    assert isinstance(tuned.fast, int)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "0.02", 0.02),
        ("stake", "100 USDT", "100 USDT"),
        ("fast", " 30 ", 30),
        ("fast", "7.0", 7),
        ("share", "2", 2.0),
        ("mode", "bold", "bold"),
        ("dry", "yes", True),
    ],
)
def test_text_sets_them(name: str, text: str, value: Value) -> None:
    tuned = Tuned()
    tuned.apply_params({name: text})
    assert getattr(tuned, name) == value
    assert type(getattr(tuned, name)) is type(value)
    assert Tuned().param_values()[name] == Tuned.params()[name].default


@pytest.mark.parametrize(
    ("name", "text", "takes"),
    [
        ("fast", "31", "a whole number from 5 to 30"),
        ("fast", "7.5", "a whole number from 5 to 30"),
        ("size", "0", "a number from 0.001 to 1"),
        ("size", "50 USDT", "a number from 0.001 to 1"),
        ("share", "-0.1", "a number of at least 0"),
        ("share", "nan", "a number of at least 0"),
        ("mode", "wild", "one of calm, bold"),
        ("dry", "perhaps", "true or false"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_what_is(name: str, text: str, takes: str) -> None:
    with pytest.raises(UsageError, match=f"{name}={text} is not allowed") as caught:
        Tuned().apply_params({name: text})
    assert caught.value.why == f"{name} takes {takes}"


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match="no parameter 'fats'") as caught:
        Tuned().apply_params({"fats": "12"})
    assert caught.value.todo == "did you mean --param fast=12?"
    assert "size, stake, fast" in caught.value.why


def test_one_wrong_parameter_changes_none() -> None:
    tuned = Tuned()
    with pytest.raises(UsageError):
        tuned.apply_params({"fast": "20", "size": "-1"})
    assert tuned.fast == 12


def test_a_subclass_inherits_and_overrides() -> None:
    class Finer(Tuned):
        fast = Param(6)
        share = 0.1  # fixed from here on

    assert list(Finer.params()) == ["size", "stake", "fast", "mode", "dry"]
    assert (Finer().fast, Finer().share) == (6, 0.1)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Param(3, min=5),
        lambda: Param("50 USDT", min=10),
        lambda: Param("a", choices=["b"]),
        lambda: Param(3, min="low"),
        lambda: Param(None),  # type: ignore[call-overload]
    ],
)
def test_a_declaration_that_contradicts_itself_names_its_line(declare: object) -> None:
    with pytest.raises(StrategyError, match=r"test_params\.py:\d+: "):
        declare()  # type: ignore[operator]


def test_a_name_that_every_strategy_has_is_refused() -> None:
    with pytest.raises(StrategyError, match="a parameter cannot be called 'market'"):
        type("Clash", (Strategy,), {"market": Param(1)})
