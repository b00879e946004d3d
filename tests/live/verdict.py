"""The exchange's truth beside a bot's ledger, order by order and fill by fill, in the peers' columns."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from quantcli.model.order import AttemptState, IntentPhase, OrderState, OrderStatus
from quantcli.store.api import Loaded

_OPEN = {"NEW", "PARTIALLY_FILLED"}
_SAME = {
    "NEW": {OrderStatus.NEW},
    "PARTIALLY_FILLED": {OrderStatus.PARTIALLY_FILLED},
    "FILLED": {OrderStatus.FILLED},
    "CANCELED": {OrderStatus.CANCELED, OrderStatus.PARTIALLY_CANCELED},
    "EXPIRED": {OrderStatus.EXPIRED, OrderStatus.PARTIALLY_CANCELED},
    "REJECTED": {OrderStatus.REJECTED},
}


class Verdict(msgspec.Struct):
    """Counts, all of which should be 0 but `orders`; positions in base units, ours and theirs.

    `wrong`     the state we hold is not the exchange's, or an order is there that we do not know
    `orphans`   live there, dead or unknown here
    `in_flight` not yet known here
    `doubled`   wishes for which the exchange executed or works more than was wished
    `unbooked`  fills that we do not hold; `invented`: that we hold and the exchange never made;
                `booked_twice`
    `lost`      wishes that are neither satisfied, nor at work, nor ended by anybody; nor may any fail here
    """

    orders: int = 0
    wrong: int = 0
    orphans: int = 0
    in_flight: int = 0
    doubled: int = 0
    unbooked: int = 0
    invented: int = 0
    booked_twice: int = 0
    lost: int = 0
    position: Decimal = Decimal(0)
    position_there: Decimal = Decimal(0)
    notes: list[str] = []

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        counts = (self.wrong, self.orphans, self.in_flight, self.doubled, self.unbooked, self.invented)
        return (
            not any(counts)
            and not self.booked_twice
            and not self.lost
            and self.position == self.position_there
        )


def compare(
    truth: Mapping[str, Any], ledger: Loaded, begun_with: Mapping[str, Decimal], base: str
) -> Verdict:
    """Hold the two against each other; `begun_with` is what the account held before the bot, by asset."""
    found = Verdict(notes=[])
    _compare_orders(found, truth, ledger)
    _compare_fills(found, truth, ledger)
    held = sum((_moved(fill, base) for fill in ledger.fills), Decimal(0))
    moved = sum((c.delta for c in ledger.corrections), Decimal(0))
    found.position = held + moved
    there = Decimal(truth["balances"].get(base, {"total": "0"})["total"])
    found.position_there = there - begun_with.get(base, Decimal(0))
    if found.position != found.position_there:
        found.notes.append(f"position {found.position}, there {found.position_there}")
    return found


def _compare_orders(found: Verdict, truth: Mapping[str, Any], ledger: Loaded) -> None:
    states = {state.client_order_id: state for state in ledger.states}
    by_exchange_id = {state.exchange_order_id: state for state in ledger.states}
    wishes = {intent.intent_id: intent for intent in ledger.intents}
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    live: Counter[str] = Counter()
    found.orders = len(truth["orders"])
    for order in truth["orders"]:
        name = order["first_client_order_id"] or order["client_order_id"]
        state = by_exchange_id.get(str(order["order_id"])) or states.get(name)
        if state is None:
            found.wrong += 1
            found.orphans += order["status"] in _OPEN
            found.notes.append(f"unknown here: {order['order_id']} {name} {order['status']}")
            continue
        executed[state.intent_id] += Decimal(order["filled"])
        live[state.intent_id] += order["status"] in _OPEN
        _compare_order(found, order, state)
    for state in ledger.states:
        if state.state in (AttemptState.PREPARED, AttemptState.AMBIGUOUS):
            found.in_flight += 1
            found.notes.append(f"in flight: {state.client_order_id} {state.state.value} {state.reason}")
    for intent_id, wish in wishes.items():
        if executed[intent_id] > wish.order.quantity or live[intent_id] > 1:
            found.doubled += 1
            found.notes.append(f"doubled: {intent_id} executed {executed[intent_id]}, live {live[intent_id]}")
        is_there = live[intent_id] or executed[intent_id] >= wish.order.quantity
        ended = wish.phase in (IntentPhase.CANCELED, IntentPhase.EXPIRED)
        if not is_there and not ended:
            found.lost += 1
            found.notes.append(f"lost: {intent_id} {wish.phase.value} {wish.reason}")


def _compare_order(found: Verdict, order: Mapping[str, Any], state: OrderState) -> None:
    is_open = order["status"] in _OPEN
    same = state.status in _SAME[order["status"]] and state.filled == Decimal(order["filled"])
    if same and is_open == (not state.state.is_closed):
        return
    found.wrong += 1
    found.orphans += is_open and state.state.is_closed
    found.notes.append(
        f"wrong: {order['order_id']} is {order['status']} {order['filled']}, "
        f"here {state.state.value} {state.status.name} {state.filled} {state.reason}"
    )


def _compare_fills(found: Verdict, truth: Mapping[str, Any], ledger: Loaded) -> None:
    theirs = Counter((fill["symbol"], str(fill["trade_id"])) for fill in truth["fills"])
    ours = Counter((fill.symbol, fill.trade_id) for fill in ledger.fills)
    found.unbooked = sum((theirs - ours).values())
    found.invented = sum(1 for key in ours if key not in theirs)
    found.booked_twice = sum(count - 1 for count in ours.values())
    for title, keys in (("unbooked", theirs - ours), ("invented", ours - theirs)):
        found.notes += [f"{title}: {key}" for key in keys]


def _moved(fill: Any, base: str) -> Decimal:
    signed: Decimal = fill.side.sign * fill.qty
    return signed - fill.fee if fill.fee_asset == base else signed


def total(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """The counts of several, added up."""
    sums: Counter[str] = Counter()
    for verdict in verdicts:
        for name in ("orders", "wrong", "orphans", "in_flight", "doubled", "unbooked", "invented", "lost"):
            sums[name] += getattr(verdict, name)
    return dict(sums)
