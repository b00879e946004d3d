"""Two bots on a sandbox for `startup.py` to ask: one that trades and one that is stopped, until stdin ends.

python bench/startup_bots.py FOLDER
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from live_sandbox import Sandbox, sandbox

from tests.live.bot import Bot

QUIET = """
from quantcli import Strategy, keep


class Quiet(Strategy):
    def desired(self, m):
        yield keep.bid("bid", 0.001, m.best_bid * 0.9, tolerance=1_000_000)
        yield keep.ask("ask", 0.001, m.best_ask * 1.1, tolerance=1_000_000)
"""


def main() -> None:
    folder = Path(sys.argv[1])
    with sandbox("--seed", "1", "--symbol", "BTC/USDT") as exchange:
        with trading(folder, exchange, "stopped"):
            pass
        with trading(folder, exchange, "bot"):
            print("ready", flush=True)
            sys.stdin.read()


@contextmanager
def trading(folder: Path, exchange: Sandbox, name: str) -> Iterator[None]:
    """A bot of this name, until the end of the block."""
    bot = Bot(folder, exchange.told, QUIET)
    try:
        bot.start("--name", name)
        bot.wait_ready()
        yield
        bot.stop()
    finally:
        bot.end()


if __name__ == "__main__":
    main()
