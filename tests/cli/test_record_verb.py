"""`quant record` as a user meets it: a program of its own against a loopback exchange."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from quantcli.model.market import MarketEvent
from tests.venues.binance_server import BinanceServer, shipped_events

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


class Exchange:
    """A `BinanceServer` in a thread of its own, whose market goes on when told to."""

    def __init__(self, rows: list[MarketEvent], *names: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.server = BinanceServer(rows, *names)
        self.do(self.server.__aenter__())
        self.url = self.server.url

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def pump(self, count: int) -> None:
        self.do(self.server.pump(count))

    def close(self) -> None:
        self.do(self.server.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    found = Exchange(shipped_events(2000), "NEXO", "BTC")
    found.pump(1)
    yield found
    found.close()


def words(exchange: Exchange, *more: str) -> list[str]:
    return ["record", "binance", "NEXO/USDT", "--endpoint", exchange.url, "--to", "rec", *more]


@contextmanager
def patience(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends a program that does not end by itself, so that a failure is no hang."""
    timer = threading.Timer(20, process.kill)
    timer.start()
    yield
    timer.cancel()


def test_the_sum_is_on_stdout_and_everything_else_is_not(
    start: Start, program: Run, exchange: Exchange, tmp_path: Path
) -> None:
    process = start(*words(exchange, "-o", "json"))
    exchange.do(exchange.server.until_heard())
    wait_for_rows(tmp_path / "rec", 1)
    exchange.pump(1500)
    wait_for_rows(tmp_path / "rec", 100_000)
    process.send_signal(signal.SIGINT)
    with patience(process):
        out, err = process.communicate()
    found = json.loads(out)
    assert (found["api"], found["kind"]) == ("quant/v1", "RecordingSummary")
    contract = {"files", "events", "gaps", "from_ns", "to_ns", "symbols", "reconnects", "dropped"}
    assert contract <= found.keys()
    assert (sum(found["events"].values()), found["gaps"], found["symbols"]) == (1501, 0, ["NEXO/USDT"])
    assert process.returncode == 0
    assert "stopping in good order" in err
    listed = json.loads(program("recordings", "list", "rec", "-o", "json").stdout)
    assert [item["path"] for item in listed["items"]] == found["files"]


def wait_for_rows(root: Path, size: int) -> None:
    """Until the journals hold so many bytes, heads not counted."""
    done = threading.Event()
    for _ in range(2000):
        if sum(path.stat().st_size for path in root.glob("*/.*.journal")) > 600 + size:
            return
        done.wait(0.005)
    raise AssertionError("nothing is recorded")


def test_killed_it_loses_less_than_a_second_and_verify_finishes_its_work(
    start: Start, program: Run, exchange: Exchange, tmp_path: Path
) -> None:
    process = start(*words(exchange))
    exchange.do(exchange.server.until_heard())
    wait_for_rows(tmp_path / "rec", 1)
    exchange.pump(1000)
    threading.Event().wait(1.0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ran = program("recordings", "verify", "rec", "-o", "json")
    assert ran.returncode == 0, ran.stderr
    assert "recovered 1,001 rows" in ran.stderr
    checks = json.loads(ran.stdout)["items"]
    assert sum(check["rows"] for check in checks) == 1001
    assert all(check["ok"] for check in checks)
    again = program(
        "record", "binance", "nexousdt", "--endpoint", exchange.url, *["--to", "rec", "--for", "0.5s"]
    )
    assert again.returncode == 0, again.stderr
    assert "crash" in again.stdout


def test_lines_on_stdin_add_and_end_symbols(exchange: Exchange, tmp_path: Path) -> None:
    code = "import sys; from quantcli.cli.app import main; sys.argv[0] = 'quant'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words(exchange, "-o", "json", "--channels", "book")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("QUANT")},
    )
    with patience(process):
        exchange.do(exchange.server.until_heard())
        assert process.stdin is not None
        process.stdin.write("+BTC/USDT\nwhat\n")
        process.stdin.flush()
        wait_for(lambda: "btcusdt@depth@100ms" in exchange.server.subscribed)
        process.stdin.write("-nexousdt\n")
        process.stdin.flush()
        wait_for(lambda: "nexousdt@depth@100ms" not in exchange.server.subscribed)
        wait_for(lambda: "depth BTCUSDT" in exchange.server.requests)
        threading.Event().wait(0.2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert json.loads(out)["symbols"] == ["BTC/USDT", "NEXO/USDT"]
    assert "'what' is no command" in err


def wait_for(holds: Callable[[], object]) -> None:
    done = threading.Event()
    for _ in range(2000):
        if holds():
            return
        done.wait(0.005)
    raise AssertionError("it never came about")


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--channels", "trades,prices"], 2, "'prices' is no channel"),
        (["--channels", "marks"], 2, "spot markets have no mark price"),
        (["--for", "long"], 2, "'long' is not a duration"),
        (["--endpoint", "127.0.0.1:80"], 4, "is no endpoint"),
        (["--endpoint", "http://127.0.0.1:9"], 1, "no answer to GET"),
    ],
)
def test_what_cannot_be_recorded_is_told(quant: Run, more: list[str], code: int, told: str) -> None:
    ran = quant("record", "binance", "NEXO/USDT", *more)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert told in ran.stderr


def test_a_market_that_is_not_there_is_not_found(quant: Run, exchange: Exchange, tmp_path: Path) -> None:
    ran = quant("record", "binance", "NEXO/EUR", "--endpoint", exchange.url)
    assert ran.returncode == 7
    assert "NEXO/USDT" in ran.stderr
    assert not (tmp_path / "recordings").exists()


def test_what_is_no_symbol_is_told(quant: Run) -> None:
    assert quant("record", "okx", "BTCUSDT").returncode == 2


def test_help_needs_no_sockets_and_no_parquet(modules_after: Callable[..., set[str]]) -> None:
    assert not {"websockets", "aiohttp", "ccxt", "pyarrow", "numpy"} & modules_after("record", "--help")
