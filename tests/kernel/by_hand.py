"""A bench for the core alone: time, rows and answers are all given by hand.

What a step commits is applied to a store in memory, which keeps the rules of the rows; what it sends is kept
until a test takes it.  `exchange` is the account as the exchange has it: tests change it and say when
a question is answered from it.
"""

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar

from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.kernel.core import Core
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import (
    Admit,
    Boot,
    CancelIntents,
    Event,
    Halted,
    Modify,
    Notify,
    Observed,
    Send,
    Tick,
)
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import Side
from quantcli.model.message import (
    Absence,
    Asked,
    Cancel,
    Lookup,
    Observation,
    Place,
    Refusal,
    Refused,
    Report,
    Request,
    Silence,
    Statement,
    Survey,
)
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    Order,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    StandardOrder,
)
from quantcli.model.venue import AmendRule, Resolution, VenueContract
from quantcli.ports import Approved
from quantcli.store.api import Identity, MarketRow
from quantcli.store.memory import MemoryStore

SYMBOL = "BTC/USDT"
START_NS = 1_700_000_000 * NS_PER_S
IDENTITY = Identity(tag=7, nonce=99, key=b"secret", epoch=1)

PROVE = VenueContract("test", Resolution.PROVE, probe=True, statement=True)
RESEND = replace(PROVE, resolution=Resolution.RESEND)
HOLD = VenueContract("test", Resolution.HOLD)
DECREASE = replace(PROVE, amend=AmendRule.DECREASE)
TOTAL = replace(PROVE, amend=AmendRule.TOTAL)

T = TypeVar("T")


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the store in memory suspended")


class ByHand:
    """One core under a contract; `sent` and `events` are what it asked and told since the last look."""

    def __init__(self, venue: VenueContract = PROVE, rules=None, store=None, **patience: int) -> None:
        self.policy = Policy(venue=venue, **patience)
        self.rules = rules or {}
        self.store = store or MemoryStore(IDENTITY)
        self.now_ns = START_NS
        self.sent: list[Request] = []
        self.events: list[OrderEvent] = []
        self.epoch = 0
        self.trades = 0
        # The account as the exchange has it.
        self.position = Decimal(0)
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []

    # Running.

    def boot(
        self,
        halted: Halted = Halted.NOT,
        symbols: tuple[str, ...] = (SYMBOL,),
        is_outdated: bool = False,
    ) -> "ByHand":
        """A new process over the rows there are."""
        self.epoch += 1
        self.sent.clear()
        self.core = Core(replace(IDENTITY, epoch=self.epoch), self.policy, self.rules)
        self.step(Boot(done(self.store.load()), symbols, halted, is_outdated))
        return self

    def synced(self) -> "ByHand":
        """Booted, and past the barrier: the market's first statement was folded."""
        self.boot()
        self.state()
        return self

    def step(self, event: Event) -> None:
        for commit in self.core.step(self.now_ns, event):
            done(self.store.commit(commit.rows))
            for effect in commit.then:
                if isinstance(effect, Send):
                    self.sent.append(effect.request)
                elif isinstance(effect, Notify):
                    self.events.append(effect.event)

    def see(self, report: Report) -> None:
        self.step(Observed(report))

    def wait(self, seconds: float) -> None:
        """Let time pass, running what falls due on the way."""
        end_ns, turns = self.now_ns + round(seconds * NS_PER_S), 0
        while (due_ns := self.core.next_due()) is not None and due_ns <= end_ns:
            turns = turns + 1 if due_ns <= self.now_ns else 0
            assert turns < 20, "the core turns in circles"
            self.now_ns = max(self.now_ns, due_ns)
            self.step(Tick())
        self.now_ns = end_ns
        self.step(Tick())

    def take(self, kind: Any) -> list[Any]:
        """Requests of one kind (or of several) sent since the last look."""
        taken = [request for request in self.sent if isinstance(request, kind)]
        self.sent = [request for request in self.sent if not isinstance(request, kind)]
        return taken

    # Wishes.

    @staticmethod
    def order(
        quantity: str = "10", price: str | None = "100", side: Side = Side.BUY, **terms
    ) -> StandardOrder:
        limit = Decimal(price) if price else None
        kind = terms.pop("type", OrderType.LIMIT if price else OrderType.MARKET)
        return StandardOrder(terms.pop("symbol", SYMBOL), side, kind, Decimal(quantity), limit, **terms)

    def wish(self, *args, **terms) -> str:
        """Admit an order; its intent id."""
        intent_id = self.core.new_intent_id()
        self.step(Admit(Approved(self.order(*args, **terms), {"by": "test"}), intent_id))
        return intent_id

    def place(self, *args, **terms) -> tuple[str, str]:
        """Admit an order that is placed at once; its intent id and client order id."""
        intent_id = self.wish(*args, **terms)
        (place,) = self.take(Place)
        return intent_id, place.client_order_id

    def work(self, *args, **terms) -> tuple[str, str]:
        """An order that is seen working; its intent id and client order id."""
        intent_id, client_id = self.place(*args, **terms)
        self.accept(client_id)
        return intent_id, client_id

    def modify(self, intent_id: str, *args, **terms) -> None:
        self.step(Modify(intent_id, Approved(self.order(*args, **terms), {})))

    def cancel(self, intent_id: str) -> None:
        self.step(CancelIntents((intent_id,)))

    # The account as the exchange has it.

    def list_order(self, client_id: str, order: StandardOrder, exchange_id: str, filled: str = "0") -> Order:
        """Put an order into the list of open ones."""
        listed = self.orders[client_id or exchange_id] = Order(
            order.symbol,
            client_id,
            exchange_id,
            order.side,
            order.type,
            OrderStatus.PARTIALLY_FILLED if Decimal(filled) else OrderStatus.NEW,
            order.quantity,
            Decimal(filled),
            order.price,
            order.stop_price,
            self.now_ns,
            self.now_ns,
        )
        return listed

    def trade(
        self, client_id: str, qty: str, side: Side = Side.BUY, exchange_id: str = "", fee: str = "0", **more
    ) -> Fill:
        """An execution: in the history, and in the position."""
        self.trades += 1
        fill = Fill(
            f"t{self.trades}",
            SYMBOL,
            side,
            Decimal(qty),
            Decimal(100),
            Decimal(fee),
            more.pop("fee_asset", "USDT"),
            True,
            self.now_ns,
            client_id,
            exchange_id or f"X-{client_id}",
        )
        self.fills.append(fill)
        self.position += fill.qty if side is Side.BUY else -fill.qty
        if fill.fee_asset == "BTC":
            self.position -= fill.fee
        return fill

    # Answers.

    def accept(self, client_id: str, **more) -> None:
        """The placement is answered with the order, which is in the list from now on."""
        _, attempt = self.core.view.find_attempt(client_id)
        self.list_order(client_id, attempt.order, f"X-{client_id}")
        self.show(client_id, OrderStatus.NEW, **more)

    def show(
        self, client_id: str, status: OrderStatus, filled: str = "0", *fills: Fill, venue_ns: int = 0, **more
    ) -> None:
        report = Observation(
            client_id, f"X-{client_id}", status, Decimal(filled), venue_ns or self.now_ns, fills, **more
        )
        if status.is_terminal:
            self.orders.pop(client_id, None)
        self.see(report)

    def silence(self, client_id: str, request: Asked = Asked.PLACE, **more) -> None:
        self.see(Silence(client_id, request, "time-out", **more))

    def refuse(
        self, client_id: str, request: Asked = Asked.PLACE, kind: Refused = Refused.FINAL, **more
    ) -> None:
        self.see(Refusal(client_id, request, -1, "no", kind, **more))

    def deny(self, cancel: Cancel) -> None:
        """A cancel is answered with: no such order."""
        self.refuse(cancel.client_order_id, Asked.CANCEL, Refused.UNKNOWN_ORDER, asked_ns=cancel.asked_ns)

    def absent(self, lookup: Lookup) -> None:
        self.see(Absence(lookup.client_order_id, self.now_ns, lookup.asked_ns))

    def state(self, survey: Survey | None = None, **changes) -> None:
        """Answer a survey (the last one that was sent) from the account as it is."""
        if survey is None:
            survey = self.take(Survey)[-1]
        statement = Statement(
            survey.symbol,
            survey.asked_ns,
            survey.since_ns,
            self.now_ns,
            tuple(self.orders.values()),
            tuple(fill for fill in self.fills if fill.exchange_ns >= survey.since_ns),
            self.position,
        )
        self.see(replace(statement, **changes))

    def answer_all(self) -> None:
        """Answer every question that waits as one does who knows nothing of doubtful orders: look-ups of
        unlisted orders and cancels in the negative, surveys from the account."""
        for request in self.take((Cancel, Lookup, Survey)):
            if isinstance(request, Cancel):
                self.deny(request)
            elif isinstance(request, Survey):
                self.state(request)
            elif isinstance(request, Lookup) and request.client_order_id not in self.orders:
                self.absent(request)

    # Looking.

    def attempt(self, client_id: str) -> OrderState:
        """An attempt, as it was made durable."""
        return self.store.orders.rows[client_id]

    def attempts(self, intent_id: str) -> list[OrderState]:
        return [self.attempt(client_id) for client_id in self.store.orders.of_intent(intent_id)]

    def intent(self, intent_id: str) -> OrderIntent:
        return done(self.store.intents.get_intent(intent_id))

    def phase(self, intent_id: str) -> IntentPhase:
        return self.intent(intent_id).phase

    def states(self, intent_id: str) -> list[AttemptState]:
        return [attempt.state for attempt in self.attempts(intent_id)]

    def market(self, symbol: str = SYMBOL) -> MarketRow:
        """A market's row, as it was made durable."""
        return next(row for row in done(self.store.markets()) if row.symbol == symbol)

    def journal(self, intent_id: str | None = None) -> list[str]:
        return [entry.what for entry in done(self.store.journal(intent_id))]
