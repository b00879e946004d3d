"""`quant simulate` as its users meet it: a report others rely on, the same in every process, exact money."""

import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

MAKER = """
from quantcli import Param, Strategy, keep

class Maker(Strategy):
    size = Param("60 USDT")

    def desired(self, m):
        yield keep.bid("bid", self.size, m.best_bid - m.tick, tolerance=1)
        if m.position > 0:
            yield keep.ask("ask", self.size, m.best_ask + m.tick, tolerance=1)
"""
PROMISED = {
    "run_id",
    "strategy",
    "events",
    "fills",
    "orders",
    "start_equity",
    "end_equity",
    "net_pnl",
    "fees",
    "positions",
    "invariants",
    "trace_hash",
    "wall_s",
    "events_per_s",
    "artifacts",
}
MEASURED = {"wall_s", "events_per_s"}


@pytest.fixture
def words(walk: Path, tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "quant.toml").touch()
    (tmp_path / "strategy.py").write_text(MAKER)
    base = ("simulate", "--strategy", "strategy.py", "--from", str(walk), "-o", "json")
    return *base, "--fees", "0.0002,0.0005", "--latency-ms", "20"


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_same_in_every_process(
    program: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for hash_seed in ("0", "1", "random"):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        found = report(program(*words))
        reports.append({name: found[name] for name in found.keys() - MEASURED})
    assert reports[0]["fills"] > 3
    assert reports[0] == reports[1] == reports[2]


def test_what_others_rely_on_is_there(quant: Run, words: tuple[str, ...]) -> None:
    found = report(quant(*words))
    assert found["kind"] == "SimulationReport"
    assert found.keys() >= PROMISED
    assert found["orders"].keys() >= {"created", "replaced", "cancelled", "rejected", "unknown"}
    assert found["invariants"]["checked"] > 0
    assert found["invariants"]["violated"] == 0
    money = [found[n] for n in ("start_equity", "end_equity", "net_pnl", "fees")]
    assert all(isinstance(amount, str) for amount in money)
    assert found["by_queue_model"].keys() == {"optimistic", "volume", "conservative"}
    ends = [Decimal(found["by_queue_model"][m]["end_equity"]) for m in found["by_queue_model"]]
    assert Decimal(found["end_equity"]) in ends


def test_money_adds_up_from_the_fills_alone(quant: Run, words: tuple[str, ...], walk: Path) -> None:
    found = report(quant(*words))
    cash, held, fees = Decimal(found["start_equity"]), Decimal(0), Decimal(0)
    for fill in pq.read_table(found["artifacts"]["fills"]).to_pylist():
        qty = fill["qty"] if fill["side"] == "BUY" else -fill["qty"]
        cash -= qty * fill["price"] + fill["fee"]
        held += qty
        fees += fill["fee"]
    last = pq.read_table(sorted(walk.rglob("quotes/**/*.parquet"))[-1]).to_pylist()[-1]
    mid = (Decimal(str(last["bid"])) + Decimal(str(last["ask"]))) / 2
    (position,) = found["positions"]
    assert held == Decimal(position["qty"]) != 0
    assert fees == Decimal(found["fees"])
    assert cash + held * mid == Decimal(found["end_equity"])
    assert Decimal(found["end_equity"]) - Decimal(found["start_equity"]) == Decimal(found["net_pnl"])


def test_the_folder_holds_the_run(quant: Run, words: tuple[str, ...], tmp_path: Path) -> None:
    found = report(quant(*words, "--param", "size=70 USDT"))
    folder = tmp_path / "runs" / found["run_id"]
    paths = {what: Path(path) for what, path in found["artifacts"].items()}
    assert {path.parent for path in paths.values()} == {folder}
    assert pq.read_table(paths["fills"]).num_rows == found["fills"]
    assert pq.read_table(paths["orders"]).num_rows == found["orders"]["created"]
    assert pq.read_table(paths["equity"]).num_rows > 1
    inside = json.loads(paths["report"].read_bytes())
    assert inside["trace_hash"] == found["trace_hash"]
    assert inside["params"] == {"size": "70 USDT"}
    assert 'fees = "0.0002,0.0005"' in paths["config"].read_text()
    assert paths["strategy"].read_text() == MAKER


def test_another_seed_is_another_run(quant: Run, words: tuple[str, ...]) -> None:
    words = (*words, "--queue", "volume")
    one, other = report(quant(*words, "--seed", "1")), report(quant(*words, "--seed", "2"))
    assert one["trace_hash"] != other["trace_hash"]
    assert one["run_id"] != other["run_id"]


def test_the_table_is_for_people(quant: Run, words: tuple[str, ...]) -> None:
    done = quant(*(word for word in words if word not in ("-o", "json")), "--queue", "volume")
    assert done.returncode == 0, done.stderr
    assert "strategy.py:Maker" in done.stdout
    assert "equity" in done.stdout
