"""What the listings read: one bot's state database, opened read-only, whether the bot runs or not.

Chooses the bot, reads everything of it at once, and says how fresh that is.  Never writes.
"""

import asyncio
import fcntl
import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from quantcli.cli.drift import Wanted, suffix_length, updated_ns
from quantcli.cli.output import timestamp
from quantcli.clock import WallClock
from quantcli.config import Project, find_project
from quantcli.errors import NotFoundError, UsageError
from quantcli.model.order import Fill, OrderIntent, OrderState
from quantcli.store.sqlite import open_readonly

NameOption = Annotated[
    str | None, typer.Option("--name", help="Which bot; not needed where there is only one.")
]


class Remembered:
    """Everything one bot's database says.

    `as_of_ns` is now while the bot runs, else the time of the last change; `stale` says it does not run.
    """

    def __init__(
        self,
        bot: str,
        intents: list[OrderIntent],
        attempts: list[OrderState],
        fills: list[Fill],
        running: bool,
    ) -> None:
        self.bot = bot
        self.fills = fills
        self.stale = not running
        known = {intent.intent_id for intent in intents}
        self.strays = [a for a in attempts if a.intent_id not in known and not a.state.is_closed]
        of_intent = defaultdict(list)
        for attempt in attempts:
            of_intent[attempt.intent_id].append(attempt)
        self.wanted = [Wanted(intent, tuple(of_intent[intent.intent_id])) for intent in intents]

    @cached_property
    def changed_ns(self) -> int:
        """When the database last changed, by the bot's own clock; 0 if it is empty."""
        stamps = [updated_ns(wanted) for wanted in self.wanted]
        return max(stamps + [fill.exchange_ns for fill in self.fills], default=0)

    @property
    def as_of_ns(self) -> int:
        """The moment that this is the state of."""
        return self.changed_ns if self.stale else WallClock().now_ns()

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
        """The intent that an id names, or its unique beginning or end.

        Raises `NotFoundError` for none, `UsageError` for several.
        """
        ids = {wanted.intent.intent_id: wanted for wanted in self.wanted}
        if name in ids:
            return ids[name]
        found = [i for i in ids if name and (i.startswith(name) or i.endswith(name))]
        if not found:
            raise NotFoundError(
                f"no order of {self.bot} is called {name!r}",
                why="it is neither an intent id nor the beginning or end of one",
                todo=f"quant orders --all --name {self.bot}",
            )
        if len(found) > 1:
            raise UsageError(
                f"{name!r} could be {len(found)} orders",
                why="\n".join(found[:10]) + ("\n…" if len(found) > 10 else ""),
                todo="give more of the id",
            )
        return ids[found[0]]


def remembered(name: str | None) -> Remembered:
    """Read the state of the bot called `name`, or of the only one.

    Raises `NotFoundError` where there is none, `UsageError` where several are, `StoreError`.
    """
    project = find_project()
    return asyncio.run(_read(project, choose(project, name)))


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


async def _read(project: Project, bot: str) -> Remembered:
    path = project.database(bot)
    async with open_readonly(path) as store:
        # Attempts first: one never becomes durable before its intent, so that none can seem a stray.
        attempts = await store.orders.list_order_states()
        intents = await store.intents.list_intents()
        return Remembered(bot, intents, attempts, await store.fills(), is_running(path))


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
