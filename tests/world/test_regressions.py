"""Every run that once broke a promise goes well now, and goes on going well."""

import pytest

from tests.world.choices import Drawn
from tests.world.regressions import FOLDER, Regression, load, replay, write
from tests.world.run import Outcome, run
from tests.world.workers import Finding, Settings

KEPT = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_broke_once_holds(path):
    kept = load(path)
    assert kept.taught
    assert isinstance(ended := replay(kept), Outcome), f"{kept.taught}\n{ended}"


def test_a_finding_is_written_so_that_it_can_be_done_again(tmp_path):
    done = run(Drawn(5))
    finding = Finding("seed 5 crashed at (7,)", "I1", "two live orders", done.tape, Settings(), "a story")
    path = tmp_path / write(finding, tmp_path)
    assert path.name == "I1-seed-5-crashed-at-7.json"
    assert path.with_suffix(".txt").read_text(encoding="utf-8") == "I1: two live orders\n\na story\n"
    kept = load(path)
    assert kept == Regression("I1: two live orders", "I1", done.tape, Settings())
    again = replay(kept)
    assert isinstance(again, Outcome)
    assert again.digest == done.digest
