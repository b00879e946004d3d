"""The futures account's second set of books: positions, realised profit and wallets, fill by fill.

The matching settles a whole round of fills at once; what a client is told of is one fill at a time.  Both
reckon a position in the same way, so after each round they agree.  Knows nothing of orders or margin.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from operator import attrgetter

from msgspec.structs import replace

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.order import Fill
from quantcli.sandbox.futures.records import Booking, Income
from quantcli.sandbox.order_records import Transfer
from quantcli.simulation.holding import EXACT, Holding

_ZERO = Decimal(0)
_WHEN = attrgetter("at_ns")


class FuturesBooks:
    """Bookings of every fill, in order; `balances` are the wallets at the beginning."""

    def __init__(
        self, instruments: Mapping[str, SymbolMetadata], balances: Mapping[str, Decimal] | None = None
    ) -> None:
        self._instruments = instruments
        self._holdings = {name: Holding() for name in instruments}
        self._realised = defaultdict[str, Decimal](Decimal)
        self._wallets = defaultdict[str, Decimal](Decimal, balances or {})
        self._bookings: dict[str, list[Booking]] = {name: [] for name in instruments}
        self._of_trade: dict[str, Booking] = {}
        self.incomes: list[Income] = []

    def book(self, fill: Fill) -> Booking:
        """Take a fill in."""
        meta = self._instruments[fill.symbol]
        holding, asset = self._holdings[fill.symbol], meta.symbol.settle
        with localcontext(EXACT):
            profit = holding.change(fill.side.sign * fill.qty, fill.price * meta.contract_size)
            self._realised[fill.symbol] += profit
            self._wallets[asset] += profit - fill.fee
        booking = Booking(
            fill.trade_id,
            fill.symbol,
            fill.exchange_ns,
            asset,
            profit,
            fill.fee,
            holding.qty,
            holding.cost,
            self._realised[fill.symbol],
            self._wallets[asset],
        )
        self._bookings[fill.symbol].append(booking)
        self._of_trade[fill.trade_id] = booking
        self._earn("COMMISSION", asset, -fill.fee, fill.exchange_ns, fill)
        if profit:
            self._earn("REALIZED_PNL", asset, profit, fill.exchange_ns, fill)
        return booking

    def transfer(self, transfer: Transfer) -> None:
        """Take in what came or went without a trade."""
        with localcontext(EXACT):
            self._wallets[transfer.asset] += transfer.amount
        self._earn("TRANSFER", transfer.asset, transfer.amount, transfer.at_ns, None)

    def _earn(self, kind: str, asset: str, amount: Decimal, at_ns: int, fill: Fill | None) -> None:
        symbol = self._instruments[fill.symbol].exchange_symbol if fill else ""
        trade_id = fill.trade_id if fill else ""
        number = len(self.incomes) + 1
        self.incomes.append(Income(number, kind, asset, amount, at_ns, symbol, trade_id))

    def replay(
        self, fills: Iterable[Fill], transfers: Iterable[Transfer], totals: Mapping[str, Decimal]
    ) -> None:
        """Take in a history that led to these balances, in order of time."""
        self._wallets.clear()
        history: list[Fill | Transfer] = [*fills, *transfers]
        history.sort(key=_moment)
        for each in history:
            if isinstance(each, Transfer):
                self.transfer(each)
            else:
                self.book(each)
        with localcontext(EXACT):
            before = {asset: total - self._wallets[asset] for asset, total in totals.items()}
            for name, bookings in self._bookings.items():
                self._bookings[name] = [
                    replace(each, wallet=each.wallet + before.get(each.asset, _ZERO)) for each in bookings
                ]
        self._wallets.update(totals)
        self._of_trade = {b.trade_id: b for bookings in self._bookings.values() for b in bookings}

    def of(self, trade_id: str) -> Booking:
        """The booking of a fill."""
        return self._of_trade[trade_id]

    def position(self, symbol: str, as_of: int | None = None) -> Booking | None:
        """The last booking of a market until a time (`None`: now), which tells its position."""
        bookings = self._bookings[symbol]
        place = len(bookings) if as_of is None else bisect_right(bookings, as_of, key=_WHEN)
        return bookings[place - 1] if place else None


def _moment(each: Fill | Transfer) -> int:
    return each.at_ns if isinstance(each, Transfer) else each.exchange_ns
