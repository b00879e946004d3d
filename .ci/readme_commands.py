"""Runs the README's shell blocks as a reader would, in a folder of its own: `quant`, `export` and `cp` lines.

A line that ends with `&` goes on beside the others, and is ended at the end.  The two files that the README
imports are made here, small; everything else is the project's own.
"""

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
START_NS = 1_709_294_400_000_000_000


def main() -> int:
    lines = [
        line.partition("#")[0].strip()
        for block in BLOCK.findall((ROOT / "README.md").read_text())
        for line in block.splitlines()
        if line.startswith(("quant ", "export ", "cp "))
    ]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    beside: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for name in ("recordings", "strategies", "configs"):
            shutil.copytree(ROOT / name, here / name)
        make_capture(here / "capture.jsonl.gz")
        make_dump(here / "BTCUSDT-trades-2024-03-01.zip")
        failed = 0
        try:
            for line in lines:
                if line.startswith("export "):
                    environment |= dict(word.split("=", 1) for word in shlex.split(line)[1:])
                elif line.endswith("&"):
                    beside.append(start(line, here, environment))
                else:
                    failed += run(line, here, environment)
        finally:
            for process in beside:
                process.terminate()
                process.communicate(timeout=20)
    print(f"{len(lines) - failed} passed, {failed} failed")
    return 1 if failed or not lines else 0


def start(line: str, folder: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Start what goes on beside the others; it is there when it has said its first line."""
    words = shlex.split(line.removesuffix("&"))
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    print(f"ok   {line} {process.stdout.readline().strip()[:40]}")
    return process


def run(line: str, folder: Path, environment: dict[str, str]) -> int:
    """Run one line; 1 if it fails."""
    ran = subprocess.run(
        shlex.split(line),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    print(f"{'ok  ' if ran.returncode == 0 else 'FAIL'} {line}")
    if ran.returncode:
        print(ran.stdout[-1000:], ran.stderr[-1000:])
    return 1 if ran.returncode else 0


def make_capture(path: Path) -> None:
    """One trade of a market that is not in the shipped recording."""
    trade = {
        "e": "trade",
        "E": 1,
        "s": "ETHUSDT",
        "t": 1,
        "p": "3400.10",
        "q": "0.5",
        "T": 1709294400000,
        "m": True,
    }
    records = [
        {"k": "meta", "exchange": "binance", "market": "spot", "symbols": ["ETHUSDT"]},
        {"k": "recv", "ts": START_NS, "c": "1", "d": json.dumps({"stream": "ethusdt@trade", "data": trade})},
    ]
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def make_dump(path: Path) -> None:
    """Two rows in the layout of Binance's public spot trades."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            path.with_suffix(".csv").name,
            "1,62000.10,0.001,62.0001,1709294400000,True,True\n2,62000.20,0.002,124.0004,1709294400500,False,True\n",
        )


if __name__ == "__main__":
    sys.exit(main())
