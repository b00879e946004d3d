"""Where things are: a project's files, and the private folder in which running programs of a user meet.

Names only: nothing here is opened or read, and but for the private folder nothing is made.
"""

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from quantcli.errors import UsageError

CONFIG_NAME = "quant.toml"

_BOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# `sockaddr_un` has room for 108 bytes, one of them for the end (unix(7)); some systems have 104.
_SOCKET_PATH_MAX = 100


def bot_name(value: Any) -> str:
    """A text that may name a bot.  Raises `UsageError`."""
    if not isinstance(value, str) or not _BOT_NAME.fullmatch(value):
        raise UsageError(
            f"{value!r} cannot name a bot",
            why="files are called so: letters, digits, dot, dash, underscore",
            todo='write it like "mm-btc"',
        )
    return value


class Project(msgspec.Struct, frozen=True):
    """Where a project keeps its files, under the folder of its `quant.toml`."""

    root: Path

    @property
    def state(self) -> Path:
        """Folder of the bots' databases and flags."""
        return self.root / ".quant"

    @property
    def runs(self) -> Path:
        """Folder of the run folders that `quant simulate` writes."""
        return self.root / "runs"

    def database(self, bot: str) -> Path:
        """State database of one bot; it need not exist.  Raises `UsageError` for a name that is none."""
        return self.state / f"{bot_name(bot)}.db"

    def halt_flag(self, bot: str) -> Path:
        """The bot's durable kill flag; it need not exist."""
        return self.state / f"{bot_name(bot)}.halt"

    def log(self, bot: str) -> Path:
        """What the bot tells, as lines of JSON; it need not exist."""
        return self.state / f"{bot_name(bot)}.log"

    def bots(self) -> list[str]:
        """Names of the bots that have a database here, sorted."""
        return sorted(path.stem for path in self.state.glob("*.db"))


def find_project(start: Path | None = None) -> Project:
    """The project that `start` (the working directory) is in: the nearest folder at or above it that holds a
    `quant.toml`, else `start` itself."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / CONFIG_NAME).is_file():
            return Project(folder)
    return Project(here)


def user_folder(environment: Mapping[str, str]) -> Path | None:
    """Where a user keeps settings and keys for all projects; it need not exist.  `None` without a home."""
    if config := environment.get("XDG_CONFIG_HOME", ""):
        return Path(config) / "quantcli"
    home = environment.get("HOME", "")
    return Path(home) / ".config" / "quantcli" if home else None


def private_folder(environment: Mapping[str, str]) -> Path | None:
    """Where running programs of this user meet, readable by nobody else; `None` if it cannot be had.

    That is a folder of the session (`XDG_RUNTIME_DIR`), or else one of ours among the temporary files.
    """
    return next(filter(_is_private, _meeting_places(environment)), None)


def socket_path(project: Project, bot: str, environment: Mapping[str, str]) -> Path | None:
    """Where a bot of a project is spoken to while it runs; `None` without a private folder.

    Bots of several projects may be called alike, so the project is part of the name.
    """
    folder = private_folder(environment)
    if folder is None:
        return None
    of_project = hashlib.sha256(str(project.state).encode()).hexdigest()[:8]
    path = folder / f"{bot_name(bot)}.{of_project}.sock"
    if _fits(path):
        return path
    short = f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"  # a long folder leaves no room
    others = [*_meeting_places(environment), _short_place(environment)]
    fitting = (other / short for other in others if _fits(other / short))
    return next((other for other in fitting if _is_private(other.parent)), None)


def sockets(environment: Mapping[str, str]) -> list[Path]:
    """Sockets of all of this user's bots, running or left behind by a crash, sorted."""
    folders = {*_meeting_places(environment), _short_place(environment)}
    there = [folder for folder in folders if folder.is_dir() and _is_private(folder)]
    return sorted(path for folder in there for path in folder.glob("*.sock"))


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _SOCKET_PATH_MAX


def _meeting_places(environment: Mapping[str, str]) -> list[Path]:
    """Folders that may serve, the best first."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    roots = [Path(runtime) / "quantcli"] if runtime else []
    temporary = environment.get("TMPDIR") or tempfile.gettempdir()
    return [*roots, Path(temporary) / f"quantcli-{os.getuid()}"]


def _short_place(environment: Mapping[str, str]) -> Path:
    """Stands for the others where all of them have long names."""
    others = "\n".join(map(str, _meeting_places(environment)))
    return Path("/tmp") / f"quantcli-{os.getuid()}-{hashlib.sha256(others.encode()).hexdigest()[:8]}"


def _is_private(folder: Path) -> bool:
    """Whether a folder is ours alone; made if there is none."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    is_closed = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    return is_closed and found.st_uid == os.getuid()
