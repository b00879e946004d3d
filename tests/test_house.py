"""The house rules, checked by a machine: form of modules, purity of rooms, layers, words of the documents.

Each rule is a function from a source to its offences, tried here on an offender first, so that a rule that
has gone blind is noticed.
"""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quantcli.cli import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((ROOT / "quantcli").rglob("*.py"))
SOURCES = [
    path
    for folder in ("quantcli", "strategies", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if ".data" not in path.parts  # what the benches installed and made
]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

MODULE_LINES = 400
FUNCTION_LINES = 70
# What waits for nothing, so that it can be tried out anywhere: whole rooms, and in those with sockets what
# decides beside what connects.
PURE = re.compile(
    r"quantcli/(model|codecs|simulation|recording)/"
    r"|quantcli/kernel/(?!api|shell)\w+\.py"
    r"|quantcli/venues/(capabilities|classify|error_body|ids|manifest|verdict|binance/(calls|spot|survey))"
    r"|quantcli/sandbox/(dispatch|engine|exchange|ledger|public_data|queries|shapes|venue_account"
    r"|(spot|futures|faults|streams)/)"
)
BANNED_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "base"}
# Where the machine's time may be read, and where errors of every kind may end.
READS_TIME = re.compile(r"quantcli/(clock\.py|runtime/|cli/)|bench/")
ENDS_ERRORS = re.compile(
    r"quantcli/(runtime/|cli/app\.py|kernel/(subscribers|shell)\.py|store/writer\.py)|bench/"
)
WALL_CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work|mnt|srv)/\w")
# Folders whose files are not ours to read; of the hidden ones only .ci holds our own.
SKIPPED_FOLDERS = re.compile(r"(\.(?!ci/)[^/]*|runs|build|dist|__pycache__)/")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def long_parts(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > MODULE_LINES:
        yield f"{path}: {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines"


def missing_docstring(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    if text.strip() and not ast.get_docstring(tree):
        yield f"{path}: what is this module responsible for?"


def banned_names(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    words = set(re.split(r"[/_.]", path))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            words |= {word.lower() for word in re.findall(r"[A-Z]+[a-z]*", node.name)}
    for word in sorted(words & BANNED_WORDS):
        yield f"{path}: {word!r} says nothing"


def asynchrony(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    if not PURE.match(path):
        return
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for node in ast.walk(tree):
        if isinstance(node, waiting) or (isinstance(node, ast.Name) and node.id == "asyncio"):
            yield f"{path}:{node.lineno}: a pure room does not wait"


def impurity(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    seeded_here = path.startswith(("quantcli/simulation/", "quantcli/sandbox/", "quantcli/runtime/"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"time", "random"}:
            named = {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named = {(node.value.id, node.attr)}
        else:
            continue
        if named & WALL_CLOCKS and not READS_TIME.match(path):
            yield f"{path}:{node.lineno}: only clock.py and the shells read the machine's time"
        if any(
            module == "random" and (name != "Random" or not seeded_here) for module, name in named
        ) and not path.startswith("bench/"):
            yield f"{path}:{node.lineno}: only exchanges imagined and pauses roll dice, seeded ones"


def swallowed_errors(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    if ENDS_ERRORS.match(path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            kinds = [kind.id for kind in ast.walk(node.type or ast.Name("")) if isinstance(kind, ast.Name)]
            if {"", "Exception", "BaseException"} & set(kinds):
                yield f"{path}:{node.lineno}: only shells end every error; others raise it on"


def mocks(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        if any(module.startswith(("unittest.mock", "mock")) for module in modules):
            yield f"{path}:{node.lineno}: a fake at a port instead"


Rule = Callable[[str, ast.Module, str], Iterator[str]]


def offences(rule: Rule, paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        found += rule(name_of(path), ast.parse(text), text)
    return found


OFFENDERS: list[tuple[Rule, str, str]] = [
    (long_parts, "quantcli/a.py", "x = 1\n" * (MODULE_LINES + 1)),
    (long_parts, "quantcli/a.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES),
    (missing_docstring, "quantcli/a.py", "x = 1\n"),
    (banned_names, "quantcli/store/sqlite_utils.py", ""),
    (banned_names, "quantcli/a.py", "class OrderManager: ...\n"),
    (asynchrony, "quantcli/kernel/core.py", "async def step(): ...\n"),
    (asynchrony, "quantcli/codecs/a.py", "import asyncio\nasyncio.run(f())\n"),
    (impurity, "quantcli/trading/a.py", "import time\nnow = time.time_ns()\n"),
    (impurity, "quantcli/trading/a.py", "from time import time\n"),
    (impurity, "quantcli/trading/a.py", "import datetime\nnow = datetime.now()\n"),
    (impurity, "quantcli/trading/a.py", "import random\ndice = random.Random(1)\n"),
    (impurity, "quantcli/simulation/a.py", "import random\nx = random.random()\n"),
    (swallowed_errors, "quantcli/trading/a.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    (swallowed_errors, "quantcli/trading/a.py", "try:\n    f()\nexcept:\n    pass\n"),
    (mocks, "tests/a.py", "from unittest import mock\n"),
    (mocks, "tests/a.py", "import unittest.mock\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), OFFENDERS)
def test_a_rule_sees_its_offender(rule, path, text):
    assert list(rule(path, ast.parse(text), text))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (impurity, "quantcli/simulation/a.py", "import random\ndice = random.Random(1)\n"),
        (impurity, "quantcli/clock.py", "import time\nnow = time.time_ns()\n"),
        (asynchrony, "quantcli/kernel/shell.py", "async def run(): ...\n"),
        (
            swallowed_errors,
            "quantcli/trading/a.py",
            "try:\n    f()\nexcept Exception:\n    raise E from None\n",
        ),
        (swallowed_errors, "quantcli/cli/app.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    ],
)
def test_a_rule_spares_whom_it_allows(rule, path, text):
    assert not list(rule(path, ast.parse(text), text))


@pytest.mark.parametrize("rule", [long_parts, missing_docstring, banned_names, impurity, swallowed_errors])
def test_the_sources_keep_the_rule(rule):
    assert offences(rule, SOURCES) == []


def test_pure_rooms_do_not_wait():
    assert offences(asynchrony, PACKAGE) == []


@pytest.mark.parametrize("rule", [missing_docstring, mocks])
def test_the_tests_keep_the_rule(rule):
    assert offences(rule, TESTS) == []


def text_files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        readable = path.suffix in {"", ".md", ".py", ".toml", ".txt", ".yml"}
        if readable and not SKIPPED_FOLDERS.search(name_of(path)) and path.is_file():
            yield path


def test_no_file_names_a_path_of_one_machine():
    assert MACHINE_PATH.search("see " + "/".join(("", "home", "me", "x")))
    found = [
        f"{name_of(path)}:{number}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_imports_point_down():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def commands(document: str) -> Iterator[list[str]]:
    """The words of each `quant` and `make` command in the shell blocks of a Markdown text."""
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", document, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.split(r"[|>;]|&&", line.removeprefix("$ "))[0]
            if command.startswith(("quant ", "make ")):
                yield shlex.split(command, comments=True)


def unknown_words(words: list[str]) -> list[str]:
    """The verbs, flags or targets of a command that do not exist."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return [word for word in words[1:] if "=" not in word and word not in targets]
    verbs = [word for word in words[1:2] if not word.startswith("-")]
    if verbs and verbs[0] not in app.VERBS:
        return verbs
    commands = [app.load(verb) for verb in verbs] or [app.get_command(app.app)]
    for word in words[2:3]:
        below = getattr(commands[0], "commands", {})
        if below and not word.startswith("-") and word not in below:
            return [word]
        commands += [below[word]] if word in below else below.values()
    flags = {flag for each in commands for parameter in each.params for flag in parameter.opts}
    flags |= {flag for each in commands for parameter in each.params for flag in parameter.secondary_opts}
    used = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
    return [flag for flag in used if flag not in flags | {"--help"}]


def test_a_command_that_does_not_exist_is_noticed():
    block = "quant orders why abc -o json  # why\nquant frobnicate \\\n  --now\nmake everything | tee log"
    told = list(commands(f"```sh\n{block}\n```\n"))
    assert told[1:] == [["quant", "frobnicate", "--now"], ["make", "everything"]]
    assert [unknown_words(words) for words in told] == [[], ["frobnicate"], ["everything"]]
    assert unknown_words(["quant", "orders", "list", "--alll"]) == ["--alll"]
    assert unknown_words(["quant", "orders", "lost"]) == ["lost"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_the_commands_in_the_documents_exist(document):
    told = list(commands(document.read_text(encoding="utf-8")))
    assert [(words, unknown) for words in told if (unknown := unknown_words(words))] == []
