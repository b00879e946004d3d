"""A kernel that has failed: what protects no position is cancelled, and people are told what is left."""

import asyncio
from collections.abc import Collection
from decimal import Decimal

from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.errors import StoreFull
from quantcli.kernel.health import Picture
from quantcli.model.instrument import Side
from quantcli.model.message import Observation, Refusal, Refused
from quantcli.model.order import (
    AttemptState,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.runtime.emergency import abandon
from quantcli.venues.inbox import Inbox

DEADLINE_NS = 5 * NS_PER_S


def attempt(name: str, state: AttemptState = AttemptState.LIVE) -> OrderState:
    order = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))
    return OrderState(f"i-{name}", 1, name, order, 1, 0, state, deadline_ns=DEADLINE_NS)


class Failed:
    """A kernel that can do one thing only; what it is asked is answered as `answers` say, by order."""

    def __init__(
        self, states: Collection[OrderState], inbox: Inbox, answers: dict[str, list[object]]
    ) -> None:
        self.asked: list[set[str]] = []
        self._states, self._inbox, self._answers = states, inbox, answers

    def picture(self) -> Picture:
        wishes = tuple(
            (
                OrderIntent(s.intent_id, s.order, 0, protective=s.client_order_id == "stop"),
                (s,),
            )
            for s in self._states
        )
        return Picture(wishes, (), frozenset())

    async def cancel_everything(
        self, spare_protective: bool = False, among: Collection[str] | None = None
    ) -> list[OrderState]:
        assert spare_protective
        names = {s.client_order_id for s in self._states} - {"stop"}
        names &= names if among is None else set(among)
        self.asked.append(names)
        for name in sorted(names):
            if self._answers.get(name):
                self._inbox.put(self._answers[name].pop(0))
        return [s for s in self._states if s.client_order_id in names]


def gone(name: str) -> Observation:
    return Observation(name, "1", OrderStatus.CANCELED, Decimal(0), 1)


def unknown(name: str) -> Refusal:
    return Refusal(name, "cancel", -2011, "Unknown order sent.", Refused.UNKNOWN_ORDER)


class Moments:
    """A clock that goes on by a second whenever it is looked at."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def __call__(self) -> float:
        self._clock.advance_to(self._clock.now_ns() + NS_PER_S)
        return self._clock.now_ns() / NS_PER_S


async def told(states: list[OrderState], answers: dict[str, list[object]]) -> tuple[str, list[set[str]]]:
    inbox, clock = Inbox(), VirtualClock()
    kernel = Failed(states, inbox, answers)
    cause = StoreFull("the disk is full", why="no room")
    async with asyncio.timeout(30):
        error = await abandon(kernel, inbox, clock, cause, 8.0, monotonic=Moments(clock))  # type: ignore[arg-type]
    assert error.what == "the kernel has stopped: the disk is full"
    return error.why, kernel.asked


async def test_what_the_exchange_confirms_is_gone_and_what_protects_stays() -> None:
    why, asked = await told([attempt("a"), attempt("stop")], {"a": [gone("a")]})
    assert asked == [{"a"}]
    assert "1 of 1 confirmed" in why
    assert "left on purpose, protects a position: BTC/USDT BUY 1 @ 99 (order stop)" in why
    assert "not confirmed" not in why


async def test_an_order_that_may_still_arrive_is_asked_for_again() -> None:
    late = attempt("late", AttemptState.PREPARED)
    why, asked = await told([late], {"late": [unknown("late") for _ in range(5)]})
    assert len(asked) >= 2, "its placement may have been on its way at first"
    assert "1 of 1 confirmed" in why


async def test_what_nobody_confirms_is_named() -> None:
    why, asked = await told([attempt("a"), attempt("b")], {"a": [unknown("a")]})
    assert {"b"} in asked
    assert "1 of 2 confirmed" in why
    assert "left, not confirmed: BTC/USDT BUY 1 @ 99 (order b)" in why
