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
MUTANTS: tuple[Mutant, ...] = tuple(
    found for family in FAMILIES for found in vars(family).values() if isinstance(found, Mutant)
)

__all__ = ["MUTANTS", "Caught", "Mutant", "caught"]
