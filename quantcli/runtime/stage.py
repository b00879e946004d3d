"""What the strategy's side of a run does with what arrives: market events, reports, moments due.

One thing at a time, each to its end.  Who passes time (`live` at a pace, `realtime` as it comes) hands it
things in their order; where they come from, and whether the exchange is real, is not known here.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from quantcli.bus import Topic
from quantcli.kernel.api import ExchangeKernel
from quantcli.model.event import market_topic
from quantcli.model.market import EVENT_TYPES, AggTrade, Bar, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.model.message import Report
from quantcli.runtime.view import LiveView
from quantcli.trading.engine import Engine
from quantcli.trading.market import Reads
from quantcli.trading.prices import tell_quote

if TYPE_CHECKING:
    from quantcli.runtime.control.gauges import Gauges

_CHANNEL_OF = {kind: channel for channel, kind in EVENT_TYPES.items()}
_HOOK_OF: dict[type, str] = {
    Ticker: "on_tick",
    Trade: "on_trade",
    AggTrade: "on_trade",
    BookUpdate: "on_book",
}


class _Trading(Protocol):
    """Who hears of reports, of moments due, and of prices that orders follow."""

    def next_due(self) -> int | None: ...
    async def due(self) -> None: ...
    async def take(self, reports: Iterable[Report]) -> None: ...
    async def quote(self, quote: Ticker) -> None: ...


class _Closing:
    """The kernel alone: orders are followed to their end, and no hook of the strategy runs."""

    def __init__(self, kernel: ExchangeKernel) -> None:
        self.next_due = kernel.next_due
        self.due = kernel.run_due
        self._observe = kernel.observe
        self._kernel = kernel

    async def quote(self, quote: Ticker) -> None:
        await tell_quote(self._kernel, quote)

    async def take(self, reports: Iterable[Report]) -> None:
        for report in reports:
            await self._observe(report)


class Stage:
    """One strategy and what it looks at.  `events` counts what it was shown; `gauges`, if there are any, are
    told of what is seen.

    `printed` are the markets whose trades come one by one: elsewhere aggregated trades stand in for
    them, and `barred` are those that have neither, whose bars come ready made.
    """

    def __init__(
        self, engine: Engine, view: LiveView, printed: Collection[str], barred: Collection[str]
    ) -> None:
        self.events = 0
        self.gauges: Gauges | None = None
        self.kernel = engine.kernel
        self._engine = engine
        self._view = view
        self._printed = printed
        self._barred = barred
        self._trading: _Trading = engine
        self._topics: dict[tuple[type[MarketEvent], str], Topic] = {}

    def close(self) -> None:
        """From here on the strategy is shown nothing; its orders are followed to their end."""
        self._trading = _Closing(self.kernel)

    @property
    def is_closed(self) -> bool:
        """The strategy is shown nothing any more."""
        return self._trading is not self._engine

    @property
    def is_settled(self) -> bool:
        """Whether the exchange has answered everything that was asked."""
        return not self.kernel.get_reconciliation_metrics().pending_reconciliations

    def next_due(self) -> int | None:
        """When something is to be done without anything arriving."""
        return self._trading.next_due()

    async def due(self) -> None:
        """Do what is due."""
        await self._trading.due()

    async def hear(self, reports: Iterable[Report]) -> None:
        """Take reports of the exchange."""
        await self._trading.take(reports)

    async def see(self, event: MarketEvent) -> None:
        """Take a market event: remember it, publish it, show it to the strategy and to orders that follow."""
        if self.gauges is not None:
            self.gauges.market(event)
        changed = self._view.take(event)
        if not isinstance(event, Bar):  # the engine publishes the bars that count
            self._topic_of(event).publish(event)
        if self._trading is self._engine:
            self.events += 1
            await self._show(event, changed)
        if isinstance(event, Ticker) and changed & Reads.PRICE and self.kernel.follows(event.symbol):
            await self._trading.quote(event)
        if self.gauges is not None:
            self.gauges.handled()

    async def lose_sight(self) -> None:
        """The market cannot be seen any more: withdraw what slots keep, wish nothing until the next quote."""
        self._view.forget()
        if self._trading is self._engine:
            for slots in self._engine.slots.values():
                self._engine.strategy.outbox.extend(slots.withdraw())
            await self._engine.flush()

    def _topic_of(self, event: MarketEvent) -> Topic:
        key = type(event), event.symbol
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = self._engine.bus.topic(market_topic(_CHANNEL_OF[key[0]], key[1]))
        return topic

    async def _show(self, event: MarketEvent, changed: int) -> None:
        """Let the strategy see an event, and carry out what it wishes then."""
        engine = self._engine
        is_repeated = isinstance(event, AggTrade) and event.symbol in self._printed
        hook = None if is_repeated else _HOOK_OF.get(type(event))
        if isinstance(event, Trade | AggTrade) and not is_repeated and event.symbol in engine.bars:
            engine.bars[event.symbol].add(event.price, event.size, event.local_ns)
        is_shown = hook is not None and hook in engine.hooks
        if is_shown:
            await self._call(str(hook), event)
        elif self._is_bar(event):
            await engine.take_bar(event)  # type: ignore[arg-type]
            is_shown = True
        if is_shown:
            for symbol in engine.markets:
                engine.evaluate(symbol)  # what a hook remembers may change the wish for every market
        elif engine.markets[event.symbol].minds(changed):
            engine.evaluate(event.symbol)
        if engine.is_restless:
            await engine.flush()

    def _is_bar(self, event: MarketEvent) -> bool:
        return (
            isinstance(event, Bar)
            and event.is_closed
            and event.interval_ns == self._engine.bar_ns
            and event.symbol in self._barred
        )

    async def _call(self, hook: str, event: MarketEvent) -> None:
        argument: Any = self._view.book(event.symbol) if isinstance(event, BookUpdate) else event
        if argument is not None:
            self._engine.strategy.event = event
            await self._engine.call(hook, argument)
