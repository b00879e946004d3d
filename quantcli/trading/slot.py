"""What is known of the one order behind a slot, of the exits it begot, and when the slot may act again.

A slot has at most one open intent and at most one command on its way.  It learns what became of them
from order events, each taken for what it shows and not for its place in a sequence, so that a missed or
repeated event does no harm.  Which order a wish needs is `trading.quotes`' business.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum

from quantcli.clock import NS_PER_S
from quantcli.kernel.groups import BY_GROUP
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import Side
from quantcli.model.order import (
    AttemptState,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderType,
    StandardOrder,
    StandardOrderGroup,
)

# The kernel numbers the placements of an intent with eight bits; a slot takes a new intent in time.
MOVES_MAX = 200
_BACKOFF_MAX_S = 60
_ZERO = Decimal(0)


class Stage(Enum):
    """Where a slot's order is."""

    EMPTY = "empty"
    SENT = "on its way"  # placed or moved, and not yet seen working on those terms
    RESTING = "resting"
    UNKNOWN = "unknown: the exchange has not answered"
    CANCELLING = "being cancelled"


class Exit:
    """An open order that guards a position: its wish as it was last told, and when it was last moved."""

    __slots__ = ("filled", "intent", "sent_ns")

    def __init__(self, intent: OrderIntent, filled: Decimal = _ZERO) -> None:
        self.intent = intent
        self.filled = filled
        self.sent_ns = 0

    @property
    def is_movable(self) -> bool:
        """New terms would be accepted."""
        return self.intent.phase.is_wanted and self.intent.generation <= MOVES_MAX

    @property
    def selling(self) -> Decimal:
        """What it may yet sell."""
        if self.intent.held or self.intent.order.side is Side.BUY:
            return _ZERO
        return self.intent.order.quantity - self.filled


class Slot:
    """One slot of one market.

    `order` holds the terms of the open intent, `filled` how much of its quantity has traded.  The floats
    beside them (`price`, `remaining`) are what the fast path compares.  Nothing is placed or moved before
    `not_before_ns`; a `paused` slot does not act before somebody lets it (`unpause`).  `exits` are the open
    ones of a bracket, by intent id.
    """

    __slots__ = (
        "_before",
        "cooldown_ns",
        "ended_id",
        "exits",
        "failures",
        "filled",
        "filled_ns",
        "generation",
        "intent_id",
        "is_bracket",
        "name",
        "not_before_ns",
        "order",
        "paused",
        "post_only",
        "price",
        "reason",
        "remaining",
        "round",
        "sent_ns",
        "side",
        "stage",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused = False
        self.failures = 0
        self.not_before_ns = 0
        self.cooldown_ns = 0
        self.ended_id = ""
        self.reason = ""
        self.round = 0
        self.sent_ns = 0
        self.filled_ns = 0
        self.exits: dict[str, Exit] = {}
        self._clear()

    def _clear(self) -> None:
        self.stage = Stage.EMPTY
        self.intent_id = ""
        self.generation = 0
        self.order: StandardOrder | None = None
        self._before: StandardOrder | None = None
        self.filled = Decimal(0)
        self.side = Side.BUY
        self.price = 0.0
        self.remaining = 0.0
        self.post_only = False
        self.is_bracket = False

    # -- what was asked for ----------------------------------------------------------------------

    def sent(self, order: StandardOrder, now_ns: int) -> None:
        """A command to place `order`, or to move to its terms, has been given."""
        self.generation += 1
        self.stage = Stage.SENT
        self.sent_ns = now_ns
        self._before = self.order
        # Until the exchange has answered either terms may be the ones that work: the larger counts.
        at_least = self.remaining
        self._take_terms(order)
        self.remaining = max(self.remaining, at_least)

    def cancelling(self) -> None:
        """A command to cancel has been given."""
        self.stage = Stage.CANCELLING

    def placed(self, intent_id: str) -> None:
        """The kernel has accepted the wish under this id."""
        if intent_id != self.ended_id:
            self.intent_id = intent_id

    def guarded(self, intent_ids: Sequence[str], group: StandardOrderGroup) -> None:
        """The kernel has accepted a bracket's exits; what becomes of them is told."""
        for intent_id, order in zip(intent_ids, group.orders, strict=True):
            intent = OrderIntent(intent_id, order, self.sent_ns, held=True, protective=True)
            self.exits[intent_id] = Exit(intent)

    def refused(self, reason: str, now_ns: int) -> None:
        """A command was not accepted: what was open rests on, and the slot backs off."""
        if self.intent_id and self._before is not None:
            self.stage = Stage.RESTING
            self.generation -= 1
            self._take_terms(self._before)
        else:
            self._clear()
        self.back_off(reason, now_ns)

    def pause(self, reason: str) -> None:
        """Do nothing more, until somebody lets it."""
        self.paused, self.reason = True, reason

    def unpause(self) -> None:
        """Act again, whatever it was that kept it from that."""
        self.paused, self.reason = False, ""
        self.failures = self.not_before_ns = 0

    def back_off(self, reason: str, now_ns: int) -> None:
        """Wait 1, 2, 4 … 60 s, and remember why."""
        wait_s = min(2**self.failures, _BACKOFF_MAX_S)
        self.failures += 1
        self.not_before_ns = now_ns + wait_s * NS_PER_S
        self.reason = reason

    # -- what became of it -----------------------------------------------------------------------

    def adopt(self, intent: OrderIntent, state: OrderState | None, filled: Decimal) -> None:
        """Take over an open intent of an earlier run, its last attempt, and what it has traded in all."""
        if intent.protective:
            self.exits[intent.intent_id] = Exit(intent, filled)
            return
        self.is_bracket = intent.group_id is not None
        self.intent_id = intent.intent_id
        self.generation = intent.generation
        self.filled = filled
        self.sent_ns = state.prepared_ns if state is not None else intent.created_ns
        self.stage = Stage.SENT if intent.phase.is_wanted else Stage.CANCELLING
        self._follow(intent, state)

    def fold(self, event: OrderEvent) -> None:
        """Learn from an order event; those of orders the slot no longer has teach nothing."""
        intent = event.intent
        if intent.protective:
            self._fold_exit(event)
            return
        if self.stage is Stage.EMPTY or intent.intent_id == self.ended_id:
            return
        if self.intent_id not in ("", intent.intent_id):
            return
        self.intent_id = intent.intent_id
        if event.fill is not None:
            self.filled += event.fill.qty
            self.filled_ns = event.at_ns
        if intent.phase.is_terminal:
            self._end(event)
        elif intent.generation >= self.generation:
            self._follow(intent, event.state)

    def _fold_exit(self, event: OrderEvent) -> None:
        """An exit that ended otherwise than by its own fills or by its group's will is not replaced: somebody
        is to look at it, as at the position it has left behind."""
        intent = event.intent
        known = self.exits.setdefault(intent.intent_id, Exit(intent))
        known.intent = intent
        if event.fill is not None:
            known.filled += event.fill.qty
        if not intent.phase.is_terminal:
            return
        del self.exits[intent.intent_id]
        if intent.phase is not IntentPhase.SATISFIED and not intent.reason.startswith(BY_GROUP):
            reason = event.reason or intent.reason or "outside the strategy"
            self.pause(f"an exit is {intent.phase.value}: {reason}")

    def _follow(self, intent: OrderIntent, state: OrderState | None) -> None:
        self._take_terms(intent.order)
        if self.stage is Stage.CANCELLING or state is None:
            return
        if state.state is AttemptState.AMBIGUOUS:
            self.stage = Stage.UNKNOWN
        elif (
            state.state is AttemptState.LIVE
            and state.generation == intent.generation
            and intent.phase.is_wanted
        ):
            self.stage = Stage.RESTING
            self.failures = 0
            self.reason = ""
        else:
            self.stage = Stage.SENT

    def _end(self, event: OrderEvent) -> None:
        was_asked = self.stage is Stage.CANCELLING
        is_market = self.order is not None and self.order.type is OrderType.MARKET
        self.ended_id = event.intent.intent_id
        self._clear()
        reason = event.reason or event.intent.reason
        match event.intent.phase:
            case IntentPhase.SATISFIED:
                self.failures = 0
                self.reason = ""
                if not is_market:
                    self.not_before_ns = event.at_ns + self.cooldown_ns
            case IntentPhase.CANCELED if was_asked or event.intent.reason.startswith(BY_GROUP):
                pass
            case IntentPhase.CANCELED:
                self.pause(reason or "cancelled outside the strategy")
            case _:
                self.back_off(reason or event.kind.value, event.at_ns)

    def _take_terms(self, order: StandardOrder) -> None:
        self.order = order
        self.side = order.side
        self.price = float(order.price) if order.price is not None else 0.0
        self.remaining = float(order.quantity - self.filled)
        self.post_only = order.type is OrderType.LIMIT_MAKER

    @property
    def status(self) -> str:
        """Its state in words."""
        if self.paused:
            return f"paused: {self.reason}"
        if self.reason and self.stage in (Stage.EMPTY, Stage.RESTING):
            return f"waiting: {self.reason}"
        if self.exits and self.stage is Stage.EMPTY:
            return "guarding"
        return self.stage.value
