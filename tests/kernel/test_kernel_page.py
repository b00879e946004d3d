"""The state table in the documentation is the state table of the code."""

from pathlib import Path

from quantcli.kernel.lifecycle import TRANSITIONS, Seen
from quantcli.model.order import AttemptState

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kernel.md"


def documented():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| seen "))
    states = [AttemptState(cell.strip()) for cell in lines[start].strip("|").split("|")[1:]]
    table = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        seen, *targets = (cell.strip() for cell in line.strip("|").split("|"))
        for source, target in zip(states, targets, strict=True):
            if target != "–":
                table[source, Seen(seen)] = AttemptState(target)
    return table


def test_the_documented_state_table_is_the_one_in_force():
    assert documented() == TRANSITIONS
