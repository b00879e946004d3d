"""What a key may do on Binance, by what the exchange says of it.

Two answers: of the key (`apiRestrictions`) and of the account behind it.  Where the first is not to be had,
what only it tells is unknown, never assumed.
"""

from typing import TypeVar

import msgspec

from quantcli.errors import ConfigError, ExchangeAPIError, ExchangeError, SafetyError
from quantcli.venues.binance import calls
from quantcli.venues.calls import Call
from quantcli.venues.connector import Connector, refusal_of
from quantcli.venues.limits import Lane

_T = TypeVar("_T")
# errors.md, -1022 INVALID_SIGNATURE, -2008 BAD_API_KEY_ID, -2014 BAD_API_KEY_FMT, -2015 REJECTED_MBX_KEY
_BAD_KEY = (-1022, -2008, -2014, -2015)


class Permissions(msgspec.Struct, frozen=True):
    """What a key may do; `None` where the exchange does not say.  `account` is the exchange's number of the
    account behind it, empty if it tells none."""

    can_trade: bool
    can_withdraw: bool | None
    ip_restricted: bool | None
    account: str = ""


def refuse_if_unsafe(permissions: Permissions) -> None:
    """Raises `SafetyError` for a key that may do more than a bot needs, `ConfigError` for one that may do
    less."""
    if permissions.can_withdraw:
        raise SafetyError(
            "this key may withdraw money",
            why="a bot needs to trade, never to withdraw: whoever steals the key could empty the account",
            todo="make a key without withdrawals on the exchange, and use that one",
        )
    if not permissions.can_trade:
        raise ConfigError("this key may not trade", todo="allow it spot trading on the exchange")


class _Restrictions(msgspec.Struct, rename="camel"):
    """{"ipRestrict":false,"createTime":1,"enableReading":true,"enableSpotAndMarginTrading":true,
    "enableWithdrawals":false,…}"""

    ip_restrict: bool | None = None
    enable_withdrawals: bool | None = None
    enable_spot_and_margin_trading: bool = False


class _Account(msgspec.Struct, rename="camel"):
    """{"canTrade":true,"canWithdraw":true,"canDeposit":true,"balances":[…],"uid":354937868,…}"""

    can_trade: bool
    uid: int | str = ""


async def permissions(connector: Connector) -> Permissions:
    """Ask the exchange.  Raises `ConfigError` for a key that it does not accept, else as every read."""
    account = _read(await _asked(connector, calls.account()), _Account)
    try:
        key = _read(await _asked(connector, calls.permissions()), _Restrictions)
    except ExchangeAPIError:
        return Permissions(account.can_trade, None, None, str(account.uid))
    may_trade = account.can_trade and key.enable_spot_and_margin_trading
    return Permissions(may_trade, key.enable_withdrawals, key.ip_restrict, str(account.uid))


async def _asked(connector: Connector, call: Call) -> bytes:
    answer = await connector.ask(call, Lane.RECONCILE)
    error = refusal_of(answer, connector.manifest.error_body, call.name)
    if isinstance(error, ExchangeAPIError) and error.code in _BAD_KEY:
        raise ConfigError(
            "the exchange does not accept this API key",
            why=str(error),
            todo="check key and secret, what the key may do, and from which addresses",
        )
    if error is not None:
        raise error
    return answer.body


def _read(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ExchangeError("what the exchange says of the key cannot be read", why=str(error)) from error
