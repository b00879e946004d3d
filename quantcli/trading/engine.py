"""What one event causes, in a fixed order: the one file that says so.

    market data   -> the strategy's hook, or `desired` when something it read has changed
    what it says  -> commands -> risk -> kernel (commits, then sends)
    a report      -> kernel -> order events -> portfolio -> bus -> slots and tickets -> on_order, on_fill
    a moment due  -> kernel look-ups, bars, timers, slots that waited

The engine is driven: something else passes time and hands it events (`runtime.replay` jumps,
`runtime.live` waits).  It does not know which, nor whether the exchange is real.
"""

import inspect
from asyncio import CancelledError
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from quantcli.bus import Bus
from quantcli.clock import Clock
from quantcli.errors import NotFoundError, QuantError, RiskRefused, StrategyError, ValidationError
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.steps import Halted
from quantcli.model.event import OrderEvent, PortfolioValue, RiskLimit, market_topic
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import Bar, Channel, Ticker
from quantcli.model.message import Report
from quantcli.model.order import StandardOrder
from quantcli.store.halt import KillLevel
from quantcli.trading.bars import BarBuilder, parse_interval
from quantcli.trading.loader import strategy_error
from quantcli.trading.market import Market, View
from quantcli.trading.overdue import Overdue, entrance, overdue_error
from quantcli.trading.portfolio import Portfolio
from quantcli.trading.prices import tell_quote
from quantcli.trading.quotes import Slots
from quantcli.trading.strategy import Strategy
from quantcli.trading.timers import Timers
from quantcli.trading.watch import Watch
from quantcli.trading.wishes import (
    CancelAll,
    CancelOrder,
    Command,
    ModifyOrder,
    PlaceGroup,
    PlaceOrder,
    StartTimer,
    Ticket,
)

# A strategy that answers every event of its own making with another order would never let time pass.
_ANSWERS_MAX = 1_000


class Engine:
    """Strategy, portfolio and kernel, joined.

    `instruments`, `markets` and `slots` are keyed by symbol; `refusals` counts what never reached the
    exchange, by reason.
    """

    def __init__(
        self,
        kernel: ExchangeKernel,
        strategy: Strategy,
        instruments: Mapping[str, SymbolMetadata],
        portfolio: Portfolio,
        view: View,
        clock: Clock,
        bus: Bus,
        watch: Watch | None = None,
    ) -> None:
        self.kernel = kernel
        self.strategy = strategy
        self.portfolio = portfolio
        self.view = view
        self.bus = bus
        self.instruments = instruments
        self.markets = {name: Market(meta, view) for name, meta in instruments.items()}
        self.slots = {name: Slots(meta, strategy.name) for name, meta in instruments.items()}
        self.hooks = strategy.hooks()
        self.bar_ns = parse_interval(strategy.bars) if strategy.bars else 0
        self.bars = {s: BarBuilder(s, self.bar_ns) for s in self.markets} if self.bar_ns else {}
        self.refusals: dict[str, int] = {}
        self._clock = clock
        self._watch = watch
        self._value = bus.topic("portfolio.value")
        self._pending: deque[OrderEvent] = deque()
        self._tickets: WeakValueDictionary[str, Ticket] = WeakValueDictionary()  # as long as the author cares
        self._dirty: dict[str, None] = {}
        self._timers = Timers()
        self._bar_due: int | None = None
        self._desires = "desired" in self.hooks
        kernel.subscribe_events(self._on_order_event)

    # -- starting and stopping -------------------------------------------------------------------

    async def start(self) -> None:
        """Bind the strategy to its markets, let it set up, and run `on_start`."""
        now = self._clock.now_ns()
        self.strategy.bind(self.markets, self.view)
        for market in self.markets.values():
            await self.call("setup", market)
        await self._adopt()
        for slots in self.slots.values():
            slots.is_still = self._watch is not None and self._watch.is_still
        if self.bar_ns:
            self._bar_due = now - now % self.bar_ns + self.bar_ns
        await self.call("on_start")
        self.wake()
        await self.flush()

    async def _adopt(self) -> None:
        """Give slots back the orders they had when the program stopped; cancel those that nobody can wish
        for any more.  What guards a position stays."""
        for item in self.kernel.working():
            intent = await self.kernel.get_order_intent(item.intent_id)
            if "slot" not in intent.metadata:
                continue
            if self._desires and intent.order.symbol in self.slots:
                state = None
                with suppress(NotFoundError):  # nothing was placed for it yet
                    state = await self.kernel.get_order_state(item.intent_id)
                self.slots[intent.order.symbol].adopt(intent, state, item.filled)
            elif not intent.protective:
                await self.kernel.cancel_order(item.intent_id, "no longer wished for")

    async def stop(self, cancel_kept: bool) -> None:
        """Run `on_stop`; withdraw what slots keep resting if `cancel_kept`."""
        await self.call("on_stop")
        if cancel_kept:
            for slots in self.slots.values():
                self.strategy.outbox.extend(slots.withdraw())
        self._desires = False
        await self.flush()

    @property
    def is_restless(self) -> bool:
        """Something waits to be carried out or told: `flush` is to be called."""
        return bool(self.strategy.outbox or self._pending or self._dirty)

    # -- time ------------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """The earliest time at which something is to be done without a new event."""
        due = self.kernel.next_due()
        due = _earlier(due, self._timers.next_due())
        if self._watch is not None:
            due = _earlier(due, self._watch.due_ns)
        if self._bar_due is not None:
            # A bar holds what came before its boundary, so it closes one nanosecond earlier.
            due = _earlier(due, self._bar_due - 1)
        if self._desires:
            for slots in self.slots.values():
                due = _earlier(due, slots.next_due())
        return due

    async def due(self) -> None:
        """Do everything whose time has come."""
        now = self._clock.now_ns()
        if self._watch is not None and self._watch.due_ns <= now:
            await self.heed()
        while self._bar_due is not None and self._bar_due - 1 <= now:
            await self._close_bars(self._bar_due)
            self._bar_due += self.bar_ns
        for name in self._timers.ring(now):
            self.strategy.event = None
            await self.call("on_timer", name)
            self.wake()
        for symbol, slots in self.slots.items():
            if (at_ := slots.next_due()) is not None and at_ <= now:
                self._dirty[symbol] = None
        await self.kernel.run_due()
        await self.flush()

    async def heed(self) -> None:
        """Tell the kernel where the kill switch stands, if it was moved."""
        level = None if self._watch is None else self._watch.look(self._clock.now_ns())
        if self._watch is None or level is None:
            return
        for slots in self.slots.values():
            slots.is_still = self._watch.is_still
            if level >= KillLevel.CANCEL_ALL:
                slots.withdraw()  # they know that it was asked for; all cancels go out as one step
        await self.kernel.halt(Halted(level), self._watch.reason)

    async def _close_bars(self, boundary_ns: int) -> None:
        for builder in self.bars.values():
            bar = builder.close(boundary_ns)
            if bar is not None:
                await self.take_bar(bar)

    async def take_bar(self, bar: Bar) -> None:
        """Feed a closed bar to indicators and to `on_bar`."""
        self.bus.publish(market_topic(Channel.BARS, bar.symbol), bar)
        market = self.markets[bar.symbol]
        market.on_bar(bar)
        if market.ready:
            self.strategy.event = bar
            await self.call("on_bar", bar)
        self._dirty[bar.symbol] = None

    # -- events ----------------------------------------------------------------------------------

    async def take(self, reports: Iterable[Report]) -> None:
        """Fold an exchange's reports and carry out what follows from them."""
        for report in reports:
            await self.kernel.observe(report)
        await self.flush()

    async def quote(self, quote: Ticker) -> None:
        """Tell the kernel new best prices of a market that it follows (`kernel.follows`)."""
        await tell_quote(self.kernel, quote)
        await self.flush()

    @entrance
    def evaluate(self, symbol: str) -> None:
        """Ask the strategy what it desires for a market; commands go to its outbox."""
        market = self.markets[symbol]
        quote = self.view.quote(symbol)
        if not self._desires or quote is None or not market.ready:
            return
        try:
            wishes: Any = self.strategy.desired(market)
            commands = self.slots[symbol].converge(
                wishes, quote.bid, quote.ask, self.view.position(symbol), self._clock.now_ns()
            )
        except QuantError:
            raise
        except Overdue as error:
            raise overdue_error(error) from None
        except Exception as error:  # user code may raise anything; it is answered with file and line
            raise strategy_error(error, self.strategy) from error
        if commands:
            self.strategy.outbox.extend(commands)

    async def flush(self) -> None:
        """Carry out commands and tell the strategy what came of them, until nothing is left to do."""
        outbox, pending = self.strategy.outbox, self._pending
        answers = untold = 0  # what is told now may be answered with orders, of which there is more to tell
        while answers <= _ANSWERS_MAX:
            if outbox:
                commands = outbox[:]
                outbox.clear()
                for command in commands:
                    await self._carry_out(command)
            elif pending:
                if not untold:
                    untold = len(pending)
                    answers += 1
                untold -= 1
                await self._tell(pending.popleft())
            elif self._dirty:
                symbol = next(iter(self._dirty))
                del self._dirty[symbol]
                self.evaluate(symbol)
            else:
                return
        raise StrategyError(
            f"{self.strategy.name} answered its own orders with orders {_ANSWERS_MAX:,} times at one instant",
            why="each order event made it place another order, so time could not pass",
            todo="place orders from market data or timers, or remember in on_order what was done already",
        )

    async def _carry_out(self, command: Command) -> None:
        match command:
            case PlaceOrder():
                await self._place(command)
            case PlaceGroup():
                await self._place_group(command)
            case ModifyOrder(intent_id, order):
                await self._modify(intent_id, order)
            case CancelOrder(intent_id, ticket):
                target = ticket.intent_id if ticket else intent_id
                if target and not (ticket and not ticket.is_open):
                    with suppress(NotFoundError):  # settled in the meantime
                        await self.kernel.cancel_order(target)
            case CancelAll(symbol):
                await self._withdraw(self.slots if symbol is None else (symbol,))
                await self.kernel.cancel_all_orders(symbol)
            case StartTimer(name, every_ns):
                self._timers.start(name, every_ns, self._clock.now_ns())

    async def _withdraw(self, symbols: Iterable[str]) -> None:
        """Cancel what slots keep; they know then that it was asked for, and by no stranger."""
        for symbol in symbols:
            for cancel in self.slots[symbol].withdraw():
                await self._carry_out(cancel)

    async def _modify(self, intent_id: str, order: StandardOrder) -> None:
        intent = await self.kernel.get_order_intent(intent_id)
        if not intent.phase.is_wanted:
            return  # it has ended, or is to end, since the command was given: its slot hears of that
        try:
            await self.kernel.modify_order(intent_id, order)
        except ValidationError as error:
            self._refused(error, order.symbol)
            self.slots[order.symbol].modify_refused(intent_id, str(error), self._clock.now_ns())

    async def _place(self, command: PlaceOrder) -> None:
        symbol = command.order.symbol
        try:
            intent_id = await self.kernel.place_order(command.order, command.metadata)
        except ValidationError as error:
            self._refused(error, symbol)
            if command.ticket:
                command.ticket.refused = str(error)
                command.ticket.is_open = False
            else:
                self.slots[symbol].refused(command.slot, str(error), self._clock.now_ns())
            return
        if command.ticket:
            command.ticket.intent_id = intent_id
            self._tickets[intent_id] = command.ticket
        else:
            self.slots[symbol].placed(command.slot, intent_id)

    async def _place_group(self, command: PlaceGroup) -> None:
        symbol = command.group.orders[0].symbol
        try:
            intent_ids = await self.kernel.place_order_group(command.group, command.metadata)
        except ValidationError as error:
            self._refused(error, symbol)
            self.slots[symbol].refused(command.slot, str(error), self._clock.now_ns())
            return
        self.slots[symbol].placed_bracket(command.slot, intent_ids, command.group)

    def _refused(self, error: ValidationError, symbol: str) -> None:
        check = error.check if isinstance(error, RiskRefused) else "validity"
        self.refusals[check] = self.refusals.get(check, 0) + 1
        event = RiskLimit(self._clock.now_ns(), check, symbol, str(error))
        self.bus.publish(event.topic, event)

    def _on_order_event(self, event: OrderEvent) -> None:
        moved = None
        if event.intent.order.symbol in self.markets:  # else somebody trades there on this account
            self._pending.append(event)
            if event.fill is not None:
                moved = self.portfolio.apply(event.fill)
        self.bus.publish(event.topic, event)
        if moved is None:
            return
        self.bus.publish(moved.topic, moved)
        if self._value.handlers and (worth := self.portfolio.equity()) is not None:
            value = PortfolioValue(self._clock.now_ns(), self.portfolio.currency, worth)
            self._value.publish(value)

    async def _tell(self, event: OrderEvent) -> None:
        intent = event.intent
        ticket = self._tickets.get(intent.intent_id)
        if ticket is not None:
            if event.fill is not None:
                ticket.filled += float(event.fill.qty)
            if intent.phase.is_terminal:
                ticket.is_open = False
        if "slot" in intent.metadata:
            self.slots[intent.order.symbol].on_order(event)
        elif event.fill is not None and not event.fill.intent_id:
            self.slots[intent.order.symbol].somebody_traded()
        self._dirty[intent.order.symbol] = None
        self.strategy.event = event
        if event.fill is not None:
            await self.call("on_fill", event.fill)
        await self.call("on_order", event)

    # -- the strategy's code ---------------------------------------------------------------------

    @entrance
    async def call(self, hook: str, *args: Any) -> None:
        """Run a hook, if the strategy has it; what it raises names the user's file and line."""
        function = self.hooks.get(hook)
        if function is None:
            return
        try:
            result = function(*args)
            if inspect.isawaitable(result):
                await result
        except QuantError:
            raise
        except (Overdue, CancelledError) as error:
            raise overdue_error(error) from None
        except Exception as error:  # user code may raise anything; it is answered with file and line
            raise strategy_error(error, self.strategy) from error

    def wake(self) -> None:
        """Have every market's wish asked for again, at the next `flush`."""
        self._dirty.update(dict.fromkeys(self.markets))


def _earlier(a: int | None, b: int | None) -> int | None:
    if a is None or (b is not None and b < a):
        return b
    return a
