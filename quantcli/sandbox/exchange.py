"""SandboxExchange: one account on an exchange of our own, and what it tells its listeners.

Everything that happens, by whomever, is told as account events in order of happening: executions, then the
order lists and the balances that they changed.  Handlers of the wire act on it; so do tests and people,
through `control`.  Knows no JSON, no parameters and no signatures.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from quantcli.clock import Clock
from quantcli.errors import ValidationError
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side, SymbolMetadata, canonical
from quantcli.model.market import MarketEvent
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
    Transfer,
    Transferred,
)
from quantcli.sandbox.permissions import Permissions
from quantcli.sandbox.tickets import Ticket
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


class SandboxExchange:
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
                f"{futures[0]} is not on this exchange",
                why="the sandbox speaks Binance's spot API",
                todo="leave futures markets out",
            )
        self.instruments = {name: completed(meta) for name, meta in instruments.items()}
        self.fees = fees
        self.clock = clock
        self.permissions = Permissions()
        self.listeners: list[Callable[[AccountEvent], None]] = []
        self.lag_ns = 0
        self.engine = Engine(self.instruments, balances, fees, queue)
        self.ledger = self.engine.ledger
        self._by_exchange_symbol = {meta.exchange_symbol: meta for meta in self.instruments.values()}
        self._balances_then: list[tuple[int, list[AssetBalance]]] = []
        self.note_balances()

    # Market data.

    def see(self, event: MarketEvent) -> None:
        """Match resting orders against a row of market data."""
        at_ns = self.clock.now_ns()
        if executions := self.engine.see(event, at_ns):
            self._tell(executions, at_ns)

    # Orders.

    def market(self, exchange_symbol: str) -> SymbolMetadata:
        """The rules of a market by Binance's name.  Raises `ApiError`."""
        meta = self._by_exchange_symbol.get(exchange_symbol)
        if meta is None:
            raise ApiError(*errors.BAD_SYMBOL)
        return meta

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

    def _check_trading(self) -> None:
        if not self.permissions.can_trade:
            raise ApiError(*errors.DISABLED)

    # Queries, which may lag.

    @property
    def as_of(self) -> int | None:
        """The time that queries answer for; `None` is now."""
        return self.clock.now_ns() - self.lag_ns if self.lag_ns else None

    def balances(self, assets: Iterable[str] | None = None) -> list[AssetBalance]:
        """Balances now (of `assets`, in that order; else of all, in order of name)."""
        found = self.engine.account.balances()
        if assets is None:
            return list(found)
        by_name = {balance.asset: balance for balance in found}
        zero = Decimal(0)
        return [by_name.get(a) or AssetBalance(a, zero, zero, zero, zero) for a in assets]

    def balances_then(self) -> list[AssetBalance]:
        """Balances at the time that queries answer for."""
        as_of = self.as_of
        if as_of is None:
            return self.balances()
        known = [balances for at_ns, balances in self._balances_then if at_ns <= as_of]
        return known[-1] if known else self._balances_then[0][1]

    def note_balances(self) -> None:
        """Remember the balances as they are now, for queries that lag."""
        self._balances_then.append((self.clock.now_ns(), self.balances()))
        del self._balances_then[:-1_000]

    # Control.

    def fill(self, order_id: int, qty: Decimal | None = None) -> None:
        """Fill a resting order, or `qty` of it, by hand at its limit price.  Raises `ApiError` for one that
        does not rest, and for no quantity."""
        if qty is not None and qty <= 0:
            raise errors.invalid("qty")
        at_ns = self.clock.now_ns()
        self._tell(self.engine.fill(self._needed(order_id), qty, at_ns), at_ns)

    def fill_all(self) -> int:
        """Fill every resting order by hand; how many."""
        filled = 0
        for order_id in self.engine.resting():
            if order_id in self.engine.live:
                self.fill(order_id)
                filled += 1
        return filled

    def cancel_by_hand(self, order_id: int) -> None:
        """Cancel as if done on the exchange's web page.  Raises `ApiError` for one that is not open."""
        self.cancel(self._needed(order_id), self.ledger.make_id("web_"))

    def _needed(self, order_id: int) -> OrderRecord:
        order = self.ledger.order(order_id)
        if order is None:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return order

    def place_foreign(self, symbol: str, side: str, qty: Decimal, price: Decimal | None) -> int:
        """Place an order under nobody's client order id (`web_…`), a market order without a price; its order
        id.  `symbol` is Binance's name.  Raises `ApiError`."""
        if side.upper() not in Side.__members__:
            raise ApiError(*errors.BAD_SIDE)
        ticket = Ticket(
            self.market(symbol),
            Side[side.upper()],
            "MARKET" if price is None else "LIMIT",
            self.ledger.make_id("web_"),
            quantity=qty,
            price=price,
        )
        return self.place(ticket).order.order_id

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Let an amount come (or go, below zero).  Raises `ApiError` if more is to go than is free."""
        if not self.engine.account.transfer(asset, amount):
            raise errors.rejected("Account has insufficient balance for requested action.")
        at_ns = self.clock.now_ns()
        transfer = Transfer(asset, amount, at_ns)
        self.ledger.transfers.append(transfer)
        self.note_balances()
        self._announce(Transferred(transfer, at_ns))
        self._announce(BalancesChanged((asset,), at_ns))

    def restrict(self, **flags: bool) -> None:
        """Set what the account and its key may do (`permissions.Permissions`).  Raises `ValueError` for other
        names."""
        self.permissions.change(flags)

    def truth(self) -> dict[str, Any]:
        """Every order ever, every fill, balances, transfers: builtins, amounts as texts."""
        return {
            "orders": [_told(order) for order in self.ledger.orders()],
            "fills": [_told(fill) for fill in self.ledger.fills],
            "lists": [_told(record) for record in self.ledger.lists.values()],
            "transfers": [_told(transfer) for transfer in self.ledger.transfers],
            "balances": {
                b.asset: {
                    "free": canonical(b.free),
                    "locked": canonical(b.locked),
                    "total": canonical(b.total),
                }
                for b in self.balances()
            },
        }

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

    def _announce(self, event: AccountEvent) -> None:
        for listener in tuple(self.listeners):
            listener(event)


def _told(record: msgspec.Struct) -> dict[str, Any]:
    """A record as builtins: amounts as canonical texts, sides as words."""
    return {name: _plain(value) for name, value in asdict(record).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return canonical(value)
    return value.name if isinstance(value, Side) else value
