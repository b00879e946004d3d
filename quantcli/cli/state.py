"""Where facts come from: the running bot, over its socket, or else its state database.

Chooses the bot, asks it how it is, and says how fresh the answer is.  Both ways give the same structs
(`runtime.control.wire`), so that every table has one source.  Changes nothing.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

import typer

from quantcli.cli.ledger import owner_pid, remark_of
from quantcli.cli.output import note, timestamp
from quantcli.cli.remembered import Remembered, remember
from quantcli.clock import WallClock
from quantcli.errors import (
    DaemonAbsent,
    NotFoundError,
    OutcomeUnknown,
    RemoteError,
    UsageError,
    ValidationError,
)
from quantcli.model.instrument import Symbol
from quantcli.places import Project, find_project, sockets
from quantcli.runtime.control.client import Client, client_of
from quantcli.runtime.control.wire import (
    EventList,
    FillList,
    OrderList,
    PositionList,
    Status,
    Story,
)

if TYPE_CHECKING:
    from quantcli.runtime.world import World


def _bots() -> list[str]:
    return find_project().bots()


_MOST_ROWS = 10_000  # that a bot gives at a time
_WHICH = "Which bot; not needed where there is only one."
NameOption = Annotated[str | None, typer.Option("--name", help=_WHICH, autocompletion=_bots)]
BotArgument = Annotated[str | None, typer.Argument(metavar="[BOT]", help=_WHICH, autocompletion=_bots)]
LiveOption = Annotated[
    bool, typer.Option("--require-live", help="Fail with 3, rather than show what is remembered.")
]
SymbolOption = Annotated[
    str | None, typer.Option("--symbol", metavar="SYMBOL", help="Only this market: BTC/USDT or btcusdt.")
]


class Bot(NamedTuple):
    """A bot of a project."""

    project: Project
    name: str

    @property
    def client(self) -> Client | None:
        """The way to it, if it seems to run."""
        return client_of(self.project, self.name)

    @property
    def is_running(self) -> bool:
        """Whether a process holds the lock beside its database."""
        return owner_pid(self.project.database(self.name)) is not None


class Facts(Protocol):
    """What is known of one bot.

    `stale` says that it does not run, `as_of_ns` when this was true; `now_ns` is the bot's own clock, which
    may be a recording's.  The lists are as of the moment in them.
    """

    bot: str

    @property
    def stale(self) -> bool:
        """Nobody keeps this up to date."""
        ...

    @property
    def as_of_ns(self) -> int:
        """When this was true."""
        ...

    @property
    def now_ns(self) -> int:
        """The bot's own time."""
        ...

    @property
    def status(self) -> Status | None:
        """How the bot says it is, if it runs."""
        ...

    def orders(self, settled: bool = False) -> OrderList:
        """Wishes and what the exchange has of them; with `settled` all there ever were."""
        ...

    def positions(self) -> PositionList:
        """What is held."""
        ...

    def fills(self) -> FillList:
        """Every execution, newest first."""
        ...

    def events(self, since_ns: int = 0, after: int = 0) -> EventList:
        """What happened since a moment and after a number, oldest first."""
        ...

    def story(self, name: str) -> Story:
        """One order's story."""
        ...


class Told:
    """A running bot, by its own word; what is settled, from its database, where all of that is."""

    stale = False

    def __init__(self, bot: Bot, client: Client, status: Status) -> None:
        self.bot = bot.name
        self.client = client
        self._database = bot.project.database(bot.name)
        self.status: Status = status
        self.as_of_ns = WallClock().now_ns()
        self.now_ns = status.now_ns

    def orders(self, settled: bool = False) -> OrderList:
        """Wishes and what the exchange has of them; with `settled` all there ever were."""
        told = self.client.get("orders", OrderList)
        if not settled:
            return told
        listed = {item.intent_id for item in told.items}
        past = remember(self.bot, self._database, settled=True).orders(settled=True).items
        ended = tuple(item for item in past if item.intent_id and item.intent_id not in listed)
        return OrderList(told.as_of_ns, (*ended, *told.items))

    def positions(self) -> PositionList:
        """Holdings and the wallet."""
        return self.client.get("positions", PositionList)

    def fills(self) -> FillList:
        """Every execution, newest first."""
        told = self.client.get("fills", FillList, limit=_MOST_ROWS)
        if told.total <= len(told.items):
            return told
        known = remember(self.bot, self._database, settled=False).fills()
        return FillList(told.as_of_ns, known.items, known.total)

    def events(self, since_ns: int = 0, after: int = 0) -> EventList:
        """What happened in this run, oldest first."""
        told = self.client.get("events", EventList, after=after, limit=_MOST_ROWS)
        items = [item for item in told.items if item.number > after and item.at_ns >= since_ns]
        return EventList(told.as_of_ns, tuple(items))

    def story(self, name: str) -> Story:
        """One order's story; the bot refuses as `one_order` does."""
        return self.client.get(f"orders/{name}", Story)


def facts(name: str | None, require_live: bool = False, settled: bool = False) -> Facts:
    """What is known of the bot called `name`, or of the only one; `settled` has its whole history read.

    Raises `NotFoundError` where there is none, `UsageError` where several are, `StoreError`, and
    `DaemonAbsent` where it would have to run.
    """
    bot = the_bot(name)
    if (told := ask(bot)) is not None:
        return told
    if require_live:
        raise absent(bot.name)
    return remember(bot.name, bot.project.database(bot.name), settled)


def remembered(name: str | None, settled: bool = False) -> Remembered:
    """What the database of a bot says, whether it runs or not; raises as `facts`."""
    bot = the_bot(name)
    return remember(bot.name, bot.project.database(bot.name), settled)


def ask(bot: Bot) -> Told | None:
    """The bot itself; `None` if it does not run, or is in no state to answer, which is noted."""
    client = bot.client
    if client is None:
        return None
    try:
        status = client.get("status", Status)
    except DaemonAbsent:  # a crash left its socket behind
        return None
    except (OutcomeUnknown, RemoteError) as error:
        note(f"{error.what}; what follows is what it wrote down")
        return None
    if status.state == "starting":
        note(f"{bot.name} is starting; what follows is what it wrote down")
        return None
    if status.state in ("stuck", "failed"):
        note(f"{bot.name} is {status.state}: {status.why}" if status.why else f"{bot.name} is {status.state}")
    return Told(bot, client, status)


def running(name: str | None) -> tuple[Bot, Client]:
    """A bot that has to run, and the way to it; raises `DaemonAbsent`, else as `facts`."""
    bot = the_bot(name)
    client = bot.client
    if client is None:
        raise absent(bot.name)
    return bot, client


def live_world(bot: Bot) -> "World | None":
    """Where a bot trades live, as its database remembers; `None` if it trades on paper."""
    world = world_of_bot(bot)
    return world if world is not None and world.is_live else None


def world_of_bot(bot: Bot) -> "World | None":
    """Where a bot's orders are, as its database remembers; `None` if that was never said."""
    import msgspec

    from quantcli.runtime.world import WORLD_META, World

    known = remark_of(bot.project.database(bot.name), WORLD_META)
    return None if known is None else msgspec.json.decode(known, type=World)


def name_to_type(bot: Bot, told: Told | None) -> str:
    """What has to be typed before something is done with a bot: its name, if it is about money; else
    nothing."""
    if told is not None:
        return bot.name if told.status.world == "LIVE" else ""
    world = live_world(bot)
    return bot.name if world is not None and world.endpoint is None else ""


def absent(bot: str) -> DaemonAbsent:
    """The bot would have to run."""
    return DaemonAbsent(
        f"{bot} is not running",
        why="this needs the bot itself",
        todo=f"quant trade --name {bot} --strategy FILE",
    )


def headline(found: Facts) -> str:
    """What stands above a listing that nobody keeps up to date; empty for one that is."""
    return f"STALE as of {timestamp(found.as_of_ns)}, {found.bot} is not running\n" if found.stale else ""


def subject(found: Facts) -> str:
    """Whose state this is, for the last line of a table."""
    status = found.status
    if found.stale:
        return found.bot
    if status is None:
        return f"{found.bot} is running"
    halted = "" if status.halt_level in ("", "NONE") else f", {status.halt_level}: {status.halt_reason}"
    return f"{found.bot} {status.exchange} {status.world}{halted}"


def which(bot: str | None, name: str | None) -> str | None:
    """The name given, before or behind `--name`.  Raises `UsageError` for two."""
    if bot is not None and name is not None and bot != name:
        raise UsageError(f"{bot} and --name {name} together", todo="name one bot")
    return bot if bot is not None else name


def the_bot(name: str | None) -> Bot:
    """The bot that is meant: one of this project, or by its name a running one of another."""
    project = find_project()
    if name is not None and name not in project.bots() and (elsewhere := _elsewhere(name)) is not None:
        return elsewhere
    return Bot(project, choose(project, name))


def _elsewhere(name: str) -> Bot | None:
    """A bot of this name that runs in another project, if there is just one."""
    found = []
    for path in sockets(os.environ):
        if path.name.startswith(f"{name}."):
            try:
                status = Client(path, name).get("status", Status)
            except (DaemonAbsent, OutcomeUnknown, RemoteError):
                continue
            if status.bot == name and status.project:
                found.append(Bot(Project(Path(status.project)), name))
    return found[0] if len(found) == 1 else None


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


def market(text: str | None, known: Iterable[str]) -> str | None:
    """The canonical name of the market meant, one of the `known` if it can be: `btcusdt` is understood too.

    Raises `UsageError`.
    """
    if text is None:
        return None
    names = sorted(set(known), key=lambda name: (":" in name, name))  # a spot market before its future
    letters = _letters(text)
    for name in names:
        if text.upper() == name or letters in (_letters(name), _letters(name.partition(":")[0])):
            return name
    try:
        return Symbol.parse(text).name
    except ValidationError:
        raise UsageError(
            f"{text!r} is no market of this bot",
            why=f"it knows {', '.join(names)}" if names else "it knows none yet",
            todo="write it like BTC/USDT, BTC/USDT:USDT or btcusdt",
        ) from None


def _letters(text: str) -> str:
    return "".join(char for char in text.upper() if char.isalnum())
