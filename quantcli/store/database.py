"""The state database as a file: locked by one process, checked, set up or migrated, ready for fast commits.

Commits must survive a power cut, hence WAL with `synchronous=FULL`.  Only the connection made here ever
writes or checkpoints (SQLite before 3.51.3 can damage a WAL that two connections checkpoint).
Knows SQLite and the file system; what the tables mean is `schema.sql`'s business.
"""

import errno
import fcntl
import os
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from quantcli.errors import SafetyError, StoreError
from quantcli.store import refusals
from quantcli.store.api import Identity
from quantcli.store.migrations import migrate

_LARGE_BYTES = 32 << 20
SCHEMA_VERSION = 2
# "quan", in the header of the file: tells our databases from other programs'.
APPLICATION_ID = 0x7175616E
# SQLite checkpoints a WAL of this many pages; one that has been this long never grows again.
_WAL_PAGES = 1000
# While the database is opened, another program may hold it for so long.
_PATIENCE_S = 5.0
_PROBES = 3
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def new_identity() -> Identity:
    """A random identity, not yet opened (epoch 0)."""
    return Identity(secrets.randbits(16), secrets.randbits(48), secrets.token_bytes(32), 0)


class LockFile:
    """The right to write, held while this process lives: an flock'd file that names its process.

    Raises `StoreError` if another store, here or in another process, holds it.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip()
            self.release()
            raise SafetyError(
                f"the state database is in use by process {pid or '(unknown)'}",
                why=f"that process holds the lock {path}, and only one may write",
                todo=f"stop process {pid or 'that holds it'}, or ask it instead of opening the file",
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go.  The file stays: removing it would let two processes lock two files of one name."""
        os.close(self._handle)


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system say about the file into `StoreError`s."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the kind of error, the rest says where; errors of Python's own have no code.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if kind == sqlite3.SQLITE_NOTADB:
            raise _untrusted(path, str(error)) from error
        if kind == sqlite3.SQLITE_CORRUPT:
            raise damaged(path, str(error)) from error
        if kind == sqlite3.SQLITE_BUSY:
            raise refusals.held_by_another(str(error)) from error
        if kind == sqlite3.SQLITE_FULL:
            raise refusals.disk_full(str(error)) from error
        raise _unusable(path, error) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise refusals.disk_full(str(error)) from error
        raise _unusable(path, error) from error


def open_writer(path: Path, draw: Callable[[], Identity]) -> tuple[sqlite3.Connection, Identity]:
    """The writing connection of a locked database, its identity with the epoch of this opening.

    A new file gets its tables and the identity that `draw` gives, one of an older version is migrated.
    Raises `StoreError`.
    """
    with store_errors(path):
        # Made by us, so that nobody else may read the key in it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE_S)
        try:
            _check(connection, path)
            _configure(connection)
            _lay_out(connection, path)
            identity = _next_epoch(connection, draw)
            _grow_wal(connection)
            # From here on whoever writes decides how long to wait.
            connection.execute("PRAGMA busy_timeout = 0").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection, identity


def commit_time_s(connection: sqlite3.Connection) -> float:
    """How long this disk takes to make a small transaction durable, in seconds: the median of a few."""
    times = []
    for i in range(_PROBES):
        started = time.perf_counter()
        _scribble(connection, i)
        times.append(time.perf_counter() - started)
    connection.execute(_WIPE)
    return statistics.median(times)


def read_only_uri(path: Path) -> str:
    """How to name the file to SQLite so that it cannot be written."""
    return f"file:{quote(str(path.resolve()))}?mode=ro"


def check_version(version: int, application_id: int, path: Path) -> None:
    """Refuse other programs' databases, and those of a newer version of ours."""
    if application_id != APPLICATION_ID:
        raise _untrusted(path, "it is another program's database")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer version of quant",
            why=f"its schema is version {version}, this program knows {SCHEMA_VERSION}",
            todo="use the newer quant, or another database file",
        )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours or is damaged, before anything is written."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    check_version(version, application_id, path)
    if not is_large(path):
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise damaged(path, verdict)


def is_large(path: Path) -> bool:
    """Looking through the whole file would take so long that it is done beside the work (`checking`)."""
    return path.stat().st_size > _LARGE_BYTES


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the disk
    connection.execute("PRAGMA journal_size_limit = -1")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")


def _lay_out(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    schema = files("quantcli.store").joinpath("schema.sql").read_text("utf-8")
    script = f"{schema} PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA application_id = {APPLICATION_ID};"
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    else:
        migrate(connection, path, version, script)


def _next_epoch(connection: sqlite3.Connection, draw: Callable[[], Identity]) -> Identity:
    first = draw()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT INTO instance VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (first.tag, first.nonce, first.key, first.epoch),
    )
    connection.execute("UPDATE instance SET epoch = epoch + 1")
    row = connection.execute("SELECT tag, nonce, key, epoch FROM instance").fetchone()
    connection.execute("COMMIT")
    return Identity(*row)


def note_epoch(path: Path, epoch: int) -> bool:
    """Write down beside the database how often it was opened; true if that had been more often than the
    database knows: then an older copy of it was put in its place."""
    mark = path.with_name(f"{path.name}.mark")
    try:
        known = int(mark.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        known = 0
    draft = mark.with_name(f"{mark.name}.new")
    draft.write_text(f"{max(known + 1, epoch)}\n", "ascii")
    draft.replace(mark)
    return known >= epoch


def _grow_wal(connection: sqlite3.Connection) -> None:
    """Make the WAL as long as it will ever be, and start it anew.

    An fdatasync of a file that grows writes its metadata too and takes about twice as long.  The pages are
    the same one, changed again and again, so that the database itself does not grow.
    """
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for i in range(_WAL_PAGES):
        _scribble(connection, i)
    connection.execute(_WIPE)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")


def _scribble(connection: sqlite3.Connection, i: int) -> None:
    """A transaction that says nothing; `_WIPE` takes it back."""
    connection.execute("REPLACE INTO meta VALUES ('wal', ?)", (str(i),))


_WIPE = "DELETE FROM meta WHERE key = 'wal'"


def _untrusted(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} is not a state database", why=why, todo="name another file for the state")


def damaged(path: Path, why: str) -> StoreError:
    """The file is not what was written."""
    return StoreError(
        f"the state database {path} is damaged",
        why=why,
        todo="keep the file, restore a copy, and compare with the exchange before trading",
    )


def _unusable(path: Path, error: Exception) -> StoreError:
    todo = "see that the folder exists on a local disk with free space, and that you may write to it"
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind == sqlite3.SQLITE_READONLY or getattr(error, "errno", None) in _FORBIDDEN:
        todo = f"mount the disk writable, or give {path} and its folder to the user who starts quant"
    return StoreError(f"the state database {path} cannot be used", why=str(error), todo=todo)
