"""Nothing but the risk gate can approve an order: nobody else in the package so much as names the maker."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import quantcli

ROOT = Path(quantcli.__file__).parent
MAKER = "trading/risk.py"
# Ways to make a struct without calling its class by name.
BACK_DOORS = {"convert", "replace", "__new__", "decode"}


def makers(source: str) -> Iterator[int]:
    """Lines of `source` that construct an `Approved`, under its own or an assumed name."""
    tree = ast.parse(source)
    names = {"Approved"} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == "Approved" and alias.asname
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_named(node.value, names):
            yield node.lineno
        elif isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            by_back_door = _name(node.func) in BACK_DOORS and any(_is_named(v, names) for v in given)
            if by_back_door or _is_named(node.func, names):
                yield node.lineno


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _is_named(node: ast.expr, names: set[str]) -> bool:
    return _name(node) in names


def test_only_the_risk_gate_makes_an_approved_order() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): list(makers(path.read_text("utf-8")))
        for path in sorted(ROOT.rglob("*.py"))
    }
    assert {path for path, lines in found.items() if lines} == {MAKER}
    assert len(found[MAKER]) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from quantcli.ports import Approved\nApproved(order, {})",
        "from quantcli.ports import Approved as A\nA(order, {})",
        "import quantcli.ports\nquantcli.ports.Approved(order=o, metadata={})",
        "make = ports.Approved",
        "msgspec.convert(raw, type=Approved)",
        "msgspec.json.decode(raw, type=ports.Approved)",
    ],
)
def test_the_search_sees_every_way_of_making_one(source: str) -> None:
    assert list(makers(source))
