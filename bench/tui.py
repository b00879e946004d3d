"""What the screen costs: CPU and bytes to the terminal while a bot's orders change 2,000 times a second.

    python bench/tui.py [SECONDS]

Each case is a program of its own in a pseudo terminal of 80x24, watching a bot's socket of another process:
ours with every change in a frame of its own, ours with four frames a second (as bots send them), ours with
nothing changing, and a Textual DataTable that sets its cells at each frame.
"""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from decimal import Decimal
from pathlib import Path
from select import select
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
UPDATES_PER_S = 2_000
_WARM_S = 3.0


class Cost(NamedTuple):
    """Of one case, in the measured time."""

    cpu: float
    kb_per_s: float
    first_s: float


def measure(which: str, updates_per_s: float, frames_per_s: float, seconds: float) -> Cost:
    """Run one case in a pseudo terminal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bot.sock")
        here = [sys.executable, __file__]
        daemon = subprocess.Popen([*here, "daemon", path, str(updates_per_s), str(frames_per_s)])
        try:
            while not path.exists():
                time.sleep(0.05)
            return _watched([*here, which, str(path)], seconds)
        finally:
            daemon.kill()
            daemon.wait()


def _watched(command: list[str], seconds: float) -> Cost:
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        first_s, shown = 0.0, b""
        while time.monotonic() - began < _WARM_S:
            shown += _read(terminal)
            if not first_s and b"BTC/USDT" in shown:
                first_s = time.monotonic() - began
        spent, count, start = _cpu_s(pid), 0, time.monotonic()
        while time.monotonic() - start < seconds:
            count += len(_read(terminal))
        took = time.monotonic() - start
        return Cost((_cpu_s(pid) - spent) / took, count / took / 1_000, first_s)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _read(terminal: int) -> bytes:
    ready, _, _ = select([terminal], [], [], 0.1)
    return os.read(terminal, 65_536) if ready else b""


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def serve(path: str, updates_per_s: float, frames_per_s: float) -> None:
    """A bot whose orders change so often, told in so many frames a second (0: each change in one)."""
    from tests.tui.daemon import Daemon, changed

    async with Daemon(path) as daemon:
        loop = asyncio.get_running_loop()
        began, done, told = loop.time(), 0, 0
        while True:
            await asyncio.sleep(0.005)
            due = int((loop.time() - began) * updates_per_s)
            if not frames_per_s:
                for count in range(done, due):
                    await daemon.push(changed(daemon.frame, count))
            elif (now := int((loop.time() - began) * frames_per_s)) > told:
                told = now
                await daemon.push(changed(changed(daemon.frame, due), due - 1))
            done = due


def ours(path: str) -> None:
    """`quant tui` at a socket."""
    from quantcli.clock import WallClock
    from quantcli.tui.app import Screen
    from quantcli.tui.model import Model

    Screen(Model("mm-btc", WallClock().now_ns), Path(path)).run()


def naive(path: str) -> None:
    """The same orders in a DataTable, its cells set at each frame."""
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    from quantcli.runtime.control.wire import Frame
    from quantcli.tui.link import Link

    class Naive(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable()

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            table.add_columns(*(("", "m"), ("SYMBOL", "s"), ("WANT", "w"), ("HAVE", "h"), ("DRIFT", "d")))
            link = Link(Path(path), self.take, lambda: None, lambda _: None)
            self.watching = asyncio.create_task(link.run())

        def take(self, frame: Frame) -> None:
            table = self.query_one(DataTable)
            for order in frame.orders or ():
                key = order.intent_id or "x"
                told = (order.mark, order.symbol, _terms(order.price), _terms(order.have_price), order.drift)
                if key not in table.rows:
                    table.add_row(*told, key=key)
                for column, text in zip("mswhd", told, strict=True):
                    table.update_cell(key, column, text)

    Naive().run()


def _terms(price: Decimal | None) -> str:
    return f"{price:,}" if price is not None else "-"


def main(seconds: float) -> None:
    """All cases, in turn."""
    cases = {
        "ours, 2,000 frames/s": ("ours", UPDATES_PER_S, 0),
        "ours, 2,000 updates/s in 4 frames/s": ("ours", UPDATES_PER_S, 4),
        "ours, nothing changes": ("ours", 0, 0),
        "DataTable, 2,000 frames/s": ("naive", UPDATES_PER_S, 0),
        "DataTable, 2,000 updates/s in 4 frames/s": ("naive", UPDATES_PER_S, 4),
    }
    print(f"{'80x24, ' + format(seconds, 'g') + ' s':<44} CPU of a core      kB/s   first words")
    costs = {}
    for name, (which, updates, frames) in cases.items():
        costs[name] = cost = measure(which, updates, frames, seconds)
        print(f"{name:<44} {cost.cpu:12.1%} {cost.kb_per_s:9.1f} {cost.first_s:11.2f} s")
    names = list(costs)
    for ours_is, other in ((0, 3), (1, 4)):
        a, b = costs[names[ours_is]], costs[names[other]]
        ratios = f"{b.cpu / a.cpu:.1f} x CPU, {b.kb_per_s / a.kb_per_s:.1f} x bytes"
        print(f"DataTable / ours: {ratios} ({names[other]})")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    match sys.argv[1:]:
        case ["daemon", path, updates, frames]:
            asyncio.run(serve(path, float(updates), float(frames)))
        case ["ours", path]:
            ours(path)
        case ["naive", path]:
            naive(path)
        case rest:
            main(float(rest[0]) if rest else 6.0)
