"""What could keep a bot from trading, looked at without touching anything: the machine, a project, its files.

Each check is a function that tells what it found.  The network is not used, but by what the caller hands in.
"""

import locale
import os
import platform
import shutil
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TextIO

import msgspec

from quantcli.config import Settings, read_settings, shown
from quantcli.errors import ConfigError, QuantError
from quantcli.keychain import FILE_NAME, find_key
from quantcli.places import Project, private_folder, sockets, user_folder
from quantcli.sections import EXCHANGES

GOOD, NOTE, PROBLEM = "=", "~", "x"

_NEEDED = ("aiohttp", "aiosqlite", "ccxt", "msgspec", "numpy", "pyarrow", "typer", "websockets")
_OPTIONAL = {
    "keyring": "keys in the desktop's keyring",
    "apprise": "notifications",
    "uvloop": "a faster loop",
}
_ROOM_MB = 500
_SLOW_SYNC_MS = 20.0
_SYNCS = 5
_OFF_MS = 1_000
_SMALLEST = (80, 24)
_CONNECT_S = 0.5


class Finding(msgspec.Struct, frozen=True):
    """What one check found: `mark` is = (good), ~ (worth knowing) or x (a problem)."""

    mark: str
    check: str
    found: str
    todo: str = ""


def checkup(
    project: Project,
    environment: Mapping[str, str],
    terminal: TextIO,
    ahead_ms: Callable[[str], float] | None = None,
) -> Iterator[Finding]:
    """All checks, one after the other; `ahead_ms`, if given, asks how far an exchange's clock is ahead."""
    settings = read_settings(env=environment)
    yield _python()
    yield from _packages()
    yield _terminal(terminal, environment)
    yield from _configuration(settings)
    yield from _keys(project, environment)
    yield _private_files(environment)
    yield from _disk(project)
    yield from _databases(project)
    yield from _sockets(environment)
    yield _clock(settings.config.bot.exchange, ahead_ms)


def _python() -> Finding:
    is_new = sys.version_info >= (3, 11)
    found = f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    return Finding(GOOD if is_new else PROBLEM, "python", found, "" if is_new else "use 3.11 or newer")


def _packages() -> Iterator[Finding]:
    known = {name: _installed(name) for name in ("quantcli", *_NEEDED)}
    missing = [name for name, found in known.items() if not found]
    told = ", ".join(f"{name} {found}" for name, found in known.items() if found)
    if missing:
        yield Finding(PROBLEM, "packages", f"missing: {', '.join(missing)}", "install quantcli again")
    else:
        yield Finding(GOOD, "packages", told)
    there = [name for name in _OPTIONAL if _installed(name)]
    absent = [f"{name} ({what})" for name, what in _OPTIONAL.items() if name not in there]
    text = f"{', '.join(there) or 'none'}; not installed: {', '.join(absent) or 'none'}"
    yield Finding(GOOD, "extras", text)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _terminal(terminal: TextIO, environment: Mapping[str, str]) -> Finding:
    if not terminal.isatty():
        return Finding(GOOD, "terminal", "none: the output goes elsewhere")
    size = shutil.get_terminal_size()
    term = environment.get("TERM", "")
    colours = "no colours" if term in ("", "dumb") or environment.get("NO_COLOR") else "colours"
    coding = terminal.encoding or locale.getencoding()
    found = f"{size.columns}x{size.lines}, {colours} ({term or 'TERM is not set'}), {coding}"
    if "utf" not in coding.lower():
        return Finding(NOTE, "terminal", found, "export LANG=C.UTF-8: some characters cannot be shown")
    if size < _SMALLEST:
        return Finding(NOTE, "terminal", found, "quant tui wants 80x24 at least")
    return Finding(GOOD, "terminal", found)


def _configuration(settings: Settings) -> Iterator[Finding]:
    for mistake in settings.mistakes:
        yield Finding(PROBLEM, "config", mistake.what, mistake.todo or mistake.why)
    if not settings.mistakes:
        files = ", ".join(map(shown, settings.files))
        hint = "" if files else "quant init begins a project"
        yield Finding(
            GOOD if files else NOTE, "config", files or "no quant.toml here: the defaults hold", hint
        )


def _keys(project: Project, environment: Mapping[str, str]) -> Iterator[Finding]:
    found = []
    for exchange in EXCHANGES:
        try:
            key = find_key(exchange, environment, project.root)
        except ConfigError as error:
            yield Finding(PROBLEM, "keys", f"{exchange}: {error.what}: {error.why}", error.todo)
            return
        if key is not None:
            found.append(f"{exchange} {key.tail} in {key.where}")
    yield Finding(GOOD if found else NOTE, "keys", "; ".join(found) or "none: enough for paper trading")


def _private_files(environment: Mapping[str, str]) -> Finding:
    folder, own = private_folder(environment), user_folder(environment)
    if folder is None:
        todo = "see that XDG_RUNTIME_DIR, or /tmp/quantcli-UID, is yours alone (chmod 700)"
        return Finding(PROBLEM, "private", "no folder of ours alone for the sockets of running bots", todo)
    told = f"sockets in {folder}"
    if own is not None and (own / FILE_NAME).exists():
        mode = stat.S_IMODE((own / FILE_NAME).stat().st_mode)
        told += f", {own / FILE_NAME} {mode:04o}"
    return Finding(GOOD, "private", told)


def _disk(project: Project) -> Iterator[Finding]:
    folder = project.state if project.state.is_dir() else project.root
    free_mb = shutil.disk_usage(folder).free >> 20
    enough = free_mb >= _ROOM_MB
    todo = "" if enough else "make room: without it nothing new is sent"
    yield Finding(GOOD if enough else PROBLEM, "disk", f"{free_mb:,} MB free in {folder}", todo)
    try:
        took_ms = _sync_ms(folder)
    except OSError as error:
        yield Finding(
            PROBLEM, "sync", f"{folder} cannot be written: {error.strerror}", "see whose folder it is"
        )
        return
    slow = took_ms > _SLOW_SYNC_MS
    todo = "every order waits for one; a local SSD takes less than 5 ms" if slow else ""
    yield Finding(NOTE if slow else GOOD, "sync", f"{took_ms:.2g} ms to write something down for good", todo)


def _sync_ms(folder: Path) -> float:
    """How long writing a page for good takes here, usually."""
    path = folder / f".quant-doctor-{os.getpid()}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        taken = []
        for _ in range(_SYNCS):
            began_ns = time.perf_counter_ns()
            os.write(handle, bytes(4096))
            os.fsync(handle)
            taken.append((time.perf_counter_ns() - began_ns) / 1e6)
        return sorted(taken)[_SYNCS // 2]
    finally:
        os.close(handle)
        with suppress(OSError):
            path.unlink()


def _databases(project: Project) -> Iterator[Finding]:
    bots = project.bots()
    if not bots:
        yield Finding(GOOD, "database", "no bot has run here yet")
    for bot in bots:
        path = project.database(bot)
        try:
            # Read-only, but for the index of the log beside it, which readers of a running bot share.
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            told = str(error)
        size_mb = path.stat().st_size / 1e6
        if told == "ok":
            yield Finding(GOOD, "database", f"{bot}: whole, {size_mb:.1f} MB")
        else:
            todo = "stop the bot; keep a copy of .quant before anything else"
            yield Finding(PROBLEM, "database", f"{bot}: {told}", todo)


def _sockets(environment: Mapping[str, str]) -> Iterator[Finding]:
    found = {path: _answers(path) for path in sockets(environment)}
    running = [path.name.partition(".")[0] for path, is_up in found.items() if is_up]
    yield Finding(GOOD, "running", ", ".join(running) or "no bot")
    for path, is_up in found.items():
        if not is_up:
            yield Finding(
                NOTE, "socket", f"{path} is left over from a crash", "the bot's next start removes it"
            )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(_CONNECT_S)
        try:
            caller.connect(os.fspath(path))
        except OSError:
            return False
    return True


def _clock(exchange: str, ahead_ms: Callable[[str], float] | None) -> Finding:
    if ahead_ms is None:
        return Finding(GOOD, "clock", "not compared with the exchange's (--online does)")
    try:
        off_ms = ahead_ms(exchange)
    except QuantError as error:
        return Finding(PROBLEM, "clock", f"{exchange} cannot be asked: {error.what}", error.todo)
    found = f"{abs(off_ms):.0f} ms {'behind' if off_ms > 0 else 'ahead of'} {exchange}'s"
    if abs(off_ms) > _OFF_MS:
        todo = "set it (timedatectl set-ntp true); requests are corrected for it"
        return Finding(NOTE, "clock", found, todo)
    return Finding(GOOD, "clock", found)
