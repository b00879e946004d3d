"""What the screen shows: the bot's state as told so far, and what the person at the screen has chosen to see.

`Known` is the first, folded from frames; `Model` adds the second.  Nothing is drawn here, and no time is read
but by the clock that was handed over.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from quantcli.runtime.control.wire import (
    BookView,
    EventItem,
    Frame,
    Health,
    OrderItem,
    PositionItem,
    Status,
    Story,
    WalletItem,
)

if TYPE_CHECKING:
    from quantcli.tui.dialogs.dialog import Dialog

SCREENS = ("Orders", "Positions", "Book", "Events", "Health")
LEVELS = ("info", "warn", "error")
SORTS = ("symbol", "state", "age")

_EVENTS_KEPT = 2_000
_NOTICE_NS = 8_000_000_000
_TRAIL = 50


class Known(msgspec.Struct, frozen=True):
    """The bot's state as told so far; `None` where nothing was told yet."""

    status: Status | None = None
    status_at_ns: int = 0
    orders: tuple[OrderItem, ...] | None = None
    positions: tuple[PositionItem, ...] | None = None
    wallet: tuple[WalletItem, ...] | None = None
    equity: tuple[tuple[int, Decimal], ...] | None = None
    book: BookView | None = None
    events: tuple[EventItem, ...] | None = None
    health: Health | None = None
    story: Story | None = None


def fold(known: Known, frame: Frame, now_ns: int) -> Known:
    """The state after a frame: what it tells replaces what was known, its events are added."""
    changes = {
        name: told
        for name in ("orders", "positions", "wallet", "equity", "book", "health", "story")
        if (told := getattr(frame, name)) is not None
    }
    if frame.status is not None:
        changes |= {"status": frame.status, "status_at_ns": now_ns}
    if frame.events is not None:
        before = known.events or ()
        last = before[-1].number if before else 0
        added = tuple(event for event in frame.events if event.number > last)
        changes["events"] = (before + added)[-_EVENTS_KEPT:]
    return msgspec.structs.replace(known, **changes) if changes else known


class View(msgspec.Struct):
    """What is chosen on one screen: the row (by its key), a filter, an order of the rows."""

    chosen: str = ""
    filter: str = ""
    sort: int = 0


class Notice(msgspec.Struct, frozen=True):
    """A line that tells what came of something, for a while."""

    text: str
    until_ns: int
    is_alarm: bool = False


class Model:
    """All that is drawn.

    `bot` is who is watched.  `disconnected_ns` is since when nothing comes from there (`None`: something
    comes).  `frozen` holds the state shown while the newest goes on in `known`.  `dialog` is what is asked
    at present; `typing` says that the filter is being typed.
    """

    def __init__(self, bot: str, clock: Callable[[], int], read_only: bool = False) -> None:
        self.bot = bot
        self.clock = clock
        self.read_only = read_only
        self.begin(bot)

    def begin(self, bot: str) -> None:
        """Watch this bot from now on, of which nothing is known yet."""
        self.bot = bot
        self.known = Known()
        self.frozen: Known | None = None
        self.frozen_ns = 0
        self.disconnected_ns: int | None = None
        self.disconnected_why = ""
        self.is_new_connection = True
        self.screen = 0
        self.views = [View() for _ in SCREENS]
        self.trail: list[tuple[int, str]] = []
        self.ahead: list[tuple[int, str]] = []
        self.dialog: Dialog | None = None
        self.typing = False
        self.wide = False
        self.level = 0
        self.group = 1
        self.prints = True
        self.book_symbol = ""
        self.notice: Notice | None = None

    def take(self, frame: Frame) -> None:
        """A frame came.  The first one of a connection tells everything, of perhaps another run."""
        self.known = fold(Known() if self.is_new_connection else self.known, frame, self.clock())
        self.is_new_connection = False

    def connected(self) -> None:
        """Somebody answers again."""
        self.disconnected_ns, self.disconnected_why = None, ""
        self.is_new_connection = True

    def lost(self, why: str) -> None:
        """Nothing comes any more."""
        if self.disconnected_ns is None:
            self.disconnected_ns = self.clock()
        self.disconnected_why = why

    @property
    def shown(self) -> Known:
        """The state that is drawn."""
        return self.frozen or self.known

    @property
    def status(self) -> Status | None:
        """How the bot is, as drawn."""
        return self.shown.status

    @property
    def view(self) -> View:
        """What is chosen on the present screen."""
        return self.views[self.screen]

    @property
    def now_ns(self) -> int:
        """The bot's time: as it said, and what passed here since (a replay's time runs at its own speed)."""
        status = self.status
        if status is None:
            return self.clock()
        stopped = self.frozen_ns if self.frozen else self.disconnected_ns
        passed = (stopped or self.clock()) - self.shown.status_at_ns
        return status.now_ns + (max(0, passed) if status.world != "REPLAY" else 0)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets this bot trades."""
        return self.status.symbols if self.status else ()

    def say(self, text: str, is_alarm: bool = False) -> None:
        """Tell something for a few seconds."""
        self.notice = Notice(text, self.clock() + _NOTICE_NS, is_alarm)

    @property
    def told(self) -> Notice | None:
        """What is told at present."""
        return self.notice if self.notice is not None and self.clock() < self.notice.until_ns else None

    def go(self, screen: int, chosen: str | None = None) -> None:
        """Show a screen, and remember where we were."""
        self.trail = [*self.trail, self._place][-_TRAIL:]
        self.ahead = []
        self._stand(screen, self.views[screen].chosen if chosen is None else chosen)

    def back(self) -> None:
        """Go where we were before."""
        if self.trail:
            self.ahead.append(self._place)
            self._stand(*self.trail.pop())

    def forward(self) -> None:
        """Go where we came back from."""
        if self.ahead:
            self.trail.append(self._place)
            self._stand(*self.ahead.pop())

    @property
    def _place(self) -> tuple[int, str]:
        return self.screen, self.view.chosen

    def _stand(self, screen: int, chosen: str) -> None:
        self.screen = screen
        self.typing = False
        self.view.chosen = chosen

    def freeze(self) -> None:
        """Hold the picture still, or let it go on."""
        self.frozen, self.frozen_ns = (None, 0) if self.frozen else (self.known, self.clock())
