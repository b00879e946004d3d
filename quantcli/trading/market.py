"""One market as a strategy sees it: what `m` is.

Prices, sizes and positions are floats, read when they are asked for.  The market notes what was read
(`reads`), so that `desired` is asked again only when some of that has changed.
Knows nothing of orders, and not whether what it reads is live or recorded.
"""

from decimal import Decimal
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from quantcli.errors import QuantError, StrategyError, ValidationError
from quantcli.model.instrument import Number, SymbolMetadata
from quantcli.model.market import Bar, OrderBook, Ticker
from quantcli.trading import wishes
from quantcli.trading.blame import calling_line
from quantcli.trading.sizes import parse_size, size_at_risk


class View(Protocol):
    """Where markets read from; the live and the replayed world each have one."""

    @property
    def now_ns(self) -> int:
        """The present."""
        ...

    def quote(self, symbol: str) -> Ticker | None:
        """Best bid and ask, `None` before the first."""
        ...

    def last(self, symbol: str) -> float:
        """Price of the last trade, 0.0 before the first."""
        ...

    def book(self, symbol: str) -> OrderBook | None:
        """The book, `None` while it is not in step with the exchange."""
        ...

    def position(self, symbol: str) -> Decimal:
        """Signed holding in base units."""
        ...

    def avg_price(self, symbol: str) -> Decimal:
        """Mean entry price of the holding."""
        ...

    def equity(self) -> float:
        """The account's worth."""
        ...


class Indicator(Protocol):
    """What `Market.use` accepts: something fed with closed bars (`trading.ta` has the usual ones)."""

    @property
    def needed(self) -> int:
        """Bars until the first value."""
        ...

    @property
    def is_ready(self) -> bool:
        """It has a value."""
        ...

    def add_bar(self, bar: Bar) -> None:
        """Take the next closed bar."""
        ...


class Reads(IntFlag):
    """What a `desired` has read, and so what makes it worth asking again."""

    PRICE = 1
    SIZE = 2
    LAST = 4
    BOOK = 8
    BAR = 16
    TIME = 32
    POSITION = 64


# Plain integers: an IntFlag's `|` costs more than everything else a property does.
_PRICE, _SIZE, _LAST, _BOOK, _BAR, _TIME, _POSITION = (int(flag) for flag in Reads)

I = TypeVar("I", bound=Indicator)  # noqa: E741


class Market:
    """Prices, position and indicators of one market.

    `tick`, `lot` and `min_size` are the exchange's steps.  A strategy may keep its own attributes here
    (`m.fast = m.use(ta.EMA(12))`).
    """

    def __init__(self, instrument: SymbolMetadata, view: View) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol.name
        self.tick = float(instrument.price_tick)
        self.lot = float(instrument.lot)
        self.min_size = float(instrument.min_qty or instrument.lot)
        self.reads = 0
        self.bars_needed = 0
        self._view = view
        self._bar: Bar | None = None
        self._indicators: list[Indicator] = []
        self._is_warm = True
        self._is_quoted = False

    if TYPE_CHECKING:  # what a strategy keeps here is its own, so its types are not known

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    # -- prices ----------------------------------------------------------------------------------

    @property
    def best_bid(self) -> float:
        """The best bid; 0.0 before the first quote."""
        self.reads |= _PRICE
        quote = self._view.quote(self.symbol)
        return quote.bid if quote is not None else 0.0

    @property
    def best_ask(self) -> float:
        """The best ask; 0.0 before the first quote."""
        self.reads |= _PRICE
        quote = self._view.quote(self.symbol)
        return quote.ask if quote is not None else 0.0

    @property
    def mid(self) -> float:
        """Half-way between bid and ask; 0.0 before the first quote."""
        self.reads |= _PRICE
        quote = self._view.quote(self.symbol)
        return (quote.bid + quote.ask) / 2 if quote is not None else 0.0

    @property
    def spread(self) -> float:
        """Ask less bid; 0.0 before the first quote."""
        self.reads |= _PRICE
        quote = self._view.quote(self.symbol)
        return quote.ask - quote.bid if quote is not None else 0.0

    @property
    def bid_size(self) -> float:
        """Displayed size at the best bid; 0.0 where it is not known."""
        self.reads |= _SIZE | _PRICE
        quote = self._view.quote(self.symbol)
        return quote.bid_size if quote is not None else 0.0

    @property
    def ask_size(self) -> float:
        """Displayed size at the best ask; 0.0 where it is not known."""
        self.reads |= _SIZE | _PRICE
        quote = self._view.quote(self.symbol)
        return quote.ask_size if quote is not None else 0.0

    @property
    def imbalance(self) -> float:
        """Share of the displayed size that stands on the bid, 0..1; 0.5 where it is not known."""
        self.reads |= _SIZE | _PRICE
        quote = self._view.quote(self.symbol)
        return quote.imbalance if quote is not None else 0.5

    @property
    def last(self) -> float:
        """Price of the last trade, 0.0 before the first."""
        self.reads |= _LAST
        return self._view.last(self.symbol)

    @property
    def book(self) -> OrderBook | None:
        """The order book; `None` while it is not in step with the exchange, or not recorded."""
        self.reads |= _BOOK
        return self._view.book(self.symbol)

    @property
    def bar(self) -> Bar | None:
        """The last closed bar; `None` before the first."""
        self.reads |= _BAR
        return self._bar

    @property
    def now(self) -> int:
        """The present, nanoseconds UTC.  A `desired` that reads it is asked at every event."""
        self.reads |= _TIME
        return self._view.now_ns

    # -- what is held ----------------------------------------------------------------------------

    @property
    def position(self) -> float:
        """Signed holding in base units."""
        self.reads |= _POSITION
        return float(self._view.position(self.symbol))

    @property
    def flat(self) -> bool:
        """Nothing is held that could be sold: less than one lot."""
        self.reads |= _POSITION
        return abs(self._view.position(self.symbol)) < self.instrument.lot

    @property
    def avg_price(self) -> float:
        """Mean entry price of the holding, 0.0 when nothing is held."""
        self.reads |= _POSITION
        return float(self._view.avg_price(self.symbol))

    @property
    def equity(self) -> float:
        """The account's worth, in quote currency."""
        self.reads |= _POSITION | _PRICE
        return self._view.equity()

    def quantity(self, size: Number) -> float:
        """Base units that `size` ("50 USDT", 0.01) comes to at the mid price, not rounded.

        Raises `StrategyError` for a currency this market does not trade, and before the first quote.
        """
        try:
            parsed = parse_size(size, self.instrument)
        except ValidationError as error:
            raise StrategyError(f"{calling_line()}: {error.what}", why=error.why, todo=error.todo) from None
        mid = self.mid
        if parsed.power and not mid:
            raise StrategyError(
                f"{calling_line()}: {size!r} has no quantity yet on {self.symbol}",
                why="no price is known before the first quote",
            )
        return parsed.at(mid)

    def size_for(self, *, risk: Number, entry: Number, stop: Number) -> float:
        """The size (base units, rounded down to the lot) that loses `risk` between `entry` and `stop`.

        `risk` is a share of the account's worth ("0.5 %", 0.005), or an amount of quote currency
        ("50 quote").  Never more than the account can pay for; 0.0 where that is less than a lot.  The worth
        is that of the moment; only a changed position is a reason to be asked again.
        Raises `StrategyError` for numbers that bound no risk.
        """
        self.reads |= _POSITION
        try:
            amount = size_at_risk(risk, entry, stop, self._view.equity(), self.instrument)
        except QuantError as error:
            raise StrategyError(f"{calling_line()}: {error.what}", why=error.why, todo=error.todo) from None
        return float(amount)

    # -- indicators and wishes -------------------------------------------------------------------

    def use(self, indicator: I) -> I:
        """Feed `indicator` with this market's closed bars; nothing is desired until it has a value."""
        self._indicators.append(indicator)
        self.bars_needed = max(self.bars_needed, indicator.needed)
        self._is_warm = False
        return indicator

    def hold(self, target: Number, slot: str = "hold", tolerance: float | str = 0.05) -> wishes.Hold:
        """The wish to hold a position of `target`; see `wishes.hold`.  Counts as having read the position."""
        self.reads |= _POSITION
        return wishes.hold(target, slot, tolerance)

    @property
    def ready(self) -> bool:
        """A quote has been seen and every indicator has a value."""
        if not self._is_quoted:
            self._is_quoted = self._view.quote(self.symbol) is not None
        return self._is_warm and self._is_quoted

    def minds(self, changed: int) -> bool:
        """`desired` has read something of what has `changed` (`Reads`), or has not been asked yet."""
        return bool(self.reads & changed or (not self.reads and changed & _PRICE))

    def on_bar(self, bar: Bar) -> None:
        """Take a closed bar: the engine's part, not the strategy's."""
        self._bar = bar
        for indicator in self._indicators:
            indicator.add_bar(bar)
        if not self._is_warm:
            self._is_warm = all(indicator.is_ready for indicator in self._indicators)
