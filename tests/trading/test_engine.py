"""What one event causes: commands, reports, timers and restarts, on a gateway that answers when told to."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest

from quantcli.bus import Bus
from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.errors import StrategyError
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import Side
from quantcli.model.message import Cancel, Lookup, Observation, Place, Request, Statement
from quantcli.model.order import Fill, OrderStatus
from quantcli.model.venue import Resolution, VenueContract
from quantcli.store.api import Identity
from quantcli.store.halt import HaltFlag, KillLevel
from quantcli.store.memory import MemoryStore
from quantcli.trading.engine import Engine
from quantcli.trading.portfolio import Portfolio
from quantcli.trading.risk import Limits, RiskGate
from quantcli.trading.strategy import Strategy
from quantcli.trading.wishes import Wish, bracket, hold, keep

BTC, PERP, ETH = "BTC/USDT", "BTC/USDT:USDT", "ETH/USDT"
D = Decimal


class Sent:
    """A gateway that keeps what is sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def send(self, request: Request) -> None:
        self.requests.append(request)

    def take(self, kind: type[Any]) -> list[Any]:
        taken = [request for request in self.requests if isinstance(request, kind)]
        self.requests = [request for request in self.requests if not isinstance(request, kind)]
        return taken


class Desk:
    """An engine over a memory store; `restart` is a new process over the same rows."""

    def __init__(self, rules: Callable[..., Any], view: Any) -> None:
        self.rules, self.view = rules, view
        self.clock = VirtualClock(view.now_ns)
        self.gateway = Sent()
        self.store = MemoryStore(Identity(7, 99, b"secret", 1))
        self.halt = HaltFlag(None)
        self.policy = Policy()
        self.trades = 0

    async def run(self, strategy: Strategy, *symbols: str) -> "Desk":
        markets = {symbol: self.rules(symbol) for symbol in symbols or (BTC,)}
        for symbol in markets:
            self.view.show(symbol, 100.0, 100.1)
        self.strategy, mark = strategy, dict.fromkeys(markets, D(100)).get
        books = Portfolio("x", "USDT", {"USDT": D(100_000)}, markets, mark, self.clock)
        self.view.position = books.qty
        for fill in (await self.store.load()).fills:
            books.apply(fill)
        gate = RiskGate(
            Limits(),
            books,
            markets,
            mark,
            lambda: self.kernel.working(),  # noqa: PLW0108 (the kernel is made after its gate)
            self.halt,
            self.clock,
        )
        self.kernel = ExchangeKernel(
            "x", self.store, self.gateway, gate, books, markets, self.clock, self.policy
        )
        self.bus = Bus()
        self.engine = Engine(self.kernel, strategy, markets, books, self.view, self.clock, self.bus)
        await self.kernel.start()
        await self.engine.start()
        return self

    async def wish(self, *wishes: Wish) -> None:
        """A market event: `desired` is asked."""
        self.strategy.wishes = wishes
        for symbol in self.engine.markets:
            self.engine.evaluate(symbol)
        await self.engine.flush()

    async def show(self, client_id: str, status: OrderStatus, filled: str = "0", *fills: Fill) -> None:
        await self.engine.take([Observation(client_id, "X1", status, D(filled), 0, fills)])

    def fill(self, client_id: str, qty: str, side: Side = Side.BUY, symbol: str = BTC) -> Fill:
        self.trades += 1
        stamps = self.clock.now_ns(), client_id, "X1"
        return Fill(f"T{self.trades}", symbol, side, D(qty), D(100), D(0), "USDT", True, *stamps)

    async def wait(self, seconds: float) -> None:
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        while (at := self.engine.next_due()) is not None and at <= end_ns:
            self.clock.advance_to(at)
            await self.engine.due()
        self.clock.advance_to(end_ns)

    async def rest(self, *wishes: Wish) -> str:
        """One wish, and its order working; its client order id."""
        await self.wish(*wishes)
        (place,) = self.gateway.take(Place)
        await self.show(place.client_order_id, OrderStatus.NEW)
        return place.client_order_id

    def status(self, symbol: str = BTC) -> dict[str, str]:
        return self.engine.slots[symbol].status()


@pytest.fixture
def desk(rules: Callable[..., Any], view: Any) -> Desk:
    return Desk(rules, view)


class Wisher(Strategy):
    def __init__(self, *wishes: Wish) -> None:
        self.wishes = wishes

    def desired(self, m: Any) -> Iterable[Wish]:
        return self.wishes


# Commands that meet each other.


async def test_everything_cancelled_and_moved_at_one_event_is_no_strangers_doing(desk):
    """A hook says cancel_all, and the same event moves the wish: the move comes to nothing."""
    await desk.run(Wisher())
    client_id = await desk.rest(keep.bid("bid", 1.0, 99.0))
    await desk.wait(1)
    desk.strategy.cancel_all()
    await desk.wish(keep.bid("bid", 1.0, 98.0))
    assert [c.client_order_id for c in desk.gateway.take(Cancel)] == [client_id]
    assert desk.engine.refusals == {}
    await desk.show(client_id, OrderStatus.CANCELED)
    (place,) = desk.gateway.take(Place)
    assert (place.order.price, desk.status()) == (98, {"bid": "on its way"})


async def test_a_move_that_risk_refuses_leaves_the_order_and_is_tried_again(desk):
    await desk.run(Wisher())
    await desk.rest(keep.bid("bid", 1.0, 99.0))
    await desk.wait(1)
    desk.halt.raise_to(KillLevel.HALT_NEW, "enough", desk.clock.now_ns())
    await desk.wish(keep.bid("bid", 1.0, 98.0))
    assert desk.gateway.requests == []
    assert "enough" in desk.status()["bid"]
    assert desk.engine.refusals == {"halt": 1}
    desk.halt.clear()
    await desk.wait(2)
    assert len(desk.gateway.take(Cancel)) == 1


async def test_an_order_cancelled_before_it_was_accepted_is_cancelled(desk):
    class Fickle(Strategy):
        def on_tick(self, tick: Any) -> None:
            self.cancel(self.buy(1, 99))

    await desk.run(Fickle())
    desk.strategy.on_tick(None)
    await desk.engine.flush()
    (place,) = desk.gateway.take(Place)
    await desk.show(place.client_order_id, OrderStatus.NEW)
    assert [c.client_order_id for c in desk.gateway.take(Cancel)] == [place.client_order_id]


async def test_a_ticket_counts_every_fill_of_the_report_that_ends_its_order(desk):
    await desk.run(Strategy())
    ticket = desk.strategy.buy(3, 99)
    await desk.engine.flush()
    (place,) = desk.gateway.take(Place)
    client_id = place.client_order_id
    fills = [desk.fill(client_id, "1"), desk.fill(client_id, "2")]
    await desk.show(client_id, OrderStatus.FILLED, "3", *fills)
    assert (ticket.filled, ticket.is_open) == (3, False)


async def test_many_events_at_one_instant_are_no_endless_loop(desk):
    class Counter(Strategy):
        seen = 0

        def on_order(self, event: OrderEvent) -> None:
            self.seen += 1

    await desk.run(Counter())
    for _ in range(400):
        desk.strategy.buy(0.1, 10)
    await desk.engine.flush()
    desk.strategy.cancel_all()
    await desk.engine.take(
        [Observation(p.client_order_id, "X", OrderStatus.CANCELED, D(0), 0) for p in desk.gateway.take(Place)]
    )
    assert desk.strategy.seen == 1_200  # submitted, accepted, cancelled


async def test_answering_every_order_with_another_ends_with_an_error(desk):
    class Endless(Strategy):
        def on_order(self, event: OrderEvent) -> None:
            self.buy(0.001, 10)

    await desk.run(Endless())
    desk.strategy.buy(0.001, 10)
    with pytest.raises(StrategyError, match="answered its own orders with orders 1,000 times"):
        await desk.engine.flush()


# Timers.


class Ticking(Strategy):
    def on_start(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.every("10s")

    def on_timer(self, name: str) -> None:
        self.calls.append((name, self.now // NS_PER_S))
        if name == "10s":
            self.every("4s", name="late")
            self.every("10s")


async def test_a_timer_set_later_counts_from_then_on_and_setting_it_again_changes_nothing(desk, view):
    view.now_ns = 0
    start = desk.clock.now_ns() // NS_PER_S

    class Moving(Ticking):
        now = property(lambda self: desk.clock.now_ns())

    await desk.run(Moving())
    await desk.wait(25)
    calls = [(name, at - start) for name, at in desk.strategy.calls]
    assert calls == [("10s", 10), ("late", 14), ("late", 18), ("10s", 20), ("late", 22)]


# Strangers.


async def test_a_trade_in_a_market_that_is_not_ours_changes_nothing(desk):
    heard: list[OrderEvent] = []

    class Listener(Wisher):
        def on_fill(self, fill: Fill) -> None:
            raise AssertionError

    await desk.run(Listener())
    desk.bus.subscribe("order.**", heard.append)
    await desk.show("somebody", OrderStatus.FILLED, "3", desk.fill("somebody", "3", symbol=ETH))
    assert [event.fill.qty for event in heard] == [3]
    assert desk.engine.portfolio.qty(ETH) == 0


async def test_a_strangers_trade_in_our_market_moves_the_position(desk):
    await desk.run(Wisher())
    await desk.show("somebody", OrderStatus.FILLED, "3", desk.fill("somebody", "3"))
    assert desk.engine.portfolio.qty(BTC) == 3


async def test_a_slot_whose_order_a_human_cancelled_stays_paused(desk):
    await desk.run(Wisher())
    client_id = await desk.rest(keep.bid("bid", 1.0, 99.0))
    await desk.show(client_id, OrderStatus.CANCELED)
    await desk.wait(100)
    await desk.wish(keep.bid("bid", 1.0, 98.0))
    assert desk.status()["bid"].startswith("paused")
    assert desk.gateway.take(Place) == []


# Restarts.


async def test_a_slot_goes_on_with_its_order_though_a_reduction_was_on_its_way(desk):
    """What has traded is what the fills say, not what is missing to a total that has changed."""
    await desk.run(Wisher())
    client_id = await desk.rest(keep.bid("bid", 10.0, 99.0))
    await desk.show(client_id, OrderStatus.PARTIALLY_FILLED, "1", desk.fill(client_id, "1"))
    smaller = keep.bid("bid", 2.0, 99.0, min_rest="0s")
    await desk.wish(smaller)
    assert len(desk.gateway.take(Cancel)) == 1
    await desk.run(Wisher(smaller))
    assert [r.client_order_id for r in desk.gateway.take(Lookup)] == [client_id]
    await desk.show(client_id, OrderStatus.PARTIALLY_CANCELED, "1")
    (place,) = desk.gateway.take(Place)
    await desk.show(place.client_order_id, OrderStatus.NEW)
    await desk.wish(smaller)
    await desk.wait(10)
    assert place.order.quantity == 2
    assert (desk.gateway.take(Cancel), desk.status()) == ([], {"bid": "resting"})


async def test_a_position_on_its_way_is_not_bought_twice(desk):
    """The market order filled; the program stopped before its fills came."""
    await desk.run(Wisher(), PERP)
    await desk.wish(hold(2))
    (place,) = desk.gateway.take(Place)
    client_id = place.client_order_id
    await desk.show(client_id, OrderStatus.FILLED, "2")
    await desk.run(Wisher(), PERP)
    await desk.wish(hold(2))
    assert desk.gateway.take(Place) == []
    await desk.show(client_id, OrderStatus.FILLED, "2", desk.fill(client_id, "2", symbol=PERP))
    await desk.wish(hold(2))
    assert desk.gateway.take(Place) == []
    assert desk.engine.portfolio.qty(PERP) == 2


@pytest.mark.parametrize("other", [Strategy, Wisher])
async def test_orders_that_nobody_can_wish_for_any_more_are_cancelled(desk, other):
    """The strategy has lost its `desired`, or the market is not traded any more."""
    await desk.run(Wisher())
    client_id = await desk.rest(keep.bid("bid", 1.0, 99.0))
    await desk.run(other(), BTC if other is Strategy else ETH)
    await desk.show(client_id, OrderStatus.NEW)
    assert [c.client_order_id for c in desk.gateway.take(Cancel)] == [client_id]


async def test_what_is_no_longer_wished_after_a_restart_is_cancelled_at_once(desk):
    await desk.run(Wisher())
    client_id = await desk.rest(keep.bid("bid", 1.0, 99.0))
    await desk.run(Wisher())
    assert [c.client_order_id for c in desk.gateway.take(Cancel)] == [client_id]


async def test_a_wish_that_waited_for_the_first_look_at_the_account_goes_on_after_a_restart(desk):
    """Killed between the wish and its first placement: there is no order of it yet."""
    desk.policy = Policy(venue=VenueContract("x", Resolution.PROVE, probe=True, statement=True))
    bid = keep.bid("bid", 1.0, 99.0)
    await desk.run(Wisher())
    await desk.wish(bid)
    assert desk.gateway.take(Place) == []
    await desk.run(Wisher(bid))
    await desk.engine.take([Statement(BTC, desk.clock.now_ns(), 0, desk.clock.now_ns(), (), (), D(0))])
    assert [place.order.price for place in desk.gateway.take(Place)] == [99]


# Brackets.

LONG = bracket("b", size=2, entry_stop=102.0, stop_loss=98.0, take_profit=110.0)


async def entered(desk: Desk, *wishes: Wish) -> tuple[Place, Place]:
    """A bracket whose entry filled 2 of 2; the placements of entry and stop."""
    await desk.wish(*(wishes or (LONG,)))
    (entry,) = desk.gateway.take(Place)
    await desk.show(entry.client_order_id, OrderStatus.NEW)
    client_id = entry.client_order_id
    await desk.show(client_id, OrderStatus.FILLED, "2", desk.fill(client_id, "2"))
    (stop,) = desk.gateway.take(Place)
    await desk.show(stop.client_order_id, OrderStatus.NEW)
    return entry, stop


async def test_a_bracket_guards_what_it_entered_and_says_which_leg_filled(desk):
    legs: list[str] = []

    class Guarded(Wisher):
        def on_fill(self, fill: Fill) -> None:
            legs.append(self.event.intent.metadata["leg"])

    await desk.run(Guarded())
    entry, stop = await entered(desk)
    assert (entry.order.stop_price, stop.order.stop_price, stop.order.quantity) == (102, 98, 2)
    client_id = stop.client_order_id
    await desk.show(client_id, OrderStatus.FILLED, "2", desk.fill(client_id, "2", Side.SELL))
    assert legs == ["entry", "stop"]
    (again,) = desk.gateway.take(Place)  # the wish stands
    assert (again.order.side, again.order.stop_price) == (Side.BUY, 102)
    assert [item.order.side for item in desk.kernel.working() if item.remaining] == [Side.BUY]


async def test_at_the_target_the_stop_makes_room_for_it(desk):
    await desk.run(Wisher())
    _, stop = await entered(desk)
    assert desk.kernel.follows(BTC)
    await desk.engine.quote(desk.view.show(BTC, 110.0, 110.1))
    (cancel,) = desk.gateway.take(Cancel)
    assert (cancel.client_order_id, desk.gateway.take(Place)) == (stop.client_order_id, [])
    await desk.show(stop.client_order_id, OrderStatus.CANCELED)
    (target,) = desk.gateway.take(Place)
    assert (target.order.price, target.order.quantity) == (110, 2)
    assert "paused" not in desk.status()["b"]


async def test_what_guards_a_position_stays_when_all_else_is_cancelled(desk):
    await desk.run(Wisher())
    await entered(desk, LONG)
    await desk.wish()
    desk.strategy.cancel_all()
    await desk.engine.flush()
    await desk.engine.stop(cancel_kept=True)
    assert desk.gateway.take(Cancel) == []
    await desk.run(Strategy())  # a strategy that wishes for nothing
    assert desk.gateway.take(Cancel) == []


async def test_both_exits_are_there_after_a_restart_and_nothing_is_entered_twice(desk):
    await desk.run(Wisher())
    _, stop = await entered(desk)
    await desk.run(Wisher(LONG))
    await desk.show(stop.client_order_id, OrderStatus.NEW)
    await desk.wish(LONG)
    assert (desk.gateway.take(Place), desk.gateway.take(Cancel)) == ([], [])
    assert desk.status() == {"b": "guarding"}
    await desk.engine.quote(desk.view.show(BTC, 110.0, 110.1))
    await desk.show(stop.client_order_id, OrderStatus.CANCELED)
    (target,) = desk.gateway.take(Place)
    assert target.order.price == 110


async def test_an_entry_no_longer_wished_is_cancelled_and_what_it_filled_is_guarded(desk):
    await desk.run(Wisher())
    await desk.wish(LONG)
    (entry,) = desk.gateway.take(Place)
    client_id = entry.client_order_id
    await desk.show(client_id, OrderStatus.PARTIALLY_FILLED, "0.5", desk.fill(client_id, "0.5"))
    (stop,) = desk.gateway.take(Place)
    assert stop.order.quantity == D("0.5")
    await desk.wish()
    assert [c.client_order_id for c in desk.gateway.take(Cancel)] == [client_id]
    await desk.show(client_id, OrderStatus.PARTIALLY_CANCELED, "0.5")
    await desk.show(stop.client_order_id, OrderStatus.NEW)
    assert desk.gateway.take(Cancel) == []
    assert desk.status() == {"b": "guarding"}


async def test_a_bracket_that_risk_refuses_backs_off(desk):
    await desk.run(Wisher())
    await desk.wish(bracket("b", size=2_000, entry_stop=102.0, stop_loss=98.0))
    assert desk.engine.refusals == {"capital": 1}
    assert desk.status()["b"].startswith("waiting")


async def test_a_held_position_that_a_stranger_moved_is_left_to_them(desk):
    await desk.run(Wisher(), PERP)
    await desk.show("somebody", OrderStatus.FILLED, "3", desk.fill("somebody", "3", symbol=PERP))
    await desk.wish(hold(1))
    assert desk.gateway.take(Place) == []
    assert "somebody else traded" in desk.status(PERP)["hold"]


async def test_a_stop_that_closed_all_so_far_guards_what_the_entry_brings_later(desk):
    await desk.run(Wisher())
    await desk.wish(LONG)
    (entry,) = desk.gateway.take(Place)
    buy_id = entry.client_order_id
    await desk.show(buy_id, OrderStatus.PARTIALLY_FILLED, "0.5", desk.fill(buy_id, "0.5"))
    (stop,) = desk.gateway.take(Place)
    stop_id = stop.client_order_id
    await desk.show(stop_id, OrderStatus.FILLED, "0.5", desk.fill(stop_id, "0.5", Side.SELL))
    assert desk.gateway.take(Place) == []
    await desk.show(buy_id, OrderStatus.FILLED, "2", desk.fill(buy_id, "1.5"))
    (stop,) = desk.gateway.take(Place)
    assert (stop.order.stop_price, stop.order.quantity) == (98, D("1.5"))
