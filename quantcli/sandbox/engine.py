"""The matching engine of the sandbox: simulation's parts under Binance's order numbers.

    Ticket ── rules, account (Admission) ──> WorkingOrders ──> reports ──> records and executions
                                                  ▲
    market data ── Tape (queue model, stops) ─────┘

It turns what the simulation reports into executions, in order of happening, and keeps the ledger.  Knows
nothing of the wire and tells nobody: `exchange` does.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import MarketEvent
from quantcli.model.message import Asked, Observation, Report
from quantcli.model.order import Fill, OrderStatus, StandardOrder
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.ledger import Ledger
from quantcli.sandbox.market_rules import MAX_NOTIONAL
from quantcli.sandbox.order_records import AmendRecord, Execution, OrderRecord
from quantcli.sandbox.tickets import TIMES_IN_FORCE, TYPES, Ticket
from quantcli.simulation.account import Account
from quantcli.simulation.admission import Admission
from quantcli.simulation.fees import Fees
from quantcli.simulation.market import Market
from quantcli.simulation.matching import Matcher, QueueModel
from quantcli.simulation.orders import LiveOrder
from quantcli.simulation.rules import Check, failed_filter, malformed, reject
from quantcli.simulation.tape import Tape
from quantcli.simulation.working import WorkingOrders

_ENDED = {OrderStatus.CANCELED: "CANCELED", OrderStatus.EXPIRED: "EXPIRED"}


class Engine:
    """Orders and balances of one account, matched against market data."""

    def __init__(
        self,
        instruments: Mapping[str, SymbolMetadata],
        balances: Mapping[str, Decimal],
        fees: Fees,
        queue: QueueModel,
    ) -> None:
        self.ledger = Ledger(instruments)
        self.account = Account(balances, (), instruments, fees)
        self.matcher = Matcher(queue)
        self.working = WorkingOrders(instruments, self.account, self.matcher)
        self.live: dict[int, LiveOrder] = {}
        self.admission = Admission(self.working, self.account)
        self._tape = Tape(self.working, self.account, self.matcher)

    # Market data.

    def see(self, event: MarketEvent, at_ns: int) -> list[Execution]:
        """Take in a row of market data; what it does to our orders."""
        own = self.working.own.get(event.symbol)
        if own is None:
            return []
        stops = len(own.stops)
        reports = self._tape.see(event, at_ns)
        if not reports and len(own.stops) == stops:
            return []
        return self._absorb(reports, at_ns) + self._awakened(event.symbol, at_ns)

    def _awakened(self, symbol: str, at_ns: int) -> list[Execution]:
        """Stops that have begun to rest without trading."""
        return [
            self._begin_work(record, at_ns)
            for order_id, order in self.live.items()
            if order.terms.symbol == symbol and not order.armed
            for record in [self._known(order_id)]
            if not record.working_ns
        ]

    # Placing.

    def check_filters(self, ticket: Ticket, ending: int = 0) -> None:
        """The rules of its market let the order pass; `ending` open orders will be gone by then.

        Raises `ApiError`.
        """
        market = self.market(ticket)
        terms = ticket.terms(market)
        if ticket.quote_quantity and not terms.quantity:
            raise errors.rejected("Order book liquidity is less than symbol minimum quantity.")
        last, touch = market.reference(ticket.side), market.touch_price(ticket.side)
        count = max(0, len(self.working.own[terms.symbol]) - ending)
        closed = None if ticket.meta.active else Check.CLOSED
        check = closed or malformed(terms, ticket.meta)
        check = check or failed_filter(terms, ticket.meta, last, touch, count)
        if check := check or (Check.NOTIONAL if _is_too_large(ticket) else None):
            raise refused(check, ticket.meta)

    def market(self, ticket: Ticket) -> Market:
        """The market of an order."""
        return self.working.markets[ticket.meta.symbol.name]

    def place(self, ticket: Ticket, at_ns: int) -> tuple[OrderRecord, list[Execution]]:
        """Accept an order and match it.  Raises `ApiError`."""
        market = self.market(ticket)
        order = self._order(ticket, market, at_ns)
        self._check(order, market)
        reports = self.working.place(order, at_ns)
        executions = [self._begin(ticket, order, -1, at_ns), *self._absorb(reports, at_ns)]
        return self._known(executions[0].order.order_id), executions

    def _check(self, order: LiveOrder, market: Market) -> None:
        """Rules, market and account allow the order.  Raises `ApiError`."""
        if check := self.admission.objection(order, market):
            raise refused(check, order.meta)

    def check_placing(self, ticket: Ticket, at_ns: int) -> None:
        """An order like this would be accepted now.  Raises `ApiError`."""
        market = self.market(ticket)
        self._check(self._order(ticket, market, at_ns), market)

    def place_list(
        self, tickets: tuple[Ticket, Ticket], list_id: int, at_ns: int
    ) -> tuple[list[OrderRecord], list[Execution]]:
        """Accept two orders of which one cancels the other.  Raises `ApiError`."""
        market = self.market(tickets[0])
        one, other = (self._order(ticket, market, at_ns) for ticket in tickets)
        if check := self.admission.list_objection((one, other), market):
            raise refused(check, tickets[0].meta)
        reports = self.working.place_list(one, other, at_ns)
        begun = [
            self._begin(ticket, order, list_id, at_ns)
            for ticket, order in zip(tickets, (one, other), strict=True)
        ]
        executions = begun + self._absorb(reports, at_ns)
        return [self._known(each.order.order_id) for each in begun], executions

    def _order(self, ticket: Ticket, market: Market, at_ns: int) -> LiveOrder:
        return LiveOrder(ticket.client_order_id, "", ticket.terms(market), ticket.meta, at_ns)

    def _begin(self, ticket: Ticket, order: LiveOrder, list_id: int, at_ns: int) -> Execution:
        order_id = int(order.exchange_order_id)
        if not order.status.is_terminal:
            self.live[order_id] = order
        record = self.ledger.write(ticket.record(order_id, order.terms.quantity, at_ns, list_id))
        return self._execution("NEW", record, at_ns)

    def reject(self, ticket: Ticket, reason: str, at_ns: int) -> Execution:
        """An order that was refused after the one it was to replace was cancelled ("User Data Streams",
        Execution types: REJECTED); it is told, not kept."""
        order_id = int(self.working.records.next_order_id())
        quantity = ticket.terms(self.market(ticket)).quantity
        record = replace(ticket.record(order_id, quantity, at_ns), status="REJECTED", working_ns=0)
        return self._execution("REJECTED", record, at_ns, reason=reason)

    # Ending and changing.

    def cancel(self, record: OrderRecord, cancel_id: str, at_ns: int) -> list[Execution]:
        """End an open order, and its list.  Raises `ApiError` if it is not open."""
        order = self._open(record)
        return self._absorb(self.working.cancel(order, at_ns), at_ns, cancel_id)

    def amend(
        self, record: OrderRecord, quantity: Decimal, client_order_id: str, at_ns: int
    ) -> tuple[AmendRecord, list[Execution]]:
        """Make an open order smaller, in its place, and name it anew.  Raises `ApiError`."""
        order = self.live.get(record.order_id)
        if order is None:
            raise refused(Check.UNKNOWN_ORDER, None, Asked.AMEND)
        terms = replace(order.terms, quantity=quantity)
        check = self.admission.amend_objection(order, terms, self.working.markets[record.symbol])
        taken = client_order_id in self.working.open and client_order_id != record.client_order_id
        if check := check or (Check.DUPLICATE if taken else None):
            raise refused(check, order.meta, Asked.AMEND)
        partner = order.sibling
        self.working.shrink(order, quantity, at_ns)
        self._rename(order, client_order_id)
        executions = [self._amended(record, order, at_ns)]
        if partner is not None:
            executions.append(self._amended(self._known(int(partner.exchange_order_id)), partner, at_ns))
        return self._note_amendment(record, executions[0]), executions

    def _rename(self, order: LiveOrder, client_order_id: str) -> None:
        del self.working.open[order.client_order_id]
        order.client_order_id = client_order_id
        self.working.open[client_order_id] = order

    def _amended(self, record: OrderRecord, order: LiveOrder, at_ns: int) -> Execution:
        changed = self.ledger.write(
            replace(
                record,
                quantity=order.terms.quantity,
                client_order_id=order.client_order_id,
                updated_ns=at_ns,
            )
        )
        return self._execution("REPLACED", changed, at_ns, original=record.client_order_id)

    def _note_amendment(self, before: OrderRecord, execution: Execution) -> AmendRecord:
        after = execution.order
        record = AmendRecord(
            execution.execution_id,
            after.order_id,
            after.symbol,
            after.exchange_symbol,
            before.client_order_id,
            after.client_order_id,
            before.quantity,
            after.quantity,
            execution.at_ns,
        )
        self.ledger.amendments.append(record)
        return record

    def expire(self, at_ns: int) -> list[Execution]:
        """End the orders whose date has come."""
        executions: list[Execution] = []
        while (expiry := self.working.next_expiry()) is not None and expiry <= at_ns:
            executions += self._absorb(self.working.expire_next(), expiry)
        return executions

    def fill(self, record: OrderRecord, quantity: Decimal | None, at_ns: int) -> list[Execution]:
        """Fill a resting order, or a part of it, at its limit price.  Raises `ApiError` for any other."""
        order = self._open(record)
        if order.armed:
            raise ApiError(*errors.UNSUPPORTED)
        return self._absorb(self.working.make(order, quantity or order.remaining, at_ns), at_ns)

    def resting(self) -> list[int]:
        """Numbers of the orders that rest, oldest first."""
        return [order_id for order_id, order in self.live.items() if not order.armed]

    def _open(self, record: OrderRecord) -> LiveOrder:
        order = self.live.get(record.order_id)
        if order is None:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return order

    # After a restart.

    def terms_of(self, record: OrderRecord) -> StandardOrder:
        """The terms that an order was placed with, as they stand now."""
        return StandardOrder(
            record.symbol,
            record.side,
            TYPES[record.type],
            record.quantity,
            record.price or None,
            record.stop_price or None,
            TIMES_IN_FORCE[record.time_in_force],
        )

    # From the simulation's reports to executions.

    def _known(self, order_id: int) -> OrderRecord:
        record = self.ledger.order(order_id)
        assert record is not None
        return record

    def _absorb(self, reports: Sequence[Report], at_ns: int, cancel_id: str = "") -> list[Execution]:
        executions: list[Execution] = []
        for report in reports:
            assert isinstance(report, Observation)
            executions += self._absorb_one(report, at_ns, cancel_id)
        return executions

    def _absorb_one(self, report: Observation, at_ns: int, cancel_id: str) -> list[Execution]:
        record = self._known(int(report.exchange_order_id))
        executions = []
        order = self.live.get(record.order_id)
        if order is not None and not order.armed and not record.working_ns:
            executions.append(self._begin_work(record, at_ns))
            record = executions[0].order
        for fill in report.fills:
            executions.append(self._filled(record, fill, at_ns))
            record = executions[-1].order
        if report.status in _ENDED:
            kind = _ENDED[report.status]
            record = self.ledger.write(replace(record, status=kind, updated_ns=at_ns))
            executions.append(self._execution(kind, record, at_ns, cancel_id=cancel_id))
        if report.status.is_terminal:
            self.live.pop(record.order_id, None)
        return executions

    def _begin_work(self, record: OrderRecord, at_ns: int) -> Execution:
        """A stop has been triggered: it can trade from now on."""
        record = self.ledger.write(replace(record, working_ns=at_ns, updated_ns=at_ns))
        return self._execution("NEW", record, at_ns)

    def _filled(self, record: OrderRecord, fill: Fill, at_ns: int) -> Execution:
        self.ledger.write_fill(fill)
        filled = record.filled + fill.qty
        changed = replace(
            record,
            filled=filled,
            quote_filled=record.quote_filled + fill.qty * fill.price,
            status="FILLED" if filled >= record.quantity else "PARTIALLY_FILLED",
            updated_ns=at_ns,
        )
        return self._execution("TRADE", self.ledger.write(changed), at_ns, fill)

    def _execution(
        self,
        kind: str,
        record: OrderRecord,
        at_ns: int,
        fill: Fill | None = None,
        cancel_id: str = "",
        original: str = "",
        reason: str = "NONE",
    ) -> Execution:
        number = self.ledger.next_execution_id()
        return Execution(kind, record, fill, at_ns, cancel_id, original, number, reason)


def _is_too_large(ticket: Ticket) -> bool:
    return ticket.price is not None and ticket.price * ticket.quantity > MAX_NOTIONAL


def refused(check: Check, meta: SymbolMetadata | None, asked: Asked = Asked.PLACE) -> ApiError:
    """The refusal of a request in the words of the market's kind."""
    code, message = reject(check, meta, asked)
    return ApiError(400, code, message)
