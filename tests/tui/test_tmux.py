"""The installed program in a real terminal (tmux), against a bot's socket of another process."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantcli.places import Project, socket_path

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here")
DAEMON = Path(__file__).with_name("daemon.py")
QUANT = Path(sys.executable).with_name("quant")


class Terminal:
    """A window of tmux, 80 by 24, with a server of its own."""

    def __init__(self, folder, environment):
        self.tmux = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        self.environment = environment
        command = "sh -c 'exec sh'"
        self.run("-u", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(folder), command)

    def run(self, *words):
        done = subprocess.run(
            [*self.tmux, *words], env=self.environment, capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout

    def press(self, *keys):
        for key in keys:
            self.run("send-keys", key)

    def type(self, text):
        self.run("send-keys", "-l", text)

    def shown(self):
        return self.run("capture-pane", "-p")

    def wait(self, words, gone=False):
        """Wait until words are on the screen (or `gone`)."""
        end = time.monotonic() + 15
        while (words in (shown := self.shown())) is gone:
            assert time.monotonic() < end, f"{words!r} {'is still' if gone else 'is not'} there:\n{shown}"
            time.sleep(0.05)
        return shown

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], env=self.environment, capture_output=True, check=False)


@pytest.fixture
def bot(tmp_path):
    """A project whose bot seems to run; its environment."""
    (tmp_path / "quant.toml").touch()
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(tmp_path),
        "TMPDIR": str(tmp_path),  # bots of others are looked for there
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(DAEMON.parents[2]),
    }
    environment.pop("TMUX", None)
    path = socket_path(Project(tmp_path.resolve()), "mm-btc", environment)
    daemon = subprocess.Popen([sys.executable, DAEMON, str(path), "20"], env=environment)
    try:
        end = time.monotonic() + 15
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        yield tmp_path, environment, daemon
    finally:
        daemon.kill()
        daemon.wait()
        path.unlink(missing_ok=True)


def test_start_look_around_do_not_kill_detach(bot):
    folder, environment, daemon = bot
    terminal = Terminal(folder, environment)
    try:
        terminal.type(f"{QUANT} tui mm-btc")
        terminal.press("Enter")
        first = terminal.wait("~ BTC/USDT ask").splitlines()
        assert len(first) == 24
        assert "[LIVE]" in first[0]
        assert "detach" in first[23]
        for key, words in (
            ("2", "WALLET"),
            ("3", "TRADES"),
            ("4", "heartbeat"),
            ("5", "LINKS"),
            ("1", "WANT"),
        ):
            terminal.press(key)
            assert "[LIVE]" in terminal.wait(words)
        terminal.press("C-k")
        dialog = terminal.wait("KILL SWITCH  mm-btc")
        assert "[ Esc: back, nothing happens ]" in dialog
        assert "└" in dialog
        terminal.press("Escape")
        terminal.wait("choose h, c or f", gone=True)
        terminal.press("q")
        after = terminal.wait("detached; mm-btc goes on")
        assert "WANT" not in after  # the shell's own screen is back
        assert daemon.poll() is None
    finally:
        terminal.close()


def test_a_bot_that_goes_away_is_told_of_and_ctrl_c_leaves(bot):
    folder, environment, daemon = bot
    terminal = Terminal(folder, environment)
    try:
        terminal.type(f"NO_COLOR=1 {QUANT} tui --read-only")
        terminal.press("Enter")
        assert "[read only]" in terminal.wait("~ BTC/USDT ask")
        daemon.kill()
        terminal.wait("DISCONNECTED")
        terminal.press("C-c")
        terminal.wait("did not answer at last")
    finally:
        terminal.close()


def test_without_a_bot_it_says_what_to_do_and_exits_with_3(tmp_path):
    (tmp_path / "quant.toml").touch()
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(tmp_path),
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
    }
    terminal = Terminal(tmp_path, environment)
    try:
        terminal.type(f"{QUANT} tui nobody; echo left with $?")
        terminal.press("Enter")
        shown = terminal.wait("left with 3")
        assert "nobody is not running" in shown
        assert "quant trade --name nobody" in shown
    finally:
        terminal.close()


def test_without_a_terminal_it_names_the_listing_to_use():
    done = subprocess.run(
        [QUANT, "tui"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert "quant orders" in done.stderr
