"""The terminal: shows the picture, at most a few times a second, and hands keys and clicks to `view`.

The one module that knows Textual.  Draws lines with one widget that repaints only the cells that changed.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from quantcli.places import sockets
from quantcli.runtime.control.wire import FRAMES_PER_S, Frame, Refusal
from quantcli.tui import effects, theme, view
from quantcli.tui.dialogs import telling
from quantcli.tui.dialogs.choosing import Choice, Choosing
from quantcli.tui.link import Link, status_at
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Page
from quantcli.tui.typeset import Line, length

# Keys whose character is not what they are called here.
_NAMED = frozenset(("enter", "escape", "tab", "backspace"))


class Picture(Widget):
    """Lines of spans in all the cells there are."""

    DEFAULT_CSS = "Picture { width: 100%; height: 100%; }"
    ALLOW_SELECT = False
    can_focus = True

    def __init__(self, resized: Callable[[], None]) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._resized = resized

    def on_resize(self) -> None:
        """The terminal has another size."""
        self._resized()

    def show(self, lines: list[Line]) -> None:
        """Show these lines; repaints where they differ from those before."""
        if len(lines) != len(self._lines):
            self._lines = lines
            self.refresh()
            return
        regions = []
        for y, (old, new) in enumerate(zip(self._lines, lines, strict=True)):
            if old != new:
                start, end = changed(old, new)
                regions.append(Region(start, y, end - start, 1))
        self._lines = lines
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """One line, as the terminal gets it."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width)
        line = self._lines[y]
        return Strip([Segment(text, look(style)) for text, style in line], length(line))


@lru_cache(maxsize=256)
def look(style: str) -> Style:
    """How a style is shown."""
    return Style.parse(theme.look(style))


def changed(old: Line, new: Line) -> tuple[int, int]:
    """The cells in which two lines differ, at most."""
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    start = length(new[:same])
    if old[same:] and new[same:] and length(old) == length(new):
        tail = 0
        limit = min(len(old), len(new)) - same - 1
        while tail < limit and old[-1 - tail] == new[-1 - tail]:
            tail += 1
        return start, max(start + 1, length(new[: len(new) - tail]), length(old[: len(old) - tail]))
    return 0, max(length(old), length(new))


class Screen(App[None]):
    """The screen of a bot.  `path` is its socket; without one and without a name in the model, one of the
    running bots is to be chosen first."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []
    CSS = "Screen { background: ansi_default; color: ansi_default; }"

    def __init__(
        self,
        model: Model,
        path: Path | None,
        environment: Mapping[str, str] = os.environ,
        frames_per_s: int = FRAMES_PER_S,
    ) -> None:
        super().__init__(ansi_color=True)  # the terminal's own background and sixteen colours
        self.model = model
        self._path = path
        self._environment = environment
        self._picture = Picture(self.paint)
        self._page = Page([])
        self._link: Link | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._every_s = 1 / frames_per_s
        self._bindings.key_to_bindings.clear()  # every key is ours, ctrl+q too

    def compose(self) -> ComposeResult:
        """One widget."""
        yield self._picture

    def on_mount(self) -> None:
        """Begin to watch, and to paint."""
        self.theme = "ansi-dark"
        self._picture.focus()
        if self._path is not None:
            self.watch_bot(self._path)
        elif not self.model.bot:
            self._carry_out([effects.Bots()])
        self.set_interval(self._every_s, self.paint)
        self.paint()

    def watch_bot(self, path: Path) -> None:
        """Watch the bot at a socket, and nobody else."""
        if self._watching is not None:
            self._watching.cancel()
        model = self.model
        self._link = Link(path, self._take, model.connected, model.lost)
        self._watching = self._start(self._link.run())

    def _take(self, frame: Frame) -> None:
        is_first = self.model.known.status is None
        self.model.take(frame)
        if is_first:
            self.paint()

    def paint(self) -> None:
        """Bring the picture up to date."""
        if self._link is not None:
            self._link.look(view.look(self.model))
        width, height = self._picture.size
        if not width or not height:  # not laid out yet
            return
        self._page = view.draw(self.model, width, height)
        self._picture.show(self._page.lines)

    async def on_event(self, event: events.Event) -> None:
        """Keys and pasted texts are the view's, before any widget has them."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            key = event.key if event.key in _NAMED or not event.is_printable else event.character
            self._carry_out(view.press(self.model, key or event.key))
            self.paint()
        elif isinstance(event, events.Paste) and not event.is_forwarded:
            if view.is_typing(self.model):
                for character in event.text:
                    view.press(self.model, character)
                self.paint()
        elif not isinstance(event, events.Key):
            await super().on_event(event)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A click is the view's."""
        self._carry_out(view.click(self.model, self._page, event.x, event.y))
        self.paint()

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves."""
        self._turn("down")

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves."""
        self._turn("up")

    def _turn(self, key: str) -> None:
        view.press(self.model, key)
        self.paint()

    def _carry_out(self, wanted: list[effects.Effect]) -> None:
        for effect in wanted:
            match effect:
                case effects.Detach():
                    self.exit()
                case effects.Suspend():
                    self.action_suspend_process()
                case effects.Copy(text):
                    self.copy_to_clipboard(text)
                    self.model.say(f"copied {len(text):,} characters to the terminal's clipboard")
                case effects.Do():
                    self._start(self._do(effect))
                case effects.Fills(symbol):
                    self._start(self._show_fills(symbol))
                case effects.Bots():
                    self._start(self._choose_bot())
                case effects.Switch(bot, path):
                    self.model.begin(bot)
                    self.watch_bot(path)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _do(self, word: effects.Do) -> None:
        if self._link is None:
            return
        self.model.say(f"{word.about} …")
        self.paint()
        told = await self._link.do(word.verb, word.words)
        if isinstance(told, Refusal):
            self.model.notice = None
            self.model.dialog = telling.refusal(word.about, told)
        else:
            self.model.say(told.what or f"{word.about}: done")
        self.paint()

    async def _show_fills(self, symbol: str) -> None:
        if self._link is None:
            return
        told = await self._link.fills(symbol)
        if isinstance(told, Refusal):
            self.model.dialog = telling.refusal(f"reading fills of {symbol}", told)
        else:
            self.model.dialog = telling.fills(symbol, told.items, told.total)
        self.paint()

    async def _choose_bot(self) -> None:
        paths = sockets(self._environment)
        found = await asyncio.gather(*(status_at(path) for path in paths))
        choices = [
            Choice(
                status.bot,
                f"{status.exchange} [{status.world}] {status.state}  {status.project}",
                "",
                _switch(status.bot, path),
            )
            for path, status in zip(paths, found, strict=True)
            if status is not None
        ]
        self.model.dialog = Choosing("running bots", choices, "no bot runs; begin one with quant trade …")
        self.paint()

    async def on_unmount(self) -> None:
        """Let go of the bot."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _switch(bot: str, path: Path) -> Callable[[Model], list[effects.Effect]]:
    return lambda _: [effects.Switch(bot, path)]
