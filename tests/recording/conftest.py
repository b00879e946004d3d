"""Market events, small recordings and real captures for the tests of `recording`."""

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from quantcli.model.market import AggTrade, Bar, BookUpdate, MarketEvent, MarkPrice, Ticker, Trade
from quantcli.recording.manifest import Manifest
from quantcli.recording.writer import Writer

SECOND = 1_000_000_000
NOON = 1_721_736_000 * SECOND  # 2024-07-23 12:00 UTC


@pytest.fixture
def noon() -> int:
    return NOON


@pytest.fixture
def one_of_each() -> list[MarketEvent]:
    """An event of every channel, in order of arrival."""
    return [
        BookUpdate("A/USDT", 0, NOON, 1, True, 10, 10, 0, [(1.2, 5.0), (1.1, 7.0)], [(1.3, 0.25)]),
        Trade("A/USDT", NOON - 40_000_000, NOON + 1, 2, 1.3, 0.25, 1, 900),
        Ticker("A/USDT", 0, NOON + 2, 3, 1.2, 5.0, 1.3, 0.5, 11),
        BookUpdate("A/USDT", NOON, NOON + 2, 4, False, 11, 12, 0, [], [(1.3, 0.0), (1.4, 8.0)]),
        AggTrade("A/USDT", NOON, NOON + 3, 5, 1.3, 0.25, 2, 7, 900, 901),
        Bar(
            "A/USDT",
            NOON,
            NOON + 4,
            6,
            NOON - 60 * SECOND,
            60 * SECOND,
            1.0,
            1.5,
            0.5,
            1.3,
            9.0,
            11.7,
            4,
            True,
        ),
        MarkPrice("A/USDT", NOON, NOON + 5, 7, 1.30000001, 1.29, -0.00012345, NOON + SECOND),
    ]


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Manifest]:
    """Write events as a session under `tmp_path`."""

    def write(events: Iterable[MarketEvent], root: Path = tmp_path, **origin: str) -> Manifest:
        with Writer(root, "binance", origin) as writer:
            for event in events:
                writer.append(event)
            return writer.close()

    return write


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "binance"
    if not folder.is_dir():
        pytest.skip("the recorded exchange data is not here")
    return folder


@pytest.fixture(scope="session")
def nexo(data: Path) -> Path:
    return data / "spot_nexousdt_20240723-24.capture.jsonl.gz"


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Path]:
    """Write a capture file from its records."""

    def write(*records: dict[str, Any] | str, name: str = "x.capture.jsonl.gz", **meta: Any) -> Path:
        head = {"k": "meta", "exchange": "binance", "market": "spot", "symbols": ["BTCUSDT"]} | meta
        lines = [line if isinstance(line, str) else json.dumps(line) for line in (head, *records)]
        path = tmp_path / name
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
        return path

    return write


@pytest.fixture
def received() -> Callable[[int, dict[str, Any]], dict[str, Any]]:
    """A record of a message received."""

    def make(ts: int, message: dict[str, Any]) -> dict[str, Any]:
        return {"k": "recv", "ts": ts, "c": "ws.1", "d": json.dumps(message)}

    return make
