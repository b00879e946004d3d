"""Parameters of a strategy: declared in the class, set on the command line, checked before anything runs.

    size = Param("50 USDT", help="of each quote")
    fast = Param(12, range=(5, 30))

A parameter's type is that of its default; text that is a number ("0.01") reads as a float.  Knows
nothing of markets: "50 USDT" is text here.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, overload

from quantcli.errors import StrategyError, UsageError, ValidationError
from quantcli.model.instrument import to_decimal
from quantcli.trading.blame import calling_line

T = TypeVar("T")
Value = bool | int | float | str

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Param(Generic[T]):
    """One parameter: its default, the values it may take, and a line of help.

    `range=(a, b)` is short for `min=a, max=b`; both ends are allowed.  Raises `StrategyError` where the
    declaration contradicts itself.
    """

    @overload
    def __init__(
        self: "Param[bool]", default: bool, *, choices: Sequence[bool] | None = None, help: str = ""
    ) -> None: ...
    @overload
    def __init__(
        self: "Param[int]",
        default: int,
        *,
        min: float | str | None = None,
        max: float | str | None = None,
        range: tuple[float | str, float | str] | None = None,
        choices: Sequence[int] | None = None,
        help: str = "",
    ) -> None: ...
    @overload
    def __init__(
        self: "Param[float]",
        default: float,
        *,
        min: float | str | None = None,
        max: float | str | None = None,
        range: tuple[float | str, float | str] | None = None,
        choices: Sequence[float] | None = None,
        help: str = "",
    ) -> None: ...
    @overload
    def __init__(
        self: "Param[Any]",
        default: str,
        *,
        min: float | str | None = None,
        max: float | str | None = None,
        range: tuple[float | str, float | str] | None = None,
        choices: Sequence[float | str] | None = None,
        help: str = "",
    ) -> None: ...
    def __init__(
        self,
        default: Any,
        *,
        min: float | str | None = None,
        max: float | str | None = None,
        range: tuple[float | str, float | str] | None = None,
        choices: Sequence[Any] | None = None,
        help: str = "",
    ) -> None:
        self.name = ""
        self.default: Value = _plain(default)
        self.kind: type = type(self.default)
        self.help = help
        low, high = range if range is not None else (min, max)
        self.min, self.max = _bound(low), _bound(high)
        self.choices = tuple(_plain(c) for c in choices) if choices else ()
        is_bounded = self.min is not None or self.max is not None
        if (
            self.kind not in _KINDS
            or (is_bounded and self.kind in (str, bool))
            or not self._allows(self.default)
        ):
            raise StrategyError(
                f"{calling_line()}: a parameter cannot be {default!r}",
                why=f"it takes {self.allowed}" if self.kind in _KINDS else "it is neither number nor text",
                todo="give a default within min, max and choices; only numbers can have min and max",
            )

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    # The value of an instance lives in its `__dict__` and is found there first: reading costs nothing extra.
    @overload
    def __get__(self, instance: None, owner: type) -> "Param[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else self.default

    @property
    def allowed(self) -> str:
        """What it takes, in words: "a whole number from 5 to 30"."""
        if self.choices:
            return "one of " + ", ".join(str(c) for c in self.choices)
        words = _KINDS[self.kind]
        if self.min is not None and self.max is not None:
            return f"{words} from {self.min:g} to {self.max:g}"
        if self.min is not None:
            return f"{words} of at least {self.min:g}"
        return f"{words} of at most {self.max:g}" if self.max is not None else words

    def parse(self, text: str) -> Value:
        """The value that a text on the command line means.  Raises `UsageError`."""
        value = self._read(text.strip())
        if value is None or not self._allows(value):
            raise UsageError(
                f"{self.name}={text} is not allowed",
                why=f"{self.name} takes {self.allowed}",
                todo=f"--param {self.name}={self.default}",
            )
        return value

    def _read(self, text: str) -> Value | None:
        if self.kind is str:
            return text
        if self.kind is bool:
            return _TRUTH.get(text.lower())
        try:
            number = to_decimal(text)
        except ValidationError:
            return None
        if self.kind is int:
            return int(number) if number == number.to_integral_value() else None
        return float(number)

    def _allows(self, value: Value) -> bool:
        if self.choices and value not in self.choices:
            return False
        if self.min is not None and not self.min <= float(value):
            return False
        return self.max is None or float(value) <= self.max


def parse_params(params: Mapping[str, Param[Any]], texts: Mapping[str, str]) -> dict[str, Value]:
    """Read `--param name=text` pairs.  Raises `UsageError` for a name or value that cannot be meant."""
    values = {}
    for name, text in texts.items():
        if name not in params:
            near = get_close_matches(name, params, n=1, cutoff=0.5)
            raise UsageError(
                f"there is no parameter {name!r}",
                why="the strategy has " + (", ".join(params) or "no parameters"),
                todo=f"did you mean --param {near[0]}={text}?" if near else "",
            )
        values[name] = params[name].parse(text)
    return values


def _plain(value: Any) -> Value:
    """Text that is a number is that number; anything else is as it is."""
    if isinstance(value, str):
        try:
            return float(to_decimal(value))
        except ValidationError:
            return value
    return value  # type: ignore[no-any-return]


def _bound(value: float | str | None) -> float | None:
    if value is None:
        return None
    try:
        return float(to_decimal(value))
    except ValidationError as error:
        raise StrategyError(f"{calling_line()}: {error.what}", todo="min and max are numbers") from None
