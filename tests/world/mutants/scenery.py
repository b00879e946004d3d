"""Where a mutant shows soonest: worlds whose choices lean one way.

A scenery narrows some labels of a seeded world to a few values; everything else is drawn as ever.  No fault
in it is one that the ordinary world could not have, so the real kernel must bear every scenery.
"""

from collections.abc import Mapping

import msgspec

from ..choices import Drawn

PLAIN, SLOW_ENGINE, FORGETFUL, EARLY, IDEMPOTENT, MUTE, UNFENCED = range(7)


class Scenery(msgspec.Struct, frozen=True):
    """`leanings` are the values left to each label; `breaks`: the exchange breaks its contract."""

    leanings: Mapping[str, tuple[int, ...]] = {}
    breaks: bool = False

    def on(self, *personalities: int) -> "Scenery":
        """The same at some exchanges only."""
        return self.leaning({"run.personality": personalities})

    def leaning(self, leanings: Mapping[str, tuple[int, ...]]) -> "Scenery":
        """The same with more labels narrowed."""
        return msgspec.structs.replace(self, leanings={**self.leanings, **leanings})

    def choices(self, seed: int) -> "Leaning":
        """A world's choices by seed."""
        return Leaning(seed, self.leanings)


class Leaning(Drawn):
    """Drawn by a seed, some labels from a few values only."""

    __slots__ = ("_leanings",)

    def __init__(self, seed: int, leanings: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(seed)
        self._leanings = leanings

    def _note(self, label: str, value: int) -> int:
        values = self._leanings.get(label)
        if values is not None:
            value = values[int(self._random() * len(values))]
        return super()._note(label, value)


_LOSSY = {"swarm.there": (2, 3), "swarm.back": (2, 3), "swarm.stream": (2, 3)}
_RESTING = {"user.type": (0,), "user.time_in_force": (0,)}

ANYWHERE = Scenery()
DOUBT = Scenery({**_LOSSY, "swarm.crash": (0,), "user.act": (0, 0, 0, 2), "swarm.late_tick": (0,)})
# Orders that nobody sees: the stream is silent, half of the answers are lost, half of the orders hidden.
BLIND = DOUBT.leaning(
    {
        **_RESTING,
        "swarm.back": (3,),
        "swarm.stream": (3,),
        "swarm.blind": (3,),
        "swarm.busy": (0,),
        "swarm.refused": (0,),
        "swarm.quiet": (0,),
        "net.stream": (1,),
        "net.back": (0, 0, 1),
        "net.delay": (1, 1, 1, 1, 6),
        "venue.blind": (0, 1),
    }
)
# Two orders of opposite sides, alike in quantity, that fill at once; copies lag.
CROWDED = BLIND.leaning(
    {
        "user.symbol": (0,),
        "user.quantity": (0,),
        "user.act": (0,),
        "run.acts": (1, 2),
        "run.gap": (1, 2),
        "market.comes": (0, 1),
        "market.share": (0,),
        "venue.lags": (0, 1),
        "venue.lag": (3,),
        "net.delay": (1,),
        "net.back": (0, 1),
        "swarm.there": (0,),
        "swarm.disk": (0,),
    }
)
CRASHES = Scenery({"swarm.crash": (3, 4), "user.act": (0, 0, 0, 1, 2, 3)})
REPLACING = Scenery({**_RESTING, "user.act": (0, 0, 1, 1, 1, 2)})
AMENDING = REPLACING.on(PLAIN, FORGETFUL, EARLY, UNFENCED)
GROUPS = Scenery({"user.act": (3, 3, 3, 0, 1), "user.depth": (0,)})
HALTS = Scenery({**_RESTING, "user.act": (0, 0, 0, 5), "swarm.foreign": (2,)})
STRANGERS = Scenery({"swarm.foreign": (2,), "swarm.external": (3,), "user.act": (0, 0, 0, 2, 7)})
BREACHES = Scenery({"user.act": (0, 0, 0, 1, 2)}, breaks=True)
LATE_EXECUTION, BLIND_CANCEL, FALLING_CUM, LATE_CUM, LYING_POSITION, ROLLBACK, VANISH = range(7)
