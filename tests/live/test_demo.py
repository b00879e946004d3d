"""`quant demo` as somebody meets it who has nothing but the program: it shows, it ends, it leaves nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.terminal import PROGRAM, wait_until
from tests.live.tmux import Tmux

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="processes are found in /proc"
)


class Surroundings:
    """A home and a folder for temporary files, by which everything that is started here can be told."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._started: subprocess.Popen[str] | None = None
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith("QUANT")}
        self.environment |= {"TMPDIR": str(self.temporary), "HOME": str(folder), "XDG_RUNTIME_DIR": ""}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        self._started = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "demo", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        return self._started

    def programs(self) -> list[int]:
        """Process ids of what was started with these surroundings, by whomever, and lives."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def files(self) -> list[str]:
        return sorted(
            path.name for path in self.temporary.rglob("*") if not path.name.startswith("quantcli-")
        )

    def end(self) -> None:
        """Make sure that everything is gone."""
        for number in self.programs():
            os.kill(number, signal.SIGKILL)
        if self._started is not None:
            with self._started:  # closes what it was read by
                pass


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Surroundings]:
    here = Surroundings(tmp_path)
    yield here
    here.end()


def test_without_a_terminal_it_tells_what_goes_wrong_and_ends(around: Surroundings) -> None:
    demo = around.start("--for", "20s")
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    told = [
        "nothing leaves this machine",
        "the answer lost: its row turns ! unknown",
        "the kernel asked, found it there",
        "the private stream drops",
        "x orphan",
        "cancelled by hand on the exchange",
        "orders resume",
    ]
    places = [err.find(words) for words in told]
    assert -1 not in places, err
    assert places == sorted(places)
    assert "could not be done" not in err
    for row in ("! BTC/USDT", "= BTC/USDT", "x ETH/USDT", "paused"):
        assert row in out
    assert around.programs() == []
    assert around.files() == []


def test_under_chaos_it_ends_as_well(around: Surroundings) -> None:
    demo = around.start("--chaos", "--for", "12s", "--seed", "3")
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert "lost_" in err
    assert "could not be done" not in err
    assert "BTC/USDT" in out
    assert around.programs() == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_however_it_is_ended_its_programs_end_too(
    around: Surroundings, number: signal.Signals, code: int
) -> None:
    demo = around.start("--for", "60s")
    assert demo.stderr is not None
    wait_until(lambda: len(around.programs()) >= 3)
    if number != signal.SIGTERM:  # that one comes while everything is still coming up
        while "lost" not in demo.stderr.readline():
            assert demo.poll() is None
    demo.send_signal(number)
    demo.communicate(timeout=20)
    assert demo.returncode == code
    wait_until(lambda: not around.programs(), lambda: str(around.programs()), within_s=10)
    if number != signal.SIGKILL:
        assert around.files() == []


def test_on_a_terminal_the_screen_opens_on_the_orders_and_q_leaves(around: Surroundings) -> None:
    with Tmux(around.environment) as screen:
        screen.run([sys.executable, "-c", PROGRAM, "demo"])
        screen.wait_for("in sync", within_s=10)
        screen.wait_for("! ", within_s=15)
        screen.wait_for("orphan", within_s=20)
        screen.keys("q")
        screen.wait_for("left with 0", within_s=15)
    wait_until(lambda: not around.programs(), within_s=10)
    assert around.files() == []
