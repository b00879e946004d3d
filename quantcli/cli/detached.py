"""`quant trade --detach`: the same command in a session of its own, left running once it trades.

A bot runs once at a time.  Keys reach it through the environment only; what it prints goes to
`.quant/BOT.out`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

from quantcli.cli.output import note, timestamp
from quantcli.errors import OutcomeUnknown, QuantError, SafetyError
from quantcli.places import Project, socket_path
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.door import is_answered
from quantcli.runtime.control.wire import Status

_OURS = ("--detach", "--tui")
_PATIENCE_S, _LOOK_S = 60.0, 0.1
_TAIL_LINES = 20


def refuse_second(project: Project, bot: str) -> None:
    """Raises `SafetyError` if the bot runs already, and says as what and since when."""
    path = socket_path(project, bot, os.environ)
    if path is None or not path.exists() or not is_answered(path):
        return
    try:
        found = Client(path, bot).get("status", Status)
        why = f"pid {found.pid}, since {timestamp(found.started_ns)}, {found.state}"
    except QuantError as error:
        why = f"somebody listens at {path}, and says: {error.what}"
    raise SafetyError(
        f"{bot} is running already",
        why=why,
        todo=f"quant tui {bot}, or quant stop {bot}, or another --name",
    )


def detach(project: Project, bot: str, words: Sequence[str], attaches: bool) -> None:
    """Start `quant WORDS…` without those words that brought us here, and wait until it trades.

    Leaves with its exit code if it ends before.  Raises `OutcomeUnknown` if neither happens for a minute.
    """
    printed = project.state / f"{bot}.out"
    process = _started([word for word in words if word not in _OURS], printed)
    status = _wait(project, bot, process, printed)
    note(f"{bot}: pid {status.pid}, {status.state} on {status.exchange}, {status.world}")
    note(f"log: {project.log(bot)}")
    note(f"attach: quant tui {bot}    stop: quant stop {bot}")
    if attaches:
        from quantcli.cli.tui import attach

        attach(bot)


def _started(words: Sequence[str], printed: Path) -> "subprocess.Popen[bytes]":
    printed.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "quantcli", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _wait(project: Project, bot: str, process: "subprocess.Popen[bytes]", printed: Path) -> Status:
    path = socket_path(project, bot, os.environ)
    ends_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends_s:
        if process.poll() is not None:
            _leave(process.returncode, printed)
        if path is not None and path.exists():
            try:
                status = Client(path, bot).get("status", Status)
            except QuantError:
                status = None  # it is not there yet, or has just ended
            if status is not None and status.pid == process.pid and status.state != "starting":
                return status
        time.sleep(_LOOK_S)
    raise OutcomeUnknown(
        f"{bot} has not begun to trade in {_PATIENCE_S:.0f} s",
        why=f"it runs as pid {process.pid}, and prints to {printed}",
        todo=f"quant status {bot}, or quant stop {bot}",
    )


def _leave(code: int, printed: Path) -> NoReturn:
    """It has ended: say what it said, and leave with its exit code."""
    lines = printed.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-_TAIL_LINES:]:
        note(line)
    raise typer.Exit(code if code > 0 else 1)
