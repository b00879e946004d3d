"""What an account keeps across restarts: a file that grows by one line for each change.

Accounts may share a file: a line says whose it is.  Each line of JSON holds what was written since the line
before (orders, fills, lists, amendments, transfers), and the account as a whole: balances, numbering,
permissions, and the open orders in the order of their queues.  A last line that a crash has torn is passed
over: whatever it held was never acknowledged.  Knows nothing of matching.
"""

from collections.abc import Iterator
from decimal import Decimal
from math import isinf
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from quantcli.errors import StoreError
from quantcli.model.order import Fill
from quantcli.sandbox.order_records import AmendRecord, ListRecord, OrderRecord, Transfer
from quantcli.sandbox.permissions import Permissions
from quantcli.sandbox.revival import Seat, revive
from quantcli.sandbox.venue_account import VenueAccount
from quantcli.simulation.orders import LiveOrder


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change and the account after it."""

    orders: tuple[OrderRecord, ...]
    fills: tuple[Fill, ...]
    lists: tuple[ListRecord, ...]
    amendments: tuple[AmendRecord, ...]
    transfers: tuple[Transfer, ...]
    totals: dict[str, Decimal]
    seats: tuple[Seat, ...]
    permissions: Permissions
    last_order_id: int
    last_trade_id: int
    last_list_id: int
    last_execution_id: int
    ids_made: int
    account: str = "spot"


class _Whose(msgspec.Struct, frozen=True):
    """Whose a line is."""

    account: str = "spot"


class StateFile:
    """The file of one account.  `restore` first, where there is one; then `save` after every change.

    Raises `StoreError` for a file that is no such file.
    """

    account = "spot"
    line_type: type[Line] = Line

    def __init__(self, path: Path, exchange: VenueAccount) -> None:
        self.path = path
        self._exchange = exchange
        self._fills = self._amendments = self._transfers = 0

    def restore(self) -> bool:
        """Take over what the file holds; false if there is none, or nothing in it."""
        last: Line | None = None
        ledger = self._exchange.ledger
        for last in self._lines():
            self._write(last)
        if last is None:
            return False
        ledger.last_list_id, ledger.last_execution_id = last.last_list_id, last.last_execution_id
        ledger.ids_made = last.ids_made
        self._exchange.permissions.change(asdict(last.permissions))
        engine = self._exchange.engine
        engine.working.records.continue_after(last.last_order_id, last.last_trade_id)
        self._prepare(last)
        revive(engine, last.totals, last.seats)
        self._exchange.note_balances()
        self._mark()
        return True

    def _lines(self) -> Iterator[Line]:
        if not self.path.exists():
            return
        texts = self.path.read_bytes().split(b"\n")
        whole = texts[:-1]
        for number, text in enumerate(whole, 1):
            try:
                if msgspec.json.decode(text, type=_Whose).account == self.account:
                    yield msgspec.json.decode(text, type=self.line_type)
            except msgspec.DecodeError as error:
                raise StoreError(
                    f"{self.path} cannot be read",
                    why=f"line {number}: {error}",
                    todo="start the sandbox with another state file",
                ) from None
        if texts[-1]:
            # Nobody may append to half a line.
            self.path.write_bytes(b"".join(text + b"\n" for text in whole))

    def save(self) -> None:
        """Append what has changed since the last time."""
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(self._line()) + b"\n")
        self._mark()

    def _line(self) -> Line:
        return self.line_type(**self._fields(), account=self.account)

    def _fields(self) -> dict[str, Any]:
        ledger = self._exchange.ledger
        working = self._exchange.engine.working
        last_order_id, last_trade_id = working.records.numbering
        orders = (ledger.order(order_id) for order_id in ledger.orders_changed)
        return {
            "orders": tuple(order for order in orders if order is not None),
            "fills": tuple(ledger.fills[self._fills :]),
            "lists": tuple(ledger.lists[list_id] for list_id in ledger.lists_changed),
            "amendments": tuple(ledger.amendments[self._amendments :]),
            "transfers": tuple(ledger.transfers[self._transfers :]),
            "totals": {balance.asset: balance.total for balance in self._exchange.balances()},
            "seats": tuple(
                _seat(order) for own in working.own.values() for order in (*own.buys, *own.sells, *own.stops)
            ),
            "permissions": self._exchange.permissions,
            "last_order_id": last_order_id,
            "last_trade_id": last_trade_id,
            "last_list_id": ledger.last_list_id,
            "last_execution_id": ledger.last_execution_id,
            "ids_made": ledger.ids_made,
        }

    def _write(self, line: Line) -> None:
        """Take over what a line adds."""
        ledger = self._exchange.ledger
        for order in line.orders:
            ledger.write(order)
        for fill in line.fills:
            ledger.write_fill(fill)
        for record in line.lists:
            ledger.write_list(record)
        ledger.amendments.extend(line.amendments)
        ledger.transfers.extend(line.transfers)

    def _prepare(self, last: Line) -> None:
        """Take over what open orders need to be seated."""

    def _mark(self) -> None:
        """All of it is in the file."""
        ledger = self._exchange.ledger
        ledger.orders_changed.clear()
        ledger.lists_changed.clear()
        self._fills, self._amendments = len(ledger.fills), len(ledger.amendments)
        self._transfers = len(ledger.transfers)


def _seat(order: LiveOrder) -> Seat:
    sibling = int(order.sibling.exchange_order_id) if order.sibling else 0
    queue = None if isinf(order.queue) else order.queue
    return Seat(int(order.exchange_order_id), order.armed, queue, sibling)
