"""`quant login` and `quant logout`: keep an account's key where only its owner finds it, and remove it.

Key and secret are typed, or come as two lines on stdin; never as arguments, which every program of the
machine can read and the shell remembers.
"""

import asyncio
import os
import sys
from getpass import getpass
from typing import Annotated, Any

import typer

from quantcli.cli.keys import refuse_to_show_the_key
from quantcli.cli.output import Output, OutputOption, columns, document, emit, note
from quantcli.errors import ConfigError, NotFoundError, UsageError
from quantcli.keychain import Key, find_key, key_names, remove_key, store_key
from quantcli.places import find_project
from quantcli.sections import EXCHANGES, nearest

# A key that was given as an argument must not be repeated by the complaint about it.
_Surplus = Annotated[list[str] | None, typer.Argument(hidden=True)]


def command(
    exchange: Annotated[str | None, typer.Argument(metavar="EXCHANGE", help="Whose key.")] = None,
    surplus: _Surplus = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Only show which keys there are, and where.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Ask the exchange what the key may do, before it is kept."),
    ] = True,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Instead of the exchange's own address: a sandbox.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep the API key of an exchange: in the desktop's keyring, else in a file that only you can read.

    Asks for key and secret, or takes two lines from stdin.  A key that may withdraw is refused.
    """
    if listing:
        emit(document("KeyList", {"items": _kept()}), output, _table)
        return
    name = _exchange(exchange, surplus)
    if check:
        refuse_to_show_the_key(endpoint)
    key = _asked(name)
    if check:
        _check(name, endpoint, key)
    where = store_key(name, key, os.environ)
    _report(name, Key(key.api_key, key.secret, where), output)


def logout(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Whose key.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Remove the API key of an exchange from where `quant login` keeps it."""
    name = _exchange(exchange, None)
    removed = remove_key(name, os.environ)
    if not removed:
        left = find_key(name, os.environ, find_project().root)
        raise NotFoundError(
            f"no key for {name} is kept",
            why=f"there is one in {left.where}, which is not ours to change" if left else "",
            todo="quant login --list",
        )
    found = document("KeyRemoved", {"exchange": name, "where": removed})
    emit(found, output, lambda _: f"the key for {name} is gone from {' and '.join(removed)}")


def _exchange(name: str | None, surplus: list[str] | None) -> str:
    if surplus:
        raise UsageError(
            "a key does not belong on the command line",
            why="every program of this machine can read it there, and your shell remembers it",
            todo="remove the line from your shell's history; if it was a real key, make a new one\n"
            "quant login EXCHANGE     asks for it",
        )
    if name is None:
        raise UsageError("which exchange?", todo=f"quant login {EXCHANGES[0]}, or quant login --list")
    if name not in EXCHANGES:
        raise UsageError(
            "there is no such exchange",  # not repeated: it could be a key
            why=f"they are {', '.join(EXCHANGES)}",
            todo=nearest(name, EXCHANGES),
        )
    return name


def _asked(exchange: str) -> Key:
    if sys.stdin is not None and sys.stdin.isatty():
        note(f"What you type stays hidden.  The key needs to trade {exchange}, and must not withdraw.")
        texts = [getpass(f"{what}: ", stream=sys.stderr) for what in ("API key", "secret")]
    else:
        texts = [line for line in (sys.stdin.read() if sys.stdin else "").splitlines() if line.strip()]
    if len(texts) != 2 or not all(text.strip() for text in texts):
        raise UsageError(
            "that is not a key and its secret",
            why=f"two lines are needed, {len([text for text in texts if text.strip()])} came",
            todo=f"quant login {exchange} < FILE, or at a terminal",
        )
    api_key, secret = (text.strip() for text in texts)
    if not (api_key + secret).isprintable():
        raise UsageError("a key has no such characters in it", todo="copy it again")
    return Key(api_key, secret)


def _check(exchange: str, endpoint: str | None, key: Key) -> None:
    from quantcli.runtime.key_check import key_permissions
    from quantcli.venues.account_check import refuse_if_unsafe
    from quantcli.venues.live import Credentials

    permissions = asyncio.run(key_permissions(exchange, endpoint, Credentials(key.api_key, key.secret)))
    refuse_if_unsafe(permissions)
    withdrawals = "no (good)" if permissions.can_withdraw is False else "unknown"
    addresses = {True: "yes (good)", False: "no", None: "unknown"}[permissions.ip_restricted]
    note(f"{exchange}, key {key.tail}: trade yes, withdraw {withdrawals}, IP list {addresses}")


def _report(exchange: str, key: Key, output: Output) -> None:
    found = document("KeyKept", {"exchange": exchange, "where": key.where, "key": key.tail})
    emit(found, output, lambda _: f"the key for {exchange} is kept in {key.where}")
    if all(os.environ.get(name) for name in key_names(exchange)):
        note("the environment has another, which comes first")


def _kept() -> list[dict[str, Any]]:
    """Every key there is, where it is, and what is wrong with it."""
    project, items = find_project().root, []
    for exchange in EXCHANGES:
        try:
            key = find_key(exchange, os.environ, project)
        except ConfigError as error:
            items.append({"exchange": exchange, "key": "", "where": "", "problem": error.what})
            continue
        if key is not None:
            items.append({"exchange": exchange, "key": key.tail, "where": key.where, "problem": ""})
    return items


def _table(found: dict[str, Any]) -> str:
    if not found["items"]:
        return "no key is kept: quant login EXCHANGE"
    rows = [(item["exchange"], item["key"], item["where"] or item["problem"]) for item in found["items"]]
    return columns(("EXCHANGE", "KEY", "WHERE"), rows)
