"""What goes to stdout and stderr, and in which form."""

import io
import json
from decimal import Decimal

import msgspec
import pytest

from quantcli.cli import output as subject
from quantcli.cli.output import Output, columns, document, emit, emit_line, envelope, explain, progress
from quantcli.errors import QuantError


class Holding(msgspec.Struct):
    asset: str
    qty: Decimal
    at_ns: int = 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_money_is_canonical_text_wherever_it_stands(capsys):
    found = envelope("HoldingList", [Holding("BTC", Decimal("1E+2")), Holding("X", Decimal("0.500"))], 0)
    emit(found | {"sums": {"USDT": Decimal("-0.00")}}, Output.JSON, str)
    said = json.loads(capsys.readouterr().out)
    assert [item["qty"] for item in said["items"]] == ["100", "0.5"]
    assert said["sums"] == {"USDT": "0"}


def test_a_list_comes_in_its_envelope():
    assert envelope("FillList", [], 1_763_630_042_118_204_000, stale=True) == {
        "api": "quant/v1",
        "kind": "FillList",
        "as_of": "2025-11-20T09:14:02.118Z",
        "stale": True,
        "items": [],
    }


def test_an_object_carries_its_kind_first():
    assert list(document("Holding", Holding("BTC", Decimal(1)))) == ["api", "kind", "asset", "qty", "at_ns"]


def test_people_get_what_the_verb_draws(capsys):
    emit({"n": 1}, Output.TABLE, lambda found: f"one and only {found['n']}")
    assert capsys.readouterr() == ("one and only 1\n", "")


def test_an_event_is_one_line(capsys):
    emit_line(Holding("BTC", Decimal("2.0"), 5))
    assert capsys.readouterr().out == '{"asset":"BTC","qty":"2","at_ns":5}\n'


def test_columns_line_up_without_boxes():
    text = columns(("ASSET", "QTY"), [("BTC", "1.5"), ("USDT", "1000")], right={"QTY"})
    assert text == "ASSET   QTY\nBTC     1.5\nUSDT   1000"


def test_a_pipe_gets_no_colour_and_a_terminal_does(monkeypatch, capsys):
    emit({}, Output.TABLE, lambda _: "! unknown")
    assert capsys.readouterr().out == "! unknown\n"
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    emit({}, Output.TABLE, lambda _: "! unknown")
    assert "\x1b[" in terminal.getvalue()
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "dumb")
    emit({}, Output.TABLE, lambda _: "! unknown")
    assert terminal.getvalue() == "! unknown\n"


def test_an_error_says_what_why_and_what_to_do():
    error = QuantError("it broke", why="two reasons:\nthis and that", todo="mend it")
    assert explain(error) == (
        "error QNT-900: it broke\n  why   two reasons:\n        this and that\n  do    mend it\n"
        "  docs  quant help QNT-900"
    )
    assert explain(QuantError("it broke")) == "error QNT-900: it broke\n  docs  quant help QNT-900"


@pytest.fixture
def seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(subject.time, "monotonic", lambda: now[0])
    return now


def test_progress_in_a_log_is_a_line_every_ten_seconds(seconds, capsys):
    with progress("reading", 5_000) as advance:
        for _ in range(5):
            seconds[0] += 4
            advance(1_000)
    assert capsys.readouterr() == ("", "reading: 3,000 of 5,000\n")


def test_progress_on_a_terminal_is_a_bar_that_comes_late_and_leaves(seconds, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with progress("reading", 100) as advance:
        advance(10)
        assert terminal.getvalue() == ""
        seconds[0] += 2
        advance(10)
        advance(80)
    assert "reading" in terminal.getvalue()
    assert capsys.readouterr().out == ""
