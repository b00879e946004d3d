"""`quant version`: which quant this is, and what it stands on, for bug reports.

Reads the metadata of what is installed; imports none of it.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from quantcli.cli.output import Output, OutputOption, columns, document, emit

_STANDS_ON = ("aiosqlite", "msgspec", "numpy", "plotext", "pyarrow", "rich", "talipp", "typer")


def installed(package: str) -> str:
    """Version of an installed distribution, "-" where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def command(output: OutputOption = Output.TABLE) -> None:
    """Print the versions of quant, Python and the libraries it uses."""
    versions = {
        "quantcli": installed("quantcli"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: installed(package) for package in _STANDS_ON},
    }
    emit(document("Version", {"versions": versions}), output, _table)


def _table(found: dict[str, Any]) -> str:
    return columns(("PACKAGE", "VERSION"), found["versions"].items())
