"""Mutants of the kernel: the shortcuts that peers take, and slips that anybody might make, one at a time.

    doubt        silence, look-ups in vain and restarts taken for answers
    proof        parts of the proof left out        merging      reports merged by arrival
    booking      fills, positions, sizes            withdrawing  cancelling, replacing, amending
    starting     writing ahead, restarts, gaps      sharing      groups
    halting      the kill switch, drift, strangers, patience

A simulated world that does not notice one of them could not notice the same mistake in earnest.
"""

from . import booking, doubt, halting, merging, proof, sharing, starting, withdrawing
from .hunt import Caught, caught
from .mutant import Mutant

FAMILIES = (starting, doubt, proof, merging, booking, withdrawing, sharing, halting)
# What the world would have to have, or to demand, for these to show; they are not hunted until it does.
NOT_YET = {
    "engine bound forgotten": "an engine in which a cancel can overtake a placement that waits",
    "late fills are ignored": "a promise that fills after the end are recorded (I3 is waived there)",
    "what is not in memory is a strangers": "the same, after a restart",
    "drift never ends": "that a drift ends without an operator",
}
_ALL = tuple(found for family in FAMILIES for found in vars(family).values() if isinstance(found, Mutant))
MUTANTS: tuple[Mutant, ...] = tuple(mutant for mutant in _ALL if mutant.name not in NOT_YET)
UNHUNTED: tuple[Mutant, ...] = tuple(mutant for mutant in _ALL if mutant.name in NOT_YET)

__all__ = ["FAMILIES", "MUTANTS", "NOT_YET", "UNHUNTED", "Caught", "Mutant", "caught"]
