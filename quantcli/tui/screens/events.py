"""Screen 4: what happened, the newest first, and of the chosen one what it means and what to do."""

from quantcli.runtime.control.wire import EventItem
from quantcli.tui.model import LEVELS, Model
from quantcli.tui.screens.drawing import Page, embolden, rule, table
from quantcli.tui.typeset import Line, clip, clock_time, cut, left

_STYLES = {"warn": "warn", "error": "alarm"}


def rows(model: Model) -> list[EventItem]:
    """The events that pass level and filter, the newest first."""
    allowed = LEVELS[model.level :]
    words = model.views[3].filter.casefold().split()
    return [
        event
        for event in reversed(model.shown.events or ())
        if event.level in allowed
        and all(w in f"{event.kind} {event.symbol} {event.text} {event.intent_id}".casefold() for w in words)
    ]


def keys(model: Model) -> list[str]:
    """The rows' keys, from the top."""
    return [str(event.number) for event in rows(model)]


def chosen(model: Model) -> EventItem | None:
    """The chosen event, or the newest."""
    listed = rows(model)
    name = model.views[3].chosen
    return next((e for e in listed if str(e.number) == name), listed[0] if listed else None)


def summary(model: Model, width: int) -> Line:
    """How many, and how bad."""
    events = model.shown.events or ()
    warnings = sum(event.level == "warn" for event in events)
    errors = sum(event.level == "error" for event in events)
    line: Line = [(f" {len(events):,} events   {warnings} warning{'s' * (warnings != 1)}   ", "")]
    line.append((f"{errors} error{'s' * (errors != 1)}", "alarm" if errors else ""))
    following = "on" if not model.frozen and not model.views[3].chosen else "off"
    return [*line, (f"   following: {following}", "")]


def aside(model: Model) -> str:
    """Which level and filter are on."""
    view = model.views[3]
    return f"{LEVELS[model.level]}+  / filter: {view.filter or '-'}"


def body(model: Model, width: int, height: int) -> Page:
    """The list, and the chosen event in full."""
    below = 0 if model.wide or height < 10 else 5 if height <= 16 else max(6, height // 4)
    listed = rows(model)
    has_id = width >= 110
    pick = chosen(model)
    head = " TIME          LVL   KIND        " + ("ID       " if has_id else "") + "WHAT"

    def line(event: EventItem, is_chosen: bool) -> Line:
        level = {"info": ""}.get(event.level, event.level.upper())
        drawn: Line = [
            ("▌" if is_chosen else " ", "mark->" if is_chosen else ""),
            (clock_time(event.at_ns) + "  ", "dim"),
            (left(level, 5), _STYLES.get(event.level, "")),
            (" " + left(event.kind, 11) + " ", ""),
        ]
        if has_id:
            drawn.append((left(event.intent_id[-8:] or "-", 9), "dim"))
        about = "" if not event.symbol or event.text.startswith(event.symbol) else f"{event.symbol} "
        drawn.append((about + event.text, ""))
        return embolden(drawn) if is_chosen else drawn

    empty = "nothing happened yet" if model.shown.events is not None else "no word of events yet"
    if model.shown.events and not listed:
        empty = f"none of {len(model.shown.events):,} events passes the filter"
    page = table(
        listed,
        lambda event: str(event.number),
        line,
        str(pick.number) if pick else "",
        (width, height - 1 - (below + 1 if below else 0)),
        empty,
    )
    lines = [clip([(head, "heading")], width), *page.lines]
    if below:
        about = about_event(pick, width)[:below] if pick else []
        lines += [rule(width, note=page.note), *about, *[[] for _ in range(below - len(about))]]
    return Page(lines, page.moved(1), "" if below else page.note)


def about_event(event: EventItem, width: int) -> list[Line]:
    """What, why, effect and what to do."""
    first = f" {clock_time(event.at_ns)} {event.level.upper() if event.level != 'info' else ''} {event.kind}"
    lines: list[Line] = [[(" ".join(first.split()), "strong"), (f"   event {event.number}", "dim")]]
    lines[0].insert(0, (" ", ""))
    for label, text in (
        ("what", f"{event.symbol} {event.text}" if event.symbol not in event.text else event.text),
        ("why", event.why),
        ("effect", event.effect),
        ("do", event.todo),
    ):
        if text.strip():
            lines.append([(f" {label:<6} ", "dim"), (cut(text, width - 9), "")])
    return lines
