"""`quant logs`: the log of a bot, whether it runs or not."""

import time
from typing import Annotated

import typer

from quantcli.cli.moments import SinceOption, since_ns
from quantcli.cli.output import Output, OutputOption, Shape, emit, emit_line, envelope, one_line, write_text
from quantcli.cli.state import NameOption, the_bot
from quantcli.clock import WallClock
from quantcli.errors import NotFoundError
from quantcli.runtime.control.log_lines import LogLine, Tail, read_log

_FOLLOW_EVERY_S = 0.25


def command(
    name: NameOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    level: Annotated[
        str,
        typer.Option("--level", metavar="LEVEL", help="As bad as this or worse: debug, info, warn, error."),
    ] = "info",
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Only the newest so many lines.")] = 200,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the log: events, what the strategy logs, and warnings; with -f, until you interrupt it."""
    bot = the_bot(name)
    path = bot.project.log(bot.name)
    if not (path.exists() or follow):
        raise NotFoundError(
            f"{bot.name} has no log",
            why=f"there is no {path}",
            todo=f"quant trade --name {bot.name} --strategy FILE",
        )
    tail = Tail(path, level) if follow else None
    found = list(read_log(path, since_ns(since), level))[-limit:]
    if tail is None:
        shape = Shape(LogLine, ("number",))
        document = envelope("LogList", found, WallClock().now_ns(), not bot.is_running)
        emit(document, output, lambda _: "\n".join(map(log_line, found)) or "nothing was logged", shape=shape)
        return
    try:
        lines = found
        while True:
            for line in lines:
                if output in (Output.TABLE, Output.WIDE):
                    write_text(log_line(line))
                else:
                    emit_line(line)
            time.sleep(_FOLLOW_EVERY_S)
            lines = list(tail.more())
    except KeyboardInterrupt:
        return


def log_line(line: LogLine) -> str:
    """A line of the log for people."""
    mark = {"info": "", "debug": "debug"}.get(line.level, line.level.upper())
    source = line.kind if line.source == "quant" else line.source
    text = f"{line.at[:23].replace('T', ' ')} {mark:<5} {source:<10} {one_line(line.text)}".rstrip()
    return text + (f"\n{line.error}" if line.error else "")
