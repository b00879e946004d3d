"""A session that grows: checkpoints, gaps that were seen coming, rows that cannot be kept, many streams."""

from pathlib import Path

import pytest

from quantcli.errors import InvariantError, RecordingError
from quantcli.model.market import BookUpdate, Channel, Trade
from quantcli.recording.manifest import Manifest, load
from quantcli.recording.verify import verify
from quantcli.recording.writer import RESUME, Writer

SECOND = 1_000_000_000


def trade(at_ns: int, seq: int, trade_id: int = 0, symbol: str = "A/USDT", size: float = 1.0) -> Trade:
    return Trade(symbol, at_ns - 5_000_000, at_ns, seq, 1.5, size, 1, trade_id or seq)


def live(root: Path, earlier: Manifest | None = None) -> Writer:
    return Writer(root, "binance", {"source": "x"}, session="live", earlier=earlier, lenient=True)


def test_after_a_checkpoint_everything_so_far_can_be_read(tmp_path: Path, noon: int) -> None:
    with live(tmp_path) as writer:
        writer.append(trade(noon, 1))
        writer.checkpoint()
        writer.append(trade(noon + 1, 2))
        assert all(check.ok for check in verify(tmp_path))
        assert load(tmp_path / "binance/live.manifest.json").events == {"trades": 1}
        record = writer.checkpoint()
        writer.append(trade(noon + 2, 3))
    assert record.events == {"trades": 2}
    assert all(check.ok for check in verify(tmp_path)), "what was not checkpointed is gone, the rest is whole"


def test_another_process_goes_on_where_the_manifest_ends(tmp_path: Path, noon: int) -> None:
    day = 86_400 * SECOND
    with live(tmp_path) as writer:
        writer.append(trade(noon, 1, 100))
        writer.append(trade(noon + 1, 2, 101, size=1.75))
        earlier = writer.checkpoint()
    assert RESUME in earlier.origin
    with live(tmp_path, earlier) as writer:
        writer.append(trade(noon + 2, 3, 102))
        writer.append(trade(noon + day, 4, 104))
        record = writer.close()
    assert [Path(entry.path).name for entry in record.files] == [
        "live-000.parquet",
        "live-001.parquet",
        "live-000.parquet",
    ]
    assert [gap.detail for gap in record.gaps] == ["trade_id 104 after 102"]
    assert str(record.instruments[0].lot) == "0.25"
    assert all(check.ok for check in verify(tmp_path))


def test_a_clock_that_goes_back_between_processes_is_held(tmp_path: Path, noon: int) -> None:
    with live(tmp_path) as writer:
        writer.append(trade(noon, 1))
        earlier = writer.checkpoint()
    with live(tmp_path, earlier) as writer:
        writer.append(trade(noon - SECOND, 2))
        record = writer.close()
    assert [entry.from_ns for entry in record.files] == [noon, noon]
    assert record.clock_steps_back == 1


def test_an_interruption_stands_at_the_next_row_of_its_stream(tmp_path: Path, noon: int) -> None:
    with live(tmp_path) as writer:
        writer.append(trade(noon, 1, 100))
        writer.append(trade(noon, 2, 100, "B/USDT"))
        for symbol in ("A/USDT", "B/USDT"):
            writer.interrupted(symbol, Channel.TRADES, noon + 3, "reconnect", "cut")
        writer.append(trade(noon + 9, 3, 101))
        record = writer.close()
    assert [(gap.symbol, gap.at_ns, gap.kind, gap.detail) for gap in record.gaps] == [
        ("B/USDT", noon + 3, "reconnect", "cut"),
        ("A/USDT", noon + 9, "reconnect", "cut"),
    ]


def test_ids_that_show_a_known_hole_are_no_second_gap(tmp_path: Path, noon: int) -> None:
    def book(at_ns: int, seq: int, first: int, last: int, is_snapshot: bool = False) -> BookUpdate:
        return BookUpdate("A/USDT", 0, at_ns, seq, is_snapshot, first, last, 0, [(1.0, 1.0)], [])

    with live(tmp_path) as writer:
        writer.append(book(noon, 1, 10, 10, True))
        writer.append(book(noon + 1, 2, 11, 12))
        writer.interrupted("A/USDT", Channel.BOOK, noon + 5, "reconnect", "cut")
        writer.append(book(noon + 7, 3, 30, 30, True))
        writer.append(book(noon + 9, 4, 31, 31))
        writer.append(book(noon + 11, 5, 40, 41))
        record = writer.close()
    assert [(gap.at_ns, gap.kind, gap.detail) for gap in record.gaps] == [
        (noon + 7, "reconnect", "cut; update_id 31 after 12"),
        (noon + 11, "sequence", "update_id 40 after 31"),
    ]


def test_a_row_that_cannot_be_kept_exactly_is_a_gap_and_the_others_are_kept(
    tmp_path: Path, noon: int
) -> None:
    with live(tmp_path) as writer:
        writer.append(trade(noon, 1))
        writer.append(trade(noon + 1, 2, size=0.1 + 0.2))
        writer.append(trade(noon + 2, 3))
        record = writer.close()
    assert record.events == {"trades": 2}
    assert [(gap.at_ns, gap.kind) for gap in record.gaps] == [
        (noon + 1, "inexact"),
        (noon + 2, "sequence"),
    ]
    assert "0.30000000000000004" in record.gaps[0].detail


def test_many_streams_wait_in_bounded_memory(tmp_path: Path, noon: int) -> None:
    streams = 40
    with live(tmp_path) as writer:
        for seq in range(400_000):
            writer.append(trade(noon + seq, seq, seq // streams + 1, f"A{seq % streams}/USDT"))
            if seq % 50_000 == 0:
                assert writer.waiting <= 300_000
        assert writer.waiting < 300_000
        record = writer.close()
    assert (sum(entry.rows for entry in record.files), len(record.files), record.gaps) == (
        400_000,
        streams,
        (),
    )


def test_what_is_written_once_must_still_be_exact(tmp_path: Path, noon: int) -> None:
    with Writer(tmp_path, "binance", {}) as writer:
        writer.append(trade(noon, 1, size=0.1 + 0.2))
        with pytest.raises(RecordingError):
            writer.checkpoint()
    with live(tmp_path) as writer:
        writer.append(trade(noon, 2))
        with pytest.raises(InvariantError):
            writer.append(trade(noon, 1))
