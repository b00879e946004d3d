"""What a new project gets, and that it works as it is."""

from pathlib import Path

import pytest

from quantcli.cli.init import config_text, template

EXAMPLES = Path(__file__).resolve().parents[2] / "strategies"


def test_a_project_begins_with_three_files_that_are_right(quant, tmp_path):
    done = quant("init", "mm-eth")
    root = tmp_path / "mm-eth"
    assert done.returncode == 0, done.stderr
    assert {path.name for path in root.iterdir()} == {"quant.toml", "mystrat.py", ".gitignore"}
    assert "cd mm-eth" in done.stderr
    assert done.stderr.count("\n  quant ") == 3
    assert quant("config", "check", cwd=root).stdout == "quant.toml: nothing is wrong\n"
    assert 'name = "mm-eth"' in quant("config", "show", cwd=root).stdout
    assert ".env" in (root / ".gitignore").read_text().splitlines()


def test_its_strategy_trades(quant, tmp_path, walk):
    quant("init")
    done = quant("simulate", "--from", str(walk), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "mystrat.py:TouchMaker" in done.stdout


def test_the_strategy_is_the_one_that_the_readme_shows():
    assert template("mystrat.py") == (EXAMPLES / "touch_maker.py").read_text()


@pytest.mark.parametrize("name", ["quant.toml", "mystrat.py"])
def test_nothing_is_overwritten(quant, tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = quant("init")
    assert done.returncode == 8
    assert f"{name} is there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_gitignore_that_is_there_stays(quant, tmp_path):
    (tmp_path / ".gitignore").write_text("mine")
    assert quant("init").returncode == 0
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_a_folder_that_cannot_name_a_bot(quant, tmp_path):
    assert quant("init", "my bots").returncode == 0
    assert 'name     = "bot" ' in (tmp_path / "my bots" / "quant.toml").read_text()


def test_a_file_in_the_place_of_the_folder(quant, tmp_path):
    (tmp_path / "here").touch()
    assert quant("init", "here").returncode == 2


def test_long_names_push_their_remark_aside():
    name = "a-bot-whose-name-needs-more-room-than-there-is"
    assert f'name     = "{name}" # its files are called so: .quant/{name}.db' in config_text(name)
