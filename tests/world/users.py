"""Traders and operators: what they ask of the kernel, by choices.

`act` does one thing; `attend` does what an operator does who looks at the exchange and tells the truth.
"""

from decimal import Decimal

from msgspec.structs import replace

from quantcli.errors import QuantError
from quantcli.kernel.steps import (
    AcceptDrift,
    Admit,
    AdmitGroup,
    Adopt,
    CancelIntents,
    Event,
    Force,
    Halt,
    Halted,
    Modify,
    Quoted,
    Trust,
    Verdict,
)
from quantcli.model.instrument import Side
from quantcli.model.order import (
    AttemptState,
    OcoMode,
    OrderIntent,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
    TimeInForce,
)
from quantcli.model.venue import Resolution
from quantcli.ports import Approved

from .choices import Choices, odds
from .disk import Disk
from .markets import MID, MIN_QTY, PERPETUAL, SYMBOLS
from .marks import Marks
from .oracle import ALARMS
from .personality import Breach
from .process import Process
from .timeline import Timeline
from .trace import Trace
from .venue import Venue

_S = 1_000_000_000
_ACTS = odds(30, 22, 14, 12, 4, 3, 2, 2, 1, 1)
_TYPES = (
    OrderType.LIMIT,
    OrderType.MARKET,
    OrderType.LIMIT_MAKER,
    OrderType.IMMEDIATE_OR_CANCEL,
    OrderType.FILL_OR_KILL,
    OrderType.STOP_LIMIT,
    OrderType.STOP_MARKET,
)
_TYPE_ODDS = odds(55, 8, 10, 8, 5, 7, 7)
_SIDES = (Side.BUY, Side.SELL)
_AT_ANY_PRICE = (OrderType.MARKET, OrderType.STOP_MARKET)
_STOPS = (OrderType.STOP_LIMIT, OrderType.STOP_MARKET)


class Users:
    """See the module's docstring."""

    def __init__(
        self,
        choices: Choices,
        timeline: Timeline,
        disk: Disk,
        venue: Venue,
        process: Process,
        marks: Marks,
        trace: Trace,
    ) -> None:
        self.intents: list[str] = []
        self.wishes = self._halts = 0
        self._choices, self._timeline, self._disk, self._venue = choices, timeline, disk, venue
        self._process, self._marks, self._trace = process, marks, trace
        self._requests: list[Admit] = []
        self._prices = dict.fromkeys(SYMBOLS, MID)
        self._acts = (
            self._place,
            self._modify,
            self._cancel,
            self._place_group,
            self._repeat,
            self._halt,
            self._force,
            self._adopt,
            self.attend,
            self._cancel_all,
        )
        self._gated = (self._place, self._modify, self._place_group, self._repeat)

    def act(self) -> None:
        """Do one thing, if there is a kernel to do it with."""
        act = self._acts[self._choices.weighted(_ACTS, "user.act")]
        if self._process.core is None or self._timeline.now_ns < self._process.paused_until_ns:
            return
        if self._process.halted and act in self._gated:
            self._marks.hit("refused by the gate")  # as `trading.risk` does
        else:
            act()

    def _ask(self, event: Event, what: str) -> QuantError | None:
        self._trace.tell("user", "kernel", what)
        refused = self._process.feed(event)
        if refused is not None:
            self._trace.tell("kernel", "user", f"refused: {refused}")
        return refused

    def _open(self) -> list[OrderIntent]:
        core = self._process.core
        return core.view.unsettled() if core is not None else []

    # Wishes.

    def _place(self) -> None:
        assert self._process.core is not None
        order = self._order()
        intent_id = self._process.core.new_intent_id()
        request_id = f"r{len(self._requests)}" if self._choices.choose(2, "user.request") else ""
        admit = Admit(Approved(order, {"by": "user"}), intent_id, request_id)
        if request_id:
            self._requests.append(admit)
        self._wished(intent_id)
        self._ask(admit, f"place {_terms(order)}")

    def _wished(self, *intent_ids: str) -> None:
        self.intents.extend(intent_ids)
        self.wishes += len(intent_ids)

    def _order(self) -> StandardOrder:
        choices = self._choices
        symbol = choices.pick(SYMBOLS, "user.symbol")
        side = choices.pick(_SIDES, "user.side")
        order_type = _TYPES[choices.weighted(_TYPE_ODDS, "user.type")]
        price = None if order_type in _AT_ANY_PRICE else self._price("user.price")
        stop = self._price("user.stop") if order_type in _STOPS else None
        order = StandardOrder(symbol, side, order_type, self._quantity(), price, stop)
        if order_type is OrderType.LIMIT:
            order = self._timed(order)
        if symbol == PERPETUAL and choices.chance(150, "user.reduce_only"):
            order = replace(order, reduce_only=True)
        return order

    def _timed(self, order: StandardOrder) -> StandardOrder:
        kind = self._choices.weighted(odds(85, 5, 4, 6), "user.time_in_force")
        if kind == 3:
            lives_ns = (30 * _S, 2 * _S, 300 * _S)[self._choices.choose(3, "user.expires")]
            return replace(order, time_in_force=TimeInForce.GTD, expire_ns=self._timeline.now_ns + lives_ns)
        in_force = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)[kind]
        return order if kind == 0 else replace(order, time_in_force=in_force)

    def _quantity(self) -> Decimal:
        return MIN_QTY + self._choices.choose(19, "user.quantity")

    def _price(self, label: str) -> Decimal:
        return Decimal(MID + (0, -3, 3, -8, 8, 1, -1)[self._choices.choose(7, label)])

    def _place_group(self) -> None:
        assert self._process.core is not None
        core, choices = self._process.core, self._choices
        symbol, side = choices.pick(SYMBOLS, "user.symbol"), choices.pick(_SIDES, "user.side")
        quantity = self._quantity()
        modes = [OcoMode.REDUCE_ON_PARTIAL, OcoMode.CANCEL_ON_FILL, OcoMode.ONE_LIVE]
        if self._venue.contract.native_oco:
            modes.append(OcoMode.NATIVE)
        mode = choices.pick(modes, "user.mode")
        has_entry = mode is not OcoMode.NATIVE and choices.choose(2, "user.entry") == 1
        trail = Decimal(3) if mode is not OcoMode.NATIVE and choices.choose(4, "user.trail") == 3 else None
        needs_stop = mode in (OcoMode.ONE_LIVE, OcoMode.NATIVE) or trail is not None
        with_stop = needs_stop or choices.choose(2, "user.stop_leg") == 1
        away = -1 if side is Side.BUY else 1
        target = StandardOrder(symbol, side, OrderType.LIMIT, quantity, Decimal(MID + 8 * away))
        other = StandardOrder(symbol, side, OrderType.LIMIT, quantity, Decimal(MID + 3 * away))
        if with_stop:
            at = Decimal(MID - 8 * away)
            kind = _STOPS[choices.choose(2, "user.stop_type")]
            other = StandardOrder(symbol, side, kind, quantity, at if kind is _STOPS[0] else None, at)
        orders = [other, target]
        if has_entry:
            orders.insert(0, StandardOrder(symbol, side.opposite, OrderType.LIMIT, quantity, Decimal(MID)))
        if symbol == PERPETUAL and has_entry:
            orders[1:] = [replace(order, reduce_only=True) for order in orders[1:]]
        intent_ids = tuple(core.new_intent_id() for _ in orders)
        approved = tuple(Approved(order, {"by": "user"}) for order in orders)
        event = AdmitGroup(approved, intent_ids, mode, has_entry, trail)
        if self._ask(event, f"group {mode.value} " + ", ".join(map(_terms, orders))) is None:
            self._wished(*intent_ids)
            if has_entry:
                self._marks.hit("group with an entry")

    def _repeat(self) -> None:
        """The caller did not hear, and asks the same under the same request id."""
        assert self._process.core is not None
        if not self._requests:
            return
        core = self._process.core
        admit = self._choices.pick(self._requests, "user.repeat")
        known = core.view.find_request(admit.request_id) or self._disk.requests.get(admit.request_id)
        self._marks.hit("same request again")
        if known is None:  # as `ExchangeKernel.place_order` does
            again = replace(admit, intent_id=core.new_intent_id())
            self._wished(again.intent_id)
            self._ask(again, f"place again {_terms(again.approved.order)}")

    def _modify(self) -> None:
        open_intents = self._open()
        if not open_intents:
            return
        intent = self._choices.pick(open_intents, "user.which")
        order = replace(intent.order, quantity=self._quantity())
        if order.price is not None and self._choices.choose(2, "user.reprice"):
            order = replace(order, price=self._price("user.price"))
        self._ask(Modify(intent.intent_id, Approved(order, intent.metadata)), f"modify to {_terms(order)}")

    def _cancel(self) -> None:
        open_intents = self._open()
        if open_intents:
            intent = self._choices.pick(open_intents, "user.which")
            self._ask(CancelIntents((intent.intent_id,)), f"cancel {_terms(intent.order)}")

    def _cancel_all(self) -> None:
        self.cancel_everything()

    def cancel_everything(self) -> None:
        """Want nothing more."""
        if ids := tuple(intent.intent_id for intent in self._open()):
            self._ask(CancelIntents(ids), "cancel everything")

    # Operators.

    def halt(self, level: Halted) -> None:
        """Set or release the kill switch: the flag that outlives us first."""
        self._halts += 1
        self._process.halted = level
        if level is Halted.ALL:
            self._marks.hit("halted: cancelled all")
        elif level is Halted.FLAT:
            self._marks.hit("halted: flattened")
        self._ask(Halt(level, "by hand"), f"halt {level.name}")

    def _halt(self) -> None:
        levels = (Halted.NOT, Halted.NEW, Halted.ALL, Halted.FLAT)
        level = levels[self._choices.choose(4, "user.halt")]
        self.halt(level)
        if level:
            pause_ns = (2 * _S, 20 * _S, 100 * _S)[self._choices.choose(3, "user.halted_for")]
            self._timeline.after(pause_ns, self._release, self._halts)

    def _release(self, halt: int) -> None:
        """Release what that halt has set, if nobody has set it anew."""
        if halt == self._halts and self._process.halted:
            self._process.halted = Halted.NOT
            if self._process.core is not None:
                self._ask(Halt(Halted.NOT), "release")

    def _force(self) -> None:
        self._ask(Force(), "force reconciliation")

    def _adopt(self) -> None:
        core = self._process.core
        assert core is not None
        foreign = [order for market in core.view.markets.values() for order in market.row.foreign]
        if not foreign:
            return
        order = self._choices.pick(foreign, "user.adopts")
        if self._process.knows(order.exchange_order_id):
            return  # as the public face refuses: it was adopted before, and a copy lags
        intent_id = core.new_intent_id()
        event = Adopt(order.exchange_order_id, intent_id, {"by": "operator"})
        self._ask(event, f"adopt {order.exchange_order_id}")

    def attend(self) -> None:
        """What a careful operator does about everything that waits for one."""
        process = self._process
        if process.core is None or self._timeline.now_ns < process.paused_until_ns:
            return
        for row in list(self._disk.markets.values()):
            if row.drift and process.core is not None and process.core.view.markets[row.symbol].row.drift:
                self._marks.hit("drift accepted")
                self._ask(AcceptDrift(row.symbol, "a transfer"), f"accept drift of {row.symbol}")
        if process.core is not None and any(alarm in self._disk.remarks for alarm in ALARMS):
            self._ask(Trust(), "trust")
        self._judge()

    def _judge(self) -> None:
        """Say of orders that nobody can prove anything about that nothing came of them, if that is so."""
        core, venue = self._process.core, self._venue
        if core is None:
            return
        provable = venue.contract.resolution is Resolution.PROVE
        if provable and venue.personality.breach is Breach.NONE and not venue.account.is_noisy:
            return
        for entry in list(core.view.open.values()):
            for state in entry.open_attempts:
                if (
                    state.state is AttemptState.AMBIGUOUS
                    and state.reconciliation_status is ReconciliationStatus.NEEDS_OPERATOR
                    and venue.account.is_nothing(state.client_order_id)
                    and not venue.network.travelling[state.client_order_id]
                    and self._process.core is core
                ):
                    self._marks.hit("needs operator")
                    self._ask(Verdict(state.client_order_id, "looked at the exchange"), "nothing came of it")

    # Prices.

    def quote(self) -> None:
        """The market moves, and groups that follow it are told."""
        core, choices = self._process.core, self._choices
        if core is not None and self._timeline.now_ns >= self._process.paused_until_ns:
            for symbol in SYMBOLS:
                if core is self._process.core and core.follows(symbol):
                    step = (0, 2, -2, 5, -5)[choices.choose(5, "market.step")]
                    price = self._prices[symbol] = min(max(self._prices[symbol] + step, 80), 120)
                    self._process.feed(Quoted(symbol, Decimal(price), Decimal(price + 1)))
        self._timeline.after(3 * _S, self.quote)


def _terms(order: StandardOrder) -> str:
    words = [order.side.name.lower(), str(order.quantity), order.symbol, order.type.name.lower()]
    if order.price is not None:
        words.append(f"at {order.price}")
    if order.stop_price is not None:
        words.append(f"stop {order.stop_price}")
    if order.reduce_only:
        words.append("reduce-only")
    return " ".join(words)
