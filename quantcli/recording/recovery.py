"""From journals to Parquet: every hour, when a session ends, and after a crash, always in the same way.

`absorb` reads the journals of a session that are not yet in its manifest, writes them on as files and removes
them.  It may die at any moment and be run again: the manifest says which journals are in it.  As a program
(`python -m quantcli.recording.recovery`) it does so beside a recorder that goes on.

One recorder at a time writes under ROOT/<exchange>; a lock held by the operating system sees to it, so that
two sessions never hold the same stream at the same time, which no reader would accept.
"""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from quantcli.errors import DamagedRecording, RecordingError, SafetyError
from quantcli.recording import journal, manifest
from quantcli.recording.journal import GapNote, Head, Withheld, journals, path_of, read_head
from quantcli.recording.manifest import Manifest
from quantcli.recording.writer import RESUME, Writer

_LOCK = ".recorder.lock"
# Keys of `Manifest.origin`: the last journal that is in the files, and how a session ended.
_JOURNALS = "journals"
ENDED = "ended"
STOPPED, CRASHED = "stopped", "crashed"


class Earlier(msgspec.Struct, frozen=True):
    """What a folder holds of an exchange already: the last time recorded, and by stream (symbol, channel) the
    last row before a crash that nothing was recorded after."""

    to_ns: int
    crashed: dict[tuple[str, str], int]


@contextmanager
def recorder_lock(root: Path, exchange: str) -> Iterator[None]:
    """Be the one recorder of this exchange here; raises `SafetyError` if there is another."""
    folder = root / exchange
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    file = _locked(path, exchange)
    try:
        os.truncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)
        for empty in (folder, root):
            with contextlib.suppress(OSError):
                empty.rmdir()


def _locked(path: Path, exchange: str) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file)):
                return file
            os.close(file)  # of one who has just left, and removed it
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode(errors="replace").strip()
            os.close(file)
            raise SafetyError(
                f"something else records {exchange} to {path.parents[1]}",
                why=f"process {holder} holds {path}; two recordings of one market at one time cannot be "
                "read together",
                todo="record to another folder, with --to, or add the symbol to the recorder that runs",
            ) from None


def absorb(
    root: Path, exchange: str, session: str, upto: int | None = None, ended: str = ""
) -> Manifest | None:
    """Bring a session's journals (those up to number `upto`) into its files.

    `ended` says how the session ended, if it did.  The manifest, or `None` if the session has no rows.
    Raises `DamagedRecording` if its manifest is damaged, `RecordingError` if the disk refuses; then the
    journals stay.
    """
    folder = root / exchange
    numbers = [number for number in journals(folder).get(session, ()) if upto is None or number <= upto]
    earlier = _manifest(root, exchange, session)
    done = int(earlier.origin.get(_JOURNALS, 0)) if earlier else 0
    fresh = _whole(path_of(folder, session, number) for number in numbers if number > done)
    record = earlier
    if fresh or (earlier and ended and ENDED not in earlier.origin):
        try:
            record = _write_on(root, fresh, earlier, ended)
        except OSError as error:
            raise RecordingError(
                f"{root} cannot be written to",
                why=error.strerror or str(error),
                todo=f"make room on the disk, then: quant recordings verify {root}",
            ) from error
    for number in numbers:
        path_of(folder, session, number).unlink(missing_ok=True)
    return record


def recover(root: Path, exchange: str) -> list[Manifest]:
    """Make proper sessions of what recorders that crashed left behind; the caller holds the lock."""
    sessions = journals(root / exchange)
    found = [absorb(root, exchange, session, ended=CRASHED) for session in sessions]
    return [record for record in found if record is not None]


def recover_all(root: Path) -> list[Manifest]:
    """`recover` for every exchange under `root` that nobody records now and that may be written."""
    found: list[Manifest] = []
    for folder in sorted(path for path in root.glob("*") if path.is_dir() and journals(path)):
        with contextlib.suppress(SafetyError, PermissionError), recorder_lock(root, folder.name):
            found += recover(root, folder.name)
    return found


def earlier_sessions(root: Path, exchange: str) -> Earlier:
    """What a folder holds of an exchange already."""
    last: dict[tuple[str, str], tuple[int, bool]] = {}
    for path in sorted((root / exchange).glob(f"*{manifest.SUFFIX}")):
        record = manifest.load(path)
        crashed = record.origin.get(ENDED) == CRASHED
        for entry in record.files:
            key = (entry.symbol, entry.channel)
            last[key] = max(last.get(key, (0, False)), (entry.to_ns, crashed))
    return Earlier(
        max((to_ns for to_ns, _ in last.values()), default=0),
        {key: to_ns for key, (to_ns, crashed) in last.items() if crashed},
    )


def _manifest(root: Path, exchange: str, session: str) -> Manifest | None:
    try:
        return manifest.load(root / exchange / f"{session}{manifest.SUFFIX}")
    except FileNotFoundError:
        return None


def _whole(paths: Iterable[Path]) -> list[tuple[Path, Head]]:
    """The journals with their heads, without those of which not even the head reached the disk."""
    found = []
    for path in paths:
        with contextlib.suppress(DamagedRecording):
            found.append((path, read_head(path)))
    return found


def _write_on(
    root: Path, fresh: Sequence[tuple[Path, Head]], earlier: Manifest | None, ended: str
) -> Manifest | None:
    head = fresh[0][1] if fresh else None
    begun = earlier or head
    assert begun is not None
    origin = {key: text for key, text in begun.origin.items() if key != RESUME}
    writer = Writer(
        root,
        begun.exchange,
        origin,
        session=begun.session,
        earlier=earlier,
        floor_ns=head.floor_ns if head else 0,
        lenient=True,
    )
    rows = sum(_play(path, writer) for path, _ in fresh)
    if fresh:
        writer.origin[_JOURNALS] = str(fresh[-1][1].number)
    if not rows and earlier is None:
        writer.discard()
        return None
    if not ended:
        return writer.checkpoint()
    writer.origin[ENDED] = ended
    return writer.close()


def _play(path: Path, writer: Writer) -> int:
    """Give a writer what is in a journal; how many rows that was."""
    rows = 0
    for record in journal.read(path):
        if isinstance(record, GapNote):
            writer.interrupted(*record)
        elif isinstance(record, Withheld):
            for _ in range(record.messages):
                writer.withhold(record.channel)
        elif isinstance(record, list):
            writer.instruments(record)
        else:
            writer.append(record)
            rows += 1
    return rows


if __name__ == "__main__":
    absorb(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
