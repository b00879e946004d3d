"""The exchange as requests meet it: its gate, the engine that decides in order, and copies that lag behind.

Requests come from the network as letters and are answered to it; the truth is in `account`.  What differs
between exchanges, and what they break, is the personality's.  Knows nothing of the kernel.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from quantcli.model.message import (
    Absence,
    Amend,
    Cancel,
    Lookup,
    Observation,
    Place,
    PlaceList,
    Refusal,
    Refused,
    Statement,
    Survey,
)
from quantcli.model.order import Fill, Order, OrderStatus, StandardOrder
from quantcli.model.venue import AmendRule

from .account import Account
from .book import Booked, Version
from .choices import Choices, odds
from .markets import MIN_QTY, SYMBOLS, base_of, is_derivative
from .marks import Marks
from .network import Letter, Network
from .personality import Breach, Personality
from .swarm import Faults
from .timeline import Timeline
from .trace import Trace

_MS = 1_000_000
_S = 1_000 * _MS
_ZERO = Decimal(0)
_LAGS = (0, 1, 2, 4)  # quarters of the longest
_TORN = odds(70, 15, 15)  # lists and position at once, position later, lists later
_TEAR_NS = 200 * _MS
_LIE_NS = 30 * _S
_Lists = tuple[tuple[Order, ...], tuple[Fill, ...]]


class Venue:
    """See the module's docstring; closed for maintenance until `closed_until_ns`."""

    def __init__(
        self,
        choices: Choices,
        timeline: Timeline,
        personality: Personality,
        account: Account,
        marks: Marks,
        trace: Trace,
    ) -> None:
        self.faults: Faults
        self.network: Network
        self.account = account
        self.personality, self.contract = personality, personality.contract
        self.closed_until_ns = 0
        self._choices, self._timeline, self._marks, self._trace = choices, timeline, marks, trace
        self._engine_ns = dict.fromkeys(SYMBOLS, 0)
        self._decide: dict[type, Callable[[Letter], None]] = {
            Place: self._place,
            PlaceList: self._place_list,
            Amend: self._amend,
            Cancel: self._cancel,
        }

    def receive(self, letter: Letter) -> None:
        """A request has arrived."""
        request, is_closed = letter.request, self._timeline.now_ns < self.closed_until_ns
        if isinstance(request, Lookup | Survey):
            if not is_closed:
                (self._look_up if isinstance(request, Lookup) else self._survey)(letter)
            return
        for place in request.places if isinstance(request, PlaceList) else (request,):
            if isinstance(place, Place):
                self.network.oracle.arrived(place)
        if is_closed or self._choices.chance(self.faults.busy, "venue.busy"):
            self._marks.hit("busy refusal")
            self._turn_away(letter, -1003, "too busy")
        elif self._is_too_late(request):
            self._marks.hit("deadline refused")
            self._turn_away(letter, -1021, "its deadline has passed")
        else:
            if self.personality.early_ack and isinstance(request, Place):
                self._accept(letter)
            self._queue(letter)

    def _turn_away(self, letter: Letter, code: int, why: str) -> None:
        self.network.decided(letter.request)
        self._refuse(letter, Refused.BUSY, code, why)

    def _is_too_late(self, request: object) -> bool:
        if not self.personality.fenced:
            return False
        clock_ns = self.account.clock_ns()
        if isinstance(request, PlaceList):
            return any(clock_ns > place.deadline_ns for place in request.places)
        return isinstance(request, Place | Amend) and clock_ns > request.deadline_ns

    def _queue(self, letter: Letter) -> None:
        """Requests of one market are decided in the order of their arrival."""
        symbol = _symbol(letter.request)
        now_ns, delay_ns = self._timeline.now_ns, 0
        bound_ns = self.contract.engine_bound_ns
        if bound_ns and self._choices.chance(self.faults.engine, "venue.engine"):
            delay_ns = bound_ns // (4, 2, 1)[self._choices.choose(3, "venue.engine_ns")]
        due_ns = self._engine_ns[symbol] = max(now_ns + delay_ns, self._engine_ns[symbol])
        if due_ns == now_ns:
            self._decide[type(letter.request)](letter)
        else:
            self._timeline.at(due_ns, self._decide[type(letter.request)], letter)

    # Placing.

    def _place(self, letter: Letter) -> None:
        place, account = letter.request, self.account
        self.network.decided(place)
        known = account.orders.get(place.client_order_id)
        if known is not None and self.personality.idempotent:
            self._marks.hit("sent again under the same id")
            self._answer(letter, known)
        elif known is not None and known.is_live:
            self._refuse(letter, Refused.EXISTS, -2010, "duplicate order sent")
        elif self.personality.early_ack:
            booked = account.new(place.client_order_id, place.order)
            if (why := self._why_not(place.order)) is not None:
                account.reject(booked, why)
            else:
                account.open(booked)
        elif (why := self._why_not(place.order)) is not None:
            self._refuse(letter, Refused.FINAL, -2010, why)
        else:
            booked = account.new(place.client_order_id, place.order)
            account.open(booked)
            self._answer(letter, booked)

    def _accept(self, letter: Letter) -> None:
        """Passed on: what becomes of it is told later, on the stream or to who asks."""
        self._marks.hit("accepted but not yet decided")
        client_id = letter.request.client_order_id
        bare = Observation(client_id, "", OrderStatus.UNKNOWN, _ZERO, self.account.clock_ns())
        self.network.answer(letter, bare)

    def _place_list(self, letter: Letter) -> None:
        places, account = letter.request.places, self.account
        self.network.decided(letter.request)
        if any(place.client_order_id in account.orders for place in places):
            self._refuse(letter, Refused.EXISTS, -2010, "duplicate order sent")
            return
        for place in places:
            if (why := self._why_not(place.order)) is not None:
                self._refuse(letter, Refused.FINAL, -2010, why)
                return
        first, second = (account.new(place.client_order_id, place.order) for place in places)
        first.sibling, second.sibling = second, first
        for booked in (first, second):
            account.open(booked)
        for booked in (first, second):
            self._answer(letter, booked)

    def _why_not(self, order: StandardOrder) -> str | None:
        if self._choices.chance(self.faults.refused, "venue.refused"):
            return "insufficient balance"
        if order.quantity < MIN_QTY and not order.reduce_only:
            return "below the smallest quantity"
        if order.reduce_only and is_derivative(order.symbol) and self.account.reducible(order) <= 0:
            return "reduce-only, and nothing to reduce"
        return None

    # Cancelling and amending.

    def _cancel(self, letter: Letter) -> None:
        booked = self.account.orders.get(letter.request.client_order_id)
        if booked is None or not booked.is_live:
            if booked is not None and booked.status is OrderStatus.FILLED:
                self._marks.hit("fill during cancel")
            self._unknown(letter)
            return
        is_blind = self.faults.blind if not self.contract.probe else 0
        if self.personality.breach is Breach.BLIND_CANCEL:
            is_blind = self.faults.breach
        if self._choices.chance(is_blind, "venue.blind_cancel"):
            self._unknown(letter)
        elif self.personality.early_cancel and self._choices.chance(500, "venue.early_cancel"):
            self._answer(letter, booked)
            self._timeline.after(300 * _MS, self.account.cancel, booked)
        else:
            self.account.cancel(booked)
            self._answer(letter, booked)

    def _amend(self, letter: Letter) -> None:
        amend: Amend = letter.request
        booked = self.account.orders.get(amend.client_order_id)
        if booked is None or not booked.is_live:
            self._marks.hit("amendment of an ended order")
            self._unknown(letter)
        elif not self._allows(booked.order, amend.order):
            self._refuse(letter, Refused.FINAL, -2038, "this cannot be amended")
        elif self._choices.chance(self.faults.refused, "venue.refused"):
            self._refuse(letter, Refused.FINAL, -2038, "this amendment was not liked")
        else:
            self.account.amend(booked, amend.order)
            self._answer(letter, booked)
            self.tell(booked, (), "")

    def _allows(self, old: StandardOrder, new: StandardOrder) -> bool:
        if self.contract.amend is AmendRule.DECREASE:
            return new.price == old.price and new.quantity <= old.quantity
        return self.contract.amend is AmendRule.TOTAL

    # Answering.

    def tell(self, booked: Booked, fills: tuple[Fill, ...], reason: str) -> None:
        """Say on the stream what an order looks like."""
        report = self._told(booked, booked.versions[-1], fills, reason)
        self._trace.tell("exchange", "stream", report)
        self.network.stream(report)

    def _answer(self, letter: Letter, booked: Booked) -> None:
        fills: tuple[Fill, ...] = ()
        if self.personality.fills_in_answers:
            fills = booked.fills_as_of(self._timeline.now_ns)
        self.network.answer(letter, self._told(booked, booked.versions[-1], fills))

    def _told(
        self, booked: Booked, version: Version, fills: tuple[Fill, ...], reason: str = ""
    ) -> Observation:
        report = booked.shown(version, fills, reason)
        lies = self.personality.breach is Breach.FALLING_CUM and version.filled > 0
        if lies and self._choices.chance(self.faults.breach, "venue.breach"):
            return replace(report, filled=report.filled - 1, fills=())
        return report

    def _refuse(self, letter: Letter, kind: Refused, code: int, why: str) -> None:
        asked_ns = getattr(letter.request, "asked_ns", 0)
        for client_order_id, number in letter.addressees:
            refusal = Refusal(client_order_id, letter.kind, code, why, kind, asked_ns, number)
            self.network.answer(letter, refusal)

    def _unknown(self, letter: Letter) -> None:
        self._refuse(letter, Refused.UNKNOWN_ORDER, -2011, "unknown order sent")

    # Looking.

    def _as_of_ns(self) -> int:
        """The time that a copy shows."""
        now_ns = self._timeline.now_ns
        if not self._choices.chance(self.faults.blind, "venue.lags"):
            return now_ns
        self._marks.hit("served by a copy that lags")
        return now_ns - self.contract.replica_lag_ns * _LAGS[self._choices.choose(4, "venue.lag")] // 4

    def _look_up(self, letter: Letter) -> None:
        client_id, as_of_ns = letter.request.client_order_id, self._as_of_ns()
        booked = self.account.orders.get(client_id)
        version = None
        if booked is not None and self._timeline.now_ns >= booked.blind_until_ns:
            version = booked.as_of(as_of_ns)
        if booked is None or version is None or self._is_forgotten(booked):
            absence = Absence(client_id, self.account.clock_ns(), letter.request.asked_ns)
            self.network.answer(letter, absence)
        else:
            self.network.answer(letter, self._told(booked, version, booked.fills_as_of(as_of_ns)))

    def _is_forgotten(self, booked: Booked) -> bool:
        kept_ns, ended_ns = self.contract.retention_ns, booked.ended_ns
        if not (kept_ns and ended_ns) or booked.fills or self._timeline.now_ns - ended_ns <= kept_ns:
            return False
        self._marks.hit("forgotten by the exchange")
        return True

    def _survey(self, letter: Letter) -> None:
        """Lists and position are read one after the other; trades may fall in between."""
        if not self.contract.statement:
            return
        survey: Survey = letter.request
        torn = self._choices.weighted(_TORN, "venue.torn")
        lists, position = self._lists(survey), self._position(survey.symbol)
        if torn == 0:
            self._state(letter, lists, position)
        else:
            self._timeline.after(_TEAR_NS, self._state_torn, letter, lists, position, torn == 1)

    def _state_torn(self, letter: Letter, lists: _Lists, position: Decimal, position_last: bool) -> None:
        survey: Survey = letter.request
        if position_last:
            self._state(letter, lists, self._position(survey.symbol))
        else:
            self._state(letter, self._lists(survey), position)

    def _state(self, letter: Letter, lists: _Lists, position: Decimal) -> None:
        survey: Survey = letter.request
        clock_ns = self.account.clock_ns()
        statement = Statement(survey.symbol, survey.asked_ns, survey.since_ns, clock_ns, *lists, position)
        self.network.answer(letter, statement)

    def _lists(self, survey: Survey) -> _Lists:
        account, now_ns, as_of_ns = self.account, self._timeline.now_ns, self._as_of_ns()
        listed = []
        for booked in account.all_orders:
            if booked.order.symbol == survey.symbol and now_ns >= booked.blind_until_ns:
                version = booked.as_of(as_of_ns)
                if version is not None and not version.status.is_terminal:
                    listed.append(booked.listed(version))
        oldest_ns = max(survey.since_ns, account.clock_ns() - self.contract.fills_ns)
        fills = [
            fill if self.personality.names_trades else replace(fill, client_order_id="")
            for visible_ns, fill in account.tape[survey.symbol]
            if visible_ns <= as_of_ns and fill.exchange_ns >= oldest_ns
        ]
        return tuple(listed), tuple(fills)

    def _position(self, symbol: str) -> Decimal:
        position = self.account.positions[symbol]
        lies = self.personality.breach is Breach.LYING_POSITION
        if lies and self._choices.chance(self.faults.breach, "venue.breach"):
            since_ns = self._timeline.now_ns - _LIE_NS  # as it was then
            for visible_ns, fill in self.account.tape[symbol]:
                if visible_ns > since_ns:
                    fee = fill.fee if fill.fee_asset == base_of(symbol) else _ZERO
                    position -= fill.qty * fill.side.sign - fee
        return position


def _symbol(request: Place | PlaceList | Amend | Cancel) -> str:
    if isinstance(request, Cancel):
        return request.symbol
    return (request.places[0] if isinstance(request, PlaceList) else request).order.symbol
