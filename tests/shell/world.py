"""Engines on a virtual loop, with a store and an exchange: over a scripted core, and over the real one."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any

from quantcli.clock import NS_PER_S
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.kernel.shell import ReconciliationEngine
from quantcli.kernel.steps import Admit
from quantcli.model.account import AccountState, Position
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.order import OrderType, StandardOrder
from quantcli.ports import Approved
from tests.shell.ports import SYMBOL, Exchange, LoopStore, PlainStore, ScriptedCore
from tests.shell.virtual_loop import Choose, LoopClock, VirtualLoop


def order(quantity: str = "1", price: str = "100") -> StandardOrder:
    """A buy."""
    return StandardOrder(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal(quantity), Decimal(price))


def admit(intent_id: str) -> Admit:
    """The wish for an order, under an id."""
    return Admit(Approved(order(), {}), intent_id)


class World:
    """An engine with a scripted core on a loop; `run` runs a test in it."""

    def __init__(self, store: LoopStore | PlainStore, choose: Choose) -> None:
        self.loop = VirtualLoop(choose)
        self.clock = LoopClock(self.loop)
        self.store = store
        self.exchange = Exchange(self.store, self.clock)
        self.told: list[OrderEvent] = []
        self.renew()

    def renew(self, on_event: Callable[[OrderEvent], object] | None = None) -> None:
        """A new engine and core over the same store: memory is gone."""
        self.core = ScriptedCore()
        self.engine = ReconciliationEngine(
            self.store,
            self.exchange,
            self.clock,
            self.core,  # type: ignore[arg-type]
            on_event or self.told.append,  # type: ignore[arg-type]
        )

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a test; what must never happen did not."""

        async def to_the_end() -> Any:
            try:
                return await main
            finally:
                await self.engine.caught_up()
                await self.store.close()

        result = self.loop.run(to_the_end())
        assert self.exchange.undurable == []
        assert self.exchange.late == []
        return result


class Gate:
    """Lets every order pass."""

    def admit(self, order: StandardOrder, metadata: Mapping[str, str], **_: Any) -> Approved:
        return Approved(order, dict(metadata))


class NoAccounts:
    """Nothing is held."""

    def positions(self, symbol_id: str | None = None) -> list[Position]:
        return []

    def account_state(self) -> AccountState:
        return AccountState("test", "USDT", (), (), None, 0)


RULES = {SYMBOL: SymbolMetadata(Symbol("BTC", "USDT"), "test", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))}


class KernelWorld(World):
    """The same around a kernel."""

    policy = Policy()

    def renew(self, on_event: Callable[[OrderEvent], object] | None = None) -> None:
        self.kernel = ExchangeKernel(
            "test", self.store, self.exchange, Gate(), NoAccounts(), RULES, self.clock, self.policy
        )
        self.kernel.subscribe_events(on_event or self.told.append)  # type: ignore[arg-type]

    @property
    def engine(self) -> ReconciliationEngine:
        """The kernel's."""
        return self.kernel._running

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, running what falls due on the way."""
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        while (due_ns := self.kernel.next_due()) is not None and due_ns <= end_ns:
            await asyncio.sleep(max(due_ns - self.clock.now_ns(), 0) / NS_PER_S)
            await self.kernel.run_due()
        await asyncio.sleep(max(end_ns - self.clock.now_ns(), 0) / NS_PER_S)
