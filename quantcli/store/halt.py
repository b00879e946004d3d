"""The kill switch: a small file beside the database that says how much of trading is off.

It outlives restarts and does not need the database, so that it works when the database does not.  Another
process may write the file; every look at `level` notices.  A file that cannot be read halts new
orders: whoever wrote it meant to stop something.  What a level forbids is `trading.risk`'s business.
"""

import contextlib
import os
from enum import IntEnum
from pathlib import Path

import msgspec

from quantcli.errors import StoreError


class KillLevel(IntEnum):
    """How much is off; each level includes those below it."""

    NONE = 0
    HALT_NEW = 1
    CANCEL_ALL = 2
    FLATTEN = 3


class _Halt(msgspec.Struct, frozen=True):
    level: KillLevel
    reason: str = ""
    at_ns: int = 0


_NO_HALT = _Halt(KillLevel.NONE)
# What tells one version of the file from the next: inode, time of change (of its mode too), size.
_Stamp = tuple[int, int, int]


class HaltFlag:
    """The durable kill level.  With `path` `None` it lives in memory only (simulation)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._held = _NO_HALT  # in force whatever the file says
        self._read = _NO_HALT  # the file as last read …
        self._stamp: _Stamp | None = None  # … in this version

    @property
    def is_shared(self) -> bool:
        """Other processes can raise it too."""
        return self._path is not None

    @property
    def level(self) -> KillLevel:
        """The level in force; costs one `stat`, and a read only after the file has changed."""
        return self._current().level

    @property
    def reason(self) -> str:
        """Why, as it was given; empty at level NONE."""
        return self._current().reason

    def raise_to(self, level: KillLevel, reason: str, now_ns: int) -> None:
        """Put `level` in force, durably before this returns; a level in force is never lowered.

        Raises `StoreError` if the file cannot be written; the level then holds in this process all the
        same.
        """
        if level <= self.level:
            return
        self._held = _Halt(level, reason, now_ns)
        if self._path is not None:
            _write(self._path, msgspec.json.encode(self._held))
            self._held = _NO_HALT

    def clear(self) -> None:
        """Trade again.  Raises `StoreError` if the file cannot be removed; the level then stays."""
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
                _sync_directory(self._path.parent)
            except OSError as error:
                raise StoreError(
                    f"the halt file {self._path} cannot be removed",
                    why=str(error),
                    todo="remove it by hand once trading may go on",
                ) from error
        self._held = _NO_HALT

    def _current(self) -> _Halt:
        if self._path is None:
            return self._held
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._stamp, self._read = None, _NO_HALT
        except OSError as error:
            self._stamp, self._read = None, _unreadable(self._path, error)
        else:
            stamp = (status.st_ino, status.st_ctime_ns, status.st_size)
            if stamp != self._stamp:
                self._stamp, self._read = stamp, _load(self._path)
        return max(self._held, self._read, key=lambda halt: halt.level)


def _load(path: Path) -> _Halt:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Halt)
    except (OSError, msgspec.MsgspecError) as error:
        return _unreadable(path, error)


def _unreadable(path: Path, error: Exception) -> _Halt:
    return _Halt(KillLevel.HALT_NEW, f"the halt file {path} cannot be read: {error}")


def _write(path: Path, data: bytes) -> None:
    """Replace the file as a whole: a crash leaves the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreError(
            f"the kill level could not be written to {path}",
            why=str(error),
            todo="it holds until this process ends; make the file writable and set it again",
        ) from error


def _sync_directory(path: Path) -> None:
    """A rename or removal is durable only with its directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
