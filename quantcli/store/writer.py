"""The one thread that writes: each piece of work is a whole transaction, or no part of one.

A coroutine that waits for its work may be cancelled; the work is not.  Work that queues up while the disk
syncs shares the next transaction (group commit), and each piece still succeeds or fails for itself.
After any failure of the database nothing more is accepted: pages that an fsync failed to write may be
gone although a second fsync succeeds.  Knows transactions, not what is in them.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from quantcli.errors import QuantError, StoreError
from quantcli.store import refusals

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Job = tuple[Work[Any], "Future[Any]"]

# What a row may be refused for: a constraint, an integer beyond 64 bits, text that is not Unicode.
_UNFIT = (sqlite3.IntegrityError, OverflowError, UnicodeError)

# The WAL is written back when nothing was asked for this long, so that a busy moment need not.
_IDLE_S = 1.0


class Writer:
    """Owns the writing connection from `start` to `close`."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._broken = ""

    def start(self, connection: sqlite3.Connection) -> None:
        """Begin to serve."""
        self._broken = ""
        self._thread = threading.Thread(
            target=self._serve, args=(connection,), name="quant-store", daemon=True
        )
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """Do `work` in a transaction and return what it returns, once that is durable.

        `work` must not wait for anything.  A `QuantError` it raises undoes it and is raised here;
        a row the tables cannot take raises `InvariantError`; anything else breaks the writer: `StoreError`.
        """
        if self._thread is None:
            raise refusals.not_open()
        outcome: Future[T] = Future()
        self._jobs.put((work, outcome))
        return await asyncio.shield(asyncio.wrap_future(outcome))

    async def close(self) -> None:
        """Finish all work that was asked for, then close the connection."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.shield(asyncio.to_thread(thread.join))

    def _serve(self, connection: sqlite3.Connection) -> None:
        while group := self._next_group(connection):
            for (_, outcome), result in zip(group, self._settle(connection, group), strict=True):
                if isinstance(result, QuantError):
                    outcome.set_exception(result)
                else:
                    outcome.set_result(result)
        connection.close()

    def _next_group(self, connection: sqlite3.Connection) -> list[_Job]:
        """All work that waits, at least one piece; none when it is time to close."""
        try:
            job = self._jobs.get(timeout=_IDLE_S)
        except queue.Empty:
            self._write_back(connection)
            job = self._jobs.get()
        group: list[_Job] = []
        with suppress(queue.Empty):
            while job is not None:
                group.append(job)
                job = self._jobs.get_nowait()
            if group:
                self._jobs.put(None)  # the last of all: met again once this group is done
        return group

    def _settle(self, connection: sqlite3.Connection, group: list[_Job]) -> list[Any]:
        """The result of each piece of work, or the `QuantError` it failed with."""
        if not self._broken:
            try:
                connection.execute("BEGIN IMMEDIATE")
                results = [_attempt(connection, work) for work, _ in group]
                connection.execute("COMMIT")
                return results
            except Exception as error:  # whatever it is, somebody waits, and the file is in doubt
                self._give_up(connection, error)
        return [self._refusal() for _ in group]

    def _write_back(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._give_up(connection, error)

    def _give_up(self, connection: sqlite3.Connection, error: Exception) -> None:
        self._broken = f"{type(error).__name__}: {error}"
        with suppress(sqlite3.Error):
            connection.rollback()

    def _refusal(self) -> StoreError:
        return StoreError(
            "the state database cannot be written",
            why=self._broken,
            todo="see to the disk, then start again: what was asked for last may or may not be recorded",
        )


def _attempt(connection: sqlite3.Connection, work: Work[T]) -> T | QuantError:
    """Do the work, or undo what it did and return why."""
    connection.execute("SAVEPOINT work")
    result: T | QuantError
    try:
        result = work(connection)
    except QuantError as error:
        result = error
    except _UNFIT as error:
        result = refusals.broken_rule(str(error))
    if isinstance(result, QuantError):
        connection.execute("ROLLBACK TO work")
    connection.execute("RELEASE work")
    return result
