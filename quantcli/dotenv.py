"""A project's `.env`: lines of `NAME=VALUE`, of which only names that begin with QUANT_ are ours.

Read, never put into the environment: what is started later, a strategy least of all, has no use for it.
"""

import re
from pathlib import Path
from typing import NamedTuple

from quantcli.errors import ConfigError

FILE_NAME = ".env"

_LINE = re.compile(r"\s*(?:export\s+)?(QUANT_\w+)\s*=\s*(\"[^\"]*\"|'[^']*'|.*?)\s*")


class Variable(NamedTuple):
    """A value and the line that it stands on."""

    value: str
    line: int


def variables(path: Path) -> dict[str, Variable]:
    """Our variables by name, the last one where a name comes twice; none if there is no file.

    Raises `ConfigError` for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read", why=getattr(error, "strerror", "") or str(error)
        ) from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _LINE.fullmatch(line):
            bare = (match[2][:1] in "\"'" and match[2][1:-1]) or match[2].partition(" #")[0].rstrip()
            found[match[1]] = Variable(bare, number)
    return found
