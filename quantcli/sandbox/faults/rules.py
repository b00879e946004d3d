"""What a fault plan may say, read and checked: for which calls, events and connections, and what happens.

A plan is TOML (`--chaos FILE`) or JSON (`POST /sandbox/chaos`) with `seed` and a list `rule`.  Every mistake
is a `ConfigError` that names the rule and the key.  When a rule strikes is decided in `chaos`, and what that
does to a socket in the server.
"""

import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantcli.errors import ConfigError

CALL, PUSH, CONNECT = "call", "push", "connect"
USER_EVENTS = (
    "executionReport",
    "outboundAccountPosition",
    "balanceUpdate",
    "listStatus",
    "eventStreamTerminated",
    "externalLockUpdate",
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
    "ALGO_UPDATE",
    "ACCOUNT_CONFIG_UPDATE",
    "listenKeyExpired",
)
_MOMENT_OF = {
    "GET": CALL,
    "POST": CALL,
    "PUT": CALL,
    "DELETE": CALL,
    "ws": CALL,
    "ws-fapi": CALL,
    "user": PUSH,
    "market": PUSH,
    "reply": PUSH,
    "connect": CONNECT,
}


class Rule(msgspec.Struct, frozen=True):
    """One rule of a plan.  All conditions given must hold; the rest are the fault's own parameters.

    `on` is a glob over names: `POST /api/v3/order`, `ws order.place`, `ws-fapi order.place` (futures),
    `user executionReport`, `market btcusdt@depth*`, `reply` (to SUBSCRIBE), `connect /ws-api/v3`.  Matches
    are counted from 1, after `where` and `once_per`.
    """

    on: str
    fault: str
    calls: frozenset[int] = frozenset()
    every: int = 1
    chance: float = 1.0
    once_per: str = ""
    until: int = 0
    where: Mapping[str, str] = {}
    seconds: float = 0.0
    hold: bool = False
    after: bool = False
    status: int = 0
    code: int | None = None
    message: str = ""
    applied: bool = False
    bytes: int = 0
    count: int = 1
    sockets: str = "all"
    headers: Mapping[str, str] = {}
    set: Mapping[str, Any] = {}
    text: str = ""

    @property
    def moments(self) -> frozenset[str]:
        """When the fault can act: at a call, an event that is pushed, a connection."""
        return FAULTS[self.fault].moments


class FaultPlan(msgspec.Struct, frozen=True):
    """Rules, and the seed of all chance in them (`None`: the sandbox's own)."""

    rules: tuple[Rule, ...] = ()
    seed: int | None = None


class _Fault(NamedTuple):
    moments: frozenset[str]
    keys: Mapping[str, Any]  # its parameters and what they are if not given; `_NEEDED`: must be given


_NEEDED = object()


def _at(*moments: str, **keys: Any) -> _Fault:
    return _Fault(frozenset(moments), keys)


FAULTS: dict[str, _Fault] = {
    "lost_request": _at(CALL, hold=False),
    "lost_answer": _at(CALL, hold=False, applied=True),
    "delay": _at(CALL, CONNECT, seconds=_NEEDED, after=False),
    "status": _at(CALL, status=500, code=None, message="", applied=False, headers={}),
    "html": _at(CALL, status=502, applied=False),
    "empty": _at(CALL, applied=True),
    "truncate": _at(CALL, bytes=20, applied=True),
    "trickle": _at(CALL, seconds=1.0, applied=True),
    "reset": _at(CALL, PUSH, CONNECT, bytes=0, applied=True),
    "ban": _at(CALL, status=429, seconds=_NEEDED),
    "maintenance": _at(CALL, seconds=_NEEDED),
    "lag": _at(CALL, seconds=_NEEDED),
    "clock": _at(CALL, seconds=_NEEDED),
    "wrong_id": _at(CALL, applied=True),
    "alter": _at(CALL, PUSH, set=_NEEDED),
    "disconnect": _at(CALL, PUSH, CONNECT, sockets="all", seconds=0.0),
    "half_open": _at(CALL, PUSH, CONNECT, applied=True),
    "refuse": _at(CONNECT, status=503),
    "duplicate": _at(PUSH, count=1),
    "reorder": _at(PUSH, seconds=1.0),
    "drop": _at(PUSH),
    "late": _at(PUSH, seconds=_NEEDED),
    "gap": _at(PUSH, count=_NEEDED),
    "garbled": _at(PUSH, bytes=20, text=""),
}


def load_plan(path: Path, known: Collection[str] = ()) -> FaultPlan:
    """The plan in a TOML file; `known` are the names of calls that exist.  Raises `ConfigError`."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read", why=error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML", why=str(error)) from None
    return read_plan(document, known, path.name)


def read_plan(document: Any, known: Collection[str] = (), place: str = "chaos") -> FaultPlan:
    """The plan in a table of `seed` and `rule`; `{}` has no rules.  Raises `ConfigError`."""
    if not isinstance(document, Mapping):
        raise ConfigError(f"{place}: a plan is a table", todo='write it like {"seed": 1, "rule": [...]}')
    for key in document:
        if key not in ("seed", "rule"):
            raise ConfigError(f"{place}: there is no {key}", todo=_nearest(key, ("seed", "rule")))
    rules = document.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
        raise ConfigError(f"{place}: rule is not a list of tables", todo="begin each rule with [[rule]]")
    seed = None if "seed" not in document else _whole(document["seed"], f"{place}: seed", least=0)
    return FaultPlan(
        tuple(_rule(rule, known, f"{place}: rule {number}") for number, rule in enumerate(rules, 1)), seed
    )


def _rule(table: Mapping[str, Any], known: Collection[str], place: str) -> Rule:
    for key in ("on", "fault"):
        if key not in table:
            raise ConfigError(f"{place}: {key} is missing", why="a rule says where it strikes, and with what")
    name = table["fault"]
    if name not in FAULTS:
        raise ConfigError(
            f"{place}: there is no fault {name!r}",
            why=f"the faults are {', '.join(FAULTS)}",
            todo=_nearest(str(name), FAULTS),
        )
    allowed = {"on", "fault", *_CONDITIONS, *FAULTS[name].keys}
    for key in table:
        if key not in allowed:
            why = f"{name} takes {', '.join(FAULTS[name].keys) or 'nothing'}; a rule {', '.join(_CONDITIONS)}"
            raise ConfigError(f"{place}: {name} has no {key}", why=why, todo=_nearest(key, allowed))
    values = dict(FAULTS[name].keys)
    for key, value in table.items():
        values[key] = _READERS[key](value, f"{place}: {key}") if key in _READERS else value
    for key, value in values.items():
        if value is _NEEDED:
            raise ConfigError(f"{place}: {key} is missing", why=f"{name} needs it")
    if name != "clock" and values.get("seconds", 0) < 0:
        raise ConfigError(f"{place}: seconds is negative")
    rule = Rule(**values)
    _check_target(rule, known, place)
    return rule


def _check_target(rule: Rule, known: Collection[str], place: str) -> None:
    """A rule that can never strike is a mistake."""
    if not isinstance(rule.on, str) or not rule.on.strip():
        raise ConfigError(f"{place}: on names nothing", todo='write it like on = "POST /api/v3/order"')
    word = rule.on.split(" ")[0]
    if not any(fnmatchcase(first, word) for first in _MOMENT_OF):
        why = f"a name begins with {', '.join(_MOMENT_OF)}"
        raise ConfigError(f"{place}: on = {rule.on!r} is no name", why=why, todo=_nearest(word, _MOMENT_OF))
    possible = {moment for first, moment in _MOMENT_OF.items() if fnmatchcase(first, word)}
    if not possible & rule.moments:
        why = f"{rule.fault} acts at a {' or a '.join(sorted(rule.moments))}"
        raise ConfigError(f"{place}: {rule.fault} cannot act on {rule.on!r}", why=why)
    if rule.fault == "wrong_id" and word not in ("ws", "ws-fapi"):
        raise ConfigError(f"{place}: wrong_id cannot act on {rule.on!r}", why="only websocket calls have ids")
    names: Iterable[str] = ()
    if possible == {CALL}:
        names = known
    elif word == "user":
        names = [f"user {kind}" for kind in USER_EVENTS]
    if names and not any(fnmatchcase(name, rule.on) for name in names):
        raise ConfigError(f"{place}: on = {rule.on!r} matches nothing here", todo=_nearest(rule.on, names))


def _whole(value: Any, place: str, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{place} = {value!r} is not a whole number of at least {least}")
    return value


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ConfigError(f"{place} = {value!r} is not a number")
    return float(value)


def _share(value: Any, place: str) -> float:
    number = _number(value, place)
    if not 0 <= number <= 1:
        raise ConfigError(f"{place} = {value!r} is not a probability", todo="write it like chance = 0.1")
    return number


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{place} = {value!r} is neither true nor false")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{place} = {value!r} is not a text")
    return value


def _calls(value: Any, place: str) -> frozenset[int]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{place} = {value!r} is not a list of calls", todo="write it like calls = [3, 5]")
    return frozenset(_whole(each, place) for each in value)


def _status(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise ConfigError(f"{place} = {value!r} is not an HTTP status")
    return value


def _code(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{place} = {value!r} is not an error code", todo="write it like code = -1007")
    return value


def _texts(value: Any, place: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place} = {value!r} is not a table", todo='write it like {x = "TRADE"}')
    return {str(key): each if isinstance(each, str) else str(each) for key, each in value.items()}


def _fields(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(f"{place} = {value!r} is not a table", todo='write it like {z = "0"}')
    return dict(value)


def _sockets(value: Any, place: str) -> str:
    if value not in ("user", "market", "all"):
        raise ConfigError(f"{place} = {value!r} is none of user, market, all")
    return str(value)


_CONDITIONS = ("calls", "every", "chance", "once_per", "until", "where")
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "calls": _calls,
    "every": _whole,
    "chance": _share,
    "once_per": _text,
    "until": _whole,
    "where": _texts,
    "seconds": _number,
    "hold": _flag,
    "after": _flag,
    "status": _status,
    "code": _code,
    "message": _text,
    "applied": _flag,
    "bytes": lambda value, place: _whole(value, place, least=0),
    "count": _whole,
    "sockets": _sockets,
    "headers": _texts,
    "set": _fields,
    "text": _text,
}


def _nearest(word: str, allowed: Iterable[str]) -> str:
    close = get_close_matches(word, list(allowed), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
