"""The whole story, by somebody who has read the README and nothing else: from `quant init` to `quant stop`.

A project, a replay, paper, then live on a sandbox: a detached bot, watched on a real terminal; an order is
cancelled by hand, the bot is halted, killed, started again; and every order is accounted for.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.live.terminal import KEY, PROGRAM, SECRET, everything_in, wait_until
from tests.live.tmux import Tmux
from tests.live.verdict import Verdict, compare
from tests.loopback import Sandbox

ROOT = Path(__file__).resolve().parents[2]
BOT = "story"
_BEGUN_WITH = {"USDT": Decimal(10_000), "BTC": Decimal("0.004")}
_IN_FORCE = {"NEW", "PARTIALLY_FILLED"}


class User:
    """Somebody at a terminal in a folder of their own."""

    def __init__(self, folder: Path, exchange: Sandbox) -> None:
        self.folder, self.exchange = folder, exchange
        self._pids: set[int] = set()
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith("QUANT")}
        self.environment |= {"HOME": str(folder.parent), "XDG_RUNTIME_DIR": str(folder.parent)}
        self.environment |= {KEY: exchange.key, SECRET: exchange.secret, "COLUMNS": "100"}

    def quant(self, *words: str, code: int = 0) -> str:
        """A command, which leaves with `code`; what it says on stdout."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (
            f"quant {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        assert "Traceback" not in done.stderr
        return done.stdout

    def asked(self, *words: str) -> Any:
        return json.loads(self.quant(*words, "-o", "json"))

    def start_detached(self) -> int:
        """The bot, on its own; its process id, by its own word."""
        live = ("--live", "--endpoint", self.exchange.url, "--symbol", "BTC/USDT")
        self.quant("trade", *live, "--detach", "--name", BOT)
        pid = int(self.asked("status", BOT)["pid"])
        self._pids.add(pid)
        return pid

    def orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.asked("orders", "--name", BOT)["items"]
        return found

    def order_in(self, slot: str) -> dict[str, Any]:
        """What rests in a slot, and is known of by both."""

        def look() -> dict[str, Any] | None:
            resting = {o["order_id"] for o in self.exchange.orders() if o["status"] in _IN_FORCE}
            rows = [row for row in self.orders() if row["slot"] == slot and row["mark"] == "="]
            return next((row for row in rows if int(row["exchange_order_id"] or 0) in resting), None)

        found: dict[str, Any] = wait_until(look, lambda: str(self.orders()))
        return found

    def end(self) -> None:
        for pid in self._pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    tmp_path.chmod(0o700)
    folder = tmp_path / BOT
    folder.mkdir()
    # A slow market: somebody by hand can hit an order before the maker has moved it.
    words = ("--seed", "5", "--speed", "0.1", "--symbol", "BTC/USDT")
    with Sandbox(*words, "--balance", "10000 USDT", "--balance", "0.004 BTC") as exchange:
        here = User(folder, exchange)
        try:
            yield here
        finally:
            here.end()


def test_from_init_to_stop_with_all_that_goes_wrong_between(user: User) -> None:
    # A project, a replay, paper.
    user.quant("init")
    assert {path.name for path in user.folder.iterdir()} == {"quant.toml", "mystrat.py", ".gitignore"}
    recordings = str(ROOT / "recordings")
    assert "fills" in user.quant("simulate", "--from", recordings)
    user.quant("trade", "--paper", "--from", recordings, "--name", "paper", "--speed", "3600", "--for", "3s")
    assert user.asked("orders", "--name", "paper", "--all")["items"]
    assert user.asked("fills", "--name", "paper")["stale"] is True

    # Live on an exchange of one's own, detached, and watched.
    first = user.start_detached()
    assert is_alive(first)
    assert BOT in user.quant("ps")
    user.order_in("bid")
    with Tmux(user.environment, user.folder) as screen:
        screen.run([sys.executable, "-c", PROGRAM, "tui", BOT])
        screen.wait_for("BTC/USDT")

        # An order is cancelled by hand: its slot pauses, and nobody is fought.
        cancelled = wait_until(lambda: cancel_by_hand(user, "bid"))
        screen.wait_for("paused")
        assert "paused" in user.quant("orders", "--name", BOT)
        screen.keys("q")
        screen.wait_for("left with 0")
    assert buys(user)[-1] == cancelled, "nothing was placed in its stead"
    assert is_alive(first), "leaving the screen stops no bot"
    user.quant("orders", "resume", "bid", "--name", BOT, "--yes")
    assert int(user.order_in("bid")["exchange_order_id"]) != cancelled

    # Halted, killed, started again: nothing is bought, and nothing is forgotten.
    user.quant("halt", BOT, "--reason", "supper", "--yes")
    bought = buys(user)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first))
    listed = user.asked("orders", "--name", BOT)
    assert listed["stale"] is True
    second = user.start_detached()
    assert second != first
    assert user.asked("status", BOT)["halt_reason"] == "supper"
    wait_until(lambda: is_accounted_for(user), lambda: str(verdict(user)))
    assert buys(user) == bought, "what adds exposure waits for the word"

    # It goes on, and stops in good order.
    user.quant("resume", BOT)
    wait_until(lambda: buys(user) > bought)
    user.quant("stop", BOT)
    wait_until(lambda: not is_alive(second))
    assert [o for o in user.exchange.orders() if o["status"] in _IN_FORCE] == []
    assert is_accounted_for(user), verdict(user)
    assert user.quant("reconcile", "--check", "--name", BOT)


def cancel_by_hand(user: User, slot: str) -> int | None:
    """The number of the order that was cancelled; `None` if it has just gone."""
    number = int(user.order_in(slot)["exchange_order_id"])
    try:
        user.exchange.cancel(number)
    except AssertionError:
        return None
    return number


def buys(user: User) -> list[int]:
    """Numbers of all purchases that were ever placed."""
    return [int(order["order_id"]) for order in user.exchange.orders() if order["side"] == "BUY"]


def verdict(user: User) -> Verdict:
    ledger = asyncio.run(everything_in(user.folder / ".quant" / f"{BOT}.db"))
    return compare(user.exchange.truth(), ledger, _BEGUN_WITH, "BTC")


def is_accounted_for(user: User) -> bool:
    return verdict(user).is_clean
