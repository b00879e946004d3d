"""Every action of the screen in one table: its key, where it is there, what it does, the command that does
the same.  Keys, palette, help and the lines below the screens all read it.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from quantcli.tui.dialogs import asking, telling
from quantcli.tui.dialogs.choosing import Choice, Choosing
from quantcli.tui.dialogs.kill import Kill
from quantcli.tui.dialogs.reading import Reading
from quantcli.tui.effects import Bots, Copy, Detach, Do, Effect, Fills, Suspend
from quantcli.tui.model import LEVELS, SCREENS, SORTS, Model
from quantcli.tui.screens import book, events, orders, positions
from quantcli.tui.typeset import Line

ORDERS, POSITIONS, BOOK, EVENTS, HEALTH = range(len(SCREENS))


# Commands that are not about one bot.
_OF_NO_BOT = frozenset(("ps", "tui --help"))


class Action(NamedTuple):
    """Something a key does.  `label` is its word below the screen ("" if it is not told there), `screens`
    where it is there (empty: everywhere); `steers`: it tells the bot something."""

    key: str
    name: str
    label: str
    command: str
    run: Callable[[Model], list[Effect]]
    screens: tuple[int, ...] = ()
    steers: bool = False


def _go(screen: int) -> Callable[[Model], list[Effect]]:
    def go(model: Model) -> list[Effect]:
        if model.screen != screen:
            model.go(screen)
        return []

    return go


def detail(model: Model) -> list[Effect]:
    """The chosen thing in full."""
    if model.screen == ORDERS and (order := orders.chosen(model)):
        model.dialog = telling.order(order, model.shown.story)
    elif model.screen == POSITIONS and (position := positions.chosen(model)):
        return [Fills(position.symbol)]
    elif model.screen == EVENTS and (event := events.chosen(model)):
        model.dialog = Reading(f"event {event.number}", events.about_event(event, 1_000))
    return []


def chosen(model: Model) -> tuple[str, msgspec.Struct] | None:
    """What is chosen on the present screen, and what it is called."""
    if model.screen == ORDERS and (order := orders.chosen(model)):
        return f"{order.symbol} {order.slot or '(none)'}", order
    if model.screen == POSITIONS and (position := positions.chosen(model)):
        return position.symbol, position
    if model.screen == BOOK and (found := book.book_of(model)):
        return found.symbol, found
    if model.screen == EVENTS and (event := events.chosen(model)):
        return f"event {event.number}", event
    if model.screen == HEALTH and model.shown.health:
        return "health", model.shown.health
    return None


def raw(model: Model) -> list[Effect]:
    """The chosen object with all its fields."""
    if (found := chosen(model)) is not None:
        model.dialog = telling.raw(*found)
    return []


def copy(model: Model) -> list[Effect]:
    """The chosen object as JSON, to the clipboard."""
    found = chosen(model)
    return [Copy(msgspec.json.encode(found[1]).decode())] if found else []


def _sort(model: Model) -> list[Effect]:
    model.view.sort = (model.view.sort + 1) % len(SORTS)
    return []


def _wide(model: Model) -> list[Effect]:
    model.wide = not model.wide
    return []


def _freeze(model: Model) -> list[Effect]:
    model.freeze()
    return []


def _filter(model: Model) -> list[Effect]:
    model.typing = True
    return []


def _level(model: Model) -> list[Effect]:
    model.level = (model.level + 1) % len(LEVELS)
    return []


def _group(model: Model) -> list[Effect]:
    model.group = book.GROUPS[(book.GROUPS.index(model.group) + 1) % len(book.GROUPS)]
    return []


def _prints(model: Model) -> list[Effect]:
    model.prints = not model.prints
    return []


def _back(model: Model) -> list[Effect]:
    model.back()
    return []


def _forward(model: Model) -> list[Effect]:
    model.forward()
    return []


def _next_market(step: int) -> Callable[[Model], list[Effect]]:
    def run(model: Model) -> list[Effect]:
        if model.symbols:
            here = book.symbol_of(model)
            at = model.symbols.index(here) if here in model.symbols else 0
            model.book_symbol = model.symbols[(at + step) % len(model.symbols)]
        return []

    return run


def _kill(model: Model) -> list[Effect]:
    model.dialog = Kill()
    return []


def palette(model: Model) -> list[Effect]:
    """Every action that is there, and whatever steers the bot on other screens, with its command."""
    choices = [
        Choice(action.name, fill(action.command, model), shown_key(action.key), action.run)
        for action in ACTIONS
        if action.name and is_there(action, model, everywhere=action.steers)
    ]
    model.dialog = Choosing("commands", choices)
    return []


def help_of(model: Model) -> list[Effect]:
    """The keys of this screen."""
    lines: list[Line] = []
    for title, is_here in ((SCREENS[model.screen], True), ("everywhere", False)):
        lines += [[]] * bool(lines) + [[(title, "heading")]]
        for action in ACTIONS:
            if bool(action.screens) == is_here and is_there(action, model) and action.key and action.name:
                lines.append([(f"  {shown_key(action.key):<7}", "key"), (f"{action.name}", "")])
    lines += [[], [("  j k ↑ ↓ g G   move     click   choose a row, or a key below", "dim")]]
    lines.append([("  " + orders.LEGEND, "dim")])
    model.dialog = Reading(f"keys of {SCREENS[model.screen]}", lines)
    return []


def is_there(action: Action, model: Model, everywhere: bool = False) -> bool:
    """Whether an action can be used now (or, `everywhere`, after going to its screen)."""
    if action.steers and model.read_only:
        return False
    return everywhere or not action.screens or model.screen in action.screens


def fill(command: str, model: Model) -> str:
    """A command in full: for this bot, and for what is chosen."""
    if not command or command in _OF_NO_BOT:
        return f"quant {command}" * bool(command)
    order, position = orders.chosen(model), positions.chosen(model)
    words = {
        "ID": (order.intent_id[-8:] or order.exchange_order_id) if order else None,
        "SLOT": order.slot if order else None,
        "BOT": model.bot,
        "SYMBOL": position.symbol if position else None,
    }
    told = " ".join(words.get(word) or word for word in command.split())
    return f"quant {told}" + (f" --name {model.bot}" if "BOT" not in command else "")


def _export(model: Model) -> list[Effect]:
    model.dialog = telling.export(model.bot)
    return []


def _reconcile(_: Model) -> list[Effect]:
    return [Do("reconcile", {}, "reconcile")]


def shown_key(key: str) -> str:
    """A key as people write it."""
    return "space" if key == " " else key


_FLATTEN = "positions flatten SYMBOL"
_STATE = ("orders", "positions", "", "events", "status BOT")

ACTIONS: tuple[Action, ...] = (
    Action("enter", "Story of an order", "detail", "orders why ID", detail, (ORDERS,)),
    Action("c", "Cancel an order", "cancel", "orders cancel ID", asking.cancel, (ORDERS,), True),
    Action("a", "Adopt an orphan", "adopt orphan", "orders adopt ID", asking.adopt, (ORDERS,), True),
    Action("p", "Pause or resume slot", "pause slot", "orders pause SLOT", asking.pause, (ORDERS,), True),
    Action("", "Declare order dead", "", "orders declare-dead ID", asking.declare_dead, (ORDERS,), True),
    Action("enter", "Fills of a position", "fills", "fills", detail, (POSITIONS,)),
    Action("f", "Flatten a position", "flatten one", _FLATTEN, asking.flatten, (POSITIONS,), True),
    Action("F", "Flatten all", "flatten all", _FLATTEN, asking.flatten_all, (POSITIONS,), True),
    Action("", "Accept drift", "", "positions accept SYMBOL", asking.accept_drift, (POSITIONS,), True),
    Action("e", "Export to files", "export", "export fills", _export, (POSITIONS,)),
    Action("z", "Group prices", "group ticks", "", _group, (BOOK,)),
    Action("t", "Trades on or off", "trades on/off", "", _prints, (BOOK,)),
    Action("<", "Market before", "", "", _next_market(-1), (BOOK,)),
    Action(">", "Next market", "next symbol", "", _next_market(1), (BOOK,)),
    Action("enter", "An event in full", "detail", "events", detail, (EVENTS,)),
    Action("e", "Events: level", "level", "events", _level, (EVENTS,)),
    Action("y", "All fields", "yaml", "orders show ID -o json", raw),
    Action("w", "Wide table", "wide", "", _wide, (ORDERS, EVENTS)),
    Action("s", "Sort", "sort", "", _sort, (ORDERS,)),
    Action("o", "Copy as JSON", "copy", "", copy),
    Action("r", "Reconcile now", "reconcile now", "reconcile BOT", _reconcile, (), True),
    Action("/", "Filter rows", "", "", _filter, (ORDERS, POSITIONS, EVENTS)),
    Action(" ", "Freeze, or go on", "freeze", "", _freeze),
    *(Action(str(at + 1), f"Go to {SCREENS[at]}", "", _STATE[at], _go(at)) for at in range(len(SCREENS))),
    Action("[", "Back", "", "", _back),
    Action("]", "Forward", "", "", _forward),
    Action("b", "Switch bot", "", "ps", lambda _: [Bots()]),
    Action("?", "Help of this screen", "", "tui --help", help_of),
    Action("ctrl+p", "", "", "", palette),
    Action("ctrl+k", "KILL SWITCH", "", "halt BOT", _kill, (), True),
    Action("", "Resume from a halt", "", "resume BOT", asking.go_on, (), True),
    Action("", "Trust what was found", "", "trust BOT", asking.trust, (), True),
    Action("", "Stop the bot", "", "stop BOT", asking.stop, (), True),
    Action("ctrl+z", "", "", "", lambda _: [Suspend()]),
    Action("q", "Detach: bot goes on", "", "", lambda _: [Detach()]),
    Action("ctrl+c", "", "", "", lambda _: [Detach()]),
)  # fmt: skip


def action_for(key: str, model: Model) -> Action | None:
    """What a key does on the present screen."""
    return next((action for action in ACTIONS if action.key == key and is_there(action, model)), None)


def labelled(model: Model) -> list[tuple[str, str]]:
    """The keys that are told below the present screen: its own first."""
    there = [action for action in ACTIONS if action.label and action.key and is_there(action, model)]
    return [(shown_key(action.key), action.label) for action in there]
