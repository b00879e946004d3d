"""What one process of a campaign does: pure functions of seeds, so that any process gives the same answer.

    swarm(task)      runs of some seeds, counted        crashes(task)   one schedule, crashed at every point
    hunted(task)     one mutant, hunted                 shrunk(finding) the shortest tape that fails alike
    digest(seed)     the hash of one run

A `Finding` is a run that broke a promise, with all that is needed to do it again.
"""

from collections import Counter
from random import Random

import msgspec

from quantcli.errors import InvariantError

from .audit import Audit
from .choices import Choices, Drawn, Replayed, Tape
from .mutants import MUTANTS, Caught, caught
from .mutants.scenery import Scenery
from .run import Outcome, play, prepare
from .shipped import personalities
from .shrink import shrink
from .story import story
from .violation import Violation
from .world import World

# Faults by the label of the choice that brings one about: any value but 0.
FAULTS = {
    "net.there": "requests lost or never sent",
    "net.cut": "requests cut off",
    "net.back": "answers lost",
    "net.twice": "answers and questions doubled",
    "net.stream": "stream messages lost",
    "net.again": "stream messages doubled",
    "net.quiet": "time-outs nobody told of",
    "venue.busy": "busy refusals",
    "venue.refused": "refusals for good",
    "venue.lags": "answers from a copy that lags",
    "venue.blind": "orders hidden from look-ups",
    "venue.late_fill": "trades told late",
    "venue.engine": "requests waiting in the engine",
    "venue.breach": "clauses broken",
    "market.external": "orders cancelled by strangers",
    "run.foreign": "strangers' orders",
    "run.transfer": "transfers",
    "disk.slow": "slow commits",
}
SHRINKING = 600


class Settings(msgspec.Struct, frozen=True):
    """How a run is done, beside its choices; `shipped` names the exchange, if it is one with a manifest."""

    breaks: bool = False
    acts: int = 0
    crash_at: tuple[int, ...] | None = None
    shipped: str = ""


class Finding(msgspec.Struct, frozen=True):
    """A run that broke a promise: `name` the promise, `said` what was said of it."""

    where: str
    name: str
    said: str
    tape: Tape
    settings: Settings = Settings()
    told: str = ""


class Tally(msgspec.Struct):
    """Counts of runs; `lifecycles` of those in which something failed, at exchanges that keep the contract,
    `calm` of those in which nothing did, `broken` of those at exchanges that break it; `leaning` is the part
    of `lifecycles` in worlds that lean one way."""

    runs: int = 0
    lifecycles: int = 0
    leaning: int = 0
    broken: int = 0
    calm: int = 0
    points: int = 0
    crashes: int = 0
    steps: int = 0
    checked: int = 0
    virtual_s: int = 0
    marks: Counter[str] = msgspec.field(default_factory=Counter)
    breach_marks: Counter[str] = msgspec.field(default_factory=Counter)
    personalities: Counter[str] = msgspec.field(default_factory=Counter)
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    findings: list[Finding] = []

    def add(self, other: "Tally") -> None:
        """Count another's runs, too."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class SwarmTask(msgspec.Struct, frozen=True):
    """Runs of the seeds `first` … `first + number - 1`; `leaning` is an index of a scenery, `shipped`
    the name of an exchange that has a manifest."""

    first: int
    number: int
    breaks: bool = False
    leaning: int | None = None
    shipped: str = ""


class CrashTask(msgspec.Struct, frozen=True):
    """The schedule of one seed, crashed at each point, and at so many pairs of points; `acts` as in `run`."""

    seed: int
    pairs: int
    leaning: int | None = None
    acts: int = 0


class HuntTask(msgspec.Struct, frozen=True):
    """The mutant of an index, hunted for so many lifecycles from a seed on."""

    mutant: int
    budget: int
    seed: int = 0


SHIPPED = {personality.name: personality for personality in personalities()}
SCENERIES = tuple({str(m.scenery): m.scenery for m in MUTANTS if not m.scenery.breaks}.values())


def _scenery(leaning: int | None) -> Scenery:
    return Scenery() if leaning is None else SCENERIES[leaning % len(SCENERIES)]


def played(choices: Choices, settings: Settings, tells: bool = False) -> tuple[World, Outcome | Violation]:
    """Do a run; whatever ends it is a broken promise, an error of the kernel's most of all."""
    crash_at = None if settings.crash_at is None else frozenset(settings.crash_at)
    personality = SHIPPED[settings.shipped] if settings.shipped else None
    world = prepare(choices, settings.breaks, personality, crash_at=crash_at, tells=tells)
    audit = Audit(world)
    try:
        outcome = play(world, settings.acts)
        audit.judge()
        return world, outcome
    except Violation as broken:
        return world, broken
    except InvariantError as broken:
        return world, Violation("core", str(broken))
    except Exception as error:
        return world, Violation("error", repr(error))


def swarm(task: SwarmTask) -> Tally:
    """Runs of some seeds, counted."""
    tally, scenery = Tally(), _scenery(task.leaning)
    settings = Settings(breaks=task.breaks, shipped=task.shipped)
    for seed in range(task.first, task.first + task.number):
        choices = scenery.choices(seed)
        world, ended = played(choices, settings)
        _count(tally, task, world, choices.tape)
        if isinstance(ended, Violation):
            tally.findings.append(Finding(f"seed {seed}", ended.name, ended.story, choices.tape, settings))
        else:
            tally.checked += ended.checked
            tally.virtual_s += round(ended.virtual_s)
    return tally


def _count(tally: Tally, task: SwarmTask, world: World, tape: Tape) -> None:
    wishes, crashed = world.users.wishes, world.process.crashes
    happened = {
        FAULTS[label]: len(track) - track.count(0) for label, track in tape.items() if label in FAULTS
    }
    tally.runs += 1
    tally.crashes += crashed
    tally.steps += world.process.steps
    tally.points += world.process.points
    tally.personalities[world.personality.name] += wishes
    tally.faults.update({name: number for name, number in happened.items() if number})
    (tally.breach_marks if task.breaks else tally.marks).update(world.marks.counts)
    if task.breaks:
        tally.broken += wishes
    elif not (crashed or any(happened.values())):
        tally.calm += wishes
    else:
        tally.lifecycles += wishes
        tally.leaning += 0 if task.leaning is None else wishes


def crashes(task: CrashTask) -> Tally:
    """One schedule, crashed at every point there is, and at pairs: the second while it recovers."""
    tally, scenery, dice = Tally(), _scenery(task.leaning), Random(task.seed)
    points = _crashed(tally, task, scenery, ())
    tally.points = 0
    for point in range(1, points + 1):
        _crashed(tally, task, scenery, (point,))
    for _ in range(min(task.pairs, points)):
        first = dice.randint(1, points)
        _crashed(tally, task, scenery, (first, first + dice.randint(1, 12)))
    tally.points = points
    return tally


def _crashed(tally: Tally, task: CrashTask, scenery: Scenery, crash_at: tuple[int, ...]) -> int:
    choices, settings = scenery.choices(task.seed), Settings(acts=task.acts, crash_at=crash_at)
    world, ended = played(choices, settings)
    tally.runs += 1
    tally.crashes += world.process.crashes
    tally.lifecycles += world.users.wishes
    tally.marks.update(world.marks.counts)
    if isinstance(ended, Violation):
        where = f"seed {task.seed} leaning {task.leaning} crashed at {crash_at}"
        tally.findings.append(Finding(where, ended.name, ended.story, choices.tape, settings))
    return world.process.points


def hunted(task: HuntTask) -> Caught | None:
    """One mutant, hunted."""
    return caught(MUTANTS[task.mutant], task.budget, task.seed)


def shrunk(finding: Finding) -> Finding:
    """The same with the shortest tape found that fails alike, and its story."""

    def fails(tape: Tape) -> bool:
        ended = played(Replayed(tape), finding.settings)[1]
        return isinstance(ended, Violation) and ended.name == finding.name

    tape = finding.tape
    if fails(tape):
        tape = shrink(tape, fails, SHRINKING)
    world, ended = played(Replayed(tape), finding.settings, tells=True)
    said = ended.story if isinstance(ended, Violation) else finding.said
    return msgspec.structs.replace(finding, tape=tape, said=said, told=story(world.trace.lines))


def digest(seed: int) -> str:
    """The hash of one run, or what it broke."""
    ended = played(Drawn(seed), Settings(breaks=seed % 10 == 9))[1]
    return ended.digest if isinstance(ended, Outcome) else str(ended)
