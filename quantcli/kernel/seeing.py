"""What is seen of the exchange, folded: reports on orders, statements of markets, prices.

Each method takes one event of `steps`.  Facts are never refused: what does not fit our record changes the
record, and is said aloud (`reopened`, drift, safe mode).  Knows nothing of what is wished.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from quantcli.kernel import groups
from quantcli.kernel import identity as ids
from quantcli.kernel.actions import LookUp
from quantcli.kernel.desk import Desk, correction_key
from quantcli.kernel.lifecycle import (
    OrderReport,
    agreed,
    is_news,
    merge,
    reappeared,
)
from quantcli.kernel.listing import listed, seated, terms_of, traded
from quantcli.kernel.policy import Scene
from quantcli.kernel.projection import Entry, MarketView
from quantcli.kernel.resolver import fenced_ns
from quantcli.kernel.steps import ClockBound, Observed, Quoted
from quantcli.model.event import OrderEventKind
from quantcli.model.message import Correction, Observation, Silence, Statement
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    Order,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.store.api import Identity

_ZERO = Decimal(0)


class Seeing:
    """One method per event."""

    def __init__(self, desk: Desk, identity: Identity) -> None:
        self._desk, self._identity = desk, identity

    def observed(self, event: Observed) -> None:
        """A report of the exchange, or of the way to it."""
        report = event.report
        if isinstance(report, Statement):
            self._stated(report)
        elif isinstance(report, Correction):
            self._corrected(report)
        else:
            self._reported(report)

    # One order.

    def _reported(self, report: OrderReport) -> None:
        desk = self._desk
        found = desk.view.find_attempt(report.client_order_id)
        if found is None:
            if isinstance(report, Observation):
                self._strange(report)
            return
        entry, before = found
        if self._is_outdated(before, report):
            desk.draft.log(entry, before.attempt, "outdated", "seen working long before it was proved gone")
            return
        fills, more = self._new_fills(entry, report)
        fills_qty = before.fills_qty + more if more else before.fills_qty
        after = merge(before, report, fills_qty, desk.draft.now_ns)
        desk.hands.metrics.errors += isinstance(report, Silence)
        desk.hands.check("filled_monotone", after.filled >= before.filled, before.client_order_id)
        if is_news(before, after):
            desk.draft.put_state(entry, after)
            desk.hands.tell(entry, before, after, fills)
            self._follow(entry, before, after)
        else:
            entry.attempts[entry.places[after.client_order_id]] = after  # seen as it was: no disk write
        if entry.is_open:
            desk.enqueue(entry)

    def _is_outdated(self, known: OrderState, report: OrderReport) -> bool:
        """Whether a report only tells of the time before the proof that its order is gone: it may have been
        there, been cancelled by the probe, and its news been held up on the way."""
        evidence = known.evidence
        if known.state is not AttemptState.DEAD or evidence is None or not isinstance(report, Observation):
            return False
        has_traded = report.filled or report.fills or report.status.is_terminal
        return not has_traded and report.venue_ns + self._desk.clock_error_ns < evidence.fenced_ns

    def _new_fills(self, entry: Entry, report: OrderReport) -> tuple[list[Fill], Decimal]:
        """Fills of a report that were not folded before, bound to their intent, as rows; and how much more of
        the order is known, with those that were booked as a stranger's when nobody knew whose they were."""
        fills: list[Fill] = []
        more = _ZERO
        for reported in report.fills if isinstance(report, Observation) else ():
            if reported.trade_id in entry.trades:
                continue
            more += reported.qty
            if self._desk.view.is_fill_known(reported, entry):
                continue
            fill = replace(reported, intent_id=entry.intent.intent_id, client_order_id=report.client_order_id)
            self._desk.book(fill)
            entry.base_fees += self._desk.market(fill.symbol).base_fee(fill)
            fills.append(fill)
        return fills, more

    def _follow(self, entry: Entry, before: OrderState, after: OrderState) -> None:
        """What a change to one attempt means beyond it."""
        desk = self._desk
        if before.exchange_order_id != after.exchange_order_id:
            desk.view.bind(after)
        if before.state.is_closed and not after.state.is_closed:
            self._came_back(entry, before, after)
        is_there = after.state is AttemptState.LIVE or after.filled > before.filled
        if before.state.is_closed and before.evidence is not None and is_there:
            desk.betrayed(f"order {after.client_order_id} appeared after it had been proved to be gone")
        if after.state is not before.state and after.status.is_terminal:
            self._ended(entry, after)
        traded = after.filled != before.filled or after.fills_qty != before.fills_qty
        if traded or after.state is not before.state:
            desk.balance(entry.intent.group_id)

    def _came_back(self, entry: Entry, before: OrderState, after: OrderState) -> None:
        """T10, T11: an order that had ended, or had never been, is there after all."""
        desk = self._desk
        desk.hands.check_open_attempts(entry, at_most=1)
        desk.view.reopen(entry)
        desk.draft.log(entry, after.attempt, "reopened", f"was {before.state.value}: {before.reason}")
        # What was sent to cancel it before is answered: the exchange did not know it then.
        desk.draft.put_state(entry, replace(after, cancel_sent_ns=0))

    def _ended(self, entry: Entry, after: OrderState) -> None:
        """An order that the exchange itself links to another may have been ended by that one."""
        group_id = entry.intent.group_id or ""
        if after.status is OrderStatus.FILLED or group_id not in self._desk.view.groups:
            return
        group, entries = self._desk.view.groups[group_id]
        members = self._desk.view.members(entries)
        if groups.ended_by_sibling(group, entry.intent.intent_id, members):
            self._desk.withdraw(entry, "one cancels the other")

    # Orders that we do not hold.

    def _strange(self, report: Observation) -> None:
        """An order we have no row of: a stranger's, one of ours of long ago, or one our record has lost."""
        owner = ids.read(self._identity, report.client_order_id)
        if owner is not None and not report.status.is_terminal:
            for symbol in self._desk.view.markets:  # is it there indeed?  One list tells
                self._desk.surveys.add(symbol, self._desk.draft.now_ns)
        for fill in report.fills:
            self._strange_fill(fill, owner)

    def _strange_fill(self, reported: Fill, owner: tuple[str, int] | None) -> None:
        desk = self._desk
        if owner is not None and (entry := desk.view.find(owner[0])) is not None:
            terms = replace(entry.intent.order, quantity=max(entry.intent.order.quantity, reported.qty))
            seen = traded(reported.client_order_id, reported, terms)
            self._import(listed(seen), *owner)
            self._reported(seen)
            return
        if desk.view.is_fill_known(reported, None):
            return
        fill = replace(reported, intent_id=owner[0] if owner else "")
        desk.book(fill)
        why = "settled long ago" if owner else "not an order of ours"
        order = StandardOrder(fill.symbol, fill.side, OrderType.LIMIT, fill.qty, fill.price)
        intent = OrderIntent(
            fill.intent_id, order, desk.draft.now_ns, phase=IntentPhase.SATISFIED, reason=why
        )
        desk.draft.tell(OrderEventKind.FILLED, Entry(intent), 0, fill=fill, reason=why)

    def _import(self, order: Order, intent_id: str, number: int) -> None:
        """An order under an id that only we can have made, and no row of it: our record is incomplete."""
        desk, now_ns = self._desk, self._desk.draft.now_ns
        desk.enter_safe_mode(_unrecorded(order.client_order_id))
        entry = desk.view.find(intent_id)
        if entry is None:
            intent = OrderIntent(
                intent_id,
                terms_of(order),
                now_ns,
                metadata={"imported": order.exchange_order_id},
                phase=IntentPhase.ACTIVE,
                updated_ns=now_ns,
            )
            entry = desk.view.enter(intent)
            desk.draft.add_intent(intent)
        state = seated(order, intent_id, number, now_ns)
        state = replace(state, reopened=bool(entry.attempts), generation=entry.intent.generation)
        desk.view.attach(entry, state)
        desk.view.reopen(entry)
        desk.draft.put_state(entry, state)
        desk.draft.log(entry, number, "imported", order.exchange_order_id)
        desk.enqueue(entry)

    # A whole market.

    def _stated(self, statement: Statement) -> None:
        desk, symbol = self._desk, statement.symbol
        market = desk.market(symbol)
        listed = self._fold_orders(market, statement)
        is_explained = self._fold_fills(market, statement.fills)
        if statement.asked_ns > market.row.surveyed_ns:
            desk.draft.put_market(market, surveyed_ns=statement.asked_ns)
            desk.forget_fills()
        self._look_for_missing(market, statement, listed)
        self._compare(market, statement, listed, is_explained)
        # Nothing can be proved of an order that was placed before there was a baseline.
        if statement.asked_ns >= market.since_ns:
            market.is_synced = market.row.baseline is not None or statement.position is None
        if not market.is_synced:
            desk.surveys.add(symbol, desk.draft.now_ns + desk.policy.spacing_ns)
        if market.unrecorded:
            desk.surveys.add(symbol, desk.draft.now_ns + desk.policy.patience_ns)
        desk.enqueue_all(symbol)

    def _fold_orders(self, market: MarketView, statement: Statement) -> set[str]:
        """Fold the list of open orders; the client order ids of ours in it."""
        ours, foreign = set(), []
        names = {order.client_order_id for order in statement.orders}
        market.unrecorded = {name: ns for name, ns in market.unrecorded.items() if name in names}
        for order in statement.orders:
            client_id = order.client_order_id or self._desk.view.client_id_of(
                order.symbol, order.exchange_order_id
            )
            owner = ids.read(self._identity, client_id)
            if self._desk.view.find_attempt(client_id) is None:
                if owner is None:
                    foreign.append(order)
                if owner is None or not self._is_confirmed(market, client_id, owner[0], statement):
                    continue
                market.unrecorded.pop(client_id, None)
                self._import(order, *owner)
            ours.add(client_id)
            self._check_ended(client_id, statement)
            seen = Observation(
                client_id,
                order.exchange_order_id,
                order.status,
                order.filled,
                order.updated_ns,
                order=terms_of(order),
            )
            self._reported(seen)
        if tuple(foreign) != market.row.foreign:
            self._desk.draft.put_market(market, foreign=tuple(foreign))
        return ours

    def _check_ended(self, client_order_id: str, statement: Statement) -> None:
        """An order that had ended and is listed when every copy should know better is there after all."""
        desk, found = self._desk, self._desk.view.find_attempt(client_order_id)
        if found is None or not found[1].state.is_closed:
            return
        entry, before = found
        ended_ns = max(before.prepared_ns, before.last_sync_at, before.cancel_sent_ns)
        if ended_ns < statement.asked_ns - desk.policy.venue.replica_lag_ns:
            after = reappeared(before)
            desk.draft.put_state(entry, after)
            desk.hands.tell(entry, before, after, ())
            self._follow(entry, before, after)
            desk.enqueue(entry)

    def _is_confirmed(
        self, market: MarketView, client_order_id: str, intent_id: str, statement: Statement
    ) -> bool:
        """Whether an order of ours that we have no row of is there indeed: it may have been settled long ago,
        and a copy that lags behind may show it still.  Of a wish that we know, we know every order."""
        if self._desk.view.find(intent_id) is not None:
            return True
        first_ns = market.unrecorded.setdefault(client_order_id, statement.asked_ns)
        return statement.asked_ns - first_ns >= self._desk.policy.venue.replica_lag_ns

    def _fold_fills(self, market: MarketView, fills: Iterable[Fill]) -> bool:
        """Fold the trades; whether all of them could be given to an order.

        A trade without a client order id may be of a placement that nobody has confirmed yet.
        """
        is_explained, view = True, self._desk.view
        in_doubt = [
            state
            for entry in view.of_market(market.row.symbol)
            for state in entry.open_attempts
            if state.exchange_order_id is None
        ]
        for fill in fills:
            if view.has_fill(fill):
                continue  # an old trade is no sighting of its order
            client_id = fill.client_order_id or view.client_id_of(fill.symbol, fill.exchange_order_id)
            if view.find_attempt(client_id) is not None:
                self._reported(traded(client_id, fill))
            elif not client_id and in_doubt:
                is_explained = False
            else:
                self._strange_fill(fill, ids.read(self._identity, client_id))
        return is_explained

    def _look_for_missing(self, market: MarketView, statement: Statement, listed: set[str]) -> None:
        """Ask for orders that should be in the list and are not: that they are not is no evidence."""
        for entry in self._desk.view.of_market(market.row.symbol):
            for state in entry.open_attempts:
                if (
                    state.state is AttemptState.LIVE
                    and state.client_order_id not in listed
                    and max(state.last_sync_at, state.lookup_sent_ns) <= statement.asked_ns
                ):
                    why = "not in the list of open orders"
                    self._desk.hands.look_up(entry, LookUp(state.client_order_id, why))

    def _compare(
        self, market: MarketView, statement: Statement, listed: set[str], is_explained: bool
    ) -> None:
        """Hold the exchange's position against our books, if nothing moved while it was asked."""
        if statement.position is None:
            return
        desk, row, asked_ns = self._desk, market.row, statement.asked_ns
        attempts = [(e, s) for e in desk.view.of_market(row.symbol) for s in e.open_attempts]
        is_calm = (
            is_explained
            and not market.unrecorded
            and market.moved_ns < asked_ns
            and all(state.fills_qty == state.filled for _, state in attempts)
        )
        doubtful = [(entry, state) for entry, state in attempts if state.exchange_order_id is None]
        if row.baseline is None:
            if is_calm and all(state.client_order_id in listed for _, state in attempts):
                desk.draft.put_market(market, baseline=statement.position - row.position)
            return
        gap = statement.position - row.baseline - row.position
        for entry, state in attempts:
            judged = agreed(state, asked_ns, is_calm and not gap, desk.draft.now_ns)
            if judged is not state:
                desk.draft.put_state(entry, judged)
        if is_calm and not doubtful:
            self._note_gap(market, gap, asked_ns)

    def _note_gap(self, market: MarketView, gap: Decimal, asked_ns: int) -> None:
        """A difference that lasts longer than copies lag is drift; its end is believed at once."""
        desk = self._desk
        lasted_ns = asked_ns - market.gap_ns
        copies_lag_ns = max(desk.policy.venue.replica_lag_ns, desk.policy.spacing_ns)
        is_confirmed = gap == market.gap and lasted_ns >= copies_lag_ns
        if gap != market.gap:
            market.gap, market.gap_ns = gap, desk.draft.now_ns
        if gap != market.row.drift and (is_confirmed or not gap):
            desk.draft.put_market(market, drift=gap)
            desk.draft.log(None, 0, "drift", f"{market.row.symbol} {gap}")
        elif gap != market.row.drift:
            desk.surveys.add(market.row.symbol, desk.draft.now_ns + desk.policy.patience_ns)

    def _corrected(self, correction: Correction) -> None:
        if not self._desk.view.is_known(correction_key(correction), correction.venue_ns):
            self._desk.correct(correction)

    # Prices and clocks.

    def quoted(self, event: Quoted) -> None:
        """The best prices of a market."""
        self._desk.quote(event.symbol, event.bid, event.ask)

    def clock_bound(self, event: ClockBound) -> None:
        """How far our clock may be off; what was asked behind a fence that has moved is to be asked again."""
        desk, scene = self._desk, Scene(clock_error_ns=event.error_ns)
        desk.clock_error_ns = event.error_ns
        for entry in desk.view.open.values():
            for state in entry.open_attempts:
                known, is_doubtful = state.evidence, state.state is AttemptState.AMBIGUOUS
                if known and is_doubtful and known.fenced_ns <= fenced_ns(state, desk.policy, scene):
                    desk.draft.put_state(entry, replace(state, evidence=None))
                    desk.enqueue(entry)


def _unrecorded(client_order_id: str) -> str:
    return f"the exchange works {client_order_id}, which is ours, and we have no record of it"
