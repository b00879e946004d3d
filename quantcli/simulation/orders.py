"""Our own orders in one market, as the exchange keeps them: in price-time priority.

Also answers, in bounds on prices, when the market could next concern any of them.  Knows nothing of
where prices come from or what happens when one is reached.
"""

from decimal import Decimal
from math import inf
from typing import NamedTuple

from quantcli.model.instrument import Side, SymbolMetadata, round_qty
from quantcli.model.order import Fill, Order, OrderStatus, OrderType, StandardOrder, TimeInForce
from quantcli.simulation.rules import STOPS

_LIFETIME = {
    OrderType.MARKET: TimeInForce.IOC,
    OrderType.STOP_MARKET: TimeInForce.IOC,
    OrderType.IMMEDIATE_OR_CANCEL: TimeInForce.IOC,
    OrderType.FILL_OR_KILL: TimeInForce.FOK,
    OrderType.LIMIT_MAKER: TimeInForce.GTC,
}


class LiveOrder:
    """An order the exchange has accepted.

    `queue` is the quantity that others have ahead of it at its price, in base units; `armed` tells a
    stop that waits for its price; `unit_hold` is what the account holds back per unit not yet filled.
    A price is at the limit on the `near` side of half a tick around it, through it beyond `far`, and
    trips the stop beyond `trip`: so floats that mean the same tick are one price.
    `sibling` is the other order of its list, as long as both are open and neither was executed.
    """

    __slots__ = (
        "armed",
        "client_order_id",
        "created_ns",
        "exchange_order_id",
        "far",
        "fills",
        "limit",
        "meta",
        "near",
        "queue",
        "remaining",
        "sibling",
        "sign",
        "status",
        "terms",
        "trip",
        "unit_hold",
        "updated_ns",
    )

    def __init__(
        self,
        client_order_id: str,
        exchange_order_id: str,
        terms: StandardOrder,
        meta: SymbolMetadata,
        created_ns: int,
    ) -> None:
        self.client_order_id = client_order_id
        self.exchange_order_id = exchange_order_id
        self.terms = terms
        self.meta = meta
        self.created_ns = self.updated_ns = created_ns
        self.sign = terms.side.sign
        self._reckon_prices()
        self.armed = terms.type in STOPS
        self.remaining = terms.quantity
        self.queue = inf
        self.unit_hold = Decimal(0)
        self.status = OrderStatus.NEW
        self.fills: list[Fill] = []
        self.sibling: LiveOrder | None = None

    def _reckon_prices(self) -> None:
        self.limit = float(self.terms.price or 0)
        margin = self.sign * float(self.meta.price_tick) / 2
        self.near, self.far = self.limit + margin, self.limit - margin
        self.trip = float(self.terms.stop_price or 0) - margin

    def amend(self, terms: StandardOrder) -> None:
        """Take new terms, on the same side; what has filled counts towards their quantity."""
        self.remaining += terms.quantity - self.terms.quantity
        self.terms = terms
        self._reckon_prices()

    def amended(self, terms: StandardOrder) -> "LiveOrder":
        """What it would be with new terms; itself it stays as it is."""
        order = LiveOrder(self.client_order_id, self.exchange_order_id, terms, self.meta, self.created_ns)
        order.remaining = terms.quantity - self.filled
        order.armed = self.armed
        return order

    def part(self) -> "LiveOrder | None":
        """Leave the list it is in; the other order of it."""
        other, self.sibling = self.sibling, None
        if other is not None:
            other.sibling = None
        return other

    @property
    def filled(self) -> Decimal:
        """Cumulative quantity, in base units."""
        return self.terms.quantity - self.remaining

    @property
    def lifetime(self) -> TimeInForce:
        """How long it stays, whether its type or its time in force says so."""
        return _LIFETIME.get(self.terms.type, self.terms.time_in_force)

    def reached_by(self, price: float) -> bool:
        """A counterparty at `price` is at the limit, or better for us."""
        return self.sign * price < self.sign * self.near

    def passed_by(self, price: float) -> bool:
        """A counterparty at `price` is strictly better for us than the limit."""
        return self.sign * price < self.sign * self.far

    def tripped_by(self, price: float) -> bool:
        """`price` triggers the stop: at or above it for buys, at or below for sells."""
        return self.sign * price > self.sign * self.trip

    def part_of(self, size: float) -> Decimal:
        """How much of it a counterparty of `size` base units fills, in whole lots."""
        if size >= self.remaining:
            return self.remaining
        return min(self.remaining, round_qty(size, self.meta.lot)) if size > 0 else Decimal(0)

    def listed(self) -> Order:
        """As the exchange lists it."""
        terms = self.terms
        return Order(
            terms.symbol,
            self.client_order_id,
            self.exchange_order_id,
            terms.side,
            terms.type,
            self.status,
            terms.quantity,
            self.filled,
            terms.price,
            terms.stop_price,
            self.created_ns,
            self.updated_ns,
        )


class Bounds(NamedTuple):
    """Prices strictly beyond which an order may trade or trigger (infinite: none does)."""

    trade_below: float = -inf
    trade_above: float = inf
    ask_below: float = -inf
    bid_above: float = inf
    # Stops look at quotes only in a market that has shown no trade.
    bid_below: float = -inf
    ask_above: float = inf


class OwnOrders:
    """The open orders of one market: resting `buys` and `sells`, best first, and armed `stops`."""

    __slots__ = ("_bounds", "buys", "sells", "stops")

    def __init__(self) -> None:
        self.buys: list[LiveOrder] = []
        self.sells: list[LiveOrder] = []
        self.stops: list[LiveOrder] = []
        self._bounds: dict[bool, Bounds] = {}

    def __len__(self) -> int:
        return len(self.buys) + len(self.sells) + len(self.stops)

    def add(self, order: LiveOrder) -> None:
        """Let it rest (behind its equals), or wait if it is an armed stop."""
        orders = self._place_of(order)
        orders.append(order)
        if not order.armed:
            orders.sort(key=lambda o: -o.sign * o.limit)
        self._bounds.clear()

    def discard(self, order: LiveOrder) -> None:
        """Take it out, if it is there."""
        orders = self._place_of(order)
        if order in orders:
            orders.remove(order)
            self._bounds.clear()

    def _place_of(self, order: LiveOrder) -> list[LiveOrder]:
        if order.armed:
            return self.stops
        return self.buys if order.terms.side is Side.BUY else self.sells

    def bounds(self, at_limit: bool) -> Bounds:
        """When the market next concerns an order; `at_limit`: a trade at its very limit does too."""
        if at_limit not in self._bounds:
            self._bounds[at_limit] = self._find_bounds(at_limit)
        return self._bounds[at_limit]

    def _find_bounds(self, at_limit: bool) -> Bounds:
        buy = self.buys[0] if self.buys else None
        sell = self.sells[0] if self.sells else None
        fall = max((o.trip for o in self.stops if o.sign < 0), default=-inf)
        rise = min((o.trip for o in self.stops if o.sign > 0), default=inf)
        low = (buy.near if at_limit else buy.far) if buy else -inf
        high = (sell.near if at_limit else sell.far) if sell else inf
        return Bounds(
            trade_below=max(low, fall),
            trade_above=min(high, rise),
            ask_below=buy.near if buy else -inf,
            bid_above=sell.near if sell else inf,
            bid_below=fall,
            ask_above=rise,
        )
