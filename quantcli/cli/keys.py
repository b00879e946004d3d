"""An account's key, from wherever the user keeps it, ready for an exchange.

Afterwards no key is left in the environment, and no module holds one: it is with the venue and what signs for
it.  Never shows one.  A strategy runs in our process and as the same user: this keeps it from stumbling over
a key, not from searching for one.
"""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from quantcli.errors import ConfigError, SafetyError
from quantcli.keychain import find_key, forget, key_names
from quantcli.places import find_project

if TYPE_CHECKING:
    from quantcli.venues.live import Credentials

__all__ = ["hide_keys", "key_names", "key_of", "refuse_to_show_the_key", "required_key"]

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def key_of(exchange: str) -> "Credentials | None":
    """The key, `None` if there is none.  Raises `ConfigError` for one that cannot be used as it is kept."""
    try:
        key = find_key(exchange, os.environ, find_project().root)
    finally:
        hide_keys()
    if key is None:
        return None
    from quantcli.venues.live import Credentials

    return Credentials(key.api_key, key.secret)


def required_key(exchange: str) -> "Credentials":
    """The key; raises `ConfigError` if there is none."""
    key = key_of(exchange)
    if key is None:
        raise ConfigError(
            f"no key for {exchange}",
            why=f"{' and '.join(key_names(exchange))} are not both set, nor is one kept",
            todo=f"quant login {exchange}     or export them",
        )
    return key


def hide_keys() -> None:
    """Leave no key in the environment, where a strategy would find it."""
    forget(os.environ)


def refuse_to_show_the_key(endpoint: str | None) -> None:
    """A key never leaves this machine unencrypted."""
    parts = urlsplit(endpoint or "https:")
    if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        raise SafetyError(
            f"the key would go to {endpoint} unencrypted",
            why="http can be read, and changed, by everybody on the way",
            todo="use https, or a server on this machine",
        )
