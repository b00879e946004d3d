"""What a dialog is, and the box it is drawn in.  Knows nothing of what is asked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from quantcli.tui.effects import Effect
from quantcli.tui.screens.drawing import Page, Target
from quantcli.tui.typeset import Line, clip, cut, width_of

if TYPE_CHECKING:
    from quantcli.tui.model import Model


class Dialog(Protocol):
    """Something asked, or shown, over the screen."""

    @property
    def is_typing(self) -> bool:
        """Whether keys are letters of a text now."""
        ...

    def draw(self, model: "Model", width: int, height: int) -> Page:
        """Its box, no larger than the screen."""
        ...

    def press(self, model: "Model", key: str) -> list[Effect]:
        """A key, or a character, was pressed; what is to be done then."""
        ...


def box(title: str, lines: Sequence[Line], width: int, height: int, targets: Sequence[Target] = ()) -> Page:
    """Lines in a frame of at most this size; what does not fit is left out below."""
    inner = width - 4
    name = cut(title, inner - 2)
    before = (width - 2 - width_of(name) - 2) // 2
    after = width - 2 - width_of(name) - 2 - before
    framed: list[Line] = [[("┌" + "─" * before + " ", ""), (name, "strong"), (" " + "─" * after + "┐", "")]]
    for line in lines[: height - 2]:
        framed.append([("│ ", ""), *clip(list(line), inner), (" │", "")])
    framed.append([("└" + "─" * (width - 2) + "┘", "")])
    return Page(framed, [Target(t.y + 1, t.x + 2, t.width, t.what) for t in targets])


def edited(text: str, key: str) -> str | None:
    """A text after a key of typing; `None` if the key is none."""
    if key == "backspace":
        return text[:-1]
    if key == "ctrl+u":
        return ""
    return text + key if len(key) == 1 and key.isprintable() else None
