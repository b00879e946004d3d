"""Are you sure: the numbers, the command that does the same, and two buttons; "back" is the default."""

from collections.abc import Callable, Sequence

from quantcli.tui.dialogs.dialog import box, edited
from quantcli.tui.effects import Effect
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Page, Target
from quantcli.tui.typeset import Line, cut

_OTHER = frozenset(("tab", "shift+tab", "left", "right"))


class Confirm:
    """A question about something that changes what the bot does.

    `act` makes the effects, of what was typed.  `entry` is what is asked to be typed ("" for nothing);
    `must_be` is what it has to be (a bot's name, typed to show that it is meant).
    """

    def __init__(
        self,
        title: str,
        facts: Sequence[str],
        command: str,
        button: str,
        act: Callable[[str], list[Effect]],
        entry: str = "",
        must_be: str = "",
    ) -> None:
        self.title = title
        self.facts = facts
        self.command = command
        self.button = button
        self.act = act
        self.entry = entry
        self.must_be = must_be
        self.typed = ""
        self.is_on_button = False

    def draw(self, model: Model, width: int, height: int) -> Page:
        """The facts, the command, the buttons."""
        wide = min(76, width - 2)
        lines: list[Line] = [[], *([(cut(fact, wide - 4), "")] for fact in self.facts), []]
        if self.entry:
            lines += [[(f"{self.entry}: ", ""), (self.typed, "strong"), ("█", "")], []]
        lines += [[("the same: ", "dim"), (self.command, "")], []]
        back, button = "[ Back ]", f"[ {self.button} ]"
        y = len(lines)
        lines.append(
            [
                ("  ", ""),
                (back, "" if self.is_on_button else "button"),
                ("    ", ""),
                (button, "button" if self.is_on_button else "" if self._is_ready else "dim"),
                ("    Tab Enter   Esc: back", "dim"),
            ]
        )
        targets = [Target(y, 2, len(back), "key:escape"), Target(y, 6 + len(back), len(button), "key:act")]
        return box(self.title, lines, wide, height, targets)

    @property
    def is_typing(self) -> bool:
        """Whether keys are letters now."""
        return bool(self.entry)

    @property
    def _is_ready(self) -> bool:
        return not self.must_be or self.typed == self.must_be

    def press(self, model: Model, key: str) -> list[Effect]:
        """Choose a button, type, act or close."""
        if key == "escape" or (key == "enter" and not self.is_on_button):
            model.dialog = None
        elif key in _OTHER:
            self.is_on_button = not self.is_on_button
        elif key in ("enter", "act"):
            if self._is_ready:
                model.dialog = None
                return self.act(self.typed)
            model.say(f"type {self.must_be} first", is_alarm=True)
        elif self.entry and (typed := edited(self.typed, key)) is not None:
            self.typed = typed[:40]
        return []
