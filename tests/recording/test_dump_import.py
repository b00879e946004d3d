"""The CSV files that Binance publishes become recordings."""

import gzip
import zipfile
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quantcli.errors import RecordingError
from quantcli.model.batch import events
from quantcli.model.market import AggTrade, Bar, MarketEvent, Ticker, Trade
from quantcli.recording.imported import ImportSummary, import_file, summary
from quantcli.recording.reader import open_recording

MS = 1_000_000
T0 = 1_709_251_200_000  # 2024-03-01, in milliseconds
T0_NS = T0 * MS

SPOT_TRADES = f"3461230001,61179.03000000,0.00010000,6.11790300,{T0},True,True\n"
FUTURES_TRADES = f"id,price,qty,quote_qty,time,is_buyer_maker\n4700001,61200.1,0.005,306.0005,{T0},false\n"
SPOT_AGG = f"2900001,61179.03000000,0.00020000,3461230001,3461230002,{T0},False,True\n"
FUTURES_AGG = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
    f"2100001,61200.1,0.012,4700001,4700003,{T0},true\n"
)
BOOK_TICKER = (
    "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
    f"4100,61200.0,1.5,61200.1,0.25,{T0},{T0 + 4}\n"
)
SPOT_KLINES = f"{T0},1.10,1.30,1.00,1.20,500.5,{T0 + 59_999},600.25,42,1,1,0\n"

Make = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> Make:
    """Write a file as it is published: plain, `.gz` or `.zip`, by its name."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(path.with_suffix(".csv").name, text)
        else:
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path

    return write


def candle(symbol: str) -> Bar:
    """What `SPOT_KLINES` says."""
    minute_ns = 60_000 * MS
    end_ns = T0_NS + minute_ns
    prices = (1.1, 1.3, 1.0, 1.2)
    return Bar(symbol, end_ns, end_ns, 1, T0_NS, minute_ns, *prices, 500.5, 600.25, 42, True)


def imported(path: Path, root: Path) -> ImportSummary:
    return summary([import_file(path, root, lambda _: None)])


def recorded(root: Path) -> Iterable[MarketEvent]:
    recording = open_recording(root)
    for chunk in recording.chunks(channels={recording.streams[0].channel}):
        yield from events(chunk.streams[0])


@pytest.mark.parametrize(
    ("name", "text", "event"),
    [
        (
            "BTCUSDT-trades-2024-03-01.zip",
            SPOT_TRADES,
            Trade("BTC/USDT", T0_NS, T0_NS, 1, 61179.03, 0.0001, 2, 3461230001),
        ),
        (
            "BTCUSDT-trades-2024-03-01.csv",
            FUTURES_TRADES,
            Trade("BTC/USDT:USDT", T0_NS, T0_NS, 1, 61200.1, 0.005, 1, 4700001),
        ),
        (
            "BTCUSDT-aggTrades-2024-03.csv.gz",
            SPOT_AGG,
            AggTrade("BTC/USDT", T0_NS, T0_NS, 1, 61179.03, 0.0002, 1, 2900001, 3461230001, 3461230002),
        ),
        (
            "BTCUSD_PERP-aggTrades-2024-03-01.csv",
            FUTURES_AGG,
            AggTrade("BTC/USD:BTC", T0_NS, T0_NS, 1, 61200.1, 0.012, 2, 2100001, 4700001, 4700003),
        ),
        (
            "BTCUSDT_240628-bookTicker-2024-03-01.zip",
            BOOK_TICKER,
            Ticker("BTC/USDT:USDT-240628", T0_NS, T0_NS, 1, 61200.0, 1.5, 61200.1, 0.25, 4100),
        ),
        (
            "BTCUSDT-1m-2024-03-01.csv",
            SPOT_KLINES,
            candle("BTC/USDT"),
        ),
        (
            "data/futures/um/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2024-03-01.csv",
            SPOT_KLINES,
            candle("ETH/USDT:USDT"),
        ),
    ],
)
def test_each_kind_of_file_is_understood(
    file: Make, tmp_path: Path, name: str, text: str, event: MarketEvent
) -> None:
    imported(file(name, text), tmp_path / "out")
    assert list(recorded(tmp_path / "out")) == [event]


def test_microseconds_are_told_from_milliseconds(file: Make, tmp_path: Path) -> None:
    imported(
        file("BTCUSDT-trades-2025-03-01.csv", SPOT_TRADES.replace(str(T0), f"{T0}123")), tmp_path / "out"
    )
    assert [event.local_ns for event in recorded(tmp_path / "out")] == [T0_NS + 123_000]


def test_a_day_of_real_candles_survives_exactly(data: Path, tmp_path: Path) -> None:
    source = data / "usdm_btcusdt_1m_20240330.csv.gz"
    found = imported(source, tmp_path)
    assert (found.events, found.gaps, found.symbols) == ({"bars": 1440}, 0, ["BTC/USDT:USDT"])
    with gzip.open(source, "rt") as text:
        rows = [line.strip().split(",") for line in text][1:]
    stored = [row for path in found.files for row in pq.read_table(tmp_path / path).to_pylist()]
    for row, (opened, *prices, volume, _, quote_volume, count, _, _, _) in zip(stored, rows, strict=True):
        assert row["open_ns"] == int(opened) * MS
        assert [row[name] for name in ("open", "high", "low", "close")] == [
            Decimal(price) for price in prices
        ]
        assert (row["volume"], row["quote_volume"], row["trades"]) == (
            Decimal(volume),
            float(quote_volume),
            int(count),
        )


def test_jumping_ids_and_time_that_goes_back_are_gaps(file: Make, tmp_path: Path) -> None:
    lines = [
        f"{trade_id},1.5,2,3,{T0 + at_ms},True,True\n"
        for trade_id, at_ms in [(1, 0), (2, 10), (5, 20), (6, 15), (7, 30)]
    ]
    found = imported(file("BTCUSDT-trades-2024-03-01.csv", "".join(lines)), tmp_path / "out")
    assert {gap["kind"]: gap["detail"] for gap in found.gap_list} == {
        "sequence": "trade_id 5 after 2",
        "time": f"{T0_NS + 15 * MS} after {T0_NS + 20 * MS}",
    }
    assert {gap["at_ns"] for gap in found.gap_list} == {T0_NS + 20 * MS}


def test_a_missing_candle_is_a_gap(file: Make, tmp_path: Path) -> None:
    later = SPOT_KLINES.replace(str(T0), str(T0 + 180_000)).replace(str(T0 + 59_999), str(T0 + 239_999))
    found = imported(file("BTCUSDT-1m-2024-03-01.csv", SPOT_KLINES + later), tmp_path / "out")
    assert [gap["kind"] for gap in found.gap_list] == ["sequence"]


@pytest.mark.parametrize(
    ("name", "text", "message", "why"),
    [
        ("BTCUSDT-trades-2024-03-01.csv", SPOT_TRADES + "5,1.5,x,3,4,True,True\n", "line 2", "float"),
        ("BTCUSDT-trades-2024-03-01.csv", SPOT_TRADES + "5,1.5\n", "line 2", "2 columns"),
        ("BTCUSDT-trades-2024-03-01.csv", "when,what\n1,2\n", "line 1", "first column"),
        ("BTCUSDT-trades-2024-03-01.csv", SPOT_KLINES, "line 1", "12 columns"),
        ("BTCUSDT-trades-2024-03-01.csv", "", "is empty", ""),
        ("BTCUSDT-trades-2024-03-01.csv", FUTURES_TRADES.partition("\n")[0], "no rows", ""),
        ("trades.csv", SPOT_TRADES, "cannot tell from its name", ""),
    ],
)
def test_what_is_not_such_a_file_is_refused(
    file: Make, tmp_path: Path, name: str, text: str, message: str, why: str
) -> None:
    with pytest.raises(RecordingError, match=message) as caught:
        imported(file(name, text), tmp_path / "out")
    assert why in caught.value.why
    assert not (tmp_path / "out").exists()


def test_archives_without_exactly_one_sound_file_are_refused(file: Make, tmp_path: Path) -> None:
    path = file("BTCUSDT-trades-2024-03-01.zip", SPOT_TRADES)
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b"61179", b"71179", 1))
    with pytest.raises(RecordingError, match="cannot be read"):
        imported(path, tmp_path / "out")
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(RecordingError, match="holds 0 files"):
        imported(path, tmp_path / "out")
    path.write_bytes(sound[:50])
    with pytest.raises(RecordingError, match="cannot be read"):
        imported(path, tmp_path / "out")
