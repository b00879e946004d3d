"""One account on an exchange of our own, whatever it trades: its orders and balances, and who hears of them.

Everything that happens, by whomever, is told as account events in order of happening.  Handlers of the wire
act on it; so do tests and people, through `control`.  What is particular to spot and to futures is the
business of those who build on this.  Knows no JSON, no parameters and no signatures.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import asdict

from quantcli.clock import Clock
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side, SymbolMetadata, canonical
from quantcli.model.market import MarketEvent
from quantcli.sandbox import errors
from quantcli.sandbox.engine import Engine
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.order_records import (
    BalancesChanged,
    Execution,
    OrderRecord,
    Transfer,
    Transferred,
)
from quantcli.sandbox.permissions import Permissions

_STATES_KEPT = 1_000


class VenueAccount(ABC):
    """Orders and balances of one account on `instruments` (by canonical name).

    `listeners` are told of every account event (`order_records.AccountEvent`; futures have more of them),
    `alarms` are called with the time whenever time has passed; `lag_ns` is how far back queries look.
    """

    def __init__(
        self,
        instruments: Mapping[str, SymbolMetadata],
        engine: Engine,
        clock: Clock,
        permissions: Permissions,
    ) -> None:
        self.instruments = dict(instruments)
        self.engine = engine
        self.ledger = engine.ledger
        self.clock = clock
        self.permissions = permissions
        self.listeners: list[Callable[[Any], None]] = []
        self.alarms: list[Callable[[int], None]] = []
        self.lag_ns = 0
        self._by_exchange_symbol = {meta.exchange_symbol: meta for meta in self.instruments.values()}
        self._balances_then: list[tuple[int, list[AssetBalance]]] = []
        self.note_balances()

    # Market data, and time.

    def pass_time(self) -> None:
        """Let happen what was due by now: dated orders end, alarms go off."""
        at_ns = self.clock.now_ns()
        if executions := self.engine.expire(at_ns):
            self._tell(executions, at_ns)
        for alarm in self.alarms:
            alarm(at_ns)

    def see(self, event: MarketEvent) -> None:
        """Match resting orders against a row of market data."""
        self.pass_time()
        at_ns = self.clock.now_ns()
        if executions := self.engine.see(event, at_ns):
            self._tell(executions, at_ns)

    def market(self, exchange_symbol: str) -> SymbolMetadata:
        """The rules of a market by Binance's name.  Raises `ApiError`."""
        meta = self._by_exchange_symbol.get(exchange_symbol)
        if meta is None:
            raise ApiError(*errors.BAD_SYMBOL)
        return meta

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
        del self._balances_then[:-_STATES_KEPT]

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
        self._cancel_by_hand(self._needed(order_id))

    @abstractmethod
    def _cancel_by_hand(self, order: OrderRecord) -> None: ...

    def _needed(self, order_id: int) -> OrderRecord:
        order = self.ledger.order(order_id)
        if order is None:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return order

    @abstractmethod
    def place_foreign(self, symbol: str, side: str, qty: Decimal, price: Decimal | None) -> int:
        """Place an order under nobody's client order id (`web_…`), a market order without a price; its order
        id.  `symbol` is Binance's name.  Raises `ApiError`."""

    def _side(self, word: str) -> Side:
        if word.upper() not in Side.__members__:
            raise ApiError(*errors.BAD_SIDE)
        return Side[word.upper()]

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Let an amount come (or go, below zero).  Raises `ApiError` if more is to go than is free."""
        if not self.engine.account.transfer(asset, amount):
            raise errors.rejected("Account has insufficient balance for requested action.")
        at_ns = self.clock.now_ns()
        transfer = Transfer(asset, amount, at_ns)
        self._write_transfer(transfer)
        self.note_balances()
        self._announce(Transferred(transfer, at_ns))
        self._announce(BalancesChanged((asset,), at_ns))

    def _write_transfer(self, transfer: Transfer) -> None:
        self.ledger.transfers.append(transfer)

    def restrict(self, **flags: bool) -> None:
        """Set what the account and its key may do (`permissions.Permissions`).  Raises `ValueError` for other
        names."""
        self.permissions.change(flags)

    def truth(self) -> dict[str, Any]:
        """Every order ever, every fill, balances, transfers: builtins, amounts as texts."""
        return {
            "orders": [told(order) for order in self.ledger.orders()],
            "fills": [told(fill) for fill in self.ledger.fills],
            "lists": [told(record) for record in self.ledger.lists.values()],
            "transfers": [told(transfer) for transfer in self.ledger.transfers],
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

    @abstractmethod
    def _tell(self, executions: list[Execution], at_ns: int) -> None:
        """Tell what happened, and what it changed."""

    def _announce(self, event: Any) -> None:
        for listener in tuple(self.listeners):
            listener(event)


def told(record: msgspec.Struct) -> dict[str, Any]:
    """A record as builtins: amounts as canonical texts, sides as words."""
    return {name: _plain(value) for name, value in asdict(record).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return canonical(value)
    return value.name if isinstance(value, Side) else value
