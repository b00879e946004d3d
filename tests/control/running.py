"""A bot that runs in the test's own loop, on an imagined exchange, with everything of a real one's control.

    async with RunningBot(tmp_path, Strategy) as bot: …

Prices are put by hand (`quote`); `ask` and `do` go through the bot's real socket, from another thread.
"""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

from quantcli import Strategy
from quantcli.clock import NS_PER_MS, SteadyClock
from quantcli.config import LimitsConfig
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import Halted
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Ticker, Trade
from quantcli.runtime.control.bridge import About, Bridge
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.plane import ControlPlane
from quantcli.runtime.control.seating import seat
from quantcli.runtime.control.wire import Done, OrderItem, OrderList, Status
from quantcli.runtime.realtime import Ending, RealTime
from quantcli.runtime.session import SETTLE_S, opened, run_strategy
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, imagine, join, open_books
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel
from quantcli.store.halt import HaltFlag
from quantcli.venues.inbox import Inbox

BTC = "BTC/USDT"
RULES = SymbolMetadata(Symbol("BTC", "USDT"), "binance", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))
T = TypeVar("T")


class RunningBot:
    """One bot called `bot`; `patience_s` is how long its hooks may take."""

    def __init__(self, folder: Path, strategy: type[Strategy], patience_s: float = 10.0) -> None:
        self.folder, self.clock = folder, SteadyClock()
        self.flag = HaltFlag(folder / "bot.halt")
        about = About(
            "bot",
            "binance",
            "",
            "PAPER",
            strategy.__name__,
            (BTC,),
            self.clock.now_ns(),
            home=str(Path(__file__).parent),
        )
        self.bridge = Bridge(about, self.clock)
        self._strategy, self._patience_s = strategy, patience_s
        self._stack = AsyncExitStack()
        self._updates = 0
        self.ended: asyncio.Task[BaseException | None] | None = None

    async def __aenter__(self) -> Self:
        stack = self._stack
        # The name of a socket may not be long.
        near = stack.enter_context(tempfile.TemporaryDirectory(prefix="q"))
        self.path = Path(near) / "bot.sock"
        self.plane = ControlPlane(self.bridge, self.path, self.folder / "bot.halt")
        self.plane.watchman._patience_s = self._patience_s
        stack.enter_context(self.plane)
        self.client = Client(self.path, "bot")
        self.store = await stack.enter_async_context(opened(self.folder / "bot.db"))
        self._open()
        await self.desk.kernel.start((BTC,), Halted(self.flag.level))
        self.ended = asyncio.create_task(self._run())
        await asyncio.sleep(0)
        return self

    def _open(self) -> None:
        view, markets = LiveView(self.clock.now_ns), {BTC: RULES}
        free = Fees(Decimal(0), Decimal(0))
        assumed = Assumptions(
            "USDT", Decimal(100_000), free, Latency(NS_PER_MS), QueueModel.OPTIMISTIC, seed=0
        )
        books = open_books("binance", "USDT", {"USDT": assumed.cash}, markets, self.clock, view)
        self.exchange = imagine(books, markets, assumed, self.clock)
        self.inbox = Inbox()
        self.desk = join(
            self._strategy(),
            markets,
            books,
            self.exchange,
            LimitsConfig(),
            self.store,
            self.flag,
            self.clock,
            view,
        )
        self.stage = Stage(self.desk.engine, view, {BTC}, ())
        words = self.bridge.words
        self.time = RealTime(self.stage, self.inbox, self.clock, self.bridge.remark, self.exchange, words)
        self.ending = Ending(None, self.inbox)
        self.bridge.stop = self.ending.stop
        seat(self.bridge, self.desk, self.stage, view, self.flag, self.folder / "bot.db", Policy())

    async def _run(self) -> BaseException | None:
        self.bridge.enter(self.inbox.wake)
        self.bridge.state = "trading"
        try:
            failure = await run_strategy(self.desk, lambda: self.time.run(self.ending), True)
            if failure is not None:
                self.bridge.fail(failure)
            await self.time.settle(Ending(SETTLE_S, self.inbox))
            return failure
        finally:
            self.bridge.leave()

    async def __aexit__(self, *error: object) -> None:
        self.ending.stop()
        if self.ended is not None:
            await asyncio.wait((self.ended,))
        await self.desk.kernel.stop()
        await self._stack.aclose()

    # The market.

    def quote(self, bid: float) -> None:
        self._updates += 1
        now_ns = self.clock.now_ns()
        self.inbox.put(Ticker(BTC, now_ns, now_ns, self._updates, bid, 5.0, bid + 0.1, 5.0, self._updates))

    def trade(self, price: float) -> None:
        self._updates += 1
        now_ns = self.clock.now_ns()
        self.inbox.put(Trade(BTC, now_ns, now_ns, self._updates, price, 1.0, 1, self._updates))

    # Its socket.

    async def ask(self, what: str, kind: type[T], **query: Any) -> T:
        return await asyncio.to_thread(lambda: self.client.get(what, kind, **query))

    async def do(self, verb: str, request_id: str = "", **words: str) -> Done:
        return await asyncio.to_thread(lambda: self.client.do(verb, request_id, **words))

    async def status(self) -> Status:
        return await self.ask("status", Status)

    async def orders(self) -> tuple[OrderItem, ...]:
        return (await self.ask("orders", OrderList)).items

    async def until(self, is_so: Callable[[], bool], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def resting(self) -> list[str]:
        """Prices of what rests on the exchange."""
        return [str(order.price) for order in self.exchange.open_orders()]
