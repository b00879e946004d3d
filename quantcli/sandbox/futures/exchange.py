"""FuturesExchange: one account on linear futures of our own, and what it tells its listeners.

One-way positions, cross margin: each currency has a wallet, and what positions and orders are worth, divided
by the leverage of their market, must be in it.  There is no liquidation and no funding.  A fill's booking is
told before the fill, conditional orders are told as they change.  Knows no JSON and no parameters.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.clock import Clock
from quantcli.errors import ValidationError
from quantcli.model.instrument import SymbolMetadata, canonical, to_decimal
from quantcli.model.market import BookUpdate, MarketEvent, MarkPrice
from quantcli.model.order import OrderType, StandardOrder
from quantcli.sandbox import errors
from quantcli.sandbox.engine import refused
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures.algos import AlgoBook, is_tripped
from quantcli.sandbox.futures.engine import FuturesEngine
from quantcli.sandbox.futures.records import (
    AlgoChanged,
    AlgoOrder,
    FuturesOrder,
    LeverageChanged,
    PositionChanged,
)
from quantcli.sandbox.futures.rules import MAX_ALGO_ORDERS
from quantcli.sandbox.futures.tickets import FuturesTicket
from quantcli.sandbox.market_rules import completed
from quantcli.sandbox.order_records import Execution, OrderRecord, Transfer
from quantcli.sandbox.permissions import Permissions
from quantcli.sandbox.venue_account import VenueAccount, told
from quantcli.simulation.fees import Fees
from quantcli.simulation.matching import QueueModel
from quantcli.simulation.rules import Check, failed_filter, malformed

_ZERO = Decimal(0)
# More than any position.
_ENDLESS = Decimal(10) ** 15


class FuturesExchange(VenueAccount):
    """One account's orders, positions and wallets on linear futures (`instruments` by canonical name).

    `balances` are the wallets at the start.  Raises `ValidationError` for other markets.
    """

    engine: FuturesEngine

    def __init__(
        self,
        instruments: Mapping[str, SymbolMetadata],
        balances: Mapping[str, Decimal],
        fees: Fees,
        clock: Clock,
        queue: QueueModel = QueueModel.OPTIMISTIC,
        permissions: Permissions | None = None,
    ) -> None:
        for name, meta in instruments.items():
            if not meta.symbol.is_futures or meta.inverse:
                raise ValidationError(
                    f"{name} is no linear futures market",
                    why="this account trades what Binance calls USD-M futures",
                    todo="leave it out",
                )
        known = {name: completed(meta) for name, meta in instruments.items()}
        self.fees = fees
        self.algos = AlgoBook()
        self.marks: dict[str, MarkPrice] = {}
        engine = FuturesEngine(known, balances, fees, queue)
        super().__init__(known, engine, clock, permissions or Permissions())
        self.alarms.append(self._expire_algos)

    # Market data, and time.

    def see(self, event: MarketEvent) -> None:
        """Match resting orders against a row of market data, and look what it triggers."""
        if event.symbol not in self.instruments:
            return
        super().see(event)
        if isinstance(event, MarkPrice):
            self.marks[event.symbol] = event
        if not isinstance(event, BookUpdate) and self.algos.waiting(event.symbol):
            for order in self.algos.due(event.symbol, self._prices(event.symbol)):
                self._trigger(order)

    def _expire_algos(self, at_ns: int) -> None:
        for order in self.algos.waiting():
            if order.good_till_ns and order.good_till_ns <= at_ns:
                self._change(order, "EXPIRED", at_ns)

    def _prices(self, symbol: str) -> dict[str, Decimal]:
        last = self.last_price(symbol)
        found = {} if last is None else {"CONTRACT_PRICE": last}
        mark = self.mark(symbol)
        return found if mark is None else found | {"MARK_PRICE": mark}

    def last_price(self, symbol: str) -> Decimal | None:
        """Price of the last trade, or the bid in a market that has shown none."""
        market = self.engine.working.markets[symbol]
        price = market.last or market.bid
        return to_decimal(price) if price else None

    def mark(self, symbol: str) -> Decimal | None:
        """The mark price; the last price in a market that tells none."""
        known = self.marks.get(symbol)
        return to_decimal(known.mark) if known is not None else self.last_price(symbol)

    # Orders.

    def place(self, ticket: FuturesTicket) -> tuple[OrderRecord, OrderRecord]:
        """Place an order; it as it began, and as it stands now.  Raises `ApiError`."""
        self._check_trading()
        at_ns = self.clock.now_ns()
        order, executions = self.engine.place(self._cut(ticket), at_ns)
        self._tell(executions, at_ns)
        return executions[0].order, order

    def check(self, ticket: FuturesTicket) -> None:
        """An order like this would be accepted now.  Raises `ApiError`."""
        self._check_trading()
        self.engine.check_placing(self._cut(ticket), self.clock.now_ns())

    def _check_trading(self) -> None:
        if not self.permissions.can_trade:
            raise ApiError(*futures.NO_PLACING)

    def _cut(self, ticket: FuturesTicket) -> FuturesTicket:
        """A market order that only reduces is for no more than there is to reduce."""
        if not ticket.reduce_only or ticket.type != "MARKET":
            return ticket
        most = self.engine.account.reducible(ticket.meta.symbol.name, ticket.side)
        if not most:
            raise refused(Check.REDUCE_ONLY, ticket.meta)
        return replace(ticket, quantity=min(ticket.quantity, most))

    def cancel(self, order: OrderRecord, cancel_id: str = "") -> OrderRecord:
        """Cancel an order; it as it ended.  Raises `ApiError` if it is not open."""
        at_ns = self.clock.now_ns()
        executions = self.engine.cancel(order, cancel_id, at_ns)
        self._tell(executions, at_ns)
        return executions[-1].order

    def modify(self, order: OrderRecord, quantity: Decimal, price: Decimal) -> OrderRecord:
        """Give an open order another total or price; it as it stands after.  Raises `ApiError`."""
        self._check_trading()
        at_ns = self.clock.now_ns()
        changed, executions = self.engine.modify(order, quantity, price, at_ns)
        self._tell(executions, at_ns)
        return changed

    # Conditional orders.

    def place_algo(self, order: AlgoOrder, meta: SymbolMetadata) -> AlgoOrder:
        """Let a conditional order (without a number yet) wait for its price.  Raises `ApiError`."""
        self._check_trading()
        self._check_algo(order, meta)
        at_ns = self.clock.now_ns()
        placed = replace(order, algo_id=self.algos.next_id(), created_ns=at_ns, updated_ns=at_ns)
        self.algos.write(placed)
        self._announce(AlgoChanged(placed, at_ns))
        return placed

    def _check_algo(self, order: AlgoOrder, meta: SymbolMetadata) -> None:
        known = self.algos.find(None, order.client_algo_id)
        if known is not None and known.is_open:
            raise ApiError(*futures.DUPLICATE)
        terms = StandardOrder(
            order.symbol,
            order.side,
            OrderType.STOP_LIMIT if order.price else OrderType.STOP_MARKET,
            order.quantity or (meta.min_qty or meta.lot),
            order.price or None,
            order.trigger_price,
            reduce_only=order.reduce_only or order.close_position,
        )
        reference = self.last_price(order.symbol)
        if check := malformed(terms, meta) or failed_filter(terms, meta, reference, None, 0):
            raise refused(check, meta)
        if len(self.algos.waiting(order.symbol)) >= MAX_ALGO_ORDERS:
            raise ApiError(*futures.STOP_LIMIT_REACHED)
        price = self._prices(order.symbol).get(order.working_type)
        if is_tripped(order.type, order.side, order.trigger_price, price):
            raise ApiError(400, -2021, "Order would immediately trigger.")

    def cancel_algo(self, order: AlgoOrder) -> AlgoOrder:
        """Cancel a conditional order.  Raises `ApiError` if it does not wait any more."""
        if not order.is_open:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return self._change(order, "CANCELED", self.clock.now_ns())

    def _change(self, order: AlgoOrder, status: str, at_ns: int, **fields: Any) -> AlgoOrder:
        changed = self.algos.write(replace(order, status=status, updated_ns=at_ns, **fields))
        self._announce(AlgoChanged(changed, at_ns))
        return changed

    def _trigger(self, order: AlgoOrder) -> None:
        """The price has come: an order is placed under the same client order id, or it is told why not."""
        at_ns = self.clock.now_ns()
        try:
            placed, executions = self.engine.place(self._cut(self._ticket(order)), at_ns)
        except ApiError as error:
            self._change(order, "REJECTED", at_ns, triggered_ns=at_ns, reason=error.message)
            return
        self._change(order, "TRIGGERED", at_ns, triggered_ns=at_ns, order_id=placed.order_id)
        self._tell(executions, at_ns)

    def _ticket(self, order: AlgoOrder) -> FuturesTicket:
        return FuturesTicket(
            self.instruments[order.symbol],
            order.side,
            "LIMIT" if order.price else "MARKET",
            order.client_algo_id,
            quantity=order.quantity or _ENDLESS,
            price=order.price or None,
            stop_price=order.trigger_price,
            time_in_force=order.time_in_force if order.price else "GTC",
            self_trade_prevention=order.self_trade_prevention,
            reduce_only=order.reduce_only or order.close_position,
            orig_type=order.type,
            working_type=order.working_type,
            close_position=order.close_position,
            price_protect=order.price_protect,
            good_till_ns=order.good_till_ns,
            algo_id=order.algo_id,
        )

    # Configuration.

    def set_leverage(self, meta: SymbolMetadata, leverage: int) -> None:
        """Let a market have another leverage.  Raises `ApiError` if the wallet does not hold what it would
        then need."""
        account, name = self.engine.account, meta.symbol.name
        before = account.contract(name).leverage
        if not account.set_leverage(name, leverage):
            raise ApiError(*futures.LOW_LEVERAGE)
        if leverage != before:
            at_ns = self.clock.now_ns()
            self._announce(LeverageChanged(meta.exchange_symbol, leverage, at_ns))

    # Control.

    def _cancel_by_hand(self, order: OrderRecord) -> None:
        self.cancel(order)

    def place_foreign(self, symbol: str, side: str, qty: Decimal, price: Decimal | None) -> int:
        """Place an order as if by somebody else: see `VenueAccount`."""
        ticket = FuturesTicket(
            self.market(symbol),
            self._side(side),
            "MARKET" if price is None else "LIMIT",
            self.ledger.make_id("web_"),
            quantity=qty,
            price=price,
        )
        return self.place(ticket)[1].order_id

    def _write_transfer(self, transfer: Transfer) -> None:
        super()._write_transfer(transfer)
        self.engine.books.transfer(transfer)

    def truth(self) -> dict[str, Any]:
        """Also every conditional order ever, and the positions."""
        positions = self.engine.account.positions()
        return super().truth() | {
            "algo_orders": [told(order) for order in self.algos.orders.values()],
            "positions": {name: canonical(qty) for name, qty in positions.items()},
        }

    # Telling.

    def _tell(self, executions: list[Execution], at_ns: int) -> None:
        self.note_balances()
        for execution in executions:
            if execution.fill is not None:
                booking = self.engine.books.of(execution.fill.trade_id)
                self._announce(PositionChanged(booking, execution.at_ns))
            self._announce(execution)
        for execution in executions:
            self._finish_algo(execution.order, at_ns)

    def _finish_algo(self, order: OrderRecord, at_ns: int) -> None:
        """A conditional order is finished with the order that came of it."""
        assert isinstance(order, FuturesOrder)
        algo = self.algos.orders.get(order.algo_id)
        if algo is not None and algo.status == "TRIGGERED" and not order.is_open:
            self._change(algo, "FINISHED", at_ns)
