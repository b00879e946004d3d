"""The whole picture and every key: draws a model in any size, and says what a key or a click leads to.

Pure but for the model it changes.  Knows nothing of terminals or sockets.
"""

from types import ModuleType

from quantcli.runtime.control.wire import Look
from quantcli.tui import actions
from quantcli.tui.dialogs.dialog import edited
from quantcli.tui.effects import Effect
from quantcli.tui.model import Model
from quantcli.tui.screens import book, chrome, events, health, orders, positions
from quantcli.tui.screens.drawing import Page, Target, rule
from quantcli.tui.typeset import Line, clip, length, part

LOWEST = (40, 12)
_SCREENS: tuple[ModuleType, ...] = (orders, positions, book, events, health)
_LEGENDS = (orders.LEGEND, "", "", "", "")
_KEPT_BRIGHT = frozenset(("alarm", "live", "testnet", "paper", "replay"))
_MOVES = {"down": 1, "j": 1, "up": -1, "k": -1}


def draw(model: Model, width: int, height: int) -> Page:
    """The picture: exactly `height` lines of `width` cells."""
    if width < LOWEST[0] or height < LOWEST[1]:
        return Page([clip([(" quant: make it larger", "strong")], width)] + [clip([], width)] * (height - 1))
    page = _screen(model, width, height)
    lines = [clip(line, width) for line in page.lines]
    if model.disconnected_ns is not None and model.dialog is None:
        lines = [_faded(line) if y != 1 else line for y, line in enumerate(lines)]
    if model.dialog is None:
        return Page(lines, page.targets)
    over = model.dialog.draw(model, width, height)
    boxed = length(over.lines[0])
    x, y = (width - boxed) // 2, (height - len(over.lines)) // 2
    lines = [_faded(line) for line in lines]
    for at, line in enumerate(over.lines):
        lines[y + at] = _laid_over(lines[y + at], line, x, boxed, width)
    return Page(lines, over.moved(y, x))


def _screen(model: Model, width: int, height: int) -> Page:
    screen = _SCREENS[model.screen]
    tabs = chrome.tabs(model, screen.aside(model), width)
    legend = _LEGENDS[model.screen]
    own = actions.labelled(model)
    room = height - 4 - 3 - bool(legend)
    body: Page = screen.body(model, width, room)
    keys = chrome.keys_line(own, width)
    foot = chrome.keys_line(common(model), width)
    lines = [
        chrome.title(model, width),
        chrome.second(model, screen.summary(model, width), width),
        *tabs.lines,
        rule(width, book.joint(model, width) if screen is book else None, "┬"),
        *body.lines,
        rule(width, note=body.note),
    ]
    if legend:
        lines.append(chrome.told(model, legend, width))
    elif model.told:  # there is no line to spare: the keys make room
        keys = Page([chrome.told(model, "", width)])
    at = height - 2
    lines = [*lines[:at], *[[] for _ in range(at - len(lines))]]
    return Page(
        [*lines, *keys.lines, *foot.lines],
        [*tabs.moved(2), *body.moved(4), *keys.moved(at), *foot.moved(at + 1)],
    )


def look(model: Model) -> Look:
    """What the bot is asked to show besides: the market of the book, the story of the chosen order."""
    order = orders.chosen(model) if model.screen == actions.ORDERS else None
    return Look(book=book.symbol_of(model), story=order.intent_id if order else "")


def common(model: Model) -> list[tuple[str, str]]:
    """The keys that are there on every screen."""
    pairs = [("q", "detach (bot goes on)"), ("ctrl+p", "commands"), ("?", "help"), ("b", "bots")]
    return pairs if model.read_only else [*pairs[:3], ("ctrl+k", "KILL SWITCH"), pairs[3]]


def press(model: Model, key: str) -> list[Effect]:
    """A key was pressed: a character, or a name such as `enter` or `ctrl+k`."""
    if key == "ctrl+c":
        return [e for action in actions.ACTIONS if action.key == key for e in action.run(model)]
    if model.dialog is not None:
        return model.dialog.press(model, key)
    if model.typing:
        _type(model, key)
        return []
    if _move(model, key):
        return []
    if key == "escape":
        model.view.filter = ""
        model.notice = None
        model.frozen = None
        if model.screen == actions.EVENTS:
            model.view.chosen = ""
        return []
    action = actions.action_for(key, model)
    return action.run(model) if action is not None else []


def click(model: Model, page: Page, x: int, y: int) -> list[Effect]:
    """The mouse was clicked where `page` had been drawn."""
    target = next((t for t in reversed(page.targets) if _is_hit(t, x, y)), None)
    if target is None:
        return []
    kind, _, what = target.what.partition(":")
    if kind == "row":
        model.view.chosen = what
        return []
    key = " " if what == "space" else what
    return press(model, key if kind == "key" else target.what)


def _is_hit(target: Target, x: int, y: int) -> bool:
    return target.y == y and target.x <= x < target.x + target.width


def _type(model: Model, key: str) -> None:
    if key == "enter":
        model.typing = False
    elif key == "escape":
        model.typing, model.view.filter = False, ""
    elif (typed := edited(model.view.filter, key)) is not None:
        model.view.filter = typed[:40]


def _move(model: Model, key: str) -> bool:
    """Choose another row, if the key says so."""
    listed = _SCREENS[model.screen].keys(model)
    last = len(listed) - 1
    at = listed.index(model.view.chosen) if model.view.chosen in listed else 0
    steps = {**_MOVES, "pagedown": 10, "pageup": -10, "g": -at, "home": -at, "G": last - at, "end": last - at}
    if key not in steps:
        return False
    if listed:
        model.view.chosen = listed[max(0, min(last, at + steps[key]))]
    return True


def _faded(line: Line) -> Line:
    return [(text, style if style in _KEPT_BRIGHT else "dim") for text, style in line]


def _laid_over(under: Line, over: Line, x: int, boxed: int, width: int) -> Line:
    """A line with another one over some of its cells."""
    return [*part(under, 0, x), *clip(over, boxed), *part(under, x + boxed, width)]


def is_typing(model: Model) -> bool:
    """Whether keys are letters of a text now."""
    return model.dialog.is_typing if model.dialog is not None else model.typing
