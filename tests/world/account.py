"""The truth on the exchange: one account's orders, trades and positions, and how they come about.

Counterparties come by choice; strangers cancel our orders and place their own; what happens is told on the
stream.  The oracle is told of every order that comes to be, trades or ends.  Knows nothing of requests.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from quantcli.model.instrument import Side
from quantcli.model.message import Correction, Report
from quantcli.model.order import Fill, OrderStatus, OrderType, StandardOrder, TimeInForce

from .book import Booked
from .choices import Choices, odds
from .markets import HELD, STRANGE, SYMBOLS, base_of, is_derivative
from .marks import Marks
from .oracle import Oracle
from .personality import Breach, Personality
from .swarm import Faults
from .timeline import Timeline

_MS = 1_000_000
_S = 1_000 * _MS
_ZERO = Decimal(0)
_NEVER_REST = frozenset({OrderType.MARKET, OrderType.IMMEDIATE_OR_CANCEL, OrderType.FILL_OR_KILL})
_NEVER_REST_TIF = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})
# Until the next counterparty comes; the last index: nobody comes.
_COMING = (200 * _MS, 50 * _MS, _S, 5 * _S, 20 * _S, 90 * _S, 0)
_COMING_ODDS = odds(12, 8, 16, 20, 16, 10, 18)
_SHARES = (Decimal(1), Decimal("0.5"), Decimal("0.25"), Decimal("0.1"))
_BASE_FEE = Decimal("0.001")
_QUOTE_FEE = Decimal("0.01")
_UNCOVERED_NS = 3 * _S

Tell = Callable[[Booked, tuple[Fill, ...], str], None]


class Account:
    """See the module's docstring.

    `orders` are the newest of each client order id, `tape` the trades of each market with the time since when
    they are told.  `skew_ns` is the exchange's clock less ours.  It `is_noisy` once a position has moved by
    what the kernel cannot have done: from then on there are doubts that only an operator can end.
    """

    def __init__(
        self, choices: Choices, timeline: Timeline, personality: Personality, oracle: Oracle, marks: Marks
    ) -> None:
        self.faults: Faults
        self.tell: Tell
        self.stream: Callable[[Report], None]
        self.orders: dict[str, Booked] = {}
        self.all_orders: list[Booked] = []
        self.trades: dict[tuple[str, str], Fill] = {}
        self.tape: dict[str, list[tuple[int, Fill]]] = {symbol: [] for symbol in SYMBOLS}
        self.positions = dict(HELD)
        self.skew_ns = 0
        self.transferred: dict[str, None] = {}  # markets whose position moved without a trade
        self.is_noisy = False
        self._choices, self._timeline, self._personality = choices, timeline, personality
        self._oracle, self._marks = oracle, marks
        self._numbers = 0

    def clock_ns(self) -> int:
        """What the exchange's clock shows."""
        return self._timeline.now_ns + self.skew_ns

    # Orders.

    def new(self, client_order_id: str, order: StandardOrder) -> Booked:
        """An order has come to be; nothing happens to it yet."""
        booked = Booked(client_order_id, f"{self._number():06d}", order, self._timeline.now_ns)
        if self._choices.chance(self.faults.blind, "venue.blind"):
            booked.blind_until_ns = booked.created_ns + self._personality.contract.replica_lag_ns
        self.orders[client_order_id] = booked
        self.all_orders.append(booked)
        self._oracle.created(booked)
        self.changed(booked)
        return booked

    def open(self, booked: Booked) -> None:
        """It works from now on."""
        order = booked.order
        if order.expire_ns is not None:
            self._timeline.at(order.expire_ns, self._expire, booked)
        if order.type in _STOPS:
            self.tell(booked, (), "")
            self._come_later(booked)
        elif order.type in _NEVER_REST or order.time_in_force in _NEVER_REST_TIF:
            self._take(booked)
        elif order.type is OrderType.LIMIT_MAKER and self._choices.chance(100, "venue.crosses"):
            self._end(booked, OrderStatus.EXPIRED, "would have taken")
        else:
            self.tell(booked, (), "")
            self._come_later(booked)

    def reject(self, booked: Booked, why: str) -> None:
        """It was accepted too early."""
        self._marks.hit("rejected after acceptance")
        self._end(booked, OrderStatus.REJECTED, why)

    def amend(self, booked: Booked, new: StandardOrder) -> None:
        """It has new terms; a total below what has filled ends it."""
        self._marks.hit("amendment applied")
        if new.quantity <= booked.filled:
            self._marks.hit("amendment below what has filled")
            booked.order = replace(booked.order, quantity=booked.filled, price=new.price)
            booked.status = OrderStatus.FILLED
        else:
            terms = {"quantity": new.quantity, "price": new.price, "stop_price": new.stop_price}
            booked.order = replace(booked.order, **terms)
        self.changed(booked)

    def cancel(self, booked: Booked) -> None:
        """It is cancelled, and with it the one it is linked to."""
        if not booked.is_live:
            return
        breaks = self._personality.breach is Breach.LATE_CUM
        if breaks and self._choices.chance(self.faults.breach, "venue.breach"):
            self._fill_unseen(booked)
        sibling = booked.sibling
        self._end(booked, _cancelled(booked), "")
        if sibling is not None and sibling.is_live:
            self._end(sibling, _cancelled(sibling), "")

    def reducible(self, order: StandardOrder) -> Decimal:
        """How much of the position an order of this side can close."""
        return -self.positions[order.symbol] * order.side.sign

    def is_nothing(self, client_order_id: str) -> bool:
        """No order of this name works, and none has traded."""
        booked = self.orders.get(client_order_id)
        return booked is None or not (booked.is_live or booked.fills)

    def changed(self, booked: Booked) -> None:
        """It looks different from now on."""
        booked.note(self._timeline.now_ns, self.clock_ns())
        if not booked.is_live:
            self._oracle.ended(booked)

    def _expire(self, booked: Booked) -> None:
        if booked.is_live:
            self._end(booked, OrderStatus.EXPIRED, "its time is over")

    def _end(self, booked: Booked, status: OrderStatus, reason: str) -> None:
        booked.status = status
        self.changed(booked)
        self.tell(booked, (), reason)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # Trading.

    def _take(self, booked: Booked) -> None:
        """An order that does not rest takes what there is."""
        whole = booked.order.type is OrderType.FILL_OR_KILL or booked.order.time_in_force is TimeInForce.FOK
        found = self._choices.choose(3, "venue.depth")  # all, nothing, half
        if found == 0 or booked.order.type is OrderType.MARKET:
            self._fill(booked, booked.rest, is_maker=False)
        elif found == 2 and not whole:
            self._fill(booked, _part(booked.rest, _SHARES[1]), is_maker=False)
        if booked.is_live:
            self._end(booked, OrderStatus.EXPIRED, "nobody took the rest")

    def _come_later(self, booked: Booked) -> None:
        delay_ns = _COMING[self._choices.weighted(_COMING_ODDS, "market.comes")]
        if delay_ns:
            self._timeline.after(delay_ns, self._come, booked)

    def _come(self, booked: Booked) -> None:
        """A counterparty, or somebody who cancels our order in the exchange's own window."""
        if not booked.is_live:
            return
        if self._choices.chance(self.faults.external, "market.external"):
            self._marks.hit("cancelled by a stranger")
            self._oracle.meddled(booked)
            self._end(booked, _cancelled(booked), "")
            return
        share = _SHARES[self._choices.choose(len(_SHARES), "market.share")]
        self._fill(booked, _part(booked.rest, share), is_maker=booked.order.type not in _STOPS)
        if booked.is_live:
            self._come_later(booked)

    def _fill(self, booked: Booked, qty: Decimal, is_maker: bool) -> None:
        if booked.order.reduce_only and is_derivative(booked.order.symbol):
            qty = self._trimmed(booked, qty)
            if qty <= 0:
                return
        fill = self._trade(booked, qty, is_maker)
        booked.status = OrderStatus.FILLED if booked.rest <= 0 else OrderStatus.PARTIALLY_FILLED
        self.changed(booked)
        self._oracle.traded(booked, fill)
        self._tell_fill(booked, fill)
        if booked.sibling is not None and booked.sibling.is_live:
            self._marks.hit("linked order cancelled by its sibling")
            end = (OrderStatus.CANCELED, OrderStatus.EXPIRED)[self._choices.choose(2, "venue.link")]
            self._end(booked.sibling, end, "")

    def _trimmed(self, booked: Booked, qty: Decimal) -> Decimal:
        """A reduce-only order never turns a position around: the exchange makes it smaller, or ends it."""
        allowed = self.reducible(booked.order)
        if allowed >= booked.rest:
            return qty
        self._marks.hit("reduce-only trimmed")
        if allowed <= 0:
            self._end(booked, OrderStatus.EXPIRED, "reduce-only, and nothing is left to reduce")
            return _ZERO
        booked.order = replace(booked.order, quantity=booked.filled + allowed)
        return min(qty, allowed)

    def _trade(self, booked: Booked, qty: Decimal, is_maker: bool) -> Fill:
        order = booked.order
        symbol = order.symbol
        in_base = self._personality.base_fee and order.side is Side.BUY and not is_derivative(symbol)
        fee = qty * _BASE_FEE if in_base else _QUOTE_FEE
        fill = Fill(
            f"t{self._number()}",
            symbol,
            order.side,
            qty,
            order.price or order.stop_price or Decimal(100),
            fee,
            base_of(symbol) if in_base else "USDT",
            is_maker,
            self.clock_ns(),
            booked.client_order_id,
            booked.exchange_order_id,
        )
        visible_ns = self._timeline.now_ns + self._lateness()
        booked.fills.append((visible_ns, fill))
        self.trades[symbol, fill.trade_id] = fill
        self.tape[symbol].append((visible_ns, fill))
        self.positions[symbol] += qty * order.side.sign - (fee if in_base else _ZERO)
        return fill

    def _lateness(self) -> int:
        if not self._choices.chance(self.faults.late_fills, "venue.late_fill"):
            return 0
        late_ns = (2 * _S, 8 * _S)[self._choices.choose(2, "venue.late_fill_ns")]
        return min(self._personality.contract.replica_lag_ns, late_ns)

    def _tell_fill(self, booked: Booked, fill: Fill) -> None:
        visible_ns = booked.fills[-1][0]
        if visible_ns > self._timeline.now_ns:
            self.tell(booked, (), "")  # the count first, the trade afterwards
            self._timeline.at(visible_ns, self.tell, booked, (fill,), "")
            return
        self.tell(booked, (fill,), "")
        is_over = booked.status is OrderStatus.FILLED
        if is_over and self._choices.chance(self.faults.again, "venue.twice_filled"):
            self.tell(booked, (), "")

    def _fill_unseen(self, booked: Booked) -> None:
        """A trade just before the end, that the end does not count yet."""
        qty = _part(booked.rest, _SHARES[1])
        if qty >= booked.rest:
            return
        fill = self._trade(booked, qty, is_maker=True)
        told_ns = self._timeline.now_ns + _UNCOVERED_NS
        booked.fills[-1] = (told_ns, fill)
        self.tape[fill.symbol][-1] = (told_ns, fill)
        booked.hidden = qty
        self._oracle.late_cum(booked, qty)
        self._oracle.traded(booked, fill)
        self._timeline.at(told_ns, self._uncover, booked, fill)

    def _uncover(self, booked: Booked, fill: Fill) -> None:
        booked.hidden = _ZERO
        self.changed(booked)
        self.tell(booked, (fill,), "")

    # What nobody asked for.

    def stranger_orders(self) -> None:
        """Somebody else uses the account."""
        self.is_noisy = True
        symbol = self._choices.pick(SYMBOLS, "foreign.symbol")
        side = (Side.BUY, Side.SELL)[self._choices.choose(2, "foreign.side")]
        qty = STRANGE[self._choices.choose(len(STRANGE), "foreign.qty")] + 2
        order = StandardOrder(symbol, side, OrderType.LIMIT, qty, Decimal(100))
        self._marks.hit("foreign order seen")
        self.open(self.new(f"web_{self._number()}", order))

    def transfer(self) -> None:
        """Something is paid in or out; sometimes nobody says so."""
        self.is_noisy = True
        symbol = self._choices.pick(SYMBOLS, "transfer.symbol")
        delta = STRANGE[self._choices.choose(len(STRANGE), "transfer.qty")]
        self.positions[symbol] += delta
        self.transferred[symbol] = None
        self._marks.hit("position moved without a trade")
        if self._choices.choose(2, "transfer.told") == 0:
            self.stream(Correction(symbol, "transfer", f"c{self._number()}", delta, self.clock_ns()))

    def lose_orders(self) -> None:
        """Break a clause: one open order without fills, or all young ones, are gone as if never been."""
        now_ns = self._timeline.now_ns
        rolls_back = self._personality.breach is Breach.ROLLBACK
        for booked in list(self.orders.values()):
            is_young = now_ns - booked.created_ns < 5 * _S
            if booked.is_live and not booked.fills and (is_young or not rolls_back):
                booked.status = OrderStatus.CANCELED
                booked.ended_ns = now_ns
                self._oracle.lost(booked)
                del self.orders[booked.client_order_id]
                self.all_orders.remove(booked)
                if not rolls_back:
                    return


def _cancelled(booked: Booked) -> OrderStatus:
    return OrderStatus.PARTIALLY_CANCELED if booked.fills else OrderStatus.CANCELED


def _part(rest: Decimal, share: Decimal) -> Decimal:
    """A share of what is left, in whole lots but for strangers' fractions."""
    part = (rest * share).to_integral_value()
    return part if 0 < part <= rest else rest
