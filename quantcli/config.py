"""What `quant.toml` and the environment say, parsed and checked.

Precedence: flag (the verbs' business) > `QUANT__SECTION__KEY` > `quant.toml` > default.  Every mistake is a
`ConfigError` that names the place, the key and what would be right.  Knows the texts people write for
money, durations and fees, but not who uses the values.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantcli.errors import ConfigError, QuantError, UsageError, ValidationError
from quantcli.model.instrument import to_decimal
from quantcli.places import CONFIG_NAME, bot_name, find_project

EXCHANGES = ("binance", "bybit", "coinbase", "hyperliquid", "kraken", "okx")
ENV_PREFIX = "QUANT__"

_NS_PER_UNIT = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)")
_MONEY = re.compile(r"([+-]?[\d_,]*\.?\d+)\s*([A-Za-z][A-Za-z0-9]*)")
_MOST_MONEY = 10**15  # with 12 decimals still exact in the 28 digits that decimals have by default


class Money(NamedTuple):
    """An amount and the currency it is in."""

    amount: Decimal
    currency: str


class Fees(NamedTuple):
    """Fee rates as fractions of the notional; negative is a rebate."""

    maker: Decimal
    taker: Decimal


def parse_money(text: str) -> Money:
    """Read "200 USDT".  Raises `UsageError`."""
    match = _MONEY.fullmatch(str(text).strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not an amount of money",
            why="an amount needs its currency",
            todo='write it like "200 USDT"',
        )
    money = Money(to_decimal(match[1].replace(",", "").replace("_", "")), match[2].upper())
    if abs(money.amount) > _MOST_MONEY:
        raise UsageError(
            f"{text!s} is more money than there is", todo=f"give at most {_MOST_MONEY:,} {money.currency}"
        )
    return money


def parse_duration(text: str) -> int:
    """Read "30s", "500ms", "1h30m" as nanoseconds.  Raises `UsageError`."""
    compact = str(text).replace(" ", "")
    parts = _DURATION.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise UsageError(
            f"{text!r} is not a duration",
            why=f"a duration is a number with a unit: {', '.join(_NS_PER_UNIT)}",
            todo="write it like 30s or 1h30m",
        )
    return int(sum(Decimal(number) * _NS_PER_UNIT[unit] for number, unit in parts))


def parse_rate(text: str | float) -> Decimal:
    """Read "0.001", "0.1%" or "10bps" as a fraction.  Raises `UsageError`."""
    compact = str(text).replace(" ", "").lower()
    for suffix, per in (("bps", Decimal(10_000)), ("%", Decimal(100))):
        if compact.endswith(suffix):
            return _number(compact.removesuffix(suffix)) / per
    return _number(compact)


def _number(text: str) -> Decimal:
    try:
        return to_decimal(text)
    except ValidationError as error:
        raise UsageError(error.what, why=error.why, todo=error.todo) from None


def parse_fees(text: str) -> Fees:
    """Read "maker,taker", each as `parse_rate` does.  Raises `UsageError`."""
    maker, comma, taker = str(text).partition(",")
    try:
        if not comma:
            raise UsageError("one rate")
        fees = Fees(parse_rate(maker), parse_rate(taker))
    except QuantError:
        raise UsageError(
            f"{text!r} is not a pair of fees",
            why="fees are the maker's and the taker's rate, with a comma between",
            todo='write them like "0.001,0.001", "10bps,10bps" or "0.1%,0.1%"',
        ) from None
    if max(map(abs, fees)) >= 1:
        raise UsageError(f"fees of {text!r} eat the whole trade", todo='did you mean "%" or "bps"?')
    return fees


class BotConfig(msgspec.Struct, frozen=True):
    """Who trades: the bot's name (its files are called so), where, and by which strategy file."""

    name: str = "bot"
    exchange: str = "binance"
    strategy: Path | None = None


class LimitsConfig(msgspec.Struct, frozen=True):
    """What the risk checks hold orders to; `None` sets no limit.  `price_band` is the greatest distance of an
    order's price from the market, as a fraction."""

    max_order: Money | None = None
    max_position: Money | None = None
    max_exposure: Money | None = None
    max_loss: Money | None = None
    max_open: int | None = None
    price_band: Decimal | None = None


class OnConfig(msgspec.Struct, frozen=True):
    """What happens to open orders when the program stops: "cancel" or "leave"."""

    stop: str = "cancel"


class SimulateConfig(msgspec.Struct, frozen=True):
    """The imagined exchange: latencies in milliseconds, fee rates, starting cash, seed, and the model of the
    queue before resting orders (`None`: the usual one, and the range of all)."""

    latency_ms: int = 20
    feed_latency_ms: int = 5
    fees: Fees | None = None
    cash: Money | None = None
    queue: str | None = None
    seed: int = 0


class Config(msgspec.Struct, frozen=True):
    """Everything `quant.toml` can say; one field per section."""

    bot: BotConfig = BotConfig()
    limits: LimitsConfig = LimitsConfig()
    on: OnConfig = OnConfig()
    simulate: SimulateConfig = SimulateConfig()


def _count(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal():
        raise UsageError(f"{value!r} is not a count", todo="write a whole number, 0 or more")
    return int(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not a path", todo='write it like "strategies/mine.py"')
    return Path(value)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise UsageError(f"{value!r} is none of {', '.join(allowed)}", todo=_nearest(str(value), allowed))
        return str(value)

    return read


# What the file may say: section -> key -> how its value is read.
_READERS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "bot": {
        "name": bot_name,
        "exchange": _one_of("binance", "bybit", "coinbase", "hyperliquid", "kraken", "okx"),
        "strategy": _path,
    },
    "limits": {
        "max_order": parse_money,
        "max_position": parse_money,
        "max_exposure": parse_money,
        "max_loss": parse_money,
        "max_open": _count,
        "price_band": parse_rate,
    },
    "on": {"stop": _one_of("cancel", "leave")},
    "simulate": {
        "latency_ms": _count,
        "feed_latency_ms": _count,
        "fees": parse_fees,
        "cash": parse_money,
        "queue": _one_of("optimistic", "volume", "conservative"),
        "seed": _count,
    },
}


def load_config(path: Path | None = None, env: Mapping[str, str] | None = None) -> Config:
    """The configuration of the project around the working directory, or of the file at `path`.

    A project without a `quant.toml` has the defaults; a `path` that does not exist is an error.  A strategy's
    path is taken relative to the file that names it.  Raises `ConfigError`.
    """
    source = path or find_project().root / CONFIG_NAME
    if path is not None and not path.is_file():
        raise ConfigError(f"there is no {path}", todo="name a quant.toml that exists")
    values: dict[str, dict[str, Any]] = {section: {} for section in _READERS}
    for section, key, value in _file_settings(source):
        values[section][key] = _read(section, key, value, f"{source.name}: {section}.{key}")
    if strategy := values["bot"].get("strategy"):
        values["bot"]["strategy"] = source.parent / strategy
    for section, key, value, variable in _env_settings(os.environ if env is None else env):
        values[section][key] = _read(section, key, value, variable)
    return Config(
        BotConfig(**values["bot"]),
        LimitsConfig(**values["limits"]),
        OnConfig(**values["on"]),
        SimulateConfig(**values["simulate"]),
    )


def _file_settings(source: Path) -> list[tuple[str, str, Any]]:
    try:
        with source.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} cannot be read as TOML", why=str(error)) from None
    except OSError as error:
        raise ConfigError(f"{source} cannot be read", why=error.strerror or str(error)) from None
    settings = []
    for section, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{source.name}: {section} stands outside of every section",
                why=f"keys belong to one of [{'], ['.join(_READERS)}]",
            )
        settings += [(section, key, value) for key, value in table.items()]
    return settings


def _env_settings(env: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    settings = []
    for variable in sorted(name for name in env if name.startswith(ENV_PREFIX)):
        section, _, key = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        settings.append((section, key, env[variable], variable))
    return settings


def _read(section: str, key: str, value: Any, place: str) -> Any:
    if section not in _READERS:
        raise ConfigError(
            f"{place}: there is no section [{section}]",
            why=f"the sections are {', '.join(_READERS)}",
            todo=_nearest(section, _READERS),
        )
    readers = _READERS[section]
    if key not in readers:
        raise ConfigError(
            f"{place}: there is no such key",
            why=f"the keys of [{section}] are {', '.join(readers)}",
            todo=_nearest(key, readers),
        )
    try:
        return readers[key](value)
    except QuantError as error:
        raise ConfigError(f"{place}: {error.what}", why=error.why, todo=error.todo) from None


def _nearest(word: str, allowed: Iterable[str]) -> str:
    close = get_close_matches(word, list(allowed), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
