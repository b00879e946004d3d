"""Lists to choose from: the palette of every action, and the bots that run."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from quantcli.tui.dialogs.dialog import box, edited
from quantcli.tui.effects import Effect
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Page, Target, around
from quantcli.tui.typeset import Line, clip, cut, left, right


class Choice(NamedTuple):
    """Something to choose: its name, what it does (a command), the key that does it at once."""

    name: str
    says: str
    key: str
    act: Callable[[Model], list[Effect]]


class Choosing:
    """Typing narrows the list down, Enter takes what is marked."""

    def __init__(self, title: str, choices: Sequence[Choice], empty: str = "nothing is called so") -> None:
        self.title = title
        self.choices = list(choices)
        self.empty = empty
        self.typed = ""
        self.at = 0

    is_typing = True

    @property
    def found(self) -> list[Choice]:
        """What has all the typed words in it; what begins with them comes first."""
        words = self.typed.casefold().split()
        fits = [c for c in self.choices if all(w in f"{c.name} {c.says}".casefold() for w in words)]
        return sorted(fits, key=lambda c: not c.name.casefold().startswith(self.typed.casefold()))

    def draw(self, model: Model, width: int, height: int) -> Page:
        """The typed text, and what it finds."""
        wide = min(width - 2, 110)
        inner = wide - 4
        found = self.found
        room = min(height - 5, max(8, len(self.choices)))
        first, seen = around(found, self.at, room)
        names = min(max([12, *(len(choice.name) for choice in self.choices)]), inner // 2)
        lines: list[Line] = [[("> ", "key"), (self.typed, "strong"), ("█", "")], []]
        targets = []
        for y, choice in enumerate(seen, first):
            is_here = y == self.at
            text = (
                f"{left(choice.name, names)}  {left(choice.says, inner - names - 11)} {right(choice.key, 6)}"
            )
            targets.append(Target(len(lines), 0, inner, f"pick:{y}"))
            lines.append(
                [
                    ("▌ " if is_here else "  ", "mark->" if is_here else ""),
                    (text, "strong" if is_here else ""),
                ]
            )
        if not found:
            lines.append([(cut(self.empty, inner), "dim")])
        lines += [[] for _ in range(room + 2 - len(lines))]
        keys: Line = [
            ("Enter", "key"),
            (" do   ", ""),
            ("Esc", "key"),
            (" back   ", ""),
            ("↑ ↓", "key"),
            (" choose", ""),
        ]
        return box(self.title, [*lines, clip(keys, inner)], wide, height, targets)

    def press(self, model: Model, key: str) -> list[Effect]:
        """Move, narrow, take or close."""
        found = self.found
        if key.startswith("pick:"):
            self.at = int(key.removeprefix("pick:"))
            key = "enter"
        if key in ("escape", "ctrl+p"):
            model.dialog = None
        elif key == "enter":
            if self.at < len(found):
                model.dialog = None
                return found[self.at].act(model)
        elif key in ("down", "tab", "ctrl+n"):
            self.at = min(self.at + 1, len(found) - 1)
        elif key in ("up", "shift+tab"):
            self.at = max(self.at - 1, 0)
        elif (typed := edited(self.typed, key)) is not None:
            self.typed, self.at = typed, 0
        return []
