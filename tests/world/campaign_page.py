"""The page that a campaign writes: what was done, how often, and what came of it.  Knows no run."""

import datetime
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator

from .campaign import HUNT, ROOT, Results
from .marks import BREACHES, EXPECTED
from .mutants import MUTANTS, NOT_YET, UNHUNTED

Row = tuple[object, ...]


def page(results: Results) -> str:
    """The whole page, as Markdown."""
    parts = (_head, _runs, _crash_points, _violations, _mutants, _marks)
    return "\n".join(line for part in parts for line in (*part(results), "")) + "\n"


def _head(results: Results) -> Iterator[str]:
    swarm = results.swarm
    yield "# The campaign"
    yield ""
    yield "Written by the command below; whoever runs it gets the same figures, but for the time it takes."
    yield ""
    yield "```sh"
    yield f"make campaign RUNS={results.runs} SEED={results.seed}"
    yield "```"
    yield ""
    yield f"> {results.line}"
    yield ""
    bound = f"{3 / swarm.lifecycles:.1e}" if swarm.lifecycles and not results.violations else "–"
    yield from _table(
        ("", ""),
        (
            ("date", datetime.datetime.now(datetime.UTC).date().isoformat()),
            ("commit", _commit()),
            ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
            ("seeds", f"{results.seed} … {results.last_seed}"),
            ("time taken", f"{results.seconds / 60:.1f} min"),
            ("a broken promise per lifecycle, at 95 % (rule of three)", f"< {bound}"),
        ),
    )


def _runs(results: Results) -> Iterator[str]:
    swarm = results.swarm
    yield "## Lifecycles"
    yield ""
    yield (
        "A lifecycle is one wish, from its admission to its end. Each run draws which faults are on and how "
        "strong, then the faults stop, and everything must converge. Two runs of ten lean towards what some "
        "mutant needs, one is at an exchange as its manifest describes it; one, not counted above, is at an "
        "exchange that breaks a clause of its contract."
    )
    yield ""
    counts = (
        ("lifecycles with faults, contract kept", swarm.lifecycles),
        ("of these in worlds that lean", swarm.leaning),
        ("lifecycles in which nothing failed", swarm.calm),
        ("lifecycles at exchanges that break their contract", swarm.broken),
        ("runs", swarm.runs),
        ("virtual days", round(swarm.virtual_s / 86_400)),
        ("steps of the kernel", swarm.steps),
        ("promises checked", swarm.checked),
        ("crashes", swarm.crashes),
    )
    yield from _table(("what", "how often"), ((name, f"{number:,}") for name, number in counts))
    yield ""
    yield f"Faults: {_listed(swarm.faults.most_common())}."
    yield ""
    yield f"Lifecycles by exchange: {_listed(sorted(swarm.personalities.items()))}."


def _crash_points(results: Results) -> Iterator[str]:
    crashed = results.crashed
    yield "## Crash points, determinism"
    yield ""
    yield (
        f"{results.schedules:,} schedules were crashed at each of their {crashed.points:,} points (before "
        f"and after every commit, after every request), and at pairs of points, the second during recovery: "
        f"{crashed.runs:,} runs. {results.repeated:,} seeds were done twice in two processes with different "
        f"hash seeds: {len(results.unequal)} differ. "
        + (
            f"{results.algebra:,} orders of reports were merged, with equal outcomes."
            if results.algebra
            else ""
        )
    ).strip()


def _violations(results: Results) -> Iterator[str]:
    yield "## Violations"
    yield ""
    if not results.violations:
        yield "None."
        return
    by_name = Counter(finding.name for finding in results.violations)
    yield ", ".join(f"{name}: {number}" for name, number in by_name.most_common()) + "."
    for finding, file in zip(results.findings, results.files, strict=True):
        yield ""
        yield f"{finding.where}: {finding.name}, {finding.said} (`{file}`)"
        yield ""
        yield "```"
        yield from finding.told.splitlines()[-25:]
        yield "```"


def _mutants(results: Results) -> Iterator[str]:
    yield "## Mutants"
    yield ""
    yield (
        "Each is one slip in the real kernel, hunted in the worlds where it shows soonest for at most "
        f"{HUNT:,} lifecycles. It counts as caught if a promise breaks that the real kernel keeps at the "
        "same seed."
    )
    yield ""
    rows = (
        (
            mutant.name,
            mutant.shortcut.rstrip("."),
            hunt.invariant if hunt else "**not caught**",
            hunt.seed if hunt else "",
            f"{hunt.lifecycles:,}" if hunt else "",
        )
        for mutant, hunt in zip(MUTANTS, results.hunts, strict=True)
    )
    yield from _table(("mutant", "shortcut", "caught by", "seed", "lifecycles"), rows)
    yield ""
    yield "Not hunted, because the world has nothing yet that could notice them:"
    yield ""
    yield from _table(
        ("mutant", "shortcut", "what the world would need"),
        ((mutant.name, mutant.shortcut.rstrip("."), NOT_YET[mutant.name]) for mutant in UNHUNTED),
    )


def _marks(results: Results) -> Iterator[str]:
    swarm = results.swarm
    marks = swarm.marks + results.crashed.marks
    yield "## Marks"
    yield ""
    yield "How often what is interesting happened; a campaign that misses one has failed."
    yield ""
    counts = [(name, marks[name]) for name in EXPECTED]
    yield _listed(counts + [(name, swarm.breach_marks[name]) for name in BREACHES]) + "."


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return " · ".join(f"{name} {number:,}" for name, number in counts)


def _table(head: Row, rows: Iterable[Row]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"


def _commit() -> str:
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return told.stdout.strip() or "unknown"
