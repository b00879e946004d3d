"""What a service manager is told, over a real socket."""

import os
import socket

import pytest

from quantcli.runtime.control.systemd import tell, watchdog_interval


@pytest.fixture
def listening():
    opened = []

    def at(address):
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        opened.append(receiver)
        receiver.bind(address)
        receiver.settimeout(5)
        return receiver

    yield at
    for receiver in opened:
        receiver.close()


def test_a_socket_with_a_path_is_told(listening, tmp_path):
    path = str(tmp_path / "notify")
    receiver = listening(path)
    assert tell({"NOTIFY_SOCKET": path}, READY="1", STATUS="trading BTC/USDT")
    assert receiver.recv(1024) == b"READY=1\nSTATUS=trading BTC/USDT"


def test_a_socket_without_one_is_told(listening):
    name = f"quant-test-{os.getpid()}"
    receiver = listening(f"\0{name}")
    assert tell({"NOTIFY_SOCKET": f"@{name}"}, WATCHDOG="1")
    assert receiver.recv(1024) == b"WATCHDOG=1"


def test_a_status_of_several_lines_says_nothing_else(listening, tmp_path):
    path = str(tmp_path / "notify")
    receiver = listening(path)
    assert tell({"NOTIFY_SOCKET": path}, STATUS="failed:\nREADY=1")
    assert receiver.recv(1024) == b"STATUS=failed: READY=1"


@pytest.mark.parametrize(
    "address", [None, "", "relative", "vsock:2:1234", "/no/such/socket", "/x\0y", "@" * 200]
)
def test_where_nobody_listens_nothing_happens(address):
    environment = {} if address is None else {"NOTIFY_SOCKET": address}
    assert tell(environment, READY="1") is False


def test_a_listener_that_does_not_read_holds_nobody_up(listening, tmp_path):
    path = str(tmp_path / "notify")
    listening(path)
    heard = [tell({"NOTIFY_SOCKET": path}, STATUS="x" * 1000) for _ in range(2_000)]
    assert heard[0]
    assert not heard[-1]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_told_twice_as_often_as_it_asks(environment, seconds):
    assert watchdog_interval(environment, pid=7) == seconds
