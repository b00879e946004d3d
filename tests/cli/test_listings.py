"""The listings on a real state database, through the entry point of the executable."""

import asyncio
import json
import re
import sqlite3
import subprocess
from contextlib import closing
from decimal import Decimal

import pytest

from quantcli.model.instrument import Side
from quantcli.model.order import ReconciliationStatus
from quantcli.store.api import JournalEntry
from quantcli.store.sqlite import SQLiteStore

HEAVY = {
    "aiohttp",
    "asyncio",
    "ccxt",
    "numpy",
    "pandas",
    "plotext",
    "pyarrow",
    "rich",
    "talipp",
    "textual",
    "websockets",
}
S = 1_000_000_000
T0 = 1_763_630_042 * S

ORDER_KEYS = {
    "intent_id",
    "client_order_id",
    "exchange_order_id",
    "symbol",
    "side",
    "phase",
    "status",
    "qty",
    "price",
    "filled",
    "condition",
}


@pytest.fixture
def listed(quant, project):
    """Runs `quant WORDS… -o json` and gives what it said."""

    def run(*words: str, code: int = 0) -> dict:
        said = quant(*words, "-o", "json")
        assert said.stderr == ""
        assert said.returncode == code
        return json.loads(said.stdout)

    return run


def test_open_orders_are_listed_with_the_promised_keys(listed):
    found = listed("orders")
    assert (found["api"], found["kind"], found["stale"]) == ("quant/v1", "OrderList", True)
    assert found["as_of"] == "2025-11-20T09:14:23.000Z"
    assert [item["intent_id"][-1] for item in found["items"]] == list("12345")
    assert all(set(item) >= ORDER_KEYS for item in found["items"])
    partial = found["items"][3]
    assert (partial["qty"], partial["price"], partial["filled"]) == ("0.04", "64200", "0.01")
    assert (partial["side"], partial["phase"], partial["status"]) == ("buy", "ACTIVE", "PARTIALLY_FILLED")
    assert partial["condition"] == "InSync"
    unknown = found["items"][4]
    assert (unknown["status"], unknown["condition"]) == ("UNKNOWN", "Uncertain")
    assert (unknown["price"], unknown["exchange_order_id"]) == (None, None)


def test_list_is_what_orders_means(listed):
    assert listed("orders") == listed("orders", "list")
    assert listed("orders", "--all") == listed("orders", "list", "--all")


def test_settled_ones_only_when_asked_for(listed):
    assert len(listed("orders")["items"]) == 5
    assert len(listed("orders", "--all")["items"]) == 6
    assert listed("orders", "--symbol", "ETH/USDT")["items"] == []


def test_people_see_want_beside_have_with_the_state_as_a_character(quant, project):
    first, *lines = quant("orders", "--all").stdout.splitlines()
    assert first == "STALE as of 2025-11-20T09:14:23.000Z, mm is not running"
    assert [line[0] for line in lines[1:7]] == ["=", "~", "+", "/", "!", "="]
    assert re.split(r"  +", lines[2])[2:] == [
        "sell 0.01 @ 64212.9",
        "sell 0.01 @ 64213.4",
        "px +0.5",
        "18s",
        "0002",
    ]
    assert lines[5].split()[-6:] == ["?", "outcome", "unknown", "asking", "15s", "0005"]
    assert lines[7].startswith("6 orders, 2 in sync, 1 differ, 1 missing, 1 partly filled, 1 unknown. mm")


@pytest.mark.parametrize("name", ["ab000000000000000004", "0004", "04"])
def test_an_order_is_shown_by_any_end_of_its_id_that_is_its_own(quant, project, name):
    said = quant("orders", "show", name).stdout
    assert said.startswith("/ BTC/USDT deep   intent ab000000000000000004   ACTIVE   generation 1, tried 1\n")
    assert "want     buy 0.04 @ 64200  LIMIT GTC\n" in said
    assert "have     buy 0.03 @ 64200; 0.01 of 0.04 filled\n" in said
    assert "because  strategy TouchMaker\n" in said
    assert said.splitlines()[4:] == [
        "tried    1: 09:14:06.001  buy 0.04 @ 64200  LIVE, PARTIALLY_FILLED, filled 0.01  as c0000041",
        "filled   09:14:13.000  0.01 @ 64200, maker, fee 0.1 USDT (trade 1)",
    ]


def test_what_is_shown_is_there_for_programs_too(listed):
    found = listed("orders", "show", "0006")
    assert (found["kind"], found["phase"], found["filled"]) == ("Order", "SATISFIED", "0.02")
    assert [(each["attempt"], each["status"]) for each in found["attempts"]] == [(1, "FILLED")]
    assert [each["fee_asset"] for each in found["fills"]] == ["BTC", "BNB"]
    assert found["metadata"] == {"strategy": "TouchMaker", "slot": "bid"}


def test_an_id_that_names_several_orders_lists_them(quant, project):
    said = quant("orders", "show", "ab0")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("error QNT-201: 'ab0' could be 5 orders\n  why   ab000000000000000001\n")


def test_an_id_that_names_none_is_not_found(quant, project):
    said = quant("orders", "why", "0007")
    assert (said.returncode, said.stdout) == (7, "")
    assert "quant orders --all --name mm" in said.stderr


@pytest.mark.parametrize(
    ("name", "means", "next_"),
    [
        ("0001", "working on the exchange", "nothing, unless something happens"),
        ("0002", "working on the exchange", "cancel: no longer wanted as it is"),
        ("0003", "nothing of it is on the exchange", "place: wanted, and nothing is working"),
        ("0005", "perhaps on the exchange, perhaps not: nobody has answered", "lookup: nobody knows"),
        ("0006", "settled: satisfied", "nothing, unless something happens"),
    ],
)
def test_why_says_the_state_and_what_comes_next(quant, project, name, means, next_):
    said = quant("orders", "why", name)
    assert said.returncode == 0
    assert f"is       {means}\n" in said.stdout
    assert f"next     {next_}" in said.stdout


def test_why_prints_everything_that_happened_to_the_order(quant, project, add_bot):
    happened = [JournalEntry(T0, "ab000000000000000001", 0, "wished", "buy 0.01 BTC/USDT limit at 64200")]
    happened += [JournalEntry(T0 + S, "ab000000000000000001", 1, "LIVE"), JournalEntry(T0, "", 0, "started")]
    add_bot("mm", happened)
    said = quant("orders", "why", "0001").stdout
    assert said.splitlines()[-3:] == [
        "journal  2025-11-20",
        "  09:14:02.000     wished       buy 0.01 BTC/USDT limit at 64200",
        "  09:14:03.000  1  LIVE",
    ]


def test_why_names_when_it_looks_again(listed):
    found = listed("orders", "why", "0001")
    assert (found["kind"], found["condition"], found["next"]) == ("OrderReason", "InSync", [])
    assert found["look_again_at_ns"] == 1_763_630_062_000_000_000 + 30_000_000_000


def test_fills_come_newest_first_and_no_more_than_asked(listed):
    assert [item["trade_id"] for item in listed("fills")["items"]] == ["3", "2", "1"]
    [newest] = listed("fills", "--limit", "1")["items"]
    assert (newest["side"], newest["qty"], newest["price"]) == ("buy", "0.005", "64199")


def test_positions_add_the_fills_up_with_their_fees(listed):
    [position] = listed("positions")["items"]
    # 0.01 + 0.015 + 0.005 bought, 0.000015 BTC of it paid as fee, worth 0.962985 USDT.
    assert (position["symbol"], position["side"], position["qty"]) == ("BTC/USDT", "long", "0.029985")
    assert (position["fees"], position["currency"]) == ("1.062985", "USDT")
    assert position["other_fees"] == {"BNB": "0.001"}


def test_a_plan_names_each_difference_and_leaves_with_6(quant, listed):
    found = listed("reconcile", "--plan", code=6)
    assert found["kind"] == "ReconcilePlan"
    assert [(item["action"], item["intent_id"][-1]) for item in found["items"]] == [
        ("cancel", "2"),
        ("place", "3"),
        ("lookup", "5"),
    ]
    assert all(set(item) == {"action", "symbol", "intent_id", "why"} for item in found["items"])
    assert listed("reconcile", "--check", code=6) == found
    said = quant("reconcile", "--plan")
    assert [line[:10].rstrip() for line in said.stdout.splitlines()[1:4]] == [
        "x cancel",
        "+ place",
        "! lookup",
    ]
    assert said.stdout.endswith("nothing was sent\n")
    assert quant("reconcile").stdout.startswith("5 open, 3 differ. mm is not running")


def test_where_nothing_differs_reconcile_leaves_with_0(quant, project, add_bot):
    add_bot("calm")
    said = quant("reconcile", "--check", "--name", "calm")
    assert (said.returncode, said.stdout.split(".")[0]) == (0, "0 open, nothing differs")


@pytest.mark.parametrize(("last_found", "code"), [("InSync", 0), ("Uncertain", 6)])
def test_an_order_long_unseen_differs_only_if_it_was_in_doubt(quant, add_quiet_bot, last_found, code):
    add_quiet_bot("quiet", ReconciliationStatus(last_found))
    assert quant("reconcile", "--check", "--name", "quiet").returncode == code


def test_an_open_order_without_a_wish_is_a_difference(quant, add_bot, stray):
    add_bot("odd", [stray])
    said = quant("reconcile", "--check", "-o", "json")
    assert said.returncode == 6
    [item] = json.loads(said.stdout)["items"]
    assert (item["action"], item["intent_id"]) == ("wait", stray.intent_id)
    assert "its wish is lost" in item["why"]


@pytest.mark.parametrize("verb", ["orders", "positions", "fills", "reconcile"])
def test_without_a_database_there_is_a_remedy(quant, verb):
    said = quant(verb)
    assert (said.returncode, said.stdout) == (7, "")
    assert "error QNT-202: no bot has run here yet\n" in said.stderr
    assert "quant trade --paper" in said.stderr


def test_of_several_bots_one_must_be_named(quant, project, add_bot):
    add_bot("other")
    said = quant("orders")
    assert said.returncode == 2
    assert "they are mm, other" in said.stderr
    assert quant("orders", "--name", "other").stdout.splitlines()[1:] == ["0 orders. other"]
    assert quant("orders", "--name", "third").returncode == 7


def test_a_file_that_is_no_database_is_refused(quant, project):
    (project / ".quant" / "mm.db").write_bytes(b"not a database, but long enough to be one" * 100)
    said = quant("orders")
    assert said.returncode == 1
    assert "is not a state database" in said.stderr


def test_the_project_is_found_from_below(quant, project):
    below = project / "a" / "b"
    below.mkdir(parents=True)
    assert quant("orders", cwd=below).stdout == quant("orders").stdout


def test_while_the_bot_runs_a_listing_is_not_stale(program, project):
    async def list_while_open() -> subprocess.CompletedProcess[str]:
        store = SQLiteStore(project / ".quant" / "mm.db")
        await store.open()
        try:
            return await asyncio.to_thread(program, "orders", "-o", "json")
        finally:
            await store.close()

    found = json.loads(asyncio.run(list_while_open()).stdout)
    assert found["stale"] is False
    assert found["as_of"][:4] >= "2026"
    assert len(found["items"]) == 5


def test_halt_outlives_the_command_and_resume_ends_it(quant, project):
    assert quant("halt", "--reason", "fat finger").stdout == "mm is halted: fat finger\n"
    assert (project / ".quant" / "mm.halt").exists()
    found = json.loads(quant("halt", "--reason", "again", "-o", "json").stdout)
    assert (found["kind"], found["level"], found["reason"]) == ("HaltState", "HALT_NEW", "fat finger")
    assert quant("resume").stdout == "mm may send orders\n"
    assert not (project / ".quant" / "mm.halt").exists()


def test_a_bot_that_does_not_exist_cannot_be_halted_by_mistake(quant, project):
    assert quant("halt", "--name", "mn", "--reason", "typo").returncode == 7


@pytest.mark.parametrize(
    "words",
    [
        ("orders", "-o", "json"),
        ("orders", "--help"),
        ("orders", "why", "0001"),
        ("positions",),
        ("fills", "-o", "csv"),
        ("events",),
        ("status",),
        ("ps",),
        ("reconcile", "--help"),
        ("export", "fills"),
        ("completion", "bash"),
        ("help", "QNT-101"),
        ("halt",),
        ("resume",),
    ],
)
def test_a_listing_imports_nothing_heavy(modules_after, project, words):
    assert modules_after(*words) & HEAVY == set()


def test_a_short_sale_is_a_short_position(quant, add_bot, sale):
    add_bot("bear", sale)
    [position] = json.loads(quant("positions", "-o", "json").stdout)["items"]
    assert (position["side"], position["qty"]) == ("short", "-0.5")
    assert sale[0].order.side is Side.SELL
    assert quant("positions").stdout.splitlines()[2].split()[1:3] == ["short", "0.5"]


def test_what_the_account_began_with_is_part_of_a_position(quant, project):
    before = json.loads(quant("positions", "-o", "json").stdout)["items"][0]["qty"]
    with closing(sqlite3.connect(project / ".quant" / "mm.db")) as database, database:
        database.execute("INSERT INTO meta VALUES ('live.balances', '100 USDT, 0.2 BTC')")
    after = json.loads(quant("positions", "-o", "json").stdout)["items"][0]["qty"]
    assert Decimal(after) - Decimal(before) == Decimal("0.2")
