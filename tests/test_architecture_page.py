"""The page for newcomers names modules that exist, and leaves none of the heart out."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"\b((?:\w+/)?\w+\.py)\b", TEXT))
MODULES = [path.relative_to(ROOT / "quantcli").as_posix() for path in (ROOT / "quantcli").rglob("*.py")]


def test_every_module_it_names_exists():
    assert "engine.py" in {name.split("/")[-1] for name in NAMED}
    assert {name for name in NAMED if not any(f"/{m}".endswith(f"/{name}") for m in MODULES)} == set()


def test_it_names_every_module_of_kernel_and_store():
    heart = [m for m in MODULES if m.startswith(("kernel/", "store/")) and not m.endswith("__init__.py")]
    assert len(heart) > 15
    assert {m for m in heart if m.split("/")[1] not in {name.split("/")[-1] for name in NAMED}} == set()
