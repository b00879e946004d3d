"""What must be true once the faults have stopped: exchange and wishes agree, and the books with both.

L1  every open wish works on the exchange on its terms, or says why not
L2  no doubt is left, where the contract allows a proof
L3  what was cancelled is gone          L4  ledger and exchange agree
L6  a halted account has no orders that the level forbids
"""

from collections.abc import Iterator
from decimal import Decimal

from quantcli.kernel.steps import Halted
from quantcli.model.order import AttemptState, IntentPhase, OrderIntent, ReconciliationStatus

from .account import Account
from .disk import Disk
from .markets import INSTRUMENTS, is_derivative
from .oracle import Oracle
from .personality import Personality
from .process import Process

_ZERO = Decimal(0)
MAX_ATTEMPTS = 20
Lack = tuple[str, str]  # which promise, and what is missing


class Ends:
    """`lacks` tells what is not as it should be yet; nothing, when all has converged."""

    def __init__(
        self, disk: Disk, account: Account, personality: Personality, process: Process, oracle: Oracle
    ) -> None:
        self._disk, self._account, self._process, self._oracle = disk, account, process, oracle
        self._has_statements = personality.contract.statement

    def lacks(self) -> Iterator[Lack]:
        """Everything that has not converged."""
        if self._process.core is None:
            yield "L1", "the process is down"
            return
        for intent in self._disk.intents.values():
            if not intent.phase.is_terminal:
                yield from self._lacks_of(intent)
        yield from self._lacks_of_books()

    def lacks_at_rest(self) -> Iterator[Lack]:
        """After everything was cancelled: what is still there."""
        for intent in self._disk.intents.values():
            if not intent.phase.is_terminal:
                yield "L3", f"{intent.intent_id} is {intent.phase.value} after a cancel"
        for intent_id, live in self._oracle.live.items():
            if live:
                yield "L3", f"{live[0].client_order_id} of {intent_id} works after a cancel"
        yield from self._lacks_of_books()

    def lacks_when_halted(self, level: Halted) -> Iterator[Lack]:
        """What the kill switch has not brought about yet."""
        for intent_id, live in self._oracle.live.items():
            if live and level >= Halted.ALL:
                spared = level is Halted.ALL and self._disk.intents[intent_id].protective
                if not spared:
                    yield "L6", f"{live[0].client_order_id} works while all is halted"
        if level is Halted.FLAT:
            for row in self._disk.markets.values():
                least = INSTRUMENTS[row.symbol].min_qty or 0
                if abs(row.own) >= least and self._can_flatten(row.symbol, row.own):
                    yield "L6", f"{row.symbol} is not flat: {row.own}"

    def _can_flatten(self, symbol: str, own: Decimal) -> bool:
        """Reduce-only orders close what the account holds, and strangers may have closed it before."""
        held = self._account.positions[symbol]
        return not is_derivative(symbol) or (held * own > 0 and abs(held) >= abs(own))

    def _lacks_of(self, intent: OrderIntent) -> Iterator[Lack]:
        core = self._process.core
        assert core is not None
        entry = core.view.find(intent.intent_id)
        if entry is None:
            yield "L1", f"{intent.intent_id} is open, and the kernel does not know it"
            return
        states = entry.open_attempts
        if intent.phase is IntentPhase.CANCEL_REQUESTED:
            yield "L3", f"{intent.intent_id} is being cancelled"
        elif not states and not self._may_wait(intent):
            why = f"{intent.phase.value}, and nothing works: {entry.condition.value}"
            yield "L1", f"{intent.intent_id} is {why}"
        for state in states:
            if state.state is AttemptState.AMBIGUOUS:
                yield "L2", f"{state.client_order_id} is in doubt: {entry.condition.value}"
            elif state.state is not AttemptState.LIVE:
                yield "L1", f"{state.client_order_id} is {state.state.value}"
            elif state.generation != intent.generation or intent.held:
                yield "L1", f"{state.client_order_id} works on old terms"
            else:
                yield from self._lacks_of_order(state.client_order_id)

    def _may_wait(self, intent: OrderIntent) -> bool:
        core = self._process.core
        assert core is not None
        entry = core.view.find(intent.intent_id)
        assert entry is not None
        tries = sum(1 for attempt in entry.attempts if attempt.generation == intent.generation)
        return (
            entry.condition is ReconciliationStatus.HELD_BACK
            or (entry.condition is ReconciliationStatus.HALTED and bool(self._process.halted))
            or tries >= MAX_ATTEMPTS
        )

    def _lacks_of_order(self, client_order_id: str) -> Iterator[Lack]:
        state, booked = self._disk.states[client_order_id], self._account.orders.get(client_order_id)
        if booked is None or not booked.is_live:
            yield "L1", f"{client_order_id} is believed to work, and does not"
        elif (booked.order.quantity, booked.order.price) != (state.order.quantity, state.order.price):
            yield "L1", f"{client_order_id} works on other terms than is believed"

    def _lacks_of_books(self) -> Iterator[Lack]:
        recorded = self._disk.fills
        for key, fill in self._account.trades.items():
            booked = self._oracle.orders.get(fill.client_order_id)
            if booked is not None and booked.owner and key not in recorded:
                yield "I3", f"{fill.trade_id} of {fill.client_order_id} is not recorded"
        if not self._has_statements:
            return
        for row in self._disk.markets.values():
            if row.drift:
                yield "L4", f"{row.symbol} has drift: {row.drift}"
            elif row.baseline is None:
                yield "L4", f"{row.symbol} has no baseline"
            elif row.baseline + row.position != self._account.positions[row.symbol]:
                known = row.baseline + row.position
                yield "L4", f"{row.symbol}: {known} by the books, {self._account.positions[row.symbol]} there"
