"""What is seen of the exchange, folded: reports on orders, statements of markets, prices, an operator's word.

Each method takes one event of `steps`.  Facts are never refused: what does not fit our record changes the
record, and is said aloud (`reopened`, drift, safe mode).  Knows nothing of what is wished.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from quantcli.errors import ValidationError
from quantcli.kernel import groups
from quantcli.kernel import identity as ids
from quantcli.kernel.actions import LookUp
from quantcli.kernel.desk import Desk
from quantcli.kernel.lifecycle import (
    OrderReport,
    Seen,
    agreed,
    doubted,
    is_news,
    merge,
    seated,
    terms_of,
)
from quantcli.kernel.policy import Scene
from quantcli.kernel.projection import Entry, MarketView
from quantcli.kernel.resolver import fenced_ns
from quantcli.kernel.steps import AcceptDrift, ClockBound, Observed, Quoted, Verdict
from quantcli.model.event import OrderEventKind
from quantcli.model.order import (
    AttemptState,
    Correction,
    Fill,
    IntentPhase,
    Observation,
    Order,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    Silence,
    StandardOrder,
    Statement,
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
        fills = self._new_fills(entry, report)
        fills_qty = sum([fill.qty for fill in fills], before.fills_qty)
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

    def _new_fills(self, entry: Entry, report: OrderReport) -> list[Fill]:
        """Fills of a report that were not folded before, bound to their intent, as rows."""
        if not isinstance(report, Observation):
            return []
        fills = []
        for reported in report.fills:
            if not self._desk.view.is_fill_known(reported, entry):
                fill = replace(
                    reported, intent_id=entry.intent.intent_id, client_order_id=report.client_order_id
                )
                self._desk.book(fill)
                entry.base_fees += self._desk.market(fill.symbol).base_fee(fill)
                fills.append(fill)
        return fills

    def _follow(self, entry: Entry, before: OrderState, after: OrderState) -> None:
        """What a change to one attempt means beyond it."""
        desk = self._desk
        if before.exchange_order_id != after.exchange_order_id:
            desk.view.bind(after)
        if before.state.is_closed and not after.state.is_closed:
            self._came_back(entry, before, after)
        if after.state is not before.state and after.status.is_terminal:
            self._ended(entry, after)
        if after.filled != before.filled or after.state is not before.state:
            desk.balance(entry.intent.group_id)

    def _came_back(self, entry: Entry, before: OrderState, after: OrderState) -> None:
        """T10, T11: an order that had ended, or had never been, is there after all."""
        desk = self._desk
        desk.hands.check_open_attempts(entry, at_most=1)
        desk.view.reopen(entry)
        desk.draft.log(entry, after.attempt, "reopened", f"was {before.state.value}: {before.reason}")
        # What was sent to cancel it before is answered: the exchange did not know it then.
        desk.draft.put_state(entry, replace(after, cancel_sent_ns=0))
        if before.state is AttemptState.DEAD:
            desk.betrayed(f"order {after.client_order_id} appeared after it had been proved not to exist")

    def _ended(self, entry: Entry, after: OrderState) -> None:
        """An order that the exchange itself links to another may have been ended by that one."""
        group_id = entry.intent.group_id or ""
        if after.status is OrderStatus.FILLED or group_id not in self._desk.view.groups:
            return
        group, entries = self._desk.view.groups[group_id]
        members = {intent_id: each.member() for intent_id, each in entries.items()}
        if groups.ended_by_sibling(group, entry.intent.intent_id, members):
            self._desk.withdraw(entry, "one cancels the other")

    # Orders that we do not hold.

    def _strange(self, report: Observation) -> None:
        """An order we have no row of: a stranger's, one of ours of long ago, or one our record has lost."""
        owner = ids.read(self._identity, report.client_order_id)
        is_working = report.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
        if owner is not None and is_working and report.order is not None:
            self._import(_listed(report), *owner)
            self._reported(report)
            return
        if owner is not None and is_working:
            self._desk.enter_safe_mode(
                f"the exchange works {report.client_order_id}, which we have no record of"
            )
        for fill in report.fills:
            self._strange_fill(fill, owner)

    def _strange_fill(self, reported: Fill, owner: tuple[str, int] | None) -> None:
        desk = self._desk
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
        if statement.asked_ns >= market.since_ns:
            market.is_synced = True
        if statement.asked_ns > market.row.surveyed_ns:
            desk.draft.put_market(market, surveyed_ns=statement.asked_ns)
            desk.forget_fills()
        self._look_for_missing(market, statement, listed)
        self._compare(market, statement, listed, is_explained)
        desk.enqueue_all(symbol)

    def _fold_orders(self, market: MarketView, statement: Statement) -> set[str]:
        """Fold the list of open orders; the client order ids of ours in it."""
        ours, foreign = set(), []
        for order in statement.orders:
            client_id = order.client_order_id or self._desk.view.client_id_of(
                order.symbol, order.exchange_order_id
            )
            owner = ids.read(self._identity, client_id)
            if self._desk.view.find_attempt(client_id) is None:
                if owner is None:
                    foreign.append(order)
                    continue
                self._import(order, *owner)
            ours.add(client_id)
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
                seen = Observation(
                    client_id,
                    fill.exchange_order_id,
                    OrderStatus.UNKNOWN,
                    _ZERO,
                    fill.exchange_ns,
                    (fill,),
                )
                self._reported(seen)
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
                    and max(state.last_sync_at, state.lookup_sent_ns) < statement.asked_ns
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
            judged = agreed(state, asked_ns, is_calm and not gap)
            if judged is not state:
                desk.draft.put_state(entry, judged)
        if is_calm and not doubtful:
            self._note_gap(market, gap, asked_ns)

    def _note_gap(self, market: MarketView, gap: Decimal, asked_ns: int) -> None:
        """A difference that stands for two calm statements is drift; so is its end, at once."""
        desk = self._desk
        is_confirmed = gap == market.gap and asked_ns >= market.gap_ns + desk.policy.spacing_ns
        if gap != market.gap:
            market.gap, market.gap_ns = gap, asked_ns
        if gap != market.row.drift and (is_confirmed or not gap):
            desk.draft.put_market(market, drift=gap)
            desk.draft.log(None, 0, "drift", f"{market.row.symbol} {gap}")
        elif gap != market.row.drift:
            desk.surveys.add(market.row.symbol, desk.draft.now_ns + desk.policy.patience_ns)

    def _corrected(self, correction: Correction) -> None:
        key = correction.symbol, f"{correction.cause}/{correction.cause_id}"
        if not self._desk.view.is_known(key, correction.venue_ns):
            self._desk.correct(correction)

    # Prices, clocks, operators.

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

    def verdict(self, event: Verdict) -> None:
        """An operator's word: an order that nobody could prove anything about never existed."""
        found = self._desk.view.find_attempt(event.client_order_id)
        if found is None:
            raise ValidationError(f"no order {event.client_order_id}", todo="`quant orders` lists them")
        entry, before = found
        if before.state is not AttemptState.AMBIGUOUS:
            raise ValidationError(
                f"order {event.client_order_id} is {before.state.value}", why="nobody is in doubt about it"
            )
        after = doubted(before, Seen.PROVED, f"operator: {event.reason}")
        self._desk.draft.put_state(entry, after)
        self._desk.hands.tell(entry, before, after, ())
        self._desk.enqueue(entry)

    def accept_drift(self, event: AcceptDrift) -> None:
        """An operator's word: a difference of positions is to be reckoned with."""
        desk, market = self._desk, self._desk.market(event.symbol)
        if not market.row.drift:
            raise ValidationError(f"{event.symbol} has no drift", why="our books and the exchange agree")
        cause_id = f"{desk.draft.now_ns}"
        correction = Correction(event.symbol, "operator", cause_id, market.row.drift, desk.draft.now_ns)
        desk.correct(correction)
        desk.draft.put_market(market, drift=_ZERO)
        desk.draft.log(None, 0, "drift", f"{event.symbol} accepted: {event.reason}")
        market.gap = _ZERO


def _unrecorded(client_order_id: str) -> str:
    return f"the exchange works {client_order_id}, which is ours, and we have no record of it"


def _listed(report: Observation) -> Order:
    """An observed order as an exchange would list it; its terms must have been shown."""
    terms = report.order
    assert terms is not None
    return Order(
        terms.symbol,
        report.client_order_id,
        report.exchange_order_id,
        terms.side,
        terms.type,
        report.status,
        terms.quantity,
        report.filled,
        terms.price,
        terms.stop_price,
        report.venue_ns,
        report.venue_ns,
    )
