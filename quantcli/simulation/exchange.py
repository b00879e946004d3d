"""An imagined exchange: it takes requests as a real one would, and matches them against recorded data.

    send ── Line (latency) ──> OrderDesk: Admission (rules, account) ──> WorkingOrders ──> Report
                                                                           ▲
    market data ── Market ── Tape: Matcher (queue model), stops ───────────┘

It speaks Binance's rules and answers with the same reports as a live gateway.  Market data comes one by
one (`on_event`) or by columns (`load`, `next_row`, `on_row`); both give the same reports.  What is
modelled and what is assumed stands in docs/simulation.md.

Knows nothing of who sends the orders.  Reads no clock but the one it is given; its only randomness is
the seeded jitter of the latency.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal

from quantcli.clock import Clock
from quantcli.codecs.depth import DepthSync
from quantcli.errors import ValidationError
from quantcli.model.account import AssetBalance, Position
from quantcli.model.batch import Chunk
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import MarketEvent
from quantcli.model.message import (
    Amend,
    Cancel,
    Lookup,
    Place,
    PlaceList,
    Report,
    Request,
    Survey,
)
from quantcli.model.order import Fill, Order, OrderState
from quantcli.simulation.account import Account
from quantcli.simulation.desk import OrderDesk
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency, Line
from quantcli.simulation.matching import Matcher, QueueModel
from quantcli.simulation.scan import ColumnFeed
from quantcli.simulation.tape import Tape
from quantcli.simulation.working import WorkingOrders


class SimulatedExchange:
    """A `ports.Gateway` whose answers are computed: call `advance` at `next_due()` and feed it market data.

    `balances` are the free amounts by asset; `positions` those futures positions that exist already; `seed`
    decides the jitter of the latency.  Raises `ValidationError` for inverse (coin-margined) markets.
    """

    def __init__(
        self,
        exchange: str,
        instruments: Mapping[str, SymbolMetadata],
        balances: Mapping[str, Decimal],
        fees: Fees,
        latency: Latency,
        queue: QueueModel,
        seed: int,
        clock: Clock,
        positions: Iterable[Position] = (),
    ) -> None:
        for name, meta in instruments.items():
            if meta.inverse:
                raise ValidationError(
                    f"{name} is not simulated yet",
                    why="its contracts are worth a fixed amount of quote currency and settle in coin",
                    todo="leave it out, or use the linear contract of the same pair",
                )
        self.exchange = exchange
        self._clock = clock
        self._feed_ns = latency.feed_ns
        self._line = Line(latency, seed)
        self._account = Account(balances, positions, instruments, fees)
        self._matcher = Matcher(queue)
        self._working = WorkingOrders(instruments, self._account, self._matcher)
        self._desk = OrderDesk(self._working, self._account)
        self._tape = Tape(self._working, self._account, self._matcher)
        self._columns = ColumnFeed(self._working.markets, self._working.own, self._matcher)

    # The gateway, and time.

    def send(self, request: Request) -> None:
        """Put a request on the way; it arrives after the latency, never before an earlier one."""
        self._line.send(request, self._clock.now_ns())

    def next_due(self) -> int | None:
        """Local time at which the next request arrives or order expires; `None` if nothing is to come."""
        due, expiry = self._line.next_due(), self._working.next_expiry()
        if expiry is None:
            return due
        return expiry + self._feed_ns if due is None else min(due, expiry + self._feed_ns)

    def advance(self, now_ns: int) -> list[Report]:
        """Let everything due until `now_ns` happen, each at its time; reports in that order.

        By columns, a market is taken as of the last row with `local_ns` not after the request; every earlier
        row that `next_row` names must have been given to `on_row`.
        """
        reports: list[Report] = []
        while (due := self.next_due()) is not None and due <= now_ns:
            expiry = self._working.next_expiry()
            if expiry is not None and expiry + self._feed_ns == due:
                reports += self._working.expire_next()
            else:
                reports += self._answer(self._line.take(), due)
        return reports

    def _answer(self, request: Request, local_ns: int) -> list[Report]:
        at_ns = local_ns - self._feed_ns
        match request:
            case Place():
                self._columns.catch_up_to(request.order.symbol, local_ns)
                return self._desk.place(request, at_ns)
            case PlaceList():
                self._columns.catch_up_to(request.places[0].order.symbol, local_ns)
                return self._desk.place_list(request, at_ns)
            case Amend():
                self._columns.catch_up_to(request.order.symbol, local_ns)
                return self._desk.amend(request, at_ns)
            case Cancel():
                return self._desk.cancel(request, at_ns)
            case Lookup():
                return self._desk.lookup(request, at_ns)
            case Survey():
                return self._desk.survey(request, at_ns)

    # Market data, one by one.

    def on_event(self, event: MarketEvent) -> list[Report]:
        """Take a row of market data, after all that was due before it; what it does to our orders."""
        overdue = self.advance(event.local_ns - 1)
        return overdue + self._tape.see(event, event.local_ns - self._feed_ns)

    # Market data, by columns.

    def load(self, chunk: Chunk) -> None:
        """Turn to the next chunk; what is left of the present one is taken over."""
        self._columns.load(chunk)

    def next_row(self, start: int) -> int:
        """The first row of the chunk from `start` on at which an open order may trade or trigger;
        `len(chunk)` if none.  To be asked again after every change of the orders."""
        return self._columns.next_row(start)

    def on_row(self, row: int) -> list[Report]:
        """Take a row of the chunk, after all that was due before it; what it does to our orders."""
        local_ns = self._columns.local_ns(row)
        overdue = self.advance(local_ns - 1)
        event = self._columns.take(row)
        return overdue if event is None else overdue + self._tape.see(event, local_ns - self._feed_ns)

    # What it shows.

    def balances(self) -> tuple[AssetBalance, ...]:
        """Balances in order of asset."""
        return self._account.balances()

    def positions(self) -> dict[str, Decimal]:
        """Signed quantity of every futures position, by symbol."""
        return self._account.positions()

    def open_orders(self) -> list[Order]:
        """Open orders, oldest first."""
        return [order.listed() for order in self._working.open.values()]

    def fills(self) -> Sequence[Fill]:
        """Every execution since this exchange was made, in order."""
        return self._working.records.fills

    def book_so_far(self, symbol: str) -> tuple[DepthSync, int]:
        """A copy of a market's recorded book as it has been taken over, and how many book rows of the
        present chunk are in it.  It may be behind the present row, never ahead of it."""
        depth = self._working.markets[symbol].depth
        return deepcopy(depth) or DepthSync(symbol), self._columns.book_rows_done(symbol)

    @property
    def queue_mattered(self) -> bool:
        """A trade at the very price of a resting order was seen: from there on queue models may differ."""
        return self._matcher.queue_mattered

    # Beginning again.

    def adopt(self, state: OrderState, fills: Sequence[Fill]) -> None:
        """Take over an order that was accepted before a restart, with all its fills, in order of placement.

        A live one rests again at the back of its queue; an ended one can be looked up; one that this exchange
        never accepted (no exchange order id) is passed over.  Numbering goes on after the highest ids seen.
        `balances` and `positions` given at the start include what these fills did; what live orders hold
        is taken from the free amounts.
        """
        self._working.adopt(state, fills)
