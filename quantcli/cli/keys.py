"""An account's key, taken from the environment.

It is taken out of there, so that nothing started later, a strategy least of all, finds it lying.  Never shows
it.
"""

import os
from typing import TYPE_CHECKING

from quantcli.errors import ConfigError

if TYPE_CHECKING:
    from quantcli.venues.live import Credentials


def key_names(exchange: str) -> tuple[str, str]:
    """The variables that hold an account's key and its secret."""
    return f"QUANT_{exchange.upper()}_API_KEY", f"QUANT_{exchange.upper()}_SECRET"


def key_of(exchange: str) -> "Credentials | None":
    """The key, `None` if there is none."""
    api_key, secret = (os.environ.pop(name, "") for name in key_names(exchange))
    if not (api_key and secret):
        return None
    from quantcli.venues.live import Credentials

    return Credentials(api_key, secret)


def required_key(exchange: str) -> "Credentials":
    """The key; raises `ConfigError` if there is none."""
    key = key_of(exchange)
    if key is None:
        names = " and ".join(key_names(exchange))
        raise ConfigError(
            f"no key for {exchange}", why=f"{names} are not both set", todo="export them, then start again"
        )
    return key
