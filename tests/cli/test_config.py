"""What quant.toml may say, how a mistake in it reads, and where a project's files are."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.config import Config, load_config, parse_duration, parse_fees, parse_money, parse_rate
from quantcli.errors import ConfigError, UsageError
from quantcli.places import Project, find_project

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "quant.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "quant.toml"
    path.write_text(text)
    return path


def test_no_file_means_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(env={}) == Config()


def test_the_example_uses_every_key_there_is():
    config = load_config(EXAMPLE, env={})
    told = {
        (section, key)
        for section in config.__struct_fields__
        for key in getattr(config, section).__struct_fields__
    }
    text = EXAMPLE.read_text()
    assert {key for _, key in told if not re.search(rf"^(# )?{key} +=", text, re.MULTILINE)} == set()
    assert config.limits.max_order == (Decimal(200), "USDT")
    assert config.limits.price_band == Decimal("0.05")
    assert config.simulate.fees == (Decimal("0.001"), Decimal("0.001"))


def test_a_strategy_is_found_beside_the_file_that_names_it(tmp_path):
    config = load_config(written(tmp_path, '[bot]\nstrategy = "mine.py"\n'), env={})
    assert config.bot.strategy == tmp_path / "mine.py"


def test_the_environment_overrides_the_file(tmp_path):
    path = written(tmp_path, '[limits]\nmax_open = 3\nmax_order = "5 USDT"\n')
    config = load_config(path, env={"QUANT__LIMITS__MAX_OPEN": "7", "QUANT_DEBUG": "1"})
    assert (config.limits.max_open, config.limits.max_order) == (7, (Decimal(5), "USDT"))


@pytest.mark.parametrize(
    ("text", "what", "help_"),
    [
        ("[limit]\nmax_open = 3\n", "quant.toml: limit.max_open: there is no section [limit]", "'limits'"),
        ("[limits]\nmax_opn = 3\n", "quant.toml: limits.max_opn: there is no such key", "'max_open'"),
        ("[limits]\nmax_open = -3\n", "quant.toml: limits.max_open: -3 is not a count", "whole number"),
        ("[limits]\nmax_open = true\n", "quant.toml: limits.max_open: True is not a count", "whole number"),
        ("[limits]\nmax_order = 200\n", "quant.toml: limits.max_order: 200 is not an amount", "200 USDT"),
        ('[limits]\nprice_band = "wide"\n', "quant.toml: limits.price_band: 'wide' is not", "0.01"),
        ('[on]\nstop = "cancle"\n', "quant.toml: on.stop: 'cancle' is none of cancel, leave", "'cancel'"),
        ("[bot]\nname = '../x'\n", "quant.toml: bot.name: '../x' cannot name a bot", "mm-btc"),
        ("[bot]\nstrategy = 3\n", "quant.toml: bot.strategy: 3 is not a path", "mine.py"),
        ("max_open = 3\n", "quant.toml: max_open stands outside of every section", ""),
    ],
)
def test_a_mistake_names_the_place_and_the_remedy(tmp_path, text, what, help_):
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text), env={})
    assert caught.value.what.startswith(what)
    assert help_ in caught.value.todo
    assert caught.value.exit_code == 4


def test_a_mistake_in_the_environment_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="QUANT__LIMITS__MAX_OPN: there is no such key"):
        load_config(env={"QUANT__LIMITS__MAX_OPN": "7"})


def test_text_that_is_no_toml_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read as TOML") as caught:
        load_config(written(tmp_path, "[bot\n"), env={})
    assert "line 1" in caught.value.why
    with pytest.raises(ConfigError, match="there is no"):
        load_config(tmp_path / "other.toml", env={})


def test_a_folder_in_the_place_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quant.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_config(env={})
    assert caught.value.why == "Is a directory"


@given(st.decimals(0, 10**9, places=4), st.sampled_from(["USDT", "btc", "USD1"]))
def test_money_reads_as_it_is_written(amount, currency):
    assert parse_money(f"{amount:,f} {currency}") == (amount, currency.upper())
    assert parse_money(f"{amount:f}{currency}") == (amount, currency.upper())


@pytest.mark.parametrize("text", ["", "200", "USDT", "1.2.3 USDT", "1e3e USDT x", "nan USDT", "-USDT"])
def test_what_is_no_money_is_refused(text):
    with pytest.raises(UsageError, match="is not an amount of money"):
        parse_money(text)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_their_parts_up(hours, minutes, ms):
    assert parse_duration(f"{hours}h {minutes}m{ms}ms") == (hours * 60 + minutes) * 60 * 10**9 + ms * 10**6


def test_fractions_of_a_unit_are_exact():
    assert parse_duration("0.1s") == 100_000_000
    assert parse_duration("1.5h") == 5_400_000_000_000


@pytest.mark.parametrize("text", ["", "30", "s", "30 parsecs", "30s,", "-3s", "1s2"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0.001,0.002", "10bps,20 bps", "0.1%, 0.2 %", "0.1%,20bps"])
def test_fees_in_every_way_to_write_them(text):
    assert parse_fees(text) == (Decimal("0.001"), Decimal("0.002"))


def test_a_rebate_is_a_negative_fee():
    assert parse_fees("-1bps,5bps").maker == Decimal("-0.0001")


@pytest.mark.parametrize("text", ["0.001", "a,b", "0.1,", ",", "1,2"])
def test_what_are_no_fees_is_refused(text):
    with pytest.raises(UsageError, match="fees"):
        parse_fees(text)


def test_a_rate_that_is_no_number_is_a_usage_error():
    with pytest.raises(UsageError):
        parse_rate("much")


def test_a_project_is_the_nearest_folder_with_a_quant_toml(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner) == Project(inner)
    written(tmp_path, "")
    assert find_project(inner) == Project(tmp_path)


def test_a_project_knows_its_bots_by_their_databases(tmp_path):
    project = Project(tmp_path)
    assert project.bots() == []
    project.state.mkdir()
    for name in ("b.db", "a.db", "a.halt", "a.db-wal"):
        (project.state / name).touch()
    assert project.bots() == ["a", "b"]
    assert project.database("a") == tmp_path / ".quant" / "a.db"
    assert project.halt_flag("a") == tmp_path / ".quant" / "a.halt"
    with pytest.raises(UsageError, match="cannot name a bot"):
        project.database("../a")
