"""What the clients of `make bench-live` share: where to connect, when the rows may come, when all have come.

Each client is a program of its own, started with one argument of JSON: `url`, `ws_url`, `symbol`, `rows`
(whether any are to come), `speed` (times their own, 0: as fast as they are read), and `last`, by kind the
number of the row that comes last.  It says how many of each kind it was shown, and how long they took.
Nothing here but the standard library: cryptofeed lives in an environment of its own.
"""

import json
import os
import sys
import time
import urllib.request
from typing import Any, NoReturn

TRADES, QUOTES, BOOK = "trades", "quotes", "book"


class Watch:
    """Counts what a client is shown, and ends the process when the last row of each kind was among it."""

    def __init__(self) -> None:
        self.job: dict[str, Any] = json.loads(sys.argv[1])
        self.seen = {TRADES: 0, QUOTES: 0, BOOK: 0}
        self._last: dict[str, int] = self.job["last"]
        self._open = set(self._last)
        self._began = time.perf_counter()

    def begin(self, speed: float | None = None) -> None:
        """Let the rows come, at the job's speed or another for now; ends the process if none are to."""
        if not self.job["rows"]:
            self._steer(speed=0)
            self._end()
        self._began = time.perf_counter()
        self._steer(start=True, speed=self.job["speed"] if speed is None else speed)

    def hurry(self) -> None:
        """From here on at the job's speed; the time counts from here."""
        self._began = time.perf_counter()
        self._steer(speed=self.job["speed"])

    def show(self, kind: str, number: int, count: int = 1) -> None:
        """Rows of a kind were shown, up to this number."""
        self.seen[kind] += count
        if number >= self._last[kind]:
            self._open.discard(kind)
            if not self._open:
                self._end()

    def _steer(self, **steps: Any) -> None:
        body = json.dumps(steps).encode()
        urllib.request.urlopen(f"{self.job['url']}/sandbox/feed", body).close()

    def _end(self) -> NoReturn:
        """Leave at once: how long a client takes to say goodbye is not the question."""
        print(json.dumps({"seen": self.seen, "wall_s": time.perf_counter() - self._began}), flush=True)
        os._exit(0)
