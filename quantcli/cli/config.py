"""`quant config`: check, show and change what `quant.toml` and its companions say."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from quantcli import toml_lines
from quantcli.amounts import Fees, Money
from quantcli.cli.output import Output, OutputOption, columns, document, emit, explain, note
from quantcli.config import Settings, check_value, config_file, read_settings, shown, user_file
from quantcli.errors import ConfigError, QuantError, UsageError
from quantcli.model.instrument import canonical
from quantcli.places import find_project
from quantcli.sections import KINDS, schema

group = typer.Typer(
    help="Check, show and change the configuration.", rich_markup_mode=None, add_completion=False
)

_OriginOption = Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")]


@group.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Only this one.  Default: all that hold here.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Find every mistake in the configuration; leaves with 4 if there is one."""
    settings = read_settings(file, None if file is None else {})
    problems = [*settings.mistakes, *_missing_strategy(settings)]
    found = document(
        "ConfigCheck",
        {
            "files": [str(path) for path in settings.files],
            "problems": [{"what": each.what, "why": each.why, "todo": each.todo} for each in problems],
        },
    )
    if output is not Output.TABLE or not problems:
        emit(found, output, lambda _: _verdict(settings))
    else:
        note("\n".join(explain(problem) for problem in problems))
    if problems:
        raise typer.Exit(ConfigError.exit_code)


@group.command("show")
def show(origin: _OriginOption = False, output: OutputOption = Output.TABLE) -> None:
    """Print the configuration that holds here, as `quant.toml` would say it.

    Keys of exchanges are no part of it (`quant login --list`); addresses of notifications are shortened.
    """
    settings = read_settings()
    if settings.mistakes:
        raise settings.mistakes[0]
    values = {section: _values(settings, section) for section in KINDS}
    fields: dict[str, Any] = {"values": values}
    if origin:
        fields["origins"] = {
            f"{section}.{key}": settings.origins.get(f"{section}.{key}", "default")
            for section, known in values.items()
            for key in known
        }
    emit(document("Config", fields), output, lambda _: _as_toml(values, fields.get("origins")))


@group.command("path")
def path(output: OutputOption = Output.TABLE) -> None:
    """Print which file `quant config set` writes to; with -o json, all files that are read."""
    file, own = config_file(None, os.environ), user_file(os.environ)
    fields = {
        "path": str(file),
        "exists": file.is_file(),
        "user": str(own or ""),
        "dotenv": str(file.parent / ".env"),
        "project": str(find_project().root),
    }
    emit(document("ConfigPath", fields), output, lambda _: str(file))


@group.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of `quant.toml`, for editors."""
    emit(schema(), Output.JSON, str)


@group.command("set")
def set_(
    setting: Annotated[str, typer.Argument(metavar="SECTION.KEY=VALUE", help="limits.max_open=5")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Set one value in the project's `quant.toml`; all else in it stays as it is, comments too."""
    name, equals, text = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot):
        raise UsageError("that sets nothing", todo="quant config set limits.max_open=5")
    file = config_file(None, os.environ)
    value = _toml_value(section, key, text.strip())
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    after = toml_lines.changed(before, section, key, value)
    _write(file, after)
    found = document("ConfigSet", {"path": str(file), "section": section, "key": key})
    told = toml_lines.written(_written(key, value))
    emit(found, output, lambda _: f"{shown(file)}: {section}.{key} = {told}")
    _note_what_wins(section, key, file)


def _missing_strategy(settings: Settings) -> list[ConfigError]:
    strategy = settings.config.bot.strategy
    text = str(strategy or "")
    head = text.rpartition(":")[0]
    if strategy is None or strategy.is_file() or (head.endswith(".py") and Path(head).is_file()):
        return []
    place = settings.origins["bot.strategy"]
    return [
        ConfigError(f"{place}: bot.strategy: there is no file {shown(strategy)}", todo="name one that is")
    ]


def _verdict(settings: Settings) -> str:
    files = [shown(path) for path in settings.files]
    return f"{', '.join(files) or 'the defaults'}: nothing is wrong"


def _values(settings: Settings, section: str) -> dict[str, Any]:
    """A section's values as they are written; `None` for what is not set."""
    found = getattr(settings.config, section)
    return {key: _written(key, getattr(found, key)) for key in KINDS[section]}


def _written(key: str, value: Any) -> Any:
    if isinstance(value, Money):
        return f"{canonical(value.amount)} {value.currency}"
    if isinstance(value, Fees):
        return f"{canonical(value.maker)},{canonical(value.taker)}"
    if isinstance(value, Decimal):
        return canonical(value)
    if isinstance(value, Path):
        return str(value)
    if key == "urls":  # the rest of one may be a password
        return [f"{url.partition('://')[0]}://…" for url in value]
    return value


def _as_toml(values: dict[str, dict[str, Any]], origins: dict[str, str] | None) -> str:
    blocks = []
    for section, known in values.items():
        rows = [
            (
                f"# {key} is not set" if value is None else f"{key} = {toml_lines.written(value)}",
                f"# {origins[f'{section}.{key}']}" if origins is not None and value is not None else "",
            )
            for key, value in known.items()
        ]
        blocks.append(columns((f"[{section}]", ""), rows))
    return "\n\n".join(blocks)


def _toml_value(section: str, key: str, text: str) -> Any:
    """What is to be written for a text, after it was tried; a whole number stays one."""
    check_value(section, key, text)
    if section == "notify" and key == "urls":
        return text.replace(",", " ").split()
    return int(text) if text.isdecimal() else text


def _write(file: Path, text: str) -> None:
    draft = file.with_name(f"{file.name}.new")
    draft.write_text(text, encoding="utf-8")
    if file.exists():
        draft.chmod(file.stat().st_mode & 0o777)
    draft.replace(file)


def _note_what_wins(section: str, key: str, file: Path) -> None:
    try:
        place = read_settings().origins.get(f"{section}.{key}", "")
    except QuantError:
        return
    if place and not place.startswith(shown(file)):
        note(f"{place} says otherwise, and comes first")
