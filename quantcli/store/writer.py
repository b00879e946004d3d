"""The one connection that writes: each piece of work is a whole transaction, or no part of one.

Where the disk is quick, work is done at once in the calling thread, because handing it to another one and
back takes longer than the disk; what is asked for in the same turn of the event loop waits for the next one
and shares a transaction.  Where the disk is slow a thread of its own writes, and what queues up meanwhile
shares the next transaction (group commit).  Each piece succeeds or fails for itself either way, in the order
it was asked for.  A coroutine that waits for its work may be cancelled; the work is not.

A full disk and a lock held by another program undo the transaction and nothing else.  After any other failure
nothing more is accepted: pages that an fsync failed to write may be gone although a second fsync succeeds.
Knows transactions, not what is in them.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from quantcli.errors import QuantError, StoreBusy
from quantcli.store import refusals
from quantcli.store.disk import Disk

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# What a row may be refused for: a constraint, an integer beyond 64 bits, text that is not Unicode.
_UNFIT = (sqlite3.IntegrityError, OverflowError, UnicodeError)

# The WAL is written back when nothing was asked for this long, so that a busy moment need not.
_IDLE_S = 1.0
# How long another program may hold the database before we say so, and how often we try.
_PATIENCE_S = 5.0
_RETRY_S = 0.02
# More than this at once would keep the event loop from its other business.
_INLINE_JOBS = 64


class _Job(NamedTuple):
    work: Work[Any]
    outcome: "asyncio.Future[Any]"


class Writer:
    """Owns the writing connection from `start` to `close`; called from one event loop.

    `inline_below_s` is how long the last transaction may have taken, in seconds, for the next one to be made
    in the calling thread.
    """

    def __init__(self, inline_below_s: float) -> None:
        self._inline_below_s = inline_below_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._queued = 0  # jobs that the thread has, or whose outcome is on its way back
        self._gathered: list[_Job] = []  # jobs for the end of this turn of the event loop …
        self._in_turn = False  # … in which something was written already
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()  # held by the thread that uses the connection
        self._is_quick = False
        self._written_s: float | None = None  # when the WAL got what the database has not
        self._broken: QuantError | None = None

    def start(self, connection: sqlite3.Connection, disk: Disk, commit_s: float) -> None:
        """Begin to serve; a commit on this disk takes about `commit_s` seconds."""
        self._connection, self._disk = connection, disk
        self._is_quick = commit_s < self._inline_below_s
        self._in_turn, self._broken = False, None
        self._thread = threading.Thread(target=self._serve, name="quant-store", daemon=True)
        self._thread.start()

    def distrust(self, error: QuantError) -> None:
        """Accept nothing more; may be called from any thread."""
        self._broken = error

    async def run(self, work: Work[T]) -> T:
        """Do `work` in a transaction and return what it returns, once that is durable.

        `work` must not wait for anything.  A `QuantError` it raises undoes it and is raised here, a row the
        tables cannot take raises `InvariantError`.  `StoreFull` and `StoreBusy` leave everything as it was.
        Anything else breaks the writer: `StoreError`, or `SafetyError` if the file is gone.
        """
        if self._thread is None:
            raise refusals.not_open()
        loop = asyncio.get_running_loop()
        inline = self._is_quick and not self._queued
        if inline and not self._in_turn and self._turn.acquire(blocking=False):
            self._in_turn = True
            loop.call_soon(self._end_turn)
            (result,) = self._settle([work], patience_s=0)
            if not isinstance(result, StoreBusy):
                return _given(result)  # type: ignore[no-any-return]
        job = _Job(work, loop.create_future())
        if self._gathered or (inline and self._in_turn and self._is_quick):
            self._gathered.append(job)
        else:
            self._enqueue([job])
        return await job.outcome  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Finish all work that was asked for, then close the connection."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._end_turn()
            self._jobs.put(None)
            await asyncio.shield(asyncio.to_thread(thread.join))

    def _end_turn(self) -> None:
        """Do what was gathered while the event loop made one turn."""
        self._in_turn = False
        jobs, self._gathered = self._gathered, []
        if not jobs:
            return
        if len(jobs) <= _INLINE_JOBS and self._turn.acquire(blocking=False):
            results = self._settle([job.work for job in jobs], patience_s=0)
            if not isinstance(results[0], StoreBusy):
                _tell(jobs, results)
                return
        self._enqueue(jobs)

    def _enqueue(self, jobs: list[_Job]) -> None:
        self._queued += len(jobs)
        for job in jobs:
            self._jobs.put(job)

    def _serve(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if group:
                self._turn.acquire()
                results = self._settle([job.work for job in group], _PATIENCE_S)
                with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                    group[0].outcome.get_loop().call_soon_threadsafe(self._hand_over, group, results)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """All work that waits, and whether there will be more; none if nothing came for a while."""
        group: list[_Job] = []
        try:
            job = self._jobs.get(timeout=_IDLE_S)
            while job is not None:
                group.append(job)
                job = self._jobs.get_nowait()
        except queue.Empty:
            if not group:
                self._write_back()
            return group, True
        return group, False

    def _hand_over(self, group: list[_Job], results: list[Any]) -> None:
        self._queued -= len(group)
        _tell(group, results)

    def _settle(self, works: list[Work[Any]], patience_s: float) -> list[Any]:
        """The result of each piece of work, or the `QuantError` it failed with; gives the turn back."""
        try:
            if self._broken is not None:
                return [_again(self._broken) for _ in works]
            started = time.perf_counter()
            try:
                _begin(self._connection, patience_s)
                results = _together(self._connection, works)
                self._disk.check()
            except Exception as error:  # whatever it is, somebody waits, and the file may be in doubt
                failure = self._failure(error)
                return [_again(failure) for _ in works]
            self._written_s = time.perf_counter()
            self._is_quick = self._written_s - started < self._inline_below_s
            return results
        finally:
            self._turn.release()

    def _failure(self, error: Exception) -> QuantError:
        """Undo the transaction, and decide what it means for the next one."""
        self._is_quick = False
        with suppress(sqlite3.Error):
            self._connection.rollback()
        # The low byte is the kind of error, the rest says where; errors of Python's own have no code.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if kind == sqlite3.SQLITE_BUSY:
            return refusals.held_by_another(str(error))
        if kind == sqlite3.SQLITE_FULL:
            self._disk.make_room()
            return refusals.disk_full(str(error))
        self._broken = error if isinstance(error, QuantError) else refusals.broken_disk(error)
        return self._broken

    def _write_back(self) -> None:
        """Empty the WAL into the database, if nobody has written for a while."""
        written_s = self._written_s
        is_idle = written_s is not None and time.perf_counter() - written_s >= _IDLE_S
        if not is_idle or self._broken is not None or not self._turn.acquire(blocking=False):
            return
        try:
            self._written_s = None
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._failure(error)
        finally:
            self._turn.release()


def _begin(connection: sqlite3.Connection, patience_s: float) -> None:
    """Start to write; waits for another program that does."""
    until = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(_RETRY_S)


def _together(connection: sqlite3.Connection, works: list[Work[Any]]) -> list[Any]:
    """Do all work in the transaction that is open, and commit what succeeds."""
    if len(works) == 1:
        (result,) = results = [_attempt(connection, works[0])]
        connection.execute("ROLLBACK" if isinstance(result, QuantError) else "COMMIT")
        return results
    results = [_beside_others(connection, work) for work in works]
    connection.execute("COMMIT")
    return results


def _beside_others(connection: sqlite3.Connection, work: Work[T]) -> T | QuantError:
    """Do the work, or undo what it did, and nothing else, and return why."""
    connection.execute("SAVEPOINT work")
    result = _attempt(connection, work)
    if isinstance(result, QuantError):
        connection.execute("ROLLBACK TO work")
    connection.execute("RELEASE work")
    return result


def _attempt(connection: sqlite3.Connection, work: Work[T]) -> T | QuantError:
    try:
        return work(connection)
    except QuantError as error:
        return error
    except _UNFIT as error:
        return refusals.broken_rule(str(error))


def _tell(jobs: list[_Job], results: list[Any]) -> None:
    for (_, outcome), result in zip(jobs, results, strict=True):
        if outcome.done():
            continue  # cancelled: the work is done all the same
        if isinstance(result, QuantError):
            outcome.set_exception(result)
        else:
            outcome.set_result(result)


def _given(result: Any) -> Any:
    if isinstance(result, QuantError):
        raise result
    return result


def _again(error: QuantError) -> QuantError:
    """The error for one more who is told: each raises it from a place of its own."""
    return type(error)(error.what, why=error.why, todo=error.todo)
