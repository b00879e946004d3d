"""The socket at which a running bot is spoken to: made for its user alone, and gone when the bot is.

Who comes in is asked of the operating system.  What is said there is not known here.
"""

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

from quantcli.errors import SafetyError

_BACKLOG = 16
_PATIENCE_S = 0.5


class Door:
    """A listening socket at `path`, of mode 0600; one that a dead bot has left there is replaced.

    Raises `SafetyError` where somebody answers already, or where the path is no socket of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _make_way(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # it has its mode from the moment it is there
        try:
            self.socket.bind(os.fspath(path))
        except OSError as error:
            self.socket.close()
            raise SafetyError(f"no socket can be made at {path}", why=str(error)) from error
        finally:
            os.umask(before)
        self.socket.listen(_BACKLOG)
        self._inode = path.lstat().st_ino

    def close(self) -> None:
        """Take it away, if it is still ours."""
        self.socket.close()
        with suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()


def is_answered(path: Path) -> bool:
    """Whether a program listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(_PATIENCE_S)
        try:
            knock.connect(os.fspath(path))
        except BlockingIOError:
            return True  # its queue is full
        except OSError:
            return False
    return True


def owner_of_peer(connection: "socket.socket") -> int:
    """The user at the other end; -1 where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return -1
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _make_way(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise SafetyError(
            f"{path} is in the way",
            why="it is no socket of this user's",
            todo="see what it is, and remove it",
        )
    if is_answered(path):
        raise SafetyError(f"a program listens at {path} already", todo="quant ps")
    path.unlink()
