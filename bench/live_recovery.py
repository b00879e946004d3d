"""A bot with a thousand open orders, killed and started again: how long until it knows where they stand.

The orders rest on a sandbox, two hundred in each of five markets, as many as the exchange lets rest; they
were placed by the same kernel on the same database.  Then `quant trade --live` runs on it: the whole program
in a process of its own, killed with SIGKILL and started again.  One thing is added to it: it says when it had
its modules, when it was ready, and when the exchange's statement of every market was folded and the kernel
called every order in step.

    python bench/live_recovery.py bot STARTED_NS PIPE WORD…      (what this module starts)
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
DATA = HERE / ".data"
MARKETS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
EACH = 200  # MAX_NUM_ORDERS of a market
_TOGETHER = 50
_LIVES_S = 0.2
_CONFIG = """
[limits]
max_order = "100000 USDT"
max_position = "10000000 USDT"
max_loss = "10000000 USDT"

[on]
stop = "leave"
"""
_STRATEGY = '''
from quantcli import Strategy


class Idle(Strategy):
    """Looks on."""

    async def on_tick(self, tick):
        pass
'''


class Recovery(NamedTuple):
    """Seconds from the start of the process until it had its modules, was ready, and was in step."""

    imported_s: float
    ready_s: float
    in_step_s: float


# Outside.


def recoveries(kills: int) -> list[Recovery]:
    """Place the orders, then kill and start the bot so often.  Raises `RuntimeError` if it does not come."""
    from live_sandbox import sandbox

    words = [word for name in MARKETS for word in ("--symbol", name)]
    found = []
    with (
        sandbox("--no-limits", "--balance", "10000000 USDT", *words) as exchange,
        tempfile.TemporaryDirectory(dir=DATA) as name,
    ):
        folder = Path(name)
        (folder / ".quant").mkdir()
        (folder / "quant.toml").write_text(_CONFIG)
        (folder / "strategy.py").write_text(_STRATEGY)
        asyncio.run(_place_orders(exchange.told, folder / ".quant" / "bot.db"))
        for number in range(kills + 1):
            sys.stderr.write(f"\rrecovery: kill {number} of {kills} ")
            found.append(_life(folder, exchange.told, words))
        sys.stderr.write("\r" + " " * 40 + "\r")
        resting = sum(order["status"] == "NEW" for order in exchange.orders())
    if resting != EACH * len(MARKETS):
        raise RuntimeError(f"{resting} orders rest in the end, not {EACH * len(MARKETS)}")
    return found[1:]  # the first start met a database that was closed in good order


async def _place_orders(told: dict[str, str], database: Path) -> None:
    from live_desk import desk_at

    async with desk_at(told, database, MARKETS) as desk:
        for order in desk.rests.values():
            for _ in range(EACH // _TOGETHER):
                await asyncio.gather(*(desk.kernel.place_order(order, {}) for _ in range(_TOGETHER)))
                while desk.kernel.get_reconciliation_metrics().pending_reconciliations:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)


def _life(folder: Path, told: dict[str, str], symbols: list[str]) -> Recovery:
    """One start of the bot, up to its kill shortly after it was in step."""
    reading, writing = os.pipe()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("QUANT_")} | {
        "QUANT_BINANCE_API_KEY": told["api_key"],
        "QUANT_BINANCE_SECRET": told["secret"],
    }
    words = [
        "trade",
        "--live",
        "--strategy",
        "strategy.py",
        "--endpoint",
        told["url"],
        "-o",
        "json",
        *symbols,
    ]
    with (folder / "said").open("wb") as said:
        command = [sys.executable, __file__, "bot", str(time.monotonic_ns()), str(writing), *words]
        bot = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=said, pass_fds=[writing]
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            line = pipe.readline()  # empty, if it ended
        if line:
            time.sleep(_LIVES_S)
    finally:
        bot.kill()
        bot.wait()
    if not line:
        raise RuntimeError(f"the bot did not recover:\n{(folder / 'said').read_text()[-2000:]}")
    return Recovery(*json.loads(line))


# Inside.


def bot(started_ns: int, pipe: int, words: list[str]) -> None:
    """Be `quant` with these words, and say on the pipe how long it took to get in step."""
    import ccxt.async_support
    from live_desk import lift_limits

    from quantcli.cli import app, trade
    from quantcli.runtime import daemon
    from quantcli.venues.binance import feed as binance_feed

    del ccxt, trade, binance_feed  # what the daemon imports later, so that it counts as imports
    moments = [time.monotonic_ns()]

    def come_to(in_step: bool) -> None:
        moments.append(time.monotonic_ns())
        if in_step:
            seconds = [(moment - started_ns) / 1e9 for moment in moments]
            os.write(pipe, json.dumps(seconds).encode() + b"\n")

    daemon.Daemon = _watched(daemon.Daemon, come_to)  # type: ignore[misc]
    lift_limits()
    sys.argv = ["quant", *words]
    app.main()


def _watched(kind: type[Any], come_to: Any) -> type[Any]:
    """A daemon that says when it is ready, and when its kernel has heard of every market and is in step."""
    from quantcli.model.message import Report, Statement

    class Watched(kind):  # type: ignore[misc]
        async def _trade(self, desk: Any, *others: Any) -> Any:
            kernel, listener = desk.kernel, self._listener
            observe, begun, unheard = kernel.observe, listener.begun, set(MARKETS)

            def begun_too(markets: Collection[str], permissions: Any) -> None:
                begun(markets, permissions)
                come_to(False)

            async def observed(report: Report) -> None:
                await observe(report)
                if unheard and isinstance(report, Statement):
                    unheard.discard(report.symbol)
                    if not unheard:
                        _check(kernel)
                        come_to(True)

            kernel.observe, listener.begun = observed, begun_too
            return await super()._trade(desk, *others)

    return Watched


def _check(kernel: Any) -> None:
    working, metrics = len(kernel.working()), kernel.get_reconciliation_metrics()
    if working != EACH * len(MARKETS) or metrics.pending_reconciliations:
        raise RuntimeError(f"{working} orders, {metrics}")


if __name__ == "__main__":
    bot(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
