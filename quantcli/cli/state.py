"""What the listings read: one bot's state database, opened read-only, whether the bot runs or not.

Chooses the bot, reads what is wanted of it as of one moment, and says how fresh that is.  Never writes.
"""

import asyncio
import fcntl
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from quantcli.cli.output import timestamp
from quantcli.clock import WallClock
from quantcli.errors import NotFoundError, UsageError
from quantcli.model.order import OrderState
from quantcli.places import Project, find_project
from quantcli.runtime.control.rows import Wanted, suffix_length, updated_ns
from quantcli.store.api import JournalEntry, Loaded
from quantcli.store.sqlite import open_readonly

if TYPE_CHECKING:
    from quantcli.runtime.world import World

NameOption = Annotated[
    str | None, typer.Option("--name", help="Which bot; not needed where there is only one.")
]


class Remembered:
    """What one bot's database says: its unsettled wishes (or all of them) and every fill.

    `stale` says that the bot does not run, `as_of_ns` when this was true: now, or when the file was last
    written.  `strays` are open orders whose wish is not there.
    """

    def __init__(self, bot: str, rows: Loaded, stale: bool, as_of_ns: int) -> None:
        self.bot = bot
        self.fills = rows.fills
        self.stale = stale
        self.as_of_ns = as_of_ns
        of_intent: dict[str, list[OrderState]] = {intent.intent_id: [] for intent in rows.intents}
        unclaimed: list[OrderState] = []
        for attempt in rows.states:
            of_intent.get(attempt.intent_id, unclaimed).append(attempt)
        self.strays = [attempt for attempt in unclaimed if not attempt.state.is_closed]
        self.wanted = [Wanted(intent, tuple(of_intent[intent.intent_id])) for intent in rows.intents]

    @cached_property
    def changed_ns(self) -> int:
        """When anything here last changed, by the bot's own clock, which may be a recording's; 0 if it is
        empty."""
        stamps = [updated_ns(wanted) for wanted in self.wanted]
        return max(stamps + [fill.exchange_ns for fill in self.fills], default=0)

    @property
    def headline(self) -> str:
        """Whose state this is, for the last line of a table."""
        if not self.stale:
            return f"{self.bot} is running"
        return f"{self.bot} is not running; this is as of {timestamp(self.as_of_ns)}"

    @cached_property
    def id_length(self) -> int:
        """How many last characters of an intent id name it here."""
        return suffix_length([wanted.intent.intent_id for wanted in self.wanted])

    def find(self, name: str) -> Wanted:
        """The wish that an intent id names, or its beginning or end; one that is not settled comes before
        those that are.

        Raises `NotFoundError` for none, `UsageError` for several.
        """
        found = [
            wanted
            for wanted in self.wanted
            if name and (wanted.intent.intent_id.startswith(name) or wanted.intent.intent_id.endswith(name))
        ]
        found = [wanted for wanted in found if not wanted.intent.phase.is_terminal] or found
        if not found:
            raise NotFoundError(
                f"no order of {self.bot} is called {name!r}",
                why="it is neither an intent id nor the beginning or end of one",
                todo=f"quant orders --all --name {self.bot}",
            )
        if len(found) > 1:
            raise UsageError(
                f"{name!r} could be {len(found)} orders",
                why="\n".join(wanted.intent.intent_id for wanted in found[:10]),
                todo="give more of the id",
            )
        return found[0]


def remembered(name: str | None, settled: bool = False) -> Remembered:
    """Read the state of the bot called `name`, or of the only one; with `settled`, its whole history.

    Raises `NotFoundError` where there is none, `UsageError` where several are, `StoreError`.
    """
    project = find_project()
    bot = choose(project, name)
    return asyncio.run(_read(bot, project.database(bot), settled))


def journal(bot: str, intent_id: str) -> list[JournalEntry]:
    """What happened to one wish of a bot, oldest first; raises as `remembered` does."""
    return asyncio.run(_read_journal(find_project().database(bot), intent_id))


async def _read_journal(path: Path, intent_id: str) -> list[JournalEntry]:
    async with open_readonly(path) as store:
        return await store.journal(intent_id)


def live_world(bot: str) -> "World | None":
    """Where a bot trades live; `None` if it trades on paper."""
    from quantcli.runtime.world import world_of

    async def read() -> "World | None":
        async with open_readonly(find_project().database(bot)) as store:
            return await world_of(store)

    world = asyncio.run(read())
    return world if world is not None and world.is_live else None


def choose(project: Project, name: str | None) -> str:
    """The bot that is meant: `name` if it has a database, or the only one that has."""
    bots = project.bots()
    if name is None and len(bots) == 1:
        return bots[0]
    if name in bots:
        return name
    if name is None and bots:
        raise UsageError(
            "there are several bots here", why=f"they are {', '.join(bots)}", todo=f"add --name {bots[0]}"
        )
    raise NotFoundError(
        f"there is no bot called {name!r} here" if name else "no bot has run here yet",
        why=f"{project.state} has " + (f"only {', '.join(bots)}" if bots else "no state database"),
        todo=f"quant trade --paper --strategy FILE --name {name or 'BOT'}",
    )


async def _read(bot: str, path: Path, settled: bool) -> Remembered:
    async with open_readonly(path) as store:
        rows = await (store.everything() if settled else store.load())
        # What a restart needs has the recent fills only.
        rows = replace(rows, fills=tuple(await store.fills()))
    if is_running(path):
        return Remembered(bot, rows, False, WallClock().now_ns())
    return Remembered(bot, rows, True, written_ns(path))


def written_ns(database: Path) -> int:
    """When the database was last written: its log is there only after a crash, or empty because we read."""
    log = Path(f"{database}-wal")
    files = [database, log] if log.exists() and log.stat().st_size else [database]
    return max(file.stat().st_mtime_ns for file in files)


def is_running(database: Path) -> bool:
    """Whether a bot holds the lock beside its database."""
    try:
        lock = os.open(f"{database}.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
