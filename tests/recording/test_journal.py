"""The journal of a live session: what a crash leaves of it, and what becomes of that."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from quantcli.errors import DamagedRecording, NotFoundError, RecordingError, SafetyError
from quantcli.model.batch import events
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Channel, MarketEvent, Trade
from quantcli.recording import recovery
from quantcli.recording.journal import GapNote, Head, Journal, Withheld, journals, path_of, read, read_head
from quantcli.recording.manifest import load
from quantcli.recording.reader import open_recording
from quantcli.recording.verify import verify

SECOND = 1_000_000_000
SESSION = "ab12cd34ef56"
RULE = SymbolMetadata(Symbol("A", "USDT"), "binance", "AUSDT", Decimal("0.1"), Decimal("0.25"))


def trade(noon: int, number: int, *, after: int = 0) -> Trade:
    at_ns = noon + (number + after) * SECOND
    return Trade("A/USDT", at_ns - 5_000_000, at_ns, number, 1.5, 0.25, 1, 100 + number)


def begin(root: Path, number: int = 1, floor_ns: int = 0) -> Journal:
    return Journal(root, Head("binance", SESSION, {"source": "a test"}, number, floor_ns))


def rows_of(root: Path) -> list[MarketEvent]:
    """Every trade recorded, in order."""
    found = []
    for chunk in open_recording(root).chunks(channels=[Channel.TRADES]):
        streams = [events(columns) for columns in chunk.streams]
        found += [next(streams[turn]) for turn in chunk.turn.tolist()]
    return found


def test_every_kind_of_record_comes_back_as_it_was(
    tmp_path: Path, one_of_each: list[MarketEvent], noon: int
) -> None:
    journal = begin(tmp_path)
    told = [
        *one_of_each,
        GapNote("A/USDT", Channel.BOOK, noon, "reconnect", "cut"),
        Withheld(Channel.TRADES, 3),
    ]
    for event in one_of_each:
        journal.append(event)
    journal.gap(told[-2])
    journal.withhold(told[-1])
    journal.instruments([RULE])
    journal.close()
    path = path_of(tmp_path / "binance", SESSION, 1)
    found = list(read(path))
    assert [_plain(item) for item in found[:-1]] == [_plain(item) for item in told]
    assert found[-1] == [RULE]
    assert read_head(path) == Head("binance", SESSION, {"source": "a test"}, 1)


def _plain(item: object) -> str:
    return repr(item).replace("(", "[").replace(")", "]")  # levels come back as lists


def test_rows_reach_the_disk_when_flushed_and_no_sooner_than_a_batch_is_full(
    tmp_path: Path, noon: int
) -> None:
    journal = begin(tmp_path)
    path = path_of(tmp_path / "binance", SESSION, 1)
    journal.append(trade(noon, 1))
    assert list(read(path)) == []
    journal.flush()
    assert list(read(path)) == [trade(noon, 1)]
    for number in range(2, 3000):
        journal.append(trade(noon, number))
    assert len(list(read(path))) > 1000
    journal.close()


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_batch_that_was_torn_is_left_out_and_all_before_it_kept(
    tmp_path: Path, noon: int, cut: int
) -> None:
    journal = begin(tmp_path)
    for number in range(1, 4):
        journal.append(trade(noon, number))
        journal.flush()
    journal.close()
    path = path_of(tmp_path / "binance", SESSION, 1)
    os.truncate(path, path.stat().st_size - cut)
    assert list(read(path)) == [trade(noon, 1), trade(noon, 2)]


def test_a_changed_byte_ends_the_journal_there(tmp_path: Path, noon: int) -> None:
    journal = begin(tmp_path)
    journal.append(trade(noon, 1))
    journal.flush()
    sound = journal.size
    journal.append(trade(noon, 2))
    journal.close()
    path = path_of(tmp_path / "binance", SESSION, 1)
    data = bytearray(path.read_bytes())
    data[sound + 20] ^= 1
    path.write_bytes(data)
    assert list(read(path)) == [trade(noon, 1)]
    path.write_bytes(b"x")
    with pytest.raises(DamagedRecording):
        read_head(path)


def test_what_a_crash_left_becomes_a_session_that_says_so(tmp_path: Path, noon: int) -> None:
    journal = begin(tmp_path)
    journal.instruments([RULE])
    for number in range(1, 6):
        journal.append(trade(noon, number))
    journal.flush()
    journal.append(trade(noon, 6))  # still in the process that is gone
    (record,) = recovery.recover_all(tmp_path)
    assert record == load(tmp_path / "binance" / f"{SESSION}.manifest.json")
    assert (record.events, record.origin["ended"], record.instruments) == ({"trades": 5}, "crashed", (RULE,))
    assert rows_of(tmp_path) == [trade(noon, number) for number in range(1, 6)]
    assert all(check.ok for check in verify(tmp_path))
    assert journals(tmp_path / "binance") == {}
    assert recovery.recover_all(tmp_path) == []
    earlier = recovery.earlier_sessions(tmp_path, "binance")
    assert earlier == recovery.Earlier(noon + 5 * SECOND, {("A/USDT", "trades"): noon + 5 * SECOND})


def test_a_journal_without_rows_leaves_nothing(tmp_path: Path) -> None:
    begin(tmp_path).close()
    (tmp_path / "binance" / f".{SESSION}-000002.journal").touch()
    assert recovery.recover_all(tmp_path) == []
    assert not tmp_path.exists() or not any(tmp_path.iterdir())
    with pytest.raises(NotFoundError):
        open_recording(tmp_path)


def test_a_session_grows_hour_by_hour_into_one_manifest(tmp_path: Path, noon: int) -> None:
    journal = begin(tmp_path)
    for number in (1, 2):
        journal.append(trade(noon, number))
    first = journal.rotate()
    journal.append(trade(noon, 3))
    record = recovery.absorb(tmp_path, "binance", SESSION, upto=first)
    assert record is not None
    assert record.events == {"trades": 2}
    assert "ended" not in record.origin
    journal.append(trade(noon, 5))
    journal.gap(GapNote("A/USDT", Channel.TRADES, noon, "reconnect", "cut"))
    journal.append(trade(noon, 8))
    journal.close()
    record = recovery.absorb(tmp_path, "binance", SESSION, ended="stopped")
    assert record is not None
    assert record.events == {"trades": 5}
    assert [(gap.at_ns, gap.kind, gap.detail) for gap in record.gaps] == [
        (noon + 5 * SECOND, "sequence", "trade_id 105 after 103"),
        (noon + 8 * SECOND, "reconnect", "cut; trade_id 108 after 105"),
    ]
    assert [entry.path[-7:] for entry in record.files] == ["parquet"] * 2
    assert record.clock_offset_ms == 5
    assert "resume" not in record.origin
    assert [row.trade_id - 100 for row in rows_of(tmp_path)] == [1, 2, 3, 5, 8]
    assert all(check.ok for check in verify(tmp_path))


def test_growing_gives_the_same_rows_and_gaps_as_writing_at_once(
    tmp_path: Path, one_of_each: list[MarketEvent], noon: int
) -> None:
    later = [trade(noon, 8, after=n) for n in range(3)]
    for root, cuts in (("whole", ()), ("parts", (2, 5, 8))):
        journal = begin(tmp_path / root)
        for i, event in enumerate([*one_of_each, *later]):
            if i in cuts:
                recovery.absorb(tmp_path / root, "binance", SESSION, upto=journal.rotate())
            journal.append(event)
        journal.close()
        recovery.absorb(tmp_path / root, "binance", SESSION, ended="stopped")
    whole, parts = (
        load(tmp_path / root / "binance" / f"{SESSION}.manifest.json") for root in ("whole", "parts")
    )
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")
    assert (whole.events, whole.gaps, whole.instruments) == (parts.events, parts.gaps, parts.instruments)
    assert (whole.clock_offset_ms, len(whole.files)) == (parts.clock_offset_ms, 6)


def test_dying_between_the_manifest_and_the_journals_end_doubles_nothing(tmp_path: Path, noon: int) -> None:
    journal = begin(tmp_path)
    journal.append(trade(noon, 1))
    ended = journal.rotate()
    path = path_of(tmp_path / "binance", SESSION, ended)
    kept = path.read_bytes()
    recovery.absorb(tmp_path, "binance", SESSION, upto=ended)
    path.write_bytes(kept)
    journal.append(trade(noon, 2))
    journal.close()
    recovery.recover_all(tmp_path)
    assert [row.trade_id for row in rows_of(tmp_path)] == [101, 102]
    assert journals(tmp_path / "binance") == {}


def test_rows_never_lie_before_those_of_the_session_before(tmp_path: Path, noon: int) -> None:
    journal = begin(tmp_path, floor_ns=noon + 2 * SECOND)
    for number in (1, 2, 3):
        journal.append(trade(noon, number))
    journal.close()
    recovery.recover_all(tmp_path)
    assert [(row.local_ns - noon) // SECOND for row in rows_of(tmp_path)] == [2, 2, 3]


def test_one_recorder_of_an_exchange_at_a_time(tmp_path: Path, noon: int) -> None:
    journal = begin(tmp_path)
    journal.append(trade(noon, 1))
    journal.close()
    with recovery.recorder_lock(tmp_path, "binance"):
        with pytest.raises(SafetyError, match="something else records binance") as refused:
            recovery.recorder_lock(tmp_path, "binance").__enter__()
        assert str(os.getpid()) in refused.value.why
        assert recovery.recover_all(tmp_path) == [], "what is being recorded is left alone"
        with recovery.recorder_lock(tmp_path, "okx"):
            pass
    assert len(recovery.recover_all(tmp_path)) == 1


_FILLS_THE_DISK = """
import resource, signal, sys
from pathlib import Path
from quantcli.errors import RecordingError
from quantcli.model.market import Trade
from quantcli.recording.journal import Head, Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
journal = Journal(Path(sys.argv[1]), Head("binance", "ab12cd34ef56", {}, 1))
try:
    for number in range(100_000):
        journal.append(Trade("A/USDT", 0, 10**18 + number, number, 1.5, 0.25, 1, number + 1))
        if number % 10 == 9:
            journal.flush()
            print(number + 1)
except RecordingError as error:
    print(error.why, file=sys.stderr)
    print(error.todo, file=sys.stderr)
"""


def test_a_full_disk_is_told_and_what_was_written_stays_whole(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FILLS_THE_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    written = int(ran.stdout.split()[-1])
    assert "File too large" in ran.stderr
    assert f"quant recordings verify {tmp_path}" in ran.stderr
    recovery.recover_all(tmp_path)
    assert len(rows_of(tmp_path)) == written > 100


def test_a_session_that_exists_is_not_begun_again(tmp_path: Path) -> None:
    begin(tmp_path).close()
    with pytest.raises(RecordingError, match="cannot be written on"):
        begin(tmp_path)
