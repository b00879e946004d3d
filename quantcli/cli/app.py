"""The executable `quant`: a table of verbs, loaded when they are used, and one place where errors end.

`quant --help` and a listing must start in a blink, so nothing here imports a verb before it is asked for.  A
verb's module has `command` (a function with Typer parameters) or `group` (a `typer.Typer`).  What
the verbs do is not known here.
"""

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from quantcli.cli.output import Colour, choose_colour, explain, note
from quantcli.errors import QuantError, UsageError

_DEBUG = "QUANT_DEBUG"


class Verb(NamedTuple):
    """Where a verb lives: module and attribute, and its line in `quant --help`."""

    module: str
    attribute: str
    summary: str


VERBS: dict[str, Verb] = {
    "import": Verb("import_", "command", "Turn an exchange's files into a recording."),
    "record": Verb("record", "command", "Record live market data to Parquet."),
    "recordings": Verb("recordings", "group", "List recordings, or check that they are undamaged."),
    "simulate": Verb("simulate", "command", "Replay a recording through a strategy."),
    "trade": Verb("trade", "command", "Run a strategy."),
    "orders": Verb("orders", "group", "Wanted orders, beside what the exchange has."),
    "positions": Verb("positions", "group", "What is held, and what it has earned."),
    "fills": Verb("fills", "command", "Executions, newest first."),
    "events": Verb("events", "command", "What happened, and what it means."),
    "logs": Verb("logs", "command", "A bot's log."),
    "status": Verb("status", "command", "How a bot is, and the next step."),
    "ps": Verb("ps", "command", "All bots: which run, and where."),
    "reconcile": Verb("reconcile", "command", "Where wish and exchange differ, and what would be done."),
    "stop": Verb("stop", "command", "End a running bot in good order, and say what is left."),
    "halt": Verb("halt", "command", "Stop a bot from sending orders, across restarts."),
    "resume": Verb("halt", "resume", "Let a halted bot send orders again."),
    "trust": Verb("halt", "trust", "Go on after what was found on the exchange was looked at."),
    "export": Verb("export", "command", "Fills, orders, equity, events as a file."),
    "tui": Verb("tui", "command", "The terminal screen of a running bot."),
    "service": Verb("service", "group", "Keep a bot running with systemd."),
    "demo": Verb("demo", "command", "Watch a bot among faults; no account, no network."),
    "sandbox": Verb("sandbox", "command", "A real exchange's protocol on loopback, with faults on demand."),
    "init": Verb("init", "command", "Begin a project: quant.toml, a strategy, .gitignore."),
    "config": Verb("config", "group", "Check, show and change the configuration."),
    "login": Verb("login", "command", "Keep the API key of an exchange."),
    "logout": Verb("login", "logout", "Remove the API key of an exchange."),
    "doctor": Verb("doctor", "command", "Look for what could keep a bot from trading."),
    "help": Verb("help", "command", "Explain a topic, an error's code, or a verb."),
    "completion": Verb("completion", "command", "The completion script of a shell."),
    "version": Verb("version", "command", "Versions of quant and what it stands on."),
}


class LazyGroup(TyperGroup):
    """A group that knows its verbs by name and summary, and imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({name: TyperCommand(name, help=verb.summary) for name, verb in VERBS.items()})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `spelt_out`."""
        return super().parse_args(ctx, spelt_out(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The verb that `args` begin with, now in full."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load(name), rest


def spelt_out(args: list[str]) -> list[str]:
    """Words as the verbs take them: what is meant for all of them comes first, wherever it stood
    (`--color WHEN`, `--debug`); `--json` is `-o json`; `--watch` without seconds is every second."""
    first, rest, words = list[str](), list[str](), list(args)
    while words:
        word = words.pop(0)
        following = words[0] if words else ""
        if word == "--":
            return [*first, *rest, word, *words]
        if word == "--color" and words:
            first += [word, words.pop(0)]
        elif word == "--debug" or word.startswith("--color="):
            first.append(word)
        elif word == "--json":
            rest += ["-o", "json"]
        elif word in ("-w", "--watch") and not following.replace(".", "", 1).isdecimal():
            rest += [word, "1"]
        else:
            rest.append(word)
    return first + rest


def load(name: str) -> Any:
    """The Click command of one verb, imported now."""
    verb = VERBS[name]
    found = getattr(import_module(f"quantcli.cli.{verb.module}"), verb.attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        found = single
    return get_command(found)


app = typer.Typer(
    add_completion=False,
    cls=LazyGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    epilog="Every listing takes -o table|wide|json|jsonl|csv|name.  `quant help` has more.  "
    "Exit codes: 0 ok, 1 error, 2 usage, 3 no daemon, 4 configuration, "
    "5 outcome unknown, 6 drift or damage, 7 not found, 8 refused for safety, 130 interrupted.",
)


@app.callback()
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    color: Annotated[
        Colour, typer.Option("--color", help="Colour: on terminals that have it, always, or never.")
    ] = Colour.AUTO,
    debug: Annotated[bool, typer.Option("--debug", envvar=_DEBUG, help="Show tracebacks of errors.")] = False,
) -> None:
    """A strategy says which orders should exist; the kernel makes the exchange agree."""
    if debug:
        os.environ[_DEBUG] = "1"
    choose_colour(color)
    if version:
        from quantcli.cli.version import installed

        typer.echo(f"quant {installed('quantcli')}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line and leave with its exit code; every error a user can cause is told, not traced."""
    sys.stdout = sys.stdout or os.fdopen(_nowhere(), "w")  # the caller may have closed them, with `>&-`
    sys.stderr = sys.stderr or os.fdopen(_nowhere(), "w")
    if "_QUANT_COMPLETE" in os.environ:  # a shell asks, with a script of `quant completion`
        from typer._completion_classes import completion_init

        completion_init()
    try:
        code = get_command(app).main(prog_name="quant", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        code = _unheard()
    except SystemExit as left:
        # Typer turns a broken pipe into an exit with 1.
        code = _unheard() if isinstance(left.__context__, BrokenPipeError) else left.code
    except Exception as error:
        code = tell(error)
    try:
        sys.stderr.flush()
    except OSError:  # the interpreter would take it for a failure of its own
        os.dup2(_nowhere(), sys.stderr.fileno())
    sys.exit(code if isinstance(code, int) else 0)


def _unheard() -> int:
    """Whoever read our output has left: nothing to say, and nothing may be said at shutdown either."""
    os.dup2(_nowhere(), sys.stdout.fileno())
    return 0


def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def tell(error: Exception) -> int:
    """Explain an error on stderr; the exit code it asks for."""
    if isinstance(error, typer.TyperException):
        error = _as_usage_error(error)
    if os.environ.get(_DEBUG, "0") != "0":
        note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, QuantError):
        note(explain(error))
        return error.exit_code
    note(explain(_as_refusal(error) if isinstance(error, OSError) else _as_bug(error)))
    return 1


def _as_usage_error(error: typer.TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "quant"
    return UsageError(error.format_message().rstrip("."), todo=f"{path} --help")


def _as_refusal(error: OSError) -> QuantError:
    return QuantError(
        f"cannot use {error.filename}" if error.filename else "the system refused",
        why=error.strerror or str(error),
        todo="see that the path is right, that you may use it, and that the disk has room",
    )


def _as_bug(error: Exception) -> QuantError:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "quantcli" in frame.filename]
    where = (ours or frames)[-1]
    return QuantError(
        "this is a bug in quant",
        why=f"{type(error).__name__}: {error}\nat {where.filename}:{where.lineno} in {where.name}",
        todo="run it again with QUANT_DEBUG=1 and report what it prints",
    )
