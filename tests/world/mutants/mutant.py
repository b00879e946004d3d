"""A mutant: one slip in the production kernel, for as long as it is worn.

    @mutant(SCENERY, "I1", …)
    def name_of_it(patch: Patch) -> None:
        "Which shortcut this is, in one sentence."
        patch.around(module_or_class, "name", changed)      changed(real, *arguments)

The kernel under test is the real one but for what the patch replaces, and is the real one again afterwards.
Names that a module imported are its own: patch them where they are used.  A core binds its methods when it is
made, so a mutant is worn before its world is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from quantcli.kernel.core import Core

from .scenery import Scenery


class Patch:
    """Replaces attributes and table entries, and puts them back in `undo`."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, value: object) -> None:
        """Replace an attribute of a module or a class, which must be its own."""
        known = vars(owner)[name]
        self._undo.append(lambda: setattr(owner, name, known))
        setattr(owner, name, value)

    def around(self, owner: Any, name: str, changed: Callable[..., Any]) -> None:
        """Replace a function or method by `changed`, which is given the real one first."""
        real = vars(owner)[name]
        self.attribute(owner, name, lambda *args, **named: changed(real, *args, **named))

    def item(self, table: dict[Any, Any], key: Any, value: object) -> None:
        """Replace an entry of a table."""
        known = table[key]
        self._undo.append(lambda: table.__setitem__(key, known))
        table[key] = value

    def without(self, table: dict[Any, Any], key: Any) -> None:
        """Take an entry out of a table."""
        known = dict(table)
        self._undo.append(lambda: table.clear() or table.update(known))
        del table[key]

    def memory(self) -> dict[Any, Any]:
        """What the mutant itself remembers, across restarts, of one world."""
        remembered: dict[Any, Any] = {}

        def made(real: Callable[..., None], core: Core, identity: Any, *args: Any) -> None:
            if identity.epoch == 1:  # the first boot of a new world
                remembered.clear()
            real(core, identity, *args)

        self.around(Core, "__init__", made)
        return remembered

    def undo(self) -> None:
        """Put everything back, the latest first."""
        while self._undo:
            self._undo.pop()()


class Mutant(msgspec.Struct, frozen=True):
    """`expects` are the invariants that ought to notice it; `scenery` is where it shows soonest."""

    name: str
    shortcut: str
    expects: tuple[str, ...]
    scenery: Scenery
    damage: Callable[[Patch], None]

    @contextmanager
    def worn(self) -> Iterator[None]:
        """The kernel is this mutant meanwhile."""
        patch = Patch()
        try:
            self.damage(patch)
            yield
        finally:
            patch.undo()


def mutant(scenery: Scenery, *expects: str) -> Callable[[Callable[[Patch], None]], Mutant]:
    """Make a mutant of what does the damage: its name is the function's, its shortcut the docstring."""

    def made(damage: Callable[[Patch], None]) -> Mutant:
        shortcut = " ".join((damage.__doc__ or "").split())
        return Mutant(damage.__name__.replace("_", " "), shortcut, expects, scenery, damage)

    return made
