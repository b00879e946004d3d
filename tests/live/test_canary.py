"""An account's key is a canary here: everything a bot writes, says or answers is searched for it.

In every form that text takes on its way (base64, hex, quoted, reversed, cut in two), and in what a strategy
gets hold of that looks around in its process.
"""

import base64
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.live.terminal import KEY, LIMITS, SECRET, Terminal, accepted
from tests.loopback import Sandbox

# A strategy that tells all it can find, by every way out that it has.
CURIOUS = """
import gc
import logging
import os
import sys
import traceback
from pathlib import Path

from quantcli import Param, Strategy, keep

logging.basicConfig(level=logging.DEBUG)


def around(thing, deep=3):
    yield repr(thing)
    if deep:
        for part in list(getattr(thing, "__dict__", {}).values()):
            yield from around(part, deep - 1)


class Curious(Strategy):
    falls = Param(False, help="fall over in the end")
    ticks = 0

    def look(self):
        told = [f"environment: {sorted(os.environ.items())}", f"arguments: {sys.argv}"]
        told.append(f"system: {Path('/proc/self/environ').read_text()}")
        told.append(f"arguments: {Path('/proc/self/cmdline').read_text()}")
        told += around(self)
        for name, module in sorted(sys.modules.items()):
            if name.startswith("quantcli"):
                told.append(f"{name}: {vars(module)!r}")
        frame = sys._getframe()
        while frame is not None:
            told.append(f"{frame.f_code.co_name}: {sorted(map(repr, frame.f_locals.values()))}")
            frame = frame.f_back
        return "\\n".join(told)

    def on_tick(self, tick):
        self.ticks += 1
        if self.ticks == 1:
            told = self.look()
            print(told)
            self.log.warning(told)
            logging.getLogger("mine").error(told)
            sys.stderr.write(told)
            Path("looked").write_text(told)
            try:
                raise ValueError(told)
            except ValueError:
                traceback.print_exc()
        if self.falls and self.ticks > 20:
            raise RuntimeError(self.look())

    def on_order(self, event):
        self.log.info("%r", event)

    def desired(self, m):
        yield keep.bid("far", 0.002, m.best_bid * 0.95, tolerance=1_000_000)
"""


def forms(secret: str) -> dict[str, bytes]:
    """A secret as it may be found, by what was done to it."""
    raw = secret.encode()
    encoded = {base64.b64encode(bytes(pad) + raw)[4 * (pad > 0) : -4] for pad in range(3)}
    found = {
        "plain": raw,
        "reversed": raw[::-1],
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "utf-16": secret.encode("utf-16-le"),
        "quoted": urllib.parse.quote(secret, safe="").encode(),
        "json": json.dumps(secret)[1:-1].encode(),
        "first half": raw[: len(raw) // 2],
        "second half": raw[len(raw) // 2 :],
    }
    return found | {f"base64 {number}": text for number, text in enumerate(sorted(encoded))}


def leaks(secrets: Mapping[str, str], texts: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """Where which secret is, and in which form."""
    return [
        (where, name, form)
        for where, data in texts.items()
        for name, secret in secrets.items()
        for form, text in forms(secret).items()
        if text in data
    ]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    with Sandbox("--seed", "23", "--symbol", "BTC/USDT") as sandbox:
        yield sandbox


@pytest.fixture
def user(exchange: Sandbox, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "bots", exchange.told, CURIOUS, LIMITS)
    yield terminal
    terminal.end()
    exchange.chaos()


def secrets_of(exchange: Sandbox) -> dict[str, str]:
    return {"key": exchange.key, "secret": exchange.secret}


@pytest.mark.parametrize("form", forms("x" * 64))
def test_a_leak_in_any_form_is_found(tmp_path: Path, form: str) -> None:
    """The search sees a leak where there is one: in a file, whole, amid other bytes."""
    secret = "Zk3vT9+/qLw8=Rj2&Pn5mHs7Xd1cYb4Ge6Ua0Io"
    path = tmp_path / "db-wal"
    path.write_bytes(os.urandom(1000) + forms(secret)[form] + os.urandom(1000))
    found = leaks({"secret": secret}, {"db-wal": path.read_bytes()})
    assert ("db-wal", "secret", form) in found
    assert leaks({"secret": secret}, {"other": os.urandom(1000)}) == []


def test_a_base64_leak_is_found_wherever_it_begins() -> None:
    secret = "Zk3vT9qLw8Rj2Pn5mHs7Xd1cYb4Ge6Ua0Io"
    for before in range(6):
        text = base64.b64encode(b"a" * before + secret.encode() + b"tail")
        assert leaks({"secret": secret}, {"log": text}), before


@pytest.mark.parametrize("kept", ["environment", "file"])
def test_h9_nothing_that_is_written_or_told_has_the_key(exchange: Sandbox, user: Terminal, kept: str) -> None:
    """Through faults, refusals, a fall and tracebacks; the strategy finds it neither."""
    secrets = secrets_of(exchange)
    texts: dict[str, bytes] = {}
    config = user.folder.parent / "config"
    user.environment |= {"XDG_CONFIG_HOME": str(config), "QUANT_DEBUG": "1", "PYTHONASYNCIODEBUG": "1"}
    user.environment["WEBSOCKETS_MAX_LOG_SIZE"] = "100000"
    if kept == "file":
        del user.environment[KEY], user.environment[SECRET]
        path = config / "quantcli" / "credentials.toml"
        path.parent.mkdir(parents=True)
        path.touch(0o600)
        path.write_text(f'[binance]\napi_key = "{exchange.key}"\nsecret = "{exchange.secret}"\n')
    exchange.chaos(
        {"on": "POST /api/v3/order", "fault": "html", "status": 502, "calls": [1], "applied": True},
        {"on": "GET /api/v3/order", "fault": "reset", "bytes": 40, "calls": [1]},
        {"on": "GET /api/v3/openOrders", "fault": "status", "status": 400, "code": -1022, "calls": [2]},
        {"on": "ws *", "fault": "status", "status": 400, "code": -1022, "calls": [2]},
    )
    bot = user.trade()
    texts["command line"] = Path(f"/proc/{bot.pid}/cmdline").read_bytes()
    texts["environment"] = Path(f"/proc/{bot.pid}/environ").read_bytes()
    exchange.disconnect("user")
    bot.wait_for(accepted(bot, 1))
    for words in (
        ("orders", "-o", "json"),
        ("positions", "-o", "json"),
        ("reconcile", "--plan"),
        ("config", "show", "--origin", "-o", "json"),
        ("login", "--list", "-o", "json"),
        ("doctor", "-o", "json"),
        ("version", "-o", "json"),
    ):
        told = user.run(*words)
        texts[" ".join(words)] = (told.stdout + told.stderr).encode()
    texts |= answers(user)
    assert bot.stop() == 0, bot.said[-3000:]
    assert "environment:" in bot.said, "the strategy has looked around"
    fallen = user.start(*user.words("--param", "falls=true"))
    assert fallen.left() == 1
    assert "Traceback" in fallen.said
    texts |= user.everything()
    assert any(name.endswith(".db") for name in texts)
    assert leaks(secrets, texts) == []
    assert [name for name, data in texts.items() if b"signature=" in data or b"X-MBX-APIKEY" in data] == []


def test_h9_a_key_that_is_refused_is_not_repeated(exchange: Sandbox, user: Terminal) -> None:
    false = "Wr0ng" + exchange.secret[5:][::-1]
    cases = {
        "false secret": ({SECRET: false}, ()),
        "false key": ({KEY: false}, ()),
        "no exchange": ({}, ("--endpoint", "http://127.0.0.1:1")),
        "unencrypted": ({}, ("--endpoint", "http://192.0.2.1")),
        "not a market": ({}, ("--symbol", "NO/SUCH")),
        "an exchange that we do not trade on": (
            {"QUANT_OKX_API_KEY": false, "QUANT_OKX_SECRET": false},
            ("--exchange", "okx"),
        ),
        "half a key": ({SECRET: ""}, ()),
        "a key with a line feed": ({SECRET: f"{false}\n{false}", KEY: f"{false}\r\nA: b"}, ()),
    }
    texts = {}
    for name, (variables, words) in cases.items():
        told = user.run(*user.words(*words), QUANT_DEBUG="1", **variables)
        assert told.returncode not in (0, 120), name
        texts[name] = (told.stdout + told.stderr).encode()
        assert b"Traceback" in texts[name], name
    texts |= user.everything()
    assert leaks(secrets_of(exchange) | {"false": false}, texts) == []


def answers(user: Terminal) -> dict[str, bytes]:
    """What the running bot says over its socket, if it has one."""
    from quantcli.errors import QuantError
    from quantcli.places import Project
    from quantcli.runtime.control.client import client_of

    client = client_of(Project(user.folder), "bot", user.environment)
    found = {}
    for what in ("status", "orders", "positions", "fills", "events", "health"):
        if client is not None:
            try:
                found[f"/v1/{what}"] = json.dumps(client.get(what, dict)).encode()
            except QuantError as error:
                found[f"/v1/{what}"] = str(error).encode()
    return found
