"""A strategy that does not return is noticed, named by its line, and broken off with the orders it kept."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quantcli import Strategy, keep
from quantcli.errors import StrategyError
from quantcli.runtime.control.wire import EventList, OrderList, PositionList, Status
from quantcli.store.halt import KillLevel
from tests.control.running import RunningBot


class Hangs(Strategy):
    """Keeps two orders, and then does not return."""

    def desired(self, m):
        yield keep.bid("bid", 1.0, m.best_bid - 1, tolerance="50 ticks")
        yield keep.bid("low", 1.0, m.best_bid - 2, tolerance="50 ticks")


class Spins(Hangs):
    def on_trade(self, trade):
        while True:
            pass


class Sleeps(Hangs):
    def on_trade(self, trade):
        time.sleep(1e6)


class Waits(Hangs):
    async def on_trade(self, trade):
        await asyncio.sleep(1e6)


class Stubborn(Hangs):
    """Catches whatever it is told."""

    def on_trade(self, trade):
        ends = time.monotonic() + 2.0
        while time.monotonic() < ends:
            try:
                while True:
                    time.sleep(0.01)
            except Exception:
                continue


class AsksUs(Hangs):
    """Spends its time mostly in our code."""

    def on_trade(self, trade):
        while True:
            self.market.position  # noqa: B018


class Desires(Strategy):
    def desired(self, m):
        yield keep.bid("bid", 1.0, m.best_bid - 1, tolerance="50 ticks")
        while m.best_bid > 105:
            pass


async def outside(bot: RunningBot, question: Callable[[], Awaitable[None]] | Callable[[], None]) -> None:
    """Ask from another thread while this one, the bot's own, is stuck: it can await nothing itself."""
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            question()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    thread.join()
    if failed:
        raise failed[0]


def until_stuck(bot: RunningBot) -> Status:
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        status = bot.client.get("status", Status)
        if status.state == "stuck":
            return status
        time.sleep(0.02)
    raise AssertionError("it is not stuck")


async def resting(bot: RunningBot) -> None:
    bot.quote(100.0)
    await bot.until(lambda: bot.resting() == ["99.00", "98.00"])
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("strategy", [Spins, Sleeps, Waits, Stubborn, AsksUs], ids=lambda s: s.__name__)
async def test_a_halt_gets_through_to_a_bot_whose_strategy_hangs(
    tmp_path: Path, strategy: type[Strategy]
) -> None:
    said: list[str] = []

    async with RunningBot(tmp_path, strategy) as bot:
        await resting(bot)
        bot.trade(99.5)

        def halt() -> None:
            status = until_stuck(bot)
            assert "test_watchman.py:" in status.why
            assert len(bot.client.get("orders", OrderList).items) == 2, "what can be read is read"
            assert bot.client.get("positions", PositionList).wallet
            began = time.monotonic()
            said.append(bot.client.do("halt", level="CANCEL_ALL", reason="it hangs").what)
            assert time.monotonic() - began < 1.0

        await outside(bot, halt)
        assert bot.resting() == []
        assert bot.flag.level is KillLevel.CANCEL_ALL
        assert "2 of 2 confirmed" in said[0]
        assert "test_watchman.py:" in said[0]
        assert bot.ended is not None
        failure = await bot.ended
        assert isinstance(failure, StrategyError)
        assert f"{strategy.__name__} did not return for" in str(failure)


async def test_a_desired_that_hangs_is_broken_off_too(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Desires) as bot:
        bot.quote(100.0)
        await bot.until(lambda: bot.resting() == ["99.00"])
        bot.quote(110.0)
        await outside(bot, lambda: bot.client.do("halt", level="CANCEL_ALL", reason="it hangs"))
        assert bot.resting() == []
        assert bot.ended is not None
        assert "did not return" in str(await bot.ended)


async def test_without_any_word_a_hung_strategy_is_given_up_in_time(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Spins, patience_s=1.5) as bot:
        await resting(bot)
        bot.trade(99.5)
        assert bot.ended is not None
        async with asyncio.timeout(8):
            failure = await bot.ended
        assert "did not return for 1.5 s" in str(failure)
        assert bot.resting() == [], "what it kept is nobody's now"
        kinds = [item.kind for item in bot.bridge.notes.since(level="error")]
        assert kinds == ["stuck", "failed"]


async def test_a_halt_of_new_orders_breaks_nothing_off(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Sleeps, patience_s=3.0) as bot:
        await resting(bot)
        bot.trade(99.5)
        said: list[str] = []

        def halt() -> None:
            until_stuck(bot)
            said.append(bot.client.do("halt", level="HALT_NEW", reason="wait").what)

        await outside(bot, halt)
        assert "does not return" in said[0]
        assert bot.flag.level is KillLevel.HALT_NEW


async def test_a_slow_hook_is_not_a_hung_one(tmp_path: Path) -> None:
    class Slow(Hangs):
        def on_trade(self, trade):
            time.sleep(0.4)

    async with RunningBot(tmp_path, Slow) as bot:
        await resting(bot)
        bot.trade(99.5)
        await asyncio.sleep(0.1)
        await bot.do("pause", symbol="BTC/USDT", slot="low")
        assert bot.resting() == ["99.00"]
        events = (await bot.ask("events", EventList)).items
        assert not [item for item in events if item.kind == "stuck"]
        assert bot.ended is not None
        assert not bot.ended.done()
