"""`make bench-operate`: what a verb costs before it has said anything, beside the command lines of peers.

`quant --help`, and the listings of a bot that runs on a sandbox, over its socket, and of one that is stopped;
beside them `--help` and a listing of freqtrade, `--help` of jesse, and the import of nautilus_trader, which
has no command.  (hummingbot's package lacks its sources and installs nowhere.)  CPU is what to look at.

    python bench/startup.py [--rounds 9] [--peers freqtrade,jesse,…]

Each peer gets an environment of its own under bench/.data/startup, made on the first run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import measure
from measure import ratio
from simulate import find_peer

HERE = Path(__file__).parent
DATA = HERE / ".data" / "startup"
QUANT = [sys.executable, "-c", "from quantcli.cli.app import main; main()"]
_IMPORT = "import nautilus_trader.live"


class Peer(NamedTuple):
    """What is installed, and what is run of it, by the name it has here."""

    packages: tuple[str, ...]
    commands: dict[str, list[str]]


PEERS = {
    "freqtrade": Peer(
        ("freqtrade",),
        {
            "freqtrade --help": ["freqtrade", "--help"],
            "freqtrade list-strategies": [
                "freqtrade",
                "list-strategies",
                "-1",
                "--userdir",
                "freqtrade-user",
            ],
        },
    ),
    "jesse": Peer(("jesse", "setuptools<81"), {"jesse --help": ["jesse", "--help"]}),
}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--peers", default=",".join([*PEERS, "nautilus"]), help="comma between")
    chosen = options.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    theirs: dict[str, list[str]] = {}
    for name in filter(None, chosen.peers.split(",")):
        theirs |= nautilus() if name == "nautilus" else peer(name, PEERS[name])
    with tempfile.TemporaryDirectory(dir=DATA) as folder, running_bot(Path(folder)):
        os.chdir(folder)
        report(measure.rounds(ours() | theirs, chosen.rounds))


def ours() -> dict[str, list[str]]:
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "quant --help": [*QUANT, "--help"],
        "quant orders, running": [*QUANT, "orders", "--name", "bot"],
        "quant status, running": [*QUANT, "status", "bot"],
        "quant positions, running": [*QUANT, "positions", "--name", "bot"],
        "quant orders, stopped": [*QUANT, "orders", "--name", "stopped"],
        "quant status, stopped": [*QUANT, "status", "stopped"],
    }


def nautilus() -> dict[str, list[str]]:
    """The peer of `simulate`, in the environment that it has there."""
    found = find_peer()
    print(found.version)
    return {_IMPORT: [found.command[0], "-c", _IMPORT]}


@contextmanager
def running_bot(folder: Path) -> Iterator[None]:
    """A bot that trades and one that has traded, in this folder, with the surroundings to ask them."""
    folder.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    # In a process of its own: what this one has touched would count as the memory of those it measures.
    command = [sys.executable, str(HERE / "startup_bots.py"), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            if not keeper.stdout.readline():
                raise RuntimeError("the bots did not start")
            yield
        finally:
            keeper.stdin.close()


def peer(name: str, what: Peer) -> dict[str, list[str]]:
    """The commands of a peer in its own environment, made if need be; none if it cannot be had here."""
    home = DATA / name
    done = home / "installed"
    try:
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            install = [str(home / "bin" / "python"), "-m", "pip", "install", "-q"]
            subprocess.run([*install, *what.packages], check=True)
            if name == "freqtrade":
                _freqtrade_user(home)
            done.touch()
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(home, ignore_errors=True)
        print(f"{name} cannot be installed here and is not measured: {error}")
        return {}
    version = subprocess.run(
        [
            str(home / "bin" / "python"),
            "-c",
            f"import importlib.metadata as m; print(m.version('{what.packages[0]}'))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    print(f"{what.packages[0]} {version}")
    return {
        label: [
            str(home / "bin" / command[0]),
            *(str(DATA / w) if w.endswith("-user") else w for w in command[1:]),
        ]
        for label, command in what.commands.items()
    }


def _freqtrade_user(home: Path) -> None:
    """A folder with its own sample strategy, for it to list."""
    command = [str(home / "bin" / "freqtrade"), "create-userdir", "--userdir", str(DATA / "freqtrade-user")]
    subprocess.run(command, check=True, capture_output=True)


def report(costs: dict[str, list[measure.Cost]]) -> None:
    print(f"python {sys.version.split()[0]}, medians of {len(next(iter(costs.values())))} rounds")
    print(f"{'command':<34}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}")
    for name, runs in costs.items():
        cost = measure.median(runs)
        print(f"{name:<34}{cost.cpu_s:>8.2f}{cost.wall_s:>8.2f}{cost.peak_mb:>9.0f}")
    pairs = [
        ("freqtrade --help", "quant --help"),
        ("freqtrade list-strategies", "quant orders, running"),
        ("freqtrade list-strategies", "quant status, running"),
        ("jesse --help", "quant --help"),
        (_IMPORT, "quant orders, running"),
    ]
    for their, own in pairs:
        if their in costs:
            print(f"{f'{their} by {own}: CPU':<60}{ratio(costs[their], costs[own], 'cpu_s'):>7.1f}")


if __name__ == "__main__":
    main()
