"""Whatever is interleaved, cancelled, late, asleep: commits in the order of steps, no send early or late."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from quantcli.errors import SafetyError
from quantcli.kernel.steps import AdmitGroup, CancelIntents, Modify, Tick
from quantcli.model.message import Amend, Place, PlaceList
from quantcli.model.order import AttemptState, OrderState
from quantcli.ports import Approved
from tests.shell.ports import FENCE_NS, PlainStore
from tests.shell.virtual_loop import every_schedule
from tests.shell.world import World, admit, order

HOURS_8_NS = 8 * 3600 * 1_000_000_000


def admit_group(*intent_ids: str) -> AdmitGroup:
    return AdmitGroup(tuple(Approved(order(), {}) for _ in intent_ids), intent_ids, "one_live")  # type: ignore[arg-type]


async def trade(world: World, name: str) -> None:
    """One of everything: an order, a group, new terms, a cancellation."""
    await world.engine.apply(admit(name))
    await world.engine.apply(admit_group(f"{name}-1", f"{name}-2"))
    await world.engine.apply(Modify(name, Approved(order("2"), {})))
    await world.engine.apply(CancelIntents((name,)))


def placed(world: World) -> list[str]:
    """Client order ids of every placement that came, in order."""
    lists = [r.places if isinstance(r, PlaceList) else (r,) for r in world.exchange.sent]
    return [place.client_order_id for places in lists for place in places if isinstance(place, Place)]


def given_up(world: World) -> list[str]:
    """Client order ids of the attempts that are durably known not to have been sent."""
    rows = {row.client_order_id: row for row in world.store.committed if isinstance(row, OrderState)}
    return [name for name, row in rows.items() if row.state is AttemptState.DEAD]


def check_whole(world: World) -> None:
    """Orders exist as a whole or not at all; each was sent once, or is known not to have been."""
    assert world.store.durable("intents") == world.store.durable("order_states")
    assert sorted(placed(world) + given_up(world)) == world.store.durable("order_states")
    assert {f"{name[0]}-{3 - int(name[2])}" for name in placed(world) if "-" in name} <= set(
        placed(world) + given_up(world)
    )


def every_turn(
    make_world: Callable[..., World],
    disturb: Callable[[World, int], Awaitable[None]],
    check: Callable[[World], None] = check_whole,
) -> int:
    """Disturb a world before its first, second, … callback, until there is none; how many there are."""
    turn = 0
    while True:
        world = make_world(turn)
        turns_before = world.run(disturb(world, turn))
        check(world)
        if turn > turns_before:
            return turn
        turn += 1


# P9.


@pytest.mark.parametrize("splits", [False, True])
def test_p9_a_caller_cancelled_at_any_moment_tears_nothing(make_world, splits):
    async def disturb(world: World, turn: int) -> int:
        world.core.splits = splits
        await world.engine.start()
        victim = asyncio.create_task(trade(world, "a"))
        witness = asyncio.create_task(trade(world, "b"))
        began = world.loop.turns
        world.loop.at_turn(turn, victim.cancel)
        await asyncio.gather(victim, witness, return_exceptions=True)
        took = world.loop.turns - began
        await world.engine.apply(admit("c"))
        assert witness.exception() is None
        assert placed(world)[-1] == "c"
        return took

    assert every_turn(make_world, disturb) > 50


@pytest.mark.parametrize("all_of_them", [True, False])
def test_p9_with_its_own_task_cancelled_the_engine_goes_on_or_says_why_not(make_world, all_of_them):
    """As at the end of `asyncio.run`, which cancels the callers too; without that they are told."""
    outcomes = set()

    async def disturb(world: World, turn: int) -> int:
        await world.engine.start()
        callers = [asyncio.create_task(trade(world, name)) for name in "ab"]
        ours = asyncio.current_task()
        began = world.loop.turns

        def cancel() -> None:
            others = asyncio.all_tasks() - {ours} - world.store.transactions  # the disk is no task
            for task in others if all_of_them else others - set(callers):
                task.cancel()

        world.loop.at_turn(turn, cancel)
        results = await asyncio.gather(*callers, return_exceptions=True)
        took = world.loop.turns - began
        await world.engine.stop()
        await world.store.close()
        outcomes.add(world.engine.failure is None)
        sent = placed(world)
        if world.engine.failure is not None:
            with pytest.raises(SafetyError, match="stopped"):
                await world.engine.apply(Tick())
        if not all_of_them:
            kinds = {type(result) for result in results}
            assert kinds <= {type(None), SafetyError}
            assert (SafetyError in kinds) is (world.engine.failure is not None)
        world.renew()
        await world.engine.start()
        await world.engine.apply(admit("c"))
        known = [state.client_order_id for state in world.core.attempts()]
        assert sorted(known) == world.store.durable("order_states")
        assert set(sent) < set(known)
        return took

    every_turn(make_world, disturb, check=lambda world: None)
    assert outcomes == {True, False}


# The order of things.


def test_two_callers_under_every_schedule_there_is():
    seen = set()
    for choose in every_schedule(10_000):
        world = World(PlainStore(), choose)

        async def two_callers(world: World = world) -> None:
            await world.engine.start()
            await asyncio.gather(world.engine.apply(admit("a")), world.engine.apply(admit("b")))

        world.run(two_callers())
        check_whole(world)
        assert [event.intent.intent_id for event in world.told] == placed(world)
        seen.add(tuple(placed(world)))
    assert seen == {("a", "b"), ("b", "a")}


def test_p9_a_cancellation_under_every_schedule_there_is():
    """It comes before, after and between everything else; `b` was asked for first, and is placed."""
    seen = set()
    for choose in every_schedule(10_000):
        world = World(PlainStore(), choose)

        async def cancelled(world: World = world) -> None:
            await world.engine.start()
            victim = asyncio.create_task(world.engine.apply(admit("a")))
            world.loop.call_soon(victim.cancel)
            await world.engine.apply(admit("b"))
            await asyncio.wait([victim])

        world.run(cancelled())
        check_whole(world)
        seen.add(tuple(placed(world)))
    assert seen == {("b", "a"), ("b",)}


@pytest.mark.parametrize("splits", [False, True])
def test_commits_sends_and_callbacks_come_in_the_order_of_steps(make_world, splits):
    for seed in range(60):
        world = make_world(seed)
        world.core.splits = splits

        async def crowd(world: World = world) -> None:
            await world.engine.start()
            steps = [admit_group(f"{name}-1", f"{name}-2") for name in "abcdefgh"]
            await asyncio.gather(*(world.engine.apply(step) for step in steps))

        world.run(crowd())
        check_whole(world)
        steps = [
            name for event in world.core.seen if isinstance(event, AdmitGroup) for name in event.intent_ids
        ]
        committed = [row.client_order_id for row in world.store.committed if isinstance(row, OrderState)]
        assert committed == placed(world) == steps


# Time.


def test_d13_what_is_durable_too_late_is_not_sent_and_the_core_is_told(make_world):
    """P8: the disk takes 5 s, the fence is shorter.  What was asked for meanwhile is in time, and first."""
    world = make_world()
    world.store.seconds[1] = 5

    async def slow() -> None:
        await world.engine.start()
        late = asyncio.create_task(world.engine.apply(admit("a")))
        await asyncio.sleep(4.5)
        await world.engine.apply(admit("b"))
        await late
        assert world.store.durable("intents") == ["a", "b"]

    world.run(slow())
    check_whole(world)
    assert placed(world) == ["b"]
    (silence,) = [event.report for event in world.core.seen if hasattr(event, "report")]
    assert (silence.client_order_id, silence.request, silence.sent) == ("a", "place", False)
    states = [
        (row.client_order_id, row.state) for row in world.store.committed if isinstance(row, OrderState)
    ]
    assert states == [("a", AttemptState.PREPARED), ("b", AttemptState.PREPARED), ("a", AttemptState.DEAD)]
    assert [event.reason for event in world.told] == ["", "", "too late to send"]


def test_d13_a_late_group_is_withheld_leg_by_leg_and_a_late_amendment_by_its_number(make_world):
    """The deadline of one leg has passed, so none is sent: they are placed together or not at all."""
    world = make_world()
    world.store.seconds.update({2: 5, 3: 2.5})

    async def slow() -> None:
        await world.engine.start()
        await world.engine.apply(admit("a"))
        amending = asyncio.create_task(world.engine.apply(Modify("a", Approved(order("2"), {}))))
        await asyncio.sleep(4)
        await world.engine.apply(admit_group("b-1", "b-2"))
        await amending

    world.run(slow())
    assert placed(world) == ["a"]
    assert world.exchange.ids(Amend) == []
    silences = [event.report for event in world.core.seen if hasattr(event, "report")]
    assert [(s.client_order_id, s.request, s.number) for s in silences] == [
        ("a", "amend", 1),
        ("b-1", "place", 0),
        ("b-2", "place", 0),
    ]


@pytest.mark.parametrize("seconds", [0, FENCE_NS / 1e9 - 2, 30])
def test_p7_the_loop_blocked_at_any_moment_sends_nothing_late(make_world, seconds):
    async def disturb(world: World, turn: int) -> int:
        await world.engine.start()
        began = world.loop.turns
        world.loop.at_turn(turn, lambda: world.loop.block(seconds))
        await asyncio.gather(trade(world, "a"), trade(world, "b"))
        late.append(len(given_up(world)))
        return world.loop.turns - began

    late: list[int] = []
    every_turn(make_world, disturb)
    assert (max(late) > 0) is (seconds == 30)


def test_p13_hours_asleep_at_any_moment_send_nothing_late(make_world):
    """The wall clock goes on, the loop's does not: no timer fires because of it."""

    async def disturb(world: World, turn: int) -> int:
        def sleep() -> None:
            world.clock.asleep_ns += HOURS_8_NS

        await world.engine.start()
        began = world.loop.turns
        world.loop.at_turn(turn, sleep)
        await asyncio.gather(trade(world, "a"), trade(world, "b"))
        late.append(len(given_up(world)))
        return world.loop.turns - began

    late: list[int] = []
    every_turn(make_world, disturb)
    assert max(late) > 0


def test_p8_timers_late_by_seconds_send_nothing_late(make_world):
    late = 0
    for seed in range(100):
        world = make_world(seed)
        random = Random(seed)
        world.loop.lateness_ns = lambda random=random: random.randrange(3_000_000_000)  # type: ignore[misc]
        world.store.seconds = {number: random.random() * 3 for number in range(1, 30)}

        async def crowd(world: World = world) -> None:
            await world.engine.start()
            await asyncio.gather(*(world.engine.apply(admit(name)) for name in "abcd"))

        world.run(crowd())
        check_whole(world)
        late += len(given_up(world))
    assert 0 < late < 400
