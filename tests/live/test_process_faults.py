"""What happens to a process: signals, no memory, no descriptors, no room to speak; who may reach it.

The installed program against the sandbox; numbers are those of the fault catalogue.  Each story ends with the
exchange's truth beside the bot's ledger where orders were in danger.
"""

import os
import re
import resource
import signal
import stat
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from tests.live.stories import Plays, SandboxBeside
from tests.live.terminal import Terminal, accepted, wait_until
from tests.live.verdict import compare

PLACE, CANCEL = "POST /api/v3/order", "DELETE /api/v3/order"
BEGUN_WITH = {"USDT": Decimal(1_000_000), "BTC": Decimal(5)}
# Keeps a quote, and places `buys` single orders, one in `pause`; remembers far too much if `hoards`.
STRATEGY = """
from quantcli import Param, Strategy, keep

class Worker(Strategy):
    buys = Param(1, help="single orders")
    pause = Param("50ms", help="between two")
    hoards = Param(False, help="take more and more memory once all are placed")
    memory = ()

    def on_start(self):
        self.memory = []
        self.every(self.pause)

    def on_timer(self, name):
        if self.buys > 0 and self.market.best_bid:
            self.buys -= 1
            self.buy(0.001, limit=self.market.best_bid * 0.9 - self.buys * self.market.tick)
        elif self.hoards:
            self.memory.append(bytearray(64_000_000))

    def desired(self, m):
        yield keep.bid("far", 0.002, m.best_bid * 0.95, tolerance=1_000_000)
"""
AGAIN = ("--param", "buys=0")

plays = Plays(STRATEGY, seed=5, symbols=("BTC/USDT",), balances=BEGUN_WITH)
told = plays.fixture()


def assert_nothing_is_lost(exchange: SandboxBeside, user: Terminal) -> None:
    """The bot knows of every order and fill as it really is."""
    verdict = compare(exchange.truth(), user.ledger(), BEGUN_WITH, "BTC")
    assert verdict.is_clean, verdict.notes


def statuses(exchange: SandboxBeside) -> list[str]:
    return sorted(order["status"] for order in exchange.orders())


# Who may reach it.


def doors(pid: int) -> list[str]:
    """Sockets of a process that wait for somebody to come."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed a moment ago
            number = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
            own |= {number[1]} if number else set()
    found = []
    for name, state, inode in (("tcp", 3, 9), ("tcp6", 3, 9), ("udp", 3, 9), ("unix", 5, 6)):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            waits = {"tcp": "0A", "tcp6": "0A", "udp": "07", "unix": "01"}[name] == fields[state]
            is_door = waits if name != "unix" else waits and int(fields[3], 16) & 0x10000
            found += [f"{name} {line}"] if is_door and fields[inode] in own else []
    return found


@plays.story
def test_h11_h12_p6_nobody_else_can_speak_to_a_bot_and_without_descriptors_it_places_nothing_twice(
    exchange: SandboxBeside, user: Terminal
) -> None:
    """It listens at no port, and its socket is its user's alone.  Then connections are lost, and none can be
    opened until there is room again."""
    bot = user.trade("--param", "buys=40", "--param", "pause=100ms")
    bot.wait_for(accepted(bot, 4))
    (door,) = doors(bot.pid)
    name, path = door.split()[0], Path(door.split()[-1])
    assert (name, stat.S_IMODE(path.stat().st_mode)) == ("unix", 0o600)
    assert (stat.S_IMODE(path.parent.stat().st_mode), path.parent.stat().st_uid) == (0o700, os.getuid())
    assert doors(os.getpid()), "those of the sandbox are seen"
    assert not [path for path in user.folder.rglob("*") if path.is_socket()]
    exchange.chaos({"on": PLACE, "fault": "lost_answer", "every": 2})
    usual = resource.prlimit(bot.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(bot.pid, resource.RLIMIT_NOFILE, (1, usual[1]))
    bot.wait_for(lambda: "Too many open files" in bot.said)
    exchange.chaos()
    resource.prlimit(bot.pid, resource.RLIMIT_NOFILE, usual)
    bot.wait_for(lambda: len(user.ledger().intents) == 41)
    bot.wait_for(lambda: compare(exchange.truth(), user.ledger(), BEGUN_WITH, "BTC").is_clean)
    assert bot.stop() == 0, bot.said
    assert_nothing_is_lost(exchange, user)
    assert "POST /api/v3/order/cancelReplace" not in exchange.calls(), "V27: nothing is ever half replaced"


# Signals.


@plays.story
def test_p4_p3_signals_end_it_in_good_order_or_at_once_whatever_it_is_doing(
    exchange: SandboxBeside, user: Terminal
) -> None:
    """While it trades, and while it recovers; one signal waits for the exchange, two do not."""
    bot = user.trade()
    bot.wait_for(accepted(bot, 2))
    exchange.chaos({"on": CANCEL, "fault": "lost_request", "hold": True})
    bot.send(signal.SIGINT)
    bot.wait_for(exchange.strikes)
    assert "interrupt again to leave at once" in bot.said
    began_s = time.monotonic()
    assert bot.stop(signal.SIGINT) == 130
    assert time.monotonic() - began_s < 5
    assert statuses(exchange) == ["NEW", "NEW"]

    exchange.chaos({"on": "GET /api/v3/exchangeInfo", "fault": "delay", "seconds": 1.5})
    again = user.start(*user.words(*AGAIN))
    again.wait_for(exchange.strikes)
    assert again.stop(signal.SIGTERM) == 0, again.said
    assert_nothing_is_lost(exchange, user)

    exchange.chaos({"on": "GET /api/v3/exchangeInfo", "fault": "lost_request", "hold": True})
    third = user.start(*user.words(*AGAIN))
    third.wait_for(exchange.strikes)
    third.send(signal.SIGTERM)
    third.wait_for(lambda: "interrupt again" in third.said)
    assert third.stop(signal.SIGTERM) == 130
    assert not [each for each in (bot, again, third) if "Traceback" in each.said]

    exchange.chaos()
    last = user.trade(*AGAIN)
    last.wait_for(accepted(last, 1))
    assert last.stop() == 0, last.said
    assert_nothing_is_lost(exchange, user)
    assert statuses(exchange).count("NEW") == 1, "the single order, as it was"


@plays.story
def test_p14_a_request_that_was_under_way_while_all_stood_still_is_worthless(
    exchange: SandboxBeside, user: Terminal
) -> None:
    """The bot is stopped while its request is on the way, for longer than the request may take."""
    exchange.chaos(
        {"on": PLACE, "fault": "delay", "seconds": 6.5, "where": {"quantity": "0.001"}, "calls": [2]}
    )
    bot = user.trade("--param", "buys=3")
    (late,) = bot.wait_for(exchange.strikes)
    bot.send(signal.SIGSTOP)
    time.sleep(7)
    assert late["newClientOrderId"] not in [order["client_order_id"] for order in exchange.orders()]
    bot.send(signal.SIGCONT)
    bot.wait_for(accepted(bot, 4))
    assert len(exchange.orders()) == 4
    assert late["newClientOrderId"] not in [order["client_order_id"] for order in exchange.orders()]
    bot.wait_for(lambda: compare(exchange.truth(), user.ledger(), BEGUN_WITH, "BTC").is_clean)
    assert bot.stop() == 0, bot.said
    assert_nothing_is_lost(exchange, user)


@plays.story
def test_n13_h7_stopping_without_the_exchanges_word_leaves_with_5(
    exchange: SandboxBeside, user: Terminal
) -> None:
    """The key has lost its rights: cancels are tried again, in no storm, and nothing is made up."""
    bot = user.trade()
    bot.wait_for(accepted(bot, 2))
    exchange.chaos(
        *({"on": f"{way} *", "fault": "status", "status": 401} for way in ("GET", "POST", "DELETE"))
    )
    before = sum(exchange.calls().values())
    assert bot.stop() == 5, bot.said
    assert "the exchange has not confirmed 1 order" in bot.said
    assert "quant reconcile --plan --name bot" in bot.said
    assert exchange.calls()[CANCEL] >= 1
    assert sum(exchange.calls().values()) - before < 60
    exchange.chaos()
    assert user.run("reconcile", "--apply").returncode == 6
    assert statuses(exchange) == ["CANCELED", "NEW"]


# What a process runs out of.


@plays.story
def test_p5_a_strategy_that_takes_all_memory_falls_over_and_its_quotes_are_withdrawn(
    exchange: SandboxBeside, user: Terminal
) -> None:
    bot = user.trade("--param", "hoards=true", "--param", "pause=300ms")
    bot.wait_for(accepted(bot, 2))
    size = int(Path(f"/proc/{bot.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(bot.pid, resource.RLIMIT_AS, (size + 150_000_000,) * 2)
    assert bot.left() == 1, bot.said
    assert "MemoryError" in bot.said
    assert statuses(exchange) == ["CANCELED", "NEW"]
    assert_nothing_is_lost(exchange, user)


@plays.story
def test_d15_without_room_for_what_it_says_it_trades_on_or_stops_in_good_order(
    exchange: SandboxBeside, user: Terminal
) -> None:
    """Remarks are left out; events that nobody can read any more end the run, and its quotes with it."""
    with open("/dev/full", "wb") as full:
        bot = user.start(*user.words("--for", "3s"), err=full)
        wait_until(lambda: len(bot.kinds()) >= 2, lambda: str(bot.told))
        assert bot.left() == 0
        assert statuses(exchange) == ["CANCELED", "NEW"]
        unread = user.start(*user.words(*AGAIN), out=full)
        assert unread.left() == 0, unread.said
        assert "stopped after" in unread.said
    assert statuses(exchange) == ["CANCELED", "CANCELED", "NEW"]
    assert_nothing_is_lost(exchange, user)
