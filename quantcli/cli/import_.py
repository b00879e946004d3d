"""`quant import`: files of an exchange's data in, a recording out.

Which files there are and what is in them is `recording`'s business; this verb shows progress and the sum.
"""

from pathlib import Path
from typing import Annotated

import typer

from quantcli.cli.output import Output, OutputOption, document, emit, progress
from quantcli.cli.recordings import recorded


def command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Captures, or CSV files of data.binance.vision.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the recording.")] = Path(
        "recordings"
    ),
    output: OutputOption = Output.TABLE,
) -> None:
    """Turn an exchange's files into a recording.

    Each file becomes a session of its own; importing one again replaces what it gave before.
    """
    from quantcli.recording.imported import import_file, summary

    total = sum(path.stat().st_size for path in files if path.is_file())
    with progress("import", total) as advance:
        imported = [import_file(path, to, advance) for path in files]
    found = summary(imported)
    emit(document("ImportSummary", found), output, lambda _: recorded(found, to))
