"""What makes a trading program a bot that can be found, watched and steered while it runs.

Its log, its socket, messages to people, figures for scrapers, word to the service manager, the line at the
bottom of a terminal.  None of it is needed to trade, and none of it may stop trading.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from importlib.metadata import version

from quantcli.cli.status_line import StatusLine
from quantcli.clock import SteadyClock, WallClock
from quantcli.config import Config
from quantcli.places import Project, socket_path
from quantcli.runtime.control.bridge import About, Bridge
from quantcli.runtime.control.log import open_log
from quantcli.runtime.control.metrics import Picture, exposition, serve
from quantcli.runtime.control.notify import open_notifier
from quantcli.runtime.control.plane import Companion, ControlPlane
from quantcli.runtime.control.systemd import tell, watchdog_interval

_READY_EVERY_S = 0.1
# A loop that has not answered for so long is not alive.
_DEAD_S = 5.0


def about(
    project: Project, bot: str, exchange: str, endpoint: str, world: str, strategy: str, home: str
) -> About:
    """What is known of a bot before it has begun."""
    return About(
        bot,
        exchange,
        endpoint,
        world,
        strategy,
        (),
        WallClock().now_ns(),
        str(project.root),
        str(project.log(bot)),
        version("quantcli"),
        home,
    )


@contextmanager
def present(found: About, project: Project, config: Config) -> Iterator[tuple[Bridge, StatusLine | None]]:
    """While this lasts, the bot is there for others; yields where its run is to seat itself."""
    bridge, bot = Bridge(found, SteadyClock()), found.bot
    with ExitStack() as stack:
        log = open_log(project.log(bot), bot)
        stack.callback(log.close)
        bridge.notes.subscribe(log.take)
        _notify(stack, bridge, config, bot)
        line = StatusLine(sys.stderr) if sys.stderr.isatty() else None
        companions: list[Companion] = [_service]
        if line is not None:
            companions.append(_followed(line))
            stack.enter_context(redirect_stderr(line.above(sys.stderr)))
        path = socket_path(project, bot, os.environ)
        plane = ControlPlane(bridge, path, project.halt_flag(bot), tuple(companions))
        plane.server.metrics = _metrics(plane)
        bridge.notes.add("started", f"{found.strategy} on {found.exchange}, {found.world}, pid {found.pid}")
        stack.enter_context(plane)
        if config.metrics.listen is not None:
            stack.callback(serve(config.metrics.listen, lambda: plane.picture(Picture)))
        yield bridge, line
        bridge.notes.add("stopped", f"{bot} has stopped")


def _notify(stack: ExitStack, bridge: Bridge, config: Config, bot: str) -> None:
    def failed(why: str) -> None:
        bridge.notes.add("notify", why, "error")

    notifier = open_notifier(config.notify.urls, config.notify.level, bot, failed)
    if notifier is not None:
        stack.callback(notifier.close)
        bridge.notes.subscribe(notifier.take)


def _metrics(plane: ControlPlane) -> Callable[[], Awaitable[tuple[bytes, str]]]:
    async def collect() -> tuple[bytes, str]:
        return exposition(Picture(*await plane.figures()))

    return collect


def _followed(line: StatusLine) -> Companion:
    async def follow(plane: ControlPlane) -> None:
        await line.follow(plane.server.status)

    return follow


async def _service(plane: ControlPlane, environment: Mapping[str, str] = os.environ) -> None:
    """Tell the service manager when we are ready, that we live, and that we stop."""
    every_s, is_ready = watchdog_interval(environment), False
    try:
        while True:
            if not is_ready and plane.bridge.state == "trading":
                is_ready = True
                tell(environment, READY="1", STATUS=f"trading with {plane.bridge.about.strategy}")
            if every_s is not None and plane.watchman.waits_s < _DEAD_S:
                tell(environment, WATCHDOG="1")
            await asyncio.sleep(_READY_EVERY_S if not is_ready else every_s or 3600)
    finally:
        tell(environment, STOPPING="1")
