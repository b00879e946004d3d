"""Something to read: an object in full, an order's story, help, an error.  Scrolls; `o` copies it."""

from collections.abc import Sequence

from quantcli.tui.dialogs.dialog import box
from quantcli.tui.effects import Copy, Effect
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Page
from quantcli.tui.typeset import Line, plain, spread

_STEPS = {"down": 1, "j": 1, "up": -1, "k": -1}


class Reading:
    """A text in a box.  `copied` is what `o` copies: the text, unless something else is better."""

    def __init__(self, title: str, lines: Sequence[Line], copied: str = "") -> None:
        self.title = title
        self.lines = list(lines)
        self.copied = copied or "\n".join(plain(line).rstrip() for line in lines)
        self.top = 0
        self._room = 1

    is_typing = False

    def draw(self, model: Model, width: int, height: int) -> Page:
        """As much of it as fits."""
        wanted = max([40, *(len(plain(line)) + 4 for line in self.lines)])
        wide = min(width - 2, max(60, wanted), 120)
        self._room = max(1, min(len(self.lines), height - 5))
        self.top = max(0, min(self.top, len(self.lines) - self._room))
        seen = self.lines[self.top : self.top + self._room]
        last = self.top + self._room
        where = f"{self.top + 1}-{last} of {len(self.lines)}" if len(self.lines) > self._room else ""
        keys: Line = [("Esc", "key"), (" back", ""), ("   o", "key"), (" copy", "")]
        if where:
            keys += [("   j k", "key"), (" scroll", "")]
        foot: list[Line] = [[], spread(keys, [(where, "dim")], wide - 4)]
        return box(self.title, [*seen, *foot], wide, height)

    def press(self, model: Model, key: str) -> list[Effect]:
        """Scroll, copy, or close."""
        if key in ("escape", "q", "enter", "y", "?"):
            model.dialog = None
        elif key == "o":
            return [Copy(self.copied)]
        elif key in _STEPS:
            self.top += _STEPS[key]
        elif key in ("pagedown", "space", " "):
            self.top += self._room
        elif key == "pageup":
            self.top -= self._room
        elif key in ("g", "home"):
            self.top = 0
        elif key in ("G", "end"):
            self.top = len(self.lines)
        return []
