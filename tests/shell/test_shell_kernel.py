"""The kernel as callers meet it, over the store's own SQL: cancelled at any moment, on slow, full disks."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random

import pytest

from quantcli.clock import NS_PER_S
from quantcli.errors import QuantError, SafetyError, StoreFull
from quantcli.kernel.policy import Policy
from quantcli.model.message import Cancel, Lookup, Observation, Place, Silence
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OcoMode,
    OrderStatus,
    StandardOrderGroup,
)
from quantcli.model.venue import Resolution, VenueContract
from tests.shell.ports import Fault
from tests.shell.world import KernelWorld, order


async def check_agreed(world: KernelWorld) -> None:
    """Memory is what is durable; every attempt is placed once or known not to have been sent, or in doubt."""
    await world.engine.caught_up()
    intents = {intent.intent_id: intent for intent in await world.kernel.get_all_intents()}
    states = {state.client_order_id: state for state in await world.kernel.get_all_orders()}
    for entry in world.kernel._open_core.view.open.values():
        assert intents[entry.intent.intent_id] == entry.intent
        for state in entry.attempts:
            row = states[state.client_order_id]
            assert (row.state, row.order, row.generation) == (state.state, state.order, state.generation)
    assert {state.intent_id for state in states.values()} <= set(intents)
    sent = Counter(world.exchange.ids(Place))
    assert set(sent.values()) <= {1}
    for state in states.values():
        assert sent[state.client_order_id] == (state.state is not AttemptState.DEAD), state
    assert set(sent) <= set(states)
    assert len({state.client_order_id[4:] for state in states.values()}) == len(states)


async def act(world: KernelWorld, command: str, intent_id: str) -> object:
    kernel = world.kernel
    match command:
        case "place":
            return await kernel.place_order(order("3"), {}, request_id="once")
        case "modify":
            return await kernel.modify_order(intent_id, order("2"))
        case "cancel":
            return await kernel.cancel_order(intent_id)
        case "group":
            legs = (order("1", "99"), order("1", "98"))
            group = StandardOrderGroup(legs, OcoMode.REDUCE_ON_PARTIAL)
            return await kernel.place_order_group(group, {}, request_id="once")
    raise AssertionError(command)


def every_turn(
    make_world: Callable[..., KernelWorld], disturb: Callable[[KernelWorld, int], Awaitable[int]]
) -> int:
    """Disturb a world before its first, second, … callback, until there is none; how many there are."""
    turn = 0
    while True:
        world = make_world(turn, KernelWorld)
        if turn > world.run(disturb(world, turn)):
            return turn
        turn += 1


@pytest.mark.parametrize("command", ["place", "modify", "cancel", "group"])
def test_p9_a_command_cancelled_at_any_moment_was_given_as_a_whole_or_not_at_all(make_world, command):
    """O11: the same command again then has happened once."""
    outcomes = set()

    async def disturb(world: KernelWorld, turn: int) -> int:
        await world.kernel.start()
        first = await world.kernel.place_order(order("1"), {})
        victim = asyncio.create_task(act(world, command, first))
        witness = asyncio.create_task(world.kernel.place_order(order("5"), {}))
        began = world.loop.turns
        world.loop.at_turn(turn, victim.cancel)
        await asyncio.wait([victim, witness])
        took = world.loop.turns - began
        await check_agreed(world)
        intents = await world.kernel.get_all_intents()
        orders = await world.kernel.get_all_orders()
        (mine,) = [intent for intent in intents if intent.intent_id == first]
        done = len(intents) > 2 or mine.generation > 1 or mine.phase is IntentPhase.CANCEL_REQUESTED
        outcomes.add((victim.cancelled(), done))
        if command == "group":
            assert len(intents) in {2, 4}
            assert len(await world.store.groups()) == (len(intents) == 4)
        assert len(orders) == len(intents)

        if command != "modify" or mine.generation == 1:
            await act(world, command, first)
        await world.kernel.place_order(order("7"), {})
        await check_agreed(world)
        after = await world.kernel.get_all_intents()
        assert len(after) == 3 + {"place": 1, "group": 2}.get(command, 0)
        assert len({intent.intent_id for intent in after}) == len(after)
        return took

    assert every_turn(make_world, disturb) > 15
    assert outcomes == {(True, False), (True, True), (False, True)}


def test_p9_a_start_cancelled_at_any_moment_can_be_repeated(make_world):
    async def disturb(world: KernelWorld, turn: int) -> int:
        await world.kernel.start()
        first = await world.kernel.place_order(order(), {})
        await world.kernel.stop()
        world.renew()
        began = world.loop.turns
        starting = asyncio.create_task(world.kernel.start())
        world.loop.at_turn(turn, starting.cancel)
        await asyncio.wait([starting])
        took = world.loop.turns - began
        if starting.cancelled():
            world.renew()
            await world.store.close()
            await world.kernel.start()
        second = await world.kernel.place_order(order(), {})
        intents = {intent.intent_id for intent in await world.kernel.get_all_intents()}
        assert intents == {first, second}
        assert len(world.exchange.ids(Place)) == 2
        assert len(world.exchange.ids(Lookup)) >= 1
        return took

    every_turn(make_world, disturb)


async def some_user(world: KernelWorld, random: Random) -> None:
    kernel = world.kernel
    intent_id = await kernel.place_order(order("9"), {})
    for _ in range(4):
        await asyncio.sleep(random.random())
        if random.randrange(4):
            await kernel.modify_order(intent_id, order(str(random.randint(1, 9))))
        else:
            await kernel.cancel_order(intent_id)


def test_p9_many_users_cancelled_at_random_leave_memory_and_database_agreed(make_world):
    for seed in range(30):
        world = make_world(seed, KernelWorld)
        random = Random(seed)

        async def trade(world: KernelWorld = world, random: Random = random) -> None:
            await world.kernel.start()
            world.store.seconds = {number: random.random() for number in range(3, 60, 3)}
            users = [asyncio.create_task(some_user(world, random)) for _ in range(6)]
            for user in users[:4]:
                world.loop.at_turn(random.randrange(300), user.cancel)
            outcomes = await asyncio.gather(*users, return_exceptions=True)
            unexpected = [
                outcome
                for outcome in outcomes
                if isinstance(outcome, Exception) and not isinstance(outcome, QuantError)
            ]
            assert unexpected == []
            assert world.engine.failure is None
            await check_agreed(world)

        world.run(trade())


# Time and disks.


def test_p13_hours_asleep_at_any_moment_place_every_order_once(make_world):
    """What was being written then is too late, and placed anew; what was sent is in doubt."""
    anew = 0

    async def disturb(world: KernelWorld, turn: int) -> int:
        def sleep() -> None:
            world.clock.asleep_ns += 8 * 3600 * NS_PER_S

        nonlocal anew
        await world.kernel.start()
        began = world.loop.turns
        world.loop.at_turn(turn, sleep)
        await asyncio.gather(*(world.kernel.place_order(order(), {}) for _ in range(3)))
        took = world.loop.turns - began
        await world.pass_time(600)
        await check_agreed(world)
        placed = await world.kernel.get_all_orders()
        assert len(world.exchange.ids(Place)) == 3
        assert len({state.intent_id for state in placed}) == 3
        anew += len(placed) - 3
        return took

    assert every_turn(make_world, disturb) > 15
    assert anew > 0


def test_d13_an_order_that_was_durable_too_late_is_placed_again_in_time(make_world):
    """The first attempt never left: it is dead without any proof, and the next has an id of its own."""
    world = make_world(0, KernelWorld)

    async def slow() -> None:
        await world.kernel.start()
        world.store.seconds[world.store.commits + 1] = 6
        intent_id = await world.kernel.place_order(order(), {})
        await world.engine.caught_up()
        late, again = await world.kernel.get_all_orders()
        assert (late.state, late.reason) == (AttemptState.DEAD, "too late to send")
        assert world.exchange.ids(Place) == [again.client_order_id]
        assert (await world.kernel.get_order_state(intent_id)) == again
        await check_agreed(world)

    world.run(slow())


def test_d13_a_second_sending_that_is_too_late_says_nothing_of_the_first(make_world):
    """Where the same id may be sent twice, only the second was withheld: the order may well be there."""
    world = make_world(0, KernelWorld)
    venue = VenueContract("test", Resolution.RESEND)
    world.policy = Policy(venue=venue)
    world.renew()

    async def slow() -> None:
        await world.kernel.start()
        await world.kernel.place_order(order(), {})
        (client_id,) = world.exchange.ids(Place)
        await world.kernel.observe(Silence(client_id, "place", "time-out"))
        sent = world.exchange.ids(Place)
        world.store.seconds = dict.fromkeys(range(world.store.commits + 1, 100), 6)
        await world.pass_time(30)
        (state,) = await world.kernel.get_all_orders()
        assert state.sends > 1
        assert state.state is AttemptState.AMBIGUOUS
        assert world.exchange.ids(Place) == sent

    world.run(slow())


def test_d1_with_a_full_disk_orders_are_cancelled_and_with_space_again_everything_goes_on(make_world):
    world = make_world(0, KernelWorld)

    async def fill_up() -> None:
        await world.kernel.start()
        ids = [await world.kernel.place_order(order(), {}) for _ in range(5)]
        placed = world.exchange.ids(Place)
        await world.kernel.observe(Silence(placed[0], "place", "no route", sent=False))
        world.store.faults[world.store.commits + 1] = Fault.FULL
        with pytest.raises(StoreFull):
            await world.kernel.cancel_order(ids[1])
        with pytest.raises(SafetyError):
            await world.kernel.place_order(order(), {})
        assert not (await world.kernel.health_check()).ok
        await world.engine.cancel_everything()
        assert world.exchange.ids(Cancel) == placed[1:]

        world.renew()
        await world.kernel.start()
        assert world.exchange.ids(Lookup)[-4:] == placed[1:]
        await world.kernel.cancel_order(ids[1])
        now_ns = world.clock.now_ns()
        await world.kernel.observe(Observation(placed[2], "X1", OrderStatus.CANCELED, Decimal(0), now_ns))
        assert (await world.kernel.get_order_intent(ids[2])).phase is IntentPhase.CANCELED
        await world.kernel.place_order(order(), {})
        assert len(await world.kernel.get_all_intents()) == 6

    world.run(fill_up())
