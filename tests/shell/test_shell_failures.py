"""What fails stops the engine, says why, leaves what is durable to the next one; cancelling still works."""

import asyncio

import pytest

from quantcli.errors import InvariantError, SafetyError, StoreError
from quantcli.kernel.steps import CancelIntents, Modify, Observed, Tick
from quantcli.model.message import Cancel, Lookup, Place, Silence
from quantcli.model.order import AttemptState, OrderState
from quantcli.ports import Approved
from tests.shell.ports import Fault
from tests.shell.world import World, admit, order


async def place(world: World, *names: str) -> list[BaseException | None]:
    """Ask for orders at once; what came of it."""
    return await asyncio.gather(*(world.engine.apply(admit(name)) for name in names), return_exceptions=True)


async def check_refusing(world: World) -> None:
    """Nothing is accepted any more, whatever it is."""
    sent = list(world.exchange.sent)
    for event in (admit("z"), CancelIntents(("a",)), Tick()):
        with pytest.raises(SafetyError, match="stopped"):
            await world.engine.apply(event)
    assert world.exchange.sent == sent
    assert world.engine.get_metrics().running is False


# The store.


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("number", [1, 2])
def test_d1_d2_a_failed_commit_stops_everything_and_a_restart_goes_on(make_world, fault, number):
    """Nothing of it is sent, nor of what waited behind it; what came before was.  What waits for the first
    commit shares the second."""
    for seed in range(10):
        world = make_world(seed)
        world.store.faults[number] = fault

        async def fail(world: World = world) -> None:
            await world.engine.start()
            outcomes = await place(world, "a", "b", "c", "d")
            assert [type(outcome) for outcome in outcomes].count(type(None)) == number - 1
            assert isinstance(world.engine.failure, StoreError)
            assert world.engine.failure in outcomes
            refused = [error for error in outcomes if isinstance(error, SafetyError)]
            assert {error.why for error in refused} <= {str(world.engine.failure)}
            await check_refusing(world)
            assert world.engine.get_metrics().error_count == 1
            sent, durable = world.exchange.ids(Place), world.store.durable("order_states")
            assert len(sent) == number - 1
            assert set(sent) <= set(durable)
            assert (len(durable) > len(sent)) == (fault is Fault.AFTER)
            assert len(world.told) == len(sent)

            world.renew()
            await world.engine.start()
            assert sorted(world.exchange.ids(Lookup)) == durable
            await world.engine.apply(admit("e"))
            assert world.exchange.ids(Place) == [*sent, "e"]

        world.run(fail())


def test_a_commit_that_fails_after_all_callers_left_is_heard_of(make_world):
    world = make_world()
    world.store.faults[1] = Fault.BEFORE

    async def leave() -> None:
        await world.engine.start()
        caller = asyncio.create_task(world.engine.apply(admit("a")))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        await world.engine.stop()
        assert caller.cancelled()

    world.run(leave())
    assert [context["exception"] for context in world.loop.errors] == [world.engine.failure]


# A step.


@pytest.mark.parametrize(
    "error", [InvariantError("two open attempts"), KeyboardInterrupt(), ZeroDivisionError()]
)
def test_a_step_that_fails_stops_placing_at_once(make_world, error):
    """What an earlier step made durable meanwhile is told, not placed, and doubted at the next start."""
    world = make_world()

    async def fail() -> None:
        await world.engine.start()
        await world.engine.apply(admit("a"))
        earlier, waiting = (asyncio.create_task(world.engine.apply(admit(name))) for name in "bc")
        await asyncio.sleep(0)
        world.core.breaks = error
        with pytest.raises(type(error)):
            await world.engine.apply(Tick())
        await earlier
        with pytest.raises(SafetyError, match="stopped"):
            await waiting
        await check_refusing(world)
        assert world.exchange.ids(Place) == ["a"]
        assert world.store.durable("order_states") == ["a", "b"]
        assert [event.intent.intent_id for event in world.told] == ["a", "b"]
        world.renew()
        await world.engine.start()
        assert world.exchange.ids(Lookup) == ["a", "b"]

    world.run(fail())


def test_a_step_that_fails_for_what_was_too_late_stops_the_engine(make_world):
    world = make_world()
    world.store.seconds[1] = 5

    async def fail() -> None:
        await world.engine.start()
        world.core.step = fails_when_told_of_silence(world.core.step)
        with pytest.raises(InvariantError):
            await world.engine.apply(admit("a"))
        await check_refusing(world)

    def fails_when_told_of_silence(step):
        def failing(now_ns, event):
            if isinstance(event, Observed) and isinstance(event.report, Silence):
                raise InvariantError("it cannot be")
            return step(now_ns, event)

        return failing

    world.run(fail())
    assert world.exchange.sent == []


# Subscribers and the gateway.


def test_p10_a_subscriber_that_raises_harms_only_whoever_caused_the_event(make_world):
    for seed in range(10):
        world = make_world(seed)

        def tell(event, world=world) -> None:
            world.told.append(event)
            if event.intent.intent_id == "b":
                raise RuntimeError("the subscriber's own fault")

        world.renew(tell)

        async def go_on(world: World = world) -> None:
            await world.engine.start()
            outcomes = await place(world, "a", "b", "c")
            assert [type(outcome) for outcome in outcomes] == [type(None), RuntimeError, type(None)]
            await world.engine.apply(CancelIntents(("b",)))
            assert world.engine.failure is None

        world.run(go_on())
        assert sorted(world.exchange.ids(Place)) == ["a", "b", "c"]
        assert world.exchange.ids(Cancel) == ["b"]
        assert len(world.told) == 3


def test_p10_a_subscriber_that_raises_after_its_caller_left_is_heard_of(make_world):
    world = make_world()
    world.renew(lambda event: 1 / 0)

    async def leave() -> None:
        await world.engine.start()
        caller = asyncio.create_task(world.engine.apply(admit("a")))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        await world.engine.stop()

    world.run(leave())
    assert [type(context["exception"]) for context in world.loop.errors] == [ZeroDivisionError]
    assert world.engine.failure is None
    assert world.exchange.ids(Place) == ["a"]


def test_p10_a_subscriber_that_raises_at_what_was_too_late_is_heard_of(make_world):
    world = make_world()
    world.store.seconds[1] = 5

    def tell(event) -> None:
        if event.reason:
            raise RuntimeError(event.reason)

    world.renew(tell)

    async def be_late() -> None:
        await world.engine.start()
        await world.engine.apply(admit("a"))
        await world.engine.caught_up()
        assert world.engine.failure is None
        rows = [row for row in world.store.committed if isinstance(row, OrderState)]
        assert rows[-1].state is AttemptState.DEAD

    world.run(be_late())
    assert [str(context["exception"]) for context in world.loop.errors] == ["too late to send"]


# Stopping.


def test_stop_at_any_moment_finishes_what_is_under_way(make_world):
    stopped_early = 0
    for turn in range(60):
        world = make_world(turn)

        async def stop(world: World = world, turn: int = turn) -> int:
            await world.engine.start()
            stopping: list[asyncio.Task[None]] = []
            begin = lambda: stopping.append(world.loop.create_task(world.engine.stop()))  # noqa: E731
            world.loop.at_turn(turn, begin)
            placing = asyncio.create_task(place(world, "a", "b", "c"))
            while not stopping:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await stopping[0]
            sent = world.exchange.ids(Place)
            assert sorted(sent) == world.store.durable("order_states")
            outcomes = await placing
            assert all(outcome is None or "not running" in str(outcome) for outcome in outcomes)
            assert len(sent) == len(world.exchange.ids(Place)) == outcomes.count(None)
            with pytest.raises(SafetyError, match="not running"):
                await world.engine.apply(Tick())
            return outcomes.count(None) < 3

        stopped_early += world.run(stop())
        assert sorted(world.exchange.ids(Place)) == world.store.durable("order_states")
    assert 0 < stopped_early < 60


# In an emergency.


def test_d1_o20_with_a_full_disk_all_500_orders_are_cancelled(make_world):
    """And again, however often; but not those that are closed."""
    world = make_world()
    names = [f"{number:03}" for number in range(501)]

    async def kill() -> None:
        await world.engine.start()
        await place(world, *names)
        dead = Silence("500", "place", "no route", sent=False)
        await world.engine.apply(Observed(dead))
        world.store.faults[world.store.commits + 1] = Fault.FULL
        with pytest.raises(StoreError, match="full"):
            await world.engine.apply(admit("z"))
        began, commits = world.loop.turns, world.store.commits
        asked = await world.engine.cancel_everything()
        assert world.loop.turns == began
        assert [state.client_order_id for state in asked] == [*names[:500], "z"]
        assert world.exchange.ids(Cancel) == [*names[:500], "z"]
        assert {cancel.asked_ns for cancel in world.exchange.sent if isinstance(cancel, Cancel)} == {
            world.clock.now_ns()
        }
        await asyncio.sleep(5)
        assert len(await world.engine.cancel_everything()) == 501
        assert world.store.commits == commits
        assert str(world.engine.failure) == "the disk is full"
        await check_refusing(world)

        world.renew()
        await world.engine.start()
        await world.engine.apply(admit("y"))
        assert world.exchange.ids(Place)[-1] == "y"

    world.run(kill())


def test_d13_beside_a_commit_that_hangs_everything_is_cancelled_and_nothing_placed_later(make_world):
    """At any moment: whatever is placed is cancelled after that."""
    for turn in range(60):
        world = make_world(turn)
        world.store.seconds = {2: 2, 3: 1}

        async def kill(world: World = world, turn: int = turn) -> None:
            await world.engine.start()
            kills: list[asyncio.Task[list[OrderState]]] = []
            cancel = lambda: kills.append(world.loop.create_task(world.engine.cancel_everything()))  # noqa: E731
            world.loop.at_turn(turn, cancel)
            await place(world, "a", "b", "c")
            while not kills:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await kills[0]
            await world.engine.caught_up()
            await check_refusing(world)

        world.run(kill())
        placed, cancelled = world.exchange.ids(Place), world.exchange.ids(Cancel)
        assert set(placed) <= set(cancelled)
        kinds = [type(request) for request in world.exchange.sent if not isinstance(request, Lookup)]
        assert kinds == [Place] * len(placed) + [Cancel] * len(cancelled)
        assert set(placed) <= set(world.store.durable("order_states"))


def test_after_a_broken_invariant_everything_can_be_cancelled(make_world):
    world = make_world()

    async def kill() -> None:
        await world.engine.start()
        await place(world, "a", "b")
        world.core.breaks = InvariantError("two open attempts")
        with pytest.raises(InvariantError):
            await world.engine.apply(Tick())
        await world.engine.cancel_everything()
        assert str(world.engine.failure) == "two open attempts"

    world.run(kill())
    assert world.exchange.ids(Cancel) == ["a", "b"]


def test_a_gateway_that_raises_keeps_no_other_order_from_being_cancelled(make_world):
    world = make_world()

    async def kill() -> None:
        await world.engine.start()
        await place(world, "a", "b", "c")
        world.exchange.broken = True
        with pytest.raises(ConnectionError):
            await world.engine.cancel_everything()

    world.run(kill())
    assert world.exchange.ids(Cancel) == ["a", "b", "c"]


def test_amendments_stop_too(make_world):
    world = make_world()

    async def kill() -> None:
        await world.engine.start()
        await place(world, "a")
        amending = asyncio.create_task(world.engine.apply(Modify("a", Approved(order("2"), {}))))
        await asyncio.sleep(0)
        await world.engine.cancel_everything()
        await amending

    world.run(kill())
    assert [type(request) for request in world.exchange.sent] == [Place, Cancel]
