"""A bot as its user runs it: the installed program, in a folder of its own, against a sandbox.

Started, stopped, killed by its process id; its state is read from the files it leaves.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from quantcli.store.api import JournalEntry, Loaded
from quantcli.store.reading import ReadStore
from quantcli.store.sqlite import open_readonly

_PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from quantcli.cli.app import main; sys.argv[0] = 'quant'; main()"
)
_CONFIG = """
[limits]
max_order = "100000 USDT"
max_position = "10000000 USDT"
max_loss = "10000000 USDT"
"""
READY = "ready:"
T = TypeVar("T")


class Bot:
    """One bot, called `bot`, that runs `strategy` (source text) on `symbols` at the sandbox."""

    def __init__(
        self,
        folder: Path,
        sandbox: Mapping[str, str],
        strategy: str,
        symbols: tuple[str, ...] = ("BTC/USDT",),
        on_stop: str = "leave",
    ) -> None:
        self.folder = folder
        self.starts = 0
        self._database = folder / ".quant" / "bot.db"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "strategy.py").write_text(strategy)
        (folder / "quant.toml").write_text(f'{_CONFIG}\n[on]\nstop = "{on_stop}"\n')
        self._sandbox = sandbox
        self._symbols = symbols
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("QUANT_")
        } | {
            "QUANT_BINANCE_API_KEY": sandbox["api_key"],
            "QUANT_BINANCE_SECRET": sandbox["secret"],
            "XDG_RUNTIME_DIR": str(folder),  # where the processes of an account count their requests
        }

    def start(self, *words: str) -> None:
        """Start it; what it prints goes to files."""
        self.starts += 1
        out = (self.folder / f"out.{self.starts}").open("wb")
        err = (self.folder / f"err.{self.starts}").open("wb")
        symbols = [word for symbol in self._symbols for word in ("--symbol", symbol)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _PROGRAM, "trade", "--live", "--strategy", "strategy.py"),
                *("--endpoint", self._sandbox["url"], "-o", "json", *symbols, *words),
            ],
            stdout=out,
            stderr=err,
            cwd=self.folder,
            env=self.environment,
        )
        out.close()
        err.close()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command of `quant`, in the bot's folder."""
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, *words],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            timeout=90,
            check=False,
        )

    @property
    def said(self) -> str:
        """What it has told people since it was last started."""
        return (self.folder / f"err.{self.starts}").read_text()

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Wait until it trades."""
        ends = time.monotonic() + timeout_s
        while READY not in self.said:
            if not self.is_running or time.monotonic() > ends:
                raise AssertionError(f"the bot did not start:\n{self.said}")
            time.sleep(0.02)

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_s: float = 30) -> int:
        """SIGTERM, and wait; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout_s)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.is_running:
            self.kill()

    def ledger(self) -> Loaded:
        """Everything its state database holds; nothing, if there is none yet."""
        if not self._database.exists():
            return Loaded()
        return asyncio.run(_read(self._database, lambda store: store.everything()))

    def journal(self) -> list[JournalEntry]:
        """All that it wrote down, oldest first."""
        return asyncio.run(_read(self._database, lambda store: store.journal()))


async def _read(path: Path, what: Callable[[ReadStore], Awaitable[T]]) -> T:
    async with open_readonly(path) as store:
        return await what(store)
