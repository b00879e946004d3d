"""SandboxExchange: one account on spot markets of our own, and what it tells its listeners.

Executions are told first, then the order lists and the balances that they changed.  What it shares with any
other account is in `venue_account`.  Knows no JSON, no parameters and no signatures.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from quantcli.clock import Clock
from quantcli.errors import ValidationError
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.order import Fill
from quantcli.sandbox import errors
from quantcli.sandbox.engine import Engine
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.market_rules import completed
from quantcli.sandbox.order_records import (
    AccountEvent,
    AmendRecord,
    BalancesChanged,
    Execution,
    ListChanged,
    ListRecord,
    OrderRecord,
    Transferred,
)
from quantcli.sandbox.permissions import Permissions
from quantcli.sandbox.tickets import Ticket
from quantcli.sandbox.venue_account import VenueAccount
from quantcli.simulation.fees import Fees
from quantcli.simulation.matching import QueueModel

__all__ = ["AccountEvent", "BalancesChanged", "Execution", "ListChanged", "SandboxExchange", "Transferred"]

_REJECTIONS = {
    "Account has insufficient balance for requested action.": "INSUFFICIENT_BALANCES",
    "Order would immediately match and take.": "WOULD_MATCH_IMMEDIATELY",
    "Stop price would trigger immediately.": "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
}


class Placed(msgspec.Struct, frozen=True):
    """An order as it stands right after it was placed, with its fills so far."""

    order: OrderRecord
    fills: tuple[Fill, ...]
    at_ns: int


class PlacedList(msgspec.Struct, frozen=True):
    """An order list that was placed, and its orders."""

    record: ListRecord
    orders: tuple[OrderRecord, ...]
    at_ns: int


class Cancelled(msgspec.Struct, frozen=True):
    """Orders that one cancel ended, with the list they were in, if any."""

    orders: tuple[OrderRecord, ...]
    record: ListRecord | None
    cancel_id: str
    at_ns: int


class Amended(msgspec.Struct, frozen=True):
    """An amendment, the order after it, and the list it is in, if any."""

    amendment: AmendRecord
    order: OrderRecord
    record: ListRecord | None


class SandboxExchange(VenueAccount):
    """One account's orders and balances on spot markets (`instruments` by canonical name).

    `balances` are the free amounts at the start.  Raises `ValidationError` for markets that are not spot.
    """

    def __init__(
        self,
        instruments: Mapping[str, SymbolMetadata],
        balances: Mapping[str, Decimal],
        fees: Fees,
        clock: Clock,
        queue: QueueModel = QueueModel.OPTIMISTIC,
    ) -> None:
        if futures := [name for name, meta in instruments.items() if meta.symbol.is_futures]:
            raise ValidationError(
                f"{futures[0]} is no spot market",
                why="this account trades on spot",
                todo="give it to the futures account",
            )
        known = {name: completed(meta) for name, meta in instruments.items()}
        self.fees = fees
        super().__init__(known, Engine(known, balances, fees, queue), clock, Permissions())

    # Orders.

    def check(self, ticket: Ticket, ending: int = 0) -> None:
        """An order like this passes the rules of its market.  Raises `ApiError`."""
        self._check_trading()
        self.engine.check_filters(ticket, ending)

    def place(self, ticket: Ticket) -> Placed:
        """Place an order.  Raises `ApiError`."""
        self.check(ticket)
        at_ns = self.clock.now_ns()
        order, executions = self.engine.place(ticket, at_ns)
        self._tell(executions, at_ns)
        return Placed(order, tuple(self.ledger.fills_of_order(order.order_id)), at_ns)

    def place_after_cancel(self, ticket: Ticket) -> Placed:
        """Place the second half of a cancel-replace, whose filters were checked before.  Raises `ApiError`,
        and tells of the order as rejected."""
        at_ns = self.clock.now_ns()
        try:
            order, executions = self.engine.place(ticket, at_ns)
        except ApiError as error:
            reason = _REJECTIONS.get(error.message, "NONE")
            self._tell([self.engine.reject(ticket, reason, at_ns)], at_ns)
            raise
        self._tell(executions, at_ns)
        return Placed(order, tuple(self.ledger.fills_of_order(order.order_id)), at_ns)

    def place_list(self, tickets: tuple[Ticket, Ticket], client_list_id: str) -> PlacedList:
        """Place two orders of which one cancels the other.  Raises `ApiError`."""
        self._check_trading()
        found = self.ledger.find_list(None, client_list_id)
        if found is not None and found.is_open:
            raise errors.rejected("Duplicate order sent.")
        at_ns = self.clock.now_ns()
        list_id = self.ledger.last_list_id + 1
        orders, executions = self.engine.place_list(tickets, list_id, at_ns)
        meta = tickets[0].meta
        record = ListRecord(
            self.ledger.next_list_id(),
            client_list_id,
            meta.symbol.name,
            meta.exchange_symbol,
            tuple((order.order_id, order.client_order_id) for order in orders),
            at_ns,
            at_ns,
        )
        self.ledger.write_list(record)
        self._tell(executions, at_ns, record)
        return PlacedList(record, tuple(orders), at_ns)

    def cancel(self, order: OrderRecord, cancel_id: str = "") -> Cancelled:
        """Cancel an order, and with it its list.  Raises `ApiError` if it is not open."""
        at_ns = self.clock.now_ns()
        cancel_id = cancel_id or self.ledger.make_id()
        executions = self.engine.cancel(order, cancel_id, at_ns)
        self._tell(executions, at_ns)
        ended = tuple(each.order for each in executions)
        return Cancelled(ended, self.ledger.lists.get(order.list_id), cancel_id, at_ns)

    def amend(self, order: OrderRecord, quantity: Decimal, client_order_id: str = "") -> Amended:
        """Make an open order smaller, in its place in the queue.  Raises `ApiError`."""
        at_ns = self.clock.now_ns()
        new_id = client_order_id or self.ledger.make_id()
        amendment, executions = self.engine.amend(order, quantity, new_id, at_ns)
        record = self._renamed_list(order, new_id, at_ns)
        self._tell(executions, at_ns, record if new_id != order.client_order_id else None)
        return Amended(amendment, executions[0].order, record)

    def _renamed_list(self, order: OrderRecord, new_id: str, at_ns: int) -> ListRecord | None:
        record = self.ledger.lists.get(order.list_id)
        if record is None or new_id == order.client_order_id:
            return record
        legs = tuple((n, new_id if n == order.order_id else client_id) for n, client_id in record.orders)
        return self.ledger.write_list(replace(record, orders=legs, status_type="UPDATED", updated_ns=at_ns))

    # Control.

    def _cancel_by_hand(self, order: OrderRecord) -> None:
        self.cancel(order, self.ledger.make_id("web_"))

    def place_foreign(self, symbol: str, side: str, qty: Decimal, price: Decimal | None) -> int:
        """Place an order as if by somebody else: see `VenueAccount`."""
        ticket = Ticket(
            self.market(symbol),
            self._side(side),
            "MARKET" if price is None else "LIMIT",
            self.ledger.make_id("web_"),
            quantity=qty,
            price=price,
        )
        return self.place(ticket).order.order_id

    # Telling.

    def _tell(self, executions: list[Execution], at_ns: int, changed_list: ListRecord | None = None) -> None:
        """Tell what happened, then which lists and balances it changed."""
        self.note_balances()
        for execution in executions:
            self._announce(execution)
        if changed_list is not None:
            self._announce(ListChanged(changed_list, at_ns))
        for record in self._finished_lists(executions, at_ns):
            self._announce(ListChanged(record, at_ns))
        symbols = {execution.order.symbol: None for execution in executions}
        metas = [self.instruments[symbol].symbol for symbol in symbols]
        assets = dict.fromkeys(asset for symbol in metas for asset in (symbol.base, symbol.quote))
        self._announce(BalancesChanged(tuple(assets), at_ns))

    def _finished_lists(self, executions: list[Execution], at_ns: int) -> list[ListRecord]:
        """Lists none of whose orders is open any more."""
        finished = []
        for list_id in dict.fromkeys(execution.order.list_id for execution in executions):
            record = self.ledger.lists.get(list_id)
            if record is None or not record.is_open:
                continue
            if not any(order_id in self.engine.live for order_id, _ in record.orders):
                done = replace(record, status_type="ALL_DONE", order_status="ALL_DONE", updated_ns=at_ns)
                finished.append(self.ledger.write_list(done))
        return finished
