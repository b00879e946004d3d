"""What arrives is handled as it comes; out of sight is no market; stopping follows orders to the end."""

import asyncio
from decimal import Decimal

from quantcli import Strategy, keep
from quantcli.clock import NS_PER_MS, SteadyClock
from quantcli.config import LimitsConfig
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Ticker
from quantcli.model.order import OrderStatus
from quantcli.runtime.realtime import Ending, RealTime
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, imagine, join, open_books, seeded_identity
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore
from quantcli.venues.inbox import Blind, Gap, Inbox, Notice

BTC = "BTC/USDT"
RULES = SymbolMetadata(Symbol("BTC", "USDT"), "binance", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))
FREE = Fees(Decimal(0), Decimal(0))


class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", 1.0, m.best_bid - 1, tolerance="50 ticks")


class Setting:
    """A maker on an imagined exchange, and an inbox to put things into."""

    def __init__(self) -> None:
        self.clock, self.inbox, self.notices = SteadyClock(), Inbox(), list[Notice]()
        view, markets = LiveView(self.clock.now_ns), {BTC: RULES}
        assumed = Assumptions(
            "USDT", Decimal(100_000), FREE, Latency(NS_PER_MS), QueueModel.OPTIMISTIC, seed=0
        )
        cash = {"USDT": assumed.cash}
        books = open_books("binance", "USDT", cash, markets, self.clock, view)
        self.exchange = imagine(books, markets, assumed, self.clock)
        store, halt = MemoryStore(seeded_identity(0)), HaltFlag(None)
        self.desk = join(
            Maker(), markets, books, self.exchange, LimitsConfig(), store, halt, self.clock, view
        )
        self.stage = Stage(self.desk.engine, view, {BTC}, ())
        self.time = RealTime(self.stage, self.inbox, self.clock, self.notices.append, self.exchange)
        self.updates = 0

    async def __aenter__(self) -> "Setting":
        await self.desk.kernel.start()
        await self.desk.engine.start()
        self.ending = Ending(20, self.inbox)
        self.going = asyncio.create_task(self.time.run(self.ending))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ending.stop()
        await self.going
        await self.desk.kernel.stop()

    def quote(self, bid: float) -> None:
        self.updates += 1
        now_ns = self.clock.now_ns()
        self.inbox.put(Ticker(BTC, now_ns, now_ns, self.updates, bid, 5.0, bid + 0.1, 5.0, self.updates))

    async def until_working(self, *prices: str) -> None:
        async with asyncio.timeout(5):
            while [str(order.price) for order in self.exchange.open_orders()] != list(prices):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_what_arrives_leads_to_orders_and_reports_come_back() -> None:
    async with Setting() as setting:
        setting.quote(100.0)
        await setting.until_working("99.00")
        (state,) = await setting.desk.kernel.get_all_orders()
        async with asyncio.timeout(5):
            while state.status is not OrderStatus.NEW:
                await asyncio.sleep(0.005)
                (state,) = await setting.desk.kernel.get_all_orders()


async def test_out_of_sight_nothing_rests_and_the_next_quote_brings_it_back() -> None:
    """M2: a price that was seen before the silence is no price to rest on."""
    async with Setting() as setting:
        setting.quote(100.0)
        await setting.until_working("99.00")
        setting.inbox.put(Blind("the connection is gone"))
        await setting.until_working()
        assert [(notice.kind, notice.message) for notice in setting.notices] == [
            ("stale", "the connection is gone")
        ]
        await asyncio.sleep(0.05)
        assert setting.exchange.open_orders() == []
        setting.quote(120.0)
        await setting.until_working("119.00")


async def test_a_hole_in_the_market_data_is_counted_and_told() -> None:
    async with Setting() as setting:
        setting.inbox.put(Gap(BTC, "trades", 1, "sequence", "3 missing"))
        async with asyncio.timeout(5):
            while not setting.notices:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    assert setting.time.gaps == 1
    assert setting.notices[0].message == "BTC/USDT trades: sequence 3 missing"


async def test_settling_waits_for_the_exchange_and_shows_the_strategy_nothing() -> None:
    async with Setting() as setting:
        setting.quote(100.0)
        await setting.until_working("99.00")
        setting.ending.stop()
        await setting.going
        await setting.desk.engine.stop(cancel_kept=True)
        setting.quote(200.0)
        assert await setting.time.settle(Ending(5, setting.inbox))
        assert setting.exchange.open_orders() == []
        assert setting.desk.kernel.working() == []
        assert setting.stage.events == 1


async def test_a_stop_ends_a_wait_at_once() -> None:
    setting = Setting()
    ending = Ending(None, setting.inbox)
    waiting = asyncio.create_task(setting.inbox.wait(30))
    await asyncio.sleep(0)
    ending.stop()
    async with asyncio.timeout(1):
        assert await waiting is False
    assert ending.left_s == 0
