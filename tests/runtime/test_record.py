"""Recording sessions on a loopback exchange: what is recorded equals what was said, and what a stop, a crash,
a full disk, a second recorder and an hour's end make of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantcli.clock import NS_PER_S, WallClock
from quantcli.errors import ExchangeError, RecordingError, SafetyError
from quantcli.model.batch import events
from quantcli.model.market import BookUpdate, MarketEvent, Ticker, Trade
from quantcli.recording.manifest import load, manifests
from quantcli.recording.reader import open_recording
from quantcli.recording.verify import verify
from quantcli.runtime.record import Recorder, RecordJob
from quantcli.runtime.record_sum import RecordingSummary
from quantcli.venues.feed import USUAL_CHANNELS, Patience, open_feed
from tests.loopback import Sandbox
from tests.venues.binance_server import SHIPPED, BinanceServer, shipped_events

NEXO = "NEXO/USDT"
KINDS = (BookUpdate, Trade, Ticker)
QUICK = Patience(backoff=0.01, backoff_most=0.05)


def recorder_of(server: BinanceServer, root: Path, clock: Any = None, **given: Any) -> Recorder:
    clock = clock or WallClock()
    job = RecordJob("binance", (NEXO,), USUAL_CHANNELS, root, **given)
    told: list[str] = []
    recorder = Recorder(
        job,
        clock,
        lambda put: open_feed("binance", [NEXO], USUAL_CHANNELS, clock, put, server.url, QUICK),
        told.append,
    )
    recorder.told = told  # type: ignore[attr-defined]
    return recorder


@asynccontextmanager
async def recording(recorder: Recorder) -> AsyncIterator["asyncio.Task[RecordingSummary]"]:
    task = asyncio.create_task(recorder.run())
    try:
        yield task
    finally:
        recorder.stop()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    async def wait() -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), seconds)


def rows_of(root: Path) -> Iterator[MarketEvent]:
    """Everything recorded, in order."""
    for chunk in open_recording(root).chunks():
        streams = [events(columns) for columns in chunk.streams]
        for turn in chunk.turn.tolist():
            yield next(streams[turn])


def said(event: MarketEvent) -> dict[str, Any]:
    """What the exchange said of an event: all but our own stamps."""
    return {k: v for k, v in msgspec.structs.asdict(event).items() if k not in {"local_ns", "seq"}}


def said_of(root: Path, kind: type[MarketEvent]) -> Iterator[dict[str, Any]]:
    return (said(row) for row in rows_of(root) if type(row) is kind)


@pytest.fixture(scope="module")
def rows() -> list[MarketEvent]:
    return shipped_events(6000)


async def test_a_recording_holds_what_the_exchange_said_row_by_row(
    rows: list[MarketEvent], tmp_path: Path
) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        recorder = recorder_of(server, tmp_path, origin={"source": "a test"})
        async with recording(recorder) as session:
            await until(lambda: recorder.rows)
            await server.pump(len(rows))
            await until(lambda: recorder.rows == len(rows))
            recorder.stop()
            summary = await session
    found = list(rows_of(tmp_path))
    for kind in KINDS:
        assert [said(row) for row in found if type(row) is kind] == [
            said(row) for row in rows if type(row) is kind
        ]
    stamps = [(row.local_ns, row.seq) for row in found]
    assert stamps == sorted(stamps)
    counts = {
        channel: sum(type(row) is kind for row in rows)
        for channel, kind in (("book", BookUpdate), ("quotes", Ticker), ("trades", Trade))
    }
    assert summary.events == counts
    assert (summary.gaps, summary.reconnects, summary.dropped, summary.symbols) == (0, 0, 0, [NEXO])
    assert (summary.from_ns, summary.to_ns) == (found[0].local_ns, found[-1].local_ns)
    (record,) = (load(path) for path in manifests(tmp_path))
    assert record.origin["ended"] == "stopped"
    assert record.instruments[0].source == "exchangeInfo"
    assert all(check.ok for check in verify(tmp_path))
    assert [path.name for path in (tmp_path / "binance").glob(".*")] == []


async def test_a_recording_of_the_sandbox_is_the_recording_that_it_plays(tmp_path: Path) -> None:
    source = open_recording(SHIPPED)
    async with Sandbox("--from", str(SHIPPED), "--speed", "0", "--hold") as exchange:
        clock = WallClock()
        recorder = Recorder(
            RecordJob("binance", (NEXO,), USUAL_CHANNELS, tmp_path),
            clock,
            lambda put: open_feed("binance", [NEXO], USUAL_CHANNELS, clock, put, exchange.url),
        )
        async with recording(recorder) as session:
            await until(lambda: recorder.rows)
            await asyncio.to_thread(exchange.feed, start=True)
            await until(lambda: recorder.rows >= source.rows, 60)
            recorder.stop()
            summary = await session
    assert (summary.rows, summary.gaps, summary.duplicates) == (114_078, 0, 0)
    for kind in KINDS:
        pairs = zip(said_of(SHIPPED, kind), said_of(tmp_path, kind), strict=True)
        assert all(wanted == found for wanted, found in pairs)


async def test_time_is_over_and_the_session_ends(rows: list[MarketEvent], tmp_path: Path) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        summary = await asyncio.wait_for(recorder_of(server, tmp_path, for_s=0.3).run(), 5)
    assert (summary.rows, summary.events, summary.gaps) == (1, {"book": 1}, 0)


async def test_a_lost_connection_is_a_gap_of_each_stream_where_it_goes_on(
    rows: list[MarketEvent], tmp_path: Path
) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        recorder = recorder_of(server, tmp_path)
        async with recording(recorder) as session:
            await until(lambda: recorder.rows)
            await server.pump(1000)
            await until(lambda: recorder.rows == 1001)
            await server.cut()
            await server.pump(200)
            await server.until_heard(connections=2)
            await until(lambda: recorder.gaps == 3)
            await server.pump(1000)
            await until(lambda: recorder.rows > 1900)
            recorder.stop()
            summary = await session
    assert summary.reconnects == 1
    assert sorted((gap["channel"], gap["kind"]) for gap in summary.gap_list) == [
        ("book", "reconnect"),
        ("quotes", "reconnect"),
        ("trades", "reconnect"),
    ]
    firsts = {}
    for row in rows_of(tmp_path):
        firsts.setdefault((type(row), row.local_ns), row)
    for gap in summary.gap_list:
        kind = {"book": BookUpdate, "quotes": Ticker, "trades": Trade}[str(gap["channel"])]
        assert (kind, gap["at_ns"]) in firsts, "a gap stands at the first row after it"


async def test_a_session_that_ends_while_the_exchange_is_gone_has_no_gap_at_its_end(
    rows: list[MarketEvent], tmp_path: Path
) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        recorder = recorder_of(server, tmp_path)
        async with recording(recorder) as session:
            await until(lambda: recorder.rows)
            await server.pump(100)
            await until(lambda: recorder.rows == 101)
            server.refuses = True
            await server.cut()
            await asyncio.sleep(0.1)
            recorder.stop()
            summary = await session
    assert (summary.rows, summary.gaps, summary.reconnects) == (101, 0, 0)


async def test_a_journal_that_a_crash_left_is_recovered_and_the_hole_is_a_gap(
    rows: list[MarketEvent], tmp_path: Path
) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        recorder = recorder_of(server, tmp_path)
        session = asyncio.create_task(recorder.run())
        await until(lambda: recorder.rows)
        await server.pump(250)
        await asyncio.sleep(0.2)
        await server.pump(250)
        await until(lambda: recorder.rows == 501)
        await asyncio.sleep(0.2)
        crash_image = {path.name: path.read_bytes() for path in (tmp_path / "binance").glob(".*.journal")}
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)
        root = tmp_path / "crashed"
        (root / "binance").mkdir(parents=True)
        for name, data in crash_image.items():
            (root / "binance" / name).write_bytes(data[:-5])  # the last batch torn
        again = recorder_of(server, root)
        async with recording(again) as second:
            await until(lambda: again.rows)
            await server.pump(300)
            await until(lambda: again.rows > 250)
            again.stop()
            summary = await second
    assert "recovered" in again.told[0]  # type: ignore[attr-defined]
    assert {(gap["channel"], gap["kind"]) for gap in summary.gap_list} == {
        ("book", "crash"),
        ("quotes", "crash"),
        ("trades", "crash"),
    }
    assert len(list(manifests(root))) == 2
    assert all(check.ok for check in verify(root))
    recovered = [said(row) for row in rows_of(root) if type(row) is BookUpdate]
    assert recovered[0]["is_snapshot"]
    assert len(open_recording(root).gaps) == 3


async def test_two_recorders_do_not_write_to_one_folder(rows: list[MarketEvent], tmp_path: Path) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        first = recorder_of(server, tmp_path)
        async with recording(first):
            await until(lambda: first.rows)
            with pytest.raises(SafetyError, match="something else records binance"):
                await recorder_of(server, tmp_path).run()


async def test_a_clock_far_behind_what_is_recorded_is_refused(
    rows: list[MarketEvent], tmp_path: Path
) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        await recorder_of(server, tmp_path, for_s=0.2).run()
        with pytest.raises(SafetyError, match="the clock is 86"):
            await recorder_of(server, tmp_path, Shifted(-86_400)).run()


class Shifted:
    """The machine's clock, so many seconds off; it can be put further off while it runs."""

    def __init__(self, off_s: int) -> None:
        self.off_s = off_s

    def now_ns(self) -> int:
        return WallClock().now_ns() + self.off_s * NS_PER_S


async def test_at_the_end_of_an_hour_files_are_made_while_it_goes_on(
    rows: list[MarketEvent], tmp_path: Path
) -> None:
    clock = Shifted(0)
    async with BinanceServer(rows) as server:
        await server.pump(1)
        recorder = recorder_of(server, tmp_path, clock)
        async with recording(recorder) as session:
            await until(lambda: recorder.rows)
            await server.pump(1000)
            await until(lambda: recorder.rows == 1001)
            clock.off_s = 3600
            await until(lambda: list(tmp_path.glob("binance/*.manifest.json")), 60)
            assert open_recording(tmp_path).rows == 1001
            await server.pump(1000)
            await until(lambda: recorder.rows == 2001)
            recorder.stop()
            summary = await session
    assert (summary.rows, summary.gaps) == (2001, 0)
    parts = [path.rpartition("-")[2] for path in summary.files]
    assert parts == ["000.parquet", "001.parquet"] * 3
    assert [said(row) for row in rows_of(tmp_path)] == [said(row) for row in rows[:2001]]
    assert all(check.ok for check in verify(tmp_path))


async def test_a_disk_that_refuses_ends_the_session_and_keeps_what_was_written(
    rows: list[MarketEvent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BinanceServer(rows) as server:
        await server.pump(1)
        recorder = recorder_of(server, tmp_path)
        async with recording(recorder) as session:
            await until(lambda: recorder.rows)
            await server.pump(200)
            await until(lambda: recorder.rows == 201)
            await asyncio.sleep(0.15)
            monkeypatch.setattr("quantcli.recording.journal.os.write", _full)
            await server.pump(50)
            with pytest.raises(RecordingError, match="cannot be written on") as refused:
                await asyncio.wait_for(session, 5)
    assert refused.value.why == "No space left on device"
    assert sum(1 for _ in rows_of(tmp_path)) == 201


def _full(file: int, data: bytes) -> int:
    raise OSError(28, "No space left on device")


async def test_symbols_come_and_go_and_nothing_came_is_no_recording(tmp_path: Path) -> None:
    async with BinanceServer([], "NEXO", "BTC") as server:
        recorder = recorder_of(server, tmp_path / "new")
        async with recording(recorder) as session:
            await until(lambda: server.listeners)
            recorder.add("BTC/USDT")
            await until(lambda: "btcusdt@trade" in server.subscribed)
            recorder.remove(NEXO)
            await until(lambda: "nexousdt@trade" not in server.subscribed)
            await until(lambda: any(stream.symbol == "BTC/USDT" for stream in recorder.streams.values()))
            recorder.stop()
            summary = await session
    assert summary.symbols == ["BTC/USDT", NEXO]
    assert {check.symbol for check in verify(tmp_path / "new")} == {"BTC/USDT", NEXO}


async def test_an_exchange_that_cannot_be_reached_leaves_no_trace(tmp_path: Path) -> None:
    async with BinanceServer([]) as server:
        pass
    with pytest.raises(ExchangeError):
        await recorder_of(server, tmp_path / "new").run()
    assert not (tmp_path / "new").exists()
