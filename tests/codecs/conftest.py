"""Real Binance traffic, decoded once for all tests of the room."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantcli.codecs.binance import BinanceCodec, Decoded

BINANCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "binance"


class Capture(msgspec.Struct):
    """Every text of a capture beside what it was decoded to."""

    codec: BinanceCodec
    texts: list[str]
    decoded: list[Decoded]

    def counts(self) -> dict[str, int]:
        """How many texts of each name."""
        return dict(Counter(d.name for d in self.decoded))


@pytest.fixture(scope="session")
def binance_data() -> Path:
    """The folder of real Binance data."""
    if not BINANCE.is_dir():
        pytest.skip("the recorded exchange data is not here")
    return BINANCE


@pytest.fixture(scope="session")
def binance_capture(binance_data: Path) -> Callable[[str], Capture]:
    """A capture by the beginning of its name."""

    @cache
    def load(name: str) -> Capture:
        (path,) = binance_data.glob(f"{name}*.capture.jsonl.gz")
        with gzip.open(path) as lines:
            meta, *records = map(msgspec.json.decode, lines)
        symbols = meta.get("symbols", ())
        codec = BinanceCodec(meta["market"], default_symbol=symbols[0] if len(symbols) == 1 else None)
        pairs = list(_decode(codec, records))
        return Capture(codec, [text for text, _ in pairs], [decoded for _, decoded in pairs])

    return load


def _decode(codec: BinanceCodec, records: list[dict[str, Any]]) -> Iterator[tuple[str, Decoded]]:
    for seq, record in enumerate(records):
        match record:
            case {"k": "recv", "d": text, "ts": ts}:
                yield text, codec.decode(text, ts, seq)
            case {"k": "http", "d": text, "ts": ts}:
                yield text, codec.decode_http(record.get("url", ""), text, ts, seq)


@pytest.fixture(scope="session")
def binance_bodies(binance_data: Path) -> Callable[[str], list[dict[str, Any]]]:
    """The example bodies of a collection: dicts with `name`, `kind`, `raw`."""

    def load(name: str) -> list[dict[str, Any]]:
        path = binance_data / name
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return [msgspec.json.decode(line) for line in text.splitlines()]

    return load
