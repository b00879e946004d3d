"""`quant events`: what happened, and what it means for somebody who looks after the bot."""

import time
from collections.abc import Collection, Iterable
from typing import Annotated

import typer

from quantcli.cli.moments import SinceOption, since_ns
from quantcli.cli.output import (
    Output,
    OutputOption,
    Shape,
    emit,
    emit_line,
    envelope,
    note,
    one_line,
    timestamp,
    write_text,
)
from quantcli.cli.state import Facts, LiveOption, NameOption, absent, ask, facts, headline, the_bot
from quantcli.errors import DaemonAbsent
from quantcli.runtime.control.log_lines import levels_from
from quantcli.runtime.control.wire import EventItem

EVENTS = Shape(EventItem, ("number",))
LevelOption = Annotated[
    str,
    typer.Option("--level", metavar="LEVEL", help="As bad as this or worse: info, warn, error."),
]
_FOLLOW_EVERY_S = 0.5


def command(
    name: NameOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as things happen.")] = False,
    level: LevelOption = "info",
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Only the newest so many.")] = 200,
    require_live: LiveOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what happened, oldest first; with -f, until you interrupt it or the bot stops."""
    wanted = levels_from(level)
    known = facts(name, require_live or follow)
    told = known.events(since_ns(since))
    items = [item for item in told.items if item.level in wanted][-limit:]
    if follow:
        _follow(name, known, items, wanted, max((item.number for item in told.items), default=0), output)
        return
    found = envelope("EventList", items, told.as_of_ns, known.stale)
    emit(
        found,
        output,
        lambda _: headline(known) + _lines(items, is_wide=False),
        lambda _: headline(known) + _lines(items, is_wide=True),
        EVENTS,
    )


def event_line(item: EventItem, is_wide: bool = False) -> str:
    """An event for people, on one line, or with why, what follows and what to do below it."""
    mark = {"warn": "WARN", "error": "ERROR"}.get(item.level, "")
    text = item.text if item.symbol in ("", *item.text.split()) else f"{item.symbol} {item.text}"
    line = f"{timestamp(item.at_ns)[:23].replace('T', ' ')} {mark:<5} {item.kind:<10} {text}".rstrip()
    if not is_wide:
        return one_line(line)
    told = (("why", item.why), ("effect", item.effect), ("do", item.todo))
    return "\n".join([one_line(line), *(f"    {label:<7} {one_line(text)}" for label, text in told if text)])


def _lines(items: Iterable[EventItem], is_wide: bool) -> str:
    return "\n".join(event_line(item, is_wide) for item in items) or "nothing happened"


def _follow(
    name: str | None,
    known: Facts,
    items: list[EventItem],
    wanted: Collection[str],
    last: int,
    output: Output,
) -> None:
    try:
        while True:
            for item in items:
                if output in (Output.TABLE, Output.WIDE):
                    write_text(event_line(item, output is Output.WIDE))
                else:
                    emit_line(item)
            time.sleep(_FOLLOW_EVERY_S)
            told = ask(the_bot(name))
            if told is None:
                raise absent(known.bot)
            new = told.events(after=last).items
            last = max((item.number for item in new), default=last)
            items = [item for item in new if item.level in wanted]
    except DaemonAbsent:
        note(f"{known.bot} has stopped")
    except KeyboardInterrupt:
        return
