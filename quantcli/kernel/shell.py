"""Commit, then send: the engine that runs the core against a store and a gateway.

Every event is one step of the core, taken at once and without suspending; what the step wants is carried
out in the order of the steps, each commit before its requests and callbacks; commits that had to wait share
the next transaction.  Where the store never suspends (in memory) neither does `apply`: no task, no turn of
the event loop.  Where it does, the rest runs in a task of the engine's own, so that cancelling a caller
tears nothing.

A placement whose deadline passed while its commit waited is not sent, and the core is told, in a step.
A commit that fails leaves the core ahead of the store, a step that fails leaves it half changed: from then
on the engine refuses everything, with the reason, and only a restart from what is durable helps.  But it
still can `cancel_everything`: that needs no store.  Knows no rules about orders.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Generator, Sequence
from contextlib import suppress
from types import coroutine
from typing import Any

import msgspec
from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S, Clock
from quantcli.errors import SafetyError, ValidationError
from quantcli.kernel.core import Core
from quantcli.kernel.steps import Boot, Commit, Event, Force, Halted, Notify, Observed, Send
from quantcli.model.event import OrderEvent
from quantcli.model.message import Amend, Asked, Cancel, Place, PlaceList, Silence
from quantcli.model.order import OrderState
from quantcli.model.order import ReconciliationStatus as Status
from quantcli.ports import Gateway
from quantcli.store.api import Identity, Store

_EPOCH_META = "kernel.epoch"


class ReconciliationMetrics(msgspec.Struct, frozen=True):
    """State of the loop: how late it is, how many intents are not yet as wished, and counts since start of
    unanswered requests with failed commits (`error_count`) and of repeated requests (`retry_count`)."""

    running: bool
    reconciliation_lag_ms: float
    pending_reconciliations: int
    error_count: int
    retry_count: int


class _Item:
    """A commit to be carried out, and who waits for it: whose it is, and those who wait for its fills."""

    __slots__ = ("commit", "error", "has_fill", "is_done", "is_nobodys", "told", "waiter")

    def __init__(self, commit: Commit, is_nobodys: bool = False) -> None:
        self.commit = commit
        self.is_nobodys = is_nobodys
        self.has_fill = any(isinstance(effect, Notify) and effect.event.fill for effect in commit.then)
        self.told: asyncio.Future[None] | None = None
        self.error: Exception | None = None
        self.is_done = False
        self.waiter: asyncio.Future[None] | None = None

    def finish(self, error: Exception | None) -> None:
        self.is_done, self.error = True, error
        if self.told is not None:
            self.told.set_result(None)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
        elif error is not None and (self.is_nobodys or self.waiter is not None):
            context = {"message": "a step failed whose caller is not there any more", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


class ReconciliationEngine:
    """Runs one core; `failure` is what stopped it for good."""

    def __init__(
        self, store: Store, gateway: Gateway, clock: Clock, core: Core, on_event: Callable[[OrderEvent], None]
    ) -> None:
        self.failure: Exception | None = None
        self._store, self._gateway, self._clock, self._core = store, gateway, clock, core
        self._on_event, self._running, self._failed_commits = on_event, False, 0
        self._outbox: deque[_Item] = deque()
        self._untold: deque[_Item] = deque()  # what of it has fills
        self._drain_task: asyncio.Future[None] | None = None
        self._is_draining = False

    async def start(self, symbols: tuple[str, ...] = (), halted: Halted = Halted.NOT) -> None:
        """Go on from what the store holds: doubt what was not answered, look up what is open (`Boot`)."""
        loaded = await self._store.load()
        self._running = True
        await self.apply(Boot(loaded, symbols, halted, self._store.was_restored))

    async def stop(self) -> None:
        """Finish what is under way; orders on the exchange stay."""
        self._running = False
        await self.caught_up()

    async def caught_up(self) -> None:
        """Wait until every step is carried out."""
        while self._drain_task is not None:
            await asyncio.wait((self._drain_task,))

    async def fills_told(self) -> None:
        """Wait until subscribers know of every fill that the core knows of."""
        while self._untold:
            item = self._untold[-1]
            if item.told is None:
                item.told = asyncio.get_running_loop().create_future()
            await asyncio.wait((item.told,))

    async def reconcile_intent(self, intent_id: str) -> None:
        """Look one intent's open order up now."""
        await self.apply(Force(intent_id))

    async def reconcile_all(self) -> None:
        """Look every open order up now."""
        await self.apply(Force())

    async def cancel_everything(
        self, spare_protective: bool = False, among: Collection[str] | None = None
    ) -> list[OrderState]:
        """In an emergency: ask to cancel every order that may be there, or all but those that protect a
        position, at once and past the store.

        Works after a failure and beside a commit that hangs; nothing more is accepted or placed, and the next
        start finds out what became of the orders that are returned.  A placement on its way may arrive after
        its cancellation: ask again once the last `deadline_ns` has passed.
        """
        self._fail(SafetyError("every order was cancelled in an emergency"))
        now_ns, entries = self._clock.now_ns(), self._core.view.open.values()
        doomed = [
            state
            for entry in entries
            if not (spare_protective and entry.intent.protective)
            for state in entry.open_attempts
            if among is None or state.client_order_id in among
        ]
        cancels = [Send(Cancel(state.client_order_id, state.order.symbol, now_ns)) for state in doomed]
        failed = self._release(_Item(Commit((), tuple(cancels))))
        if failed is not None:
            raise failed
        return doomed

    def get_metrics(self) -> ReconciliationMetrics:
        """Figures of this moment."""
        core, now_ns = self._core, self._clock.now_ns()
        due_ns = core.next_due()
        overdue_ns = max(now_ns - due_ns, 0) if due_ns is not None else 0
        conditions = core.view.conditions()
        return ReconciliationMetrics(
            running=self._running and self.failure is None,
            reconciliation_lag_ms=max(core.metrics.lag_ns, overdue_ns) / NS_PER_MS,
            pending_reconciliations=sum(conditions.values()) - conditions[Status.IN_SYNC],
            error_count=core.metrics.errors + self._failed_commits,
            retry_count=core.metrics.retries,
        )

    async def apply(self, event: Event) -> None:
        """Take one step and return when its commit is durable, its requests are handed over and its callbacks
        have run.

        Raises what step or commit or, when all is done, a callback raised; `SafetyError` after a failure.
        """
        if not self._running or self.failure is not None:
            raise self._refusal()
        items = self._step(event)
        if items and not self._is_draining:
            self._begin_draining()
        failed = None
        for item in items:
            if not item.is_done:
                item.waiter = asyncio.get_running_loop().create_future()
                await item.waiter
            failed = failed or item.error
        if failed is not None:
            raise failed

    def _step(self, event: Event, is_nobodys: bool = False) -> list[_Item]:
        """Take a step; its commits queue up behind those of every earlier one."""
        try:
            commits = self._core.step(self._clock.now_ns(), event)
        except ValidationError:
            raise  # refused: the core is as it was
        except BaseException as error:
            self._fail(error)  # the step may be half done: its commit must never be taken
            raise
        items = [_Item(commit, is_nobodys) for commit in commits]
        self._outbox.extend(items)
        self._untold.extend(item for item in items if item.has_fill)
        return items

    def _begin_draining(self) -> None:
        self._is_draining = True
        drain = self._drain()
        try:
            waits_for = drain.send(None)
        except StopIteration:
            return  # nothing suspended: all is done
        self._drain_task = asyncio.ensure_future(_rest_of(drain, waits_for))
        self._drain_task.add_done_callback(lambda _: drain.close())  # if it was cancelled before it began

    async def _drain(self) -> None:
        """Carry out what is in the outbox, in order, until it is empty; what waits shares one transaction."""
        try:
            while self._outbox:
                batch = tuple(self._outbox)
                error = await self._commit(batch)
                for item in batch:
                    error_of_item = error or self._release(item)
                    self._leave()
                    item.finish(error_of_item)
        except BaseException as error:  # the task was cancelled: nobody knows whether the commit is durable
            self._fail(error)
            while self._outbox:
                self._leave().finish(self._refusal())
            raise
        finally:
            self._is_draining, self._drain_task = False, None

    def _leave(self) -> _Item:
        item = self._outbox.popleft()
        if item.has_fill:
            self._untold.popleft()
        return item

    async def _commit(self, batch: Sequence[_Item]) -> Exception | None:
        if self.failure is not None:
            return self._refusal()
        rows = batch[0].commit.rows
        if len(batch) > 1:
            rows = tuple(row for item in batch for row in item.commit.rows)
        if rows:
            try:
                await self._store.commit(rows)
            except Exception as error:
                self._failed_commits += 1
                self._fail(error)
                return error
        return None

    def _release(self, item: _Item) -> Exception | None:
        """Do what waited for the commit; a failing callback keeps nothing else from being done."""
        failed: Exception | None = None
        for effect in item.commit.then:
            try:
                if isinstance(effect, Notify):
                    self._on_event(effect.event)
                elif not isinstance(effect.request, (Place, PlaceList, Amend)):
                    self._gateway.send(effect.request)
                elif self.failure is None:  # since the commit was begun
                    self._place(effect.request)
            except Exception as error:
                failed = failed or error
        return failed

    def _place(self, request: Place | PlaceList | Amend) -> None:
        """Send a request, or take the steps that tell the core that it was too late."""
        places = request.places if isinstance(request, PlaceList) else (request,)
        if self._clock.now_ns() <= min([place.deadline_ns for place in places]):
            self._gateway.send(request)
        else:
            for place in places:
                self._step(Observed(_too_late(place)), is_nobodys=True)

    def _fail(self, error: BaseException) -> None:
        """Stop for good; the first cause stays."""
        if self.failure is None:
            self.failure = error if isinstance(error, Exception) else SafetyError(f"interrupted: {error!r}")

    def _refusal(self) -> SafetyError:
        if self.failure is None:
            return SafetyError("the kernel is not running", todo="start it first")
        what = "the kernel has stopped and accepts nothing more"
        todo = "see to the cause, then start again: everything durable is still there"
        return SafetyError(what, why=str(self.failure), todo=todo)


async def own_identity(store: Store, now_ns: int) -> Identity:
    """The store's identity in an epoch that no start had before: ids never return, though a store may be
    opened once and see many starts, and though a copy of it from before some of them may be restored:
    hence no epoch lies before the present second."""
    identity = store.identity
    epoch = max(identity.epoch, int(await store.get_meta(_EPOCH_META) or 0) + 1, now_ns // NS_PER_S)
    await store.set_meta(_EPOCH_META, str(epoch))
    return replace(identity, epoch=epoch)


def _too_late(place: Place | Amend) -> Silence:
    asked, number = (Asked.AMEND, place.number) if isinstance(place, Amend) else (Asked.PLACE, 0)
    return Silence(place.client_order_id, asked, "too late to send", sent=False, number=number)


@coroutine
def _rest_of(started: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was started by hand and suspended on `waits_for`."""
    with suppress(StopIteration):
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = started.throw(error)
            else:
                waits_for = started.send(sent)
