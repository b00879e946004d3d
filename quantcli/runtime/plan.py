"""Which rows of a chunk Python must look at.

A hook needs every row of the streams it subscribes to; `desired` needs the rows where something it has
read changes.  Everything else is skipped here, with numpy, before a single object is made.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from operator import length_hint
from typing import Any

import numpy as np

from quantcli.model.batch import Chunk, Columns, Ints, events
from quantcli.model.market import Channel
from quantcli.trading.market import Reads

Hook = Callable[[Any], Any]

# Which hook receives a channel's events.
HOOK_OF = {
    Channel.QUOTES: "on_tick",
    Channel.TRADES: "on_trade",
    Channel.AGG_TRADES: "on_trade",
    Channel.BOOK: "on_book",
    Channel.BARS: "take_bar",
}

# A market's aggregated trades stand in for trades it lacks, and recorded bars for both.
_BETTER = {Channel.AGG_TRADES: (Channel.TRADES,), Channel.BARS: (Channel.TRADES, Channel.AGG_TRADES)}

_TOP = ("bid", "ask")
_SIZES = ("bid_size", "ask_size")


class Turn:
    """One stream's events for one hook, and how far they have been handed out."""

    __slots__ = ("_size", "_where", "coming", "hook", "is_async", "symbol", "where")

    def __init__(self, columns: Columns, where: Ints, hook: Hook) -> None:
        batch = list(events(columns))
        self.symbol = columns.symbol
        self.where = where
        self.hook = hook
        self.is_async = inspect.iscoroutinefunction(hook)
        self.coming = iter(batch)
        self._size = len(batch)

    def taken(self) -> int:
        """How many events have been handed out: a list iterator knows what is left of it."""
        return self._size - length_hint(self.coming)

    def row(self) -> int:
        """The merged row of the event handed out last."""
        return int(self.where[self.taken() - 1])


def subscribed(chunk: Chunk, hooks: Mapping[str, Hook]) -> list[Turn]:
    """The streams of a chunk that there are hooks for."""
    channels = {(c.channel, c.symbol) for c in chunk.streams}
    turns = []
    for columns, where in zip(chunk.streams, chunk.where, strict=True):
        hook = hooks.get(HOOK_OF.get(columns.channel, ""))
        better = _BETTER.get(columns.channel, ())
        is_needed = not any((channel, columns.symbol) in channels for channel in better)
        if hook is not None and len(columns) and is_needed:
            turns.append(Turn(columns, where, hook))
    return turns


class Changes:
    """Finds the rows where what a `desired` reads has changed, from one chunk to the next."""

    def __init__(self) -> None:
        self._before: dict[tuple[Channel, str], dict[str, float]] = {}

    def remember(self, chunk: Chunk) -> None:
        """Keep the last row of each stream: the next chunk's first row is compared with it."""
        for columns in chunk.streams:
            if len(columns) and columns.channel is not Channel.BOOK:
                self._before[columns.channel, columns.symbol] = {
                    name: float(values[-1]) for name, values in columns.data.items()
                }

    def rows(self, chunk: Chunk, symbol: str, reads: int) -> Ints:
        """Merged rows at which `desired` of `symbol` is to be asked again, ascending."""
        found = [
            where[self._changed(columns, fields)]
            for columns, where in zip(chunk.streams, chunk.where, strict=True)
            if columns.symbol == symbol
            and len(columns)
            and (fields := _fields(columns.channel, reads)) is not None
        ]
        if not found:
            return np.empty(0, np.int64)
        return found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def _changed(self, columns: Columns, fields: Iterable[str]) -> Any:
        before = self._before.get((columns.channel, columns.symbol))
        changed = None
        for name in fields:
            values = columns.data[name]
            differs = np.empty(len(values), bool)
            differs[0] = before is None or values[0] != before[name]
            np.not_equal(values[1:], values[:-1], out=differs[1:])
            changed = differs if changed is None else changed | differs
        return slice(None) if changed is None else changed


def _fields(channel: Channel, reads: int) -> tuple[str, ...] | None:
    """Columns whose change matters; empty: every row matters; `None`: none does."""
    if reads & Reads.TIME:
        return ()
    if channel is Channel.QUOTES:
        if reads & Reads.SIZE:
            return _TOP + _SIZES
        # Before its first call nothing is known of what a `desired` reads: any quote may be the first.
        return _TOP if reads & Reads.PRICE or not reads else None
    if channel is Channel.BOOK:
        return () if reads & Reads.BOOK else None
    if channel in (Channel.TRADES, Channel.AGG_TRADES):
        return ("price",) if reads & Reads.LAST else None
    return None
