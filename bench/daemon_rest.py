"""`make bench-operate`: what a bot at rest takes: memory and CPU, unseen, with its controls, and watched.

Each is a bot of its own on a sandbox of its own, with two orders that rest, looked at after a minute:

out of reach   there is nowhere to put a socket, so it has none
at rest        with its socket, at which nobody asks
asked          `quant status` once a second, as a status bar would
watched        a screen attached, which gets four frames a second

    python bench/daemon_rest.py [--seconds 60] [--rounds 1] [--only "at rest,watched"]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from live_sandbox import sandbox
from startup_bots import QUIET

from quantcli.places import Project, socket_path
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.wire import Status
from tests.live.bot import Bot

_TICKS = os.sysconf("SC_CLK_TCK")
_WARM_S = 5.0


class Rest(NamedTuple):
    """A process after a while: memory in MB, its own (USS) beside all it has touched, CPU in percent of a
    core, threads."""

    rss_mb: float
    uss_mb: float
    cpu_percent: float
    threads: float


Watcher = Callable[[Path, Event], None]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--only", default=",".join(CASES), help="comma between")
    chosen = options.parse_args()
    names = [name.strip() for name in chosen.only.split(",")]
    found: dict[str, list[Rest]] = {name: [] for name in names}
    for number in range(chosen.rounds):
        for name in names:
            sys.stderr.write(f"\rround {number + 1} of {chosen.rounds}: {name:<20}")
            found[name].append(rest(name, chosen.seconds))
    sys.stderr.write("\r" + " " * 60 + "\r")
    print(f"python {sys.version.split()[0]}, {chosen.seconds:g} s, medians of {chosen.rounds} rounds")
    print(f"{'a bot':<16}{'RSS MB':>9}{'own MB':>9}{'CPU %':>8}{'threads':>9}")
    for name, rests in found.items():
        rss, uss, cpu, threads = (statistics.median(figures) for figures in zip(*rests, strict=True))
        print(f"{name:<16}{rss:>9.1f}{uss:>9.1f}{cpu:>8.2f}{threads:>9.0f}")


def rest(name: str, seconds: float) -> Rest:
    """One bot, from its start to the look at it."""
    with tempfile.TemporaryDirectory() as text, sandbox("--seed", "1", "--symbol", "BTC/USDT") as exchange:
        folder = Path(text).resolve()
        bot = Bot(folder, exchange.told, QUIET)
        stop, watching = Event(), None
        if name == "out of reach":
            _leave_no_place(folder)
            bot.environment |= {"XDG_RUNTIME_DIR": "", "TMPDIR": str(folder)}
        try:
            bot.start()
            bot.wait_ready()
            if (watch := CASES[name]) is not None:
                path = socket_path(Project(folder), "bot", bot.environment)
                assert path is not None
                watching = Thread(target=watch, args=(path, stop), daemon=True)
                watching.start()
            return _look(bot.pid, seconds)
        finally:
            stop.set()
            if watching is not None:
                watching.join()
            bot.end()


def _leave_no_place(folder: Path) -> None:
    """A file stands where the private folder would."""
    (folder / f"quantcli-{os.getuid()}").touch()


def _look(pid: int, seconds: float) -> Rest:
    time.sleep(min(_WARM_S, seconds))
    began, before = time.monotonic(), _cpu_s(pid)
    time.sleep(max(1.0, seconds - _WARM_S))
    share = (_cpu_s(pid) - before) / (time.monotonic() - began)
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    return Rest(int(status["VmRSS"].split()[0]) / 1024, own / 1024, share * 100, int(status["Threads"]))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _ask(path: Path, stop: Event) -> None:
    while not stop.wait(1.0):
        Client(path, "bot").get("status", Status)


def _watch(path: Path, stop: Event) -> None:
    asyncio.run(_watching(path, stop))


async def _watching(path: Path, stop: Event) -> None:
    import aiohttp

    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect("http://localhost/v1/watch") as socket,
    ):
        while not stop.is_set():
            await socket.receive()


CASES: dict[str, Watcher | None] = {"out of reach": None, "at rest": None, "asked": _ask, "watched": _watch}


if __name__ == "__main__":
    main()
