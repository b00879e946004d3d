"""An exchange's manifest: the file, its form, and what the kernel and an adapter read out of it.

One TOML file an exchange, one `[[market]]` a kind of market or several that are alike.  Each fact names its
source; a fact that nobody has checked, or that the exchange does not state, is not `verified`, and where
facts leave a doubt the manifest claims the less.  An unknown key is an error.
"""

import re
import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import msgspec

from quantcli.config import parse_duration
from quantcli.errors import ConfigError
from quantcli.model.order import OrderType, TimeInForce
from quantcli.model.venue import AmendRule, IdForm, Resolution, VenueContract
from quantcli.venues.classify import ErrorRule

Market = Literal["spot", "futures"]
_NotEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class Unique(StrEnum):
    """Among which orders of an account the exchange lets a client order id occur only once."""

    OPEN = "open"
    ALWAYS = "always"
    NONE = "none"


class _Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`source`: where it is written; `verified`: false for what is inferred, or stated by nobody."""

    source: _NotEmpty
    verified: bool = True


class IdRule(_Fact, frozen=True, kw_only=True):
    """Client order ids: the field they travel in, and what the exchange takes there."""

    parameter: str
    form: IdForm
    max_length: int
    alphabet: str  # what stands between the brackets of a regular expression
    unique: Unique

    def fits(self, text: str) -> bool:
        """Whether the exchange takes this id."""
        return len(text) <= self.max_length and re.fullmatch(f"[{self.alphabet}]+", text) is not None


class Fence(_Fact, frozen=True, kw_only=True):
    """How a request is kept from being carried out late.

    `parameter` is empty where an exchange has none; `ahead` is how far ahead we set the deadline, and
    `engine_bound` how much later by its clock the exchange may still act on it.
    """

    parameter: str = ""
    ahead: str = "5s"
    engine_bound: str = "0s"


class Resolving(_Fact, frozen=True, kw_only=True):
    """How a placement without an answer is cleared up, and why that way is safe, or no better is."""

    how: Resolution
    reason: _NotEmpty


class Queries(_Fact, frozen=True, kw_only=True):
    """What can be asked, how stale the answers may be and how far back they go; see `VenueContract`."""

    probe: bool
    statement: bool
    replica_lag: str
    retention: str = "0s"
    fills: str = "0s"


class Amending(_Fact, frozen=True, kw_only=True):
    """Which changes the exchange makes in place; `native_oco`: and whether it links orders itself."""

    rule: AmendRule
    native_oco: bool = False


class Stream(_Fact, frozen=True, kw_only=True):
    """The private stream: how long a connection lasts, how often it wants a sign of life (0s: unstated).

    With `early_ack` the answer to a placement only says that it was passed on, not that it was accepted.
    """

    lifetime: str = "0s"
    keepalive: str = "0s"
    early_ack: bool = False


_TypeName = Literal[
    "limit", "market", "limit_maker", "immediate_or_cancel", "fill_or_kill", "stop_limit", "stop_market"
]


class Orders(_Fact, frozen=True, kw_only=True):
    """Which orders can be sent: every other is refused before it reaches the exchange's library.

    `types` and `time_in_force` are the names of `OrderType` and `TimeInForce` in lower case.
    """

    types: tuple[_TypeName, ...]
    time_in_force: tuple[Literal["gtc", "ioc", "fok", "gtd"], ...]
    reduce_only: bool = False

    def has_type(self, kind: OrderType) -> bool:
        """Whether orders of this type can be sent."""
        return kind.name.lower() in self.types

    def has_time_in_force(self, kind: TimeInForce) -> bool:
        """Whether orders that stay for so long can be sent."""
        return kind.name.lower() in self.time_in_force


class ErrorBody(_Fact, frozen=True, kw_only=True):
    """Where an error's code and text stand in a reply: paths through objects and lists (`data.0.sCode`), of
    which the first that leads somewhere counts.  An exchange without codes has no `code`.

    `none` are codes that mean: no error; those of `clock` that our timestamp is off the exchange's time.  An
    error whose text contains one of `disabled` says that this account or market does not trade at all.
    """

    code: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    clock: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    markets: tuple[Market, ...]
    ids: IdRule
    fence: Fence
    resolve: Resolving
    queries: Queries
    amend: Amending
    stream: Stream
    orders: Orders
    error_body: ErrorBody
    errors: tuple[ErrorRule, ...]
    foreign_prefixes: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    market: tuple[_Entry, ...]


class Manifest(msgspec.Struct, frozen=True):
    """What is known of one kind of market on one exchange.

    `contract` is the kernel's part; the rest is the adapter's.  Orders whose client order id begins with one
    of `foreign_prefixes` are the exchange's own (liquidations, settlements).  `unverified` names the parts
    with a claim that nobody has checked.
    """

    exchange: str
    market: Market
    contract: VenueContract
    ids: IdRule
    fence: Fence
    resolve: Resolving
    stream: Stream
    orders: Orders
    error_body: ErrorBody
    errors: tuple[ErrorRule, ...]
    foreign_prefixes: tuple[str, ...]
    unverified: tuple[str, ...]


def exchanges() -> list[str]:
    """Names of all exchanges that have a manifest, sorted."""
    folder = files(__package__) / "manifests"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


@cache
def load(exchange: str, market: Market = "spot") -> Manifest:
    """Read an exchange's manifest.  Raises `ConfigError` if there is none, or it cannot be meant."""
    if exchange not in exchanges():
        raise ConfigError(f"no exchange {exchange!r}", todo=f"choose one of {', '.join(exchanges())}")
    text = (files(__package__) / "manifests" / f"{exchange}.toml").read_text(encoding="utf-8")
    entries = parse(text, exchange)
    for entry in entries:
        if market in entry.markets:
            return _manifest(exchange, market, entry)
    known = sorted({name for entry in entries for name in entry.markets})
    raise ConfigError(f"no {market} market on {exchange}", todo=f"choose one of {', '.join(known)}")


def parse(text: str, exchange: str) -> tuple[_Entry, ...]:
    """The markets of a manifest's text; raises `ConfigError`."""
    try:
        return msgspec.convert(tomllib.loads(text), _File).market
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the manifest of {exchange} cannot be read", why=str(error)) from error


def _manifest(exchange: str, market: Market, entry: _Entry) -> Manifest:
    return Manifest(
        exchange,
        market,
        _contract(exchange, entry),
        entry.ids,
        entry.fence,
        entry.resolve,
        entry.stream,
        entry.orders,
        entry.error_body,
        entry.errors,
        entry.foreign_prefixes,
        _unverified(entry),
    )


def _contract(exchange: str, entry: _Entry) -> VenueContract:
    return VenueContract(
        exchange=exchange,
        resolution=entry.resolve.how,
        fence_ns=parse_duration(entry.fence.ahead),
        engine_bound_ns=parse_duration(entry.fence.engine_bound),
        probe=entry.queries.probe,
        statement=entry.queries.statement,
        amend=entry.amend.rule,
        native_oco=entry.amend.native_oco,
        expires="gtd" in entry.orders.time_in_force,
        replica_lag_ns=parse_duration(entry.queries.replica_lag),
        retention_ns=parse_duration(entry.queries.retention),
        fills_ns=parse_duration(entry.queries.fills),
        id_form=entry.ids.form,
    )


def _unverified(entry: _Entry) -> tuple[str, ...]:
    parts = ("ids", "fence", "resolve", "queries", "amend", "stream", "orders", "error_body")
    names = [name for name in parts if not getattr(entry, name).verified]
    if not all(rule.verified for rule in entry.errors):
        names.append("errors")
    return tuple(names)
