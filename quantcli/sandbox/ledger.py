"""The account's books: every order, fill, list and amendment there ever was, and how each stood before.

Order, list and execution numbers count upwards; so do the client order ids it makes up.  A query may be
answered as of an earlier time, as a copy that lags behind would ("Data Sources", binance-spot-api-docs
rest-api.md).  Knows nothing of matching.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from operator import attrgetter

from quantcli.model.order import Fill
from quantcli.sandbox.order_records import AmendRecord, ListRecord, OrderRecord, Transfer

_UPDATED = attrgetter("updated_ns")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Ledger:
    """Records by number, by client order id and by symbol (canonical names)."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._versions: dict[int, list[OrderRecord]] = {}
        self._by_client_id = defaultdict[str, list[int]](list)
        self._orders_of: dict[str, list[int]] = {symbol: [] for symbol in symbols}
        self.fills: list[Fill] = []
        self._fills_of: dict[str, list[Fill]] = {symbol: [] for symbol in symbols}
        self._fills_by_order = defaultdict[int, list[Fill]](list)
        self.lists: dict[int, ListRecord] = {}
        self.amendments: list[AmendRecord] = []
        self.transfers: list[Transfer] = []
        self._open: dict[int, None] = {}
        self.updated_ns = 0
        self.last_list_id = self.last_execution_id = self.ids_made = 0
        # Numbers of what was written since these were last cleared, in order.
        self.orders_changed: dict[int, None] = {}
        self.lists_changed: dict[int, None] = {}

    # Writing.

    def write(self, order: OrderRecord) -> OrderRecord:
        """Take in an order as it stands now."""
        self.orders_changed[order.order_id] = None
        self.updated_ns = order.updated_ns
        if order.is_open:
            self._open[order.order_id] = None
        else:
            self._open.pop(order.order_id, None)
        versions = self._versions.get(order.order_id)
        if versions is None:
            self._versions[order.order_id] = [order]
            self._orders_of[order.symbol].append(order.order_id)
            self._by_client_id[order.client_order_id].append(order.order_id)
        else:
            if versions[-1].client_order_id != order.client_order_id:
                self._by_client_id[order.client_order_id].append(order.order_id)
            versions.append(order)
        return order

    def write_fill(self, fill: Fill) -> None:
        """Take in an execution."""
        self.fills.append(fill)
        self._fills_of[fill.symbol].append(fill)
        self._fills_by_order[int(fill.exchange_order_id)].append(fill)

    def write_list(self, record: ListRecord) -> ListRecord:
        """Take in an order list as it stands now."""
        self.lists[record.list_id] = record
        self.lists_changed[record.list_id] = None
        return record

    def next_list_id(self) -> int:
        """The number of an order list that is accepted now."""
        self.last_list_id += 1
        return self.last_list_id

    def next_execution_id(self) -> int:
        """The number of the next thing that happens to an order."""
        self.last_execution_id += 1
        return self.last_execution_id

    def make_id(self, prefix: str = "") -> str:
        """A client order id for who has sent none: 22 letters and digits, like Binance's own."""
        self.ids_made += 1
        number = int.from_bytes(sha256(f"sandbox-{self.ids_made}".encode()).digest())
        text = ""
        while len(text) < 22:
            number, letter = divmod(number, len(_LETTERS))
            text += _LETTERS[letter]
        return (prefix + text)[:36]

    # Reading.  `as_of` is a time, `None` means now.

    def order(self, order_id: int, as_of: int | None = None) -> OrderRecord | None:
        """An order as it stood."""
        versions = self._versions.get(order_id)
        if versions is None:
            return None
        if as_of is None:
            return versions[-1]
        place = bisect_right(versions, as_of, key=_UPDATED)
        return versions[place - 1] if place else None

    def find(
        self, symbol: str, order_id: int | None, client_order_id: str | None, as_of: int | None = None
    ) -> OrderRecord | None:
        """An order of a market by its number, which a client order id must then confirm, or by that alone:
        the open one of that id, else the newest.  "Query order", Notes."""
        if order_id is not None:
            order = self.order(order_id, as_of)
            matches = order is not None and client_order_id in {None, order.client_order_id}
            return order if order is not None and order.symbol == symbol and matches else None
        found = [
            order
            for number in self._by_client_id.get(client_order_id or "", ())
            if (order := self.order(number, as_of)) is not None
            and order.symbol == symbol
            and order.client_order_id == client_order_id
        ]
        return next((order for order in found if order.is_open), found[-1] if found else None)

    def orders(self, symbol: str | None = None, as_of: int | None = None) -> list[OrderRecord]:
        """Orders of a market, or all, in order of number."""
        numbers = self._versions if symbol is None else self._orders_of[symbol]
        return [order for number in numbers if (order := self.order(number, as_of)) is not None]

    def open_orders(self, symbol: str | None = None, as_of: int | None = None) -> list[OrderRecord]:
        """Open orders of a market, or of all, in order of number."""
        if as_of is not None:
            return [order for order in self.orders(symbol, as_of) if order.is_open]
        newest = (self._versions[number][-1] for number in sorted(self._open))
        return [order for order in newest if symbol in {None, order.symbol}]

    def fills_of(self, symbol: str, as_of: int | None = None) -> list[Fill]:
        """Executions of a market, in order of number."""
        fills = self._fills_of[symbol]
        return fills if as_of is None else [fill for fill in fills if fill.exchange_ns <= as_of]

    def fills_of_order(self, order_id: int) -> list[Fill]:
        """Executions of one order, in order of number."""
        return self._fills_by_order.get(order_id, [])

    def amendments_of(self, order_id: int) -> list[AmendRecord]:
        """Amendments of one order, in order of number."""
        return [record for record in self.amendments if record.order_id == order_id]

    def find_list(self, list_id: int | None, client_list_id: str | None) -> ListRecord | None:
        """An order list by its number, which its own client id must then confirm, or by that alone: the open
        one, else the newest."""
        if list_id is not None:
            record = self.lists.get(list_id)
            return record if record and client_list_id in {None, record.client_list_id} else None
        found = [each for each in self.lists.values() if each.client_list_id == client_list_id]
        return next((each for each in found if each.is_open), found[-1] if found else None)
