"""`quant tui`: the terminal screen of a running bot; leaving it leaves the bot alone.

Finds the bot and makes sure that it answers; what is drawn is `quantcli.tui`'s business.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from quantcli.cli.output import note
from quantcli.clock import WallClock
from quantcli.config import load_config
from quantcli.errors import DaemonAbsent, QuantError, UsageError
from quantcli.places import find_project, socket_path, sockets
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.wire import Status


def command(
    bot: Annotated[
        str | None, typer.Argument(metavar="BOT", help="Which; not needed where one runs.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only look: without any action.")] = False,
) -> None:
    """Show a running bot; q detaches, and the bot goes on."""
    attach(bot, read_only)


def attach(bot: str | None, read_only: bool = False) -> None:
    """Show a running bot until the person leaves.

    Raises `DaemonAbsent` if it does not run, `UsageError` where there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the screen needs a terminal",
            why="input or output is a file or a pipe",
            todo="quant orders -o json",
        )
    found = find(bot)
    from quantcli.tui.app import Screen
    from quantcli.tui.model import Model

    model = Model(found[0] if found else "", WallClock().now_ns, read_only)
    Screen(model, found[1] if found else None, frames_per_s=load_config().tui.fps).run()
    if model.bot:
        note(goodbye(model.bot, model.disconnected_ns is None))


def goodbye(bot: str, goes_on: bool) -> str:
    """What is said after leaving."""
    if goes_on:
        return f"detached; {bot} goes on.  back: quant tui {bot}   end it: quant stop {bot}"
    return f"detached; {bot} did not answer at last.  see: quant status {bot}"


def find(bot: str | None) -> tuple[str, Path] | None:
    """A running bot's name and socket: the named one, or the only one, of this project if it has any; `None`
    if one of several is to be chosen on the screen."""
    project = find_project()
    if bot is not None:
        path = socket_path(project, bot, os.environ)
        if path is not None and _is_there(path, bot):
            return bot, path
        elsewhere = [(s, p) for s, p in _running() if s.bot == bot]
        if elsewhere:
            return bot, elsewhere[0][1]
        raise DaemonAbsent(
            f"{bot} is not running",
            why=f"nobody answers at {path}",
            todo=f"quant trade --name {bot} --strategy FILE\nquant orders --name {bot}    its last state",
        )
    running = _running()
    here = [(s, p) for s, p in running if s.project == str(project.root)] or running
    if not here:
        raise DaemonAbsent(
            "no bot is running", why="there is nothing to attach to", todo="quant trade --strategy FILE"
        )
    return (here[0][0].bot, here[0][1]) if len(here) == 1 else None


def _running() -> list[tuple[Status, Path]]:
    found = [(_status(path, path.stem), path) for path in sockets(os.environ)]
    return [(status, path) for status, path in found if status is not None]


def _is_there(path: Path, bot: str) -> bool:
    """Whether somebody is at a socket, though they may not answer in time, or not as we think."""
    try:
        Client(path, bot).get("status", Status)
    except DaemonAbsent:
        return False
    except (QuantError, msgspec.MsgspecError):
        return True
    return True


def _status(path: Path, bot: str) -> Status | None:
    """How the bot at a socket is; `None` if it cannot be known."""
    try:
        return Client(path, bot).get("status", Status)
    except (QuantError, msgspec.MsgspecError):
        return None
