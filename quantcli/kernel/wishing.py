"""What is asked of the kernel, folded: wishes, new terms, cancels, the kill switch, an operator's words.

Each method takes one event of `steps`.  What cannot be is refused with `ValidationError` before anything is
changed.  Knows nothing of what an exchange answers.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quantcli.clock import NS_PER_S
from quantcli.errors import ValidationError
from quantcli.kernel import groups
from quantcli.kernel import identity as ids
from quantcli.kernel.desk import Desk
from quantcli.kernel.execution import described
from quantcli.kernel.lifecycle import Seen, doubted, vanished
from quantcli.kernel.listing import seated, terms_of
from quantcli.kernel.projection import Entry, MarketView
from quantcli.kernel.steps import (
    AcceptDrift,
    Admit,
    AdmitGroup,
    Adopt,
    CancelIntents,
    Halt,
    Halted,
    Modify,
    Verdict,
)
from quantcli.model.instrument import Side, Symbol, round_qty
from quantcli.model.message import Correction
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OcoMode,
    OrderIntent,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
)

# Orders that were to flatten a position and did nothing: so many, the second so long after the first, the
# third twice as long after that, …
_FLATTENINGS = 10
_FLATTEN_AGAIN_NS = NS_PER_S
FLATTENS = "flatten"


class Wishing:
    """One method per event; `new_intent_id` names the wishes that the kernel makes itself."""

    def __init__(self, desk: Desk, new_intent_id: Callable[[], str]) -> None:
        self._desk = desk
        self._new_intent_id = new_intent_id

    def admit(self, event: Admit) -> None:
        """A new wish."""
        self._check_request(event.request_id)
        approved = event.approved
        self._enqueued(
            self._entered(approved.order, approved.metadata, event.intent_id, request_id=event.request_id)
        )

    def admit_group(self, event: AdmitGroup) -> None:
        """New wishes that bear on each other."""
        self._check_request(event.request_id and f"{event.request_id}/0")
        orders = [approved.order for approved in event.approved]
        if event.mode is OcoMode.NATIVE:
            self._check_native()
        group, held = groups.found(orders, event.intent_ids, event.mode, event.has_entry, event.trail)
        entries = []
        for number, (approved, intent_id) in enumerate(zip(event.approved, event.intent_ids, strict=True)):
            request_id = f"{event.request_id}/{number}" if event.request_id else ""
            is_leg = event.has_entry and intent_id != group.entry
            entries.append(
                self._entered(
                    approved.order,
                    approved.metadata,
                    intent_id,
                    request_id=request_id,
                    group_id=group.group_id,
                    held=intent_id in held,
                    protective=is_leg,
                )
            )
        self._desk.view.enter_group(group)
        self._desk.draft.put_group(group)
        for entry in entries:
            self._enqueued(entry)

    def _check_request(self, request_id: str) -> None:
        if request_id and self._desk.view.find_request(request_id) is not None:
            raise ValidationError(
                f"request {request_id} has just been asked for",
                why="a request id names one order for ever",
                todo="ask again: the answer is the order that is there",
            )

    def _check_native(self) -> None:
        if not self._desk.policy.venue.native_oco:
            raise ValidationError(
                "this exchange does not link orders", todo='use the mode "one_live" or "reduce_on_partial"'
            )

    def _entered(
        self, order: StandardOrder, metadata: dict[str, str], intent_id: str, **fields: Any
    ) -> Entry:
        desk, now_ns = self._desk, self._desk.draft.now_ns
        intent = OrderIntent(intent_id, order, now_ns, metadata=metadata, updated_ns=now_ns, **fields)
        entry = desk.view.enter(intent)
        desk.draft.add_intent(intent)
        desk.draft.log(entry, 0, "wished", described(intent.order))
        desk.hands.metrics.created += 1
        return entry

    def _enqueued(self, entry: Entry) -> None:
        self._desk.market(entry.intent.order.symbol)
        self._desk.enqueue(entry)

    def modify(self, event: Modify) -> None:
        """New terms for an open wish."""
        order = event.approved.order
        entry = self._modifiable(event.intent_id, order)
        if order != entry.intent.order:
            self._desk.renew(entry, order, described(order))
            self._desk.balance(entry.intent.group_id)

    def _modifiable(self, intent_id: str, order: StandardOrder) -> Entry:
        entry = self._desk.view.find(intent_id)
        if entry is None or not entry.intent.phase.is_wanted:
            phase = entry.intent.phase.value if entry else "settled"
            raise ValidationError(f"intent {intent_id} is {phase}", why="it cannot change any more")
        intent = entry.intent
        if (order.symbol, order.side) != (intent.order.symbol, intent.order.side):
            raise ValidationError(
                f"intent {intent_id} cannot change to another market or side",
                todo="cancel it and place a new order",
            )
        if self._desk.is_linked(intent):
            raise ValidationError(
                f"intent {intent_id} is linked to another by the exchange, and cannot change",
                todo="cancel it and place new ones",
            )
        last = entry.last
        if last is not None and last.attempt + self._desk.policy.max_attempts > ids.MAX_ATTEMPT:
            raise ValidationError(
                f"intent {intent_id} was modified too often",
                why=f"its placements are numbered up to {ids.MAX_ATTEMPT}",
                todo="cancel it and place a new order",
            )
        return entry

    def cancel(self, event: CancelIntents) -> None:
        """Nothing more is wanted of some wishes."""
        for intent_id in event.intent_ids:
            entry = self._desk.view.open.get(intent_id)
            if entry is not None:
                self._desk.withdraw(entry, event.reason)

    # The kill switch.

    def halt(self, event: Halt) -> None:
        """Let the kill switch act, or (`NOT`) let everything go on."""
        desk = self._desk
        desk.halt(event.level)
        desk.draft.log(None, 0, "halted", f"{event.level.name} {event.reason}".strip())
        spared = event.level < Halted.FLAT
        for entry in desk.view.open.values():
            is_spared = (spared and entry.intent.protective) or FLATTENS in entry.intent.metadata
            if event.level >= Halted.ALL and not is_spared:
                desk.withdraw(entry, event.reason or "halted")
        desk.enqueue_all()

    def flatten(self) -> bool:
        """Undo at the market what our orders have done, in markets where none is open any more; true if there
        was something to be done now."""
        desk = self._desk
        if desk.halted < Halted.FLAT or desk.safe_mode:
            return False
        made = [self._flatten(market) for market in desk.view.markets.values() if market.row.own]
        return any(made)

    def _flatten(self, market: MarketView) -> bool:
        desk, symbol, now_ns = self._desk, market.row.symbol, self._desk.draft.now_ns
        if any(True for _ in desk.view.of_market(symbol)):
            return False
        quantity = abs(market.row.own)
        if market.rules is not None:
            quantity = round_qty(quantity, market.rules.lot)
            if quantity < (market.rules.min_qty or 0):
                return False
        if quantity <= 0:
            return False
        if not self._may_flatten(market, now_ns):
            return False
        side = Side.SELL if market.row.own > 0 else Side.BUY
        only_reduces = Symbol.parse(symbol).is_futures
        order = StandardOrder(symbol, side, OrderType.MARKET, quantity, reduce_only=only_reduces)
        entry = self._entered(order, {FLATTENS: "1"}, self._new_intent_id(), protective=True)
        self._enqueued(entry)
        return True

    def _may_flatten(self, market: MarketView, now_ns: int) -> bool:
        """Whether it is time for a flattening order: at once when there is something new to undo, ever more
        rarely while the last ones changed nothing, and at last no more."""
        if market.row.own != market.flattened_from:
            market.flattened_from, market.flattenings, market.retry_ns = market.row.own, 0, now_ns
        if market.flattenings >= _FLATTENINGS:
            return False
        if now_ns < market.retry_ns:
            self._desk.surveys.add(market.row.symbol, market.retry_ns)  # to be looked at again then
            return False
        market.retry_ns = now_ns + (_FLATTEN_AGAIN_NS << market.flattenings)
        market.flattenings += 1
        return True

    # What others did.

    def adopt(self, event: Adopt) -> None:
        """Take a foreign order over as a wish of ours."""
        desk, now_ns = self._desk, self._desk.draft.now_ns
        found = [
            (market, order)
            for market in desk.view.markets.values()
            for order in market.row.foreign
            if order.exchange_order_id == event.exchange_order_id
        ]
        if not found:
            raise ValidationError(
                f"there is no foreign order {event.exchange_order_id}",
                why="only orders that the exchange listed and that are not ours can be adopted",
                todo="`quant orders` lists them",
            )
        market, order = found[0]
        if desk.view.client_id_of(order.symbol, order.exchange_order_id):
            raise ValidationError(
                f"order {event.exchange_order_id} was adopted before", why="a copy that lags lists it still"
            )
        desk.draft.put_market(market, foreign=tuple(o for o in market.row.foreign if o is not order))
        entry = self._entered(terms_of(order), event.metadata, event.intent_id)
        desk.draft.put_intent(entry, phase=IntentPhase.ACTIVE)
        state = seated(order, event.intent_id, 1, now_ns)
        desk.view.attach(entry, state)
        desk.draft.put_state(entry, state)
        desk.draft.log(entry, 1, "adopted", event.exchange_order_id)
        self._enqueued(entry)

    # An operator's words.

    def verdict(self, event: Verdict) -> None:
        """An operator's word: an order that nobody could prove anything about is not there."""
        found = self._desk.view.find_attempt(event.client_order_id)
        if found is None:
            raise ValidationError(f"no order {event.client_order_id}", todo="`quant orders` lists them")
        entry, before = found
        reason = f"operator: {event.reason}"
        needs_word = before.reconciliation_status is ReconciliationStatus.NEEDS_OPERATOR
        if before.state is AttemptState.AMBIGUOUS:
            after = doubted(before, Seen.PROVED, reason)
        elif before.state is AttemptState.LIVE and needs_word and before.fills_qty == before.filled:
            after = vanished(before, reason)
        else:
            raise ValidationError(
                f"order {event.client_order_id} is {before.state.value}",
                why="nobody is in doubt about it, or fills of it are missing",
            )
        self._desk.draft.put_state(entry, after)
        self._desk.hands.tell(entry, before, after, ())
        self._desk.balance(entry.intent.group_id)
        self._desk.enqueue(entry)

    def accept_drift(self, event: AcceptDrift) -> None:
        """An operator's word: a difference of positions is to be reckoned with."""
        desk, market = self._desk, self._desk.market(event.symbol)
        if not market.row.drift:
            raise ValidationError(f"{event.symbol} has no drift", why="our books and the exchange agree")
        cause_id = f"{desk.draft.now_ns}"
        correction = Correction(event.symbol, "operator", cause_id, market.row.drift, desk.draft.now_ns)
        desk.correct(correction)
        desk.draft.put_market(market, drift=Decimal(0))
        desk.draft.log(None, 0, "drift", f"{event.symbol} accepted: {event.reason}")
        market.gap = Decimal(0)


def same_wish(known: OrderIntent | None, order: StandardOrder, request_id: str) -> str:
    """The id of an intent that was asked for again; an intent that changed since counts as it was wished."""
    if known is None or (known.order != order and known.generation == 1):
        raise ValidationError(
            f"request {request_id} was another order",
            why="a request id names one order for ever",
            todo="use a new request id for a new order",
        )
    return known.intent_id
