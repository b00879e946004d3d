"""What happened in a run: a hash of all of it, and the lines of a story if one is wanted.

The hash is over the canonical bytes of every event given to the core, every row committed and every request
sent, each with its time: equal runs have equal hashes, whatever the interpreter.
"""

import hashlib
from typing import Any

import msgspec

from .timeline import Timeline

_encode = msgspec.msgpack.Encoder(decimal_format="string").encode
_FLUSH = 1 << 16


class Trace:
    """`lines` are (time, from, to, what), and stay empty unless `tells`."""

    def __init__(self, timeline: Timeline, tells: bool = False) -> None:
        self.lines: list[tuple[int, str, str, object]] = []
        self.tells = tells
        self._timeline = timeline
        self._hash = hashlib.sha256()
        self._buffer = bytearray()

    def add(self, what: Any) -> None:
        """Fold a struct into the hash."""
        buffer = self._buffer
        buffer += self._timeline.now_ns.to_bytes(8, "big")
        buffer += type(what).__name__.encode()
        buffer += _encode(what)
        if len(buffer) > _FLUSH:
            self._hash.update(buffer)
            buffer.clear()

    def tell(self, source: str, target: str, what: object) -> None:
        """Add a line to the story."""
        if self.tells:
            self.lines.append((self._timeline.now_ns, source, target, what))

    def digest(self) -> str:
        """The hash of everything so far, in hex."""
        self._hash.update(self._buffer)
        self._buffer.clear()
        return self._hash.copy().hexdigest()
