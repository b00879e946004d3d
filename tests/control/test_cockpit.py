"""What is seen of a running bot, and what can be done to it, over its own socket."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from quantcli import Strategy, keep
from quantcli.errors import RemoteError
from quantcli.runtime.control.wire import BookView, EventList, FillList, OrderList, PositionList, Story
from quantcli.store.halt import KillLevel
from tests.control.running import BTC, RunningBot


class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", 1.0, m.best_bid - 1, tolerance="50 ticks", cooldown="60s")
        yield keep.bid("low", 1.0, m.best_bid - 2, tolerance="50 ticks", cooldown="60s")
        if m.position > 0:
            yield keep.ask("ask", 1.0, m.best_ask + 3, tolerance="50 ticks", cooldown="60s")


async def trading(bot: RunningBot) -> None:
    bot.quote(100.0)
    await bot.until(lambda: bot.resting() == ["99.00", "98.00"])
    await asyncio.sleep(0.05)


async def test_status_and_orders_of_a_running_bot(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        status = await bot.status()
        assert (status.state, status.open_orders, status.marks) == ("trading", 2, {"=": 2})
        assert status.equity == status.start_equity == 100_000
        assert status.exposure == 0
        rows = await bot.orders()
        assert [(row.slot, row.price, row.mark) for row in rows] == [
            ("bid", Decimal("99.00"), "="),
            ("low", Decimal("98.00"), "="),
        ]
        story = await bot.ask(f"orders/{rows[0].intent_id}", Story)
        assert story.means == "working on the exchange"
        assert [each.what for each in story.journal][:2] == ["wished", "placed"]


async def test_a_fill_shows_in_positions_wallet_fills_events_and_the_book(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        bot.trade(98.5)
        await bot.until(lambda: bot.desk.portfolio.qty(BTC) == 1)
        found = await bot.ask("positions", PositionList)
        assert [(each.symbol, each.side, each.qty) for each in found.items] == [(BTC, "long", 1)]
        await bot.until(lambda: "103.10" in bot.resting())
        wallet = {each.asset: each for each in (await bot.ask("positions", PositionList)).wallet}
        assert (wallet["BTC"].total, wallet["BTC"].locked) == (1, 1)
        assert wallet["USDT"].locked == Decimal("98.00")
        fills = await bot.ask("fills", FillList, limit=5)
        assert (fills.total, fills.items[0].price) == (1, Decimal("99.00"))
        events = (await bot.ask("events", EventList)).items
        assert "filled" in [event.kind for event in events]
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        later = await bot.ask("events", EventList, after=events[-2].number)
        assert [event.number for event in later.items] == [events[-1].number]
        book = await bot.ask("book", BookView, symbol=BTC)
        assert (book.bids[0], book.prints[0].price) == ((100.0, 5.0), 98.5)


async def test_a_cancelled_order_pauses_its_slot_until_it_is_let_go_on(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        (bid, _) = await bot.orders()
        done = await bot.do("cancel", order=bid.intent_id)
        assert "slot bid is paused; 1 of 1 confirmed" in done.what
        bot.quote(100.1)
        await asyncio.sleep(0.05)
        assert bot.resting() == ["98.00"]
        paused = {row.slot: row for row in await bot.orders()}["bid"]
        assert paused.slot_status == "paused: cancelled by the operator"
        await bot.do("unpause", symbol=BTC, slot="bid")
        await bot.until(lambda: len(bot.resting()) == 2)
        assert {row.slot: row.slot_status for row in await bot.orders()} == {"low": "", "bid": ""}


async def test_an_order_cancelled_on_the_exchange_pauses_its_slot_too(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        slot = bot.desk.engine.slots[BTC]
        await bot.do("pause", symbol=BTC, slot="low")
        await bot.until(lambda: bot.resting() == ["99.00"])
        assert slot.status()["low"] == "paused: by the operator"
        await bot.do("pause", symbol=BTC, slot="")
        await bot.until(lambda: bot.resting() == [])
        await bot.do("unpause", symbol=BTC)
        await bot.until(lambda: len(bot.resting()) == 2)


async def test_a_word_sent_twice_is_done_once(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        first = await bot.do("pause", "the-same", symbol=BTC, slot="bid")
        await bot.do("unpause", symbol=BTC, slot="bid")
        assert await bot.do("pause", "the-same", symbol=BTC, slot="bid") == first
        await bot.until(lambda: len(bot.resting()) == 2)


async def test_a_halt_acts_at_once_survives_and_is_lifted(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        bot.trade(98.5)
        await bot.until(lambda: bot.desk.portfolio.qty(BTC) == 1)
        await bot.until(lambda: bot.resting() == ["98.00", "103.10"])
        began_ns = bot.clock.now_ns()
        done = await bot.do("halt", level="CANCEL_ALL", reason="enough")
        assert "halted; 2 orders to cancel; 2 of 2 confirmed" in done.what
        assert bot.clock.now_ns() - began_ns < 500_000_000
        assert (bot.flag.level, bot.flag.reason) == (KillLevel.CANCEL_ALL, "enough")
        bot.quote(100.2)
        await asyncio.sleep(0.05)
        assert bot.resting() == [], "not even what would reduce the position"
        assert (await bot.status()).halt_level == "CANCEL_ALL"
        await bot.do("resume")
        await bot.until(lambda: len(bot.resting()) == 2)
        assert bot.flag.level is KillLevel.NONE


async def test_halting_new_orders_leaves_what_rests(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        done = await bot.do("halt", level="HALT_NEW", reason="look")
        assert "2 orders rest as they are" in done.what
        assert bot.resting() == ["99.00", "98.00"]


async def test_flattening_a_market_closes_what_the_bot_holds_there(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        bot.trade(98.5)
        await bot.until(lambda: bot.desk.portfolio.qty(BTC) == 1)
        done = await bot.do("flatten", symbol=BTC)
        assert "sell 1 BTC/USDT at the market" in done.what
        assert bot.desk.portfolio.qty(BTC) == 0
        bot.quote(100.3)
        await asyncio.sleep(0.05)
        assert bot.resting() == []


async def test_stopping_withdraws_and_ends(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        await bot.do("stop")
        assert bot.ended is not None
        async with asyncio.timeout(5):
            assert await bot.ended is None
        assert bot.resting() == []


@pytest.mark.parametrize(
    ("verb", "words", "code", "told"),
    [
        ("cancel", {"order": "nothing"}, 7, "no open order is called 'nothing'"),
        ("cancel", {}, 2, "order is missing"),
        ("pause", {"symbol": "ETH/USDT"}, 7, "does not trade 'ETH/USDT'"),
        ("pause", {"symbol": BTC, "slot": "none"}, 7, "there is no slot 'none'"),
        ("halt", {"level": "PANIC"}, 2, "'PANIC' is no level"),
        ("dance", {}, 2, "'dance' cannot be done"),
        ("accept_drift", {"symbol": BTC, "reason": "so"}, 1, "has no drift"),
        ("declare_dead", {"order": "x", "reason": "so"}, 1, "no order x"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_said(
    tmp_path: Path, verb: str, words: dict[str, str], code: int, told: str
) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        with pytest.raises(RemoteError) as refused:
            await bot.do(verb, **words)
        assert refused.value.exit_code == code
        assert told in refused.value.what


async def test_settled_orders_are_read_from_the_database(tmp_path: Path) -> None:
    async with RunningBot(tmp_path, Maker) as bot:
        await trading(bot)
        bot.trade(98.5)
        await bot.until(lambda: bot.desk.portfolio.qty(BTC) == 1)
        await bot.until(lambda: "103.10" in bot.resting())
        every = (await bot.ask("orders", OrderList, all=1)).items
        assert [(row.slot, row.phase) for row in every] == [
            ("bid", "SATISFIED"),
            ("low", "ACTIVE"),
            ("ask", "ACTIVE"),
        ]
        story = await bot.ask(f"orders/{every[0].intent_id[-6:]}", Story)
        assert story.order.phase == "SATISFIED"
        assert len(story.fills) == 1
