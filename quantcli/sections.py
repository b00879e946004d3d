"""What `quant.toml` may say: one struct per section, and how each kind of value is written and read.

The types of the fields say it all: the reader, the checks and the JSON schema are made of them.  Knows
nothing of files.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from quantcli.amounts import Fees, Money, parse_fees, parse_money, parse_rate
from quantcli.errors import UsageError
from quantcli.places import bot_name

Exchange = Literal["binance", "bybit", "coinbase", "hyperliquid", "kraken", "okx"]
EXCHANGES: tuple[str, ...] = get_args(Exchange)
BotName = Annotated[str, "a bot's name"]
Listen = Annotated[str, "HOST:PORT"]
Urls = Annotated[tuple[str, ...], "addresses, perhaps with a password in them"]
Fps = Annotated[int, "1 to 10"]


class BotConfig(msgspec.Struct, frozen=True):
    """Who trades: the bot's name (its files are called so), where, and by which strategy file."""

    name: BotName = "bot"
    exchange: Exchange = "binance"
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
    """What happens to open orders when the program stops."""

    stop: Literal["cancel", "leave"] = "cancel"


class SimulateConfig(msgspec.Struct, frozen=True):
    """The imagined exchange: latencies in milliseconds, fee rates, starting cash, seed, and the model of the
    queue before resting orders (`None`: the usual one, and the range of all)."""

    latency_ms: int = 20
    feed_latency_ms: int = 5
    fees: Fees | None = None
    cash: Money | None = None
    queue: Literal["optimistic", "volume", "conservative"] | None = None
    seed: int = 0


class MetricsConfig(msgspec.Struct, frozen=True):
    """Where figures are served for Prometheus; `None`: nowhere."""

    listen: Listen | None = None


class NotifyConfig(msgspec.Struct, frozen=True):
    """Who is told of what happens (addresses of `apprise`), from which level on."""

    urls: Urls = ()
    level: Literal["info", "warn", "error"] = "warn"


class TuiConfig(msgspec.Struct, frozen=True):
    """How often the terminal screen is drawn, at most."""

    fps: Fps = 4


class Config(msgspec.Struct, frozen=True):
    """Everything `quant.toml` can say; one field per section."""

    bot: BotConfig = BotConfig()
    limits: LimitsConfig = LimitsConfig()
    on: OnConfig = OnConfig()
    simulate: SimulateConfig = SimulateConfig()
    metrics: MetricsConfig = MetricsConfig()
    notify: NotifyConfig = NotifyConfig()
    tui: TuiConfig = TuiConfig()


# How what is written becomes a value.


class Kind(NamedTuple):
    """How a value is read (raises `QuantError`), and how it is written, as a type."""

    read: Callable[[Any], Any]
    written: Any


def _count(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal():
        raise UsageError(f"{value!r} is not a count", todo="write a whole number, 0 or more")
    return int(value)


def _fps(value: Any) -> int:
    if not 1 <= _count(value) <= 10:
        raise UsageError(f"{value!r} frames per second are not to be had", todo="write 1 to 10")
    return int(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not a path", todo='write it like "strategies/mine.py"')
    return Path(value)


def _listen(value: Any) -> str:
    host, _, port = str(value).rpartition(":")
    if not (host and port.isdecimal() and int(port) < 65_536):
        raise UsageError(f"{value!r} is no address to listen at", todo='write it like "127.0.0.1:9464"')
    return str(value)


def _urls(value: Any) -> tuple[str, ...]:
    urls = value.replace(",", " ").split() if isinstance(value, str) else value
    # The text is not repeated: there may be a password in it.
    if not isinstance(urls, list) or not all(isinstance(url, str) and "://" in url for url in urls):
        raise UsageError("not a list of addresses", todo='write it like ["ntfys://ntfy.sh/my-topic"]')
    return tuple(urls)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise UsageError(f"{value!r} is none of {', '.join(allowed)}", todo=nearest(str(value), allowed))
        return str(value)

    return read


def _text(example: str) -> Any:
    return Annotated[str, msgspec.Meta(examples=[example])]


_KINDS: dict[Any, Kind] = {
    BotName: Kind(bot_name, _text("mm-btc")),
    Decimal: Kind(parse_rate, _text("5%") | float),
    Fees: Kind(parse_fees, _text("0.1%,0.1%")),
    Fps: Kind(_fps, Annotated[int, msgspec.Meta(ge=1, le=10)]),
    Listen: Kind(_listen, _text("127.0.0.1:9464")),
    Money: Kind(parse_money, _text("200 USDT")),
    Path: Kind(_path, _text("strategies/mine.py")),
    Urls: Kind(_urls, list[_text("ntfys://ntfy.sh/my-topic")]),  # type: ignore[misc]
    int: Kind(_count, Annotated[int, msgspec.Meta(ge=0)]),
}


def _kind(annotation: Any) -> Kind:
    """How a field is read, by its type; `None` only says that it need not be there."""
    if annotation in _KINDS:
        return _KINDS[annotation]
    if get_origin(annotation) is Literal:
        return Kind(_one_of(*get_args(annotation)), annotation)
    (inner,) = (each for each in get_args(annotation) if each is not NoneType)
    return _kind(inner)


# What may be said: section -> key -> its kind.
KINDS: dict[str, dict[str, Kind]] = {
    section: {key: _kind(hint) for key, hint in get_type_hints(struct, include_extras=True).items()}
    for section, struct in get_type_hints(Config).items()
}


def schema() -> dict[str, Any]:
    """JSON Schema of `quant.toml`."""
    twins = []  # of the structs, with the types that values are written in
    for section, kinds in KINDS.items():
        twin = msgspec.defstruct(
            section,
            [(key, kind.written | msgspec.UnsetType, msgspec.UNSET) for key, kind in kinds.items()],
            forbid_unknown_fields=True,
            namespace={"__doc__": getattr(Config(), section).__doc__},
        )
        twins.append((section, twin | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.json.schema(msgspec.defstruct("quant.toml", twins, forbid_unknown_fields=True))


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The question whether the word was meant that is spelt most like this one."""
    close = get_close_matches(word, list(allowed), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
