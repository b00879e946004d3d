"""Messages to people: what is sent, how often, and that no trouble with them reaches who trades."""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import ConfigError, UsageError
from quantcli.runtime.control import notify, secrecy
from quantcli.runtime.control.notify import Notifier, Sheaf, open_notifier
from quantcli.runtime.control.secrecy import keep_secret, redacted
from quantcli.runtime.control.wire import EventItem

# Apprise itself, where it prepares for encrypted mail.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _no_secret_outlives_its_test(monkeypatch):
    monkeypatch.setattr(secrecy, "_secrets", set())
    monkeypatch.setattr(secrecy, "_pattern", None)


def item(kind="rejected", level="warn", number=1, **fields):
    return EventItem(number, 1, level, kind, "BTC/USDT", f"text {number}", **fields)


@pytest.fixture
def endpoint():
    """A server on loopback that keeps what it is sent."""
    received, answer = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.send_response(answer[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.received, server.answer = received, answer
    server.url = f"json://127.0.0.1:{server.server_port}/hook"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_event_is_sent_to_an_address(endpoint):
    failed = []
    notifier = open_notifier([endpoint.url], "warn", "mm-btc", failed.append)
    notifier.take(item(why="insufficient balance", todo="quant positions", intent_id="i1"))
    notifier.take(item("filled", "info"))
    notifier.close()
    (message,) = endpoint.received
    assert message["title"] == "mm-btc: rejected"
    assert message["type"] == "warning"
    assert message["message"].split("\n") == [
        "text 1",
        "why: insufficient balance",
        "do: quant positions",
        "order: i1",
    ]
    assert failed == []


def test_no_message_carries_a_secret(endpoint):
    keep_secret("s3cr3t-key")
    notifier = open_notifier([endpoint.url], "warn", "b", [].append)
    notifier.take(item(why="refused s3cr3t-key"))
    notifier.close()
    assert "why: refused ***" in endpoint.received[0]["message"]


def test_failures_are_told_once_until_it_goes_well_again(endpoint):
    failed = []
    notifier = open_notifier([endpoint.url], "warn", "b", failed.append)
    endpoint.answer[0] = 500
    for number in range(3):
        notifier.take(item(f"kind{number}"))
    notifier.close()
    assert len(failed) == 1
    assert "could not be sent" in failed[0]
    assert str(endpoint.server_port) not in failed[0]


def test_an_address_where_nobody_is_stops_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    failed = []
    notifier = open_notifier([f"json://127.0.0.1:{port}/"], "error", "b", failed.append)
    notifier.take(item(level="error"))
    notifier.close()
    assert len(failed) == 1


# How often.


class Wall:
    """Takes messages; `gate` holds it up."""

    def __init__(self):
        self.sent = []
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Semaphore(0)

    def __call__(self, message):
        self.sent.append(message)
        self.came.release()
        return self.gate.wait(10)


def test_of_one_kind_one_message_goes_at_once_and_the_rest_is_counted():
    wall = Wall()
    notifier = Notifier(wall, "warn", "b", [].append)
    notifier.take(item(number=1))
    assert wall.came.acquire(timeout=5)
    for number in range(2, 7):
        notifier.take(item(number=number))
    notifier.take(item("stopped"))
    assert wall.came.acquire(timeout=5)
    assert [each.title for each in wall.sent] == ["b: rejected", "b: stopped"]
    notifier.close()
    assert [each.title for each in wall.sent[2:]] == ["b: rejected (5 times)"]
    assert wall.sent[2].body.startswith("text 6")


def test_what_was_held_back_goes_when_the_pause_is_over():
    wall = Wall()
    notifier = Notifier(wall, "warn", "b", [].append, pause_s=0.05)
    for _ in range(2):
        notifier.take(item())
        assert wall.came.acquire(timeout=5)
    notifier.take(item())
    assert wall.came.acquire(timeout=5)
    notifier.close()


def test_one_who_does_not_answer_holds_nobody_up():
    wall = Wall()
    wall.gate.clear()
    notifier = Notifier(wall, "info", "b", [].append)
    for number in range(5_000):
        notifier.take(item(f"kind{number}"))
    notifier.close(timeout_s=0.05)
    wall.gate.set()
    notifier.close()
    assert not notifier._thread.is_alive()


def test_what_raises_is_told_and_the_next_is_sent():
    sent, failed = [], []

    def send(message):
        sent.append(message)
        if len(sent) == 1:
            raise RuntimeError("no route")
        return True

    notifier = Notifier(send, "warn", "b", failed.append)
    for number in range(3):
        notifier.take(item(f"kind{number}"))
    notifier.close()
    assert (len(sent), failed) == (3, ["a message could not be sent: RuntimeError: no route"])


def test_no_message_is_sent_about_messages():
    wall = Wall()
    notifier = Notifier(wall, "warn", "b", [].append)
    notifier.take(item(notify.KIND, "error"))
    notifier.close()
    assert wall.sent == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20)), max_size=60))
def test_a_sheaf_loses_nothing_and_keeps_its_pauses(steps):
    sheaf, now_s, told, put = Sheaf(30.0), 0.0, [], 0
    for kind, wait_s in steps:
        now_s += wait_s
        sheaf.add(item(kind))
        put += 1
        told += [(now_s, each.kind, count) for each, count in sheaf.take(now_s)]
    told += [(1e9, each.kind, count) for each, count in sheaf.take(float("inf"))]
    assert sum(count for _, _, count in told) == put
    for kind in "abc":
        times = [at_s for at_s, each, _ in told if each == kind]
        assert all(b - a >= 30.0 - 1e-9 for a, b in pairwise(times))
    assert sheaf.due_s() is None


# Addresses.


def test_what_is_secret_in_an_address_is_never_told():
    notifier = open_notifier(["json://someone:pa55word@127.0.0.1:9/AAbbCCddEEff"], "warn", "b", [].append)
    assert notifier is not None
    notifier.close()
    assert "pa55word" not in redacted("POST http://someone:pa55word@127.0.0.1:9")
    assert "AAbbCCddEEff" not in redacted("POST /AAbbCCddEEff")
    assert redacted("at a.example, 127.0.0.1") == "at a.example, 127.0.0.1"


def test_an_address_that_is_none_is_refused_without_being_shown():
    with pytest.raises(ConfigError) as failure:
        open_notifier(["json://fine/", "nosuch://pa55word@host"], "warn", "b", [].append)
    assert "address 2 of 2" in failure.value.what
    assert "pa55word" not in f"{failure.value} {failure.value.why} {failure.value.todo}"


def test_without_addresses_there_is_nobody_to_tell():
    assert open_notifier([], "warn", "b", [].append) is None


def test_a_level_that_is_none_is_refused():
    with pytest.raises(UsageError):
        Notifier(lambda message: True, "loud", "b", [].append)


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError) as failure:
        open_notifier(["json://x/"], "warn", "b", [].append)
    assert "quantcli[notify]" in failure.value.todo
