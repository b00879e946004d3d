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

from quantcli.cli.output import explain, note
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
    "positions": Verb("positions", "command", "What is held, and what it has earned."),
    "fills": Verb("fills", "command", "Executions, newest first."),
    "reconcile": Verb("reconcile", "command", "Where wish and exchange differ, and what would be done."),
    "halt": Verb("halt", "command", "Stop a bot from sending orders, across restarts."),
    "resume": Verb("halt", "resume", "Let a halted bot send orders again."),
    "sandbox": Verb("sandbox", "command", "A real exchange's protocol on loopback, with faults on demand."),
    "version": Verb("version", "command", "Versions of quant and what it stands on."),
}


class LazyGroup(TyperGroup):
    """A group that knows its verbs by name and summary, and imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({name: TyperCommand(name, help=verb.summary) for name, verb in VERBS.items()})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The verb that `args` begin with, now in full."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load(name), rest


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
    cls=LazyGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    epilog="Every listing takes -o json.  Exit codes: 0 ok, 1 error, 2 usage, 3 no daemon, 4 configuration, "
    "5 outcome unknown, 6 drift or damage, 7 not found, 8 refused for safety, 130 interrupted.",
)


@app.callback()
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar=_DEBUG, help="Show tracebacks of errors.")] = False,
) -> None:
    """A strategy says which orders should exist; the kernel makes the exchange agree."""
    if debug:
        os.environ[_DEBUG] = "1"
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
