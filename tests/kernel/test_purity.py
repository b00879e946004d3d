"""The core is a function of its events: no clocks, no dice, nothing that hashing decides (I22, I29, P17)."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELLS = {"__init__.py", "api.py", "shell.py"}
CORE = sorted(path for path in (ROOT / "quantcli" / "kernel").glob("*.py") if path.name not in SHELLS)
IMPURE = {"time", "datetime", "random", "secrets", "uuid", "os", "asyncio", "threading", "socket", "sqlite3"}
SETS = {"set", "frozenset"}
# What these make of a set tells its order.
ORDERING = {"list", "tuple", "iter", "next", "enumerate", "map", "filter", "zip", "join", "extend"}


def impurities(text: str) -> Iterator[str]:
    """Lines that read a clock, roll dice or walk through a set."""
    tree = ast.parse(text)
    named = set(_sets(tree))
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else modules
            if {module.split(".")[0] for module in modules} & IMPURE:
                yield f"{line}: imports {modules}"
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"hash", "id"}
        ):
            yield f"{line}: {node.func.id}() is another in every process"
        for walked in _walked(node):
            if _is_set(walked, named):
                yield f"{line}: walks through a set"


def _sets(tree: ast.AST) -> Iterator[str]:
    """Names, of variables and attributes, that are given a set."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_set(node.value, set()):
            yield from (name for target in node.targets if (name := _name(target)))
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            annotation = node.annotation
            base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
            if isinstance(base, ast.Name) and base.id in SETS:
                yield node.arg if isinstance(node, ast.arg) else _name(node.target)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    """What a node goes through in order."""
    if isinstance(node, ast.For | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call) and _name(node.func) in ORDERING:
        yield from node.args
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        yield from [node.func.value] if node.func.attr == "pop" else []


def _is_set(node: ast.AST, named: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in SETS
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor) and (
            _is_set(node.left, named) or _is_set(node.right, named)
        )
    return bool(_name(node)) and _name(node) in named


@pytest.mark.parametrize(
    "offender",
    [
        "import time",
        "from datetime import datetime",
        "import random",
        "import os.path",
        "for x in {1, 2}: pass",
        "y = [x for x in set(z)]",
        "s = {f(x) for x in z}\nfor x in s: pass",
        "class A:\n    def f(self):\n        self.s: set[str] = set()\n        return list(self.s)",
        "def f(s: frozenset[str]):\n    return tuple(s)",
        "s = set()\ns.pop()",
        "a = {1}\nfor x in a - b: pass",
        "x = hash('a')",
    ],
)
def test_the_rule_sees_its_offender(offender):
    assert list(impurities(offender))


@pytest.mark.parametrize(
    "innocent",
    [
        "s = {1, 2}\nok = 1 in s",
        "s = {1}\nn = len(s)\nfor x in sorted(s): pass",
        "d = {'a': 1}\nfor x in d: pass",
        "for x in [1]: pass",
    ],
)
def test_the_rule_spares_whom_it_allows(innocent):
    assert list(impurities(innocent)) == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_reads_no_clock_rolls_no_dice_and_walks_through_no_set(path):
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


def test_a_run_is_the_same_under_every_hash_seed():
    """P17, I29: the same events give the same commits in another process."""
    traces = {
        subprocess.run(
            [sys.executable, "-c", "from tests.kernel.test_purity import trace; print(trace())"],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(traces) == 1
    assert len(traces.pop()) > 60


def trace() -> str:
    """Digest of what a busy life makes the core commit and send."""
    import hashlib

    from quantcli.kernel.steps import Halt, Halted
    from quantcli.model.instrument import Side
    from quantcli.model.message import Cancel, Lookup, Survey
    from quantcli.model.order import OrderStatus
    from tests.kernel.by_hand import TOTAL, ByHand, done

    bench = ByHand(TOTAL).synced()
    for number in range(12):
        intent_id, client_id = bench.place(side=Side.BUY if number % 2 else Side.SELL)
        if number % 3:
            bench.accept(client_id)
            bench.modify(intent_id, "7", str(90 + number), side=Side.BUY if number % 2 else Side.SELL)
        else:
            bench.silence(client_id)
        if number % 4 == 1:
            fill = bench.trade(client_id, "2", side=Side.BUY if number % 2 else Side.SELL)
            bench.show(client_id, OrderStatus.PARTIALLY_FILLED, "2", fill)
    sent = []
    for _ in range(60):
        bench.wait(0.5)
        sent += [request for request in bench.sent if not isinstance(request, Cancel | Lookup | Survey)]
        bench.answer_all()
    bench.boot()
    bench.step(Halt(Halted.FLAT, "test"))
    bench.wait(30)
    told = [*sent, *bench.events, *bench.sent, *done(bench.store.journal()), *done(bench.store.markets())]
    return hashlib.sha256("\n".join(map(repr, told)).encode()).hexdigest()
