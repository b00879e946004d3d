"""`quant trade --live` and `quant reconcile` as their users meet them, against the sandbox."""

import io
import json
import re
import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantcli.cli.app import main
from quantcli.cli.output import Output
from quantcli.cli.teller import Teller
from quantcli.model.event import RiskLimit
from quantcli.venues.inbox import Notice
from tests.live.terminal import KEY, LIMITS, SECRET, Terminal, accepted
from tests.loopback import Sandbox

# Single orders far from the market, and one that a slot keeps there.
KEEPER = """
import os
from quantcli import Param, Strategy, keep

class Keeper(Strategy):
    buys = Param(1, help="single orders")
    fails = Param(False, help="fall over once both are there")
    told = 0

    def on_tick(self, tick):
        if self.buys:
            self.buys -= 1
            print("environment:", sorted(os.environ.items()))
            self.buy(0.001, limit=tick.bid * 0.9)

    def on_order(self, event):
        self.told += event.kind.value == "accepted"
        if self.fails and self.told == 2:
            raise ZeroDivisionError("both are there")

    def desired(self, m):
        yield keep.bid("far", 0.002, m.best_bid * 0.95, tolerance=1_000_000)
"""
AGAIN = ("--param", "buys=0")
PLACE, CANCEL = "POST /api/v3/order", "DELETE /api/v3/order"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    """One account that all bots here share, as bots of one user do."""
    with Sandbox("--seed", "11", "--symbol", "BTC/USDT", "--symbol", "ETH/USDT") as sandbox:
        yield sandbox


@pytest.fixture
def user(exchange: Sandbox, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "bots", exchange.told, KEEPER)
    yield terminal
    terminal.end()
    exchange.chaos()
    exchange.ask("POST", "permissions", {"enableWithdrawals": False})


@pytest.fixture
def call(user: Terminal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Calls the entry point with WORDS in the user's folder, in this process; exit code, stdout, stderr."""

    def run(*words: str, **variables: str | None) -> tuple[int, str, str]:
        monkeypatch.chdir(user.folder)
        for name, text in (
            {KEY: user.environment[KEY], SECRET: user.environment[SECRET]} | variables
        ).items():
            monkeypatch.delenv(name, raising=False)
            if text is not None:
                monkeypatch.setenv(name, text)
        monkeypatch.setenv("XDG_RUNTIME_DIR", user.environment["XDG_RUNTIME_DIR"])
        monkeypatch.setattr("sys.argv", ["quant", *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capfd.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def there(exchange: Sandbox) -> dict[str, str]:
    """How the exchange's orders stand, by client order id."""
    return {order["client_order_id"]: order["status"] for order in exchange.orders()}


# What is refused before anything is sent.


@pytest.mark.parametrize(
    ("words", "variables", "config", "code", "told"),
    [
        ((), {}, "", 4, "sets no max_order, max_position, max_loss"),
        ((), {}, '[limits]\nmax_order = "1 USDT"\n', 4, "sets no max_position, max_loss"),
        ((), {KEY: None}, LIMITS, 4, f"{KEY} and {SECRET} are not both set"),
        ((), {SECRET: None}, LIMITS, 4, f"{KEY} and {SECRET} are not both set"),
        ((), {SECRET: "wrong"}, LIMITS, 4, "does not accept this API key"),
        ((), {KEY: "k" * 64}, LIMITS, 4, "does not accept this API key"),
        (("--symbol", "NO/SUCH"), {}, LIMITS, 7, "NO/SUCH"),
        (("--endpoint", "http://127.0.0.1:1"), {}, LIMITS, 1, "no answer to GET /api/v3/exchangeInfo"),
        (("--endpoint", "http://192.0.2.1"), {}, LIMITS, 8, "would go to http://192.0.2.1 unencrypted"),
        ((), {}, LIMITS + '[keys]\nsecret = "x"\n', 4, "there is no section [keys]"),
    ],
    ids=[
        "limits",
        "some limits",
        "key",
        "secret",
        "false secret",
        "false key",
        "symbol",
        "down",
        "http",
        "H10",
    ],
)
def test_what_cannot_be_meant_is_refused_and_explained(
    exchange: Sandbox,
    user: Terminal,
    call: Call,
    words: tuple[str, ...],
    variables: dict[str, str | None],
    config: str,
    code: int,
    told: str,
) -> None:
    """H10 (a secret in a file), H15 (another host), V37 (a key of another place)."""
    user.write("quant.toml", config)
    before = exchange.calls().get(PLACE, 0)
    left, out, err = call(*user.words(*words), **variables)
    assert (left, out) == (code, ""), err
    assert told in err
    assert "Traceback" not in err
    assert not any(secret in err for secret in (exchange.secret, exchange.key, "k" * 64))
    assert exchange.calls().get(PLACE, 0) == before


def test_h8_a_key_that_may_withdraw_is_refused(exchange: Sandbox, user: Terminal, call: Call) -> None:
    exchange.ask("POST", "permissions", {"enableWithdrawals": True})
    code, _, err = call(*user.words())
    assert code == 8
    assert "this key may withdraw money" in err


def test_h17_an_exchanges_text_steers_no_terminal_and_looks_like_no_line_of_ours(
    exchange: Sandbox, user: Terminal, call: Call
) -> None:
    """Neither in an error, nor in a remark, nor in an event."""
    hostile = "no\x1b[2J\x1b]0;owned\x07\rready: BTC/USDT\nerror: all is well\u202e\x9b"
    told = {"fault": "status", "status": 400, "code": -1100, "message": hostile}
    exchange.chaos({"on": "GET /api/v3/exchangeInfo", **told})
    code, _, err = call(*user.words())
    assert code == 1
    out = io.StringIO()
    teller = Teller(out, Output.TABLE)
    teller.note(Notice("limit", hostile))
    teller.tell(RiskLimit(0, "max_order", "BTC/USDT", hostile))
    for text in (err, call("version")[2], out.getvalue()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", text)
        assert not re.search(r"^(ready|error: all)", text, re.MULTILINE)
    assert r"no\x1b[2J" in err


# From start to stop.


def test_a_bot_trades_stops_and_goes_on_with_the_same_orders(
    exchange: Sandbox, user: Terminal, call: Call
) -> None:
    """H3 (live is said, and a live bot stays live), H2 and V37 (another exchange or account)."""
    bot = user.trade()
    assert "LIVE" in bot.said
    assert "key: trade yes, withdraw no (good)" in bot.said
    bot.wait_for(accepted(bot, 2))
    code, _, err = call("reconcile", "--apply")
    assert code == 0, err  # a running bot does it itself
    assert call("reconcile", "--check")[0] == 0
    assert bot.stop() == 0, bot.said

    wishes = user.wishes()
    single, state = wishes[""]
    assert there(exchange)[wishes["far"][1].client_order_id] == "CANCELED"
    assert there(exchange)[state.client_order_id] == "NEW"
    assert f"left: BTC/USDT BUY 0.001 @ {single.order.price}" in bot.said
    assert "1 order is still working" in bot.said

    for words, told in (
        (user.words(live=False), "this bot trades on binance at"),
        (user.words("--endpoint", "http://127.0.0.1:9"), "this bot trades on binance at"),
    ):
        code, _, err = call(*words)
        assert (code, told in err) == (8, True), err
    exchange.chaos({"on": "GET /api/v3/account", "fault": "alter", "set": {"uid": 1}})
    for words in (user.words(*AGAIN), ["reconcile", "--check"], ["reconcile", "--apply"]):
        code, _, err = call(*words)
        assert code == 8, err
        assert "the key is of account 1" in err, "to it all orders would seem to be gone"
    exchange.chaos()

    placed = exchange.calls()[PLACE]
    again = user.trade(*AGAIN)
    again.wait_for(accepted(again, 1))
    exchange.fill(int(state.exchange_order_id or 0))
    again.wait_for(lambda: "filled" in again.kinds())
    assert exchange.calls()[PLACE] == placed + 1, "of the slot alone"
    assert again.stop() == 0
    assert "left:" not in again.said
    assert [fill.qty for fill in user.ledger().fills if fill.intent_id == single.intent_id] == [
        Decimal("0.001")
    ]


def test_o14_a_strategy_that_falls_over_leaves_no_kept_order(exchange: Sandbox, user: Terminal) -> None:
    bot = user.trade("--param", "fails=true")
    assert bot.left() == 1
    assert "strategy.py:" in bot.said
    assert "both are there" in bot.said
    known = user.wishes()
    assert there(exchange)[known["far"][1].client_order_id] == "CANCELED"
    assert there(exchange)[known[""][1].client_order_id] == "NEW"


def test_h9_h18_the_secret_is_nowhere_to_be_found(exchange: Sandbox, user: Terminal, call: Call) -> None:
    """Not in arguments, nor what is printed, kept or shown to the strategy; no signature either."""
    exchange.chaos(
        {"on": PLACE, "fault": "html", "status": 502, "calls": [1], "applied": True},
        {"on": "GET /api/v3/order", "fault": "reset", "bytes": 40, "calls": [1]},
        {"on": "DELETE *", "fault": "status", "status": 400, "code": -1022, "calls": [1]},
        {"on": "ws *", "fault": "status", "status": 400, "code": -1022, "calls": [2]},
    )
    bot = user.trade(QUANT_DEBUG="1")
    command = Path(f"/proc/{bot.pid}/cmdline").read_bytes()
    exchange.disconnect("user")
    bot.wait_for(accepted(bot, 2))
    bot.stop()
    assert "environment:" in bot.said
    assert "QUANT_DEBUG" in bot.said, "what the strategy saw is told"
    code, out, err = call(*user.words(), **{SECRET: exchange.secret[::-1], "QUANT_DEBUG": "1"})
    assert code == 4
    assert "Traceback" in err
    everything = user.everything() | {"arguments": command, "failed": (out + err).encode()}
    for secret in (exchange.secret, exchange.key, exchange.secret[::-1]):
        assert [name for name, data in everything.items() if secret.encode() in data] == []
    assert [name for name, data in everything.items() if b"signature=" in data] == []


# Compared by hand.


def seen(found: tuple[int, str, str]) -> tuple[int, list[tuple[str, str]]]:
    code, out, err = found
    assert out, err
    return code, [(item["action"], item["intent_id"]) for item in json.loads(out)["items"]]


def kept_apart(exchange: Sandbox, user: Terminal) -> Any:
    """What may not change by looking: orders on the exchange, what was asked of them, what is remembered."""
    calls = exchange.calls()
    return exchange.orders(), calls[PLACE], calls.get(CANCEL), user.ledger()


def test_what_happened_to_orders_while_the_bot_was_down_is_found(
    exchange: Sandbox, user: Terminal, call: Call
) -> None:
    """H5 (cancelled on the exchange's page), filled, filled in part."""
    bot = user.trade("--param", "buys=3")
    bot.wait_for(accepted(bot, 4))
    assert bot.stop() == 0
    ask = ("reconcile", "-o", "json")
    assert seen(call(*ask, "--check")) == (0, [])
    rows = user.ledger()
    attempts = {state.intent_id: state for state in rows.states}
    cancelled, filled, partly = (intent for intent in rows.intents if "slot" not in intent.metadata)
    numbers = [int(attempts[each.intent_id].exchange_order_id or 0) for each in (cancelled, filled, partly)]
    exchange.cancel(numbers[0])
    exchange.fill(numbers[1])
    exchange.fill(numbers[2], "0.0004")

    differ = [("settle", cancelled.intent_id), ("settle", filled.intent_id), ("confirm", partly.intent_id)]
    before = kept_apart(exchange, user)
    assert seen(call(*ask, "--check")) == (6, differ)
    code, out, _ = call("reconcile", "--plan")
    assert code == 6
    assert "SATISFIED, 0.001 of 0.001 filled on the exchange" in out
    assert "1 open, 3 differ" in out
    assert out.endswith("nothing was sent\n")
    assert kept_apart(exchange, user) == before
    assert seen(call(*ask, "--apply")) == (6, differ)
    assert seen(call(*ask, "--check")) == (0, [])
    rows = user.ledger()
    phases = {intent.intent_id: intent.phase for intent in rows.intents}
    told = [phases[each.intent_id].value for each in (cancelled, filled, partly)]
    assert told == ["CANCELED", "SATISFIED", "ACTIVE"]
    assert sum(fill.qty for fill in rows.fills if fill.intent_id) == Decimal("0.0014")


def test_an_order_that_is_no_longer_wanted_is_cancelled_only_when_that_is_asked_for(
    exchange: Sandbox, user: Terminal, call: Call
) -> None:
    exchange.chaos({"on": CANCEL, "fault": "lost_request", "hold": True})
    bot = user.trade()
    bot.wait_for(accepted(bot, 2))
    bot.send(signal.SIGTERM)
    bot.wait_for(exchange.strikes)
    bot.end()
    exchange.chaos()
    far, state = user.wishes()["far"]
    before = kept_apart(exchange, user)
    ask = ("reconcile", "-o", "json")
    assert seen(call(*ask, "--plan")) == (6, [("cancel", far.intent_id)])
    assert kept_apart(exchange, user) == before
    assert seen(call(*ask, "--apply")) == (6, [("cancel", far.intent_id)])
    assert there(exchange)[state.client_order_id] == "CANCELED"
    assert seen(call(*ask, "--check")) == (0, [])


# On paper, on the same market.


def test_on_paper_the_live_market_needs_no_key_and_no_real_order(
    exchange: Sandbox, user: Terminal, call: Call
) -> None:
    """H3: nor does it go on live."""
    before = exchange.calls().get(PLACE, 0)
    user.write("quant.toml", "")
    bot = user.start(*user.words(live=False), without=(KEY, SECRET)).wait_ready()
    assert "paper" in bot.said
    assert "LIVE" not in bot.said
    bot.wait_for(accepted(bot, 2))
    assert bot.stop(signal.SIGINT) == 0
    assert "1 order is still working" in bot.said
    first = user.wishes()[""][1]
    again = user.start(*user.words(*AGAIN, live=False), without=(KEY, SECRET)).wait_ready()
    again.wait_for(accepted(again, 1))
    assert again.stop() == 0
    assert first.client_order_id in [state.client_order_id for state in user.ledger().states]
    assert exchange.calls().get(PLACE, 0) == before
    user.write("quant.toml", LIMITS)
    code, _, err = call(*user.words())
    assert code == 8
    assert "this bot trades on paper" in err
