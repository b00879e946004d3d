"""How much of an exchange's limits is used: a page of counts, and the file in which processes share it.

A page counts what was sent in each window of each rule, and knows until when the exchange has banned us.
The file holds one page and is only ever read and written whole, under a lock that the system takes back
from whoever dies.  A file that is damaged counts nothing, and a process that cannot use it counts alone.
Knows nothing of lanes, waiting or what a rule allows.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from quantcli.places import private_folder

_T = TypeVar("_T")

_MAGIC = b"qbudget1"
_HEAD = struct.Struct("<8sIIqq")  # magic, checksum of what follows, unused, banned until, number of slots
_SLOT = struct.Struct("<qqq")  # rule, window, used
_SLOTS = 32
_SIZE = _HEAD.size + _SLOTS * _SLOT.size
_TRIES = 3


class Busy(Exception):
    """Somebody else holds the file at this moment."""


class Unusable(Exception):
    """The file cannot be used; the text says why."""


class Page:
    """Counts by rule and window.  A rule is named by a number, a window by its number since the epoch."""

    def __init__(self) -> None:
        self.banned_ns = 0
        self._used: dict[tuple[int, int], int] = {}

    def used(self, rule: int, window: int) -> int:
        """What was sent in a window."""
        return self._used.get((rule, window), 0)

    def add(self, rule: int, window: int, amount: int) -> None:
        """Count more, or (`amount` < 0) less; windows from before the last but one are forgotten."""
        self._used[rule, window] = max(self.used(rule, window) + amount, 0)
        for key in [key for key in self._used if key[0] == rule and abs(key[1] - window) > 1]:
            del self._used[key]

    def raise_to(self, rule: int, window: int, amount: int) -> None:
        """Count at least so much."""
        self.add(rule, window, max(amount - self.used(rule, window), 0))

    def take_in(self, other: "Page") -> None:
        """Count what either page has counted."""
        self.banned_ns = max(self.banned_ns, other.banned_ns)
        for key, amount in other._used.items():
            self._used[key] = max(self._used.get(key, 0), amount)

    def pack(self) -> bytes:
        """The page as bytes of a fixed size; of too many counts the newest windows."""
        newest = sorted(self._used.items(), key=lambda item: item[0][1], reverse=True)[:_SLOTS]
        body = b"".join(_SLOT.pack(rule, window, used) for (rule, window), used in newest)
        body = body.ljust(_SLOTS * _SLOT.size, b"\0")
        tail = struct.pack("<qq", self.banned_ns, len(newest)) + body
        return struct.pack("<8sII", _MAGIC, zlib.crc32(tail), 0) + tail

    @classmethod
    def unpack(cls, data: bytes) -> "Page":
        """The page in these bytes; an empty one for anything that `pack` has not made."""
        page = cls()
        if len(data) != _SIZE:
            return page
        magic, checksum, _, banned_ns, count = _HEAD.unpack_from(data)
        if magic != _MAGIC or checksum != zlib.crc32(data[16:]) or not 0 <= count <= _SLOTS:
            return page
        page.banned_ns = banned_ns
        for n in range(count):
            rule, window, used = _SLOT.unpack_from(data, _HEAD.size + n * _SLOT.size)
            page._used[rule, window] = used
        return page


class BudgetFile:
    """One page in a file.  `change` and `look` may raise `Busy` or `Unusable`; nothing has changed then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._pid = 0

    def change(self, edit: Callable[[Page], _T]) -> _T:
        """Call `edit` with the page while nobody else can, and write what it made of it."""

        def rewritten(fd: int) -> _T:
            page = _read(fd)
            result = edit(page)
            os.pwrite(fd, page.pack(), 0)
            os.ftruncate(fd, _SIZE)
            return result

        return self._alone(rewritten)

    def look(self) -> Page:
        """The page as it is."""
        return self._alone(_read)

    def _alone(self, work: Callable[[int], _T]) -> _T:
        try:
            fd = self._open()
            _lock(fd)
            try:
                return work(fd)
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)
        except OSError as error:
            self.close()
            raise Unusable(f"{self._path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0 and self._pid == os.getpid():
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> int:
        """The file: opened anew if it was removed, or if this is the child of the process that opened it (a
        lock belongs to the opening, which a child shares with its parent)."""
        is_ours = self._fd >= 0 and self._pid == os.getpid()
        if is_ours and os.fstat(self._fd).st_nlink:
            return self._fd
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)
        self._pid = os.getpid()
        return self._fd


def budget_path(name: str, environment: Mapping[str, str]) -> Path | None:
    """Where the processes of this user share the page called `name`; `None` if there is no private folder."""
    folder = private_folder(environment)
    return folder / f"{name}.budget" if folder is not None else None


def _read(fd: int) -> Page:
    return Page.unpack(os.pread(fd, _SIZE + 1, 0))


def _lock(fd: int) -> None:
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return
    raise Busy
