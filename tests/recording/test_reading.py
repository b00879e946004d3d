"""A recording read back: everything, once, in one order, whatever the batches."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import DamagedRecording, NotFoundError, RecordingError
from quantcli.model.batch import Chunk, events
from quantcli.model.market import BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.recording.columns import from_events, no_rows
from quantcli.recording.manifest import Manifest
from quantcli.recording.merge import in_order, merged, part
from quantcli.recording.reader import open_recording

Record = Callable[..., Manifest]

SYMBOLS = ("A/USDT", "B/USDT", "C/USDT")


def in_sequence(chunks: Iterable[Chunk]) -> list[MarketEvent]:
    """The events of all chunks in the order the chunks give."""
    found: list[MarketEvent] = []
    for chunk in chunks:
        rows = [list(events(stream)) for stream in chunk.streams]
        placed: list[MarketEvent | None] = [None] * len(chunk)
        for stream, places in zip(rows, chunk.where, strict=True):
            for event, place in zip(stream, places.tolist(), strict=True):
                placed[place] = event
        taken = [0] * len(rows)
        for place, number in enumerate(chunk.turn.tolist()):
            assert placed[place] == rows[number][taken[number]]
            assert chunk.local_ns[place] == rows[number][taken[number]].local_ns
            taken[number] += 1
        assert taken == [len(stream) for stream in rows]
        found += [event for event in placed if event is not None]
    return found


@st.composite
def streams(draw: st.DrawFn) -> list[list[MarketEvent]]:
    """Up to three streams of trades or books, full of ties in time and in sequence."""
    made: list[list[MarketEvent]] = []
    for symbol in SYMBOLS[: draw(st.integers(1, 3))]:
        keys = sorted(draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30)))
        if draw(st.booleans()):
            made.append([Trade(symbol, 0, at, seq, 1.0, 1.0, 0, i) for i, (at, seq) in enumerate(keys)])
        else:
            made.append(
                [
                    BookUpdate(
                        symbol, 0, at, seq, False, i, i, 0, [(float(i), 2.0)] * (i % 3), [(3.0, 4.0)] * seq
                    )
                    for i, (at, seq) in enumerate(keys)
                ]
            )
    return made


def merge_in_batches(made: Sequence[Sequence[MarketEvent]], sizes: Sequence[int]) -> Iterable[Chunk]:
    channels = [
        Channel.BOOK if stream and isinstance(stream[0], BookUpdate) else Channel.TRADES for stream in made
    ]
    whole = [
        from_events(channel, symbol, stream)
        for channel, symbol, stream in zip(channels, SYMBOLS, made, strict=False)
    ]
    batches = [
        iter([part(rows, i, min(i + size, len(rows))) for i in range(0, len(rows), size)])
        for rows, size in zip(whole, sizes, strict=False)
    ]
    empty = [no_rows(channel, symbol) for channel, symbol in zip(channels, SYMBOLS, strict=False)]
    return merged(empty, batches)


@given(streams(), st.tuples(*[st.integers(1, 8)] * 3))
def test_streams_merge_by_time_sequence_and_number(
    made: list[list[MarketEvent]], sizes: tuple[int, ...]
) -> None:
    expected = [
        event
        for _, _, _, _, event in sorted(
            (event.local_ns, event.seq, number, place, event)
            for number, stream in enumerate(made)
            for place, event in enumerate(stream)
        )
    ]
    assert in_sequence(merge_in_batches(made, sizes)) == expected


def test_keys_too_far_apart_for_one_integer_are_ordered_too() -> None:
    far = 2**62
    first = [Trade("A/USDT", 0, at, seq, 1.0, 1.0, 0, 0) for at, seq in [(0, far), (far, 0), (far, 7)]]
    second = [Trade("B/USDT", 0, at, seq, 1.0, 1.0, 0, 0) for at, seq in [(0, 3), (far, 5)]]
    chunk = in_order(
        [from_events(Channel.TRADES, "A/USDT", first), from_events(Channel.TRADES, "B/USDT", second)]
    )
    assert chunk.turn.tolist() == [1, 0, 0, 1, 0]


def test_everything_comes_back_as_it_was_written(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    record(one_of_each)
    recording = open_recording(tmp_path)
    assert in_sequence(recording.chunks()) == one_of_each
    assert [s.channel for s in recording.streams] == list(Channel)
    assert (recording.exchange, recording.rows) == ("binance", len(one_of_each))
    assert (recording.from_ns, recording.to_ns) == (one_of_each[0].local_ns, one_of_each[-1].local_ns)


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_batches_do_not_change_the_sequence(
    record: Record, tmp_path: Path, noon: int, batch_rows: int
) -> None:
    written: list[MarketEvent] = []
    for i in range(500):
        at_ns = noon + i // 7 * 1000
        if i % 3:
            written.append(Trade(SYMBOLS[i % 2], at_ns, at_ns, i, 1.5, 2.0, 1, i))
        else:
            levels = [(1.0 + k, 2.0) for k in range(i % 5)]
            written.append(BookUpdate(SYMBOLS[i % 2], 0, at_ns, i, False, i, i, 0, levels, levels[1:]))
    written += [Ticker(symbol, 0, noon + 10**9, 500, 1.0, 1.0, 2.0, 1.0, 9) for symbol in SYMBOLS[:2]]
    record(written)
    recording = open_recording(tmp_path)
    chunks = list(recording.chunks(batch_rows=batch_rows))
    assert in_sequence(chunks) == written
    names = [(s.symbol, s.channel) for s in recording.streams]
    assert all([(c.symbol, c.channel) for c in chunk.streams] == names for chunk in chunks)


def test_symbols_and_channels_select_streams(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    other = [msgspec.structs.replace(event, symbol="B/USDT") for event in one_of_each]
    record([event for pair in zip(one_of_each, other, strict=True) for event in pair])
    recording = open_recording(tmp_path)
    chosen = recording.chunks(symbols={"B/USDT"}, channels={Channel.TRADES, Channel.QUOTES})
    assert in_sequence(chosen) == [other[1], other[2]]
    with pytest.raises(NotFoundError, match="X/USDT"):
        recording.chunks(symbols={"X/USDT"})


def test_sessions_of_several_sources_are_one_recording(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    later = [
        msgspec.structs.replace(event, symbol="B/USDT:USDT", local_ns=event.local_ns + 2)
        for event in one_of_each
    ]
    first = record(one_of_each, source="one")
    second = record(later, source="two")
    recording = open_recording(tmp_path)
    assert [event.local_ns for event in in_sequence(recording.chunks())] == sorted(
        event.local_ns for event in one_of_each + later
    )
    assert recording.origins == ({"source": "one"}, {"source": "two"})
    assert set(recording.instruments) == {"A/USDT", "B/USDT:USDT"}
    assert recording.rows == sum(f.rows for m in (first, second) for f in m.files)


def test_the_digest_tells_recordings_apart(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    for name, written in {"one": one_of_each, "same": one_of_each, "other": one_of_each[:-1]}.items():
        record(written, tmp_path / name)
    digests = [open_recording(tmp_path / name).digest for name in ("one", "same", "other")]
    assert digests[0] == digests[1] != digests[2]


def test_the_same_stream_twice_is_refused(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    record(one_of_each, source="one")
    record(one_of_each, source="two")
    with pytest.raises(RecordingError, match="recorded twice"):
        open_recording(tmp_path)


def test_a_folder_without_a_recording_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no recording"):
        open_recording(tmp_path / "nowhere")
    (tmp_path / "x.capture.jsonl").touch()
    with pytest.raises(NotFoundError, match="no recording") as caught:
        open_recording(tmp_path / "x.capture.jsonl")
    assert caught.value.why == "it is a file, not the folder of a recording"
    assert caught.value.todo == f"quant import {tmp_path / 'x.capture.jsonl'} --to recordings"


def test_a_changed_page_is_noticed_while_reading(record: Record, tmp_path: Path, noon: int) -> None:
    manifest = record(Trade("A/USDT", 0, noon + i, i, 1.0 + i, 1.0, 1, i) for i in range(2000))
    path = tmp_path / manifest.files[0].path
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamagedRecording):
        list(open_recording(tmp_path).chunks())


def test_a_part_of_a_book_begins_its_offsets_at_zero() -> None:
    rows = [BookUpdate("A/USDT", 0, i, i, False, i, i, 0, [(1.0 + i, 1.0)] * i, []) for i in range(4)]
    columns = part(from_events(Channel.BOOK, "A/USDT", rows), 2, 4)
    assert columns.data["bid_offsets"].tolist() == [0, 2, 5]
    assert list(events(columns)) == rows[2:]
    assert columns.data["ask_prices"].dtype == np.float64
