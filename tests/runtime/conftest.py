"""Recordings small enough to replay many times, and desks to replay them on."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from quantcli.config import LimitsConfig
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import BookUpdate, Ticker, Trade
from quantcli.recording.reader import Recording, open_recording
from quantcli.recording.writer import Writer
from quantcli.runtime.simulate import Job
from quantcli.runtime.wiring import Assumptions
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel
from quantcli.trading.strategy import Strategy

# Midnight comes in the middle: the recording has two files a stream, so the replay has several chunks.
START_NS = 1_700_006_250_000_000_000
MS = 1_000_000
RULES = SymbolMetadata(
    Symbol("AAA", "USDT"),
    "binance",
    "AAAUSDT",
    price_tick=Decimal("0.01"),
    lot=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
)
BBB = SymbolMetadata(
    Symbol("BBB", "USDT"), "binance", "BBBUSDT", price_tick=Decimal("0.1"), lot=Decimal("0.01")
)


def walk(
    writer: Writer, rules: SymbolMetadata, rows: int, chance: random.Random, at_ns: int, seq: int
) -> int:
    """A market that moves by a tick or two, with quotes, trades and a book; ties in time included."""
    name, tick, mid = rules.symbol.name, float(rules.price_tick), 10_000
    for number in range(rows):
        at_ns += chance.choice((0, 0, 5, 40, 700)) * MS
        seq += 1
        mid += chance.choice((-2, -1, 0, 0, 0, 1, 2))
        bid, ask = round((mid - 1) * tick, 8), round((mid + chance.choice((1, 2))) * tick, 8)
        size = chance.randint(1, 900) / 100
        kind = chance.random()
        if number == 0 or kind < 0.1:
            levels = [(round((mid - 1 - i) * tick, 8), 3.0 + i) for i in range(8)]
            asks = [(round((mid + 1 + i) * tick, 8), 2.0 + i) for i in range(8)]
            writer.append(BookUpdate(name, at_ns, at_ns, seq, True, seq, seq, 0, levels, asks))
        elif kind < 0.6:
            writer.append(Ticker(name, at_ns, at_ns, seq, bid, size, ask, round(size + 1, 2), seq))
        else:
            side = chance.choice((1, 2))
            writer.append(Trade(name, at_ns, at_ns, seq, ask if side == 1 else bid, size, side, number))
    return seq


def make_recording(root: Path, seed: int, rows: int = 3_000, markets: int = 1) -> Recording:
    """A seeded recording of one or two markets."""
    chance = random.Random(seed)
    for number, rules in enumerate((RULES, BBB)[:markets]):
        with Writer(root, "binance", {"source": f"walk {seed} {number}"}) as writer:
            writer.instruments([rules])
            walk(writer, rules, rows, chance, START_NS, 0)
            writer.close()
    return open_recording(root)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One market, a few thousand rows."""
    return make_recording(tmp_path_factory.mktemp("one"), seed=1)


@pytest.fixture(scope="session")
def two_markets(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Two markets at the same time."""
    return make_recording(tmp_path_factory.mktemp("two"), seed=2, markets=2)


@pytest.fixture(scope="session")
def short_recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One market, some two minutes."""
    return make_recording(tmp_path_factory.mktemp("short"), seed=3, rows=900)


@pytest.fixture
def job(recording: Recording) -> Callable[..., Job]:
    """A simulation of a strategy class, with fees and latency."""

    def make(
        strategy: type[Strategy],
        source: Recording = recording,
        queue: QueueModel = QueueModel.VOLUME,
        seed: int = 3,
        **params: str,
    ) -> Job:
        return Job(
            recording=source,
            markets=source.instruments,
            strategy=strategy,
            label=f"test.py:{strategy.__name__}",
            source=Path(__file__),
            params=params,
            assumptions=Assumptions(
                "USDT",
                Decimal(10_000),
                Fees(Decimal("0.0002"), Decimal("0.0005")),
                Latency(20 * MS, 5 * MS, jitter=True),
                queue,
                seed,
            ),
            limits=LimitsConfig(),
        )

    return make
