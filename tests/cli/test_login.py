"""`quant login` and `quant logout`: a key is tried, kept where only its owner finds it, and removed."""

import io
import json
import os
import pty
import subprocess
import sys
import time

import pytest

from tests.loopback import Sandbox

MAIN = "import sys; from quantcli.cli.app import main; sys.argv[0] = 'quant'; main()"
KEY, HUSH = "0123456789abcdef", "hush-hush-hush"


@pytest.fixture(scope="module")
def exchange():
    with Sandbox("--seed", "6", "--symbol", "BTC/USDT") as sandbox:
        yield sandbox


@pytest.fixture
def login(quant, monkeypatch, tmp_path):
    """Calls `quant login WORDS`, with `typed` on stdin."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*words, typed=f"{KEY}\n{HUSH}\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return quant("login", *words)

    return run


def kept(tmp_path):
    path = tmp_path / "config" / "quantcli" / "credentials.toml"
    return path.read_text() if path.exists() else ""


def test_a_key_is_kept_shown_by_its_end_and_removed(login, quant, tmp_path):
    done = login("binance", "--no-check")
    assert done.returncode == 0, done.stderr
    assert "the key for binance is kept in" in done.stdout
    assert HUSH in kept(tmp_path)
    listed = login("--list")
    assert "binance   …cdef" in listed.stdout
    (item,) = json.loads(login("--list", "-o", "json").stdout)["items"]
    assert (item["exchange"], item["key"], item["problem"]) == ("binance", "…cdef", "")
    gone = quant("logout", "binance")
    assert gone.returncode == 0
    assert kept(tmp_path) == ""
    assert quant("logout", "binance").returncode == 7
    assert login("--list").stdout == "no key is kept: quant login EXCHANGE\n"
    for each in (done, listed, gone):
        assert HUSH not in each.stdout + each.stderr
        assert KEY not in each.stdout + each.stderr


def test_the_exchange_is_asked_first(login, exchange, tmp_path):
    good = f"{exchange.key}\n{exchange.secret}\n"
    done = login("binance", "--endpoint", exchange.url, typed=good)
    assert done.returncode == 0, done.stderr
    assert f"key …{exchange.key[-4:]}: trade yes, withdraw no (good), IP list" in done.stderr
    assert exchange.secret in kept(tmp_path)
    assert exchange.secret not in done.stdout + done.stderr


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_key_that_the_exchange_does_not_accept_is_not_kept(login, exchange, tmp_path, monkeypatch, debug):
    monkeypatch.setenv("QUANT_DEBUG", debug)
    done = login("binance", "--endpoint", exchange.url, typed=f"{exchange.key}\n{HUSH}\n")
    assert done.returncode == 4
    assert "does not accept this API key" in done.stderr
    assert HUSH not in done.stderr
    assert kept(tmp_path) == ""


def test_a_key_that_may_withdraw_is_not_kept(login, exchange, tmp_path):
    exchange.ask("POST", "permissions", {"enableWithdrawals": True})
    try:
        done = login("binance", "--endpoint", exchange.url, typed=f"{exchange.key}\n{exchange.secret}\n")
    finally:
        exchange.ask("POST", "permissions", {"enableWithdrawals": False})
    assert done.returncode == 8
    assert "this key may withdraw money" in done.stderr
    assert kept(tmp_path) == ""


def test_where_nobody_answers_nothing_is_kept(login, tmp_path):
    assert login("binance", "--endpoint", "http://127.0.0.1:1").returncode == 1
    assert login("binance", "--endpoint", "http://192.0.2.1").returncode == 8
    assert kept(tmp_path) == ""


@pytest.mark.parametrize(
    "words",
    [
        ("binance", HUSH),
        ("binance", KEY, HUSH),
        (HUSH,),
        ("binance", f"--secret={HUSH}"),
        ("binance", "--secret", HUSH),
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(login, tmp_path, words):
    done = login(*words, "--no-check")
    assert done.returncode == 2
    assert HUSH not in done.stdout + done.stderr
    assert kept(tmp_path) == ""


@pytest.mark.parametrize("typed", ["", "one\n", "one\n \n", "one\ntwo\nthree\n", "o\x1bne\ntwo\n"])
def test_what_is_no_key_and_secret_is_refused(login, tmp_path, typed):
    assert login("binance", "--no-check", typed=typed).returncode == 2
    assert kept(tmp_path) == ""


def test_whoever_has_another_in_the_environment_is_told(login, monkeypatch):
    monkeypatch.setenv("QUANT_BINANCE_API_KEY", "k")
    monkeypatch.setenv("QUANT_BINANCE_SECRET", "s")
    assert "the environment has another, which comes first" in login("binance", "--no-check").stderr


def test_what_is_typed_at_a_terminal_stays_hidden(tmp_path):
    here, there = pty.openpty()
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "login", "binance", "--no-check"],
        stdin=there,
        stdout=there,
        stderr=there,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    os.close(there)
    try:
        shown = b""
        for prompt, text in ((b"API key: ", KEY), (b"secret: ", HUSH)):
            ends = time.monotonic() + 20
            while prompt not in shown and time.monotonic() < ends:
                shown += os.read(here, 1024)
            os.write(here, f"{text}\n".encode())
        while b"is kept in" not in shown and time.monotonic() < ends:
            shown += os.read(here, 1024)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(here)
    assert HUSH in kept(tmp_path)
    assert HUSH.encode() not in shown
    assert KEY.encode() not in shown


def test_a_bot_trades_with_the_key_that_is_kept(login, quant, exchange, tmp_path):
    login("binance", "--endpoint", exchange.url, typed=f"{exchange.key}\n{exchange.secret}\n")
    quant("init")
    words = ("--endpoint", exchange.url, "--symbol", "BTC/USDT", "--for", "500ms")
    done = quant("trade", "--live", *words)
    assert done.returncode == 0, done.stderr
    assert "key: trade yes, withdraw no (good)" in done.stderr
