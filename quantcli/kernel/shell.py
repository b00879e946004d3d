"""Commit, then send: the engine that runs the core against a store and a gateway.

Every event is one step of the core, taken at once and without suspending; what the step wants is carried
out in the order of the steps, one commit at a time, each before its requests and callbacks.  Where the
store never suspends (in memory) neither does `apply`: no task, no turn of the event loop.  Where it does,
the rest runs in a task of the engine's own, so that cancelling a caller tears nothing.

A commit that fails leaves the core ahead of the store, a step that fails leaves it half changed: from then
on the engine refuses everything, with the reason, and only a restart from what is durable helps.  Knows no
rules about orders.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS, Clock
from quantcli.errors import SafetyError, ValidationError
from quantcli.kernel.core import Core
from quantcli.kernel.steps import Boot, Commit, Event, Force, Send
from quantcli.model.event import OrderEvent
from quantcli.model.order import ReconciliationStatus
from quantcli.ports import Gateway
from quantcli.store.api import Store


class ReconciliationMetrics(msgspec.Struct, frozen=True):
    """State of the loop: how late it is, how many intents are not yet as wished, and counts since start of
    unanswered requests with failed commits (`error_count`) and of repeated requests (`retry_count`)."""

    running: bool
    reconciliation_lag_ms: float
    pending_reconciliations: int
    error_count: int
    retry_count: int


class _Item:
    """A commit to be carried out, and who waits for it."""

    __slots__ = ("commit", "error", "is_done", "waiter")

    def __init__(self, commit: Commit) -> None:
        self.commit = commit
        self.error: Exception | None = None
        self.is_done = False
        self.waiter: asyncio.Future[None] | None = None

    def finish(self, error: Exception | None) -> None:
        self.is_done, self.error = True, error
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class ReconciliationEngine:
    """Runs one core; `failure` is what stopped it for good."""

    def __init__(
        self, store: Store, gateway: Gateway, clock: Clock, core: Core, on_event: Callable[[OrderEvent], None]
    ) -> None:
        self.failure: Exception | None = None
        self._store, self._gateway, self._clock, self._core = store, gateway, clock, core
        self._on_event = on_event
        self._running = False
        self._failed_commits = 0
        self._outbox: deque[_Item] = deque()
        self._drain_task: asyncio.Task[None] | None = None
        self._is_draining = False

    async def start(self) -> None:
        """Go on from what the store holds: doubt what was not answered, look up what is open."""
        loaded = await self._store.load()
        self._running = True
        await self.apply(Boot(loaded.intents, loaded.states, loaded.fills))

    async def stop(self) -> None:
        """Finish what is under way; orders on the exchange stay."""
        self._running = False
        await self.caught_up()

    async def caught_up(self) -> None:
        """Wait until every step is carried out: until then subscribers know of fewer fills than the core."""
        while self._drain_task is not None:
            await asyncio.shield(self._drain_task)

    async def reconcile_intent(self, intent_id: str) -> None:
        """Look one intent's open order up now."""
        await self.apply(Force(intent_id))

    async def reconcile_all(self) -> None:
        """Look every open order up now."""
        await self.apply(Force())

    def get_metrics(self) -> ReconciliationMetrics:
        """Figures of this moment."""
        core, now_ns = self._core, self._clock.now_ns()
        due_ns = core.next_due()
        overdue_ns = max(now_ns - due_ns, 0) if due_ns is not None else 0
        conditions = core.view.conditions()
        return ReconciliationMetrics(
            running=self._running and self.failure is None,
            reconciliation_lag_ms=max(core.metrics.lag_ns, overdue_ns) / NS_PER_MS,
            pending_reconciliations=sum(conditions.values()) - conditions[ReconciliationStatus.IN_SYNC],
            error_count=core.metrics.errors + self._failed_commits,
            retry_count=core.metrics.retries,
        )

    async def apply(self, event: Event) -> None:
        """Take one step and carry it out.

        Returns when the commit is durable, its requests are handed over and its callbacks have run.  Raises
        what the step or the commit raised, `SafetyError` once the engine has failed, and after everything
        is done what a callback raised.
        """
        if not self._running or self.failure is not None:
            raise self._refusal()
        try:
            commits = self._core.step(self._clock.now_ns(), event)
        except ValidationError:
            raise  # refused: the core is as it was
        except Exception as error:
            self.failure = error  # the step may be half done: its commit must never be taken
            raise
        for commit in commits:
            item = _Item(commit)
            self._outbox.append(item)
            if not self._is_draining:
                self._begin_draining()
            if not item.is_done:
                item.waiter = asyncio.get_running_loop().create_future()
                await item.waiter
            if item.error is not None:
                raise item.error

    def _begin_draining(self) -> None:
        self._is_draining = True
        drain = self._drain()
        try:
            waits_for = drain.send(None)
        except StopIteration:
            return  # nothing suspended: all is done
        self._drain_task = asyncio.create_task(_resumed(drain, waits_for))

    async def _drain(self) -> None:
        """Carry out what is in the outbox, in order, until it is empty."""
        try:
            while self._outbox:
                item = self._outbox.popleft()
                if self.failure is not None:
                    item.finish(self._refusal())
                    continue
                try:
                    if item.commit.rows:
                        await self._store.commit(item.commit.rows)
                except Exception as error:
                    self.failure = error
                    self._failed_commits += 1
                    item.finish(error)
                else:
                    item.finish(self._release(item.commit))
        finally:
            self._is_draining, self._drain_task = False, None

    def _release(self, commit: Commit) -> Exception | None:
        """Do what waited for the commit; a failing callback keeps nothing else from being done."""
        failed = None
        for effect in commit.then:
            try:
                if isinstance(effect, Send):
                    self._gateway.send(effect.request)
                else:
                    self._on_event(effect.event)
            except Exception as error:
                failed = failed or error
        return failed

    def _refusal(self) -> SafetyError:
        if self.failure is None:
            return SafetyError("the kernel is not running", todo="start it first")
        return SafetyError(
            "the kernel has stopped and accepts nothing more",
            why=str(self.failure),
            todo="see to the cause, then start again: everything durable is still there",
        )


async def _resumed(started: Coroutine[Any, Any, None], waits_for: Any) -> None:
    """Go on, in a task, with a coroutine that was started by hand and suspended on `waits_for`."""
    await _rest_of(started, waits_for)


@coroutine
def _rest_of(started: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = started.throw(error)
            else:
                waits_for = started.send(sent)
    except StopIteration:
        return
