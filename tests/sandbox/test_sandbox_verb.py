"""`quant sandbox` as its users meet it: its first line, its state, its signals, its mistakes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.loopback import Sandbox
from tests.sandbox.rest_client import Client

_MAIN = "import sys; from quantcli.cli.app import main; sys.argv[0] = 'quant'; main()"


def run(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUANT")} | env
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
        timeout=20,
    )


def test_the_first_line_tells_where_and_with_which_keys(tmp_path: Path):
    began = time.monotonic()
    with Sandbox("--seed", "3", cwd=tmp_path) as exchange:
        assert time.monotonic() - began < 5
        assert exchange.url.startswith("http://127.0.0.1:")
        assert exchange.ws_url.startswith("ws://127.0.0.1:")
        assert len(exchange.key) == len(exchange.secret) == 64
        with Sandbox("--seed", "3", cwd=tmp_path) as same, Sandbox("--seed", "4", cwd=tmp_path) as other:
            assert exchange.key == same.key != other.key
            assert exchange.url != same.url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(tmp_path: Path, number: int):
    exchange = Sandbox(cwd=tmp_path)
    exchange.start()
    assert exchange.stop(number) == 0


def test_it_ends_when_told_over_http(tmp_path: Path):
    exchange = Sandbox(cwd=tmp_path)
    exchange.start()
    exchange.ask("POST", "stop", {})
    assert exchange.stop(0) == 0


async def test_a_program_trades_with_the_keys_of_the_first_line(tmp_path: Path):
    async with Sandbox("--balance", "5000 USDT", "--symbol", "BTC/USDT", "--hold", cwd=tmp_path) as exchange:
        async with Client(exchange) as client:
            assert (await client.place("a"))[0] == 200
            _, info = await client.public("/api/v3/exchangeInfo")
            assert [market["symbol"] for market in info["symbols"]] == ["BTCUSDT"]
        truth = await asyncio.to_thread(exchange.truth)
        assert truth["balances"]["USDT"]["total"] == "5000"


async def test_keys_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key = "k" * 64
    monkeypatch.setenv("QUANT_SANDBOX_API_KEY", key)
    done = run("sandbox", "binance", cwd=tmp_path, QUANT_SANDBOX_API_KEY=key)
    assert done.returncode == 2
    assert "belong together" in done.stderr


async def test_state_survives_a_kill_to_the_last_answer(tmp_path: Path):
    words = ("--state", str(tmp_path / "account.json"), "--hold", "--seed", "9")
    first = Sandbox(*words, cwd=tmp_path)
    await asyncio.to_thread(first.start)
    async with Client(first) as client:
        for number in range(5):
            assert (await client.place(f"o{number}"))[0] == 200
        await client.cancel("o0")
        await client.place("taken", type="MARKET")
        before = await asyncio.to_thread(first.truth)
        first.kill()
    async with Sandbox(*words, cwd=tmp_path) as again, Client(again) as client:
        after = await asyncio.to_thread(again.truth)
        for what in ("orders", "fills", "balances"):
            assert after[what] == before[what]
        assert (await client.place("o1"))[1]["code"] == -2010
        assert (await client.cancel("o1"))[1]["status"] == "CANCELED"
        status, placed = await client.place("new")
        assert status == 200
        assert placed["orderId"] > max(order["order_id"] for order in before["orders"])


def test_state_of_other_markets_is_refused(tmp_path: Path):
    state = str(tmp_path / "account.json")
    with Sandbox("--state", state, "--hold", cwd=tmp_path) as exchange:
        exchange.place("BTCUSDT", "BUY", "0.01", "50000")
    done = run("sandbox", "binance", "--state", state, "--symbol", "ETH/USDT", cwd=tmp_path)
    assert done.returncode == 1
    assert "holds orders of BTC/USDT" in done.stderr


async def test_a_fault_plan_is_in_force_from_the_start(tmp_path: Path):
    plan = tmp_path / "storm.toml"
    plan.write_text('[[rule]]\non = "GET /api/v3/time"\nfault = "status"\nstatus = 500\ncode = -1000\n')
    async with Sandbox("--chaos", str(plan), cwd=tmp_path) as exchange, Client(exchange) as client:
        assert await client.public("/api/v3/time") == (
            500,
            {"code": -1000, "msg": "An unknown error occurred while processing the request."},
        )


def test_tls_tells_its_authority(tmp_path: Path):
    with Sandbox("--tls", cwd=tmp_path) as exchange:
        assert Path(exchange.told["ca"]).is_file()
        assert exchange.told["tls_url"].startswith("https://127.0.0.1:")
    assert not Path(exchange.told["ca"]).exists()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("kraken",), 2, "there is no sandbox of 'kraken'"),
        (("binance", "--speed", "-1"), 2, "is not a speed"),
        (("binance", "--balance", "10000"), 2, "is not an amount of money"),
        (("binance", "--balance", "-1 USDT"), 2, "cannot start with"),
        (("binance", "--fees", "1"), 2, "is not a pair of fees"),
        (("binance", "--symbol", "??"), 1, "is not a symbol"),
        (("binance", "--from", "nowhere"), 7, ""),
        (("binance", "--chaos", "nowhere.toml"), 4, "cannot be read"),
    ],
)
def test_mistakes_are_told_with_their_exit_code(tmp_path: Path, words, code, complaint):
    done = run("sandbox", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert complaint in done.stderr


def test_a_plan_with_a_mistake_is_refused_at_the_start(tmp_path: Path):
    (tmp_path / "storm.toml").write_text('[[rule]]\non = "POST /api/v3/oder"\nfault = "empty"\n')
    done = run("sandbox", "binance", "--chaos", "storm.toml", cwd=tmp_path)
    assert done.returncode == 4
    assert "POST /api/v3/order" in done.stderr


def test_help_imports_no_web_server(tmp_path: Path):
    script = "import atexit, sys; atexit.register(lambda: print('\\0', *sys.modules)); " + _MAIN
    for words in (["--help"], ["sandbox", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        modules = set(done.stdout.partition("\0")[2].split())
        assert "quantcli.cli.app" in modules
        assert not {"aiohttp", "pyarrow", "cryptography", "ccxt"} & modules


def test_the_first_line_is_the_only_one_on_stdout(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "sandbox", "binance"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert set(json.loads(process.stdout.readline())) == {"url", "ws_url", "api_key", "secret"}
    process.terminate()
    said, narrated = process.communicate(timeout=20)
    assert said == ""
    assert "binance spot at http://127.0.0.1:" in narrated
    assert "stopping in good order" in narrated
