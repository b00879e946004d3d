"""Verification notices every changed byte, and says which file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import DamagedRecording
from quantcli.model.market import Channel, MarketEvent
from quantcli.recording import manifest as manifests
from quantcli.recording.manifest import FileEntry, Gap, Manifest
from quantcli.recording.verify import verify
from quantcli.recording.writer import Writer

Record = Callable[..., Manifest]


def problems(root: Path) -> dict[str, str]:
    return {check.path: check.problem for check in verify(root) if not check.ok}


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_an_untouched_recording_is_whole(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    manifest = record(one_of_each)
    checks = verify(tmp_path)
    assert [check.path for check in checks] == [entry.path for entry in manifest.files]
    assert all(check.ok for check in checks)


@pytest.mark.parametrize("place", [0, 100, -1])
def test_one_changed_byte_in_a_file_is_found(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent], place: int
) -> None:
    for entry in record(one_of_each).files:
        flip(tmp_path / entry.path, place)
        assert problems(tmp_path)[entry.path].startswith("damaged")
        flip(tmp_path / entry.path, place)
    assert problems(tmp_path) == {}


_SAMPLE = manifests.to_bytes(
    Manifest(
        manifests.FORMAT,
        "0123",
        "binance",
        {"file": "x.csv"},
        {"trades": 1},
        -3,
        0,
        (),
        (Gap("A/USDT", "trades", 5, "sequence", "trade_id 3 after 1"),),
        (
            FileEntry(
                "binance/A-USDT/trades/1970-01-01/0123-000.parquet",
                "binance",
                "A/USDT",
                "trades",
                1,
                5,
                5,
                1,
                "0",
            ),
        ),
    )
)


@given(st.integers(0, len(_SAMPLE) - 1), st.integers(0, 7))
def test_every_changed_bit_of_a_manifest_is_found(place: int, bit: int) -> None:
    damaged = bytearray(_SAMPLE)
    damaged[place] ^= 1 << bit
    assert manifests.from_bytes(_SAMPLE, "m").gaps[0].at_ns == 5
    with pytest.raises(DamagedRecording):
        manifests.from_bytes(bytes(damaged), "m")


def test_a_damaged_manifest_is_named(record: Record, tmp_path: Path, one_of_each: list[MarketEvent]) -> None:
    manifest = record(one_of_each[:1])
    flip(tmp_path / manifest.path, 300)
    found = problems(tmp_path)
    assert found.pop(manifest.path).startswith("damaged")
    assert found == {manifest.files[0].path: "no manifest lists it"}


def test_missing_and_foreign_files_are_named(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    entry = record(one_of_each[:1]).files[0]
    path = tmp_path / entry.path
    path.rename(path.with_name("other.parquet"))
    foreign = str(Path(entry.path).with_name("other.parquet"))
    assert problems(tmp_path) == {entry.path: "missing", foreign: "no manifest lists it"}


def test_a_session_that_was_never_finished_is_not_damage(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    record(one_of_each)
    unfinished = Writer(tmp_path, "binance", {"by": "another"})
    unfinished.append(one_of_each[1])
    unfinished.gap("A/USDT", Channel.TRADES, 0, "reconnect", "")
    (tmp_path / "binance" / ".half.partial").mkdir()
    (tmp_path / "binance" / ".half.partial" / "x.parquet").write_bytes(b"PAR1")
    assert problems(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rows": 3}, "it holds 1 rows, the manifest says 3"),
        ({"to_ns": 1}, "the manifest says otherwise"),
        ({"channel": "quotes"}, "its columns are not those of quotes"),
    ],
)
def test_a_manifest_that_tells_another_story_is_found(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent], change: dict[str, object], problem: str
) -> None:
    import msgspec

    manifest = record(one_of_each[1:2])
    entry = msgspec.structs.replace(manifest.files[0], **change)
    manifests.save(msgspec.structs.replace(manifest, files=(entry,)), tmp_path)
    assert problem in problems(tmp_path)[entry.path]
