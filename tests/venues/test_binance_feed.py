"""Binance's feed on a real socket: what is heard, once and in order, and what becomes of every loss."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from quantcli.clock import NS_PER_S, WallClock
from quantcli.codecs.depth import DepthSync
from quantcli.errors import ExchangeError, NotFoundError, RecordingError, UsageError
from quantcli.model.market import BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.venues.feed import USUAL_CHANNELS, LiveFeed, Patience, open_feed
from quantcli.venues.inbox import Blind, Gap, Item, Notice
from tests.venues.binance_server import BinanceServer, shipped_events, wire

NEXO = "NEXO/USDT"
QUICK = Patience(backoff=0.01, backoff_most=0.05, overlap=0.2)


class Heard(list[Item]):
    """What a feed put."""

    def events(self, kind: type[MarketEvent]) -> list[Any]:
        return [item for item in self if type(item) is kind]

    @property
    def gaps(self) -> list[tuple[str, str]]:
        return [(item.channel, item.kind) for item in self if isinstance(item, Gap)]

    def notices(self, kind: str) -> list[str]:
        return [item.message for item in self if isinstance(item, Notice) and item.kind == kind]


def feed_of(server: BinanceServer, heard: Heard, patience: Patience = QUICK, **given: Any) -> LiveFeed:
    channels = given.get("channels", USUAL_CHANNELS)
    put = given.get("put", heard.append)
    symbols = given.get("symbols", [NEXO])
    return open_feed("binance", symbols, channels, WallClock(), put, server.url, patience)


@asynccontextmanager
async def running(feed: LiveFeed) -> Any:
    task = asyncio.create_task(feed.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    async def wait() -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), seconds)


def said(event: MarketEvent) -> dict[str, Any]:
    """What the exchange said of an event: all but our own stamps."""
    return {k: v for k, v in msgspec.structs.asdict(event).items() if k not in {"local_ns", "seq"}}


@pytest.fixture(scope="module")
def rows() -> list[MarketEvent]:
    return shipped_events(3000)


async def test_every_row_of_the_market_is_put_once_and_as_it_was(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        async with running(feed_of(server, heard)):
            await until(lambda: heard.events(BookUpdate))
            await server.pump(len(rows))
            await until(lambda: len(heard) >= len(rows))
    for kind in (BookUpdate, Trade, Ticker):
        assert list(map(said, heard.events(kind))) == [said(row) for row in rows if type(row) is kind]
    assert heard.gaps == []
    assert [item.seq for item in heard] == list(range(1, len(rows) + 1))
    stamps = [item.local_ns for item in heard]
    assert stamps == sorted(stamps)


async def test_diffs_that_the_snapshot_contains_are_not_put_and_the_rest_follows_it(
    rows: list[MarketEvent],
) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        server.snapshots_fail = 2
        async with running(feed_of(server, heard)):
            await server.until_heard()
            await server.pump(500)
            await until(lambda: heard.events(BookUpdate))
            assert len(heard.notices("gap")) == 2
            await server.pump(500)
            last = server.book.last_id
            await until(lambda: heard.events(BookUpdate)[-1].last_id == last)
            sync = DepthSync(NEXO)
            for update in heard.events(BookUpdate):
                assert sync.apply(update), "every message that is put changes a valid book"
            assert (sync.gaps, sync.book.depth(5000)) == (0, server.book.depth(5000))
    assert [item.is_snapshot for item in heard.events(BookUpdate)].count(True) == 1
    assert heard.gaps == []


async def test_the_snapshot_is_asked_for_after_the_subscription_was_confirmed(
    rows: list[MarketEvent],
) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        async with running(feed_of(server, heard)):
            await until(lambda: heard.events(BookUpdate))
        asked = [request.split()[0] for request in server.requests]
    assert asked == ["info", "SUBSCRIBE", "depth"]


async def test_a_missing_diff_is_a_gap_and_the_book_begins_anew(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        async with running(feed_of(server, heard)):
            await until(lambda: heard.events(BookUpdate))
            await server.pump(100)
            server.skips = {"nexousdt@depth@100ms"}
            await server.pump(20)
            server.skips = set()
            await server.pump(100)
            await until(lambda: sum(u.is_snapshot for u in heard.events(BookUpdate)) == 2)
            await server.pump(50)
            await until(lambda: heard.events(BookUpdate)[-1].last_id == server.book.last_id)
    assert heard.gaps == [("book", "sequence")]
    sync = DepthSync(NEXO)
    for update in heard.events(BookUpdate):
        sync.apply(update)
    assert sync.synced
    assert sync.book.depth(5000) == server.book.depth(5000)


async def test_a_lost_connection_is_one_gap_for_every_stream(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        feed = feed_of(server, heard)
        async with running(feed):
            await until(lambda: heard.events(BookUpdate))
            await server.pump(100)
            await server.cut()
            await server.pump(100)
            await server.until_heard(connections=2)
            await until(lambda: len(heard.gaps) == 3)
            await server.pump(200)
            await until(lambda: heard.events(BookUpdate)[-1].last_id == server.book.last_id)
    assert sorted(heard.gaps) == [("book", "reconnect"), ("quotes", "reconnect"), ("trades", "reconnect")]
    assert feed.tally.reconnects == 1
    ids = [trade.trade_id for trade in heard.events(Trade)]
    assert len(ids) == len(set(ids))


async def test_what_comes_before_the_confirmation_is_no_second_gap(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        server.says_first = 100
        async with running(feed_of(server, heard)):
            await until(lambda: heard.events(BookUpdate))
            before = len(heard)
            await server.cut()
            await server.pump(100)
            await server.until_heard(connections=2)
            await server.pump(100)
            await until(lambda: heard.events(BookUpdate)[-1].last_id == server.book.last_id)
    assert sorted(heard.gaps) == [("book", "reconnect"), ("quotes", "reconnect"), ("trades", "reconnect")]
    for gap in (item for item in heard if isinstance(item, Gap)):
        kind = {"book": BookUpdate, "quotes": Ticker, "trades": Trade}[gap.channel]
        assert not any(type(item) is kind for item in heard[before : heard.index(gap)]), "the gap comes first"
    sync = DepthSync(NEXO)
    for update in heard.events(BookUpdate):
        sync.apply(update)
    assert sync.book.depth(5000) == server.book.depth(5000)


async def test_a_refusal_to_connect_is_told_and_tried_again(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        server.refuses = True
        feed = feed_of(server, heard)
        async with running(feed):
            await until(lambda: len(heard.notices("reconnect")) >= 3)
            server.refuses = False
            await until(lambda: heard.events(BookUpdate))
    assert heard.gaps == []
    assert feed.tally.reconnects == 0


async def test_a_market_out_of_sight_is_told_once_and_a_short_absence_is_not(rows: list[MarketEvent]) -> None:
    heard = Heard()
    patience = Patience(backoff=0.01, backoff_most=0.05, blind=0.4)
    async with BinanceServer(rows) as server:
        await server.pump(1)
        async with running(feed_of(server, heard, patience)):
            await until(lambda: heard.events(BookUpdate))
            await server.cut()
            await server.until_heard(connections=2)
            await asyncio.sleep(0.5)
            assert not [item for item in heard if isinstance(item, Blind)]
            server.refuses = True
            await server.cut()
            await until(lambda: [item for item in heard if isinstance(item, Blind)])
            server.refuses = False
            await server.until_heard(connections=3)
            await asyncio.sleep(0.5)
    assert len([item for item in heard if isinstance(item, Blind)]) == 1


async def test_a_connection_that_is_half_open_is_given_up(rows: list[MarketEvent]) -> None:
    heard = Heard()
    impatient = Patience(ping=0.1, dead=0.3, reply=0.3, backoff=0.01, backoff_most=0.05)
    async with BinanceServer(rows) as server:
        await server.pump(1)
        server.is_half_open = True
        async with running(feed_of(server, heard, impatient)):
            await until(lambda: len(heard.notices("reconnect")) >= 1)
            server.is_half_open = False
            await until(lambda: heard.events(BookUpdate))


async def test_a_frame_that_cannot_be_read_is_a_gap_and_no_end(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        feed = feed_of(server, heard)
        async with running(feed):
            await until(lambda: heard.events(BookUpdate))
            await server.raw('{"stream":"nexousdt@trade","data":{"e":"tra')
            await server.raw('{"stream":"nexousdt@bookTicker","data":{"u":1,"s":"NEXOUSDT"}}')
            await server.raw("\x00\xff nonsense")
            await server.pump(400)
            await until(lambda: heard.events(Trade))
    assert heard.gaps == [
        ("trades", "malformed"),
        ("quotes", "malformed"),
        ("trades", "malformed"),
        ("quotes", "malformed"),
        ("book", "malformed"),
    ]
    assert feed.tally.malformed == 3


async def test_doubled_and_late_messages_are_put_once(rows: list[MarketEvent]) -> None:
    heard = Heard()
    trades = [row for row in rows if type(row) is Trade][:6]
    order = [0, 1, 1, 2, 4, 3, 4, 5, 0]
    async with BinanceServer(rows) as server:
        feed = feed_of(server, heard, channels=[Channel.TRADES])
        async with running(feed):
            await server.until_heard()
            for i in order:
                await server.say("nexousdt@trade", wire(trades[i])[1])
            await until(lambda: feed.tally.duplicates == 3)
    assert [trade.trade_id - trades[0].trade_id for trade in heard.events(Trade)] == [0, 1, 2, 4, 3, 5]
    assert heard.gaps == [("trades", "sequence")]


async def test_a_connection_is_replaced_before_its_time_without_a_gap(rows: list[MarketEvent]) -> None:
    heard = Heard()
    short = Patience(life=0.4, overlap=0.2, backoff=0.01)
    async with BinanceServer(rows) as server:
        await server.pump(1)
        feed = feed_of(server, heard, short)
        async with running(feed):
            await until(lambda: heard.events(BookUpdate))
            pumped = 1
            while server.connections < 4:
                pumped += await server.pump(10)
                await asyncio.sleep(0.01)
            pumped += await server.pump(100)
            await until(lambda: len(heard) >= pumped)
            assert server.listeners <= 2
    sent = rows[:pumped]
    for kind in (BookUpdate, Trade, Ticker):
        assert list(map(said, heard.events(kind))) == [said(row) for row in sent if type(row) is kind]
    assert heard.gaps == []
    assert feed.tally.reconnects == 0
    assert feed.tally.duplicates > 0


async def test_a_stream_that_falls_silent_gets_a_new_connection(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        async with running(feed_of(server, heard, Patience(stale=0.2, overlap=0.05, backoff=0.01))):
            await until(lambda: heard.events(BookUpdate))
            await server.pump(1000)
            await until(lambda: heard.notices("stale"))
            await server.until_heard(connections=2)
            before = len(heard.events(Ticker))
            await server.pump(500)
            await until(lambda: len(heard.events(Ticker)) > before)
    assert set(heard.gaps) <= {("quotes", "stale")}, "ids show that no trade and no diff is missing"


class SetClock:
    """The machine's clock, so many seconds off."""

    off_s = 0

    def now_ns(self) -> int:
        return WallClock().now_ns() + self.off_s * NS_PER_S


@pytest.mark.parametrize("off_s", [3600, -3600])
async def test_a_clock_that_is_set_makes_no_stream_silent(rows: list[MarketEvent], off_s: int) -> None:
    heard, clock = Heard(), SetClock()
    async with BinanceServer(rows) as server:
        await server.pump(1)
        feed = open_feed("binance", [NEXO], USUAL_CHANNELS, clock, heard.append, server.url, QUICK)
        async with running(feed):
            await until(lambda: heard.events(BookUpdate))
            await server.pump(1000)
            await until(lambda: len(heard) == 1001)
            clock.off_s = off_s
            await asyncio.sleep(1.3)
            await server.pump(100)
            await until(lambda: len(heard) >= 1101)
        assert (server.connections, len(heard)) == (1, 1101), "no notice, no gap, no new connection"


async def test_a_replacement_that_is_not_answered_is_closed_and_tried_again(rows: list[MarketEvent]) -> None:
    heard = Heard()
    hasty = Patience(life=0.2, reply=0.1, overlap=0.05, backoff=0.01)
    async with BinanceServer(rows) as server:
        await server.pump(1)
        async with running(feed_of(server, heard, hasty)):
            await until(lambda: heard.events(BookUpdate))
            server.is_half_open = True
            await until(lambda: server.connections >= 4)
            assert len(server._sockets) <= 2
            server.is_half_open = False
            before = server.connections
            await until(lambda: server.connections > before and server.listeners == 1)
            await server.pump(200)
            await until(lambda: heard.events(Ticker))
    assert heard.gaps == []
    assert heard.notices("reconnect") == []


async def test_symbols_come_and_go_while_it_runs(rows: list[MarketEvent]) -> None:
    heard = Heard()
    async with BinanceServer(rows, "NEXO", "BTC") as server:
        await server.pump(1)
        feed = feed_of(server, heard, symbols=["BTC/USDT"])
        async with running(feed):
            await server.until_heard()
            feed.add_symbol(NEXO)
            feed.add_symbol("NONE/USDT")
            await until(lambda: any(u.symbol == NEXO for u in heard.events(BookUpdate)))
            await until(lambda: heard.notices("symbol"))
            assert set(feed.active_symbols) == {"BTC/USDT", NEXO}
            feed.remove_symbol("BTC/USDT")
            await until(lambda: not any(stream.startswith("btc") for stream in server.subscribed))
            await server.pump(100)
            await until(lambda: heard.events(Ticker))
    assert feed.active_symbols == (NEXO,)
    assert "NONE/USDT" in heard.notices("symbol")[0]


async def test_what_the_taker_raises_ends_it(rows: list[MarketEvent]) -> None:
    def refuse(item: Item) -> None:
        raise RecordingError("no room")

    async with BinanceServer(rows) as server:
        await server.pump(1)
        with pytest.raises(RecordingError, match="no room"):
            await asyncio.wait_for(feed_of(server, Heard(), put=refuse).run(), 5)


async def test_a_symbol_that_is_not_traded_is_named_and_so_are_its_likes(rows: list[MarketEvent]) -> None:
    async with BinanceServer(rows, "NEXO") as server:
        feed = feed_of(server, Heard(), symbols=[NEXO, "NEXO/EUR"])
        with pytest.raises(NotFoundError, match="NEXO/EUR") as refused:
            await asyncio.wait_for(feed.run(), 5)
    assert NEXO in refused.value.why


async def test_an_exchange_that_is_not_there_cannot_be_opened() -> None:
    feed = open_feed("binance", [NEXO], USUAL_CHANNELS, WallClock(), Heard().append, "http://127.0.0.1:9")
    with pytest.raises(ExchangeError):
        await feed.run()


@pytest.mark.parametrize(
    ("symbols", "channels"),
    [
        (["BTC/USDT", "BTC/USDT:USDT"], USUAL_CHANNELS),
        (["BTC/USDT"], [Channel.MARKS]),
        ([f"A{i}/USDT" for i in range(400)], USUAL_CHANNELS),
    ],
)
def test_what_cannot_be_had_is_refused_at_once(symbols: list[str], channels: list[Channel]) -> None:
    with pytest.raises(UsageError):
        open_feed("binance", symbols, channels, WallClock(), Heard().append)
