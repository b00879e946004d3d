"""What a bracket means in numbers, and how its orders live and move."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from quantcli.errors import StrategyError, ValidationError
from quantcli.kernel.groups import BY_GROUP
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OcoMode,
    OrderIntent,
    OrderState,
    OrderType,
    StandardOrder,
)
from quantcli.trading.aims import Aims
from quantcli.trading.market import Market
from quantcli.trading.quotes import Slots
from quantcli.trading.wishes import (
    CancelOrder,
    Command,
    ModifyOrder,
    PlaceGroup,
    PlaceOrder,
    Wish,
    bracket,
    hold,
    keep,
)

D = Decimal
S = 1_000_000_000
SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
LONG = {"size": 2, "entry_stop": 102.0, "stop_loss": 98.0, "take_profit": 110.0}
SHORT = {"size": 2, "entry_stop": 98.0, "stop_loss": 102.0, "take_profit": 90.0}
Rules = Callable[..., SymbolMetadata]


def long(**terms: Any) -> Wish:
    return bracket("b", **LONG | terms)


class World:
    """The slots of one market, and a kernel that does what it is told."""

    def __init__(self, rules: SymbolMetadata) -> None:
        self.slots = Slots(rules, "Mine")
        self.symbol = rules.symbol.name
        self.now = 100 * S
        self.bid, self.ask = 100.0, 100.1
        self.position = D(0)
        self.intents: dict[str, OrderIntent] = {}
        self.made = 0

    def wish(self, *wishes: Wish) -> list[Command]:
        commands = self.slots.converge(wishes, self.bid, self.ask, self.position, self.now)
        for command in commands:
            self.obey(command)
        return commands

    def obey(self, command: Command) -> None:
        if isinstance(command, PlaceGroup):
            assert command.group.entry is not None
            ids = [f"i{self.made + n}" for n in range(len(command.group.orders) + 1)]
            self.made += len(ids)
            for intent_id, order in zip(ids, (command.group.entry, *command.group.orders), strict=True):
                is_exit = intent_id != ids[0]
                self.intents[intent_id] = OrderIntent(
                    intent_id, order, 0, ids[0], dict(command.metadata), held=is_exit, protective=is_exit
                )
            self.slots.placed_bracket(command.slot, ids, command.group)
            self.tell(ids[0])
        elif isinstance(command, PlaceOrder):
            self.made += 1
            intent_id = f"i{self.made}"
            self.intents[intent_id] = OrderIntent(
                intent_id, command.order, 0, metadata=dict(command.metadata)
            )
            self.slots.placed(command.slot, intent_id)
            self.tell(intent_id)
        elif isinstance(command, ModifyOrder):
            known = self.intents[command.intent_id]
            self.set(command.intent_id, order=command.order, generation=known.generation + 1)
        elif isinstance(command, CancelOrder):
            self.end(command.intent_id, IntentPhase.CANCELED, "cancelled")

    def set(self, intent_id: str, **changes: Any) -> None:
        self.intents[intent_id] = replace(self.intents[intent_id], **changes)
        self.tell(intent_id)

    def end(self, intent_id: str, phase: IntentPhase, reason: str = "") -> None:
        self.set(intent_id, phase=phase, reason=reason)
        del self.intents[intent_id]

    def fill(self, intent_id: str, qty: str, phase: IntentPhase = IntentPhase.ACTIVE) -> None:
        intent = self.intents[intent_id] = replace(self.intents[intent_id], phase=phase)
        order = intent.order
        self.position += D(qty) * order.side.sign
        stamps = self.now, "c", "x", intent_id
        self.tell(intent_id, Fill("T", self.symbol, order.side, D(qty), D(1), D(0), "USDT", True, *stamps))
        if phase.is_terminal:
            del self.intents[intent_id]

    def tell(self, intent_id: str, fill: Fill | None = None) -> None:
        intent = self.intents[intent_id]
        state = AttemptState.DONE if intent.phase.is_terminal else AttemptState.LIVE
        attempt = OrderState(intent_id, 1, "c", intent.order, intent.generation, self.now, state=state)
        kind = OrderEventKind.FILLED if fill else OrderEventKind.ACCEPTED
        self.slots.on_order(OrderEvent(kind, self.now, intent, attempt, fill))

    def enter(self, **terms: Any) -> tuple[str, str, str]:
        """Place the bracket, and fill its entry; its stop is on the exchange."""
        self.wish(long(**terms))
        self.fill("i0", "2", IntentPhase.SATISFIED)
        self.set("i1", held=False)
        self.now += 2 * S
        return "i0", "i1", "i2"

    @property
    def status(self) -> str:
        return self.slots.status()["b"]


@pytest.fixture
def spot(rules: Rules) -> World:
    return World(rules(SPOT, min_notional=D(5)))


@pytest.fixture
def future(rules: Rules) -> World:
    return World(rules(PERP))


def group_of(rules: SymbolMetadata, wish: Wish) -> Any:
    return Aims(rules).read(wish, 100.0, 100.1).group


# In numbers.


def test_prices_are_rounded_to_the_passive_side(rules: Rules) -> None:
    wish = bracket("b", size="204 quote", entry_stop=101.998, stop_loss=97.996, take_profit=110.001)
    group = group_of(rules(SPOT), wish)
    entry, stop, target = group.entry, *group.orders
    assert entry == StandardOrder(SPOT, Side.BUY, OrderType.STOP_MARKET, D("2.000"), stop_price=D("102.00"))
    assert (stop.type, stop.side, stop.stop_price) == (OrderType.STOP_MARKET, Side.SELL, D("97.99"))
    assert (target.type, target.side, target.price) == (OrderType.LIMIT, Side.SELL, D("110.01"))
    assert stop.quantity == target.quantity == 2


def test_a_stop_above_the_entry_makes_it_a_sale(rules: Rules) -> None:
    group = group_of(rules(PERP), bracket("b", **SHORT))
    assert group.entry.side is Side.SELL
    assert [order.side for order in group.orders] == [Side.BUY, Side.BUY]
    with pytest.raises(ValidationError, match="stop loss above the entry"):
        group_of(rules(SPOT), bracket("b", **SHORT))


def test_on_spot_one_exit_is_live_on_futures_both_only_reduce(rules: Rules) -> None:
    spot, perp = (group_of(rules(name), long()) for name in (SPOT, PERP))
    assert (spot.mode, perp.mode) == (OcoMode.ONE_LIVE, OcoMode.REDUCE_ON_PARTIAL)
    assert [order.reduce_only for order in (*spot.orders, *perp.orders)] == [False, False, True, True]
    assert group_of(rules(SPOT), long(take_profit=None)).mode is OcoMode.REDUCE_ON_PARTIAL


@pytest.mark.parametrize(
    ("entry", "entry_stop", "kind"),
    [
        (101.0, None, OrderType.LIMIT),
        (None, 102.0, OrderType.STOP_MARKET),
        (102.5, 102.0, OrderType.STOP_LIMIT),
    ],
)
def test_the_entry_is_a_limit_a_stop_or_both(
    rules: Rules, entry: float | None, entry_stop: float | None, kind: OrderType
) -> None:
    assert group_of(rules(SPOT), long(entry=entry, entry_stop=entry_stop)).entry.type is kind


def test_a_trail_is_whole_ticks(rules: Rules) -> None:
    assert group_of(rules(SPOT), long(trail=1.239)).trail == D("1.23")
    with pytest.raises(ValidationError, match="trail"):
        group_of(rules(SPOT), long(trail=0.001))


@pytest.mark.parametrize(
    "terms", [{"take_profit": 101.0}, {"stop_loss": 102.0}, {"entry_stop": float("nan")}, {"stop_loss": -1}]
)
def test_prices_in_a_wrong_order_name_the_line(rules: Rules, terms: dict[str, Any]) -> None:
    def wishes() -> Iterator[Wish]:
        yield long(**terms)

    with pytest.raises(StrategyError, match=r"test_brackets\.py:\d+"):
        Slots(rules(SPOT), "Mine").converge(wishes(), 100.0, 100.1, D(0), 0)


def test_an_entry_is_needed() -> None:
    with pytest.raises(StrategyError, match="without an entry"):
        bracket("b", size=1, stop_loss=98)


# The entry.


def test_a_bracket_is_placed_once(spot: World) -> None:
    (command,) = spot.wish(long())
    assert isinstance(command, PlaceGroup)
    assert command.metadata == {"strategy": "Mine", "slot": "b"}
    spot.now += 2 * S
    assert spot.wish(long()) == []


def test_nothing_is_placed_while_the_market_is_beyond_the_entry(spot: World) -> None:
    spot.ask = 102.0
    assert spot.wish(long()) == []
    assert "beyond" in spot.status
    assert len(spot.wish(long(entry=101.0, entry_stop=None))) == 1  # a limit may trade at once


def test_a_size_below_what_the_exchange_accepts_waits(spot: World) -> None:
    assert spot.wish(long(size=0.04)) == []
    assert spot.wish(long(size=0.0)) == []


def test_an_entry_no_longer_wished_is_cancelled_and_may_come_again(spot: World) -> None:
    spot.wish(long())
    assert spot.wish() == [CancelOrder("i0")]
    spot.end("i1", IntentPhase.CANCELED, BY_GROUP + "the entry ended without a fill")
    spot.end("i2", IntentPhase.CANCELED, BY_GROUP + "the entry ended without a fill")
    assert len(spot.wish(long())) == 1


def test_moved_terms_move_entry_and_exits(spot: World) -> None:
    spot.wish(long())
    spot.now += 2 * S
    assert spot.wish(long(entry_stop=102.01, stop_loss=98.01)) == []  # within tolerance
    commands = spot.wish(long(size=1, entry_stop=103.0, stop_loss=99.0, take_profit=111.0))
    assert [(c.order.quantity, c.order.stop_price or c.order.price) for c in commands] == [
        (1, 103),
        (1, 99),
        (1, 111),
    ]
    assert spot.wish(long(entry_stop=104.0)) == []  # too soon
    assert spot.slots.next_due() == spot.now + S


def test_an_entry_that_has_begun_to_fill_keeps_its_quantity(spot: World) -> None:
    spot.wish(long())
    spot.fill("i0", "0.5")
    spot.now += 2 * S
    (command,) = spot.wish(long(size=1, entry_stop=103.0))
    assert command.order.quantity == 2


def test_an_entry_of_another_kind_is_another_entry(spot: World) -> None:
    spot.wish(long())
    assert spot.wish(long(entry=101.0, entry_stop=None)) == [CancelOrder("i0")]
    assert spot.slots.status()["b"] == "guarding"  # until its exits have ended


def test_an_entry_cancelled_by_hand_pauses_the_slot(spot: World) -> None:
    spot.wish(long())
    spot.end("i0", IntentPhase.CANCELED, "external: cancelled on the exchange")
    assert spot.status.startswith("paused: external")


def test_an_entry_cancelled_for_its_exits_is_no_strangers_doing(spot: World) -> None:
    spot.wish(long())
    spot.end("i0", IntentPhase.CANCELED, BY_GROUP + "an order that was to close it has ended")
    assert "paused" not in spot.status


# The exits.


def test_exits_outlive_the_wish(spot: World) -> None:
    spot.enter()
    assert spot.wish() == []
    assert spot.slots.withdraw() == []
    assert spot.status == "guarding"


def test_nothing_is_entered_again_before_the_exits_have_ended(spot: World) -> None:
    _, stop, target = spot.enter()
    assert spot.wish(long()) == []
    spot.fill(stop, "2", IntentPhase.SATISFIED)
    assert spot.wish(long()) == []
    spot.end(target, IntentPhase.CANCELED, BY_GROUP + "its position is closed")
    spot.now += 2 * S
    assert len(spot.wish(long())) == 1


def test_exits_move_with_the_wish(spot: World) -> None:
    _, stop, _ = spot.enter()
    (command,) = spot.wish(long(stop_loss=99.0))
    assert (command.intent_id, command.order.stop_price, command.order.quantity) == (stop, 99, 2)


def test_a_stop_that_trails_is_not_moved_back(spot: World) -> None:
    _, _, target = spot.enter(trail=4)
    commands = spot.wish(long(stop_loss=97.0, take_profit=111.0, trail=4))
    assert [command.intent_id for command in commands] == [target]


@pytest.mark.parametrize(
    ("phase", "reason"),
    [(IntentPhase.CANCELED, "external: by hand"), (IntentPhase.FAILED, "-2010 would trigger immediately")],
)
def test_an_exit_that_ended_by_no_will_of_ours_pauses_the_slot(
    spot: World, phase: IntentPhase, reason: str
) -> None:
    _, stop, target = spot.enter()
    spot.end(stop, phase, reason)
    spot.fill(target, "2", IntentPhase.SATISFIED)
    assert spot.status == f"paused: an exit is {phase.value}: {reason}"
    assert spot.wish(long()) == []


def test_exits_are_taken_over_after_a_restart(spot: World, rules: Rules) -> None:
    _, stop, target = spot.enter()
    again = World(rules(SPOT))
    for intent_id in (stop, target):
        again.slots.adopt(spot.intents[intent_id], None, D(0))
    again.position = D(2)
    assert again.wish() == []
    assert again.wish(long()) == []
    assert again.slots.withdraw() == []


def test_coins_that_a_bracket_guards_are_not_offered_twice(spot: World) -> None:
    spot.enter()
    spot.position = D(3)
    (command,) = spot.wish(keep.ask("ask", 3, 120.0))
    assert isinstance(command, PlaceOrder)
    assert command.order.quantity == 1


def test_the_name_of_a_bracket_is_taken_while_it_guards(spot: World) -> None:
    spot.enter()
    assert spot.wish(keep.bid("b", 1, 99.0)) == []
    spot.end("i1", IntentPhase.CANCELED, BY_GROUP + "x")
    spot.end("i2", IntentPhase.CANCELED, BY_GROUP + "x")
    assert len(spot.wish(keep.bid("b", 1, 99.0))) == 1
    assert [type(c) for c in spot.wish(long())] == [CancelOrder]


# Holding, when somebody else trades.


def test_a_strangers_trade_is_not_undone(future: World) -> None:
    assert len(future.wish(hold(1))) == 1
    future.slots.somebody_traded()
    future.end("i1", IntentPhase.SATISFIED)
    assert future.wish(hold(1)) == []
    assert future.slots.status()["hold"].startswith("paused: somebody else traded")


# Sizes by risk.


@pytest.mark.parametrize(
    ("risk", "size"),
    [("0.5 %", 12.5), (0.001, 2.5), ("50 quote", 12.5), ("50 USDT", 12.5), ("90 %", 97.843), ("0 %", 0)],
)
def test_a_size_by_risk(rules: Rules, view: Any, risk: float | str, size: float) -> None:
    m = Market(rules(SPOT), view)
    assert m.size_for(risk=risk, entry=102.0, stop=98.0) == size


def test_a_size_by_risk_of_contracts_that_are_worth_quote_currency(rules: Rules, view: Any) -> None:
    m = Market(rules("BTC/USD:BTC", inverse=True, contract_size=D(100), lot=D(1)), view)
    assert m.size_for(risk="50 quote", entry=100.0, stop=80.0) == 2  # 100 * (1/80 - 1/100) BTC each


@pytest.mark.parametrize(
    ("risk", "stop"), [("0.5 %", 102.0), ("-1 %", 98.0), ("5 EUR", 98.0), ("much", 98.0)]
)
def test_numbers_that_bound_no_risk_name_the_line(rules: Rules, view: Any, risk: str, stop: float) -> None:
    with pytest.raises(StrategyError, match=r"test_brackets\.py:\d+"):
        Market(rules(SPOT), view).size_for(risk=risk, entry=102.0, stop=stop)
