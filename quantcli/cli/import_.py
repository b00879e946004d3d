"""`quant import`: files of an exchange's data in, a recording out.

Which files there are and what is in them is `recording`'s business; this verb shows progress and the sum.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantcli.cli.output import Output, OutputOption, document, emit, progress, timestamp

if TYPE_CHECKING:
    from quantcli.recording.imported import ImportSummary

_GAPS_SHOWN = 10


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
    emit(document("ImportSummary", found), output, lambda _: _table(found, to))


def _table(found: "ImportSummary", to: Path) -> str:
    lines = [
        f"{found.rows:,} rows of {', '.join(found.symbols)} in {len(found.files)} files under {to}",
        f"{timestamp(found.from_ns)} .. {timestamp(found.to_ns)}",
        ", ".join(f"{count:,} {name}" for name, count in found.events.items()),
        f"{found.gaps} gaps",
    ]
    for gap in found.gap_list[:_GAPS_SHOWN]:
        at_ns = int(gap["at_ns"])
        lines.append(f"  {timestamp(at_ns)} {gap['symbol']} {gap['channel']}: {gap['kind']}, {gap['detail']}")
    if found.gaps > _GAPS_SHOWN:
        lines.append(f"  and {found.gaps - _GAPS_SHOWN} more (-o json has all)")
    return "\n".join(lines)
