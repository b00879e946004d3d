"""In which form a listing comes: for people, wide, and in the forms of programs; colour; watching."""

import csv
import io
import json
import signal

import pytest

from quantcli.cli.app import spelt_out

LISTINGS = [("orders",), ("positions",), ("fills",), ("events",), ("ps",), ("reconcile", "--plan")]


@pytest.fixture(autouse=True)
def journal(project, add_bot):
    from quantcli.store.api import JournalEntry

    add_bot("mm", [JournalEntry(1_763_630_042_000_000_000, "ab000000000000000001", 1, "placed", "as c1")])


@pytest.mark.parametrize("words", LISTINGS)
def test_every_form_of_a_listing_tells_the_same_items(quant, words):
    items = json.loads(quant(*words, "-o", "json").stdout)["items"]
    assert items
    assert json.loads(quant(*words, "--json").stdout)["items"] == items
    assert [json.loads(line) for line in quant(*words, "-o", "jsonl").stdout.splitlines()] == items
    rows = list(csv.DictReader(io.StringIO(quant(*words, "-o", "csv").stdout)))
    assert len(rows) == len(items)
    assert set(rows[0]) == set(items[0])
    names = quant(*words, "-o", "name").stdout.split()
    assert len(names) == len(items)
    for form in ("table", "wide"):
        assert "\x1b" not in quant(*words, "-o", form).stdout


def test_csv_has_its_header_though_there_is_nothing(quant, add_bot):
    add_bot("calm")
    assert quant("orders", "--name", "calm", "-o", "csv").stdout.startswith("intent_id,client_order_id,")
    assert quant("fills", "--name", "calm", "-o", "csv").stdout.startswith("trade_id,symbol,side,")


def test_money_in_csv_is_exact_and_parts_are_json(quant):
    rows = list(csv.DictReader(io.StringIO(quant("positions", "-o", "csv").stdout)))
    assert (rows[0]["qty"], rows[0]["other_fees"]) == ("0.029985", '{"BNB":"0.001"}')


def test_wide_shows_more_columns(quant):
    assert "EXCHANGE ID" in quant("orders", "-o", "wide").stdout
    assert "TRADE" in quant("fills", "-o", "wide").stdout
    assert "DRIFT" in quant("positions", "-o", "wide").stdout


def test_one_document_has_the_forms_too(quant):
    line = json.loads(quant("orders", "show", "0004", "-o", "jsonl").stdout)
    assert line["intent_id"].endswith("0004")
    assert quant("orders", "show", "0004", "-o", "name").stdout == "ab000000000000000004\n"
    assert quant("version", "-o", "name").returncode == 2


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (["orders", "--json"], ["orders", "-o", "json"]),
        (["orders", "-w"], ["orders", "-w", "1"]),
        (["orders", "-w", "--all"], ["orders", "-w", "1", "--all"]),
        (["orders", "--watch", "0.5"], ["orders", "--watch", "0.5"]),
        (["orders", "--color", "never"], ["--color", "never", "orders"]),
        (["orders", "--color=always", "--debug"], ["--color=always", "--debug", "orders"]),
        (["simulate", "--", "--json"], ["simulate", "--", "--json"]),
    ],
)
def test_short_ways_to_say_it(said, means):
    assert spelt_out(said) == means


def test_stale_state_says_so_and_can_be_refused(quant):
    for words in (("orders",), ("positions",), ("fills",), ("events",), ("status",)):
        said = quant(*words)
        assert said.stdout.startswith("STALE as of 20"), words
        assert "mm is not running\n" in said.stdout
        said = quant(*words, "--require-live")
        assert (said.returncode, said.stdout) == (3, "")
        assert said.stderr.startswith("error QNT-802: mm is not running\n")


def test_a_terminal_has_colour_unless_told_otherwise(terminal):
    def drawn(*words: str, **env: str) -> bool:
        program = terminal("orders", *words, **env)
        assert program.wait() == 0
        assert "= BTC/USDT" in program.text.replace("\x1b[32m", "").replace("\x1b[0m", "")
        return "\x1b[32m=" in program.text

    assert drawn()
    assert not drawn("--color", "never")
    assert not drawn(NO_COLOR="1")
    assert not drawn(TERM="dumb")
    assert drawn("--color=always", NO_COLOR="1")


def test_a_pipe_has_colour_when_told(quant, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m=\x1b[0m BTC/USDT" in quant("orders").stdout
    monkeypatch.setenv("FORCE_COLOR", "0")
    assert "\x1b" not in quant("orders").stdout


def test_on_a_terminal_a_watched_listing_is_drawn_over_itself(terminal):
    program = terminal("orders", "-w", "0.1")
    program.until("\x1b[J")
    seen = len(program.text)
    program.until("\x1b[J", 20)
    program.text = program.text[seen:]
    program.until("\x1b[J")
    assert program.text.startswith("\x1b[H")
    assert "\x1b[2J" not in program.text
    assert max(len(line) for line in program.text.split("\n")) < 140
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0


def test_what_an_exchange_says_cannot_steer_a_terminal_through_any_form(quant, add_bot):
    from tests.cli.conftest import attempt, intent, order

    wish = intent(1, order(), "bid", reason="\x1b]0;owned\x07")
    add_bot("evil", [wish, attempt(wish)])
    for form in ("table", "wide", "json", "jsonl", "csv", "name"):
        assert "\x1b" not in quant("orders", "--name", "evil", "-o", form).stdout
