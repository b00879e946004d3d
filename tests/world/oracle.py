"""The promises, checked against the truth as things happen; numbers as in the list of invariants.

    I1   one live order of an intent              I13  a placement arrives once
    I2   fills within the largest wish            I14  no deadline farther than the fence
    I3   recorded fills happened, to the digit    I15  an attempt is no larger than the rest
    I4   an order on the exchange has a row       I16  dead by proof means: E1, E2, E3, in order
    I5   a settled wish has no live order         I17  dead means: none works, none traded
    I6   SATISFIED means filled                   I18  what may still trade is never underrated
    I7   DONE means every fill is known           I19  nothing is placed while halted or unsynchronised
    I12  one id, one content                      I20  a group trades no more than it declares
    I22  asked again without news: no command     I24  strangers' orders are let be
    I26  what is sent has its row already         told  each new fill is told, once, with its commit
    L5   no command without end                   (I8-I11, I25 are the disk's)

Each is looked at where it can break: when an order comes to be, trades or ends, when rows become durable,
when a request leaves.  `waived` are those that the exchange itself breaks in this run.
"""

from collections.abc import Sequence
from decimal import Decimal

from quantcli.kernel import identity as ids
from quantcli.model.message import Amend, Cancel, Place, PlaceList, Request
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OcoMode,
    OrderIntent,
    OrderState,
    OrderStatus,
    StandardOrder,
)
from quantcli.model.venue import Resolution
from quantcli.store.api import Identity, Remark, Row

from .book import Booked
from .disk import Disk
from .marks import Marks
from .personality import WAIVED, Breach, Personality
from .timeline import Timeline
from .violation import Violation

_ZERO = Decimal(0)
_MINUTE_NS = 60_000_000_000
MAX_COMMANDS = 60  # for one intent in one minute
_OURS = Identity(7, 99, b"secret", 0)
ALARMS = ("kernel.quarantine", "kernel.safe_mode")
_A = AttemptState


class Oracle:
    """See the module's docstring; `checked` counts."""

    def __init__(self, disk: Disk, timeline: Timeline, personality: Personality, marks: Marks) -> None:
        self.trades: dict[tuple[str, str], Fill] = {}
        self.orders: dict[str, Booked] = {}
        self.live: dict[str, list[Booked]] = {}  # by intent
        self.owned: dict[str, list[Booked]] = {}  # all that ever were, by intent
        self.traded_of: dict[str, Decimal] = {}  # by intent
        self.wished: dict[str, Decimal] = {}  # the largest quantity of any generation, by intent
        self.meddled_with: dict[str, None] = {}
        self.late: dict[str, Decimal] = {}  # told after the end, by intent
        self.checked = 0
        self.waived = WAIVED[personality.breach]
        self._disk, self._timeline, self._marks = disk, timeline, marks
        self._contract = personality.contract
        self._is_honest = personality.breach is Breach.NONE
        self._adopted: dict[str, None] = {}
        self._arrivals: dict[str, int] = {}
        self._terms: dict[str, StandardOrder] = {}
        self._cancels: dict[str, int] = {}
        self._legs: dict[str, StandardOrder] = {}
        self._commands: dict[str, tuple[int, int]] = {}  # by intent: in which minute, how many

    def demand(self, name: str, holds: bool, story: str, *about: object) -> None:
        """A promise must hold, unless it is waived."""
        self.checked += 1
        if not holds and name not in self.waived:
            raise Violation(name, " ".join((story, *map(str, about))))

    # The exchange.

    def arrived(self, place: Place) -> None:
        """A placement has reached the exchange."""
        client_id = place.client_order_id
        number = self._arrivals[client_id] = self._arrivals.get(client_id, 0) + 1
        again_is_fine = self._contract.resolution is Resolution.RESEND
        self.demand("I13", number == 1 or again_is_fine, "placement arrived again:", client_id)
        if number > 1:
            self._marks.hit("same placement arrived again")
        self.demand("I4", client_id in self._disk.states, "placement without a row:", client_id)

    def created(self, booked: Booked) -> None:
        """An order has come to be."""
        client_id = booked.client_order_id
        self.orders[client_id] = booked
        state = self._disk.states.get(client_id)
        if state is None:
            self.demand("I4", ids.read(_OURS, client_id) is None, "an order without a row:", client_id)
            return
        intent_id = booked.owner = state.intent_id
        self.owned.setdefault(intent_id, []).append(booked)
        live = self.live.setdefault(intent_id, [])
        live.append(booked)
        names = [each.client_order_id for each in live]
        self.demand("I1", len(live) == 1, "two live orders of one intent:", names)
        is_dead = state.state is _A.DEAD
        self.demand("I17", not is_dead, "an order that was declared dead came to be:", client_id)
        phase = self._disk.intents[intent_id].phase
        self.demand("I5", not phase.is_terminal, "an order of an intent that is", phase.value, client_id)

    def traded(self, booked: Booked, fill: Fill) -> None:
        """An order has traded."""
        self.trades[fill.symbol, fill.trade_id] = fill
        intent_id = booked.owner
        if not intent_id:
            return
        total = self.traded_of[intent_id] = self.traded_of.get(intent_id, _ZERO) + fill.qty
        wished = self.wished.get(intent_id, _ZERO) + self.late.get(intent_id, _ZERO)
        self.demand("I2", total <= wished, "filled more than was ever wished:", intent_id, total, wished)
        self._check_group(self._disk.intents[intent_id])

    def ended(self, booked: Booked) -> None:
        """An order can trade no more."""
        live = self.live.get(booked.owner)
        if live is not None and booked in live:
            live.remove(booked)

    def lost(self, booked: Booked) -> None:
        """The exchange has forgotten an order, as if it had never been."""
        self.ended(booked)
        self.orders.pop(booked.client_order_id, None)

    def meddled(self, booked: Booked) -> None:
        """A stranger cancelled an order of ours."""
        self.meddled_with[booked.client_order_id] = None

    def late_cum(self, booked: Booked, qty: Decimal) -> None:
        """The exchange is about to tell an end without this much of what has traded."""
        self.late[booked.owner] = self.late.get(booked.owner, _ZERO) + qty

    def _adopt(self, booked: Booked, intent_id: str) -> None:
        """A stranger's order has become one of ours."""
        self._marks.hit("foreign order adopted")
        self._adopted[booked.client_order_id] = None
        booked.owner = intent_id
        self.owned.setdefault(intent_id, []).append(booked)
        if booked.is_live:
            self.live.setdefault(intent_id, []).append(booked)
        self.traded_of[intent_id] = booked.filled

    def _check_group(self, intent: OrderIntent) -> None:
        group = self._disk.groups.get(intent.group_id or "")
        if group is None or intent.intent_id not in group.legs:
            return
        traded = sum([self.traded_of.get(leg, _ZERO) for leg in group.legs], _ZERO)
        shared = self.traded_of.get(group.entry, _ZERO) if group.entry else group.quantity
        if sum(1 for leg in group.legs if self.traded_of.get(leg)) > 1:
            self._marks.hit("both legs filled")
        bound = shared
        if group.mode not in (OcoMode.ONE_LIVE, OcoMode.NATIVE):
            bound = sum([min(self.wished.get(leg, _ZERO), shared) for leg in group.legs], _ZERO)
        late = sum([self.late.get(leg, _ZERO) for leg in group.legs], _ZERO)
        self.demand("I20", traded <= bound + late, f"a {group.mode.value} group traded", traded, "of", bound)

    # What leaves the process.

    def sending(self, request: Request, fence_ns: int) -> None:
        """A request is about to leave; what it rests on must be durable."""
        if isinstance(request, Place | Amend | Cancel):
            self._count(request.client_order_id)
        if isinstance(request, PlaceList):
            for place in request.places:
                self.sending(place, fence_ns)
        elif isinstance(request, Place):
            self._check_place(request, fence_ns)
        elif isinstance(request, Amend):
            state = self._disk.states.get(request.client_order_id)
            pending = state.amendment if state is not None else None
            fits = pending is None or pending.number > request.number or pending.order == request.order
            is_written = state is not None and fits
            self.demand("I26", is_written, "amendment without a row:", request.client_order_id)
        elif isinstance(request, Cancel):
            client_id = request.client_order_id
            state = self._disk.states.get(client_id)
            self.demand("I24", state is not None, "cancel of an order that is not ours:", client_id)
            self._cancels[client_id] = self._cancels.get(client_id, 0) + 1

    def _count(self, client_order_id: str) -> None:
        """L5, where it can be seen at once."""
        state = self._disk.states.get(client_order_id)
        whose = state.intent_id if state is not None else client_order_id
        now = self._timeline.now_ns // _MINUTE_NS
        minute, number = self._commands.get(whose, (now, 0))
        number = number + 1 if minute == now else 1
        self._commands[whose] = now, number
        self.demand("L5", number <= MAX_COMMANDS, "commands without end:", whose)

    def _check_place(self, place: Place, fence_ns: int) -> None:
        client_id = place.client_order_id
        state = self._disk.states.get(client_id)
        self.demand("I26", state is not None, "sent before its row was durable:", client_id)
        terms = self._terms.setdefault(client_id, place.order)
        self.demand("I12", terms == place.order, "one id, two contents:", client_id)
        left_ns = place.deadline_ns - self._timeline.now_ns
        self.demand("I14", left_ns <= fence_ns, "a deadline farther than the fence:", client_id, left_ns)

    # What becomes durable.

    def committed(self, rows: Sequence[Row], before: dict[str, OrderState]) -> None:
        """Rows have become durable; `before` are the attempts among them as they were."""
        for row in rows:
            if isinstance(row, OrderState):
                self._check_state(row, before.get(row.client_order_id))
            elif isinstance(row, OrderIntent):
                self._check_intent(row)
            elif isinstance(row, Fill):
                self._check_fill(row)
            elif isinstance(row, Remark) and row.key in ALARMS and row.value:
                self._marks.hit("quarantine" if row.key == ALARMS[0] else "safe mode")
                self.demand("alarm", not self._is_honest, "a false alarm:", row.key, row.value)

    def _check_intent(self, intent: OrderIntent) -> None:
        intent_id, quantity = intent.intent_id, intent.order.quantity
        if quantity > self.wished.get(intent_id, _ZERO):
            self.wished[intent_id] = quantity
        if intent.held:
            self._marks.hit("held back in its group")
        self._mark_terms(intent)
        if not intent.phase.is_terminal:
            return
        live = self.live.get(intent_id)
        self.demand("I5", not live, f"{intent.phase.value} with a live order:", intent_id)
        recorded = sum([self.recorded(booked) for booked in self.owned.get(intent_id, ())], _ZERO)
        if intent.phase is IntentPhase.SATISFIED:
            is_dust = intent.reason.startswith("dust")
            if is_dust:
                self._marks.hit("dust")
            self.demand("I6", recorded >= quantity or is_dust, "SATISFIED with", recorded, "of", quantity)
        elif intent.phase is IntentPhase.EXPIRED:
            self._marks.hit("expired")

    def recorded(self, booked: Booked) -> Decimal:
        """How much of what an order traded is in our books, under whatever name."""
        fills = self._disk.fills
        return sum([fill.qty for _, fill in booked.fills if (fill.symbol, fill.trade_id) in fills], _ZERO)

    def _mark_terms(self, intent: OrderIntent) -> None:
        group = self._disk.groups.get(intent.group_id or "")
        before = self._legs.get(intent.intent_id)
        if group is None or intent.order is before:
            return
        self._legs[intent.intent_id] = intent.order
        if before is not None and group.entry and before.quantity != intent.order.quantity:
            self._marks.hit("exit sized by its entry")
        if before is not None and before.stop_price != intent.order.stop_price:
            self._marks.hit("stop trailed")

    def _check_state(self, state: OrderState, before: OrderState | None) -> None:
        if before is None:
            self._check_new(state)
        was, now = (before.state if before is not None else None), state.state
        if was is not now:
            self._mark(was, now, state)
        if now is _A.DEAD and was is not _A.DEAD:
            self._check_dead(state)
        elif now is _A.DONE:
            booked = self.orders.get(state.client_order_id)
            recorded = self.recorded(booked) if booked is not None else _ZERO
            matches = recorded == state.fills_qty == state.filled
            self.demand("I7", matches, "DONE with", recorded, state.fills_qty, state.filled)
        if before is not None and was is _A.DONE and state.filled > before.filled:
            self._marks.hit("T10 filled after its end")
        if state.reopened and (before is None or not before.reopened):
            if was is _A.DEAD:
                self._marks.hit("T11 came back")
            booked = self.orders.get(state.client_order_id)
            matters = booked is not None and (booked.is_live or bool(booked.fills))
            holds = not (self._is_honest and matters)  # else it is a sighting of old that came late
            self.demand("I17", holds, "came back after its end:", state.client_order_id, was)

    def _check_new(self, state: OrderState) -> None:
        intent_id = state.intent_id
        if state.attempt > 1:
            self._marks.hit("second attempt")
        if state.state is not _A.PREPARED:
            booked = self.orders.get(state.client_order_id)
            if booked is not None and not booked.owner:
                self._adopt(booked, intent_id)
            return
        others = [self._disk.states[c] for c in self._disk.attempts[intent_id] if c != state.client_order_id]
        rest = self._disk.intents[intent_id].order.quantity - sum([o.filled for o in others], _ZERO)
        quantity = state.order.quantity
        self.demand("I15", quantity <= rest, "an attempt larger than the rest:", quantity, rest)
        live = self.live.get(intent_id)
        self.demand("I1", not live, "another attempt beside a live order:", state.client_order_id)

    def _check_dead(self, state: OrderState) -> None:
        booked = self.orders.get(state.client_order_id)
        matters = booked is not None and (booked.is_live or bool(booked.fills))
        self.demand("I17", not matters, "declared dead, but is not:", state.client_order_id, state.reason)
        if not state.reason.startswith("proved"):
            return
        proof = state.evidence
        in_order = proof is not None and (
            0 < proof.fenced_ns <= proof.probed_ns
            and proof.probed_ns <= proof.first_absent_ns < proof.last_absent_ns
            and proof.probed_ns <= proof.first_agreed_ns < proof.last_agreed_ns
        )
        self.demand("I16", in_order, "a proof with a gap:", proof)

    def _check_fill(self, fill: Fill) -> None:
        happened = self.trades.get((fill.symbol, fill.trade_id))
        same = happened is not None and (happened.qty, happened.price, happened.side, happened.fee) == (
            fill.qty,
            fill.price,
            fill.side,
            fill.fee,
        )
        self.demand("I3", same, "a fill that never happened:", fill.trade_id)
        if happened is None or (not fill.intent_id and happened.client_order_id in self._adopted):
            return  # what a stranger's order traded before it was adopted stays nobody's
        booked = self.orders.get(happened.client_order_id)
        owner = booked.owner if booked is not None else fill.intent_id
        whose = fill.intent_id, owner
        # Where trades do not name their orders, one of an order that rose from the dead is a stranger's.
        is_nobodys = not fill.intent_id and not fill.client_order_id and bool(self.waived)
        is_bound = is_nobodys or fill.intent_id == owner
        self.demand("I3", is_bound, "a fill of another's:", fill.trade_id, *whose)

    def _mark(self, was: AttemptState | None, now: AttemptState, state: OrderState) -> None:
        hit = self._marks.hit
        if now is _A.LIVE and was in (_A.PREPARED, _A.AMBIGUOUS):
            hit("T2 seen working")
        elif now is _A.AMBIGUOUS:
            hit("T6 in doubt")
        elif now is _A.DEAD:
            if state.reason.startswith("proved"):
                hit("T7 proved")
                hit("probe unknown")
            else:
                hit("T4 refused" if state.status is OrderStatus.REJECTED else "T5 never left")
        elif now in (_A.CLOSING, _A.DONE) and was is not _A.CLOSING:
            hit("T3 end seen")
            if was is _A.AMBIGUOUS and state.evidence is None and self._cancels.get(state.client_order_id):
                hit("probe hit")
        if now is _A.DONE and was is _A.CLOSING:
            hit("T8 last fill found")
        if now is _A.DONE and was is _A.LIVE and "proved" in state.reason:
            hit("T12 vanished from look-ups")
        if state.status is OrderStatus.PARTIALLY_FILLED:
            hit("T9 partly filled")
