"""The life of an order inside the imagined exchange: accepted or refused, taking, resting, filled, ended.

All times here are the exchange's own.  The order of things for one request: its terms, the market's filters,
the account's funds; then what is there is taken; what is left rests or ends.  For one row of market data:
resting orders are filled, then stops are triggered, then futures orders with nothing left to reduce end.

Knows nothing of latency or of how market data arrives.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import AggTrade, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.model.order import (
    Absence,
    Cancel,
    Fill,
    Lookup,
    Observation,
    OrderState,
    OrderStatus,
    OrderType,
    Place,
    Refusal,
    Report,
    TimeInForce,
)
from quantcli.simulation.account import Account
from quantcli.simulation.market import Market, Take
from quantcli.simulation.matching import Hit, Matcher
from quantcli.simulation.orders import LiveOrder, OwnOrders
from quantcli.simulation.rules import Check, failed_filter, malformed, reject

# Ended orders that can still be looked up.
_REMEMBERED = 10_000


class OrderDesk:
    """Every order of the account, the markets they are in, and every fill there was."""

    def __init__(self, instruments: Mapping[str, SymbolMetadata], account: Account, matcher: Matcher) -> None:
        self.markets = {name: Market(meta) for name, meta in instruments.items()}
        self.own = {name: OwnOrders() for name in instruments}
        self.open: dict[str, LiveOrder] = {}
        self.fills: list[Fill] = []
        self._ended: dict[str, LiveOrder] = {}
        self._dated: dict[str, LiveOrder] = {}
        self._account = account
        self._matcher = matcher
        self._last_order_id = 0
        self._last_trade_id = 0

    # Requests.

    def place(self, request: Place, at_ns: int) -> list[Report]:
        """Accept an order and match it, or refuse it."""
        terms = request.order
        market = self.markets.get(terms.symbol)
        if market is None:
            return [_refusal(request.client_order_id, "place", Check.SYMBOL, None)]
        order = LiveOrder(request.client_order_id, "", terms, market.meta, at_ns)
        check = Check.LATE if request.deadline_ns < at_ns else self._objection(order, market)
        if check is not None:
            return [_refusal(request.client_order_id, "place", check, market.meta)]
        self._last_order_id += 1
        order.exchange_order_id = str(self._last_order_id)
        self._open(order)
        if order.armed:
            self.own[terms.symbol].add(order)
            return [_observation(order, at_ns)]
        return self._enter(order, market, at_ns)

    def _objection(self, order: LiveOrder, market: Market) -> Check | None:
        """Why the exchange does not accept the order, in the order in which it looks."""
        terms, meta, side = order.terms, order.meta, order.terms.side
        if not meta.active:
            return Check.CLOSED
        if order.client_order_id in self.open:
            return Check.DUPLICATE
        if order.lifetime is TimeInForce.GTD and (terms.expire_ns or 0) <= order.created_ns:
            return Check.EXPIRE_TIME
        last, touch = market.reference(side), market.touch_price(side)
        return (
            malformed(terms, meta)
            or failed_filter(terms, meta, last, touch, len(self.own[terms.symbol]))
            or self._untimely(order, market)
        )

    def _untimely(self, order: LiveOrder, market: Market) -> Check | None:
        """Why the state of the market or of the account does not allow the order now."""
        terms, side = order.terms, order.terms.side
        last = market.last_price(side)
        if order.armed and last and order.tripped_by(last):
            return Check.TRIGGER
        if terms.type is OrderType.LIMIT_MAKER and market.crosses(side, order.limit):
            return Check.POST_ONLY
        if terms.reduce_only and not self._account.reducible(terms.symbol, side):
            return Check.REDUCE_ONLY
        takes = self._takes(order, market) if terms.type is OrderType.MARKET else ()
        return None if self._account.covers(order, takes) else Check.FUNDS

    def cancel(self, request: Cancel, at_ns: int) -> list[Report]:
        """End an open order; one that is not open is not known."""
        order = self.open.get(request.client_order_id)
        if order is None or order.terms.symbol != request.symbol:
            return [_refusal(request.client_order_id, "cancel", Check.UNKNOWN_ORDER, None)]
        return [self._end(order, OrderStatus.CANCELED, at_ns)]

    def lookup(self, request: Lookup, at_ns: int) -> list[Report]:
        """Show an order with all its fills."""
        wanted = request.client_order_id
        order = self.open.get(wanted) or self._ended.get(wanted)
        if order is None or order.terms.symbol != request.symbol:
            return [Absence(wanted, at_ns)]
        return [_observation(order, at_ns, order.fills)]

    # Time.

    def next_expiry(self) -> int | None:
        """When the next GTD order expires."""
        return min(map(_expiry, self._dated.values())) if self._dated else None

    def expire_next(self) -> list[Report]:
        """End the GTD order that expires next."""
        order = min(self._dated.values(), key=_expiry)
        return [self._end(order, OrderStatus.EXPIRED, _expiry(order), reason="good till date")]

    # Market data.

    def see(self, event: MarketEvent, at_ns: int) -> list[Report]:
        """Take over a row of market data; what it does to our orders."""
        market = self.markets.get(event.symbol)
        if market is None:
            return []
        own = self.own[event.symbol]
        match event:
            case Ticker():
                return self._see_quote(event, market, own, at_ns)
            case Trade() | AggTrade():
                return self._see_trade(event, market, own, at_ns)
            case BookUpdate():
                if market.update_book(event) and own and self._matcher.keeps_queues:
                    self._matcher.see_book(own, market, event)
        return []

    def _see_quote(self, quote: Ticker, market: Market, own: OwnOrders, at_ns: int) -> list[Report]:
        market.quote(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        if not own:
            return []
        if self._matcher.keeps_queues:
            sides = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
            self._matcher.see_quotes(own, *(np.array([side]) for side in sides))
        reports = self._fill_resting(self._matcher.quote(own, market), market, at_ns)
        return reports if market.last else reports + self._trigger(market, own, at_ns)

    def _see_trade(self, trade: Trade | AggTrade, market: Market, own: OwnOrders, at_ns: int) -> list[Report]:
        if isinstance(trade, Trade):
            market.has_prints = True
        elif market.has_prints:
            return []  # told again what the trades have told
        market.last = trade.price
        if not own:
            return []
        hits = self._matcher.trade(own, trade.price, trade.size, trade.side)
        return self._fill_resting(hits, market, at_ns) + self._trigger(market, own, at_ns)

    def _fill_resting(self, hits: Sequence[Hit], market: Market, at_ns: int) -> list[Report]:
        """Fill resting orders at their own price, as makers."""
        reports: list[Report] = []
        for order, hit in hits:
            assert order.terms.price is not None
            if not (qty := min(hit, self._reducible(order))):
                continue
            fill = self._fill(order, qty, order.terms.price, True, at_ns)
            reports.append(self._after(order, [fill], at_ns))
        return reports + self._end_idle_reducers(market, at_ns) if reports else reports

    def _trigger(self, market: Market, own: OwnOrders, at_ns: int) -> list[Report]:
        """Let stops whose price has come enter the market."""
        reports: list[Report] = []
        for order in tuple(own.stops):
            last = market.last_price(order.terms.side)
            if order.status.is_terminal or not (last and order.tripped_by(last)):
                continue
            own.discard(order)
            order.armed = False
            if order.terms.type is OrderType.STOP_LIMIT:
                entered = self._enter(order, market, at_ns)
                reports += entered if order.fills or order.status.is_terminal else entered[1:]
                continue
            # What it holds was reckoned at its stop price; it trades at the market's.
            self._account.release(order)
            if self._account.covers(order, self._takes(order, market)):
                reports += self._enter(order, market, at_ns)
            else:
                reports.append(self._end(order, OrderStatus.EXPIRED, at_ns, reason="insufficient balance"))
        return reports

    # What happens to an order.

    def _open(self, order: LiveOrder) -> None:
        self.open[order.client_order_id] = order
        self._account.hold(order)
        if order.lifetime is TimeInForce.GTD:
            self._dated[order.client_order_id] = order

    def _enter(self, order: LiveOrder, market: Market, at_ns: int) -> list[Report]:
        """Take what is there; what is left rests, or ends as its time in force says."""
        takes = self._takes(order, market)
        fills = [self._fill(order, qty, price, False, at_ns) for price, qty in takes]
        stays = order.lifetime in {TimeInForce.GTC, TimeInForce.GTD}
        if not order.remaining or (stays and self._reducible(order)):
            if order.remaining:
                self._matcher.join(order, market)
                self.own[order.terms.symbol].add(order)
            report = self._after(order, fills, at_ns)
        else:
            report = self._end(order, OrderStatus.EXPIRED, at_ns, fills)
        return [report, *self._end_idle_reducers(market, at_ns)] if fills else [report]

    def _takes(self, order: LiveOrder, market: Market) -> list[Take]:
        """What the order gets from the market now; all or nothing where it says so."""
        if order.armed:
            return []
        takes = market.takes(
            order.terms.side, min(order.remaining, self._reducible(order)), order.terms.price
        )
        if order.lifetime is TimeInForce.FOK and sum(qty for _, qty in takes) < order.remaining:
            return []
        return takes

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
        self._last_trade_id += 1
        symbol = order.meta.symbol
        fill = Fill(
            trade_id=str(self._last_trade_id),
            symbol=order.terms.symbol,
            side=order.terms.side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=symbol.settle if symbol.is_futures else symbol.quote,
            is_maker=is_maker,
            exchange_ns=at_ns,
            client_order_id=order.client_order_id,
            exchange_order_id=order.exchange_order_id,
        )
        order.fills.append(fill)
        self.fills.append(fill)
        return fill

    def _after(self, order: LiveOrder, fills: Sequence[Fill], at_ns: int) -> Report:
        """Show an order with its new fills; one without a remainder has ended."""
        if not order.remaining:
            return self._end(order, OrderStatus.FILLED, at_ns, fills)
        return _observation(order, at_ns, fills)

    def _end(
        self,
        order: LiveOrder,
        status: OrderStatus,
        at_ns: int,
        fills: Sequence[Fill] = (),
        reason: str = "",
    ) -> Report:
        order.status = status
        order.updated_ns = at_ns
        self._account.release(order)
        self.own[order.terms.symbol].discard(order)
        del self.open[order.client_order_id]
        self._dated.pop(order.client_order_id, None)
        self._remember(order)
        return _observation(order, at_ns, fills, reason)

    def _remember(self, order: LiveOrder) -> None:
        self._ended.pop(order.client_order_id, None)
        self._ended[order.client_order_id] = order
        if len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _end_idle_reducers(self, market: Market, at_ns: int) -> list[Report]:
        """Reduce-only orders end with the position they were to reduce."""
        if not market.meta.symbol.is_futures:
            return []
        own = self.own[market.meta.symbol.name]
        return [
            self._end(order, OrderStatus.EXPIRED, at_ns, reason="nothing left to reduce")
            for order in (*own.buys, *own.sells, *own.stops)
            if order.terms.reduce_only and not self._reducible(order)
        ]

    def adopt(self, state: OrderState, fills: Sequence[Fill]) -> None:
        """Seat an order that this exchange knew before a restart: see `SimulatedExchange.adopt`."""
        for number in (state.exchange_order_id, *(fill.exchange_order_id for fill in fills)):
            self._last_order_id = max(self._last_order_id, int(number or 0))
        self._last_trade_id = max([self._last_trade_id, *(int(fill.trade_id) for fill in fills)])
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
            self._remember(order)
            return
        order.armed = order.armed and not fills
        self._open(order)
        self._matcher.join(order, market)
        self.own[state.order.symbol].add(order)


def _expiry(order: LiveOrder) -> int:
    return order.terms.expire_ns or 0


def _refusal(client_order_id: str, request: str, check: Check, meta: SymbolMetadata | None) -> Refusal:
    code, message = reject(check, meta)
    return Refusal(client_order_id, request, code, message)


def _observation(order: LiveOrder, at_ns: int, fills: Sequence[Fill] = (), reason: str = "") -> Observation:
    return Observation(
        order.client_order_id,
        order.exchange_order_id,
        order.status,
        order.filled,
        at_ns,
        tuple(fills),
        reason,
    )
