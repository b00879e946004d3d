"""A bot and an exchange of its own, in a folder that is gone afterwards: what `quant demo` shows.

Starts the two programs, says where they are, and ends them by their process ids.  What is done to them, and
who watches, is not known here.
"""

import http.client
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from quantcli.errors import DaemonAbsent, OutcomeUnknown, QuantError, RemoteError
from quantcli.places import CONFIG_NAME, Project, socket_path
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.wire import OrderList, Status

BOT = "demo"
MARKETS = ("BTC/USDT", "ETH/USDT")
BALANCES = ("100000 USDT", "0.05 BTC", "1 ETH")
STRATEGY = '''"""A bid and an ask at some distance from the market, moved when the market has left them."""

from quantcli import Param, Strategy, keep

SIZES = {"BTC/USDT": 0.01, "ETH/USDT": 0.25}


class DemoMaker(Strategy):
    symbols = tuple(SIZES)
    behind = Param(40, help="ticks from the market")

    def desired(self, m):
        size, away = SIZES[m.symbol], self.behind * m.tick
        yield keep.bid("bid", size, m.best_bid - away, tolerance="15 ticks", post_only=True)
        yield keep.ask("ask", size, m.best_ask + away, tolerance="15 ticks", post_only=True)
'''
CONFIG = f"""[bot]
name = "{BOT}"
exchange = "binance"
strategy = "demo_maker.py"

[limits]
max_order = "1000 USDT"
max_position = "20000 USDT"
max_loss = "5000 USDT"
"""
# What a bot imports before it connects; the exchange comes up meanwhile.
_WARM = "quantcli.cli.trade,quantcli.runtime.session,quantcli.runtime.daemon,quantcli.venues.binance.spot"
_OPEN_S = 30.0
_LOOK_EVERY_S = 0.05
_STOP_S = 4.0
_TAIL = 2000


class Exchange:
    """A sandbox that runs, and its controls.  Raises `QuantError` with its complaint."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """What `/sandbox/NAME` says; with `body`, have it done."""
        return self._request("GET" if body is None else "POST", f"/sandbox/{name}", body)

    def best(self, market: str) -> tuple[float, float]:
        """Best bid and ask of a market."""
        name = market.replace("/", "")
        found = self._request("GET", f"/api/v3/ticker/bookTicker?symbol={name}")
        return float(found["bidPrice"]), float(found["askPrice"])

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_OPEN_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise QuantError("the demo's exchange does not answer", why=str(error)) from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise QuantError(str(told.get("what", told)), why=str(told.get("why", "")))
        return told


class Demo:
    """The two programs, from `with` to its end.  `program` is the command that runs a verb tethered to us:
    it takes the names of modules, the verb and its words, and further words as a line on stdin.  Where
    `is_still`, the market moves only when it is moved."""

    def __init__(self, program: Sequence[str], seed: int, is_still: bool = False) -> None:
        self._program, self._seed, self._is_still = program, seed, is_still
        self._children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="quant-demo-", ignore_cleanup_errors=True)
        try:
            self._open(Path(self._temporary.name).resolve())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told = self._ended("bot") if isinstance(error, DaemonAbsent) else None
        self.close()
        if told is not None:
            raise told from error

    def _open(self, folder: Path) -> None:
        self.project = Project(folder)
        (folder / CONFIG_NAME).write_text(CONFIG)
        (folder / "demo_maker.py").write_text(STRATEGY)
        self.environment = _environment(folder)
        symbols = [word for market in MARKETS for word in ("--symbol", market)]
        balances = [word for amount in BALANCES for word in ("--balance", amount)]
        still = ["--hold"] if self._is_still else []
        seeded = ["--seed", str(self._seed), *balances, *symbols, *still]
        exchange = self._start("exchange", "", "sandbox", "binance", *seeded, stdout=subprocess.PIPE)
        self._bot = self._start("bot", _WARM, "trade", "--live", "--name", BOT, *symbols)
        self._say(exchange)
        assert exchange.stdout is not None
        if not (told := exchange.stdout.readline()):
            raise self._ended("exchange")
        self.exchange = Exchange(json.loads(told)["url"])
        self._say(self._bot, "--endpoint", self.exchange.url)
        self._wait_ready()

    def _start(
        self, name: str, modules: str, *words: str, stdout: int | None = None
    ) -> subprocess.Popen[str]:
        with (self.project.root / f"{name}.said").open("w") as said:
            child = subprocess.Popen(
                [*self._program, modules, *words],
                stdin=subprocess.PIPE,
                stdout=said if stdout is None else stdout,
                stderr=said,
                text=True,
                cwd=self.project.root,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is for us; they are ended in their order
            )
        self._children.append(child)
        return child

    def _say(self, child: "subprocess.Popen[str]", *words: str) -> None:
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(words) + "\n")
            child.stdin.flush()

    @property
    def client(self) -> Client:
        """The way to the bot."""
        path = socket_path(self.project, BOT, self.environment)
        if path is None:
            raise QuantError("there is no private folder for sockets", todo="set XDG_RUNTIME_DIR")
        return Client(path, BOT)

    def _wait_ready(self) -> None:
        ends = time.monotonic() + _OPEN_S
        while True:
            with suppress(DaemonAbsent, OutcomeUnknown, RemoteError, msgspec.MsgspecError):
                if self.client.get("status", Status).state == "trading":
                    return
            if self._bot.poll() is not None or time.monotonic() > ends:
                raise self._ended("bot")
            time.sleep(_LOOK_EVERY_S)

    def orders(self) -> OrderList:
        """What the bot wants beside what the exchange has."""
        return self.client.get("orders", OrderList)

    def _ended(self, name: str) -> QuantError:
        said = (self.project.root / f"{name}.said").read_text(errors="replace")
        return QuantError(f"the demo's {name} has ended", why=said[-_TAIL:].strip())

    def close(self) -> None:
        """End both, the bot first, and remove the folder."""
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        self._children.clear()
        self._temporary.cleanup()


def _environment(folder: Path) -> dict[str, str]:
    """Surroundings in which nothing outside the folder is written, or known."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("QUANT", "XDG_"))}
    places = (
        "HOME",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
    )
    key, secret = secrets.token_hex(16), secrets.token_hex(16)
    return (
        kept
        | dict.fromkeys(places, str(folder))
        | {"QUANT_SANDBOX_API_KEY": key, "QUANT_SANDBOX_SECRET": secret}
        | {"QUANT_BINANCE_API_KEY": key, "QUANT_BINANCE_SECRET": secret}
    )
