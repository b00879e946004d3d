"""The kernel keeps its promises against exchanges, networks, disks and deaths, by seed."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantcli.kernel import resolver
from tests.world.choices import Drawn, Odometer, Replayed, odds
from tests.world.crashpoints import at_every
from tests.world.marks import BREACHES, EXPECTED
from tests.world.personality import PERSONALITIES, Breach, broken
from tests.world.run import Outcome, play, prepare, run
from tests.world.shipped import personalities
from tests.world.shrink import shrink, size
from tests.world.story import story
from tests.world.violation import Violation

ROOT = Path(__file__).resolve().parents[2]


def must_hold(seed: int, **terms: object) -> Outcome:
    """The outcome of a run in which no promise breaks."""
    try:
        return run(Drawn(seed), **terms)  # type: ignore[arg-type]
    except Violation as broken_promise:
        pytest.fail(f"seed {seed} {terms}: {broken_promise}")


def test_promises_hold_against_every_honest_exchange():
    seen: Counter[str] = Counter()
    lifecycles = checked = crashes = 0
    for seed in range(600):
        done = must_hold(seed)
        seen.update(done.marks.counts)
        lifecycles, checked = lifecycles + done.lifecycles, checked + done.checked
        crashes += done.crashes
    assert not [name for name in EXPECTED if not seen[name]]
    assert not [name for name in BREACHES if seen[name]]
    assert lifecycles > 2_000
    assert checked > 10 * lifecycles
    assert crashes > 200


@pytest.mark.parametrize("breach", [breach for breach in Breach if breach is not Breach.NONE])
def test_a_broken_contract_breaks_no_more_than_it_must(breach):
    for seed in range(40):
        must_hold(seed, personality=broken(PERSONALITIES[seed % 3], breach))


@pytest.mark.parametrize("personality", personalities(), ids=lambda personality: personality.name)
def test_promises_hold_against_every_exchange_that_has_a_manifest(personality):
    for seed in range(25):
        must_hold(seed, personality=personality)


def test_an_ordinary_world_is_an_empty_tape():
    done = run(Replayed({}))
    assert done.lifecycles == 1
    assert done.crashes == 0
    assert not any(value for track in done.tape.values() for value in track)


# The same again.


def test_equal_seeds_give_equal_traces():
    digests = [must_hold(seed).digest for seed in range(30)]
    assert digests == [must_hold(seed).digest for seed in range(30)]
    assert len(set(digests)) == 30


def test_a_tape_repeats_its_run():
    for seed in range(30):
        first = must_hold(seed)
        assert run(Replayed(first.tape)).digest == first.digest


def test_traces_do_not_depend_on_the_hash_seed():
    program = (
        "from tests.world.run import run\n"
        "from tests.world.choices import Drawn\n"
        "print([run(Drawn(seed)).digest for seed in range(8)])"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert told[0] == f"{[must_hold(seed).digest for seed in range(8)]}\n"


# Crashes.


@pytest.mark.parametrize("seed", [3, 11])
def test_promises_survive_a_crash_at_every_place(seed):
    crashed = [done.crashes for _, done in at_every(lambda: Drawn(seed), acts=6)]
    assert len(crashed) > 30
    assert set(crashed) == {1}


def test_promises_survive_crash_upon_crash():
    for seed in range(40):
        done = must_hold(seed, crash_at=frozenset(range(5, 150, 3 + seed % 7)))
        assert done.crashes > 0


# Whether a broken kernel is found out.


def found_out(tape_or_seed: object) -> tuple[str, Replayed | Drawn] | None:
    choices = Drawn(tape_or_seed) if isinstance(tape_or_seed, int) else Replayed(tape_or_seed)  # type: ignore[arg-type]
    try:
        run(choices)
    except Violation as violation:
        return violation.name, choices
    return None


def test_a_kernel_that_proves_too_little_is_found_out_and_its_tape_shrinks(monkeypatch):
    monkeypatch.setattr(resolver, "missing", lambda *_: ())
    name, choices = next(found for seed in range(300) if (found := found_out(seed)))
    assert name in ("I16", "I17")

    def fails_alike(tape):
        found = found_out(tape)
        return found is not None and found[0] == name

    small = shrink(choices.tape, fails_alike, budget=600)
    assert fails_alike(small)
    assert size(small) < size(choices.tape)
    assert size(small)[0] <= 12
    world = prepare(Replayed(small), tells=True)
    with pytest.raises(Violation):
        play(world)
    told = story(world.trace.lines)
    assert "kernel -> exchange  place #1" in told
    assert len(told.splitlines()) < 80


def test_a_disk_that_forgets_is_found_out():
    violations = Counter()
    for seed in range(150):
        try:
            run(Drawn(seed), nosync=True)
        except Violation as violation:
            violations[violation.name] += 1
    assert violations["I4"] + violations["alarm"] + violations["I26"] > 0


# The sources of choices.


def test_an_odometer_turns_through_every_combination_once():
    odometer, seen = Odometer(), []
    while odometer.turn():
        first = odometer.choose(3, "a")
        seen.append((first, odometer.choose(2, "b") if first == 1 else None))
    assert seen == [(0, None), (1, 0), (1, 1), (2, None)]


def test_chances_and_odds_are_kept():
    drawn = Drawn(1)
    assert 150 < sum(drawn.chance(200, "often") for _ in range(1000)) < 250
    assert not any(drawn.chance(0, "never") for _ in range(100))
    assert "never" not in drawn.tape
    counts = Counter(drawn.weighted(odds(50, 30, 20), "w") for _ in range(1000))
    assert counts[0] > counts[1] > counts[2] > 100
    assert {drawn.pick("xy", "p") for _ in range(50)} == {"x", "y"}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ("swarm.there", "swarm.crash", "swarm.back", "process.crash", "user.act", "run.acts", "net.back")
        ),
        st.lists(st.integers(0, 4), max_size=30),
    )
)
def test_promises_hold_on_any_tape(tape):
    run(Replayed(tape))
