"""`quant service`: a unit by which systemd keeps a bot running, for the user who writes it.

Only files that begin with our own line are ever replaced or removed.  Nothing is started here, and systemd
need not be there: what it has to be told is printed.  A key is never written into a unit, which others may
read.
"""

import os
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from quantcli.cli.output import note
from quantcli.errors import ConfigError, NotFoundError, SafetyError, UsageError
from quantcli.places import Project, bot_name, find_project, user_folder

group = typer.Typer(
    help="Keep a bot running with systemd.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

_MARK = "# Written by `quant service install`.  `quant service uninstall` removes it."
# With these it would fail again: command line, configuration, safety.
_FINAL_EXITS = "2 4 8"
_SEVERED = re.compile(r"[\n\r\0]")
_CREDENTIAL = re.compile(r"quant_[a-z0-9]+_(api_key|secret)")
_HINT = """\
# Keys: what `quant login` keeps in its file is found, but a keyring is locked while nobody is logged in.
# Or keep each half in a file that only you can read, and name their folder with --credentials:
#LoadCredential=quant_binance_api_key:/path/to/quant_binance_api_key
#LoadCredential=quant_binance_secret:/path/to/quant_binance_secret
"""

BotArgument = Annotated[str, typer.Argument(metavar="BOT", help="The bot's name.")]


@group.command()
def install(
    bot: BotArgument,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS OF quant trade]", help="What else `quant trade` is given."),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="FILE", help="Strategy file, or FILE:CLASS.  Default: quant.toml's.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="With money.  Else on paper.")] = False,
    credentials: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of quant_EXCHANGE_api_key and …_secret.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit, and write nothing.")] = False,
) -> None:
    """Write the unit of a bot, or replace it; say how to start it."""
    project = find_project()
    path = _path(bot)
    given = [*(["--strategy", _absolute(strategy)] if strategy else []), *(["--live"] if live else [])]
    unit = _unit(bot, project, [*given, *(words or [])], _credentials(credentials))
    _refuse_others(path, project)
    if dry_run:
        typer.echo(unit, nl=False)
        note(f"nothing was written; it would be {path}")
        return
    _write(path, unit)
    note(f"written: {path}")
    note("start it now, and at every login:")
    typer.echo("systemctl --user daemon-reload")
    typer.echo(f"systemctl --user enable --now {path.name}")
    note("keep it running while nobody is logged in:")
    typer.echo(f"loginctl enable-linger {os.environ.get('USER', '')}".rstrip())
    note(f"see how it is: systemctl --user status {path.name}, or quant status {bot}")


@group.command()
def uninstall(bot: BotArgument) -> None:
    """Remove the unit of a bot; say how to stop what runs by it."""
    path = _path(bot)
    if not path.exists():
        raise NotFoundError(f"{bot} has no unit", why=f"there is no {path}")
    _refuse_others(path, None)
    path.unlink()
    wanted = path.parent / "default.target.wants" / path.name
    if wanted.is_symlink():  # what `systemctl enable` made
        wanted.unlink()
    note(f"removed: {path}")
    note("stop it, if it runs:")
    typer.echo(f"systemctl --user stop {path.name}")
    typer.echo("systemctl --user daemon-reload")


@group.command()
def show(bot: BotArgument) -> None:
    """Print the unit of a bot."""
    path = _path(bot)
    if not path.exists():
        raise NotFoundError(
            f"{bot} has no unit", why=f"there is no {path}", todo=f"quant service install {bot}"
        )
    note(str(path))
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


def _path(bot: str) -> Path:
    ours = user_folder(os.environ)
    if ours is None:
        raise ConfigError("there is no place for units", why="HOME is not set", todo="set it")
    return ours.parent / "systemd" / "user" / f"quant-{bot_name(bot)}.service"


def _refuse_others(path: Path, project: Project | None) -> None:
    """Leave alone what somebody else wrote, and the bot of that name of another project."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if lines[:1] != [_MARK]:
        raise SafetyError(
            f"{path} is not ours",
            why="`quant service` did not write it",
            todo="move it away, or name another bot",
        )
    if project is not None and (there := f"WorkingDirectory={_percent(str(project.root))}") not in lines:
        other = next((line for line in lines if line.startswith("WorkingDirectory=")), there)
        raise SafetyError(
            f"{path.name} belongs to another project",
            why=other,
            todo="give the bot another name, or run `quant service uninstall` first",
        )


def _unit(bot: str, project: Project, words: list[str], credentials: list[str]) -> str:
    if _SEVERED.search(str(project.root)) or str(project.root).endswith("\\"):
        raise UsageError("a unit cannot name this folder", why=f"{str(project.root)!r} breaks its line")
    command = [_executable(), "trade", "--name", bot, *_checked(words)]
    return f"""{_MARK}
[Unit]
Description=quant {bot}
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
WorkingDirectory={_percent(str(project.root))}
ExecStart={" ".join(map(_quoted, command))}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={_FINAL_EXITS}
WatchdogSec=30
TimeoutStartSec=120
TimeoutStopSec=60
NoNewPrivileges=yes
UMask=0077
LimitCORE=0
{"".join(f"LoadCredential={line}" + chr(10) for line in credentials) or _HINT}
[Install]
WantedBy=default.target
"""


def _checked(words: list[str]) -> list[str]:
    """What `quant trade` is given, as far as it understands it."""
    from quantcli.cli.app import load

    trade: Any = load("trade")
    trade.make_context("trade", list(words), resilient_parsing=False)
    known = {flag for parameter in trade.params for flag in parameter.opts}
    # Nobody can be asked there; who writes --live here has been.
    return [*words, "--yes"] if "--live" in words and "--yes" in known and "--yes" not in words else words


def _absolute(strategy: str) -> str:
    """The reference to a strategy, by the whole path of its file."""
    file, colon, name = (strategy, "", "") if Path(strategy).is_file() else strategy.partition(":")
    if not Path(file).is_file():
        raise NotFoundError(f"there is no strategy file {file}", todo="name it with --strategy FILE")
    return f"{Path(file).resolve()}{colon}{name}"


def _credentials(folder: Path | None) -> list[str]:
    """Name and file of each half of a key in a folder.  Raises `ConfigError` if others may read one."""
    if folder is None:
        return []
    found = sorted(path for path in folder.glob("quant_*") if _CREDENTIAL.fullmatch(path.name))
    if not found:
        raise NotFoundError(
            f"there are no keys in {folder}",
            why="none of its files is called like quant_binance_api_key or quant_binance_secret",
        )
    for path in found:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"others may read {path}", why="it holds a key", todo=f"chmod 600 {path}")
    return [f"{path.name}:{_percent(str(path.resolve()))}" for path in found]


def _executable() -> str:
    """The program `quant`, beside the interpreter that runs this, or where the shell finds it."""
    beside = Path(sys.executable).with_name("quant")
    found = str(beside) if beside.is_file() else shutil.which("quant")
    if found is None:
        raise ConfigError("the program quant cannot be found", why=f"there is no {beside}", todo="install it")
    return str(Path(found).absolute())


def _write(path: Path, unit: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(unit, encoding="utf-8")
    draft.replace(path)


def _quoted(word: str) -> str:
    """A word of a command, as systemd.service(5) reads it."""
    if _SEVERED.search(word):
        raise UsageError("a unit cannot say this", why=f"{word!r} has a line break")
    word = _percent(word).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")
