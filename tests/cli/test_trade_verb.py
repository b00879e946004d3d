"""`quant trade --paper` as its users meet it: a program, its pipe, its signals, and its listings."""

import json
import signal
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]

MAKER = """
from quantcli import Strategy, keep

class Maker(Strategy):
    def desired(self, m):
        yield keep.bid("bid", "60 USDT", m.best_bid - m.tick, tolerance=1, cooldown="1ms")
        if m.position > 0:
            yield keep.ask("ask", "60 USDT", m.best_ask + m.tick, tolerance=1, cooldown="1ms")
"""
KEEPER = """
from quantcli import Strategy, keep

class Keeper(Strategy):
    bought = False

    def on_tick(self, tick):
        if not self.bought:
            self.bought = True
            self.buy("50 USDT", limit=tick.bid * 0.9)

    def desired(self, m):
        yield keep.bid("far", "50 USDT", m.best_bid * 0.95, tolerance=10_000)
"""
STUCK = (
    KEEPER
    + """
    def on_order(self, event):
        while event.kind.value == "accepted":
            pass
"""
)
FAILING = (
    KEEPER
    + """
    def on_order(self, event):
        if event.kind.value == "accepted" and "slot" in event.intent.metadata:
            raise ZeroDivisionError("too good")
"""
)
# Not before this is told has the program begun.
BEGUN = "accepted"


@pytest.fixture
def words(walk: Path, tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """The command line that runs a strategy on the recording."""
    (tmp_path / "quant.toml").write_text('[bot]\nname = "mm"\n')

    def make(source: str, *more: str, speed: float = 1e6) -> tuple[str, ...]:
        (tmp_path / "strategy.py").write_text(source)
        base = ("trade", "--paper", "--strategy", "strategy.py", "--from", str(walk))
        return *base, "--speed", f"{speed:g}", *more

    return make


def told(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def wait_for(process: subprocess.Popen[str], kind: str, times: int = 1) -> list[dict[str, Any]]:
    """What the program tells until so many events of a kind have come."""
    assert process.stdout is not None
    seen: list[dict[str, Any]] = []
    while times:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        seen.append(json.loads(line))
        times -= seen[-1].get("kind") == kind
    return seen


def items(quant: Run, *words: str) -> list[dict[str, Any]]:
    done = quant(*words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["items"]


def assert_books_agree(quant: Run) -> None:
    """Orders, fills and positions of the state database say the same, and nothing is left in doubt."""
    fills = items(quant, "fills", "--limit", "100000")
    orders = items(quant, "orders", "list", "--all")
    (position,) = items(quant, "positions")
    assert len({f["trade_id"] for f in fills}) == len(fills) > 0
    assert len({o["client_order_id"] for o in orders}) == len(orders)
    for order in orders:
        own = [Decimal(f["qty"]) for f in fills if f["intent_id"] == order["intent_id"]]
        assert Decimal(order["filled"]) == sum(own, Decimal(0)) <= Decimal(order["qty"])
    signed = [Decimal(f["qty"]) * (1 if f["side"] == "buy" else -1) for f in fills]
    assert Decimal(position["qty"]) == sum(signed, Decimal(0))
    assert Decimal(position["fees"]) == sum((Decimal(f["fee"]) for f in fills), Decimal(0))
    assert items(quant, "reconcile", "--check") == []


def test_what_it_tells_and_what_is_listed_agree(program: Run, quant: Run, words: Callable[..., Any]) -> None:
    done = program(*words(MAKER, "--for", "1s", speed=2000))
    assert done.returncode == 0, done.stderr
    events = told(done.stdout)
    filled = [e["fill"]["trade_id"] for e in events if e.get("kind") == "filled"]
    assert filled == [f["trade_id"] for f in reversed(items(quant, "fills", "--limit", "100000"))]
    assert_books_agree(quant)
    assert not [o for o in items(quant, "orders", "list", "--all") if o["phase"] in ("PENDING", "ACTIVE")]
    assert "stopped after" in done.stderr


def test_killed_at_any_moment_it_goes_on_and_the_books_agree(
    start: Start, quant: Run, words: Callable[..., Any]
) -> None:
    before: list[dict[str, Any]] = []
    for kind, times in (("submitted", 15), ("filled", 4)):
        process = start(*words(MAKER))
        before += wait_for(process, kind, times)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        before += told(process.stdout.read().rpartition("\n")[0])
    done = quant(*words(MAKER))
    assert done.returncode == 0, done.stderr
    events = before + told(done.stdout)
    times_ns = [e["at_ns"] for e in events]
    assert times_ns == sorted(times_ns), "time goes on"
    fills = [e["fill"]["trade_id"] for e in events if e.get("kind") == "filled"]
    assert len(fills) == len(set(fills)), "none is told twice"
    known = {f["trade_id"] for f in items(quant, "fills", "--limit", "100000")}
    assert set(fills) <= known, "what was told is durable"
    assert_books_agree(quant)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_in_good_order(
    number: int, start: Start, quant: Run, words: Callable[..., Any]
) -> None:
    process = start(*words(KEEPER, speed=20))
    wait_for(process, BEGUN, 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert [e.get("kind") for e in told(out)][-1:] == ["cancelled"]
    assert "1 order is still working: quant orders --name mm" in err
    (left,) = items(quant, "orders", "list")
    assert left["phase"] == "ACTIVE"


def test_a_second_interrupt_leaves_at_once_even_a_hook_that_never_returns(
    start: Start, quant: Run, words: Callable[..., Any]
) -> None:
    process = start(*words(STUCK, speed=20))
    wait_for(process, BEGUN)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert items(quant, "orders", "list"), "what was durable still is"


def test_an_error_in_the_strategy_names_its_line_and_withdraws_its_quotes(
    quant: Run, words: Callable[..., Any]
) -> None:
    done = quant(*words(FAILING))
    assert done.returncode == 1
    line = FAILING.splitlines().index('            raise ZeroDivisionError("too good")') + 1
    assert f"strategy.py:{line}" in done.stderr
    assert "1 order is still working" in done.stderr
    kinds = {o["slot"]: o["phase"] for o in items(quant, "orders", "list", "--all")}
    assert kinds["far"] == "CANCELED"


def test_it_stops_in_good_order_when_nobody_reads_any_more(
    start: Start, quant: Run, words: Callable[..., Any]
) -> None:
    process = start(*words(MAKER))
    wait_for(process, "filled", 1)
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert "stopped after" in err
    assert_books_agree(quant)


def test_a_halted_bot_says_so_and_places_nothing(quant: Run, words: Callable[..., Any]) -> None:
    quant(*words(KEEPER, "--for", "0s"))
    quant("halt", "--reason", "holiday")
    done = quant(*words(KEEPER))
    assert "halted: holiday" in done.stderr
    assert {e.get("check") for e in told(done.stdout)} == {"halt"}
    assert items(quant, "orders", "list", "--all") == []


def test_what_a_strategy_prints_is_narration(program: Run, words: Callable[..., Any]) -> None:
    said = program(*words(MAKER + "        print('a word of the author', m.symbol)\n", "--for", "1s"))
    assert said.returncode == 0, said.stderr
    assert all(json.loads(line)["topic"] for line in said.stdout.splitlines())
    assert "a word of the author" in said.stderr


def test_the_form_of_what_it_tells_can_be_chosen(program: Run, words: Callable[..., Any]) -> None:
    said = program(*words(MAKER, "--for", "1s", "-o", "table"))
    assert said.returncode == 0, said.stderr
    assert "submitted" in said.stdout
    assert "{" not in said.stdout


def test_a_strategy_that_leaves_python_is_an_error(program: Run, words: Callable[..., Any]) -> None:
    said = program(*words(MAKER + "        raise SystemExit(0)\n", "--for", "5s"))
    assert said.returncode == 1
    assert "SystemExit" in said.stderr
    assert "Traceback" not in said.stderr
