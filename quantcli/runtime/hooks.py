"""Runs a strategy's hooks over the rows of a chunk, until it wishes something.

This is the hot loop of the replay: nothing happens per event that is not the hook.  Which rows matter is
`runtime.plan`'s business, what a wish causes is the engine's.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from quantcli.clock import VirtualClock
from quantcli.errors import QuantError
from quantcli.model.batch import Chunk, Ints
from quantcli.model.market import Bar, BookUpdate
from quantcli.runtime.plan import Changes, Hook, Turn, subscribed
from quantcli.runtime.view import ReplayView
from quantcli.trading.engine import Engine
from quantcli.trading.loader import strategy_error


class HookRunner:
    """The hooks and wishes of one strategy, over one chunk after another."""

    def __init__(self, engine: Engine, view: ReplayView, clock: VirtualClock) -> None:
        self._engine = engine
        self._view = view
        self._clock = clock
        self._strategy = engine.strategy
        self._hooks = self._market_hooks(engine.hooks)
        self._symbols = list(engine.markets) if "desired" in engine.hooks else []
        self._changes = Changes()
        self._chunk: Chunk | None = None
        self._turns: list[Turn] = []
        self._agenda = Agenda()
        self._planned_for: tuple[int, ...] | None = ()

    def _market_hooks(self, hooks: Mapping[str, Hook]) -> dict[str, Hook]:
        chosen = {name: hooks[name] for name in ("on_tick", "on_trade") if name in hooks}
        if "on_book" in hooks:
            chosen["on_book"] = self._book_hook(hooks["on_book"])
        if self._engine.bar_ns:
            chosen["take_bar"] = self._take_recorded_bar
        return chosen

    def _book_hook(self, hook: Hook) -> Hook:
        def on_book(update: BookUpdate) -> Any:
            book = self._view.book(update.symbol)
            return hook(book) if book is not None else None

        return on_book

    async def _take_recorded_bar(self, bar: Bar) -> None:
        if bar.is_closed and bar.interval_ns == self._engine.bar_ns:
            await self._engine.take_bar(bar)

    def load(self, chunk: Chunk) -> None:
        """Prepare the rows of the next chunk."""
        if self._chunk is not None:
            self._changes.remember(self._chunk)
        self._chunk = chunk
        self._turns = subscribed(chunk, self._hooks)
        self._planned_for = None

    @property
    def _is_plain(self) -> bool:
        """One hook, no wishes: the loop that has to be fast."""
        return len(self._turns) <= 1 and not self._symbols

    def _plan(self, start: int) -> None:
        """Choose the rows to look at from `start` on; anew when wishes have come to read something else."""
        reads = tuple([self._engine.markets[symbol].reads for symbol in self._symbols])
        chunk = self._chunk
        if reads == self._planned_for or chunk is None:
            return
        self._planned_for = reads
        wakes = [self._changes.rows(chunk, *asked) for asked in zip(self._symbols, reads, strict=True)]
        self._agenda = Agenda([*(turn.where for turn in self._turns), *wakes], chunk.local_ns, start)

    async def run(self, start: int, stop: int, due_ns: int) -> int | None:
        """Handle the rows from `start`, which is where the last call ended, to before `stop`.

        Answers the row at which the strategy wished something, or asked to be woken before `due_ns`;
        `None` if it did neither.
        """
        if not self._is_plain:
            return await self._run_agenda(start, stop, due_ns)
        if not self._turns:
            return None
        turn = self._turns[0]
        count = int(turn.where.searchsorted(stop)) - turn.taken()
        try:
            return await self._run_plain(turn, count)
        except QuantError:
            raise
        except Exception as error:  # user code may raise anything; it is answered with file and line
            raise strategy_error(error, self._strategy) from error
        finally:
            self._view.event_row = None

    async def _run_plain(self, turn: Turn, count: int) -> int | None:
        strategy, hook = self._strategy, turn.hook
        outbox = strategy.outbox
        self._view.event_row = turn.row
        if turn.is_async:
            for event in islice(turn.coming, count):
                strategy.event = event
                await hook(event)
                if outbox:
                    return turn.row()
        else:
            for event in islice(turn.coming, count):
                strategy.event = event
                hook(event)
                if outbox:
                    return turn.row()
        return None

    async def _run_agenda(self, start: int, stop: int, due_ns: int) -> int | None:
        """Wishes are asked for where what they read changed, and after every event a hook has seen."""
        engine, view, clock, turns, symbols = (
            self._engine,
            self._view,
            self._clock,
            self._turns,
            self._symbols,
        )
        self._plan(start)
        while (item := self._agenda.take(stop)) is not None:
            row, time_ns, what = item
            view.row = row
            clock.advance_to(time_ns)
            if what < len(turns):
                turn = turns[what]
                await self._show(turn)
                touched = symbols  # what a hook remembers may change every wish
            else:
                touched = symbols[what - len(turns) : what - len(turns) + 1]
            for symbol in touched:
                engine.evaluate(symbol)
                wake_ns = engine.slots[symbol].next_due()
                if wake_ns is not None and wake_ns < due_ns:
                    due_ns = 0
            if due_ns == 0 or engine.is_restless:
                return row
            self._plan(row + 1)
        return None

    async def _show(self, turn: Turn) -> None:
        self._strategy.event = event = next(turn.coming)
        try:
            result = turn.hook(event)
            if result is not None:
                await result
        except QuantError:
            raise
        except Exception as error:  # user code may raise anything
            raise strategy_error(error, self._strategy) from error


class Agenda:
    """The rows of a chunk to look at, in order: (merged row, its time, number of the list it comes from).

    `lists` hold merged rows, ascending; of a row in several, the earlier list comes first.
    """

    def __init__(self, lists: Sequence[Ints] = (), times: Ints | None = None, start: int = 0) -> None:
        self._next = 0
        self._items: list[tuple[int, int, int]] = []
        if times is None or not lists:
            return
        rows = np.concatenate(lists)
        what = np.repeat(np.arange(len(lists)), [len(part) for part in lists])
        order = np.argsort(rows, kind="stable")
        order = order[rows[order].searchsorted(start) :]
        rows = rows[order]
        self._items = list(zip(rows.tolist(), times[rows].tolist(), what[order].tolist(), strict=True))

    def take(self, stop: int) -> tuple[int, int, int] | None:
        """The next item, if its row comes before `stop`; each is handed out once."""
        if self._next < len(self._items) and self._items[self._next][0] < stop:
            self._next += 1
            return self._items[self._next - 1]
        return None
