"""The kernel's public face: what everyone else holds of it.

    place, modify, cancel      the gate first, then durable, then sent; an intent id comes back at once
    get_…                      intents and attempts by our own account, positions by the books
    subscribe_events           every step in an order's life, synchronously, after it is durable
    observe, run_due           for the shells that bring reports and pass time

An order gets in only as `ports.Approved`; what the gate refuses leaves nothing behind.  What the exchange
answers is no exception here: it arrives as an `OrderEvent`.  `stop` leaves orders where they are.
"""

from collections.abc import Callable, Collection, Mapping

import msgspec
from msgspec.structs import replace

from quantcli.clock import Clock
from quantcli.errors import NotFoundError, SafetyError
from quantcli.kernel.core import Core
from quantcli.kernel.execution import Metrics
from quantcli.kernel.reconcile import Policy
from quantcli.kernel.shell import ReconciliationEngine, ReconciliationMetrics
from quantcli.kernel.steps import Admit, AdmitGroup, CancelIntents, Modify, Observed, Tick
from quantcli.model.account import AccountState, Position
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.instrument import AssetMetadata, SymbolMetadata
from quantcli.model.order import (
    OrderIntent,
    OrderState,
    ReconciliationStatus,
    Report,
    StandardOrder,
    StandardOrderGroup,
    Working,
)
from quantcli.ports import Accounts, Gate, Gateway
from quantcli.store.api import Identity, Store

_PATIENT = Policy()
_EPOCH_META = "kernel.epoch"

OnOrder = Callable[[OrderEvent], None]


class Health(msgspec.Struct, frozen=True):
    """Whether orders can be placed, what stopped the kernel if not, and how many open intents are in which
    condition (only those that occur)."""

    ok: bool
    failure: str
    conditions: dict[ReconciliationStatus, int]


class ExchangeKernel:
    """Orders on one exchange; see the module's docstring.

    Every method may raise `SafetyError` when the kernel is not running, or has stopped for good.
    """

    def __init__(
        self,
        exchange_id: str,
        store: Store,
        gateway: Gateway,
        gate: Gate,
        accounts: Accounts,
        instruments: Mapping[str, SymbolMetadata],
        clock: Clock,
        policy: Policy = _PATIENT,
    ) -> None:
        self.exchange_id = exchange_id
        self._store, self._gateway, self._gate, self._clock = store, gateway, gate, clock
        self._accounts, self._instruments, self._policy = accounts, instruments, policy
        self._core: Core | None = None
        self._engine: ReconciliationEngine | None = None
        self._subscribers: dict[int, tuple[OnOrder, Collection[OrderEventKind] | None]] = {}
        self._subscriptions = 0

    # Lifecycle.

    async def start(self) -> None:
        """Go on from what the store holds; whoever made the store has opened it, and closes it.

        A kernel that was stopped may be started again; raises `SafetyError` while it is running.
        """
        if self._engine is not None and self._engine.get_metrics().running:
            raise SafetyError("the kernel is running already", todo="stop it first")
        self._core = Core(await _own_identity(self._store), self._policy)
        self._engine = ReconciliationEngine(
            self._store, self._gateway, self._clock, self._core, self._publish
        )
        await self._engine.start()

    async def stop(self) -> None:
        """Finish what is under way; no order is cancelled."""
        await self._running.stop()

    async def health_check(self) -> Health:
        """How the kernel is."""
        if self._core is None or self._engine is None:
            return Health(ok=False, failure="not started", conditions={})
        conditions = {status: count for status, count in self._core.view.conditions().items() if count}
        failure = self._engine.failure
        running = self._engine.get_metrics().running
        return Health(running, str(failure) if failure else "" if running else "stopped", conditions)

    # Commands.

    async def place_order(self, order: StandardOrder, metadata: Mapping[str, str]) -> str:
        """Admit an order and return its intent id once the placement is durable and handed over.

        Raises `ValidationError` or `RiskRefused`.
        """
        engine, core = self._running, self._open_core
        await engine.caught_up()  # a fill that is being committed is neither working nor in the books
        approved = self._gate.admit(order, metadata)
        intent_id = core.new_intent_id()
        await engine.apply(Admit(approved, intent_id))
        return intent_id

    async def place_order_group(self, group: StandardOrderGroup, metadata: Mapping[str, str]) -> list[str]:
        """Admit orders that share one quantity (`kernel.groups`), all or none; ids in order of the orders."""
        engine, core = self._running, self._open_core
        await engine.caught_up()
        approved = tuple(
            self._gate.admit(order, metadata, beside=group.orders[:number])
            for number, order in enumerate(group.orders)
        )
        intent_ids = tuple(core.new_intent_id() for _ in approved)
        await engine.apply(AdmitGroup(approved, intent_ids, group.mode))
        return list(intent_ids)

    async def modify_order(self, intent_id: str, new_order: StandardOrder) -> None:
        """Give an open intent new terms; `quantity` is the new total, what is filled already included.

        Raises `NotFoundError`, and `ValidationError` for an intent that is settled or being cancelled, and
        for one that was modified some 230 times: placements of an intent are numbered up to 255.
        """
        intent = await self.get_order_intent(intent_id)
        await self._running.caught_up()
        approved = self._gate.admit(new_order, intent.metadata, replaces=intent_id)
        await self._running.apply(Modify(intent_id, approved))

    async def cancel_order(self, intent_id: str, reason: str = "cancelled") -> None:
        """Want nothing more of an intent; one that is settled already stays as it is.

        Raises `NotFoundError`.
        """
        await self.get_order_intent(intent_id)
        await self._running.apply(CancelIntents((intent_id,), reason))

    async def cancel_all_orders(self, symbol_id: str | None = None, reason: str = "cancelled") -> int:
        """Want nothing more of any intent, of one market or all; returns how many were open."""
        intent_ids = tuple(intent.intent_id for intent in self._open_core.view.unsettled(symbol_id))
        await self._running.apply(CancelIntents(intent_ids, reason))
        return len(intent_ids)

    # Queries.

    async def get_order_intent(self, intent_id: str) -> OrderIntent:
        """An intent, settled or not; raises `NotFoundError`."""
        entry = self._open_core.view.find(intent_id)
        return entry.intent if entry else await self._store.intents.get_intent(intent_id)

    async def get_order_state(self, intent_id: str) -> OrderState:
        """The latest attempt at an intent; raises `NotFoundError`."""
        entry = self._open_core.view.find(intent_id)
        if entry is not None and entry.last is not None:
            return entry.last
        return await self._store.orders.get_order_state(intent_id)

    async def get_all_intents(self, symbol_id: str | None = None) -> list[OrderIntent]:
        """Every intent there ever was, of one market or all, oldest first."""
        return await self._store.intents.list_intents(symbol_id)

    async def get_all_orders(self, symbol_id: str | None = None) -> list[OrderState]:
        """Every attempt there ever was, of one market or all, by intent."""
        return await self._store.orders.list_order_states(symbol_id)

    async def get_positions(self, symbol_id: str | None = None) -> list[Position]:
        """Positions by our own books."""
        return self._accounts.positions(symbol_id)

    async def get_account_state(self) -> AccountState:
        """Balances, positions and equity by our own books."""
        return self._accounts.account_state()

    async def get_symbol_metadata(self, symbol_id: str) -> SymbolMetadata:
        """Trading rules of a market; raises `NotFoundError`."""
        metadata = self._instruments.get(symbol_id)
        if metadata is None:
            raise NotFoundError(
                f"no symbol {symbol_id} on {self.exchange_id}", todo="see the list of symbols"
            )
        return metadata

    async def get_asset_metadata(self, asset: str) -> AssetMetadata:
        """A currency that some market is in; raises `NotFoundError`."""
        for metadata in self._instruments.values():
            symbol = metadata.symbol
            if asset in (symbol.base, symbol.quote, symbol.settle):
                return AssetMetadata(asset)
        raise NotFoundError(f"no asset {asset} on {self.exchange_id}", todo="see the list of symbols")

    async def list_symbols(self) -> list[str]:
        """Names of all markets, sorted."""
        return sorted(self._instruments)

    # Events.

    def subscribe_events(
        self, callback: OnOrder, event_filter: Collection[OrderEventKind] | None = None
    ) -> int:
        """Have `callback` called with every event, or those of some kinds; returns the subscription's id.

        Callbacks run synchronously in the order of subscription.
        """
        self._subscriptions += 1
        self._subscribers[self._subscriptions] = callback, event_filter
        return self._subscriptions

    def unsubscribe_events(self, subscription: int) -> None:
        """End a subscription; raises `NotFoundError`."""
        if self._subscribers.pop(subscription, None) is None:
            raise NotFoundError(f"no subscription {subscription}")

    def _publish(self, event: OrderEvent) -> None:
        failed = None
        for callback, kinds in list(self._subscribers.values()):
            if kinds is None or event.kind in kinds:
                try:
                    callback(event)
                except Exception as error:
                    failed = failed or error
        if failed is not None:
            raise failed

    # Control.

    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        """Ask the exchange about the open order of one intent, or about all; raises `NotFoundError`."""
        if intent_id is None:
            await self._running.reconcile_all()
        else:
            await self.get_order_intent(intent_id)
            await self._running.reconcile_intent(intent_id)

    def get_reconciliation_metrics(self) -> ReconciliationMetrics:
        """Figures of the reconciliation loop now."""
        return self._running.get_metrics()

    def counts(self) -> Metrics:
        """What was done since start."""
        return self._open_core.metrics

    def checks(self) -> dict[str, int]:
        """How often each invariant was checked; a violation stops the kernel."""
        return dict(self._open_core.checks)

    # For the shells that pass time.

    async def observe(self, report: Report) -> None:
        """Fold a report of the gateway."""
        await self._running.apply(Observed(report))

    async def run_due(self) -> None:
        """Look at every intent that is due by now."""
        await self._running.apply(Tick())

    def next_due(self) -> int | None:
        """When to call `run_due` next, in nanoseconds; `None` if nothing is open."""
        return self._open_core.next_due()

    def working(self) -> list[Working]:
        """What may still trade, by intent; what is unknown counts in full."""
        return self._open_core.view.working()

    @property
    def _running(self) -> ReconciliationEngine:
        if self._engine is None:
            raise SafetyError("the kernel is not running", todo="start it first")
        return self._engine

    @property
    def _open_core(self) -> Core:
        if self._core is None:
            raise SafetyError("the kernel is not running", todo="start it first")
        return self._core


async def _own_identity(store: Store) -> Identity:
    """The store's identity in an epoch that no start had before: ids never return, though a store may be
    opened once and see many starts."""
    identity = store.identity
    epoch = max(identity.epoch, int(await store.get_meta(_EPOCH_META) or 0) + 1)
    await store.set_meta(_EPOCH_META, str(epoch))
    return replace(identity, epoch=epoch)
