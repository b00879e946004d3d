"""What stands above and below every screen: whose bot this is, in which world, what is wrong, the keys."""

from collections.abc import Sequence

from quantcli.runtime.control.wire import Status
from quantcli.tui.model import SCREENS, Model
from quantcli.tui.screens.drawing import Page, Target
from quantcli.tui.typeset import (
    NONE,
    Line,
    cents,
    clip,
    cut,
    length,
    number,
    share,
    since,
    spread,
    uptime,
    width_of,
)

_SHORT = ("Ord", "Pos", "Book", "Ev", "Hlth")
_STALE_FEED_MS = 5_000


def title(model: Model, width: int) -> Line:
    """Bot, exchange, world and gain; as far as there is room, how long it is up, its feed, its limits."""
    status = model.status
    if status is None:
        return [(" quant  ", ""), (cut(model.bot, max(8, width - 30)), "strong"), ("  not seen yet", "dim")]
    tag = [(f"[{status.world}]", status.world.lower()), *_state(model, status)]
    gain = _gain(status)
    ends: Line = [(f" PnL {gain}", "strong")] if gain != NONE else [(" PnL -", "dim")]
    room = width - length(tag) - length(ends) - len(" quant  ") - 3
    name = cut(f"{status.bot} @ {status.exchange}", max(8, min(room, max(26, room - 37))))
    line: Line = [(" quant  ", ""), (name, "strong"), ("  ", ""), *tag]
    parts: list[Line] = [
        _feed(status),
        [(f"up {uptime(model.now_ns - status.started_ns)}", "")],
        [(f"rate {share(status.rate_used)}", "alarm" if (status.rate_used or 0) > 0.9 else "")],
    ]
    kept = list(parts)
    while kept and length(line) + sum(length(part) + 2 for part in kept) + length(ends) > width:
        kept.pop()
    for part in sorted(kept, key=lambda part: (1, 0, 2)[parts.index(part)]):
        line += [("  ", ""), *part]
    return spread(line, ends, width)


def _state(model: Model, status: Status) -> Line:
    tags = []
    if status.halt_level != "NONE":
        tags.append("HALTED")
    if status.state not in ("trading", ""):
        tags.append(status.state.upper())
    if model.frozen:
        tags.append(f"FROZEN {since(model.clock() - model.frozen_ns)}")
    if model.read_only:
        return [(f" [{tag}]", "alarm") for tag in tags] + [(" [read only]", "dim")]
    return [(f" [{tag}]", "alarm") for tag in tags]


def _feed(status: Status) -> Line:
    age = status.feed_age_ms
    if age is None:
        return [("feed -", "dim")]
    if age > _STALE_FEED_MS:
        return [(f"feed {since(round(age * 1e6))} STALE", "alarm")]
    return [(f"feed {age:.0f}ms ok" if age < 1_000 else f"feed {age / 1000:.1f}s ok", "")]


def _gain(status: Status) -> str:
    if status.equity is None or status.start_equity is None:
        return NONE
    return number(status.equity - status.start_equity, cents(status.equity), signed=True)


def alarm(model: Model) -> str:
    """What nobody may overlook; empty if there is nothing."""
    if model.disconnected_ns is not None:
        gone = uptime(model.clock() - model.disconnected_ns)
        return f"DISCONNECTED {gone}   {model.disconnected_why}   asking again; the numbers are old"
    status = model.status
    if status is None:
        return ""
    if status.state in ("stuck", "failed"):
        return f"{status.state.upper()}: {status.why}"
    if status.halt_level != "NONE":
        why = status.halt_reason or "no reason given"
        return f"HALTED ({status.halt_level}) until quant resume: {why}"
    if status.findings:
        return f"FOUND: {'; '.join(status.findings)}"
    return ""


def resume(model: Model) -> str:
    """The command that ends a halt."""
    return f"quant resume {model.bot}"


def second(model: Model, summary: Line, width: int) -> Line:
    """The alarm across the whole line, or the screen's summary."""
    words = alarm(model)
    return clip([(f" {words}".ljust(width), "alarm")], width) if words else clip(summary, width)


def tabs(model: Model, aside: str, width: int) -> Page:
    """The screens, the present one in brackets, and at the right what is particular to it."""
    line: Line = [("", "")]
    targets = []
    if model.typing:
        aside = f"/ filter: {model.view.filter}█"
    full = sum(len(name) + 5 for name in SCREENS) + width_of(aside) + 1 <= width
    x = 1
    for at, name in enumerate(SCREENS if full else _SHORT):
        is_here = at == model.screen
        text = f"[{at + 1} {name}]" if is_here else f" {at + 1} {name} "
        line += [(" ", ""), (text, "strong" if is_here else "")]
        targets.append(Target(0, x, len(text), f"key:{at + 1}"))
        x += len(text) + 1
    return Page([spread(line, [(f" {aside} ", "strong" if model.typing else "")], width)], targets)


def keys_line(pairs: Sequence[tuple[str, str]], width: int) -> Page:
    """Keys and what they do, as many as there is room for; a click on one is like the key."""
    line: Line = []
    targets = []
    for key, label in pairs:
        if length(line) + len(key) + len(label) + 2 > width:
            break
        targets.append(Target(0, length(line) + 1, len(key) + len(label) + 1, f"key:{key}"))
        line += [((" " if not line else "  ") + key, "key"), (f" {label}", "")]
    return Page([line], targets)


def told(model: Model, legend: str, width: int) -> Line:
    """What came of the last word, or what the characters mean."""
    notice = model.told
    if notice is None:
        return [(f" {legend}", "dim")]
    return clip([(f" {notice.text} ", "alarm" if notice.is_alarm else "strong")], width)
