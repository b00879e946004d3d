"""From a file to a strategy class, and what an author's mistake is answered with."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from quantcli.errors import NotFoundError, StrategyError, UsageError
from quantcli.trading.loader import check_beginning, load_strategy, strategy_error

Write = Callable[..., Path]
HEAD = "from quantcli import Strategy\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


def test_the_only_strategy_is_found(write: Write) -> None:
    path = write(HEAD + "class Mine(Strategy): pass\n")
    assert load_strategy(str(path)).__name__ == "Mine"
    assert load_strategy(path).__name__ == "Mine"
    assert load_strategy(f"{path}:Mine").__name__ == "Mine"


def test_a_class_that_another_extends_is_not_meant(write: Write) -> None:
    path = write(HEAD + "class Base(Strategy): pass\nclass Mine(Base): pass\n")
    assert load_strategy(path).__name__ == "Mine"
    assert load_strategy(f"{path}:Mine").__name__ == "Mine"


def test_an_edited_file_is_read_again(write: Write) -> None:
    assert load_strategy(write(HEAD + "class One(Strategy): pass\n")).__name__ == "One"
    assert load_strategy(write(HEAD + "class Two(Strategy): pass\n")).__name__ == "Two"


def test_modules_beside_the_file_are_importable_while_it_loads(write: Write, tmp_path: Path) -> None:
    write("FACTOR = 3\n", "beside_mine.py")
    path = write(HEAD + "from beside_mine import FACTOR\nclass Mine(Strategy):\n    factor = FACTOR\n")
    assert load_strategy(path).factor == 3  # type: ignore[attr-defined]
    assert str(tmp_path) not in sys.path


class TestMistakes:
    def test_no_such_file(self, write: Write) -> None:
        path = write(HEAD, "touch_maker.py")
        with pytest.raises(NotFoundError, match="there is no strategy file") as caught:
            load_strategy(str(path).replace("maker", "marker"))
        assert "touch_maker.py" in caught.value.todo

    def test_a_folder(self, write: Write, tmp_path: Path) -> None:
        write(HEAD)
        with pytest.raises(NotFoundError, match="is a folder") as caught:
            load_strategy(tmp_path)
        assert "mine.py" in caught.value.todo

    def test_no_strategy(self, write: Write) -> None:
        with pytest.raises(StrategyError, match="defines no strategy"):
            load_strategy(write(HEAD))

    def test_several_strategies(self, write: Write) -> None:
        path = write(HEAD + "class A(Strategy): pass\nclass B(Strategy): pass\n")
        with pytest.raises(StrategyError, match="2 strategies: A, B") as caught:
            load_strategy(path)
        assert f"{path}:A" in caught.value.todo
        assert load_strategy(f"{path}:B").__name__ == "B"

    def test_a_class_that_is_not_there(self, write: Write) -> None:
        path = write(HEAD + "class Breakout(Strategy): pass\n")
        with pytest.raises(NotFoundError, match="no strategy Brakeout") as caught:
            load_strategy(f"{path}:Brakeout")
        assert caught.value.todo == f"did you mean {path}:Breakout?"

    def test_a_syntax_error(self, write: Write) -> None:
        path = write(HEAD + "class Mine(Strategy)\n    pass\n")
        with pytest.raises(StrategyError, match=r"mine\.py:2: expected ':'") as caught:
            load_strategy(path)
        assert caught.value.why == "class Mine(Strategy)"

    def test_a_missing_module(self, write: Write) -> None:
        path = write(HEAD + "\nimport talib_nowhere.abstract\n")
        with pytest.raises(StrategyError, match=r"mine\.py:3: there is no module 'talib_nowhere'") as caught:
            load_strategy(path)
        assert (
            caught.value.todo.endswith("pip install talib_nowhere") or "uv pip install" in caught.value.todo
        )
        assert sys.executable in caught.value.todo

    def test_a_module_whose_distribution_is_called_otherwise(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "sklearn", None)
        with pytest.raises(StrategyError) as caught:
            load_strategy(write("import sklearn\n"))
        assert caught.value.todo.endswith(" scikit-learn")

    def test_a_misspelt_import(self, write: Write) -> None:
        with pytest.raises(StrategyError, match=r"mine\.py:1: ImportError") as caught:
            load_strategy(write("from quantcli import Stratgy\n"))
        assert caught.value.todo == "did you mean Strategy?"

    def test_raising_at_import(self, write: Write) -> None:
        path = write(HEAD + "size = 1 / 0\n")
        with pytest.raises(StrategyError, match=r"mine\.py:2: ZeroDivisionError: division by zero") as caught:
            load_strategy(path)
        assert caught.value.why == "size = 1 / 0"

    def test_our_own_complaints_pass_through(self, write: Write) -> None:
        text = HEAD + "class Mine(Strategy):\n    def on_tik(self, tick): pass\n"
        with pytest.raises(StrategyError, match=r"mine\.py:3: on_tik is not a hook"):
            load_strategy(write(text))

    def test_a_file_that_failed_leaves_nothing_behind(self, write: Write, tmp_path: Path) -> None:
        with pytest.raises(StrategyError):
            load_strategy(write("1 / 0\n", "left.py"))
        assert "quantcli_strategy_left" not in sys.modules
        assert str(tmp_path) not in sys.path


class TestRaisingLater:
    def failing(self, write: Write, body: str, argument: object = None) -> StrategyError:
        """The error for a `on_start` that raises in its body."""
        text = f"{HEAD}class Mine(Strategy):\n    def on_start(self, m):\n        {body}\n"
        strategy = load_strategy(write(text))()
        try:
            strategy.on_start(argument)  # type: ignore[call-arg]
        except Exception as error:
            return strategy_error(error, strategy)
        raise AssertionError("it did not raise")

    def test_it_names_file_line_and_what_was_written(self, write: Write) -> None:
        error = self.failing(write, "return 1 / 0")
        assert str(error).endswith("mine.py:4: Mine raised ZeroDivisionError: division by zero")
        assert error.why == "return 1 / 0"

    def test_it_names_the_authors_line_not_the_librarys(self, write: Write) -> None:
        assert "mine.py:4" in str(self.failing(write, "import json; json.loads('nonsense')"))

    def test_a_misspelt_attribute_is_told_the_nearest(self, write: Write) -> None:
        error = self.failing(write, "return m.best_bit", SimpleNamespace(best_bid=1.0, spread=2.0))
        assert error.todo == "did you mean best_bid?"

    def test_a_helper_beside_the_file_is_the_authors_too(self, write: Write) -> None:
        write("def fail():\n    raise ValueError('no')\n", "helps_mine.py")
        text = (
            HEAD
            + "import helps_mine\nclass Mine(Strategy):\n    def on_stop(self):\n        helps_mine.fail()\n"
        )
        strategy = load_strategy(write(text))()
        with pytest.raises(ValueError, match="no") as caught:
            strategy.on_stop()
        error = strategy_error(caught.value, strategy)
        assert "helps_mine.py:2" in str(error)

    def test_an_error_that_is_ours_already_stays_as_it_is(self, write: Write) -> None:
        strategy = load_strategy(write(HEAD + "class Mine(Strategy): pass\n"))()
        ours = StrategyError("mine.py:3: two wishes")
        assert strategy_error(ours, strategy) is ours


class TestWhatIsSeenBeforeAnythingRuns:
    def test_a_file_that_leaves_python(self, write: Write) -> None:
        with pytest.raises(StrategyError, match=r"mine\.py:2: SystemExit: 3"):
            load_strategy(write("import sys\nsys.exit(3)\n"))

    @pytest.mark.parametrize(
        ("symbols", "what"),
        [
            ('"BTC/USDT"', "symbols is 'BTC/USDT'"),
            ("5", "symbols is 5"),
            ("[5]", "symbols is [5]"),
            ('["BTCUSDT"]', "'BTCUSDT' is not a symbol"),
        ],
    )
    def test_symbols_that_are_none(self, write: Write, symbols: str, what: str) -> None:
        path = write(HEAD + f"class Mine(Strategy):\n    symbols = {symbols}\n")
        with pytest.raises(StrategyError) as caught:
            load_strategy(path)
        assert caught.value.what == f"{path}: {what}"
        assert "BTC/USDT" in caught.value.todo

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            ("def __init__(self): raise ValueError('no')", "ValueError: no"),
            ("def __init__(self): raise SystemExit(1)", "SystemExit: 1"),
        ],
    )
    def test_a_strategy_that_cannot_be_made(self, write: Write, body: str, what: str) -> None:
        kind = load_strategy(write(HEAD + f"class Mine(Strategy):\n    {body}\n"))
        with pytest.raises(StrategyError, match=rf"mine\.py:3: Mine raised {what}"):
            check_beginning(kind, {})

    def test_a_strategy_that_wants_arguments(self, write: Write) -> None:
        kind = load_strategy(write(HEAD + "class Mine(Strategy):\n    def __init__(self, n): pass\n"))
        with pytest.raises(StrategyError, match="Mine raised TypeError") as caught:
            check_beginning(kind, {})
        assert "Param" in caught.value.todo

    def test_parameters_are_read(self, write: Write) -> None:
        kind = load_strategy(write(HEAD + "class Mine(Strategy): pass\n"))
        check_beginning(kind, {})
        with pytest.raises(UsageError, match="no parameter 'n'"):
            check_beginning(kind, {"n": "1"})
