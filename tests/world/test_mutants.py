"""A world that is worth its time notices mistakes: some mutants of the kernel, hunted where they show.

The campaign hunts all of them; here each is tried on, and a few of every family are hunted in earnest.
"""

import pytest

from quantcli.kernel import core, lifecycle, reconcile, resolver, seeing
from quantcli.kernel.execution import Execution
from tests.world.mutants import FAMILIES, MUTANTS, NOT_YET, UNHUNTED, Mutant, caught
from tests.world.mutants.hunt import ran_in
from tests.world.mutants.scenery import Scenery

PATCHED = (core, lifecycle, reconcile, resolver, seeing, Execution)
SMOKED = (
    "written after it is sent",
    "written but not synchronised",
    "gaps are passed over",
    "silence is a refusal",
    "not found once is dead",
    "prepared at boot was never sent",
    "no conservation",
    "no probe",
    "quantity is assigned unchecked",
    "done without the fills",
    "marked before it is booked",
    "missing fills are inferred",
    "fees in the base asset forgotten",
    "asked is cancelled",
    "replaced in one go",
    "both are let go",
    "exits for the whole wish",
    "halts cancel nothing",
    "strangers orders are cancelled",
    "drift is not looked for",
)


def named(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)


@pytest.mark.parametrize("name", SMOKED)
def test_a_mutant_is_caught(name):
    mutant = named(name)
    found = caught(mutant, budget=1_500)
    assert found is not None
    assert ran_in(mutant.scenery, found.seed, mutant.worn()).violation == (found.invariant, found.story)


def test_every_mutant_fits_the_kernel_and_leaves_it_as_it_was():
    before = [dict(vars(each)) for each in PATCHED], dict(lifecycle.TRANSITIONS), dict(reconcile.RULES)
    for mutant in (*MUTANTS, *UNHUNTED):
        caught(mutant, budget=1)
    after = [dict(vars(each)) for each in PATCHED], dict(lifecycle.TRANSITIONS), dict(reconcile.RULES)
    assert after == before


def test_there_are_mutants_enough_and_each_says_what_it_is():
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.shortcut.endswith(".") and mutant.expects for mutant in MUTANTS)
    assert {mutant.name for mutant in UNHUNTED} == set(NOT_YET)
    families = {family.__name__.rpartition(".")[2] for family in FAMILIES}
    smoked = {named(name).damage.__module__.rpartition(".")[2] for name in SMOKED}
    assert smoked == families


def test_the_kernel_itself_is_no_mutant():
    nothing = Mutant("nothing", "Changes nothing.", (), Scenery(), lambda patch: None)
    assert caught(nothing, budget=200) is None


def test_a_scenery_narrows_what_it_names_and_nothing_else():
    choices = Scenery({"a": (3, 5)}).choices(1)
    assert {choices.choose(10, "a") for _ in range(50)} == {3, 5}
    assert len({choices.choose(10, "b") for _ in range(100)}) == 10
