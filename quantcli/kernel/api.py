"""The kernel's public face: what everyone else holds of it.

    place, modify, cancel      the gate first, then durable, then sent; an intent id comes back at once
    get_…                      intents and attempts by our own account, positions by the books
    subscribe_events           every step in an order's life, synchronously, after it is durable
    halt, adopt_order, …       an operator's words
    observe, run_due, …        for the shells that bring reports and prices, and pass time

An order gets in only as `ports.Approved`; what the gate refuses leaves nothing behind.  What the exchange
answers is no exception here: it arrives as an `OrderEvent`.  `stop` leaves orders where they are.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from quantcli.clock import Clock
from quantcli.errors import NotFoundError, SafetyError, ValidationError
from quantcli.kernel.core import Core
from quantcli.kernel.execution import Metrics
from quantcli.kernel.groups import leg_names
from quantcli.kernel.health import Health, Picture, examined, pictured, remembered
from quantcli.kernel.policy import Policy
from quantcli.kernel.shell import ReconciliationEngine, ReconciliationMetrics, own_identity
from quantcli.kernel.steps import (
    AcceptDrift,
    Admit,
    AdmitGroup,
    Adopt,
    CancelIntents,
    ClockBound,
    Halt,
    Halted,
    Modify,
    Observed,
    Quoted,
    Resync,
    Tick,
    Trust,
    Verdict,
)
from quantcli.kernel.subscribers import OnOrder, Subscribers
from quantcli.kernel.wishing import same_wish
from quantcli.model.account import AccountState, Position
from quantcli.model.event import OrderEventKind
from quantcli.model.instrument import AssetMetadata, SymbolMetadata
from quantcli.model.message import Report
from quantcli.model.order import (
    OrderIntent,
    OrderState,
    StandardOrder,
    StandardOrderGroup,
    Working,
)
from quantcli.ports import Accounts, Gate, Gateway
from quantcli.store.api import Store

_PATIENT = Policy()


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
        self._subscribers = Subscribers()

    # Lifecycle.

    async def start(self, symbols: Collection[str] = (), halted: Halted = Halted.NOT) -> None:
        """Go on from what the store holds; whoever made the store has opened it, and closes it.

        `symbols` are markets about to be traded, `halted` says what the kill switch stands at.  A kernel that
        was stopped may be started again; raises `SafetyError` while it is running.
        """
        if self._engine is not None and self._engine.get_metrics().running:
            raise SafetyError("the kernel is running already", todo="stop it first")
        identity = await own_identity(self._store, self._clock.now_ns())
        self._core = Core(identity, self._policy, self._instruments)
        self._engine = ReconciliationEngine(
            self._store, self._gateway, self._clock, self._core, self._subscribers.publish
        )
        await self._engine.start(tuple(symbols), halted)

    async def stop(self) -> None:
        """Finish what is under way; no order is cancelled."""
        await self._running.stop()

    async def health_check(self) -> Health:
        """How the kernel is."""
        return self.health()

    def health(self) -> Health:
        """The same, at once."""
        if self._core is None or self._engine is None:
            return Health(ok=False, failure="not started", conditions={})
        return examined(self._core, self._engine)

    # Commands.

    async def place_order(
        self, order: StandardOrder, metadata: Mapping[str, str], request_id: str = ""
    ) -> str:
        """Admit an order and return its intent id once the placement is durable and handed over.

        Asked again under the same `request_id`, it answers with the intent there is.  Raises `RiskRefused`,
        and `ValidationError`, also where that intent is another order.
        """
        engine, core = self._running, self._open_core
        await engine.fills_told()  # one that is being committed is neither working nor in the books
        if request_id and (known := await self._requested(request_id)) is not None:
            return same_wish(known, order, request_id)
        approved = self._gate.admit(order, metadata)
        intent_id = core.new_intent_id()
        await engine.apply(Admit(approved, intent_id, request_id))
        return intent_id

    async def place_order_group(
        self, group: StandardOrderGroup, metadata: Mapping[str, str], request_id: str = ""
    ) -> list[str]:
        """Admit orders that bear on each other (`kernel.groups`), all or none.

        Returns their intent ids: the entry's, if there is one, then those of the orders.  `request_id` and
        errors as in `place_order`.
        """
        engine, core = self._running, self._open_core
        await engine.fills_told()
        orders = group.orders if group.entry is None else (group.entry, *group.orders)
        names = [f"{request_id}/{number}" if request_id else "" for number in range(len(orders))]
        if request_id and await self._requested(names[0]) is not None:
            known = [await self._requested(name) for name in names]
            return [same_wish(k, o, request_id) for k, o in zip(known, orders, strict=True)]
        approved = tuple(
            self._gate.admit(
                order,
                {**metadata, "leg": leg},
                beside=group.orders[:number] if group.entry is None else (),
                closes=None if order is group.entry else group.entry,
            )
            for number, (order, leg) in enumerate(zip(orders, leg_names(group), strict=True))
        )
        intent_ids = tuple(core.new_intent_id() for _ in approved)
        has_entry = group.entry is not None
        await engine.apply(AdmitGroup(approved, intent_ids, group.mode, has_entry, group.trail, request_id))
        return list(intent_ids)

    async def _requested(self, request_id: str) -> OrderIntent | None:
        """The intent that was asked for under an id, once it is durable."""
        recorded = await self._store.intents.get_intent_by_request(request_id)
        entry = self._open_core.view.find_request(request_id)  # perhaps made since by another caller
        if entry is None:
            return recorded
        await self._running.caught_up()
        return entry.intent

    async def modify_order(self, intent_id: str, new_order: StandardOrder) -> None:
        """Give an open intent new terms; `quantity` is the new total, what is filled already included.

        Raises `NotFoundError`, and `ValidationError` for an intent that is settled or being cancelled, and
        for one that was modified some 230 times: placements of an intent are numbered up to 255.
        """
        intent = await self.get_order_intent(intent_id)
        await self._running.fills_told()
        closes = self._open_core.view.entry_of(intent)
        approved = self._gate.admit(new_order, intent.metadata, replaces=intent_id, closes=closes)
        await self._running.apply(Modify(intent_id, approved))

    async def cancel_order(self, intent_id: str, reason: str = "cancelled") -> None:
        """Want nothing more of an intent; one that is settled already stays as it is.

        Raises `NotFoundError`.
        """
        await self.get_order_intent(intent_id)
        await self.cancel_orders((intent_id,), reason)

    async def cancel_orders(self, intent_ids: Iterable[str], reason: str = "cancelled") -> None:
        """Want nothing more of some intents, all in one step; settled and unknown ones are passed over."""
        await self._running.apply(CancelIntents(tuple(intent_ids), reason))

    async def cancel_all_orders(
        self, symbol_id: str | None = None, reason: str = "cancelled", spare_protective: bool = True
    ) -> int:
        """Want nothing more of any intent, of one market or all, but for those that protect a position (they
        too, if they are not spared); returns how many that is."""
        unsettled = self._open_core.view.unsettled(symbol_id)
        intent_ids = tuple(i.intent_id for i in unsettled if not (i.protective and spare_protective))
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

    def picture(self) -> Picture:
        """What is open now, without asking the store."""
        return pictured(self._open_core)

    def recall(self, intent_ids: Iterable[str]) -> list[tuple[OrderIntent, tuple[OrderState, ...]]]:
        """Some wishes with their attempts, without asking the store; one settled long ago is left out."""
        return list(remembered(self._open_core, iter(intent_ids)))

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
        return self._subscribers.add(callback, event_filter)

    def unsubscribe_events(self, subscription: int) -> None:
        """End a subscription; raises `NotFoundError`."""
        self._subscribers.remove(subscription)

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

    # An operator's words.

    async def halt(self, level: Halted, reason: str) -> None:
        """Let the kill switch act, or (`NOT`) release it; the caller has set the flag that outlives us."""
        await self._running.apply(Halt(level, reason))

    async def adopt_order(self, exchange_order_id: str, metadata: Mapping[str, str]) -> str:
        """Take over an order on the exchange that is not ours; returns its intent id.

        Raises `ValidationError` if the exchange lists no such order, or it was adopted before.
        """
        if await self._is_recorded(exchange_order_id):
            raise ValidationError(f"order {exchange_order_id} was adopted before")
        intent_id = self._open_core.new_intent_id()
        await self._running.apply(Adopt(exchange_order_id, intent_id, dict(metadata)))
        return intent_id

    async def _is_recorded(self, exchange_order_id: str) -> bool:
        try:
            await self._store.orders.get_order_state_by_exchange_id(exchange_order_id)
        except NotFoundError:
            return False
        return True

    async def cancel_everything(
        self, spare_protective: bool = False, among: Collection[str] | None = None
    ) -> list[OrderState]:
        """In an emergency, also after the kernel has failed: ask to cancel every order that may be there (or
        those `among` some, by client order id), or all but those that protect a position.

        Returns those orders.  Needs no store; nothing more is accepted afterwards.
        """
        return await self._running.cancel_everything(spare_protective, among)

    async def declare_dead(self, client_order_id: str, reason: str) -> None:
        """Say of an order in doubt that it never existed; should it be there after all, it is adopted.

        Raises `ValidationError` if it is not in doubt.
        """
        await self._running.apply(Verdict(client_order_id, reason))

    async def accept_drift(self, symbol_id: str, reason: str) -> None:
        """Reckon with a difference of positions from now on; raises `ValidationError` if there is none."""
        await self._running.apply(AcceptDrift(symbol_id, reason))

    async def trust(self) -> None:
        """Go on after what was found on the exchange (`Health.findings`) has been looked at."""
        await self._running.apply(Trust())

    # For the shells that bring reports and pass time.

    async def observe(self, report: Report) -> None:
        """Fold a report of the gateway."""
        await self._running.apply(Observed(report))

    def follows(self, symbol_id: str) -> bool:
        """Whether a group of this market is to be told its prices (`quote`)."""
        return self._open_core.follows(symbol_id)

    async def quote(self, symbol_id: str, bid: Decimal, ask: Decimal) -> None:
        """Tell the best prices of a market that a group follows."""
        await self._running.apply(Quoted(symbol_id, bid, ask))

    async def resync(self, reason: str) -> None:
        """Something may have been missed: ask the exchange again before anything is placed."""
        await self._running.apply(Resync(reason))

    async def bound_clock(self, error_ns: int) -> None:
        """Say how far our clock may be off the exchange's, beyond the offset the gateway reckons with."""
        await self._running.apply(ClockBound(error_ns))

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
