"""What quant.toml may say, how a mistake in it reads, and where a project's files are."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli import toml_lines
from quantcli.amounts import parse_duration, parse_fees, parse_money, parse_rate
from quantcli.cli.init import config_text
from quantcli.config import Config, load_config, read_settings
from quantcli.errors import ConfigError, UsageError
from quantcli.places import Project, find_project
from quantcli.sections import KINDS

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
    document = toml_lines.parse(
        EXAMPLE.read_text().replace("\n# ", "\n").partition("[bot]")[2].join(["[bot]", ""])
    )
    told = {section: set(table) for section, table in document.items()}
    assert told == {section: set(kinds) for section, kinds in KINDS.items()}
    assert config.limits.max_order == (Decimal(200), "USDT")
    assert config.limits.price_band == Decimal("0.05")
    assert config.simulate.fees == (Decimal("0.001"), Decimal("0.001"))


def test_the_example_is_what_a_new_project_gets():
    assert EXAMPLE.read_text() == config_text("mm-btc", "strategies/touch_maker.py")


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
        ("[limit]\nmax_open = 3\n", "quant.toml:1:2: limit: there is no section [limit]", "'limits'"),
        ("[limits]\nmax_opn = 3\n", "quant.toml:2:1: limits.max_opn: there is no such key", "'max_open'"),
        ("[limits]\nmax_open = -3\n", "quant.toml:2:1: limits.max_open: -3 is not a count", "whole number"),
        (
            "[limits]\nmax_open = true\n",
            "quant.toml:2:1: limits.max_open: True is not a count",
            "whole number",
        ),
        ("[limits]\nmax_order = 200\n", "quant.toml:2:1: limits.max_order: 200 is not an amount", "200 USDT"),
        ('[limits]\nprice_band = "wide"\n', "quant.toml:2:1: limits.price_band: 'wide' is not", "0.01"),
        ('[on]\nstop = "cancle"\n', "quant.toml:2:1: on.stop: 'cancle' is none of cancel, leave", "'cancel'"),
        ("[bot]\nname = '../x'\n", "quant.toml:2:1: bot.name: '../x' cannot name a bot", "mm-btc"),
        ("[bot]\nstrategy = 3\n", "quant.toml:2:1: bot.strategy: 3 is not a path", "mine.py"),
        ("[bot]\n\n[ limit ] # x\n", "quant.toml:3:3: limit: there is no section [limit]", "'limits'"),
        ("limits = { max_open = -3 }\n", "quant.toml:1:1: limits.max_open: -3 is not a count", "whole"),
        ("limits.max_open = -3\n", "quant.toml:1:1: limits.max_open: -3 is not a count", "whole"),
        ("[tui]\n  fps = 11\n", "quant.toml:2:3: tui.fps: 11 frames", "1 to 10"),
        ('[metrics]\nlisten = "9464"\n', "quant.toml:2:1: metrics.listen: '9464' is no address", "127.0.0.1"),
        ('[notify]\nurls = "pass:word"\n', "quant.toml:2:1: notify.urls: not a list of addresses", "ntfy"),
        ("max_open = 3\n", "quant.toml:1:1: max_open stands outside of every section", ""),
    ],
)
def test_a_mistake_names_the_place_and_the_remedy(tmp_path, monkeypatch, text, what, help_):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text), env={})
    assert caught.value.what.startswith(what)
    assert help_ in caught.value.todo
    assert caught.value.exit_code == 4


def test_all_mistakes_are_counted_and_the_first_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, "[limits]\nmax_opn = 3\nmax_ordr = 4\n[limit]\n")
    assert [each.what.split(":")[1] for each in read_settings(path, {}).mistakes] == ["2", "3", "4"]
    with pytest.raises(ConfigError, match="max_opn") as caught:
        load_config(path, env={})
    assert "shows 2 more" in caught.value.todo


def test_who_comes_first_and_who_said_what(tmp_path, monkeypatch):
    """The environment, then .env, then the project's file, then the user's own, then what is usual."""
    project, own = tmp_path / "project", tmp_path / "config" / "quantcli"
    for folder in (project, own):
        folder.mkdir(parents=True)
    monkeypatch.chdir(project)
    written(own, "[limits]\nmax_open = 1\n[simulate]\nseed = 1\nlatency_ms = 1\nfeed_latency_ms = 1\n")
    written(project, "[simulate]\nseed = 2\nlatency_ms = 2\nfeed_latency_ms = 2\n")
    (project / ".env").write_text(
        "export QUANT__SIMULATE__SEED='3'\nQUANT__SIMULATE__LATENCY_MS=3 # ms\nA=1\n"
    )
    env = {"QUANT__SIMULATE__SEED": "4", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    settings = read_settings(env=env)
    simulate = settings.config.simulate
    assert (simulate.seed, simulate.latency_ms, simulate.feed_latency_ms) == (4, 3, 2)
    assert settings.config.limits.max_open == 1
    assert settings.origins == {
        "limits.max_open": f"{own}/quant.toml:2:1",
        "simulate.seed": "QUANT__SIMULATE__SEED",
        "simulate.latency_ms": ".env:2: QUANT__SIMULATE__LATENCY_MS",
        "simulate.feed_latency_ms": "quant.toml:4:1",
    }
    assert settings.files == (own / "quant.toml", project / "quant.toml", project / ".env")


def test_another_file_may_be_named_and_must_be_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.toml"
    with pytest.raises(ConfigError, match=r"there is no .*other\.toml"):
        load_config(env={"QUANT_CONFIG": str(other)})
    other.write_text("[limits]\nmax_open = 8\n")
    assert load_config(env={"QUANT_CONFIG": str(other)}).limits.max_open == 8


def test_addresses_come_as_a_list_or_in_one_text(tmp_path):
    path = written(tmp_path, '[notify]\nurls = ["a://b", "c://d"]\n')
    assert load_config(path, env={}).notify.urls == ("a://b", "c://d")
    assert load_config(path, env={"QUANT__NOTIFY__URLS": "e://f, g://h"}).notify.urls == ("e://f", "g://h")


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


# `quant config`.


def test_check_finds_every_mistake_and_leaves_with_4(quant, tmp_path):
    written(tmp_path, "[limits]\nmax_opn = 3\n[on]\nstop = 'now'\n")
    done = quant("config", "check")
    assert (done.returncode, done.stdout) == (4, "")
    assert "quant.toml:2:1: limits.max_opn: there is no such key" in done.stderr
    assert "did you mean 'max_open'?" in done.stderr
    assert "quant.toml:4:1: on.stop: 'now' is none of cancel, leave" in done.stderr
    found = json.loads(quant("config", "check", "-o", "json").stdout)
    assert [problem["what"].split(": ")[1] for problem in found["problems"]] == ["limits.max_opn", "on.stop"]


def test_check_is_content_with_a_right_file_and_with_none(quant, tmp_path):
    assert quant("config", "check").stdout == "the defaults: nothing is wrong\n"
    written(tmp_path, "[limits]\nmax_open = 3\n")
    done = quant("config", "check")
    assert (done.returncode, done.stdout) == (0, "quant.toml: nothing is wrong\n")
    assert quant("config", "check", "quant.toml").returncode == 0
    assert quant("config", "check", "other.toml").returncode == 4


def test_check_looks_for_the_strategy(quant, tmp_path):
    written(tmp_path, '[bot]\nstrategy = "mine.py"\n')
    done = quant("config", "check")
    assert done.returncode == 4
    assert "quant.toml:2:1: bot.strategy: there is no file mine.py" in done.stderr


def test_what_is_shown_can_be_read_again(quant, tmp_path, monkeypatch):
    written(tmp_path, EXAMPLE.read_text())
    monkeypatch.setenv("QUANT__TUI__FPS", "2")
    monkeypatch.setenv("QUANT__NOTIFY__URLS", "tgram://token/chat")
    shown = quant("config", "show", "--origin").stdout
    assert "token" not in shown
    assert re.search(r'^urls = \["tgram://…"\] +# QUANT__NOTIFY__URLS$', shown, re.MULTILINE)
    assert re.search(r'^max_order = "200 USDT" +# quant.toml:\d+:1$', shown, re.MULTILINE)
    assert re.search(r'^level = "warn" +# default$', shown, re.MULTILINE)
    again = tmp_path / "again.toml"
    again.write_text(shown)
    assert load_config(again, env={}).limits == load_config(EXAMPLE, env={}).limits
    found = json.loads(quant("config", "show", "--origin", "-o", "json").stdout)
    assert found["values"]["tui"] == {"fps": 2}
    assert found["origins"]["tui.fps"] == "QUANT__TUI__FPS"


def test_the_path_is_one_line_for_programs(quant, tmp_path):
    assert quant("config", "path").stdout == f"{tmp_path}/quant.toml\n"
    assert json.loads(quant("config", "path", "-o", "json").stdout)["exists"] is False


def test_the_schema_knows_every_key(quant):
    schema = json.loads(quant("config", "schema").stdout)
    sections = schema["$defs"]["quant.toml"]["properties"]
    assert set(sections) == set(KINDS)
    limits = schema["$defs"]["limits"]
    assert limits["properties"]["max_order"] == {"type": "string", "examples": ["200 USDT"]}
    assert limits["additionalProperties"] is False
    assert schema["$defs"]["tui"]["properties"]["fps"] == {"type": "integer", "minimum": 1, "maximum": 10}


def test_a_value_is_set_and_all_else_stays(quant, tmp_path):
    path = written(tmp_path, EXAMPLE.read_text())
    before = path.read_text().splitlines()
    assert quant("config", "set", "limits.max_open=5").stdout == "quant.toml: limits.max_open = 5\n"
    after = path.read_text().splitlines()
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [
        (
            "max_open     = 10                        # orders at a time",
            "max_open     = 5                        # orders at a time",
        )
    ]
    assert quant("config", "set", "simulate.queue=volume").returncode == 0
    assert quant("config", "set", "notify.urls=json://here/secret").stdout.endswith('["json://…"]\n')
    config = load_config(path, env={})
    assert (config.limits.max_open, config.simulate.queue) == (5, "volume")
    assert config.notify.urls == ("json://here/secret",)
    assert len(path.read_text().splitlines()) == len(before) + 2


def test_a_value_is_set_where_there_is_no_file_or_no_section(quant, tmp_path):
    assert quant("config", "set", "limits.max_order=5 USDT").returncode == 0
    assert quant("config", "set", "tui.fps=9").returncode == 0
    assert (tmp_path / "quant.toml").read_text() == '[limits]\nmax_order = "5 USDT"\n\n[tui]\nfps = 9\n'


@pytest.mark.parametrize("setting", ["limits.max_opn=5", "limits.max_open=many", "limit.max_open=5"])
def test_what_would_be_a_mistake_is_not_set(quant, tmp_path, setting):
    assert quant("config", "set", setting).returncode == 4
    assert not (tmp_path / "quant.toml").exists()


def test_what_is_not_one_plain_line_is_left_to_its_author(quant, tmp_path):
    text = "limits = { max_open = 1 }\n"
    path = written(tmp_path, text)
    done = quant("config", "set", "limits.max_open=5")
    assert done.returncode == 4
    assert "max_open = 5" in done.stderr
    assert path.read_text() == text


def test_whoever_sets_what_the_environment_overrides_is_told(quant, monkeypatch):
    monkeypatch.setenv("QUANT__TUI__FPS", "2")
    assert "QUANT__TUI__FPS says otherwise" in quant("config", "set", "tui.fps=9").stderr


@given(
    st.sampled_from(["", "[a]\n", "[a]\nx = 1 # one\n\n[b]\ny = 'z'\n", "# c\n[b]\n\n# d\n"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y"]),
    st.one_of(st.integers(0, 9), st.text(max_size=5), st.lists(st.text(max_size=3), max_size=2)),
)
def test_setting_changes_one_value_and_no_comment(text, section, key, value):
    new = toml_lines.changed(text, section, key, value)
    before, after = toml_lines.parse(text), toml_lines.parse(new)
    assert after == before | {section: before.get(section, {}) | {key: value}}
    assert [line for line in text.splitlines() if line not in new.splitlines()] in (
        [],
        [f"{key} = 'z'"],
        ["x = 1 # one"],
    )
    assert ("# one" in new) == ("# one" in text)
