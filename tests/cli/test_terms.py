"""What the options of `simulate` mean, alone and together with quant.toml, on a recording of two markets."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantcli.model.market import Ticker, Trade
from quantcli.recording.writer import Writer

S = 1_000_000_000
T0 = 1_721_736_000 * S

STRATEGY = """
from quantcli import Strategy

class Once(Strategy):
    done = False
    def on_tick(self, tick):
        print("a word of the author's")
        if not self.done:
            self.done = True
            self.buy("0.01", symbol="BTC/USDT")
"""


@pytest.fixture(scope="session")
def two_markets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BTC/USDT as spot and as perpetual contract, four seconds of each."""
    root = tmp_path_factory.mktemp("two")
    with Writer(root, "binance", {"sha256": "0" * 64}) as writer:
        for i in range(4):
            at = T0 + i * S
            for seq, symbol in enumerate(("BTC/USDT", "BTC/USDT:USDT"), 4 * i + 1):
                writer.append(Ticker(symbol, at, at, seq, 100.0, 5.0, 100.5, 5.0, i))
            writer.append(Trade("BTC/USDT", at, at, 4 * i + 3, 100.5, 0.01, 1, i))
        writer.close()
    return root


@pytest.fixture
def simulate(quant: Any, two_markets: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs `quant simulate` with OPTIONS on the two markets, in `tmp_path`."""
    (tmp_path / "once.py").write_text(STRATEGY)
    return lambda *options: quant(
        "simulate", "--from", str(two_markets), "--strategy", "once.py", "-o", "json", *options
    )


@pytest.mark.parametrize("written", ["BTC/USDT", "btc/usdt"])
def test_a_market_is_named_in_any_case(simulate, written):
    assert json.loads(simulate("--symbol", written).stdout)["symbols"] == ["BTC/USDT"]


def test_the_exchange_s_own_name_of_a_market_is_understood(quant, tmp_path):
    (tmp_path / "idle.py").write_text("from quantcli import Strategy\n\nclass Idle(Strategy):\n    pass\n")
    with Writer(tmp_path / "rec", "binance", {}) as writer:
        writer.append(Ticker("NEXO/USDT", T0, T0, 1, 1.0, 5.0, 1.5, 5.0, 1))
        writer.close()
    said = quant(
        *("simulate", "--from", "rec", "--strategy", "idle.py", "--symbol", "nexousdt", "-o", "json")
    )
    assert json.loads(said.stdout)["symbols"] == ["NEXO/USDT"]


@pytest.mark.parametrize(
    ("options", "code", "what", "do"),
    [
        (["--symbol", "btcusdt"], 2, "'btcusdt' could be 2 markets", "--symbol BTC/USDT"),
        (["--symbol", "x"], 2, "'x' is not a symbol", "BTC/USDT"),
        (["--symbol", ""], 2, "'' is not a symbol", "BTC/USDT"),
        (["--symbol", "ETH/USDT"], 7, "ETH/USDT is not in the recording", "--symbol"),
        (["--fees", ""], 2, "'' is not a pair of fees", "0.1%,0.1%"),
        (["--cash", ""], 2, "'' is not an amount of money", "200 USDT"),
        (["--cash", "5 EUR"], 2, "the account cannot start with 5 EUR", "USDT"),
        (["--cash", f"{10**18} USDT"], 2, "1000000000000000000 USDT is more money than there is", ""),
        (["--queue", "x"], 2, "'x' is no queue model", "optimistic, volume, conservative"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(simulate, options, code, what, do):
    said = simulate(*options)
    assert (said.returncode, said.stdout) == (code, "")
    assert said.stderr.partition(": ")[2].startswith(what)
    assert do in said.stderr


def test_cash_of_quant_toml_in_another_currency_is_a_mistake_of_quant_toml(simulate, tmp_path):
    (tmp_path / "quant.toml").write_text('[simulate]\ncash = "5 EUR"\n')
    said = simulate()
    assert said.returncode == 4
    assert "simulate.cash" in said.stderr
    assert simulate("--cash", "500 USDT").returncode == 0


def test_the_queue_model_of_quant_toml_holds_until_a_flag_says_otherwise(simulate, tmp_path):
    (tmp_path / "quant.toml").write_text('[simulate]\nqueue = "conservative"\n')
    told = json.loads(simulate().stdout)
    assert (told["queue"], told["by_queue_model"]["optimistic"]) == ("conservative", None)
    assert json.loads(simulate("--queue", "optimistic").stdout)["queue"] == "optimistic"


def test_what_a_strategy_prints_is_narration(simulate):
    said = simulate()
    assert json.loads(said.stdout)["kind"] == "SimulationReport"
    assert "a word of the author's" in said.stderr


def test_a_strategy_that_leaves_python_is_an_error(simulate, tmp_path):
    (tmp_path / "once.py").write_text(STRATEGY.replace("print(", "raise SystemExit("))
    said = simulate()
    assert (said.returncode, said.stdout) == (1, "")
    assert "once.py:7: Once raised SystemExit" in said.stderr


def test_an_interrupt_comes_through_while_a_hook_is_stuck(two_markets, tmp_path):
    (tmp_path / "stuck.py").write_text(
        "from quantcli import Strategy\n\nclass Stuck(Strategy):\n    def on_tick(self, tick):\n"
        "        print('here', flush=True)\n        while True: pass\n"
    )
    words = ["quant", "simulate", "--from", str(two_markets), "--strategy", "stuck.py"]
    script = f"import sys; from quantcli.cli.app import main; sys.argv = {words!r}; main()"
    run = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    assert run.stderr.readline() == "here\n"
    run.send_signal(signal.SIGINT)
    _, rest = run.communicate(timeout=10)
    assert (run.returncode, rest) == (130, "")
    assert not (tmp_path / "runs").exists()
