"""The order desk: every request answered, in the order it arrives.

For one request: does the exchange know its order or market, has its deadline passed, do the rules and the
account allow it (`admission`); then the working orders are changed.  All times here are the exchange's own.

Knows nothing of latency, of market data or of how an order is filled.
"""

from msgspec.structs import replace

from quantcli.model.message import (
    Absence,
    Amend,
    Cancel,
    Lookup,
    Place,
    PlaceList,
    Report,
    Statement,
    Survey,
)
from quantcli.simulation.account import Account
from quantcli.simulation.admission import Admission
from quantcli.simulation.answers import observation, refusal
from quantcli.simulation.orders import LiveOrder
from quantcli.simulation.rules import Check
from quantcli.simulation.working import WorkingOrders


class OrderDesk:
    """Answers requests; whatever else they bring about is told after the answer."""

    def __init__(self, working: WorkingOrders, account: Account) -> None:
        self._working = working
        self._account = account
        self._admission = Admission(working, account)

    def place(self, request: Place, at_ns: int) -> list[Report]:
        """Accept an order and match it, or refuse it."""
        market = self._working.markets.get(request.order.symbol)
        if market is None:
            return [refusal(request, Check.SYMBOL, None)]
        order = LiveOrder(request.client_order_id, "", request.order, market.meta, at_ns)
        check = Check.LATE if request.deadline_ns < at_ns else self._admission.objection(order, market)
        if check is not None:
            return [refusal(request, check, market.meta)]
        return self._working.place(order, at_ns)

    def place_list(self, request: PlaceList, at_ns: int) -> list[Report]:
        """Accept orders that cancel each other, all or none; one answer for each."""
        places = request.places
        market = self._working.markets.get(places[0].order.symbol)
        if market is None:
            return [refusal(place, Check.SYMBOL, None) for place in places]
        meta = market.meta
        orders = [LiveOrder(place.client_order_id, "", place.order, meta, at_ns) for place in places]
        late = any(place.deadline_ns < at_ns for place in places)
        check = Check.LATE if late else self._admission.list_objection(orders, market)
        if check is not None:
            return [refusal(place, check, meta) for place in places]
        return self._working.place_list(orders[0], orders[1], at_ns)

    def amend(self, request: Amend, at_ns: int) -> list[Report]:
        """Give an open order a new total or price.  Spot: a smaller total, in its place; futures: either,
        behind all others."""
        market = self._working.markets.get(request.order.symbol)
        if market is None:
            return [refusal(request, Check.SYMBOL, None)]
        if request.deadline_ns < at_ns:
            return [refusal(request, Check.LATE, market.meta)]
        order = self._open(request.client_order_id, request.order.symbol)
        if order is None:
            return [refusal(request, Check.UNKNOWN_ORDER, market.meta)]
        # The other terms are not part of the request.
        terms = replace(order.terms, quantity=request.order.quantity, price=request.order.price)
        check = self._admission.amend_objection(order, terms, market)
        if check is not None:
            return [refusal(request, check, market.meta)]
        if market.meta.symbol.is_futures:
            return self._working.renew(order, terms, at_ns)
        return self._working.shrink(order, terms.quantity, at_ns)

    def cancel(self, request: Cancel, at_ns: int) -> list[Report]:
        """End an open order, and its list; one that is not open is not known."""
        order = self._open(request.client_order_id, request.symbol)
        if order is None:
            return [refusal(request, Check.UNKNOWN_ORDER, None)]
        return self._working.cancel(order, at_ns)

    def _open(self, client_order_id: str, symbol: str) -> LiveOrder | None:
        order = self._working.open.get(client_order_id)
        return order if order is not None and order.terms.symbol == symbol else None

    def lookup(self, request: Lookup, at_ns: int) -> list[Report]:
        """Show an order with all its fills."""
        order = self._working.find(request.client_order_id, request.symbol)
        if order is None:
            return [Absence(request.client_order_id, at_ns, request.asked_ns)]
        return [observation(order, at_ns, order.fills, terms=order.terms)]

    def survey(self, request: Survey, at_ns: int) -> list[Report]:
        """State what there is in a market; nothing for one that does not exist."""
        market = self._working.markets.get(request.symbol)
        if market is None:
            return []
        mine = [order for order in self._working.open.values() if order.terms.symbol == request.symbol]
        return [
            Statement(
                symbol=request.symbol,
                asked_ns=request.asked_ns,
                since_ns=request.since_ns,
                venue_ns=at_ns,
                orders=tuple(order.listed() for order in mine),
                fills=self._working.records.fills_since(request.symbol, request.since_ns),
                position=self._account.holding(market.meta),
            )
        ]
