"""The kill switch: from an operator's word to the last cancel, with a hundred orders and a busy market.

A whole bot (`quant trade --live`) rests a hundred orders on a sandbox whose market moves many times as fast
as real time.  `halt CANCEL_ALL` is said over its socket, as `quant halt --cancel` says it; what counts is
when the exchange has carried out the last cancel, by the clock of the one machine that all run on.  So:

    normal            nothing else is the matter
    strategy hangs    a hook does not return; it is noticed, broken off, and the cancels go out
    no private stream the connection that tells of orders is gone, and stays so
    disk full         nothing can be written: neither the halt, nor a single cancel

    python bench/kill_switch.py [RUNS]
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench.live_sandbox import sandbox
from quantcli.places import Project, socket_path
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.wire import OrderList
from tests.live.terminal import Running, Terminal, wait_until
from tests.loopback import Sandbox

LIMIT_MS = 250.0
ORDERS = 100
_SPEED = 20
_STRATEGY = f"""
import os, time
from quantcli import Strategy, keep

class Many(Strategy):
    def on_trade(self, trade):
        if os.path.exists("hang"):
            time.sleep(1e6)

    def desired(self, m):
        for n in range({ORDERS}):
            yield keep.bid(f"b{{n:03d}}", 0.002, m.best_bid * (0.98 - n / 2000), tolerance=10_000_000)
"""


class Took(NamedTuple):
    """Milliseconds from the word until the first cancel was carried out, the last, and the answer came."""

    first_ms: float
    last_ms: float
    answered_ms: float


def nothing(bot: Running, user: Terminal, exchange: Sandbox) -> None:
    """Nothing is the matter."""


def hang(bot: Running, user: Terminal, exchange: Sandbox) -> None:
    """The strategy does not return; it has not for a moment when somebody notices."""
    user.write("hang", "")
    time.sleep(1.5)


def cut(bot: Running, user: Terminal, exchange: Sandbox) -> None:
    """The private stream is gone."""
    exchange.chaos({"on": "connect /ws-api*", "fault": "refuse"})
    exchange.disconnect("user")
    time.sleep(1.0)


def fill_disk(bot: Running, user: Terminal, exchange: Sandbox) -> None:
    """Nothing that the bot writes reaches a disk."""
    resource.prlimit(bot.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


CASES: dict[str, Callable[[Running, Terminal, Sandbox], None]] = {
    "normal": nothing,
    "strategy hangs": hang,
    "no private stream": cut,
    "disk full": fill_disk,
}


def once(trouble: Callable[[Running, Terminal, Sandbox], None]) -> Took:
    """One bot, one word."""
    with (
        tempfile.TemporaryDirectory(prefix="q") as near,
        sandbox("--seed", "5", "--symbol", "BTC/USDT", "--no-limits", "--speed", f"{_SPEED}") as exchange,
    ):
        user = Terminal(Path(near) / "b", exchange.told, _STRATEGY)
        try:
            bot = user.trade()
            path = socket_path(Project(user.folder), "bot", {"XDG_RUNTIME_DIR": near})
            assert path is not None
            client = Client(path, "bot")
            wait_until(lambda: _resting(client) == ORDERS, lambda: bot.said, within_s=60)
            trouble(bot, user, exchange)
            said_ns = time.time_ns()
            done = client.do("halt", level="CANCEL_ALL", reason="bench")
            answered_ns = time.time_ns()
            wait_until(lambda: not _open(exchange), lambda: done.what)
            stamps = [order["updated_ns"] for order in exchange.orders() if order["status"] == "CANCELED"]
            assert len(stamps) == ORDERS
            return Took(*((ns - said_ns) / 1e6 for ns in (min(stamps), max(stamps), answered_ns)))
        finally:
            user.end()


def _resting(client: Client) -> int:
    return [row.mark for row in client.get("orders", OrderList).items].count("=")


def _open(exchange: Sandbox) -> bool:
    return any(order["status"] in ("NEW", "PARTIALLY_FILLED") for order in exchange.orders())


def main(runs: int) -> None:
    print(f"{ORDERS} orders, market {_SPEED} x, {runs} runs each; limit {LIMIT_MS:g} ms to the last cancel")
    print(f"{'':<20}{'first p50':>11}{'last p50':>11}{'last p99':>11}{'of limit':>10}{'answer p50':>12}")
    took: dict[str, list[Took]] = {name: [] for name in CASES}
    for _ in range(runs):
        for name, trouble in CASES.items():
            took[name].append(once(trouble))
    for name, each in took.items():
        last = sorted(one.last_ms for one in each)
        p99 = last[min(len(last) - 1, round(0.99 * len(last)))]
        first = statistics.median(one.first_ms for one in each)
        answered = statistics.median(one.answered_ms for one in each)
        print(
            f"{name:<20}{first:>8.0f} ms{statistics.median(last):>8.0f} ms{p99:>8.0f} ms"
            f"{p99 / LIMIT_MS:>9.2f}x{answered:>9.0f} ms"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
