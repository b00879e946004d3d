"""From a file to a strategy class, and from an author's mistake to file, line and remedy.

    load_strategy("touch_maker.py")            the only strategy in the file
    load_strategy("mine.py:Breakout")          one of several

The file is run as it is: its folder is importable meanwhile, so helper modules may lie beside it.
Knows nothing of what a strategy does once it runs.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from quantcli.errors import NotFoundError, QuantError, StrategyError, ValidationError
from quantcli.model.instrument import Symbol
from quantcli.trading.blame import place, raising_line
from quantcli.trading.strategy import Strategy

# Distributions whose name is not that of the module they bring.
_DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "talib": "TA-Lib",
    "yaml": "PyYAML",
    "dateutil": "python-dateutil",
}


def load_strategy(reference: str | os.PathLike[str]) -> type[Strategy]:
    """The strategy class in a file.

    Raises `NotFoundError` where there is no such file or class, `StrategyError` for everything that is
    wrong inside it.
    """
    text = os.fspath(reference)
    head, colon, wanted = text.rpartition(":")
    path = Path(head if colon and head.endswith(".py") else text)
    if not path.is_file():
        raise _no_file(path)
    classes = _strategies(_run(path))
    kind = _named(path, classes, wanted) if colon and head.endswith(".py") else _only(path, classes)
    _check_symbols(path, kind)
    return kind


def check_beginning(kind: type[Strategy], params: Mapping[str, str]) -> None:
    """See that a strategy can be made and takes these parameters, before anything is opened for it.

    Raises `StrategyError`, `UsageError`.
    """
    try:
        strategy = kind()
    except (Exception, SystemExit) as error:  # an author's __init__ may raise anything
        raise strategy_error(error, kind) from error
    strategy.apply_params(params)


def _only(path: Path, classes: list[type[Strategy]]) -> type[Strategy]:
    if len(classes) == 1:
        return classes[0]
    if not classes:
        raise StrategyError(
            f"{path} defines no strategy",
            why="no class in it is a subclass of quantcli.Strategy",
            todo="write class Mine(Strategy): with a desired, or hooks like on_tick",
        )
    names = ", ".join(c.__name__ for c in classes)
    raise StrategyError(
        f"{path} defines {len(classes)} strategies: {names}",
        todo=f"say which one: {path}:{classes[0].__name__}",
    )


def strategy_error(error: BaseException, strategy: Strategy | type[Strategy]) -> StrategyError:
    """What a strategy's code raised, as an error that names file and line in the author's file."""
    if isinstance(error, StrategyError):
        return error
    kind = strategy if isinstance(strategy, type) else type(strategy)
    home = getattr(sys.modules.get(kind.__module__), "__file__", None) or os.getcwd()
    line, text = raising_line(error, os.path.dirname(os.path.abspath(home)))
    what = f"{kind.__name__} raised {type(error).__name__}: {error}"
    return StrategyError(f"{line}: {what}" if line else what, why=text, todo=_suggestion(error))


def _no_file(path: Path) -> NotFoundError:
    if path.is_dir():
        found = sorted(p.name for p in path.glob("*.py"))
        return NotFoundError(
            f"{path} is a folder, not a strategy file",
            why="it holds " + ", ".join(found) if found else "it holds no .py file",
            todo=f"name the file: {path / found[0]}" if found else "",
        )
    beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=1)
    return NotFoundError(
        f"there is no strategy file {path}",
        todo=f"did you mean {path.parent / near[0]}?" if near else "check the path",
    )


def _run(path: Path) -> ModuleType:
    filename = str(path.resolve())
    module = ModuleType(f"quantcli_strategy_{path.stem}")
    module.__file__ = filename
    source = path.read_bytes()
    sys.modules[module.__name__] = module
    try:
        # Compiled here and not imported: a stale .pyc can never run instead of the file.
        code = compile(source, filename, "exec")
        with _importable(path.resolve().parent):
            exec(code, module.__dict__)
    except (Exception, SystemExit) as error:  # an author's file may raise anything
        del sys.modules[module.__name__]
        raise _cannot_load(error, path) from error
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _cannot_load(error: BaseException, path: Path) -> QuantError:
    if isinstance(error, StrategyError):
        return error
    if isinstance(error, SyntaxError):
        at = place(error.filename or str(path), error.lineno or 0)
        return StrategyError(f"{at}: {error.msg}", why=(error.text or "").strip(), todo="correct the line")
    line, text = raising_line(error, str(path.resolve().parent))
    where = line or str(path)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return StrategyError(
            f"{where}: there is no module {error.name!r} where quant runs",
            why=f"quant runs in {sys.prefix}",
            todo=_install(error.name.partition(".")[0]),
        )
    return StrategyError(
        f"{where}: {type(error).__name__}: {error}", why=text, todo=_suggestion(error) or "correct the line"
    )


def _install(module: str) -> str:
    """The command that brings a module into this very environment, which may have no pip of its own."""
    name = _DISTRIBUTIONS.get(module, module)
    if importlib.util.find_spec("pip") is None:
        return f"uv pip install --python {sys.executable} {name}"
    return f"{sys.executable} -m pip install {name}"


def _suggestion(error: BaseException) -> str:
    """The nearest name there is, for a name there is not."""
    if isinstance(error, TypeError) and "__init__()" in str(error):
        return "take no arguments in __init__: what can be set is a Param of the class"
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        names = [n for n in dir(error.obj) if not n.startswith("_")]
    elif isinstance(error, ImportError) and error.name in sys.modules:
        names = dir(sys.modules[error.name])
    else:
        return ""
    wanted = (
        error.name if isinstance(error, AttributeError) else str(error).partition("'")[2].partition("'")[0]
    )
    near = get_close_matches(wanted, names, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _check_symbols(path: Path, kind: type[Strategy]) -> None:
    names: object = kind.symbols
    try:
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ValidationError(f"symbols is {names!r}")
        for name in names:
            Symbol.parse(name)
    except ValidationError as error:
        raise StrategyError(
            f"{path}: {error.what}", why=error.why, todo='write them like symbols = ["BTC/USDT"]'
        ) from None


def _strategies(module: ModuleType) -> list[type[Strategy]]:
    """The strategies defined in the file itself; a class that another one extends is not meant."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]
    return [c for c in found if not any(c is not other and issubclass(other, c) for other in found)]


def _named(path: Path, classes: list[type[Strategy]], wanted: str) -> type[Strategy]:
    for kind in classes:
        if kind.__name__ == wanted:
            return kind
    names = [c.__name__ for c in classes]
    near = get_close_matches(wanted, names, n=1)
    raise NotFoundError(
        f"{path} defines no strategy {wanted}",
        why="it defines " + (", ".join(names) or "none"),
        todo=f"did you mean {path}:{near[0]}?" if near else "",
    )
