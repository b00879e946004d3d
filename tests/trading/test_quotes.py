"""What `converge` asks for, and that it leaves alone what is right."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantcli.errors import StrategyError
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderType,
    StandardOrder,
)
from quantcli.trading.quotes import Slots
from quantcli.trading.wishes import (
    CancelOrder,
    Command,
    Hold,
    Keep,
    ModifyOrder,
    PlaceOrder,
    Wish,
    hold,
    keep,
)

MS = 1_000_000
S = 1_000_000_000
Kind = OrderEventKind


class World:
    """One market's slots, and a kernel that does what it is told, when the test lets it."""

    def __init__(self, rules: SymbolMetadata, position: str = "0") -> None:
        self.slots = Slots(rules, "Mine")
        self.now = 100 * S
        self.bid, self.ask = 100.0, 100.10
        self.position = Decimal(position)
        self.open: dict[str, tuple[OrderIntent, Decimal]] = {}
        self.unanswered: dict[str, str] = {}
        self._made = 0

    def wish(self, *wishes: Wish, obey: bool = True) -> list[Command]:
        """Converge; the kernel takes the commands and (`obey`) answers at once."""
        commands = self.slots.converge(wishes, self.bid, self.ask, self.position, self.now)
        for command in commands:
            self._take(command)
        if obey:
            self.answer()
        return commands

    def _take(self, command: Command) -> None:
        match command:
            case PlaceOrder(order, metadata, slot=slot):
                assert not [i for i, _ in self.open.values() if i.metadata["slot"] == slot], (
                    "two open intents"
                )
                self._made += 1
                intent_id = f"i{self._made}"
                phase = IntentPhase.ACTIVE
                intent = OrderIntent(intent_id, order, self.now, metadata=dict(metadata), phase=phase)
                self.open[intent_id] = (intent, Decimal(0))
                self.slots.placed(slot, intent_id)
                self._submit(intent_id)
            case ModifyOrder(intent_id, order):
                assert intent_id not in self.unanswered, "a second command on its way"
                intent, filled = self.open[intent_id]
                assert order.quantity > filled
                changed = msgspec.structs.replace(intent, order=order, generation=intent.generation + 1)
                self.open[intent_id] = (changed, filled)
                self._submit(intent_id)
            case CancelOrder(intent_id):
                assert self.unanswered.get(intent_id) in (None, "doubt"), "a second command on its way"
                self.unanswered[intent_id] = "cancel"

    def _submit(self, intent_id: str) -> None:
        self.unanswered[intent_id] = "place"
        self.tell(Kind.SUBMITTED, intent_id, AttemptState.PREPARED)

    def answer(self) -> None:
        """The exchange answers everything that was asked."""
        for intent_id in list(self.unanswered):
            if self.unanswered.pop(intent_id) == "cancel":
                self.end(intent_id, IntentPhase.CANCELED, Kind.CANCELLED)
            else:
                self.tell(Kind.ACCEPTED, intent_id, AttemptState.LIVE)

    def tell(
        self, kind: OrderEventKind, intent_id: str, state: AttemptState, sent_as: int = 0, **more: Any
    ) -> None:
        """Tell the slots; `sent_as` is the generation of the terms that the exchange has."""
        intent, filled = self.open[intent_id]
        generation = sent_as or intent.generation
        attempt = OrderState(
            intent_id, 1, "c", intent.order, generation, self.now, state=state, filled=filled
        )
        self.slots.on_order(OrderEvent(kind, self.now, intent, attempt, **more))

    def end(self, intent_id: str, phase: IntentPhase, kind: OrderEventKind, **more: Any) -> None:
        intent, filled = self.open[intent_id]
        self.open[intent_id] = (msgspec.structs.replace(intent, phase=phase), filled)
        self.tell(kind, intent_id, AttemptState.DONE, **more)
        del self.open[intent_id]

    def fill(self, intent_id: str, qty: str | Decimal) -> None:
        """Some of an order trades."""
        intent, filled = self.open[intent_id]
        order, amount = intent.order, Decimal(qty)
        self.position += amount * order.side.sign
        fill = Fill(
            str(self.now), order.symbol, order.side, amount, order.price or Decimal(100), Decimal(0),
            "USDT", True, self.now, "c", "x", intent_id,
        )  # fmt: skip
        self.open[intent_id] = (intent, filled + amount)
        if filled + amount == order.quantity:
            self.unanswered.pop(intent_id, None)
            self.end(intent_id, IntentPhase.SATISFIED, Kind.FILLED, fill=fill)
        else:
            self.tell(Kind.FILLED, intent_id, AttemptState.LIVE, fill=fill)

    def orders(self) -> dict[str, StandardOrder]:
        return {intent.metadata["slot"]: intent.order for intent, _ in self.open.values()}

    def only(self) -> str:
        (intent_id,) = self.open
        return intent_id

    def pass_time(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
def future(rules: Callable[..., SymbolMetadata]) -> World:
    return World(rules("BTC/USDT:USDT"))


@pytest.fixture
def spot(rules: Callable[..., SymbolMetadata]) -> World:
    return World(rules("BTC/USDT", min_notional=Decimal(5)))


class TestKeep:
    def test_a_new_name_is_a_new_order_on_tick_and_lot(self, future: World) -> None:
        (command,) = future.wish(keep.bid("bid", 0.5019, 99.998))
        assert isinstance(command, PlaceOrder)
        assert command.order == StandardOrder(
            "BTC/USDT:USDT", Side.BUY, OrderType.LIMIT, Decimal("0.501"), Decimal("99.99")
        )
        assert command.metadata == {"strategy": "Mine", "slot": "bid"}

    def test_a_size_in_quote_currency_is_taken_at_the_orders_price(self, future: World) -> None:
        future.wish(keep.ask("ask", "50 USDT", 200.0))
        assert future.orders()["ask"].quantity == Decimal("0.25")

    def test_within_tolerance_it_rests(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        assert future.wish(keep.bid("bid", 1.04, 99.01)) == []

    def test_the_same_name_moves_the_order(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        (command,) = future.wish(keep.bid("bid", 1.0, 98.98))
        assert isinstance(command, ModifyOrder)
        assert command.order.price == Decimal("98.98")

    def test_a_changed_size_moves_the_order(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        future.wish(keep.bid("bid", 0.9, 99.0))
        assert future.orders()["bid"].quantity == Decimal("0.9")

    def test_a_move_keeps_a_size_that_is_within_tolerance(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        future.wish(keep.bid("bid", 1.04, 98.0))
        assert future.orders()["bid"].quantity == 1

    def test_zero_tolerance_means_the_rounded_price(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.004, tolerance=0))
        future.pass_time(S)
        assert future.wish(keep.bid("bid", 1.0, 99.006, tolerance=0)) == []
        assert future.wish(keep.bid("bid", 1.0, 99.016, tolerance=0)) != []

    def test_a_size_that_is_not_whole_lots_does_not_move_it_for_ever(self, future: World) -> None:
        future.wish(keep.bid("bid", 0.0019, 99.0))
        future.pass_time(S)
        assert future.wish(keep.bid("bid", 0.0019, 99.0)) == []

    def test_it_is_moved_at_most_once_in_min_rest(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0, min_rest="400ms"))
        future.pass_time(100 * MS)
        assert future.wish(keep.bid("bid", 1.0, 98.0, min_rest="400ms")) == []
        assert future.slots.next_due() == future.now + 300 * MS
        future.pass_time(300 * MS)
        assert len(future.wish(keep.bid("bid", 1.0, 98.0, min_rest="400ms"))) == 1

    def test_what_is_no_longer_yielded_is_cancelled(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0), keep.ask("ask", 1.0, 101.0))
        (command,) = future.wish(keep.ask("ask", 1.0, 101.0))
        assert isinstance(command, CancelOrder)
        assert list(future.orders()) == ["ask"]

    def test_another_side_under_the_same_name_cancels_first(self, future: World) -> None:
        future.wish(keep.bid("q", 1.0, 99.0))
        (first,) = future.wish(keep.ask("q", 1.0, 101.0))
        (second,) = future.wish(keep.ask("q", 1.0, 101.0))
        assert isinstance(first, CancelOrder)
        assert isinstance(second, PlaceOrder)

    def test_after_very_many_moves_it_takes_a_new_intent(self, future: World) -> None:
        kinds = []
        for i in range(260):
            kinds += [type(c) for c in future.wish(keep.bid("bid", 1.0, 99.0 - i))] if i < 90 else []
            price = 99.0 if i % 2 else 98.0
            kinds += [type(c) for c in future.wish(keep.bid("bid", 1.0, price))]
            future.pass_time(S)
        assert kinds.count(ModifyOrder) > 200
        assert kinds.count(CancelOrder) == 1
        assert kinds.count(PlaceOrder) == 2

    def test_a_post_only_wish_that_would_trade_is_held_back(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 100.10, post_only=True)
        assert future.wish(wish) == []
        assert (future.slots.next_due() or 0) > future.now
        future.ask = 100.20
        (command,) = future.wish(wish)
        assert isinstance(command, PlaceOrder)
        assert command.order.type is OrderType.LIMIT_MAKER

    def test_a_post_only_order_does_not_move_across_the_touch(self, future: World) -> None:
        future.wish(keep.ask("ask", 1.0, 101.0, post_only=True))
        future.pass_time(S)
        assert future.wish(keep.ask("ask", 1.0, 100.0, post_only=True)) == []
        assert future.orders()["ask"].price == Decimal(101)

    def test_without_post_only_it_may_trade_at_once(self, future: World) -> None:
        assert len(future.wish(keep.bid("bid", 1.0, 100.10))) == 1


class TestFills:
    def test_a_full_fill_is_refilled_after_the_cooldown(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0, cooldown="3s")
        future.wish(wish)
        future.fill(future.only(), "1")
        assert future.wish(wish) == []
        assert future.slots.next_due() == future.now + 3 * S
        future.pass_time(3 * S)
        assert len(future.wish(wish)) == 1

    def test_leaving_a_wish_out_for_a_moment_does_not_shorten_the_cooldown(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0)
        future.wish(wish)
        future.fill(future.only(), "1")
        future.wish()
        assert future.wish(wish) == []

    def test_a_partial_fill_is_refilled_to_size_after_the_cooldown(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0)
        future.wish(wish)
        future.pass_time(5 * S)
        future.fill(future.only(), "0.4")
        assert future.wish(wish) == []
        future.pass_time(S)
        (command,) = future.wish(wish)
        assert isinstance(command, ModifyOrder)
        assert command.order.quantity == Decimal("1.4")

    def test_a_move_during_the_cooldown_takes_only_what_is_left(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(5 * S)
        future.fill(future.only(), "0.4")
        (command,) = future.wish(keep.bid("bid", 1.0, 98.0))
        assert isinstance(command, ModifyOrder)
        assert command.order.quantity == Decimal("1.0")

    def test_too_little_to_be_placed_again_rests_until_it_is_refilled(self, spot: World) -> None:
        spot.wish(keep.bid("bid", 1.0, 99.0))
        spot.pass_time(5 * S)
        spot.fill(spot.only(), "0.96")
        assert spot.wish(keep.bid("bid", 1.0, 98.0)) == []
        spot.pass_time(S)
        (command,) = spot.wish(keep.bid("bid", 1.0, 98.0))
        assert isinstance(command, ModifyOrder)
        assert command.order.quantity == Decimal("1.96")


class TestTrouble:
    def test_nothing_more_is_asked_while_a_command_is_on_its_way(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0), obey=False)
        future.pass_time(S)
        assert future.wish(keep.bid("bid", 1.0, 95.0), obey=False) == []
        future.answer()
        assert len(future.wish(keep.bid("bid", 1.0, 95.0), obey=False)) == 1
        assert future.wish(keep.bid("bid", 1.0, 90.0), obey=False) == []

    def test_an_unknown_outcome_blocks_the_slot_but_may_be_withdrawn(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0), obey=False)
        intent_id = future.only()
        future.unanswered[intent_id] = "doubt"
        future.tell(Kind.UNKNOWN, intent_id, AttemptState.AMBIGUOUS)
        future.pass_time(60 * S)
        assert future.wish(keep.bid("bid", 1.0, 95.0), obey=False) == []
        assert "unknown" in future.slots.status()["bid"]
        assert future.wish(obey=False) == [CancelOrder(intent_id)]
        assert future.wish(obey=False) == []

    def test_a_known_outcome_unblocks_it(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0), obey=False)
        future.tell(Kind.UNKNOWN, future.only(), AttemptState.AMBIGUOUS)
        future.tell(Kind.ACCEPTED, future.only(), AttemptState.LIVE)
        future.unanswered.clear()
        future.pass_time(S)
        assert len(future.wish(keep.bid("bid", 1.0, 95.0))) == 1

    def test_rejections_back_off_and_say_why(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0)
        waits = []
        for _ in range(8):
            future.wish(wish, obey=False)
            future.unanswered.clear()
            future.end(future.only(), IntentPhase.FAILED, Kind.REJECTED, reason="-2010 insufficient balance")
            assert future.wish(wish) == []
            due = future.slots.next_due()
            assert due is not None
            waits.append((due - future.now) // S)
            future.now = due
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
        assert "insufficient balance" in future.slots.status()["bid"]

    def test_an_accepted_order_ends_the_back_off(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0)
        future.slots.converge([wish], 100, 101, Decimal(0), future.now)
        future.slots.refused("bid", "too large", future.now)
        assert future.slots.next_due() == future.now + S
        future.pass_time(S)
        future.wish(wish)
        assert future.slots.status() == {"bid": "resting"}

    def test_a_refused_move_leaves_the_order_and_backs_off(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        moved = keep.bid("bid", 1.0, 90.0)
        future.slots.converge([moved], 100, 101, Decimal(0), future.now)
        future.slots.modify_refused(future.only(), "price outside the band", future.now)
        assert future.wish(moved) == []
        assert future.slots.next_due() == future.now + S
        assert future.wish(keep.bid("bid", 1.0, 99.0)) == []
        future.pass_time(S)
        assert len(future.wish(moved)) == 1

    def test_cancelled_by_somebody_else_pauses_for_good(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0)
        future.wish(wish)
        future.end(future.only(), IntentPhase.CANCELED, Kind.CANCELLED, reason="external: on the exchange")
        future.pass_time(3600 * S)
        assert future.wish(wish) == []
        future.wish()
        assert future.wish(wish) == []
        assert future.slots.status() == {"bid": "paused: external: on the exchange"}

    def test_a_late_event_of_an_ended_order_does_not_touch_the_next(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        old, filled = future.open[future.only()]
        future.wish()
        future.wish(keep.bid("bid", 1.0, 98.0))
        future.open["i1"] = (msgspec.structs.replace(old, phase=IntentPhase.FAILED), filled)
        future.tell(Kind.REJECTED, "i1", AttemptState.DONE)
        assert future.slots.status() == {"bid": "resting"}

    def test_the_old_terms_seen_working_do_not_end_a_move(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        future.wish(keep.bid("bid", 1.0, 98.0), obey=False)
        future.tell(Kind.FILLED, future.only(), AttemptState.LIVE, sent_as=1)
        future.pass_time(S)
        assert future.wish(keep.bid("bid", 1.0, 97.0), obey=False) == []

    def test_news_from_before_a_move_does_not_end_it(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        future.pass_time(S)
        future.slots.converge([keep.bid("bid", 1.0, 98.0)], 100, 101, Decimal(0), future.now)
        future.tell(Kind.FILLED, future.only(), AttemptState.LIVE)  # the kernel has not heard of the move
        future.pass_time(S)
        assert future.slots.converge([keep.bid("bid", 1.0, 97.0)], 100, 101, Decimal(0), future.now) == []

    def test_an_order_that_somebody_is_cancelling_is_not_moved(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        intent, filled = future.open[future.only()]
        leaving = msgspec.structs.replace(intent, phase=IntentPhase.CANCEL_REQUESTED)
        future.open[future.only()] = (leaving, filled)
        future.tell(Kind.FILLED, future.only(), AttemptState.LIVE)
        future.pass_time(S)
        assert future.wish(keep.bid("bid", 1.0, 95.0)) == []

    def test_an_order_that_ended_before_its_id_was_known_is_not_held_on_to(self, future: World) -> None:
        wish = keep.bid("bid", 1.0, 99.0)
        (command,) = future.slots.converge([wish], 100, 101, Decimal(0), future.now)
        assert isinstance(command, PlaceOrder)
        intent = OrderIntent(
            "i0", command.order, 0, metadata=dict(command.metadata), phase=IntentPhase.FAILED
        )
        future.slots.on_order(OrderEvent(Kind.REJECTED, future.now, intent))
        future.slots.placed("bid", "i0")
        assert future.slots.withdraw() == []
        future.pass_time(S)
        assert len(future.wish(wish)) == 1

    def test_withdraw_cancels_all_once(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0), keep.ask("ask", 1.0, 101.0))
        assert future.slots.withdraw() == [CancelOrder("i1"), CancelOrder("i2")]
        assert future.slots.withdraw() == []

    def test_an_order_of_an_earlier_run_is_taken_over(self, rules: Callable[..., SymbolMetadata]) -> None:
        before = World(rules("BTC/USDT:USDT"))
        before.wish(keep.bid("bid", 1.0, 99.0))
        intent, _ = before.open[before.only()]
        state = OrderState("i1", 1, "c", intent.order, 1, 0, state=AttemptState.LIVE)
        slots = Slots(rules("BTC/USDT:USDT"), "Mine")
        slots.adopt(intent, state, Decimal("0.3"))
        (command,) = slots.converge([keep.bid("bid", 0.7, 90.0)], 100, 101, Decimal("0.3"), before.now)
        assert isinstance(command, ModifyOrder)
        assert command.order.quantity == Decimal("1.0")

    def test_names_that_are_gone_are_forgotten(self, future: World) -> None:
        for i in range(50):
            future.wish(keep.bid(f"bid-{i}", 1.0, 99.0))
        future.wish()
        future.wish()
        assert future.slots.status() == {}


class TestSpot:
    def test_a_sell_never_exceeds_the_position(self, spot: World) -> None:
        spot.position = Decimal("0.30079")
        spot.wish(keep.ask("ask", 1.0, 101.0))
        assert spot.orders()["ask"].quantity == Decimal("0.300")

    def test_nothing_is_sold_of_nothing(self, spot: World) -> None:
        assert spot.wish(keep.ask("ask", 1.0, 101.0)) == []

    def test_several_sells_share_the_position(self, spot: World) -> None:
        spot.position = Decimal("1")
        spot.wish(keep.ask("a", 0.7, 101.0), keep.ask("b", 0.7, 102.0))
        assert {name: str(order.quantity) for name, order in spot.orders().items()} == {
            "a": "0.700",
            "b": "0.300",
        }

    def test_what_one_sell_gives_up_another_takes_only_when_it_is_free(self, spot: World) -> None:
        spot.position = Decimal(1)
        spot.wish(keep.ask("a", 1.0, 101.0))
        spot.pass_time(S)
        wishes = keep.ask("a", 0.3, 101.0), keep.ask("b", 0.7, 102.0)
        (shrink,) = spot.wish(*wishes, obey=False)
        assert isinstance(shrink, ModifyOrder)
        spot.answer()
        (place,) = spot.wish(*wishes)
        assert isinstance(place, PlaceOrder)

    def test_sells_shrink_together_when_less_is_held(self, spot: World) -> None:
        spot.position = Decimal(2)
        wishes = keep.ask("a", 0.7, 101.0), keep.ask("b", 0.7, 102.0)
        spot.wish(*wishes)
        spot.position = Decimal(1)
        for _ in range(4):
            spot.pass_time(S)
            spot.wish(*wishes)
        assert sum(order.quantity for order in spot.orders().values()) == 1

    def test_less_than_the_exchange_accepts_is_not_placed(self, spot: World) -> None:
        spot.position = Decimal("0.04")
        assert spot.wish(keep.ask("ask", 1.0, 101.0)) == []

    def test_a_small_remnant_of_an_order_may_go_on(self, spot: World) -> None:
        spot.position = Decimal("1")
        spot.wish(keep.ask("ask", 1.0, 101.0))
        spot.pass_time(5 * S)
        spot.fill(spot.only(), "0.98")
        spot.pass_time(5 * S)
        assert spot.wish(keep.ask("ask", 1.0, 101.0)) == []
        assert spot.wish(keep.ask("ask", 1.0, 102.0)) == []

    def test_a_remnant_of_more_than_is_held_is_cancelled(self, spot: World) -> None:
        spot.position = Decimal("1")
        spot.wish(keep.ask("ask", 1.0, 101.0))
        spot.position = Decimal("0.02")
        (command,) = spot.wish(keep.ask("ask", 1.0, 101.0))
        assert isinstance(command, CancelOrder)

    def test_a_hold_leaves_what_a_kept_order_is_selling(self, spot: World) -> None:
        spot.position = Decimal(1)
        ask = keep.ask("ask", 0.7, 101.0)
        spot.wish(ask)
        spot.wish(ask, hold(0))
        assert spot.orders()["hold"].quantity == Decimal("0.3")

    def test_a_sell_larger_than_what_is_left_shrinks(self, spot: World) -> None:
        spot.position = Decimal("1")
        spot.wish(keep.ask("ask", 1.0, 101.0))
        spot.pass_time(5 * S)
        for held in ("0.98", "0.5"):  # the first within the size tolerance, but more than is held
            spot.position = Decimal(held)
            spot.wish(keep.ask("ask", 1.0, 101.0))
            assert spot.orders()["ask"].quantity == Decimal(held)
            spot.pass_time(S)


class TestHold:
    def test_a_target_is_reached_with_one_market_order_at_a_time(self, future: World) -> None:
        (command,) = future.wish(hold(2.0), obey=False)
        assert isinstance(command, PlaceOrder)
        assert command.order == StandardOrder("BTC/USDT:USDT", Side.BUY, OrderType.MARKET, Decimal(2))
        assert future.wish(hold(3.0), obey=False) == []
        future.fill(future.only(), "2")
        future.wish(hold(3.0))
        assert future.orders()["hold"].quantity == 1

    def test_a_target_in_quote_currency_is_taken_at_the_mid_price(self, future: World) -> None:
        future.bid, future.ask = 99.0, 101.0
        future.wish(hold("50 USDT"))
        assert future.orders()["hold"].quantity == Decimal("0.5")

    def test_a_difference_within_tolerance_is_left(self, future: World) -> None:
        future.position = Decimal("1.9")
        assert future.wish(hold(2.0, tolerance="5 %")) == []
        assert len(future.wish(hold(2.0, tolerance="4 %"))) == 1

    def test_dust_is_left(self, spot: World) -> None:
        spot.position = Decimal("0.0004")
        assert spot.wish(hold(0)) == []
        spot.position = Decimal("0.0494")  # worth less than the exchange takes
        assert spot.wish(hold(0)) == []

    def test_spot_sells_what_is_there_and_no_more(self, spot: World) -> None:
        spot.position = Decimal("0.5009")
        (command,) = spot.wish(hold(0))
        assert isinstance(command, PlaceOrder)
        assert (command.order.side, command.order.quantity) == (Side.SELL, Decimal("0.500"))
        assert not command.order.reduce_only

    def test_a_future_turns_from_long_to_short(self, future: World) -> None:
        future.position = Decimal(1)
        future.wish(hold(-1.0))
        order = future.orders()["hold"]
        assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, Decimal(2), False)

    def test_a_future_only_reduces_towards_flat(self, future: World) -> None:
        future.position = Decimal(-1)
        future.wish(hold(0))
        order = future.orders()["hold"]
        assert (order.side, order.quantity, order.reduce_only) == (Side.BUY, Decimal(1), True)

    def test_short_on_spot_is_an_error_at_once(self, spot: World) -> None:
        with pytest.raises(StrategyError, match="cannot be held at -1"):
            spot.wish(hold(-1))

    def test_an_order_that_found_no_market_backs_off(self, future: World) -> None:
        future.wish(hold(1.0), obey=False)
        future.unanswered.clear()
        future.end(future.only(), IntentPhase.EXPIRED, Kind.EXPIRED, reason="not filled at once")
        assert future.wish(hold(1.0)) == []
        assert future.slots.next_due() == future.now + S

    def test_without_a_price_nothing_is_done(self, future: World) -> None:
        future.bid = future.ask = 0.0
        assert future.wish(hold("50 USDT")) == []


class TestNonsense:
    def desired(self, wish: Any) -> Iterator[Wish]:
        yield keep.bid("fine", 1.0, 99.0)
        yield wish

    @pytest.mark.parametrize(
        ("wish", "says"),
        [
            (None, "None is not a wish"),
            (keep.bid("bid", 1.0, float("nan")), "nan"),
            (keep.bid("bid", 1.0, -1.0), "no price"),
            (keep.bid("bid", 1.0, None), "not a number"),  # type: ignore[arg-type]
            (keep.bid("bid", 0, 99.0), "order of 0"),
            (keep.bid("bid", -1.0, 99.0), "order of -1"),
            (keep.bid("bid", "5 EUR", 99.0), "5 EUR"),
            (keep.bid(7, 1.0, 99.0), "not a wish"),  # type: ignore[arg-type]
            (keep.ask("fine", 1.0, 101.0), "two wishes are called 'fine'"),
            (hold("lots"), "not a number"),
        ],
    )
    def test_it_names_the_line_and_changes_nothing(self, future: World, wish: Any, says: str) -> None:
        line = self.desired.__code__.co_firstlineno + 2
        with pytest.raises(StrategyError, match=rf"test_quotes\.py:{line}: .*{says}"):
            future.slots.converge(self.desired(wish), 100, 101, Decimal(0), future.now)
        assert len(future.wish(keep.bid("fine", 1.0, 99.0))) == 1

    @pytest.mark.parametrize("wishes", [None, 5])
    def test_a_desired_that_is_no_generator(self, future: World, wishes: Any) -> None:
        with pytest.raises(StrategyError, match="desired of Mine gave"):
            future.slots.converge(wishes, 100, 101, Decimal(0), future.now)

    def test_what_desired_itself_raises_passes_through(self, future: World) -> None:
        def desired() -> Iterator[Wish]:
            yield keep.bid("bid", 1.0, 99.0)
            raise AttributeError("mine")

        with pytest.raises(AttributeError, match="mine"):
            future.slots.converge(desired(), 100, 101, Decimal(0), future.now)

    def test_an_order_whose_wish_shrinks_below_a_lot_is_cancelled(self, future: World) -> None:
        future.wish(keep.bid("bid", 1.0, 99.0))
        (command,) = future.wish(keep.bid("bid", 0.0005, 99.0))
        assert isinstance(command, CancelOrder)

    def test_less_than_a_lot_is_no_error_but_no_order(self, future: World) -> None:
        assert future.wish(keep.bid("bid", 0.0005, 99.0)) == []
        assert "less than one lot" in future.slots.status()["bid"]


# Whatever happens in between: one open intent per slot, one command at a time (the World asserts both), and
# in the end the orders are what is wished.

PRICES = st.integers(9800, 10200).map(lambda ticks: ticks / 100 + 0.003)
SIZES = st.sampled_from([0.5, 1.0, 2.0, "70 USDT"])
KEEPS = st.builds(
    lambda side, size, price, tolerance, post_only: (keep.bid if side else keep.ask)(
        "bid" if side else "ask", size, price, tolerance=tolerance, post_only=post_only
    ),
    st.booleans(), SIZES, PRICES, st.sampled_from([0, 1, 2.5]), st.booleans(),
)  # fmt: skip
STEPS = st.one_of(
    st.tuples(st.just("wish"), st.lists(KEEPS, max_size=2, unique_by=lambda wish: wish.slot)),
    st.tuples(st.just("answer"), st.none()),
    st.tuples(st.just("fill"), st.sampled_from(["0.25", "1"])),
    st.tuples(st.just("reject"), st.none()),
    st.tuples(st.just("time"), st.integers(0, 2000)),
)


def play(world: World, kind: str, value: Any) -> None:
    first = next(iter(world.open), None)
    if kind == "wish":
        world.wish(*value, obey=False)
    elif kind == "answer":
        world.answer()
    elif kind == "time":
        world.pass_time(value * MS)
    elif first and kind == "fill" and world.unanswered.get(first) != "place":
        intent, filled = world.open[first]
        left = intent.order.quantity - filled
        world.fill(first, left if value == "1" else left / 4)
    elif first and kind == "reject" and world.unanswered.get(first) == "place":
        del world.unanswered[first]
        world.end(first, IntentPhase.FAILED, Kind.REJECTED)


def settle(world: World, wishes: Iterable[Keep | Hold]) -> None:
    for _ in range(10):
        world.wish(*wishes)
        world.pass_time(61 * S)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT"])
@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    final=st.lists(KEEPS, max_size=2, unique_by=lambda wish: wish.slot),
)
def test_whatever_happens_the_orders_become_what_is_wished(symbol: str, steps: Any, final: Any) -> None:
    rules = SymbolMetadata(Symbol.parse(symbol), "binance", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))
    world = World(rules, position="100")
    world.bid, world.ask = 100.0, 100.01
    for kind, value in steps:
        play(world, kind, value)
    settle(world, final)
    held_back = {
        w.slot for w in final if w.post_only and (w.price >= 100.01 if w.side is Side.BUY else w.price <= 100)
    }
    assert world.wish(*final) == []
    assert set(world.orders()) - held_back == {w.slot for w in final} - held_back
    for intent, filled in world.open.values():
        (wish,) = [w for w in final if w.slot == intent.metadata["slot"]]
        if wish.slot not in held_back:
            wished = float(wish.price)
            off_by = abs(float(intent.order.price or 0) - wished) / 0.01
            # A price between two ticks is rounded away from the touch by less than one.
            assert off_by < wish.tolerance + 1
            size = 70 / wished if wish.size == "70 USDT" else float(wish.size)
            left = float(intent.order.quantity - filled)
            assert left == pytest.approx(size, rel=0.051, abs=0.0011)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([-2.0, -0.5, 0, 0.3, 1.0]), st.sampled_from(["0.4", "1"])), max_size=8
    ),
    st.sampled_from([-2.0, 0, 1.0, "130 USDT"]),
)
def test_whatever_is_held_becomes_what_is_to_be_held(path: Any, target: Any) -> None:
    rules = SymbolMetadata(Symbol.parse("BTC/USDT:USDT"), "binance", "B", Decimal("0.01"), Decimal("0.001"))
    world = World(rules)
    for goal, part in [*path, (target, "1"), (target, "1")]:
        world.wish(hold(goal), obey=False)
        for intent_id in list(world.open):
            amount = (world.open[intent_id][0].order.quantity * Decimal(part)).quantize(Decimal("0.001"))
            if amount:
                world.fill(intent_id, amount)
            if intent_id in world.open:
                world.unanswered.pop(intent_id, None)
                world.end(intent_id, IntentPhase.EXPIRED, Kind.EXPIRED)
        world.pass_time(61 * S)
    wanted = 130 / 100.05 if target == "130 USDT" else target
    assert float(world.position) == pytest.approx(wanted, rel=0.05, abs=0.0011)


def test_a_desired_that_never_ends_is_told(rules: Any) -> None:
    def endless() -> Iterator[Wish]:
        number = 0
        while True:
            number += 1
            yield keep.bid(f"b{number}", 1.0, 10.0)

    with pytest.raises(StrategyError, match="more than 1000 wishes"):
        Slots(rules(), "Mine").converge(endless(), 10.0, 10.1, Decimal(0), 0)
