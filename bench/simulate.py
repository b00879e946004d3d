"""`make bench-simulate`: what `quant simulate` costs, beside its floor and beside nautilus_trader.

On the shipped recording and on a million synthetic trades with a million quotes, with an empty, an EMA and a
touch-maker strategy: events per second of CPU, peak memory, start to result.  The peer gets the same
events in its own catalog, in its own environment under bench/.data, installed on the first run: 2.x where a
Python of at least 3.12 is found, else the newest 1.x.

    python bench/simulate.py [--rounds 5] [--events 2000000]
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import measure
from measure import ratio

HERE = Path(__file__).parent
DATA = HERE / ".data"
QUANT = [sys.executable, "-c", "from quantcli.cli.app import main; main()"]
PEER, OLD_PEER = "nautilus_trader==2.0.0rc7", "nautilus_trader<2"
STRATEGIES = ("empty", "ema", "touch")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--events", type=int, default=2_000_000, help="half trades, half quotes")
    chosen = options.parse_args()
    recording, arrays = synthetic_recording(chosen.events)
    peer = find_peer()
    rich = ["--cash", "100000000 USDT", "--queue", "volume"]
    cases = own_cases("synthetic", recording, rich)
    cases |= own_cases("shipped", HERE.parent / "recordings", ["--queue", "volume"])
    floor = [sys.executable, str(HERE / "floor.py"), str(recording), strategy("ema")]
    cases |= {"floor trades": [*floor, "trades"], "floor every row": [*floor, "every"]}
    double, _ = synthetic_recording(2 * chosen.events)
    cases |= {f"synthetic x2 {name}": own_command(double, name, rich) for name in ("empty", "ema")}
    catalog = DATA / f"catalog-{Path(peer.command[1]).stem}-{chosen.events}"
    if not catalog.exists():
        measure.run([*peer.command, "prepare", str(arrays), str(catalog)])
    cases |= {f"nautilus {name}": [*peer.command, "run", str(catalog), name] for name in STRATEGIES}
    report(measure.rounds(cases, chosen.rounds), chosen.events, peer.version)


def strategy(name: str) -> str:
    return str(HERE / "strategies" / f"{name}.py")


def own_command(recording: Path, name: str, extra: list[str]) -> list[str]:
    return [*QUANT, "simulate", "--from", str(recording), "--strategy", strategy(name), "-o", "json", *extra]


def own_cases(what: str, recording: Path, extra: list[str]) -> dict[str, list[str]]:
    return {f"{what} {name}": own_command(recording, name, extra) for name in STRATEGIES}


def synthetic_recording(events: int) -> tuple[Path, Path]:
    """The events as a recording of ours and as plain arrays for the peer; made once."""
    arrays, root = DATA / f"synthetic-{events}.npz", DATA / f"synthetic-{events}"
    if not root.exists():
        # In a process of its own: what this one has touched would count as the memory of those it measures.
        subprocess.run([sys.executable, str(HERE / "synthetic.py"), str(DATA), str(events)], check=True)
    return root, arrays


class Peer(NamedTuple):
    """The peer's version, interpreter and script."""

    version: str
    command: list[str]


def find_peer() -> Peer:
    """The peer in its own environment, made if need be: 2.x where a Python of at least 3.12 is found."""
    found = newest_python()
    version, script = (PEER, "nautilus_node.py") if found else (OLD_PEER, "nautilus_node_v1.py")
    home = DATA / ("peer" if found else "peer-v1")
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([found or sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", version, "numpy"], check=True)
    return Peer(version, [str(python), str(HERE / script)])


def newest_python() -> str | None:
    """A Python that the peer's 2.x runs on; BENCH_PYTHON names one that is not on the path."""
    managed = sorted((Path.home() / ".pyenv" / "versions").glob("3.1[2-9]*/bin/python"), reverse=True)
    named = [os.environ.get("BENCH_PYTHON", ""), "python3.14", "python3.13", "python3.12", *map(str, managed)]
    for name in named:
        path = shutil.which(name) if name else None
        if (
            path
            and subprocess.run([path, "-c", "import ensurepip"], capture_output=True, check=False).returncode
            == 0
        ):
            return path
    return None


def report(costs: dict[str, list[measure.Cost]], events: int, peer: str) -> None:
    print(f"python {sys.version.split()[0]}, {peer}, medians of {len(next(iter(costs.values())))} rounds")
    print(f"{'case':<22}{'CPU s':>8}{'k events/s':>12}{'wall s':>8}{'peak MB':>9}")
    shipped = 114_078
    for name, runs in costs.items():
        cost = measure.median(runs)
        count = shipped if name.startswith("shipped") else events * (2 if "x2" in name else 1)
        rate = count / cost.cpu_s / 1_000
        print(f"{name:<22}{cost.cpu_s:>8.2f}{rate:>12,.0f}{cost.wall_s:>8.2f}{cost.peak_mb:>9.0f}")
    ours = costs["synthetic ema"]
    lines = []
    for floor in ("floor trades", "floor every row"):
        lines.append((f"ours by {floor}, ema: CPU (goal: at most 1.6)", ratio(ours, costs[floor], "cpu_s")))
    for name in ("empty", "ema"):
        once, twice = costs[f"synthetic {name}"], costs[f"synthetic x2 {name}"]
        lines.append((f"peak memory, twice the events by once, {name}", ratio(twice, once, "peak_mb")))
    for name in STRATEGIES:
        theirs, own = costs[f"nautilus {name}"], costs[f"synthetic {name}"]
        lines += [
            (f"nautilus by ours, {name}: CPU (goal: ema at least 3)", ratio(theirs, own, "cpu_s")),
            (f"nautilus by ours, {name}: start to result", ratio(theirs, own, "wall_s")),
            (f"ours by nautilus, {name}: peak memory (goal: at most 0.25)", ratio(own, theirs, "peak_mb")),
        ]
    for what, value in lines:
        print(f"{what:<60}{value:>7.2f}")


if __name__ == "__main__":
    main()
