"""What may happen to the files of an open database: filled disk, swapped file, far-away file system.

Knows files and mounts, and nothing of what is in them.
"""

import contextlib
import os
import re
import sys
from pathlib import Path

from quantcli.errors import SafetyError, StoreError

# Put by in a file of its own, so that after the disk filled up fills can still be recorded for a while.
_BALLAST_BYTES = 4 << 20

# File systems whose locks and shared memory may not reach everybody, or whose sync may not reach a disk.
_FAR = frozenset(
    {
        "9p",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "drvfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "prl_fs",
        "smb3",
        "smbfs",
    }
    | {"vboxsf"}
)


class Disk:
    """The disk under one open database, whose files are there: they are remembered, and ballast is put by
    where there is plenty of room."""

    def __init__(self, path: Path) -> None:
        self._ballast = path.with_name(f"{path.name}.ballast")
        self._files = (str(path), f"{path}-wal")
        self._inodes = tuple(map(_inode, self._files))
        with contextlib.suppress(OSError):  # a database without ballast is still one
            space = os.statvfs(path.parent)
            if space.f_bavail * space.f_frsize >= 4 * _BALLAST_BYTES:
                _fill(self._ballast)

    def check(self) -> None:
        """Raises `SafetyError` if a file is not there any more, or is another one."""
        for name, inode in zip(self._files, self._inodes, strict=True):
            try:
                found = _inode(name)
            except OSError as error:
                raise _gone(name, str(error)) from error
            if found != inode:
                raise _gone(name, "another file has its name now")

    def make_room(self) -> None:
        """Give the ballast back; the next opening puts new ballast by."""
        with contextlib.suppress(OSError):
            self._ballast.unlink()


def refuse_far(path: Path, mountinfo: str | None = None) -> None:
    """Raises `StoreError` for a path on a network or user-space file system, as far as the machine tells.

    `mountinfo` is what Linux says of its mounts; other systems say nothing, and nothing is refused there.
    """
    if mountinfo is None:
        if sys.platform != "linux":
            return
        mountinfo = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    kind = filesystem_of(path.resolve(), mountinfo)
    if kind in _FAR or kind.startswith("fuse"):
        raise StoreError(
            f"the state database cannot be kept at {path}",
            why=f"that is on a file system of type {kind}, where locks and synced writes cannot be relied on",
            todo="keep the project on a local disk",
        )


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that an absolute path is on, in the words of `/proc/self/mountinfo`.

    Each line ends in ` - type source options`; its fifth word is the mount point.  Source: proc(5).
    """
    nearest, kind = "", ""
    for line in mountinfo.splitlines():
        mount, _, about = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), mount.split(" ")[4])
        # Of several mounts on one point the last one is on top.
        if len(point) >= len(nearest) and path.is_relative_to(point):
            nearest, kind = point, about.partition(" ")[0]
    return kind


def _inode(name: str) -> tuple[int, int]:
    status = os.stat(name)
    return status.st_dev, status.st_ino


def _fill(ballast: Path) -> None:
    """Make a file that has its blocks, not only its length."""
    handle = os.open(ballast, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(handle).st_size < _BALLAST_BYTES:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, _BALLAST_BYTES)
            else:
                os.pwrite(handle, bytes(_BALLAST_BYTES), 0)
    except OSError:
        ballast.unlink()
        raise
    finally:
        os.close(handle)


def _gone(name: str, why: str) -> SafetyError:
    return SafetyError(
        f"the state database {name} was removed or replaced while in use",
        why=why,
        todo="put the file back, start again, and compare with the exchange: the last rows may be lost",
    )
