"""What the exchange accepts: its checks of a placement, an order list and an amendment, in their order.

Sources, all on developers.binance.com: "New Order" and "New Order list - OCO" (spot), "Order Amend Keep
Priority" (spot), "Modify Order" (USDⓈ-M futures).  Changes nothing; knows nothing of what becomes of what
it accepts.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec.structs import replace

from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.simulation.account import Account
from quantcli.simulation.market import Market
from quantcli.simulation.orders import LiveOrder
from quantcli.simulation.rules import STOPS, Check, failed_filter, malformed
from quantcli.simulation.working import WorkingOrders

_LIMITS = frozenset({OrderType.LIMIT, OrderType.LIMIT_MAKER})


class Admission:
    """Checks requests against the rules, the markets and the account as they are now."""

    def __init__(self, working: WorkingOrders, account: Account) -> None:
        self._working = working
        self._account = account

    # Placements.

    def objection(self, order: LiveOrder, market: Market) -> Check | None:
        """Why the exchange does not accept an order."""
        return self._inadmissible(order, market) or self._untimely(order, market)

    def _inadmissible(self, order: LiveOrder, market: Market, beside: int = 0) -> Check | None:
        """What is wrong with the order itself; `beside` are orders placed together with it."""
        terms, meta = order.terms, order.meta
        if not meta.active:
            return Check.CLOSED
        if order.client_order_id in self._working.open:
            return Check.DUPLICATE
        if order.lifetime is TimeInForce.GTD and (terms.expire_ns or 0) <= order.created_ns:
            return Check.EXPIRE_TIME
        return malformed(terms, meta) or self._failed_filter(
            terms, market, len(self._working.own[terms.symbol]) + beside
        )

    def _failed_filter(self, terms: StandardOrder, market: Market, open_orders: int) -> Check | None:
        last, touch = market.reference(terms.side), market.touch_price(terms.side)
        return failed_filter(terms, market.meta, last, touch, open_orders)

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
        takes = self._working.takes(order, market) if terms.type is OrderType.MARKET else ()
        return None if self._account.covers(order, takes) else Check.FUNDS

    # Order lists.

    def list_objection(self, orders: Sequence[LiveOrder], market: Market) -> Check | None:
        """Why the exchange does not accept a list of orders, of which one cancels the other; all or none."""
        if check := _no_list(orders, market):
            return check
        checks = [self._inadmissible(order, market, beside) for beside, order in enumerate(orders)]
        checks.append(_wrong_way(orders, market))
        checks += [self._untimely(order, market) for order in orders]
        return next(filter(None, checks), None)

    # Amendments.

    def amend_objection(self, order: LiveOrder, terms: StandardOrder, market: Market) -> Check | None:
        """Why the exchange does not give an open order new terms."""
        meta = order.meta
        if not meta.active:
            return Check.CLOSED
        is_futures = meta.symbol.is_futures
        if is_futures and order.terms.type not in _LIMITS:
            return Check.NOT_A_LIMIT
        if not is_futures and terms.price != order.terms.price:
            return Check.OTHER_PRICE
        affected = [terms]
        if order.sibling is not None:
            affected.append(replace(order.sibling.terms, quantity=terms.quantity))
        for each in affected:
            # An amendment adds no order to those that are open.
            if check := malformed(each, meta) or self._failed_filter(each, market, 0):
                return check
        if terms == order.terms:
            return Check.NO_CHANGE
        return self._no_margin(order, terms) if is_futures else _not_smaller(order, terms)

    def _no_margin(self, order: LiveOrder, terms: StandardOrder) -> Check | None:
        if terms.quantity <= order.filled:
            return None  # it ends
        covered = self._account.covers(order.amended(terms), instead_of=order)
        return None if covered else Check.FUNDS


def _not_smaller(order: LiveOrder, terms: StandardOrder) -> Check | None:
    if terms.quantity > order.terms.quantity:
        return Check.LARGER
    return Check.FILLED if terms.quantity <= order.filled else None


def _no_list(orders: Sequence[LiveOrder], market: Market) -> Check | None:
    """What keeps orders from being a list: a post-only order and a stop that share market, side and
    quantity."""
    if market.meta.symbol.is_futures:
        return Check.NO_LISTS
    shared = {(order.terms.symbol, order.terms.side, order.terms.quantity) for order in orders}
    if len(orders) != 2 or len(shared) != 1:
        return Check.LIST_ORDERS
    if orders[0].client_order_id == orders[1].client_order_id:
        return Check.DUPLICATE
    types = [order.terms.type for order in orders]
    if any(kind is not OrderType.LIMIT_MAKER and kind not in STOPS for kind in types):
        return Check.LIST_TYPE
    stops = sum(kind in STOPS for kind in types)
    return (Check.LIST_LIMITS, None, Check.LIST_ORDERS)[stops]


def _wrong_way(orders: Sequence[LiveOrder], market: Market) -> Check | None:
    """The last price, where there is one, lies strictly between the two; the stop is above it in a list of
    buys, below it in a list of sells."""
    limit, stop = sorted(orders, key=lambda order: order.armed)
    side = limit.terms.side
    path = [limit.terms.price, market.reference(side), stop.terms.stop_price]
    prices = [side.sign * price for price in path if price is not None]
    rises = all(price < beyond for price, beyond in pairwise(prices))
    return None if rises else Check.LIST_PRICES
