"""The page of faults tells the truth: every scenario has its place, and the tests it names know its name."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ALL = {"N": 24, "V": 40, "P": 18, "D": 15, "K": 7, "O": 20, "R": 6, "M": 7, "H": 20}
NUMBER = re.compile(r"(?<![A-Za-z0-9_])([NVPDKORMH]\d{1,2})(?![0-9A-Za-z])")
IN_NAMES = re.compile(r"def test_((?:[nvpdkormh]\d{1,2}_)+)")


def named_in(text: str) -> set[str]:
    in_names = {n.upper() for found in IN_NAMES.findall(text) for n in found.strip("_").split("_")}
    return set(NUMBER.findall(text)) | in_names


def test_each_test_names_the_scenarios_that_the_page_says_it_shows():
    rows = re.findall(r"^\| `(tests/\S+)` \| ([^|]+) \|$", PAGE, re.M)
    assert len(rows) > 10
    for path, numbers in rows:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert set(numbers.split()) - named_in(text) == set(), path


def test_no_scenario_is_forgotten():
    every = {f"{kind}{number}" for kind, most in ALL.items() for number in range(1, most + 1)}
    assert len(every) == 157
    assert set(NUMBER.findall(PAGE)) == every
