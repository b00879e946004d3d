"""The matching engine of the futures account: as on spot, and positions, modifications and dated orders.

An order keeps its number when it is modified, and goes behind all others ("Modify Order").  Numbers begin
where spot's never come to, so that one number means one order of the sandbox.
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.message import Asked
from quantcli.model.order import Fill, OrderStatus, StandardOrder, TimeInForce
from quantcli.sandbox import errors
from quantcli.sandbox.engine import Engine, refused
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures.books import FuturesBooks
from quantcli.sandbox.futures.records import FuturesOrder
from quantcli.sandbox.futures.tickets import terms_of
from quantcli.sandbox.order_records import Execution, OrderRecord
from quantcli.simulation.fees import Fees
from quantcli.simulation.market import Market
from quantcli.simulation.matching import QueueModel
from quantcli.simulation.orders import LiveOrder

_FIRST_ORDER_ID = 8_000_000_000
_FIRST_TRADE_ID = 5_000_000_000


class FuturesEngine(Engine):
    """Orders, positions and balances of one account, matched against market data."""

    def __init__(
        self,
        instruments: Mapping[str, SymbolMetadata],
        balances: Mapping[str, Decimal],
        fees: Fees,
        queue: QueueModel,
    ) -> None:
        super().__init__(instruments, balances, fees, queue)
        self.working.records.continue_after(_FIRST_ORDER_ID, _FIRST_TRADE_ID)
        self.books = FuturesBooks(instruments, balances)

    def _check(self, order: LiveOrder, market: Market) -> None:
        super()._check(order, market)
        if order.lifetime is TimeInForce.FOK and not self.working.takes(order, market):
            raise ApiError(*futures.FOK_REJECTED)

    def modify(
        self, record: OrderRecord, quantity: Decimal, price: Decimal, at_ns: int
    ) -> tuple[OrderRecord, list[Execution]]:
        """Give an open order another total or price.  It ends where that leaves it nothing to do, or would
        make a post-only order take.  Raises `ApiError`."""
        order = self.live.get(record.order_id)
        if order is None:
            raise ApiError(*errors.NO_SUCH_ORDER)
        terms = replace(order.terms, quantity=quantity, price=price)
        check = self.admission.amend_objection(order, terms, self.working.markets[record.symbol])
        if check is not None:
            raise refused(check, order.meta, Asked.AMEND)
        reports = self.working.renew(order, terms, at_ns)
        executions = []
        if order.status is not OrderStatus.CANCELED:
            changed = replace(record, quantity=quantity, price=price, updated_ns=at_ns)
            executions.append(self._execution("AMENDMENT", self.ledger.write(changed), at_ns))
        executions += self._absorb(reports, at_ns)
        return self._known(record.order_id), executions

    def _filled(self, record: OrderRecord, fill: Fill, at_ns: int) -> Execution:
        self.books.book(fill)
        return super()._filled(record, fill, at_ns)

    def terms_of(self, record: OrderRecord) -> StandardOrder:
        """The terms that an order was placed with, as they stand now."""
        assert isinstance(record, FuturesOrder)
        return terms_of(record)
