"""The base of every strategy: the hooks it may have, the orders it may place, what it can look at.

A strategy says `desired` (lasting wishes, see `keep` and `hold`), or calls the verbs `buy`, `sell`,
`cancel` from its hooks, or both.  Verbs only append commands to `outbox`; carrying them out is the
engine's business.  Knows nothing of the kernel, of files or of how time passes.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

from quantcli.errors import QuantError, StrategyError
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import Number, Side
from quantcli.model.market import AggTrade, Bar, OrderBook, Ticker, Trade
from quantcli.model.order import Fill
from quantcli.trading.blame import calling_line, place
from quantcli.trading.market import Market, View
from quantcli.trading.params import Param, Value, parse_params
from quantcli.trading.verbs import Terms, build_order
from quantcli.trading.wishes import (
    CancelAll,
    CancelOrder,
    Command,
    PlaceOrder,
    StartTimer,
    Ticket,
    Wish,
    duration_ns,
)

Answer = Awaitable[None] | None

HOOKS = (
    "on_start",
    "on_tick",
    "on_trade",
    "on_book",
    "on_bar",
    "on_fill",
    "on_order",
    "on_timer",
    "on_stop",
)
# A hook that never stops placing would take all memory.
_COMMANDS_MAX = 10_000
_CO_COROUTINE, _CO_ASYNC_GENERATOR = 0x80, 0x200  # inspect.CO_…, without the import


class Strategy:
    """Subclass this.  Every hook is optional and may be `async`.

    symbols   markets to trade; empty: whatever the recording or the command line names
    bars      interval of the bars that indicators and `on_bar` get ("1m"); both are called only once every
              indicator in use has seen enough bars
    """

    symbols: Sequence[str] = ()
    bars: str | None = None
    _params: ClassVar[dict[str, Param[Any]]] = {}

    outbox: list[Command]
    markets: Mapping[str, Market]
    event: Any
    log: logging.Logger

    def __new__(cls, *args: Any, **kwargs: Any) -> "Strategy":
        # Here and not in `__init__`, so that a subclass with its own `__init__` need not call ours.
        self = super().__new__(cls)
        self.outbox = []
        self.markets = {}
        self.event = None
        self.log = logging.getLogger(f"strategy.{cls.__name__}")
        # Not through `__dict__`: where it was never asked for, attributes are read faster.
        for name, param in cls._params.items():
            setattr(self, name, param.default)
        return self

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _check_hooks(cls)
        found = {
            n: v for base in reversed(cls.__mro__) for n, v in vars(base).items() if isinstance(v, Param)
        }
        cls._params = {name: param for name, param in found.items() if getattr(cls, name) is param}
        for name in cls._params:
            if hasattr(Strategy, name):
                raise StrategyError(
                    f"{calling_line()}: a parameter cannot be called {name!r}",
                    why=f"every strategy has a {name!r} already",
                    todo="give it another name",
                )

    # -- what a strategy defines -----------------------------------------------------------------

    def setup(self, m: Market) -> None:
        """Called once for each market, before anything else: `m.use(...)` indicators here."""

    def desired(self, m: Market) -> Iterable[Wish]:
        """Yield the whole wish for one market; called again when something it read has changed.

        A plain generator: it reads `m`, and does nothing else.
        """
        return ()

    def on_start(self) -> Answer:
        """Called once, after every `setup`."""
        return None

    def on_tick(self, tick: Ticker) -> Answer:
        """Called at every change of the best bid or ask."""
        return None

    def on_trade(self, trade: Trade | AggTrade) -> Answer:
        """Called at every trade in the market."""
        return None

    def on_book(self, book: OrderBook) -> Answer:
        """Called at every change of the order book."""
        return None

    def on_bar(self, bar: Bar) -> Answer:
        """Called with every closed bar, once the indicators are warm."""
        return None

    def on_fill(self, fill: Fill) -> Answer:
        """Called with every execution of this strategy's orders."""
        return None

    def on_order(self, event: OrderEvent) -> Answer:
        """Called with every step in the life of this strategy's orders."""
        return None

    def on_timer(self, name: str) -> Answer:
        """Called when a timer of `every` is due."""
        return None

    def on_stop(self) -> Answer:
        """Called once, before the strategy's wishes are withdrawn."""
        return None

    # -- what a strategy does --------------------------------------------------------------------

    def buy(
        self,
        size: Number,
        limit: Number | None = None,
        *,
        symbol: str | None = None,
        stop: Number | None = None,
        ttl: str | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        tif: str | None = None,
    ) -> Ticket:
        """Buy `size` (base units, or "50 USDT"), at the market or at `limit`.

        stop          the order waits until the price reaches this
        ttl           how long a limit order may rest: "3s"
        post_only     only ever as a maker
        reduce_only   only ever against an open position (futures)
        tif           "IOC" or "FOK"

        Prices are rounded to the passive side, sizes down.  Raises `StrategyError` for a call that can
        never be an order; what risk or the exchange refuse is told on the ticket.
        """
        terms = Terms(Side.BUY, size, limit, stop, ttl, post_only, reduce_only, tif)
        return self._place(terms, symbol)

    def sell(
        self,
        size: Number,
        limit: Number | None = None,
        *,
        symbol: str | None = None,
        stop: Number | None = None,
        ttl: str | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        tif: str | None = None,
    ) -> Ticket:
        """Sell `size`; see `buy`."""
        terms = Terms(Side.SELL, size, limit, stop, ttl, post_only, reduce_only, tif)
        return self._place(terms, symbol)

    def _place(self, terms: Terms, symbol: str | None) -> Ticket:
        market = self._named(symbol)
        if len(self.outbox) >= _COMMANDS_MAX:
            raise StrategyError(
                f"{calling_line()}: {_COMMANDS_MAX:,} orders at one event",
                why="none of them can be sent before the hook returns",
                todo="let the hook come to an end",
            )
        try:
            order = build_order(terms, market.instrument, self._view.quote(market.symbol), self.now)
        except QuantError as error:
            raise StrategyError(f"{calling_line()}: {error.what}", why=error.why, todo=error.todo) from None
        ticket = Ticket(market.symbol)
        self.outbox.append(PlaceOrder(order, {"strategy": self.name}, ticket))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Cancel what is left of an order; nothing happens if it has ended."""
        if not isinstance(ticket, Ticket):
            raise StrategyError(
                f"{calling_line()}: {ticket!r} is not an order of this strategy",
                todo="cancel what buy() or sell() returned",
            )
        if ticket.is_open:
            self.outbox.append(CancelOrder(ticket=ticket))

    def cancel_all(self, symbol: str | None = None) -> None:
        """Cancel every order of this strategy, of one symbol or of all."""
        self.outbox.append(CancelAll(self._named(symbol).symbol if symbol else None))

    def every(self, interval: str, name: str | None = None) -> None:
        """Call `on_timer(name)` every `interval` ("10s") from now on, or from the start; the name is the
        interval's text if not given.  Saying it again changes nothing, another interval begins anew."""
        interval_ns = duration_ns(interval)
        if interval_ns <= 0:
            raise StrategyError(f"{calling_line()}: {interval!r} is no interval", todo='write it like "10s"')
        self.outbox.append(StartTimer(name or interval, interval_ns))

    # -- what a strategy can look at -------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def now(self) -> int:
        """The present, nanoseconds UTC."""
        # Between two stops of a replay only `event` moves on; after an event of long ago, only the view.
        return max(getattr(self.event, "local_ns", 0), self._view.now_ns)

    @property
    def market(self) -> Market:
        """The only market, or the one of the event being handled."""
        if len(self.markets) == 1:
            return next(iter(self.markets.values()))
        event = self.event
        if isinstance(event, OrderEvent):
            event = event.intent.order
        symbol = getattr(event, "symbol", "")
        if symbol in self.markets:
            return self.markets[symbol]
        raise StrategyError(
            f"{calling_line()}: it is not clear which market is meant",
            why=f"{self.name} trades {len(self.markets)} markets, and no event of one is being handled",
            todo='name it: symbol="…" in orders, self.markets["…"] elsewhere',
        )

    def _named(self, symbol: str | None) -> Market:
        if symbol is None:
            return self.market
        if symbol not in self.markets:
            near = get_close_matches(symbol.upper(), self.markets, n=1, cutoff=0.5)
            raise StrategyError(
                f"{calling_line()}: {self.name} does not trade {symbol!r}",
                why="it trades " + (", ".join(self.markets) or "nothing yet"),
                todo=f'did you mean "{near[0]}"?' if near else "",
            )
        return self.markets[symbol]

    # -- what the engine uses --------------------------------------------------------------------

    def bind(self, markets: Mapping[str, Market], view: View) -> None:
        """Hand over the markets, before `setup`."""
        self.markets = markets
        self._view = view

    def hooks(self) -> dict[str, Callable[..., Any]]:
        """What the subclass defines of the hooks, `setup` and `desired`, by name."""
        return {
            name: getattr(self, name)
            for name in (*HOOKS, "setup", "desired")
            if getattr(type(self), name) is not getattr(Strategy, name)
        }

    @classmethod
    def params(cls) -> dict[str, Param[Any]]:
        """The parameters, by name, in order of declaration."""
        return dict(cls._params)

    def apply_params(self, texts: Mapping[str, str]) -> None:
        """Set parameters from text.  Raises `UsageError` for names and values that cannot be meant."""
        for name, value in parse_params(self._params, texts).items():
            setattr(self, name, value)

    def param_values(self) -> dict[str, Value]:
        """The values in use."""
        return {name: getattr(self, name) for name in self._params}


def _check_hooks(cls: type[Strategy]) -> None:
    """A hook with a typing error would silently never be called, so unknown names are refused."""
    for name, value in vars(cls).items():
        code = getattr(value, "__code__", None)
        if code is None:
            continue
        where = place(code.co_filename, code.co_firstlineno)
        if name.startswith("on_") and name not in HOOKS:
            near = get_close_matches(name, HOOKS, n=1)
            raise StrategyError(
                f"{where}: {name} is not a hook, so nothing would ever call it",
                why="hooks are " + ", ".join(HOOKS),
                todo=f"did you mean {near[0]}?" if near else "a helper needs a name without on_",
            )
        if name == "desired" and code.co_flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR):
            raise StrategyError(
                f"{where}: desired cannot be async",
                why="it is asked at every change of the market and only reads",
                todo="drop the async; fetch what it needs in on_timer",
            )
