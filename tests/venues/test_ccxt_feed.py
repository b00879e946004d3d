"""The feed through unmodified ccxt.pro, on real sockets, with real traffic of exchanges: every trade once,
books as the exchange has them, and every loss a gap.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from zlib import crc32

import pytest

from quantcli.clock import WallClock
from quantcli.codecs.depth import DepthSync
from quantcli.errors import ConfigError, ExchangeError, NotFoundError, RecordingError, UsageError
from quantcli.model.market import BookUpdate, Channel, MarketEvent, OrderBook, Ticker, Trade
from quantcli.venues.feed import USUAL_CHANNELS, LiveFeed, Patience, open_feed
from quantcli.venues.inbox import Gap, Item, Notice
from quantcli.venues.through_ccxt.tap import BookTap, QuoteTap, TradeTap
from quantcli.venues.through_ccxt.transport import pro_exchange
from quantcli.venues.through_ccxt.watches import Source, quotes_source, watches
from tests.venues.capture_server import CaptureServer
from tests.venues.okx_server import OkxServer, until

BTC = "BTC/USDT"
QUICK = Patience(backoff=0.02, backoff_most=0.1)
_TOPICS = {("trades", "BTC-USDT"), ("books", "BTC-USDT"), ("bbo-tbt", "BTC-USDT")}


class Heard(list[Item]):
    """What a feed put."""

    def events(self, kind: type[MarketEvent]) -> list[Any]:
        return [item for item in self if type(item) is kind]

    @property
    def gaps(self) -> list[tuple[str, str]]:
        return [(item.channel, item.kind) for item in self if isinstance(item, Gap)]

    def book(self) -> OrderBook:
        """The book that the updates make; each of them must fit."""
        sync = DepthSync("any")
        for update in self.events(BookUpdate):
            assert sync.apply(update)
        assert sync.gaps == 0
        return sync.book


@asynccontextmanager
async def running(feed: LiveFeed) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(feed.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def feed_of(server: OkxServer, put: Any, patience: Patience = QUICK, *symbols: str) -> LiveFeed:
    return open_feed("okx", symbols or [BTC], USUAL_CHANNELS, WallClock(), put, server.url, patience)


def about(server: OkxServer, channel: str) -> list[dict[str, Any]]:
    """The messages of a channel about BTC/USDT."""
    return [m for m in server.messages if m["arg"] == {"channel": channel, "instId": "BTC-USDT"}]


def checksum(book: OrderBook) -> int:
    """OKX, "WebSocket, Order book channel, Checksum": CRC-32 of the best 25 levels, bid and ask in turn."""
    bids, asks = book.depth(25)
    parts = []
    for i in range(25):
        parts += [f"{number:.15g}" for side in (bids, asks) if i < len(side) for number in side[i]]
    found = crc32(":".join(parts).encode())
    return found - 2**32 if found >= 2**31 else found


async def test_every_trade_is_put_once_and_the_book_is_the_exchanges() -> None:
    heard = Heard()
    async with OkxServer() as server, running(feed_of(server, heard.append)):
        await until(lambda: server.topics >= _TOPICS)
        await server.pump(len(server.messages))
        trades = [data for message in about(server, "trades") for data in message["data"]]
        await until(lambda: len(heard.events(Trade)) >= len(trades))
        await until(lambda: len(heard.events(BookUpdate)) >= len(about(server, "books")))
    assert [(t.trade_id, t.price, t.size, t.exchange_ns, t.side) for t in heard.events(Trade)] == [
        (
            int(data["tradeId"]),
            float(data["px"]),
            float(data["sz"]),
            int(data["ts"]) * 1_000_000,
            1 if data["side"] == "buy" else 2,
        )
        for data in trades
    ]
    assert [update.is_snapshot for update in heard.events(BookUpdate)].count(True) == 1
    assert checksum(heard.book()) == about(server, "books")[-1]["data"][0]["checksum"]
    assert heard.gaps == []
    assert [item.seq for item in heard] == list(range(1, len(heard) + 1))


async def test_trades_that_come_while_nobody_waits_and_doubled_ones_are_put_once() -> None:
    heard = Heard()
    async with OkxServer() as server, running(feed_of(server, heard.append)):
        await until(lambda: server.topics >= _TOPICS)
        many = [
            {
                "instId": "BTC-USDT",
                "tradeId": str(n),
                "px": "1.5",
                "sz": "2",
                "side": "sell",
                "ts": "1652459224818",
            }
            for n in range(1, 3001)
        ]
        arg = {"channel": "trades", "instId": "BTC-USDT"}
        for start in (0, 1000, 2000, 2000, 1990):
            await server.say({"arg": arg, "data": many[start : start + 1000]})
        await until(lambda: len(heard.events(Trade)) >= 3000)
        await asyncio.sleep(0.05)
    assert [trade.trade_id for trade in heard.events(Trade)] == list(range(1, 3001))


async def test_best_bid_and_ask_come_from_their_own_stream() -> None:
    heard = Heard()
    async with OkxServer() as server, running(feed_of(server, heard.append)):
        await until(lambda: server.topics >= _TOPICS)
        for bid, ask in (("1.5", "1.6"), ("1.5", "1.6"), ("1.4", "1.6")):
            data = {"bids": [[bid, "3", "0", "1"]], "asks": [[ask, "4", "0", "1"]], "ts": "1651826598363"}
            await server.say({"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [data]})
        await until(lambda: len(heard.events(Ticker)) == 2)
    assert [(t.bid, t.bid_size, t.ask, t.ask_size) for t in heard.events(Ticker)] == [
        (1.5, 3.0, 1.6, 4.0),
        (1.4, 3.0, 1.6, 4.0),
    ]
    assert not heard.events(BookUpdate)


async def test_a_lost_connection_is_a_gap_and_the_book_begins_anew() -> None:
    heard = Heard()
    async with OkxServer() as server:
        feed = feed_of(server, heard.append)
        async with running(feed):
            await until(lambda: server.topics >= _TOPICS)
            await server.pump(200)
            await until(lambda: heard.events(Trade) and heard.events(BookUpdate))
            server.snapshots["BTC-USDT"] = about(server, "books")[0]
            await server.cut()
            await until(lambda: server.connections == 2 and server.topics >= _TOPICS)
            await until(lambda: [u.is_snapshot for u in heard.events(BookUpdate)].count(True) == 2)
            await server.pump(1000)
            await until(
                lambda: heard.events(Trade)[-1].trade_id == 338476375 or len(heard.events(Trade)) > 60
            )
    assert set(heard.gaps) == {("trades", "reconnect"), ("book", "reconnect")}, "quotes had not begun"
    assert (feed.tally.reconnects, server.connections) == (1, 2)
    ids = [trade.trade_id for trade in heard.events(Trade)]
    assert len(ids) == len(set(ids))
    updates = heard.events(BookUpdate)
    assert [u.last_id for u in updates] == sorted(u.last_id for u in updates)


async def test_a_jump_in_the_books_sequence_is_a_gap_and_a_new_book() -> None:
    heard = Heard()
    async with OkxServer() as server, running(feed_of(server, heard.append)):
        await until(lambda: server.topics >= _TOPICS)
        first, *updates = about(server, "books")
        server.snapshots["BTC-USDT"] = numbered(first, -1, 10)
        await server.say(numbered(first, -1, 10))
        await server.say(numbered(updates[0], 10, 11))
        await until(lambda: len(heard.events(BookUpdate)) == 2)
        await server.say(numbered(updates[1], 13, 14))
        await until(lambda: len(heard.events(BookUpdate)) == 3)
    assert heard.gaps == [("book", "sequence")]
    assert heard.events(BookUpdate)[-1].is_snapshot


def numbered(message: dict[str, Any], before: int, now: int) -> dict[str, Any]:
    return message | {"data": [message["data"][0] | {"prevSeqId": before, "seqId": now}]}


async def test_a_message_that_ccxt_cannot_read_is_a_gap_and_no_end() -> None:
    heard = Heard()
    async with OkxServer() as server:
        feed = feed_of(server, heard.append)
        async with running(feed):
            await until(lambda: server.topics >= _TOPICS)
            await server.raw('{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"inst')
            await server.raw(json.dumps({"arg": {"channel": "books", "instId": "BTC-USDT"}, "data": 7}))
            await server.pump(200)
            await until(lambda: heard.events(Trade) and heard.events(BookUpdate))
    assert feed.tally.malformed >= 1
    assert {kind for _, kind in heard.gaps} == {"malformed"}


async def test_a_connection_without_a_sign_of_life_is_given_up() -> None:
    heard = Heard()
    async with OkxServer() as server:
        server.is_mute = True
        async with running(feed_of(server, heard.append, Patience(dead=0.4, backoff=0.02))):
            await until(lambda: server.connections >= 2)
            server.is_mute = False
            await until(lambda: server.topics >= _TOPICS)
    assert any(isinstance(item, Notice) and "no sign of life" in item.message for item in heard)


async def test_symbols_come_and_go() -> None:
    heard = Heard()
    async with OkxServer() as server:
        feed = feed_of(server, heard.append)
        async with running(feed):
            await until(lambda: server.topics >= _TOPICS)
            feed.add_symbol("ETH/USDT")
            feed.add_symbol("NONE/USDT")
            await until(lambda: ("books", "ETH-USDT") in server.topics)
            feed.remove_symbol(BTC)
            await server.pump(200)
            await asyncio.sleep(0.1)
    assert feed.active_symbols == ("ETH/USDT",)
    assert not heard.events(Trade)
    assert [item.message for item in heard if isinstance(item, Notice) and item.kind == "symbol"]


async def test_what_the_taker_raises_ends_it() -> None:
    def refuse(item: Item) -> None:
        raise RecordingError("no room")

    async with OkxServer() as server:
        task = asyncio.create_task(feed_of(server, refuse).run())
        await until(lambda: server.topics >= _TOPICS)
        with suppress(ConnectionError):  # it leaves while we speak
            await server.pump(200)
        with pytest.raises(RecordingError, match="no room"):
            await asyncio.wait_for(task, 5)


async def test_markets_and_exchanges_that_are_not_there_are_told() -> None:
    async with OkxServer() as server:
        feed = feed_of(server, print, QUICK, "BTC/NONE")
        with pytest.raises(NotFoundError, match="okx has no market BTC/NONE") as refused:
            await feed.run()
        assert BTC in refused.value.why
    with pytest.raises(ExchangeError, match="does not tell its markets"):
        await feed_of(server, print).run()
    nowhere = open_feed("nowhere", [BTC], USUAL_CHANNELS, WallClock(), print)
    with pytest.raises(ConfigError, match="no streams of 'nowhere'"):
        await nowhere.open()
    with pytest.raises(UsageError, match="bars cannot be had"):
        open_feed("okx", [BTC], [Channel.BARS], WallClock(), print)


async def test_bybits_traffic_every_trade_once_and_its_book() -> None:
    heard = Heard()
    async with CaptureServer("bybit/public_v5_20260809a", "/linear", 2) as server:
        feed = open_feed(
            "bybit", ["BTC/USDT:USDT"], USUAL_CHANNELS, WallClock(), heard.append, server.url, QUICK
        )
        async with running(feed):
            await server.said_everything()
            messages = server.parsed()
            trades = [t for m in messages if m.get("topic") == "publicTrade.BTCUSDT" for t in m["data"]]
            wanted = len({trade["i"] for trade in trades})
            await until(lambda: len(heard.events(Trade)) >= wanted)
            book = levels(m for m in messages if m.get("topic") == "orderbook.200.BTCUSDT")
            await until(lambda: (heard.book().bids, heard.book().asks) == book, every_s=0.3)
    assert [(t.price, t.size) for t in heard.events(Trade)] == [
        (float(t["p"]), float(t["v"])) for t in trades
    ]
    assert len({trade.trade_id for trade in heard.events(Trade)}) == wanted > 0
    best = heard.events(Ticker)[-1]
    assert (best.bid, best.ask) == (max(book[0]), min(book[1]))
    assert heard.gaps == []


def levels(messages: Any) -> tuple[dict[float, float], dict[float, float]]:
    sides: dict[str, dict[float, float]] = {"b": {}, "a": {}}
    for message in messages:
        for name, side in sides.items():
            if message["type"] == "snapshot":
                side.clear()
            for price, size in message["data"][name]:
                side.pop(float(price), None)
                if float(size):
                    side[float(price)] = float(size)
    return sides["b"], sides["a"]


async def test_coinbases_traffic_every_trade_once_and_its_book() -> None:
    heard = Heard()
    async with CaptureServer("coinbase/advanced_20260809a", "", 3) as server:
        feed = open_feed(
            "coinbase", ["BTC/USD"], USUAL_CHANNELS, WallClock(), heard.append, server.url, QUICK
        )
        async with running(feed):
            await server.said_everything()
            told = [e for m in server.parsed() for e in m.get("events", ())]
            ids = {t["trade_id"] for e in told for t in e.get("trades", ()) if t["product_id"] == "BTC-USD"}
            await until(lambda: len(heard.events(Trade)) >= len(ids))
            sides: dict[str, dict[float, float]] = {"bid": {}, "offer": {}}
            for event in told:
                for level in event.get("updates", ()) if event.get("product_id") == "BTC-USD" else ():
                    side = sides[level["side"]]
                    side.pop(float(level["price_level"]), None)
                    if size := float(level["new_quantity"]):
                        side[float(level["price_level"])] = size
            book = (sides["bid"], sides["offer"])
            await until(lambda: (heard.book().bids, heard.book().asks) == book, every_s=0.3)
    assert {trade.trade_id for trade in heard.events(Trade)} == set(map(int, ids))
    assert heard.events(Ticker)
    assert heard.gaps == []


@pytest.mark.parametrize(
    ("exchange", "source"),
    [
        ("okx", Source.BIDS_ASKS),
        ("kraken", Source.BIDS_ASKS),
        ("coinbase", Source.TICKER),
        ("bybit", Source.BOOK),
        ("hyperliquid", Source.BOOK),
    ],
)
async def test_each_exchange_is_watched_by_calls_that_it_has(exchange: str, source: Source) -> None:
    ccxt = pro_exchange(exchange, "http://127.0.0.1:9", ["spot"])
    assert quotes_source(ccxt) is source
    found = {channel: watches(ccxt, channel, ["A/B", "C/D"], USUAL_CHANNELS) for channel in USUAL_CHANNELS}
    assert [len(found[channel]) > 0 for channel in USUAL_CHANNELS] == [True, source is not Source.BOOK, True]
    assert watches(ccxt, Channel.QUOTES, ["A/B"], [Channel.QUOTES])
    assert "://127.0.0.1:9" in str(ccxt.urls["api"])
    assert not {"okx.com", "kraken.com", "bybit", "coinbase.com", "hyperliquid.xyz"} & set(
        str(ccxt.urls["api"]).replace("/", " ").split()
    )
    await ccxt.close()


def test_ids_that_are_no_numbers_are_hashed_and_absent_ones_counted() -> None:
    tap = TradeTap("A/B")
    ids = ["7", "20f43950-d8dd-5b31-9112-a178eb6023af", None, None, str(2**63), "7", "²"]
    found = [number for number, _ in tap.fresh([{"id": text} for text in ids])]
    assert (found[0], found[2], found[3], len(found)) == (7, 1, 2, 6)
    again = [number for number, _ in TradeTap("C/D").fresh([{"id": ids[1]}])]
    assert again == [found[1]]
    assert all(0 < number < 2**63 for number in found)


def test_a_cache_that_forgot_what_was_seen_has_overflowed() -> None:
    tap = TradeTap("A/B")
    cache = [{"id": str(n)} for n in range(5)]
    assert len(list(tap.fresh(cache[:2]))) == 2
    assert (len(list(tap.fresh(cache[1:4]))), tap.overflowed) == (2, False)
    assert (len(list(tap.fresh(cache[4:]))), tap.overflowed) == (1, True)


def test_a_state_that_did_not_change_is_no_event() -> None:
    book: dict[str, Any] = {"bids": [[1.0, 2.0, 5]], "asks": [[1.5, 1.0]], "timestamp": 5}
    books, quotes = BookTap("A/B", 9_000_000), QuoteTap("A/B", 9_000_000)
    first = books.update(book, 1, 1)
    assert first is not None
    assert (first.is_snapshot, first.bids, first.exchange_ns, first.last_id) == (
        True,
        [(1.0, 2.0)],
        5_000_000,
        9_000,
    )
    assert books.update(book, 2, 2) is None
    assert quotes.from_book(book, 1, 1) is not None
    assert quotes.from_book(book, 1, 1) is None
    book["bids"] = []
    removed = books.update(book, 3, 3)
    assert removed is not None
    assert (removed.is_snapshot, removed.bids, removed.asks, removed.first_id) == (
        False,
        [(1.0, 0.0)],
        [],
        9_001,
    )
    assert quotes.from_book(book, 1, 1) is None
    assert quotes.from_ticker({"bid": None, "ask": 1.0}, 1, 1) is None
