"""`quant service`: a systemd unit of a bot, written, shown and removed; never anybody else's."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from quantcli.cli.app import load
from quantcli.cli.service import _quoted


@pytest.fixture
def units(tmp_path, monkeypatch):
    """Where units are written; what runs has a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USER", "me")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")  # nothing of systemd is called
    return tmp_path / "home" / ".config" / "systemd" / "user"


@pytest.fixture
def folder(tmp_path):
    """A project with a strategy, in a folder whose name needs care."""
    root = tmp_path / "my bots 100%"
    root.mkdir()
    (root / "quant.toml").touch()
    (root / "maker.py").touch()
    return root


def settings(unit):
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and line[0] != "#")


def test_a_unit_says_how_to_run_the_bot_and_how_not_to_start_it_again(quant, folder, units):
    said = quant("service", "install", "mm-btc", "--strategy", "maker.py:Maker", "--live", cwd=folder)
    assert said.returncode == 0
    unit = (units / "quant-mm-btc.service").read_text()
    known = settings(unit)
    escaped = str(folder).replace("%", "%%")
    words = known["ExecStart"].split(" trade ")
    assert Path(words[0]).is_absolute()
    assert Path(words[0]).name == "quant"
    assert words[1].startswith(f'--name mm-btc --strategy "{escaped}/maker.py:Maker" --live')
    assert known["WorkingDirectory"] == escaped
    expected = {
        "Type": "notify",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "2 4 8",
        "WatchdogSec": "30",
        "NoNewPrivileges": "yes",
        "WantedBy": "default.target",
    }
    assert {name: known[name] for name in expected} == expected
    assert said.stdout.splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now quant-mm-btc.service",
        "loginctl enable-linger me",
    ]


def test_paper_is_what_happens_without_live_and_more_words_are_passed_on(quant, folder, units):
    said = quant("service", "install", "b", "--", "--symbol", "BTC/USDT", "--cash", "10 USDT", cwd=folder)
    assert said.returncode == 0
    command = settings((units / "quant-b.service").read_text())["ExecStart"]
    assert command.endswith('trade --name b --symbol BTC/USDT --cash "10 USDT"')


def test_words_that_trade_does_not_know_are_refused_now_and_not_at_the_next_boot(quant, folder, units):
    said = quant("service", "install", "b", "--", "--lvie", cwd=folder)
    assert said.returncode == 2
    assert "--lvie" in said.stderr
    assert not units.exists()


def test_a_strategy_that_is_not_there_is_refused(quant, folder, units):
    assert quant("service", "install", "b", "--strategy", "no.py", cwd=folder).returncode == 7
    assert not units.exists()


def test_a_dry_run_prints_the_unit_and_writes_nothing(quant, folder, units):
    said = quant("service", "install", "b", "--dry-run", cwd=folder)
    assert said.returncode == 0
    assert "[Service]" in said.stdout
    assert not units.exists()
    quant("service", "install", "b", cwd=folder)
    assert quant("service", "show", "b", cwd=folder).stdout == said.stdout


def test_a_key_is_named_by_its_file_and_never_written_down(quant, folder, units, monkeypatch):
    monkeypatch.setenv("QUANT_BINANCE_API_KEY", "the-api-key")
    monkeypatch.setenv("QUANT_BINANCE_SECRET", "the-secret")
    keys = folder / "keys"
    keys.mkdir()
    for name in ("quant_binance_api_key", "quant_binance_secret", "quant_binance_notes"):
        (keys / name).write_text("the-secret")
        (keys / name).chmod(0o600)
    assert quant("service", "install", "b", "--credentials", "keys", cwd=folder).returncode == 0
    unit = (units / "quant-b.service").read_text()
    escaped = str(keys).replace("%", "%%")
    assert [line for line in unit.splitlines() if line.startswith("LoadCredential=")] == [
        f"LoadCredential={name}:{escaped}/{name}"
        for name in ("quant_binance_api_key", "quant_binance_secret")
    ]
    assert "the-" not in unit
    (keys / "quant_binance_secret").chmod(0o644)
    assert quant("service", "install", "b", "--credentials", "keys", cwd=folder).returncode == 4
    assert quant("service", "install", "b", "--credentials", ".", cwd=folder).returncode == 7


def test_ours_is_replaced_and_others_are_left_alone(quant, folder, units):
    units.mkdir(parents=True)
    path = units / "quant-b.service"
    path.write_text("[Service]\nExecStart=/bin/theirs\n")
    for words in (("install", "b"), ("uninstall", "b")):
        said = quant("service", *words, cwd=folder)
        assert (said.returncode, "not ours" in said.stderr) == (8, True)
    assert "theirs" in path.read_text()
    path.unlink()
    quant("service", "install", "b", cwd=folder)
    assert quant("service", "install", "b", "--", "--cash", "5 USDT", cwd=folder).returncode == 0
    assert "5 USDT" in path.read_text()
    assert [each.name for each in units.iterdir()] == ["quant-b.service"]


def test_a_bot_of_that_name_in_another_project_keeps_its_unit(quant, folder, units, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "quant.toml").touch()
    quant("service", "install", "b", cwd=folder)
    said = quant("service", "install", "b", cwd=other)
    assert (said.returncode, "another project" in said.stderr) == (8, True)


def test_uninstalling_removes_the_unit_and_its_link(quant, folder, units):
    quant("service", "install", "b", cwd=folder)
    wanted = units / "default.target.wants"
    wanted.mkdir()
    os.symlink(units / "quant-b.service", wanted / "quant-b.service")
    said = quant("service", "uninstall", "b", cwd=folder)
    assert said.returncode == 0
    assert said.stdout.splitlines()[0] == "systemctl --user stop quant-b.service"
    assert [list(wanted.iterdir()), list(units.glob("*.service"))] == [[], []]
    assert quant("service", "uninstall", "b", cwd=folder).returncode == 7
    assert quant("service", "show", "b", cwd=folder).returncode == 7


@pytest.mark.parametrize("bot", ["../x", "a b", "-x", ""])
def test_a_name_that_is_none_reaches_no_file(quant, folder, units, bot):
    assert quant("service", "install", "--", bot, cwd=folder).returncode == 2
    assert not units.exists()


def test_without_a_home_there_is_no_place(quant, folder, units, monkeypatch):
    monkeypatch.delenv("HOME")
    assert quant("service", "install", "b", cwd=folder).returncode == 4


def test_words_are_quoted_as_systemd_reads_them():
    assert [
        _quoted(word) for word in ("plain", "a b", 'say "x"', "100%", "$HOME", "back\\slash", "", ";")
    ] == [
        "plain",
        '"a b"',
        '"say \\"x\\""',
        "100%%",
        "$$HOME",
        '"back\\\\slash"',
        '""',
        '";"',
    ]


_ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(_ANALYZE is None, reason="systemd is not here")
def test_systemd_finds_nothing_wrong_with_it(quant, folder, units, tmp_path):
    quant("service", "install", "b", "--strategy", "maker.py", "--", "--cash", "5 USDT", cwd=folder)
    path = units / "quant-b.service"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    checked = subprocess.run(
        [str(_ANALYZE), "--user", "verify", str(path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert [line for line in checked.stderr.splitlines() if "quant-b" in line] == []
    broken = path.read_text().replace("Type=notify", "Type=nonsense").replace("[Install]", "[Instal]")
    path.write_text(broken)
    checked = subprocess.run(
        [str(_ANALYZE), "--user", "verify", str(path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert "quant-b.service" in checked.stderr, "it looks indeed"


def test_every_option_of_ours_is_an_option_of_trade():
    known = {flag for parameter in load("trade").params for flag in parameter.opts}
    assert {"--name", "--strategy"} <= known
    assert "--live" in known | {f for p in load("trade").params for f in p.secondary_opts}
