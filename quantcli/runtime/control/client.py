"""Asks a running bot over its socket, one question at a time; for verbs, not for screens that stay.

Standard library only, so that a listing starts at once.  What the answers mean is the asker's business.
"""

import http.client
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from quantcli.errors import DaemonAbsent, OutcomeUnknown, RemoteError
from quantcli.places import Project, socket_path
from quantcli.runtime.control.wire import Done, Refusal, Word

T = TypeVar("T")

_ASK_S = 5.0
_DO_S = 20.0


class Client:
    """A running bot, at its socket.  `bot` is for messages only."""

    def __init__(self, path: Path, bot: str) -> None:
        self.path = path
        self.bot = bot

    def get(self, what: str, kind: type[T], **query: Any) -> T:
        """What `/v1/WHAT` says, with those of `query` that are set.

        Raises `DaemonAbsent` if nobody answers there, `OutcomeUnknown` if the answer does not come in time,
        and what the bot refuses with, as `RemoteError`.
        """
        text = urlencode({name: value for name, value in query.items() if value not in (None, "", False)})
        return self._ask("GET", f"/v1/{quote(what)}{'?' + text if text else ''}", b"", kind, _ASK_S)

    def do(self, verb: str, request_id: str = "", **words: str) -> Done:
        """Have something done, once; raises as `get`."""
        body = msgspec.json.encode(Word(request_id or uuid4().hex, words))
        return self._ask("POST", f"/v1/do/{quote(verb)}", body, Done, _DO_S)

    def _ask(self, method: str, path: str, body: bytes, kind: type[T], timeout_s: float) -> T:
        connection = _Connection(self.path, timeout_s)
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
        except TimeoutError:
            raise OutcomeUnknown(
                f"{self.bot} did not answer in {timeout_s:g} s",
                why="it is there, but busy: its strategy may not return",
                todo=f"quant status {self.bot}",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise DaemonAbsent(
                f"{self.bot} is not running",
                why=f"nobody answers at {self.path} ({error})",
                todo=f"quant trade --name {self.bot} --strategy FILE",
            ) from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise _as_error(told)
        return msgspec.json.decode(told, type=kind)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def _as_error(told: bytes) -> RemoteError:
    try:
        refusal = msgspec.json.decode(told, type=Refusal)
    except msgspec.MsgspecError:
        refusal = Refusal("the bot answered something else", why=told[:200].decode(errors="replace"))
    error = RemoteError(refusal.what, why=refusal.why, todo=refusal.todo)
    error.exit_code = refusal.exit_code
    error.help_id = refusal.help_id or error.help_id
    return error


def client_of(project: Project, bot: str, environment: Mapping[str, str] | None = None) -> Client | None:
    """The way to a bot of a project, if it seems to run: its socket is there."""
    path = socket_path(project, bot, os.environ if environment is None else environment)
    return Client(path, bot) if path is not None and path.exists() else None
