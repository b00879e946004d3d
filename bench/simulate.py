"""`make bench-simulate`: what `quant simulate` costs, beside its floor and beside nautilus_trader.

On the shipped recording and on a million synthetic trades and quotes, with an empty, an EMA and a
touch-maker strategy: events per second of CPU, peak memory, start to result.  The peer gets the same
events in its own catalog, in its own environment under bench/.data (installed on the first run; a
Python of at least 3.12 gets 2.x, else the newest 1.x is named as missing).

    python bench/simulate.py [--rounds 5] [--events 1000000]
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import measure
import synthetic

HERE = Path(__file__).parent
DATA = HERE / ".data"
QUANT = [sys.executable, "-c", "from quantcli.cli.app import main; main()"]
PEER = "nautilus_trader==2.0.0rc7"
STRATEGIES = ("empty", "ema", "touch")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--events", type=int, default=1_000_000)
    chosen = options.parse_args()
    recording, arrays = synthetic_recording(chosen.events)
    python = peer_python()
    cases = own_cases("synthetic", recording, ["--cash", "1000000 USDT", "--queue", "volume"])
    cases |= own_cases("shipped", HERE.parent / "recordings", ["--queue", "volume"])
    cases["floor ema"] = [sys.executable, str(HERE / "floor.py"), str(recording), strategy("ema")]
    cases["floor empty"] = [sys.executable, str(HERE / "floor.py"), str(recording), strategy("empty")]
    double, _ = synthetic_recording(2 * chosen.events)
    cases["synthetic x2 ema"] = own_command(double, "ema", ["--cash", "1000000 USDT", "--queue", "volume"])
    if python is not None:
        node = [str(python), str(HERE / "nautilus_node.py")]
        catalog = DATA / f"catalog-{chosen.events}"
        if not catalog.exists():
            measure.run([*node, "prepare", str(arrays), str(catalog)])
        cases |= {f"nautilus {name}": [*node, "run", str(catalog), name] for name in STRATEGIES}
    report(measure.rounds(cases, chosen.rounds), chosen.events)


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
        DATA.mkdir(exist_ok=True)
        draft = DATA / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        synthetic.write_arrays(arrays, events)
        synthetic.write_recording(draft, events)
        draft.rename(root)
    return root, arrays


def peer_python() -> Path | None:
    """The peer's interpreter, its environment made if need be; `None` if no Python can run it."""
    home = DATA / "peer"
    python = home / "bin" / "python"
    if python.exists():
        return python
    for name in ("python3.13", "python3.12", "python3.14"):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            subprocess.run([found, "-m", "venv", str(home)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", PEER, "numpy"], check=True)
            return python
    print("no Python of at least 3.12 is here: nautilus_trader 2.x is left out")
    return None


def report(costs: dict[str, list[measure.Cost]], events: int) -> None:
    print(f"python {sys.version.split()[0]}, {PEER}, medians of {len(next(iter(costs.values())))} rounds")
    print(f"{'case':<22}{'CPU s':>8}{'k events/s':>12}{'wall s':>8}{'peak MB':>9}")
    shipped = 114_078
    for name, runs in costs.items():
        cost = measure.median(runs)
        count = shipped if name.startswith("shipped") else events * (2 if "x2" in name else 1)
        rate = count / cost.cpu_s / 1_000
        print(f"{name:<22}{cost.cpu_s:>8.2f}{rate:>12,.0f}{cost.wall_s:>8.2f}{cost.peak_mb:>9.0f}")
    ours = costs["synthetic ema"]
    lines = [
        ("ours by floor, ema: CPU (goal: at most 1.6)", measure.ratio(ours, costs["floor ema"], "cpu_s"))
    ]
    lines.append(
        ("memory, twice the events by once", measure.ratio(costs["synthetic x2 ema"], ours, "peak_mb"))
    )
    for name in STRATEGIES if "nautilus ema" in costs else ():
        peer, own = costs[f"nautilus {name}"], costs[f"synthetic {name}"]
        lines.append((f"nautilus by ours, {name}: CPU (goal: ema 3)", measure.ratio(peer, own, "cpu_s")))
        lines.append((f"nautilus by ours, {name}: start to result", measure.ratio(peer, own, "wall_s")))
        lines.append(
            (f"ours by nautilus, {name}: peak memory (goal: 0.25)", measure.ratio(own, peer, "peak_mb"))
        )
    for what, value in lines:
        print(f"{what:<50}{value:>7.2f}")


if __name__ == "__main__":
    main()
