"""A live bot steered from outside, against the sandbox: its socket, its halts, and when all goes wrong."""

import json
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quantcli.errors import DaemonAbsent
from quantcli.places import Project, socket_path
from quantcli.runtime.control.client import Client
from quantcli.runtime.control.wire import EventList, OrderItem, OrderList, Status
from tests.live.terminal import Running, Terminal, wait_until
from tests.loopback import Sandbox

KEEPER = """
import time
from quantcli import Param, Strategy, keep

class Keeper(Strategy):
    orders = Param(3, help="so many bids")
    hangs = Param(False, help="do not return once they rest")
    told = 0

    def on_order(self, event):
        self.told += event.kind.value == "accepted"

    def on_trade(self, trade):
        if self.hangs and self.told >= self.orders:
            time.sleep(1e6)

    def desired(self, m):
        for n in range(self.orders):
            yield keep.bid(f"far{n}", 0.002, m.best_bid * (0.95 - n / 500), tolerance=1_000_000)
"""


@pytest.fixture
def exchange() -> Iterator[Sandbox]:
    with Sandbox("--seed", "21", "--symbol", "BTC/USDT") as sandbox:
        yield sandbox


@pytest.fixture
def user(exchange: Sandbox, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "bots", exchange.told, KEEPER)
    yield terminal
    terminal.end()


def spoken_to(user: Terminal) -> Client:
    path = socket_path(Project(user.folder), "bot", {"XDG_RUNTIME_DIR": str(user.folder.parent)})
    assert path is not None
    return Client(path, "bot")


def listed(client: Client) -> list[OrderItem]:
    return list(client.get("orders", OrderList).items)


def is_resting(client: Client, count: int) -> bool:
    return [row.mark for row in listed(client)].count("=") == count


def open_there(exchange: Sandbox) -> list[dict[str, Any]]:
    return [order for order in exchange.orders() if order["status"] in ("NEW", "PARTIALLY_FILLED")]


def started(user: Terminal, *words: str) -> tuple[Running, Client]:
    bot, client = user.trade(*words), spoken_to(user)
    bot.wait_for(lambda: is_resting(client, 3))
    return bot, client


def test_what_a_listing_asks_is_answered_by_the_running_bot(exchange: Sandbox, user: Terminal) -> None:
    bot, client = started(user)
    status = client.get("status", Status)
    assert (status.world, status.state, status.pid) == ("TESTNET", "trading", bot.pid)
    assert status.swept_ns
    assert status.rate_used is not None
    assert {row.exchange_order_id for row in listed(client)} == {
        str(order["order_id"]) for order in open_there(exchange)
    }
    assert bot.stop() == 0, bot.said
    with pytest.raises(DaemonAbsent):
        client.get("status", Status)
    assert not client.path.exists()


def test_a_foreign_order_is_listed_adopted_and_cancelled(exchange: Sandbox, user: Terminal) -> None:
    _, client = started(user)
    for number, way in enumerate(("cancel", "adopt")):
        foreign = exchange.place("BTC/USDT", "BUY", "0.01", "20000")
        client.do("reconcile")
        (row,) = [row for row in listed(client) if row.mark == "x"]
        assert (row.exchange_order_id, row.intent_id, row.condition) == (str(foreign), "", "Foreign")
        done = client.do(way, order=str(foreign))
        if way == "adopt":
            (adopted,) = [row for row in listed(client) if row.exchange_order_id == str(foreign)]
            assert (adopted.mark, adopted.slot) == ("=", "")
            done = client.do("cancel", order=adopted.intent_id)
        assert "1 of 1 confirmed" in done.what
        assert len(open_there(exchange)) == 3, number


def test_who_cancels_on_the_exchange_is_not_fought_until_told_otherwise(
    exchange: Sandbox, user: Terminal
) -> None:
    _, client = started(user)
    victim = listed(client)[1]
    exchange.cancel(int(victim.exchange_order_id or 0))
    wait_until(lambda: any(row.slot_status for row in listed(client)))
    (paused,) = [row for row in listed(client) if row.slot_status]
    assert paused.slot == victim.slot
    assert paused.slot_status.startswith("paused: external")
    assert len(open_there(exchange)) == 2
    warned = client.get("events", EventList, level="warn").items
    assert [item.kind for item in warned if item.intent_id == victim.intent_id] == ["cancelled"]
    client.do("unpause", symbol="BTC/USDT", slot=victim.slot)
    wait_until(lambda: len(open_there(exchange)) == 3)
    assert not any(row.slot_status for row in listed(client))


def test_a_halt_reaches_a_bot_whose_strategy_hangs_within_a_second(exchange: Sandbox, user: Terminal) -> None:
    bot, client = started(user, "--param", "hangs=true")
    wait_until(lambda: client.get("status", Status).state == "stuck")
    began = time.monotonic()
    done = client.do("halt", level="CANCEL_ALL", reason="it hangs")
    assert time.monotonic() - began < 1.0
    assert "3 of 3 confirmed" in done.what
    assert "strategy.py:15" in done.what
    assert open_there(exchange) == []
    assert bot.left() == 1
    assert "did not return" in bot.said
    again = user.trade()
    time.sleep(1)
    assert open_there(exchange) == [], "the halt outlives it"
    assert spoken_to(user).get("status", Status).halt_level == "CANCEL_ALL"
    assert again.stop() == 0


def fill_disk_of(bot: Running) -> None:
    """From here on nothing that it writes reaches a disk."""
    resource.prlimit(bot.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def test_a_halt_cancels_though_nothing_can_be_written_down(exchange: Sandbox, user: Terminal) -> None:
    bot, client = started(user)
    fill_disk_of(bot)
    began = time.monotonic()
    done = client.do("halt", level="CANCEL_ALL", reason="the disk")
    assert time.monotonic() - began < 2.0
    assert "asked to cancel 3 orders past the database" in done.what
    assert "the kill level could not be written" in done.what
    wait_until(lambda: not open_there(exchange))
    assert bot.left() != 0


def test_a_kernel_that_fails_withdraws_what_rests_and_says_what_is_left(
    exchange: Sandbox, user: Terminal
) -> None:
    bot, client = started(user)
    orders = listed(client)
    fill_disk_of(bot)
    exchange.cancel(int(orders[0].exchange_order_id or 0))  # something that has to be written down
    code = bot.left()
    assert code != 0
    assert open_there(exchange) == []


def test_a_second_bot_of_the_name_is_refused_and_the_first_named(exchange: Sandbox, user: Terminal) -> None:
    bot, _ = started(user)
    done = user.run(*user.words())
    assert done.returncode == 8
    assert f"pid {bot.pid}, since 20" in done.stderr
    assert len(open_there(exchange)) == 3


def test_a_detached_bot_trades_on_by_itself_until_it_is_stopped(exchange: Sandbox, user: Terminal) -> None:
    done = user.run(*user.words("--detach"))
    client = spoken_to(user)
    try:
        assert done.returncode == 0, done.stderr
        status = client.get("status", Status)
        assert f"pid {status.pid}" in done.stderr
        assert "attach: quant tui bot" in done.stderr
        wait_until(lambda: is_resting(client, 3))
        told = (user.folder / ".quant" / "bot.log").read_text().splitlines()
        assert json.loads(told[0])["kind"] == "started"
        command = Path(f"/proc/{status.pid}/cmdline").read_bytes()
        assert exchange.secret.encode() not in command
    finally:
        client.do("stop")
        wait_until(lambda: not client.path.exists())
    assert open_there(exchange) == []


def test_a_detached_start_that_fails_says_why_and_passes_its_code_on(user: Terminal) -> None:
    done = user.run(*user.words("--detach", "--symbol", "NO/SUCH"))
    assert done.returncode == 7
    assert "NO/SUCH" in done.stderr


def test_what_a_killed_bot_leaves_is_no_obstacle(exchange: Sandbox, user: Terminal) -> None:
    bot, client = started(user)
    bot.send(signal.SIGKILL)
    bot.left()
    assert client.path.exists()
    with pytest.raises(DaemonAbsent):
        client.get("status", Status)
    again, client = started(user)
    assert client.get("status", Status).pid == again.pid
