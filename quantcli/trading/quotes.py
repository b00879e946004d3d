"""From wishes to commands: what has to change so that one market's orders are what was wished.

Level-triggered and pure: `converge` compares the whole wish with what the slots know and answers with
the commands that are missing, none if nothing is.  It has no clock and sends nothing.

    same name       moves the order, when it is off by more than its tolerance
    new name        a new order                     no longer yielded   cancel
    post-only wish that would trade at once         nothing is placed, tried again later
    filled          refilled after the cooldown     refused, rejected   back off 1, 2, 4 … 60 s
    cancelled by somebody else                      paused: people are not fought
    outcome unknown                                 nothing is placed or moved until it is known
    bracket: exits                                  moved with the wish, never withdrawn; nothing is entered
                                                    before they have ended
    hold: somebody else trades the market           paused: their trade is not undone

What a wish means in numbers is `trading.aims`' business, what one slot knows of its order
`trading.slot`'s, how orders live the kernel's.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from quantcli.clock import NS_PER_MS
from quantcli.errors import StrategyError, ValidationError
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import Side, SymbolMetadata, to_decimal
from quantcli.model.order import OrderIntent, OrderState, OrderType, StandardOrder, StandardOrderGroup
from quantcli.trading.aims import Aim, Aims
from quantcli.trading.blame import yielding_line
from quantcli.trading.brackets import moves
from quantcli.trading.overdue import entrance
from quantcli.trading.pausing import Pausing
from quantcli.trading.slot import MOVES_MAX, Slot, Stage
from quantcli.trading.wishes import (
    Bracket,
    Command,
    Hold,
    Keep,
    ModifyOrder,
    PlaceGroup,
    PlaceOrder,
    Wish,
)

_WISHES = (Keep, Hold, Bracket)
# Looked up once: an enum's members are slow to name.
_EMPTY, _RESTING, _SELL = Stage.EMPTY, Stage.RESTING, Side.SELL

# A post-only wish that would trade at once is looked at again after this long, should nothing happen.
_RETRY_NS = 250 * NS_PER_MS
# A desired that never ends would take all memory; nobody keeps so many orders in one market.
_SLOTS_MAX = 1_000
_FUZZ = 1e-6  # of a step: floats that miss the grid by less are on it


class Slots(Pausing):
    """The slots of one market, and when they want to be looked at again."""

    def __init__(self, instrument: SymbolMetadata, strategy_name: str) -> None:
        super().__init__()
        self._aims = Aims(instrument)
        self._strategy = strategy_name
        self._is_spot = not instrument.symbol.is_futures
        self._exact_tick = instrument.price_tick
        self._tick = float(instrument.price_tick)
        self._lot = float(instrument.lot)
        self._round = 0
        self._due: int | None = None
        self._exact_position = Decimal(0)
        self._position = 0.0

    # -- the engine's side -----------------------------------------------------------------------

    @entrance
    def converge(
        self, wishes: Iterable[Wish], bid: float, ask: float, position: Decimal, now_ns: int
    ) -> list[Command]:
        """The commands that turn what is into what is wished.

        `bid` and `ask` are 0 while unknown.  Raises `StrategyError`, naming the line of the yield, for
        what is no wish or can never be one; nothing has changed then.
        """
        if position is not self._exact_position:
            self._exact_position, self._position = position, float(position)
        self._round += 1
        self._due = None
        if self._closed or self.is_still:
            return []
        seen = 0
        work: list[tuple[Slot, Aim]] = []
        for wish in self._iterable(wishes):
            slot = self._slot_of(wish, wishes)
            seen += 1
            if self._is_idle(slot, now_ns) or (isinstance(wish, Keep) and self._rests(slot, wish)):
                continue
            work.append((slot, self._aim(wish, wishes, bid, ask)))
        commands = self._drop_unseen(now_ns) if seen < len(self._slots) else []
        for slot, aim in work:
            commands += self._act(slot, aim, now_ns)
        return commands

    def on_order(self, event: OrderEvent) -> None:
        """Learn from an event of a slot's order."""
        slot = self._slots.get(event.intent.metadata.get("slot", ""))
        if slot is not None:
            slot.fold(event)

    def placed(self, slot: str, intent_id: str) -> None:
        """The kernel has accepted a slot's order."""
        self._slots[slot].placed(intent_id)

    def placed_bracket(self, slot: str, intent_ids: Sequence[str], group: StandardOrderGroup) -> None:
        """The kernel has accepted a slot's bracket: its entry and, held back, its exits."""
        self._slots[slot].placed(intent_ids[0])
        self._slots[slot].guarded(intent_ids[1:], group)

    def refused(self, slot: str, reason: str, now_ns: int) -> None:
        """Risk or the kernel did not accept a slot's order: it backs off."""
        found = self._slots[slot]
        found.refused(reason, now_ns)
        self._wake(found.not_before_ns)

    def modify_refused(self, intent_id: str, reason: str, now_ns: int) -> None:
        """Risk or the kernel did not accept the new terms of an order: it rests as it was."""
        for slot in self._slots.values():
            if slot.intent_id == intent_id:
                self.refused(slot.name, reason, now_ns)

    def adopt(self, intent: OrderIntent, state: OrderState | None, filled: Decimal) -> None:
        """Take over a slot's open order from an earlier run: its last attempt, and what it has traded."""
        name = intent.metadata["slot"]
        self._slots.setdefault(name, Slot(name)).adopt(intent, state, filled)

    def somebody_traded(self) -> None:
        """A fill that was nobody's wish has moved the position: holding on to a target would undo it."""
        self._is_meddled = True

    def next_due(self) -> int | None:
        """When to ask again although nothing has happened; `None`: not before something does."""
        return self._due

    # -- reading wishes --------------------------------------------------------------------------

    def _iterable(self, wishes: Iterable[Wish]) -> Iterable[Wish]:
        if hasattr(wishes, "__iter__"):
            return wishes
        raise StrategyError(
            f"desired of {self._strategy} gave {wishes!r} instead of wishes",
            why="it is to be a generator",
            todo="yield each wish: yield keep.bid(…)",
        )

    def _slot_of(self, wish: Wish, wishes: Iterable[Wish]) -> Slot:
        if not (isinstance(wish, _WISHES) and isinstance(wish.slot, str)):
            error = ValidationError(f"{wish!r} is not a wish", todo="yield keep.bid(…) or m.hold(…)")
            raise self._blamed(error, wishes)
        slot = self._slots.get(wish.slot)
        if slot is None:
            if len(self._slots) >= _SLOTS_MAX:
                error = ValidationError(
                    f"more than {_SLOTS_MAX} wishes for one market", todo="let desired come to an end"
                )
                raise self._blamed(error, wishes)
            slot = self._slots[wish.slot] = Slot(wish.slot)
        elif slot.round == self._round:
            error = ValidationError(f"two wishes are called {wish.slot!r}", todo="name them apart")
            raise self._blamed(error, wishes)
        slot.round = self._round
        return slot

    def _aim(self, wish: Wish, wishes: Iterable[Wish], bid: float, ask: float) -> Aim:
        try:
            return self._aims.read(wish, bid, ask)
        except ValidationError as error:
            raise self._blamed(error, wishes) from None

    def _blamed(self, error: ValidationError, wishes: Iterable[Wish]) -> StrategyError:
        line = yielding_line(wishes)
        what = f"{line}: {error.what}" if line else error.what
        return StrategyError(what, why=error.why or f"desired of {self._strategy} wishes it", todo=error.todo)

    # -- comparing -------------------------------------------------------------------------------

    def _is_idle(self, slot: Slot, now_ns: int) -> bool:
        """Nothing could be done about the slot now, whatever its wish."""
        if slot.stage is _RESTING:
            return slot.paused
        if slot.stage is _EMPTY:
            return slot.paused or self._waits(slot.not_before_ns, now_ns)
        return True

    def _rests(self, slot: Slot, wish: Keep) -> bool:
        """The fast path: an order rests within tolerance of the wish.  `False` only means: look closer."""
        if slot.stage is not _RESTING or wish.side is not slot.side or wish.post_only is not slot.post_only:
            return False
        price = wish.price
        size = self._aims.quickly(wish.size, price)
        if size is None or not isinstance(price, float):
            return False
        if self._is_spot and wish.side is _SELL:
            room = self._room(slot)
            if slot.remaining > room + self._lot * _FUZZ:
                return False
            size = min(size, room)
        more = size - slot.remaining
        return (
            abs(price - slot.price) <= (wish.tolerance + _FUZZ) * self._tick
            and size > 0
            # Rounded down to the lot, a wish up to one lot larger is the very same order.
            and (abs(more) <= wish.size_tolerance * size or 0 <= more < self._lot * (1 - _FUZZ))
        )

    def _is_near(self, resting: StandardOrder, order: StandardOrder, wish: Keep) -> bool:
        """The same question, of exact and rounded terms; the quantity has been compared already."""
        if resting.price is None or order.price is None or resting.quantity != order.quantity:
            return False
        return float(abs(resting.price - order.price) / self._exact_tick) <= wish.tolerance + _FUZZ

    def _room(self, slot: Slot) -> float:
        """What a spot sell in this slot may come to: the position, less what other slots are selling."""
        room = self._position
        for other in self._slots.values():
            if other.side is _SELL and other is not slot:
                room -= other.remaining
            for guard in other.exits.values():
                room -= float(guard.selling)
        return room

    def _exact_room(self, slot: Slot) -> Decimal:
        others = (s for s in self._slots.values() if s.side is _SELL and s is not slot)
        guards = (guard.selling for s in self._slots.values() for guard in s.exits.values())
        return self._exact_position - sum((to_decimal(s.remaining) for s in others), sum(guards, Decimal(0)))

    def _affordable(self, slot: Slot, wish: Keep, aim: Aim) -> Decimal:
        """The quantity on the lot grid; on spot never more than is held, and 0 if that is too little."""
        quantity = self._aims.lots(aim.size)
        if quantity <= 0:
            slot.reason = f"{wish.size} is less than one lot"
        if not self._is_spot or wish.side is Side.BUY:
            return quantity
        room = self._exact_room(slot)
        if quantity <= room:
            return quantity
        quantity = self._aims.lots(room)
        return quantity if self._aims.is_enough(quantity, aim.price) else Decimal(0)

    # -- acting ----------------------------------------------------------------------------------

    def _act(self, slot: Slot, aim: Aim, now_ns: int) -> list[Command]:
        wish = aim.wish
        if slot.is_bracket is not isinstance(wish, Bracket) and slot.intent_id:
            return [self._cancel(slot)]
        if isinstance(wish, Bracket):
            return self._bracket(slot, wish, aim, now_ns)
        if slot.exits:
            return []  # their name is taken
        if isinstance(wish, Hold):
            command = self._reach(slot, wish, aim, now_ns)
        else:
            slot.cooldown_ns = wish.cooldown_ns
            act = self._place if slot.stage is _EMPTY else self._move
            command = act(slot, wish, aim, now_ns)
        return [] if command is None else [command]

    def _bracket(self, slot: Slot, wish: Bracket, aim: Aim, now_ns: int) -> list[Command]:
        group = aim.group
        assert group is not None
        if slot.stage is _EMPTY and not slot.exits:
            return self._enter(slot, aim, group, now_ns)
        return moves(slot, group, wish.tolerance, self._exact_tick, now_ns, self._waits)

    def _enter(self, slot: Slot, aim: Aim, group: StandardOrderGroup, now_ns: int) -> list[Command]:
        entry = group.entry
        assert entry is not None
        if aim.crosses:
            slot.reason = "the market is beyond the entry"
            return []
        if not self._aims.is_enough(entry.quantity, aim.price):
            slot.reason = f"{entry.quantity} is less than the exchange accepts"
            return []
        slot.sent(entry, now_ns)
        slot.is_bracket = True
        return [PlaceGroup(group, {"strategy": self._strategy, "slot": slot.name}, slot.name)]

    def _place(self, slot: Slot, wish: Keep, aim: Aim, now_ns: int) -> Command | None:
        if self._holds_back(wish, aim, now_ns):
            return None
        quantity = self._affordable(slot, wish, aim)
        if quantity <= 0:
            return None
        return self._placed_order(slot, self._aims.limit_order(wish, aim.price, quantity), now_ns)

    def _move(self, slot: Slot, wish: Keep, aim: Aim, now_ns: int) -> Command | None:
        resting = slot.order
        if resting is None or wish.side is not slot.side or wish.post_only is not slot.post_only:
            return self._cancel(slot)
        working = self._working(slot, wish, aim, resting.quantity - slot.filled, now_ns)
        if working is None:
            return None
        if working <= 0 or slot.generation > MOVES_MAX:
            return self._cancel(slot)
        order = self._aims.limit_order(wish, aim.price, slot.filled + working)
        earliest = max(slot.not_before_ns, slot.sent_ns + wish.min_rest_ns)
        if (
            self._is_near(resting, order, wish)
            or self._waits(earliest, now_ns)
            or self._holds_back(wish, aim, now_ns)
        ):
            return None
        slot.sent(order, now_ns)
        return ModifyOrder(slot.intent_id, order)

    def _working(self, slot: Slot, wish: Keep, aim: Aim, left: Decimal, now_ns: int) -> Decimal | None:
        """How much of an order of which `left` is left is to work on; `None`: leave it as it is."""
        quantity = self._affordable(slot, wish, aim)
        is_oversold = self._is_spot and wish.side is Side.SELL and left > self._exact_room(slot)
        if quantity <= 0:
            # What is left of an order may be too little for a new one, and still trade.
            return Decimal(0) if is_oversold or aim.size < self._lot else None
        if not is_oversold and float(abs(quantity - left)) <= wish.size_tolerance * float(quantity):
            return left
        if quantity > left and self._waits(slot.filled_ns + wish.cooldown_ns, now_ns):
            return left if self._aims.is_enough(left, aim.price) else None
        return quantity

    def _reach(self, slot: Slot, wish: Hold, aim: Aim, now_ns: int) -> Command | None:
        if slot.stage is Stage.RESTING and slot.order and slot.order.type is not OrderType.MARKET:
            return self._cancel(slot)
        if self._is_meddled:
            slot.pause("somebody else traded here: holding on would undo it")
            return None
        mid, target = aim.price, aim.size
        gap = target - self._position
        is_far = abs(gap) > wish.tolerance * abs(target) * (1 + _FUZZ)
        if slot.stage is not _EMPTY or not mid or not is_far or not self._aims.is_enough(abs(gap), mid):
            return None
        side = Side.BUY if gap > 0 else Side.SELL
        exact = abs(to_decimal(target) - self._exact_position)
        if self._is_spot and side is Side.SELL:
            exact = min(exact, self._exact_room(slot))
        quantity = self._aims.lots(exact)
        if not self._aims.is_enough(quantity, mid):
            return None
        only_reduces = (
            not self._is_spot and target * self._position >= 0 and abs(target) < abs(self._position)
        )
        order = self._aims.market_order(side, quantity, reduce_only=only_reduces)
        return self._placed_order(slot, order, now_ns)

    def _placed_order(self, slot: Slot, order: StandardOrder, now_ns: int) -> Command:
        slot.sent(order, now_ns)
        return PlaceOrder(order, {"strategy": self._strategy, "slot": slot.name}, slot=slot.name)

    def _drop_unseen(self, now_ns: int) -> list[Command]:
        """Cancel what is no longer wished, and forget slots that have nothing left to remember."""
        unseen = [s for s in self._slots.values() if s.round != self._round]
        for slot in unseen:
            is_done = slot.stage is Stage.EMPTY and not slot.exits
            if is_done and not slot.paused and slot.not_before_ns <= now_ns:
                del self._slots[slot.name]
        return [self._cancel(s) for s in unseen if s.stage is Stage.RESTING or s.stage is Stage.UNKNOWN]

    # -- waiting ---------------------------------------------------------------------------------

    def _waits(self, until_ns: int, now_ns: int) -> bool:
        if now_ns >= until_ns:
            return False
        self._wake(until_ns)
        return True

    def _holds_back(self, wish: Keep, aim: Aim, now_ns: int) -> bool:
        if not (wish.post_only and aim.crosses):
            return False
        self._wake(now_ns + _RETRY_NS)
        return True

    def _wake(self, at_ns: int) -> None:
        if self._due is None or at_ns < self._due:
            self._due = at_ns
