"""What a session leaves on disk."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from quantcli.errors import InvariantError, RecordingError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.recording.manifest import Manifest, load
from quantcli.recording.writer import Writer

SECOND = 1_000_000_000
Record = Callable[..., Manifest]


def trade(local_ns: int, seq: int, trade_id: int = 0, size: float = 1.0) -> Trade:
    return Trade("A/USDT", local_ns - 5_000_000, local_ns, seq, 1.5, size, 1, trade_id or seq)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_files_lie_by_symbol_channel_and_utc_day(record: Record, tmp_path: Path, noon: int) -> None:
    midnight = noon + 12 * 3600 * SECOND
    manifest = record([trade(midnight - 1, 1), trade(midnight, 2), trade(midnight + 1, 3)])
    session = manifest.session
    assert [(f.path, f.rows, f.from_ns, f.to_ns) for f in manifest.files] == [
        (f"binance/A-USDT/trades/2024-07-23/{session}-000.parquet", 1, midnight - 1, midnight - 1),
        (f"binance/A-USDT/trades/2024-07-24/{session}-000.parquet", 2, midnight, midnight + 1),
    ]
    assert load(tmp_path / manifest.path) == manifest


def test_a_strange_reader_sees_true_numbers(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    manifest = record(one_of_each)
    tables = {f.channel: pq.read_table(tmp_path / f.path) for f in manifest.files}
    assert tables["trades"]["price"].to_pylist() == [Decimal("1.3")]
    assert tables["book"]["bid_sizes"].to_pylist() == [[Decimal(5), Decimal(7)], []]
    assert tables["marks"]["mark"].to_pylist() == [Decimal("1.30000001")]
    assert tables["marks"]["funding_rate"].to_pylist() == [-0.00012345]


def test_the_same_events_give_the_same_bytes(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    record(one_of_each, tmp_path / "one", sha256="ab" * 32)
    record(one_of_each, tmp_path / "two", sha256="ab" * 32)
    once = contents(tmp_path / "one")
    assert once == contents(tmp_path / "two")
    record(one_of_each, tmp_path / "one", sha256="ab" * 32)
    assert once == contents(tmp_path / "one")


def test_writing_a_session_again_removes_what_it_no_longer_has(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    record(one_of_each, sha256="ab" * 32)
    record(one_of_each[:1], sha256="ab" * 32)
    assert [Path(name).suffixes for name in sorted(contents(tmp_path))] == [
        [".parquet"],
        [".manifest", ".json"],
    ]


def test_a_session_that_is_not_closed_leaves_nothing(tmp_path: Path, one_of_each: list[MarketEvent]) -> None:
    root = tmp_path / "new"

    def fails() -> None:
        with Writer(root, "binance", {}) as writer:
            for day in range(3):
                writer.append(msgspec.structs.replace(one_of_each[1], local_ns=day * 86_400 * SECOND))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert not root.exists()


def test_nothing_is_visible_before_the_session_is_closed(tmp_path: Path, noon: int) -> None:
    with Writer(tmp_path, "binance", {}) as writer:
        for day in range(3):
            writer.append(trade(noon + day * 86_400 * SECOND, day))
        seen = list(tmp_path.glob("binance/[!.]*"))
        writer.close()
    assert seen == []
    assert len(list(tmp_path.glob("binance/A-USDT/trades/*/*.parquet"))) == 3


def test_local_time_does_not_go_back(record: Record, tmp_path: Path, noon: int) -> None:
    times = [noon, noon + 10, noon + 4, noon + 3, noon + 12]
    manifest = record([trade(at_ns, seq) for seq, at_ns in enumerate(times, 1)])
    rows = pq.read_table(tmp_path / manifest.files[0].path)
    assert rows["local_ns"].to_pylist() == [noon, noon + 10, noon + 10, noon + 10, noon + 12]
    assert manifest.clock_steps_back == 2
    assert manifest.clock_offset_ms == 5


def test_a_sequence_that_goes_back_is_our_own_error(record: Record, noon: int) -> None:
    with pytest.raises(InvariantError):
        record([trade(noon, 2), trade(noon, 1)])


def test_jumping_ids_are_gaps_where_they_happen(record: Record, noon: int) -> None:
    def diff(at_ns: int, seq: int, first: int, last: int, prev: int = 0) -> BookUpdate:
        return BookUpdate("A/USDT", 0, at_ns, seq, False, first, last, prev, [(1.0, 1.0)], [])

    manifest = record(
        [
            trade(noon, 1, 100),
            diff(noon + 1, 2, 11, 15),
            diff(noon + 2, 3, 16, 17),
            trade(noon + 3, 4, 103),
            diff(noon + 4, 5, 19, 20),
            diff(noon + 5, 6, 12, 13),
            diff(noon + 6, 7, 21, 21),
        ]
    )
    assert [(g.channel, g.at_ns, g.kind, g.detail) for g in manifest.gaps] == [
        ("trades", noon + 3, "sequence", "trade_id 103 after 100"),
        ("book", noon + 4, "sequence", "update_id 19 after 17"),
    ]
    assert {f.channel: f.gaps for f in manifest.files} == {"book": 1, "trades": 1}


def test_futures_updates_continue_by_the_id_before(record: Record, noon: int) -> None:
    ids = [(5, 9, 4), (12, 15, 9), (16, 20, 15), (30, 31, 29)]
    manifest = record(
        BookUpdate("A/USDT:USDT", 0, noon + i, i, False, *three, [(1.0, 1.0)], [])
        for i, three in enumerate(ids)
    )
    assert [g.at_ns for g in manifest.gaps] == [noon + 3]


def test_an_id_that_made_no_event_is_not_missing(tmp_path: Path, noon: int) -> None:
    with Writer(tmp_path, "binance", {}) as writer:
        writer.append(trade(noon, 1, 100))
        writer.withhold(Channel.TRADES)
        writer.append(trade(noon, 2, 102))
        writer.append(trade(noon, 3, 104))
        manifest = writer.close()
    assert [gap.detail for gap in manifest.gaps] == ["trade_id 104 after 102"]


def test_a_size_beyond_eighteen_digits_starts_a_wide_file(record: Record, tmp_path: Path, noon: int) -> None:
    with Writer(tmp_path, "binance", {}) as writer:
        for seq in range(40_000):
            writer.append(trade(noon + seq, seq, seq + 1, 1.0 if seq < 35_000 else 123_456_789_012.5))
        manifest = writer.close()
    types = [pq.read_schema(tmp_path / f.path).field("size").type.precision for f in manifest.files]
    assert types == [18, 38]
    assert sum(f.rows for f in manifest.files) == 40_000
    last = pq.read_table(tmp_path / manifest.files[1].path)["size"].to_pylist()[-1]
    assert last == Decimal("123456789012.5")


def test_a_number_that_is_not_exact_stops_the_session(record: Record, tmp_path: Path, noon: int) -> None:
    with pytest.raises(RecordingError, match="A/USDT trades size"):
        record([trade(noon, 1, size=0.1 + 0.2)])
    assert contents(tmp_path) == {}


def test_rules_of_the_exchange_are_kept_and_missing_ones_observed(tmp_path: Path, noon: int) -> None:
    told = SymbolMetadata(Symbol("A", "USDT"), "binance", "AUSDT", Decimal("0.1"), Decimal(1))
    unused = SymbolMetadata(Symbol("C", "USDT"), "binance", "CUSDT", Decimal("0.1"), Decimal(1))
    with Writer(tmp_path, "binance", {}) as writer:
        writer.instruments([told, unused])
        writer.append(trade(noon, 1))
        writer.append(Ticker("B/BTC", 0, noon, 2, 0.00125, 30.0, 0.0015, 45.0, 1))
        manifest = writer.close()
    assert manifest.instruments[0] == told
    seen = manifest.instruments[1]
    assert (
        seen.exchange_symbol,
        seen.price_tick,
        seen.lot,
        seen.min_qty,
        seen.min_notional,
        seen.source,
    ) == (
        "BBTC",
        Decimal("0.00025"),
        Decimal(15),
        Decimal(15),
        Decimal("0.0001"),
        "observed",
    )
    assert len(manifest.instruments) == 2
