"""Which streams a hook is served from, and where a wish is asked again."""

import numpy as np
import pytest
from msgspec.structs import astuple

from quantcli.model.batch import Chunk, Columns, event_at, events
from quantcli.model.market import AggTrade, Bar, Channel, MarketEvent, Ticker, Trade
from quantcli.recording.columns import from_events
from quantcli.recording.merge import in_order
from quantcli.runtime.plan import Changes, subscribed
from quantcli.trading.market import Reads

NAME = "AAA/USDT"
ROWS: dict[Channel, MarketEvent] = {
    Channel.TRADES: Trade(NAME, 1, 1, 1, 10.0, 1.0, 1, 1),
    Channel.AGG_TRADES: AggTrade(NAME, 1, 1, 1, 10.0, 1.0, 1, 1, 1, 1),
    Channel.BARS: Bar(NAME, 1, 1, 1, 0, 60, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, True),
}


def chunk_of(*streams: Columns) -> Chunk:
    return in_order(streams)


@pytest.mark.parametrize(
    ("recorded", "served"),
    [
        ([Channel.TRADES, Channel.AGG_TRADES, Channel.BARS], [Channel.TRADES]),
        ([Channel.AGG_TRADES, Channel.BARS], [Channel.AGG_TRADES]),
        ([Channel.BARS], [Channel.BARS]),
    ],
)
def test_a_market_is_told_of_a_trade_once(recorded: list[Channel], served: list[Channel]) -> None:
    chunk = chunk_of(*(from_events(channel, NAME, [ROWS[channel]]) for channel in recorded))
    hooks = {"on_trade": lambda event: None, "take_bar": lambda event: None}
    assert [type(next(turn.coming)) for turn in subscribed(chunk, hooks)] == [type(ROWS[c]) for c in served]


def quotes(*tops: tuple[float, float, float, float]) -> Columns:
    rows = [Ticker(NAME, i, i, i, bid, bs, ask, az, i) for i, (bid, bs, ask, az) in enumerate(tops, 1)]
    return from_events(Channel.QUOTES, NAME, rows)


TOPS = [(10.0, 1.0, 10.1, 1.0), (10.0, 2.0, 10.1, 1.0), (10.0, 2.0, 10.2, 1.0), (10.0, 2.0, 10.2, 1.0)]


@pytest.mark.parametrize(
    ("reads", "rows"),
    [
        (Reads.PRICE, [0, 2]),
        (Reads.SIZE | Reads.PRICE, [0, 1, 2]),
        (Reads.TIME, [0, 1, 2, 3]),
        (Reads.POSITION, []),
        (Reads(0), [0, 2]),
    ],
    ids=str,
)
def test_only_rows_that_change_what_was_read_matter(reads: Reads, rows: list[int]) -> None:
    assert Changes().rows(chunk_of(quotes(*TOPS)), NAME, reads).tolist() == rows


def test_the_first_row_of_a_chunk_is_compared_with_the_last_of_the_one_before() -> None:
    changes = Changes()
    changes.remember(chunk_of(quotes(TOPS[0])))
    changes.remember(chunk_of(from_events(Channel.QUOTES, NAME, [])))  # a chunk without a row of it
    assert changes.rows(chunk_of(quotes(TOPS[1], TOPS[2])), NAME, Reads.PRICE).tolist() == [1]
    assert np.array_equal(changes.rows(chunk_of(quotes(TOPS[1])), NAME, Reads.SIZE), [0])


def test_a_single_row_is_the_same_event_as_in_a_batch() -> None:
    rows = [quotes(*TOPS), *(from_events(channel, NAME, [row]) for channel, row in ROWS.items())]
    for columns in rows:
        batch = list(events(columns))
        assert [event_at(columns, row) for row in range(len(columns))] == batch
        assert all(
            type(a) is type(b) for a, b in zip(astuple(event_at(columns, 0)), astuple(batch[0]), strict=True)
        )
