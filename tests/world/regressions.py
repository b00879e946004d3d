"""Runs that once broke a promise, kept as tapes: `tests/world/regressions/*.json`.

    write(finding) -> file        beside the story of it, where the campaign's findings go
    load(path) -> Regression      replay(regression) does it again

A tape keeps the choices of each label apart, so it goes on meaning much the same while the world changes a
little; where it means nothing any more it is one more ordinary run.
"""

from pathlib import Path

import msgspec

from .choices import Replayed, Tape
from .run import Outcome
from .violation import Violation
from .workers import Finding, Settings, played

FOLDER = Path(__file__).with_name("regressions")
FOUND = Path("runs") / "campaign"


class Regression(msgspec.Struct, frozen=True):
    """`taught` says what was wrong, `broke` which promise broke then."""

    taught: str
    broke: str
    tape: Tape
    settings: Settings = Settings()


def write(finding: Finding, folder: Path = FOUND) -> str:
    """Write a finding where it can be taken from to become a regression; the story lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join((finding.name, *finding.where.replace("(", "").replace(")", "").replace(",", "").split()))
    kept = Regression(f"{finding.name}: {finding.said}", finding.name, finding.tape, finding.settings)
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    path.with_suffix(".txt").write_text(f"{kept.taught}\n\n{finding.told}\n", encoding="utf-8")
    return str(path)


def load(path: Path) -> Regression:
    """A regression from its file."""
    return msgspec.json.decode(path.read_bytes(), type=Regression)


def replay(regression: Regression) -> Outcome | Violation:
    """Do it again; a promise that breaks comes back as it was raised."""
    return played(Replayed(regression.tape), regression.settings)[1]
