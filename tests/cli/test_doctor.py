"""What `quant doctor` finds, and that it disturbs nothing."""

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

from quantcli.places import find_project, socket_path
from tests.loopback import Sandbox


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A private folder of its own, with a name that leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def findings(done):
    return [(item["mark"], item["check"], item["found"]) for item in json.loads(done.stdout)["items"]]


def test_in_an_empty_folder_all_is_well(quant, tmp_path):
    done = quant("doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("all is well\n")
    assert "~ config    no quant.toml here" in done.stdout
    assert "not compared with the exchange's" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_project_with_a_bot(quant, project):
    found = findings(quant("doctor", "-o", "json"))
    assert ("=", "config", "quant.toml") in found
    assert [(mark, text.partition(",")[0]) for mark, what, text in found if what == "database"] == [
        ("=", "mm: whole")
    ]
    before = {path.name for path in (project / ".quant").iterdir()}
    assert {name for name in before if "doctor" in name} == set()


def test_problems_are_named_and_it_leaves_with_1(quant, project):
    (project / "quant.toml").write_text("[limits]\nmax_opn = 1\n")
    (project / ".quant" / "mm.db").write_bytes(b"not a database" * 100)
    done = quant("doctor")
    assert done.returncode == 1
    assert "x config    quant.toml:2:1: limits.max_opn: there is no such key\n" in done.stdout
    assert "did you mean 'max_open'?" in done.stdout
    assert "x database  mm: file is not a database" in done.stdout
    assert done.stdout.endswith("2 problems\n")


def test_keys_are_named_by_their_end_and_those_that_others_may_read_are_a_problem(
    quant, tmp_path, monkeypatch
):
    folder = tmp_path / "config" / "quantcli"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder.parent))
    path = folder / "credentials.toml"
    path.write_text('[binance]\napi_key = "0123456789abcdef"\nsecret = "hush-hush"\n')
    path.chmod(0o644)
    done = quant("doctor")
    assert done.returncode == 1
    assert "its mode is 0644" in done.stdout
    path.chmod(0o600)
    done = quant("doctor")
    assert done.returncode == 0
    assert f"= keys      binance …cdef in {path}" in done.stdout
    assert "hush" not in done.stdout
    assert "0123" not in done.stdout


def test_a_socket_that_nobody_listens_at_is_told_from_one_that_answers(quant, project):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as dead:
        listener.bind(os.fspath(socket_path(find_project(project), "mm", os.environ)))
        listener.listen()
        dead.bind(os.fspath(socket_path(find_project(project), "gone", os.environ)))
        found = findings(quant("doctor", "-o", "json"))
    assert ("=", "running", "mm") in found
    assert [(mark, "gone." in text) for mark, what, text in found if what == "socket"] == [("~", True)]


def test_the_exchange_is_asked_for_the_time_only_when_that_is_wished_for(quant):
    with Sandbox("--seed", "5", "--symbol", "BTC/USDT") as exchange:
        before = exchange.calls()
        assert quant("doctor", "--endpoint", exchange.url).returncode == 0
        assert exchange.calls() == before
        exchange.jump(30)
        done = quant("doctor", "--online", "--endpoint", exchange.url)
        assert (
            "~ clock     30," in done.stdout or "~ clock     29," in done.stdout or "ms behind" in done.stdout
        )
    done = quant("doctor", "--online", "--endpoint", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "x clock     binance cannot be asked" in done.stdout
