"""A user at a terminal: a folder with a strategy and a `quant.toml`, keys in the environment, and `quant`.

Unlike `bot`, which runs one live bot as the campaigns need it, a user may leave things out, mistype them, and
look at everything that the program leaves behind.  Ends only what it started, by its process id.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from quantcli.model.order import OrderIntent, OrderState
from quantcli.store.api import Loaded
from quantcli.store.sqlite import open_readonly

PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from quantcli.cli.app import main; sys.argv[0] = 'quant'; main()"
)
LIMITS = '[limits]\nmax_order = "100000 USDT"\nmax_position = "1000000 USDT"\nmax_loss = "1000000 USDT"\n'
KEY, SECRET = "QUANT_BINANCE_API_KEY", "QUANT_BINANCE_SECRET"
READY = "ready:"
_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.02


def wait_until(is_so: Callable[[], Any], what: Callable[[], str] = str, within_s: float = _PATIENCE_S) -> Any:
    """Wait until something is so, and return it; `what` tells what there was instead."""
    ends = time.monotonic() + within_s
    while True:
        began = time.monotonic()
        if found := is_so():
            return found
        looked = time.monotonic()
        assert looked < ends, what()
        time.sleep(max(_LOOK_EVERY_S, 4 * (looked - began)))  # looking must not take the machine


def accepted(running: "Running", times: int) -> Callable[[], bool]:
    """Whether so many orders were accepted."""
    return lambda: running.kinds().count("accepted") >= times


class Running:
    """A program that was started; what it prints goes to files."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process, self._out, self._err = process, out, err

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """What it has told people."""
        return self._err.read_text()

    @property
    def told(self) -> list[dict[str, Any]]:
        """The events that it has told programs."""
        whole, _, _ = self._out.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def kinds(self) -> list[str]:
        """What has happened to orders, in order."""
        return [event["kind"] for event in self.told if "kind" in event]

    def wait_for(self, is_so: Callable[[], Any]) -> Any:
        """Wait until something is so while it runs."""

        def either() -> Any:
            found = is_so()
            assert found or self.process.poll() is None, (
                f"it has left with {self.process.poll()}: {self.said}"
            )
            return found

        return wait_until(either, lambda: self.said)

    def wait_ready(self) -> "Running":
        self.wait_for(lambda: READY in self.said)
        return self

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def left(self, within_s: float = _PATIENCE_S) -> int:
        """Wait for its exit code."""
        return self.process.wait(within_s)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.send(number)
        return self.left()

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Terminal:
    """A folder of one user, who knows the keys of `sandbox` and trades there."""

    def __init__(self, folder: Path, sandbox: Mapping[str, str], strategy: str, config: str = LIMITS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.endpoint = folder, sandbox["url"]
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith("QUANT")}
        self.environment |= {KEY: sandbox["api_key"], SECRET: sandbox["secret"], "COLUMNS": "200"}
        self.environment["XDG_RUNTIME_DIR"] = str(folder.parent)
        self.write("strategy.py", strategy)
        self.write("quant.toml", config)
        self.running: list[Running] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def words(self, *more: str, live: bool = True, endpoint: str | None = None) -> list[str]:
        """The command line of a bot that trades."""
        where = ["--live" if live else "--paper", "--endpoint", endpoint or self.endpoint]
        return ["trade", *where, "--strategy", "strategy.py", "--symbol", "BTC/USDT", "-o", "json", *more]

    def run(
        self, *words: str, without: tuple[str, ...] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """A command from beginning to end; variables `without`, and with `more`."""
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment(without) | more,
            timeout=90,
            check=False,
        )

    def start(
        self,
        *words: str,
        without: tuple[str, ...] = (),
        out: IO[bytes] | None = None,
        err: IO[bytes] | None = None,
        **more: str,
    ) -> Running:
        """Start a command; `out` and `err` instead of the files that are read here."""
        number = len(self.running) + 1
        files = [self.folder / f"{name}.{number}" for name in ("out", "err")]
        with files[0].open("wb") as usual_out, files[1].open("wb") as usual_err:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=out or usual_out,
                stderr=err or usual_err,
                cwd=self.folder,
                env=self._environment(without) | more,
            )
        self.running.append(Running(process, *files))
        return self.running[-1]

    def trade(self, *more: str, **options: Any) -> Running:
        """Start the bot and wait until it trades."""
        return self.start(*self.words(*more), **options).wait_ready()

    def ledger(self, name: str = "bot") -> Loaded:
        """Everything that a bot's state database holds."""
        return asyncio.run(everything_in(self.folder / ".quant" / f"{name}.db"))

    def wishes(self, name: str = "bot") -> dict[str, tuple[OrderIntent, OrderState]]:
        """What each slot of a bot wished for last ("": the single order), and the last attempt at it."""
        rows = self.ledger(name)
        attempts = {state.intent_id: state for state in rows.states}
        return {
            intent.metadata.get("slot", ""): (intent, attempts[intent.intent_id])
            for intent in rows.intents
            if intent.intent_id in attempts
        }

    def everything(self) -> dict[str, bytes]:
        """Every file under the folder, whole."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def end(self) -> None:
        """Make sure that everything is gone that was started here."""
        for running in self.running:
            running.end()

    def _environment(self, without: tuple[str, ...]) -> dict[str, str]:
        return {name: text for name, text in self.environment.items() if name not in without}


async def everything_in(path: Path) -> Loaded:
    """All that a state database holds."""
    async with open_readonly(path) as store:
        return await store.everything()
