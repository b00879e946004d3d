"""`quant halt` and `quant resume`: the durable kill flag of a bot, set and cleared.

A running bot notices within a second, one that is not running at its next start.
"""

from typing import Annotated

import typer

from quantcli.cli.output import Output, OutputOption, document, emit
from quantcli.cli.state import NameOption, choose
from quantcli.clock import WallClock
from quantcli.places import find_project
from quantcli.store.halt import HaltFlag, KillLevel


def command(
    reason: Annotated[str, typer.Option("--reason", help="Why; the bot says so when it refuses an order.")],
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Also cancel its orders, but for those that protect a position.")
    ] = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also cancel everything and close its positions at the market.")
    ] = False,
    name: NameOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop a bot from adding exposure, now and after restarts, until `quant resume`."""
    bot, flag = _flag(name)
    level = KillLevel.FLATTEN if flatten else KillLevel.CANCEL_ALL if cancel else KillLevel.HALT_NEW
    flag.raise_to(level, reason, WallClock().now_ns())
    _report(bot, flag, output)


def resume(name: NameOption = None, output: OutputOption = Output.TABLE) -> None:
    """Let a halted bot send orders again."""
    bot, flag = _flag(name)
    flag.clear()
    _report(bot, flag, output)


def _flag(name: str | None) -> tuple[str, HaltFlag]:
    project = find_project()
    bot = choose(project, name)
    return bot, HaltFlag(project.halt_flag(bot))


def _report(bot: str, flag: HaltFlag, output: Output) -> None:
    level, reason = flag.level, flag.reason
    text = f"{bot} is halted: {reason}" if level else f"{bot} may send orders"
    found = document("HaltState", {"bot": bot, "level": level.name, "reason": reason})
    emit(found, output, lambda _: text)
