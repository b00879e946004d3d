"""What `quant.toml` and its companions say, parsed and checked, and which of them said it.

Precedence: flag (the verbs' business) > `QUANT__SECTION__KEY` in the environment > the same in the project's
`.env` > `quant.toml` > the user's own `quant.toml` > default.  What may be said stands in `sections`.  Every
mistake is a `ConfigError` that names the place, the key and what would be right.  Knows not who uses the
values.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import msgspec

from quantcli import dotenv, toml_lines
from quantcli.amounts import Fees, Money, parse_duration, parse_fees, parse_money, parse_rate
from quantcli.errors import ConfigError, QuantError
from quantcli.places import CONFIG_NAME, find_project, user_folder
from quantcli.sections import KINDS, Config, LimitsConfig, nearest

# What belongs to a configuration comes from here for those who use one.
__all__ = [
    "Config",
    "Fees",
    "LimitsConfig",
    "Money",
    "Settings",
    "load_config",
    "parse_duration",
    "parse_fees",
    "parse_money",
    "parse_rate",
    "read_settings",
]

ENV_PREFIX = "QUANT__"
# A file to use instead of the project's.
ENV_FILE = "QUANT_CONFIG"


class Settings(NamedTuple):
    """A configuration, where each of its values (`limits.max_open`) was said, the files that were asked, and
    what is wrong with what was said."""

    config: Config
    origins: dict[str, str]
    files: tuple[Path, ...]
    mistakes: tuple[ConfigError, ...]


def load_config(path: Path | None = None, env: Mapping[str, str] | None = None) -> Config:
    """The configuration of the project around the working directory, or of the file at `path`.

    A project without a `quant.toml` has the defaults; a `path` that does not exist is an error.  A strategy's
    path is taken relative to the file that names it.  Raises `ConfigError`.
    """
    settings = read_settings(path, env)
    if settings.mistakes:
        first, *others = settings.mistakes
        if others:
            first.todo = f"{first.todo}\nquant config check   shows {len(others)} more".lstrip()
        raise first
    return settings.config


def read_settings(path: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """The same with the origin of each value, and with mistakes told rather than raised."""
    environment = os.environ if env is None else env
    source = config_file(path, environment)
    beside = source.parent / dotenv.FILE_NAME
    own = user_file(environment)
    layers = [
        *([_in_file(own)] if own is not None and own != source else []),
        _in_file(source, must_exist=path is not None or bool(environment.get(ENV_FILE))),
        _in_dotenv(beside),
        _in_environment(environment),
    ]
    values: dict[str, dict[str, Any]] = {section: {} for section in KINDS}
    origins: dict[str, str] = {}
    mistakes = []
    for layer in layers:
        try:
            for said in layer:
                try:
                    values[said.section][said.key] = _read(said)
                    origins[f"{said.section}.{said.key}"] = said.place
                except ConfigError as mistake:
                    mistakes.append(mistake)
        except ConfigError as mistake:
            mistakes.append(mistake)
    sections = get_type_hints(Config)
    config = Config(**{section: sections[section](**known) for section, known in values.items()})
    files = tuple(file for file in (own, source, beside) if file is not None and file.exists())
    return Settings(config, origins, files, tuple(mistakes))


def config_file(path: Path | None, environment: Mapping[str, str]) -> Path:
    """The file that holds a project's configuration; it need not exist."""
    named = environment.get(ENV_FILE)
    return path or (Path(named) if named else find_project().root / CONFIG_NAME)


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The user's own configuration, for all projects; it need not exist."""
    folder = user_folder(environment)
    return folder / CONFIG_NAME if folder is not None else None


def check_value(section: str, key: str, value: Any) -> Any:
    """What a value means that somebody wants to set.  Raises `ConfigError`."""
    return _read(_Said(section, key, value, "", None))


# Who says it.


class _Said(NamedTuple):
    """Something that was said: `key` is empty for a section alone, `where` is the folder that paths are
    relative to."""

    section: str
    key: str
    value: Any
    place: str
    where: Path | None


def _in_file(path: Path, must_exist: bool = False) -> Iterator[_Said]:
    try:
        text = path.read_text(encoding="utf-8")
        document = toml_lines.parse(text)
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"there is no {path}", todo="name a quant.toml that exists") from None
        return
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(path)} cannot be read as TOML", why=str(error)) from None
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be read", why=error.strerror or str(error)) from None

    def place(section: str, key: str = "") -> str:
        at = toml_lines.find(text, section, key)
        return f"{shown(path)}:{at.line}:{at.column}" if at else shown(path)

    for section, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{place(section)}: {section} stands outside of every section",
                why=f"keys belong to one of [{'], ['.join(KINDS)}]",
            )
        if section not in KINDS:
            yield _Said(section, "", None, place(section), None)
            continue
        for key, value in table.items():
            yield _Said(section, key, value, place(section, key), path.parent)


def _in_dotenv(path: Path) -> Iterator[_Said]:
    for name, variable in dotenv.variables(path).items():
        if name.startswith(ENV_PREFIX):
            section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
            yield _Said(section, key, variable.value, f"{shown(path)}:{variable.line}: {name}", path.parent)


def _in_environment(env: Mapping[str, str]) -> Iterator[_Said]:
    for name in sorted(name for name in env if name.startswith(ENV_PREFIX)):
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        yield _Said(section, key, env[name], name, None)


def shown(path: Path) -> str:
    """A path as people would write it here."""
    for folder, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_absolute() and path.is_relative_to(folder):
            return prefix + path.relative_to(folder).as_posix()
    return str(path)


def _read(said: _Said) -> Any:
    section, key = said.section, said.key
    place = f"{said.place}: " if said.place else ""
    named = "" if ENV_PREFIX in said.place else f"{section}.{key}: " if key else f"{section}: "
    if section not in KINDS:
        raise ConfigError(
            f"{place}{named}there is no section [{section}]",
            why=f"the sections are {', '.join(KINDS)}",
            todo=nearest(section, KINDS),
        )
    kinds = KINDS[section]
    if key not in kinds:
        raise ConfigError(
            f"{place}{named}there is no such key",
            why=f"the keys of [{section}] are {', '.join(kinds)}",
            todo=nearest(key, kinds),
        )
    try:
        value = kinds[key].read(said.value)
    except QuantError as error:
        raise ConfigError(f"{place}{named}{error.what}", why=error.why, todo=error.todo) from None
    return said.where / value if said.where and isinstance(value, Path) else value
