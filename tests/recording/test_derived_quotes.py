"""Markets without recorded quotes get them from what they have."""

from collections.abc import Callable, Sequence
from pathlib import Path

from quantcli.model.batch import events
from quantcli.model.market import AggTrade, Bar, BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.recording.manifest import Manifest
from quantcli.recording.reader import Recording, open_recording

Record = Callable[..., Manifest]
Levels = Sequence[tuple[float, float]]
MINUTE = 60_000_000_000


def quotes_of(recording: Recording, batch_rows: int = 8192) -> list[Ticker]:
    return [
        event
        for chunk in recording.chunks(channels={Channel.QUOTES}, batch_rows=batch_rows)
        for event in events(chunk.streams[0])
        if isinstance(event, Ticker)
    ]


def snapshot(at_ns: int, seq: int, last_id: int, bids: Levels, asks: Levels) -> BookUpdate:
    return BookUpdate("A/USDT", 0, at_ns, seq, True, last_id, last_id, 0, bids, asks)


def diff(at_ns: int, seq: int, first: int, last: int, bids: Levels, asks: Levels) -> BookUpdate:
    return BookUpdate("A/USDT", 7, at_ns, seq, False, first, last, 0, bids, asks)


def test_a_book_gives_a_quote_where_its_best_changes(record: Record, tmp_path: Path, noon: int) -> None:
    record(
        [
            diff(noon, 1, 10, 11, [(1.0, 4.0)], []),
            snapshot(noon + 1, 2, 11, [(1.0, 4.0), (0.9, 1.0)], [(1.1, 2.0)]),
            diff(noon + 2, 3, 12, 12, [(0.9, 3.0)], []),  # below the best
            diff(noon + 3, 4, 13, 13, [], [(1.1, 2.5)]),
            diff(noon + 4, 5, 14, 15, [(1.0, 0.0)], []),
            diff(noon + 5, 6, 17, 18, [(1.05, 1.0)], []),  # after a gap the book is not known
        ]
    )
    stamps_and_best = [
        (q.exchange_ns, q.local_ns, q.seq, q.bid, q.bid_size, q.ask, q.ask_size, q.update_id)
        for q in quotes_of(open_recording(tmp_path), batch_rows=2)
    ]
    assert stamps_and_best == [
        (0, noon + 1, 2, 1.0, 4.0, 1.1, 2.0, 11),
        (7, noon + 3, 4, 1.0, 4.0, 1.1, 2.5, 13),
        (7, noon + 4, 5, 0.9, 3.0, 1.1, 2.5, 15),
    ]


def test_trades_give_their_price_with_unknown_sizes(record: Record, tmp_path: Path, noon: int) -> None:
    record(
        [Trade("A/USDT", 3, noon, 1, 1.5, 9.0, 1, 1), AggTrade("B/USDT", 4, noon, 2, 2.5, 9.0, 1, 1, 1, 1)]
    )
    recording = open_recording(tmp_path)
    assert [(s.symbol, s.channel, s.derived_from) for s in recording.streams] == [
        ("A/USDT", Channel.TRADES, None),
        ("A/USDT", Channel.QUOTES, Channel.TRADES),
        ("B/USDT", Channel.AGG_TRADES, None),
        ("B/USDT", Channel.QUOTES, Channel.AGG_TRADES),
    ]
    assert quotes_of(recording) == [Ticker("A/USDT", 3, noon, 1, 1.5, 0.0, 1.5, 0.0, 0)]


def test_bars_give_their_close_when_they_are_complete(record: Record, tmp_path: Path, noon: int) -> None:
    bar = Bar("A/USDT", noon, noon, 1, noon - MINUTE, MINUTE, 1.0, 2.0, 0.5, 1.75, 1.0, 1.0, 1, True)
    record([bar])
    assert quotes_of(open_recording(tmp_path)) == [Ticker("A/USDT", noon, noon, 1, 1.75, 0.0, 1.75, 0.0, 0)]


def test_a_derived_quote_follows_its_row_at_once(record: Record, tmp_path: Path, noon: int) -> None:
    written: list[MarketEvent] = []
    for i in range(0, 20, 2):
        written += [
            Trade("A/USDT", 0, noon, i, 1.0 + i, 1.0, 1, i + 1),
            Trade("B/USDT", 0, noon, i + 1, 5.0, 1.0, 1, i + 1),
        ]
    record(written)
    for batch_rows in (3, 1000):
        turns = [n for c in open_recording(tmp_path).chunks(batch_rows=batch_rows) for n in c.turn.tolist()]
        assert turns == [0, 1, 2, 3] * 10


def test_recorded_quotes_are_left_alone(
    record: Record, tmp_path: Path, one_of_each: list[MarketEvent]
) -> None:
    record(one_of_each)
    assert quotes_of(open_recording(tmp_path)) == [one_of_each[2]]
