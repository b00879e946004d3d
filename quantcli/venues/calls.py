"""One call to an exchange and what comes of it: the vocabulary of dialect, transport and connector.

A dialect says what to ask (`Call`), a transport signs and sends it once and brings back the bytes
(`Answer`) or says that there were none (`NoAnswer`); a `Conversation` is as many calls as one request of the
kernel needs.  Knows no exchange and sends nothing.
"""

from collections.abc import Generator
from typing import Protocol

import msgspec

from quantcli.errors import ExchangeError
from quantcli.model.message import Report


class Credentials(msgspec.Struct, frozen=True):
    """An account's key.  `secret` may be a PEM key; `extra` holds what else an exchange wants (`password`).

    Its text shows nothing of them.
    """

    api_key: str
    secret: str
    extra: dict[str, str] = {}

    def __repr__(self) -> str:
        return "Credentials(…)"

    __str__ = __repr__


class Call(msgspec.Struct, frozen=True):
    """A request before it is signed.

    `section` is the part of the API (ccxt's name of it), `path` what follows its address.  `is_read`: asking
    twice does no harm.  `weight` and `orders` are what it counts against the exchange's limits.
    `deadline_ns` (our clock): worthless after; what is signed is never carried out later than that.
    """

    section: str
    method: str
    path: str
    params: dict[str, str] = {}
    is_read: bool = False
    is_signed: bool = True
    weight: int = 1
    orders: int = 0
    deadline_ns: int | None = None

    @property
    def name(self) -> str:
        """Method and path, for people."""
        return f"{self.method} {self.path}"


class Answer(msgspec.Struct, frozen=True):
    """What came back, whole and unread.  Names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class NoAnswer(ExchangeError):
    """Nothing usable came back.  `sent` is False only if no byte of the request can have left."""

    def __init__(self, what: str, *, sent: bool, why: str = "", todo: str = "") -> None:
        super().__init__(what, why=why, todo=todo)
        self.sent = sent


# Calls out, answers (or a `NoAnswer` thrown in) back, reports at the end.
Conversation = Generator[Call, Answer, list[Report]]


class Transport(Protocol):
    """Signs and sends."""

    async def ask(self, call: Call, timestamp_ms: int) -> Answer:
        """Send a call once, signed as of `timestamp_ms` by the exchange's clock.  Raises `NoAnswer`."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...
