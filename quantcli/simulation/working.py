"""Working orders: what becomes of an order that the exchange has accepted.

    open ──> armed stop ──> enters the market: takes ──> rests ──> ended
                  a list: one of its two orders is executed, and the other expires in the same instant

Each change is booked in the account.  All times here are the exchange's own.  Knows nothing of requests,
of latency or of how market data arrives.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.message import Observation, Report
from quantcli.model.order import Fill, OrderState, OrderStatus, OrderType, StandardOrder, TimeInForce
from quantcli.simulation.account import Account
from quantcli.simulation.answers import observation, with_terms
from quantcli.simulation.market import Market, Take
from quantcli.simulation.matching import Matcher
from quantcli.simulation.orders import LiveOrder, OwnOrders
from quantcli.simulation.records import Records


class WorkingOrders:
    """The open orders of the account, the markets they are in, and the records of all there were."""

    def __init__(self, instruments: Mapping[str, SymbolMetadata], account: Account, matcher: Matcher) -> None:
        self.markets = {name: Market(meta) for name, meta in instruments.items()}
        self.own = {name: OwnOrders() for name in instruments}
        self.open: dict[str, LiveOrder] = {}
        self.records = Records(instruments)
        self._dated: dict[str, LiveOrder] = {}
        self._account = account
        self._matcher = matcher

    # What is asked of it.

    def find(self, client_order_id: str, symbol: str) -> LiveOrder | None:
        """An order of a market, open or ended not too long ago."""
        order = self.open.get(client_order_id) or self.records.ended(client_order_id)
        return order if order is not None and order.terms.symbol == symbol else None

    def next_expiry(self) -> int | None:
        """When the next GTD order expires."""
        return min(map(_expiry, self._dated.values())) if self._dated else None

    # Beginning and end.

    def place(self, order: LiveOrder, at_ns: int) -> list[Report]:
        """Let an accepted order work."""
        self._account.hold(order)
        return self._start(order, at_ns)

    def place_list(self, one: LiveOrder, other: LiveOrder, at_ns: int) -> list[Report]:
        """Let two accepted orders work, neither of which takes, until one is executed or cancelled."""
        one.sibling, other.sibling = other, one
        self._account.hold_once(one, other)
        return self._start(one, at_ns) + self._start(other, at_ns)

    def _start(self, order: LiveOrder, at_ns: int) -> list[Report]:
        order.exchange_order_id = self.records.next_order_id()
        self._enlist(order)
        if not order.armed:
            return self.enter(order, at_ns)
        self.own[order.terms.symbol].add(order)
        return [observation(order, at_ns, terms=order.terms)]

    def _enlist(self, order: LiveOrder) -> None:
        self.open[order.client_order_id] = order
        if order.lifetime is TimeInForce.GTD:
            self._dated[order.client_order_id] = order

    def cancel(self, order: LiveOrder, at_ns: int) -> list[Report]:
        """End an order, and with it its list."""
        return self._end_list(order, OrderStatus.CANCELED, at_ns, "", "cancelled with its order list")

    def expire_next(self) -> list[Report]:
        """End the GTD order that expires next, and with it its list."""
        order = min(self._dated.values(), key=_expiry)
        return self._end_list(
            order, OrderStatus.EXPIRED, _expiry(order), "good till date", "expired with its order list"
        )

    def _end_list(
        self, order: LiveOrder, status: OrderStatus, at_ns: int, reason: str, sibling_reason: str
    ) -> list[Report]:
        other = order.part()
        reports: list[Report] = [self.end(order, status, at_ns, reason=reason)]
        if other is not None:
            reports.append(self.end(other, status, at_ns, reason=sibling_reason))
        return reports

    def end(
        self,
        order: LiveOrder,
        status: OrderStatus,
        at_ns: int,
        fills: Sequence[Fill] = (),
        reason: str = "",
    ) -> Observation:
        """End this order alone; `fills` are told with it."""
        order.status = status
        order.updated_ns = at_ns
        self._account.release(order)
        self.own[order.terms.symbol].discard(order)
        del self.open[order.client_order_id]
        self._dated.pop(order.client_order_id, None)
        self.records.remember(order)
        return observation(order, at_ns, fills, reason)

    # New terms.

    def shrink(self, order: LiveOrder, quantity: Decimal, at_ns: int) -> list[Report]:
        """Make an order's total smaller, and its sibling's, whose quantity is the same; it keeps its place in
        the queue."""
        orders = [order] if order.sibling is None else [order, order.sibling]
        for each in orders:
            self._account.release(each)
            each.amend(replace(each.terms, quantity=quantity))
            each.updated_ns = at_ns
        if order.sibling is None:
            self._account.hold(order)
        else:
            self._account.hold_once(order, order.sibling)
        return [observation(each, at_ns, terms=each.terms) for each in orders]

    def renew(self, order: LiveOrder, terms: StandardOrder, at_ns: int) -> list[Report]:
        """Give an order another price or total: it enters the market anew, behind all others.

        It ends where that leaves it nothing to do, or would make a post-only order take.
        """
        market = self.markets[terms.symbol]
        takes = terms.type is OrderType.LIMIT_MAKER and market.crosses(terms.side, float(terms.price or 0))
        if takes or terms.quantity <= order.filled:
            reason = "amended to take" if takes else "amended to what it has filled"
            return [with_terms(self.end(order, OrderStatus.CANCELED, at_ns, reason=reason), order)]
        self._account.release(order)
        self.own[terms.symbol].discard(order)
        order.amend(terms)
        order.updated_ns = at_ns
        self._account.hold(order)
        return self.enter(order, at_ns)

    # Execution.

    def activate(self, order: LiveOrder, at_ns: int) -> list[Report]:
        """Let an order be executed: before it is filled or triggered, the other one of its list expires.

        What the two have held between them is enough for either.
        """
        other = order.part()
        if other is None:
            return []
        reason = "the other order of its list was executed"
        expired = self.end(other, OrderStatus.EXPIRED, at_ns, reason=reason)
        self._account.release(order)
        self._account.hold(order)
        return [expired]

    def enter(self, order: LiveOrder, at_ns: int) -> list[Report]:
        """Take what is there; what is left rests, or ends as its time in force says.

        The first report is on this order, with its terms; then those on orders that end with a position.
        """
        market = self.markets[order.terms.symbol]
        takes = self.takes(order, market)
        fills = [self._fill(order, qty, price, False, at_ns) for price, qty in takes]
        stays = order.lifetime in {TimeInForce.GTC, TimeInForce.GTD}
        if not order.remaining or (stays and self._reducible(order)):
            if order.remaining:
                self._matcher.join(order, market)
                self.own[order.terms.symbol].add(order)
            report = self._after(order, fills, at_ns)
        else:
            report = self.end(order, OrderStatus.EXPIRED, at_ns, fills)
        report = with_terms(report, order)
        return [report, *self.end_idle_reducers(market, at_ns)] if fills else [report]

    def takes(self, order: LiveOrder, market: Market) -> list[Take]:
        """What the order gets from the market now; all or nothing where it says so."""
        if order.armed:
            return []
        takes = market.takes(
            order.terms.side, min(order.remaining, self._reducible(order)), order.terms.price
        )
        if order.lifetime is TimeInForce.FOK and sum(qty for _, qty in takes) < order.remaining:
            return []
        return takes

    def make(self, order: LiveOrder, most: Decimal, at_ns: int) -> list[Report]:
        """Fill up to `most` of a resting order at its own price, as a maker."""
        assert order.terms.price is not None
        if not (qty := min(most, self._reducible(order))):
            return []
        reports = self.activate(order, at_ns)
        fill = self._fill(order, qty, order.terms.price, True, at_ns)
        return [*reports, self._after(order, [fill], at_ns)]

    def _reducible(self, order: LiveOrder) -> Decimal:
        """The most that may be filled of the order: a reduce-only order never turns a position."""
        if not order.terms.reduce_only:
            return order.remaining
        return self._account.reducible(order.terms.symbol, order.terms.side)

    def _fill(self, order: LiveOrder, qty: Decimal, price: Decimal, is_maker: bool, at_ns: int) -> Fill:
        fee = self._account.settle(order, qty, price, is_maker)
        order.remaining -= qty
        order.status = OrderStatus.PARTIALLY_FILLED
        order.updated_ns = at_ns
        return self.records.fill(order, qty, price, fee, self._account.fee_asset(order), is_maker, at_ns)

    def _after(self, order: LiveOrder, fills: Sequence[Fill], at_ns: int) -> Observation:
        """Show an order with its new fills; one without a remainder has ended."""
        if not order.remaining:
            return self.end(order, OrderStatus.FILLED, at_ns, fills)
        return observation(order, at_ns, fills)

    def end_idle_reducers(self, market: Market, at_ns: int) -> list[Report]:
        """Reduce-only orders end with the position they were to reduce."""
        if not market.meta.symbol.is_futures:
            return []
        own = self.own[market.meta.symbol.name]
        return [
            self.end(order, OrderStatus.EXPIRED, at_ns, reason="nothing left to reduce")
            for order in (*own.buys, *own.sells, *own.stops)
            if order.terms.reduce_only and not self._reducible(order)
        ]

    # Beginning again.

    def adopt(self, state: OrderState, fills: Sequence[Fill]) -> None:
        """Seat an order that this exchange knew before a restart: see `SimulatedExchange.adopt`."""
        self.records.resume(state.exchange_order_id, fills)
        market = self.markets.get(state.order.symbol)
        if market is None or state.exchange_order_id is None:
            return
        order = LiveOrder(
            state.client_order_id, state.exchange_order_id, state.order, market.meta, state.prepared_ns
        )
        order.fills = list(fills)
        order.remaining -= max(state.filled, sum((fill.qty for fill in fills), Decimal(0)))
        order.status, order.updated_ns = state.status, state.venue_ns
        if state.status.is_terminal or state.state.is_closed:
            self.records.remember(order)
            return
        order.armed = order.armed and not fills
        self._account.hold(order)
        self._enlist(order)
        self._matcher.join(order, market)
        self.own[state.order.symbol].add(order)


def _expiry(order: LiveOrder) -> int:
    return order.terms.expire_ns or 0
