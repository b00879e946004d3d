"""`quant recordings`: what was recorded, and whether it is still what was written.

The list reads manifests only and must stay quick; checking reads every byte.  The verbs that record tell what
came of it by `recorded`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantcli.cli.output import Output, OutputOption, columns, emit, envelope, note, timestamp
from quantcli.clock import WallClock
from quantcli.errors import DamagedRecording

if TYPE_CHECKING:
    from quantcli.recording.imported import ImportSummary
    from quantcli.recording.manifest import FileEntry
    from quantcli.recording.verify import FileCheck
    from quantcli.runtime.record_sum import RecordingSummary

group = typer.Typer(
    help="List recordings, or check that they are undamaged.", rich_markup_mode=None, add_completion=False
)

RootArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the recording.")]

_HEADERS = ("PATH", "SYMBOL", "CHANNEL", "ROWS", "FROM", "TO", "GAPS")
_RIGHT = {"ROWS", "GAPS"}
_GAPS_SHOWN = 10


@group.command("list")
def list_recordings(root: RootArgument = Path("recordings"), output: OutputOption = Output.TABLE) -> None:
    """List the files of a recording."""
    from quantcli.recording.manifest import load, manifests

    files = [entry for path in manifests(root) for entry in load(path).files]
    found = envelope("RecordingList", files, WallClock().now_ns())
    emit(found, output, lambda _: columns(_HEADERS, map(_row, files), right=_RIGHT))


@group.command("verify")
def verify(root: RootArgument = Path("recordings"), output: OutputOption = Output.TABLE) -> None:
    """Check every file of a recording; leaves with code 6 if one is damaged.

    What a recorder that was killed left behind is made into files first.
    """
    from quantcli.recording.recovery import recover_all
    from quantcli.recording.verify import verify as check

    for record in recover_all(root):
        rows = sum(record.events.values())
        note(f"recovered {rows:,} rows of {record.exchange} session {record.session}, which was cut off")
    checks = check(root)
    found = envelope("RecordingCheck", checks, WallClock().now_ns())
    emit(found, output, lambda _: _report(checks))
    bad = [item for item in checks if not item.ok]
    if bad:
        raise DamagedRecording(
            f"{len(bad)} of {len(checks)} files under {root} are not what was written",
            why="\n".join(f"{item.path}: {item.problem}" for item in bad),
            todo="restore them from a copy, or import the originals again",
        )


def _row(entry: "FileEntry | FileCheck") -> tuple[str, ...]:
    times = (timestamp(entry.from_ns), timestamp(entry.to_ns)) if entry.rows else ("-", "-")
    return (entry.path, entry.symbol, entry.channel, f"{entry.rows:,}", *times, str(entry.gaps))


def _report(checks: "list[FileCheck]") -> str:
    rows = [(*_row(item), "ok" if item.ok else item.problem) for item in checks]
    return columns((*_HEADERS, "CHECK"), rows, right=_RIGHT)


def recorded(found: "RecordingSummary | ImportSummary", to: Path, losses: str = "") -> str:
    """What was added to a recording; `losses` stands behind the number of gaps."""
    lines = [
        f"{found.rows:,} rows of {', '.join(found.symbols)} in {len(found.files)} files under {to}",
        f"{timestamp(found.from_ns)} .. {timestamp(found.to_ns)}",
        ", ".join(f"{count:,} {name}" for name, count in found.events.items()),
        f"{found.gaps} gaps{losses}",
    ]
    for gap in found.gap_list[:_GAPS_SHOWN]:
        at_ns = int(gap["at_ns"])
        lines.append(f"  {timestamp(at_ns)} {gap['symbol']} {gap['channel']}: {gap['kind']}, {gap['detail']}")
    if found.gaps > _GAPS_SHOWN:
        lines.append(f"  and {found.gaps - _GAPS_SHOWN} more (-o json has all)")
    return "\n".join(lines)
