"""Captures of real and of made traffic become recordings; what is damaged becomes an error."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from quantcli.codecs.depth import DepthSync
from quantcli.errors import NotFoundError, RecordingError
from quantcli.model.batch import events
from quantcli.model.market import BookUpdate, Channel
from quantcli.recording.imported import ImportSummary, import_file, summary
from quantcli.recording.reader import open_recording
from quantcli.recording.verify import verify

Capture = Callable[..., Path]
Received = Callable[[int, dict[str, Any]], dict[str, Any]]

TRADE = {"e": "trade", "E": 1000, "T": 1000, "s": "BTCUSDT", "t": 7, "p": "1.50", "q": "2.0", "m": True}


def imported(path: Path, root: Path) -> ImportSummary:
    return summary([import_file(path, root, lambda _: None)])


@pytest.fixture(scope="module")
def real(nexo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportSummary]:
    root = tmp_path_factory.mktemp("nexo")
    return root, imported(nexo, root)


def test_a_day_of_real_traffic_is_counted_to_the_last_message(real: tuple[Path, ImportSummary]) -> None:
    found = real[1]
    assert found.events == {"book": 68182, "quotes": 33437, "snapshots": 1, "trades": 12458}
    assert found.rows == 114_078
    assert (found.symbols, found.gaps, found.skipped) == (["NEXO/USDT"], 0, 0)
    assert (found.from_ns, found.to_ns) == (1721749182850494000, 1721836799055986000)


def test_every_price_and_size_is_the_text_that_was_received(
    nexo: Path, real: tuple[Path, ImportSummary]
) -> None:
    root, found = real
    expected: dict[str, list[tuple[Any, ...]]] = {"trades": [], "quotes": []}
    with gzip.open(nexo, "rt") as file:
        for line in file:
            record = json.loads(line)
            if record["k"] != "recv":
                continue
            message = json.loads(record["d"])["data"]
            if message.get("e") == "trade":
                expected["trades"].append((record["ts"], Decimal(message["p"]), Decimal(message["q"])))
            elif "e" not in message:
                expected["quotes"].append((record["ts"], *(Decimal(message[key]) for key in "bBaA")))
    columns = {"trades": ("price", "size"), "quotes": ("bid", "bid_size", "ask", "ask_size")}
    for channel, rows in expected.items():
        paths = sorted(name for name in found.files if f"/{channel}/" in name)
        stored: list[tuple[Any, ...]] = []
        for path in paths:
            table = pq.read_table(root / path)
            stored += zip(*(table[name].to_pylist() for name in ("local_ns", *columns[channel])), strict=True)
        assert stored == rows


def test_the_replayed_book_agrees_with_the_replayed_quotes(real: tuple[Path, ImportSummary]) -> None:
    recording = open_recording(real[0])
    sync = DepthSync("NEXO/USDT")
    books = {}
    quotes: dict[int, tuple[float, float]] = {}
    for chunk in recording.chunks(channels={Channel.BOOK, Channel.QUOTES}):
        best = chunk.streams[0].data
        prices = zip(best["bid"].tolist(), best["ask"].tolist(), strict=True)
        quotes.update(zip(best["update_id"].tolist(), prices, strict=True))
        for update in events(chunk.streams[1]):
            assert isinstance(update, BookUpdate)
            if sync.apply(update):
                books[update.last_id] = (sync.book.best_bid, sync.book.best_ask)
    same = books.keys() & quotes.keys()
    assert len(same) > 12_000
    assert all(books[update_id] == quotes[update_id] for update_id in same)
    assert sync.gaps == 0


def test_the_shipped_recording_is_this_capture(real: tuple[Path, ImportSummary]) -> None:
    folder = Path(__file__).resolve().parents[2] / "recordings"
    shipped = open_recording(folder)
    assert all(check.ok for check in verify(folder))
    again = open_recording(real[0])
    assert shipped.instruments == again.instruments
    assert [(f.path, f.rows, f.from_ns, f.to_ns) for f in shipped.files] == [
        (f.path, f.rows, f.from_ns, f.to_ns) for f in again.files
    ]
    assert shipped.origins[0]["licence"] == "MIT (c) 2024 Jeffrey Lin"
    assert (shipped.instruments["NEXO/USDT"].price_tick, shipped.instruments["NEXO/USDT"].lot) == (
        Decimal("0.001"),
        Decimal("0.01"),
    )


@pytest.mark.parametrize(
    ("name", "symbols", "rules"),
    [
        ("spot_misc_20211012", 4, "exchangeInfo"),
        ("usdm_misc_20210722", 4, "exchangeInfo"),
        ("coinm_misc_20210722", 10, "exchangeInfo"),
    ],
)
def test_every_message_of_a_capture_has_a_name(
    data: Path, tmp_path: Path, name: str, symbols: int, rules: str
) -> None:
    path = data / f"{name}.capture.jsonl.gz"
    with gzip.open(path, "rt") as file:
        kinds = Counter(json.loads(line)["k"] for line in file)
    found = imported(path, tmp_path)
    assert sum(found.events.values()) == kinds["http"] + kinds["recv"]
    assert (found.connections, len(found.symbols), found.gaps) == (kinds["conn"], symbols, 0)
    assert {rule.source for rule in open_recording(tmp_path).instruments.values()} == {rules}


def test_lost_messages_are_gaps(nexo: Path, tmp_path: Path) -> None:
    with gzip.open(nexo) as file:
        kept = [line for number, line in enumerate(file) if number < 3000 and number != 1500]
    path = tmp_path / "lossy.capture.jsonl"
    path.write_bytes(b"".join(kept))
    found = imported(path, tmp_path / "out")
    assert found.gaps == 1
    assert found.gap_list[0]["kind"] == "sequence"


def test_replies_and_unknown_messages_are_counted_but_make_no_row(
    capture: Capture, received: Received, tmp_path: Path
) -> None:
    path = capture(
        {"k": "conn", "ts": 1, "c": "ws.1"},
        {"k": "send", "ts": 1, "c": "ws.1", "d": "{}"},
        received(2, {"result": None, "id": 1}),
        received(3, TRADE),
        received(4, {"e": "liquidation", "s": "BTCUSDT"}),
    )
    found = imported(path, tmp_path / "out")
    assert found.events == {"control": 1, "trades": 1, "unknown:liquidation": 1}
    assert (found.connections, found.rows, found.skipped) == (1, 1, 2)


SNAPSHOT = {"k": "http", "ts": 1, "d": '{"lastUpdateId":5,"bids":[["1.4","2"]],"asks":[["1.6","3"]]}'}
ETH_TRADE = TRADE | {"s": "ETHUSDT"}


@pytest.mark.parametrize("named", [["BTCUSDT"], ["btcusdt"], ["BTC/USDT"], []])
def test_a_snapshot_without_an_address_is_of_the_only_market_there_is(
    capture: Capture, received: Received, tmp_path: Path, named: list[str]
) -> None:
    path = capture(SNAPSHOT, received(2, TRADE), received(3, TRADE | {"t": 8}), symbols=named)
    found = imported(path, tmp_path / "out")
    assert (found.events, found.symbols) == ({"snapshots": 1, "trades": 2}, ["BTC/USDT"])


@pytest.mark.parametrize("named", [["BTCUSDT", "ETHUSDT"], []])
def test_a_snapshot_that_could_be_of_two_markets_is_counted_but_makes_no_row(
    capture: Capture, received: Received, tmp_path: Path, named: list[str]
) -> None:
    path = capture(SNAPSHOT, received(2, TRADE), received(3, ETH_TRADE), symbols=named)
    found = imported(path, tmp_path / "out")
    assert found.events == {"trades": 2, "unknown:depth": 1}
    assert (found.rows, found.symbols) == (2, ["BTC/USDT", "ETH/USDT"])


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({"licence": None, "notes": ["a", "b"]}, {"notes": '["a","b"]'}),
        ({"source": "a friend"}, {"source": "a friend"}),
        ({"source": [{"repo": "r", "path": "p"}, {"repo": "s"}]}, {"source": 'r@: p\n{"repo":"s"}'}),
        ({"symbols": None}, {}),
    ],
)
def test_what_a_capture_says_of_itself_may_have_any_form(
    capture: Capture, received: Received, tmp_path: Path, meta: dict[str, Any], told: dict[str, str]
) -> None:
    record = received(3, TRADE) | {"url": None}
    imported(capture(record, **meta), tmp_path / "out")
    (origin,) = open_recording(tmp_path / "out").origins
    assert {name: origin[name] for name in origin if name not in {"file", "sha256", "market"}} == told


def test_a_reply_that_is_no_json_is_counted_by_its_address(
    capture: Capture, received: Received, tmp_path: Path
) -> None:
    page = {"k": "http", "ts": 1, "url": "https://api.binance.com/api/v3/depth", "d": "<html>502</html>"}
    path = capture(page, page | {"url": None}, received(3, TRADE))
    found = imported(path, tmp_path / "out")
    assert found.events == {"trades": 1, "unknown:depth": 1, "unknown:http": 1}


def test_a_transfer_to_the_insurance_fund_leaves_no_gap(
    capture: Capture, received: Received, tmp_path: Path
) -> None:
    prints = [
        TRADE | {"X": "MARKET"},
        TRADE | {"X": "INSURANCE_FUND", "t": 8},
        TRADE | {"X": "MARKET", "t": 9},
    ]
    path = capture(*(received(i, message) for i, message in enumerate(prints)), market="usdm")
    found = imported(path, tmp_path / "out")
    assert (found.events, found.rows, found.gaps) == ({"trades": 3}, 2, 0)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"k":"recv","ts":1', "truncated"),
        ('{"k":"recv","ts":"soon","d":"{}"}', "ts"),
        ('{"k":"recv","ts":-1,"d":"{}"}', "ts"),
        ('{"k":"recv","ts":1721750000000000000000,"d":"{}"}', "ts"),
        ('{"k":"recv","ts":2,"d":"no json"}', "no JSON"),
        ('{"k":"recv","ts":2,"d":"{\\"e\\":\\"trade\\""}', "no JSON"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_left(
    capture: Capture, received: Received, tmp_path: Path, line: str, why: str
) -> None:
    path = capture(received(1, TRADE), line)
    with pytest.raises(RecordingError, match=r"x\.capture\.jsonl\.gz line 3") as caught:
        imported(path, tmp_path / "out")
    assert why in caught.value.why
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_cut_off_is_named_and_nothing_is_left(nexo: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.capture.jsonl.gz"
    path.write_bytes(nexo.read_bytes()[:200_000])
    with pytest.raises(RecordingError, match=r"line \d\d+ cannot be read") as caught:
        imported(path, tmp_path / "out")
    assert "cut off" in caught.value.why
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_captures_are_refused(capture: Capture, received: Received, tmp_path: Path) -> None:
    empty = tmp_path / "empty.capture.jsonl"
    empty.touch()
    plain = tmp_path / "plain.capture.jsonl"
    plain.write_text('{"a":1}\n')
    mislabelled = tmp_path / "text.capture.jsonl.gz"
    mislabelled.write_text('{"k":"meta"}\n')
    image = tmp_path / "photo.png"
    image.touch()
    for path, message in {
        empty: "is empty",
        plain: "line 1 is not the head",
        mislabelled: "line 1 cannot be read",
        image: "not a kind of file",
        capture(name="meta.capture.jsonl.gz"): "no market data",
        capture(received(1, TRADE), name="okx.jsonl.gz", exchange="okx"): "capture of okx",
        capture(received(1, TRADE), name="m.jsonl.gz", market="options"): "market 'options'",
    }.items():
        with pytest.raises(RecordingError, match=message):
            imported(path, tmp_path / "out")
    with pytest.raises(NotFoundError, match="no file"):
        imported(tmp_path / "absent.capture.jsonl", tmp_path / "out")
    assert not (tmp_path / "out").exists()
