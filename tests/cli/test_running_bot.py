"""The verbs while the bot runs: what they show is its own word, and what they change is done by it."""

import json
import os
import re
import signal
import time

import msgspec
import pytest

from quantcli.runtime.control import wire
from tests.cli.fake_bot import EVENTS, NOW, S, order


def test_a_listing_is_the_bots_own_word_and_not_stale(quant, bot):
    found = json.loads(quant("orders", "-o", "json").stdout)
    assert (found["stale"], found["as_of"]) == (False, "2025-11-20T09:14:02.000Z")
    assert [item["exchange_order_id"] for item in found["items"]] == ["881", "882", "9001"]
    first, *rows, last = quant("orders").stdout.splitlines()
    assert first.split() == ["SYMBOL", "SLOT", "WANT", "HAVE", "DRIFT", "AGE", "ID"]
    assert re.split("  +", rows[1]) == [
        "~ BTC/USDT",
        "ask",
        "sell 0.01 @ 64210.1",
        "sell 0.01 @ 64213.4",
        "px +0.5",
        "42s",
        "0002",
    ]
    assert re.split("  +", rows[2])[2:] == ["-", "buy 0.01 @ 64210.1", "orphan", "42s", "9001"]
    assert last == "3 orders, 1 in sync, 1 differ, 1 not wanted. mm binance PAPER, swept 2.0s ago"


def test_settled_orders_come_from_where_all_of_them_are(quant, bot):
    found = json.loads(quant("orders", "--all", "-o", "json").stdout)
    assert {"ab000000000000000006", "ab000000000000000003"} <= {i["intent_id"] for i in found["items"]}
    assert found["stale"] is False


def test_positions_are_valued_and_the_wallet_is_shown(quant, bot):
    found = json.loads(quant("positions", "-o", "json").stdout)
    assert (found["items"][0]["mark"], found["items"][0]["unrealised"]) == ("64211.5", "3.315")
    assert found["wallet"][0]["asset"] == "USDT"
    assert "WALLET" in quant("positions").stdout
    shown = json.loads(quant("positions", "show", "btcusdt", "-o", "json").stdout)
    assert (shown["kind"], shown["symbol"], len(shown["fills"])) == ("Position", "BTC/USDT", 1)


def test_fills_and_one_order_come_over_the_socket(quant, bot):
    assert json.loads(quant("fills", "--json").stdout)["items"][0]["trade_id"] == "77"
    said = quant("orders", "why", "0002").stdout
    assert "next     cancel: no longer wanted as it is\n" in said
    assert "is       working on the exchange\n" in said


def test_events_are_filtered_by_level_and_time(quant, bot):
    assert quant("events", "-o", "name").stdout.split() == ["1", "2"]
    assert quant("events", "--level", "warn", "-o", "name").stdout == "2\n"
    assert quant("events", "--since", "2025-11-20T09:13:55Z", "-o", "name").stdout == "2\n"
    assert "    why     silence\n    do      wait" in quant("events", "-o", "wide").stdout
    assert quant("events", "--level", "loud").returncode == 2


def test_events_are_followed_until_the_bot_stops(start, bot):
    follower = start("events", "-f", "-o", "jsonl")
    numbers = [json.loads(follower.stdout.readline())["number"] for _ in EVENTS]
    bot.events.append(wire.EventItem(3, NOW, "info", "placed", "BTC/USDT", "a new one"))
    numbers.append(json.loads(follower.stdout.readline())["number"])
    assert numbers == [1, 2, 3]
    bot.leave()
    _, told = follower.communicate(timeout=20)
    assert (follower.returncode, told) == (0, "mm has stopped\n")


def test_status_tells_every_figure_and_the_next_step(quant, bot):
    found = json.loads(quant("status", "mm", "-o", "json").stdout)
    assert (found["kind"], found["stale"], found["state"]) == ("Status", False, "trading")
    assert set(wire.Status.__struct_fields__) <= set(found)
    assert found["next"].startswith("quant trade --live --endpoint")
    said = quant("status").stdout
    assert "equity 10,012.31 USDT (+12.31 since the bot began)" in said
    assert "lag 0.0 ms, 0 pending, 0 errors, 0 retries" in said
    bot.status = msgspec.structs.replace(bot.status, findings=("1 BTC more there",))
    assert json.loads(quant("status", "--json").stdout)["next"].startswith("quant reconcile --plan --name mm")
    assert "found      1 BTC more there" in quant("status", "-o", "wide").stdout


def test_a_strategy_that_hangs_is_told_of(quant, bot):
    bot.status = msgspec.structs.replace(bot.status, state="stuck", why="at touch.py:7")
    said = quant("orders", "-o", "json")
    assert (said.returncode, said.stderr) == (0, "mm is stuck: at touch.py:7\n")
    assert "quant logs" in json.loads(quant("status", "--json").stdout)["next"]


def test_ps_lists_bots_of_every_project_and_those_that_sleep(quant, bot, add_bot, tmp_path_factory):
    add_bot("idle")
    found = json.loads(quant("ps", "--json").stdout)
    assert [(item["name"], item["state"]) for item in found["items"]] == [
        ("mm", "trading"),
        ("idle", "stopped"),
    ]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert quant("ps", "-o", "name", cwd=elsewhere).stdout == "mm\n"
    assert quant("orders", "--name", "mm", cwd=elsewhere).returncode == 0


def test_cancelling_needs_consent_and_is_done_by_the_bot(quant, bot):
    said = quant("orders", "cancel", "0001")
    assert (said.returncode, bot.words) == (8, [])
    assert said.stderr.startswith(
        "cancel BTC/USDT bid buy 0.01 @ 64210.1 (ab000000000000000001)\nerror QNT-801"
    )
    assert "--yes" in said.stderr
    assert quant("orders", "cancel", "0001", "--dry-run").returncode == 0
    assert bot.words == []
    assert quant("orders", "cancel", "0001", "9001", "--yes").stdout == "cancel is done\ncancel is done\n"
    assert bot.words == [("cancel", {"order": "ab000000000000000001"}), ("cancel", {"order": "9001"})]
    assert quant("orders", "cancel", "0007", "--yes").returncode == 7


def test_a_stranger_is_adopted_and_only_a_stranger(quant, bot):
    assert quant("orders", "adopt", "9001", "--slot", "ask", "--yes").returncode == 0
    assert bot.words == [("adopt", {"order": "9001", "slot": "ask"})]
    assert quant("orders", "adopt", "0001", "--yes").returncode == 7


def test_all_slots_of_a_market_are_meant_by_its_name(quant, bot):
    said = quant("orders", "pause", "btcusdt", "--yes")
    assert (said.returncode, bot.words) == (0, [("pause", {"symbol": "BTC/USDT", "slot": ""})])
    assert said.stderr.count("cancel BTC/USDT") == 2


def test_what_is_settled_cannot_be_cancelled(quant, bot):
    said = quant("orders", "cancel", "0006", "--yes")
    assert (said.returncode, bot.words) == (2, [])
    assert "is settled already\n  why   satisfied, filled\n" in said.stderr


@pytest.mark.parametrize("slot", ["bid", "BTC/USDT/bid", "btcusdt/bid"])
def test_a_slot_is_named_alone_or_with_its_market(quant, bot, slot):
    assert quant("orders", "pause", slot, "--yes").returncode == 0
    assert quant("orders", "resume", slot, "--yes").returncode == 0
    assert bot.words == [(verb, {"symbol": "BTC/USDT", "slot": "bid"}) for verb in ("pause", "unpause")]


def test_a_slot_of_two_markets_has_to_be_named_with_one(quant, bot):
    bot.orders.append(order(4, "bid", symbol="ETH/USDT"))
    said = quant("orders", "pause", "bid", "--yes")
    assert (said.returncode, bot.words) == (2, [])
    assert "BTC/USDT, ETH/USDT" in said.stderr


def test_flattening_says_first_what_it_costs(quant, bot):
    said = quant("positions", "flatten", "btcusdt", "--dry-run")
    assert (
        "cancel 2 orders of BTC/USDT, and pause its slots until `quant orders resume`\n"
        "sell 0.03 at the market, about 1,926.34 USDT\n" in said.stderr
    )
    assert quant("positions", "flatten", "BTC/USDT").returncode == 8
    assert quant("positions", "flatten", "BTC/USDT", "-y").returncode == 0
    assert bot.words == [("flatten", {"symbol": "BTC/USDT"})]
    assert quant("positions", "flatten", "ETH/USDT", "-y").returncode == 7


def test_other_words_reach_the_bot(quant, bot):
    assert quant("trust", "--yes").returncode == 0
    assert quant("positions", "accept", "BTC/USDT", "--reason", "bought by hand", "--yes").returncode == 0
    assert quant("orders", "declare-dead", "0001", "--yes").returncode == 0
    assert [verb for verb, _ in bot.words] == ["trust", "accept_drift", "declare_dead"]
    assert bot.words[2][1] == {"order": "c1", "reason": "by hand"}


def test_what_a_bot_refuses_keeps_its_code_and_help(quant, bot):
    bot.refuses = wire.Refusal("no such order", "it is gone", "quant orders", "QNT-202", 7)
    said = quant("orders", "cancel", "0001", "--yes")
    assert said.returncode == 7
    assert said.stderr.endswith(
        "error QNT-202: no such order\n  why   it is gone\n  do    quant orders\n  docs  quant help QNT-202\n"
    )


def test_halting_asks_nothing_and_is_durable(quant, bot, project):
    assert quant("halt").returncode == 0
    assert bot.words == [("halt", {"level": "HALT_NEW", "reason": "by hand"})]
    assert (project / ".quant" / "mm.halt").exists()
    assert quant("halt", "mm", "--cancel", "--reason", "news").returncode == 0
    assert quant("resume").stdout == "mm may send orders\n"
    assert [verb for verb, _ in bot.words] == ["halt", "halt", "resume"]


def test_halting_works_though_the_bot_refuses(quant, bot, project):
    bot.refuses = wire.Refusal("a fault of the bot's own")
    said = quant("halt", "--json")
    assert (said.returncode, json.loads(said.stdout)["level"]) == (0, "HALT_NEW")
    assert "the flag is written" in said.stderr


def test_flattening_everything_asks(quant, bot, project):
    said = quant("halt", "--flatten")
    assert (said.returncode, bot.words) == (8, [])
    assert "sell 0.03 BTC/USDT at the market" in said.stderr
    assert not (project / ".quant" / "mm.halt").exists()
    said = quant("halt", "--cancel", "--dry-run")
    assert (said.returncode, bot.words) == (0, [])
    assert "cancel 2 of 2 orders\nnothing was done\n" in said.stderr
    assert quant("halt", "--flatten", "--yes").returncode == 0
    assert bot.words[0][1]["level"] == "FLATTEN"


def test_stopping_waits_until_the_bot_is_gone_and_says_what_is_left(quant, bot):
    bot.status = msgspec.structs.replace(bot.status, pid=0)
    bot.on_stop = lambda: (time.sleep(0.3), bot.leave())
    said = quant("stop", "--json")
    assert bot.words == [("stop", {})]
    found = json.loads(said.stdout)
    assert (found["kind"], found["bot"], len(found["left"])) == ("Stopped", "mm", 5)
    assert found["positions"][0]["symbol"] == "BTC/USDT"
    # One of those left is in doubt: nobody has confirmed what became of it.
    assert said.returncode == 5
    assert "has not confirmed 1 of 5 orders" in said.stderr


def test_a_bot_that_does_not_stop_in_time_is_not_confirmed(quant, bot):
    said = quant("stop", "mm", "--timeout", "0.2")
    assert (said.returncode, said.stdout) == (5, "")
    assert "has not stopped in 0.2 s" in said.stderr


def test_a_running_bot_reconciles_by_itself_and_what_is_left_is_told(quant, bot, monkeypatch):
    monkeypatch.setattr("quantcli.cli.reconcile._SETTLE_S", 0.0)
    said = quant("reconcile", "--plan", "--json")
    assert (said.returncode, bot.words) == (6, [("reconcile", {})])
    assert [(i["action"], i["intent_id"][-1:]) for i in json.loads(said.stdout)["items"]] == [
        ("replace", "2"),
        ("adopt", ""),
    ]
    bot.orders = bot.orders[:1]
    said = quant("reconcile", "mm", "--check")
    assert (said.returncode, said.stdout) == (0, "1 open, nothing differs. mm binance PAPER\n")


def test_a_watched_listing_in_a_pipe_is_a_line_for_each_change(start, bot):
    watcher = start("orders", "-w", "0.1", "--json")
    first = json.loads(watcher.stdout.readline())
    bot.orders.pop()
    second = json.loads(watcher.stdout.readline())
    assert [len(document["items"]) for document in (first, second)] == [3, 2]
    watcher.send_signal(signal.SIGINT)
    rest, told = watcher.communicate(timeout=20)
    assert (watcher.returncode, rest, told) == (0, "", "")


def test_a_socket_that_a_crash_left_is_no_bot(quant, project, runtime_folder):
    (runtime_folder / "quantcli").mkdir(mode=0o700)
    import socket

    from quantcli.places import Project, socket_path

    left = socket.socket(socket.AF_UNIX)
    left.bind(os.fspath(socket_path(Project(project), "mm", os.environ)))
    left.close()
    assert json.loads(quant("orders", "--json").stdout)["stale"] is True
    assert [item["state"] for item in json.loads(quant("ps", "--json").stdout)["items"]] == ["stopped"]
    assert quant("halt").returncode == 0
    assert quant("stop").returncode == 3


def test_time_is_the_bots_own(quant, bot):
    bot.status = msgspec.structs.replace(bot.status, now_ns=NOW + 60 * S)
    assert "102s" in quant("orders").stdout
