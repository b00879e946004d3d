"""The screen as an SVG picture, drawn without a terminal: for documents, the same for the same model.

Uses the same lines and the same table of styles as the terminal does.
"""

import io

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from quantcli.tui import theme, view
from quantcli.tui.model import Model
from quantcli.tui.typeset import Line

_THEME = TerminalTheme(
    (24, 26, 31),
    (215, 218, 224),
    [(40, 44, 52), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221),
     (86, 182, 194), (171, 178, 191)],
    [(92, 99, 112), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221),
     (86, 182, 194), (255, 255, 255)],
)  # fmt: skip


def screenshot(model: Model, size: tuple[int, int] = (80, 24), title: str = "") -> str:
    """The present screen of a model as SVG, in a window of `size` (width, height) cells."""
    width, height = size
    console = Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        record=True, legacy_windows=False, highlight=False, no_color=False, emoji=False, _environ={},
    )  # fmt: skip
    for line in view.draw(model, width, height).lines:
        console.print(_text(line), no_wrap=True, overflow="crop", crop=True)
    return console.export_svg(title=title or f"quant tui {model.bot}", theme=_THEME, unique_id="quant")


def _text(line: Line) -> Text:
    text = Text(end="")
    for part, style in line:
        text.append(part, Style.parse(theme.look(style)))
    text.append("\n")
    return text
