"""Where market events come from: recordings played at a speed, and the synthetic walk."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from quantcli.clock import VirtualClock
from quantcli.codecs.depth import DepthSync
from quantcli.errors import NotFoundError, ValidationError
from quantcli.model.market import BookUpdate, MarketEvent, Ticker, Trade
from quantcli.recording.reader import Recording, open_recording
from quantcli.recording.writer import Writer
from quantcli.sandbox.feed import RecordedFeed
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.synthetic import START_PRICES, SyntheticFeed, synthetic_instruments
from tests.sandbox.market_events import BTC, ETH, MINUTE, NOON, SECOND, diff, meta, quote, snapshot, trade

MS = 1_000_000


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Recording]:
    """A recording of events, in this order."""

    def make(*rows: MarketEvent) -> Recording:
        events = in_turn(rows)
        with Writer(tmp_path, "binance", {}) as writer:
            writer.instruments([meta("BTC"), meta("ETH")])
            for event in events:
                writer.append(event)
            writer.close()
        return open_recording(tmp_path)

    return make


def in_turn(rows: Iterable[MarketEvent]) -> list[MarketEvent]:
    """The same events, numbered in this order."""
    return [replace(event, seq=seq) for seq, event in enumerate(rows, 1)]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  nobody tells when
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(feed: RecordedFeed | SyntheticFeed, seen: list[MarketEvent]) -> AsyncIterator[asyncio.Task]:
    """The feed runs; entered when it is held."""
    task = asyncio.create_task(feed.run(seen.append))
    try:
        await until(lambda: feed.is_held)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def finished(task: asyncio.Task) -> None:
    async with asyncio.timeout(10):
        await task


def some_events() -> list[MarketEvent]:
    rows = [
        diff(9, 10, [(9.0, 1.0)], at=0),
        trade(1, 10.0, 1.0, at=1 * MS),
        snapshot(10, at=2 * MS),
        quote(10.0, 11.0, at=3 * MS),
        snapshot(50, at=4 * MS, symbol=ETH),
        diff(11, 12, [(9.5, 1.0)], at=5 * MS),
        quote(20.0, 21.0, at=6 * MS, symbol=ETH),
        diff(51, 52, [(9.5, 1.0)], at=7 * MS, symbol=ETH),
        trade(2, 10.5, 2.0, at=8 * MS),
    ]
    return in_turn(rows)


async def test_it_is_held_behind_the_first_snapshot_of_every_market(recorded):
    seen: list[MarketEvent] = []
    feed = RecordedFeed(recorded(*some_events()), speed=0)
    async with running(feed, seen) as task:
        assert seen == some_events()[:5]
        await asyncio.sleep(0.02)
        assert (len(seen), feed.events, feed.is_held, feed.is_done) == (5, 5, True, False)
        feed.start()
        await finished(task)
    assert seen == some_events()
    assert (feed.events, feed.is_held, feed.is_done) == (9, False, True)


async def test_a_market_without_a_snapshot_soon_is_not_waited_for(recorded):
    events = in_turn(
        [
            diff(9, 10, at=0),
            trade(1, 10.0, 1.0, at=MS),
            snapshot(50, at=2 * MS, symbol=ETH),
            quote(10.0, 11.0, at=3 * MS),
            snapshot(10, at=2 * MINUTE),
        ]
    )
    seen: list[MarketEvent] = []
    async with running(RecordedFeed(recorded(*events), speed=0), seen):
        assert seen == events[:3]


async def test_a_recording_without_books_is_held_before_its_first_row(recorded):
    seen: list[MarketEvent] = []
    async with running(RecordedFeed(recorded(trade(1, 10.0, 1.0), quote(1.0, 2.0, at=MS)), speed=0), seen):
        assert seen == []


async def test_rows_come_at_the_speed_asked_for(recorded):
    events = [trade(n, 10.0, 1.0, at=n * 100 * MS) for n in range(6)]
    loop, times = asyncio.get_running_loop(), []
    feed = RecordedFeed(recorded(quote(1.0, 2.0), *events), speed=2.5)
    feed.start()
    async with asyncio.timeout(5):
        await feed.run(lambda event: times.append((event.local_ns, loop.time())))
    (first_ns, first), (last_ns, last) = times[0], times[-1]
    assert last_ns - first_ns == 500 * MS
    assert 0.19 < last - first < 1.0
    for at_ns, at in times:
        assert at - first >= (at_ns - first_ns) / SECOND / 2.5 - 0.005


async def test_the_speed_can_be_changed_while_it_waits(recorded):
    feed = RecordedFeed(recorded(quote(1.0, 2.0), trade(1, 1.0, 1.0), trade(2, 1.0, 1.0, at=MINUTE)), speed=1)
    seen: list[MarketEvent] = []
    feed.start()
    task = asyncio.create_task(feed.run(seen.append))
    await until(lambda: len(seen) >= 2)
    feed.speed = 0.0
    await finished(task)
    assert len(seen) == 3
    assert feed.speed == 0.0


async def test_slow_clients_hold_it_back(recorded):
    events = [trade(n, 10.0, 1.0, at=n) for n in range(2000)]
    may_go = asyncio.Semaphore(2)
    feed = RecordedFeed(recorded(*events, quote(1.0, 2.0, at=MINUTE)), speed=0, ready=may_go.acquire)
    seen: list[MarketEvent] = []
    feed.start()
    async with asyncio.timeout(5):
        task = asyncio.create_task(feed.run(seen.append))
        await asyncio.sleep(0.1)
        stopped_at = len(seen)
        assert 0 < stopped_at <= 512
        await asyncio.sleep(0.05)
        assert len(seen) == stopped_at
        for _ in range(4000):
            may_go.release()
        await task
    assert len(seen) == 2001


async def test_others_get_their_turn_while_it_hurries(recorded):
    feed = RecordedFeed(
        recorded(*(trade(n, 10.0, 1.0, at=n) for n in range(5000)), quote(1.0, 2.0, at=MINUTE)), speed=0
    )
    feed.start()
    turns = 0
    task = asyncio.create_task(feed.run(lambda _: None))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 15


async def test_only_some_markets_can_be_played(recorded):
    recording = recorded(*some_events())
    seen: list[MarketEvent] = []
    feed = RecordedFeed(recording, speed=0, only=[ETH])
    feed.start()
    await feed.run(seen.append)
    assert seen == [event for event in some_events() if event.symbol == ETH]
    with pytest.raises(NotFoundError):
        RecordedFeed(recording, only=["XRP/USDT"])


async def test_a_recording_can_begin_anew_with_times_and_ids_that_go_on(recorded):
    events = some_events()
    seen: list[MarketEvent] = []
    feed = RecordedFeed(recorded(*events), speed=0, loop=True)
    feed.start()
    async with running_until(feed, seen, 3 * len(events)):
        pass
    rounds = [seen[n : n + len(events)] for n in range(0, 3 * len(events), len(events))]
    assert rounds[0] == events
    assert [type(e) for e in rounds[1]] == [type(e) for e in events]
    assert seen[: 3 * len(events)] == sorted(seen[: 3 * len(events)], key=lambda e: e.local_ns)
    for symbol in (BTC, ETH):
        trades = [e.trade_id for e in seen if isinstance(e, Trade) and e.symbol == symbol]
        assert trades == sorted(set(trades))
        depth = DepthSync(symbol)
        for event in seen:
            if isinstance(event, BookUpdate) and event.symbol == symbol:
                depth.apply(event)
        assert depth.synced
    later = rounds[1][0].local_ns - events[0].local_ns
    assert later % MINUTE == 0
    assert [e.exchange_ns - later if e.exchange_ns else 0 for e in rounds[1]] == [
        e.exchange_ns for e in events
    ]


@asynccontextmanager
async def running_until(feed: RecordedFeed, seen: list[MarketEvent], count: int) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run(seen.append))
    await until(lambda: len(seen) >= count)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    yield


# The synthetic market.


def synthetic(seed: int = 7, **more) -> tuple[SyntheticFeed, VirtualClock]:
    clock = VirtualClock(NOON + 123_456)
    return SyntheticFeed(synthetic_instruments(), seed, clock, **more), clock


async def walked(steps: int, seed: int = 7, pause_ns: int = 100 * MS, **more) -> list[MarketEvent]:
    feed, clock = synthetic(seed, **more)
    seen: list[MarketEvent] = []
    async with running(feed, seen):
        for _ in range(steps):
            clock.advance_to(clock.now_ns() + pause_ns)
            feed.step()
    return seen


def unstamped(events: list[MarketEvent]) -> list[tuple[object, ...]]:
    stamps = {"exchange_ns", "local_ns"}
    return [
        (type(e), *(getattr(e, field) for field in e.__struct_fields__ if field not in stamps))
        for e in events
    ]


async def test_one_seed_is_one_market_whatever_the_time_is():
    one, other = await walked(50), await walked(50, pause_ns=7 * SECOND)
    assert unstamped(one) == unstamped(other)
    assert one != other
    assert unstamped(one) != unstamped(await walked(50, seed=8))


async def test_its_events_are_what_a_market_can_show():
    events = await walked(200)
    rules = synthetic_instruments()
    public = PublicMarket(rules)
    depths = {name: DepthSync(name) for name in rules}
    last_trade = dict.fromkeys(rules, 0)
    before_ns = 0
    for event in events:
        assert event.local_ns >= before_ns
        assert event.local_ns % MS == event.exchange_ns % MS == 0
        before_ns = event.local_ns
        public.see(event)
        tick, lot = rules[event.symbol].price_tick, rules[event.symbol].lot
        book = depths[event.symbol].book
        match event:
            case BookUpdate():
                assert depths[event.symbol].apply(event)
                assert book.best_bid < book.best_ask
                assert len(book.bids) >= 20
                numbers = [(p, tick) for p, _ in (*event.bids, *event.asks)]
                numbers += [(s, lot) for _, s in (*event.bids, *event.asks)]
            case Ticker():
                assert (event.bid, event.ask) == (book.best_bid, book.best_ask)
                assert (event.bid_size, event.ask_size) == (book.bids[event.bid], book.asks[event.ask])
                assert event.update_id == book.last_id
                numbers = [(event.bid, tick), (event.ask_size, lot)]
            case Trade():
                assert event.trade_id == last_trade[event.symbol] + 1
                last_trade[event.symbol] = event.trade_id
                assert event.price == (book.best_ask if event.side == 1 else book.best_bid)
                numbers = [(event.price, tick), (event.size, lot)]
        assert all(Decimal(repr(value)) % step == 0 for value, step in numbers)
    assert all(depth.gaps == 0 for depth in depths.values())
    assert len({public.last_price(name) for name in rules}) == 3
    for name, price in START_PRICES.items():
        assert abs(public.last_price(name) / float(price) - 1) < 0.05


async def test_it_can_stand_still():
    events = await walked(30, walks=False, trades=False)
    quotes = {(e.symbol, e.bid, e.ask) for e in events if isinstance(e, Ticker)}
    assert len(quotes) == 3
    assert not any(isinstance(e, Trade) for e in events)


@pytest.mark.parametrize("name", [BTC, "BTCUSDT"])
async def test_it_can_be_moved_where_a_test_needs_it(name):
    feed, _ = synthetic(walks=False, trades=False)
    seen: list[MarketEvent] = []
    async with running(feed, seen):
        depth = DepthSync(BTC)
        for bid, ask, side in ((Decimal(65000), "65000.5", 1), (50000.25, 50000.26, 2)):
            feed.move(name, bid, ask)
            *_, moved, told, printed = seen
            assert (told.bid, told.ask) == (float(bid), float(ask))
            assert (printed.price, printed.side) == (float(ask) if side == 1 else float(bid), side)
            assert not moved.is_snapshot
        feed.step()
        quotes = [e for e in seen if isinstance(e, Ticker) and e.symbol == BTC]
        assert (quotes[-1].bid, quotes[-1].ask) == (50000.25, 50000.26)
        assert all(depth.apply(e) for e in seen if isinstance(e, BookUpdate) and e.symbol == BTC)
        assert depth.gaps == 0
        assert (depth.book.best_bid, depth.book.best_ask) == (50000.25, 50000.26)


@pytest.mark.parametrize(("bid", "ask"), [(10, 10), (11, 10), (0, 1), ("1.005", 2), (-1, 1)])
async def test_it_cannot_be_moved_to_prices_that_cannot_be(bid, ask):
    feed, _ = synthetic()
    seen: list[MarketEvent] = []
    with pytest.raises(ValidationError):
        feed.move(BTC, 10, 11)
    async with running(feed, seen):
        before = len(seen)
        with pytest.raises(ValidationError):
            feed.move(BTC, bid, ask)
        with pytest.raises(NotFoundError):
            feed.move("XRP/USDT", 1, 2)
        assert len(seen) == before


async def test_time_passes_only_when_it_is_started_and_as_fast_as_asked_for():
    feed, _ = synthetic(speed=20.0)
    seen: list[MarketEvent] = []
    async with running(feed, seen):
        held = len(seen)
        assert {type(e) for e in seen} == {BookUpdate, Ticker}
        await asyncio.sleep(0.03)
        assert len(seen) == held == 6
        feed.start()
        await until(lambda: len(seen) >= 60)


async def test_a_synthetic_market_that_was_brought_to_rest_goes_on_when_asked():
    feed, _ = synthetic(speed=20.0)
    seen: list[MarketEvent] = []
    async with running(feed, seen):
        feed.start()
        await until(lambda: len(seen) >= 20)
        feed.speed = 1e-6
        await asyncio.sleep(0.05)
        before = len(seen)
        await asyncio.sleep(0.05)
        assert len(seen) == before
        feed.speed = 20.0
        await until(lambda: len(seen) > before)
