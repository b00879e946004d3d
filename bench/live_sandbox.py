"""A sandbox for the benches: the program as users start it, whose narration does not spoil the tables."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.loopback import Sandbox


@contextmanager
def sandbox(*words: str) -> Iterator[Sandbox]:
    """`quant sandbox binance WORDS…`, until the end of the block."""
    exchange = Sandbox(*words)
    with _silence():
        exchange.start()
    try:
        yield exchange
    finally:
        exchange.stop()


@contextmanager
def _silence() -> Iterator[None]:
    """What is started here has no stderr."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
