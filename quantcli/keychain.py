"""Where accounts' keys are kept, and in which order they are looked for.

    QUANT_BINANCE_API_KEY, QUANT_BINANCE_SECRET   the environment; or …_FILE, the name of a file with it
    quant_binance_api_key, quant_binance_secret   in systemd's $CREDENTIALS_DIRECTORY
    the first two names                           in the project's .env, if nobody else may read it
    the keyring of the desktop                    where `keyring` is installed and has a real one
    ~/.config/quantcli/credentials.toml           if nobody else may read it

Key and secret always come from one place.  `forget` takes them out of the environment, so that nothing
started later, a strategy least of all, finds them lying there.  No text made here contains a secret.  Knows
no exchange, and not what a key is good for.
"""

import ctypes
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from quantcli import dotenv
from quantcli.errors import ConfigError
from quantcli.places import user_folder

FILE_NAME = "credentials.toml"
SERVICE = "quantcli"

_OURS = re.compile(r"QUANT_(\w+)_(API_KEY|SECRET)(_FILE)?")
# The advice of keyring's own documentation: backends below it are for tests, or keep nothing.
_REAL_KEYRING = 1


class Key(msgspec.Struct, frozen=True):
    """An account's key, and where it was found.  Its text shows nothing of the secret."""

    api_key: str
    secret: str
    where: str = ""

    @property
    def tail(self) -> str:
        """Enough of the API key to tell it from others."""
        return f"…{self.api_key[-4:]}" if len(self.api_key) >= 12 else "…"

    def __repr__(self) -> str:
        return f"Key({self.tail})"

    __str__ = __repr__


def key_names(exchange: str) -> tuple[str, str]:
    """The variables that hold an account's key and its secret."""
    return f"QUANT_{exchange.upper()}_API_KEY", f"QUANT_{exchange.upper()}_SECRET"


def find_key(exchange: str, environment: Mapping[str, str], project: Path) -> Key | None:
    """The first key there is for an exchange; `None` if there is none.

    Raises `ConfigError` for half a key, for a place that others may read, and for one that cannot be read and
    may be where the key is.
    """
    failed = None
    for place in _places(environment, project):
        try:
            key = place(exchange)
        except _Closed as closed:
            failed = closed.error
            continue
        if key is not None:
            return key
    if failed is not None:
        raise failed
    return None


def forget(environment: MutableMapping[str, str]) -> None:
    """Take the keys of all exchanges out of the environment, and addresses with passwords."""
    for name in [name for name in environment if _OURS.fullmatch(name) or name == "QUANT__NOTIFY__URLS"]:
        if environment is os.environ:
            _wipe(name)
        del environment[name]


def store_key(exchange: str, key: Key, environment: Mapping[str, str]) -> str:
    """Keep a key, in the keyring if there is one, else in the file; says where.

    Raises `ConfigError` where neither can be.
    """
    path, ring = _file(environment), _ring()
    if ring is not None:
        text = msgspec.json.encode({"api_key": key.api_key, "secret": key.secret}).decode()
        try:
            ring.set_password(SERVICE, exchange, text)
        except _keyring_error() as error:
            raise _closed_ring(error).error from None
        _drop(path, exchange)
        return _ring_name(ring)
    if path is None:
        raise ConfigError("there is no place to keep a key", why="HOME is not set", todo="set it")
    known = _read_file(path) | {exchange: {"api_key": key.api_key, "secret": key.secret}}
    _write_file(path, known)
    return str(path)


def remove_key(exchange: str, environment: Mapping[str, str]) -> list[str]:
    """Remove what `store_key` kept, wherever it is; says where it was."""
    removed = []
    ring = _ring()
    if ring is not None:
        try:
            if ring.get_password(SERVICE, exchange) is not None:
                ring.delete_password(SERVICE, exchange)
                removed.append(_ring_name(ring))
        except _keyring_error() as error:
            raise _closed_ring(error).error from None
    path = _file(environment)
    return [*removed, str(path)] if _drop(path, exchange) else removed


# The places, first to last.


class _Closed(Exception):
    """A place cannot be looked into; the key may be in another."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(error.what)
        self.error = error


def _places(environment: Mapping[str, str], project: Path) -> Iterator[Callable[[str], Key | None]]:
    def in_environment(exchange: str) -> Key | None:
        return _pair(exchange, environment, "the environment")

    def in_systemd(exchange: str) -> Key | None:
        folder = Path(environment.get("CREDENTIALS_DIRECTORY", ""))
        named = {name: folder / name.lower() for name in key_names(exchange)}
        found = {f"{name}_FILE": str(path) for name, path in named.items() if path.is_file()}
        return _pair(exchange, found, "systemd's credentials") if folder.is_absolute() else None

    def in_dotenv(exchange: str) -> Key | None:
        path = project / dotenv.FILE_NAME
        known = {name: variable.value for name, variable in dotenv.variables(path).items()}
        key = _pair(exchange, known, str(path))
        if key is not None:
            _refuse_open(path, path.stat())
        return key

    def in_keyring(exchange: str) -> Key | None:
        ring = _ring()
        if ring is None:
            return None
        try:
            text = ring.get_password(SERVICE, exchange)
        except _keyring_error() as error:
            raise _closed_ring(error) from None
        return None if text is None else _decoded(text, _ring_name(ring))

    def in_file(exchange: str) -> Key | None:
        path = _file(environment)
        known = None if path is None else _read_file(path).get(exchange)
        return None if known is None else Key(known["api_key"], known["secret"], str(path))

    yield from (in_environment, in_systemd, in_dotenv, in_keyring, in_file)


def _pair(exchange: str, known: Mapping[str, str], where: str) -> Key | None:
    """Both halves of a key, each as a value or in a file that is named."""
    names = key_names(exchange)
    api_key, secret = (known.get(name, "") or _in_named_file(known, f"{name}_FILE") for name in names)
    if bool(api_key) != bool(secret):
        raise ConfigError(
            f"half a key for {exchange}",
            why=f"in {where} {' and '.join(names)} are not both set",
            todo="set both, or none",
        )
    return Key(api_key, secret, where) if api_key else None


def _in_named_file(known: Mapping[str, str], name: str) -> str:
    if not known.get(name):
        return ""
    try:
        return Path(known[name]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "it is not text"
        raise ConfigError(f"{known[name]}, named by {name}, cannot be read", why=why) from None


# The keyring.


def _ring() -> Any:
    """The desktop's keyring; `None` where there is none, or none that keeps what it is given."""
    if find_spec("keyring") is None:
        return None
    ring = import_module("keyring").get_keyring()
    return ring if ring.priority >= _REAL_KEYRING else None


def _ring_name(ring: Any) -> str:
    return f"the keyring ({ring.name})"


def _keyring_error() -> type[Exception]:
    found: type[Exception] = import_module("keyring.errors").KeyringError
    return found


def _closed_ring(error: Exception) -> _Closed:
    return _Closed(
        ConfigError(
            "the keyring cannot be used",
            why=f"{type(error).__name__}: {error}",
            todo="unlock it, or start without a desktop: then keys are kept in a file",
        )
    )


def _decoded(text: str, where: str) -> Key:
    try:
        found = msgspec.json.decode(text, type=dict[str, str])
        return Key(found["api_key"], found["secret"], where)
    except (msgspec.MsgspecError, KeyError):
        raise ConfigError(
            f"what {where} has of us is no key", todo="quant login EXCHANGE keeps a new one"
        ) from None


# The file.


def _file(environment: Mapping[str, str]) -> Path | None:
    folder = user_folder(environment)
    return None if folder is None else folder / FILE_NAME


def _read_file(path: Path) -> dict[str, dict[str, str]]:
    """What the file keeps; nothing if it is not there.  Raises `ConfigError` unless it is ours alone."""
    try:
        with path.open("rb") as file:
            _refuse_open(path, os.fstat(file.fileno()))
            return msgspec.toml.decode(file.read(), type=dict[str, dict[str, str]])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read", why=error.strerror or str(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text could quote the file
        raise ConfigError(f"{path} is not what `quant login` writes", todo="remove it, and log in") from None


def _drop(path: Path | None, exchange: str) -> bool:
    """Take one exchange's key out of the file; whether there was one."""
    if path is None or exchange not in (known := _read_file(path)):
        return False
    del known[exchange]
    if known:
        _write_file(path, known)
    else:
        path.unlink()
    return True


def _refuse_open(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        raise ConfigError(
            f"{path} belongs to somebody else", why="a key in it would be theirs", todo="remove it"
        )
    if mode & 0o077:
        raise ConfigError(
            f"others may read {path}",
            why=f"it holds a key, and its mode is {mode:04o}",
            todo=f"chmod 600 {path}\nif others use this machine, make a new key on the exchange",
        )


def _write_file(path: Path, known: Mapping[str, Mapping[str, str]]) -> None:
    """All of it or nothing, never readable by others."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(b"# Written by `quant login`.\n\n" + msgspec.toml.encode(known))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _wipe(name: str) -> None:
    """Overwrite a variable where the system shows it (`/proc/PID/environ`): unsetting leaves it there."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype, getenv.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    at = getenv(os.fsencode(name))
    if at:
        ctypes.memset(at, ord("x"), len(ctypes.string_at(at)))
