"""One run: safety mode with faults, then liveness mode without, and convergence demanded.

run(choices) -> Outcome        raises `Violation`, whose tape repeats it
"""

from collections.abc import Callable, Iterator
from decimal import Context, Decimal, localcontext

import msgspec

from quantcli.kernel.steps import Halted, Tick

from .choices import Choices, Tape, odds
from .ends import Lack
from .marks import Marks
from .personality import PERSONALITIES, Breach, Personality, broken
from .swarm import CALM, draw
from .timeline import START_NS
from .world import World

_S = 1_000_000_000
_ZERO = Decimal(0)
_GAPS = (1.0, 0.0, 0.1, 5.0, 20.0, 60.0)  # seconds between users' acts
_GAP_ODDS = odds(25, 20, 20, 20, 10, 5)
_EPISODE_S = (2.0, 10.0, 40.0, 150.0)
CONVERGES_S = 3600.0
_LOOKS_S = 4.7  # seconds between an operator's looks; not in step with any timer of the kernel's
_BREACHES = tuple(breach for breach in Breach if breach is not Breach.NONE)


class Outcome(msgspec.Struct):
    """What a run was: `lifecycles` are wishes brought to their end, `points` places where it could crash."""

    digest: str
    lifecycles: int
    steps: int
    points: int
    crashes: int
    checked: int
    virtual_s: float
    marks: Marks
    tape: Tape


def run(
    choices: Choices,
    *,
    acts: int = 0,
    breaks: bool = False,
    personality: Personality | None = None,
    crash_at: frozenset[int] | None = None,
    tells: bool = False,
    nosync: bool = False,
) -> Outcome:
    """Do one run.

    `acts` (0: by choice) is how many things users do; `breaks` lets the exchange break a clause; `crash_at`
    numbers the places where the process dies (`None`: by choice); `tells` keeps lines for a story;
    with `nosync` a crash loses what the disk said it had.
    """
    return play(prepare(choices, breaks, personality, crash_at, tells, nosync), acts)


def prepare(
    choices: Choices,
    breaks: bool = False,
    personality: Personality | None = None,
    crash_at: frozenset[int] | None = None,
    tells: bool = False,
    nosync: bool = False,
) -> World:
    """A world at its beginning."""
    if personality is None:
        personality = choices.pick(PERSONALITIES, "run.personality")
        if breaks:
            honest = PERSONALITIES[choices.choose(3, "run.broken")]
            personality = broken(honest, choices.pick(_BREACHES, "run.breach"))
    world = World(choices, personality, draw(choices, personality.breach is not Breach.NONE), tells)
    world.process.crash_at = crash_at
    world.disk.nosync = nosync
    return world


def play(world: World, acts: int = 0) -> Outcome:
    """Safety mode, liveness mode, rest."""
    with localcontext(Context()):  # some libraries change how this thread rounds
        phases = _Play(world)
        phases.safety(acts or 1 + world.choices.choose(16, "run.acts"))
        phases.liveness()
        phases.rest()
        return _outcome(world)


def _outcome(world: World) -> Outcome:
    process = world.process
    return Outcome(
        digest=world.trace.digest(),
        lifecycles=world.users.wishes,
        steps=process.steps,
        points=process.points,
        crashes=process.crashes,
        checked=world.oracle.checked,
        virtual_s=(world.timeline.now_ns - START_NS) / _S,
        marks=world.marks,
        tape=world.choices.tape,
    )


class _Play:
    def __init__(self, world: World) -> None:
        self.world = world
        self.episodes = (
            self._cut_requests,
            self._cut_stream,
            self._gap_in_stream,
            self._stick_there,
            self._stick_back,
            self._replay,
            self._maintenance,
            self._turn_clock,
            self._pause,
        )

    def safety(self, acts: int) -> None:
        """Users act while everything fails that is to fail in this run."""
        world = self.world
        world.process.boot()
        world.users.quote()
        for _ in range(world.faults.episodes):
            start_s = _GAPS[world.choices.choose(len(_GAPS), "episode.at")] * 2
            world.timeline.after(round(start_s * _S), self._episode)
        for _ in range(acts):
            world.users.act()
            self._strangers()
            world.advance(_GAPS[world.choices.weighted(_GAP_ODDS, "run.gap")])
            self._sweep()
        world.advance(30.0)
        self._sweep()

    def _strangers(self) -> None:
        """What others do on the account, and what the exchange itself does to it."""
        world = self.world
        if world.choices.chance(world.faults.foreign, "run.foreign"):
            world.account.stranger_orders()
        if world.choices.chance(world.faults.transfer, "run.transfer"):
            world.account.transfer()
        loses = world.personality.breach in (Breach.ROLLBACK, Breach.VANISH)
        if loses and world.choices.chance(world.faults.breach // 3, "run.lose"):
            world.account.lose_orders()

    def liveness(self) -> None:
        """All faults stop: wishes and exchange come to agree."""
        world = self.world
        world.faults = CALM
        world.heal()
        if world.process.halted:
            self._converge(lambda: world.ends.lacks_when_halted(world.process.halted))
            world.users.halt(Halted.NOT)
        self._converge(world.ends.lacks)
        self._sweep()

    def rest(self) -> None:
        """Everything is cancelled, in one of several ways, and nothing is left."""
        world = self.world
        way = world.choices.choose(4, "run.rest")
        if way in (1, 2):
            level = (Halted.ALL, Halted.FLAT)[way - 1]
            world.users.halt(level)
            self._converge(lambda: world.ends.lacks_when_halted(level))
            world.users.halt(Halted.NOT)
        self._converge(world.ends.lacks_at_rest, world.users.cancel_everything)
        self._sweep()

    def _converge(self, lacks: Callable[[], Iterator[Lack]], ask: Callable[[], None] | None = None) -> None:
        """Wait until nothing is lacking; asks for it first, and again if the process has died since."""
        world, waited_s, asked_at = self.world, 0.0, -1
        process = world.process
        while (lack := next(lacks(), None)) is not None:
            if waited_s >= CONVERGES_S:
                name, what = lack
                world.oracle.demand(name, False, what)
                return
            if ask is not None and process.core is not None and asked_at != process.crashes:
                asked_at = process.crashes
                ask()
            world.advance(_LOOKS_S)
            world.users.attend()
            if process.core is not None:
                waited_s += _LOOKS_S

    def _sweep(self) -> None:
        """I18 and I22, which look at everything."""
        world = self.world
        process, oracle = world.process, world.oracle
        core = process.core
        if core is None or world.timeline.now_ns < process.paused_until_ns or process.waits_for_disk:
            return
        again = core.step(world.timeline.now_ns, Tick())
        if again:  # what was due is done; asked once more, nothing may follow
            process.carry_on(again)
            core = process.core
            if core is None or process.waits_for_disk:
                return
            more = [effect for commit in core.step(world.timeline.now_ns, Tick()) for effect in commit.then]
            oracle.demand("I22", not more, "asked again without news, it does more:", more)
        remaining = {working.intent_id: working.remaining for working in core.view.working()}
        for intent_id, live in oracle.live.items():
            entry = core.view.find(intent_id)
            if entry is not None:
                known = sum([attempt.fills_qty for attempt in entry.attempts], _ZERO)
            else:
                known = sum([oracle.recorded(booked) for booked in oracle.owned[intent_id]], _ZERO)
            traded = oracle.traded_of.get(intent_id, _ZERO)
            most = sum([booked.rest for booked in live], traded - known)
            rated = remaining.get(intent_id, _ZERO)
            holds = most <= max(rated, _ZERO)
            oracle.demand("I18", holds, "may still trade more than is said:", intent_id, most, rated)

    # Episodes.

    def _episode(self) -> None:
        choices = self.world.choices
        episode = self.episodes[choices.choose(len(self.episodes), "episode.kind")]
        length_s = _EPISODE_S[choices.choose(len(_EPISODE_S), "episode.length")]
        if self.world.faults is not CALM:
            what = episode.__name__[1:].replace("_", " ")
            self.world.trace.tell("world", "world", f"{what} for {length_s:g} s")
            episode(self.world.timeline.now_ns + round(length_s * _S))

    def _cut_requests(self, until_ns: int) -> None:
        self.world.network.requests_cut_until_ns = until_ns

    def _cut_stream(self, until_ns: int) -> None:
        self.world.network.stream_cut_until_ns = until_ns

    def _gap_in_stream(self, until_ns: int) -> None:
        self.world.network.stream_cut_until_ns = until_ns
        self.world.timeline.at(until_ns, self.world.process.resync, "gap")

    def _stick_there(self, until_ns: int) -> None:
        self.world.network.there_stuck_until_ns = until_ns

    def _stick_back(self, until_ns: int) -> None:
        self.world.network.back_stuck_until_ns = until_ns

    def _replay(self, until_ns: int) -> None:
        self.world.network.replay_stream()

    def _maintenance(self, until_ns: int) -> None:
        self.world.venue.closed_until_ns = until_ns

    def _turn_clock(self, until_ns: int) -> None:
        self.world.set_clock(self.world.choices.choose(5, "episode.clock"))

    def _pause(self, until_ns: int) -> None:
        self.world.process.paused_until_ns = until_ns
        self.world.timeline.at(until_ns, self.world.process.resync, "time stood still")
