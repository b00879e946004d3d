"""Markets to trade in tests, and a view of them that is set by hand."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Bar, OrderBook, Ticker


@pytest.fixture
def rules() -> Callable[..., SymbolMetadata]:
    """Make the rules of a market: tick 0.01 and lot 0.001 unless said otherwise."""

    def make(symbol: str = "BTC/USDT", **limits: Any) -> SymbolMetadata:
        parsed = Symbol.parse(symbol)
        steps = {"price_tick": Decimal("0.01"), "lot": Decimal("0.001")} | limits
        return SymbolMetadata(parsed, "binance", parsed.base + parsed.quote, **steps)

    return make


class SetView:
    """A view that shows what a test has put there."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self.quotes: dict[str, Ticker] = {}
        self.trades: dict[str, float] = {}
        self.books: dict[str, OrderBook] = {}
        self.positions: dict[str, Decimal] = {}
        self.prices: dict[str, Decimal] = {}
        self.worth = 10_000.0

    def show(
        self, symbol: str, bid: float, ask: float, bid_size: float = 1.0, ask_size: float = 1.0
    ) -> Ticker:
        tick = Ticker(symbol, 0, self.now_ns, 0, bid, bid_size, ask, ask_size, 0)
        self.quotes[symbol] = tick
        return tick

    def quote(self, symbol: str) -> Ticker | None:
        return self.quotes.get(symbol)

    def last(self, symbol: str) -> float:
        return self.trades.get(symbol, 0.0)

    def book(self, symbol: str) -> OrderBook | None:
        return self.books.get(symbol)

    def position(self, symbol: str) -> Decimal:
        return self.positions.get(symbol, Decimal(0))

    def avg_price(self, symbol: str) -> Decimal:
        return self.prices.get(symbol, Decimal(0))

    def equity(self) -> float:
        return self.worth


@pytest.fixture
def view() -> SetView:
    return SetView()


@pytest.fixture
def bar() -> Callable[..., Bar]:
    """Make the n-th one-minute bar: closes at `close`, one up and one down from it unless said otherwise."""

    def make(n: int, close: float, high: float | None = None, low: float | None = None) -> Bar:
        minute = 60_000_000_000
        top, bottom = high or close + 1, low or close - 1
        stamps = ("BTC/USDT", 0, (n + 1) * minute, 0, n * minute, minute)
        return Bar(*stamps, close, top, bottom, close, 1.0, close, 1, True)

    return make
