"""`quant stop`: end a running bot in good order, wait until it is gone, and say what is left."""

import os
import signal
import time
from typing import Annotated

import typer

from quantcli.cli.ledger import owner_pid
from quantcli.cli.order_view import have, want
from quantcli.cli.output import Output, OutputOption, Shape, document, emit, note
from quantcli.cli.remembered import remember
from quantcli.cli.state import Bot, BotArgument, NameOption, absent, the_bot, which
from quantcli.errors import DaemonAbsent, OutcomeUnknown
from quantcli.model.instrument import canonical
from quantcli.runtime.control.wire import OrderItem, PositionItem

_LOOK_EVERY_S = 0.05
_UNCONFIRMED = ("!", "x")


def command(
    bot: BotArgument = None,
    name: NameOption = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait until it is gone.")
    ] = 60,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop a bot as Ctrl-C does, and wait.  Leaves with 5 if that is not confirmed in time."""
    meant = the_bot(which(bot, name))
    begun = time.monotonic()
    pid = _ask_to_stop(meant)
    note(f"stopping {meant.name}")
    if not _gone(meant, pid, begun + timeout):
        raise OutcomeUnknown(
            f"{meant.name} has not stopped in {timeout:g} s",
            why=f"process {pid or '?'} still runs: the exchange has not answered, or its strategy hangs",
            todo=f"quant status {meant.name}, and quant stop {meant.name} again",
        )
    _report(meant, time.monotonic() - begun, output)


def _ask_to_stop(bot: Bot) -> int:
    """Have it end; the process that does.  Raises `DaemonAbsent`."""
    pid = owner_pid(bot.project.database(bot.name))
    client = bot.client
    if client is not None:
        try:
            client.do("stop")
        except DaemonAbsent:
            if pid is None:
                raise absent(bot.name) from None
        except OutcomeUnknown as error:
            note(error.what)  # the signal below is the other way to say it
        else:
            return pid or 0
    if not pid:
        raise absent(bot.name)
    os.kill(pid, signal.SIGTERM)
    return pid


def _gone(bot: Bot, pid: int, until_s: float) -> bool:
    database = bot.project.database(bot.name)
    while owner_pid(database) is not None or _lives(pid):
        if time.monotonic() >= until_s:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _lives(pid: int) -> bool:
    """Whether a process is there; one that has ended, but whose parent has not asked, is not."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return True


def _report(bot: Bot, took_s: float, output: Output) -> None:
    known = remember(bot.name, bot.project.database(bot.name), settled=False)
    left = [item for item in known.orders().items if item.intent_id]
    held = [item for item in known.positions().items if item.qty]
    fields = {"bot": bot.name, "left": left, "positions": held, "took_s": round(took_s, 3)}
    emit(
        document("Stopped", fields),
        output,
        lambda _: _text(bot, left, held, took_s),
        shape=Shape(None, ("bot",)),
    )
    unconfirmed = [item for item in left if item.mark in _UNCONFIRMED]
    if unconfirmed:
        raise OutcomeUnknown(
            f"the exchange has not confirmed {len(unconfirmed)} of {len(left)} orders",
            why=", ".join(item.intent_id for item in unconfirmed),
            todo=f"quant reconcile --plan --name {bot.name}",
        )


def _text(bot: Bot, left: list[OrderItem], held: list[PositionItem], took_s: float) -> str:
    lines = [f"{bot.name} has stopped after {took_s:.1f} s"]
    for item in left:
        why = (
            "protects a position"
            if item.protective
            else item.drift
            if item.drift != "-"
            else "left on purpose"
        )
        lines.append(f"  left: {item.symbol} {item.slot} {want(item)}; have {have(item)}: {why}")
    lines += [f"  held: {item.symbol} {canonical(item.qty)}" for item in held]
    if not left:
        lines.append("  no orders are left")
    return "\n".join(lines)
