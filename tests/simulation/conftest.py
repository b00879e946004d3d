"""Markets to trade in, exchanges to trade on, and the two ways of driving them."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pytest

from quantcli.clock import VirtualClock
from quantcli.model.account import AssetBalance
from quantcli.model.batch import FIELDS, Chunk, Columns
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.market import EVENT_TYPES, BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.model.message import (
    Amend,
    Cancel,
    Lookup,
    Place,
    PlaceList,
    Report,
    Request,
    Statement,
    Survey,
)
from quantcli.model.order import Order, OrderType, StandardOrder
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel

SPOT = SymbolMetadata(
    Symbol.parse("BTC/USDT"), "binance", "BTCUSDT", price_tick=Decimal("0.1"), lot=Decimal("0.01")
)
PERP = SymbolMetadata(
    Symbol.parse("ETH/USDT:USDT"), "binance", "ETHUSDT", price_tick=Decimal("0.5"), lot=Decimal("0.01")
)
FREE = Fees(Decimal(0), Decimal(0))


@pytest.fixture(scope="session")
def spot() -> SymbolMetadata:
    return SPOT


@pytest.fixture(scope="session")
def perp() -> SymbolMetadata:
    return PERP


class Desk:
    """An exchange with one market in a test's hand: rows come at one per nanosecond."""

    def __init__(self, meta: SymbolMetadata, **options: Any) -> None:
        self.meta = meta
        self.symbol = meta.symbol.name
        self.clock = VirtualClock(1)
        self.seq = count(1)
        self.ids = count(1)
        settings: dict[str, Any] = {
            "instruments": {self.symbol: meta},
            "balances": {"USDT": Decimal(1_000_000), "BTC": Decimal(100)},
            "fees": FREE,
            "latency": Latency(),
            "queue": QueueModel.VOLUME,
            "seed": 1,
            "clock": self.clock,
        }
        self.exchange = SimulatedExchange("binance", **(settings | options))

    def _stamp(self) -> tuple[str, int, int, int]:
        at_ns = self.clock.now_ns() + 1
        self.clock.advance_to(at_ns)
        return self.symbol, 0, at_ns, next(self.seq)

    def quote(self, bid: float, ask: float, bid_size: float = 1.0, ask_size: float = 1.0) -> list[Report]:
        return self.exchange.on_event(Ticker(*self._stamp(), bid, bid_size, ask, ask_size, 0))

    def trade(self, price: float, size: float, taker: int = 0) -> list[Report]:
        return self.exchange.on_event(Trade(*self._stamp(), price, size, taker, 0))

    def book(
        self, bids: Iterable[tuple[float, float]], asks: Iterable[tuple[float, float]] = (), last_id: int = 1
    ) -> list[Report]:
        """A snapshot for `last_id` 1, else the diff with that id."""
        is_snapshot = last_id == 1
        return self.exchange.on_event(
            BookUpdate(*self._stamp(), is_snapshot, last_id, last_id, 0, list(bids), list(asks))
        )

    def place(self, side: str, qty: str, price: str | None = None, **terms: Any) -> list[Report]:
        """Place under the next id (`o1`, `o2`, …) and let it arrive."""
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        order = StandardOrder(
            self.symbol,
            Side[side],
            terms.pop("type", kind),
            Decimal(qty),
            None if price is None else Decimal(price),
            **terms,
        )
        return self.send(Place(f"o{next(self.ids)}", order, 2**62))

    def place_list(
        self, side: str, qty: str, limit: str, stop: str, price: str | None = None
    ) -> list[Report]:
        """Place a post-only order at `limit` and a stop at `stop`, under the next two ids."""
        terms = (self.symbol, Side[side])
        kind = OrderType.STOP_MARKET if price is None else OrderType.STOP_LIMIT
        orders = (
            StandardOrder(*terms, OrderType.LIMIT_MAKER, Decimal(qty), Decimal(limit)),
            StandardOrder(*terms, kind, Decimal(qty), price and Decimal(price), Decimal(stop)),
        )
        return self.send(PlaceList(tuple(Place(f"o{next(self.ids)}", order, 2**62) for order in orders)))

    def amend(
        self, client_order_id: str, qty: str, price: str | None = None, number: int = 1
    ) -> list[Report]:
        """Give an open order another total, and another price where one is given."""
        [order] = [o for o in self.exchange.open_orders() if o.client_order_id == client_order_id]
        terms = StandardOrder(
            self.symbol,
            order.side,
            order.type,
            Decimal(qty),
            order.price if price is None else Decimal(price),
            order.stop_price,
        )
        return self.send(Amend(client_order_id, terms, number, 2**62))

    def survey(self, since_ns: int = 0) -> Statement:
        """What the exchange states of the market."""
        [statement] = self.send(Survey(self.symbol, since_ns, self.clock.now_ns()))
        assert isinstance(statement, Statement)
        return statement

    def cancel(self, client_order_id: str) -> list[Report]:
        return self.send(Cancel(client_order_id, self.symbol))

    def lookup(self, client_order_id: str) -> list[Report]:
        return self.send(Lookup(client_order_id, self.symbol))

    def send(self, request: Request) -> list[Report]:
        self.exchange.send(request)
        due = self.exchange.next_due()
        assert due is not None
        self.clock.advance_to(due)
        return self.exchange.advance(due)


@pytest.fixture(scope="session")
def desk() -> Callable[..., Desk]:
    return Desk


def _columns(channel: Channel, symbol: str, rows: Sequence[Any]) -> Columns:
    stamps = [np.array([getattr(r, n) for r in rows], np.int64) for n in ("exchange_ns", "local_ns", "seq")]
    data: dict[str, Any] = {}
    for name in FIELDS[channel]:
        side, _, what = name.partition("_")
        if channel is Channel.BOOK and side in {"bid", "ask"}:
            levels = [list(getattr(r, side + "s")) for r in rows]
            if what == "offsets":
                data[name] = np.cumsum([0, *map(len, levels)])
            else:
                data[name] = np.array([lv[what == "sizes"] for ls in levels for lv in ls], np.float64)
        else:
            kind = np.float64 if isinstance(getattr(rows[0], name), float) else None
            data[name] = np.array([getattr(r, name) for r in rows], kind)
    return Columns(channel, symbol, *stamps, data)


def _chunk(rows: Sequence[MarketEvent]) -> tuple[Chunk, list[MarketEvent]]:
    """Rows as a chunk, and in the chunk's order."""
    channel_of = {kind: channel for channel, kind in EVENT_TYPES.items()}
    keys = sorted({(row.symbol, channel_of[type(row)]) for row in rows})
    number = {key: i for i, key in enumerate(keys)}
    order = sorted(rows, key=lambda r: (r.local_ns, r.seq, number[r.symbol, channel_of[type(r)]]))
    turn = np.array([number[r.symbol, channel_of[type(r)]] for r in order], np.int16)
    streams = tuple(
        _columns(channel, symbol, [r for r, t in zip(order, turn, strict=True) if t == i])
        for i, (symbol, channel) in enumerate(keys)
    )
    where = tuple(np.flatnonzero(turn == i) for i in range(len(keys)))
    return Chunk(streams, turn, np.array([r.local_ns for r in order], np.int64), where), order


@pytest.fixture(scope="session")
def chunk() -> Callable[[Sequence[MarketEvent]], tuple[Chunk, list[MarketEvent]]]:
    return _chunk


Script = dict[int, list[Request]]


def _pass_time(exchange: SimulatedExchange, clock: VirtualClock, before_ns: int) -> list[Report]:
    reports: list[Report] = []
    while (due := exchange.next_due()) is not None and due < before_ns:
        clock.advance_to(due)
        reports += exchange.advance(due)
    return reports


def _play_events(
    exchange: SimulatedExchange, clock: VirtualClock, chunks: Sequence[tuple[Chunk, Any]], script: Script
) -> list[Report]:
    """Every row by itself; requests of `script` are sent at the rows they are filed under."""
    reports: list[Report] = []
    row = 0
    for _, rows in chunks:
        for event in rows:
            reports += _pass_time(exchange, clock, event.local_ns)
            clock.advance_to(event.local_ns)
            for request in script.get(row, ()):
                exchange.send(request)
            reports += exchange.on_event(event)
            row += 1
    return reports + _pass_time(exchange, clock, 2**62)


def _play_columns(
    exchange: SimulatedExchange, clock: VirtualClock, chunks: Sequence[tuple[Chunk, Any]], script: Script
) -> list[Report]:
    """Only the rows that matter; requests are sent as `_play_events` sends them."""
    reports: list[Report] = []
    base = 0
    for chunk, _ in chunks:
        exchange.load(chunk)
        sends = sorted(r - base for r in script if base <= r < base + len(chunk))
        row = 0
        while row < len(chunk):
            stop = exchange.next_row(row)
            send = next((s for s in sends if s >= row), len(chunk))
            due = exchange.next_due()
            arrival = len(chunk) if due is None else int(chunk.local_ns.searchsorted(due, "right"))
            if due is not None and arrival < len(chunk) and arrival <= min(stop, send):
                clock.advance_to(due)
                reports += exchange.advance(due)
                row = max(row, arrival)
                continue
            row = min(stop, send)
            if row == len(chunk):
                break
            clock.advance_to(int(chunk.local_ns[row]))
            for request in script.get(base + row, ()):
                exchange.send(request)
            if row == stop:
                reports += exchange.on_row(row)
            row += 1
        base += len(chunk)
    return reports + _pass_time(exchange, clock, 2**62)


class Outcome(NamedTuple):
    reports: list[Report]
    balances: tuple[AssetBalance, ...]
    open_orders: list[Order]
    queue_mattered: bool


def _both_ways(settings: dict[str, Any], chunks: Any, script: Script) -> list[Outcome]:
    """What comes of a run one by one, and of the same run by columns."""
    outcomes = []
    for play in (_play_events, _play_columns):
        clock = VirtualClock()
        exchange = SimulatedExchange("binance", seed=7, clock=clock, **settings)
        reports = play(exchange, clock, chunks, script)
        outcomes.append(
            Outcome(reports, exchange.balances(), exchange.open_orders(), exchange.queue_mattered)
        )
    return outcomes


@pytest.fixture(scope="session")
def both_ways() -> Callable[..., list[Outcome]]:
    return _both_ways
