"""`quant ps`: all bots of this user that run, and those of this project that do not."""

import os

import msgspec

from quantcli.cli.output import Output, OutputOption, Shape, columns, envelope
from quantcli.cli.state import Bot
from quantcli.cli.status import status_of
from quantcli.cli.watching import Shown, WatchOption, present
from quantcli.clock import WallClock
from quantcli.errors import DaemonAbsent, OutcomeUnknown, RemoteError, StoreError
from quantcli.places import find_project, sockets
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.rows import age
from quantcli.runtime.control.wire import Status


class BotItem(msgspec.Struct, frozen=True):
    """A bot: which, where, and how it is; `pid` 0 and `started_ns` 0 where it does not run."""

    name: str
    pid: int
    world: str
    exchange: str
    state: str
    started_ns: int
    halt: str
    project: str
    why: str = ""


_SHAPE = Shape(BotItem, ("name",))


def command(watch: WatchOption = None, output: OutputOption = Output.TABLE) -> None:
    """List bots: those that run, in any project, and those of this project that do not."""
    present(_look, output, watch)


def _look() -> Shown:
    now_ns = WallClock().now_ns()
    items = bots()
    return Shown(
        envelope("BotList", items, now_ns),
        lambda: _table(items, now_ns),
        lambda: _table(items, now_ns, is_wide=True),
        _SHAPE,
    )


def bots() -> list[BotItem]:
    """Running bots of this user, then this project's others."""
    found: dict[tuple[str, str], BotItem] = {}
    for path in sockets(os.environ):
        name = path.name.split(".")[0]
        try:
            status = Client(path, name).get("status", Status)
        except DaemonAbsent:
            continue  # a crash left its socket behind
        except (OutcomeUnknown, RemoteError) as error:
            found["", str(path)] = BotItem(name, 0, "", "", "stuck", 0, "", "", error.what)
            continue
        found[status.project, status.bot] = _item(status)
    project = find_project()
    for name in project.bots():
        if (str(project.root), name) not in found:
            try:
                status, _ = status_of(Bot(project, name))
            except StoreError as error:
                found["", name] = BotItem(name, 0, "", "", "unreadable", 0, "", str(project.root), error.what)
            else:
                found["", name] = _item(status)
    return list(found.values())


def _item(status: Status) -> BotItem:
    halt = "" if status.halt_level == "NONE" else status.halt_level
    return BotItem(
        status.bot,
        status.pid,
        status.world,
        status.exchange,
        status.state,
        status.started_ns,
        halt,
        status.project,
        status.why,
    )


def _table(items: list[BotItem], now_ns: int, is_wide: bool = False) -> str:
    headers = ["NAME", "PID", "WORLD", "EXCHANGE", "STATE", "UP", "HALT", "PROJECT"]
    rows = [
        [
            item.name,
            str(item.pid or "-"),
            item.world or "-",
            item.exchange or "-",
            item.state,
            age(item.started_ns, now_ns) if item.started_ns else "-",
            item.halt or "-",
            item.project or "-",
        ]
        for item in items
    ]
    if is_wide:
        headers.append("WHY")
        rows = [[*row, item.why or "-"] for row, item in zip(rows, items, strict=True)]
    running = sum(item.state not in ("stopped", "unreadable") for item in items)
    table = columns(headers, rows, right={"PID", "UP"}) + "\n" if rows else ""
    return f"{table}{len(items)} {'bot' if len(items) == 1 else 'bots'}, {running} running"
