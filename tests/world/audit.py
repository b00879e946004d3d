"""What a whole run must look like, read from its rows when it is over: what was decided, and why.

    audit = Audit(world)      before the run: it hears which amendments are answered
    audit.judge()             after it: raises `Violation`

    again      what was refused for good is not tried again
    alarm      an order that comes back from the dead raises the alarm, unless a person declared it dead
    amend      one amendment at a time, for what is left, and none that was refused already
    busy       "not now" is not "never"
    dust       a rest too small is no failure
    exits      exits go when nothing is left to close, and sell what came
    expired    nothing is placed after its time
    external   what a stranger cancelled stays cancelled
    flatten    only when nothing else is open
    group      orders are let go, or cancelled, in the very commit that calls for it
    linked     what the exchange's link cancels was no stranger's doing
    own        ours is what our orders did
    request    the caller's id is kept
    spared     what protects outlives a halt
    strangers  what strangers trade is recorded
    trail      a stop never moves back
    tries      tries are counted, and apart

The oracle looks at each row as it comes; here whole histories are looked at.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from quantcli.model.message import Asked, Refusal, Refused, Report, Silence
from quantcli.model.order import (
    Fill,
    IntentPhase,
    OcoMode,
    OrderGroup,
    OrderIntent,
    OrderState,
    OrderStatus,
)
from quantcli.store.api import JournalEntry, MarketRow, Remark, Row

from .markets import MIN_QTY, base_of
from .oracle import ALARMS
from .violation import Violation
from .world import World

_ZERO = Decimal(0)
_BY_GROUP = "group: "
_FOR_NOW = ("-1003", "-1021")  # how the exchange of this world says: busy, too late
_MAX_TRIES = 20
_CLOCKS_NS = 10_000_000_000  # more than clocks differ
_LEAST_PAUSE_NS = 500_000_000


_Answered = dict[tuple[str, int], tuple[int, bool]]


class Audit:
    """Looks at everything that one world has written."""

    def __init__(self, world: World) -> None:
        self._world, self._deliver = world, world.network.deliver
        self._answered: _Answered = {}  # amendments: when, and whether they were refused for good
        world.network.deliver = self._heard

    def _heard(self, life: int, report: Report) -> None:
        is_heard = life == self._world.network.life  # else that process has died since
        if is_heard and isinstance(report, Refusal | Silence) and report.request == Asked.AMEND:
            is_final = isinstance(report, Refusal) and report.kind is Refused.FINAL
            heard_ns = self._world.timeline.now_ns
            self._answered.setdefault((report.client_order_id, report.number), (heard_ns, is_final))
        self._deliver(life, report)

    def judge(self) -> None:
        """Raises `Violation` for the first promise found broken."""
        _History(self._world, self._answered).read()
        for check in (_requests, _attempts, _endings, _drift, _strangers, _groups, _own):
            check(self._world)


def _demand(holds: bool, name: str, *about: object) -> None:
    if not holds:
        raise Violation(name, " ".join(map(str, about)))


class _History:
    """The rows in the order of their commits."""

    def __init__(self, world: World, answered: _Answered) -> None:
        self._commits, self._answered = world.disk.commits, answered
        self._intents: dict[str, OrderIntent] = {}
        self._states: dict[str, OrderState] = {}
        self._of_intent: dict[str, list[str]] = {}
        self._groups: dict[str, OrderGroup] = {}
        self._fees: dict[str, Decimal] = {}
        self._held: dict[str, Decimal] = {}  # the fills we hold, in sum
        self._trailing: dict[str, None] = {}
        self._amended: list[tuple[OrderState, OrderState]] = []
        self._is_alarmed = False
        self._look: dict[type, Callable[[Row, Sequence[Row]], None]] = {
            OrderIntent: self._intent,  # type: ignore[dict-item]
            OrderState: self._state,  # type: ignore[dict-item]
            OrderGroup: self._group,  # type: ignore[dict-item]
            Fill: self._fill,  # type: ignore[dict-item]
        }

    def read(self) -> None:
        for rows in self._commits:
            for row in rows:
                if isinstance(row, Remark) and row.key == ALARMS[0]:
                    self._is_alarmed = bool(row.value)
            for row in rows:
                look = self._look.get(type(row))
                if look is not None:
                    look(row, rows)
            for state, before in self._amended:
                self._amendment(state, before, rows)
            self._amended.clear()
            for group in self._groups.values():
                self._shared(group)

    def _fill(self, row: Fill, rows: Sequence[Row]) -> None:
        fee = row.qty - _received(row)
        self._fees[row.intent_id] = self._fees.get(row.intent_id, _ZERO) + fee
        self._held[row.intent_id] = self._held.get(row.intent_id, _ZERO) + row.qty

    def _filled(self, intent_id: str) -> Decimal:
        return sum([self._states[c].filled for c in self._of_intent.get(intent_id, ())], _ZERO)

    def _shared(self, group: OrderGroup) -> None:
        """What the rows say of a group after a commit fits together."""
        if group.mode is OcoMode.NATIVE:
            return
        entry = self._intents.get(group.entry)
        if entry is not None and self._filled(group.entry) != self._held.get(group.entry, _ZERO):
            return  # what it received is not known yet
        shared = group.quantity
        if entry is not None:
            shared = self._filled(group.entry) - self._fees.get(group.entry, _ZERO)
        rest = int(shared) - sum([self._filled(leg) for leg in group.legs], _ZERO)
        held = [leg for leg in group.legs if self._is_held(leg)]
        if rest <= 0:
            is_over = entry is None or entry.phase.is_terminal
            _demand(not (is_over and held), "group", group.group_id, "is over, and holds back", held)
        elif rest >= MIN_QTY:
            is_idle = all(leg in held or not self._is_open(leg) for leg in group.legs)
            is_idle = is_idle and not any(self._works(leg) for leg in group.legs)
            _demand(not (is_idle and held), "group", group.group_id, "holds back all of", rest, held)

    def _is_held(self, intent_id: str) -> bool:
        intent = self._intents[intent_id]
        return intent.phase.is_wanted and intent.held

    def _is_open(self, intent_id: str) -> bool:
        return self._works(intent_id) or not self._intents[intent_id].phase.is_terminal

    def _works(self, intent_id: str) -> bool:
        return any(not self._states[c].state.is_closed for c in self._of_intent.get(intent_id, ()))

    def _amendment(self, row: OrderState, before: OrderState, rows: Sequence[Row]) -> None:
        """A new amendment, after the one before it."""
        now, was, intent = row.amendment, before.amendment, self._intents[row.intent_id]
        assert now is not None
        at_ns = next(r.at_ns for r in rows if isinstance(r, JournalEntry))
        others = self._filled(row.intent_id) - row.filled
        _demand(now.order.quantity == intent.order.quantity - others, "amend", row.client_order_id, now.order)
        if was is None:
            return
        heard_ns, is_final = self._answered.get((row.client_order_id, was.number), (at_ns + 1, False))
        is_answered = heard_ns <= at_ns
        if was.refused or (is_answered and is_final):
            _demand(was.generation != now.generation, "amend", row.client_order_id, "again:", was.refused)
        else:
            is_known = row.generation >= was.generation or is_answered
            _demand(
                is_known or at_ns > was.deadline_ns, "amend", row.client_order_id, "while one is on its way"
            )

    def _follows(self, row: OrderState) -> None:
        """A new attempt: the one before was not refused for good."""
        for client_id in self._of_intent.get(row.intent_id, ()):
            last = self._states[client_id]
            is_final = last.status is OrderStatus.REJECTED and not last.reason.startswith(_FOR_NOW)
            is_again = last.attempt == row.attempt - 1 and last.generation == row.generation
            _demand(not (is_final and is_again), "again", row.client_order_id, "refused before:", last.reason)

    def _group(self, row: OrderGroup, rows: Sequence[Row]) -> None:
        self._groups[row.group_id] = row
        if row.trail is not None:
            self._trailing[row.legs[0]] = None

    def _intent(self, row: OrderIntent, rows: Sequence[Row]) -> None:
        before = self._intents.get(row.intent_id)
        if before is None and "flatten" in row.metadata:
            others = [i for i in self._open_in(row.order.symbol) if i != row.intent_id]
            _demand(not others, "flatten", row.intent_id, "beside", others)
        self._intents[row.intent_id] = row
        if before is None:
            return
        if row.intent_id in self._trailing and row.order.stop_price and before.order.stop_price:
            moved = (row.order.stop_price - before.order.stop_price) * row.order.side.sign
            _demand(
                moved <= 0,
                "trail",
                row.intent_id,
                "moved back:",
                before.order.stop_price,
                row.order.stop_price,
            )
        if before.phase.is_wanted and row.phase is IntentPhase.CANCEL_REQUESTED and row.protective:
            said = [r.detail for r in rows if isinstance(r, JournalEntry) and r.what == "halted"]
            is_spared = not any(detail.startswith("ALL") for detail in said)
            _demand(is_spared, "spared", row.intent_id, "protects, and was cancelled by a halt")

    def _open_in(self, symbol: str) -> list[str]:
        working = {s.intent_id for s in self._states.values() if not s.state.is_closed}
        return [
            i
            for i, intent in self._intents.items()
            if intent.order.symbol == symbol and (i in working or not intent.phase.is_terminal)
        ]

    def _state(self, row: OrderState, rows: Sequence[Row]) -> None:
        before = self._states.get(row.client_order_id)
        self._states[row.client_order_id] = row
        if before is None:
            self._follows(row)
            self._of_intent.setdefault(row.intent_id, []).append(row.client_order_id)
        elif row.amendment is not None and row.amends > before.amends:
            self._amended.append((row, before))
        # An operator may be wrong, or early; the exchange has not broken its word then.
        was_told = before is not None and before.reason.startswith("operator: ")
        if row.reopened and before is not None and before.state.value == "DEAD" and not was_told:
            _demand(self._is_alarmed, "alarm", row.client_order_id, "came back, and nobody was told")


def _requests(world: World) -> None:
    for admit in world.users._requests:
        intent = world.disk.intents.get(admit.intent_id)
        # An order that rises after its wish was settled and forgotten is imported over the wish's row.
        kept = intent is None or intent.request_id == admit.request_id or bool(world.oracle.waived)
        _demand(kept, "request", admit.request_id, "of", admit.intent_id, "was not kept")


def _attempts(world: World) -> None:
    """How one attempt follows another."""
    disk = world.disk
    for intent_id, client_ids in disk.attempts.items():
        attempts = sorted((disk.states[c] for c in client_ids), key=lambda state: state.attempt)
        tries: dict[int, int] = {}
        for last, following in zip([None, *attempts], attempts, strict=False):
            expires_ns = following.order.expire_ns
            in_time = expires_ns is None or following.prepared_ns < expires_ns
            _demand(in_time, "expired", following.client_order_id, "was placed after its time")
            tries[following.generation] = tries.get(following.generation, 0) + 1
            if last is None or last.generation != following.generation:
                continue
            pause_ns = following.prepared_ns - last.prepared_ns
            may_hurry = bool(last.filled or last.exchange_order_id)
            _demand(may_hurry or pause_ns >= _LEAST_PAUSE_NS, "tries", intent_id, "again after", pause_ns)
        most = max(tries.values(), default=0)
        is_patient = disk.intents[intent_id].protective if intent_id in disk.intents else False
        _demand(is_patient or most <= _MAX_TRIES, "tries", intent_id, most, "times")


def _endings(world: World) -> None:
    """Why wishes failed."""
    disk = world.disk
    for intent_id, intent in disk.intents.items():
        if intent.phase is not IntentPhase.FAILED:
            continue
        attempts = [disk.states[c] for c in disk.attempts.get(intent_id, ())]
        last = max(attempts, key=lambda state: state.attempt, default=None)
        # Linked orders are placed once, and an exchange that is busy may end the tries.
        is_early = (
            not intent.reason.startswith("not placed")
            and len(attempts) < _MAX_TRIES
            and last is not None
            and last.reason.startswith(_FOR_NOW)
        )
        _demand(not is_early, "busy", intent_id, intent.reason)
        filled = sum([state.filled for state in attempts], _ZERO)
        rest = intent.order.quantity - filled
        is_dust = bool(filled) and 0 < rest < MIN_QTY and not world.oracle.waived
        _demand(not is_dust, "dust", intent_id, "failed for", rest, intent.reason)


def _drift(world: World) -> None:
    """Copies that lag are no drift.  Trades told later than that are one for a while, as is a baseline that a
    stranger's trades spoilt, and an exchange that lies about positions always drifts."""
    if world.oracle.waived or world.faults.late_fills:
        return
    for rows in world.disk.commits:
        for row in rows:
            if isinstance(row, MarketRow) and row.drift:
                has_moved = row.symbol in world.account.transferred or world.account.is_noisy
                _demand(has_moved, "drift", row.symbol, row.drift, "though nothing moved but by trades")


def _strangers(world: World) -> None:
    """What strangers do is counted, and let be."""
    disk, contract = world.disk, world.personality.contract
    for key, fill in world.account.trades.items():
        market = disk.markets.get(fill.symbol)
        told_ns = fill.exchange_ns + contract.replica_lag_ns + _CLOCKS_NS
        # Trades without a name are left aside while a placement is in doubt, which may last.
        names = contract.statement and world.personality.names_trades
        is_told = names and market is not None and told_ns < market.surveyed_ns
        is_late = bool(world.oracle.waived)
        _demand(not is_told or is_late or key in disk.fills, "strangers", fill.trade_id, "was not recorded")
    for client_id in world.oracle.meddled_with:
        state = disk.states.get(client_id)
        if state is None or state.cancel_sent_ns:
            continue
        later = [c for c in disk.attempts[state.intent_id] if disk.states[c].attempt > state.attempt]
        _demand(not later, "external", state.intent_id, "was placed again after a stranger's cancel")


def _groups(world: World) -> None:
    for group in world.disk.groups.values():
        if world.oracle.waived:
            continue  # fills may be told after what was decided by them
        if group.mode is OcoMode.NATIVE:
            _linked(world, group)
        elif group.entry:
            _exits(world, group)


def _linked(world: World, group: OrderGroup) -> None:
    disk, meddled = world.disk, world.oracle.meddled_with
    filled = _filled(world)
    traded = [leg for leg in group.legs if filled.get(leg)]
    for leg in group.legs:
        is_strange = disk.intents[leg].reason.startswith("external")
        excused = any(client_id in meddled for client_id in disk.attempts.get(leg, ()))
        ours = [other for other in traded if other != leg]
        _demand(not (is_strange and ours and not excused), "linked", leg, disk.intents[leg].reason)


def _exits(world: World, group: OrderGroup) -> None:
    """Exits that their group cancelled had nothing left to close; one at a time, they sell what came."""
    disk = world.disk
    filled = _filled(world)
    legs = {leg: filled.get(leg, _ZERO) for leg in group.legs}
    mine = [fill for fill in disk.fills.values() if fill.intent_id == group.entry]
    received = sum([_received(fill) for fill in mine], _ZERO)
    closed = sum(legs.values(), _ZERO)
    if group.mode is OcoMode.ONE_LIVE:
        _demand(closed <= received, "exits", group.group_id, "sold", closed, "of", received)
    if group.mode is OcoMode.CANCEL_ON_FILL and closed:
        return
    for leg in group.legs:
        reason = disk.intents[leg].reason
        went = reason.startswith(_BY_GROUP) and "dust" not in reason
        _demand(not went or received - closed < MIN_QTY, "exits", leg, received - closed, "is left:", reason)


def _filled(world: World) -> dict[str, Decimal]:
    """What was recorded, by intent."""
    filled: dict[str, Decimal] = {}
    for fill in world.disk.fills.values():
        filled[fill.intent_id] = filled.get(fill.intent_id, _ZERO) + fill.qty
    return filled


def _received(fill: Fill) -> Decimal:
    return fill.qty - (fill.fee if fill.fee_asset == base_of(fill.symbol) else _ZERO)


def _own(world: World) -> None:
    """The position that is ours is what our orders traded."""
    owned: dict[str, Decimal] = {}
    for fill in world.disk.fills.values():
        if fill.intent_id:
            fee = fill.qty - _received(fill)
            owned[fill.symbol] = owned.get(fill.symbol, _ZERO) + fill.qty * fill.side.sign - fee
    for row in world.disk.markets.values():
        _demand(row.own == owned.get(row.symbol, _ZERO), "own", row.symbol, row.own, owned.get(row.symbol))
