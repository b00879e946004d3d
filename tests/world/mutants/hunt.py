"""Looking for a world in which a mutant breaks a promise that the real kernel keeps in the same world.

    caught(mutant, budget) -> Caught | None

A violation counts only if the same seed passes without the mutant: what the world demands of everybody
proves nothing about one.  An `InvariantError` that the kernel raises against itself counts, as "core".
"""

from contextlib import AbstractContextManager, nullcontext

import msgspec

from quantcli.errors import InvariantError

from ..audit import Audit
from ..run import play, prepare
from ..violation import Violation
from .mutant import Mutant
from .scenery import Scenery


class Caught(msgspec.Struct, frozen=True):
    """At which seed of its scenery, by what, after how many lifecycles in how many runs."""

    mutant: str
    seed: int
    invariant: str
    story: str
    lifecycles: int
    runs: int


class Ran(msgspec.Struct, frozen=True):
    """A run to its end, or to the promise that it broke."""

    lifecycles: int
    crashes: int
    violation: tuple[str, str] | None = None


def caught(mutant: Mutant, budget: int, seed: int = 0) -> Caught | None:
    """Run seeds, the first being `seed`, until one gives the mutant away or `budget` lifecycles are spent."""
    spent, first = 0, seed
    while spent < budget:
        try:
            ran = ran_in(mutant.scenery, seed, mutant.worn())
        except Exception as error:
            raise RuntimeError(f"mutant {mutant.name!r} does not fit the kernel any more") from error
        spent += max(ran.lifecycles, 1)
        if ran.violation is not None and ran_in(mutant.scenery, seed).violation is None:
            return Caught(mutant.name, seed, *ran.violation, spent, seed - first + 1)
        seed += 1
    return None


def ran_in(scenery: Scenery, seed: int, wearing: AbstractContextManager[None] | None = None) -> Ran:
    """One run of the kernel, or of the mutant that it is `wearing`."""
    with wearing or nullcontext():
        world = prepare(scenery.choices(seed), breaks=scenery.breaks)
        audit, violation = Audit(world), None
        try:
            play(world)
            audit.judge()
        except Violation as broken:
            violation = broken.name, broken.story
        except InvariantError as broken:
            violation = "core", str(broken)
        return Ran(world.users.wishes, world.process.crashes, violation)
