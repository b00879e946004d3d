"""Which faults are on in one run, and how strong: drawn anew for each, because all at once hide bugs.

`Faults` has per-mille rates and odds; `CALM` has none.  `draw` makes one from choices.
"""

import msgspec

from .choices import Choices, Odds, odds

_MS = 1_000_000
_S = 1_000 * _MS

# One way, in nanoseconds; the odds say how often.
LATENCIES = tuple(ms * _MS for ms in (5, 20, 60, 150, 500, 1_500, 4_000, 9_000, 30_000))
QUICK = odds(60, 25, 10, 5)
_SLOW = odds(45, 25, 12, 8, 6, 4)
_TARDY = odds(40, 22, 12, 8, 7, 5, 3, 2, 1)
_FATES = (odds(1), odds(980, 10, 10), odds(900, 20, 80), odds(700, 50, 250))
_RATES = (0, 10, 60, 200)
_CRASHES = (0, 0, 2, 10, 40)


class Faults(msgspec.Struct, frozen=True):
    """Rates are per mille and per opportunity, odds as `choices.odds` makes them.

    `there`     fate of a request: arrives, provably never left, lost
    `back`      an answer is lost;  `twice` comes twice;  `quiet` nobody tells of a time-out
    `stream`    a stream message is lost;  `again` comes twice
    `blind`     a look-up or statement is served by a copy that lags
    `refused`   a placement is refused for good;  `busy` any request for now
    `external`  somebody else cancels an order, at each step of its life
    `late_fills`  trades are told later than the quantity they add up to
    `engine`    an order waits in the engine
    `breach`    a broken clause shows
    `crash`     the process dies, at each place where it can
    `disk`      a commit takes long
    """

    there: Odds = _FATES[0]
    latency: Odds = QUICK
    back: int = 0
    twice: int = 0
    quiet: int = 0
    stream: int = 0
    again: int = 0
    blind: int = 0
    refused: int = 0
    busy: int = 0
    external: int = 0
    late_fills: int = 0
    engine: int = 0
    breach: int = 0
    crash: int = 0
    disk: int = 0
    late_tick_ns: int = 0
    clock_error_ns: int = 0
    foreign: int = 0
    transfer: int = 0
    episodes: int = 0


CALM = Faults()


def draw(choices: Choices, breaks: bool) -> Faults:
    """The faults of one run.  `breaks`: the exchange has a clause to break; then much is lost and late,
    because only doubt gives it the occasion."""
    faults = _drawn(choices)
    if not breaks:
        return faults
    return msgspec.structs.replace(
        faults,
        there=_FATES[choices.choose(len(_FATES), "swarm.there")],
        latency=_TARDY,
        back=_RATES[-1 - choices.choose(2, "swarm.back")],
        stream=_RATES[-1 - choices.choose(2, "swarm.stream")],
        blind=_RATES[-1],
        breach=(300, 900)[choices.choose(2, "swarm.breach")],
    )


def _drawn(choices: Choices) -> Faults:
    rate = _Rates(choices)
    return Faults(
        there=_FATES[choices.choose(len(_FATES), "swarm.there")],
        latency=(QUICK, _SLOW, _TARDY)[choices.choose(3, "swarm.latency")],
        back=rate("back"),
        twice=rate("twice"),
        quiet=(0, 300, 1000)[choices.choose(3, "swarm.quiet")],
        stream=rate("stream"),
        again=rate("again"),
        blind=rate("blind"),
        refused=(0, 0, 10, 40)[choices.choose(4, "swarm.refused")],
        busy=rate("busy"),
        external=(0, 0, 10, 40)[choices.choose(4, "swarm.external")],
        late_fills=rate("late_fills"),
        engine=rate("engine"),
        crash=_CRASHES[choices.choose(len(_CRASHES), "swarm.crash")],
        disk=(0, 0, 20, 100)[choices.choose(4, "swarm.disk")],
        late_tick_ns=(0, 0, 50 * _MS, 2 * _S)[choices.choose(4, "swarm.late_tick")],
        clock_error_ns=(0, 100 * _MS, _S, 2 * _S)[choices.choose(4, "swarm.clock")],
        foreign=(0, 0, 300)[choices.choose(3, "swarm.foreign")],
        transfer=(0, 0, 0, 100)[choices.choose(4, "swarm.transfer")],
        episodes=choices.choose(4, "swarm.episodes"),
    )


class _Rates:
    """Rates under the name of their fault."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def __call__(self, fault: str) -> int:
        return _RATES[self._choices.choose(len(_RATES), f"swarm.{fault}")]
