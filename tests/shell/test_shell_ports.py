"""The stand-ins themselves: a loop that could not find a fault would prove nothing."""

import asyncio

import pytest

from quantcli.errors import StoreError
from tests.shell.ports import Fault
from tests.shell.virtual_loop import VirtualLoop, every_schedule
from tests.shell.world import admit


async def meet(log: list[str]) -> None:
    async def say(word: str) -> None:
        log.append(word)
        await asyncio.sleep(0)
        log.append(word)

    await asyncio.gather(say("a"), say("b"))


def test_every_schedule_is_tried_once():
    found = []
    for choose in every_schedule(1000):
        log: list[str] = []
        VirtualLoop(choose).run(meet(log))
        found.append("".join(log))
    assert set(found) == {"aabb", "abab", "abba", "bbaa", "baba", "baab"}
    schedules = every_schedule(1)
    VirtualLoop(next(schedules)).run(meet([]))
    with pytest.raises(AssertionError, match="more than"):
        next(schedules)


def test_time_jumps_to_the_next_timer():
    loop = VirtualLoop(lambda options: 0)
    loop.run(asyncio.sleep(3600))
    assert loop.time() == 3600


def test_timers_can_be_late():
    loop = VirtualLoop(lambda options: 0)
    loop.lateness_ns = lambda: 3_000_000_000
    loop.run(asyncio.sleep(1))
    assert loop.time() == 4


def test_a_lost_wake_up_is_found():
    async def wait_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(AssertionError, match="wake-up"):
        VirtualLoop(lambda options: 0).run(wait_for_nobody())


def test_a_task_that_is_left_over_is_found():
    async def forget() -> None:
        asyncio.create_task(asyncio.sleep(1))  # noqa: RUF006

    with pytest.raises(AssertionError, match="left over"):
        VirtualLoop(lambda options: 0).run(forget())


def test_the_exchange_notes_a_placement_that_is_not_durable(make_world):
    world = make_world()

    async def send_at_once() -> None:
        for commit in world.core.step(world.clock.now_ns(), admit("a")):
            world.exchange.send(commit.then[0].request)

    with pytest.raises(AssertionError):
        world.run(send_at_once())
    assert world.exchange.undurable == ["a"]


@pytest.mark.parametrize(("fault", "durable"), [(Fault.BEFORE, []), (Fault.FULL, []), (Fault.AFTER, ["a"])])
def test_commits_fail_as_told_and_the_store_goes_on(make_world, fault, durable):
    world = make_world()
    world.store.faults[1] = fault

    async def commit() -> None:
        (first,) = world.core.step(0, admit("a"))
        with pytest.raises(StoreError):
            await world.store.commit(first.rows)
        assert world.store.durable("intents") == world.store.durable("order_states") == durable
        (second,) = world.core.step(0, admit("b"))
        await world.store.commit(second.rows)
        assert world.store.durable("intents") == [*durable, "b"]

    world.run(commit())
